"""Explorer: what dropout does to the activations of a layer, and to their mean and spread."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from course_utils import _arguments as given
from course_utils.explore.base import Control, Explorer, Move, _member, headline
from course_utils.explore.normalizing import check_finite, number
from course_utils.style import BLACK, BLUE, GREY, RED

SIDE = 20  # the layer has 20 × 20 units
PROBABILITIES = tuple(tenth / 10 for tenth in range(11))
MODES = ("train", "eval")
SCALED, PLAIN = "· 1/(1 − p), torch", "none"
SCALINGS = (SCALED, PLAIN)
PASSES = tuple(range(1, 21))


@dataclass(frozen=True)
class Dropped:
    """The activations of a layer after dropout, in one forward pass."""

    p: float
    mode: str
    scaling: str
    before: np.ndarray  # float32 (20, 20)
    after: np.ndarray  # float32 (20, 20)
    zeros: int  # how many of the 400 are 0
    factor: float  # what the others were multiplied by; 0 when none is left

    @property
    def mean(self) -> float:
        return self.after.mean(dtype=np.float64).item()

    @property
    def std(self) -> float:
        return self.after.std(dtype=np.float64).item()


def drop_units(p: float, forward_pass: int = 1, mode: str = "train", scaling: str = SCALED) -> Dropped:
    """Send 400 activations of mean 1 through torch.nn.functional.dropout.

    In the mode "train" each becomes 0 with probability `p`, and the others are multiplied by 1 / (1 - p); in "eval"
    nothing changes. The scaling "none" takes the factor back, as if dropout only removed units. `forward_pass` is
    the seed of the mask; the reader's random state stays. Source: Srivastava et al. (2014), who scaled in the test
    instead. Raises ValueError for a `p` outside 0 to 1, a mode or a scaling that is not there, and a forward pass
    below 1.
    """
    check_finite(p=p)
    if not 0 <= p <= 1:
        raise ValueError(f"p = {p!r} is not usable; it is the probability of dropping a unit, give 0 to 1")
    given.whole(forward_pass, "forward_pass")
    _member("mode", mode, MODES)
    _member("scaling", scaling, SCALINGS)
    before, training = _activations(), mode == "train"
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(forward_pass)
        after = F.dropout(before, p, training)
    if training and scaling == PLAIN:
        after = torch.where(after == 0, after, before)
    kept = after != 0
    return Dropped(
        p=p,
        mode=mode,
        scaling=scaling,
        before=before.numpy().copy(),
        after=after.numpy().copy(),
        zeros=int((~kept).sum()),
        factor=(after[kept] / before[kept]).mean().item() if kept.any() else 0.0,
    )


@lru_cache(maxsize=1)
def _activations() -> Tensor:
    """Float32 (20, 20): from about 0.2 to 1.8, with mean 1."""
    generator = torch.Generator().manual_seed(4)
    values = torch.rand(SIDE, SIDE, generator=generator, dtype=torch.float32, device="cpu") * 1.6 + 0.2
    return values / values.mean()


def expected(p: np.ndarray, mode: str, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the std that these activations have on average over all masks, for every p below 1."""
    values = _activations().numpy().astype(np.float64)
    mean, square = values.mean(), (values**2).mean()
    if mode == "eval":
        return np.full_like(p, mean), np.full_like(p, values.std())
    # kept with probability 1 - p: E[a · mask] and E[(a · mask)²], times the factor and its square
    keep = 1 - p
    factor = 1 / keep if scaling == SCALED else np.ones_like(p)
    return factor * keep * mean, np.sqrt(factor**2 * keep * square - (factor * keep * mean) ** 2)


HIGHEST = 3.6  # the upper end of the axis of mean and std
BRIGHTEST = 18.0  # a value of 1.8, scaled by 10


