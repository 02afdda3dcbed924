"""Bars: one number for each of several names, with the number written at the end of its bar."""

import textwrap

import numpy as np

from . import _arguments as given
from ._drawing import TITLE_CHARACTERS_PER_INCH, capital, counted, significant
from .style import BLUE, CourseFigure, figure, look

MOST_BARS = 20
LONGEST_NAME = 32  # characters
BAR_HEIGHT = 0.28  # inches that one bar and the gap below it take
FRAME_HEIGHT = 0.9  # inches for title, axis and its label


@look()
def bar_chart(values: dict[str, float], x_label: str = "value", y_label: str = "name", title: str = "") -> CourseFigure:
    """Draw one horizontal bar for each entry of `values`, name -> number, the first at the top.

    `x_label` says what the numbers are and `y_label` what the names are ("million parameters", "layer"). A number may
    be negative, or a tensor with one element. The description lists all of them. Raises TypeError or ValueError for
    an empty dictionary, more than 20 bars, names of more than 32 characters, names and labels that are no texts, and
    NaN or infinity.
    """
    given.texts(x_label=x_label, y_label=y_label, title=title)
    numbers = _numbers(values)
    names, lengths = list(numbers), np.array(list(numbers.values()))
    listed = ", ".join(f"{name} {significant(length)}" for name, length in numbers.items())
    description = f"{capital(x_label)} of {counted(len(names), y_label)}: {listed}."
    drawing, axes = figure(description, size=(6.4, FRAME_HEIGHT + BAR_HEIGHT * len(names)))
    drawn = axes.barh(names, lengths, height=0.7, color=BLUE)
    axes.bar_label(drawn, [significant(length) for length in lengths], padding=3, fontsize=9)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    # room for the numbers; a chart of zeros only has no length to take a share of
    axes.margins(x=0.18)
    if not lengths.any():
        axes.set_xlim(0, 1)
    axes.locator_params(axis="x", nbins=5)  # more do not fit when names and numbers are long
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    # from the left end of the figure: the names may push the axes far to the right
    lines = textwrap.fill(title, int(drawing.get_figwidth() * TITLE_CHARACTERS_PER_INCH))
    drawing.suptitle(lines, x=0.01, ha="left", fontsize=11)
    return drawing


def _numbers(values: object) -> dict[str, float]:
    """The entries as name -> finite float, after a look at how they were given."""
    if not isinstance(values, dict):
        raise TypeError(f'bar_chart needs a dictionary {{"name": number}}, not {given.kind(values)}')
    if not values:
        raise ValueError('bar_chart got an empty dictionary; give at least one {"name": number}')
    if len(values) > MOST_BARS:
        raise ValueError(f"bar_chart got {len(values)} entries; at most {MOST_BARS} can be read, draw fewer")
    for name in values:
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"bar_chart got the name {name!r}; every name must be a text")
        if len(name) > LONGEST_NAME:
            raise ValueError(
                f"the name {name[:20]!r}… has {len(name)} characters; {LONGEST_NAME} are the most, shorten it"
            )
    numbers = {name: given.number(value, repr(name)) for name, value in values.items()}
    for name, number in numbers.items():
        if not np.isfinite(number):
            raise ValueError(f"{name!r} is {number:g}; every bar needs a finite number")
    return numbers
