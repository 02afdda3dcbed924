"""Make the notebooks in good/ and bad/: `python tests/notebooks/make_samples.py`.

good/ has two small notebooks that keep every rule: `sample` keeps those of all notebooks, `week1_sample` also
those of a week. bad/ has one notebook for each way to break a rule, named after the rule; each is a good one
with a single change from the table at the end.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

HERE = Path(__file__).resolve().parent
GOOD, BAD_FOLDER = HERE / "good", HERE / "bad"

SETUP = """\
from types import SimpleNamespace


def judge(answer, truth):
    status = "open" if answer is ... else "right" if answer == truth else "wrong"
    message = "not attempted yet" if answer is ... else f"the answer {answer} is {status}"
    return SimpleNamespace(status=status, message=message)


check = SimpleNamespace(judge=judge)"""

HELP = """\
<details><summary>Hint 1</summary>

Count on your fingers.

</details>
<details><summary>Solution</summary>

```python
answer = {truth}
```

</details>"""


def text(source: str, **metadata: object) -> nbformat.NotebookNode:
    return new_markdown_cell(source, metadata=metadata)


def code(source: str, *tags: str, **metadata: object) -> nbformat.NotebookNode:
    return new_code_cell(source, metadata={**({"tags": list(tags)} if tags else {}), **metadata})


def exercise(number: int, stub: str = "answer = ...", bug: bool = False) -> list:
    """The four cells of an exercise whose answer is 2 * number."""
    head = f"### Find the bug 1.{number} Double" if bug else f"### Exercise 1.{number} Double · 2 min · ★"
    tags = ["exercise", "find-the-bug"] if bug else ["exercise"]
    return [
        text(f"{head}\n\nDouble {number}."),
        code(stub, *tags),
        code(f"check.judge(answer, {2 * number})", "check"),
        text(HELP.format(truth=2 * number)),
    ]


def start(title: str) -> list:
    return [text(title), code('seed = 0\ndevice = "auto"', "parameters"), code(SETUP, "setup")]


def sample() -> nbformat.NotebookNode:
    """A small notebook of no week."""
    return notebook(
        *start("# A sample"),
        text("## One section\n\n![a blue line that rises](picture.png)", covers=["w1-version"]),
        code("import math\n\nprint(math.floor(2.5))", covers=["w1-version"]),
        text("The floor of 2.5 is 2."),
        code("assert abs(math.pi - 3.14159) < 1e-4", "proof"),
        *exercise(1),
        text("### The same again"),
        code("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    print(error)", "then-and-now"),
        *[cell for n in range(8) for cell in (text(f"{n} and one is"), code(f"{n} + 1"))],
    )


def week() -> nbformat.NotebookNode:
    """A small notebook of a week: two lessons."""
    return notebook(
        *start("# What is double?\n\n- 1.1 Counting: 10 min\n- 1.2 Doubling: 20 min"),
        text("## 1.1 Counting"),
        code("base = 2\nprint(base + 1)"),
        *[cell for number in range(1, 6) for cell in exercise(number)],
        text("### Explorer One"),
        code("print('an explorer')"),
        text("## 1.2 Doubling"),
        code("base = 4\nprint(base)"),
        text("### Explorer Two"),
        code("print('an explorer')"),
        text("### Explorer Three"),
        code("print('an explorer')"),
        *[cell for number in range(6, 9) for cell in exercise(number, stub="assert base == 4\nanswer = ...")],
        *exercise(2, stub="answer = 2 + 1", bug=True),
        text("## Recap\n\nDouble is twice."),
    )


def notebook(*cells: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The cells, executed, with ids by position."""
    for position, cell in enumerate(cells):
        cell.id = f"cell-{position}"
    made = new_notebook(
        cells=list(cells),
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    NotebookClient(made, timeout=60, record_timing=False).execute()
    made.metadata = {"kernelspec": made.metadata.kernelspec}
    return made


# --- the changes ---

Change = Callable[[nbformat.NotebookNode], None]


def find(book: nbformat.NotebookNode, words: str) -> nbformat.NotebookNode:
    """The first cell whose source has `words`."""
    return next(cell for cell in book.cells if words in cell.source)


def change_of(words: str, **values: object) -> Change:
    """Set attributes of the cell that has `words`; `replace=(old, new)` changes its source."""

    def change(book: nbformat.NotebookNode) -> None:
        cell = find(book, words)
        if "replace" in values:
            old, new = values["replace"]
            assert old in cell.source, f"nothing to replace: {old}"
            cell.source = cell.source.replace(old, new, 1)
        cell.update({key: value for key, value in values.items() if key != "replace"})

    return change


def tagged(words: str, *tags: str) -> Change:
    return lambda book: find(book, words).metadata.update(tags=list(tags))


def without(words: str) -> Change:
    return lambda book: book.cells.remove(find(book, words))


def moved(words: str, place: int) -> Change:
    def change(book: nbformat.NotebookNode) -> None:
        cell = find(book, words)
        book.cells.remove(cell)
        book.cells.insert(place, cell)

    return change


def showing(output: nbformat.NotebookNode) -> Change:
    """Give the cell that prints math.floor another output."""
    return change_of("math.floor", outputs=[output])


def renumbered(change: Change) -> Change:
    """Do the change, and count the executions anew, so that only the rule in question is broken."""

    def both(book: nbformat.NotebookNode) -> None:
        change(book)
        for count, cell in enumerate((cell for cell in book.cells if cell.cell_type == "code"), start=1):
            cell.execution_count = count

    return both


def no_words(book: nbformat.NotebookNode) -> None:
    for number in range(4):
        without(f"{number} and one is")(book)


def long_cells(book: nbformat.NotebookNode) -> None:
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.source = "\n" * 8 + "\n".join(["# one line more"] * 9) + "\n" + cell.source


def error_output() -> nbformat.NotebookNode:
    return new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])


