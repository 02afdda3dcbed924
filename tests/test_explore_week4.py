"""The explorers of week 4: their arithmetic against torch's own modules, slow loops and closed forms."""

import itertools
import math
from importlib import import_module

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.text import Text
from torch import nn

from course_utils import explore
from course_utils.explore import crossing, initialising, loss_curving, racing
from course_utils.style import ORANGE

# in the package this name is that of the explorer
valley = import_module("course_utils.explore.valley")


def words(explorer: explore.Explorer) -> str:
    shown = (text.get_text() for text in explorer.figure.findobj(Text) if text.get_visible())
    return " ".join(" ".join(text.split()) for text in shown if text)


def marked(explorer: explore.Explorer, marker: str) -> list:
    """The visible lines with this marker."""
    lines = [line for axes in explorer.figure.axes for line in axes.lines]
    return [line for line in lines if line.get_marker() == marker and line.get_visible()]


# --- initialisation

INITIALISERS = {
    "standard normal": lambda weight, source: nn.init.normal_(weight, generator=source),
    "small normal": lambda weight, source: nn.init.normal_(weight, std=0.01, generator=source),
    "Xavier, gain 1": lambda weight, source: nn.init.xavier_normal_(weight, generator=source),
    "Xavier, tanh gain": lambda weight, source: nn.init.xavier_normal_(
        weight, nn.init.calculate_gain("tanh"), generator=source
    ),
    "Kaiming for ReLU": lambda weight, source: nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=source),
    "nn.Linear's default": lambda weight, source: nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=source),
}
MODULES = {"none": nn.Identity(), "tanh": nn.Tanh(), "ReLU": nn.ReLU()}


@pytest.mark.parametrize("scheme", INITIALISERS)
def test_layer_stds_are_those_of_linear_layers_after_torchs_initialisers(scheme):
    source = torch.Generator().manual_seed(1)
    layers = [nn.Linear(256, 256, bias=False) for _ in range(12)]
    for layer in layers:
        INITIALISERS[scheme](layer.weight, source)
    for activation, module in MODULES.items():
        inputs = torch.randn(16, 256, generator=torch.Generator().manual_seed(2))
        expected = [inputs.std().item()]
        with torch.no_grad():
            for layer in layers:
                inputs = module(layer(inputs))
                expected.append(inputs.std().item())
        assert explore.layer_stds(12, activation, scheme).stds == pytest.approx(expected, rel=2e-3), activation


def test_the_default_of_a_linear_layer_has_the_std_of_the_scheme():
    weight = nn.Linear(256, 256).weight
    assert weight.std().item() == pytest.approx(initialising.SCHEMES[initialising.DEFAULT], rel=0.02)


def test_a_layer_without_activation_multiplies_the_variance_by_n_var_w():
    for std in (0.03, 0.0625, 0.15):
        stds = explore.layer_stds(10, "none", std=std).stds
        assert stds[1:] / stds[:-1] == pytest.approx(16 * std, rel=0.06)


def test_the_first_layer_that_overflows_and_the_first_that_is_zero_are_found():
    weights, inputs = initialising._weights(False), initialising._inputs()
    first = None
    for layer in range(1, 61):
        inputs = inputs @ weights[layer - 1].T
        if first is None and not bool(torch.isfinite(inputs).all()):
            first = layer
    signal = explore.layer_stds(60, "none", "standard normal")
    assert signal.overflow == first and 30 < first < 34
    assert np.isfinite(signal.stds[:first]).all() and not np.isfinite(signal.stds[first:]).any()
    assert explore.layer_stds(first - 1, "none", std=1.0).overflow is None
    small = explore.layer_stds(60, "none", "small normal")
    assert small.stds[small.zero - 1] > 0 and not small.stds[small.zero :].any()
    assert small.zero == pytest.approx(math.log(1.4e-45) / math.log(0.16), abs=2)


