"""Every lesson runs alone after the parameters and setup cells, and every cell twice in a row.

In these runs a Deprecation- or FutureWarning from a cell or from course_utils is an error. What a notebook
warns of on purpose stands in expected_warning, which catches it.
"""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
from found import NOTEBOOKS, ROOT, by_notebook
from make_samples import GOOD
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from offline import offline, way

RUNNER = Path(__file__).with_name("run_lessons.py")
TIMEOUT = 1800  # seconds for a whole notebook


@cache
def lessons(path: Path) -> dict:
    """What run_lessons.py found out about the notebook: its sections, and the cells that stopped."""
    words, environment = offline([sys.executable, str(RUNNER), str(path), str(ROOT)])
    environment |= {"PYTHONUTF8": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, encoding="utf-8", timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def stopped(path: Path, time: int) -> list[str]:
    """The cells that stopped when they ran for the first or the second time."""
    return [
        f"{path.name}, {problem['section']}, cell {problem['cell']}: {problem['error']}"
        for problem in lessons(path)["problems"]
        if problem["time"] == time
    ]


@pytest.mark.parametrize("path", by_notebook(NOTEBOOKS))
def test_lessons_run_alone(path: Path, say):
    say(f"{path.stem}: every lesson alone, every cell twice, from the repository's root, network: {way()}")
    broken = stopped(path, 1)
    assert not broken, "\n".join(["after the parameters and setup cells alone:", *broken])


@pytest.mark.parametrize("path", by_notebook(NOTEBOOKS))
def test_cells_run_twice_in_a_row(path: Path):
    broken = stopped(path, 2)
    assert not broken, "\n".join(["when the cell runs a second time:", *broken])


# --- the tests of these tests ---


def notebook(folder: Path, *cells: str) -> Path:
    """A notebook with parameters, setup and these cells: `## …` is a heading, all else is code."""
    made = new_notebook(
        cells=[
            new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
            new_code_cell("import warnings", metadata={"tags": ["setup"]}),
            *(new_markdown_cell(cell) if cell.startswith("## ") else new_code_cell(cell) for cell in cells),
        ]
    )
    path = folder / "notebook.ipynb"
    nbformat.write(made, path)
    return path


def test_good_sample_has_its_lessons_and_no_problem():
    found = lessons(GOOD / "week1_sample.ipynb")
    assert found == {"sections": ["1.1 Counting", "1.2 Doubling"], "problems": []}


def test_a_lesson_that_needs_another_is_found(tmp_path: Path):
    path = notebook(tmp_path, "## 1.1 One", "x = 1", "## 1.2 Two", "y = x + 1")
    assert stopped(path, 1) == ["notebook.ipynb, 1.2 Two, cell 6: NameError: name 'x' is not defined"]
    assert stopped(path, 2) == []


def test_a_cell_that_runs_only_once_is_found(tmp_path: Path):
    path = notebook(tmp_path, "## 1.1 One", "shown = [1]", "value = shown.pop()")
    assert stopped(path, 1) == []
    assert stopped(path, 2) == ["notebook.ipynb, 1.1 One, cell 5: IndexError: pop from empty list"]


def warning_in(module: str) -> str:
    """Source that warns as a line of this module would."""
    return f'exec("warnings.warn(\'old\', FutureWarning)", {{"__name__": "{module}", "warnings": warnings}})'


def test_warnings_of_our_code_are_errors_and_those_of_libraries_are_not(tmp_path: Path):
    on_purpose = "from course_utils.errors import expected_warning\nwith expected_warning(FutureWarning):\n    "
    path = notebook(
        tmp_path,
        *("## 1.1 Library", warning_in("torch.jit")),
        *("## 1.2 Cell", "warnings.warn('old', DeprecationWarning)"),
        *("## 1.3 Ours", warning_in("course_utils.grids")),
        *("## 1.4 On purpose", on_purpose + "warnings.warn('old', FutureWarning)"),
    )
    assert stopped(path, 1) == [
        "notebook.ipynb, 1.2 Cell, cell 6: DeprecationWarning: old",
        "notebook.ipynb, 1.3 Ours, cell 8: FutureWarning: old",
    ]
