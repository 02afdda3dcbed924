"""Curves: losses, learning rates, functions, histograms, and from points.py fitted and decision lines.

Every function returns a `CourseFigure` whose description says in numbers what is drawn. Numbers may come as
lists or tensors on any device, with or without gradients; they are read and never changed. Lines differ in
colour and in style, up to seven of them in one figure.
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from . import _arguments as given
from ._drawing import capital, counted, course, finish, significant, span
from .points import boundary, line_fit
from .style import CourseFigure, figure, look

__all__ = ["boundary", "function_plot", "histograms", "line_fit", "loss_curves", "plot_lr_curves"]
Numbers = given.Numbers
MakeScheduler = Callable[[], tuple[Optimizer, LRScheduler]]


@look()
def loss_curves(
    losses: dict[str, Numbers],
    x_label: str = "iteration",
    y_label: str = "loss",
    log: bool = False,
    *,
    title: str = "",
) -> CourseFigure:
    """Draw one curve for each entry of `losses`, label -> list or tensor (N,), against 0, 1, …, N - 1.

    Where a run diverges, its curve ends before the first NaN or infinity, a cross marks the place, and legend
    and description name it. `log` draws a logarithmic y axis. Raises TypeError or ValueError for an empty
    dictionary or list, more than seven curves, things that are no numbers, and values that are not positive
    when `log` is set.
    """
    given.texts(x_label=x_label, y_label=y_label)
    series = {
        label: given.numbers(values, f"{label!r}")
        for label, values in given.named(losses, "loss_curves", "list of losses").items()
    }
    finite = {label: _before_the_first_nan(values) for label, values in series.items()}
    for label, values in finite.items():
        if log and values.size and values.min() <= 0:
            raise ValueError(
                f"{label!r} has the value {values.min():g}, which a logarithmic axis cannot show; leave log=True out"
            )
    lengths = {len(values) for values in series.values()}
    together = f" over {counted(lengths.pop(), x_label)}" if len(lengths) == 1 else ""
    sentences, drawing, axes = [], *figure("filled in below")
    for label, values in series.items():
        curve = finite[label]
        sentence = f"{label} {course(curve)}" if curve.size else label
        if not together:
            sentence += f" over {counted(len(values), x_label)}"
        if curve.size < values.size:
            place = f"{values[curve.size]:g} at {x_label} {curve.size}"
            sentence += f"{', then it' if curve.size else ''} is {place}"
            label += f" ({place})"
        (line,) = axes.plot(curve, label=label, marker="o" if curve.size == 1 else None)
        if curve.size < values.size:
            last = (curve.size - 1, curve[-1]) if curve.size else (0, 1.0 if log else 0.0)
            axes.plot(*last, marker="x", markersize=10, markeredgewidth=2.5, linestyle="", color=line.get_color())
        sentences.append(sentence)
    if log:
        axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    drawing.description = f"{capital(y_label)}{together}: {'; '.join(sentences)}."
    return finish(axes, x_label, y_label, title)


@look()
def plot_lr_curves(
    make: MakeScheduler | dict[str, MakeScheduler],
    epochs: int,
    steps_per_epoch: int = 1,
    *,
    metrics: Numbers | None = None,
    log: bool = False,
    title: str = "",
) -> CourseFigure:
    """Draw the learning rate that each epoch of a training run uses; the run's own scheduler is not touched.

    `make` is a function without arguments that builds and returns a new `(optimizer, scheduler)`; a
    dictionary label -> such functions compares several. With `steps_per_epoch` > 1 the scheduler is stepped
    after each batch, so it shows schedulers such as OneCycleLR. `ReduceLROnPlateau` steps on a value: give
    `metrics`, one for each step (epochs * steps_per_epoch). Each parameter group gets a curve. Random numbers
    drawn by `make` are given back. `log` draws a logarithmic y axis. Raises TypeError or ValueError when `make`
    is no such function or hands out an object that it built before, and for a rate that is not positive when
    `log` is set.
    """
    steps = given.whole(epochs, "epochs") * given.whole(steps_per_epoch, "steps_per_epoch")
    makers = make if isinstance(make, dict) else {"": make}
    if isinstance(make, dict):
        given.named(make, "plot_lr_curves", "function that builds (optimizer, scheduler)")
    values = None if metrics is None else given.numbers(metrics, "metrics")
    if values is not None and len(values) != steps:
        raise ValueError(f"metrics has {len(values)} entries and the scheduler makes {steps} steps; give one for each")
    rates: dict[str, np.ndarray] = {}
    for label, build in makers.items():
        with torch.random.fork_rng(devices=range(torch.accelerator.device_count())):
            name, groups = _rates(build, label, steps, values)
        for i, group in enumerate(groups.T):
            rates[f"{name}, group {i}" if groups.shape[1] > 1 else name] = group
    given.named(rates, "plot_lr_curves", "curve")
    for label, rate in rates.items():
        if log and rate.min() <= 0:
            raise ValueError(
                f"{label!r} has the rate {rate.min():g}, which a logarithmic axis cannot show; leave log=True out"
            )
    x_label = "epoch" if steps_per_epoch == 1 else "step"
    sentences, drawing, axes = [], *figure("filled in below")
    for label, rate in rates.items():
        marker = "o" if steps <= 30 else None
        axes.plot(rate, label=label, marker=marker, markersize=4, drawstyle="steps-post")
        sentences.append(f"{label} {course(rate)}")
    if log:
        axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    drawing.description = f"Learning rate over {counted(steps, x_label)}: {'; '.join(sentences)}."
    return finish(axes, x_label, "learning rate", title)


def _rates(make: MakeScheduler, label: str, steps: int, metrics: np.ndarray | None) -> tuple[str, np.ndarray]:
    """The scheduler's name, and the rates (steps, groups) that the optimizer has when each step begins."""
    if not callable(make):
        raise TypeError(
            f"make is {given.kind(make)}; give a function that builds (optimizer, scheduler), so "
            "that drawing never uses up the scheduler you train with"
        )
    builds = [make(), make()]
    for built in builds:
        fits = isinstance(built, tuple) and len(built) == 2 and isinstance(built[0], Optimizer)
        if not fits or not isinstance(built[1], LRScheduler):
            raise TypeError(f"make must return (optimizer, scheduler), in this order; it returned {given.kind(built)}")
    (optimizer, scheduler), other = builds
    if optimizer is other[0] or scheduler is other[1]:
        raise ValueError(
            "make returned an object it had returned before; build the optimizer and the scheduler inside "
            "make, because drawing a used one would spoil your training"
        )
    if scheduler.optimizer is not optimizer:
        raise ValueError("make returned a scheduler that belongs to another optimizer; return the pair you built")
    plateau = isinstance(scheduler, ReduceLROnPlateau)
    if plateau and metrics is None:
        raise ValueError("ReduceLROnPlateau steps on a value; give metrics=, one number for each step")
    rates = []
    with warnings.catch_warnings():
        # optimizer.step() is left out on purpose: it could move the parameters of the caller's model
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        for step in range(steps):
            rates.append([float(group["lr"]) for group in optimizer.param_groups])
            scheduler.step(*([float(metrics[step])] if plateau else []))
    return label or type(scheduler).__name__, np.array(rates)


