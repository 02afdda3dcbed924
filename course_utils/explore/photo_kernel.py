"""Explorer: what do nine weights make of a photograph?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_utils import data
from course_utils.explore.base import Control, Explorer, Move, Settings, headline, sheet
from course_utils.explore.cells import Cells, tint
from course_utils.style import BLUE, GREY, ORANGE

OWN = "own weights"
# name: weights row by row, and what they are divided by
PRESETS = {
    "identity": ((0, 0, 0, 0, 1, 0, 0, 0, 0), 1),
    "box blur": ((1, 1, 1, 1, 1, 1, 1, 1, 1), 9),
    "Gaussian blur": ((1, 2, 1, 2, 4, 2, 1, 2, 1), 16),
    "sharpen": ((0, -1, 0, -1, 5, -1, 0, -1, 0), 1),
    "edges x (Sobel)": ((-1, 0, 1, -2, 0, 2, -1, 0, 1), 1),
    "edges y (Sobel)": ((-1, -2, -1, 0, 0, 0, 1, 2, 1), 1),
    "Laplacian": ((0, 1, 0, 1, -4, 1, 0, 1, 0), 1),
    "emboss": ((-2, -1, 0, -1, 1, 1, 0, 1, 2), 1),
}
WEIGHTS = tuple(range(-8, 9))
DIVISORS = (1, 2, 4, 8, 9, 16)
IDENTITY = ((0, 0, 0), (0, 1, 0), (0, 0, 0))
NAMES = tuple(f"w{row}{column}" for row in range(3) for column in range(3))
LARGEST = float(np.finfo(np.float64).max)
SHOWN = 128  # pixels of the photograph along one side


@dataclass(frozen=True)
class Filtered:
    """A grey photograph before and after a 3 × 3 kernel."""

    weights: np.ndarray  # float64 (3, 3), before the division
    divisor: float
    preset: str  # a name of PRESETS, or OWN
    before: np.ndarray  # float32 (128, 128), 0 to 1: those pixels that have all eight neighbours
    after: np.ndarray  # float32 (128, 128), not limited to any range

    @property
    def total(self) -> float:
        """The sum of the kernel's weights after the division."""
        return float(self.weights.sum() / self.divisor)


def grey_square(photo: str) -> Tensor:
    """The middle square of a photograph in grey, float32 (130, 130), 0 to 1: one pixel more on each side.

    Raises ValueError for a name that is not in data.PHOTOS.
    """
    if photo not in data.PHOTOS:
        raise ValueError(f"photo {photo!r} is not there; choose one of: {', '.join(data.PHOTOS)}")
    return _loaded(photo).clone()


@cache
def _loaded(photo: str) -> Tensor:
    picture = data.photo(photo).convert("L")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.resize((SHOWN + 2, SHOWN + 2), box=(left, top, left + side, top + side))
    return torch.from_numpy(np.asarray(square, dtype=np.float32) / 255)


def filter_photo(
    weights: Sequence[Sequence[float]] | Tensor, divisor: float = 1, photo: str = "hopper", preset: str = OWN
) -> Filtered:
    """Filter the middle of a photograph with the kernel `weights / divisor` by torch's conv2d, without padding.

    `weights` are three rows of three finite numbers, `divisor` is any finite number but 0, `photo` one of
    data.PHOTOS; `preset` is only kept. As always in torch, the kernel is not flipped. Raises ValueError for
    other arguments.
    """
    rows = weights.tolist() if isinstance(weights, Tensor) else weights
    try:
        kernel = np.array(rows, dtype=np.float64)
    except OverflowError:
        raise ValueError("weights hold a number that is too large; give three rows of three finite numbers") from None
    except (TypeError, ValueError):
        raise ValueError("weights must be three rows of three numbers, as ((0, 0, 0), (0, 1, 0), (0, 0, 0))") from None
    if any(weight is None for weight in np.array(rows, dtype=object).flat):  # NumPy reads None as nan
        raise ValueError("weights hold None; give three rows of three finite numbers")
    if kernel.shape != (3, 3) or not np.isfinite(kernel).all():
        found = f"shape {kernel.shape}" if kernel.shape != (3, 3) else "values that are not finite"
        raise ValueError(f"weights have {found}; give three rows of three finite numbers")
    if isinstance(divisor, bool) or not isinstance(divisor, (int, float)) or not 0 < abs(divisor) <= LARGEST:
        raise ValueError(f"divisor {repr(divisor)[:40]} is not usable; give a finite number other than 0")
    square = grey_square(photo)
    filtered = torch.nn.functional.conv2d(
        square[None, None], torch.tensor(kernel / divisor, dtype=torch.float32, device="cpu")[None, None]
    )
    return Filtered(
        weights=kernel,
        divisor=divisor,
        preset=preset,
        before=square[1:-1, 1:-1].numpy(),
        after=filtered[0, 0].numpy(),
    )


