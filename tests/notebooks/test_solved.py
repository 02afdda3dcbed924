"""A student who solves everything: no answer disturbs a later cell, and every one can be done again at the end.

The whole notebook runs in this process, with the folded solutions in the place of the stubs. Then each check cell runs
once more, and then each exercise from its first line: whoever comes back must not find solved work in red because a
later lesson took one of its names for something else.
"""

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from found import NOTEBOOKS, by_notebook
from make_samples import GOOD
from nbformat.v4 import new_code_cell
from test_exercises import execute

from course_utils.authoring.structure import exercises, read, solution, tags


def not_right(path: Path) -> Iterator[str]:
    """One line for each cell that stops, and for each check that does not say right."""
    cells, found = read(path).cells, exercises(read(path))
    answers = {exercise.stub: solution(cells[exercise.help].source) for exercise in found}
    numbers = {exercise.check: exercise.number for exercise in found}
    order = [(index, "the first time") for index in range(len(cells))]
    order += [(exercise.check, "checked again at the end") for exercise in found]
    order += [(index, "done again") for exercise in found for index in (exercise.stub, exercise.check)]
    # a module, because pickle looks for the classes of the cells in one
    kernel = sys.modules["a_notebook"] = types.ModuleType("a_notebook")
    kernel.display = lambda *shown, **options: None
    for index, when in order:
        if cells[index].cell_type != "code" or "skip-execution" in tags(cells[index]):
            continue
        source = answers.get(index, cells[index].source)
        try:
            shown = execute(source, vars(kernel), f"<{path.name}, cell {index + 1}>")
        except Exception as error:
            yield f"cell {index + 1}, {when}: {type(error).__name__}: {error}"
            continue
        if index in numbers and shown.status != "right":
            yield f"{numbers[index]}, {when}: {shown.message}"


@pytest.mark.parametrize("path", by_notebook(NOTEBOOKS))
def test_everything_solved_and_done_again(path: Path):
    found = list(not_right(path))
    assert not found, "\n".join(found)


# --- the test of this test ---


def test_what_disturbs_is_found(tmp_path: Path):
    book = read(GOOD / "week1_sample.ipynb")
    first, second = exercises(book)[:2]
    book.cells[first.stub].source = "mine = ..."
    book.cells[first.check].source = "check.judge(mine, 2)"
    book.cells[first.help].source = book.cells[first.help].source.replace("answer =", "mine =")
    book.cells[second.help].source = book.cells[second.help].source.replace("answer =", "answer = base +")
    book.cells += [new_code_cell("mine = 7"), new_code_cell("base / 0")]
    nbformat.write(book, path := tmp_path / "week1_sample.ipynb")
    found = list(not_right(path))
    assert found[:3] == [
        f"{second.number}, the first time: the answer 6 is wrong",
        f"cell {len(book.cells)}, the first time: ZeroDivisionError: division by zero",
        f"{first.number}, checked again at the end: the answer 7 is wrong",
    ]
    assert f"{second.number}, done again: the answer 8 is wrong" in found
    assert f"{first.number}, done again: the answer 7 is wrong" not in found
