"""Every exercise: the stub is open, the folded solution right, and each wrong answer is told its mistake.

The cells run in this process, so that a whole notebook is computed once: the state of its lesson is kept
before each stub, and every answer starts from a copy of it.
"""

import ast
import copy
import random
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from found import NOTEBOOKS, by_notebook, wrong_answers
from make_samples import GOOD
from nbformat import NotebookNode

from course_utils.authoring.structure import Exercise, exercises, preparation, read, sections, solution, tags

LEAST_WRONG = 2  # stored wrong answers an exercise
SHARED = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)


def execute(source: str, names: dict, place: str) -> object:
    """Run a cell's source in `names`, as Jupyter does: the value of a last expression is given back."""
    tree = ast.parse(source, place)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, place, "exec"), names)
    return eval(compile(ast.Expression(last.value), place, "eval"), names) if last else None


def copied(names: dict) -> dict:
    """The names with copies of their values, where these can be copied; one object stays one object."""
    seen: dict = {}
    result = {}
    for name, value in names.items():
        if name == "__builtins__" or isinstance(value, SHARED):
            result[name] = value
            continue
        try:
            result[name] = copy.deepcopy(value, seen)
        except Exception:  # a tensor inside a graph, an open file: shared
            result[name] = value
    return result


@dataclass(frozen=True)
class Moment:
    """What a learner has in front of an exercise: its lesson's names, and the random states."""

    names: dict
    states: tuple

    @classmethod
    def of(cls, names: dict) -> "Moment":
        return cls(copied(names), (random.getstate(), np.random.get_state(), torch.get_rng_state()))

    def again(self) -> dict:
        """A fresh copy of the names; the generators are set back."""
        python, numpy, torch_state = self.states
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torch_state)
        return copied(self.names)


@lru_cache(maxsize=2)  # a notebook and a sample; each keeps hundreds of megabytes
def moments(path: Path) -> dict[str, Moment]:
    """The moment before each exercise of the notebook: parameters, setup and the lesson's cells ran."""
    notebook = read(path)
    found = {}
    stubs = {exercise.stub: exercise.number for exercise in exercises(notebook)}
    for section in sections(notebook):
        if not set(stubs) & set(section.cells):
            continue
        # a module, because pickle looks for the classes of the cells in one
        kernel = sys.modules["a_notebook"] = types.ModuleType("a_notebook")
        names = vars(kernel)
        names["display"] = lambda *shown, **options: None
        for index in [*preparation(notebook), *section.cells]:
            cell = notebook.cells[index]
            if index in stubs:
                found[stubs[index]] = Moment.of(names)
            if cell.cell_type == "code" and "skip-execution" not in tags(cell):
                execute(cell.source, names, f"<{path.name}, cell {index + 1}>")
    return found


def result(path: Path, exercise: Exercise, source: str | None = None) -> object:
    """What the check says when `source` stands in the stub's place (None: the untouched stub)."""
    notebook = read(path)
    names = moments(path)[exercise.number].again()
    stub = notebook.cells[exercise.stub].source if source is None else source
    execute(stub, names, f"<{path.name}, stub of {exercise.number}>")
    return execute(notebook.cells[exercise.check].source, names, f"<{path.name}, check of {exercise.number}>")


def problems(path: Path, exercise: Exercise, wrong: list[tuple[str, str]]) -> list[str]:
    """What is not as it should be with this exercise and its stored wrong answers; one line each."""
    found = list(_problems(path, exercise, read(path), wrong))
    return [f"{path.name}, {exercise.number}: {line}" for line in found]


