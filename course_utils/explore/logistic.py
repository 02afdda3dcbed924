"""Explorer and homework: what `mean_value` and `bias` of the data do to logistic regression."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from course_utils.explore.base import Control, Explorer, Move, headline
from course_utils.style import BLACK, BLUE, GREEN, GREY, RED

MOST = 1000
CHECK_EVERY = 20
RATE, MOMENTUM = 0.01, 0.9
LOW, HIGH = -14.0, 29.0  # the square that the points of every setting fit into


@dataclass(frozen=True)
class Boundary:
    """A logistic regression after some iterations, and its accuracy on the way."""

    mean_value: float
    bias: float
    iterations: int
    points: np.ndarray  # float32 (200, 2): 100 of class 0, then 100 of class 1
    weight: np.ndarray  # float32 (2,)
    offset: float
    accuracies: np.ndarray  # float64 (iterations / 20 + 1,), in per cent, checked every 20 iterations
    loss: float
    passed: int | None  # the first check with more than 99 % among all 1000 iterations


def two_clouds(mean_value: float, bias: float) -> tuple[Tensor, Tensor, nn.Linear]:
    """The old course's points x (200, 2), labels y (200,), both float32, and its untrained Linear(2, 1).

    After torch.manual_seed(10), in this order: x0 = normal(mean_value * ones(100, 2), 1) + bias with label 0,
    x1 = normal(-mean_value * ones(100, 2), 1) + bias with label 1, then the layer's start values. Only this
    order gives the numbers of the old course. The global random state is as before afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(10)
        ones = torch.ones(100, 2, dtype=torch.float32)
        x0 = torch.normal(mean_value * ones, 1) + bias
        x1 = torch.normal(-mean_value * ones, 1) + bias
        layer = nn.Linear(2, 1, device="cpu", dtype=torch.float32)
    return torch.cat([x0, x1]), torch.cat([torch.zeros(100), torch.ones(100)]), layer


