"""The explorers of week 6: against torch's own modules, slow loops and what their words claim."""

import itertools
import math

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from course_utils import explore
from course_utils.explore import diagnosing, dropping, sharing, smoothing


def words(explorer: explore.Explorer) -> str:
    shown = (text.get_text() for text in explorer.figure.findobj(Text) if text.get_visible())
    return " ".join(" ".join(text.split()) for text in shown if text)


def marked(explorer: explore.Explorer, marker: str) -> list:
    """The visible lines with this marker."""
    lines = [line for axes in explorer.figure.axes for line in axes.lines]
    return [line for line in lines if line.get_marker() == marker and line.get_visible()]


# --- dropout


@pytest.mark.parametrize("p", dropping.PROBABILITIES)
def test_dropped_units_are_those_of_the_module(p):
    module = nn.Dropout(p)
    for forward_pass, mode in itertools.product((1, 7), dropping.MODES):
        result = explore.drop_units(p, forward_pass, mode)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(forward_pass)
            expected = module.train(mode == "train")(torch.from_numpy(result.before))
        assert np.array_equal(result.after, expected.numpy())
        assert result.zeros == (expected == 0).sum()
        assert result.factor == pytest.approx(1 / (1 - p) if mode == "train" and p < 1 else float(mode == "eval"))


def test_the_mean_before_is_one_and_no_unit_is_zero():
    before = explore.drop_units(0.5).before
    assert before.shape == (20, 20) and before.min() > 0.15 and before.max() < 1.85
    assert before.mean() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scaling", dropping.SCALINGS)
def test_mean_and_std_are_on_average_those_of_the_curves(scaling):
    for p in (0.1, 0.5, 0.8):
        units = np.stack([explore.drop_units(p, seed, "train", scaling).after for seed in range(1, 401)])
        means, stds = dropping.expected(np.array([p]), "train", scaling)
        assert units.mean() == pytest.approx(means[0], abs=0.02)
        assert units.std() == pytest.approx(stds[0], abs=0.02)
        assert means[0] == pytest.approx(1 if scaling == dropping.SCALED else 1 - p)


def test_without_the_scaling_the_mean_is_lost_and_eval_changes_nothing():
    plain = explore.drop_units(0.5, scaling=dropping.PLAIN)
    scaled = explore.drop_units(0.5)
    assert scaled.mean == pytest.approx(2 * plain.mean) and plain.zeros == scaled.zeros
    for p, scaling in itertools.product(dropping.PROBABILITIES, dropping.SCALINGS):
        still = explore.drop_units(p, mode="eval", scaling=scaling)
        assert np.array_equal(still.after, still.before)


def test_dropout_draws_units_curves_and_points():
    explorer = explore.dropout()
    image = explorer.figure.axes[0].images[0]
    right = explorer.figure.axes[2]
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
    for p, mode, scaling in itertools.product((0.0, 0.3, 0.9, 1.0), dropping.MODES, dropping.SCALINGS):
        for name, value in (("p", p), ("mode", mode), ("scaling", scaling)):
            explorer.controls[name].value = value
        result = explorer.result
        assert np.array_equal(np.asarray(image.get_array()), result.after)
        mean_curve, std_curve, mean, std = right.lines
        assert mean.get_xydata().tolist() == [[p, pytest.approx(result.mean)]]
        assert std.get_xydata().tolist() == [[p, pytest.approx(result.std)]]
        assert -0.1 <= result.std < dropping.HIGHEST and result.after.max() < dropping.BRIGHTEST
        if p < 1:
            # one mask is not the average over all: 400 units leave this much room
            room = 4 * result.std / 20 + 1e-6
            assert np.interp(p, *mean_curve.get_data()) == pytest.approx(result.mean, abs=room)
            assert np.interp(p, *std_curve.get_data()) == pytest.approx(result.std, abs=0.1 + p / 2)
    assert [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] == limits


def test_dropout_says_what_became_of_the_units():
    explorer = explore.dropout()
    assert "every unit is dropped or multiplied by 2.00" in words(explorer)
    assert f"{explorer.result.zeros} of 400 units are 0" in words(explorer)
    explorer.controls["scaling"].value = dropping.PLAIN
    assert "every unit is dropped or left as it is" in words(explorer) and "not scaled" in explorer.words.value
    explorer.controls["p"].value = 1.0
    assert "no unit is left" in words(explorer) and "400 of 400 units are 0" in words(explorer)
    explorer.controls["mode"].value = "eval"
    assert "every unit passes as it is" in words(explorer) and "eval, p = 1: mean 1.00" in words(explorer)


