"""Explorer: cross-entropy from logits to probabilities to the loss, and its gradient p − y."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from course_utils import _arguments as given
from course_utils.explore.base import Control, Explorer, Move, headline
from course_utils.explore.chain import number
from course_utils.explore.normalizing import check_finite
from course_utils.style import BLACK, BLUE, GREY, ORANGE, RED

CLASSES = 3  # of the explorer; the arithmetic takes any number
HIGHEST = 10.0
LOGITS = tuple(half / 2 for half in range(-20, 21))
SMOOTHINGS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
SURE = 0.9  # a probability above it is called confident


@dataclass(frozen=True)
class Crossed:
    """The cross-entropy of some logits against a true class."""

    logits: np.ndarray  # float64 (classes,)
    true_class: int
    label_smoothing: float
    probabilities: np.ndarray  # float64 (classes,): softmax of the logits
    target: np.ndarray  # float64 (classes,): one-hot, mixed with 1/classes when there is label smoothing
    loss: float
    gradient: np.ndarray  # float64 (classes,): of the loss by the logits, as torch.autograd finds it
    curve: np.ndarray  # float64 (2, 81): the loss, were the true class's logit anything from -10 to 10

    @property
    def verdict(self) -> str:
        """How sure the prediction is, and whether it is right."""
        best = self.logits == self.logits.max()
        if best[self.true_class] and best.sum() > 1:
            return "undecided"
        confident = "confident" if self.probabilities[best].sum() > SURE else "unsure"
        return f"{confident} and {'right' if best[self.true_class] else 'wrong'}"

    @property
    def rival(self) -> int:
        """The wrong class with the largest logit."""
        return int(np.where(np.arange(len(self.logits)) == self.true_class, -np.inf, self.logits).argmax())


def logits_to_loss(logits: Sequence[float], true_class: int, label_smoothing: float = 0.0) -> Crossed:
    """torch.nn.functional.cross_entropy of one sample, with its gradient by torch.autograd.grad.

    `logits` are at least two finite numbers, `true_class` counts from 0. In double precision, on the CPU. The
    target is y = (1 - s) · one-hot + s / classes with label smoothing s, the loss -Σ y log softmax(logits), and its
    gradient softmax(logits) - y. Source: Szegedy et al. (2016) for the smoothing. Raises ValueError for fewer than
    two logits, numbers that are not finite, a class that is not there, and a smoothing outside 0 to 1.
    """
    if isinstance(logits, str) or not isinstance(logits, Sequence) or len(logits) < 2:
        raise ValueError("logits must be a list of at least two numbers, one for each class, such as [2.0, 0.5, -1.0]")
    check_finite(**{f"logits[{place}]": logit for place, logit in enumerate(logits)}, label_smoothing=label_smoothing)
    if given.whole(true_class, "true_class", 0) >= len(logits):
        raise ValueError(
            f"true_class is {true_class}; with {len(logits)} logits the classes are 0 to {len(logits) - 1}"
        )
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing = {label_smoothing!r} is not usable; give a number from 0 to 1")
    count, smoothing = len(logits), float(label_smoothing)
    with torch.inference_mode(False), torch.enable_grad():
        z = torch.tensor([float(logit) for logit in logits], dtype=torch.float64, device="cpu", requires_grad=True)
        loss = _cross_entropy(z[None], true_class, smoothing)[0]
        (gradient,) = torch.autograd.grad(loss, z)
        z = z.detach()
        varied = z.repeat(81, 1)
        varied[:, true_class] = torch.linspace(-HIGHEST, HIGHEST, 81, dtype=torch.float64)
        losses = _cross_entropy(varied, true_class, smoothing)
    target = np.full(count, smoothing / count)
    target[true_class] += 1 - smoothing
    return Crossed(
        logits=z.numpy(),
        true_class=true_class,
        label_smoothing=label_smoothing,
        probabilities=torch.softmax(z, dim=0).numpy(),
        target=target,
        loss=loss.item(),
        gradient=gradient.numpy(),
        curve=torch.stack([varied[:, true_class], losses]).numpy(),
    )


def _cross_entropy(logits: Tensor, true_class: int, smoothing: float) -> Tensor:
    targets = torch.full((len(logits),), true_class)
    return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)


def three_logits(logit_0: float, logit_1: float, logit_2: float, true_class: int, label_smoothing: float) -> Crossed:
    """`logits_to_loss` as the controls call it."""
    return logits_to_loss((logit_0, logit_1, logit_2), true_class, label_smoothing)


THICK = 0.64  # of the bars
_LEFT, _RIGHT = np.arange(CLASSES) - THICK / 2, np.arange(CLASSES) + THICK / 2


def draw_crossed(figure: Figure) -> Move:
    """Draw the four axes; return what moves bars, numbers, curve and words."""
    title = headline(figure)
    width, height = 0.4, 0.265
    places = ((0.085, 0.565), (0.58, 0.565), (0.085, 0.145), (0.58, 0.145))
    logits, shares, pulls, losses = (figure.add_axes((x, y, width, height)) for x, y in places)
    panels = []
    for axes, low, high, ticks, words in (
        (logits, -14, 14, (-10, -5, 0, 5, 10), "logits"),
        (shares, 0, 1.28, (0, 0.5, 1), "softmax p, marks at the target y"),
        (pulls, -1.38, 1.38, (-1, 0, 1), "gradient p − y, by autograd"),
    ):
        axes.set(xlim=(-0.6, CLASSES - 0.4), ylim=(low, high), title=words)
        axes.set_yticks(ticks, [number(tick) for tick in ticks])
        axes.set_xticks(range(CLASSES), [f"class {index}" for index in range(CLASSES)])
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.axhline(0, color=GREY, linewidth=1)
        bars = PolyCollection([], linewidth=0, zorder=2, animated=True)
        axes.add_collection(bars)
        style = {"size": 9, "ha": "center", "va": "center", "zorder": 4, "animated": True}
        panels.append((bars, (high - low) * 0.07, [axes.text(index, 0, "", **style) for index in range(CLASSES)]))
    sides = np.concatenate([np.arange(CLASSES) - 0.42, np.arange(CLASSES) + 0.42])
    (targets,) = shares.plot([], [], "_", color=BLACK, markersize=11, markeredgewidth=2.4, zorder=3, animated=True)
    losses.set(xlim=(-HIGHEST, HIGHEST), ylim=(0, 22), title="loss over the true class's logit")
    losses.set_xticks((-10, -5, 0, 5, 10), ["−10", "−5", "0", "5", "10"])
    (curve,) = losses.plot([], [], color=RED, linestyle="-", animated=True)
    (point,) = losses.plot([], [], "o", color=BLACK, markersize=7, clip_on=False, zorder=5, animated=True)
    note = figure.text(0.02, 0.035, "", size=10, va="center", animated=True)
    figure.text(0.98, 0.035, "orange: the true class", size=9, color=GREY, ha="right", va="center")

    def move(crossed: Crossed) -> None:
        wrong = crossed.verdict.endswith("wrong")
        title.set(text=f"loss {crossed.loss:.3f}: {crossed.verdict}", color=RED if wrong else BLACK)
        faces = [ORANGE if index == crossed.true_class else BLUE for index in range(CLASSES)]
        rows = (crossed.logits, crossed.probabilities, crossed.gradient)
        for (bars, gap, numbers), heights in zip(panels, rows, strict=True):
            corners = [(_LEFT, 0 * heights), (_RIGHT, 0 * heights), (_RIGHT, heights), (_LEFT, heights)]
            bars.set_verts(np.stack([np.stack(corner, axis=1) for corner in corners], axis=1))
            bars.set_facecolor(faces)
            for text, value in zip(numbers, heights, strict=True):
                text.set_y(value + (gap if value >= 0 else -gap))
                text.set_text(number(value))
        targets.set_data(sides, np.tile(crossed.target, 2))
        curve.set_data(*crossed.curve)
        point.set_data([crossed.logits[crossed.true_class]], [crossed.loss])
        note.set_text(cost_of(crossed))

    return move


def cost_of(crossed: Crossed) -> str:
    """What the gradient says about the largest wrong logit."""
    slope = round(float(crossed.gradient[crossed.rival]), 2)
    return f"logit of class {crossed.rival} up by a little ε: the loss changes by {number(slope)} · ε"


def describe_crossed(crossed: Crossed) -> str:
    """One sentence: logits, probabilities, target, loss and what the gradient says."""
    logits, probabilities, target, gradient = (
        ", ".join(map(number, values))
        for values in (crossed.logits, crossed.probabilities, crossed.target, crossed.gradient)
    )
    return (
        f"Logits ({logits}) give softmax ({probabilities}); against the target ({target}) the loss is "
        f"{crossed.loss:.3f} and its gradient ({gradient}): {crossed.verdict}."
    )


def cross_entropy(
    logit_0: float = 2.0,
    logit_1: float = 0.5,
    logit_2: float = -1.0,
    true_class: int = 0,
    label_smoothing: float = 0.0,
    question: str = "What does the loss cost a model that is unsure, and one that is confident and wrong?",
) -> Explorer:
    """Three logits, their softmax, the cross-entropy against the true class, and its gradient p − y.

    The logits go from -10 to 10 in steps of a half, `true_class` is 0, 1 or 2, `label_smoothing` one of
    SMOOTHINGS. Raises ValueError for other values.
    """
    scale = {"values": LOGITS, "show": number, "width": 228}
    return Explorer(
        question=question,
        description="Bars of three logits, of their softmax p and of the gradient p − y, and the loss over the true "
        "class's logit: for a model that is confident and wrong the loss grows by 1 with every unit.",
        controls={
            "logit_0": Control("logit 0", start=2.0, **scale),
            "logit_1": Control("logit 1", start=0.5, **scale),
            "logit_2": Control("logit 2", start=-1.0, **scale),
            "true_class": Control("true class", tuple(range(CLASSES)), 0, kind="buttons"),
            "label_smoothing": Control("label smoothing", SMOOTHINGS, 0.0, show=number),
        },
        compute=three_logits,
        draw=draw_crossed,
        describe=describe_crossed,
        strip=[
            {},
            {"logit_1": 10.0, "logit_0": -5.0},
            {"logit_0": 10.0, "logit_1": 0.0, "logit_2": 0.0, "label_smoothing": 0.1},
        ],
        size=(7.0, 4.5),
        start={
            "logit_0": logit_0,
            "logit_1": logit_1,
            "logit_2": logit_2,
            "true_class": true_class,
            "label_smoothing": label_smoothing,
        },
    )
