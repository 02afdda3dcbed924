"""Curves: what is drawn, what the description says, and one clear line for all else."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch.optim import SGD, Adam, lr_scheduler

from course_utils.curves import boundary, function_plot, histograms, line_fit, loss_curves, plot_lr_curves

NAN, INF = float("nan"), float("inf")


def drawn(figure, label):
    """x and y of the line with this label."""
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_label() == label]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


# ---- loss curves


def test_loss_curves_draw_the_values_given():
    figure = loss_curves({"slow": [4.0, 3.0, 2.5], "fast": torch.tensor([4.0, 1.0, 0.25])}, title="Fast wins")
    assert legend(figure) == ["slow", "fast"]
    assert drawn(figure, "slow")[1].tolist() == [4.0, 3.0, 2.5]
    assert drawn(figure, "fast")[0].tolist() == [0, 1, 2]
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title("left")) == (
        "iteration",
        "loss",
        "Fast wins",
    )
    assert figure.description == "Loss over 3 iterations: slow falls from 4 to 2.5; fast falls from 4 to 0.25."


def test_a_description_rounds_to_three_digits_and_names_the_turning_points():
    figure = loss_curves({"a": [1234.5, 0.0123456], "b": [2.0, 9.0, 1.0, 3.0, 2.5]}, x_label="epoch", y_label="error")
    assert figure.description == (
        "Error: a falls from 1230 to 0.0123 over 2 epochs; b rises from 2 to 2.5 (lowest 1, highest 9) over 5 epochs."
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([3.0], "stays at 3"),
        ([3, 3, 3], "stays at 3"),
        ([-0.0, 1e-9], "rises from 0 to 1e-09"),
        ([1e20, 1e38], "rises from 1e+20 to 1e+38"),
        ([1.0, 5.0, 1.0], "goes from 1 to 1 (highest 5)"),
        ([999999.0, 999.0], "falls from 1000000 to 999"),
    ],
)
def test_the_words_for_a_course(values, words):
    figure = loss_curves({"run": values})
    assert words in figure.description
    figure.png()  # also extreme values can be drawn


@pytest.mark.parametrize("end", [NAN, INF, -INF])
@pytest.mark.parametrize("log", [False, True])
def test_a_diverging_run_is_drawn_up_to_its_end_and_marked(end, log):
    figure = loss_curves({"fine": [3.0, 2.0, 1.0, 0.5], "wild": [3.0, 30.0, end, 1.0]}, log=log)
    label = f"wild ({end:g} at iteration 2)"
    assert legend(figure) == ["fine", label]
    assert drawn(figure, label)[1].tolist() == [3.0, 30.0]
    (mark,) = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (1, 30.0)
    assert f"wild rises from 3 to 30, then it is {end:g} at iteration 2" in figure.description
    assert figure.axes[0].get_yscale() == ("log" if log else "linear")
    figure.png()


def test_a_run_without_one_finite_value_is_named():
    figure = loss_curves({"lost": [NAN, NAN]})
    assert "lost is nan at iteration 0" in figure.description
    assert legend(figure) == ["lost (nan at iteration 0)"]
    figure.png()


def test_losses_that_still_carry_their_graph_are_read():
    w = torch.tensor(2.0, requires_grad=True)
    losses = [w * 3, (w * 2).reshape(1), 1]
    assert drawn(loss_curves({"run": losses}), "run")[1].tolist() == [6.0, 4.0, 1.0]
    losses[0].backward()
    assert w.grad == 3


# ---- learning rates


def pair(scheduler, optimizer=SGD, groups=1, **arguments):
    """A function that builds an optimizer with `groups` groups (rates 0.1, 0.2, …) and its scheduler."""

    def make():
        parameters = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.1 * (i + 1)} for i in range(groups)]
        built = optimizer(parameters)
        return built, scheduler(built, **arguments)

    return make


def trained(make, epochs, batches=1, metrics=None):
    """The learning rates of a real training run: (steps, groups)."""
    optimizer, scheduler = make()
    rates = []
    for step in range(epochs * batches):
        optimizer.zero_grad()
        sum(p.square().sum() for group in optimizer.param_groups for p in group["params"]).backward()
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step() if metrics is None else scheduler.step(metrics[step])
    return np.array(rates)


SCHEDULES = {
    "StepLR": (pair(lr_scheduler.StepLR, step_size=3), 10, 1),
    "ExponentialLR": (pair(lr_scheduler.ExponentialLR, Adam, gamma=0.9), 10, 1),
    "CosineAnnealingLR": (pair(lr_scheduler.CosineAnnealingLR, T_max=8), 12, 1),
    "OneCycleLR": (pair(lr_scheduler.OneCycleLR, max_lr=1.0, total_steps=12), 3, 4),
    "CyclicLR": (pair(lr_scheduler.CyclicLR, base_lr=0.1, max_lr=1.0, step_size_up=3), 4, 5),
    "LambdaLR": (
        pair(lr_scheduler.LambdaLR, groups=2, lr_lambda=[lambda e: 0.5**e, lambda e: 1 / (e + 1)]),
        6,
        1,
    ),
    "MultiStepLR": (pair(lr_scheduler.MultiStepLR, groups=3, milestones=[2, 4]), 6, 1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_curve_is_what_training_uses(name):
    make, epochs, batches = SCHEDULES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_lr_curves(make, epochs, batches)
    rates = trained(make, epochs, batches)
    labels = [name] if rates.shape[1] == 1 else [f"{name}, group {i}" for i in range(rates.shape[1])]
    assert legend(figure) == labels
    for label, rate in zip(labels, rates.T, strict=True):
        x, y = drawn(figure, label)
        assert y.tolist() == rate.tolist()
        assert x.tolist() == list(range(len(rate)))
    assert figure.axes[0].get_xlabel() == ("epoch" if batches == 1 else "step")


def test_reduce_on_plateau_follows_the_metrics():
    make = pair(lr_scheduler.ReduceLROnPlateau, patience=1)
    metrics = [1.0, 0.9, 0.9, 0.9, 0.9, 0.5]
    figure = plot_lr_curves(make, 6, metrics=torch.tensor(metrics))
    rates = trained(make, 6, metrics=metrics)
    assert len(set(rates.ravel())) > 1
    assert drawn(figure, "ReduceLROnPlateau")[1].tolist() == rates.ravel().tolist()


def test_several_schedulers_are_compared_under_their_labels():
    figure = plot_lr_curves({"step": SCHEDULES["StepLR"][0], "cosine": SCHEDULES["CosineAnnealingLR"][0]}, 10)
    assert legend(figure) == ["step", "cosine"]
    assert figure.description.startswith("Learning rate over 10 epochs: step falls from 0.1 to 0.0001; cosine ")


@pytest.mark.parametrize("log", [False, True])
def test_rates_have_a_logarithmic_axis_only_on_request(log):
    figure = plot_lr_curves(SCHEDULES["StepLR"][0], 10, log=log)
    assert figure.axes[0].get_yscale() == ("log" if log else "linear")
    usual = plot_lr_curves(SCHEDULES["StepLR"][0], 10)
    assert drawn(figure, "StepLR")[1].tolist() == drawn(usual, "StepLR")[1].tolist()
    assert figure.description == usual.description
    figure.png()


def test_a_model_with_gradients_is_not_trained_by_drawing():
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)

    def make():
        optimizer = SGD([weight], lr=0.1, weight_decay=0.1)
        return optimizer, lr_scheduler.StepLR(optimizer, 2)

    plot_lr_curves(make, 5)
    assert weight.tolist() == [1, 1, 1] and weight.grad.tolist() == [1, 1, 1]


def test_the_scheduler_of_a_running_training_is_refused_and_not_stepped():
    optimizer, scheduler = pair(lr_scheduler.StepLR, step_size=1)()
    for handing_out in (
        lambda: (optimizer, scheduler),
        lambda: (optimizer, lr_scheduler.StepLR(optimizer, 1)),
    ):
        with pytest.raises(ValueError, match="inside make"):
            plot_lr_curves(handing_out, 5)
        assert optimizer.param_groups[0]["lr"] == 0.1 and scheduler.last_epoch == 0


# ---- functions, lines, boundaries, histograms


def test_functions_are_evaluated_over_the_range():
    figure = function_plot({"sigmoid": torch.sigmoid, "data": ([0, 1, 2], [3, 2, 3])}, (-4, 4), points=9)
    x, y = drawn(figure, "sigmoid")
    assert x.tolist() == [-4, -3, -2, -1, 0, 1, 2, 3, 4]
    assert y == pytest.approx([1 / (1 + math.exp(-value)) for value in x], abs=1e-6)
    assert drawn(figure, "data")[1].tolist() == [3, 2, 3]
    assert figure.description == (
        "Y against x: sigmoid rises from 0.018 to 0.982 for x from -4 to 4; "
        "data goes from 3 to 3 (lowest 2) for x from 0 to 2."
    )


def test_a_function_has_a_gap_where_it_is_not_finite():
    figure = function_plot({"1/x": lambda x: 1 / x}, (-2, 2), points=5)
    assert np.isnan(drawn(figure, "1/x")[1]).tolist() == [False, False, True, False, False]
    assert "(1 values are not finite and left out)" in figure.description


def test_a_function_may_use_autograd_and_change_its_input():
    def slope(x):
        x.requires_grad_()
        (x**2).sum().backward()
        return x.grad

    def halved(x):
        return x.mul_(0.5)

    figure = function_plot({"slope": slope, "halved": halved}, (0, 4), points=3)
    assert drawn(figure, "slope")[1].tolist() == [0, 4, 8]
    assert drawn(figure, "halved")[0].tolist() == [0, 2, 4]


def test_a_line_is_drawn_through_its_equation_and_scored():
    figure = line_fit([0, 1, 2], [1.0, 3.0, 6.0], {"fit": (2, 1)}, x_label="hours", y_label="marks")
    assert drawn(figure, "3 points")[1].tolist() == [1, 3, 6]
    assert [ends.tolist() for ends in drawn(figure, "fit")] == [[0, 2], [1, 5]]
    assert figure.description == (
        "3 points, hours from 0 to 2, marks from 1 to 6; fit is marks = 2 hours + 1, mean squared error 0.333."
    )


def test_points_alone_need_no_line():
    assert legend(line_fit(torch.ones(1), torch.ones(1))) == ["1 point"]
    assert legend(boundary(torch.zeros(2, 2), [0, 1])) == ["class 0", "class 1"]


POINTS = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0], [4.0, 2.0]])


@pytest.mark.parametrize("line", [(1, 1, -3), (1, -1, 0), (1, 0, -1), (0, 1, -1), (-3, 2, 1.5), (1e-3, 5, -4)])
def test_a_decision_line_fulfils_its_equation_and_ends_at_the_edge_of_the_view(line):
    figure = boundary(POINTS, [0, 1, 0, 1], {"line": line})
    axes = figure.axes[0]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x, y = drawn(figure, "line")
    assert x.shape == (2,) and (x[0], y[0]) != (x[1], y[1])
    assert line[0] * x + line[1] * y + line[2] == pytest.approx(0, abs=1e-9)
    for end_x, end_y in zip(x, y, strict=True):
        assert left - 1e-9 <= end_x <= right + 1e-9 and bottom - 1e-9 <= end_y <= top + 1e-9
        assert min(abs(end_x - left), abs(end_x - right), abs(end_y - bottom), abs(end_y - top)) < 1e-9


def test_classes_have_their_own_markers_and_wrong_points_are_counted():
    labels = torch.tensor([[0.0], [1.0], [0.0], [0.0]])
    figure = boundary(POINTS, labels, {"by x1": (1, 0, -2), "turned": (-1, 0, 2), "far": (1, 0, -100)})
    assert np.stack(drawn(figure, "class 1"), 1).tolist() == [[4, 0]]
    markers = [line.get_marker() for line in figure.axes[0].get_lines()[:2]]
    assert len(set(markers)) == 2
    assert figure.description == (
        "4 points, 3 of class 0 and 1 of class 1; the line of by x1 has 1 point on its wrong side; "
        "the line of turned has 3 points on its wrong side; "
        "the line of far lies outside the view and has 1 point on its wrong side."
    )
    assert legend(figure)[-1] == "far (outside the view)"


def test_a_histogram_counts_every_value_once():
    values = torch.tensor([[0.0, 0.1, 0.9], [1.0, 0.2, 0.3]])
    figure = histograms({"a": values, "b": torch.full((4,), 0.5, dtype=torch.bfloat16)}, bins=2)
    x, y = drawn(figure, "a")
    assert x.tolist() == [0, 0, 0.5, 0.5, 1, 1]
    assert y.tolist() == [0, 4, 4, 2, 2, 0]
    assert drawn(figure, "b")[1].max() == 4
    assert "b has 4 values from 0.5 to 0.5, mean 0.5, standard deviation 0." in figure.description


def test_a_constant_tensor_has_a_histogram():
    assert drawn(histograms({"zeros": torch.zeros(7)}), "zeros")[1].max() == 7


# ---- bad input


def builder(result):
    return lambda: result


SIX = {str(i): [1.0] for i in range(8)}
one_line = pair(lr_scheduler.StepLR, step_size=1)
BAD = [
    (
        lambda: loss_curves([1.0, 2.0]),
        TypeError,
        'dictionary {"label": list of losses}, not a list of length 2',
    ),
    (lambda: loss_curves({}), ValueError, "loss_curves got an empty dictionary"),
    (lambda: loss_curves({"run": []}), ValueError, "'run' is empty"),
    (lambda: loss_curves({"run": torch.ones(0)}), ValueError, "'run' is empty"),
    (lambda: loss_curves({"run": 3.0}), TypeError, "'run' is a float; a list of numbers"),
    (lambda: loss_curves({"run": None}), TypeError, "'run' is None; a list of numbers"),
    (lambda: loss_curves({"run": [1.0, "2"]}), TypeError, "'run'[1] is a str; a number"),
    (
        lambda: loss_curves({"run": [torch.ones(2)]}),
        TypeError,
        "'run'[0] is a tensor of shape (2,); a number",
    ),
    (lambda: loss_curves({"run": torch.ones(3, 2)}), ValueError, "'run' has shape (3, 2); (N,) or (N, 1)"),
    (lambda: loss_curves({"run": torch.ones(2, device="meta")}), ValueError, "'run' is on the device 'meta'"),
    (lambda: loss_curves({"run": torch.ones(2) * 1j}), TypeError, "'run' holds complex numbers"),
    (lambda: loss_curves({"run": np.array(["a"])}), TypeError, "'run' holds <U1 values"),
    (lambda: loss_curves({1: [1.0]}), TypeError, "label 1; every label must be a text"),
    (
        lambda: loss_curves({"a": [1.0, 0.0]}, log=True),
        ValueError,
        "'a' has the value 0, which a logarithmic axis",
    ),
    (lambda: loss_curves(SIX), ValueError, "8 entries; at most 7 can be told apart"),
    (lambda: plot_lr_curves(one_line(), 3), TypeError, "make is a tuple of length 2; give a function"),
    (lambda: plot_lr_curves({}, 3), ValueError, "plot_lr_curves got an empty dictionary"),
    (lambda: plot_lr_curves({"a": 1}, 3), TypeError, "make is an int; give a function"),
    (
        lambda: plot_lr_curves(builder(None), 3),
        TypeError,
        "must return (optimizer, scheduler), in this order",
    ),
    (
        lambda: plot_lr_curves(lambda: one_line()[::-1], 3),
        TypeError,
        "must return (optimizer, scheduler), in this",
    ),
    (
        lambda: plot_lr_curves(lambda: (one_line()[0], one_line()[1]), 3),
        ValueError,
        "belongs to another optimizer",
    ),
    (lambda: plot_lr_curves(one_line, 0), ValueError, "epochs is 0; a whole number of at least 1"),
    (lambda: plot_lr_curves(one_line, 2.5), ValueError, "epochs is 2.5; a whole number"),
    (
        lambda: plot_lr_curves(pair(lr_scheduler.PolynomialLR, total_iters=2), 3, log=True),
        ValueError,
        "'PolynomialLR' has the rate 0, which a logarithmic axis cannot show",
    ),
    (lambda: plot_lr_curves(one_line, 2, True), ValueError, "steps_per_epoch is True; a whole number"),
    (lambda: plot_lr_curves(pair(lr_scheduler.ReduceLROnPlateau), 3), ValueError, "give metrics="),
    (lambda: plot_lr_curves(one_line, 3, metrics=[1, 2]), ValueError, "metrics has 2 entries", "3 steps"),
    (
        lambda: plot_lr_curves(pair(lr_scheduler.StepLR, groups=8, step_size=1), 3),
        ValueError,
        "got 8 entries",
    ),
    (lambda: function_plot({}), ValueError, "function_plot got an empty dictionary"),
    (lambda: function_plot(torch.sigmoid), TypeError, 'dictionary {"label": function or (x, y)}'),
    (lambda: function_plot({"f": 3}), TypeError, "'f' is neither a function nor a pair (x, y) but an int"),
    (lambda: function_plot({"f": torch.sum}), ValueError, "y of 'f' has shape (); (N,) or (N, 1)"),
    (
        lambda: function_plot({"f": lambda x: x[:3]}),
        ValueError,
        "x of 'f' has 401 entries and y of 'f' has 3",
    ),
    (
        lambda: function_plot({"f": ([1, NAN], [1, 2])}),
        ValueError,
        "x of 'f' has 1 of 2 values that are not finite",
    ),
    (
        lambda: function_plot({"f": lambda x: x * NAN}),
        ValueError,
        "'f' has no finite value for x from -5 to 5",
    ),
    (
        lambda: function_plot({"f": torch.exp}, (2, 1)),
        ValueError,
        "x_range is (2, 1); the first number must be",
    ),
    (
        lambda: function_plot({"f": torch.exp}, 5),
        TypeError,
        "'x_range' needs 2 numbers (low, high), not an int",
    ),
    (
        lambda: function_plot({"f": torch.exp}, points=1),
        ValueError,
        "points is 1; a whole number of at least 2",
    ),
    (lambda: line_fit([1, 2, 3], [1, 2]), ValueError, "x has 3 entries and y has 2"),
    (lambda: line_fit([], []), ValueError, "x is empty"),
    (lambda: line_fit("abc", [1]), TypeError, "x is a str"),
    (lambda: line_fit(torch.ones(2, 2), [1, 2]), ValueError, "x has shape (2, 2)"),
    (lambda: line_fit([1, 2], [1, NAN]), ValueError, "y has 1 of 2 values that are not finite", "position 1"),
    (lambda: line_fit([1], [1], {}), ValueError, "line_fit got an empty dictionary"),
    (lambda: line_fit([1], [1], [(1, 2)]), TypeError, 'dictionary {"label": (w, b)}, not a list of length 1'),
    (lambda: line_fit([1], [1], {"fit": 3}), TypeError, "'fit' needs 2 numbers (w, b), not an int"),
    (
        lambda: line_fit([1], [1], {"fit": torch.tensor(3)}),
        TypeError,
        "'fit' needs 2 numbers",
        "a tensor of shape ()",
    ),
    (
        lambda: line_fit([1], [1], {"fit": (1, 2, 3)}),
        TypeError,
        "'fit' needs 2 numbers (w, b), not a tuple of length 3",
    ),
    (lambda: line_fit([1], [1], {"fit": (1, "b")}), TypeError, "b of 'fit' is a str; a number"),
    (
        lambda: line_fit([1], [1], {"fit": (INF, 0)}),
        ValueError,
        "'fit' has (w, b) = (inf, 0.0); they must be finite",
    ),
    (lambda: boundary([[1, 2]], [0]), ValueError, "points is list; a tensor of shape (N, 2)"),
    (lambda: boundary(torch.ones(3, 3), [0, 1, 1]), ValueError, "points is (3, 3); a tensor of shape (N, 2)"),
    (lambda: boundary(torch.ones(0, 2), []), ValueError, "points is empty"),
    (lambda: boundary(POINTS, [0, 1]), ValueError, "points has 4 entries and labels has 2"),
    (lambda: boundary(POINTS, [0, 1, 2, -1]), ValueError, "only the classes 0 and 1"),
    (
        lambda: boundary(POINTS * NAN, [0, 1, 1, 1]),
        ValueError,
        "points has 8 of 8 values that are not finite",
    ),
    (
        lambda: boundary(POINTS, [0, 1, 1, 1], {"w": (0, 0, 1)}),
        ValueError,
        "'w' has w1 = w2 = 0, which is no line",
    ),
    (lambda: boundary(POINTS, [0, 1, 1, 1], {"w": (1, 1)}), TypeError, "'w' needs 3 numbers (w1, w2, b)"),
    (
        lambda: boundary(POINTS, [0, 1, 1, 1], {"w": (1, NAN, 1)}),
        ValueError,
        "'w' has (w1, w2, b) = (1.0, nan, 1.0)",
    ),
    (lambda: histograms({}), ValueError, "histograms got an empty dictionary"),
    (
        lambda: histograms(torch.ones(3)),
        TypeError,
        'dictionary {"label": tensor}, not a tensor of shape (3,)',
    ),
    (lambda: histograms({"a": torch.ones(0)}), ValueError, "'a' is empty"),
    (
        lambda: histograms({"a": torch.tensor([1, INF, NAN])}),
        ValueError,
        "'a' has 2 of 3 values",
        "inf at position 1",
    ),
    (lambda: histograms({"a": torch.ones(3)}, bins=0), ValueError, "bins is 0; a whole number of at least 1"),
]


@pytest.mark.parametrize("case", BAD, ids=[case[2][:45] for case in BAD])
def test_bad_input_gives_one_clear_line(case, says_in_one_line):
    says_in_one_line(*case)


@pytest.mark.parametrize("label", ["x_label", "y_label", "title"])
def test_a_label_that_is_no_text_is_named(label):
    with pytest.raises(TypeError, match=f"{label} is an int; a text is needed"):
        loss_curves({"a": [2.0, 1.0]}, **{label: 3})
