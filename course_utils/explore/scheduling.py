"""Explorer: the rate that a scheduler of torch gives sixty epochs, with the formula behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.optim import lr_scheduler

from course_utils import _arguments as given
from course_utils.explore.base import Control, Explorer, Move, Settings, _member, headline
from course_utils.explore.normalizing import check_finite
from course_utils.explore.regression import shown
from course_utils.explore.valley import decade
from course_utils.style import BLACK, BLUE, GREY, RED

BASE_RATE, EPOCHS = 0.1, 60
LENGTHS = (1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 80)
GAMMAS = (0.1, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99)
FLOORS = (0.0, 0.001, 0.01, 0.03, 0.05)
LOWEST = BASE_RATE / 25 / 1e4  # where OneCycleLR ends, with its defaults div_factor=25 and final_div_factor=1e4


@dataclass(frozen=True)
class Schedule:
    """A class of torch.optim.lr_scheduler with two arguments: a number of epochs n, and one value v."""

    arguments: Callable[[int, float], dict]  # of n and v -> the keyword arguments
    rate: Callable[[int, int, float], float]  # the closed form: of epoch, n and v
    formula: Callable[[int, float], str]  # the same in mathematical notation
    values: tuple[float, ...]  # what v may be
    lengths: tuple[int, ...] = LENGTHS  # what n may be; empty: the class takes no number of epochs


def _cosine(high: float, low: float, share: float) -> float:
    return low + (high - low) * (1 + cos(pi * share)) / 2


def _since_restart(t: int, n: int, factor: float) -> tuple[int, int]:
    """The epochs since the last restart, and the length of the present run, after t epochs."""
    while t >= n:
        t, n = t - n, n * int(factor)
    return t, n


def _one_cycle(t: int, n: int, v: float) -> float:
    top = v * n - 1
    if t <= top:
        return _cosine(BASE_RATE / 25, BASE_RATE, t / top)
    return _cosine(BASE_RATE, LOWEST, (t - top) / (n - 1 - top))


SCHEDULES = {
    "StepLR": Schedule(
        lambda n, v: {"step_size": n, "gamma": v},
        lambda t, n, v: BASE_RATE * v ** (t // n),
        lambda n, v: rf"$0.1 \cdot {v:g}^{{\,\lfloor t / {n} \rfloor}}$",
        GAMMAS,
    ),
    "MultiStepLR": Schedule(
        lambda n, v: {"milestones": [n, n + 15], "gamma": v},
        lambda t, n, v: BASE_RATE * v ** ((t >= n) + (t >= n + 15)),
        lambda n, v: rf"$0.1 \cdot {v:g}^{{\,m}}$, where $m$ counts the milestones up to $t$",
        GAMMAS,
    ),
    "ExponentialLR": Schedule(
        lambda n, v: {"gamma": v},
        lambda t, n, v: BASE_RATE * v**t,
        lambda n, v: rf"$0.1 \cdot {v:g}^{{\,t}}$",
        GAMMAS,
        (),
    ),
    "CosineAnnealingLR": Schedule(
        lambda n, v: {"T_max": n, "eta_min": v},
        lambda t, n, v: _cosine(BASE_RATE, v, t / n),
        lambda n, v: rf"${v:g} + (0.1 - {v:g}) \cdot (1 + \cos(\pi t / {n})) \, / \, 2$",
        FLOORS,
    ),
    "LinearLR": Schedule(
        lambda n, v: {"start_factor": v, "total_iters": n},
        lambda t, n, v: BASE_RATE * (v + (1 - v) * min(t, n) / n),
        lambda n, v: rf"$0.1 \cdot ({v:g} + (1 - {v:g}) \cdot \min(t, {n}) \, / \, {n})$",
        (0.01, 0.1, 0.3, 0.5, 0.8),
    ),
    "CosineAnnealingWarmRestarts": Schedule(
        lambda n, v: {"T_0": n, "T_mult": int(v)},
        lambda t, n, v: _cosine(BASE_RATE, 0.0, np.divide(*_since_restart(t, n, v)).item()),
        lambda n, v: (
            rf"$0.1 \cdot (1 + \cos(\pi t' / T)) \, / \, 2$, with $t'$ since the restart, $T = {n}"
            + (rf" \cdot {v:g}^{{\,i}}$" if v > 1 else "$")
        ),
        (1, 2, 3),
    ),
    "OneCycleLR": Schedule(
        lambda n, v: {"max_lr": BASE_RATE, "total_steps": n, "pct_start": v, "cycle_momentum": False},
        _one_cycle,
        lambda n, v: rf"half a cosine up to $0.1$ at $t = {v * n - 1:g}$, another down to $4 \cdot 10^{{-7}}$",
        (0.1, 0.3, 0.5, 0.7, 0.9),
        (20, 30, 40, 50, 60, 80),  # total_steps · pct_start = 1 would be a division by zero in torch
    ),
    "PolynomialLR": Schedule(
        lambda n, v: {"total_iters": n, "power": v},
        lambda t, n, v: BASE_RATE * (1 - min(t, n) / n) ** v,
        lambda n, v: rf"$0.1 \cdot (1 - \min(t, {n}) \, / \, {n})^{{{v:g}}}$",
        (0.5, 0.9, 1, 2, 4),
    ),
}
VALUES = tuple(sorted({value for schedule in SCHEDULES.values() for value in schedule.values}))


@dataclass(frozen=True)
class ScheduledRates:
    """What a scheduler did in 60 epochs, and what its formula says."""

    scheduler: str
    code: str  # the call that makes the scheduler
    formula: str  # the rate in epoch t, in mathematical notation
    rates: np.ndarray  # float64 (60,): the rate of every epoch; shorter when a step() was refused
    closed: np.ndarray  # float64: the formula in the same epochs, as far as it holds
    refusal: str  # torch's error when step() was called too often, or empty


def scheduled_rates(scheduler: str, epochs: int, value: float) -> ScheduledRates:
    """Step one of SCHEDULES through 60 epochs, once after each, from a rate of 0.1; read the rate of each epoch.

    `epochs` is the argument that counts epochs (step_size, the first of two milestones, T_max, T_0, total_iters or
    total_steps; ExponentialLR has none), `value` the other one (gamma, eta_min, start_factor, T_mult, pct_start or
    power). Formulas: the documentation of torch.optim.lr_scheduler. Raises ValueError for a name that is not there,
    epochs below 1 and a value that the class cannot take.
    """
    _member("scheduler", scheduler, tuple(SCHEDULES))
    given.whole(epochs, "epochs")
    check_finite(value=value)
    schedule = SCHEDULES[scheduler]
    _member("value", value, schedule.values)
    if schedule.lengths:
        _member("epochs", epochs, schedule.lengths)
    rates, refusal = _stepped(scheduler, epochs, value)
    valid = min(len(rates), epochs) if scheduler == "OneCycleLR" else len(rates)
    arguments = ", ".join(f"{name}={setting}" for name, setting in schedule.arguments(epochs, value).items())
    return ScheduledRates(
        scheduler=scheduler,
        code=f"{scheduler}(optimizer, {arguments})".replace(", cycle_momentum=False", ", …"),
        formula=schedule.formula(epochs, value),
        rates=rates.copy(),
        closed=np.array([schedule.rate(epoch, epochs, value) for epoch in range(valid)]),
        refusal=refusal,
    )


@lru_cache(maxsize=1024)
def _stepped(scheduler: str, epochs: int, value: float) -> tuple[np.ndarray, str]:
    """The rate of every epoch, and what torch said when it refused a step."""
    with torch.inference_mode(False):
        weight = torch.zeros(1, device="cpu", requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=BASE_RATE, foreach=False)
        stepping = getattr(lr_scheduler, scheduler)(optimizer, **SCHEDULES[scheduler].arguments(epochs, value))
        rates = [stepping.get_last_lr()[0]]
        for _ in range(EPOCHS - 1):
            optimizer.step()  # an epoch of training, without gradients
            try:
                stepping.step()
            except ValueError as error:
                return np.array(rates), str(error)
            rates.append(stepping.get_last_lr()[0])
    return np.array(rates), ""


LOW, HIGH = 1e-7, 0.3  # the log panel; smaller rates are drawn on its edge


def draw_rates(figure: Figure) -> Move:
    """Draw both axes; return what moves the curves, the dots and the words."""
    title = headline(figure)
    formula = figure.text(0.02, 0.86, "", size=11, va="center", animated=True)
    left = figure.add_axes((0.08, 0.265, 0.53, 0.495))
    right = figure.add_axes((0.705, 0.265, 0.275, 0.495))
    left.set(xlim=(-1, EPOCHS), ylim=(-0.004, 0.108), xlabel="epoch t", title="learning rate")
    right.set(xlim=(-1, EPOCHS), ylim=(LOW, HIGH), yscale="log", xlabel="epoch t", title="log scale")
    powers = (-7, -5, -3, -1)
    left.set(xticks=range(0, EPOCHS + 1, 10), yticks=[0, 0.02, 0.04, 0.06, 0.08, 0.1])
    right.set_xticks(range(0, EPOCHS + 1, 20))
    right.set_yticks([10.0**power for power in powers], [decade(power) for power in powers])
    right.minorticks_off()
    curves, dots, crosses = [], [], []
    for axes in (left, right):
        moving = {"clip_on": False, "animated": True}
        curves += axes.plot([], [], color=BLUE, linestyle="-", drawstyle="steps-mid", **moving)
        dots += axes.plot([], [], ".", color=BLACK, markersize=4, zorder=3, **moving)
        crosses += axes.plot([], [], "x", color=RED, markersize=10, markeredgewidth=3, zorder=4, **moving)
    code = figure.text(0.02, 0.09, "", size=10, va="center", family="DejaVu Sans Mono", animated=True)
    figure.text(0.02, 0.03, "line: torch's scheduler, stepped", size=9, color=BLUE, va="center")
    figure.text(0.335, 0.03, "dots: the formula", size=9, va="center")
    note = figure.text(0.98, 0.03, "", size=9, ha="right", va="center", animated=True)

    def move(result: ScheduledRates) -> None:
        title.set(text=title_of(result), color=RED if result.refusal else BLACK)
        formula.set_text(f"rate of epoch $t$:  {result.formula}")
        epochs = np.arange(len(result.rates))
        for place, low in enumerate((0.0, LOW)):
            heights = np.maximum(result.rates, low)
            curves[place].set_data(epochs, heights)
            dots[place].set_data(epochs[: len(result.closed)], np.maximum(result.closed, low))
            crosses[place].set_data(epochs[-1:], heights[-1:])
            crosses[place].set_visible(bool(result.refusal))
        code.set_text(result.code)
        note.set(text=note_of(result), color=RED if result.refusal else GREY)

    return move


def title_of(result: ScheduledRates) -> str:
    """The rate of the last epoch, or the step that was refused."""
    if result.refusal:
        return f"{result.scheduler}: step() number {len(result.rates)} is refused"
    return f"{result.scheduler}: rate {shown(result.rates[-1].item())} in epoch {EPOCHS - 1}"


def note_of(result: ScheduledRates) -> str:
    """How often the scheduler is meant to be stepped, or torch's refusal."""
    if result.refusal:
        return result.refusal.replace(". The specified number of total steps is", "; total_steps is")
    return f"one step() for every {'batch, here one an epoch' if result.scheduler == 'OneCycleLR' else 'epoch'}"


