"""What can be seen of a notebook without running it: the rules that every stored notebook keeps.

`violations` gives one line for each breach. A rule is a function in the tables at the end: it takes a
`Notebook` and yields `(index of the cell or None, what is wrong and what to do)`. For every rule there is a
notebook in tests/notebooks/bad that breaks it.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import nbformat
import yaml
from nbformat import NotebookNode

from course_utils.authoring.structure import (
    BUG,
    EXERCISE,
    EXPLORER,
    LESSON,
    OTHER,
    exercises,
    headings,
    prose,
    solution,
    tags,
    week_of,
)

TAGS = {
    "parameters", "setup", "exercise", "check", "proof", "then-and-now", "find-the-bug",
    "nbval-ignore-output", "skip-execution", "nbval-skip",
}  # fmt: skip
SYLLABUS = Path(__file__).resolve().parents[2] / "notebooks" / "syllabus.yml"
LARGEST_FILE = 2_500_000  # bytes: GitHub and JupyterLab open larger ones slowly
LONGEST_CELL, MEDIAN_CELL = 30, 8  # lines of a code cell
CODE_AFTER_CODE = 0.15  # share of the code cells
UNCOMPARED = 0.1  # share of the code cells
AT_LEAST = {"exercises": 8, "explorers": 3, "find-the-bug runs": 1}  # a week
SHORTEST_ALT = 3  # words

Breach = tuple[int | None, str]


@dataclass(frozen=True)
class Notebook:
    """A stored notebook and where it is stored."""

    node: NotebookNode
    path: Path

    @property
    def cells(self) -> list[NotebookNode]:
        return self.node.cells

    @property
    def week(self) -> int | None:
        return week_of(self.path)

    def code(self) -> list[tuple[int, NotebookNode]]:
        """The code cells with their indices."""
        return [(index, cell) for index, cell in enumerate(self.cells) if cell.cell_type == "code"]

    def tagged(self, tag: str) -> list[int]:
        """The indices of the cells with this tag."""
        return [index for index, cell in enumerate(self.cells) if tag in tags(cell)]

    def outputs(self) -> Iterator[tuple[int, NotebookNode]]:
        """Every stored output with the index of its cell."""
        for index, cell in self.code():
            for output in cell.outputs:
                yield index, output

    def trees(self) -> Iterator[tuple[int, ast.Module]]:
        """The syntax tree of every code cell that has one."""
        for index, cell in self.code():
            try:
                yield index, ast.parse(cell.source)
            except SyntaxError:
                continue  # the rule plain-python speaks of it


def violations(notebook: NotebookNode, path: Path) -> list[str]:
    """One line for each rule that `notebook`, stored at `path`, breaks: "cell 12: …", counted from 1.

    Read it with `structure.read`. The rules of a week apply when the file is called week1… or the like.
    """
    subject = Notebook(notebook, Path(path))
    rules = RULES | WEEK_RULES if subject.week is not None else RULES
    lines = []
    for name, rule in rules.items():
        for index, message in rule(subject):
            place = "notebook" if index is None else f"cell {index + 1}"
            lines.append(f"{place}: {message} [{name}]")
    return lines


@cache
def syllabus_ids() -> frozenset[str]:
    """The ids of all items in notebooks/syllabus.yml."""
    return frozenset(item["id"] for item in yaml.safe_load(SYLLABUS.read_text(encoding="utf-8")))


def as_text(output: NotebookNode) -> str:
    """What of an output is text that a reader may see: no pictures, no widget."""
    if output.output_type == "stream":
        return output.text
    texts = [content for kind, content in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join([*map(str, texts), *output.get("traceback", [])])


def first_line(source: str) -> str:
    return source.lstrip().split("\n", 1)[0].rstrip()


# --- the file ---


def cell_ids(book: Notebook) -> Iterator[Breach]:
    counted = Counter(cell.get("id") for cell in book.cells)
    for index, cell in enumerate(book.cells):
        if not cell.get("id"):
            yield index, "has no id; build the notebook again"
        elif counted[cell.id] > 1:
            yield index, f"shares its id {cell.id!r} with another cell; build the notebook again"


def file_size(book: Notebook) -> Iterator[Breach]:
    size = len(nbformat.v4.writes(book.node).encode())
    if size > LARGEST_FILE:
        yield (
            None,
            f"is {size / 1e6:.1f} MB, at most {LARGEST_FILE / 1e6:.1f} MB; draw fewer or smaller figures",
        )


def metadata(book: Notebook) -> Iterator[Breach]:
    kernel = book.node.metadata.get("kernelspec", {})
    if (kernel.get("name"), kernel.get("language")) != ("python3", "python"):
        yield None, "needs the kernelspec python3 with language python, or papermill takes no parameters"
    for index, cell in enumerate(book.cells):
        if unknown := sorted(set(cell.metadata) - {"tags", "covers"}):
            yield index, f"has metadata {', '.join(unknown)}; only tags and covers are used"


def widget_state(book: Notebook) -> Iterator[Breach]:
    if "widgets" in book.node.metadata:
        yield None, "stores the state of widgets; build the notebook again"
    for index, output in book.outputs():
        if any("widget-view" in kind for kind in output.get("data", {})):
            yield index, "stores a view of a widget, which nobody can open; build the notebook again"


def executed(book: Notebook) -> Iterator[Breach]:
    expected = 1
    for index, cell in book.code():
        if "skip-execution" in tags(cell):
            continue
        if cell.execution_count is None:
            yield index, "was never executed, so nbval would compare nothing; build the notebook again"
        elif cell.execution_count != expected:
            yield (
                index,
                f"was executed as number {cell.execution_count}, expected {expected}; build it in one run",
            )
        expected += 1


def known_tags(book: Notebook) -> Iterator[Breach]:
    for index, cell in enumerate(book.cells):
        for tag in tags(cell):
            if tag not in TAGS:
                meant = tag.lower().replace("_", "-")
                hint = f"did you mean {meant}?" if meant in TAGS else f"known are {', '.join(sorted(TAGS))}"
                yield index, f"has the unknown tag {tag!r}; {hint}"
        if ("skip-execution" in tags(cell)) != ("nbval-skip" in tags(cell)):
            yield (
                index,
                "has only one of the tags skip-execution and nbval-skip; papermill and nbval need one each",
            )


def covers(book: Notebook) -> Iterator[Breach]:
    for index, cell in enumerate(book.cells):
        named = cell.metadata.get("covers", [])
        if not isinstance(named, list):
            yield index, f'covers is {named!r}, expected a list: covers=["{named}"]'
            continue
        for name in named:
            if name not in syllabus_ids():
                yield index, f"covers {name!r}, which notebooks/syllabus.yml does not have"


# --- the first cells ---


def title_cell(book: Notebook) -> Iterator[Breach]:
    if not book.cells or book.cells[0].cell_type != "markdown" or not re.match(r"# \S", book.cells[0].source):
        yield 0, "is not the title; the first cell is markdown and starts with `# `"


def parameters_and_setup(book: Notebook) -> Iterator[Breach]:
    for place, (name, words) in enumerate([("parameters", "first"), ("setup", "second")]):
        found = book.tagged(name)
        if len(found) != 1:
            cells = ", ".join(str(index + 1) for index in found) or "none"
            yield None, f"needs exactly one cell with the tag {name}, found: {cells}"
        elif found[0] not in [index for index, _ in book.code()][place : place + 1]:
            yield found[0], f"is the {name} cell, which has to be the {words} code cell"


def parameters_kept(book: Notebook) -> Iterator[Breach]:
    prepared = {*book.tagged("parameters"), *book.tagged("setup")}
    names = {
        node.id
        for index, tree in book.trees()
        if index in book.tagged("parameters")
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
    }
    for index, tree in book.trees():
        for statement in tree.body if index not in prepared else []:
            # in a function or class the name is another one
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                continue
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in names:
                    yield index, f"changes the parameter {node.id}, which later lessons read; take another name"


# --- code ---


def plain_python(book: Notebook) -> Iterator[Breach]:
    for index, cell in book.code():
        if "skip-execution" in tags(cell):
            continue  # the cell that opens TensorBoard's page has a magic
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            line = cell.source.splitlines()[(error.lineno or 1) - 1].strip()
            yield index, f"is not plain Python (a % magic or a ! shell line?): {line}"
            continue
        if any(isinstance(node, ast.Name) and node.id == "get_ipython" for node in ast.walk(tree)):
            yield index, "calls get_ipython; a magic in other words does not run outside Jupyter either"


FORBIDDEN_IMPORTS = {
    "urllib",
    "requests",
    "http",
    "socket",
    "httpx",
    "aiohttp",
    "ftplib",
    "pip",
}
FORBIDDEN_CALLS = {"os.chdir", "os.system", "os.popen", "torch.hub.load", "torch.hub.download_url_to_file"}


def starts_python(call: ast.Call) -> bool:
    """Is the program that a call of subprocess starts the Python that runs the notebook?"""
    return bool(call.args) and ast.unparse(call.args[0]).startswith("[sys.executable,")


def stays_at_home(book: Notebook) -> Iterator[Breach]:
    for index, tree in book.trees():
        for node in ast.walk(tree):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            for module in modules:
                if module.split(".")[0] in FORBIDDEN_IMPORTS:
                    yield (
                        index,
                        f"imports {module}; a notebook fetches nothing, installs nothing, starts nothing",
                    )
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called.split(".")[0] == "subprocess" and not starts_python(node):
                    yield (
                        index,
                        f"calls {called} with another program than [sys.executable, …]; a notebook starts nothing",
                    )
                if called in FORBIDDEN_CALLS:
                    yield index, f"calls {called}; a notebook fetches nothing and stays in its directory"
                if any(k.arg == "download" and ast.unparse(k.value) == "True" for k in node.keywords):
                    yield (
                        index,
                        "has download=True; data are shipped, or fetched by course_utils.data when asked for",
                    )


def cell_length(book: Notebook) -> Iterator[Breach]:
    lengths = []
    for index, cell in book.code():
        lengths.append(len(cell.source.strip().splitlines()))
        if lengths[-1] > LONGEST_CELL:
            yield (
                index,
                f"has {lengths[-1]} lines, at most {LONGEST_CELL}; drawing code belongs in course_utils",
            )
    if lengths and median(lengths) > MEDIAN_CELL:
        yield (
            None,
            f"has code cells of {median(lengths):g} lines (median), at most {MEDIAN_CELL}; one idea a cell",
        )


def words_between(book: Notebook) -> Iterator[Breach]:
    bare = []
    for index, cell in book.code():
        before = book.cells[index - 1] if index else None
        if before is None or before.cell_type != "code" or {"setup", "check"} & set(tags(cell)):
            continue  # setup follows parameters and a check follows its stub: that is their order
        bare.append(index + 1)
    if len(bare) > CODE_AFTER_CODE * len(book.code()):
        yield (
            None,
            (
                f"has {len(bare)} of {len(book.code())} code cells directly after another, "
                f"at most {CODE_AFTER_CODE:.0%}; add words before cells {', '.join(map(str, bare))}"
            ),
        )


PATH = re.compile(r"""(?<![\w./<:~-])/(?:home|root|tmp|work|Users)\b|\b[A-Z]:\\(?![nt'"])""")


def absolute_paths(book: Notebook) -> Iterator[Breach]:
    for index, cell in enumerate(book.cells):
        if match := PATH.search(cell.source):
            yield index, f"has the absolute path {match[0]!r} in its source; nobody else has that folder"
    for index, output in book.outputs():
        if match := PATH.search(as_text(output)):
            yield index, f"has the absolute path {match[0]!r} in its output; print only the file's name"


# --- outputs ---


def error_outputs(book: Notebook) -> Iterator[Breach]:
    for index, output in book.outputs():
        if output.output_type == "error":
            yield (
                index,
                f"stores the error {output.ename}; show a deliberate one with expected_error({output.ename})",
            )


def stderr_outputs(book: Notebook) -> Iterator[Breach]:
    for index, output in book.outputs():
        if output.output_type == "stream" and output.name == "stderr":
            yield (
                index,
                f"stores stderr: {first_line(output.text)!r}; show one on purpose with expected_warning",
            )


def deprecations(book: Notebook) -> Iterator[Breach]:
    for index, output in book.outputs():
        if "then-and-now" not in tags(book.cells[index]):
            if match := re.search(r"(?:Pending)?DeprecationWarning|FutureWarning", as_text(output)):
                yield index, f"shows a {match[0]} without the tag then-and-now; write today's line"


def uncompared(book: Notebook) -> Iterator[Breach]:
    ignored = book.tagged("nbval-ignore-output")
    if len(ignored) > UNCOMPARED * len(book.code()):
        yield (
            None,
            (
                f"has {len(ignored)} of {len(book.code())} code cells tagged nbval-ignore-output, "
                f"at most {UNCOMPARED:.0%}: cells {', '.join(str(index + 1) for index in ignored)}"
            ),
        )
    asserting = {i for i, tree in book.trees() if any(isinstance(node, ast.Assert) for node in ast.walk(tree))}
    for index in ignored:
        if index not in asserting:
            yield index, "is tagged nbval-ignore-output without an assert; assert its claim with a tolerance"


# --- words ---


def alt_text(book: Notebook) -> Iterator[Breach]:
    for index, cell in enumerate(book.cells):
        if cell.cell_type != "markdown":
            continue
        text = re.sub(r"`[^`\n]*`", "", prose(cell.source))
        alts = re.findall(r"!\[(.*?)\]\(", text, re.DOTALL)
        for image in re.findall(r"<img\b[^>]*>", text):
            said = re.search(r"""\balt\s*=\s*(["'])(.*?)\1""", image)
            alts.append(said[2] if said else "")
        for alt in alts:
            if len(alt.split()) < SHORTEST_ALT:
                yield (
                    index,
                    f"has an image with the alt text {alt!r}; say what is seen, {SHORTEST_ALT} words or more",
                )


def heading_first(book: Notebook) -> Iterator[Breach]:
    for index, heading in headings(book.node):
        found_by_tools = heading.startswith("## ") or re.match(r"### (Exercise|Find the bug|Explorer)\b", heading)
        if found_by_tools and first_line(book.cells[index].source) != heading:
            yield index, f"has the heading {heading!r} in its middle; start a new cell with it"


# --- exercises ---


def exercise_headings(book: Notebook) -> Iterator[Breach]:
    numbers = []
    for index, heading in headings(book.node):
        if re.match(r"#+ *exercise\b", heading, re.IGNORECASE) and not EXERCISE.match(heading):
            yield index, f"has the heading {heading!r}, expected `### Exercise 1.4 Title · 5 min · ★★`"
        elif re.match(r"#+ *find the bug\b", heading, re.IGNORECASE) and not BUG.match(heading):
            yield index, f"has the heading {heading!r}, expected `### Find the bug 1.2 Title`"
        elif match := EXERCISE.match(heading) or BUG.match(heading):
            if book.week not in (None, int(match[1])):
                yield index, f"has the number {match[1]}.{match[2]} in week {book.week}"
    for exercise in exercises(book.node):
        if exercise.number in numbers:
            yield exercise.task, f"has the number {exercise.number} a second time; every exercise has its own"
        numbers.append(exercise.number)


def exercise_cells(book: Notebook) -> Iterator[Breach]:
    stubs, checks = set(), set()
    for exercise in exercises(book.node):
        name, cells = exercise.number, book.cells[exercise.task : exercise.task + 4]
        kinds = [cell.cell_type for cell in cells]
        if kinds != ["markdown", "code", "code", "markdown"]:
            yield (
                exercise.task,
                f"starts {name} with {', '.join(kinds)}; expected task, stub, check and help cells",
            )
            continue
        stubs.add(exercise.stub)
        checks.add(exercise.check)
        if "exercise" not in tags(cells[1]):
            yield exercise.stub, f"is the stub of {name} without the tag exercise"
        if ("find-the-bug" in tags(cells[1])) != exercise.is_bug:
            yield (
                exercise.stub,
                f"is the stub of {name}: the tag find-the-bug goes with `### Find the bug`, only there",
            )
        if "check" not in tags(cells[2]):
            yield exercise.check, f"is the check of {name} without the tag check"
        if not ends_in_check(cells[2].source):
            yield exercise.check, f"is the check of {name}; its last line should be check.some_name(answer)"
        if not re.search(r"<summary>\s*Hint 1\s*</summary>", cells[3].source):
            yield exercise.help, f"is the help of {name} without <details><summary>Hint 1</summary>"
        try:
            ast.parse(solution(cells[3].source))
        except ValueError as error:
            yield exercise.help, f"is the help of {name}: {error}"
        except SyntaxError as error:
            yield exercise.help, f"is the help of {name}: its solution is not Python ({error.msg})"
    for tag, placed in [("exercise", stubs), ("find-the-bug", stubs), ("check", checks)]:
        for index in book.tagged(tag):
            if index not in placed:
                yield (
                    index,
                    f"has the tag {tag}, but stands in no exercise: heading, stub, check, help in this order",
                )


def ends_in_check(source: str) -> bool:
    """Is the last statement of `source` a call of `check.something(…)`?"""
    try:
        last = ast.parse(source).body[-1:]
    except SyntaxError:
        return False
    if not last or not isinstance(last[0], ast.Expr) or not isinstance(last[0].value, ast.Call):
        return False
    called = last[0].value.func
    return isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "check"


# --- a week ---


def lesson_order(book: Notebook) -> Iterator[Breach]:
    expected = 1
    for index, heading in headings(book.node):
        if not heading.startswith("## ") or OTHER.match(heading):
            continue
        match = LESSON.match(heading)
        if not match:
            yield (
                index,
                f"has the heading {heading!r}; expected `## {book.week}.{expected} Title`, Warm-up or Recap",
            )
            continue
        if (int(match[1]), int(match[2])) != (book.week, expected):
            yield index, f"is lesson {match[1]}.{match[2]}, expected {book.week}.{expected}"
        expected += 1
    if expected == 1:
        yield None, f"has no lesson: no heading `## {book.week}.1 Title`"


def lesson_minutes(book: Notebook) -> Iterator[Breach]:
    lines = book.cells[0].source.splitlines() if book.cells else []
    # in a table the column says that its numbers are minutes
    column = any(re.search(r"\|\s*minutes\s*\|", line) for line in lines)
    minutes = re.compile(r"\b\d+ min\b|\|\s*\d+\s*\|" if column else r"\b\d+ min\b")
    for _, heading in headings(book.node):
        if match := LESSON.match(heading):
            number = re.compile(rf"(?<![\d.]){match[1]}\.{match[2]}(?!\d)")
            if not any(number.search(line) and minutes.search(line) for line in lines):
                yield (
                    0,
                    f"does not say how long lesson {match[1]}.{match[2]} takes; a line with it and `20 min`",
                )


def recap_last(book: Notebook) -> Iterator[Breach]:
    parts = [heading for _, heading in headings(book.node) if heading.startswith("## ")]
    if parts.count("## Recap") != 1 or parts[-1] != "## Recap":
        yield None, "should end in one section `## Recap`"


def enough(book: Notebook) -> Iterator[Breach]:
    found = exercises(book.node)
    counted = {
        "exercises": sum(not exercise.is_bug for exercise in found),
        "explorers": sum(bool(EXPLORER.match(heading)) for _, heading in headings(book.node)),
        "find-the-bug runs": sum(exercise.is_bug for exercise in found),
    }
    for name, least in AT_LEAST.items():
        if counted[name] < least:
            yield None, f"has {counted[name]} {name}, a week has at least {least}"


Rule = Callable[[Notebook], Iterator[Breach]]

RULES: dict[str, Rule] = {
    "cell-ids": cell_ids,
    "file-size": file_size,
    "metadata": metadata,
    "widget-state": widget_state,
    "executed": executed,
    "known-tags": known_tags,
    "covers": covers,
    "title-cell": title_cell,
    "parameters-and-setup": parameters_and_setup,
    "parameters-kept": parameters_kept,
    "plain-python": plain_python,
    "stays-at-home": stays_at_home,
    "cell-length": cell_length,
    "words-between": words_between,
    "absolute-paths": absolute_paths,
    "error-outputs": error_outputs,
    "stderr-outputs": stderr_outputs,
    "deprecations": deprecations,
    "uncompared": uncompared,
    "alt-text": alt_text,
    "exercise-headings": exercise_headings,
    "exercise-cells": exercise_cells,
}

WEEK_RULES: dict[str, Rule] = {
    "heading-first": heading_first,
    "lesson-order": lesson_order,
    "lesson-minutes": lesson_minutes,
    "recap-last": recap_last,
    "enough": enough,
}
