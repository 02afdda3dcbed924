"""Explorers: their arithmetic against torch, their pictures at every corner, what a viewer without a kernel sees."""

import itertools
import math
import random
import subprocess
import sys
from base64 import b64decode
from io import BytesIO

import ipywidgets
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from ipywidgets.widgets import widget as widget_module
from matplotlib.collections import Collection
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from course_utils import explore
from course_utils.explore import base
from course_utils.explore.logistic import HIGH, LOW
from course_utils.explore.regression import RATES
from course_utils.explore.storage import OPERATIONS, SHAPES

EXPLORERS = [
    explore.strides,
    explore.broadcast,
    explore.graph,
    explore.linear_regression,
    explore.logistic_regression,
    explore.transform_gallery,
    explore.batches,
    explore.normalize,
    explore.affine,
    explore.convolution,
    explore.photo_kernel,
    explore.transposed_convolution,
    explore.pooling,
    explore.activations,
    explore.initialisation,
    explore.loss_curves,
    explore.cross_entropy,
    explore.valley,
    explore.optimizer_race,
    explore.feature_maps,
    explore.grad_cam,
    explore.hidden_digits,
    explore.scheduler,
    explore.plateau,
    explore.dropout,
    explore.normalization_axes,
    explore.sick_curves,
    explore.averaging,
]
# of more corners than this, so many are drawn
MOST_CORNERS, DRAWN_CORNERS = 400, 160
every_explorer = pytest.mark.parametrize("make", EXPLORERS, ids=lambda make: make.__name__)


def texts(explorer: explore.Explorer) -> list[Text]:
    return [text for text in explorer.figure.findobj(Text) if text.get_visible() and text.get_text()]


def words(explorer: explore.Explorer) -> str:
    return " ".join(" ".join(text.get_text().split()) for text in texts(explorer))


def values(control: ipywidgets.Widget) -> list:
    return [value for _, value in control.options]


def corners(explorer: explore.Explorer):
    """Put the controls at every combination of the ends of their scales (of a menu of words: every word).

    Where there are more than MOST_CORNERS, DRAWN_CORNERS of them are drawn, always the same ones, in which every
    end and every word occurs equally often.
    """
    names = list(explorer.controls)
    choices = []
    for name in names:
        known = values(explorer.controls[name])
        choices.append(known if all(isinstance(value, str) for value in known) else [known[0], known[-1]])
    if math.prod(map(len, choices)) <= MOST_CORNERS:
        chosen = itertools.product(*choices)
    else:
        shuffled = random.Random(0)
        columns = [(choice * DRAWN_CORNERS)[:DRAWN_CORNERS] for choice in choices]
        chosen = zip(*(shuffled.sample(column, DRAWN_CORNERS) for column in columns), strict=True)
    for corner in chosen:
        # from the right, so that in `broadcast` the right dimension makes room for the left one
        for name, value in reversed(list(zip(names, corner, strict=True))):
            control = explorer.controls[name]
            control.value = value if value in values(control) else values(control)[-1]
        yield explorer.settings


def assert_drawn_well(explorer: explore.Explorer, settings: dict) -> None:
    box = explorer.figure.bbox
    for artist in explorer.figure.findobj(lambda artist: artist.get_visible()):
        if isinstance(artist, Line2D):
            assert np.isfinite(artist.get_xydata().astype(float)).all(), (settings, artist)
        if isinstance(artist, Collection):
            assert all(np.isfinite(path.vertices).all() for path in artist.get_paths()), (settings, artist)
    for text in texts(explorer):
        assert text.get_size() >= 9, (settings, text)
        place = text.get_window_extent()
        assert box.x0 <= place.x0 and place.x1 <= box.x1 and box.y0 <= place.y0 and place.y1 <= box.y1, (settings, text)


@every_explorer
def test_every_corner_is_drawn_inside_the_picture_with_finite_data(make):
    explorer = make()
    seen = 0
    for settings in corners(explorer):
        assert_drawn_well(explorer, settings)
        assert {name: control.value for name, control in explorer.controls.items()} == settings
        seen += 1
    assert seen >= 4
    assert explorer.figure.get_size_inches()[0] <= 7


