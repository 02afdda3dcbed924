"""Answers that do what no exercise foresees: one line each, and nothing of the session changed."""

import random
import sys

import numpy as np
import pytest
import torch
from table import Fault, row, rows

from course_utils.checks import core, week1


def raises(values):
    tensor = torch.tensor(values)
    return tensor.no_such_method()


def leaves(values):
    sys.exit(3)


def long_error(values):
    raise ValueError("first\n" + "more\n" * 50)


def calls_itself(values):
    return calls_itself(values)


def rude(values):
    """Changes whatever the session has, and then fails."""
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    return list(values)


ANSWERS = {
    "answer raises": raises,
    "answer of the wrong type": rude,
    "answer returns nothing": lambda values: None,
    "answer leaves Python": leaves,
    "answer calls itself": calls_itself,
    "answer with a long error": long_error,
    "answer is no function": torch.ones(2),
}


@pytest.fixture(autouse=True)
def own_summary(monkeypatch):
    monkeypatch.setattr(core, "_states", {})


def session() -> tuple:
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
    )


@pytest.mark.parametrize("fault", rows("test_what_a_function_does"), ids=lambda fault: fault.name)
def test_what_a_function_does(fault: Fault, says):
    before = session()
    result = week1.tracked(ANSWERS[fault.name])
    says(fault, repr(result))
    assert result.status == ("open" if fault.name == "answer returns nothing" else "wrong")
    assert session() == before
    assert week1.tracked(lambda values: torch.tensor(values).float().requires_grad_()).status == "right"


def test_a_check_with_one_answer_too_many(says):
    says(row("check called wrongly"), repr(week1.tracked(raises, raises)))