def filter_controls(photo: str, preset: str, divisor: int, **weights: int) -> Filtered:
    """`filter_photo` of what the eleven controls say."""
    return filter_photo(np.array([weights[name] for name in NAMES]).reshape(3, 3), divisor, photo, preset)


def in_colour(values: np.ndarray) -> np.ndarray:
    """Grey values as uint8 RGB: 0 black, 1 and more white, below 0 in blue, the brighter the lower."""
    up, down = np.clip(values, 0, 1)[..., None], np.clip(-values, 0, 1)[..., None]
    blue = np.array([0.25, 0.6, 1.0], dtype=np.float32)
    return (255 * (up + down * blue)).round().astype(np.uint8)


PIXEL = 2  # dots of the picture for one pixel of the photograph, so that single pixels can be seen
WIDTH, HEIGHT = 700, 372  # of the picture, in dots; 100 are an inch
BOTTOM, LEFTS = 50, (14, 430)  # of both photographs
KERNEL_CELL = 0.4


def draw_filtered(figure: Figure, photo: str) -> Move:
    """Draw the photograph as it is, the kernel and the photograph after it; return what moves the last two."""
    axes = sheet(figure)
    title = headline(figure)
    side = PIXEL * SHOWN
    before = filter_photo(IDENTITY, photo=photo).after
    places = [figure.add_axes((left / WIDTH, BOTTOM / HEIGHT, side / WIDTH, side / HEIGHT)) for left in LEFTS]
    for place in places:
        place.set_axis_off()
    places[0].imshow(in_colour(before), interpolation="nearest")
    after = places[1].imshow(in_colour(before), interpolation="nearest", animated=True)
    cells = Cells(axes, 3.5, (BOTTOM + side / 2) / 100, KERNEL_CELL, centred=True, points=12)
    top = (BOTTOM + side + 8) / 100
    for x, caption in ((0.14, "before"), (2.9, "kernel"), (4.3, "after")):
        axes.text(x, top, caption, size=10)
    axes.text(0.14, 0.34, facts_of(before), size=9)
    axes.text(
        0.14,
        0.1,
        "0 is black, 1 is white, below 0 is blue.   Choose the kernel “own weights” to move single weights.",
        size=9,
        color=GREY,
    )
    divided = axes.text(3.5, 1.02, "", size=10, ha="center", animated=True)
    facts = axes.text(4.3, 0.34, "", size=9, animated=True)

    def move(filtered: Filtered) -> None:
        title.set_text(title_of(filtered))
        after.set_data(in_colour(filtered.after))
        faces = [[tint(ORANGE if w > 0 else BLUE, min(abs(w) / 8, 0.8)) for w in row] for row in filtered.weights]
        cells.show([[number(w) for w in row] for row in filtered.weights], faces)
        divided.set_text("" if filtered.divisor == 1 else f"divided by {number(filtered.divisor)}")
        facts.set_text(facts_of(filtered.after))

    return move


