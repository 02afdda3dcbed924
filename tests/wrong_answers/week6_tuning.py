"""Mistakes that readers make in exercises 6.12 and 6.13 and in bug 6.4."""

REPORT = """
def report(record):
    name = max(record, key=lambda name: {score})
    epoch = {epoch}
    scores = {scores}
    return name, epoch, {mean}, {std}
"""


def report(
    score='record[name]["valid"].mean(0).max()',
    epoch='int(record[name]["valid"].mean(0).argmax())',
    scores='record[name]["test"][:, epoch]',
    mean="scores.mean().item()",
    std="scores.std().item()",
):
    return REPORT.format(**locals())


CAUSES = {"A": "learning rate too low", "B": "data leak", "C": "forgotten shuffle", "D": "overfitting"}


def causes(**changed):
    return f"diagnosis = {CAUSES | changed}"


TUNE = """
def tune(x, y, counts=(10, 40, 160)):
    scores = {{}}
    for count in counts:
        kept = x[:, {columns}]
        guesses = nearer({train}, {new})
        scores[count] = (guesses == {truth}).double().mean().item()
    return scores
"""


def tune(columns="strongest(x[:60], y[:60], count)", train="kept[:60], y[:60]", new="kept[60:]", truth="y[60:]"):
    return TUNE.format(**locals())


WRONG = {
    "6.12": [
        (
            report('record[name]["test"].mean(0).max()', 'int(record[name]["test"].mean(0).argmax())'),
            "by the test accuracy",
        ),
        (
            report('record[name]["valid"].max()', 'int(record[name]["valid"].max(0).values.argmax())'),
            "by a single lucky seed",
        ),
        (
            report('record[name]["valid"].mean(0)[-1]', 'record[name]["valid"].shape[1] - 1'),
            "by the last epoch alone",
        ),
        (report(scores='record[name]["valid"][:, epoch]'), "that of the validation"),
        (report(scores='record[name]["test"]'), "goes over all epochs"),
        (report(std="scores.std(correction=0).item()"), "divide by one less"),
        (report(std="scores.var().item()"), "the variance"),
        (report(mean="scores.std().item()", std="scores.mean().item()"), "have changed places"),
        (report(mean="100 * scores.mean().item()"), "in percent"),
        (report(mean="scores.median().item()"), "the median"),
        (report(score='record[name]["valid"].mean()'), "mean over all epochs"),
        (report(std="record.pop(name)['test'][:, epoch].std().item()"), "the record was changed"),
        (report(epoch='1 + int(record[name]["valid"].mean(0).argmax())'), "counted from 0"),
        (report(epoch='int(record[name]["test"].mean(0).argmax())'), "was chosen by the test"),
    ],
    "6.13": [
        (causes(A="bug in the loss"), "A: with bug in the loss"),
        (causes(B="overfitting"), "only the really new data disagree"),
        (causes(C="learning rate too high"), "valid jumps up and down"),
        (causes(D="data leak"), "D: with data leak"),
        (causes(A="rate too low"), "is not in the menu"),
        (causes(B="healthy"), "B is not healthy"),
    ],
    "bug 6.4": [
        (tune(columns="strongest(x[60:], y[60:], count)"), "these may judge, and nothing else"),
        (tune(train="kept, y"), "trained on the rows that it is judged by"),
        (tune(new="kept[:60]", truth="y[:60]"), "the last 40 are for that"),
        (tune(columns="torch.arange(count)"), "really foretell"),
        (tune().replace("scores[count] =", "scores[count] = 100 *"), "a share from 0 to 1"),
        (tune().replace("scores[count]", "scores[str(count)]"), "its dictionary has"),
        (tune(new="kept[60:80]", truth="y[60:80]"), "all the others validate"),
    ],
}
