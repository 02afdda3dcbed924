"""Explorer: what Normalize(mean, std) does to the values of a photograph."""

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_utils import data
from course_utils._arguments import kind
from course_utils.explore.base import Control, Explorer, Move, _member, headline
from course_utils.explore.gallery import picture
from course_utils.style import BLACK, BLUE, GREY, ORANGE, RED

PHOTOS = ("cat", "hopper", "rocket")
# mean and std of all values of each photograph in grey, to three decimals
OWN = {"cat": (0.469, 0.126), "hopper": (0.302, 0.27), "rocket": (0.239, 0.12)}
MEANS = tuple(sorted({*(step / 20 for step in range(21)), *(mean for mean, _ in OWN.values())}))
STDS = tuple(sorted({0.01, 0.02, *(step / 20 for step in range(1, 21)), *(std for _, std in OWN.values())}))
BARS = 32  # of eight grey values each
# between two grey values, so that no value lies on an edge
EDGES = (np.arange(BARS + 1) * 256 / BARS - 0.5) / 255
LIMIT = 5.0  # the picture shows normalised values from -LIMIT to LIMIT


@dataclass(frozen=True)
class Normalized:
    """The values of a photograph after (value - mean) / std."""

    photo: str
    mean: float
    std: float
    shares: np.ndarray  # float64 (32,): the part of the pixels in each bar, before and after
    edges: np.ndarray  # float64 (33,): the ends of the bars after
    before: tuple[float, float]  # mean and std of the values before
    after: tuple[float, float]  # mean and std of the values after
    low: float  # the smallest and the largest value after
    high: float
    outside: float  # the part of the pixels beyond LIMIT


def normalize_pixels(mean: float, std: float, photo: str = "cat") -> Normalized:
    """Apply v2.Normalize(mean=[mean], std=[std]) to one of PHOTOS in grey, a float32 tensor (1, H, W), 0 to 1.

    The values after have mean (m - mean) / std and standard deviation s / std, when m and s are those of the
    values before: 0 and 1 only for the photograph's own mean and std. The bars keep their heights, only their
    ends move. Source: the formula in the documentation of torchvision.transforms.Normalize. Raises ValueError
    for a photograph that is not there, numbers that are not finite, and an std that is not above 0.
    """
    from torchvision.transforms import v2  # costs seconds, so not at the top

    check_finite(mean=mean, std=std)
    if std <= 0:
        raise ValueError(f"std = {std!r} is not usable; everything is divided by it, give a number above 0")
    values, shares = grey(_member("photo", photo, PHOTOS))
    after = v2.Normalize(mean=[mean], std=[std])(values)
    return Normalized(
        photo=photo,
        mean=mean,
        std=std,
        shares=shares,
        edges=(EDGES - mean) / std,
        before=_statistics(values),
        after=_statistics(after),
        low=after.min().item(),
        high=after.max().item(),
        outside=(after.abs() > LIMIT).float().mean().item(),
    )


def check_finite(**numbers: object) -> None:
    """Raise ValueError, in one line, unless all are plain finite numbers."""
    for name, value in numbers.items():
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not plain or not isfinite(value):
            given = repr(value)[:40] if isinstance(value, (bool, int, float, str)) else kind(value)
            raise ValueError(f"{name} = {given} is not usable; give a finite number such as 0.5")


