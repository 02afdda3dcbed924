"""Explorer: what does a pooling layer keep of each window, and what can unpooling put back?"""

from dataclasses import dataclass
from textwrap import fill

import torch
from matplotlib.figure import Figure
from torch.nn import functional as F

from course_utils._arguments import whole
from course_utils.explore.base import Control, Explorer, Move, Settings, headline, sheet
from course_utils.explore.cells import Cells, Colour, tint
from course_utils.explore.convolving import output_size
from course_utils.style import BLACK, GREY, ORANGE, RED, SKY

INPUT = (
    (3, 1, 0, 5, 2, 4),
    (0, 7, 2, 1, 6, 0),
    (4, 2, 9, 3, 0, 1),
    (1, 5, 0, 2, 8, 3),
    (6, 0, 1, 4, 2, 7),
    (2, 3, 5, 0, 1, 6),
)
SIDE = len(INPUT)
MAX, AVERAGE, ADAPTIVE_MAX, ADAPTIVE_AVERAGE = KINDS = ("max", "average", "adaptive max", "adaptive average")
LAYERS = dict(zip(KINDS, ("MaxPool2d", "AvgPool2d", "AdaptiveMaxPool2d", "AdaptiveAvgPool2d"), strict=True))
SIZES, STRIDES, PADDINGS = (1, 2, 3, 4), (1, 2, 3, 4), (0, 1, 2)
MOST = output_size(SIDE, 2, 1, 1) ** 2  # the most outputs that any of these settings has


