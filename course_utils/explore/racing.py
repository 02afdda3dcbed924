"""Explorer: the optimizers of torch.optim on three surfaces, from the same start with the same learning rate."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

import numpy as np
import torch
from matplotlib.figure import Figure

from course_utils.explore.base import Control, Explorer, Move, _member, headline
from course_utils.explore.normalizing import check_finite
from course_utils.explore.regression import shown
from course_utils.explore.valley import FRAME, START, cut, decade
from course_utils.style import BLACK, BLUE, GREEN, GREY, RED


@dataclass(frozen=True)
class Surface:
    """A loss of two numbers, with its gradient written out, and what of it the picture shows."""

    formula: str
    height: Callable  # (x, y) -> loss; for floats and for arrays
    slope: Callable[[float, float], tuple[float, float]]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    frame: tuple[float, float, float, float]  # left, right, bottom, top
    levels: tuple[float, ...]  # of the contour lines


SURFACES = {
    "valley": Surface(
        "(x² + 20 y²) / 2",
        lambda x, y: (x**2 + 20 * y**2) / 2,
        lambda x, y: (x, 20 * y),
        START,
        ((0.0, 0.0),),
        FRAME,
        (0.5, 4, 15, 40, 80, 150, 250, 400),
    ),
    "Rosenbrock": Surface(
        "(1 − x)² + 100 (y − x²)²",
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        lambda x, y: (2 * (x - 1) - 400 * x * (y - x**2), 200 * (y - x**2)),
        (-1.2, 1.0),
        ((1.0, 1.0),),
        (-2.0, 2.0, -1.0, 3.0),
        (0.3, 2, 8, 30, 100, 300, 800, 1600),
    ),
    "saddle": Surface(
        "x² / 2 + (y² − 1)² / 4",
        lambda x, y: x**2 / 2 + (y**2 - 1) ** 2 / 4,
        lambda x, y: (x, y * (y**2 - 1)),
        (-2.0, 0.01),
        ((0.0, 1.0), (0.0, -1.0)),
        (-2.4, 2.4, -1.8, 1.8),
        (0.02, 0.1, 0.25, 0.5, 1, 1.6, 2.4, 3.4),
    ),
}
# the class of torch.optim, and what is not left at its default
OPTIMIZERS: dict[str, tuple[str, dict]] = {
    "SGD": ("SGD", {}),
    "SGD, momentum 0.9": ("SGD", {"momentum": 0.9}),
    "SGD, Nesterov 0.9": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "Adagrad": ("Adagrad", {}),
    "RMSprop": ("RMSprop", {}),
    "Adadelta": ("Adadelta", {}),
    "Adam": ("Adam", {}),
    "AdamW": ("AdamW", {}),
    "Adamax": ("Adamax", {}),
    "NAdam": ("NAdam", {}),
    "RAdam": ("RAdam", {}),
    "ASGD": ("ASGD", {}),
    "Rprop": ("Rprop", {}),
    "LBFGS": ("LBFGS", {"max_iter": 1, "history_size": 10}),  # one look at the gradient a step, like the others
}
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
STEPS = 150
ARRIVED = 1e-3
BEYOND = 1e8  # a loss above it counts as diverged, and the run ends


@dataclass(frozen=True)
class Race:
    """The way of one optimizer over a surface, and that of plain SGD from the same start."""

    surface: str
    optimizer: str
    learning_rate: float
    path: np.ndarray  # float64 (steps done + 1, 2), with the start
    losses: np.ndarray  # float64 (steps done + 1,)
    diverged: int | None  # the step at which the loss went beyond 1e8, or was no number any more
    arrived: int | None  # the step from which on the loss stayed below ARRIVED
    rival_path: np.ndarray  # the same of plain SGD
    rival_losses: np.ndarray


def run_optimizer(surface: str, optimizer: str, learning_rate: float) -> Race:
    """150 steps of one of OPTIMIZERS on one of SURFACES, in double precision.

    The optimizer is that of torch.optim with its defaults, apart from what OPTIMIZERS lists. A run ends early when
    the loss is above 1e8 or no number. Raises ValueError for names that are not there and for a learning rate that
    is not above 0.
    """
    _member("surface", surface, tuple(SURFACES))
    _member("optimizer", optimizer, tuple(OPTIMIZERS))
    check_finite(learning_rate=learning_rate)
    if learning_rate <= 0:
        raise ValueError(f"learning_rate = {learning_rate!r} is not usable; give a number above 0 such as 0.01")
    path, losses = _run(surface, optimizer, float(learning_rate))
    rival_path, rival_losses = _run(surface, "SGD", float(learning_rate))
    above = np.flatnonzero(~(losses < ARRIVED))
    arrived = int(above[-1]) + 1 if len(above) else 0
    return Race(
        surface=surface,
        optimizer=optimizer,
        learning_rate=learning_rate,
        path=path.copy(),
        losses=losses.copy(),
        diverged=None if losses[-1] <= BEYOND else len(losses) - 1,
        arrived=arrived if arrived < len(losses) else None,
        rival_path=rival_path.copy(),
        rival_losses=rival_losses.copy(),
    )


@lru_cache(maxsize=len(SURFACES) * len(OPTIMIZERS) * len(RATES))
def _run(surface: str, optimizer: str, learning_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The path (N, 2) and the losses (N,) until the last step, or the one that diverged."""
    ground = SURFACES[surface]
    name, options = OPTIMIZERS[optimizer]
    if name != "LBFGS":
        options = {**options, "foreach": False}  # two numbers are no work to share
    path, losses = [ground.start], [ground.height(*ground.start)]
    with torch.inference_mode(False), torch.no_grad():
        place = torch.tensor(ground.start, dtype=torch.float64, device="cpu", requires_grad=True)
        runner = getattr(torch.optim, name)([place], lr=learning_rate, **options)

        def look() -> float:
            x, y = place.tolist()
            place.grad = torch.tensor(ground.slope(x, y), dtype=torch.float64, device="cpu")
            return ground.height(x, y)

        for _ in range(STEPS):
            runner.step(look)
            x, y = place.tolist()
            path.append((x, y))
            small = max(abs(x), abs(y)) < 1e60  # also False when one of them is no number; no power overflows
            losses.append(ground.height(x, y) if small else float("inf"))
            if not losses[-1] <= BEYOND:
                break
    return np.array(path), np.array(losses)


