"""Run students' notebooks and tell which exercises they solved: one table, a row a notebook, a column an exercise.

    python -m course_utils.grade homework/                        every notebook in a folder
    python -m course_utils.grade homework/*.ipynb --csv week1.csv

A notebook runs from top to bottom in a kernel and a folder of its own; the students' files are only read. An error
costs its exercise and what builds on it, no more; after a kernel's end a new one goes on with the next lesson. The
checks are those of the course's own notebook of the same week, put in the place of the student's check cells, and what
counts is the result they return, not what is printed. A program that means to deceive its own kernel can do so, as
everywhere where students' code and checks run in one process: look at the source of whoever surprises you.
"""

import argparse
import ast
import asyncio
import csv
import io
import logging
import os
import shutil
import sys
import tempfile
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.authoring import structure
from course_utils.authoring.build import BUILD_ENVIRONMENT, ThisPython
from course_utils.checks.core import GRADE_MIME, MARKS, RIGHT
from course_utils.errors import one_line

COURSE = Path(__file__).resolve().parent.parent / "notebooks"
FAILED = "could not run"
SHOWN = {**MARKS, FAILED: "!"}
CHECKS = "course_utils.checks"
STARTUP = 120  # seconds for a kernel to import torch
GRACE = 5.0  # seconds that an interrupted cell gets to stop
FIRST_CELLS = -1  # the section of the parameters and setup cells
WARNING = """\
This runs the students' code, with your rights: it can read, change and delete what you can, and use your network.
Contain it: in a container without network and with a limit of memory (docker run --network none --memory 4g …) whose
folders are mounted read-only, or on a machine or as a user of its own that has nothing to lose."""


class GradeError(Exception):
    """The command cannot be carried out; the message is the one line that says why and what to do."""


class Unreadable(Exception):
    """This notebook cannot be run; the message is the one line for its note."""


class KernelGone(Exception):
    """The kernel ended, or had to be ended, in the middle of a cell."""


@dataclass(frozen=True)
class Week:
    """What one of the course's notebooks asks: number -> source of the check's cell, and the line that imports them."""

    name: str
    importing: str
    checks: dict[str, str]


@dataclass(frozen=True)
class Step:
    """One cell to run: its place in the student's notebook (from 1), the exercise and the section it belongs to."""

    source: str
    cell: int
    section: int
    exercise: str = ""
    is_check: bool = False


@dataclass
class Row:
    """What was found in one notebook: number of the exercise -> status, and what the instructor should know."""

    notebook: str
    week: Week | None = None
    states: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def solved(self) -> int:
        return sum(state == RIGHT for state in self.states.values())


# --- what there is ---


def course_weeks(folder: Path) -> list[Week]:
    """The exercises of every notebook of the course. Raises GradeError when `folder` has none."""
    weeks = []
    for path in sorted(folder.glob("*.ipynb")):
        notebook = structure.read(path)
        checks = {found.number: notebook.cells[found.check].source for found in structure.exercises(notebook)}
        if checks:
            weeks.append(Week(path.stem, _importing(notebook), checks))
    if not weeks:
        raise GradeError(f"the course's notebooks are missing in {folder}; run `git restore notebooks`")
    return weeks


def _importing(notebook: NotebookNode) -> str:
    """The line of the setup cell that gives the checks their name."""
    for index in structure.preparation(notebook):
        for node in ast.parse(notebook.cells[index].source).body:
            if isinstance(node, ast.ImportFrom) and node.module == CHECKS:
                return ast.unparse(node)
    return ""


def find_notebooks(given: list[str]) -> list[tuple[str, Path]]:
    """The notebooks that files and folders name, each once, as (name for the table, path), folders sorted.

    Raises GradeError for a path that is not there, or when there is no notebook at all.
    """
    found: dict[Path, str] = {}
    for text in given:
        path = Path(text)
        if path.is_dir():
            for inside in sorted(path.rglob("*.ipynb")):
                relative = inside.relative_to(path)
                if not any(part.startswith(".") for part in relative.parts) and inside.is_file():
                    found.setdefault(inside.resolve(), relative.as_posix())
        elif path.is_file():
            found.setdefault(path.resolve(), text)
        else:
            raise GradeError(f"{plain(text)} is not there; give notebooks, or folders that hold some")
    if not found:
        raise GradeError(f"no notebook (*.ipynb) in {plain(', '.join(given))}; give the folder of the students' files")
    return [(plain(name), path) for path, name in found.items()]