@look()
def function_plot(
    functions: dict[str, Callable[[torch.Tensor], torch.Tensor] | tuple[Numbers, Numbers]],
    x_range: tuple[float, float] = (-5.0, 5.0),
    x_label: str = "x",
    y_label: str = "y",
    *,
    points: int = 401,
    title: str = "",
) -> CourseFigure:
    """Draw functions of one variable over `x_range`.

    An entry is a function, called with a float tensor (points,) and giving a tensor of the same shape, or a
    pair (x, y) of N numbers each. Where y is NaN or infinite the curve has a gap. Raises TypeError or
    ValueError for an empty dictionary, a range that is none, results of another shape, and a function without
    one finite value.
    """
    given.texts(x_label=x_label, y_label=y_label)
    low, high = given.interval(x_range, "x_range")
    given.whole(points, "points", least=2)
    curves = {}
    for label, entry in given.named(functions, "function_plot", "function or (x, y)").items():
        if callable(entry):
            x = torch.linspace(low, high, points)
            entry = (x, entry(x.clone()))
        if not isinstance(entry, tuple) or len(entry) != 2:
            raise TypeError(f"{label!r} is neither a function nor a pair (x, y) but {given.kind(entry)}")
        x, y = (given.finite_numbers(entry[0], f"x of {label!r}"), given.numbers(entry[1], f"y of {label!r}"))
        given.same_length(x, y, f"x of {label!r}", f"y of {label!r}")
        if not np.isfinite(y).any():
            raise ValueError(f"{label!r} has no finite value for x from {x[0]:g} to {x[-1]:g}; choose another x_range")
        curves[label] = (x, y)
    spans = {span(x) for x, _ in curves.values()}
    together = f" {spans.pop()}" if len(spans) == 1 else ""
    sentences, drawing, axes = [], *figure("filled in below")
    for label, (x, y) in curves.items():
        shown = np.isfinite(y)
        axes.plot(x, np.where(shown, y, np.nan), label=label)
        sentence = f"{label} {course(y[shown])}"
        if not shown.all():
            sentence += f" ({(~shown).sum()} values are not finite and left out)"
        sentences.append(sentence if together else f"{sentence} for {x_label} {span(x)}")
    drawing.description = f"{capital(y_label)} against {x_label}{together}: {'; '.join(sentences)}."
    return finish(axes, x_label, y_label, title)


@look()
def histograms(
    values: dict[str, torch.Tensor],
    bins: int = 30,
    x_label: str = "value",
    y_label: str = "count",
    *,
    title: str = "",
) -> CourseFigure:
    """Draw how the numbers of each tensor (any shape) spread, as outlines over `bins` shared by all of them.

    Raises TypeError or ValueError for an empty dictionary or tensor, and NaN or infinity.
    """
    given.texts(x_label=x_label, y_label=y_label)
    given.whole(bins, "bins")
    entries = given.named(values, "histograms", "tensor").items()
    series = {label: given.finite_numbers(entry, f"{label!r}", shaped=True) for label, entry in entries}
    edges = np.histogram_bin_edges(np.concatenate(list(series.values())), bins)
    sentences, drawing, axes = [], *figure("filled in below")
    for label, entry in series.items():
        counts = np.histogram(entry, edges)[0]
        axes.plot(np.repeat(edges, 2), np.concatenate([[0], np.repeat(counts, 2), [0]]), label=label)
        mean, deviation = significant(entry.mean()), significant(entry.std())
        sentences.append(
            f"{label} has {counted(len(entry), 'value')} {span(entry)}, mean {mean}, standard deviation {deviation}"
        )
    axes.set_ylim(bottom=0)
    drawing.description = f"Histogram of {x_label}: {'; '.join(sentences)}."
    return finish(axes, x_label, y_label, title)


def _before_the_first_nan(values: np.ndarray) -> np.ndarray:
    """The values before the first that is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(values))
    return values[: bad[0]] if bad.size else values
