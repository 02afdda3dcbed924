"""The look of all figures, and the figure that says what it shows."""

import io

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from PIL import Image

from course_utils import style
from course_utils.style import LOOK, CourseFigure, figure, look

SENTENCE = "Two lines that cross at the value 1."


def contrast(color):
    """Contrast with white as the Web Content Accessibility Guidelines define it, 1 to 21."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


def test_settings_are_the_users_again_after_the_block_and_after_an_error():
    with matplotlib.rc_context({"font.size": 17.0, "axes.facecolor": "black"}):
        before = dict(matplotlib.rcParams)
        with look():
            assert matplotlib.rcParams["font.size"] == LOOK["font.size"] != 17
            matplotlib.rcParams["font.size"] = 3
        assert dict(matplotlib.rcParams) == before
        with pytest.raises(ZeroDivisionError), look():
            _ = 1 / 0
        assert dict(matplotlib.rcParams) == before
        with pytest.raises(TypeError):
            figure(SENTENCE, no_such_argument=1)
        assert dict(matplotlib.rcParams) == before


def test_a_figure_comes_with_one_axes_or_an_array_of_them():
    drawing, axes = figure(SENTENCE)
    assert isinstance(drawing, CourseFigure) and drawing.axes == [axes]
    drawing, grid = figure(SENTENCE, rows=2, columns=3, sharex=True)
    assert grid.shape == (2, 3)
    grid[0, 0].set_xlim(0, 9)
    assert grid[1, 2].get_xlim() == (0, 9)


def test_the_description_is_the_figures_text():
    drawing, _ = figure("  One line\n   of two numbers. ")
    assert repr(drawing) == str(drawing) == "[figure] One line of two numbers."


@pytest.mark.parametrize("description", ["", "   ", "a plot", None, 3])
def test_a_figure_without_a_sentence_is_refused(description):
    with pytest.raises(ValueError, match="needs a description: one sentence"):
        figure(description)


@pytest.mark.parametrize("width", [7.1, 20, 0, -3])
def test_a_figure_that_is_too_wide_is_refused(width):
    with pytest.raises(ValueError, match=f"at most 7 inches wide, this one would be {width:g}"):
        figure(SENTENCE, size=(width, 3))
    assert figure(SENTENCE, size=(7, 3))[0].get_figwidth() == 7


def test_the_png_is_a_white_picture_of_at_most_seven_inches():
    drawing, axes = figure(SENTENCE, size=(7, 3))
    axes.plot([0, 1], [0, 2])
    axes.set_xlabel("a label")
    with matplotlib.rc_context({"savefig.dpi": 300, "savefig.facecolor": "black"}):
        picture = Image.open(io.BytesIO(drawing.png()))
    assert picture.format == "PNG"
    assert 600 < picture.width <= 700 and 200 < picture.height <= 300
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_a_notebook_shows_the_picture_and_the_sentence(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *objects, **options: shown.extend(objects))
    figure("Where a < b, and 3 more.")[0]._ipython_display_()
    picture, text = shown
    assert picture["image/png"].startswith(b"\x89PNG")
    assert picture["text/plain"] == "[figure] Where a < b, and 3 more."
    assert text.data == "<small>Where a &lt; b, and 3 more.</small>"


def test_a_photograph_is_shown_as_jpeg_and_a_drawing_as_png():
    noise = np.random.default_rng(0).random((200, 300, 3))
    photograph, axes = figure(SENTENCE)
    axes.imshow(noise)
    kind, picture = photograph.picture()
    assert kind == "image/jpeg" and len(picture) < len(photograph.png()) / 2
    shown = Image.open(io.BytesIO(picture))
    assert shown.format == "JPEG" and shown.size == Image.open(io.BytesIO(photograph.png())).size
    difference = np.asarray(shown, dtype=float) - np.asarray(Image.open(io.BytesIO(photograph.png())).convert("RGB"))
    assert abs(difference).mean() < 10
    drawing, axes = figure(SENTENCE)
    axes.plot([0, 1], [0, 2])
    kind, picture = drawing.picture()
    assert kind == "image/png" and len(picture) < len(drawing.png())
    difference = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=float) - np.asarray(
        Image.open(io.BytesIO(drawing.png())).convert("RGB")
    )
    assert np.sqrt((difference**2).mean((0, 1))).max() < 2


def test_a_small_picture_of_many_colours_keeps_them():
    drawing, axes = figure(SENTENCE, size=(1.6, 1))
    axes.set_position((0, 0, 1, 1))
    axes.imshow(np.random.default_rng(0).random((40, 60, 3)), aspect="auto")
    assert drawing.picture() == ("image/png", drawing.png())


def test_no_figure_is_left_open_in_pyplot():
    figure(SENTENCE)[0].png()
    assert pyplot.get_fignums() == []


def test_every_text_has_at_least_nine_points():
    sizes = {name: value for name, value in LOOK.items() if name.endswith(("size", "titlesize", "fontsize"))}
    assert {"font.size", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"} <= set(sizes)
    assert min(sizes.values()) >= 9
    drawing, _ = figure(SENTENCE)
    assert min(text.get_fontsize() for text in drawing.findobj(matplotlib.text.Text)) >= 9


@pytest.mark.parametrize("color", [style.BLACK, style.GREY, LOOK["text.color"], LOOK["axes.labelcolor"]])
def test_text_can_be_told_from_the_white_behind_it(color):
    assert contrast(color) >= 4.5


def test_contrast_is_measured_as_the_guidelines_say():
    assert contrast("black") == pytest.approx(21)
    assert contrast("#767676") == pytest.approx(4.54, abs=0.01)


def test_lines_differ_in_colour_and_neighbours_in_style():
    cycle = list(LOOK["axes.prop_cycle"])
    colors = [to_rgb(entry["color"]) for entry in cycle]
    for i, first in enumerate(colors):
        assert contrast(first) >= 1.5
        for second in colors[i + 1 :]:
            assert sum(abs(a - b) for a, b in zip(first, second, strict=True)) > 0.3
    assert len({(entry["color"], entry["linestyle"]) for entry in cycle}) == len(cycle)
    assert len({entry["linestyle"] for entry in cycle[:4]}) == 4
