"""What a notebook needs before its first lesson: a device, and random numbers that repeat."""

import importlib.util
import random
import re

import numpy as np
import torch

OLDEST_TORCH = (2, 15)
# what a cell would stumble over only later
NEEDED_LATER = ("ipywidgets", "tensorboard")


def setup(seed: int = 0, device: str | torch.device = "auto") -> torch.device:
    """Check the installed torch, seed every generator, choose the device, and print one line about it.

    `device` is "auto" (CUDA, then MPS, then CPU) or what `torch.device` accepts. Calling it again with its own
    result gives the same again. Raises RuntimeError for an old torch or a missing package, ValueError for a bad seed
    or device.
    """
    check_torch(torch.__version__)
    check_packages()
    chosen = pick_device(device)
    seed_everything(seed)
    print(f"ready: torch {torch.__version__.split('+')[0]}, device {chosen.type}, seed {seed}")
    return chosen


def check_torch(version: str) -> None:
    """Raise RuntimeError when `version` (such as "2.15.0+cpu") is older than what the course is written for."""
    if version_numbers(version) < OLDEST_TORCH:
        wanted = ".".join(map(str, OLDEST_TORCH))
        raise RuntimeError(
            f"torch {version} is too old: the course needs {wanted} or newer; close Jupyter and start it again "
            "with `python course.py lab`, which installs the right one"
        )


def check_packages() -> None:
    """Raise RuntimeError when a package is missing that is imported only when a cell shows something with it."""
    missing = [name for name in NEEDED_LATER if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"{' and '.join(missing)} not installed: close Jupyter and start it again with `python course.py lab`, "
            "which installs what is missing"
        )


def version_numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version: (2, 15) for "2.15.0+cpu"."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The device to compute on: "auto" takes CUDA, then MPS, then the CPU; anything else is taken at its word.

    Raises ValueError when the word is no device, or when this machine does not have it.
    """
    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if torch.cuda.is_available():
        present.insert(0, "cuda")
    if device == "auto":
        return torch.device(present[0])
    choices = ", ".join(["auto", *present])
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f"device {device!r} is not a device that torch knows; choose one of: {choices}") from None
    missing_card = wanted.type == "cuda" and wanted.index is not None and wanted.index >= torch.cuda.device_count()
    if wanted.type not in present or missing_card:
        raise ValueError(f"device {str(wanted)!r} is not on this machine; choose one of: {choices}")
    return wanted


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch (every device) with `seed`, 0 to 2**32 - 1."""
    check_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def check_seed(seed: int) -> None:
    """Raise ValueError unless `seed` is a whole number that all three generators take."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed {seed!r} is not usable; give a whole number from 0 to 4294967295")


def loader_seeding(seed: int) -> dict:
    """Arguments that make a DataLoader repeat: `DataLoader(data, shuffle=True, **loader_seeding(0))`.

    The generator decides the order, and draws the number from which torch seeds its own generator, Python's and
    NumPy's in every worker, differently in each. So the order repeats whatever else drew random numbers before.
    """
    check_seed(seed)
    return {"generator": torch.Generator().manual_seed(seed)}