@every_explorer
def test_every_control_changes_the_picture_and_the_way_back_restores_it(make):
    explorer = make()
    for name, control in explorer.controls.items():
        before, sentence, start = explorer.image.value, explorer.words.value, explorer.settings
        control.value = next(value for value in values(control) if value != control.value)
        assert explorer.image.value != before, name
        assert explorer.words.value != sentence, name
        for other in reversed(explorer.controls):  # what it narrowed goes back too
            explorer.controls[other].value = start[other]
        assert explorer.image.value == before, name


@every_explorer
def test_pasted_texts_look_as_if_they_were_drawn(make, monkeypatch):
    explorer, drawn = make(), make()
    stage = drawn._staged()
    monkeypatch.setattr(stage, "_paste", stage.figure.draw_artist)
    for name, control in explorer.controls.items():
        # there and back, so that texts are pasted from their copies too
        for value in [*values(control)[:2], control.value]:
            control.value = value
            pasted = np.asarray(Image.open(BytesIO(explorer.image.value)), dtype=int)
            direct = np.asarray(stage.frame(explorer.result), dtype=int)
            assert np.abs(pasted - direct).max() <= 2, (name, value)  # of 255: blending rounds twice


@every_explorer
def test_a_viewer_without_a_kernel_gets_three_pictures_and_a_sentence(make):
    first, second = make()._repr_mimebundle_(), make()._repr_mimebundle_()
    assert first["text/plain"] == second["text/plain"] == repr(make())
    assert first["text/plain"].startswith("[explorer] ") and "\n" not in first["text/plain"]
    assert first["image/png"] == second["image/png"]
    assert "application/vnd.jupyter.widget-view+json" in first
    strip = Image.open(BytesIO(b64decode(first["image/png"])))
    explorer = make()
    one = Image.open(BytesIO(explorer.image.value))
    assert strip.width == one.width <= 700
    assert 3 * one.height < strip.height < 3.5 * one.height
    third = one.height + (strip.height - 3 * one.height) // 3
    parts = {strip.crop((0, k * third, strip.width, (k + 1) * third)).tobytes() for k in range(3)}
    assert len(parts) == 3


@every_explorer
def test_nothing_of_the_reader_is_changed(make):
    torch.manual_seed(3)
    random_state, settings = torch.get_rng_state(), dict(matplotlib.rcParams)
    explorer = make()
    explorer._repr_mimebundle_()
    control = list(explorer.controls.values())[0]
    control.value = values(control)[-1]
    assert torch.equal(torch.get_rng_state(), random_state)
    assert dict(matplotlib.rcParams) == settings
    assert plt.get_fignums() == []


@every_explorer
def test_the_readers_own_look_and_number_type_do_not_reach_the_picture(make):
    usual = make().strip()
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linewidth": 9}), torch.no_grad():
            assert make().strip() == usual
    finally:
        torch.set_default_dtype(before)


@every_explorer
def test_the_strip_leaves_the_present_settings_alone(make):
    explorer = make()
    last = list(explorer.controls.values())[-1]
    last.value = values(last)[0]
    settings, picture, title = explorer.settings, explorer.image.value, words(explorer)
    explorer.strip()
    assert (explorer.settings, explorer.image.value, words(explorer)) == (settings, picture, title)


@every_explorer
def test_closing_gives_everything_back_and_showing_again_starts_afresh(make):
    before = set(widget_module._instances)
    explorer = make()
    picture = explorer.image.value
    first = explorer.widget
    assert len(set(widget_module._instances) - before) > 4
    explorer.close()
    explorer.close()
    assert set(widget_module._instances) == before
    assert explorer.widget is not first
    assert explorer.image.value == picture
    explorer.close()