def _problems(path: Path, exercise: Exercise, notebook: NotebookNode, wrong: list[tuple[str, str]]) -> Iterator[str]:
    untouched = result(path, exercise)
    expected = "wrong" if exercise.is_bug else "open"
    if untouched.status != expected:
        yield f"the untouched stub gives {untouched.status}, expected {expected}: {untouched.message}"
    solved = result(path, exercise, solution(notebook.cells[exercise.help].source))
    if solved.status != "right":
        yield f"the folded solution gives {solved.status}: {solved.message}"
    messages = {untouched.message: "the untouched stub", solved.message: "the solution"}
    if solved.message == untouched.message:
        yield f"the solution and the untouched stub give the same message: {solved.message}"
    if len(wrong) < LEAST_WRONG:
        yield f"has {len(wrong)} wrong answers in tests/wrong_answers, at least {LEAST_WRONG}"
    for count, (source, words) in enumerate(wrong, start=1):
        given = result(path, exercise, source)
        if given.status != "wrong":
            yield f"wrong answer {count} gives {given.status}: {given.message}"
        if not words.strip() or words not in given.message:
            yield f"wrong answer {count}: {words!r} is not in the message: {given.message}"
        if given.message in messages:
            yield f"wrong answer {count} and {messages[given.message]} give the same message: {given.message}"
        messages[given.message] = f"wrong answer {count}"


def cases() -> Iterator:
    for path in NOTEBOOKS:
        for exercise in exercises(read(path)):
            yield from by_notebook([path], exercise, suffix=f"-{exercise.number}")


@pytest.mark.parametrize(("path", "exercise"), list(cases()))
def test_exercise(path: Path, exercise: Exercise):
    found = problems(path, exercise, wrong_answers(path).get(exercise.number, []))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_wrong_answer_without_its_exercise(path: Path):
    unknown = set(wrong_answers(path)) - {exercise.number for exercise in exercises(read(path))}
    assert not unknown, f"{path.name} has no exercise {sorted(unknown)}, but wrong answers for it are stored"


# --- the tests of this test ---

SAMPLE = GOOD / "week1_sample.ipynb"
NUMBERED = {exercise.number: exercise for exercise in exercises(read(SAMPLE))}


@pytest.mark.parametrize("number", NUMBERED)
def test_sample_exercises_are_in_order(number: str):
    wrong = [("answer = 100", "the answer 100 is wrong"), ("answer = 101", "the answer 101")]
    assert problems(SAMPLE, NUMBERED[number], wrong) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "has 0 wrong answers"),
        ([("answer = 4", "4"), ("answer = 5", "5")], "wrong answer 1 gives right"),
        ([("answer = ...", "not"), ("answer = 5", "5")], "wrong answer 1 gives open"),
        ([("answer = 3", "3"), ("answer = 5", "six")], "'six' is not in the message"),
        ([("answer = 3", "3"), ("answer = 5", "")], "'' is not in the message"),
        (
            [("answer = 3", "3"), ("answer = 2 + 1", "3")],
            "wrong answer 2 and wrong answer 1 give the same message",
        ),
    ],
)
def test_bad_wrong_answers_are_found(wrong: list[tuple[str, str]], words: str):
    assert any(words in line for line in problems(SAMPLE, NUMBERED["1.2"], wrong))


@pytest.mark.parametrize(
    ("number", "old", "new", "words"),
    [
        ("1.1", "answer = ...", "answer = 2", "the untouched stub gives right, expected open"),
        ("bug 1.2", "answer = 2 + 1", "answer = 4", "the untouched stub gives right, expected wrong"),
        ("1.1", "```python\nanswer = 2\n", "```python\nanswer = 3\n", "the folded solution gives wrong"),
    ],
)
def test_bad_stubs_and_solutions_are_found(tmp_path: Path, number: str, old: str, new: str, words: str):
    book = read(SAMPLE)
    exercise = NUMBERED[number]
    for index in (exercise.stub, exercise.help):
        book.cells[index].source = book.cells[index].source.replace(old, new, 1)
    path = tmp_path / "week1_sample.ipynb"
    nbformat.write(book, path)
    assert any(words in line for line in problems(path, exercise, []))


def test_an_answer_leaves_nothing_for_the_next():
    names = {"shared": [1], "tensor": torch.ones(2), "draw": None}
    names["same"] = names["shared"]
    moment = Moment.of(names)
    first = moment.again()
    first["shared"].append(2)
    first["tensor"].add_(1)
    drawn = torch.rand(1)
    second = moment.again()
    assert second["shared"] == [1] and second["tensor"].tolist() == [1, 1]
    assert second["same"] is second["shared"]
    assert torch.equal(torch.rand(1), drawn)
