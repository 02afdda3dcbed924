"""Explorer: how a DataLoader makes batches of 23 samples, and which samples it leaves out."""

from dataclasses import dataclass
from functools import lru_cache

from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch.utils.data import DataLoader, Dataset

from course_utils._arguments import kind, whole
from course_utils._drawing import counted
from course_utils.explore.base import Control, Explorer, Move, headline, sheet
from course_utils.explore.storage import _numeral
from course_utils.session import loader_seeding
from course_utils.style import BLACK, GREY, ORANGE, RED, SKY

SAMPLES = 23
FIRST_OF_CLASS_1 = 12
EPOCHS = 3
SIZES = (*range(1, 13), 16, 23, 24)  # 24: more than there are


class Numbered(Dataset):
    """23 samples, sorted by class as a folder of files is: sample k is the pair (k, its class, 0 or 1)."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[int, int]:
        return index, int(index >= FIRST_OF_CLASS_1)


@dataclass(frozen=True)
class Batches:
    """One epoch of a DataLoader over 23 samples."""

    batch_size: int
    drop_last: bool
    shuffle: bool
    epoch: int
    iterations: int  # len(loader)
    batches: tuple[tuple[int, ...], ...]  # the samples of each batch, in their order
    dropped: tuple[int, ...]  # the samples of no batch of this epoch
    unused: tuple[int, ...]  # the samples of no batch of any epoch so far


def load_batches(batch_size: int, drop_last: bool = False, shuffle: bool = True, epoch: int = 1) -> Batches:
    """The batches of epoch number `epoch` (1 to 3), as a DataLoader over `Numbered()` gives them.

    The loader has a generator with seed 0 and runs its epochs one after the other. With N samples an epoch
    has ceil(N / batch_size) iterations, floor(N / batch_size) with drop_last. Source: the documentation of
    torch.utils.data.DataLoader. The reader's random state is neither read nor changed. Raises ValueError for
    a batch size below 1, an epoch that is not 1 to 3, and a switch that is not True or False.
    """
    whole(batch_size, "batch_size")
    for name, switch in (("drop_last", drop_last), ("shuffle", shuffle)):
        if not isinstance(switch, bool):
            raise ValueError(f"{name} is {kind(switch)}; True or False is needed")
    if whole(epoch, "epoch") > EPOCHS:
        raise ValueError(f"epoch is {epoch}; the loader is run for {EPOCHS} epochs, give 1 to {EPOCHS}")
    iterations, epochs = _run(batch_size, drop_last, shuffle)
    missing = [sorted(set(range(SAMPLES)).difference(*batches)) for batches in epochs]
    return Batches(
        batch_size=batch_size,
        drop_last=drop_last,
        shuffle=shuffle,
        epoch=epoch,
        iterations=iterations,
        batches=epochs[epoch - 1],
        dropped=tuple(missing[epoch - 1]),
        unused=tuple(sorted(set(missing[0]).intersection(*missing[:epoch]))),
    )


@lru_cache(maxsize=4 * len(SIZES))
def _run(batch_size: int, drop_last: bool, shuffle: bool) -> tuple[int, tuple[tuple[tuple[int, ...], ...], ...]]:
    """len(loader), and the samples of all batches of three epochs of one loader."""
    loader = DataLoader(Numbered(), batch_size=batch_size, shuffle=shuffle, drop_last=drop_last, **loader_seeding(0))
    epochs = tuple(tuple(tuple(samples.tolist()) for samples, labels in loader) for _ in range(EPOCHS))
    return len(loader), epochs


SIDE = 0.27  # of a cell, in inches
LEFT, TOP = 0.5, 3.27  # the lower left corner of the first cell
PITCH = 0.325  # from row to row
NEXT = 1.25  # from one column of batches to the next
MOST_ROWS = 8
BOTTOM = 0.22  # the lower edge of the dropped cells


def corners_of(batches: Batches) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """The lower left corners, in inches, of the samples of all batches one after the other, and of each row.

    A batch is a row; more than eight rows are parted into two or three columns.
    """
    columns = -(-len(batches.batches) // MOST_ROWS)
    rows = -(-len(batches.batches) // max(columns, 1))
    starts = [(LEFT + NEXT * (k // rows), TOP - PITCH * (k % rows)) for k in range(len(batches.batches))]
    cells = [
        (x + SIDE * place, y)
        for (x, y), batch in zip(starts, batches.batches, strict=True)
        for place in range(len(batch))
    ]
    return cells, starts


def draw_batches(figure: Figure) -> Move:
    """Draw the legend; return what moves the 23 cells, the numbers of the iterations and the words."""
    axes = sheet(figure)
    title = headline(figure)
    axes.text(0.14, TOP + 0.33, "iteration", size=9, color=GREY)
    loader = axes.text(4.1, 2.66, "", size=9, family="DejaVu Sans Mono", va="top", linespacing=1.3, animated=True)
    for y, colour, words in (
        (1.33, SKY, f"class 0: samples 0 to {FIRST_OF_CLASS_1 - 1}"),
        (1.07, ORANGE, f"class 1: samples {FIRST_OF_CLASS_1} to {SAMPLES - 1}"),
    ):
        axes.add_patch(Rectangle((4.1, y), 0.17, 0.17, facecolor=colour, edgecolor=BLACK, linewidth=1))
        axes.text(4.37, y + 0.085, words, size=9, va="center")
    axes.plot([0.14, 6.86], [0.86, 0.86], color=GREY, linewidth=1)
    cells = PolyCollection([], edgecolor=BLACK, linewidth=1, animated=True)
    left_out = PolyCollection([], edgecolor=RED, linewidth=1.6, linestyle="--", animated=True)
    axes.add_collection(cells)
    axes.add_collection(left_out)
    # outlines, because so many texts would take most of the time of a move
    numbers = PathCollection([], facecolor=BLACK, linewidth=0, zorder=3, animated=True)
    iterations = PathCollection([], facecolor=GREY, linewidth=0, animated=True)
    axes.add_collection(numbers)
    axes.add_collection(iterations)
    dropped = axes.text(0.14, 0.69, "", size=10, va="center", animated=True)
    unused = axes.text(6.86, 0.69, "", size=10, va="center", ha="right", animated=True)
    warning = axes.text(LEFT, 3.0, "", size=11, color=RED, va="center", animated=True)

    def move(batches: Batches) -> None:
        title.set_text(f"epoch {batches.epoch}: {counted(batches.iterations, 'iteration')} = {formula(batches)}")
        loader.set_text(written(batches))
        places, starts = corners_of(batches)
        samples = [sample for batch in batches.batches for sample in batch]
        below = [(LEFT + SIDE * place, BOTTOM) for place in range(len(batches.dropped))]
        cells.set_verts([_cell(*place) for place in places])
        cells.set_facecolor([_colour(sample) for sample in samples])
        left_out.set_verts([_cell(*place) for place in below])
        left_out.set_facecolor([_colour(sample) for sample in batches.dropped])
        numbers.set_paths(
            [
                _numeral(sample, x + SIDE / 2, y + SIDE / 2)
                for sample, (x, y) in zip((*samples, *batches.dropped), (*places, *below), strict=True)
            ]
        )
        iterations.set_paths([_numeral(k, x - 0.2, y + SIDE / 2) for k, (x, y) in enumerate(starts, 1)])
        count = len(batches.dropped)
        dropped.set(
            text=f"dropped in epoch {batches.epoch}: {counted(count, 'sample') if count else 'nothing'}",
            color=RED if count else BLACK,
        )
        unused.set(
            text=f"never used so far: {counted(len(batches.unused), 'sample')}",
            color=RED if batches.unused else BLACK,
        )
        warning.set_text("" if batches.iterations else "the loop over this loader runs zero times, without an error")

    return move


def formula(batches: Batches) -> str:
    """How the number of iterations follows from the number of samples: ceil(23 / 4)."""
    return f"{'floor' if batches.drop_last else 'ceil'}({SAMPLES} / {batches.batch_size})"


def written(batches: Batches) -> str:
    """The loader as the reader would write it, on several lines."""
    return (
        f"DataLoader(\n    samples,\n    batch_size={batches.batch_size},\n    shuffle={batches.shuffle},\n"
        f"    drop_last={batches.drop_last},\n    **loader_seeding(0))"
    )


def describe_batches(batches: Batches) -> str:
    """One sentence: the iterations, the first batch and what is left out."""
    order = "in a new order" if batches.shuffle else "in the order of the folder"
    first = f"; the first batch is {list(batches.batches[0])}" if batches.batches else ""
    count = len(batches.dropped)
    left_out = f"{counted(count, 'sample')} dropped: {list(batches.dropped)}" if count else "nothing is dropped"
    return (
        f"Epoch {batches.epoch}, {order}: {formula(batches)} = {counted(batches.iterations, 'iteration')}{first}; "
        f"{left_out}; {counted(len(batches.unused), 'sample')} never used so far."
    )


def _cell(x: float, y: float) -> list[tuple[float, float]]:
    return [(x, y), (x + SIDE, y), (x + SIDE, y + SIDE), (x, y + SIDE)]


def _colour(sample: int) -> str:
    return ORANGE if Numbered()[sample][1] else SKY


def batches(
    batch_size: int = 4,
    drop_last: bool = False,
    shuffle: bool = True,
    epoch: int = 1,
    question: str = "How many iterations has an epoch, and which samples does the network never see?",
) -> Explorer:
    """A DataLoader over 23 samples, sorted by class: its batches in the first three epochs.

    `batch_size` is one of SIZES, `drop_last` and `shuffle` are True or False, `epoch` is 1 to 3. With
    batch_size=24 and drop_last=True there is no batch at all. Raises ValueError for other values.
    """
    switch = (False, True)
    return Explorer(
        question=question,
        description="23 numbered samples in the batches of one epoch, a row each: an epoch has ceil(23 / "
        "batch size) iterations, floor with drop_last, and then the dropped samples stand apart below.",
        controls={
            "batch_size": Control("batch_size", SIZES, 4),
            "epoch": Control("epoch", tuple(range(1, EPOCHS + 1)), 1),
            "shuffle": Control("shuffle", switch, True, kind="menu"),
            "drop_last": Control("drop_last", switch, False, kind="menu"),
        },
        compute=load_batches,
        draw=draw_batches,
        describe=describe_batches,
        strip=[
            {},
            {"epoch": 3, "shuffle": False, "drop_last": True},
            {"batch_size": 24, "drop_last": True},
        ],
        size=(7.0, 4.05),
        start={"batch_size": batch_size, "epoch": epoch, "shuffle": shuffle, "drop_last": drop_last},
    )
