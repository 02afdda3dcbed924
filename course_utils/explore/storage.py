"""Explorer: which storage cell does an element of a tensor read?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from textwrap import fill

import torch
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from torch import Tensor

from course_utils.explore.base import Control, Explorer, Move, Settings, headline, sheet
from course_utils.style import BLACK, GREY, ORANGE, RED, SKY

# Each makes a 2-D tensor from `a = torch.arange(12)`; the last one is refused by torch.
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "a.view(3, 4)": lambda a: a.view(3, 4),
    "a.view(4, 3)": lambda a: a.view(4, 3),
    "a.view(2, 6)": lambda a: a.view(2, 6),
    "a.view(3, 4).t()": lambda a: a.view(3, 4).t(),
    "a.view(3, 4)[:, ::2]": lambda a: a.view(3, 4)[:, ::2],
    "a.view(3, 4)[1:]": lambda a: a.view(3, 4)[1:],
    "a[4:8].expand(3, 4)": lambda a: a[4:8].expand(3, 4),
    "a.view(3, 4).t().reshape(2, 6)": lambda a: a.view(3, 4).t().reshape(2, 6),
    "a.view(3, 4).t().view(2, 6)": lambda a: a.view(3, 4).t().view(2, 6),
}
SHAPES = {
    "a.view(3, 4)": (3, 4),
    "a.view(4, 3)": (4, 3),
    "a.view(2, 6)": (2, 6),
    "a.view(3, 4).t()": (4, 3),
    "a.view(3, 4)[:, ::2]": (3, 2),
    "a.view(3, 4)[1:]": (2, 4),
    "a[4:8].expand(3, 4)": (3, 4),
    "a.view(3, 4).t().reshape(2, 6)": (2, 6),
    "a.view(3, 4).t().view(2, 6)": (2, 6),
}


@dataclass(frozen=True)
class Reading:
    """How one element of the tensor that `operation` makes is found in its storage."""

    operation: str
    row: int
    column: int
    storage: list[int]  # the 12 numbers as they lie in memory
    values: list[list[int]]  # the tensor as it is read; empty when torch refuses the operation
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    contiguous: bool
    shares: bool  # does the tensor read the memory of `a`?
    cell: int | None  # the storage cell that the element reads
    refusal: str  # torch's own message, or nothing


def read_storage(operation: str, row: int, column: int) -> Reading:
    """Apply one of OPERATIONS to `torch.arange(12)` and find the storage cell of element [row, column].

    `shape`, `stride` and the rest are torch's own answers about the resulting tensor; when torch refuses the
    operation they are those of the transposed tensor that it was applied to. Source: the description of
    strides in the documentation of torch.Tensor.stride and torch.Tensor.view.
    """
    a = torch.arange(12)
    refusal = ""
    try:
        tensor = OPERATIONS[operation](a)
    except RuntimeError as error:
        refusal, tensor = str(error), a.view(3, 4).t()
    offset, stride = tensor.storage_offset(), tensor.stride()
    return Reading(
        operation=operation,
        row=row,
        column=column,
        storage=torch.as_strided(tensor, (12,), (1,), 0).tolist(),
        values=[] if refusal else tensor.tolist(),
        shape=tuple(tensor.shape),
        stride=stride,
        offset=offset,
        contiguous=tensor.is_contiguous(),
        shares=tensor.untyped_storage().data_ptr() == a.untyped_storage().data_ptr(),
        cell=None if refusal else offset + row * stride[0] + column * stride[1],
        refusal=refusal,
    )


def draw_storage(figure: Figure) -> Move:
    """Draw the storage as a row of boxes and the tensor as a grid under it; return what moves them."""
    axes = sheet(figure)
    title = headline(figure)
    label = axes.text(0.3, 3.52, "", size=10, animated=True)
    grid_label = axes.text(3.45, 2.02, "", size=10, family="DejaVu Sans Mono", animated=True)
    for cell in range(12):
        axes.text(0.55 + 0.53 * cell, 3.33, str(cell), size=9, color=GREY, ha="center")
    axes.text(6.63, 3.52, "above each box: its cell number", size=9, color=GREY, ha="right")
    storage = PolyCollection([_square(0.3 + 0.53 * cell, 2.8, 0.5) for cell in range(12)], animated=True)
    storage.set(edgecolor=BLACK, linewidth=1.2)
    grid = PolyCollection([], edgecolor=BLACK, linewidth=1.2, animated=True)
    axes.add_collection(storage)
    axes.add_collection(grid)
    # outlines, because two dozen texts would take most of the time of a move
    numbers = PathCollection([], facecolor=BLACK, linewidth=0, zorder=3, animated=True)
    axes.add_collection(numbers)
    (thread,) = axes.plot(
        [],
        [],
        color=RED,
        linewidth=2.2,
        linestyle="-",
        marker="o",
        markersize=5,
        markevery=[0, -1],
        animated=True,
    )
    facts = axes.text(3.45, 1.9, "", size=10, va="top", linespacing=1.55, animated=True)
    formula = axes.text(3.45, 0.6, "", size=12, va="center", weight="bold", color=RED, animated=True)
    refused = axes.text(0.3, 1.9, "", size=10, va="top", color=RED, linespacing=1.4, animated=True)

    def move(reading: Reading) -> None:
        title.set_text(
            f"element [{reading.row}, {reading.column}] reads storage cell {reading.cell}"
            if reading.values
            else "refused: no strides can describe this view"
        )
        label.set_text(
            "storage: the memory of a" if reading.shares else "storage: new memory, the elements were copied"
        )
        grid_label.set_text(reading.operation)
        used = {
            reading.offset + row * reading.stride[0] + column * reading.stride[1]
            for row in range(reading.shape[0])
            for column in range(reading.shape[1])
        }
        faces = [SKY if cell in used else "white" for cell in range(12)]
        if reading.cell is not None:
            faces[reading.cell] = ORANGE
        storage.set_facecolor(faces)
        columns = len(reading.values[0]) if reading.values else 1
        places = [(row, column) for row in range(len(reading.values)) for column in range(columns)]
        corners = [(0.3 + 0.45 * column, 1.55 - 0.45 * row) for row, column in places]
        grid.set_verts([_square(x, y, 0.43) for x, y in corners])
        grid.set_facecolor([ORANGE if place == (reading.row, reading.column) else SKY for place in places])
        stored = [_numeral(number, 0.55 + 0.53 * cell, 3.05) for cell, number in enumerate(reading.storage)]
        read = [
            _numeral(reading.values[row][column], x + 0.215, y + 0.215)
            for (row, column), (x, y) in zip(places, corners, strict=True)
        ]
        numbers.set_paths(stored + read)
        thread.set_visible(reading.cell is not None)
        formula.set_visible(reading.cell is not None)
        if reading.cell is not None:
            x, y = corners[places.index((reading.row, reading.column))]
            target = 0.55 + 0.53 * reading.cell
            # between two columns of the grid, so that it crosses no number
            thread.set_data([x + 0.44, x + 0.44, target, target], [y + 0.215, 2.4, 2.4, 2.8])
            formula.set_text(
                f"{reading.offset} + {reading.row}·{reading.stride[0]} + "
                f"{reading.column}·{reading.stride[1]} = {reading.cell}"
            )
        of = "of a.view(3, 4).t():\n" if reading.refusal else ""
        facts.set_text(
            f"{of}shape {reading.shape}\nstride {reading.stride}\nstorage_offset {reading.offset}\n"
            f"is_contiguous {reading.contiguous}\n"
            + ("" if reading.refusal else "offset + row·stride[0] + column·stride[1]")
        )
        refused.set_text(fill("torch says: " + reading.refusal, 38) if reading.refusal else "")

    return move


def describe_storage(reading: Reading) -> str:
    """One sentence: which cell is read and why, or what torch refuses."""
    if reading.refusal:
        return f"{reading.operation} is refused: {reading.refusal}"
    memory = "shares the memory of a" if reading.shares else "has its own copied memory"
    return (
        f"{reading.operation} has shape {reading.shape}, stride {reading.stride} and offset {reading.offset} "
        f"and {memory}; element [{reading.row}, {reading.column}] = "
        f"{reading.values[reading.row][reading.column]} reads storage cell {reading.cell}."
    )


def strides(
    operation: str = "a.view(3, 4)",
    row: int = 1,
    column: int = 2,
    question: str = "Which storage cell does an element of a tensor read?",
) -> Explorer:
    """Views, slices and a copy of `a = torch.arange(12)`, and the storage that they read.

    `operation` is one of OPERATIONS, `row` and `column` lie in the shape that it makes. One operation is
    refused by torch: `view` on a transposed tensor. Raises ValueError for anything else.
    """
    return Explorer(
        question=question,
        description="Twelve storage cells in a row, the tensor as a grid below them, and a line from one "
        "element to the cell that it reads: offset + row·stride[0] + column·stride[1].",
        controls={
            "operation": Control("operation", tuple(OPERATIONS), "a.view(3, 4)", kind="menu", width=680),
            "row": Control("row", tuple(range(4)), 1),
            "column": Control("column", tuple(range(6)), 2),
        },
        compute=read_storage,
        draw=draw_storage,
        describe=describe_storage,
        strip=[
            {},
            {"operation": "a.view(3, 4).t()", "row": 2, "column": 1},
            {"operation": "a.view(3, 4).t().view(2, 6)"},
        ],
        size=(7.0, 4.1),
        start={"operation": operation, "row": row, "column": column},
        narrow=_inside,
    )


def _inside(settings: Settings) -> dict[str, tuple]:
    rows, columns = SHAPES[settings["operation"]]
    return {"row": tuple(range(rows)), "column": tuple(range(columns))}


def _square(x: float, y: float, side: float) -> list[tuple[float, float]]:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def _numeral(number: int, x: float, y: float) -> Path:
    """The outline of `number`, 12 points high, with its middle at (x, y) in inches."""
    outline = _outline(number)
    return Path(outline.vertices + (x, y), outline.codes)


@cache
def _outline(number: int) -> Path:
    outline = TextPath((0, 0), str(number), size=12 / 72, prop=FontProperties(family="DejaVu Sans"))
    box = outline.get_extents()
    return Path(outline.vertices - ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2), outline.codes)
