"""Explorer: what does a loss function ask of the error or margin, and how hard does its gradient pull?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from course_utils.explore.activating import number
from course_utils.explore.base import Control, Explorer, Move, Settings, _member, headline
from course_utils.explore.normalizing import check_finite
from course_utils.style import BLACK, BLUE, GREY, RED

ERROR, MARGIN = "error: prediction − target", "margin: score of the true side"


@dataclass(frozen=True)
class Loss:
    """A loss of torch.nn.functional as a function of one number, element by element."""

    function: Callable[[Tensor, float], Tensor]  # of x and of the parameter
    axis: str  # what x is: ERROR or MARGIN
    parameter: str | None  # the name that torch gives the parameter
    kink: Callable[[float], float] | None = None  # where the gradient jumps, for a parameter
    rival: str = ""  # the loss that is drawn beside it


def _zeros(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


LOSSES = {
    "MSE": Loss(lambda x, _: F.mse_loss(x, _zeros(x), reduction="none"), ERROR, None, rival="L1"),
    "L1": Loss(lambda x, _: F.l1_loss(x, _zeros(x), reduction="none"), ERROR, None, lambda _: 0.0, "MSE"),
    "SmoothL1": Loss(
        lambda x, beta: F.smooth_l1_loss(x, _zeros(x), reduction="none", beta=beta), ERROR, "beta", rival="L1"
    ),
    "Huber": Loss(
        lambda x, delta: F.huber_loss(x, _zeros(x), reduction="none", delta=delta), ERROR, "delta", rival="MSE"
    ),
    "MarginRanking (hinge)": Loss(
        lambda x, margin: F.margin_ranking_loss(x, _zeros(x), torch.ones_like(x), margin=margin, reduction="none"),
        MARGIN,
        "margin",
        lambda margin: margin,
        "SoftMargin (logistic)",
    ),
    "SoftMargin (logistic)": Loss(
        lambda x, _: F.soft_margin_loss(x, torch.ones_like(x), reduction="none"),
        MARGIN,
        None,
        rival="MarginRanking (hinge)",
    ),
    "BCEWithLogits, target 1": Loss(
        lambda x, weight: F.binary_cross_entropy_with_logits(
            x, torch.ones_like(x), reduction="none", pos_weight=x.new_tensor(weight)
        ),
        MARGIN,
        "pos_weight",
        rival="MarginRanking (hinge)",
    ),
}
PARAMETERS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
USUAL = 1.0  # the default of beta, delta and pos_weight, and the margin of a hinge
REACH = 3.0
PLACES = tuple(tenth / 10 for tenth in range(-30, 31))
FLAT = 0.01


@dataclass(frozen=True)
class LossPoint:
    """A loss and its gradient at one x, and along the whole picture."""

    loss: str
    x: float
    parameter: float | None  # None: the loss has none
    value: float
    gradient: float  # as torch.autograd finds it
    curve: np.ndarray  # float64 (3, 600): x, losses, gradients; the first half lies left of a kink
    rival: np.ndarray  # float64 (3, 600): the same of the loss drawn beside it


def loss_and_gradient(loss: str, x: float, parameter: float = USUAL) -> LossPoint:
    """One of LOSSES at the error or margin `x`, with its derivative by torch.autograd.grad, in double precision.

    For a regression loss x is prediction minus target; for a margin loss it is the score when the true side is
    the positive one. `parameter` is beta of SmoothL1, delta of Huber, margin of MarginRanking and pos_weight of
    BCEWithLogits, above 0; the others have none. The losses are torch's, with reduction="none". Raises ValueError
    for an unknown loss, numbers that are not finite and a parameter that is not above 0.
    """
    spec = LOSSES[_member("loss", loss, tuple(LOSSES))]
    check_finite(x=x, parameter=parameter)
    if parameter <= 0:
        raise ValueError(f"parameter = {parameter!r} is not usable; give a number above 0 such as 1.0")
    values, gradients = _derived(loss, float(parameter), np.array([float(x)]))
    return LossPoint(
        loss=loss,
        x=x,
        parameter=parameter if spec.parameter else None,
        value=values[0].item(),
        gradient=gradients[0].item(),
        curve=_curve(loss, float(parameter) if spec.parameter else USUAL).copy(),
        rival=_curve(spec.rival, USUAL).copy(),
    )


def _derived(loss: str, parameter: float, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses and derivatives at many x, also where gradients are switched off."""
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.from_numpy(places).requires_grad_()
        values = LOSSES[loss].function(x, parameter)
        (gradients,) = torch.autograd.grad(values.sum(), x)
    return values.detach().numpy(), gradients.numpy()


@lru_cache(maxsize=64)
def _curve(loss: str, parameter: float) -> np.ndarray:
    """The picture's 600 points, none of them on the kink; float64 (3, 600): x, losses, gradients."""
    kink = LOSSES[loss].kink
    middle = min(kink(parameter), REACH - 1e-6) if kink else 0.0
    places = np.concatenate([np.linspace(-REACH, middle - 1e-9, 300), np.linspace(middle + 1e-9, REACH, 300)])
    return np.stack([places, *_derived(loss, parameter, places)])


HIGHEST, STEEPEST = 9.6, 6.5


