"""What holds for every figure helper: it takes tensors from anywhere, changes none, and can be read."""

import random

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from course_utils import bars, curves, grids, surfaces


class Elsewhere(torch.Tensor):
    """A tensor that NumPy cannot read until it was moved to the CPU, as on a graphics card."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func in (torch.Tensor.numpy, torch.Tensor.__array__):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        out = super().__torch_function__(func, types, args, kwargs or {})
        return out.as_subclass(torch.Tensor) if func is torch.Tensor.cpu else out


def make_pair():
    network = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD([{"params": [network.weight]}, {"params": [network.bias], "lr": 0.5}], lr=0.1)
    return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2)


def numbers(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


TITLE = "A title that says the finding, and that is too long for a single line in any one of these figures"
CAPTIONS = ["automobile (predicted: truck)", "airplane, taken for a ship"] * 5
# name: (tensors, call)
HELPERS = {
    "show_grid": ([numbers(10, 3, 8, 8)], lambda x, **k: grids.show_grid(x, CAPTIONS, **k)),
    "show_kernels": ([numbers(4, 3, 5, 5)], grids.show_kernels),
    "show_kernels, slices": ([numbers(4, 6, 3, 3)], grids.show_kernels),
    "show_feature_maps": ([numbers(6, 7, 7)], grids.show_feature_maps),
    "loss_curves": (
        [numbers(20), numbers(15, seed=1)],
        lambda x, y, **k: curves.loss_curves({"one": x, "two": y}, **k),
    ),
    "plot_lr_curves": ([], lambda **k: curves.plot_lr_curves(make_pair, 5, **k)),
    "function_plot": (
        [numbers(9)],
        lambda x, **k: curves.function_plot({"pair": (x, x * 2), "sigmoid": torch.sigmoid}, **k),
    ),
    "line_fit": (
        [numbers(9, 1), numbers(9, 1, seed=1), numbers(2)],
        lambda x, y, line, **k: curves.line_fit(x, y, {"fit": (line[0], line[1]), "start": (1, 0)}, **k),
    ),
    "bar_chart": ([numbers(1), numbers(1, seed=1)], lambda x, y, **k: bars.bar_chart({"a": x, "b": y}, **k)),
    "boundary": (
        [numbers(9, 2), (numbers(9) > 0.5).float(), torch.tensor([1.0, 1.0, -1.0])],
        lambda points, labels, line, **k: curves.boundary(points, labels, {"trained": line}, **k),
    ),
    "descent_paths": (
        [numbers(9, 2), numbers(7, 2, seed=1)],
        lambda a, b, **k: surfaces.descent_paths(lambda w: (w**2).sum(dim=1), {"a": a, "b": b}, **k),
    ),
    "histograms": (
        [numbers(4, 5), numbers(30, seed=1)],
        lambda x, y, **k: curves.histograms({"x": x, "y": y}, **k),
    ),
}
every_helper = pytest.mark.parametrize(("tensors", "call"), HELPERS.values(), ids=HELPERS)


def pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


@every_helper
def test_draws_the_same_for_tensors_elsewhere_that_require_gradients(tensors, call):
    plain = call(*tensors)
    moved = call(*[tensor.clone().as_subclass(Elsewhere).requires_grad_() for tensor in tensors])
    assert repr(moved) == repr(plain)
    assert (pixels(moved) == pixels(plain)).all()


def test_the_stand_in_for_another_device_refuses_numpy():
    with pytest.raises(TypeError, match="numpy"):
        torch.zeros(2).as_subclass(Elsewhere).numpy()


@every_helper
def test_changes_nothing_of_the_users(tensors, call):
    given = [tensor.clone().requires_grad_() for tensor in tensors]
    with matplotlib.rc_context({"font.size": 17.0, "lines.linewidth": 5.0}):
        settings = dict(matplotlib.rcParams)
        states = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())
        call(*given, title=TITLE).png()
        assert dict(matplotlib.rcParams) == settings
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
    for tensor, before in zip(given, tensors, strict=True):
        assert torch.equal(tensor, before) and tensor.requires_grad and tensor.grad is None
    assert torch.is_grad_enabled()
    assert pyplot.get_fignums() == []


@every_helper
def test_looks_the_same_whatever_the_users_settings_are(tensors, call):
    usual = call(*tensors, title=TITLE).png()
    strange = {"axes.titlelocation": "right", "font.size": 25, "lines.linewidth": 9, "legend.frameon": True}
    with matplotlib.rc_context(strange):
        assert call(*tensors, title=TITLE).png() == usual


@every_helper
def test_every_text_is_large_enough_inside_the_figure_and_on_no_other(tensors, call, monkeypatch):
    figure = call(*tensors, title=TITLE)
    canvas = FigureCanvasAgg(figure)
    drawn = {}  # of all texts only those that are really drawn: an axis keeps some for ticks beyond its ends
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda text, *rest: drawn.update({id(text): text}) or draw(text, *rest))
    canvas.draw()
    texts = [text for text in drawn.values() if text.get_visible() and text.get_text().strip()]
    assert TITLE in [" ".join(text.get_text().split()) for text in texts]
    assert min(text.get_fontsize() for text in texts) >= 9
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]
    for i, (words, box) in enumerate(boxes):
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width, f"{words!r} leaves the figure"
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height, f"{words!r} leaves the figure"
        for other, second in boxes[i + 1 :]:
            assert not box.overlaps(second), f"{words!r} lies on {other!r}"


@every_helper
def test_lines_differ_in_more_than_colour(tensors, call):
    for axes in call(*tensors).axes:
        # what has no label belongs to a line that has one: the end of a path
        lines = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
        assert len({line.get_color() for line in lines}) == len(lines)
        assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == len(lines)


@every_helper
def test_the_description_is_one_sentence_with_numbers(tensors, call):
    description = call(*tensors).description
    assert description.endswith(".") and ". " not in description and "\n" not in description
    assert any(character.isdigit() for character in description)


@every_helper
def test_a_title_must_be_a_text(tensors, call):
    with pytest.raises(TypeError, match="title is an int; a text"):
        call(*tensors, title=3)
