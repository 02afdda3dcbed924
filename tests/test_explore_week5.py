"""The explorers of week 5 about the learning rate: against torch's schedulers, their formulas, and slow loops."""

import itertools
import math
import re
import warnings

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.text import Text
from torch.optim import lr_scheduler

from course_utils import explore
from course_utils.explore import scheduling, waiting
from course_utils.style import RED


def words(explorer: explore.Explorer) -> str:
    shown = (text.get_text() for text in explorer.figure.findobj(Text) if text.get_visible())
    return " ".join(" ".join(text.split()) for text in shown if text)


def marked(explorer: explore.Explorer, marker: str) -> list:
    """The visible lines with this marker."""
    lines = [line for axes in explorer.figure.axes for line in axes.lines]
    return [line for line in lines if line.get_marker() == marker and line.get_visible()]


# --- scheduler

EVERY_SETTING = [
    (name, epochs, value)
    for name, schedule in scheduling.SCHEDULES.items()
    for epochs, value in itertools.product(schedule.lengths or (20,), schedule.values)
]


def trained_rates(name: str, **arguments) -> list[float]:
    """The rate of each of 60 epochs, in the usual loop."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = getattr(lr_scheduler, name)(optimizer, **arguments)
    rates = []
    for _ in range(60):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("name", "epochs", "value", "arguments"),
    [
        ("StepLR", 20, 0.5, {"step_size": 20, "gamma": 0.5}),
        ("MultiStepLR", 10, 0.1, {"milestones": [10, 25], "gamma": 0.1}),
        ("ExponentialLR", 80, 0.95, {"gamma": 0.95}),
        ("CosineAnnealingLR", 50, 0.01, {"T_max": 50, "eta_min": 0.01}),
        ("LinearLR", 10, 0.1, {"start_factor": 0.1, "total_iters": 10}),
        ("CosineAnnealingWarmRestarts", 5, 2, {"T_0": 5, "T_mult": 2}),
        ("OneCycleLR", 80, 0.3, {"max_lr": 0.1, "total_steps": 80, "pct_start": 0.3, "cycle_momentum": False}),
        ("PolynomialLR", 40, 2, {"total_iters": 40, "power": 2}),
    ],
)
def test_rates_are_those_that_a_training_uses(name, epochs, value, arguments):
    assert explore.scheduled_rates(name, epochs, value).rates.tolist() == trained_rates(name, **arguments)


def test_every_formula_gives_the_rates_of_torch():
    for name, epochs, value in EVERY_SETTING:
        result = explore.scheduled_rates(name, epochs, value)
        assert len(result.closed) >= min(60, epochs), (name, epochs, value)
        assert abs(result.rates[: len(result.closed)] - result.closed).max() < 1e-12, (name, epochs, value)
        assert "as the formula says" in scheduling.describe_rates(result)


def in_python(formula: str) -> str:
    """A formula in mathematical notation as a Python expression of t."""
    for found, meaning in (
        (r"\lfloor", "math.floor("),
        (r"\rfloor", ")"),
        (r"\cdot", "*"),
        (r"\cos", "math.cos"),
        (r"\pi t", "math.pi * t"),
        (r"\min", "min"),
        (r"\,", ""),
        ("^{", "**("),
        ("}", ")"),
        ("$", ""),
    ):
        formula = formula.replace(found, meaning)
    return formula


@pytest.mark.parametrize("name", ["StepLR", "ExponentialLR", "CosineAnnealingLR", "LinearLR", "PolynomialLR"])
def test_the_formula_in_the_picture_is_the_one_that_is_computed(name):
    schedule = scheduling.SCHEDULES[name]
    for epochs, value in itertools.product(schedule.lengths or (20,), schedule.values):
        result = explore.scheduled_rates(name, epochs, value)
        written = [eval(in_python(result.formula), {"math": math, "t": t}) for t in range(60)]
        assert written == pytest.approx(result.closed.tolist(), abs=1e-15), result.formula


def test_the_rates_of_the_syllabus():
    cosine = explore.scheduled_rates("CosineAnnealingLR", 50, 0.0).rates
    assert cosine[[0, 25, 50]] == pytest.approx([0.1, 0.05, 0], abs=1e-12)  # T_max is half a period
    assert cosine[59] > cosine[51] > cosine[50]
    assert explore.scheduled_rates("ExponentialLR", 20, 0.95).rates[20] == pytest.approx(0.1 * 0.95**20)


def test_the_code_makes_a_scheduler_and_names_every_argument():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    for name, epochs, value in EVERY_SETTING:
        code = explore.scheduled_rates(name, epochs, value).code
        call = code.replace(", …)", ", cycle_momentum=False)")
        assert type(eval(call, vars(lr_scheduler) | {"optimizer": optimizer})).__name__ == name
        assert f"={value:g}" in code


def test_one_cycle_stepped_too_often_leaves_its_curve_and_is_refused():
    result = explore.scheduled_rates("OneCycleLR", 40, 0.3)
    assert len(result.rates) == 41 and len(result.closed) == 40
    assert result.rates[39] == pytest.approx(4e-7) and result.rates[40] > 100 * result.rates[39]
    assert result.refusal == "Tried to step 41 times. The specified number of total steps is 40"
    enough = explore.scheduled_rates("OneCycleLR", 60, 0.3)
    assert not enough.refusal and len(enough.rates) == len(enough.closed) == 60


def test_scheduler_draws_what_was_stepped_and_what_the_formula_says():
    explorer = explore.scheduler()
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
    for settings in ({"scheduler": "PolynomialLR"}, {"scheduler": "OneCycleLR"}, {"epochs": 30}, {"epochs": 80}):
        for name, value in settings.items():
            explorer.controls[name].value = value
        result = explorer.result
        linear, log = explorer.figure.axes
        for axes, low in ((linear, 0), (log, scheduling.LOW)):
            curve, dots, cross = axes.lines
            assert curve.get_ydata() == pytest.approx(np.maximum(result.rates, low))
            assert dots.get_ydata() == pytest.approx(np.maximum(result.closed, low))
            assert (
                cross.get_visible()
                == bool(result.refusal)
                == (explorer.settings["epochs"] < 60) * (result.scheduler == "OneCycleLR")
            )
    assert [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] == limits


def test_scheduler_says_the_call_the_formula_and_the_refusal():
    explorer = explore.scheduler()
    assert "StepLR: rate 0.025 in epoch 59" in words(explorer)
    assert "StepLR(optimizer, step_size=20, gamma=0.5)" in words(explorer) and r"\lfloor t / 20" in words(explorer)
    assert "one step() for every epoch" in words(explorer)
    explorer.controls["scheduler"].value = "OneCycleLR"
    assert "OneCycleLR: step() number 21 is refused" in words(explorer)
    assert "Tried to step 21 times; total_steps is 20" in words(explorer) and "refused" in explorer.words.value
    explorer.controls["epochs"].value = 60
    assert "rate 4e−07 in epoch 59" in words(explorer) and "every batch" in words(explorer)


def test_the_second_argument_stays_where_the_new_class_takes_it():
    explorer = explore.scheduler(epochs=5, value=0.8)
    explorer.controls["scheduler"].value = "LinearLR"
    assert explorer.settings == {"epochs": 5, "value": 0.8, "scheduler": "LinearLR"}
    explorer.controls["scheduler"].value = "CosineAnnealingLR"
    assert explorer.settings["value"] == 0.05 and explorer.settings["epochs"] == 5
    explorer.controls["scheduler"].value = "ExponentialLR"
    assert len(explorer.controls["epochs"].options) == 1 and explorer.settings["epochs"] == 5
    explorer.controls["scheduler"].value = "OneCycleLR"
    assert explorer.settings["epochs"] == 80


def test_every_corner_of_every_scheduler_is_reached_and_drawn():
    explorer = explore.scheduler()
    for name, schedule in scheduling.SCHEDULES.items():
        explorer.controls["scheduler"].value = name
        lengths = schedule.lengths or (explorer.settings["epochs"],)
        for epochs, value in itertools.product((lengths[0], lengths[-1]), (schedule.values[0], schedule.values[-1])):
            explorer.controls["epochs"].value, explorer.controls["value"].value = epochs, value
            heights = explorer.figure.axes[0].lines[0].get_ydata()
            assert np.isfinite(heights).all() and 0 <= heights.min() and heights.max() <= 0.1 + 1e-12, (name, epochs)
            place = explorer.figure.texts[1].get_window_extent()
            assert place.x1 <= explorer.figure.bbox.x1, (name, epochs, value)


def test_stepping_gives_no_warning_and_works_where_gradients_are_switched_off():
    usual = explore.scheduled_rates("StepLR", 15, 0.3).rates
    scheduling._stepped.cache_clear()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        assert np.array_equal(explore.scheduled_rates("StepLR", 15, 0.3).rates, usual)


# --- plateau


def reductions(values, patience: int, cooldown: int, threshold: float) -> list[int]:
    """The epochs on whose value the patience is lost: the rule, written out."""
    best, bad, rest, lost = math.inf, 0, 0, []
    for epoch, value in enumerate(values):
        better = value < best * (1 - threshold)
        best = value if better else best
        bad = 0 if better or rest else bad + 1
        rest = max(rest - 1, 0)
        if bad > patience:
            lost.append(epoch)
            bad, rest = 0, cooldown
    return lost


def test_the_worked_example_reduces_at_16_37_and_58():
    result = explore.reduce_on_plateau(10, 10, 0.1, metric=waiting.ONCE)
    assert result.reduced == (16, 37, 58)
    assert result.rates[[16, 17, 38, 59]] == pytest.approx([0.1, 0.01, 0.001, 0.0001])
    assert result.last_rate == pytest.approx(1e-4)
    assert result.bad[[15, 16, 17, 26, 27]].tolist() == [10, 11, 0, 0, 1]
    assert np.flatnonzero(result.cooling)[:10].tolist() == list(range(17, 27))
    # best at epoch 5: the reduction comes on bad epoch number patience + 1
    assert explore.reduce_on_plateau(9, 10, 0.1, metric=waiting.ONCE).reduced[0] == 15


@pytest.mark.parametrize("metric", waiting.METRICS)
def test_the_patience_is_lost_when_the_written_out_rule_says(metric):
    settings = itertools.product(waiting.PATIENCES, waiting.COOLDOWNS, waiting.THRESHOLDS)
    for patience, cooldown, threshold in settings:
        result = explore.reduce_on_plateau(patience, cooldown, 0.9, threshold, metric)
        lost = reductions(result.values, patience, cooldown, threshold)
        assert np.flatnonzero(result.bad > patience).tolist() == lost, (patience, cooldown, threshold)
        # with 0.9, the rate is above min_lr after fewer than 65 reductions
        assert list(result.reduced) == lost[:66], (patience, cooldown, threshold)
        assert result.last_rate == pytest.approx(max(0.1 * 0.9 ** len(lost), 1e-4))


def test_min_lr_ends_the_reductions_and_the_threshold_decides_what_counts():
    result = explore.reduce_on_plateau(0, 0, 0.1, metric=waiting.ONCE)
    assert result.reduced == (1, 2, 3) and result.last_rate == pytest.approx(1e-4)
    assert "more times in vain at min_lr 0.0001" in waiting.describe_waiting(result)
    assert explore.reduce_on_plateau(2, 0, 0.1, 0.0, waiting.CREEP).reduced == ()
    assert explore.reduce_on_plateau(5, 0, 0.1, 0.03, waiting.CREEP).reduced[0] == 6
    assert explore.reduce_on_plateau(10, 0, 0.1, 0.03, waiting.CREEP).reduced == ()


def test_the_jittering_metric_falls_is_flat_and_falls_again():
    values = waiting.metric_values(waiting.JITTER)
    smooth = np.convolve(values, np.ones(5) / 5, mode="valid")
    assert values.shape == (80,) and values[0] > 0.9
    assert smooth[20] - smooth[35] < 0.05 < smooth[38] - smooth[56] and abs(smooth[60] - smooth[75]) < 0.02
    assert (np.diff(values) > 0).sum() > 15


def test_plateau_draws_the_count_the_cooldown_and_the_reductions():
    explorer = explore.plateau(metric=waiting.ONCE, patience=10, cooldown=10)
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
    metric, bad, rate = explorer.figure.axes
    bars, shaded = (found for found in bad.collections if isinstance(found, PolyCollection))
    result = explorer.result
    assert [path.vertices[2, 1] for path in bars.get_paths()] == result.bad.tolist()
    red = [np.allclose(face, to_rgba(RED)) for face in bars.get_facecolor()]
    assert np.flatnonzero(red).tolist() == [16, 37, 58, 79]
    centres = [path.vertices[:4, 0].mean() for path in shaded.get_paths()]
    assert centres == pytest.approx(np.flatnonzero(result.cooling)) and len(centres) == 30
    (drops,) = marked(explorer, "v")
    assert drops.get_xdata().tolist() == [16.5, 37.5, 58.5]
    assert rate.lines[0].get_ydata() == pytest.approx([*result.rates, result.last_rate])
    assert metric.lines[0].get_ydata() == pytest.approx(result.values)
    assert "the rate was reduced 3 times" in words(explorer)
    assert "reduced at the end of epoch 16, 37, 58" in words(explorer)
    explorer.controls["patience"].value = 20
    assert "reduced at the end of epoch 26, 57" in words(explorer) and "reduced 2 times" in words(explorer)
    explorer.controls["metric"].value = waiting.CREEP
    assert "never reduced" in words(explorer) and len(marked(explorer, "v")[0].get_xdata()) == 0
    assert [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] == limits


def test_more_reductions_than_fit_are_cut_short():
    explorer = explore.plateau(patience=0, factor=0.9)
    assert len(explorer.result.reduced) > 20
    assert re.search(r"at the end of epoch (\d+, ){8}\d+ …", words(explorer))
    assert "better: below 0.9999 · best" in words(explorer)


def test_every_value_and_count_lies_inside_the_axes():
    for metric, patience in itertools.product(waiting.METRICS, waiting.PATIENCES):
        result = explore.reduce_on_plateau(patience, 0, 0.1, 0.3, metric)
        assert 0.15 < result.values.min() and result.values.max() < 1.05
        assert result.bad.max() <= waiting.MOST_BAD


# --- bad arguments


@pytest.mark.parametrize(
    ("call", "arguments", "hint"),
    [
        (explore.scheduled_rates, {"scheduler": "Step", "epochs": 20, "value": 0.1}, "choose from: 'StepLR'"),
        (explore.scheduled_rates, {"scheduler": "StepLR", "epochs": 0, "value": 0.1}, "epochs is 0"),
        (explore.scheduled_rates, {"scheduler": "StepLR", "epochs": 21, "value": 0.1}, "the nearest is 20"),
        (explore.scheduled_rates, {"scheduler": "StepLR", "epochs": 20, "value": 2.0}, "the nearest is 0.99"),
        (explore.scheduled_rates, {"scheduler": "OneCycleLR", "epochs": 10, "value": 0.1}, "the nearest is 20"),
        (explore.scheduled_rates, {"scheduler": "StepLR", "epochs": 20, "value": math.nan}, "value = nan"),
        (explore.scheduler, {"scheduler": "LambdaLR"}, "scheduler = 'LambdaLR' is not possible"),
        (explore.scheduler, {"scheduler": "PolynomialLR", "value": 0.3}, "value = 0.3 is not on the scale 0.5 to 4"),
        (explore.reduce_on_plateau, {"patience": -1, "cooldown": 0, "factor": 0.1}, "patience is -1"),
        (explore.reduce_on_plateau, {"patience": 1, "cooldown": 0.5, "factor": 0.1}, "cooldown is 0.5"),
        (explore.reduce_on_plateau, {"patience": 1, "cooldown": 0, "factor": 1}, "factor = 1 is not usable"),
        (explore.reduce_on_plateau, {"patience": 1, "cooldown": 0, "factor": 0.1, "threshold": -1}, "threshold = -1"),
        (explore.reduce_on_plateau, {"patience": 1, "cooldown": 0, "factor": 0.1, "metric": "loss"}, "choose from:"),
        (explore.plateau, {"patience": 4}, "patience = 4 is not on the scale 0 to 20"),
        (explore.plateau, {"threshold": "small"}, "threshold = 'small' is not possible"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(call, arguments, hint):
    with pytest.raises(ValueError) as caught:
        call(**arguments)
    message = str(caught.value)
    assert hint in message and "\n" not in message
