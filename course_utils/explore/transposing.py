"""Explorer: how does a transposed convolution stamp its kernel into the output, and where do stamps overlap?"""

from dataclasses import dataclass
from math import log2
from textwrap import fill

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_utils._arguments import whole
from course_utils.explore.base import Control, Explorer, Move, headline, sheet
from course_utils.explore.cells import Cells, Colour, tint, whole_words
from course_utils.style import BLACK, BLUE, GREY, ORANGE, RED, SKY

INPUT = ((1, 2, 1, 3), (2, 3, 1, 1), (1, 1, 2, 2), (3, 1, 2, 1))
# a kernel of size k is the upper left part of it
WEIGHTS = ((1, 2, 1, 1), (2, 3, 2, 1), (1, 2, 1, 2), (1, 1, 2, 1))
SIDE = len(INPUT)
KERNEL_SIZES, STRIDES, PADDINGS, OUTPUT_PADDINGS = (1, 2, 3, 4), (1, 2, 3), (0, 1, 2), (0, 1, 2, 3)

PALE = "#ECECEC"  # what the padding cuts off

Table = list[list[int]]


@dataclass(frozen=True)
class Stamping:
    """A transposed convolution of INPUT after some of its 16 pixels have stamped the kernel."""

    kernel_size: int
    stride: int
    padding: int
    output_padding: int
    stamped: int  # how many input pixels have stamped, row by row
    kernel: Table
    size: int  # the output has size times size pixels; below 1 there is none
    output: Table  # as torch gives it; empty when torch refuses
    canvas: Table  # the same before the padding is cut off; empty when torch refuses output_padding
    counts: Table  # how many stamps lie on each pixel of the canvas
    place: tuple[int, int]  # row and column of the last input pixel that has stamped
    stamp: Table  # its value times the kernel
    inner_counts: tuple[int, ...]  # the stamps on a pixel away from the border, when all have stamped
    refusal: str  # torch's own message, or nothing

    @property
    def even(self) -> bool:
        """Does every pixel away from the border get the same number of stamps?"""
        return len(self.inner_counts) == 1