def describe_rates(result: ScheduledRates) -> str:
    """One sentence: the call, the first, highest and last rate, and whether formula and scheduler agree."""
    first, high, last = (shown(rate.item()) for rate in (result.rates[0], result.rates.max(), result.rates[-1]))
    valid = len(result.closed)
    apart = abs(result.rates[:valid] - result.closed).max()
    agreement = "as the formula says" if apart < 1e-12 else f"up to {apart:.1e} from the formula"
    if result.refusal:
        agreement += f" until epoch {valid - 1}; then step() leaves the curve, and the next one is refused"
    return (
        f"{result.code}: rate {first} in epoch 0, at most {high}, {last} in epoch {len(result.rates) - 1}, {agreement}."
    )


def scheduler(
    epochs: int = 20,
    value: float = 0.5,
    scheduler: str = "StepLR",
    question: str = "Which rate will each epoch have, and what do the two arguments of a scheduler change?",
) -> Explorer:
    """Eight schedulers of torch over 60 epochs from a rate of 0.1, each with its formula.

    `scheduler` is one of SCHEDULES; `epochs`, one of LENGTHS, is its argument that counts epochs and stays where it
    is for ExponentialLR, which has none; `value` is its other argument, one of SCHEDULES[scheduler].values. A
    OneCycleLR with fewer total_steps than 60 is stepped too often. Raises ValueError for other values.
    """
    return Explorer(
        question=question,
        description="The learning rate of 60 epochs, once linear and once on a log axis: the line comes from really "
        "stepping torch's scheduler, the dots from its closed formula.",
        controls={
            "epochs": Control("epochs in the argument", LENGTHS, 20),
            "value": Control("other argument", VALUES, 0.5, show="{:g}".format),
            "scheduler": Control("scheduler", tuple(SCHEDULES), "StepLR", kind="menu"),
        },
        compute=scheduled_rates,
        draw=draw_rates,
        describe=describe_rates,
        strip=[
            {},
            {"scheduler": "CosineAnnealingLR", "epochs": 30, "value": 0.001},
            {"scheduler": "OneCycleLR", "epochs": 40, "value": 0.3},
        ],
        size=(7.0, 3.9),
        start={"epochs": epochs, "value": value, "scheduler": scheduler},
        narrow=_taken,
    )


def _taken(settings: Settings) -> dict[str, tuple]:
    schedule = SCHEDULES[settings["scheduler"]]
    return {"epochs": schedule.lengths or (settings["epochs"],), "value": schedule.values}