def plain(text: str) -> str:
    """`text` as one line without control characters: names and messages come from students."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def read_student(path: Path) -> NotebookNode:
    """A student's notebook, of any version of the format. Raises Unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about cell ids, which nothing here needs
            notebook = nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
        # what the rest of this file relies on
        for cell in notebook.cells:
            if not isinstance(cell.source, str) or cell.cell_type not in ("code", "markdown", "raw"):
                raise ValueError(cell)
            structure.tags(cell)
        return notebook
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from None
    except (nbformat.reader.NotJSONError, UnicodeDecodeError):
        raise Unreadable("is not JSON; ask for the file again") from None
    except Exception:  # a dict without cells, a list, cells without source: whatever somebody renamed to .ipynb
        raise Unreadable("is JSON, but no notebook; ask for the file again") from None


# --- what to run ---


def same_code(one: str, other: str) -> bool:
    """Whether two cells are the same program, however they are laid out."""
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except (SyntaxError, ValueError):
        return one.strip() == other.strip()


def probe(week: Week, number: str) -> str:
    """The check's cell of the course, its result in a form that a program reads."""
    graded = '__import__("course_utils.checks.core", fromlist=["core"]).ForGrading'
    return f"{week.importing}\n{graded}(\n{week.checks[number]}\n)"


def spans(notebook: NotebookNode) -> Iterator[tuple[str, range]]:
    """Each exercise with its cells: from its heading to the next lesson, exercise or explorer."""
    tasks = structure.exercises(notebook)
    borders = {task.task for task in tasks}
    for index, title in structure.headings(notebook):
        if any(kind.match(title) for kind in (structure.LESSON, structure.OTHER, structure.EXPLORER)):
            borders.add(index)
    for task in tasks:
        end = min((border for border in borders if border > task.task), default=len(notebook.cells))
        yield task.number, range(task.task + 1, end)


def plan(notebook: NotebookNode, week: Week) -> tuple[list[Step], dict[str, str]]:
    """The cells to run, in order, and number -> reason for exercises about which something has to be said.

    Every check is the course's own: it replaces a check cell, and follows one that was edited. Where there is none
    any more it comes after the last cell of the answer.
    """
    cells, edited = notebook.cells, {}
    owner = {index: number for number, span in spans(notebook) if number in week.checks for index in span}
    section = {index: i for i, part in enumerate(structure.sections(notebook)) for index in part.cells}

    def is_check(index: int) -> bool:
        number = owner.get(index)
        return number is not None and (
            "check" in structure.tags(cells[index]) or same_code(cells[index].source, week.checks[number])
        )

    def is_code(index: int) -> bool:
        return cells[index].cell_type == "code"

    added_after = {}
    for number, span in spans(notebook):
        if number not in week.checks or any(is_code(index) and is_check(index) for index in span):
            continue
        folded = [index for index in span if "<details>" in cells[index].source]
        answer = [index for index in span if is_code(index) and index < min(folded, default=span.stop)]
        if answer:
            added_after[answer[-1]] = number
            edited[number] = "its check cell is gone, the course's was run"
    steps = []
    for index, cell in enumerate(cells):
        if not is_code(index) or "skip-execution" in structure.tags(cell):
            continue
        place = {"cell": index + 1, "section": section.get(index, FIRST_CELLS), "exercise": owner.get(index, "")}
        checked = owner[index] if is_check(index) else added_after.get(index)
        changed = not is_check(index) or not same_code(cell.source, week.checks[owner[index]])
        if changed and cell.source.strip():
            steps.append(Step(cell.source, **place))
        if checked:
            if changed and index not in added_after:
                edited[checked] = "its check cell was edited, the course's was run"
            steps.append(Step(probe(week, checked), **{**place, "exercise": checked}, is_check=True))
    return steps, edited


# --- running ---


class _Client(NotebookClient):
    """Keeps only what a cell returns and its error: a loop that prints for ever must not fill the memory."""

    def output(self, outs: list, msg: dict, display_id: str, cell_index: int) -> NotebookNode | None:
        if msg["msg_type"] not in ("execute_result", "error"):
            return None
        return super().output(outs, msg, display_id, cell_index)


