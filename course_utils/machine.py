"""Is this machine ready for the course? One line a part, and what to do where something is wrong."""

import importlib.metadata
import platform
from dataclasses import dataclass
from html import escape

import torch

from course_utils import data, session

REPAIR = "close Jupyter and start it again with `python course.py lab`"
OLDEST_PYTHON = (3, 11)
# the lower ends of the ranges in pyproject.toml; a test compares them
NEEDED = {
    "torch": session.OLDEST_TORCH,
    "torchvision": (0, 29),
    "jupyterlab": (4, 6),
    "ipywidgets": (8, 1),
    "matplotlib": (3, 11),
    "tensorboard": (2, 21),
}


@dataclass(frozen=True)
class Finding:
    """One part of the machine: what was found, whether it will do, and else what to do."""

    part: str
    ready: bool
    found: str
    advice: str = ""

    def __repr__(self) -> str:
        return f"{'✓' if self.ready else '✗'} {self.part}: {self.found}" + (f"; {self.advice}" if self.advice else "")


class Report(list[Finding]):
    """All findings; ready when each of them is."""

    @property
    def ready(self) -> bool:
        return all(finding.ready for finding in self)

    def __repr__(self) -> str:
        last = "ready: open week 1" if self.ready else "not ready: see the lines marked ✗"
        return "\n".join([*map(repr, self), last])

    def _repr_html_(self) -> str:
        return "<br>".join(escape(line) for line in repr(self).splitlines())


def look_around() -> Report:
    """Look at Python, the packages, the device and the course's data; nothing is changed or downloaded."""
    report = Report([_python(platform.python_version())])
    report += [_package(name, oldest) for name, oldest in NEEDED.items()]
    report.append(Finding("compute", True, f"device {session.pick_device('auto').type}"))
    report.append(_data())
    return report


def _python(version: str) -> Finding:
    if session.version_numbers(version) >= OLDEST_PYTHON:
        return Finding("Python", True, f"version {version}")
    return Finding("Python", False, f"version {version}", "the course needs 3.11 or newer: install it, then " + REPAIR)


def _package(name: str, oldest: tuple[int, int]) -> Finding:
    try:
        version = torch.__version__ if name == "torch" else importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", REPAIR)
    if session.version_numbers(version) < oldest:
        return Finding(name, False, f"version {version}", f"needs {'.'.join(map(str, oldest))} or newer: {REPAIR}")
    return Finding(name, True, f"version {version.split('+')[0]}")


def _data() -> Finding:
    try:
        data.verify()
    except data.DataError as error:
        return Finding("data", False, str(error))
    return Finding("data", True, "every file is there and undamaged")
