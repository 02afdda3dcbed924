"""Looking at arguments at the door: what the figure helpers take, and one clear line for all else."""

import math
import operator
from collections.abc import Sequence
from numbers import Real

import numpy as np
import torch

from .style import LOOK

Numbers = Sequence[float] | np.ndarray | torch.Tensor
MOST_LINES = len(LOOK["axes.prop_cycle"])


def on_cpu(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """`tensor` without its graph and on the CPU; the tensor given stays as it is."""
    if tensor.is_meta:
        raise ValueError(f"{name} is on the device 'meta' and holds no values; give a tensor on a real device")
    return tensor.detach().cpu()


def numbers(values: object, name: str, shaped: bool = False) -> np.ndarray:
    """`values` as a new float64 array of shape (N,), N >= 1; NaN and infinity may be among them.

    Takes a list of numbers (one-element tensors too), an array or a tensor of shape (N,) or (N, 1), on any
    device; with `shaped` of any shape, which is then flattened. Raises TypeError or ValueError that begin
    with `name`.
    """
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "biuf":
            raise TypeError(f"{name} holds {values.dtype} values; real numbers are needed")
        values = torch.from_numpy(values.astype(np.float64))
    if isinstance(values, torch.Tensor):
        if values.is_complex():
            raise TypeError(f"{name} holds complex numbers; real ones are needed, for example its .abs()")
        if not shaped and values.dim() != 1 and not (values.dim() == 2 and values.shape[1] == 1):
            raise ValueError(f"{name} has shape {tuple(values.shape)}; (N,) or (N, 1) is needed")
        array = on_cpu(values, name).to(torch.float64).numpy().reshape(-1).copy()
    elif isinstance(values, (list, tuple, range)):
        array = np.array([number(value, f"{name}[{i}]") for i, value in enumerate(values)], dtype=np.float64)
    else:
        raise TypeError(f"{name} is {kind(values)}; a list of numbers or a tensor is needed")
    if array.size == 0:
        raise ValueError(f"{name} is empty; at least one number is needed")
    return array


def finite_numbers(values: object, name: str, shaped: bool = False) -> np.ndarray:
    """Like `numbers`, but raises ValueError when one of them is NaN or infinite."""
    array = numbers(values, name, shaped)
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(
            f"{name} has {bad.size} of {array.size} values that are not finite, the first is "
            f"{array[bad[0]]:g} at position {bad[0]}; find where it came from, or leave those values out"
        )
    return array


def number(value: object, name: str) -> float:
    """One number as a float: a Python or NumPy number, or a tensor with one element."""
    if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex():
        return float(on_cpu(value, name))
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"{name} is {kind(value)}; a number is needed")


def finite_tuple(values: object, names: str, label: str) -> tuple[float, ...]:
    """One finite number for each word of `names` ("w b"), from a tuple, list or tensor."""
    words = names.split()
    wanted = f"({', '.join(words)})"
    if isinstance(values, torch.Tensor):
        values = values.tolist() if values.dim() == 1 else values
    if not isinstance(values, (tuple, list)) or len(values) != len(words):
        raise TypeError(f"{label!r} needs {len(words)} numbers {wanted}, not {kind(values)}")
    found = tuple(number(value, f"{word} of {label!r}") for word, value in zip(words, values, strict=True))
    if not all(map(math.isfinite, found)):
        raise ValueError(f"{label!r} has {wanted} = {found}; they must be finite to be drawn")
    return found


def whole(value: object, name: str, least: int = 1) -> int:
    """`value` when it is a whole number of at least `least`, as a Python int."""
    if not isinstance(value, int) and _is_index(value):
        raise ValueError(f"{name} is {kind(value)}; a Python int is needed, write int(…) around it")
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}; a whole number of at least {least} is needed")
    return value


def _is_index(value: object) -> bool:
    """Whether `value` stands for a whole number, as np.int64(3) and torch.tensor(3) do."""
    try:
        operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


def interval(values: object, name: str) -> tuple[float, float]:
    """Two finite numbers (low, high) with low < high."""
    low, high = finite_tuple(values, "low high", name)
    if not low < high:
        raise ValueError(f"{name} is ({low:g}, {high:g}); the first number must be smaller than the second")
    return low, high


def texts(**labels: object) -> None:
    """Raise TypeError unless every label or title is a text."""
    for name, label in labels.items():
        if not isinstance(label, str):
            raise TypeError(f"the {name} is {kind(label)}; a text is needed")


def named(entries: object, function: str, content: str) -> dict:
    """`entries` when it is a dictionary with text labels, at most as many as there are line styles."""
    if not isinstance(entries, dict):
        raise TypeError(f'{function} needs a dictionary {{"label": {content}}}, not {kind(entries)}')
    if not entries:
        raise ValueError(f'{function} got an empty dictionary; give at least one {{"label": {content}}}')
    if len(entries) > MOST_LINES:
        raise ValueError(f"{function} got {len(entries)} entries; at most {MOST_LINES} can be told apart, draw fewer")
    for label in entries:
        if not isinstance(label, str) or not label.strip():
            raise TypeError(f"{function} got the label {label!r}; every label must be a text")
    return entries


def same_length(first: np.ndarray, second: np.ndarray, first_name: str, second_name: str) -> None:
    """Raise ValueError when two arrays differ in their number of entries."""
    if len(first) != len(second):
        raise ValueError(
            f"{first_name} has {len(first)} entries and {second_name} has {len(second)}; "
            "one is needed for each of the other"
        )


def kind(value: object) -> str:
    """What a value is, in words for an error message."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if value is None:
        return "None"
    name = type(value).__name__
    size = f" of length {len(value)}" if isinstance(value, (list, tuple)) else ""
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}{size}"
