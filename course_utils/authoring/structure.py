"""Where things are in a notebook: sections, lessons, exercises, found by their headings and tags.

Cells are counted from 1 in every message, as a reader counts them, and from 0 in every index.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import reads

LESSON = re.compile(r"^## (\d+)\.(\d+) \S.*$")
OTHER = re.compile(r"^## (Warm-up|Recap)$")
EXERCISE = re.compile(r"^### Exercise (\d+)\.(\d+) \S.* · \d+ min · ★{1,3}$")
BUG = re.compile(r"^### Find the bug (\d+)\.(\d+) \S.*$")
_TASK = re.compile(r"^#+ *(exercise|find the bug) +(\d+)\.(\d+)\b", re.IGNORECASE)
EXPLORER = re.compile(r"^### Explorer \S.*$")
_FENCED = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
SOLUTION = re.compile(r"<details>\s*<summary>\s*Solution\s*</summary>(.*?)</details>", re.DOTALL)
_BLOCK = re.compile(r"^```python\n(.*?)\n```\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Section:
    """A lesson, warm-up or recap, or what stands outside them; `cells` are the indices of its cells."""

    title: str
    cells: tuple[int, ...]


@dataclass(frozen=True)
class Exercise:
    """An exercise ("1.4") or a find-the-bug ("bug 1.2"): `task` is the index of its first cell."""

    number: str
    task: int

    @property
    def stub(self) -> int:
        return self.task + 1

    @property
    def check(self) -> int:
        return self.task + 2

    @property
    def help(self) -> int:
        return self.task + 3

    @property
    def is_bug(self) -> bool:
        return self.number.startswith("bug ")


def read(path: Path) -> NotebookNode:
    """The notebook as it is stored, nothing repaired: `nbformat.read` would give missing ids new ones."""
    return reads(Path(path).read_text(encoding="utf-8"))


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell, as they are written."""
    return list(cell.metadata.get("tags", []))


def prose(source: str) -> str:
    """Markdown without its fenced blocks, in which `## ` is a comment and no heading."""
    return _FENCED.sub("", source)


def headings(notebook: NotebookNode) -> list[tuple[int, str]]:
    """Every heading of the notebook with the index of its cell, in order."""
    return [
        (index, line.rstrip())
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown"
        for line in prose(cell.source).splitlines()
        if re.match(r"#{1,6} ", line)
    ]


def preparation(notebook: NotebookNode) -> list[int]:
    """The indices of the parameters and setup cells: what every lesson may count on."""
    return [index for index, cell in enumerate(notebook.cells) if {"parameters", "setup"} & set(tags(cell))]


def sections(notebook: NotebookNode) -> list[Section]:
    """The lessons, the warm-up and the recap that have code. A notebook without lessons is one section."""
    starts = [(index, title) for index, title in headings(notebook) if LESSON.match(title) or OTHER.match(title)]
    borders = [(0, "## outside the lessons"), *starts, (len(notebook.cells), "")]
    ready = set(preparation(notebook))
    found = []
    for (start, title), (end, _) in zip(borders, borders[1:], strict=False):
        cells = tuple(index for index in range(start, end) if index not in ready)
        if any(notebook.cells[index].cell_type == "code" for index in cells):
            found.append(Section(title.removeprefix("## "), cells))
    return found


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """Every exercise and find-the-bug, in order; also those whose heading is not quite as it should be."""
    found = []
    for index, heading in headings(notebook):
        if match := _TASK.match(heading):
            word = "" if match[1].lower() == "exercise" else "bug "
            found.append(Exercise(f"{word}{match[2]}.{match[3]}", index))
    return found


def solution(help_source: str) -> str:
    """The python block of the folded solution. Raises ValueError unless there is exactly one."""
    folded = SOLUTION.findall(help_source)
    blocks = _BLOCK.findall(folded[0]) if len(folded) == 1 else []
    if len(blocks) != 1:
        raise ValueError(
            "needs one <details> with <summary>Solution</summary> and one ```python block in it, "
            f"found {len(folded)} and {len(blocks)}"
        )
    return blocks[0]


def week_of(path: Path) -> int | None:
    """The week of notebooks/week3_….ipynb; None for a notebook that is no week's."""
    match = re.match(r"week(\d+)", Path(path).name)
    return int(match[1]) if match else None
