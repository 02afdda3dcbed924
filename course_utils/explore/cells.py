"""Tables of square cells with words in them: two moving artists a table, however many cells it has.

One text for every cell would take most of the time of a move, so the words of a table are one outline.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from course_utils.style import BLACK

Colour = str | tuple[float, float, float]
_SQUARE = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, -1.0), (0.0, -1.0)])


class Cells:
    """A table whose upper left corner stands at (left, top); all lengths in inches, as on a `sheet`.

    With `centred`, (left, top) is the middle of the table instead, and it stays there when the table grows. The
    words are of `points` size.
    """

    def __init__(
        self, axes: Axes, left: float, top: float, side: float, centred: bool = False, points: float = 9
    ) -> None:
        self.left, self.top, self.side = left, top, side
        self._centred, self._points = centred, points
        self._shape = (0, 0)
        self._squares = PolyCollection([], linewidth=0.9, zorder=1, animated=True)
        self._words = PathPatch(Path(np.empty((0, 2))), facecolor=BLACK, linewidth=0, zorder=3, animated=True)
        axes.add_collection(self._squares)
        axes.add_patch(self._words)

    def show(
        self,
        words: Sequence[Sequence[str]],
        faces: Sequence[Sequence[Colour]],
        edges: Colour | Sequence[Sequence[Colour]] = BLACK,
    ) -> None:
        """Draw rows of `words` on `faces`; a table without rows is not drawn."""
        self._squares.set_visible(bool(words))
        self._words.set_visible(bool(words))
        if not words:
            return
        self._shape = len(words), len(words[0])
        places = [(row, column) for row in range(self._shape[0]) for column in range(self._shape[1])]
        corners = np.array([self.corner(row, column) for row, column in places])
        self._squares.set_verts(corners[:, None] + self.side * _SQUARE)
        self._squares.set_facecolor([faces[row][column] for row, column in places])
        self._squares.set_edgecolor(edges if isinstance(edges, str) else [edges[r][c] for r, c in places])
        middle = (self.side / 2, -self.side / 2)
        drawn = [
            (_outline(words[row][column], self._points), corner + middle)
            for (row, column), corner in zip(places, corners, strict=True)
            if words[row][column]
        ]
        if drawn:
            vertices = np.concatenate([outline.vertices + place for outline, place in drawn])
            self._words.set_path(Path(vertices, np.concatenate([outline.codes for outline, _ in drawn])))
        else:
            self._words.set_visible(False)

    def corner(self, row: float, column: float) -> tuple[float, float]:
        """The upper left corner of one cell of the table as it was last shown."""
        if self._centred:
            row, column = row - self._shape[0] / 2, column - self._shape[1] / 2
        return self.left + self.side * column, self.top - self.side * row

    def frame(self, row: float, column: float, height: int, width: int) -> tuple[list[float], list[float]]:
        """x and y of a closed line around `height` times `width` cells of the table as it was last shown."""
        x, y = self.corner(row, column)
        right, bottom = x + self.side * width, y - self.side * height
        return [x, right, right, x, x], [y, y, bottom, bottom, y]


def whole_words(rows: Sequence[Sequence[int]]) -> list[list[str]]:
    """Whole numbers as they stand in cells, with a real minus."""
    return [[f"{number}".replace("-", "−") for number in row] for row in rows]


def tint(colour: str, share: float) -> tuple[float, float, float]:
    """`colour` mixed with white; `share` 1 leaves it as it is, 0 is white."""
    return tuple(1 - share + share * part for part in to_rgb(colour))


@cache
def _outline(words: str, points: float) -> Path:
    """The outline of `words` with its middle at (0, 0), in inches."""
    outline = TextPath((0, 0), words, size=points / 72, prop=FontProperties(family="DejaVu Sans"))
    box = outline.get_extents()
    return Path(outline.vertices - ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2), outline.codes)
