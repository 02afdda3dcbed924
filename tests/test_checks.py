"""The machinery of the checks: three states, one line, and nothing of the learner's changed."""

import copy
import random

import numpy as np
import pytest
import torch

from course_utils.checks import core, start, week1
from course_utils.checks.core import Mistake, exercise, expect_close, expect_tensor

CHECKS = {
    name: check for module in (start, week1) for name, check in vars(module).items() if hasattr(check, "__wrapped__")
}
ODD_THINGS = [
    0,
    "text",
    3.5,
    True,
    [],
    {},
    [1, 2],
    object(),
    np.ones(3),
    torch.ones(2),
    torch.tensor([float("nan")]),
    torch.nn.Linear(1, 1),
    lambda *_: 7,
    lambda *_: torch.tensor(float("nan")),
    lambda *_: (1, 2, 3, 4),
    lambda: None,
    int,
]


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch):
    monkeypatch.setattr(core, "_states", {})
    monkeypatch.setattr(core, "_titles", dict(core._titles))


@pytest.fixture
def doubling():
    @exercise("9.1", "Double")
    def check(function):
        expect_close(core.call(function, torch.tensor(2.0)), 4.0, "double(2)", "twice as much")
        return "twice"

    return check


def test_three_states(doubling):
    assert doubling(...).status == doubling(lambda x: ...).status == doubling(lambda x: None).status == "open"
    wrong, right = doubling(lambda x: x + 1), doubling(lambda x: 2 * x)
    assert (wrong.status, right.status) == ("wrong", "right")
    assert repr(wrong) == "✗ 9.1 double(2) is 3, expected 4: twice as much"
    assert repr(right) == "✓ 9.1 twice"
    assert repr(doubling(...)) == "○ 9.1 not attempted yet"


def test_the_order_of_tests_is_type_dtype_shape_grad_finite():
    def first_mistake(value):
        with pytest.raises(Mistake) as caught:
            expect_tensor(value, "t", dtype=torch.float32, shape=(2,), requires_grad=True)
        return str(caught.value)

    nan = float("nan")
    assert "should be a Tensor" in first_mistake([nan])
    assert "dtype" in first_mistake(torch.tensor([nan, nan, nan], dtype=torch.float64))
    assert "shape" in first_mistake(torch.tensor([nan, nan, nan]))
    assert "requires_grad" in first_mistake(torch.tensor([nan, nan]))
    assert "nan" in first_mistake(torch.tensor([nan, nan], requires_grad=True))


def test_a_tensor_on_another_device_is_named():
    with pytest.raises(Mistake, match="is on meta, expected cpu"):
        expect_tensor(torch.ones(2, device="meta"), "t", device="cpu")


def test_an_error_of_the_learner_is_one_line_with_its_place(doubling):
    def double(x):
        y = x.numpy()
        return y.dobule()

    message = doubling(double).message
    assert "line 3 of double" in message and "AttributeError" in message and "\n" not in message


def test_html_does_not_run_what_the_learner_wrote(doubling):
    result = doubling("<script>alert(1)</script>")
    assert result.status == "wrong"

    def cross(x):
        raise ValueError("<script>")

    assert "<script>" not in doubling(cross)._repr_html_()


def test_random_states_and_gradient_mode_are_given_back(doubling):
    def rude(x):
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        torch.set_grad_enabled(False)
        return 2 * x

    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = (torch.rand(1).item(), np.random.rand(), random.random())
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    try:
        assert doubling(rude).status == "right"
        assert torch.is_grad_enabled()
        assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected
    finally:
        torch.set_grad_enabled(True)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_called_with_the_wrong_kind_of_thing_says_so_in_one_line(name):
    check = CHECKS[name]
    count = check.__wrapped__.__code__.co_argcount
    for thing in ODD_THINGS:
        before = copy.deepcopy(thing.state_dict()) if isinstance(thing, torch.nn.Module) else None
        result = check(*[thing] * count)
        assert result.status in ("wrong", "open"), f"{name} accepts {thing!r}"
        assert "\n" not in result.message and "could not be read" not in result.message, f"{thing!r}: {result}"
        if before is not None:
            assert all(torch.equal(before[key], value) for key, value in thing.state_dict().items())
    assert "takes" in check(*[1] * (count + 1)).message


def test_a_tensor_of_the_learner_stays_as_it_was():
    tensors = [torch.tensor(7.0), torch.ones(3), torch.zeros(2, 3), torch.rand(3, 4, 5, requires_grad=True)]
    copies = [tensor.detach().clone() for tensor in tensors]
    assert week1.tensor_family(*tensors).status == "right"
    assert all(torch.equal(tensor, before) for tensor, before in zip(tensors, copies, strict=True))
    assert tensors[3].grad is None


def test_the_summary_counts_what_was_solved():
    before = week1.summary()
    assert before.done == 0
    numbers = [number for number, _, _ in before.rows]
    exercises = [number for number in numbers if not number.startswith("bug")]
    assert exercises == [f"1.{place}" for place in range(1, len(exercises) + 1)]
    assert numbers[len(exercises) :] == ["bug 1.1", "bug 1.2", "bug 1.3"]
    week1.chain_rule(lambda x, w: (w + 1) ** 2 + (x + w) * 2 * (w + 1))
    week1.classify(lambda w, b, x: x)
    states = {number: status for number, _, status in week1.summary().rows}
    assert week1.summary().done == 1
    assert (states["1.9"], states["1.12"], states["1.1"]) == ("right", "wrong", "open")
    assert "✓ 1.9 The chain rule by hand" in repr(week1.summary())
    assert "1 of " in week1.summary()._repr_html_()


def test_what_a_learner_does_to_the_session_is_undone_and_never_raises(doubling):
    def leave(x):
        raise SystemExit(3)

    def rule(x):
        torch.set_default_dtype(torch.float64)
        return 2 * x

    assert doubling(leave).status == "wrong"
    assert doubling(rule).status == "right"
    assert torch.get_default_dtype() == torch.float32
    assert doubling(function=lambda x: 2 * x).status == "right"


def test_a_default_device_of_the_learner_does_not_disturb_and_is_given_back(doubling):
    def move(x):
        torch.set_default_device("meta")
        return 2 * x

    try:
        torch.set_default_device("meta")
        assert doubling(lambda x: 2 * x).status == "right"
        assert torch.get_default_device() == torch.ones(1).device == torch.device("meta")
        torch.set_default_device(None)
        doubling(move)
        assert torch.get_default_device() == torch.ones(1).device == torch.device("cpu")
    finally:
        torch.set_default_device(None)


def test_a_missing_return_is_told_from_a_gap(doubling):
    assert doubling(...).message == "not attempted yet"
    assert "its return is missing" in doubling(lambda x: None).message
