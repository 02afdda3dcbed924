"""Explorer: how large are the outputs of sixty layers, for which std of the weights?"""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_utils import _arguments as given
from course_utils.explore.base import Control, Explorer, Move, Settings, _member, headline
from course_utils.explore.normalizing import check_finite
from course_utils.explore.regression import shown
from course_utils.explore.valley import decade
from course_utils.style import BLACK, BLUE, GREEN, GREY, RED

WIDTH, BATCH, MOST_LAYERS = 256, 16, 60
ACTIVATIONS = {"none": lambda x: x, "tanh": torch.tanh, "ReLU": torch.relu}
OWN, DEFAULT = "own std", "nn.Linear's default"
# the std that each scheme gives a weight of 256 × 256; the test holds them against torch.nn.init
SCHEMES: dict[str, float | None] = {
    OWN: None,
    "Xavier, gain 1": sqrt(1 / WIDTH),
    "Xavier, tanh gain": 5 / 3 * sqrt(1 / WIDTH),
    "Kaiming for ReLU": sqrt(2 / WIDTH),
    DEFAULT: sqrt(1 / (3 * WIDTH)),
    "standard normal": 1.0,
    "small normal": 0.01,
}
STDS = tuple(
    sorted({0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.15, 0.2, 0.5, 1.0, *filter(None, SCHEMES.values())})
)
SATURATED = 0.99  # a tanh beyond it lets less than 2 % of the gradient through
GROWN, GONE = 1e3, 1e-3


@dataclass(frozen=True)
class Signal:
    """The outputs of a deep fully connected network, layer by layer."""

    depth: int
    activation: str
    scheme: str
    std: float  # of the weights
    stds: np.ndarray  # float64 (depth + 1,): of the input and of the outputs of every layer; may end in nan
    overflow: int | None  # the first layer with an output that is inf or nan
    zero: int | None  # the first layer whose outputs are all exactly 0
    saturated: float  # the part of the last layer's outputs beyond ±SATURATED, when the activation is tanh

    @property
    def verdict(self) -> str:
        """What has become of the signal, in a few words."""
        last = self.stds[-1]
        if self.overflow is not None:
            return f"overflow: inf or nan from layer {self.overflow} on"
        if self.zero is not None:
            return f"every output is exactly 0 from layer {self.zero} on"
        if last > GROWN or last < GONE:
            return "the outputs explode" if last > GROWN else "the outputs vanish"
        if self.saturated > 0.5:
            return f"saturated: {self.saturated:.0%} of the outputs beyond ±{SATURATED:g}".replace("%", " %")
        return "the signal stays alive"


def layer_stds(depth: int, activation: str = "none", scheme: str = OWN, std: float | None = None) -> Signal:
    """Send 16 standard normal inputs through `depth` layers of 256 × 256 in float32, without bias.

    `activation` is one of ACTIVATIONS, `scheme` one of SCHEMES. `std` is that of the weights for the scheme "own
    std"; the others set their own. Weights are normal, but uniform for the default of nn.Linear. Without
    activation each layer multiplies the variance by 256 std². Weights and inputs come from generators of their
    own, so that equal arguments give equal numbers. Raises ValueError for names that are not there, a depth below
    1 or above 60, an std that is missing, not above 0 or against the scheme's own.
    """
    _member("activation", activation, tuple(ACTIVATIONS))
    _member("scheme", scheme, tuple(SCHEMES))
    if given.whole(depth, "depth") > MOST_LAYERS:
        raise ValueError(f"depth is {depth}; there are weights for at most {MOST_LAYERS} layers, give fewer")
    own = SCHEMES[scheme]
    if std is None and own is None:
        raise ValueError(f"the scheme {OWN!r} needs std, the standard deviation of the weights, such as 0.0625")
    std = own if std is None else std
    check_finite(std=std)
    if std <= 0:
        raise ValueError(f"std = {std!r} is not usable; give a number above 0 such as 0.0625")
    if own is not None and std != own:
        raise ValueError(f"the scheme {scheme!r} sets std {own:.4g} itself; leave std out, or choose {OWN!r}")
    stds, broken, zero, saturated = _propagate(activation, scheme == DEFAULT, float(std))
    return Signal(
        depth=depth,
        activation=activation,
        scheme=scheme,
        std=std,
        stds=np.array(stds[: depth + 1]),
        overflow=broken if broken is not None and broken <= depth else None,
        zero=zero if zero is not None and zero <= depth else None,
        saturated=saturated[depth] if activation == "tanh" else 0.0,
    )


