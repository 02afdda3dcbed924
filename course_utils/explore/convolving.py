"""Explorer: where does the window of a convolution stand, and how large is the output?"""

from dataclasses import dataclass
from textwrap import fill

import torch
from matplotlib.figure import Figure

from course_utils._arguments import whole
from course_utils.explore.base import Control, Explorer, Move, Settings, headline, sheet
from course_utils.explore.cells import Cells, Colour, tint, whole_words
from course_utils.style import BLACK, GREY, ORANGE, RED, SKY

INPUT = (
    (1, 0, 2, 3, 1, 0, 2),
    (0, 1, 3, 2, 0, 1, 1),
    (2, 2, 0, 1, 3, 2, 0),
    (3, 1, 1, 0, 2, 3, 1),
    (0, 2, 3, 1, 0, 1, 2),
    (1, 3, 0, 2, 1, 0, 3),
    (2, 0, 1, 3, 2, 1, 0),
)
# a kernel of size k is the upper left part of it; no two corners are alike, so that a flip would be seen
WEIGHTS = (
    (1, 0, -1, 1, 0),
    (2, 1, 0, -1, 1),
    (0, 1, 1, 0, -1),
    (1, -1, 0, 2, 0),
    (0, 1, -1, 0, 1),
)
SIDE = len(INPUT)
KERNEL_SIZES, STRIDES, PADDINGS, DILATIONS = (1, 2, 3, 4, 5), (1, 2, 3), (0, 1, 2), (1, 2, 3)
MOST = (SIDE + 2 * max(PADDINGS)) ** 2  # outputs of a 1 × 1 kernel with the largest padding

LARGEST = 100  # padding, stride or dilation: far more than can be shown, and still computed at once

Table = list[list[int]]


@dataclass(frozen=True)
class Sliding:
    """A convolution of INPUT, and where its window stands for one pixel of the output."""

    kernel_size: int
    stride: int
    padding: int
    dilation: int
    position: int  # 1 is the upper left output pixel, counted row by row
    padded: Table  # the input with its border of zeros
    kernel: Table
    size: int  # the output has size times size pixels; below 1 there is none
    output: Table  # as torch gives it; empty when torch refuses
    place: tuple[int, int]  # row and column of the output pixel
    corner: tuple[int, int]  # where the window begins, in the padded input
    taken: list[tuple[int, int]]  # the pixels of the padded input under the weights, row by row
    refusal: str  # torch's own message, or nothing

    @property
    def covered(self) -> int:
        """How many pixels the window spans along one axis, holes included."""
        return self.dilation * (self.kernel_size - 1) + 1


def output_size(size: int, kernel_size: int, stride: int, padding: int, dilation: int = 1) -> int:
    """floor((n + 2p - d(k - 1) - 1) / s) + 1, below 1 when the kernel does not fit.

    Source: the section "Shape" of the documentation of torch.nn.Conv2d; MaxPool2d has the same formula.
    """
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1


def slide_window(
    kernel_size: int = 3, stride: int = 1, padding: int = 0, dilation: int = 1, position: int = 1
) -> Sliding:
    """Convolve INPUT, whole numbers of 7 × 7, with the upper left part of WEIGHTS by torch's conv2d.

    `position` counts the pixels of the output row by row from 1; its window is the one described. A kernel
    that is larger than the padded input is refused by torch: `refusal` then holds its message and `output` is
    empty. Raises ValueError for a kernel size above 5, for a position beyond the last output, for any other
    number above LARGEST, and for anything that is not a whole number from 1 (padding: from 0).
    """
    for name, value, least in (
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("dilation", dilation, 1),
        ("position", position, 1),
    ):
        whole(value, name, least)
    if kernel_size > len(WEIGHTS):
        raise ValueError(f"kernel_size is {kernel_size}; there are weights for at most {len(WEIGHTS)}, give 1 to 5")
    for name, value in (("stride", stride), ("padding", padding), ("dilation", dilation)):
        if value > LARGEST:
            raise ValueError(f"{name} is {value}; give at most {LARGEST}")
    size = output_size(SIDE, kernel_size, stride, padding, dilation)
    last = max(size, 0) ** 2 or 1
    if position > last:
        raise ValueError(f"position is {position}, but the last output pixel is number {last}; give 1 to {last}")
    image = torch.tensor(INPUT, dtype=torch.float64, device="cpu")
    kernel = torch.tensor(WEIGHTS, dtype=torch.float64, device="cpu")[:kernel_size, :kernel_size]
    output, refusal = [], ""
    try:
        convolved = torch.nn.functional.conv2d(
            image[None, None], kernel[None, None], stride=stride, padding=padding, dilation=dilation
        )
        output = convolved[0, 0].round().int().tolist()
    except RuntimeError as error:
        refusal = str(error)
    place = divmod(position - 1, max(size, 1))
    corner = place[0] * stride, place[1] * stride
    steps = range(0, dilation * kernel_size, dilation)
    return Sliding(
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        position=position,
        padded=torch.nn.functional.pad(image, [padding] * 4).int().tolist(),
        kernel=kernel.int().tolist(),
        size=size,
        output=output,
        place=place,
        corner=corner,
        taken=[] if refusal else [(corner[0] + down, corner[1] + right) for down in steps for right in steps],
        refusal=refusal,
    )


