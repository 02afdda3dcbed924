"""Surfaces: a function of two variables as a map with contour lines, and the paths that descents take on it."""

from collections.abc import Callable

import numpy as np
import torch

from . import _arguments as given
from ._drawing import counted, finish, significant
from .style import GREY, CourseFigure, figure, look

__all__ = ["descent_paths"]
GRID = 121  # points along each side of the map
LEVELS = 14  # contour lines
MOST_MARKERS = 40  # a longer path is a line without a point for each step


@look()
def descent_paths(
    function: Callable[[torch.Tensor], torch.Tensor],
    paths: dict[str, torch.Tensor],
    x_range: tuple[float, float] = (-2.0, 2.0),
    y_range: tuple[float, float] = (-2.0, 2.0),
    title: str = "",
    *,
    x_label: str = "w1",
    y_label: str = "w2",
) -> CourseFigure:
    """Draw the contour lines of `function` and, on them, each entry of `paths`, label -> points (T, 2), T >= 1.

    `function` is called with float64 points (N, 2) on the CPU and gives their heights (N,). A path starts at its
    first point, and a circle marks its last. Where it leaves the view it is cut off there; where it holds NaN or
    infinity it ends before, with a cross. The contour lines are close to each other near the lowest place. Raises
    TypeError or ValueError for a range that is none, paths of another shape, more than seven paths, and a function
    whose result has another shape or is finite nowhere.
    """
    given.texts(x_label=x_label, y_label=y_label)
    x_range, y_range = given.interval(x_range, "x_range"), given.interval(y_range, "y_range")
    if not callable(function):
        raise TypeError(f"function is {given.kind(function)}; give a function that takes points (N, 2)")
    routes = {label: _path(points, label) for label, points in given.named(paths, "descent_paths", "path").items()}
    x, y = np.linspace(*x_range, GRID), np.linspace(*y_range, GRID)
    heights = _heights(function, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)).reshape(GRID, GRID)
    if not np.isfinite(heights).any():
        raise ValueError("function has no finite value in this view; choose another x_range or y_range")
    heights = np.where(np.isfinite(heights), heights, np.nan)
    sentences, drawing, axes = [], *figure("filled in below", size=(6.4, 4.0))
    lowest, highest = np.nanmin(heights), np.nanmax(heights)
    if highest > lowest:
        levels = lowest + (highest - lowest) * np.linspace(0, 1, LEVELS + 2)[1:-1] ** 3
        axes.contour(x, y, heights, levels=levels, colors=GREY, linewidths=0.7, alpha=0.7)
    for label, route in routes.items():
        finite = _before_the_first_nan(route)
        name = label if len(finite) == len(route) else f"{label} (not finite at step {len(finite)})"
        markers = {"marker": "."} if len(route) <= MOST_MARKERS else {}
        (line,) = axes.plot(*finite.T, label=name, linewidth=1.6, **markers)
        if len(finite):
            sign = "o" if len(finite) == len(route) else "x"
            axes.plot(*finite[-1], marker=sign, markersize=8, linestyle="", color=line.get_color())
        sentences.append(_sentence(label, finite, len(route), _heights(function, finite)))
    axes.set_xlim(*x_range)
    axes.set_ylim(*y_range)
    drawing.description = f"Paths over contour lines: {'; '.join(sentences)}."
    return finish(axes, x_label, y_label, title)


def _path(points: object, label: str) -> np.ndarray:
    """The points of one path as float64 (T, 2)."""
    if isinstance(points, (list, tuple)) and points and all(isinstance(point, torch.Tensor) for point in points):
        raise TypeError(f"{label!r} is {given.kind(points)}; join its points with torch.stack")
    if not isinstance(points, (torch.Tensor, np.ndarray)):
        raise TypeError(f"{label!r} is {given.kind(points)}; a tensor of shape (T, 2) is needed")
    tensor = torch.as_tensor(points)
    if tensor.dim() != 2 or tensor.shape[1] != 2 or not len(tensor):
        raise ValueError(f"{label!r} has shape {tuple(tensor.shape)}; (T, 2) is needed, with at least one point")
    return given.numbers(tensor, repr(label), shaped=True).reshape(-1, 2)


def _heights(function: Callable[[torch.Tensor], torch.Tensor], points: np.ndarray) -> np.ndarray:
    """The function's values (N,) at points (N, 2)."""
    if not len(points):
        return np.empty(0)
    with torch.no_grad():
        found = function(torch.from_numpy(points.copy()))
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != (len(points),):
        raise ValueError(f"function gives {given.kind(found)} for points ({len(points)}, 2); a tensor (N,) is needed")
    return given.numbers(found, "function")


def _before_the_first_nan(route: np.ndarray) -> np.ndarray:
    """The points before the first that is not finite."""
    bad = np.flatnonzero(~np.isfinite(route).all(axis=1))
    return route[: bad[0]] if bad.size else route


def _sentence(label: str, finite: np.ndarray, length: int, heights: np.ndarray) -> str:
    """One path in words: its steps, its ends, and the heights there."""
    if not len(finite):
        return f"{label} starts where nothing is finite"
    first, last = (f"({significant(point[0])}, {significant(point[1])})" for point in (finite[0], finite[-1]))
    steps = counted(len(finite) - 1, "step")
    words = f"{label} goes from {first} to {last} in {steps}"
    words += f", height {significant(heights[0])} to {significant(heights[-1])}"
    return words if len(finite) == length else f"{words}, then it is not finite"