@lru_cache(maxsize=256)
def _propagate(activation: str, uniform: bool, std: float) -> tuple[list[float], int | None, int | None, list[float]]:
    """Through all layers: the stds, the first layer that overflows, the first that is 0, the saturated parts.

    The std is taken in double precision: that of torch in float32 is nan one layer before the outputs are.
    """
    weights, outputs = _weights(uniform), _inputs()
    scale = std * sqrt(3) if uniform else std
    stds, saturated, broken, zero = [outputs.double().std().item()], [0.0], None, None
    for layer in range(1, MOST_LAYERS + 1):
        outputs = ACTIVATIONS[activation](outputs @ (weights[layer - 1].T * scale))
        stds.append(outputs.double().std().item())
        saturated.append((outputs.abs() > SATURATED).double().mean().item())
        if broken is None and not outputs.isfinite().all():
            broken = layer
        if zero is None and not outputs.any():
            zero = layer
    return stds, broken, zero, saturated


@lru_cache(maxsize=2)
def _weights(uniform: bool) -> Tensor:
    """Float32 (60, 256, 256): standard normal, or uniform from -1 to 1; drawn once, because it takes longest."""
    weights = torch.empty(MOST_LAYERS, WIDTH, WIDTH, dtype=torch.float32, device="cpu")
    generator = torch.Generator().manual_seed(1)
    return weights.uniform_(-1, 1, generator=generator) if uniform else weights.normal_(generator=generator)


def _inputs() -> Tensor:
    """Float32 (16, 256), standard normal."""
    return torch.randn(BATCH, WIDTH, generator=torch.Generator().manual_seed(2), dtype=torch.float32, device="cpu")


LARGEST, SMALLEST = 3.4e38, 1.4e-45  # what float32 can hold, apart from 0
TOP, BOTTOM = 1e48, 1e-55


def draw_signal(figure: Figure) -> Move:
    """Draw the axes, all of float32 and a closer look; return what moves the curve and the words."""
    title = headline(figure)
    left = figure.add_axes((0.095, 0.235, 0.395, 0.56))
    right = figure.add_axes((0.6, 0.235, 0.375, 0.56))
    for axes, low, high, powers, name in (
        (left, BOTTOM, TOP, (-40, -20, 0, 20, 40), "std of the outputs"),
        (right, GONE, GROWN, (-3, -2, -1, 0, 1, 2, 3), "the same, from 0.001 to 1000"),
    ):
        axes.set(xlim=(0, MOST_LAYERS + 1), ylim=(low, high), yscale="log", xlabel="layer", title=name)
        axes.set_yticks([10.0**power for power in powers], [decade(power) for power in powers])
        axes.minorticks_off()
        axes.axhline(1, color=GREEN, linestyle=":", linewidth=1.6)
    for low, high, place, words in (
        (LARGEST, TOP, 1e43, "too large for float32"),
        (BOTTOM, SMALLEST, 1e-50, "too small for float32"),
    ):
        left.axhspan(low, high, color=GREY, alpha=0.25, linewidth=0)
        left.text(1, place, words, size=9, color=GREY, va="center")
    curves = [axes.plot([], [], ".-", color=BLUE, markersize=5, animated=True)[0] for axes in (left, right)]
    (cross,) = left.plot([], [], "x", color=RED, markersize=11, markeredgewidth=3, zorder=5, animated=True)
    (end,) = right.plot([], [], "o", color=BLACK, markersize=7, animated=True)
    product = figure.text(0.02, 0.075, "", size=10, va="center", animated=True)
    verdict = figure.text(0.98, 0.075, "", size=10, weight="bold", ha="right", va="center", animated=True)

    def move(signal: Signal) -> None:
        failed = signal.overflow is not None or signal.zero is not None
        title.set(text=title_of(signal), color=RED if failed else BLACK)
        drawable = np.isfinite(signal.stds) & (signal.stds > 0)
        layers, stds = np.flatnonzero(drawable), signal.stds[drawable]
        for curve in curves:
            curve.set_data(layers, stds)
        end.set_data(layers[-1:], stds[-1:])
        end.set_visible(not failed)
        cross.set_visible(failed)
        if failed:
            cross.set_data([signal.overflow or signal.zero], [1e43 if signal.overflow else 1e-50])
        product.set_text(product_of(signal))
        healthy = signal.verdict.startswith("the signal")
        verdict.set(text=signal.verdict, color=GREEN if healthy else RED)

    return move


