"""The checks of exercises 5.7 to 5.9: event files. Each reads back what the answer wrote, by TensorBoard's own reader.

What should be there is computed without a writer: a product, a training step by step, a picture put together by slices.
"""

import contextlib
import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from course_utils import board
from course_utils.checks.core import Mistake, NotAttempted, call, exercise

Runs = dict[str, board.Run]


def _written(function: object, *arguments: object) -> Runs:
    """What the answer, called with a new folder and `arguments`, has in its event files when it returns."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place) / "logs"
        folder.mkdir()
        with contextlib.chdir(place), _watched_writers() as opened:  # a forgotten folder fills no folder of the reader
            with contextlib.suppress(NotAttempted):  # a function that only writes need not return anything
                call(function, str(folder), *arguments)
            is_open = any(writer.all_writers is not None for writer in opened)
            for writer in opened:
                writer.close()
            found = _runs(folder)
        places = [(Path(place) / writer.log_dir).resolve() for writer in opened]
        elsewhere = [path for path in places if not path.is_relative_to(folder.resolve())]
    if elsewhere:
        raise Mistake("a writer wrote into another folder: give SummaryWriter the folder that your function gets")
    if not _entries(found):
        raise NotAttempted("not attempted yet (nothing was written)")
    if is_open:
        raise Mistake("a writer is still open when your function returns, and may lose its last entries; use with")
    return found


def _runs(folder: Path) -> Runs:
    return board.runs(folder) if any(folder.rglob("*tfevents*")) else {}


def _entries(runs: Runs) -> int:
    """How many scalars, pictures and other things there are."""
    return sum(
        len(entry.steps) if isinstance(entry, board.Series) else len(entry)
        for run in runs.values()
        for kind in vars(run).values()
        for entry in kind.values()
    )


@contextlib.contextmanager
def _watched_writers() -> Iterator[list]:
    """The SummaryWriters that are made in the block; those that it leaves open are closed afterwards."""
    from torch.utils.tensorboard import SummaryWriter

    opened, original = [], SummaryWriter.__init__

    def watched(writer: SummaryWriter, *arguments: object, **named: object) -> None:
        original(writer, *arguments, **named)
        opened.append(writer)

    SummaryWriter.__init__ = watched
    try:
        yield opened
    finally:
        SummaryWriter.__init__ = original
        for writer in opened:
            writer.close()


def _listed(names: object) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"


@exercise("5.7", "A line for the record")
def write_line(function: object) -> str:
    for tag, slope, steps in (("y = 2x", 2, list(range(100))), ("falling", -1.5, [0, 10, 20, 50, 1000])):
        given = list(steps)
        runs = _written(function, tag, slope, given)
        if given != steps:
            raise Mistake("your function changed the list steps itself; read from it, the caller may still need it")
        tags = {found for run in runs.values() for found in run.scalars}
        if tag not in tags:
            raise Mistake(f"for the tag {tag!r} there is no such curve; written was {_listed(tags)}")
        if "." not in runs or tag not in runs["."].scalars:
            raise Mistake(
                "the curve is in a folder inside yours, as add_scalars makes it; for one curve take add_scalar, "
                "and give the writer the folder as it is"
            )
        points = sorted(zip(*runs["."].scalars[tag], strict=True))
        expected = [(x, slope * x) for x in steps]
        if len(points) != len(expected):
            raise Mistake(f"for {len(steps)} steps there are {len(points)} points; go through steps, each once")
        if all(step == 0 for step, _ in points):
            raise Mistake("every point is at step 0: the step is the third argument of add_scalar")
        if _close(points, sorted((int(y), x) for x, y in expected)):
            raise Mistake("value and step have changed places: tag, value, step is the order")
        if [step for step, _ in points] != steps:
            raise Mistake(f"for the steps {steps[:4]}… there are points at {[step for step, _ in points][:4]}…")
        if not _close(points, sorted(expected)):
            raise Mistake(
                f"at step {steps[1]} stands {points[1][1]:g}, expected {expected[1][1]:g}: the value is slope times x"
            )
    return "what comes back from the file is what you wrote, point by point, and no browser was needed"


def _close(points: list, expected: list) -> bool:
    given, wanted = (torch.tensor(pairs, dtype=torch.float64) for pairs in (points, expected))
    return given.shape == wanted.shape and torch.allclose(given, wanted, rtol=1e-5, atol=1e-5)


@exercise("5.8", "Both curves in one chart")
def log_training(function: object) -> str:
    for number, epochs in enumerate((3, 5)):
        generator = torch.Generator().manual_seed(number)
        made = []
        for count in (3, 2):
            labels = torch.randint(3, (count, 10), generator=generator)
            noise = torch.randn(count, 10, 3, generator=generator)
            made.append([(F.one_hot(y, 3) + 0.7 * x, y) for x, y in zip(noise, labels, strict=True)])
        torch.default_generator.manual_seed(number)
        model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3))
        truth = _trained(copy.deepcopy(model), *made, epochs)
        runs = _written(function, model, *made, epochs)
        curves = _four_curves(runs)
        for (chart, part), series in curves.items():
            _is_the_curve(chart, part, series, truth, epochs)
    return "one tag and two runs make one chart: the gap between its two curves is what you will look at first"


def _trained(model: nn.Module, train: list, valid: list, epochs: int) -> dict[tuple[str, str], torch.Tensor]:
    """The measured values of a training written out: (chart, part) -> (epochs + 1,), the first before the training."""
    measured: dict[tuple[str, str], list[float]] = {}

    def measure() -> None:
        for part, batches in (("Train", train), ("Valid", valid)):
            inputs, labels = (torch.cat(column) for column in zip(*batches, strict=True))
            with torch.no_grad():
                logits = model(inputs)
            measured.setdefault(("Loss", part), []).append(F.cross_entropy(logits, labels).item())
            measured.setdefault(("Accuracy", part), []).append((logits.argmax(1) == labels).double().mean().item())

    measure()
    for _ in range(epochs):
        on_the_way = []
        for inputs, labels in train:
            loss = F.cross_entropy(model(inputs), labels)
            on_the_way.append(loss.item())
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 0.1 * gradient
        measured.setdefault(("Loss", "on the way"), []).append(sum(on_the_way) / len(on_the_way))
        measure()
    return {key: torch.tensor(values, dtype=torch.float64) for key, values in measured.items()}


def _four_curves(runs: Runs) -> dict[tuple[str, str], board.Series]:
    """The curves by (chart, part); Mistake when one is missing or named otherwise."""
    tags = {tag for run in runs.values() for tag in run.scalars}
    curves = {}
    for chart in ("Loss", "Accuracy"):
        if chart not in tags:
            if any(tag.startswith(chart) for tag in tags):
                raise Mistake(f"the tags {_listed(tags)} make a chart each; both curves need the one tag {chart!r}")
            raise Mistake(f"there is no chart {chart!r}; written were the tags {_listed(tags)}")
        names = [name for name, run in runs.items() if chart in run.scalars]
        if names == ["."]:
            raise Mistake(f"all points of {chart!r} are in one curve; add_scalars keeps Train and Valid apart")
        for part in ("Train", "Valid"):
            named = [name for name in names if name.endswith(part)]
            if not named:
                shown = _listed(name.removeprefix(f"{chart}_") for name in names)
                raise Mistake(f"chart {chart!r} has the curves {shown}; asked are 'Train' and 'Valid', spelt like this")
            curves[chart, part] = runs[named[0]].scalars[chart]
    return curves


def _is_the_curve(chart: str, part: str, series: board.Series, truth: dict, epochs: int) -> None:
    name = f"{chart}, {part}"
    if len(series.values) != epochs:
        raise Mistake(f"{name}: {len(series.values)} points for {epochs} epochs; write once an epoch")
    if sorted(series.steps) != list(range(epochs)):
        raise Mistake(f"{name}: the points are at the steps {sorted(series.steps)}, expected {list(range(epochs))}")
    order = sorted(range(epochs), key=series.steps.__getitem__)
    values = torch.tensor([series.values[i] for i in order], dtype=torch.float64)

    def same(expected: torch.Tensor) -> bool:
        return torch.allclose(values, expected, atol=1e-4)

    if same(truth[chart, part][1:]):
        return
    if chart == "Loss" and same(truth["Loss", "on the way"]):
        raise Mistake(f"{name}: this was measured during the epoch, on a model that still changed; evaluate after it")
    if same(100 * truth[chart, part][1:]):
        raise Mistake(f"{name}: these are percent; asked is a share from 0 to 1")
    other = {"Train": "Valid", "Valid": "Train"}[part]
    if same(truth[chart, other][1:]):
        raise Mistake(f"{name}: these are the values of {other}; look which batches you evaluate")
    if same(truth[{"Loss": "Accuracy", "Accuracy": "Loss"}[chart], part][1:]):
        raise Mistake(f"{name}: loss and accuracy have changed places")
    if same(truth[chart, part][:-1]):
        raise Mistake(f"{name}: measured before the epoch instead of after it; evaluate below train_epoch")
    raise Mistake(
        f"{name}: at step 0 stands {values[0]:.4g}, expected {truth[chart, part][1]:.4g}; "
        "leave the training as it is, and evaluate after each epoch"
    )


@exercise("5.9", "A batch for the record")
def write_batch(function: object) -> str:
    generator = torch.Generator().manual_seed(0)
    for shape, step in (((20, 1, 8, 12), 3), ((16, 3, 6, 6), 40)):
        batch = torch.randn(shape, generator=generator)
        batch[:16] *= torch.linspace(0.3, 0.8, 16).reshape(-1, 1, 1, 1)
        batch[16:] *= 6  # the others must not decide what is black and white
        before = batch.clone()
        runs = _written(function, batch, step)
        if not torch.equal(batch, before):
            raise Mistake("your function changed the batch itself; work on a copy, the network still needs it")
        pictures = {tag: entries for run in runs.values() for tag, entries in run.pictures.items()}
        if "batch" not in pictures:
            raise Mistake(f"there is no picture with the tag 'batch'; pictures written: {_listed(pictures)}")
        if len(pictures["batch"]) != 1:
            raise Mistake(f"{len(pictures['batch'])} pictures were written; make_grid makes one of all 16")
        picture = pictures["batch"][0]
        if picture.step != step:
            raise Mistake(f"the picture is at step {picture.step}, expected {step}: the third argument of add_image")
        _has_the_size(tuple(picture.pixels.shape[1:]), shape)
        _has_the_values(picture.pixels, batch)
    return "one look at this picture shows swapped channels, wrong sizes and missing transforms at once"


def _has_the_size(size: tuple[int, int], shape: tuple[int, ...]) -> None:
    count, _, height, width = shape
    if size == (4 * (height + 2) + 2, 4 * (width + 2) + 2):
        return
    words = f"the picture has {size[0]} x {size[1]} pixels"
    for columns in range(1, count + 1):
        for many in (16, count):
            rows = -(-many // columns)
            if size == (rows * (height + 2) + 2, columns * (width + 2) + 2):
                if many != 16 or columns == 4:
                    raise Mistake(f"{words}: {many} pictures, {columns} in a row; asked are the first 16, 4 in a row")
                raise Mistake(f"{words}: {columns} in a row and {rows} rows, asked are 4; nrow counts those in a row")
            if size == (rows * height, columns * width):
                raise Mistake(f"{words}: there is no frame between the pictures; make_grid draws one, padding=2")
    raise Mistake(f"{words}, expected {4 * (height + 2) + 2} x {4 * (width + 2) + 2}: 4 x 4, each in a frame of 2")


def _has_the_values(pixels: torch.Tensor, batch: torch.Tensor) -> None:
    height, width = batch.shape[2:]
    cells = [
        pixels[:, 2 + row * (height + 2) :, 2 + column * (width + 2) :][:, :height, :width].double()
        for row in range(4)
        for column in range(4)
    ]
    shown, first = torch.stack(cells), batch[:16].double()

    def is_scaled(low: torch.Tensor, high: torch.Tensor) -> bool:
        expected = ((first - low) / (high - low)).clamp(0, 1) * 255
        return bool(((shown - expected).abs() <= 1.5).all())

    if is_scaled(first.amin(), first.amax()):
        return
    zero, one = torch.zeros(()), torch.ones(())
    if is_scaled(first.amin((1, 2, 3), keepdim=True), first.amax((1, 2, 3), keepdim=True)):
        raise Mistake("each picture was stretched by itself; asked are black and white for all 16 together")
    if is_scaled(zero, one):
        raise Mistake("values below 0 and above 1 were cut off: normalize=True brings them between 0 and 1")
    if is_scaled(batch.double().amin(), batch.double().amax()):
        raise Mistake("black and white were taken from the whole batch; take the first 16 pictures, then make_grid")
    raise Mistake(
        "the size is right, but the greys are others: take the first 16 pictures in their order, "
        "black is their smallest value, white the largest"
    )
