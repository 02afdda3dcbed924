"""Bars: what is drawn, what the description says, and one clear line for all else."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from course_utils.bars import LONGEST_NAME, MOST_BARS, bar_chart

ALEXNET = {
    "features.0": 0.023296,
    "features.3": 0.307392,
    "features.6": 0.663936,
    "features.8": 0.884992,
    "features.10": 0.59008,
    "classifier.1": 37.752832,
    "classifier.4": 16.781312,
    "classifier.6": 4.097,
}


def names(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def lengths(figure):
    return [bar.get_width() for bar in figure.axes[0].patches]


def tops(figure):
    """Where each bar is on the paper, in pixels from below."""
    FigureCanvasAgg(figure).draw()
    return [bar.get_window_extent().y1 for bar in figure.axes[0].patches]


def test_the_bars_are_the_numbers_given_first_at_the_top():
    figure = bar_chart({"conv": 3, "linear": 12.5, "norm": 0.0}, "parameters", "layer", "Linear has most")
    axes = figure.axes[0]
    assert names(figure) == ["conv", "linear", "norm"]
    assert lengths(figure) == [3.0, 12.5, 0.0]
    assert tops(figure) == sorted(tops(figure), reverse=True)
    assert (axes.get_xlabel(), axes.get_ylabel(), figure.get_suptitle()) == ("parameters", "layer", "Linear has most")
    assert [text.get_text() for text in axes.texts] == ["3", "12.5", "0"]
    assert figure.description == "Parameters of 3 layers: conv 3, linear 12.5, norm 0."


def test_a_negative_number_points_to_the_left():
    figure = bar_chart({"gain": 1.0, "loss": -2.0})
    assert lengths(figure) == [1.0, -2.0]
    low, high = figure.axes[0].get_xlim()
    assert low < -2 and high > 1
    assert figure.description == "Value of 2 names: gain 1, loss -2."


def test_bars_begin_at_zero():
    for values in ({"a": 100, "b": 101}, {"a": -100, "b": -101}, {"a": 0, "b": 0}):
        low, high = bar_chart(values).axes[0].get_xlim()
        assert low <= 0 <= high and low < high


def test_numbers_may_come_from_anywhere():
    weight = torch.tensor([2.5], requires_grad=True)
    assert lengths(bar_chart({"a": weight, "b": np.float32(0.5), "c": True})) == [2.5, 0.5, 1.0]
    assert weight.requires_grad and weight.grad is None


def test_the_chart_grows_with_its_bars_and_stays_on_a_page():
    heights = [bar_chart({f"layer {i}": i for i in range(count)}).get_figheight() for count in (1, 8, MOST_BARS)]
    assert heights == sorted(heights) and 1 < heights[0] and heights[-1] < 7


@pytest.mark.parametrize(
    "values",
    [
        ALEXNET,
        {"one": 1.0},
        {"negative and long": -123456.0, "positive": 5.0},
        {f"features.{i}.weight of the net W".ljust(LONGEST_NAME, "W"): 10.0**i for i in range(MOST_BARS)},
    ],
)
def test_every_text_is_large_enough_inside_the_figure_and_on_no_other(values):
    figure = bar_chart(values, "million parameters", "layer", "A title that says the finding, and is long " * 2)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = figure.axes[0]
    ticks = [*axes.get_yticklabels(), *(tick.label1 for tick in axes.xaxis.get_major_ticks() if shown(tick, axes))]
    texts = [*ticks, *axes.texts, axes.xaxis.label, axes.yaxis.label, figure._suptitle]
    assert min(text.get_fontsize() for text in texts) >= 9
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]
    for i, (words, box) in enumerate(boxes):
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width, f"{words!r} leaves the figure"
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height, f"{words!r} leaves the figure"
        for other, second in boxes[i + 1 :]:
            assert not box.overlaps(second), f"{words!r} lies on {other!r}"


def shown(tick, axes):
    low, high = axes.get_xlim()
    return low <= tick.get_loc() <= high


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([1, 2], TypeError, ("dictionary", "a list of length 2")),
        ({}, ValueError, ("empty dictionary",)),
        ({f"{i}": i for i in range(MOST_BARS + 1)}, ValueError, ("21 entries", "at most 20")),
        ({1: 2.0}, TypeError, ("the name 1", "text")),
        ({" ": 2.0}, TypeError, ("the name ' '", "text")),
        ({"a" * (LONGEST_NAME + 1): 2.0}, ValueError, ("33 characters", "shorten")),
        ({"a": "2"}, TypeError, ("'a' is a str", "a number is needed")),
        ({"a": [1.0]}, TypeError, ("'a' is a list of length 1",)),
        ({"a": torch.ones(2)}, TypeError, ("a tensor of shape (2,)",)),
        ({"a": float("nan")}, ValueError, ("'a' is nan", "finite")),
        ({"a": float("inf")}, ValueError, ("'a' is inf", "finite")),
        ({"a": torch.empty(1, device="meta")}, ValueError, ("'a' is on the device 'meta'",)),
    ],
)
def test_anything_else_is_refused_in_one_line(says_in_one_line, values, kind, words):
    says_in_one_line(lambda: bar_chart(values), kind, *words)


@pytest.mark.parametrize("label", ["x_label", "y_label", "title"])
def test_labels_must_be_texts(says_in_one_line, label):
    says_in_one_line(lambda: bar_chart({"a": 1.0}, **{label: 3}), TypeError, f"the {label} is an int")