def stream(words: str, name: str = "stdout") -> nbformat.NotebookNode:
    return new_output("stream", name=name, text=words + "\n")


def shown(**data: str) -> nbformat.NotebookNode:
    kinds = {"plain": "text/plain", "widget": "application/vnd.jupyter.widget-view+json"}
    return new_output("display_data", data={kinds[kind]: content for kind, content in data.items()})


TITLE, PRINTED, ASKED = "# A sample", "math.floor", "Exercise 1.1"
WEEK_TITLE = "# What is double?"

# file in bad/ (the rule; after a dot the way to break it) -> the good one, words of the message, the change
BAD: dict[str, tuple[str, str, Change]] = {
    "cell-ids.missing": ("sample", "has no id", lambda book: find(book, PRINTED).pop("id")),
    "cell-ids.twice": ("sample", "shares its id", change_of(PRINTED, id="cell-0")),
    "metadata": (
        "sample",
        "metadata scrolled",
        lambda book: find(book, PRINTED).metadata.update(scrolled=True),
    ),
    "metadata.kernel": (
        "sample",
        "kernelspec python3",
        lambda book: book.metadata.kernelspec.pop("language"),
    ),
    "widget-state": ("sample", "state of widgets", lambda book: book.metadata.update(widgets={})),
    "widget-state.view": ("sample", "view of a widget", showing(shown(plain="a slider", widget="{}"))),
    "executed.never": ("sample", "never executed", change_of(PRINTED, execution_count=None, outputs=[])),
    "executed.order": ("sample", "as number 30, expected 3", change_of(PRINTED, execution_count=30)),
    "known-tags": ("sample", "unknown tag 'magic'", tagged(PRINTED, "magic")),
    "known-tags.case": ("sample", "did you mean proof?", tagged("math.pi", "Proof")),
    "known-tags.half": ("sample", "only one of the tags", tagged("7 + 1", "nbval-skip")),
    "covers": (
        "sample",
        "covers 'w1-nothing'",
        lambda book: find(book, PRINTED).metadata.update(covers=["w1-nothing"]),
    ),
    "covers.list": (
        "sample",
        "expected a list",
        lambda book: find(book, PRINTED).metadata.update(covers="w1-version"),
    ),
    "title-cell": ("sample", "is not the title", change_of(TITLE, source="A sample")),
    "parameters-and-setup.none": ("sample", "the tag parameters, found: none", tagged("seed = 0")),
    "parameters-and-setup.two": ("sample", "the tag setup, found: 3, 5", tagged(PRINTED, "setup")),
    "parameters-and-setup.order": (
        "sample",
        "setup cell, which has to be the second",
        renumbered(moved("SimpleNamespace", 5)),
    ),
    "plain-python.magic": (
        "sample",
        "not plain Python",
        change_of(PRINTED, replace=("import", "%time\nimport")),
    ),
    "plain-python.shell": (
        "sample",
        "not plain Python",
        change_of(PRINTED, replace=("import", "!pip list\nimport")),
    ),
    "plain-python.get-ipython": (
        "sample",
        "get_ipython",
        change_of(PRINTED, source="get_ipython().magic('time')"),
    ),
    "parameters-kept": (
        "sample",
        "changes the parameter seed",
        change_of(PRINTED, source="for seed in (1, 2):\n    pass"),
    ),
    "stays-at-home.process": (
        "sample",
        "calls subprocess.run with another program",
        change_of(PRINTED, source="import subprocess\nsubprocess.run(['ls'])"),
    ),
    "stays-at-home.import": ("sample", "imports urllib", change_of(PRINTED, source="import urllib.request")),
    "stays-at-home.from": (
        "sample",
        "imports requests",
        change_of(PRINTED, source="from requests import get"),
    ),
    "stays-at-home.chdir": (
        "sample",
        "calls os.chdir",
        change_of(PRINTED, source="import os\nos.chdir('..')"),
    ),
    "stays-at-home.download": ("sample", "download=True", change_of(PRINTED, source="data(download=True)")),
    "cell-length.longest": ("sample", "has 31 lines", change_of(PRINTED, source="\n".join(["x = 1"] * 31))),
    "cell-length.median": ("sample", "of 10 lines (median)", long_cells),
    "words-between": ("sample", "directly after another", no_words),
    "absolute-paths.source": (
        "sample",
        "'/home' in its source",
        change_of(PRINTED, source="open('/home/me/a.txt')"),
    ),
    "absolute-paths.windows": (
        "sample",
        "in its source",
        change_of(PRINTED, source=r"open(r'C:\Data\a.txt')"),
    ),
    "absolute-paths.output": ("sample", "'/tmp' in its output", showing(stream("written to /tmp/a.txt"))),
    "error-outputs": ("sample", "stores the error ValueError", showing(error_output())),
    "stderr-outputs": ("sample", "stores stderr", showing(stream("careful", "stderr"))),
    "deprecations": ("sample", "shows a FutureWarning", showing(stream("FutureWarning: old"))),
    "uncompared.assert": ("sample", "without an assert", tagged("7 + 1", "nbval-ignore-output")),
    "uncompared.share": (
        "sample",
        "at most 10%",
        lambda book: [
            cell.update(source="assert 1", metadata={"tags": ["nbval-ignore-output"]}) for cell in book.cells[-5::2]
        ],
    ),
    "alt-text.markdown": (
        "sample",
        "alt text 'a line'",
        change_of("One section", replace=("blue line that rises", "line")),
    ),
    "alt-text.html": (
        "sample",
        "alt text ''",
        change_of("One section", source="## One section\n\n<img src='a.png'>"),
    ),
    "heading-first": (
        "week1_sample",
        "in its middle",
        change_of("## 1.2", replace=("## 1.2", "Words.\n\n## 1.2")),
    ),
    "exercise-headings.minutes": (
        "sample",
        "expected `### Exercise",
        change_of(ASKED, replace=(" · 2 min", "")),
    ),
    "exercise-headings.twice": (
        "week1_sample",
        "1.2 a second time",
        change_of("Exercise 1.3", replace=("1.3", "1.2")),
    ),
    "exercise-headings.week": (
        "week1_sample",
        "3.3 in week 1",
        change_of("Exercise 1.3", replace=("1.3", "3.3")),
    ),
    "exercise-headings.bug": (
        "week1_sample",
        "expected `### Find",
        change_of("Find the bug", replace=("bug", "Bug")),
    ),
    "exercise-cells.order": (
        "sample",
        "expected task, stub, check and help",
        lambda book: book.cells.insert(book.cells.index(find(book, "check.judge")), so()),
    ),
    "exercise-cells.tag": ("sample", "without the tag exercise", tagged("answer = ...")),
    "exercise-cells.bug-tag": (
        "sample",
        "tag find-the-bug goes",
        tagged("answer = ...", "exercise", "find-the-bug"),
    ),
    "exercise-cells.check": (
        "sample",
        "last line should be check",
        change_of("check.judge", source="print(answer)"),
    ),
    "exercise-cells.check-tag": ("sample", "without the tag check", tagged("check.judge")),
    "exercise-cells.hint": ("sample", "Hint 1", change_of("Hint 1", replace=("Hint 1", "Help"))),
    "exercise-cells.solution": (
        "sample",
        "one ```python block",
        change_of("Hint 1", replace=("```python", "```")),
    ),
    "exercise-cells.nowhere": ("sample", "stands in no exercise", tagged("7 + 1", "exercise")),
    "lesson-order": (
        "week1_sample",
        "is lesson 1.3, expected 1.2",
        lambda book: renumber_lesson(book, "1.3"),
    ),
    "lesson-order.heading": (
        "week1_sample",
        "Warm-up or Recap",
        change_of("## 1.2", replace=("## 1.2 ", "## ")),
    ),
    "lesson-minutes": (
        "week1_sample",
        "how long lesson 1.2 takes",
        change_of(WEEK_TITLE, replace=(": 20 min", "")),
    ),
    "recap-last": ("week1_sample", "in one section `## Recap`", change_of("## Recap", source="The end.")),
    "enough.exercises": (
        "week1_sample",
        "has 7 exercises",
        renumbered(lambda book: book.cells.__delitem__(slice(5, 9))),
    ),
    "enough.explorers": ("week1_sample", "has 2 explorers", change_of("Explorer Two", source="### Two")),
    "enough.bugs": (
        "week1_sample",
        "has 0 find-the-bug runs",
        renumbered(lambda book: book.cells.__delitem__(slice(-5, -1))),
    ),
}


