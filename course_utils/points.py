"""Points with lines: a straight line fitted to them, and a line that divides two classes of them."""

import numpy as np
import torch

from . import _arguments as given
from ._drawing import counted, finish, significant, span
from .style import BLUE, GREY, LOOK, RED, CourseFigure, figure, look


@look()
def line_fit(
    x: given.Numbers,
    y: given.Numbers,
    lines: dict[str, tuple[float, float]] | None = None,
    x_label: str = "x",
    y_label: str = "y",
    *,
    title: str = "",
) -> CourseFigure:
    """Draw the points `x`, `y`, (N,) or (N, 1) each, and straight lines y = w * x + b, label -> (w, b).

    The description gives each line's mean squared error. Raises TypeError or ValueError for x and y of
    different lengths, NaN or infinity, and lines that are not two finite numbers.
    """
    given.texts(x_label=x_label, y_label=y_label)
    x, y = given.finite_numbers(x, "x"), given.finite_numbers(y, "y")
    given.same_length(x, y, "x", "y")
    sentences, drawing, axes = [], *figure("filled in below")
    axes.plot(x, y, linestyle="", marker="o", markersize=5, color=GREY, label=counted(len(x), "point"))
    for label, line in ({} if lines is None else given.named(lines, "line_fit", "(w, b)")).items():
        w, b = given.finite_tuple(line, "w b", label)
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, w * ends + b, label=label)
        error = np.mean((w * x + b - y) ** 2)
        equation = f"{significant(w)} {x_label} {'+' if b >= 0 else '-'} {significant(abs(b))}"
        sentences.append(f"; {label} is {y_label} = {equation}, mean squared error {significant(error)}")
    drawing.description = f"{counted(len(x), 'point')}, {x_label} {span(x)}, {y_label} {span(y)}{''.join(sentences)}."
    return finish(axes, x_label, y_label, title)


@look()
def boundary(
    points: torch.Tensor,
    labels: given.Numbers,
    weights: dict[str, tuple[float, float, float]] | None = None,
    x_label: str = "x1",
    y_label: str = "x2",
    *,
    title: str = "",
) -> CourseFigure:
    """Draw `points` (N, 2) of two classes, `labels` (N,) of 0 and 1, and lines w1 * x1 + w2 * x2 + b = 0.

    `weights` maps label -> (w1, w2, b). Each line is cut at the edge of the view, which the points decide;
    the description says how many points lie on its wrong side (class 1 belongs where the sum is above 0).
    Raises TypeError or ValueError for other shapes or labels, NaN, and weights (0, 0), which describe no
    line.
    """
    given.texts(x_label=x_label, y_label=y_label)
    if not isinstance(points, (torch.Tensor, np.ndarray)) or points.ndim != 2 or points.shape[1] != 2:
        found = tuple(points.shape) if hasattr(points, "shape") else type(points).__name__
        raise ValueError(f"points is {found}; a tensor of shape (N, 2) is needed, one row for each point")
    xy = given.finite_numbers(points, "points", shaped=True).reshape(-1, 2)
    classes = given.finite_numbers(labels, "labels")
    given.same_length(xy, classes, "points", "labels")
    if not np.isin(classes, (0, 1)).all():
        raise ValueError(f"labels has the values {sorted(set(classes))[:5]}; only the classes 0 and 1 can be drawn")
    margin = 0.08 * np.maximum(np.ptp(xy, axis=0), 1e-6)
    low, high = xy.min(axis=0) - margin, xy.max(axis=0) + margin
    sentences, drawing, axes = [], *figure("filled in below", size=(5.2, 4.2))
    for value, marker, color in ((0, "o", BLUE), (1, "x", RED)):
        chosen = xy[classes == value]
        axes.plot(*chosen.T, linestyle="", marker=marker, markersize=6, color=color, label=f"class {value}")
        sentences.append(f"{len(chosen)} of class {value}")
    cycle = LOOK["axes.prop_cycle"]
    axes.set_prop_cycle(cycle[2:].concat(cycle[:2]))  # the first two colours are those of the classes
    lines = []
    for label, line in ({} if weights is None else given.named(weights, "boundary", "(w1, w2, b)")).items():
        w1, w2, b = given.finite_tuple(line, "w1 w2 b", label)
        if w1 == w2 == 0:
            raise ValueError(f"{label!r} has w1 = w2 = 0, which is no line; one of the two must differ from 0")
        ends = _crossings(w1, w2, b, low, high)
        wrong = int(((xy @ [w1, w2] + b > 0) != (classes == 1)).sum())
        axes.plot(*ends.T, label=label if len(ends) else f"{label} (outside the view)")
        place = "" if len(ends) else "lies outside the view and "
        lines.append(f"; the line of {label} {place}has {counted(wrong, 'point')} on its wrong side")
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    drawing.description = f"{counted(len(xy), 'point')}, {' and '.join(sentences)}{''.join(lines)}."
    return finish(axes, x_label, y_label, title)


def _crossings(w1: float, w2: float, b: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where the line crosses the edges of the rectangle low … high: (2, 2), or (0, 2) if it misses it."""
    (left, bottom), (right, top) = low, high
    found = []
    if w2 != 0:
        found += [(x, -(w1 * x + b) / w2) for x in (left, right)]
    if w1 != 0:
        found += [(-(w2 * y + b) / w1, y) for y in (bottom, top)]
    slack = 1e-9 * (high - low)
    inside = sorted({point for point in found if (low - slack <= point).all() and (point <= high + slack).all()})
    return np.array([inside[0], inside[-1]]) if inside else np.empty((0, 2))
