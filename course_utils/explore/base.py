"""The base of all explorers: controls on one side, one picture on the other, redrawn within a blink.

An explorer is three plain functions and its controls:

- `compute(**settings) -> result` does the arithmetic and knows nothing of pictures;
- `draw(figure) -> move` draws into an empty figure what never changes, creates what does change with
  `animated=True`, and returns a function `move(result)` that puts the result into these moving artists;
- `describe(result) -> str` says in one sentence what the picture now shows.

The picture is one `ipywidgets.Image` whose bytes are replaced: the figure is kept, its still part is restored
from a copy, only the moving artists are drawn again, and the PNG is written with low compression. Letters take
most of the time, so a text that was drawn before is pasted. The axes are fixed, so whatever moves on the screen
has changed. ipywidgets is imported when an explorer is first shown.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from course_utils._widgets import close_all, close_earlier_run
from course_utils.style import GREY, SMALL, WIDEST, look

KEPT_TEXTS = 200  # of one explorer; a line of text takes about 20 kB

Settings = dict[str, Any]
Move = Callable[[Any], None]


@dataclass(frozen=True)
class Control:
    """What the reader may set: one of `values`, first `start`.

    `kind` is "slider", "menu" (drop-down) or "buttons" (for two or three values); `show` writes a value on
    the screen; `width` is in pixels, 700 of them stand side by side.
    """

    label: str
    values: tuple
    start: Any
    kind: str = "slider"
    show: Callable[[Any], str] = str
    width: int = 340

    def options(self, values: tuple | None = None) -> list[tuple[str, Any]]:
        """The pairs (words, value) that ipywidgets wants, of `values` or of all."""
        return [(self.show(value), value) for value in (self.values if values is None else values)]


class Explorer:
    """A question, its controls and its picture; the last expression of a cell shows it.

    `strip` holds three settings for readers without a kernel: they see these three as still pictures.
    `narrow` tells which values remain possible when some are set (the rows of a tensor depend on its shape);
    a control whose value is no longer possible moves to the last one that is. `start` are settings of the
    caller.

    Raises ValueError for a control that does not exist or a value that it does not have.
    """

    def __init__(
        self,
        question: str,
        description: str,
        controls: dict[str, Control],
        compute: Callable[..., Any],
        draw: Callable[[Figure], Move],
        describe: Callable[[Any], str],
        strip: Sequence[Settings],
        size: tuple[float, float],
        start: Settings | None = None,
        narrow: Callable[[Settings], dict[str, tuple]] | None = None,
    ) -> None:
        if not isinstance(question, str) or not question.strip():
            raise ValueError(f"question {question!r} is not usable; give one sentence, or leave it out")
        self.question, self.description = question, description
        self._specs, self._narrow = controls, narrow
        self._compute, self._draw, self._describe = compute, draw, describe
        self._size = size
        self._start = {name: control.start for name, control in controls.items()}
        self._strip = [self._checked({**self._start, **settings}) for settings in strip]
        self._settings = self._checked({**self._start, **(start or {})})
        self._stage: Stage | None = None
        self._widgets: dict[str, Any] | None = None
        self._adjusting = False

    def __repr__(self) -> str:
        return f"[explorer] {self.question} {self.description}"

    @property
    def settings(self) -> Settings:
        """The present value of every control, as a copy."""
        return dict(self._settings)

    @property
    def result(self) -> Any:
        """What `compute` gives for the present settings."""
        return self._compute(**self._settings)

    @property
    def figure(self) -> Figure:
        """The figure that the picture is made from (outside pyplot, so nobody has to close it)."""
        return self._staged().figure

    @property
    def controls(self) -> dict[str, Any]:
        """The controls by name, as ipywidgets; setting the `.value` of one moves the picture."""
        return self._built()["controls"]

    @property
    def image(self) -> Any:
        """The ipywidgets.Image that holds the picture; its `.value` are the bytes of a PNG."""
        return self._built()["image"]

    @property
    def words(self) -> Any:
        """The ipywidgets.HTML under the picture: one sentence that says what it now shows."""
        return self._built()["words"]

    @property
    def widget(self) -> Any:
        """Everything together: question, controls, picture, sentence."""
        return self._built()["whole"]

    def strip(self) -> bytes:
        """The three still pictures, one below the other with their settings above, as the bytes of a PNG."""
        parts = []
        for settings in self._strip:
            caption = ", ".join(
                # a setting is not broken over two lines: its own spaces do not count as places to break
                f"{spec.label}: {spec.show(settings[name])}".replace(" ", "\N{NO-BREAK SPACE}")
                for name, spec in self._specs.items()
            )
            parts += [_caption(caption, self._size[0]), self._staged().frame(self._compute(**settings))]
        self._staged().frame(self.result)  # the figure shows the present settings again
        together = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)))
        top = 0
        for part in parts:
            together.paste(part, (0, top))
            top += part.height
        strip = png(together, level=9)
        # photographs: 256 colours, chosen for this picture, are enough to see what the controls do
        return png(together.quantize(256), level=9) if len(strip) > SMALL else strip

    def close(self) -> None:
        """Give back widgets and figure; shown again, the explorer starts from its present settings."""
        if self._widgets is not None:
            close_all([*self._widgets.pop("parts"), *self._widgets.pop("controls").values()])
        self._widgets = self._stage = None

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        close_earlier_run(self)
        return {
            **self.widget._repr_mimebundle_(),
            "image/png": b64encode(self.strip()).decode("ascii"),
            "text/plain": repr(self),
        }

    def _checked(self, settings: Settings) -> Settings:
        for name, value in settings.items():
            if name not in self._specs:
                raise ValueError(f"there is no control {name!r}; choose from: {', '.join(self._specs)}")
            settings[name] = _member(name, value, self._specs[name].values)
        for name, values in self._possible(settings).items():
            settings[name] = _member(name, settings[name], values)
        return settings

    def _possible(self, settings: Settings) -> dict[str, tuple]:
        return self._narrow(settings) if self._narrow else {}

    def _staged(self) -> "Stage":
        if self._stage is None:
            self._stage = Stage(self._draw, self._size)
            self._stage.frame(self.result)
        return self._stage

    def _built(self) -> dict[str, Any]:
        if self._widgets is None:
            import ipywidgets

            kinds = {
                "slider": ipywidgets.SelectionSlider,
                "menu": ipywidgets.Dropdown,
                "buttons": ipywidgets.ToggleButtons,
            }
            possible = self._possible(self._settings)
            controls = {
                name: kinds[spec.kind](
                    options=spec.options(possible.get(name)),
                    value=self._settings[name],
                    description=spec.label,
                    tooltip=spec.label,
                    # as wide as their words: three buttons of the usual width take two rows
                    style={"description_width": "initial"}
                    | ({"button_width": "auto"} if spec.kind == "buttons" else {}),
                    layout={"width": f"{spec.width}px"},
                )
                for name, spec in self._specs.items()
            }
            for control in controls.values():
                control.observe(self._moved, names="value")
            width = f"{self._size[0] * 100:.0f}px"
            question = ipywidgets.HTML(f"<b>{escape(self.question)}</b>")
            row = ipywidgets.Box(list(controls.values()), layout={"flex_flow": "row wrap", "width": width})
            image = ipywidgets.Image(format="png", layout={"width": width, "max_width": "100%"})
            words = ipywidgets.HTML(layout={"width": width})
            whole = ipywidgets.VBox([question, row, image, words])
            self._widgets = {
                "controls": controls,
                "image": image,
                "words": words,
                "whole": whole,
                "parts": [whole, question, row, image, words],
            }
            self._show()
        return self._widgets

    def _moved(self, _: object) -> None:
        if self._adjusting or self._widgets is None:  # closed: its controls are of no use any more
            return
        controls = self._built()["controls"]
        settings = {name: control.value for name, control in controls.items()}
        self._adjusting = True  # moving a control below is not the reader's doing
        try:
            for name, values in self._possible(settings).items():
                if settings[name] not in values:
                    settings[name] = values[-1]
                if controls[name].options != tuple(self._specs[name].options(values)):
                    controls[name].options = self._specs[name].options(values)
                    controls[name].value = settings[name]
        finally:
            self._adjusting = False
        self._settings = settings
        self._show()

    def _show(self) -> None:
        result = self.result
        self.image.value = png(self._staged().frame(result), level=1)
        self.words.value = f"<small>{escape(self._describe(result))}</small>"


class Stage:
    """A figure that is drawn once, and whose moving artists are drawn again over a copy of the rest."""

    def __init__(self, draw: Callable[[Figure], Move], size: tuple[float, float]) -> None:
        if not 0 < size[0] <= WIDEST:
            raise ValueError(f"a picture is at most {WIDEST:g} inches wide, not {size[0]:g}; make it narrower")
        with look():
            self.figure = Figure(figsize=size)
            self._canvas = FigureCanvasAgg(self.figure)
            self._move = draw(self.figure)
            self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(self.figure.bbox)
        self._moving = moving_artists(self.figure)
        self._paper = RendererAgg(*self._canvas.get_width_height(), self.figure.dpi)
        self._texts: dict[tuple, tuple[int, int, np.ndarray] | None] = {}

    def frame(self, result: object) -> Image.Image:
        """The picture for `result`, in RGB."""
        with look():
            self._move(result)
            self._canvas.restore_region(self._still)
            for artist in self._moving:
                if type(artist) is Text and artist.get_bbox_patch() is None:
                    self._paste(artist)
                else:
                    self.figure.draw_artist(artist)
        return Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB")

    def _paste(self, text: Text) -> None:
        """Draw `text` from a copy of its pixels, made when it first stood at this place with this look."""
        if not text.get_visible():
            return
        key = (
            text,
            text.get_text(),
            *text.get_transform().transform(text.get_unitless_position()),
            to_hex(text.get_color(), keep_alpha=True),
            text.get_alpha(),
            text.get_fontproperties().copy(),
            text.get_rotation(),
            text.get_ha(),
            text.get_va(),
        )
        if key in self._texts:
            pixels = self._texts.pop(key)
        else:
            pixels = self._inked(text)
            if len(self._texts) == KEPT_TEXTS:  # the first is the one not used for longest
                del self._texts[next(iter(self._texts))]
        self._texts[key] = pixels
        if pixels is not None:
            renderer = self._canvas.get_renderer()
            renderer.draw_image(renderer.new_gc(), *pixels)

    def _inked(self, text: Text) -> tuple[int, int, np.ndarray] | None:
        """The left and lower end of what `text` covers, and its pixels (rows from below, columns, RGBA)."""
        self._paper.clear()
        text.draw(self._paper)
        paper = np.asarray(self._paper.buffer_rgba())
        box = Image.fromarray(paper).getbbox()
        if box is None:
            return None
        left, top, right, bottom = box
        return left, len(paper) - bottom, paper[top:bottom, left:right][::-1].copy()


def moving_artists(figure: Figure) -> list[Artist]:
    """The artists of `figure` that were created with `animated=True`, those in front last."""
    return sorted(figure.findobj(Artist.get_animated), key=Artist.get_zorder)


def headline(figure: Figure) -> Text:
    """The title of a picture, top left; it moves, because it carries the one number to watch."""
    return figure.text(0.02, 0.975, "", size=12, weight="bold", va="top", animated=True)


def sheet(figure: Figure) -> Axes:
    """Axes without a frame that cover the whole figure, measured in inches from the lower left corner."""
    axes = figure.add_axes((0, 0, 1, 1))
    width, height = figure.get_size_inches()
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return axes


def png(picture: Image.Image, level: int) -> bytes:
    """`picture` as the bytes of a PNG file; compression `level` 1 (fast) to 9 (small)."""
    target = BytesIO()
    picture.save(target, format="png", compress_level=level)
    return target.getvalue()


def _caption(words: str, width: float) -> Image.Image:
    lines = wrap(words, int(13 * width))

    def draw(figure: Figure) -> Move:
        return figure.text(0.02, 0.45, "", size=10, va="center", color=GREY, style="italic", animated=True).set_text

    return Stage(draw, (width, 0.12 + 0.18 * len(lines))).frame("\n".join(lines))


def _member(name: str, value: Any, values: tuple) -> Any:
    """`value` as it stands in `values`; ValueError, with what is possible, when it is not there."""
    plain = isinstance(value, (str, int, float))
    if plain and value in values:
        return values[values.index(value)]
    if plain and isinstance(value, (int, float)) and all(isinstance(known, (int, float)) for known in values):
        nearest = min(values, key=lambda known: abs(known - value))
        raise ValueError(
            f"{name} = {value!r} is not on the scale {values[0]} to {values[-1]}; the nearest is {nearest}"
        )
    shown = repr(value) if plain or value is None else f"an object of type {type(value).__name__}"
    raise ValueError(f"{name} = {shown} is not possible; choose from: {', '.join(map(repr, values))}")
