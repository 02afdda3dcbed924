"""Mistakes that readers make in exercises 5.7 to 5.9."""

LINE = """
def write_line(folder, tag, slope, steps):
    with SummaryWriter({folder}) as writer:
        for x in {steps}:
            writer.{method}({arguments})
"""


def line(folder="folder", steps="steps", method="add_scalar", arguments="tag, slope * x, x"):
    return LINE.format(**locals())


NOT_CLOSED = """
def write_line(folder, tag, slope, steps):
    writer = SummaryWriter(folder)
    for x in steps:
        writer.add_scalar(tag, slope * x, x)
"""

TRAINING = """
def log_training(folder, model, train, valid, epochs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SummaryWriter(folder) as writer:
        for epoch in range(epochs):
            {before}
            on_the_way = training.train_epoch(model, train, F.cross_entropy, optimizer)
            {after}
            {loss}
            {accuracy}
"""
MEASURE = """a = training.evaluate(model, train, F.cross_entropy)
            b = training.evaluate(model, valid, F.cross_entropy)"""
LOSS = 'writer.add_scalars("Loss", {"Train": a.loss, "Valid": b.loss}, epoch)'
ACCURACY = 'writer.add_scalars("Accuracy", {"Train": a.accuracy, "Valid": b.accuracy}, epoch)'


def log(before="pass", after=MEASURE, loss=LOSS, accuracy=ACCURACY):
    return TRAINING.format(**locals())


BATCH = """
def write_batch(folder, batch, step):
    with SummaryWriter(folder) as writer:
        grid = make_grid({grid})
        writer.{write}
"""


def batch(grid="batch[:16], nrow=4, padding=2, normalize=True", write='add_image("batch", grid, step)'):
    return BATCH.format(**locals())


WRONG = {
    "5.7": [
        (line(arguments="tag, slope * x"), "every point is at step 0"),
        (line(arguments="tag, x, slope * x"), "have changed places"),
        (line(arguments='"y = 2x", slope * x, x'), "for the tag 'falling' there is no such curve"),
        (line(arguments="tag, 2 * x, x"), "at step 10 stands 20, expected -15"),
        (line(steps="range(100)"), "for 5 steps there are 100 points"),
        (line(arguments="tag, slope * x, x + 1"), "there are points at [1, 2, 3, 4]"),
        (line(folder=""), "wrote into another folder"),
        (line(method="add_scalars", arguments='tag, {"y": slope * x}, x'), "for one curve take add_scalar"),
        (line(arguments='tag, float("nan"), x'), "at step 1 stands nan"),
        (line(steps="[steps.pop(0) for _ in list(steps)]"), "changed the list steps"),
        (NOT_CLOSED, "a writer is still open"),
        (line(arguments="tag, slop * x, x"), "name 'slop' is not defined"),
    ],
    "5.8": [
        (log(accuracy="pass"), "there is no chart 'Accuracy'"),
        (
            log(loss='writer.add_scalar("Loss/Train", a.loss, epoch); writer.add_scalar("Loss/Valid", b.loss, epoch)'),
            "make a chart each",
        ),
        (
            log(loss='writer.add_scalar("Loss", a.loss, epoch); writer.add_scalar("Loss", b.loss, epoch)'),
            "are in one curve",
        ),
        (log(loss=LOSS.replace("Valid", "valid")), "spelt like this"),
        (log(loss=LOSS.replace("a.loss", "on_the_way")), "on a model that still changed"),
        (log(accuracy=ACCURACY.replace("a.accuracy", "100 * a.accuracy")), "these are percent"),
        (log(loss=LOSS.replace("b.loss", "a.loss")), "these are the values of Train"),
        (
            log(loss=LOSS.replace(".loss", ".accuracy"), accuracy=ACCURACY.replace(".accuracy", ".loss")),
            "loss and accuracy have changed places",
        ),
        (log(before=MEASURE, after="pass"), "measured before the epoch"),
        (log(loss=LOSS.replace(", epoch", "")), "the points are at the steps [0, 0, 0]"),
        (log(loss=LOSS.replace(", epoch", ", epoch + 1")), "the points are at the steps [1, 2, 3]"),
        (log(loss=LOSS.replace("b.loss", 'float("nan")')), "Loss, Valid: at step 0 stands nan"),
        (log(before="if epoch == 3: break"), "3 points for 5 epochs"),
    ],
    "5.9": [
        (batch("batch[:16], nrow=8, padding=2, normalize=True"), "nrow counts those in a row"),
        (batch("batch, nrow=4, padding=2, normalize=True"), "20 pictures, 4 in a row"),
        (batch("batch[:16], nrow=4, padding=2, normalize=True, scale_each=True"), "stretched by itself"),
        (batch("batch[:16], nrow=4, padding=2"), "were cut off"),
        (
            batch("batch[:16], nrow=4, normalize=True, value_range=(batch.min().item(), batch.max().item())"),
            "from the whole batch",
        ),
        (batch("batch[:16], nrow=4, padding=0, normalize=True"), "there is no frame"),
        (batch("batch[:16], nrow=4, padding=5, normalize=True"), "expected 42 x 58"),
        (batch(write='add_image("batch", grid)'), "is at step 0, expected 3"),
        (batch(write='add_image("Batch", grid, step)'), "no picture with the tag 'batch'"),
        (batch(write='add_image("batch", grid.permute(1, 2, 0), step)'), "your function stopped in line 4"),
        (batch("batch[:16].abs(), nrow=4, normalize=True"), "the greys are others"),
        (batch("batch[:16].sub_(batch.min()), nrow=4, normalize=True"), "changed the batch itself"),
    ],
}
