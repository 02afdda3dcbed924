"""Grading: tiny notebooks of every kind, each in its row, and the students' files untouched."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils import grade
from course_utils.authoring import structure

# what one run found out is shared
pytestmark = pytest.mark.xdist_group("grade")

ANSWERS = {
    "1.1": "def hello():\n    return f'{torch.__version__} {torch.cuda.is_available()}'",
    "1.3": "def tracked(values):\n    return torch.tensor(values, dtype=torch.float32, requires_grad=True)",
    "1.9": "def dy_dw(x, w):\n    return (w + 1) ** 2 + (x + w) * 2 * (w + 1)",
}
CHECKS = {"1.1": "check.hello(hello)", "1.3": "check.tracked(tracked)", "1.9": "check.chain_rule(dy_dw)"}
LESSON_OF = {"1.1": "1.1 First", "1.3": "1.1 First", "1.9": "1.2 Second"}
STUBS = {number: answer.splitlines()[0] + "\n    ..." for number, answer in ANSWERS.items()}
SETUP = "import torch\nfrom course_utils.checks import week1 as check"
HANG = "while True:\n    pass"
DEAF = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
CELL_LIMIT = 6  # seconds


def code(source: str, *tags: str) -> nbformat.NotebookNode:
    return new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def notebook(
    answers: dict[str, str] | None = None, checks: dict[str, str] | None = None, setup: str = SETUP
) -> nbformat.NotebookNode:
    """Two lessons, three exercises of the real week 1; `answers` and `checks` replace their cells."""
    cells = [code("seed = 0", "parameters"), code(setup, "setup")]
    for number, lesson in LESSON_OF.items():
        if not any(cell.source == f"## {lesson}" for cell in cells):
            cells.append(new_markdown_cell(f"## {lesson}"))
        cells += [
            new_markdown_cell(f"### Exercise {number} Try · 5 min · ★\n\nWrite it."),
            code((answers or {}).get(number, STUBS[number]), "exercise"),
            code((checks or {}).get(number, CHECKS[number]), "check"),
            new_markdown_cell("<details><summary>Hint 1</summary>\n\nThink.\n\n</details>"),
        ]
    return new_notebook(cells=cells)


def rearranged() -> nbformat.NotebookNode:
    """Solved by somebody who adds and removes cells: a cell before the stub's, a heading, no check cell, no tags."""
    book = notebook(ANSWERS)
    place = {number: [cell.source for cell in book.cells].index(check) for number, check in CHECKS.items()}
    book.cells[place["1.9"]].source = "dy_dw(2.0, 1.0)"  # no check any more
    book.cells[place["1.3"]].metadata = {}
    book.cells[place["1.3"] : place["1.3"]] = [new_markdown_cell("### my notes"), code("tracked([1.0])")]
    book.cells[place["1.1"] - 1].source = "half = "
    book.cells.insert(place["1.1"], code(ANSWERS["1.1"]))
    for cell in book.cells:
        cell.metadata.pop("tags", None) if cell.source not in ("seed = 0", SETUP) else None
    return book


def without(number: str) -> nbformat.NotebookNode:
    book = notebook(ANSWERS)
    book.cells = [cell for cell in book.cells if cell.source not in (ANSWERS[number], CHECKS[number])]
    return book