# --- normalisation axes

MODULES = {
    "batch": lambda x, groups: nn.BatchNorm1d(6),
    "layer": lambda x, groups: nn.LayerNorm(x.shape[1:]),
    "instance": lambda x, groups: nn.InstanceNorm1d(6),
    "group": lambda x, groups: nn.GroupNorm(groups, 6),
}
EVERY_BLOCK = list(itertools.product(sharing.GROUPS, sharing.SAMPLES, sharing.PIXELS, sharing.NORMS))


def test_values_after_and_refusals_are_those_of_the_modules():
    refused = set()
    for groups, samples, pixels, norm in EVERY_BLOCK:
        result = explore.normalize_block(groups, samples, pixels, norm)
        block = torch.from_numpy(result.before)
        assert block.shape == (samples, 6, pixels)
        try:
            with torch.no_grad():
                expected = MODULES[norm](block, groups)(block)
        except ValueError as error:
            assert result.after is None is result.sets
            assert result.refusal == str(error)
            refused.add((norm, groups if norm == "group" else 0, samples == 1, pixels == 1))
            continue
        assert not result.refusal
        assert result.after == pytest.approx(expected.numpy(), abs=1e-4), (groups, samples, pixels, norm)
    assert ("batch", 0, True, True) in refused and ("batch", 0, True, False) not in refused
    assert ("group", 4, False, False) in refused and ("group", 3, True, False) not in refused
    assert not any(norm == "layer" for norm, *_ in refused)


@pytest.mark.parametrize("norm", sharing.NORMS)
def test_a_value_moves_all_that_share_its_mean_and_nothing_else(norm):
    for groups, (n, c, pixel) in itertools.product((1, 2, 3, 6), ((0, 0, 0), (1, 2, 5), (3, 5, 7))):
        result = explore.normalize_block(groups, norm=norm)
        pushed = torch.from_numpy(result.before.copy())
        pushed[n, c, pixel] += 1
        after = MODULES[norm](pushed, groups)(pushed).detach().numpy()
        moved = np.abs(after - result.after).max(axis=2) > 1e-6
        assert np.array_equal(moved, result.sets == result.sets[n, c]), (groups, n, c)


def test_sizes_and_spread_are_those_of_the_sets():
    for groups, samples, pixels, norm in EVERY_BLOCK:
        result = explore.normalize_block(groups, samples, pixels, norm)
        if result.refusal:
            continue
        counts = np.bincount(result.sets.ravel()) * pixels
        assert set(counts.tolist()) == {result.size}
        assert result.size * (result.sets.max() + 1) == result.before.size
        assert abs(result.spread[:, 0]).max() < 1e-5
        for number, (_, std) in enumerate(result.spread):
            part = result.before.astype(np.float64)[result.sets == number]
            by_hand = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
            assert result.after[result.sets == number] == pytest.approx(by_hand, abs=1e-4)
            assert std == pytest.approx(np.sqrt(part.var() / (part.var() + 1e-5)), abs=1e-4)
        assert result.size > 1 or abs(result.after).max() < 1e-3


def test_group_norm_stands_between_layer_and_instance_norm():
    layer, instance = (explore.normalize_block(norm=norm).after for norm in ("layer", "instance"))
    assert explore.normalize_block(1, norm="group").after == pytest.approx(layer, abs=1e-5)
    assert explore.normalize_block(6, norm="group").after == pytest.approx(instance, abs=1e-5)
    alone = (explore.normalize_block(samples=1, norm=norm).after for norm in ("batch", "instance"))
    assert next(alone) == pytest.approx(next(alone), abs=1e-5)


def test_batch_norm_levels_the_channels_and_layer_norm_the_samples():
    batch, layer = (explore.normalize_block(norm=norm).after for norm in ("batch", "layer"))
    assert abs(batch.mean(axis=(0, 2))).max() < 1e-5 and abs(batch.mean(axis=(1, 2))).max() > 0.5
    assert abs(layer.mean(axis=(1, 2))).max() < 1e-5 and abs(layer.mean(axis=(0, 2))).max() > 0.5