CELL = 0.22
CENTRE = 1.62  # the height of the middle of all three tables
MIDDLES = (1.46, 3.55, 5.61)


def draw_window(figure: Figure) -> Move:
    """Draw the padded input with the window, the kernel and the output so far; return what moves them."""
    axes = sheet(figure)
    title = headline(figure)
    image, kernel, output = (Cells(axes, middle, CENTRE, CELL, centred=True) for middle in MIDDLES)
    axes.text(
        0.14,
        3.42,
        "floor((n + 2p − d(k − 1) − 1) / s) + 1   with input n, padding p, dilation d, kernel k, stride s",
        size=9,
        color=GREY,
    )
    for middle, caption in zip(MIDDLES, ("input with its padding", "kernel", "output"), strict=True):
        axes.text(middle, 3.14, caption, size=10, ha="center")
    (window,) = axes.plot([], [], color=RED, linewidth=2.4, zorder=4, animated=True)
    sum_line = axes.text(0.14, 0.1, "", size=9, va="bottom", color=RED, weight="bold", animated=True)
    refused = axes.text(4.42, 2.6, "", size=10, va="top", color=RED, linespacing=1.35, animated=True)

    def move(sliding: Sliding) -> None:
        title.set_text(title_of(sliding))
        count = len(sliding.padded)
        image.show(whole_words(sliding.padded), *input_colours(sliding))
        kernel.show(whole_words(sliding.kernel), [[tint(ORANGE, 0.5)] * sliding.kernel_size] * sliding.kernel_size)
        output.show(*output_so_far(sliding))
        # a window that does not fit stands in the middle and sticks out on all sides
        start = ((count - sliding.covered) / 2,) * 2 if sliding.refusal else sliding.corner
        window.set_data(*image.frame(*start, sliding.covered, sliding.covered))
        window.set_linestyle("--" if sliding.refusal else "-")
        sum_line.set_text("" if sliding.refusal else sum_of(sliding))
        too_large = f"The window spans {sliding.covered} pixels, the padded input has only {count}."
        refused.set_text(
            f"{fill(too_large, 32)}\n\n{fill('torch says: ' + sliding.refusal, 32)}" if sliding.refusal else ""
        )

    return move


def input_colours(sliding: Sliding) -> tuple[list[list[Colour]], list[list[Colour]]]:
    """Faces and edges of the padded input: under the weights, read by some window, never read, border."""
    read = read_pixels(sliding.size, sliding.kernel_size, sliding.stride, sliding.dilation)
    inside, everywhere = range(sliding.padding, sliding.padding + SIDE), range(len(sliding.padded))
    taken = set(sliding.taken)

    def face(row: int, column: int) -> Colour:
        if (row, column) in taken:
            return ORANGE
        seen = row in read and column in read
        if row in inside and column in inside:
            return SKY if seen else "white"
        return tint(GREY, 0.3 if seen else 0.08)

    faces = [[face(row, column) for column in everywhere] for row in everywhere]
    edges = [[BLACK if row in inside and column in inside else GREY for column in everywhere] for row in everywhere]
    return faces, edges