LOW, HIGH = 1e-8, 1e4  # losses beyond are drawn on the edge


def on_map(path: np.ndarray, surface: Surface) -> np.ndarray:
    """Points (N, 2) of a surface as parts of its frame: (0, 0) is the lower left corner, (1, 1) the upper right."""
    low, high = np.array(surface.frame[::2]), np.array(surface.frame[1::2])
    return (path - low) / (high - low)


def draw_race(figure: Figure) -> Move:
    """Draw the contour lines of every surface and the axes of the loss; return what moves the rest."""
    title = headline(figure)
    left = figure.add_axes((0.02, 0.14, 0.545, 0.72))
    right = figure.add_axes((0.665, 0.235, 0.315, 0.565))
    left.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    left.spines[:].set_visible(True)
    lines, grid = {}, np.linspace(0, 1, 201)
    for name, ground in SURFACES.items():
        x, y = (np.linspace(*ground.frame[place : place + 2], 201) for place in (0, 2))
        heights = ground.height(*np.meshgrid(x, y))
        lines[name] = left.contour(grid, grid, heights, levels=ground.levels, colors=GREY, linewidths=0.8, alpha=0.7)
        lines[name].set_animated(True)
    right.set(xlim=(0, STEPS), ylim=(LOW, HIGH), yscale="log", xlabel="step", title="loss (log scale)")
    powers = range(-8, 5, 2)
    right.set_yticks([10.0**power for power in powers], [decade(power) for power in powers])
    right.minorticks_off()
    right.axhline(ARRIVED, color=GREEN, linestyle=":", linewidth=1.6)
    moving = {"animated": True}
    (minima,) = left.plot([], [], "*", color=GREEN, markersize=14, zorder=2.5, **moving)
    (start,) = left.plot([], [], "s", color=BLACK, markersize=7, zorder=2.5, **moving)
    dotted = {"color": BLACK, "linestyle": ":", "linewidth": 1.6, "zorder": 2.8, **moving}
    (rival,) = left.plot([], [], **dotted)
    (path,) = left.plot([], [], "o-", color=BLUE, linewidth=1.3, markersize=3, zorder=3, **moving)
    (end,) = left.plot([], [], marker="o", color=RED, markersize=8, zorder=4, **moving)
    (cross,) = left.plot(
        [], [], "x", color=RED, markersize=11, markeredgewidth=3, zorder=4, clip_on=False, animated=True
    )
    (rival_curve,) = right.plot([], [], **dotted)
    (curve,) = right.plot([], [], color=BLUE, linestyle="-", zorder=3, **moving)
    (now,) = right.plot([], [], marker="o", color=RED, markersize=7, clip_on=False, zorder=4, **moving)
    formula = figure.text(0.02, 0.075, "", size=10, va="center", animated=True)
    default = figure.text(0.98, 0.075, "", size=9, color=GREY, ha="right", va="center", animated=True)
    figure.text(
        0.02, 0.025, "star: a minimum    square: the start    dotted: plain SGD", size=9, color=GREY, va="center"
    )
    state = figure.text(0.98, 0.025, "", size=9, ha="right", va="center", animated=True)

    def move(race: Race) -> None:
        ground, plain = SURFACES[race.surface], race.optimizer == "SGD"
        title.set(text=title_of(race), color=BLACK if race.diverged is None else RED)
        for name, contour in lines.items():
            contour.set_visible(name == race.surface)
        minima.set_data(*on_map(np.array(ground.minima), ground).T)
        start.set_data(*on_map(np.array([ground.start]), ground).T)
        drawn = _drawable(race.path, race.losses, ground)
        path.set_data(*drawn.T)
        end.set_data(*drawn[-1:].T)
        cross.set_data(*drawn[-1:].T)
        end.set_visible(race.diverged is None)
        cross.set_visible(race.diverged is not None)
        rival.set_data(*_drawable(race.rival_path, race.rival_losses, ground).T)
        for line, losses in ((curve, race.losses), (rival_curve, race.rival_losses)):
            line.set_data(np.arange(len(losses)), _heights(losses))
        now.set_data([len(race.losses) - 1], _heights(race.losses[-1:]))
        for line in (rival, rival_curve):
            line.set_visible(not plain)
        formula.set_text(f"{race.surface}: {ground.formula}")
        default.set_text(f"torch's default lr: {default_rate(race.optimizer):g}")
        state.set(text=state_of(race), color=BLACK if race.diverged is None else RED)

    return move


