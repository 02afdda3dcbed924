"""Explorer: what gradient does an activation function let through, and where is it flat?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from course_utils.explore.base import Control, Explorer, Move, Settings, headline
from course_utils.style import BLACK, BLUE, GREY, RED

# name: the function of the input and the slope; only SLOPED ones use the slope
FUNCTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "Sigmoid": lambda x, slope: torch.sigmoid(x),
    "Tanh": lambda x, slope: torch.tanh(x),
    "ReLU": lambda x, slope: F.relu(x),
    "LeakyReLU": lambda x, slope: F.leaky_relu(x, slope),
    "PReLU": lambda x, slope: F.prelu(x, x.new_tensor([slope])),
    "RReLU": lambda x, slope: F.rrelu(x, training=False),
    "ELU": lambda x, slope: F.elu(x),
    "GELU": lambda x, slope: F.gelu(x),
    "SiLU": lambda x, slope: F.silu(x),
    "Softplus": lambda x, slope: F.softplus(x),
}
SLOPED = ("LeakyReLU", "PReLU")
SLOPES = (0.0, 0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
REACH = 6.0  # the pictures go from -6 to 6
INPUTS = tuple(tenth / 10 for tenth in range(-60, 61))
FLAT = 0.01  # where the derivative is smaller than this, hardly anything is learned


@dataclass(frozen=True)
class Activation:
    """An activation function, with its value and its gradient at one input."""

    function: str
    x: float
    slope: float | None  # None: the function has none that could be set
    value: float
    gradient: float  # as torch.autograd finds it
    curve: np.ndarray  # float64 (3, 600): inputs without 0, outputs, derivatives; the first half is below 0
    flat_parts: list[tuple[float, float]]  # where |derivative| < FLAT, as pieces from -6 to 6

    @property
    def flat(self) -> bool:
        """Is the gradient at x smaller than FLAT in size?"""
        return abs(self.gradient) < FLAT


def activate(function: str, x: float, slope: float = 0.25) -> Activation:
    """One of FUNCTIONS at `x`, with its derivative by torch.autograd.grad, in double precision.

    `slope` is that of the negative side of the SLOPED functions: negative_slope of LeakyReLU, the weight of
    PReLU; the others have none that could be set. RReLU is taken in eval mode, where its slope is the mean
    (1/8 + 1/3) / 2. Raises ValueError for an unknown function and for an x or slope that is not a finite number.
    """
    if not isinstance(function, str) or function not in FUNCTIONS:
        raise ValueError(f"function {function!r} is not there; choose one of: {', '.join(FUNCTIONS)}")
    for name, value in (("x", x), ("slope", slope)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < float("inf"):
            raise ValueError(f"{name} = {value!r} is not usable; give a finite number such as -2.0")
    outputs, gradients = _derived(function, float(slope), np.array([float(x)]))
    curve, parts = _curve(function, float(slope) if function in SLOPED else 0.0)
    return Activation(
        function=function,
        x=x,
        slope=slope if function in SLOPED else None,
        value=outputs[0].item(),
        gradient=gradients[0].item(),
        curve=curve.copy(),
        flat_parts=list(parts),
    )


def _derived(function: str, slope: float, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and derivatives of a function at many inputs, also where gradients are switched off."""
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.from_numpy(inputs).requires_grad_()
        y = FUNCTIONS[function](x, slope)
        (gradients,) = torch.autograd.grad(y.sum(), x)
    return y.detach().numpy(), gradients.numpy()


@lru_cache(maxsize=64)
def _curve(function: str, slope: float) -> tuple[np.ndarray, tuple[tuple[float, float], ...]]:
    """The picture's 600 points, none of them at 0, where some derivatives jump; and the flat parts."""
    right = np.linspace(1e-9, REACH, 300)
    inputs = np.concatenate([-right[::-1], right])
    outputs, gradients = _derived(function, slope, inputs)
    flat = np.concatenate([[False], np.abs(gradients) < FLAT, [False]])
    begins, ends = np.flatnonzero(~flat[:-1] & flat[1:]), np.flatnonzero(flat[:-1] & ~flat[1:]) - 1
    parts = tuple((inputs[first].item(), inputs[last].item()) for first, last in zip(begins, ends, strict=True))
    return np.stack([inputs, outputs, gradients]), parts


LOW, HIGH = -2.0, 6.0  # of the function
STEEP_LOW, STEEP_HIGH = -0.25, 1.3  # of its derivative