@pytest.mark.parametrize(
    ("activation", "scheme", "low", "high", "verdict"),
    [
        ("none", "Xavier, gain 1", 0.3, 3, "stays alive"),
        ("tanh", "Xavier, tanh gain", 0.6, 0.7, "stays alive"),  # 0.65 in the syllabus
        ("ReLU", "Kaiming for ReLU", 0.2, 3, "stays alive"),
        ("ReLU", "Xavier, gain 1", 1e-11, 1e-8, "vanish"),
        ("ReLU", "Xavier, tanh gain", 1e3, 1e6, "explode"),
        ("ReLU", initialising.DEFAULT, 0, 1e-15, "vanish"),
        ("tanh", "standard normal", 0.9, 1, "saturated"),
    ],
)
def test_the_signal_ends_where_the_theory_of_each_scheme_says(activation, scheme, low, high, verdict):
    signal = explore.layer_stds(60, activation, scheme)
    assert low < signal.stds[-1] < high and verdict in signal.verdict


def test_the_saturated_part_is_that_of_a_normal_pre_activation():
    share = explore.layer_stds(1, "tanh", "standard normal").saturated
    assert share == pytest.approx(math.erfc(math.atanh(0.99) / 16 / math.sqrt(2)), abs=0.02)


def test_initialisation_marks_the_failure_by_a_cross_and_in_words():
    explorer = explore.initialisation()
    assert "std after layer 60: nan" in words(explorer) and "overflow: inf or nan from layer 32 on" in words(explorer)
    assert marked(explorer, "x")[0].get_xdata()[0] == 32 and marked(explorer, "x")[0].get_ydata()[0] > 3.4e38
    curve = marked(explorer, ".")[0]
    assert curve.get_xdata()[-1] == 31 and curve.get_ydata()[-1] == pytest.approx(explorer.result.stds[31])
    explorer.controls["depth"].value = 31
    assert "overflow" not in words(explorer) and "the outputs explode" in words(explorer)
    assert not marked(explorer, "x")
    explorer.controls["depth"].value = 60
    explorer.controls["scheme"].value = "small normal"
    assert marked(explorer, "x")[0].get_ydata()[0] < 1.4e-45 and "exactly 0 from layer 57 on" in words(explorer)


def test_a_scheme_sets_the_slider_of_the_std_and_own_std_frees_it():
    explorer = explore.initialisation(scheme="Kaiming for ReLU", activation="ReLU")
    assert explorer.settings["std"] == math.sqrt(2 / 256) and len(explorer.controls["std"].options) == 1
    assert "n · Var(W) = 256 · 0.0884² = 2" in words(explorer) and "the signal stays alive" in words(explorer)
    explorer.controls["scheme"].value = initialising.OWN
    assert explorer.settings["std"] == math.sqrt(2 / 256)
    assert len(explorer.controls["std"].options) == len(initialising.STDS)


# --- loss curves

LOSS_MODULES = {
    "MSE": lambda p: nn.MSELoss(),
    "L1": lambda p: nn.L1Loss(),
    "SmoothL1": lambda p: nn.SmoothL1Loss(beta=p),
    "Huber": lambda p: nn.HuberLoss(delta=p),
    "SoftMargin (logistic)": lambda p: nn.SoftMarginLoss(),
    "BCEWithLogits, target 1": lambda p: nn.BCEWithLogitsLoss(pos_weight=torch.tensor(p, dtype=torch.float64)),
}
BY_HAND = {
    "MSE": lambda x, p: x**2,
    "L1": lambda x, p: abs(x),
    "SmoothL1": lambda x, p: x**2 / (2 * p) if abs(x) < p else abs(x) - p / 2,
    "Huber": lambda x, p: x**2 / 2 if abs(x) < p else p * (abs(x) - p / 2),
    "MarginRanking (hinge)": lambda x, p: max(0, p - x),
    "SoftMargin (logistic)": lambda x, p: math.log1p(math.exp(-x)),
    "BCEWithLogits, target 1": lambda x, p: p * math.log1p(math.exp(-x)),
}