def output_so_far(sliding: Sliding) -> tuple[list[list[str]], list[list[Colour]]]:
    """Words and faces of the output: filled up to the present position, empty behind it."""
    words, faces = [], []
    for row, numbers in enumerate(whole_words(sliding.output)):
        behind = [row * sliding.size + column + 1 - sliding.position for column in range(sliding.size)]
        words.append(["" if far > 0 else number for number, far in zip(numbers, behind, strict=True)])
        faces.append([ORANGE if far == 0 else SKY if far < 0 else "white" for far in behind])
    return words, faces


def read_pixels(size: int, kernel_size: int, stride: int, dilation: int = 1) -> set[int]:
    """The rows (or columns) of the padded input that any window reads."""
    return {place * stride + tap * dilation for place in range(size) for tap in range(kernel_size)}


def title_of(sliding: Sliding) -> str:
    """The output size with its formula, or that the kernel does not fit."""
    formula = (
        f"floor(({SIDE} + 2·{sliding.padding} − {sliding.dilation}·({sliding.kernel_size} − 1) − 1) / "
        f"{sliding.stride}) + 1 = {sliding.size}"
    ).replace("-", "−")
    if sliding.refusal:
        return f"no output: {formula}"
    return f"output {sliding.size} × {sliding.size}: {formula}"


def sum_of(sliding: Sliding) -> str:
    """How the output pixel comes together: every product for kernels up to 3 × 3, else how many."""
    row, column = sliding.place
    result = f"{sliding.output[row][column]}".replace("-", "−")
    weights = [weight for line in sliding.kernel for weight in line]
    if sliding.kernel_size > 3:
        return f"output [{row}, {column}]: the sum of {len(weights)} products is {result}"
    terms = "".join(
        f" {'−' if weight < 0 else '+'} {abs(weight)}·{sliding.padded[down][right]}"
        for weight, (down, right) in zip(weights, sliding.taken, strict=True)
    )
    return f"output [{row}, {column}] = {terms.removeprefix(' + ')} = {result}"


def describe_window(sliding: Sliding) -> str:
    """One sentence: the settings, the size of the output and the pixel under the window."""
    setting = (
        f"A {sliding.kernel_size} × {sliding.kernel_size} kernel with stride {sliding.stride}, "
        f"padding {sliding.padding} and dilation {sliding.dilation}"
    )
    if sliding.refusal:
        return (
            f"{setting} spans {sliding.covered} pixels, more than the {len(sliding.padded)} of the padded input: "
            "there is no output."
        )
    row, column = sliding.place
    return (
        f"{setting} makes {sliding.size} × {sliding.size} outputs of the {SIDE} × {SIDE} input; output pixel "
        f"{sliding.position}, [{row}, {column}], is {sliding.output[row][column]}."
    )


def convolution(
    kernel_size: int = 3,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    position: int = 1,
    question: str = "Where does the window stand for each output pixel, and how many output pixels are there?",
) -> Explorer:
    """A kernel that slides over a 7 × 7 input of whole numbers, and the output that it fills.

    `kernel_size` 1 to 5, `stride` 1 to 3, `padding` 0 to 2, `dilation` 1 to 3; `position` counts the output
    pixels row by row from 1. Some of these kernels are larger than the padded input: then there is no output.
    Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left the padded input with the pixels under the window marked, in the middle the kernel, "
        "right the output up to this pixel; the headline has the formula of the output size.",
        # the position comes first, so that whoever sets controls from the last to the first sets it last
        controls={
            "position": Control("output pixel", tuple(range(1, MOST + 1)), 1, width=684),
            "kernel_size": Control("kernel size", KERNEL_SIZES, 3),
            "stride": Control("stride", STRIDES, 1),
            "padding": Control("padding", PADDINGS, 0),
            "dilation": Control("dilation", DILATIONS, 1),
        },
        compute=slide_window,
        draw=draw_window,
        describe=describe_window,
        strip=[
            {"position": 12},
            {"stride": 2, "padding": 1, "position": 6},
            {"kernel_size": 5, "dilation": 2},
        ],
        size=(7.0, 3.9),
        start={
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "position": position,
        },
        narrow=_existing,
    )


def _existing(settings: Settings) -> dict[str, tuple]:
    size = output_size(SIDE, *(settings[name] for name in ("kernel_size", "stride", "padding", "dilation")))
    return {"position": tuple(range(1, max(size, 1) ** 2 + 1))}