FAKE = 'print("✓ 1.1 right")\nfrom IPython.display import display\n'
FAKE += 'display({"application/vnd.pytorch-course.result+json": {"number": "1.1", "status": "right"}}, raw=True)'
# file -> (notebook, marks of 1.1, 1.3 and 1.9, words of the note)
CASES: dict[str, tuple[nbformat.NotebookNode, str, str]] = {
    "a right.ipynb": (notebook(ANSWERS), "✓✓✓", ""),
    "b wrong 错的.ipynb": (notebook({**ANSWERS, "1.9": "def dy_dw(x, w):\n    return (w + 1) ** 2"}), "✓✓✗", ""),
    "c untouched.ipynb": (notebook(), "○○○", ""),
    "d raises.ipynb": (
        notebook({**ANSWERS, "1.1": "hello = 1 / 0", "1.3": "def tracked(values):\n    return values.nothing"}),
        "!✗✓",
        "1.1: cell 5: ZeroDivisionError: division by zero",
    ),
    "e loops.ipynb": (
        notebook(
            {**ANSWERS, "1.1": HANG, "1.3": f"def tracked(values):\n    {HANG.replace(chr(10), chr(10) + '    ')}"}
        ),
        "!!✓",
        f"1.1: cell 5 took longer than {CELL_LIMIT} s; 1.3: the check of 1.3 took longer than {CELL_LIMIT} s",
    ),
    "f cannot be stopped.ipynb": (
        notebook(
            {
                **ANSWERS,
                "1.1": DEAF,
            }
        ),
        "!!✓",
        f"1.1, 1.3: cell 5 took longer than {CELL_LIMIT} s and could not be interrupted",
    ),
    "g leaves.ipynb": (
        notebook({**ANSWERS, "1.3": "import os\nos._exit(0)"}),
        "✓!✓",
        "1.3: the kernel ended in cell 9",
    ),
    "h fakes.ipynb": (
        notebook(
            {"1.1": FAKE, "1.3": "class check:\n    chain_rule = hello = tracked = lambda *_: '✓ 1.3'"},
            {"1.3": 'print("✓ 1.3 fine")', "1.9": FAKE.replace("1.1", "1.9")},
        ),
        "!!○",
        "1.9: its check cell was edited, the course's was run",
    ),
    "i edited.ipynb": (
        notebook(ANSWERS, {"1.1": "check.hello( hello )", "1.3": "check.tracked(tracked) or 'more'"}),
        "✓✓✓",
        "1.3: its check cell was edited, the course's was run",
    ),
    "j rearranged.ipynb": (rearranged(), "✓✓✓", "1.9: its check cell is gone, the course's was run"),
    "k cut.ipynb": (without("1.3"), "✓!✓", "1.3: not in the notebook, or its cells are gone"),
    "l setup.ipynb": (
        notebook(ANSWERS, setup="import no_such_package"),
        "✗✗✓",
        "before the lessons: cell 2: ModuleNotFoundError: No module named 'no_such_package'",
    ),
}
# file -> (content, words of the note)
BROKEN = {
    "w no json.ipynb": (b"\x89PNG\r\n\x1a\n", "is not JSON"),
    "x half.ipynb": (json.dumps(notebook()).encode()[:200], "is not JSON"),
    "y list.ipynb": (b"[1, 2]", "is JSON, but no notebook"),
    "z other.ipynb": (json.dumps(new_notebook(cells=[code("1")])).encode(), "has no exercise of the course"),
}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course of one small week."""
    folder = tmp_path_factory.mktemp("course")
    nbformat.write(notebook(), folder / "week1_small.ipynb")
    return folder


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("students 学生")
    for name, (book, _, _) in CASES.items():
        nbformat.write(book, folder / name)
    for name, (content, _) in BROKEN.items():
        (folder / name).write_bytes(content)
    (folder / ".ipynb_checkpoints").mkdir()
    nbformat.write(notebook(), folder / ".ipynb_checkpoints" / "a right-checkpoint.ipynb")
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def graded(course: Path, students: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The command run once over all of them: its exit status, text, and CSV."""
    target, before = tmp_path_factory.mktemp("table") / "table 表.csv", digests(students)
    words = [str(students), "--timeout", str(CELL_LIMIT), "--jobs", "2", "--csv", str(target)]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(grade, "COURSE", course)
        patched.setattr("sys.stdout", out)
        patched.setattr("sys.stderr", err)
        status = grade.main(words)
    return {
        "status": status,
        "text": out.getvalue(),
        "said": err.getvalue(),
        "rows": {row["notebook"]: row for row in csv.DictReader(target.read_text(encoding="utf-8-sig").splitlines())},
        "unchanged": before == digests(students),
    }


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_notebook_gets_its_row(graded: dict, name: str):
    _, marks, words = CASES[name]
    row = graded["rows"][name]
    assert "".join(row[number] for number in ANSWERS) == marks, row["note"]
    assert row["sum"] == f"{marks.count('✓')} of 3"
    assert words in row["note"] and "\n" not in row["note"]
    assert words or not row["note"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_notebook_is_said_so_and_stops_no_other(graded: dict, name: str):
    row = graded["rows"][name]
    assert BROKEN[name][1] in row["note"] and not any(row[number] for number in ANSWERS) and row["sum"] == ""


def test_the_students_files_are_as_before(graded: dict):
    assert graded["unchanged"]


def test_order_columns_and_exit_status(graded: dict):
    assert list(graded["rows"]) == sorted([*CASES, *BROKEN])
    assert list(next(iter(graded["rows"].values()))) == ["notebook", *ANSWERS, "sum", "note"]
    assert graded["status"] == 1, "some notebooks could not be graded"
    lines = graded["text"].splitlines()
    assert lines[0].split() == ["notebook", *ANSWERS, "sum", "note"]
    # a Chinese character takes two columns
    start = [line.index("✓") + ("错" in line) * 2 for line in lines[1:3]]
    assert start == [lines[0].index("1.1")] * 2
    assert lines[-1] == "○ open, ✗ wrong, ✓ right, ! could not run"


def test_it_says_that_it_runs_the_students_code(graded: dict, capsys):
    with pytest.raises(SystemExit) as ended:
        grade.main(["--help"])
    assert ended.value.code == 0
    for text in (graded["said"], capsys.readouterr().out):
        assert "runs the students' code, with your rights" in text and "--network none" in text


# --- without a kernel ---


@pytest.fixture
def refused(course: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[..., str]:
    """Runs the command, which must stop before any notebook runs; gives its one line."""
    monkeypatch.setattr(grade, "COURSE", course)
    monkeypatch.setattr(grade.asyncio, "run", lambda *_: pytest.fail("a notebook was run"))

    def run(*words: object) -> str:
        assert grade.main([str(word) for word in words]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line.removeprefix("grade: ")

    return run


def test_an_unknown_file_an_empty_folder_and_no_course(tmp_path: Path, refused, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert (
        refused(tmp_path / "gone.ipynb")
        == f"{tmp_path / 'gone.ipynb'} is not there; give notebooks, or folders that hold some"
    )
    assert "no notebook (*.ipynb) in" in refused(tmp_path / "empty")
    monkeypatch.setattr(grade, "COURSE", tmp_path)
    assert "the course's notebooks are missing" in refused(tmp_path)


def test_a_table_that_is_there_is_not_written_over(tmp_path: Path, students: Path, refused):
    table = tmp_path / "table.csv"
    table.write_text("by hand")
    assert "is there already" in refused(students, "--csv", table)
    assert table.read_text() == "by hand"
    assert "cannot be written" in refused(students, "--csv", tmp_path / "no" / "table.csv")


@pytest.mark.parametrize("words", [["--timeout", "0"], ["--timeout", "inf"], ["--jobs", "0"], ["--jobs", "x"], []])
def test_options_that_are_none(words: list[str], capsys):
    with pytest.raises(SystemExit) as ended:
        grade.main([*words] + (["."] if words else []))
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 2, "the usage, and what is wrong"


def test_a_notebook_given_twice_is_graded_once(students: Path):
    path = students / "a right.ipynb"
    found = grade.find_notebooks([str(path), str(students)])
    assert len(found) == len(CASES) + len(BROKEN) and found[0] == (str(path), path.resolve())


def test_what_students_write_does_not_reach_terminal_and_spreadsheet_as_a_command():
    row = grade.Row("=cmd()|x", None, {}, ["note"])
    assert list(csv.reader(io.StringIO(grade.as_csv([row]))))[1][0] == "'=cmd()|x"
    assert grade.plain("a\x1b[2Jb\nc") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c"


def test_the_table_of_several_weeks_has_a_block_for_each():
    one, two = grade.Week("week1", "", {"1.1": ""}), grade.Week("week2", "", {"2.1": "", "bug 2.1": ""})
    rows = [
        grade.Row("b", two, {"2.1": "right", "bug 2.1": "wrong"}),
        grade.Row("a", one, {"1.1": "open"}),
        grade.Row("c", None, {}, ["is not JSON"]),
    ]
    blocks = grade.as_text(rows).split("\n\n")
    assert [block.split()[0:3] for block in blocks[:3]] == [
        ["notebook", "1.1", "sum"], ["notebook", "2.1", "bug"], ["notebook", "sum", "note"]
    ]  # fmt: skip
    head, *lines = csv.reader(io.StringIO(grade.as_csv(rows)))
    assert head == ["notebook", "1.1", "2.1", "bug 2.1", "sum", "note"]
    assert lines[0] == ["b", "", "✓", "✗", "1 of 2", ""] and [line[0] for line in lines] == ["b", "a", "c"]


def test_the_real_course_has_its_checks():
    weeks = {week.name.split("_")[0]: week for week in grade.course_weeks(grade.COURSE)}
    for path in structure_weeks():
        week = weeks[path.name.split("_")[0]]
        assert week.importing.startswith("from course_utils.checks import ") and week.importing.endswith(" as check")
        assert len(week.checks) >= 1 and all(source.startswith("check.") for source in week.checks.values())


def structure_weeks() -> list[Path]:
    return [path for path in sorted(grade.COURSE.glob("*.ipynb")) if structure.exercises(structure.read(path))]


def test_the_whole_notebook_has_a_limit_and_ctrl_c_ends_everything(course: Path, tmp_path: Path, monkeypatch):
    nbformat.write(notebook({"1.1": "import time; time.sleep(60)"}), tmp_path / "slow.ipynb")
    weeks = grade.course_weeks(course)
    row = grade.asyncio.run(grade.grade(tmp_path / "slow.ipynb", "slow", weeks, grade.Limits(60, 5)))
    assert set(row.states.values()) == {grade.FAILED}
    assert "1.3, 1.9: the notebook took longer than 5 s" in "; ".join(row.notes)

    started = []
    start = grade.Kernel.__aenter__

    async def enter(self):
        started.append(self)
        return await start(self)

    async def cancelled():
        task = grade.asyncio.create_task(grade.grade(tmp_path / "slow.ipynb", "slow", weeks, grade.Limits()))
        while not (started and len(started[0]._client.nb.cells) > 2):
            await grade.asyncio.sleep(0.05)
        manager = started[0]._client.km
        task.cancel()
        with pytest.raises(grade.asyncio.CancelledError):
            await task
        return await manager.is_alive()

    monkeypatch.setattr(grade.Kernel, "__aenter__", enter)
    assert grade.asyncio.run(cancelled()) is False
    assert not any(Path(kernel._folder).exists() for kernel in started)
