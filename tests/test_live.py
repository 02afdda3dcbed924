"""The notebooks for typing in class: what is left open, what stays, and that nothing typed is lost."""

import ast

import nbformat
import pytest

from course_utils.authoring import live
from course_utils.authoring.build import execute
from course_utils.authoring.live import LONGEST, WHOLE, build_live, live_version, skeleton
from course_utils.authoring.slides import week_notebooks
from course_utils.authoring.structure import exercises, preparation, read, solution, tags

WEEKS = week_notebooks([])
EACH_WEEK = pytest.mark.parametrize("notebook", WEEKS, ids=lambda path: path.stem)


@EACH_WEEK
def test_live_notebook(notebook, tmp_path):
    stored = read(notebook)
    path = build_live(notebook, tmp_path)
    made = read(path)
    nbformat.validate(made)
    rule = made.cells.pop(1)
    assert notebook.name in rule.source and str(LONGEST) in rule.source
    changed = 0
    for old, new in zip(stored.cells, made.cells, strict=True):
        assert (old.cell_type, old.id, old.metadata) == (new.cell_type, new.id, new.metadata)
        if old.cell_type == "markdown":
            assert "Solution</summary>" not in new.source
            continue
        assert new.outputs == [] and new.execution_count is None
        long = len(old.source.strip().splitlines()) > LONGEST
        if WHOLE & set(tags(old)) or long:
            assert new.source == old.source
        changed += new.source != old.source
        if old.source != new.source:
            ast.parse(new.source)
            assert "..." in new.source
    # most short cells of a week are typed; none of them all
    assert 40 < changed < len(stored.cells) / 2
    assert [exercise.number for exercise in exercises(made)] == [exercise.number for exercise in exercises(stored)]
    whole = "\n".join(cell.source for cell in made.cells)
    for exercise in exercises(stored):
        assert solution(stored.cells[exercise.help].source) not in whole
        assert "Hint 1" in made.cells[exercise.help].source
    assert build_live(notebook, tmp_path).read_bytes() == path.read_bytes()


def test_parameters_and_setup_run(tmp_path):
    # one kernel for all weeks: most of the time goes into importing torch
    weeks = [live_version(read(notebook), notebook.name) for notebook in WEEKS]
    together = weeks[0].copy()
    together.cells = [week.cells[index] for week in weeks for index in preparation(week)]
    assert len(together.cells) == 2 * len(WEEKS)
    execute(together, tmp_path)
    assert [cell.execution_count for cell in together.cells] == list(range(1, 2 * len(WEEKS) + 1))


def test_stored_notebook_is_not_changed():
    stored = read(WEEKS[0])
    before = nbformat.writes(stored)
    live_version(stored, WEEKS[0].name)
    assert nbformat.writes(stored) == before


@pytest.mark.parametrize(
    "source, left",
    [
        ("# first\n# second\nx = 1  # why\nprint(x)\nprint(x)", "# first\n# second\nx = ...\n..."),
        ("a, (b, _) = 1, (2, 3)\nc[0] = 4", "a = ...\nb = ...\n..."),
        ("x = 1\nx = 2", "x = ..."),
        ("import math\nmath.pi", "import math\n..."),
        ("@cache\ndef f(\n    x,\n):\n    # comment\n    return x", "@cache\ndef f(\n    x,\n):\n    ..."),
        ("def f(x): return x", "def f(x):\n    ..."),
        (
            "class A(B):\n    n = 1\n\n    def f(self):\n        pass\n\n    def g(self):\n        pass\n\n\nA().f()",
            "class A(B):\n    def f(self):\n        ...\n    def g(self):\n        ...\n\n\n...",
        ),
        ("with expected_error(TypeError):\n    f()", "with expected_error(TypeError):\n    ..."),
        ("y = f(2)\nquestion.reveal(y)", "y = ...\nquestion.reveal(...)"),
        ("y = f(2)\ngrids.show_grid(\n    y\n)", "y = ...\ngrids.show_grid(\n    y\n)"),
        ("y = f(2)\nassert y == 4", "y = ...\n..."),
        ("import math\ngrids.show_grid(x)", "import math\ngrids.show_grid(x)"),
        ("%matplotlib inline", "%matplotlib inline"),
    ],
)
def test_skeleton(source, left):
    assert skeleton(source) == left


def test_a_proof_keeps_its_assertions():
    assert skeleton("y = f(2)\nassert y == 4\nprint(y)", proof=True) == "y = ...\nassert y == 4\n..."
    inside = "for x in range(3):\n    assert f(x) == x"
    assert skeleton(inside, proof=True) == inside


def test_what_was_typed_is_not_lost(tmp_path):
    path = build_live(WEEKS[0], tmp_path)
    typed = read(path)
    typed.cells[-1].source += "\n# typed in class"
    path.write_text(nbformat.writes(typed), encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="changed by hand") as caught:
        build_live(WEEKS[0], tmp_path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_running_a_cell_does_not_count_as_typing(tmp_path):
    path = build_live(WEEKS[0], tmp_path)
    run = read(path)
    next(cell for cell in run.cells if cell.cell_type == "code").execution_count = 1
    path.write_text(nbformat.writes(run), encoding="utf-8")
    build_live(WEEKS[0], tmp_path)
    assert read(path).cells[-1].get("execution_count") is None


def test_a_foreign_file_is_not_lost(tmp_path):
    path = tmp_path / WEEKS[0].name
    path.write_text("my own notes", encoding="utf-8")
    with pytest.raises(ValueError, match="changed by hand"):
        build_live(WEEKS[0], tmp_path)
    assert path.read_text(encoding="utf-8") == "my own notes"


@pytest.mark.parametrize("names", [["week99"], ["start_here"]])
def test_unknown_week_is_one_line(names, capsys):
    assert live.main(names) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert names[0] in captured.err