class Kernel:
    """One kernel in a folder of its own; `async with`, so that it ends in any case."""

    def __init__(self, folder: Path) -> None:
        silent = logging.getLogger("course_utils.grade.silent")
        silent.disabled = True
        options = {"allow_errors": True, "record_timing": False, "log": silent}
        self._client = _Client(
            new_notebook(), kernel_manager_class=ThisPython, resources={"metadata": {"path": str(folder)}}, **options
        )
        self._folder = folder

    async def __aenter__(self) -> "Kernel":
        # an empty IPython folder: the instructor's own start-up files are no part of the course
        environment = {**os.environ, **BUILD_ENVIRONMENT, "IPYTHONDIR": str(self._folder / ".ipython")}
        self._client.km = self._client.create_kernel_manager()
        try:
            await self._client.async_start_new_kernel(env=environment)
            await self._client.async_start_new_kernel_client()
            # takes seconds, which are not the student's
            _, error = await self.run(Step("import course_utils.checks.core", 0, FIRST_CELLS), STARTUP)
            if error:
                raise KernelGone(f"the kernel could not load the course, {error}")
        except RuntimeError as error:
            await self._stop()
            raise KernelGone(f"the kernel did not start ({one_line(error, 80)})") from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._client.kc is not None:
            self._client.kc.stop_channels()
        if self._client.km is not None:  # nbclient forgets it after a start that failed
            await self._client.km.shutdown_kernel(now=True)

    async def run(self, step: Step, timeout: float) -> tuple[dict, str]:
        """What the cell returned (a mime bundle) and its error in one line, "" without one. Raises KernelGone."""
        cell = new_code_cell(step.source)
        self._client.nb.cells.append(cell)
        self._client.timeout = max(1, round(timeout))
        where = f"the check of {step.exercise}" if step.is_check else f"cell {step.cell}" if step.cell else "its start"
        late = f"{where} took longer than {self._client.timeout} s"
        try:
            await self._client.async_execute_cell(cell, len(self._client.nb.cells) - 1)
        except DeadKernelError:
            if asyncio.current_task().cancelling():  # nbclient takes Ctrl-C for the kernel's end
                raise asyncio.CancelledError from None
            raise KernelGone(f"the kernel ended in {where}") from None
        except CellTimeoutError:
            if not await self._interrupted():
                raise KernelGone(f"{late} and could not be interrupted") from None
            return {}, late
        returned = [output.data for output in cell.outputs if output.output_type == "execute_result"]
        raised = [output for output in cell.outputs if output.output_type == "error"]
        if raised:
            return {}, f"{where}: {one_line(f'{raised[-1].ename}: {raised[-1].evalue}', 100)}"
        return (returned[-1] if returned else {}), ""

    async def _interrupted(self) -> bool:
        """Interrupt the running cell; whether it stopped."""
        await self._client.km.interrupt_kernel()
        try:
            await self._client.kc.get_shell_msg(timeout=GRACE)
        except Exception:  # Empty: nothing came
            return False
        return True


@dataclass
class Limits:
    """Seconds: of one cell, and of the whole notebook."""

    cell: float = 120
    notebook: float = 900


async def grade(path: Path, name: str, weeks: list[Week], limits: Limits) -> Row:
    """Run one student's notebook and give its row. Never raises for what is in the file."""
    row = Row(name)
    try:
        notebook = read_student(path)
    except Unreadable as error:
        row.notes.append(str(error))
        return row
    numbers = {task.number for task in structure.exercises(notebook)}
    row.week = max(weeks, key=lambda week: len(numbers & set(week.checks)))
    if not numbers & set(row.week.checks):
        row.week = None
        row.notes.append("has no exercise of the course: are the headings '### Exercise 1.1 …' still there?")
        return row
    steps, said = plan(notebook, row.week)
    marks = Marks(row.states, said)
    with tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as folder:
        shutil.copyfile(path, Path(folder, "notebook.ipynb"))
        await _run(steps, structure.preparation(notebook), Path(folder), limits, marks)
    for number in row.week.checks:
        if number not in row.states:
            marks.fail(number, "not in the notebook, or its cells are gone")
    if marks.first_error:
        row.notes.append(plain(f"before the lessons: {marks.first_error}"))
    # a reason that many exercises share is said once
    by_reason: dict[str, list[str]] = {}
    for number in row.week.checks:
        if number in marks.reasons:
            by_reason.setdefault(marks.reasons[number], []).append(number)
    row.notes += [plain(f"{', '.join(numbers)}: {reason}") for reason, numbers in by_reason.items()]
    return row


