"""One way to write numbers, so that the same value always prints the same."""

import numpy as np
import torch


def rounded(value: object, digits: int = 3) -> object:
    """`value` with every float rounded to `digits` decimals and no minus sign before a zero.

    Takes numbers, tensors and arrays (any shape; given back as nested lists), and lists, tuples or dicts of them;
    everything else is given back as it is. bool and int stay as they are.
    """
    if isinstance(value, torch.Tensor):
        return rounded(value.detach().cpu().tolist(), digits)
    if isinstance(value, dict):
        return {key: rounded(entry, digits) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return rounded(value.tolist(), digits)
    if isinstance(value, (list, tuple)):
        entries = [rounded(entry, digits) for entry in value]
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
    if isinstance(value, (float, np.floating)):
        return round(float(value), digits) + 0.0
    return value