def facts_of(values: np.ndarray) -> str:
    """The mean and the range of grey values."""
    mean, low, high = (f"{round(float(value), 2) + 0.0:.2f}" for value in (values.mean(), values.min(), values.max()))
    return f"mean {mean}, values {low} to {high}".replace("-", "−")


def title_of(filtered: Filtered) -> str:
    """The sum of the weights, and what it means for the brightness."""
    total = filtered.total
    if abs(total - 1) < 1e-9:
        meaning = "the brightness stays"
    elif abs(total) < 1e-9:
        meaning = "even areas turn black, edges stay"
    elif total < 0:
        meaning = "even areas fall below 0"
    else:
        meaning = "brighter" if total > 1 else "darker"
    parts = f"{number(filtered.weights.sum())} / {number(filtered.divisor)} = " if filtered.divisor != 1 else ""
    return f"sum of the weights {parts}{number(total)}: {meaning}"


def describe_filtered(filtered: Filtered) -> str:
    """One sentence: the kernel, its sum, and the mean before and after."""
    rows = "; ".join(" ".join(number(weight) for weight in row) for row in filtered.weights)
    name = "own weights" if filtered.preset == OWN else f"{filtered.preset}:"
    return (
        f"{name[0].upper()}{name[1:]} [{rows}] / {number(filtered.divisor)} have the sum {number(filtered.total)}; "
        f"the mean goes from {number(filtered.before.mean(), 3)} to {number(filtered.after.mean(), 3)}."
    )


def photo_kernel(
    preset: str = OWN,
    photo: str = "hopper",
    question: str = "Which weights keep the brightness, which keep only edges, and of which direction?",
) -> Explorer:
    """A 3 × 3 kernel of nine weights on a real photograph in grey, 128 × 128 pixels.

    `preset` is a name of PRESETS, whose nine weights then stay as they are, or OWN: then each weight is a
    whole number from -8 to 8, at first those of Sobel's edges along x, divided by one of DIVISORS. `photo` is
    one of data.PHOTOS. Raises ValueError for other values.
    """
    grey_square(photo)
    known = isinstance(preset, str) and preset in PRESETS
    return Explorer(
        question=question,
        description="Left a grey photograph, in the middle the kernel, right the photograph after it: with a "
        "sum of 1 the brightness stays, with a sum of 0 only edges stay.",
        # the preset comes last, so that whoever sets controls from the last to the first sets it before the weights
        controls={
            **{
                name: Control(f"w[{name[1]}, {name[2]}]", WEIGHTS, weight, show=number, width=226)
                for name, weight in zip(NAMES, PRESETS["edges x (Sobel)"][0], strict=True)
            },
            "divisor": Control("divided by", DIVISORS, 1),
            "preset": Control("kernel", (OWN, *PRESETS), OWN, kind="menu"),
        },
        compute=partial(filter_controls, photo),
        draw=partial(draw_filtered, photo=photo),
        describe=describe_filtered,
        strip=[_settings(name) for name in ("box blur", "edges x (Sobel)", "sharpen")],
        size=(WIDTH / 100, HEIGHT / 100),
        start=_settings(preset) if known else {"preset": preset},
        narrow=_held,
    )


def _settings(preset: str) -> Settings:
    weights, divisor = PRESETS[preset]
    return {**dict(zip(NAMES, weights, strict=True)), "divisor": divisor, "preset": preset}


def _held(settings: Settings) -> dict[str, tuple]:
    """A preset holds the weights and the divisor; with own weights everything can be moved."""
    if settings["preset"] == OWN:
        return {**dict.fromkeys(NAMES, WEIGHTS), "divisor": DIVISORS}
    return {name: (value,) for name, value in _settings(settings["preset"]).items() if name != "preset"}


def number(value: float, decimals: int = 4) -> str:
    """`value` rounded to at most so many decimals, with a real minus and without that of -0."""
    return f"{round(float(value), decimals) + 0.0:g}".replace("-", "−")