@dataclass
class Marks:
    """What the run of a notebook gives: number -> status, and number -> what has to be said about it."""

    states: dict[str, str]
    said: dict[str, str]  # about the check cells, known before the run
    first_error: str = ""  # of the parameters and setup cells
    _failures: dict[str, str] = field(default_factory=dict)
    _errors: dict[str, str] = field(default_factory=dict)  # exercise -> the last error of its own cells
    _answered: set[str] = field(default_factory=set)  # exercises of which a cell ran through

    @property
    def reasons(self) -> dict[str, str]:
        numbers = [*self.said, *self._failures]
        return {n: "; ".join(part[n] for part in (self.said, self._failures) if n in part) for n in numbers}

    def fail(self, number: str, why: str) -> None:
        self.states[number] = FAILED
        self._failures[number] = why

    def give_up(self, steps: list[Step], why: str) -> None:
        """The rest cannot be run: its exercises that were not judged yet have failed."""
        for step in steps:
            if step.is_check and step.exercise not in self.states:
                self.fail(step.exercise, why)

    def note(self, step: Step, bundle: dict, error: str) -> None:
        """Enter what one step returned, and the error it ended with ("" for none)."""
        number = step.exercise
        if step.is_check:
            # an answer none of whose cells ran is not that of an earlier exercise with the same name
            unanswered = number in self._errors and number not in self._answered
            status = judged(number, bundle)
            if unanswered or status == FAILED:
                self.fail(number, self._errors.get(number) or error or "its check told no result")
            else:
                self.states[number] = status
                self._failures.pop(number, None)  # of a check that ran before
        elif number and error:
            self._errors[number] = error
        elif number:
            self._answered.add(number)
        elif error and step.section == FIRST_CELLS:
            self.first_error = self.first_error or error


async def _run(steps: list[Step], preparation: list[int], folder: Path, limits: Limits, marks: Marks) -> None:
    """Run the steps; when the kernel ends, a new one goes on with the next section."""
    end = time.monotonic() + limits.notebook
    rest, again = list(steps), []
    while rest:
        try:
            async with Kernel(folder) as kernel:
                for step in again:
                    await kernel.run(step, limits.cell)
                while rest:
                    left = end - time.monotonic()
                    if left <= 0:
                        marks.give_up(rest, f"the notebook took longer than {limits.notebook:g} s")
                        return
                    marks.note(rest[0], *await kernel.run(rest[0], min(limits.cell, left)))
                    rest.pop(0)
        except KernelGone as gone:
            section = rest[0].section
            marks.give_up([step for step in rest if step.section == section], str(gone))
            rest = [step for step in rest if step.section != section]
            again = [step for step in steps if step.cell - 1 in preparation]


def judged(number: str, bundle: dict) -> str:
    """The status in what a check's cell returned; FAILED when it is not the result of this exercise's check."""
    result = bundle.get(GRADE_MIME)
    genuine = isinstance(result, dict) and result.get("number") == number and result.get("status") in MARKS
    return result["status"] if genuine else FAILED


async def grade_all(
    found: list[tuple[str, Path]], weeks: list[Week], limits: Limits, jobs: int = 1, done: Callable = lambda row: None
) -> list[Row]:
    """A row for each of the notebooks, in their order, `jobs` of them at once; `done(row)` is called after each."""
    at_once = asyncio.Semaphore(jobs)

    async def one(name: str, path: Path) -> Row:
        async with at_once:
            row = await grade(path, name, weeks, limits)
            done(row)
            return row

    return await asyncio.gather(*(one(name, path) for name, path in found))


# --- the table ---


def columns(rows: list[Row]) -> list[str]:
    """The exercises of all weeks that occur, in the course's order."""
    weeks = sorted({row.week.name: row.week for row in rows if row.week}.items())
    return [number for _, week in weeks for number in week.checks]


def as_table(rows: list[Row], numbers: list[str]) -> list[list[str]]:
    """Head and rows as texts: the notebook, a mark for each of `numbers`, the sum, the note."""
    table = [["notebook", *numbers, "sum", "note"]]
    for row in rows:
        marks = [SHOWN[row.states[number]] if number in row.states else "" for number in numbers]
        total = f"{row.solved} of {len(row.states)}" if row.states else ""  # 1/2 would be a date in a spreadsheet
        table.append([row.notebook, *marks, total, "; ".join(row.notes)])
    return table


