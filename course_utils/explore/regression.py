"""Explorer: what the learning rate does to linear regression, from too small to diverging."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_utils.explore.base import Control, Explorer, Move, headline
from course_utils.style import BLACK, BLUE, GREEN, GREY, RED

RATES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1)
MOST_STEPS = 200
CAP = 1e4  # losses above it are drawn at the upper edge
VERDICTS = ("diverged", "diverging", "still learning", "loss below 1")


@dataclass(frozen=True)
class Fit:
    """Linear regression after some steps of gradient descent."""

    learning_rate: float
    steps: int
    w: float
    b: float
    losses: np.ndarray  # float32, (steps + 1,): before every step, and after the last
    verdict: str  # what has happened so far, in a word or two: one of VERDICTS


def line_data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x and y of y = 2x + 5 + noise, and the start values of w and b, as the old course drew them.

    Float32; x (20, 1) in [0, 10), y (20, 1), w (1,), b (1,). Drawn in this order from a generator with seed
    10 of its own: x = 10 rand, noise = randn, w = randn, b = 0; torch.manual_seed(10) gives the same numbers.
    """
    generator = torch.Generator().manual_seed(10)
    x = torch.rand(20, 1, generator=generator, dtype=torch.float32) * 10
    y = 2 * x + (5 + torch.randn(20, 1, generator=generator, dtype=torch.float32))
    w = torch.randn(1, generator=generator, dtype=torch.float32)
    return x, y, w, torch.zeros_like(w)


@lru_cache(maxsize=len(RATES))
def descend(rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """MOST_STEPS steps of gradient descent on mean(0.5 (y - wx - b)²): all w, all b and all losses.

    Three float32 tensors of (MOST_STEPS + 1,), entry k after k steps. The gradients are written out:
    dloss/dw = mean(e x) and dloss/db = mean(e) with e = wx + b - y.
    """
    x, y, w, b = line_data()
    history = []
    for _ in range(MOST_STEPS + 1):
        error = w * x + b - y
        history.append(torch.cat([w, b, (0.5 * error**2).mean().reshape(1)]))
        w = w - rate * (error * x).mean()
        b = b - rate * error.mean()
    ws, bs, losses = torch.stack(history).T
    return ws, bs, losses


def fit_line(learning_rate: float, steps: int) -> Fit:
    """The line after `steps` steps (0 to MOST_STEPS) with `learning_rate`."""
    ws, bs, losses = descend(learning_rate)
    last = losses[steps].item()
    if not last <= CAP:  # also when it is no number
        verdict = VERDICTS[0]
    elif last > losses[0].item():
        verdict = VERDICTS[1]
    else:
        verdict = VERDICTS[2] if last >= 1 else VERDICTS[3]
    return Fit(
        learning_rate=learning_rate,
        steps=steps,
        w=ws[steps].item(),
        b=bs[steps].item(),
        losses=losses[: steps + 1].numpy(),
        verdict=verdict,
    )


def draw_fit(figure: Figure) -> Move:
    """Draw the data with the line, and the loss of every step; return what moves them."""
    title = headline(figure)
    grid = np.linspace(0, 10.5, 43)
    left = figure.add_axes((0.08, 0.145, 0.39, 0.73))
    right = figure.add_axes((0.585, 0.145, 0.385, 0.73))
    x, y, _, _ = line_data()
    left.set(xlim=(0, 10.5), ylim=(0, 30), xlabel="x", ylabel="y")
    left.plot(x.flatten(), y.flatten(), "o", color=BLUE, markersize=6, label="data")
    left.plot([0, 10.5], [5, 26], color=GREY, linestyle=":", label="truth: 2x + 5")
    (line,) = left.plot([], [], color=RED, linestyle="-", label="model: wx + b", animated=True)
    left.legend(loc="upper left", borderaxespad=0.1)
    parameters = left.text(0.97, 0.05, "", transform=left.transAxes, ha="right", size=10, animated=True)
    right.set(xlim=(0, MOST_STEPS), ylim=(0.1, CAP), xlabel="step", ylabel="loss (log scale)", yscale="log")
    ticks = [10.0**power for power in range(-1, 5)]
    right.set_yticks(ticks, [f"{tick:g}" for tick in ticks])  # written as powers they would have tiny exponents
    right.axhline(1, color=GREEN, linestyle=":", linewidth=1.6)
    (curve,) = right.plot([], [], color=RED, linestyle="-", animated=True)
    (end,) = right.plot([], [], marker="o", markersize=7, color=BLACK, clip_on=False, animated=True)
    verdict = right.text(0.97, 0.9, "", transform=right.transAxes, ha="right", size=11, weight="bold", animated=True)

    def move(fit: Fit) -> None:
        loss = fit.losses[-1].item()
        title.set_text(f"loss {shown(loss)}")
        heights = fit.b + fit.w * grid
        inside = bool(((heights >= 0) & (heights <= 30)).any())  # False also for numbers that are none
        line.set_data(grid, heights if inside else np.zeros_like(grid))
        line.set_visible(inside)
        parameters.set_text(
            ("" if inside else "model outside the picture\n") + f"w = {shown(fit.w)}\nb = {shown(fit.b)}"
        )
        losses = np.clip(np.nan_to_num(fit.losses, nan=CAP, posinf=CAP), 0.1, CAP)
        curve.set_data(np.arange(fit.steps + 1), losses)
        end.set_data([fit.steps], losses[-1:])
        verdict.set(text=fit.verdict, color=RED if fit.verdict in VERDICTS[:2] else BLACK)

    return move


def describe_fit(fit: Fit) -> str:
    """One sentence: where the line is, and what the loss does."""
    return (
        f"After {fit.steps} step{'s' * (fit.steps > 1)} with learning rate {fit.learning_rate:g}: w = {shown(fit.w)}, "
        f"b = {shown(fit.b)} (truth 2 and 5), "
        f"loss {shown(fit.losses[-1].item())} from {shown(fit.losses[0].item())}: {fit.verdict}."
    )


def linear_regression(
    learning_rate: float = 0.05,
    steps: int = 80,
    question: str = "Which learning rates are too small, and from which on does the loss grow?",
) -> Explorer:
    """Gradient descent on y = 2x + 5 + noise with mean(0.5 (y - y_pred)²), gradients zeroed each step.

    `learning_rate` is one of RATES, `steps` 1 to MOST_STEPS. Rates to 0.05 learn, those from 0.06 diverge.
    Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left the data with the line wx + b, right the loss after every step on a log scale: up "
        "to learning rate 0.05 it falls, from 0.06 on it grows without limit.",
        controls={
            "learning_rate": Control("learning rate", RATES, 0.05, show="{:g}".format),
            "steps": Control("steps", tuple(range(1, MOST_STEPS + 1)), 80),
        },
        compute=fit_line,
        draw=draw_fit,
        describe=describe_fit,
        strip=[{}, {"learning_rate": 0.0005}, {"learning_rate": 0.06}],
        size=(7.0, 3.5),
        start={"learning_rate": learning_rate, "steps": steps},
    )


def shown(value: float) -> str:
    """`value` with three figures, large ones as a power of ten."""
    if not np.isfinite(value):
        return str(value).replace("-", "−")
    words = f"{value:.3g}" if abs(value) < 1e4 else f"{value:.1e}".replace("e+0", "e").replace("e+", "e")
    return words.replace("-", "−")