def draw_dropped(figure: Figure) -> Move:
    """Draw the axes of units and of statistics; return what moves units, curves, points and words."""
    title = headline(figure)
    width, height = figure.get_size_inches()
    side = 2.75
    left = figure.add_axes((0.02, 0.155, side / width, side / height))
    bar = figure.add_axes((0.03 + side / width, 0.155, 0.016, side / height))
    right = figure.add_axes((0.6, 0.235, 0.38, 0.52))
    # light to dark blue; a dropped unit is white
    shades = LinearSegmentedColormap.from_list("units", ["#FFFFFF", "#BBD9EE", BLUE, "#00263D"])
    units = left.imshow(
        np.zeros((SIDE, SIDE)), cmap=shades, norm=PowerNorm(0.5, 0, BRIGHTEST), interpolation="nearest", animated=True
    )
    left.set(xticks=[], yticks=[])
    left.grid(False)
    left.spines[:].set_visible(True)
    colours = figure.colorbar(units, cax=bar, ticks=[0, 1, 2, 5, 10])
    colours.outline.set_visible(False)
    right.set(xlim=(-0.03, 1.03), ylim=(-0.1, HIGHEST), xlabel="p", title="mean and std of all units")
    right.set(xticks=[0, 0.2, 0.4, 0.6, 0.8, 1], yticks=[0, 1, 2, 3])
    moving = {"animated": True}
    (mean_curve,) = right.plot([], [], color=BLUE, linestyle="-", linewidth=1.4, **moving)
    (std_curve,) = right.plot([], [], color=RED, linestyle="--", linewidth=1.4, **moving)
    (mean,) = right.plot([], [], "o", color=BLUE, markersize=9, clip_on=False, zorder=3, **moving)
    (std,) = right.plot([], [], "s", color=RED, markersize=8, clip_on=False, zorder=3, **moving)
    right.text(0.03, 3.25, "circle: mean", size=9, color=BLUE, va="center")
    right.text(0.03, 2.85, "square: std", size=9, color=RED, va="center")
    figure.text(0.98, 0.025, "lines: expected over all masks", size=9, color=GREY, ha="right", va="center")
    rule = figure.text(0.02, 0.085, "", size=10, va="center", **moving)
    count = figure.text(0.02, 0.025, "", size=9, color=GREY, va="center", **moving)

    def move(result: Dropped) -> None:
        title.set(text=title_of(result), color=RED if not result.after.any() else BLACK)
        units.set_data(result.after)
        places = np.linspace(0, 0.99, 100)
        means, stds = expected(places, result.mode, result.scaling)
        mean_curve.set_data(places, means)
        std_curve.set_data(places, stds)
        mean.set_data([result.p], [result.mean])
        std.set_data([result.p], [result.std])
        rule.set_text(rule_of(result))
        count.set_text(f"{result.zeros} of {result.after.size} units are 0")

    return move


def title_of(result: Dropped) -> str:
    """The mean of the units after dropout, beside the mean before."""
    return (
        f"{result.mode}, p = {result.p:g}: mean {number(result.mean)} (before: {number(result.before.mean().item())})"
    )


def rule_of(result: Dropped) -> str:
    """What became of a unit that was kept."""
    if result.mode == "eval":
        return "eval: every unit passes as it is"
    if not result.factor:
        return "no unit is left"
    kept = "left as it is" if result.scaling == PLAIN else f"multiplied by {number(result.factor)}"
    return f"train: every unit is dropped or {kept}"


def describe_dropped(result: Dropped) -> str:
    """One sentence: mode, p, zeros, factor, mean and std."""
    scaling = ", not scaled" if result.mode == "train" and result.scaling == PLAIN else ""
    return (
        f"Dropout with p = {result.p:g} in mode {result.mode}{scaling}: {result.zeros} of {result.after.size} units "
        f"are 0; {rule_of(result)}; mean {number(result.mean)} (before {number(result.before.mean().item())}), "
        f"std {number(result.std)} (before {number(result.before.std().item())})."
    )


def dropout(
    p: float = 0.5,
    forward_pass: int = 1,
    mode: str = "train",
    scaling: str = SCALED,
    question: str = "Why does dropout multiply what it keeps, and what does a large p cost all the same?",
) -> Explorer:
    """The 400 activations of a layer after dropout, with their mean and std against p.

    `p` is one of PROBABILITIES, `forward_pass` 1 to 20 (each has its own mask), `mode` "train" or "eval", `scaling`
    one of SCALINGS. Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left the 400 units of a layer after dropout, white where they were dropped; right their mean "
        "and standard deviation against p: the scaling by 1/(1 − p) keeps the mean, but the spread grows.",
        controls={
            "p": Control("p", PROBABILITIES, 0.5, show="{:g}".format),
            "forward_pass": Control("forward pass", PASSES, 1),
            "mode": Control("mode", MODES, "train", kind="buttons"),
            "scaling": Control("scaling", SCALINGS, SCALED, kind="buttons"),
        },
        compute=drop_units,
        draw=draw_dropped,
        describe=describe_dropped,
        strip=[{}, {"p": 0.9}, {"p": 0.5, "scaling": PLAIN}],
        size=(7.0, 3.9),
        start={"p": p, "forward_pass": forward_pass, "mode": mode, "scaling": scaling},
    )