@pytest.mark.parametrize("loss", loss_curving.LOSSES)
def test_losses_are_those_of_the_modules_and_of_the_formulas(loss):
    for x, parameter in itertools.product((-3.0, -0.7, 0.4, 1.9, 2.9), (0.25, 1.0, 2.0)):
        at = explore.loss_and_gradient(loss, x, parameter)
        assert at.value == pytest.approx(BY_HAND[loss](x, parameter), abs=1e-9)
        slope = (BY_HAND[loss](x + 1e-6, parameter) - BY_HAND[loss](x - 1e-6, parameter)) / 2e-6
        assert at.gradient == pytest.approx(slope, abs=1e-5)
        place = torch.tensor([x], dtype=torch.float64)
        if loss == "MarginRanking (hinge)":
            value = nn.MarginRankingLoss(margin=parameter)(place, torch.zeros(1), torch.ones(1))
        else:
            target = torch.zeros(1) if loss_curving.LOSSES[loss].axis == loss_curving.ERROR else torch.ones(1)
            value = LOSS_MODULES[loss](parameter)(place, target.double())
        assert at.value == pytest.approx(value.item(), abs=1e-9)
    places, values, gradients = at.curve
    assert values == pytest.approx([BY_HAND[loss](x, at.parameter or 1) for x in places], abs=1e-6)
    # between neighbours the loss grows by a mean of both gradients, but for the step over a kink
    growth = np.delete(np.diff(values), 299)
    means = np.delete((gradients[1:] + gradients[:-1]) / 2 * np.diff(places), 299)
    assert growth == pytest.approx(means, abs=2e-4)


def test_the_differences_of_the_syllabus():
    values = [explore.loss_and_gradient("SmoothL1", x).value for x in (-2, 0.5, 1, 3)]
    assert values == [1.5, 0.125, 0.5, 2.5]


def test_every_curve_fits_into_the_fixed_axes():
    for loss, parameter in itertools.product(loss_curving.LOSSES, loss_curving.PARAMETERS):
        at = explore.loss_and_gradient(loss, 0.0, parameter)
        assert 0 <= at.curve[1].min() and at.curve[1].max() < loss_curving.HIGHEST, (loss, parameter)
        assert abs(at.curve[2]).max() < loss_curving.STEEPEST, (loss, parameter)
        assert abs(at.curve[0]).max() <= 3 + 1e-6


def test_loss_curves_work_where_gradients_are_switched_off_and_whatever_the_readers_number_type():
    usual = explore.loss_and_gradient("BCEWithLogits, target 1", 1.0, 2.0)
    loss_curving._curve.cache_clear()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.inference_mode():
            again = explore.loss_and_gradient("BCEWithLogits, target 1", 1.0, 2.0)
    finally:
        torch.set_default_dtype(torch.float32)
    assert (again.value, again.gradient) == (usual.value, usual.gradient) and np.array_equal(again.curve, usual.curve)


def test_loss_curves_say_loss_gradient_and_parameter():
    explorer = explore.loss_curves()
    assert "SmoothL1: loss 1.5, gradient 1" in words(explorer)
    assert "beta = 1: parabola up to |x| = 1" in words(explorer) and "dotted: L1" in words(explorer)
    (tangent,) = [line for line in explorer.figure.axes[0].lines if line.get_linestyle() == "--"]
    assert np.allclose(tangent.get_xydata(), [(1, 0.5), (3, 2.5)])
    explorer.controls["loss"].value = "MSE"
    assert "MSE: loss 4, gradient 4" in words(explorer) and "MSE has no parameter" in words(explorer)
    assert [value for _, value in explorer.controls["parameter"].options] == [1.0]
    explorer.controls["loss"].value = "MarginRanking (hinge)"
    assert "loss 0, gradient 0" in words(explorer) and "no loss from x = 1 on" in words(explorer)
    assert "hardly any gradient is left" in explorer.words.value
    explorer.controls["parameter"].value = 2.0
    assert "the gradient jumps here" in explorer.words.value
    explorer.controls["parameter"].value = 3.0
    assert "loss 1, gradient −1" in words(explorer) and "jumps" not in explorer.words.value


