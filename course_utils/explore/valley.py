"""Explorer: learning rate and momentum of SGD in a long valley: crawling, oscillating, diverging."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from matplotlib.figure import Figure

from course_utils import _arguments as given
from course_utils.explore.base import Control, Explorer, Move, headline
from course_utils.explore.normalizing import check_finite
from course_utils.explore.regression import shown
from course_utils.style import BLACK, BLUE, GREEN, GREY, RED

FLAT, STEEP = 1.0, 20.0  # the curvatures along x and along y
START = (-9.0, 2.0)
RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.09, 0.095, 0.1, 0.105, 0.12, 0.15, 0.18, 0.2, 0.25)
MOMENTA = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
MOST_STEPS = 150
ARRIVED = 1e-3
VERDICTS = ("diverged", "diverging", "arrived", "oscillating", "crawling", "on the way")
FRAME = (-11.0, 11.0, -6.0, 6.0)  # left, right, bottom and top of the map
LOW, HIGH = 1e-6, 1e4  # losses beyond are drawn on the edge


@dataclass(frozen=True)
class Descent:
    """The way of SGD through the valley."""

    learning_rate: float
    momentum: float
    steps: int
    path: np.ndarray  # float64 (steps + 1, 2), with the start; may end in inf or nan
    losses: np.ndarray  # float64 (steps + 1,)
    crossings: int  # how often the sign of y changed: the path went over the floor of the valley
    verdict: str  # one of VERDICTS; crawling: the last step took off less than a tenth of the loss

    @property
    def stable(self) -> bool:
        """Does the steep direction shrink in the end?"""
        return self.learning_rate * STEEP < 2 * (1 + self.momentum) - 1e-9


def descend_valley(learning_rate: float, momentum: float, steps: int) -> Descent:
    """`steps` steps of SGD on (x² + 20 y²) / 2 from (-9, 2), in double precision.

    The update is that of torch.optim.SGD, written out: v = momentum · v + g, w = w - learning_rate · v, with
    gradient g = (x, 20 y). A direction of curvature c diverges when learning_rate · c > 2 (1 + momentum). Source:
    Polyak (1964). Raises ValueError for a learning rate that is not above 0, a momentum outside 0 to 1 (1 itself is
    outside) and steps that are no whole number of at least 1.
    """
    check_finite(learning_rate=learning_rate, momentum=momentum)
    if learning_rate <= 0:
        raise ValueError(f"learning_rate = {learning_rate!r} is not usable; give a number above 0 such as 0.02")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum = {momentum!r} is not usable; give a number from 0 to below 1 such as 0.9")
    given.whole(steps, "steps")
    (x, y), along, across = START, 0.0, 0.0
    path = [START]
    for _ in range(steps):
        along, across = momentum * along + FLAT * x, momentum * across + STEEP * y
        x, y = x - learning_rate * along, y - learning_rate * across
        path.append((x, y))
    places = np.array(path)
    with np.errstate(over="ignore", invalid="ignore"):
        losses = (FLAT * places[:, 0] ** 2 + STEEP * places[:, 1] ** 2) / 2
    crossings = int(np.count_nonzero(np.diff(np.sign(places[:, 1]))))
    descent = Descent(learning_rate, momentum, steps, places, losses, crossings, "")
    last = losses[-1].item()
    if not descent.stable and not last <= losses[0]:
        verdict = VERDICTS[1] if last <= HIGH else VERDICTS[0]
    elif last < ARRIVED:
        verdict = VERDICTS[2]
    elif crossings >= 3:
        verdict = VERDICTS[3]
    else:
        verdict = VERDICTS[4] if 0.9 < last / losses[-2] <= 1 else VERDICTS[5]
    return Descent(learning_rate, momentum, steps, places, losses, crossings, verdict)


def cut(path: np.ndarray, frame: tuple[float, float, float, float]) -> np.ndarray:
    """`path` (N, 2) up to where it first leaves the frame (left, right, bottom, top), with the point on its edge.

    All numbers of the result are finite, also when those of the path are not.
    """
    low, high = np.array(frame[::2]), np.array(frame[1::2])
    with np.errstate(invalid="ignore"):
        outside = ~((path >= low) & (path <= high)).all(axis=1)
    if not outside.any():
        return path
    first = int(outside.argmax())
    if first == 0 or not np.isfinite(path[first]).all():
        return path[:first]
    before, run = path[first - 1], path[first] - path[first - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(run > 0, (high - before) / run, np.where(run < 0, (low - before) / run, np.inf))
    return np.vstack([path[:first], before + shares.min() * run])


def decade(power: int) -> str:
    """10 to the `power` as it stands on a log axis; as a real power it would have a tiny exponent."""
    return f"{10.0**power:g}" if -3 <= power <= 4 else f"1e{power}".replace("-", "−")


def draw_descent(figure: Figure) -> Move:
    """Draw the contour lines and the axes of the loss; return what moves path, curve and words."""
    title = headline(figure)
    width, height = figure.get_size_inches()
    left = figure.add_axes((0.08, 0.24, 0.555, 0.555 * width * 12 / 22 / height))  # a unit is equally long in x and y
    right = figure.add_axes((0.735, 0.24, 0.24, 0.555 * width * 12 / 22 / height))
    left.set(xlim=FRAME[:2], ylim=FRAME[2:], xlabel="x, curvature 1", ylabel="y, curvature 20")
    left.set(xticks=range(-10, 11, 5), yticks=range(-6, 7, 3))
    x, y = np.meshgrid(np.linspace(*FRAME[:2], 221), np.linspace(*FRAME[2:], 241))
    heights = (FLAT * x**2 + STEEP * y**2) / 2
    left.contour(x, y, heights, levels=[0.5, 4, 15, 40, 80, 150, 250, 400], colors=GREY, linewidths=0.8, alpha=0.7)
    left.plot(0, 0, "*", color=GREEN, markersize=14)
    left.plot(*START, "s", color=BLACK, markersize=7)
    right.set(xlim=(0, MOST_STEPS), ylim=(LOW, HIGH), yscale="log", xlabel="step", title="loss (log scale)")
    powers = range(-6, 5, 2)
    right.set_yticks([10.0**power for power in powers], [decade(power) for power in powers])
    right.minorticks_off()
    right.axhline(ARRIVED, color=GREEN, linestyle=":", linewidth=1.6)
    (path,) = left.plot([], [], "o-", color=BLUE, linewidth=1.3, markersize=3, zorder=3, animated=True)
    (end,) = left.plot([], [], marker="o", color=RED, markersize=8, zorder=4, clip_on=False, animated=True)
    (cross,) = left.plot(
        [], [], "x", color=RED, markersize=11, markeredgewidth=3, zorder=4, clip_on=False, animated=True
    )
    (curve,) = right.plot([], [], color=BLUE, linestyle="-", animated=True)
    (now,) = right.plot([], [], marker="o", color=RED, markersize=7, clip_on=False, animated=True)
    rule = figure.text(0.02, 0.05, "", size=10, va="center", animated=True)
    count = figure.text(0.98, 0.05, "", size=10, ha="right", va="center", animated=True)

    def move(descent: Descent) -> None:
        diverged = descent.verdict in VERDICTS[:2]
        title.set(text=title_of(descent), color=RED if diverged else BLACK)
        drawn = cut(descent.path, FRAME) if diverged else descent.path
        left_frame = len(drawn) < len(descent.path) or not np.array_equal(drawn[-1], descent.path[-1])
        path.set_data(*drawn.T)
        for mark in (end, cross):
            mark.set_data(*drawn[-1:].T)
            mark.set_visible(left_frame == (mark is cross))
        losses = np.clip(np.nan_to_num(descent.losses, nan=HIGH, posinf=HIGH), LOW, HIGH)
        curve.set_data(np.arange(len(losses)), losses)
        now.set_data([descent.steps], losses[-1:])
        rule.set(text=rule_of(descent), color=BLACK if descent.stable else RED)
        count.set_text(f"over the valley floor: {descent.crossings} ×")

    return move


def title_of(descent: Descent) -> str:
    """The loss after the last step, and what the path does."""
    last = descent.losses[-1].item()
    loss = f"loss {shown(last)}" if isfinite(last) else "loss beyond every number"
    return f"{loss} after {descent.steps} step{'s' * (descent.steps > 1)}: {descent.verdict}"


def rule_of(descent: Descent) -> str:
    """Whether the steep direction can converge."""
    step, limit = descent.learning_rate * STEEP, 2 * (1 + descent.momentum)
    if descent.stable:
        sign, fate = "<", "y shrinks"
    else:
        sign, fate = ("=", "y stays") if abs(step - limit) < 1e-9 else (">", "y grows")
    return f"rate · 20 = {step:g} {sign} 2 (1 + momentum) = {limit:g}: {fate} in the end"


def describe_descent(descent: Descent) -> str:
    """One sentence: the settings, the loss, and what the path does."""
    return (
        f"SGD with learning rate {descent.learning_rate:g} and momentum {descent.momentum:g}: "
        f"{title_of(descent)}, {descent.crossings} × over the floor of the valley; {rule_of(descent)}."
    )


def valley(
    learning_rate: float = 0.02,
    momentum: float = 0.0,
    steps: int = 60,
    question: str = "Which learning rates crawl, oscillate or diverge in the valley, and what does momentum change?",
) -> Explorer:
    """SGD with momentum on (x² + 20 y²) / 2, twenty times steeper across the valley than along it.

    `learning_rate` is one of RATES, `momentum` one of MOMENTA, `steps` 1 to 150. Without momentum the path diverges
    from a learning rate of 0.1 on, with momentum 0.9 from 0.19 on. Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left the path of SGD over the contour lines of a long valley, right the loss of every step: a "
        "small learning rate crawls along, a large one oscillates across and diverges, momentum speeds up.",
        controls={
            "learning_rate": Control("learning rate", RATES, 0.02, show="{:g}".format),
            "momentum": Control("momentum", MOMENTA, 0.0, show="{:g}".format),
            "steps": Control("steps", tuple(range(1, MOST_STEPS + 1)), 60, width=684),
        },
        compute=descend_valley,
        draw=draw_descent,
        describe=describe_descent,
        strip=[{}, {"momentum": 0.8}, {"learning_rate": 0.105}],
        size=(7.0, 3.7),
        start={"learning_rate": learning_rate, "momentum": momentum, "steps": steps},
    )