@lru_cache(maxsize=len(PHOTOS))
def grey(photo: str) -> tuple[Tensor, np.ndarray]:
    """A photograph in grey, float32 (1, H, W) from 0 to 1, and the part of its pixels in each of the 32 bars."""
    levels = np.array(data.photo(photo).convert("L"))
    shares = np.bincount(levels.ravel() // (256 // BARS), minlength=BARS) / levels.size
    return torch.from_numpy(levels)[None].to(torch.float32) / 255, shares


def _statistics(values: Tensor) -> tuple[float, float]:
    std, mean = torch.std_mean(values)
    return mean.item(), std.item()


TALLEST = 0.23  # the upper end of the y axis
RULER = 0.215  # where the rulers lie


def draw_normalized(figure: Figure) -> Move:
    """Draw both axes, and the place of 0 ± 1; return what moves bars, rulers and words."""
    title = headline(figure)
    left = figure.add_axes((0.085, 0.25, 0.37, 0.545))
    right = figure.add_axes((0.535, 0.25, 0.435, 0.545))
    corner = figure.add_axes((0.854, 0.835, 0.116, 0.152))
    corner.set_axis_off()
    thumbnail = corner.imshow(np.zeros((80, 108)), cmap="gray", vmin=0, vmax=1, aspect="auto", animated=True)
    percent = (0, 0.05, 0.1, 0.15, 0.2)
    left.set(xlim=(0, 1), ylim=(0, TALLEST), xlabel="value before", ylabel="pixels (%)")
    right.set(xlim=(-LIMIT, LIMIT), ylim=(0, TALLEST), xlabel="value after", xticks=range(-4, 5, 2))
    left.set_yticks(percent, [f"{share * 100:.0f}" for share in percent])
    right.set_yticks(percent, [])
    bars = []
    for axes, colour in ((left, BLUE), (right, ORANGE)):
        bars.append(PolyCollection([], facecolor=colour, edgecolor=colour, linewidth=0.3, animated=True))
        axes.add_collection(bars[-1])
    band = {"facecolor": RED, "alpha": 0.25, "linewidth": 0, "zorder": 0.8}  # behind the bars
    right.add_patch(Rectangle((-1, 0), 2, TALLEST, **band))
    right.axvline(0, color=RED, linestyle="--", linewidth=1.6, zorder=0.9)
    chosen = Rectangle((0, 0), 0, TALLEST, animated=True, **band)
    left.add_patch(chosen)
    (middle,) = left.plot([], [], color=RED, linestyle="--", linewidth=1.6, zorder=0.9, animated=True)
    rulers = [
        axes.plot([], [], color=BLACK, linestyle="-", marker="|", markersize=9, zorder=4, animated=True)[0]
        for axes in (left, right)
    ]
    figure.text(0.085, 0.075, "red: the chosen mean ± std, which becomes 0 ± 1", size=9, color=RED, va="center")
    figure.text(0.085, 0.025, "black: the mean ± std of the values", size=9, va="center")
    span = figure.text(0.97, 0.075, "", size=9, color=GREY, ha="right", va="center", animated=True)
    beyond = figure.text(0.97, 0.025, "", size=9, color=RED, ha="right", va="center", animated=True)

    def move(result: Normalized) -> None:
        title.set_text(f"after: {pair(*result.after)}")
        thumbnail.set_data(picture(result.photo).mean(dim=0).numpy())
        bars[0].set_verts(_bars(EDGES, result.shares))
        bars[1].set_verts(_bars(result.edges, result.shares))
        chosen.set(x=result.mean - result.std, width=2 * result.std)
        middle.set_data([result.mean] * 2, [0, TALLEST])
        for ruler, (mean, std) in zip(rulers, (result.before, result.after), strict=True):
            ruler.set_data([mean - std, mean, mean + std], [RULER] * 3)
        span.set_text(f"values after: {number(result.low)} to {number(result.high)}")
        beyond.set_text(f"{part(result.outside)} of the pixels lie outside this picture" if result.outside else "")

    return move


def _bars(edges: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The corners of all bars, (32, 4, 2)."""
    floor, low, high = np.zeros_like(shares), edges[:-1], edges[1:]
    corners = [(low, floor), (high, floor), (high, shares), (low, shares)]
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)


def number(value: float) -> str:
    """`value` with two decimals, without the minus of -0."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def part(share: float) -> str:
    """A share between 0 and 1 in per cent; what rounding would make nothing or all says so."""
    if 0 < share < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < share < 1 else f"{share * 100:.0f} %"


def pair(mean: float, std: float) -> str:
    """Mean and std in words."""
    return f"mean {number(mean)}, std {number(std)}"


def describe_normalized(result: Normalized) -> str:
    """One sentence: mean and std before and after, and why they are not 0 and 1."""
    own = (round(result.before[0], 3), round(result.before[1], 3)) == (result.mean, result.std)
    reason = "its own statistics were chosen" if own else "other numbers than its own were chosen"
    return (
        f"Normalize(mean=[{result.mean:g}], std=[{result.std:g}]) on “{result.photo}”: {pair(*result.before)} before, "
        f"{pair(*result.after)} after, because {reason}; values from {number(result.low)} to {number(result.high)}."
    )


def named(value: float, place: int) -> str:
    """A value of a slider, with the photograph whose own it is."""
    whose = [photo for photo in PHOTOS if OWN[photo][place] == value]
    return f"{value:g}" + (f" ({whose[0]})" if whose else "")


def normalize(
    mean: float = 0.5,
    std: float = 0.5,
    photo: str = "cat",
    question: str = "Which mean and std bring these pixels to mean 0 and std 1, and what do wrong ones do?",
) -> Explorer:
    """The histogram of a photograph's grey values before and after Normalize(mean, std).

    `mean` is one of MEANS (0 to 1), `std` one of STDS (0.01 to 1), `photo` one of PHOTOS; OWN has the mean and
    std of each. Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left the grey values of a photograph, right the same after (value - mean) / std: shifted "
        "and stretched, never another shape. Mean 0 and std 1 come only from the photograph's own statistics.",
        controls={
            "mean": Control("mean", MEANS, 0.5, show=lambda value: named(value, 0)),
            "std": Control("std", STDS, 0.5, show=lambda value: named(value, 1)),
            "photo": Control("photograph", PHOTOS, "cat", kind="menu"),
        },
        compute=normalize_pixels,
        draw=draw_normalized,
        describe=describe_normalized,
        strip=[
            {"mean": 0.5, "std": 0.5},
            {"mean": OWN["cat"][0], "std": OWN["cat"][1]},
            {"mean": OWN["cat"][0], "std": OWN["cat"][1], "photo": "rocket"},
        ],
        size=(7.0, 3.95),
        start={"mean": mean, "std": std, "photo": photo},
    )
