"""The course's notebooks as the tests find them: whatever lies in notebooks/."""

import importlib.util
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WEEKS = [path for path in NOTEBOOKS if path.name.startswith("week")]
SANITIZE = ROOT / "tests" / "nbval_sanitize.cfg"


def name(path: Path) -> str:
    """A notebook in the name of a test."""
    return path.stem


def syllabus() -> list[dict]:
    """All items of the syllabus."""
    return yaml.safe_load((ROOT / "notebooks" / "syllabus.yml").read_text(encoding="utf-8"))


def wrong_answers(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The stored wrong answers of a notebook: number of the exercise -> (source in place of the stub, words).

    They are in tests/wrong_answers, in the file named as the notebook up to its first underscore: week1.py.
    """
    stem = path.stem.split("_")[0]
    file = ROOT / "tests" / "wrong_answers" / f"{stem}.py"
    if not file.exists():
        return {}
    spec = importlib.util.spec_from_file_location(f"wrong_answers_{stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WRONG