def draw_loss(figure: Figure) -> Move:
    """Draw the axes of loss and gradient; return what moves curves, tangent, points and words."""
    title = headline(figure)
    left = figure.add_axes((0.065, 0.235, 0.415, 0.595))
    right = figure.add_axes((0.57, 0.235, 0.41, 0.595))
    left.set(xlim=(-REACH, REACH), ylim=(-0.4, HIGHEST), title="loss")
    right.set(xlim=(-REACH, REACH), ylim=(-STEEPEST, STEEPEST), title="gradient, by autograd")
    for axes in (left, right):
        axes.axhline(0, color=GREY, linewidth=1)
        axes.axvline(0, color=GREY, linewidth=1)
    style = {"linestyle": "-", "animated": True}
    # two pieces each, because a gradient may jump
    rivals = [axes.plot([], [], color=GREY, linestyle=":", animated=True)[0] for axes in (left, left, right, right)]
    losses = [left.plot([], [], color=BLUE, **style)[0] for _ in range(2)]
    slopes = [right.plot([], [], color=RED, **style)[0] for _ in range(2)]
    (tangent,) = left.plot([], [], color=RED, linestyle="--", animated=True)
    (point,) = left.plot([], [], "o", color=BLACK, markersize=7, clip_on=False, animated=True)
    (height,) = right.plot([], [], "o", color=BLACK, markersize=7, clip_on=False, animated=True)
    # the name of the x axis moves with the loss, so it is a text and no label
    axis = figure.text(0.02, 0.1, "", size=10, va="center", animated=True)
    note = figure.text(0.98, 0.1, "", size=10, ha="right", va="center", animated=True)
    figure.text(0.02, 0.035, "dashed: tangent at x", size=9, color=GREY, va="center")
    rival = figure.text(0.98, 0.035, "", size=9, color=GREY, ha="right", va="center", animated=True)

    def move(at: LossPoint) -> None:
        title.set_text(title_of(at))
        for half, piece in enumerate((slice(None, 300), slice(300, None))):
            for curve, drawn in ((at.curve, (losses, slopes)), (at.rival, (rivals[:2], rivals[2:]))):
                places, values, gradients = curve[:, piece]
                drawn[0][half].set_data(places, values)
                drawn[1][half].set_data(places, gradients)
        run = np.array([-1.0, 1.0])
        tangent.set_data(at.x + run, at.value + at.gradient * run)
        point.set_data([at.x], [at.value])
        height.set_data([at.x], [at.gradient])
        axis.set_text(f"x is the {LOSSES[at.loss].axis}")
        note.set_text(parameter_of(at))
        rival.set_text(f"dotted: {LOSSES[at.loss].rival}, for comparison")

    return move


def title_of(at: LossPoint) -> str:
    """Loss and gradient at x."""
    return f"{at.loss}: loss {number(at.value)}, gradient {number(at.gradient)}"


def parameter_of(at: LossPoint) -> str:
    """What the parameter is called, and what it does."""
    if at.parameter is None:
        return f"{at.loss.split()[0]} has no parameter"
    value, name = number(at.parameter), LOSSES[at.loss].parameter
    effect = {
        "beta": f"parabola up to |x| = {value}",
        "delta": f"parabola up to |x| = {value}",
        "margin": f"no loss from x = {value} on",
        "pos_weight": f"loss and gradient × {value}",
    }
    return f"{name} = {value}: {effect[name]}"


def describe_loss(at: LossPoint) -> str:
    """One sentence: loss and gradient at x, the parameter, and when the gradient is too small to learn from."""
    name = at.loss if at.parameter is None else f"{at.loss} with {LOSSES[at.loss].parameter} {number(at.parameter)}"
    flat = "; here hardly any gradient is left" if abs(at.gradient) < FLAT else ""
    kink = LOSSES[at.loss].kink
    if kink and kink(USUAL if at.parameter is None else at.parameter) == at.x:
        flat = "; the gradient jumps here, and torch takes this one"
    return (
        f"{name} at x = {number(at.x)} ({LOSSES[at.loss].axis}): loss {number(at.value)}, gradient "
        f"{number(at.gradient)}{flat}."
    )


def loss_curves(
    x: float = 2.0,
    parameter: float = 1.0,
    loss: str = "SmoothL1",
    question: str = "How hard does each loss pull on a large error, and how hard on a small one?",
) -> Explorer:
    """Seven losses of torch.nn.functional over the error or the margin, each with its gradient.

    `x` goes from -3 to 3 in steps of 0.1, `loss` is one of LOSSES; `parameter`, one of PARAMETERS, is beta, delta,
    margin or pos_weight, and stays where it is for a loss without one. Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left a loss over the error or the margin with its tangent at x, right its gradient: MSE pulls "
        "harder the larger the error, L1 always equally hard, SmoothL1 and Huber bend from one to the other.",
        controls={
            "x": Control("x", PLACES, 2.0, show=number, width=684),
            "parameter": Control("parameter", PARAMETERS, USUAL, show=number),
            "loss": Control("loss", tuple(LOSSES), "SmoothL1", kind="menu"),
        },
        compute=loss_and_gradient,
        draw=draw_loss,
        describe=describe_loss,
        strip=[{"loss": "MSE"}, {}, {"loss": "MarginRanking (hinge)"}],
        size=(7.0, 3.7),
        start={"x": x, "parameter": parameter, "loss": loss},
        narrow=_held,
    )


def _held(settings: Settings) -> dict[str, tuple]:
    return {"parameter": PARAMETERS if LOSSES[settings["loss"]].parameter else (settings["parameter"],)}
