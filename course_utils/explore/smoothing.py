"""Explorer: averaging the weights of a noisy training, by SWA and by EMA."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.figure import Figure

from course_utils import _arguments as given
from course_utils.explore.base import Control, Explorer, Move, headline
from course_utils.explore.normalizing import check_finite
from course_utils.explore.regression import shown
from course_utils.explore.valley import cut, decade
from course_utils.style import BLACK, BLUE, GREEN, GREY, RED

FLAT, STEEP = 0.05, 2.0  # the curvatures along x and along y
START = (-9.0, 3.0)
NOISE = 1.3  # the standard deviation of the noise in a gradient is NOISE · √curvature
STEPS = 300
RATES = (0.03, 0.1, 0.2, 0.4, 0.7, 0.9, 1.05)  # beyond 1, the steep direction diverges
STARTS = (0, 20, 50, 100, 150, 200, 250, 280, 300)
DECAYS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
FRAME = (-10.5, 8.5, -5.0, 5.0)  # left, right, bottom and top of the map


@dataclass(frozen=True)
class Averages:
    """The points of SGD, and the averages of them that each step leaves behind."""

    learning_rate: float
    swa_start: int
    ema_decay: float
    path: np.ndarray  # float64 (301, 2), with the start
    swa: np.ndarray  # float64 (301 - swa_start, 2): the mean of the points from step swa_start on
    ema: np.ndarray  # float64 (301, 2)

    @property
    def losses(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The loss without noise along the path, of SWA and of EMA."""
        points = (self.path, self.swa, self.ema)
        return tuple((FLAT * x**2 + STEEP * y**2) / 2 for x, y in (route.T for route in points))


def average_path(learning_rate: float, swa_start: int, ema_decay: float) -> Averages:
    """300 steps of SGD with noisy gradients on (0.05 x² + 2 y²) / 2, averaged as torch's AveragedModel does it.

    SWA takes the mean of all points from step `swa_start` on, EMA the exponential moving average
    ema = ema_decay · ema + (1 - ema_decay) · point, which begins at the start. The noise is the same in every call.
    Sources: Izmailov et al. (2018) for SWA, Polyak and Juditsky (1992) for averaging. Raises ValueError for a
    learning rate that is not above 0, a start that is no whole number from 0 to 300 and a decay outside 0 to 1.
    """
    check_finite(learning_rate=learning_rate, ema_decay=ema_decay)
    if learning_rate <= 0:
        raise ValueError(f"learning_rate = {learning_rate!r} is not usable; give a number above 0 such as 0.4")
    if not 0 <= ema_decay <= 1:
        raise ValueError(f"ema_decay = {ema_decay!r} is not usable; give a number from 0 to 1 such as 0.98")
    if given.whole(swa_start, "swa_start", least=0) > STEPS:
        raise ValueError(f"swa_start is {swa_start}; there are {STEPS} steps, give fewer")
    path = noisy_path(float(learning_rate))
    return Averages(
        learning_rate=learning_rate,
        swa_start=swa_start,
        ema_decay=ema_decay,
        path=path.copy(),
        swa=running_mean(path[swa_start:]),
        ema=moving_average(path, ema_decay),
    )


@lru_cache(maxsize=64)
def noisy_path(learning_rate: float) -> np.ndarray:
    """The points of plain SGD, float64 (301, 2); what the noise pushes away, the next gradient brings back."""
    curvatures = np.array([FLAT, STEEP])
    noise = NOISE * np.sqrt(curvatures) * np.random.default_rng(2).standard_normal((STEPS, 2))
    points = [np.array(START)]
    for push in noise:
        points.append(points[-1] - learning_rate * (curvatures * points[-1] + push))
    return np.array(points)


def running_mean(points: np.ndarray) -> np.ndarray:
    """The mean of all points so far, float64 (N, 2): what AveragedModel holds when it is given no other rule."""
    return points.cumsum(axis=0) / np.arange(1, len(points) + 1)[:, None]


def moving_average(points: np.ndarray, decay: float) -> np.ndarray:
    """The exponential moving average, float64 (N, 2): that of get_ema_multi_avg_fn(decay); the first point counts
    whole."""
    held = [points[0]]
    for point in points[1:]:
        held.append(decay * held[-1] + (1 - decay) * point)
    return np.array(held)


LOW, HIGH = 1e-4, 1e3  # losses beyond are drawn on the edge


