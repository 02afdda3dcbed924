"""Numbers print the same everywhere."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch

from course_utils.text import rounded


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.23456, "1.235"),
        (-0.00001, "0.0"),
        (2, "2"),
        (True, "True"),
        ("0.12345", "'0.12345'"),
        (None, "None"),
        (np.float32(0.123456), "0.123"),
        (np.float64(0.123456), "0.123"),
        (torch.tensor(0.1), "0.1"),
        (torch.tensor([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        (torch.tensor([0.1, -0.0]), "[0.1, 0.0]"),
        (torch.tensor([1 / 3], requires_grad=True), "[0.333]"),
        (torch.tensor([True]), "[True]"),
        ([1.23456, (0.98765, {"a": 2.34567})], "[1.235, (0.988, {'a': 2.346})]"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_what_is_rounded_to_three_digits(value, text):
    assert repr(rounded(value)) == text


def test_the_number_of_digits_is_chosen():
    assert rounded(math.pi, 1) == 3.1
    assert rounded([math.pi], 5) == [3.14159]


def test_the_value_given_stays_as_it_is():
    values = {"a": [1.23456], "b": torch.tensor([1.23456])}
    rounded(values)
    assert values["a"] == [1.23456] and values["b"].item() == pytest.approx(1.23456)


def test_named_tuples_and_arrays():
    class Point(NamedTuple):
        x: float
        y: float

    assert rounded(Point(0.12345, 2.0)) == Point(0.123, 2.0)
    assert rounded(np.array([0.12345, -0.00001])) == [0.123, 0.0]