def test_normalization_axes_draws_the_sets_their_numbers_and_the_values():
    explorer = explore.normalization_axes()
    owners, before, after = (axes.images[0] for axes in explorer.figure.axes)
    for settings in ({"norm": "batch"}, {"norm": "instance"}, {"samples": 2}, {"norm": "layer"}, {"pixels": 4}):
        for name, value in settings.items():
            explorer.controls[name].value = value
        result = explorer.result
        samples, _, pixels = result.before.shape
        for image, block in ((before, result.before), (after, result.after)):
            drawn = np.ma.filled(image.get_array(), np.nan)
            assert drawn.shape == (6, 35) and np.isfinite(drawn).sum() == block.size
            for n in range(samples):
                assert np.array_equal(drawn[:, 9 * n : 9 * n + pixels], block[n].astype(drawn.dtype))
        colours = np.ma.filled(owners.get_array(), np.nan)
        numbers = [text for text in owners.axes.texts if text.get_text()]
        assert len(numbers) == sum(len(set(row)) for row in result.sets.tolist())
        for text in numbers:
            x, y = text.get_position()
            n, number = int(x // 9), int(text.get_text())
            channels = np.flatnonzero(result.sets[n] == number)
            assert channels.mean() == y
            assert set(colours[channels, 9 * n : 9 * n + pixels].ravel()) == {number % len(sharing.SHADES)}


def test_normalization_axes_says_how_many_share_and_what_torch_refuses():
    explorer = explore.normalization_axes()
    assert "group norm, 2 groups: 8 means, each of 24 values" in words(explorer)
    assert "every set has mean 0.00, std 1.00" in words(explorer)
    explorer.controls["groups"].value = 4
    assert "torch refuses" in words(explorer) and "divisible by num_groups (4)" in words(explorer)
    assert "torch says: num_channels (6) must be divisible by num_groups (4)" in explorer.words.value
    assert np.ma.filled(explorer.figure.axes[2].images[0].get_array(), np.nan).size == 210
    assert not np.isfinite(np.ma.filled(explorer.figure.axes[2].images[0].get_array(), np.nan)).any()
    explorer.controls["norm"].value = "batch"
    assert len(explorer.controls["groups"].options) == 1
    assert "batch norm: 6 means, each of 32 values" in words(explorer)
    explorer.controls["samples"].value, explorer.controls["pixels"].value = 1, 1
    assert "Expected more than 1 value per channel when training" in words(explorer)
    explorer.controls["norm"].value = "layer"
    assert "layer norm: 1 mean, each of 6 values" in words(explorer)
    explorer = explore.normalization_axes(groups=6, pixels=1)
    assert "each value is its own mean, so that every value becomes 0" in words(explorer)


# --- sick curves

EVERY_RUN = [(cause, strength) for cause in diagnosing.CAUSES for strength in diagnosing.strengths_of(cause)]


def test_the_healthy_training_is_that_of_a_plain_loop():
    (images, labels), valid, new = diagnosing._sets(diagnosing.Illness())
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> None:
        torch.rand(1, *shape, 32, generator=generator)  # what decides about dropout, here with p = 0

    model = nn.Sequential(nn.Linear(49, 32), nn.ReLU(), nn.Linear(32, 10))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
            layer.weight.mul_((2 / layer.in_features) ** 0.5)
            torch.randn(layer.out_features, 1, generator=generator)
            layer.bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    rows = []
    for _ in range(25):
        torch.rand(800, generator=generator)
        losses = []
        for batch in torch.randperm(800, generator=generator).split(80):
            draw(80)
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            draw(300)
            rows.append([np.mean(losses), *(F.cross_entropy(model(x), y).item() for x, y in (valid, new))])
    # trained alone: the same numbers are drawn
    alone = diagnosing._train([diagnosing.Illness()])
    assert alone.shape == (25, 1, 6)
    assert alone[:, 0, :3] == pytest.approx(np.array(rows), abs=2e-3)


def test_all_curves_are_finite_and_inside_the_axes():
    for run in EVERY_RUN:
        curves = explore.train_sick(*run)
        for name in ("train", "valid", "new"):
            assert getattr(curves, name).shape == (25,) and np.isfinite(getattr(curves, name)).all(), run
            accuracy = getattr(curves, f"{name}_accuracy")
            assert 0 <= accuracy.min() and accuracy.max() <= 1, run


def tail(values: np.ndarray) -> float:
    return values[-5:].mean()


def jumps(values: np.ndarray) -> float:
    """How far a curve goes up, in all."""
    return np.diff(values[3:]).clip(min=0).sum()


def test_every_cause_leaves_the_sign_that_the_words_name():
    healthy = explore.train_sick(diagnosing.HEALTHY)
    assert tail(healthy.train) < tail(healthy.valid) < 0.6 and tail(healthy.valid_accuracy) > 0.8
    for strength in diagnosing.STRENGTHS:
        run = {name: explore.train_sick(name, strength) for name, runs in diagnosing.CAUSES.items() if len(runs) > 1}
        high, low = run["learning rate too high"], run["learning rate too low"]
        assert jumps(high.valid) > 1.5 * jumps(healthy.valid) or tail(high.train) > 1.5
        assert jumps(low.train) < 0.01 and tail(low.train) > 2 * tail(healthy.train)
        assert abs(tail(low.train) - tail(low.valid)) < 0.15 and low.valid[-1] < low.valid[-5]
        over = run["overfitting"]
        assert tail(over.train) < 0.12 and tail(over.valid) > over.valid.min() + 0.04
        leak = run["data leak"]
        assert tail(leak.valid) < tail(leak.new) - 0.07 and tail(leak.valid_accuracy) > tail(leak.new_accuracy)
        shuffle = run["forgotten shuffle"]
        assert tail(shuffle.valid) > tail(shuffle.train) + 0.25 and jumps(shuffle.valid) > 1.5 * jumps(healthy.valid)
        for cause in ("label noise", "forgotten eval"):
            assert tail(run[cause].valid) > tail(run[cause].new) + 0.15, (cause, strength)
            assert tail(run[cause].valid_accuracy) < tail(run[cause].new_accuracy) - 0.03, (cause, strength)
    # no score from 0 to 1 does better than a right 1 among nine 0
    least = -math.log(math.e / (math.e + 9))
    bug = explore.train_sick("bug in the loss")
    assert least == pytest.approx(1.46, abs=0.005) and bug.train.min() > least < bug.valid.min()
    assert bug.train_accuracy[-1] > 3 * bug.train_accuracy[0]


def test_a_stronger_cause_leaves_a_stronger_sign():
    def ends(cause: str, name: str) -> list[float]:
        return [tail(getattr(explore.train_sick(cause, strength), name)) for strength in diagnosing.STRENGTHS]

    assert ends("overfitting", "valid") == sorted(ends("overfitting", "valid"))
    assert ends("data leak", "valid") == sorted(ends("data leak", "valid"), reverse=True)
    for cause in ("learning rate too low", "label noise", "forgotten eval", "forgotten shuffle"):
        assert ends(cause, "train") == sorted(ends(cause, "train")), cause


def test_the_sets_are_separate_but_for_the_leak():
    def keys(images: torch.Tensor) -> set:
        return {image.numpy().tobytes() for image in images}

    images, _ = diagnosing._digits()
    assert len(keys(images)) == 1400
    for cause, illnesses in diagnosing.CAUSES.items():
        for illness in illnesses:
            train, valid, new = (keys(made[0]) for made in diagnosing._sets(illness))
            assert len(train & valid) == illness.leak * 300, cause
            assert not train & new and not valid & new, cause
            assert len(train) == (illness.images if not illness.leak else 200 + illness.leak * 300), cause


def test_only_the_noisy_labels_are_wrong_and_never_those_of_new_data():
    _, labels = diagnosing._digits()
    for illness in (diagnosing.Illness(), *diagnosing.CAUSES["label noise"]):
        train, valid, new = diagnosing._sets(illness)
        assert torch.equal(new[1], labels[1100:])
        wrong = (train[1] != labels[:800]).float().mean().item()
        # a label that is drawn anew is right by chance once in ten
        assert wrong == pytest.approx(0.9 * illness.noise, abs=0.04)


def test_sorted_images_come_class_by_class():
    for share in (0.0, 1.0):
        illness = diagnosing.Illness(sorted=share)
        order = diagnosing._order(illness, torch.Generator().manual_seed(0))
        assert order.sort().values.tolist() == list(range(800))
        (_, labels), *_ = diagnosing._sets(illness)
        assert (labels[order].diff() < 0).any() == (share == 0)


def test_sick_curves_draws_the_training_and_the_healthy_one_beside_it():
    explorer = explore.sick_curves()
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
    healthy = explore.train_sick(diagnosing.HEALTHY)
    for cause, strength in EVERY_RUN:
        explorer.controls["cause"].value = cause
        explorer.controls["strength"].value = strength
        result = explorer.result
        losses, accuracies = (axes.lines for axes in explorer.figure.axes)
        drawn = (result.train, result.valid, result.new, healthy.valid)
        for line, values in zip(losses, drawn, strict=True):
            assert line.get_ydata() == pytest.approx(np.minimum(values, diagnosing.HIGHEST))
        drawn = (result.train_accuracy, result.valid_accuracy, result.new_accuracy, healthy.valid_accuracy)
        for line, values in zip(accuracies, drawn, strict=True):
            assert line.get_ydata() == pytest.approx(values)
        assert losses[-1].get_visible() == accuracies[-1].get_visible() == (cause != diagnosing.HEALTHY)
        assert cause in words(explorer) and diagnosing.SIGNS[cause][0] in words(explorer)
    assert [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] == limits


def test_two_causes_have_one_strength_only():
    explorer = explore.sick_curves(strength="mild")
    explorer.controls["cause"].value = diagnosing.HEALTHY
    assert explorer.settings["strength"] == "clear" and len(explorer.controls["strength"].options) == 1
    assert "healthy: valid loss" in words(explorer)


def test_what_the_caller_does_with_the_curves_does_not_reach_the_next_call():
    first = explore.train_sick("overfitting")
    kept = first.valid.copy()
    first.valid[:] = 0
    assert np.array_equal(explore.train_sick("overfitting").valid, kept)


def test_the_training_runs_where_gradients_are_switched_off():
    usual = explore.train_sick("overfitting").train
    diagnosing._all_curves.cache_clear()
    with torch.inference_mode():
        again = explore.train_sick("overfitting").train
    assert again == pytest.approx(usual, abs=1e-3)


# --- averaging


def averaged_by_torch(points: np.ndarray, **options) -> np.ndarray:
    model = nn.Module()
    model.point = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    average, held = AveragedModel(model, **options), []
    for point in points:
        with torch.no_grad():
            model.point.copy_(torch.from_numpy(point))
        average.update_parameters(model)
        held.append(average.module.point.tolist())
    return np.array(held)


@pytest.mark.parametrize(("swa_start", "decay"), [(0, 0.0), (100, 0.9), (250, 0.98), (300, 0.999)])
def test_the_averages_are_those_of_averaged_model(swa_start, decay):
    result = explore.average_path(0.7, swa_start, decay)
    assert np.allclose(result.swa, averaged_by_torch(result.path[swa_start:]), atol=1e-12)
    ema = averaged_by_torch(result.path, multi_avg_fn=get_ema_multi_avg_fn(decay))
    assert np.allclose(result.ema, ema, atol=1e-6)  # torch keeps a decay as float32


@pytest.mark.parametrize("rate", smoothing.RATES)
def test_the_path_is_that_of_torchs_sgd_with_noisy_gradients(rate):
    curvatures = torch.tensor([0.05, 2.0], dtype=torch.float64)
    noise = torch.from_numpy(np.random.default_rng(2).standard_normal((300, 2))) * 1.3 * curvatures.sqrt()
    point = torch.tensor([-9.0, 3.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([point], lr=rate)
    path = [point.tolist()]
    for push in noise:
        optimizer.zero_grad()
        ((curvatures * point**2).sum() / 2 + (push * point).sum()).backward()
        optimizer.step()
        path.append(point.tolist())
    assert np.allclose(explore.average_path(rate, 0, 0.9).path, path, rtol=1e-6, atol=1e-9)


def test_the_ends_of_the_scales_are_the_points_themselves():
    result = explore.average_path(0.4, 300, 0.0)
    assert np.array_equal(result.swa, result.path[-1:]) and np.allclose(result.ema, result.path)
    assert np.array_equal(explore.average_path(0.4, 0, 1.0).ema[-1], result.path[0])
    means = explore.average_path(0.4, 0, 0.9).swa
    assert means[-1] == pytest.approx(result.path.mean(axis=0))


def test_what_helps_and_what_does_not():
    def last(**settings) -> list[float]:
        losses = explore.average_path(**({"learning_rate": 0.7, "swa_start": 100, "ema_decay": 0.98} | settings)).losses
        return [losses[0][-50:].mean(), losses[1][-1], losses[2][-1]]

    sgd, swa, ema = last()
    assert swa < sgd / 30 and ema < sgd / 30
    assert last(swa_start=0)[1] > 1.5 * swa  # the long way to the valley is averaged in
    assert last(swa_start=280)[1] > 3 * swa  # too few points
    assert last(ema_decay=0.5)[2] > 10 * ema and last(ema_decay=0.999)[2] > 100 * ema
    slow, slow_swa, _ = last(learning_rate=0.03)
    assert slow_swa > slow  # not there yet: the average stays behind
    assert last(learning_rate=1.05)[0] > 1e6


def test_averaging_draws_path_marks_and_losses():
    explorer = explore.averaging()
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
    left, right = explorer.figure.axes
    for rate, start, decay in itertools.product((0.03, 0.4, 0.9), (0, 150, 300), (0.0, 0.95, 0.999)):
        for name, value in (("learning_rate", rate), ("swa_start", start), ("ema_decay", decay)):
            explorer.controls[name].value = value
        result = explorer.result
        (path,) = marked(explorer, ".")
        assert np.array_equal(path.get_xydata(), result.path)
        for marker, points in (("P", result.swa), ("D", result.ema)):
            (mark,) = marked(explorer, marker)
            assert np.array_equal(mark.get_xydata(), points[-1:])
        sgd, ema, swa, begin = right.lines
        assert begin.get_xdata() == [start, start] and swa.get_xdata()[0] == start
        for line, losses in zip((sgd, swa, ema), result.losses, strict=True):
            assert line.get_ydata() == pytest.approx(np.clip(losses, smoothing.LOW, smoothing.HIGH))
    assert [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] == limits


def test_averaging_says_how_much_is_gained_and_that_sgd_diverges():
    explorer = explore.averaging()
    sgd, swa, _ = explorer.result.losses
    assert f"SWA: {sgd[-50:].mean() / swa[-1]:.3g} times lower loss than SGD's last 50 points" in words(explorer)
    explorer.controls["learning_rate"].value = 0.03
    assert "times higher loss" in words(explorer)
    explorer.controls["learning_rate"].value = 1.05
    assert "SGD diverges, and no average helps" in words(explorer)
    assert "3 of 3 marks outside the picture" in words(explorer)
    assert all(len(marked(explorer, marker)[0].get_xdata()) == 0 for marker in "PD")
    assert "diverges" in explorer.words.value
    explorer.controls["learning_rate"].value = 0.4
    assert "outside the picture" not in words(explorer)


# --- bad arguments


@pytest.mark.parametrize(
    ("call", "arguments", "hint"),
    [
        (explore.drop_units, {"p": 1.5}, "p = 1.5 is not usable; it is the probability of dropping a unit"),
        (explore.drop_units, {"p": math.nan}, "p = nan is not usable"),
        (explore.drop_units, {"p": 0.5, "forward_pass": 0}, "forward_pass is 0"),
        (explore.drop_units, {"p": 0.5, "mode": "test"}, "choose from: 'train', 'eval'"),
        (explore.drop_units, {"p": 0.5, "scaling": "p"}, "scaling = 'p' is not possible"),
        (explore.dropout, {"p": 0.25}, "p = 0.25 is not on the scale 0.0 to 1.0"),
        (explore.normalize_block, {"samples": 5}, "samples is 5; the block has at most 4"),
        (explore.normalize_block, {"pixels": 0}, "pixels is 0; a whole number of at least 1"),
        (explore.normalize_block, {"groups": 1.5}, "groups is 1.5"),
        (explore.normalize_block, {"norm": "weight"}, "choose from: 'batch', 'layer', 'instance', 'group'"),
        (explore.normalization_axes, {"groups": 5}, "groups = 5 is not on the scale 1 to 6"),
        (explore.train_sick, {"cause": "bad luck"}, "cause = 'bad luck' is not possible; choose from: 'healthy'"),
        (explore.train_sick, {"cause": "healthy", "strength": "mild"}, "strength = 'mild' is not possible"),
        (explore.sick_curves, {"strength": "deadly"}, "choose from: 'mild', 'clear', 'strong'"),
        (explore.average_path, {"learning_rate": 0, "swa_start": 0, "ema_decay": 0}, "give a number above 0"),
        (explore.average_path, {"learning_rate": 1, "swa_start": 301, "ema_decay": 0}, "there are 300 steps"),
        (explore.average_path, {"learning_rate": 1, "swa_start": -1, "ema_decay": 0}, "swa_start is -1"),
        (explore.average_path, {"learning_rate": 1, "swa_start": 0, "ema_decay": 1.1}, "ema_decay = 1.1"),
        (explore.averaging, {"swa_start": 10}, "swa_start = 10 is not on the scale 0 to 300"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(call, arguments, hint):
    with pytest.raises(ValueError) as caught:
        call(**arguments)
    message = str(caught.value)
    assert hint in message and "\n" not in message
