"""What the checks of week 3 share: the learner's function itself, whole numbers, and input that stays as it was."""

import numpy as np
import torch
from torch import nn

from course_utils._arguments import kind
from course_utils.checks.core import Mistake, expect_type


def the_function(function: object) -> object:
    """`function`; Mistake when a layer was given, which can be called too and would fail somewhere inside torch."""
    if isinstance(function, nn.Module):
        raise Mistake(f"this check takes your function itself, but it got {kind(function)}; pass it without ()")
    return function


def whole_number(value: object, name: str, hint: str) -> int:
    """`value` as an int: a Python or NumPy integer, or a tensor with one; a float is told `hint`."""
    if (isinstance(value, torch.Tensor) and value.numel() == 1) or (isinstance(value, np.ndarray) and value.size == 1):
        value = value.item()
    if isinstance(value, (float, np.floating)):
        raise Mistake(f"{name} is the float {value:g}, expected an int: {hint}")
    if isinstance(value, np.integer):
        value = int(value)
    expect_type(value, int, name)
    return value


def expect_untouched(given: torch.Tensor, before: torch.Tensor) -> None:
    """Raise Mistake unless `given`, which forward() got, still holds what it held `before`."""
    if not torch.equal(given, before):
        raise Mistake("forward writes into the x that it is given; x = x - … makes a new tensor, x -= … does not")