def _drawable(path: np.ndarray, losses: np.ndarray, surface: Surface) -> np.ndarray:
    """A path on the map; one that diverged is cut at the frame, the others may leave it and come back."""
    return on_map(path if losses[-1] <= BEYOND else cut(path, surface.frame), surface)


def _heights(losses: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(losses, nan=HIGH, posinf=HIGH), LOW, HIGH)


def default_rate(optimizer: str) -> float:
    """The learning rate that the class of torch.optim takes when none is given."""
    from inspect import signature

    return float(signature(getattr(torch.optim, OPTIMIZERS[optimizer][0])).parameters["lr"].default)


def title_of(race: Race) -> str:
    """The loss after the last step, or the step that diverged."""
    if race.diverged is not None:
        return f"{race.optimizer}: diverged at step {race.diverged}"
    return f"{race.optimizer}: loss {shown(race.losses[-1].item())} after {STEPS} steps"


def state_of(race: Race) -> str:
    """Whether, and when, the loss went below ARRIVED for good."""
    if race.diverged is not None:
        last = race.losses[-1].item()
        return f"last loss {shown(last)}" if isfinite(last) else "last loss beyond every number"
    if race.arrived is not None:
        return f"below {ARRIVED:g} from step {race.arrived} on"
    x, y = on_map(race.path[-1:], SURFACES[race.surface])[0]
    inside = 0 <= x <= 1 and 0 <= y <= 1
    return f"not settled below {ARRIVED:g}" if inside else "ends outside the picture"


def describe_race(race: Race) -> str:
    """One sentence: surface, optimizer and learning rate, where the loss ends, and where that of plain SGD does."""
    last = race.rival_losses[-1].item()
    rival = f"ends at {shown(last)}" if last <= BEYOND else f"diverges at step {len(race.rival_losses) - 1}"
    beside = "" if race.optimizer == "SGD" else f"; plain SGD {rival}"
    return (
        f"{title_of(race)} on the surface {race.surface} with learning rate {race.learning_rate:g}, "
        f"{state_of(race)}{beside}."
    )


def optimizer_race(
    surface: str = "Rosenbrock",
    optimizer: str = "Adam",
    learning_rate: float = 0.3,
    question: str = "With which learning rate does each optimizer get down fastest, and when does it diverge?",
) -> Explorer:
    """150 steps of an optimizer of torch.optim on a surface of two numbers, beside plain SGD.

    `surface` is one of SURFACES, `optimizer` one of OPTIMIZERS, `learning_rate` one of RATES. Raises ValueError for
    other values.
    """
    return Explorer(
        question=question,
        description="Left the path of an optimizer over contour lines, right its loss at every step, with plain SGD "
        "dotted: the same learning rate is too small for one optimizer and too large for another.",
        controls={
            "surface": Control("surface", tuple(SURFACES), "Rosenbrock", kind="buttons", width=684),
            "optimizer": Control("optimizer", tuple(OPTIMIZERS), "Adam", kind="menu"),
            "learning_rate": Control("learning rate", RATES, 0.3, show="{:g}".format),
        },
        compute=run_optimizer,
        draw=draw_race,
        describe=describe_race,
        strip=[
            {},
            {"optimizer": "SGD, momentum 0.9", "learning_rate": 0.01},
            {"surface": "saddle", "learning_rate": 0.03},
        ],
        size=(7.0, 4.0),
        start={"surface": surface, "optimizer": optimizer, "learning_rate": learning_rate},
    )
