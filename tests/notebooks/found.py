"""The course's notebooks as the tests find them: whatever lies in notebooks/."""

import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WEEKS = [path for path in NOTEBOOKS if path.name.startswith("week")]
SANITIZE = ROOT / "tests" / "nbval_sanitize.cfg"


def name(path: Path) -> str:
    """A notebook in the name of a test."""
    return path.stem


def by_notebook(paths: list[Path], *values: object, suffix: str = "") -> list:
    """Parameters of tests that share what one run of a notebook found out: they stay in one process."""
    return [
        pytest.param(path, *values, id=path.stem + suffix, marks=pytest.mark.xdist_group(path.stem)) for path in paths
    ]


def syllabus() -> list[dict]:
    """All items of the syllabus."""
    return yaml.safe_load((ROOT / "notebooks" / "syllabus.yml").read_text(encoding="utf-8"))


def wrong_answers(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The stored wrong answers of a notebook: number of the exercise -> (source in place of the stub, words).

    They are in tests/wrong_answers, in files named as the notebook up to its first underscore: week2.py, week2_….py.
    """
    stem, found = path.stem.split("_")[0], {}
    for file in sorted((ROOT / "tests" / "wrong_answers").glob(f"{stem}*.py")):
        if file.stem.split("_")[0] == stem:
            found |= runpy.run_path(str(file))["WRONG"]
    return found