def test_running_a_cell_again_closes_what_it_showed_before(monkeypatch):
    class Shell:
        def __init__(self, cell: str, run: str) -> None:
            self.parent = {"metadata": {"cellId": cell}, "header": {"msg_id": run}}

        def get_parent(self) -> dict:
            return self.parent

    def show(cell: str, run: str) -> explore.Explorer:
        monkeypatch.setattr("IPython.get_ipython", lambda: Shell(cell, run))
        explorer = explore.graph()
        explorer._repr_mimebundle_()
        return explorer

    monkeypatch.setattr("course_utils._widgets._shown", {})
    first, beside, elsewhere = show("one", "1"), show("one", "1"), show("two", "2")
    alive = [explorer._widgets is not None for explorer in (first, beside, elsewhere)]
    assert alive == [True, True, True]
    again = show("one", "3")
    alive = [explorer._widgets is not None for explorer in (first, beside, elsewhere, again)]
    assert alive == [False, False, True, True]


def test_the_import_alone_does_not_load_ipywidgets():
    code = "import sys; from course_utils import explore; explore.graph(); print('ipywidgets' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "False"


def test_an_error_of_the_arithmetic_is_not_swallowed():
    def compute(n: int) -> float:
        return 1 / n

    explorer = explore.Explorer(
        question="What is 1 / n?",
        description="One over n.",
        controls={"n": explore.Control("n", (0, 1, 2), 1)},
        compute=compute,
        draw=lambda figure: lambda result: None,
        describe=str,
        strip=[],
        size=(2.0, 1.0),
    )
    with pytest.raises(ZeroDivisionError):
        explorer.controls["n"].value = 0