# --- cross-entropy


def entropy_slowly(logits: list[float], true_class: int, smoothing: float) -> tuple[float, list[float]]:
    """Loss and gradient from the definitions, in plain Python."""
    top = max(logits)
    total = sum(math.exp(logit - top) for logit in logits)
    logs = [logit - top - math.log(total) for logit in logits]
    target = [smoothing / len(logits) + (1 - smoothing) * (place == true_class) for place in range(len(logits))]
    loss = -sum(y * log for y, log in zip(target, logs, strict=True))
    return loss, [math.exp(log) - y for y, log in zip(target, logs, strict=True)]


def test_cross_entropy_is_that_of_the_module_and_of_the_definition():
    for logits, smoothing in itertools.product(([2.0, 0.5, -1.0], [-10.0, 10.0, 10.0], [0.0, 0.0, 0.0]), (0, 0.1, 1.0)):
        for true_class in range(3):
            crossed = explore.logits_to_loss(logits, true_class, smoothing)
            loss, gradient = entropy_slowly(logits, true_class, smoothing)
            assert crossed.loss == pytest.approx(loss) and crossed.gradient == pytest.approx(gradient, abs=1e-12)
            module = nn.CrossEntropyLoss(label_smoothing=smoothing)
            assert module(torch.tensor([logits]), torch.tensor([true_class])).item() == pytest.approx(loss, rel=1e-5)
            assert crossed.probabilities - crossed.target == pytest.approx(gradient, abs=1e-12)
            assert crossed.probabilities.sum() == pytest.approx(1) and crossed.target.sum() == pytest.approx(1)
            changed = [*logits]
            for logit, height in crossed.curve.T[::20]:
                changed[true_class] = logit
                assert height == pytest.approx(entropy_slowly(changed, true_class, smoothing)[0])
            assert 0 <= crossed.curve[1].min() and crossed.curve[1].max() < 22  # the fixed axis
    assert explore.logits_to_loss([1, 2], 0).loss == pytest.approx(1.3133, abs=1e-4)  # the syllabus


def test_confident_and_wrong_costs_one_more_for_every_unit():
    losses = [explore.logits_to_loss([logit, 0.0, 0.0], 1).loss for logit in (8.0, 9.0, 10.0)]
    assert np.diff(losses) == pytest.approx([1, 1], abs=1e-3)
    with torch.no_grad():
        assert explore.logits_to_loss([8.0, 0.0], 1).gradient[0] == pytest.approx(1, abs=1e-3)


def test_cross_entropy_draws_logits_probabilities_gradient_and_target():
    explorer = explore.cross_entropy(logit_0=-5.0, logit_1=10.0, label_smoothing=0.3)
    assert "loss" in words(explorer) and "confident and wrong" in words(explorer)
    crossed = explorer.result
    panels = [found for axes in explorer.figure.axes for found in axes.collections if isinstance(found, PolyCollection)]
    rows = (crossed.logits, crossed.probabilities, crossed.gradient)
    for bars, heights in zip(panels, rows, strict=True):
        assert [path.vertices[2, 1] for path in bars.get_paths()] == pytest.approx(heights.tolist())
        assert [np.allclose(face, to_rgba(ORANGE)) for face in bars.get_facecolor()] == [True, False, False]
    (target,) = marked(explorer, "_")
    assert target.get_ydata() == pytest.approx([0.8, 0.1, 0.1] * 2)
    explorer.controls["true_class"].value = 1
    assert "confident and right" in words(explorer)
    for name in ("logit_0", "logit_1", "logit_2"):
        explorer.controls[name].value = 0.0
    assert "loss 1.099: undecided" in words(explorer)
    assert "logit of class 0 up by a little ε: the loss changes by 0.23 · ε" in words(explorer)


