"""One look for all figures, and a figure that says in words what it shows.

Colours are those of Okabe and Ito (2008), chosen so that people with any kind of colour vision can tell them apart;
the figures add line styles and markers, so that nobody depends on colour alone.
"""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageChops, ImageStat

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, GREY = "#CC79A7", "#56B4E9", "#F0E442", "#6B6B6B"
BLACK = "#1A1A1A"
VISIBLE = 2.0  # root mean square difference of a channel, of 255
SMALL = 60_000  # bytes; a larger PNG is worth a second format
WIDEST = 7.0  # inches; wider figures shrink on a projector until nobody can read them

LOOK = {
    "figure.dpi": 100,
    "savefig.dpi": 100,
    # white also on the dark theme: the lines and letters are drawn dark
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": GREY,
    "axes.labelcolor": BLACK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "text.color": BLACK,
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.prop_cycle": cycler(
        color=[BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK], linestyle=["-", "--", "-.", ":", "-", "--", "-."]
    ),
}


class CourseFigure(Figure):
    """A figure outside pyplot (so it is drawn once and never left open) that carries a sentence about itself.

    In a notebook it shows the picture and under it, in small print, `description`; the same sentence is its plain
    text, which is what nbval compares and what a screen reader reads.
    """

    description: str = ""

    def __repr__(self) -> str:
        return f"[figure] {self.description}"

    __str__ = __repr__

    def png(self) -> bytes:
        """The picture as the bytes of a PNG file."""
        target = BytesIO()
        with look():
            self.savefig(target, format="png", bbox_inches="tight", pad_inches=0.04)
        return target.getvalue()

    def picture(self) -> tuple[str, bytes]:
        """MIME type and bytes of the picture, small: a notebook is sent as a whole.

        A JPEG where that takes less than half of a PNG (photographs); otherwise a PNG, of 128 colours where nobody
        sees the difference (lines, bars, grey maps).
        """
        drawn = self.png()
        with Image.open(BytesIO(drawn)) as opened:
            picture = opened.convert("RGB")
        if len(drawn) > SMALL:
            target = BytesIO()
            picture.save(target, format="jpeg", quality=88, subsampling=0)
            if len(target.getvalue()) < len(drawn) / 2:
                return "image/jpeg", target.getvalue()
        fewer = picture.quantize(128, dither=Image.Dither.NONE)
        if max(ImageStat.Stat(ImageChops.difference(picture, fewer.convert("RGB"))).rms) > VISIBLE:
            return "image/png", drawn
        target = BytesIO()
        fewer.save(target, format="png", compress_level=9)
        return "image/png", target.getvalue()

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        kind, picture = self.picture()
        display({kind: picture, "text/plain": repr(self)}, raw=True)
        display(HTML(f"<small>{escape(self.description)}</small>"))


@contextmanager
def look() -> Iterator[None]:
    """Use the course's look inside the block; the reader's own matplotlib settings are back afterwards."""
    with matplotlib.rc_context(LOOK):
        yield


def figure(
    description: str,
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float] = (6.4, 3.2),
    **subplots: object,
) -> tuple[CourseFigure, Axes]:
    """A new figure with `rows` x `columns` axes, as `(figure, axes)`; several axes come as an array.

    `description` is the sentence that stands under the picture: what it shows, and what to see in it. `size` is
    width and height in inches, at most 7 wide. Draw inside `with look():` too, because titles, legends and texts read
    the settings when they are made. Further arguments go to `Figure.subplots` (`sharex=True`, …).
    """
    if not isinstance(description, str) or len(description.split()) < 3:
        raise ValueError("figure needs a description: one sentence that says what the picture shows")
    if not 0 < size[0] <= WIDEST:
        raise ValueError(f"a figure is at most {WIDEST:g} inches wide, this one would be {size[0]:g}; make it narrower")
    with look():
        drawing = CourseFigure(figsize=size, layout="constrained")
        drawing.description = " ".join(textwrap.dedent(description).split())
        axes = drawing.subplots(rows, columns, **subplots)
    return drawing, axes