def so() -> nbformat.NotebookNode:
    cell = text("So?")
    cell.id = "so"
    return cell


def renumber_lesson(book: nbformat.NotebookNode, number: str) -> None:
    change_of("## 1.2", replace=("1.2", number))(book)
    change_of(WEEK_TITLE, replace=("1.2", number))(book)


def bad(name: str) -> nbformat.NotebookNode:
    """The notebook bad/<name>.ipynb, made from the stored good one."""
    base, _, change = BAD[name]
    book = deepcopy(nbformat.v4.reads((GOOD / f"{base}.ipynb").read_text(encoding="utf-8")))
    change(book)
    return book


def bad_path(name: str) -> Path:
    """Where it is stored; a bad week's name starts with week1_, since that makes its rules apply."""
    prefix = "week1_" if BAD[name][0].startswith("week1_") else ""
    return BAD_FOLDER / f"{prefix}{name}.ipynb"


def main() -> None:
    GOOD.mkdir(exist_ok=True)
    BAD_FOLDER.mkdir(exist_ok=True)
    for name, book in (("sample", sample()), ("week1_sample", week())):
        (GOOD / f"{name}.ipynb").write_text(nbformat.v4.writes(book) + "\n", encoding="utf-8")
    for file in BAD_FOLDER.glob("*.ipynb"):
        file.unlink()
    for name in BAD:
        bad_path(name).write_text(nbformat.v4.writes(bad(name)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
