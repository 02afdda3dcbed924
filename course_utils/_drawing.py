"""What the figure helpers share when they draw: numbers and courses in words, titles and legends that fit."""

import textwrap

import numpy as np
from matplotlib.axes import Axes

from ._arguments import texts
from .style import CourseFigure

TITLE_CHARACTERS_PER_INCH = 11.5  # of the 11 pt title font; a longer title is broken into lines
LEGEND_CHARACTERS_PER_INCH = 13
LEGEND_HANDLE = 7  # characters that the piece of line beside a label takes


def significant(value: float, digits: int = 3) -> str:
    """`value` as text with `digits` significant digits: 0.0123, 27.3, 1230, 1.2e+38."""
    text = f"{value:.{digits}g}"
    if "e" in text and 1 <= abs(value) < 1e6:
        text = f"{float(text):.0f}"
    return "0" if text == "-0" else text


def counted(count: int, word: str) -> str:
    """ "1 step", "100 steps", and "100 values of step (batches)" where the word takes no plain s."""
    if not word.replace(" ", "").isalpha():
        return f"{count} values of {word}"
    return f"{count} {word}" + ("" if count == 1 else "s")


def course(values: np.ndarray) -> str:
    """How a curve runs, in words: "falls from 27.3 to 0.42", with its extremes when it turns on the way."""
    first, last = significant(values[0]), significant(values[-1])
    if np.ptp(values) == 0:
        return f"stays at {first}"
    change = np.diff(values)
    if (change <= 0).all():
        return f"falls from {first} to {last}"
    if (change >= 0).all():
        return f"rises from {first} to {last}"
    verb = "goes" if first == last else "falls" if values[-1] < values[0] else "rises"
    extremes = [("lowest", values.min()), ("highest", values.max())]
    inner = [f"{word} {significant(value)}" for word, value in extremes if value not in (values[0], values[-1])]
    return f"{verb} from {first} to {last}" + (f" ({', '.join(inner)})" if inner else "")


def span(values: np.ndarray) -> str:
    return f"from {significant(values.min())} to {significant(values.max())}"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def set_title(axes: Axes, title: str) -> None:
    """Write `title` above the left end of `axes`, in lines that are no longer than the figure is wide."""
    texts(title=title)
    axes.set_title(textwrap.fill(title, int(axes.figure.get_figwidth() * TITLE_CHARACTERS_PER_INCH)))


def finish(axes: Axes, x_label: str, y_label: str, title: str) -> CourseFigure:
    """Labels, title, and the legend below the axes, where it hides no point."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    set_title(axes, title)
    labels = axes.get_legend_handles_labels()[1]
    fitting = int(axes.figure.get_figwidth() * LEGEND_CHARACTERS_PER_INCH // (max(map(len, labels)) + LEGEND_HANDLE))
    axes.figure.legend(loc="outside lower left", ncols=max(1, min(fitting, len(labels))), handlelength=2.8)
    return axes.figure
