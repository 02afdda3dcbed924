"""What the two most used figure helpers cost, against the bare calls that they stand for. All are drawn to pixels."""

import warnings
from collections.abc import Callable
from functools import partial

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR
from torchvision.utils import make_grid

from benchmarks.table import Row, compared, cpu_seconds, interleaved
from course_utils import curves, data, grids

ROUNDS = 25
EPOCHS, STEPS_PER_EPOCH = 30, 20


def measure(quick: bool) -> list[Row]:
    rounds = 3 if quick else ROUNDS
    images = data.digits().images[::157, None].float() / 255
    size = grids.show_grid(images).get_size_inches()
    lr = timed(
        {
            "plot_lr_curves": lambda: draw(curves.plot_lr_curves(make, EPOCHS, STEPS_PER_EPOCH)),
            "stepping the bare scheduler": bare_rates,
            "stepping it, and a bare plot": lambda: draw(bare_plot(bare_rates())),
        },
        rounds,
    )
    grid = timed(
        {
            "show_grid": lambda: draw(grids.show_grid(images)),
            "bare make_grid and imshow": lambda: draw(bare_grid(images, size)),
        },
        rounds,
    )
    steps = f"curves.plot_lr_curves, {EPOCHS * STEPS_PER_EPOCH} steps"
    return [
        compared(steps, lr, "plot_lr_curves", "stepping the bare scheduler"),
        compared(steps, lr, "plot_lr_curves", "stepping it, and a bare plot"),
        compared(f"grids.show_grid, {len(images)} digits", grid, "show_grid", "bare make_grid and imshow"),
    ]


def timed(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, ...]]:
    return interleaved({name: partial(cpu_seconds, run) for name, run in contenders.items()}, rounds)


def make() -> tuple[SGD, StepLR]:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    return optimizer, StepLR(optimizer, step_size=100)


def bare_rates() -> list[float]:
    optimizer, scheduler = make()
    rates = []
    with warnings.catch_warnings():
        # as in plot_lr_curves, the optimizer itself does not step
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        for _ in range(EPOCHS * STEPS_PER_EPOCH):
            rates.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
    return rates


def bare_plot(rates: list[float]) -> Figure:
    figure = Figure(figsize=(6.4, 3.2), dpi=100)
    axes = figure.subplots()
    axes.plot(rates)
    axes.set(xlabel="step", ylabel="learning rate")
    return figure


def bare_grid(images: torch.Tensor, size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, dpi=100)
    axes = figure.subplots()
    axes.imshow(make_grid(images).permute(1, 2, 0))
    axes.set_axis_off()
    return figure


def draw(figure: Figure) -> None:
    """Turn the figure into pixels, at its own size."""
    FigureCanvasAgg(figure).draw()