def draw_activation(figure: Figure) -> Move:
    """Draw the function with its tangent, and its derivative; return what moves them."""
    title = headline(figure)
    left = figure.add_axes((0.07, 0.2, 0.41, 0.64))
    right = figure.add_axes((0.57, 0.2, 0.41, 0.64))
    left.set(xlim=(-REACH, REACH), ylim=(LOW, HIGH), xlabel="input x", title="output")
    right.set(xlim=(-REACH, REACH), ylim=(STEEP_LOW, STEEP_HIGH), xlabel="input x", title="derivative, by autograd")
    bands = []
    for axes, low, high in ((left, LOW, HIGH), (right, STEEP_LOW, STEEP_HIGH)):
        axes.axhline(0, color=GREY, linewidth=1)
        band = PolyCollection([], facecolor=GREY, alpha=0.25, linewidth=0, zorder=0.5, animated=True)
        axes.add_collection(band)
        bands.append((band, low, high))
    # two pieces each, because the derivative may jump at 0
    outputs = [left.plot([], [], color=BLUE, linestyle="-", animated=True)[0] for _ in range(2)]
    steeps = [right.plot([], [], color=RED, linestyle="-", animated=True)[0] for _ in range(2)]
    (tangent,) = left.plot([], [], color=RED, linestyle="--", animated=True)
    (point,) = left.plot([], [], "o", color=BLACK, markersize=7, clip_on=False, animated=True)
    (height,) = right.plot([], [], "o", color=BLACK, markersize=7, clip_on=False, animated=True)
    figure.text(0.07, 0.03, f"grey: |derivative| < {FLAT}    dashed: tangent at x", size=9, color=GREY)
    note = figure.text(0.98, 0.03, "", size=9, ha="right", animated=True)

    def move(activation: Activation) -> None:
        title.set(text=title_of(activation), color=RED if activation.flat else BLACK)
        half = activation.curve.shape[1] // 2
        for part, output, steep in zip((slice(None, half), slice(half, None)), outputs, steeps, strict=True):
            inputs, heights, slopes = activation.curve[:, part]
            output.set_data(inputs, heights)
            steep.set_data(inputs, slopes)
        run = np.array([-2.5, 2.5])
        tangent.set_data(activation.x + run, activation.value + activation.gradient * run)
        point.set_data([activation.x], [activation.value])
        height.set_data([activation.x], [activation.gradient])
        for band, low, high in bands:
            band.set_verts([[(a, low), (b, low), (b, high), (a, high)] for a, b in activation.flat_parts])
        note.set_text(slope_of(activation))

    return move


def title_of(activation: Activation) -> str:
    """The gradient at x, and whether it is too small to learn from."""
    gradient = number(activation.gradient)
    flat = ": flat" if activation.flat else ""
    return f"{activation.function}: gradient at x = {number(activation.x)} is {gradient}{flat}"


def slope_of(activation: Activation) -> str:
    """Where the slope of the negative side comes from."""
    if activation.slope is not None:
        name = "negative_slope" if activation.function == "LeakyReLU" else "the learned weight"
        return f"slope {number(activation.slope)} is {name}"
    if activation.function == "RReLU":
        return "in eval mode the slope is (1/8 + 1/3) / 2"
    return f"{activation.function} has no slope to set"


def describe_activation(activation: Activation) -> str:
    """One sentence: value and gradient at x, and where the function is flat."""
    parts = " and ".join(f"{number(round(a, 2))} to {number(round(b, 2))}" for a, b in activation.flat_parts)
    where = f"between −6 and 6 it is flat from {parts}" if parts else "it is flat nowhere between −6 and 6"
    slope = "" if activation.slope is None else f" with slope {number(activation.slope)}"
    return (
        f"{activation.function}{slope} at x = {number(activation.x)} is {number(activation.value)}, its gradient "
        f"there is {number(activation.gradient)}; {where}."
    )


def activations(
    function: str = "LeakyReLU",
    x: float = -2.0,
    slope: float = 0.1,
    question: str = "For which inputs does hardly any gradient pass?",
) -> Explorer:
    """Ten activation functions, each with its tangent at x and its derivative.

    `function` is one of FUNCTIONS, `x` goes from -6 to 6 in steps of 0.1; `slope`, one of SLOPES, is that of the
    negative side of LeakyReLU and PReLU and stays where it is for the others. Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="Left an activation function with its tangent at x, right its derivative; where the "
        "derivative is below 0.01 the picture is grey: there hardly any gradient passes.",
        controls={
            "x": Control("input x", INPUTS, -2.0, show=number, width=684),
            "slope": Control("slope below 0", SLOPES, 0.1, show=number),
            "function": Control("function", tuple(FUNCTIONS), "LeakyReLU", kind="menu"),
        },
        compute=activate,
        draw=draw_activation,
        describe=describe_activation,
        strip=[{"function": "Sigmoid", "x": 5.0}, {"function": "ReLU"}, {}],
        size=(7.0, 3.5),
        start={"x": x, "slope": slope, "function": function},
        narrow=_held,
    )


def _held(settings: Settings) -> dict[str, tuple]:
    return {"slope": SLOPES if settings["function"] in SLOPED else (settings["slope"],)}


def number(value: float) -> str:
    """`value` with at most three figures, with a real minus and without that of -0."""
    return f"{value + 0.0:.3g}".replace("-", "−")
