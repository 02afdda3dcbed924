"""Explorer: what do the loss curves of a sick training look like, and how does each cause betray itself?"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from course_utils import data
from course_utils.explore.base import Control, Explorer, Move, _member, headline
from course_utils.explore.regression import shown
from course_utils.style import BLUE, GREEN, GREY, RED

MILD, CLEAR, STRONG = STRENGTHS = ("mild", "clear", "strong")
HEALTHY = "healthy"
TRAIN, VALID, NEW = 800, 300, 300  # digits for training, for validation, and really new ones
EPOCHS, BATCH = 25, 80
INPUTS, HIDDEN, CLASSES = 49, 32, 10


@dataclass(frozen=True)
class Illness:
    """What is done otherwise than in the healthy training."""

    rate: float = 0.3
    images: int = TRAIN  # different images to train on
    leak: float = 0.0  # the part of the validation images that is trained on too
    sorted: float = 0.0  # the part of the images that comes in the order of the classes, in every epoch
    noise: float = 0.0  # the part of all labels, but not of the new data, that is drawn anew
    dropout: float = 0.0
    eval_forgotten: bool = False
    softmax: bool = False  # before cross_entropy, which applies it itself


CAUSES: dict[str, tuple[Illness, ...]] = {
    HEALTHY: (Illness(),),
    "learning rate too high": (Illness(rate=0.8), Illness(rate=1.5), Illness(rate=10.0)),
    "learning rate too low": (Illness(rate=0.03), Illness(rate=0.01), Illness(rate=0.002)),
    "overfitting": (Illness(images=300), Illness(images=120), Illness(images=40)),
    "data leak": (Illness(images=200, leak=0.3), Illness(images=200, leak=0.6), Illness(images=200, leak=1.0)),
    "forgotten shuffle": (Illness(sorted=0.6), Illness(sorted=0.8), Illness(sorted=1.0)),
    "label noise": (Illness(noise=0.1), Illness(noise=0.25), Illness(noise=0.5)),
    "forgotten eval": tuple(Illness(dropout=p, eval_forgotten=True) for p in (0.3, 0.5, 0.8)),
    "bug in the loss": (Illness(softmax=True),),
}
# the sign to see, and the first thing to look at
SIGNS = {
    HEALTHY: ("both losses fall and flatten, valid a little above train", "nothing, this is as it should be"),
    "learning rate too high": ("the losses jump, or stay high from the start", "a rate ten times smaller"),
    "learning rate too low": ("both losses fall together, far too slowly", "a rate ten times larger"),
    "overfitting": ("train goes towards 0, valid turns up again", "more data, augmentation, weight decay, dropout"),
    "data leak": ("valid looks better than really new data", "images that are in both sets"),
    "forgotten shuffle": ("valid jumps, and is far worse than train", "shuffle=True in the loader of the training set"),
    "label noise": ("valid stays high, for the model is better than its labels", "the labels of the largest losses"),
    "forgotten eval": ("valid jitters, and is worse than the model deserves", "model.eval() before the validation"),
    "bug in the loss": ("the accuracy rises, but no loss comes below 1.46", "a softmax before cross_entropy"),
}


@dataclass(frozen=True)
class Curves:
    """A training of 25 epochs; all arrays are float64 (25,), one value an epoch."""

    cause: str
    strength: str
    train: np.ndarray  # losses: of the batches while training, of the validation set, of really new data
    valid: np.ndarray
    new: np.ndarray
    train_accuracy: np.ndarray  # parts from 0 to 1
    valid_accuracy: np.ndarray
    new_accuracy: np.ndarray


def train_sick(cause: str, strength: str = CLEAR) -> Curves:
    """Train a small network on digits with one of CAUSES; `strength` is one of STRENGTHS.

    The network (49 inputs, 32 hidden units, ReLU, 10 classes) sees 800 digits of 7×7 pixels in batches of 80, with
    plain SGD of rate 0.3 where the cause says nothing else. An epoch is always 10 batches. New data is always
    measured as it should be. All causes are trained side by side at the first call, which takes about a second.
    Raises ValueError for a cause or a strength that is not there; "healthy" and "bug in the loss" have only the
    strength "clear".
    """
    _member("cause", cause, tuple(CAUSES))
    _member("strength", strength, strengths_of(cause))
    curves = _all_curves()[cause, strength]
    arrays = {name: value.copy() for name, value in vars(curves).items() if isinstance(value, np.ndarray)}
    return replace(curves, **arrays)


def strengths_of(cause: str) -> tuple[str, ...]:
    """The strengths that a cause has."""
    return STRENGTHS if len(CAUSES[cause]) > 1 else (CLEAR,)


@lru_cache(maxsize=1)
def _all_curves() -> dict[tuple[str, str], Curves]:
    names = [(cause, strength) for cause in CAUSES for strength in strengths_of(cause)]
    with torch.inference_mode(False), torch.enable_grad():
        rows = _train([illness for cause in CAUSES for illness in CAUSES[cause]])
    return {name: Curves(*name, *rows[:, run].T) for run, name in enumerate(names)}


def _train(illnesses: list[Illness]) -> np.ndarray:
    """Train one network for each illness, all at once by batched matrix products; float64 (25, runs, 6)."""
    generator = torch.Generator().manual_seed(5)
    source = {"generator": generator, "dtype": torch.float32, "device": "cpu"}
    runs = len(illnesses)
    sets = [_sets(illness) for illness in illnesses]
    train, valid, new = (_stacked([made[part] for made in sets]) for part in range(3))
    shapes = (HIDDEN, INPUTS), (HIDDEN, 1), (CLASSES, HIDDEN), (CLASSES, 1)
    weights = [  # the same start for all
        (torch.randn(shape, **source) * (2 / shape[1]) ** 0.5 * (shape[1] > 1)).repeat(runs, 1, 1).requires_grad_()
        for shape in shapes
    ]
    rate, dropout, at_eval = (
        torch.tensor(values, dtype=torch.float32)[:, None, None]
        for values in (
            [illness.rate for illness in illnesses],
            [illness.dropout for illness in illnesses],
            [illness.dropout * illness.eval_forgotten for illness in illnesses],
        )
    )
    softmax = torch.tensor([illness.softmax for illness in illnesses])[:, None, None]

    def measure(images: Tensor, labels: Tensor, p: Tensor | None) -> tuple[Tensor, Tensor]:
        """The loss and the accuracy of every run, (runs,) each; `p` is the probability of dropout."""
        first, first_bias, second, second_bias = weights
        hidden = torch.relu(images @ first.mT + first_bias.mT)
        if p is not None:
            hidden = hidden * (torch.rand(hidden.shape, **source) >= p) / (1 - p)
        scores = hidden @ second.mT + second_bias.mT
        scores = torch.where(softmax, scores.softmax(dim=2), scores)
        losses = F.cross_entropy(scores.mT, labels, reduction="none").mean(dim=1)
        return losses, (scores.argmax(dim=2) == labels).float().mean(dim=1)

    rows, every = [], torch.arange(runs)[:, None]
    for _ in range(EPOCHS):
        # in sorted runs most images keep their places, the others change theirs among themselves
        order = torch.stack([_order(illness, generator) for illness in illnesses])
        seen = []
        for batch in order.split(BATCH, dim=1):
            losses, accuracy = measure(train[0][every, batch], train[1][every, batch], dropout)
            gradients = torch.autograd.grad(losses.sum(), weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.sub_(rate * gradient)
            seen.append(torch.stack([losses.detach(), accuracy]))
        with torch.no_grad():
            scores = torch.stack(seen).mean(dim=0), measure(*valid, at_eval), measure(*new, None)
        rows.append(torch.stack([score[kind] for kind in (0, 1) for score in scores], dim=1))
    return torch.stack(rows).double().numpy()


def _order(illness: Illness, generator: torch.Generator) -> Tensor:
    """The places of the 800 training images in one epoch."""
    order = torch.arange(TRAIN)
    loose = torch.rand(TRAIN, generator=generator, dtype=torch.float32, device="cpu") >= illness.sorted
    places = order[loose]
    order[loose] = places[torch.randperm(len(places), generator=generator)]
    return order


def _sets(illness: Illness) -> tuple[tuple[Tensor, Tensor], ...]:
    """Images (N, 49) and labels (N,) for training, for validation, and new ones."""
    images, labels = _digits()
    generator = torch.Generator().manual_seed(7)
    kept, noisy = torch.arange(TRAIN) % illness.images, labels.clone()
    leaked = int(illness.leak * VALID)
    wrong = torch.rand(len(labels), generator=generator, dtype=torch.float32, device="cpu") < illness.noise
    noisy[wrong] = torch.randint(CLASSES, (int(wrong.sum()),), generator=generator)
    if leaked:
        # as many repetitions of the validation images as of the others
        pool = torch.cat([torch.arange(illness.images), torch.arange(TRAIN, TRAIN + leaked)])
        kept = pool[torch.arange(TRAIN) % len(pool)]
    if illness.sorted:
        kept = kept[labels[kept].argsort(stable=True)]
    valid, new = slice(TRAIN, TRAIN + VALID), slice(TRAIN + VALID, None)
    return (images[kept], noisy[kept]), (images[valid], noisy[valid]), (images[new], labels[new])


@lru_cache(maxsize=1)
def _digits() -> tuple[Tensor, Tensor]:
    """1,400 shuffled digits: float32 (1400, 49) from -1 to 3, the mean of 4×4 pixels, and their labels."""
    digits = data.digits()
    order = torch.randperm(len(digits.labels), generator=torch.Generator().manual_seed(0))[: TRAIN + VALID + NEW]
    images = digits.images[order, None].to(torch.float32) / 255
    return F.avg_pool2d(images, 4).flatten(1) * 4 - 1, digits.labels[order]


def _stacked(sets: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.stack([images for images, _ in sets]), torch.stack([labels for _, labels in sets])


HIGHEST = 3.5  # losses above are drawn on the edge


def draw_curves(figure: Figure) -> Move:
    """Draw the axes of loss and accuracy; return what moves the curves and the words."""
    title = headline(figure)
    left = figure.add_axes((0.065, 0.285, 0.42, 0.53))
    right = figure.add_axes((0.56, 0.285, 0.42, 0.53))
    left.set(xlim=(0, EPOCHS + 1), ylim=(0, HIGHEST), xlabel="epoch", title="loss")
    right.set(xlim=(0, EPOCHS + 1), ylim=(0, 1.02), xlabel="epoch", title="accuracy (%)")
    left.set(xticks=range(0, EPOCHS + 1, 5), yticks=[0, 1, 2, 3])
    right.set_xticks(range(0, EPOCHS + 1, 5))
    right.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "20", "40", "60", "80", "100"])
    styles = (
        {"color": BLUE, "linestyle": "-", "zorder": 3},
        {"color": RED, "linestyle": "--", "zorder": 3.1},
        {"color": GREEN, "linestyle": ":", "zorder": 3.2},
        {"color": GREY, "linestyle": "-.", "linewidth": 1, "zorder": 2.5},
    )
    losses, accuracies = ([axes.plot([], [], animated=True, **style)[0] for style in styles] for axes in (left, right))
    for place, words, colour in (
        (0.065, "solid: train", BLUE),
        (0.2, "dashed: valid", RED),
        (0.35, "dotted: really new data", GREEN),
        (0.98, "thin: valid of the healthy training", GREY),
    ):
        figure.text(place, 0.895, words, size=9, color=colour, ha="right" if place > 0.9 else "left", va="center")
    sign = figure.text(0.02, 0.1, "", size=10, va="center", animated=True)
    first = figure.text(0.02, 0.035, "", size=10, va="center", animated=True)

    def move(result: Curves) -> None:
        title.set_text(title_of(result))
        healthy = _all_curves()[HEALTHY, CLEAR]
        epochs = np.arange(1, EPOCHS + 1)
        drawn = (result.train, result.valid, result.new, healthy.valid)
        for line, values in zip(losses, drawn, strict=True):
            line.set_data(epochs, np.minimum(values, HIGHEST))
        drawn = (result.train_accuracy, result.valid_accuracy, result.new_accuracy, healthy.valid_accuracy)
        for line, values in zip(accuracies, drawn, strict=True):
            line.set_data(epochs, values)
        for line in (losses[-1], accuracies[-1]):
            line.set_visible(result.cause != HEALTHY)
        sign.set_text(f"sign: {SIGNS[result.cause][0]}")
        first.set_text(f"look first at: {SIGNS[result.cause][1]}")

    return move


def title_of(result: Curves) -> str:
    """The validation loss of the last epoch."""
    strength = f"{result.cause} ({result.strength})" if len(CAUSES[result.cause]) > 1 else result.cause
    return f"{strength}: valid loss {shown(result.valid[-1].item())} after {EPOCHS} epochs"


def describe_curves(result: Curves) -> str:
    """One sentence: the last losses and accuracies, the best epoch, the sign."""
    best = f"lowest {shown(result.valid.min().item())} in epoch {result.valid.argmin() + 1}"
    parts = ", ".join(
        f"{name} {accuracy[-1]:.0%}".replace("%", " %")
        for name, accuracy in (
            ("train", result.train_accuracy),
            ("valid", result.valid_accuracy),
            ("new data", result.new_accuracy),
        )
    )
    return (
        f"{title_of(result)} ({best}), train {shown(result.train[-1].item())}, new data "
        f"{shown(result.new[-1].item())}; accuracy {parts}; sign: {SIGNS[result.cause][0]}."
    )


def sick_curves(
    strength: str = CLEAR,
    cause: str = "overfitting",
    question: str = "Cover the name with your hand: which cause has made these curves, and what gives it away?",
) -> Explorer:
    """Loss and accuracy of a small network on digits, trained with one of eight mistakes, beside a healthy run.

    `cause` is one of CAUSES, `strength` "mild", "clear" or "strong"; "healthy" and "bug in the loss" have only one
    strength. Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Loss and accuracy of 25 epochs, for training, validation and really new data: every cause, from "
        "a learning rate too high to a forgotten eval, leaves its own sign in the curves.",
        controls={
            "strength": Control("strength", STRENGTHS, CLEAR, kind="buttons"),
            "cause": Control("cause", tuple(CAUSES), "overfitting", kind="menu"),
        },
        compute=train_sick,
        draw=draw_curves,
        describe=describe_curves,
        strip=[{}, {"cause": "forgotten shuffle"}, {"cause": "data leak"}],
        size=(7.0, 3.9),
        start={"strength": strength, "cause": cause},
        narrow=lambda settings: {"strength": strengths_of(settings["cause"])},
    )