def as_text(rows: list[Row]) -> str:
    """Plain columns, for each week a block of its own, and last the notebooks that are of none."""
    blocks = []
    for name in sorted({row.week.name if row.week else "~" for row in rows}):
        block = [row for row in rows if (row.week.name if row.week else "~") == name]
        table = as_table(block, columns(block))
        widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(text + " " * (width - _width(text)) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in table
        ]
        blocks.append("\n".join(lines))
    legend = ", ".join(f"{mark} {status}" for status, mark in SHOWN.items())
    return "\n\n".join([*blocks, legend])


def _width(text: str) -> int:
    """How many columns of a terminal `text` takes: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def as_csv(rows: list[Row]) -> str:
    """One table of all weeks, for a spreadsheet."""
    written = io.StringIO(newline="")
    for line in as_table(rows, columns(rows)):
        # a file's name that begins so would be run as a formula
        csv.writer(written).writerow([f"'{text}" if text.startswith(("=", "+", "-", "@")) else text for text in line])
    return written.getvalue()


# --- the command ---


def _seconds(text: str) -> float:
    """A number of seconds above 0, for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not usable; give a number of seconds above 0")
    return value


def _count(text: str) -> int:
    """A whole number from 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not usable; give a whole number, 1 or more")
    return value


def arguments(words: list[str]) -> argparse.Namespace:
    """The options of the command line; argparse itself says what is wrong with them."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.grade",
        usage="%(prog)s FOLDER_OR_NOTEBOOK … [--timeout S] [--total S] [--jobs N] [--csv FILE]",
        description=f"Run students' notebooks; tell who solved which exercise.\n\n{WARNING}",
        epilog="✓ right, ✗ wrong, ○ open, ! could not run. The students' files are read, never written.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    limits = Limits()
    parser.add_argument("paths", nargs="+", metavar="FOLDER_OR_NOTEBOOK", help="folders are searched for *.ipynb")
    parser.add_argument(
        "--timeout", type=_seconds, default=limits.cell, metavar="S", help="seconds for one cell (%(default)g)"
    )
    parser.add_argument(
        "--total", type=_seconds, default=limits.notebook, metavar="S", help="seconds for a notebook (%(default)g)"
    )
    parser.add_argument("--jobs", type=_count, default=1, metavar="N", help="notebooks at once (%(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there, too; the file must be new")
    return parser.parse_args(words)


def _check_new(path: Path) -> None:
    """Raise GradeError unless `path` can be written and is not there yet: told now, not when the run is over."""
    _write_new(path, "")
    path.unlink()


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, whole or not at all. Raises GradeError."""
    try:
        # the mark at the beginning tells spreadsheets that it is UTF-8
        file = path.open("x", encoding="utf-8-sig", newline="")
    except FileExistsError:
        raise GradeError(f"{path} is there already; move it away or give --csv another name") from None
    except OSError as error:
        raise GradeError(f"{path} cannot be written ({error.strerror}); give --csv another place") from None
    try:
        with file:
            file.write(text)
    except OSError as error:
        path.unlink()
        raise GradeError(f"{path} was not written ({error.strerror}); give --csv another place") from None


def main(words: list[str]) -> int:
    """Grade; returns the exit status: 0, or 1 when a notebook could not be graded at all, 2 for a wrong command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console without "✓" prints ? for it
    given = arguments(words)
    try:
        weeks, found = course_weeks(COURSE), find_notebooks(given.paths)
        if given.csv:
            _check_new(given.csv)
        print(f"{WARNING}\n", file=sys.stderr)
        started, finished = time.monotonic(), []

        def done(row: Row) -> None:
            finished.append(row)
            seconds = time.monotonic() - started
            print(f"{len(finished)} of {len(found)}, {seconds:.0f} s: {row.notebook}", file=sys.stderr, flush=True)

        try:
            rows = asyncio.run(grade_all(found, weeks, Limits(given.timeout, given.total), given.jobs, done))
        except KeyboardInterrupt:
            if finished:
                print(as_text(finished))
            raise GradeError(f"interrupted after {len(finished)} of {len(found)} notebooks") from None
        print(as_text(rows))
        if given.csv:
            _write_new(given.csv, as_csv(rows))
    except GradeError as error:
        print(f"grade: {error}", file=sys.stderr)
        return 2
    return 0 if all(row.week for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