def stamped_size(
    size: int, kernel_size: int, stride: int, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """(n - 1) s - 2p + d(k - 1) + output_padding + 1.

    Source: the section "Shape" of the documentation of torch.nn.ConvTranspose2d.
    """
    return (size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1


def stamp_kernels(
    kernel_size: int = 3, stride: int = 2, padding: int = 0, output_padding: int = 0, stamped: int = SIDE**2
) -> Stamping:
    """Stamp the upper left part of WEIGHTS, times each of the first `stamped` pixels of INPUT, with conv_transpose2d.

    The kernel of input pixel [i, j] begins at row i · stride, column j · stride of the canvas; `padding` rows
    and columns are then cut off on every side. Pixels after the first `stamped` (row by row) count as 0. An
    `output_padding` that is not smaller than the stride, and a padding that leaves nothing, are refused by
    torch: `refusal` then holds its message and `output` is empty. Raises ValueError for a kernel size above
    4, for more than 16 stamps, and for anything that is not a whole number from 1 (the paddings: from 0).
    """
    for name, value, least in (
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("output_padding", output_padding, 0),
        ("stamped", stamped, 1),
    ):
        whole(value, name, least)
    if kernel_size > len(WEIGHTS):
        raise ValueError(f"kernel_size is {kernel_size}; there are weights for at most {len(WEIGHTS)}, give 1 to 4")
    if stamped > SIDE**2:
        raise ValueError(f"stamped is {stamped}, but the input has only {SIDE**2} pixels; give 1 to {SIDE**2}")
    done = (torch.arange(SIDE**2, device="cpu") < stamped).view(SIDE, SIDE)
    image = torch.tensor(INPUT, dtype=torch.float64, device="cpu") * done
    kernel = torch.tensor(WEIGHTS, dtype=torch.float64, device="cpu")[:kernel_size, :kernel_size]
    output = canvas = counts = torch.empty(0, 0, device="cpu")
    refusal = ""
    try:
        canvas = _transposed(image, kernel, stride, 0, output_padding)
        counts = _transposed(done.double(), torch.ones_like(kernel), stride, 0, output_padding)
        output = _transposed(image, kernel, stride, padding, output_padding)
    except RuntimeError as error:
        refusal = str(error)
    place = divmod(stamped - 1, SIDE)
    # along one axis, the pixels that are r after the last multiple of the stride get taps r, r + s, r + 2s, …
    taps = {len(range(rest, kernel_size, stride)) for rest in range(stride)}
    return Stamping(
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        stamped=stamped,
        kernel=kernel.int().tolist(),
        size=stamped_size(SIDE, kernel_size, stride, padding, output_padding),
        output=output.round().int().tolist(),
        canvas=canvas.round().int().tolist(),
        counts=counts.round().int().tolist(),
        place=place,
        stamp=(INPUT[place[0]][place[1]] * kernel).int().tolist(),
        inner_counts=tuple(sorted({one * other for one in taps for other in taps})),
        refusal=refusal,
    )


def _transposed(image: Tensor, kernel: Tensor, stride: int, padding: int, output_padding: int) -> Tensor:
    return torch.nn.functional.conv_transpose2d(
        image[None, None], kernel[None, None], stride=stride, padding=padding, output_padding=output_padding
    )[0, 0]


LEFTS = (0.2, 1.4, 2.6)  # of input, kernel and stamp
CELL = 0.25
CANVAS_LEFT, CANVAS_TOP, CANVAS_CELL = 3.74, 3.42, 0.21


def draw_stamping(figure: Figure) -> Move:
    """Draw input, kernel, last stamp and the output with all stamps so far; return what moves them."""
    axes = sheet(figure)
    title = headline(figure)
    rule = "(n − 1)s − 2p + d(k − 1) + output_padding + 1   with input n, stride s, padding p, kernel k, d = 1"
    axes.text(0.14, 3.76, rule, size=9, color=GREY)
    image, kernel, stamp = (Cells(axes, left, 3.2, CELL) for left in LEFTS)
    canvas = Cells(axes, CANVAS_LEFT, CANVAS_TOP, CANVAS_CELL)
    legend = Cells(axes, LEFTS[0], 1.7, CELL)
    axes.text(LEFTS[0], 3.3, "input", size=10)
    axes.text(LEFTS[1], 3.3, "kernel", size=10)
    axes.text(CANVAS_LEFT, 3.5, "black frame: the output", size=10)
    axes.text(LEFTS[0], 1.8, "stamps that lie on a pixel", size=10)
    axes.text(LEFTS[0], 0.98, "kernel % stride, and stamps inside:", size=10)
    stamp_label = axes.text(LEFTS[2], 3.3, "", size=10, animated=True)
    verdict = axes.text(LEFTS[0], 0.88, "", size=11, va="top", linespacing=1.35, animated=True)
    refused = axes.text(CANVAS_LEFT, 3.3, "", size=10, va="top", color=RED, linespacing=1.35, animated=True)
    (kept,) = axes.plot([], [], color=BLACK, linewidth=2.6, linestyle="-", zorder=4, animated=True)
    (last,) = axes.plot([], [], color=RED, linewidth=2.4, linestyle="--", zorder=5, animated=True)

    def move(stamping: Stamping) -> None:
        title.set_text(title_of(stamping))
        side, (row, column) = stamping.kernel_size, stamping.place
        image.show(whole_words(INPUT), input_faces(stamping))
        kernel.show(whole_words(stamping.kernel), [["white"] * side] * side)
        stamp.show(whole_words(stamping.stamp), [[tint(ORANGE, 0.5)] * side] * side)
        stamp_label.set_text(f"{INPUT[row][column]} × kernel")
        canvas.show(*canvas_table(stamping))
        seen = counts_in_output(stamping)
        legend.show([[str(count) for count in seen]] if seen else [], [[layers(count) for count in seen]])
        kept.set_visible(bool(stamping.output))
        kept.set_data(*canvas.frame(stamping.padding, stamping.padding, stamping.size, stamping.size))
        last.set_visible(bool(stamping.canvas))
        last.set_data(*canvas.frame(row * stamping.stride, column * stamping.stride, side, side))
        verdict.set(text=verdict_of(stamping), color=BLACK if stamping.even else RED)
        said = stamping.refusal.split(", but got")[0]  # the numbers that follow are those of the controls
        refused.set_text(fill(f"torch says: {said}", 36) if said else "")
        refused.set_y(3.3 if not stamping.canvas else 1.1)

    return move


def input_faces(stamping: Stamping) -> list[list[Colour]]:
    """Blue for the pixels that have stamped, orange for the last of them, white for the rest."""
    number = stamping.place[0] * SIDE + stamping.place[1]
    return [
        [ORANGE if p == number else SKY if p < number else "white" for p in range(row * SIDE, (row + 1) * SIDE)]
        for row in range(SIDE)
    ]


def layers(count: int) -> Colour:
    """Darker blue for every doubling of the number of stamps; white without any."""
    return tint(BLUE, 0.1 + 0.19 * log2(count)) if count else "white"


def counts_in_output(stamping: Stamping) -> list[int]:
    """The numbers of stamps that occur in the output, the smallest first."""
    kept = slice(stamping.padding, stamping.padding + max(stamping.size, 0))
    return sorted({count for line in stamping.counts[kept] for count in line[kept]})


def canvas_table(stamping: Stamping) -> tuple[list[list[str]], list[list[Colour]], list[list[Colour]]]:
    """Words, faces and edges of the canvas; what the padding cuts off is pale."""
    everywhere = range(len(stamping.canvas))
    kept = range(stamping.padding, stamping.padding + stamping.size)
    words = whole_words(stamping.canvas)
    faces = [[layers(count) for count in row] for row in stamping.counts]
    edges = [[BLACK if row in kept and column in kept else PALE for column in everywhere] for row in everywhere]
    for row in everywhere:
        for column in everywhere:
            if row not in kept or column not in kept:
                words[row][column], faces[row][column] = "", PALE
    return words, faces, edges


def title_of(stamping: Stamping) -> str:
    """The output size with its formula, or what torch refuses."""
    if not stamping.canvas:
        return f"refused: output_padding {stamping.output_padding} is not smaller than stride {stamping.stride}"
    formula = (
        f"({SIDE} − 1)·{stamping.stride} − 2·{stamping.padding} + 1·({stamping.kernel_size} − 1) + "
        f"{stamping.output_padding} + 1 = {stamping.size}"
    ).replace("-", "−")
    if stamping.refusal:
        return f"no output: {formula}"
    return f"output {stamping.size} × {stamping.size}: {formula}"


def verdict_of(stamping: Stamping) -> str:
    """The remainder that decides, and the stamps that it leads to away from the border."""
    k, s = stamping.kernel_size, stamping.stride
    return f"{k} % {s} = {k % s}: {'even' if stamping.even else 'uneven'}\n{stamps(stamping)} a pixel"


def stamps(stamping: Stamping) -> str:
    """The stamps that pixels away from the border get, as "1, 2 or 4 stamps"."""
    *others, last = (str(count) for count in stamping.inner_counts)
    return f"{', '.join(others)} or {last} stamps" if others else f"{last} stamp{'s' * (last != '1')}"


def describe_stamping(stamping: Stamping) -> str:
    """One sentence: the settings, the output size, and how many stamps a pixel gets."""
    setting = (
        f"Kernel {stamping.kernel_size} × {stamping.kernel_size}, stride {stamping.stride}, padding "
        f"{stamping.padding}, output_padding {stamping.output_padding}, {stamping.stamped} of {SIDE**2} input "
        f"pixels stamped"
    )
    if stamping.refusal:
        return f"{setting}. Torch refuses: {stamping.refusal}"
    evenness = "even" if stamping.even else "uneven"
    return (
        f"{setting}: {stamping.size} × {stamping.size} outputs; away from the border {stamps(stamping)} a pixel, "
        f"{evenness}."
    )


def transposed_convolution(
    kernel_size: int = 3,
    stride: int = 2,
    padding: int = 0,
    output_padding: int = 0,
    stamped: int = SIDE**2,
    question: str = "How large does the output get, and do all its pixels get the same number of stamps?",
) -> Explorer:
    """A transposed convolution of a 4 × 4 input of whole numbers, stamp by stamp.

    `kernel_size` 1 to 4, `stride` 1 to 3, `padding` 0 to 2, `output_padding` 0 to 3, `stamped` 1 to 16 input
    pixels, row by row. Torch refuses an output_padding that is not smaller than the stride. Raises ValueError
    for other values.
    """
    return Explorer(
        question=question,
        description="Left the input, the kernel and the kernel times one input pixel, right the output, where "
        "these stamps are added up; the colour counts how many lie on each pixel.",
        controls={
            "stamped": Control("input pixels stamped", tuple(range(1, SIDE**2 + 1)), SIDE**2, width=684),
            "kernel_size": Control("kernel size", KERNEL_SIZES, 3),
            "stride": Control("stride", STRIDES, 2),
            "padding": Control("padding", PADDINGS, 0),
            "output_padding": Control("output_padding", OUTPUT_PADDINGS, 0),
        },
        compute=stamp_kernels,
        draw=draw_stamping,
        describe=describe_stamping,
        strip=[
            {"stamped": 11},
            {"kernel_size": 4, "padding": 1},
            {"output_padding": 2},
        ],
        size=(7.0, 4.3),
        start={
            "stamped": stamped,
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
        },
    )