@pytest.mark.parametrize(
    ("logits", "true_class", "verdict"),
    [
        ((3.0, 0.0, 0.0), 0, "confident and right"),
        ((3.0, 0.0, 0.0), 1, "confident and wrong"),
        ((1.0, 0.0, 0.0), 0, "unsure and right"),
        ((1.0, 0.0, 0.0), 2, "unsure and wrong"),
        ((4.0, 4.0, 0.0), 1, "undecided"),
        ((4.0, 4.0, 0.0), 2, "confident and wrong"),
    ],
)
def test_the_verdict_says_how_sure_and_whether_right(logits, true_class, verdict):
    assert explore.logits_to_loss(logits, true_class).verdict == verdict


def test_label_smoothing_pulls_a_confident_right_answer_back():
    assert explore.logits_to_loss([10.0, 0.0, 0.0], 0).gradient[0] < 0
    assert explore.logits_to_loss([10.0, 0.0, 0.0], 0, 0.1).gradient[0] > 0


# --- valley


@pytest.mark.parametrize(("rate", "momentum"), [(0.02, 0.0), (0.105, 0.0), (0.05, 0.9), (0.2, 0.99), (0.25, 0.5)])
def test_the_written_out_update_is_torchs_sgd(rate, momentum):
    place = torch.tensor(valley.START, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([place], lr=rate, momentum=momentum)
    curvatures = torch.tensor([1.0, 20.0], dtype=torch.float64)
    path, losses = [], []
    for _ in range(41):
        loss = (curvatures * place**2).sum() / 2
        path.append(place.tolist())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    descent = explore.descend_valley(rate, momentum, 40)
    assert np.allclose(descent.path, path, rtol=1e-9, atol=1e-12)
    assert np.allclose(descent.losses, losses, rtol=1e-9, atol=1e-12)


def test_a_direction_is_stable_when_its_update_matrix_shrinks():
    for rate, momentum in itertools.product(valley.RATES, valley.MOMENTA):
        matrix = np.array([[1 - rate * 20, -rate * momentum], [20, momentum]])
        radius = abs(np.linalg.eigvals(matrix)).max()
        assert explore.descend_valley(rate, momentum, 1).stable == (radius < 1 - 1e-9), (rate, momentum)


def test_the_verdicts_are_those_that_the_path_shows():
    verdicts = {
        (rate, momentum): explore.descend_valley(rate, momentum, 150).verdict
        for rate, momentum in itertools.product(valley.RATES, valley.MOMENTA)
    }
    assert set(verdicts.values()) >= set(valley.VERDICTS) - {"diverging", "on the way"}
    assert [rate for rate in valley.RATES if verdicts[rate, 0.0] == "diverged"] == [0.105, 0.12, 0.15, 0.18, 0.2, 0.25]
    assert verdicts[0.001, 0.0] == "crawling" and verdicts[0.1, 0.0] == "oscillating"
    assert verdicts[0.02, 0.0] == "crawling" and verdicts[0.02, 0.8] == "arrived"
    assert explore.descend_valley(0.105, 0.0, 5).verdict == "diverging"
    assert explore.descend_valley(0.05, 0.95, 1).verdict == "on the way"


def test_a_path_is_cut_where_it_leaves_the_frame():
    frame = (-2.0, 2.0, -1.0, 1.0)
    inside = np.array([(0.0, 0.0), (1.0, 0.5)])
    assert np.array_equal(valley.cut(inside, frame), inside)
    left = valley.cut(np.array([(0.0, 0.0), (1.0, 0.5), (3.0, 2.5), (0.0, 0.0)]), frame)
    assert np.allclose(left, [(0, 0), (1, 0.5), (1.5, 1)])
    straight = valley.cut(np.array([(0.0, 0.0), (0.0, -4.0)]), frame)
    assert np.allclose(straight, [(0, 0), (0, -1)])
    broken = valley.cut(np.array([(0.0, 0.0), (1.0, 0.5), (math.nan, math.inf)]), frame)
    assert np.array_equal(broken, inside)


def test_the_valley_marks_the_place_where_a_diverging_path_leaves():
    explorer = explore.valley()
    assert "loss 3.59 after 60 steps: crawling" in words(explorer)
    assert "rate · 20 = 0.4 < 2 (1 + momentum) = 2: y shrinks" in words(explorer) and not marked(explorer, "x")
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
    explorer.controls["learning_rate"].value = 0.25
    assert "diverged" in words(explorer) and "= 5 > 2 (1 + momentum) = 2: y grows" in words(explorer)
    (cross,) = marked(explorer, "x")
    assert abs(cross.get_ydata()[0]) == 6
    assert [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] == limits
    explorer.controls["learning_rate"].value = 0.1
    assert "= 2 = 2 (1 + momentum) = 2: y stays" in words(explorer) and "over the valley floor: 60 ×" in words(explorer)
    assert not marked(explorer, "x")


# --- optimizer race


@pytest.mark.parametrize("surface", racing.SURFACES)
def test_gradients_of_the_surfaces_are_those_of_autograd_and_the_minima_are_flat(surface):
    ground = racing.SURFACES[surface]
    for x, y in itertools.product((-1.7, 0.0, 0.4, 2.0), repeat=2):
        place = torch.tensor([x, y], dtype=torch.float64, requires_grad=True)
        ground.height(*place).backward()
        assert ground.slope(x, y) == pytest.approx(place.grad.tolist())
    left, right, bottom, top = ground.frame
    for x, y in ground.minima:
        assert ground.height(x, y) == 0 and ground.slope(x, y) == (0, 0)
        assert left < x < right and bottom < y < top
    assert left < ground.start[0] < right and bottom < ground.start[1] < top


def raced_by_autograd(surface: str, name: str, rate: float, steps: int) -> list[list[float]]:
    """The path of an optimizer in the usual loop: zero_grad, backward, step."""
    ground = racing.SURFACES[surface]
    kind, options = racing.OPTIMIZERS[name]
    place = torch.tensor(ground.start, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, kind)([place], lr=rate, **options)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = ground.height(*place)
        loss.backward()
        return loss

    path = [place.tolist()]
    for _ in range(steps):
        optimizer.step(closure)
        path.append(place.tolist())
    return path


@pytest.mark.parametrize("optimizer", racing.OPTIMIZERS)
def test_the_path_is_that_of_the_usual_loop(optimizer):
    for surface in racing.SURFACES:
        race = explore.run_optimizer(surface, optimizer, 0.001)
        assert race.path.shape == (151, 2) and race.diverged is None
        assert np.allclose(race.path[:41], raced_by_autograd(surface, optimizer, 0.001, 40), rtol=1e-6, atol=1e-8)
        heights = [racing.SURFACES[surface].height(x, y) for x, y in race.path]
        assert race.losses == pytest.approx(heights)


def test_a_run_diverges_stops_and_is_told():
    race = explore.run_optimizer("Rosenbrock", "SGD, momentum 0.9", 0.01)
    assert race.diverged == len(race.losses) - 1 == 3
    assert race.losses[-1] > racing.BEYOND > race.losses[:-1].max()
    explorer = explore.optimizer_race(optimizer="SGD, momentum 0.9", learning_rate=0.01)
    assert "SGD, momentum 0.9: diverged at step 3" in words(explorer) and "plain SGD diverges" in explorer.words.value
    (cross,) = marked(explorer, "x")
    (x,), (y,) = cross.get_data()
    assert 1 in (x, y) or 0 in (x, y)
    explorer.controls["surface"].value = "valley"
    assert "diverged" not in words(explorer) and not marked(explorer, "x")
    assert "below 0.001 from step" in words(explorer)


def test_arrived_is_the_first_step_after_which_the_loss_stays_small():
    race = explore.run_optimizer("saddle", "Adam", 0.03)
    assert race.losses[race.arrived - 1] >= 1e-3 > race.losses[race.arrived :].max()
    assert explore.run_optimizer("Rosenbrock", "SGD", 0.0001).arrived is None


def test_every_optimizer_learns_on_every_surface_at_some_rate():
    rates = (0.001, 0.003, 0.1, 1.0)
    for surface, optimizer in itertools.product(racing.SURFACES, racing.OPTIMIZERS):
        losses = [explore.run_optimizer(surface, optimizer, rate).losses for rate in rates]
        assert min(loss[-1] for loss in losses) < 0.7 * losses[0][0], (surface, optimizer)


def test_only_the_chosen_surface_is_drawn_and_plain_sgd_has_no_rival():
    explorer = explore.optimizer_race()
    map_axes = explorer.figure.axes[0]
    for surface in racing.SURFACES:
        explorer.controls["surface"].value = surface
        assert [lines.get_visible() for lines in map_axes.collections] == [name == surface for name in racing.SURFACES]
        start = racing.on_map(np.array([racing.SURFACES[surface].start]), racing.SURFACES[surface])
        (path,) = [line for line in marked(explorer, "o") if len(line.get_xdata()) > 2]
        assert path.get_xydata()[0] == pytest.approx(start[0])
    dotted = [line for axes in explorer.figure.axes for line in axes.lines if line.get_linestyle() == ":"]
    assert sum(line.get_visible() for line in dotted) == 3  # the path, its loss, and the line of ARRIVED
    explorer.controls["optimizer"].value = "SGD"
    assert sum(line.get_visible() for line in dotted) == 1 and "plain SGD" not in explorer.words.value


def test_the_race_runs_whatever_the_readers_gradient_mode_and_number_type():
    for optimizer in ("Adam", "ASGD", "LBFGS"):
        usual = explore.run_optimizer("saddle", optimizer, 0.03)
        racing._run.cache_clear()
        try:
            torch.set_default_dtype(torch.float64)
            with torch.inference_mode():
                again = explore.run_optimizer("saddle", optimizer, 0.03)
        finally:
            torch.set_default_dtype(torch.float32)
        assert np.allclose(again.path, usual.path, atol=1e-5), optimizer


@pytest.mark.parametrize("optimizer", racing.OPTIMIZERS)
def test_the_default_rate_is_the_one_that_torch_takes(optimizer):
    kind, options = racing.OPTIMIZERS[optimizer]
    made = getattr(torch.optim, kind)([torch.zeros(2, requires_grad=True)], **options)
    assert racing.default_rate(optimizer) == float(made.defaults["lr"])


# --- bad arguments


@pytest.mark.parametrize(
    ("call", "arguments", "hint"),
    [
        (explore.layer_stds, {"depth": 61, "std": 1.0}, "depth is 61; there are weights for at most 60 layers"),
        (explore.layer_stds, {"depth": 0, "std": 1.0}, "depth is 0; a whole number of at least 1"),
        (explore.layer_stds, {"depth": 5, "activation": "sigmoid"}, "choose from: 'none', 'tanh', 'ReLU'"),
        (explore.layer_stds, {"depth": 5, "scheme": "He"}, "scheme = 'He' is not possible; choose from: 'own std'"),
        (explore.layer_stds, {"depth": 5}, "the scheme 'own std' needs std"),
        (explore.layer_stds, {"depth": 5, "std": -1.0}, "give a number above 0"),
        (explore.layer_stds, {"depth": 5, "scheme": "small normal", "std": 0.1}, "sets std 0.01 itself"),
        (explore.layer_stds, {"depth": 5, "std": math.inf}, "std = inf is not usable"),
        (explore.initialisation, {"depth": 100}, "depth = 100 is not on the scale 1 to 60; the nearest is 60"),
        (explore.initialisation, {"scheme": "Kaiming"}, "choose from: 'own std', 'Xavier, gain 1'"),
        (explore.initialisation, {"scheme": ["Kaiming"]}, "an object of type list"),
        (explore.initialisation, {"scheme": "small normal", "std": 1.0}, "std = 1.0 is not on the scale 0.01 to 0.01"),
        (explore.loss_and_gradient, {"loss": "hinge", "x": 1.0}, "loss = 'hinge' is not possible; choose from: 'MSE'"),
        (explore.loss_and_gradient, {"loss": "MSE", "x": math.nan}, "x = nan is not usable"),
        (explore.loss_and_gradient, {"loss": "Huber", "x": 1, "parameter": 0}, "give a number above 0"),
        (explore.loss_curves, {"x": 4}, "x = 4 is not on the scale -3.0 to 3.0; the nearest is 3.0"),
        (explore.loss_curves, {"parameter": 0.3}, "the nearest is 0.25"),
        (explore.logits_to_loss, {"logits": [1.0], "true_class": 0}, "a list of at least two numbers"),
        (explore.logits_to_loss, {"logits": "ab", "true_class": 0}, "a list of at least two numbers"),
        (explore.logits_to_loss, {"logits": [1.0, None], "true_class": 0}, "logits[1] = None is not usable"),
        (explore.logits_to_loss, {"logits": [1.0, 2.0], "true_class": 2}, "the classes are 0 to 1"),
        (explore.logits_to_loss, {"logits": [1.0, 2.0], "true_class": -100}, "true_class is -100"),
        (explore.logits_to_loss, {"logits": [1, 2], "true_class": 0, "label_smoothing": 2}, "a number from 0 to 1"),
        (explore.cross_entropy, {"true_class": 3}, "true_class = 3 is not on the scale 0 to 2"),
        (explore.cross_entropy, {"logit_0": 0.3}, "logit_0 = 0.3 is not on the scale -10.0 to 10.0"),
        (explore.descend_valley, {"learning_rate": 0, "momentum": 0, "steps": 1}, "give a number above 0"),
        (explore.descend_valley, {"learning_rate": 0.1, "momentum": 1, "steps": 1}, "from 0 to below 1"),
        (explore.descend_valley, {"learning_rate": 0.1, "momentum": 0, "steps": 1.5}, "steps is 1.5"),
        (explore.valley, {"learning_rate": 0.04}, "learning_rate = 0.04 is not on the scale 0.001 to 0.25"),
        (explore.valley, {"momentum": "high"}, "momentum = 'high' is not possible"),
        (explore.run_optimizer, {"surface": "hill", "optimizer": "SGD", "learning_rate": 1}, "choose from: 'valley'"),
        (explore.run_optimizer, {"surface": "valley", "optimizer": "sgd", "learning_rate": 1}, "optimizer = 'sgd' is"),
        (explore.run_optimizer, {"surface": "valley", "optimizer": "SGD", "learning_rate": -1}, "above 0"),
        (explore.optimizer_race, {"learning_rate": 0.2}, "learning_rate = 0.2 is not on the scale 0.0001 to 3.0"),
        (explore.optimizer_race, {"surface": "Ackley"}, "choose from: 'valley', 'Rosenbrock', 'saddle'"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(call, arguments, hint):
    with pytest.raises(ValueError) as caught:
        call(**arguments)
    message = str(caught.value)
    assert hint in message and "\n" not in message


def test_crossing_draws_as_many_classes_as_it_has_controls():
    explorer = explore.cross_entropy()
    assert sum(name.startswith("logit_") for name in explorer.controls) == crossing.CLASSES