@dataclass(frozen=True)
class Pooled:
    """INPUT after pooling, one window of it, and what MaxUnpool2d makes of the result."""

    kind: str
    size: int  # of the kernel, or of the output when the kind is adaptive
    stride: int
    padding: int
    position: int  # 1 is the upper left output pixel, counted row by row
    output: list[list[float]]  # as torch gives it; empty when torch refuses
    indices: list[list[int]]  # of the maxima, as flat positions in the input; empty for averages
    unpooled: list[list[int]]  # the maxima at their places, 0 elsewhere; empty for averages
    place: tuple[int, int]  # row and column of the output pixel
    spans: tuple[tuple[int, int], ...]  # first pixel and first pixel after it, of each window along one axis
    refusal: str  # torch's own message, or nothing

    @property
    def adaptive(self) -> bool:
        """Is the size that of the output?"""
        return self.kind in (ADAPTIVE_MAX, ADAPTIVE_AVERAGE)

    @property
    def border(self) -> int:
        """The padding that plays a part: none when the kind is adaptive."""
        return 0 if self.adaptive else self.padding

    @property
    def window(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The rows and the columns that the output pixel reads; those of the padding are below 0 or above 5."""
        return self.spans[self.place[0]], self.spans[self.place[1]]

    @property
    def skipped(self) -> int:
        """How many of the 36 pixels of the input no window reads."""
        read = {pixel for span in self.spans for pixel in range(*span)}
        return SIDE**2 - len(read & set(range(SIDE))) ** 2


def pool_windows(kind: str = MAX, size: int = 2, stride: int = 2, padding: int = 0, position: int = 1) -> Pooled:
    """Pool INPUT, whole numbers of 6 × 6, with one of torch's four pooling functions, named by KINDS.

    `size` is that of the kernel, or that of the output for the adaptive kinds, which need neither `stride`
    nor `padding`. Max pooling pads with minus infinity, average pooling with zeros that count. A padding of
    more than half the kernel, or a kernel larger than the padded input, is refused by torch: `refusal` then
    holds its message and `output` is empty. The adaptive window i reads the pixels floor(i n / m) to
    ceil((i + 1) n / m) - 1. Source: the documentation of torch.nn.MaxPool2d, torch's AdaptivePooling.h.
    Raises ValueError for an unknown kind, for a position beyond the last output, and for anything that is not
    a whole number from 1 (padding: from 0).
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not there; choose one of: {', '.join(KINDS)}")
    for name, value, least in (
        ("size", size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("position", position, 1),
    ):
        whole(value, name, least)
    adaptive = kind in (ADAPTIVE_MAX, ADAPTIVE_AVERAGE)
    count = output_count(kind, size, stride, padding)
    if position > max(count, 1) ** 2:
        last = max(count, 1) ** 2
        raise ValueError(f"position is {position}, but the last output pixel is number {last}; give 1 to {last}")
    image = torch.tensor(INPUT, dtype=torch.float64, device="cpu")[None]
    output, indices, refusal = torch.empty(0), None, ""
    try:
        if kind == MAX:
            output, indices = F.max_pool2d(image, size, stride, padding, return_indices=True)
        elif kind == AVERAGE:
            output = F.avg_pool2d(image, size, stride, padding)
        elif kind == ADAPTIVE_MAX:
            output, indices = F.adaptive_max_pool2d(image, size, return_indices=True)
        else:
            output = F.adaptive_avg_pool2d(image, size)
    except RuntimeError as error:
        refusal = str(error)
    unpooled = []
    if indices is not None:
        flat = torch.zeros(SIDE**2, dtype=torch.float64, device="cpu")
        flat[indices.flatten()] = output.flatten()
        unpooled = flat.view(SIDE, SIDE).int().tolist()
    if adaptive:
        spans = tuple((i * SIDE // size, ((i + 1) * SIDE + size - 1) // size) for i in range(count))
    else:
        spans = tuple((i * stride - padding, i * stride - padding + size) for i in range(count))
    return Pooled(
        kind=kind,
        size=size,
        stride=stride,
        padding=padding,
        position=position,
        output=[] if refusal else output[0].tolist(),
        indices=[] if indices is None else indices[0].tolist(),
        unpooled=unpooled,
        place=divmod(position - 1, max(count, 1)),
        spans=spans,
        refusal=refusal,
    )


def output_count(kind: str, size: int, stride: int, padding: int) -> int:
    """The outputs along one axis; 0 when torch refuses the setting."""
    if kind in (ADAPTIVE_MAX, ADAPTIVE_AVERAGE):
        return size
    return max(output_size(SIDE, size, stride, padding), 0) if 2 * padding <= size else 0


CENTRE = 1.79  # the height of the middle of all three tables
MIDDLES = (1.4, 4.01, 6.09)


def draw_pooled(figure: Figure) -> Move:
    """Draw the padded input with the window, the output, and what unpooling puts back; return what moves them."""
    axes = sheet(figure)
    title = headline(figure)
    rules = (
        "max, average: floor((n + 2p − k) / s) + 1   with input n, padding p, kernel k, stride s",
        "adaptive: output i of m reads pixels floor(i·n / m) to ceil((i + 1)·n / m) − 1, whatever s and p",
    )
    for height, rule in zip((3.54, 3.36), rules, strict=True):
        axes.text(0.14, height, rule, size=9, color=GREY)
    image, output, back = (
        Cells(axes, middle, CENTRE, side, centred=True)
        for middle, side in zip(MIDDLES, (0.25, 0.33, 0.25), strict=True)
    )
    for middle, caption in zip(MIDDLES, ("input", "output", "MaxUnpool2d puts back"), strict=True):
        axes.text(middle, 3.12, caption, size=10, ha="center")
    (window,) = axes.plot([], [], color=RED, linewidth=2.4, linestyle="-", zorder=4, animated=True)
    result = axes.text(0.14, 0.3, "", size=9, va="bottom", color=RED, weight="bold", animated=True)
    skipped = axes.text(0.14, 0.08, "", size=9, va="bottom", color=GREY, animated=True)
    nothing = axes.text(MIDDLES[2], CENTRE, "", size=10, ha="center", va="center", color=GREY, animated=True)
    refused = axes.text(2.88, 2.6, "", size=10, va="top", color=RED, linespacing=1.35, animated=True)

    def move(pooled: Pooled) -> None:
        title.set_text(title_of(pooled))
        image.show(*padded_input(pooled))
        here = {pooled.place} if pooled.output else set()
        everywhere = {(row, column) for row in range(len(pooled.output)) for column in range(len(pooled.output))}
        output.show(
            [[number(value) for value in row] for row in pooled.output], faces_of(len(pooled.output), here, everywhere)
        )
        kept = {divmod(index, SIDE) for row in pooled.indices for index in row}
        now = {divmod(pooled.indices[row][column], SIDE) for row, column in here} if pooled.indices else set()
        back.show([[str(value) for value in row] for row in pooled.unpooled], faces_of(SIDE, now, kept))
        window.set_visible(not pooled.refusal)
        if not pooled.refusal:
            (top, bottom), (left, right) = pooled.window
            window.set_data(*image.frame(top + pooled.border, left + pooled.border, bottom - top, right - left))
        result.set_text("" if pooled.refusal else result_of(pooled))
        skipped.set_text(
            f"white: {pooled.skipped} of the {SIDE**2} pixels are in no window, they are lost"
            if pooled.skipped and not pooled.refusal
            else ""
        )
        nothing.set_text("" if pooled.unpooled or pooled.refusal else "nothing: an average\nremembers no place")
        said = pooled.refusal.split(", but got")[0]  # the numbers that follow are those of the controls
        refused.set_text(fill(f"torch says: {said}", 30) if said else "")

    return move


def padded_input(pooled: Pooled) -> tuple[list[list[str]], list[list[Colour]], list[list[Colour]]]:
    """Words, faces and edges of the input with its border: under the window, in some window, in none."""
    everywhere, inside = range(-pooled.border, SIDE + pooled.border), range(SIDE)
    read = {pixel for span in pooled.spans for pixel in range(*span)}
    rows, columns = (range(*span) for span in pooled.window) if pooled.output else (range(0), range(0))
    words, faces, edges = [], [], []
    for row in everywhere:
        for column in everywhere:
            real = row in inside and column in inside
            seen = row in read and column in read
            words.append(str(INPUT[row][column]) if real else "−∞" if pooled.kind == MAX else "0")
            edges.append(BLACK if real else GREY)
            if row in rows and column in columns:
                faces.append(ORANGE)
            else:
                faces.append((SKY if seen else "white") if real else tint(GREY, 0.3 if seen else 0.08))
    width = len(everywhere)
    return tuple(
        [cells[start : start + width] for start in range(0, width**2, width)] for cells in (words, faces, edges)
    )


def faces_of(side: int, now: set[tuple[int, int]], others: set[tuple[int, int]]) -> list[list[Colour]]:
    """A square table of white cells, with those of `others` in blue and that of `now` in orange."""
    return [
        [ORANGE if (row, column) in now else SKY if (row, column) in others else "white" for column in range(side)]
        for row in range(side)
    ]


def title_of(pooled: Pooled) -> str:
    """The output size and where it comes from, or that torch refuses the padding."""
    if pooled.refusal:
        if 2 * pooled.padding > pooled.size:
            return f"refused: padding {pooled.padding} is more than half of kernel size {pooled.size}"
        return f"no output: kernel size {pooled.size} is larger than the padded input"
    count = len(pooled.output)
    if pooled.adaptive:
        return f"output {count} × {count}, as asked, from windows of {widths(pooled)} pixels"
    formula = f"floor(({SIDE} + 2·{pooled.padding} − {pooled.size}) / {pooled.stride}) + 1 = {count}"
    return f"output {count} × {count}: {formula}"


def widths(pooled: Pooled) -> str:
    """How wide the windows are: one number, or the smallest and the largest."""
    found = sorted({end - start for start, end in pooled.spans})
    return " to ".join(str(width) for width in dict.fromkeys((found[0], found[-1])))


def result_of(pooled: Pooled) -> str:
    """How the output pixel comes together, and the index of a maximum."""
    row, column = pooled.place
    (top, bottom), (left, right) = pooled.window
    inside = range(SIDE)
    outside = "−∞" if pooled.kind == MAX else "0"
    values = [
        str(INPUT[down][along]) if down in inside and along in inside else outside
        for down in range(top, bottom)
        for along in range(left, right)
    ]
    value = number(pooled.output[row][column])
    if pooled.indices:
        of = ", ".join(values) if len(values) <= 9 else f"the {len(values)} values"
        index = pooled.indices[row][column]
        where = f"index {index} = {index // SIDE}·{SIDE} + {index % SIDE}"
        return f"output [{row}, {column}] = max of {of} = {value}, at {where}"
    total = "(" + " + ".join(values) + ")" if len(values) <= 9 else f"the sum of {len(values)} values"
    return f"output [{row}, {column}] = {total} / {len(values)} = {value}"


def describe_pooled(pooled: Pooled) -> str:
    """One sentence: the layer, its output size, the pixel under the window and what is lost."""
    layer = LAYERS[pooled.kind]
    call = (
        f"{layer}({pooled.size})"
        if pooled.adaptive
        else f"{layer}({pooled.size}, stride={pooled.stride}, padding={pooled.padding})"
    )
    if pooled.refusal:
        return f"{call} is refused: {pooled.refusal}"
    count = len(pooled.output)
    lost = f"; {pooled.skipped} pixels are in no window" if pooled.skipped else ""
    return f"{call} makes {count} × {count} outputs of the {SIDE} × {SIDE} input; {result_of(pooled)}{lost}."


def pooling(
    kind: str = MAX,
    size: int = 2,
    stride: int = 2,
    padding: int = 0,
    position: int = 1,
    question: str = "What does each window keep, what is lost, and what can be put back?",
) -> Explorer:
    """Max, average and adaptive pooling of a 6 × 6 input of whole numbers, window by window.

    `kind` is one of KINDS; `size` (1 to 4) is that of the kernel, or of the output when the kind is adaptive;
    `stride` 1 to 4 and `padding` 0 to 2 stay where they are while the kind is adaptive; `position` counts the
    output pixels row by row from 1. A padding of more than half the kernel is refused by torch. Raises
    ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left the padded input with one window marked, in the middle the output, right what "
        "MaxUnpool2d makes of it: the maxima at their places and zeros elsewhere.",
        # the position comes first, so that whoever sets controls from the last to the first sets it last
        controls={
            "position": Control("output pixel", tuple(range(1, MOST + 1)), 1),
            "kind": Control("kind", KINDS, MAX, kind="menu"),
            "size": Control("kernel size (adaptive: output size)", SIZES, 2),
            "stride": Control("stride", STRIDES, 2, width=160),
            "padding": Control("padding", PADDINGS, 0, width=176),
        },
        compute=pool_windows,
        draw=draw_pooled,
        describe=describe_pooled,
        strip=[
            {"position": 6},
            {"kind": AVERAGE, "size": 3, "padding": 1},
            {"kind": ADAPTIVE_MAX, "size": 4, "position": 7},
        ],
        size=(7.0, 4.0),
        start={"kind": kind, "size": size, "stride": stride, "padding": padding, "position": position},
        narrow=_possible,
    )


def _possible(settings: Settings) -> dict[str, tuple]:
    arguments = {name: settings[name] for name in ("kind", "size", "stride", "padding")}
    held = settings["kind"] in (ADAPTIVE_MAX, ADAPTIVE_AVERAGE)
    return {
        "position": tuple(range(1, max(output_count(**arguments), 1) ** 2 + 1)),
        "stride": (settings["stride"],) if held else STRIDES,
        "padding": (settings["padding"],) if held else PADDINGS,
    }


def number(value: float) -> str:
    """`value` with at most two decimals, without a superfluous zero."""
    return f"{round(value, 2):g}"