def title_of(signal: Signal) -> str:
    """The std after the last layer, as it is drawn."""
    return f"std after layer {signal.depth}: {shown(signal.stds[-1].item())}"


def product_of(signal: Signal) -> str:
    """What a layer without activation does to the variance."""
    return f"n · Var(W) = {WIDTH} · {signal.std:.3g}² = {shown(WIDTH * signal.std**2)}"


def describe_signal(signal: Signal) -> str:
    """One sentence: the weights, the std after the last layer, and what has become of the signal."""
    name = "no activation" if signal.activation == "none" else signal.activation
    scheme = "" if signal.scheme == OWN else f" ({signal.scheme})"
    return (
        f"{signal.depth} layer{'s' * (signal.depth > 1)} of {WIDTH} units with {name}, "
        f"weights of std {signal.std:.3g}{scheme}: "
        f"{product_of(signal)}, std after the last layer {shown(signal.stds[-1].item())}; {signal.verdict}."
    )


def initialisation(
    depth: int = 60,
    activation: str = "none",
    std: float | None = None,
    scheme: str = OWN,
    question: str = "Which std of the weights keeps the outputs alive through 60 layers, and for which activation?",
) -> Explorer:
    """The std of the outputs of up to 60 layers of 256 units, for several ways to draw the weights.

    `depth` is 1 to 60, `activation` one of ACTIVATIONS, `scheme` one of SCHEMES; `std`, one of STDS, is free for
    "own std" (1 when it is left out) and set by every other scheme. Raises ValueError for other values.
    """
    if std is None:
        std = SCHEMES.get(scheme) if isinstance(scheme, str) else None
        std = 1.0 if std is None else std
    return Explorer(
        question=question,
        description="The standard deviation of the outputs, layer by layer, on a log axis: each layer multiplies "
        "it by a constant, so that it overflows, vanishes, or stays where it is.",
        controls={
            "depth": Control("depth", tuple(range(1, MOST_LAYERS + 1)), MOST_LAYERS),
            "activation": Control("activation", tuple(ACTIVATIONS), "none", kind="buttons", width=344),
            "std": Control("std of the weights", STDS, 1.0, show="{:.3g}".format),
            "scheme": Control("scheme", tuple(SCHEMES), OWN, kind="menu"),
        },
        compute=layer_stds,
        draw=draw_signal,
        describe=describe_signal,
        strip=[
            {},
            {"activation": "ReLU", "scheme": "Xavier, gain 1", "std": SCHEMES["Xavier, gain 1"]},
            {"activation": "ReLU", "scheme": "Kaiming for ReLU", "std": SCHEMES["Kaiming for ReLU"]},
        ],
        size=(7.0, 3.7),
        start={"depth": depth, "activation": activation, "std": std, "scheme": scheme},
        narrow=_set_by_scheme,
    )


def _set_by_scheme(settings: Settings) -> dict[str, tuple]:
    own = SCHEMES[settings["scheme"]]
    return {"std": STDS if own is None else (own,)}