@lru_cache(maxsize=64)
def train(mean_value: float, bias: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """1000 iterations of SGD (0.01, momentum 0.9) on BCELoss, its gradient written out, checked every 20.

    Returns the points (200, 2), and for the checks at 0, 20, …, 1000: the parameters (51, 3) as w0, w1, b,
    the number of correct points (51,) int64 and the loss (51,); float32. The state at check k is that after k
    iterations. The gradient of the mean binary cross-entropy of sigmoid(z) by z is (sigmoid(z) - y) / 200.
    """
    points, labels, layer = two_clouds(mean_value, bias)
    inputs = torch.cat([points, torch.ones(200, 1)], dim=1)
    parameters = torch.cat([layer.weight.detach()[0], layer.bias.detach()])
    speed = torch.zeros(3)
    pulled = inputs.T.contiguous() / 200
    checks, correct, losses = [], [], []
    for iteration in range(MOST + 1):
        probability = torch.sigmoid(inputs @ parameters)
        if iteration % CHECK_EVERY == 0:
            checks.append(parameters.clone())
            correct.append((probability.ge(0.5) == labels.bool()).sum())
            losses.append(nn.functional.binary_cross_entropy(probability, labels))
        speed.mul_(MOMENTUM).add_(pulled @ (probability - labels))
        parameters.sub_(speed, alpha=RATE)
    return points, torch.stack(checks), torch.stack(correct), torch.stack(losses)


def fit_boundary(mean_value: float, bias: float, iterations: int) -> Boundary:
    """The decision boundary after `iterations` (0, 20, …, 1000), and how the accuracy came there."""
    points, checks, correct, losses = train(float(mean_value), float(bias))
    last = iterations // CHECK_EVERY
    passing = torch.nonzero(correct > 198)
    return Boundary(
        mean_value=mean_value,
        bias=bias,
        iterations=iterations,
        points=points.numpy(),
        weight=checks[last, :2].numpy(),
        offset=checks[last, 2].item(),
        accuracies=correct[: last + 1].numpy() / 2,
        loss=losses[last].item(),
        passed=int(passing[0]) * CHECK_EVERY if len(passing) else None,
    )


def draw_boundary(figure: Figure) -> Move:
    """Draw the points with the decision boundary, and the accuracy of every check; return what moves them."""
    title = headline(figure)
    left = figure.add_axes((0.095, 0.125, 0.46, 0.46 * 7.0 / 4.15))
    right = figure.add_axes((0.655, 0.125, 0.31, 0.46 * 7.0 / 4.15))
    left.set(xlim=(LOW, HIGH), ylim=(LOW, HIGH), xlabel="feature 0", ylabel="feature 1")
    left.axhline(0, color=GREY, linewidth=1)
    left.axvline(0, color=GREY, linewidth=1)
    (zeros,) = left.plot([], [], "o", color=BLUE, markersize=4, alpha=0.7, label="class 0", animated=True)
    (ones,) = left.plot([], [], "^", color=RED, markersize=4, alpha=0.7, label="class 1", animated=True)
    (line,) = left.plot([], [], color=BLACK, linestyle="--", label="boundary", animated=True)
    figure.legend(
        handles=[zeros, ones, line], loc="upper right", bbox_to_anchor=(0.97, 0.995), ncols=3, borderaxespad=0
    )
    right.set(xlim=(0, MOST), ylim=(40, 101), yticks=(40, 60, 80, 99), xlabel="iteration", ylabel="accuracy (%)")
    right.axhline(99, color=GREEN, linestyle=":", linewidth=1.6)
    (curve,) = right.plot([], [], color=BLACK, linestyle="-", animated=True)
    (end,) = right.plot([], [], marker="o", markersize=6, color=BLACK, clip_on=False, animated=True)
    verdict = right.text(0.96, 0.06, "", transform=right.transAxes, ha="right", size=10, animated=True)

    def move(fit: Boundary) -> None:
        title.set_text(f"accuracy {fit.accuracies[-1]:g} %")
        zeros.set_data(*fit.points[:100].T)
        ones.set_data(*fit.points[100:].T)
        line.set_data(*boundary_line(fit.weight, fit.offset))
        curve.set_data(np.arange(len(fit.accuracies)) * CHECK_EVERY, fit.accuracies)
        end.set_data([fit.iterations], fit.accuracies[-1:])
        verdict.set_text(verdict_of(fit))

    return move


def boundary_line(weight: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Two points far apart on the line where w0·x + w1·y + offset = 0, the probability is a half."""
    normal = weight.astype(float)
    foot = -offset * normal / (normal @ normal)
    along = np.array([-normal[1], normal[0]]) / np.sqrt(normal @ normal)
    ends = foot + np.array([[-200.0], [200.0]]) * along
    return ends[:, 0], ends[:, 1]


def verdict_of(fit: Boundary) -> str:
    """Whether, and when, a check first found more than 99 %."""
    if fit.passed is not None and fit.passed <= fit.iterations:
        return f"passed 99 %\nat iteration {fit.passed}"
    return f"99 % not passed\nafter {fit.iterations} iterations"


def describe_boundary(fit: Boundary) -> str:
    """One sentence: accuracy and loss, and whether 99 % is passed."""
    return (
        f"Means ±{fit.mean_value:g}, bias {fit.bias:g}, {fit.iterations} iterations: accuracy "
        f"{fit.accuracies[-1]:g} %, loss {fit.loss:.3f}; {' '.join(verdict_of(fit).split())}."
    )


def logistic_regression(
    mean_value: float = 1.7,
    bias: int = 1,
    iterations: int = 380,
    question: str = "What keeps the accuracy below 99 %: classes that overlap, or classes far from zero?",
) -> Explorer:
    """The homework of week 1: logistic regression on two clouds of 100 points around ±mean_value + bias.

    `mean_value` 0 to 5 in steps of 0.1, `bias` a whole number from -5 to 20, `iterations` 0, 20, …, 1000.
    With mean 1.7 the accuracy passes 99 % at iteration 40 (bias 0) and 380 (bias 1), stays at exactly 99 %
    with bias 5 and -5, and reaches 92.5 % with bias 20; mean 1 stops at 91 %, mean 5 starts at 100 %. Raises
    ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left two clouds of points with the line that separates them, right the accuracy over "
        "1000 iterations: overlapping clouds stop below 99 %, clouds far from zero learn slowly.",
        controls={
            "mean_value": Control("mean_value", tuple(tenth / 10 for tenth in range(51)), 1.7),
            "bias": Control("bias", tuple(range(-5, 21)), 1),
            "iterations": Control("iterations", tuple(range(0, MOST + 1, CHECK_EVERY)), 380),
        },
        compute=fit_boundary,
        draw=draw_boundary,
        describe=describe_boundary,
        strip=[{}, {"mean_value": 1.0, "iterations": 1000}, {"bias": 20, "iterations": 1000}],
        size=(7.0, 4.15),
        start={"mean_value": mean_value, "bias": bias, "iterations": iterations},
    )
