"""Explorer: when does ReduceLROnPlateau lose its patience?"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from torch.optim.lr_scheduler import ReduceLROnPlateau

from course_utils import _arguments as given
from course_utils.explore.base import Control, Explorer, Move, _member, headline
from course_utils.explore.normalizing import check_finite
from course_utils.explore.regression import shown
from course_utils.explore.valley import decade
from course_utils.style import BLUE, GREEN, GREY, ORANGE, RED

BASE_RATE, MIN_RATE, EPOCHS = 0.1, 1e-4, 80
JITTER, ONCE, CREEP = "falls, flat, jitters", "falls once", "creeps down"
METRICS = (JITTER, ONCE, CREEP)
PATIENCES = (0, 1, 2, 3, 5, 8, 10, 15, 20)
COOLDOWNS = (0, 1, 2, 5, 10, 20)
FACTORS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
THRESHOLDS = (0.0, 0.0001, 0.001, 0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class Waiting:
    """What ReduceLROnPlateau made of a metric, epoch by epoch."""

    metric: str
    patience: int
    threshold: float
    values: np.ndarray  # float64 (80,): the metric that step() was given at the end of every epoch
    best: np.ndarray  # float64 (80,): the scheduler's best after this step
    improved: np.ndarray  # bool (80,): this value counted as an improvement
    bad: np.ndarray  # int64 (80,): bad epochs in a row with this one, before a reduction sets them to 0
    cooling: np.ndarray  # bool (80,): this epoch was not counted, because of the cooldown
    rates: np.ndarray  # float64 (80,): the rate in this epoch, before the step
    reduced: tuple[int, ...]  # the epochs at whose end the rate went down
    last_rate: float  # after the last step


@lru_cache(maxsize=len(METRICS))
def metric_values(metric: str) -> np.ndarray:
    """One of METRICS as float64 (80,), smaller is better; it is fixed and does not answer the rate."""
    epochs = np.arange(EPOCHS)
    if metric == ONCE:
        return np.where(epochs < 5, 0.5, 0.4)
    if metric == CREEP:
        return 0.8 * 0.995**epochs
    second = 0.15 / (1 + np.exp(-(epochs - 46) / 2.5))
    smooth = 0.4 + 0.55 * np.exp(-epochs / 6) - second
    return smooth + 0.012 * np.random.default_rng(3).standard_normal(EPOCHS)


def reduce_on_plateau(
    patience: int, cooldown: int, factor: float, threshold: float = 1e-4, metric: str = JITTER
) -> Waiting:
    """Give ReduceLROnPlateau one of METRICS for 80 epochs; the rate begins at 0.1 and min_lr is 1e-4.

    mode is "min" and threshold_mode "rel": a value counts as an improvement when it is below best · (1 - threshold).
    The rate goes down on the bad epoch number patience + 1; the `cooldown` epochs after it are not counted. Raises
    ValueError for a metric that is not there, patience or cooldown that are no whole numbers of at least 0, and a
    factor or a threshold that is not from 0 to below 1.
    """
    _member("metric", metric, METRICS)
    given.whole(patience, "patience", least=0)
    given.whole(cooldown, "cooldown", least=0)
    check_finite(factor=factor, threshold=threshold)
    for name, value in (("factor", factor), ("threshold", threshold)):
        if not 0 <= value < 1:
            raise ValueError(f"{name} = {value!r} is not usable; give a number from 0 to below 1 such as 0.1")
    values = metric_values(metric)
    with torch.inference_mode(False):
        weight = torch.zeros(1, device="cpu", requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=BASE_RATE, foreach=False)
    scheduler = ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, min_lr=MIN_RATE
    )
    rows, rate = [], BASE_RATE
    for value in values.tolist():
        best, before, cooling = scheduler.best, scheduler.num_bad_epochs, scheduler.in_cooldown
        scheduler.step(value)
        improved = scheduler.best != best
        # a reduction sets the count to 0 at once; what it had reached is shown
        rows.append((scheduler.best, improved, 0 if improved or cooling else before + 1, cooling, rate))
        rate = scheduler.get_last_lr()[0]
    best, improved, bad, cooling, rates = (np.array(column) for column in zip(*rows, strict=True))
    return Waiting(
        metric=metric,
        patience=patience,
        threshold=threshold,
        values=values.copy(),
        best=best,
        improved=improved,
        bad=bad,
        cooling=cooling,
        rates=rates,
        reduced=tuple(np.flatnonzero(np.append(rates[1:], rate) < rates).tolist()),
        last_rate=rate,
    )


MOST_BAD = 22.0  # the upper end of the axis of bad epochs
NAMED = 9  # of more reductions, so many are named


def draw_waiting(figure: Figure) -> Move:
    """Draw three axes over the epochs; return what moves curves, bars and words."""
    title = headline(figure)
    metric, bad, rate = (
        figure.add_axes((0.1, bottom, 0.88, height)) for bottom, height in ((0.575, 0.25), (0.34, 0.165), (0.11, 0.165))
    )
    for axes, low, high, name in (
        (metric, 0.15, 1.05, "metric"),
        (bad, 0.0, MOST_BAD, "bad epochs"),
        (rate, 5e-5, 0.2, "rate"),
    ):
        axes.set(xlim=(-1, EPOCHS), xticks=range(0, EPOCHS + 1, 10), ylim=(low, high), ylabel=name)
        axes.yaxis.set_label_coords(-0.078, 0.5)
    metric.set(xticklabels=[], yticks=[0.25, 0.5, 0.75, 1])
    bad.set(xticklabels=[], yticks=[0, 10, 20])
    rate.set(yscale="log", xlabel="epoch")
    rate.set_yticks([10.0**power for power in (-4, -3, -2, -1)], [decade(power) for power in (-4, -3, -2, -1)])
    rate.minorticks_off()
    for axes, place, words in (
        (metric, "right", "green: better, and the best so far"),
        (bad, "left", "dashed: patience; red: the patience is exceeded"),
        (bad, "right", "shaded: cooldown, not counted"),
    ):
        axes.text(place == "right", 1.02, words, size=9, color=GREY, ha=place, va="bottom", transform=axes.transAxes)
    moving = {"animated": True}
    (curve,) = metric.plot([], [], ".-", color=BLUE, linewidth=1.2, markersize=4, **moving)
    (best,) = metric.plot([], [], color=GREEN, linestyle="--", linewidth=1.4, drawstyle="steps-post", **moving)
    (better,) = metric.plot([], [], "o", color=GREEN, markersize=5, zorder=3, **moving)
    bars = PolyCollection([], linewidth=0, **moving)
    cool = PolyCollection([], facecolor=ORANGE, alpha=0.35, linewidth=0, zorder=0.8, **moving)
    bad.add_collection(bars)
    bad.add_collection(cool)
    (limit,) = bad.plot([], [], color=GREY, linestyle="--", linewidth=1.4, **moving)
    # the step is made at the end of an epoch: the rate changes half way to the next
    (rates,) = rate.plot([], [], color=BLUE, linestyle="-", drawstyle="steps-mid", **moving)
    (drops,) = rate.plot([], [], "v", color=RED, markersize=8, clip_on=False, zorder=4, **moving)
    note = figure.text(0.02, 0.89, "", size=10, va="center", **moving)
    rule = metric.text(0, 1.02, "", size=9, color=GREY, va="bottom", transform=metric.transAxes, **moving)

    def move(result: Waiting) -> None:
        epochs, reduced = np.arange(EPOCHS), list(result.reduced)
        title.set_text(title_of(result))
        curve.set_data(epochs, result.values)
        best.set_data(epochs, result.best)
        better.set_data(epochs[result.improved], result.values[result.improved])
        bars.set_verts(_bars(epochs, np.minimum(result.bad, MOST_BAD)))
        bars.set_facecolor([RED if count > result.patience else GREY for count in result.bad])
        cooling = epochs[result.cooling]
        cool.set_verts(_bars(cooling, np.full(len(cooling), MOST_BAD), width=1.0))
        limit.set_data([-1, EPOCHS], [result.patience + 0.5] * 2)
        rates.set_data(np.arange(EPOCHS + 1), np.append(result.rates, result.last_rate))
        drops.set_data(np.array(reduced) + 0.5, result.rates[reduced])
        note.set_text(epochs_of(result))
        rule.set_text(f"better: below {1 - result.threshold:g} · best")

    return move


def _bars(places: np.ndarray, heights: np.ndarray, width: float = 0.8) -> np.ndarray:
    """The corners of bars on these places, (N, 4, 2)."""
    left, right, floor = places - width / 2, places + width / 2, np.zeros(len(places))
    corners = [(left, floor), (right, floor), (right, heights), (left, heights)]
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)


def title_of(result: Waiting) -> str:
    """How often the rate was reduced."""
    count = len(result.reduced)
    return f"the rate was reduced {count} time{'s' * (count != 1)}"


def epochs_of(result: Waiting) -> str:
    """The epochs at whose end the rate went down."""
    if not result.reduced:
        return "never reduced"
    more = " …" * (len(result.reduced) > NAMED)
    return f"reduced at the end of epoch {', '.join(map(str, result.reduced[:NAMED]))}{more}"


def describe_waiting(result: Waiting) -> str:
    """One sentence: the metric, the improvements, the longest wait, the reductions."""
    stopped = int(np.count_nonzero(result.bad > result.patience)) - len(result.reduced)
    floor = f", and {stopped} more time{'s' * (stopped > 1)} in vain at min_lr {MIN_RATE:g}" if stopped else ""
    return (
        f"Metric “{result.metric}”: {int(result.improved.sum())} of {EPOCHS} values counted as improvements "
        f"(threshold {result.threshold:g}), "
        f"{int(result.cooling.sum())} epochs were not counted (cooldown), at most {int(result.bad.max())} bad ones "
        f"in a row with patience {result.patience}; {epochs_of(result)}{floor}; "
        f"rate {shown(result.last_rate)} at the end."
    )


def plateau(
    patience: int = 5,
    cooldown: int = 0,
    factor: float = 0.1,
    threshold: float = 0.0001,
    metric: str = JITTER,
    question: str = "At the end of which epochs will the rate go down, and which setting makes it wait too long?",
) -> Explorer:
    """ReduceLROnPlateau on a fixed metric of 80 epochs, with its count of bad epochs.

    `patience` is one of PATIENCES, `cooldown` of COOLDOWNS, `factor` of FACTORS, `threshold` of THRESHOLDS and
    `metric` of METRICS. "falls once" with patience 10, cooldown 10 and factor 0.1 is the worked example of 16, 37
    and 58. Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Top a metric and the best value so far, in the middle the count of bad epochs against the "
        "patience, below the learning rate: it goes down when the count exceeds the patience.",
        controls={
            "patience": Control("patience", PATIENCES, 5),
            "cooldown": Control("cooldown", COOLDOWNS, 0),
            "factor": Control("factor", FACTORS, 0.1, show="{:g}".format),
            "threshold": Control("threshold", THRESHOLDS, 0.0001, show="{:g}".format),
            "metric": Control("metric", METRICS, JITTER, kind="buttons", width=684),
        },
        compute=reduce_on_plateau,
        draw=draw_waiting,
        describe=describe_waiting,
        strip=[
            {},
            {"metric": ONCE, "patience": 10, "cooldown": 10},
            {"patience": 0},
        ],
        size=(7.0, 4.6),
        start={
            "patience": patience,
            "cooldown": cooldown,
            "factor": factor,
            "threshold": threshold,
            "metric": metric,
        },
    )