@pytest.mark.parametrize(
    ("make", "arguments", "hint"),
    [
        (explore.strides, {"operation": "a.view(5, 5)"}, "choose from: 'a.view(3, 4)'"),
        (explore.strides, {"row": 3}, "row = 3 is not on the scale 0 to 2; the nearest is 2"),
        (explore.strides, {"column": torch.ones(2)}, "an object of type Tensor"),
        (explore.strides, {"question": ""}, "question '' is not usable"),
        (explore.broadcast, {"a": (2, 7)}, "a1 = 7 is not possible; choose from: 'absent', 1, 2, 3, 4"),
        (explore.broadcast, {"b": [2, 3]}, "give a tuple"),
        (explore.broadcast, {"b": (1, 2, 3, 4)}, "at most three sizes"),
        (explore.broadcast, {"a": (2, "absent")}, "a2 = 2 is not possible; choose from: 'absent'"),
        (explore.graph, {"x": 4}, "x = 4 is not on the scale -3.0 to 3.0; the nearest is 3.0"),
        (explore.graph, {"step": "sideways"}, "choose from: 'forward only', 'after backward'"),
        (explore.linear_regression, {"learning_rate": 0.3}, "learning_rate = 0.3 is not on the scale"),
        (explore.linear_regression, {"steps": "many"}, "steps = 'many' is not possible"),
        (explore.logistic_regression, {"mean_value": float("nan")}, "mean_value = nan is not on the scale"),
        (explore.logistic_regression, {"iterations": 1001}, "the nearest is 1000"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(make, arguments, hint):
    with pytest.raises(ValueError) as caught:
        make(**arguments)
    assert hint in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_control_and_a_picture_too_wide_are_refused():
    explorer = explore.graph()
    with pytest.raises(ValueError, match="there is no control 'z'; choose from: x, w, step"):
        explorer._checked({"z": 1})
    with pytest.raises(ValueError, match="at most 7 inches wide"):
        base.Stage(lambda figure: print, (8.0, 3.0))


# --- strides


def test_storage_cells_are_those_that_torch_reads():
    refused = []
    for operation, make in OPERATIONS.items():
        a = torch.arange(12)
        try:
            tensor = make(a)
        except RuntimeError as error:
            refused.append(operation)
            assert explore.read_storage(operation, 0, 0).refusal == str(error)
            continue
        assert tuple(tensor.shape) == SHAPES[operation]
        for row, column in itertools.product(*map(range, tensor.shape)):
            reading = explore.read_storage(operation, row, column)
            assert reading.storage[reading.cell] == tensor[row, column].item()
            distance = tensor[row, column].data_ptr() - tensor.untyped_storage().data_ptr()
            assert reading.cell == distance // tensor.element_size()
        before = tensor.clone()
        a += 100
        assert reading.shares == (not torch.equal(tensor, before))
        assert reading.contiguous == tensor.is_contiguous()
    assert refused == ["a.view(3, 4).t().view(2, 6)"]


def test_strides_shows_the_formula_and_torchs_refusal():
    explorer = explore.strides("a[4:8].expand(3, 4)", row=2, column=3)
    assert "4 + 2·0 + 3·1 = 7" in words(explorer)
    assert "element [2, 3] reads storage cell 7" in words(explorer)
    explorer.controls["operation"].value = "a.view(3, 4).t().view(2, 6)"
    assert "view size is not compatible with input tensor's size and stride" in words(explorer)
    assert "refused" in words(explorer) and "reads storage cell" not in words(explorer)
    assert "is refused" in explorer.words.value
    explorer.controls["operation"].value = "a.view(3, 4).t().reshape(2, 6)"
    assert "copied" in words(explorer) and "refused" not in words(explorer)


def test_rows_and_columns_follow_the_shape():
    explorer = explore.strides("a.view(4, 3)", row=3, column=0)
    explorer.controls["operation"].value = "a.view(2, 6)"
    assert explorer.settings == {"operation": "a.view(2, 6)", "row": 1, "column": 0}
    assert values(explorer.controls["row"]) == [0, 1]
    assert values(explorer.controls["column"]) == [0, 1, 2, 3, 4, 5]


# --- broadcast


def padded(shape: tuple[int, ...]) -> tuple:
    return (None,) * (3 - len(shape)) + shape


def test_the_broadcasting_rule_is_torchs_for_every_pair_of_shapes():
    shapes = [shape for count in range(4) for shape in itertools.product((1, 2, 3, 4), repeat=count)]
    fitting = 0
    for a, b in itertools.product(shapes, shapes):
        matching = explore.match_shapes(padded(a), padded(b))
        try:
            joined = padded(tuple((torch.ones(a) + torch.ones(b)).shape))
        except RuntimeError:
            joined = None
        assert matching.joined == joined, (a, b)
        assert bool(matching.failing) == bool(matching.refusal) == (joined is None), (a, b)
        fitting += joined is not None
    assert 0 < fitting < len(shapes) ** 2


def test_rules_name_what_is_stretched():
    assert explore.match_shapes((4, 1, 3), (None, 2, 1)).rules == ("added to b", "a stretched", "b stretched")
    assert explore.match_shapes((None, 3, 4), (2, 3, 3)).rules == ("added to a", "equal", "do not fit")
    with pytest.raises(ValueError, match="b has an absent dimension right of a present one"):
        explore.match_shapes((1, 2, 3), (2, None, 3))


def test_broadcast_shows_result_and_failure():
    explorer = explore.broadcast((4, 1, 3), (2, 1))
    assert "the result has 24 elements" in words(explorer) and "result (4, 2, 3)" in words(explorer)
    explorer.controls["b1"].value = 2
    assert "no broadcast: dimension −1 does not fit" in words(explorer)
    assert "do not fit" in words(explorer) and "no result" in words(explorer) and "torch says" in words(explorer)
    assert "neither is 1" in explorer.words.value
    explorer.controls["b1"].value = 3
    assert "no result" not in words(explorer)


def test_nothing_stands_left_of_an_absent_dimension():
    explorer = explore.broadcast((4, 1, 3), (2, 1))
    explorer.controls["a1"].value = "absent"
    assert [explorer.settings[name] for name in ("a3", "a2", "a1")] == ["absent"] * 3
    assert values(explorer.controls["a3"]) == ["absent"]
    explorer.controls["a1"].value = 2
    explorer.controls["a2"].value = 4
    assert [explorer.settings[name] for name in ("a3", "a2", "a1")] == ["absent", 4, 2]


# --- graph


def test_gradients_of_the_graph_are_those_of_calculus():
    h = 1e-6
    for x, w in itertools.product((-3.0, -0.5, 0.0, 2.0, 3.0), repeat=2):
        flow = explore.flow(x, w)
        assert flow.values["y"] == (x + w) * (w + 1)
        assert flow.gradients["w"] == sum(flow.paths) == 2 * w + x + 1
        slope = (explore.flow(x + h, w).values["y"] - explore.flow(x - h, w).values["y"]) / (2 * h)
        assert flow.gradients["x"] == pytest.approx(slope, abs=1e-8)
        assert flow.local["a", "y"] == flow.gradients["a"] == w + 1
        assert flow.local["b", "y"] == flow.gradients["b"] == x + w


def test_graph_shows_gradients_only_after_backward_and_says_when_w_is_stuck():
    explorer = explore.graph(x=1.0, w=-1.0, step="forward only")
    assert "dy/dw" not in words(explorer) and "y = 0" in words(explorer)
    explorer.controls["step"].value = "after backward"
    assert "dy/dw = 0" in words(explorer) and "a step would not move w" in words(explorer)
    explorer.controls["w"].value = 1.0
    assert "dy/dw = 2 · 1 (through a) + 2 · 1 (through b) = 4" in words(explorer)
    assert "a step would not move w" not in words(explorer)


def test_graph_works_where_gradients_are_switched_off():
    with torch.no_grad():
        assert explore.flow(2.0, 1.0).gradients["w"] == 5


def test_the_still_graph_is_drawn_whole_and_described():
    picture = explore.graph_figure(x=2.0, w=1.0)
    assert "dy/dw = 2 through a plus 3 through b, which is 5" in picture.description
    assert not picture.findobj(lambda artist: artist.get_animated())
    assert picture.png() != explore.graph_figure(x=2.0, w=1.0, step="forward only").png()
    for wrong in (float("nan"), True, "2"):
        with pytest.raises(ValueError, match="give a finite number"):
            explore.graph_figure(x=wrong)
    with pytest.raises(ValueError, match="step = 'back' is not possible"):
        explore.graph_figure(step="back")


# --- linear regression


@pytest.mark.parametrize("rate", [0.0005, 0.05, 0.06])
def test_gradient_descent_is_that_of_autograd(rate):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(10)
        x = torch.rand(20, 1) * 10
        y = 2 * x + (5 + torch.randn(20, 1))
        w, b = torch.randn(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([w, b], lr=rate)
    losses = []
    for _ in range(31):
        loss = (0.5 * (y - (w * x + b)) ** 2).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        if len(losses) == 31:
            break
        optimizer.step()
    fit = explore.fit_line(rate, 30)
    assert (fit.w, fit.b) == pytest.approx((w.item(), b.item()), rel=1e-3)
    assert fit.losses == pytest.approx(losses, rel=1e-3)


def test_learning_rates_are_too_small_right_and_too_large():
    verdicts = {rate: explore.fit_line(rate, 200).verdict for rate in RATES}
    assert [rate for rate in RATES if verdicts[rate] == "diverged"] == [0.06, 0.07, 0.08, 0.09, 0.1]
    assert verdicts[0.0005] == "still learning" and verdicts[0.05] == "loss below 1"
    # the old course looked every 20 iterations whether the loss was below 1, and stopped at 80
    losses = explore.fit_line(0.05, 80).losses
    assert losses[80] < 1 <= losses[60]
    assert explore.fit_line(0.05, 80).w == pytest.approx(2.56, abs=0.01)


def test_linear_regression_says_that_it_diverges_and_keeps_its_axes():
    explorer = explore.linear_regression()
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
    explorer.controls["learning_rate"].value = 0.1
    explorer.controls["steps"].value = 1
    assert "diverging" in words(explorer) and "loss 34.6" in words(explorer)
    explorer.controls["steps"].value = 200
    assert "diverged" in words(explorer) and "loss nan" in words(explorer)
    assert "model outside the picture" in words(explorer) and "diverged" in explorer.words.value
    assert [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] == limits
    explorer.controls["learning_rate"].value = 0.05
    assert "loss below 1" in words(explorer) and "outside" not in words(explorer)


# --- logistic regression


def trained_by_torch(
    mean_value: float, bias: float, iterations: int
) -> tuple[torch.Tensor, torch.Tensor, float, float]:
    """The old course's loop with nn.Linear, nn.BCELoss and optim.SGD, and the gradients zeroed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(10)
        ones = torch.ones(100, 2)
        x0 = torch.normal(mean_value * ones, 1) + bias
        y0 = torch.zeros(100)
        x1 = torch.normal(-mean_value * ones, 1) + bias
        y1 = torch.ones(100)
        layer = torch.nn.Linear(2, 1)
    x, y = torch.cat([x0, x1]), torch.cat([y0, y1])
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01, momentum=0.9)
    for iteration in range(iterations + 1):
        prediction = torch.sigmoid(layer(x)).squeeze()
        loss = torch.nn.BCELoss()(prediction, y)
        if iteration == iterations:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    accuracy = (prediction.ge(0.5).float() == y).sum().item() / 2
    return x, torch.cat([layer.weight[0], layer.bias]).detach(), loss.item(), accuracy


@pytest.mark.parametrize(("mean_value", "bias", "iterations"), [(1.7, 1, 380), (0, -5, 100), (5, 20, 60), (1.7, 5, 0)])
def test_training_is_that_of_torch(mean_value, bias, iterations):
    points, parameters, loss, accuracy = trained_by_torch(mean_value, bias, iterations)
    fit = explore.fit_boundary(mean_value, bias, iterations)
    assert np.array_equal(fit.points, points.numpy())
    assert [*fit.weight, fit.offset] == pytest.approx(parameters.tolist(), abs=1e-4)
    assert fit.loss == pytest.approx(loss, abs=1e-4)
    assert fit.accuracies[-1] == pytest.approx(accuracy, abs=0.5)  # at most one point on the line


@pytest.mark.parametrize(("mean_value", "bias", "passed"), [(1.7, 1, 380), (1.7, 0, 40), (5, 1, 0)])
def test_the_homework_passes_99_per_cent_when_the_syllabus_says(mean_value, bias, passed):
    assert explore.fit_boundary(mean_value, bias, 1000).passed == pytest.approx(passed, abs=20)


@pytest.mark.parametrize(
    ("mean_value", "bias", "accuracy"), [(1.7, 5, 99), (1.7, -5, 99), (1.7, 20, 92), (1.0, 1, 91), (5, 1, 100)]
)
def test_the_homework_stops_where_the_syllabus_says(mean_value, bias, accuracy):
    assert explore.fit_boundary(mean_value, bias, 1000).accuracies[-1] == pytest.approx(accuracy, abs=0.5)


def test_the_loss_at_iteration_380_is_that_of_the_syllabus():
    assert explore.fit_boundary(1.7, 1, 380).loss == pytest.approx(0.049, abs=0.002)


@pytest.mark.parametrize(("mean_value", "bias"), list(itertools.product((0.0, 5.0), (-5, 20))))
def test_all_points_and_accuracies_lie_inside_the_fixed_axes(mean_value, bias):
    fit = explore.fit_boundary(mean_value, bias, 1000)
    assert LOW < fit.points.min() and fit.points.max() < HIGH
    assert fit.accuracies.min() >= 40


def test_the_boundary_is_where_the_probability_is_a_half():
    explorer = explore.logistic_regression()
    fit = explorer.result
    (line,) = [line for line in explorer.figure.axes[0].lines if line.get_label() == "boundary"]
    scores = line.get_xydata() @ fit.weight + fit.offset
    assert scores == pytest.approx([0, 0], abs=1e-3)
    assert np.ptp(line.get_xydata(), axis=0).max() > HIGH - LOW


def test_logistic_regression_says_whether_99_per_cent_is_passed():
    explorer = explore.logistic_regression(iterations=360)
    assert "99 % not passed after 360 iterations" in words(explorer)
    explorer.controls["iterations"].value = 1000
    assert "passed 99 % at iteration 380" in words(explorer) and "accuracy 100 %" in words(explorer)
    explorer.controls["bias"].value = 20
    assert "99 % not passed after 1000 iterations" in words(explorer) and "not passed" in explorer.words.value


def test_a_control_moved_after_closing_does_nothing():
    explorer = explore.graph()
    slider = explorer.controls["w"]
    explorer.close()
    slider.value = slider.options[0] if not isinstance(slider.options[0], tuple) else slider.options[0][1]
    assert explorer._widgets is None