def draw_averages(figure: Figure) -> Move:
    """Draw the contour lines and the axes of the loss; return what moves path, averages and words."""
    title = headline(figure)
    left = figure.add_axes((0.02, 0.2, 0.545, 0.67))
    right = figure.add_axes((0.665, 0.285, 0.315, 0.515))
    left.set(xlim=FRAME[:2], ylim=FRAME[2:], xticks=[], yticks=[])
    left.spines[:].set_visible(True)
    x, y = np.meshgrid(np.linspace(*FRAME[:2], 151), np.linspace(*FRAME[2:], 101))
    heights = (FLAT * x**2 + STEEP * y**2) / 2
    left.contour(x, y, heights, levels=[0.2, 0.7, 1.5, 3, 6, 10, 15, 21], colors=GREY, linewidths=0.8, alpha=0.6)
    left.plot(0, 0, "*", color=GREEN, markersize=15)
    left.plot(*START, "s", color=BLACK, markersize=7)
    right.set(xlim=(0, STEPS), ylim=(LOW, HIGH), yscale="log", xlabel="step", title="loss (log scale)")
    powers = (-4, -2, 0, 2)
    right.set_xticks(range(0, STEPS + 1, 100))
    right.set_yticks([10.0**power for power in powers], [decade(power) for power in powers])
    right.minorticks_off()
    moving = {"animated": True}
    (path,) = left.plot([], [], ".-", color=GREY, linewidth=0.6, markersize=3, alpha=0.5, zorder=2.5, **moving)
    marks, curves = [], []
    for colour, marker, style, order in (
        (GREY, "o", "-", 2.4),
        (RED, "D", "--", 2.6),
        (BLUE, "P", "-", 2.8),
    ):
        marks += left.plot(
            [], [], marker, color=colour, markersize=11, markeredgecolor="white", zorder=order + 1, **moving
        )
        width = 1 if colour == GREY else 2
        curves += right.plot([], [], color=colour, linestyle=style, linewidth=width, zorder=order, **moving)
    (begin,) = right.plot([], [], color=BLUE, linestyle=":", linewidth=1.4, **moving)
    words = [
        figure.text(place, 0.125, "", size=10, va="center", weight="bold", color=colour, **moving)
        for place, colour in ((0.02, GREY), (0.34, BLUE), (0.6, RED))
    ]
    figure.text(0.02, 0.04, "star: the minimum    square: the start    dotted: SWA begins", size=9, color=GREY)
    note = figure.text(0.98, 0.04, "", size=9, ha="right", color=RED, **moving)

    def move(result: Averages) -> None:
        title.set(text=title_of(result), color=RED if diverged(result) else BLACK)
        lasts = last, swa, ema = result.path[-1], result.swa[-1], result.ema[-1]
        path.set_data(*(cut(result.path, FRAME) if diverged(result) else result.path).T)
        for mark, point in zip(marks, (last, ema, swa), strict=True):
            mark.set_data(*cut(point[None], FRAME).T)
        sgd_losses, swa_losses, ema_losses = (np.clip(losses, LOW, HIGH) for losses in result.losses)
        curves[0].set_data(np.arange(STEPS + 1), sgd_losses)
        curves[1].set_data(np.arange(STEPS + 1), ema_losses)
        curves[2].set_data(np.arange(result.swa_start, STEPS + 1), swa_losses)
        begin.set_data([result.swa_start] * 2, [LOW, HIGH])
        names = ("circle: last point", "cross: SWA", "diamond: EMA")
        for text, name, losses in zip(words, names, result.losses, strict=True):
            text.set_text(f"{name} {shown(losses[-1].item())}")
        outside = sum(len(cut(point[None], FRAME)) == 0 for point in lasts)
        note.set_text(f"{outside} of 3 marks outside the picture" if outside else "")

    return move


def diverged(result: Averages) -> bool:
    """Is the last point farther away than the start was?"""
    return not result.losses[0][-1] <= result.losses[0][0]


def title_of(result: Averages) -> str:
    """How many times lower the loss of SWA is than that of SGD in the last 50 steps."""
    if diverged(result):
        return f"rate {result.learning_rate:g}: SGD diverges, and no average helps"
    ratio = result.losses[0][-50:].mean() / result.losses[1][-1]
    lower = "lower" if ratio >= 1 else "higher"
    return f"SWA: {shown(max(ratio, 1 / ratio).item())} times {lower} loss than SGD's last 50 points"


def describe_averages(result: Averages) -> str:
    """One sentence: the settings, and the losses of the last point, of SWA and of EMA."""
    last, swa, ema = (shown(losses[-1].item()) for losses in result.losses)
    points = len(result.swa)
    return (
        f"{STEPS} noisy steps of SGD with rate {result.learning_rate:g}: loss {last} at the last point, {swa} for SWA "
        f"of the last {points} point{'s' * (points > 1)}, {ema} for EMA with decay {result.ema_decay:g}. "
        f"{title_of(result)}."
    )


def averaging(
    learning_rate: float = 0.7,
    swa_start: int = 100,
    ema_decay: float = 0.98,
    question: str = "When should the average begin, and how long should its memory be?",
) -> Explorer:
    """SGD with noisy gradients in a valley, beside the averages of its points by SWA and by EMA.

    `learning_rate` is one of RATES (from 1 on SGD diverges), `swa_start` one of STARTS (of 300 steps), `ema_decay`
    one of DECAYS. Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left the path of SGD with noisy gradients and three ends of it, right their losses: the last "
        "point, the mean of the points from a step on (SWA), and their exponential moving average (EMA).",
        controls={
            "learning_rate": Control("learning rate", RATES, 0.7, show="{:g}".format),
            "swa_start": Control("SWA from step", STARTS, 100),
            "ema_decay": Control("EMA decay", DECAYS, 0.98, show="{:g}".format, width=684),
        },
        compute=average_path,
        draw=draw_averages,
        describe=describe_averages,
        strip=[{}, {"swa_start": 0, "ema_decay": 0.999}, {"swa_start": 300, "ema_decay": 0.5}],
        size=(7.0, 4.0),
        start={"learning_rate": learning_rate, "swa_start": swa_start, "ema_decay": ema_decay},
    )
