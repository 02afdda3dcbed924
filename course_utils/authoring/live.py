"""Notebooks to type in during class: notebooks/weekN_….ipynb -> build/live/weekN_….ipynb.

    python -m course_utils.authoring.live            one for every week
    python -m course_utils.authoring.live week1      those whose name begins so

All outputs and the folded solutions are taken out. A code cell becomes a skeleton unless it is parameters, setup, an
exercise or its check, an old program (then-and-now), a prediction, an explorer, or longer than 12 lines. A skeleton
keeps the comment a cell begins with, its imports, the first lines of its functions, classes, methods and with blocks,
the names it defines (`name = ...`), the calls that draw (`grids.`, `curves.` and the like), the call that reveals a
prediction, and in a cell tagged proof the assertions, so that what is typed is checked. All else is one `...`. A proof
that has its assertions inside a loop stays whole.

A live notebook in which somebody has typed is never overwritten.
"""

import ast
import hashlib
import os
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.authoring import structure
from course_utils.authoring.slides import build_each

ROOT = Path(__file__).resolve().parents[2]
LIVE = ROOT / "build" / "live"
LONGEST = 12  # lines of a cell that is typed in class
WHOLE = {"parameters", "setup", "exercise", "check", "then-and-now", "skip-execution"}
MARK = "course_live"  # in the notebook's metadata: what the cells were when they were written
DRAWING = ("bars", "board", "cam", "curves", "grids", "points", "surfaces")  # modules of course_utils
RULE = """> **Live version.** Outputs and solutions are taken out. Cells of up to {longest} lines are skeletons: type
> what replaces `...`. What stays whole: parameters, setup, exercises and their checks, old programs, predictions,
> explorers, longer cells. A skeleton keeps its first comment, imports, the lines of `def`, `class` and `with`, the
> names it defines, calls that draw, and the assertions of a proof. The full text of every cell is in
> `notebooks/{name}`."""


def stays_whole(cell: NotebookNode) -> bool:
    """Whether a code cell is not for typing in class."""
    if WHOLE & set(structure.tags(cell)) or len(cell.source.strip().splitlines()) > LONGEST:
        return True
    return bool(re.search(r"^\w+ = predict\(|^explore\.|^check\.|^# *%|^%", cell.source, re.MULTILINE))


def _names(target: ast.expr) -> list[str]:
    """The names that an assignment to `target` defines; none for an element or attribute."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, (ast.Tuple, ast.List)):
        return [name for element in target.elts for name in _names(element) if name != "_"]
    return _names(target.value) if isinstance(target, ast.Starred) else []


def _first_lines(source: str, node: ast.FunctionDef | ast.ClassDef | ast.With) -> list[str]:
    """The line or lines of a `def`, `class` or `with` up to its colon, decorators included."""
    start = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    first = node.body[0]
    decorators = getattr(first, "decorator_list", [])
    end = min([first.lineno, *(decorator.lineno for decorator in decorators)])
    lines = source.split("\n")[start - 1 : end]
    if end == node.lineno:  # a body on the same line
        return [*lines[:-1], lines[-1][: first.col_offset].rstrip()]
    lines.pop()
    # comments between the colon and the body
    while not lines[-1].partition("#")[0].rstrip().endswith(":"):
        lines.pop()
    return lines


def _outline(source: str, statement: ast.stmt, proof: bool) -> list[str]:
    """What a skeleton keeps of one statement, as lines; `["..."]` for what is typed."""
    indent = " " * (statement.col_offset + 4)
    if isinstance(statement, (ast.Import, ast.ImportFrom)) or (proof and isinstance(statement, ast.Assert)):
        return (ast.get_source_segment(source, statement) or "").split("\n")
    if isinstance(statement, (ast.FunctionDef, ast.With)):
        return [*_first_lines(source, statement), f"{indent}..."]
    if isinstance(statement, ast.ClassDef):
        methods = [part for part in statement.body if isinstance(part, ast.FunctionDef)]
        inner = [line for method in methods for line in _outline(source, method, proof)]
        return [*_first_lines(source, statement), *(inner or [f"{indent}..."])]
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = [name for target in targets for name in _names(target)]
        return [f"{name} = ..." for name in names] or ["..."]
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        called = ast.unparse(statement.value.func)
        if called.endswith(".reveal"):
            return [f"{called}(...)"]
        if called.split(".")[0] in DRAWING:
            return (ast.get_source_segment(source, statement) or "").split("\n")
    return ["..."]


def skeleton(source: str, proof: bool = False) -> str:
    """A cell's code with everything left open that is typed in class, by the rule above.

    Code that is no plain Python, and a proof whose assertions are all inside other statements, come back unchanged.
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return source
    if proof and not any(isinstance(statement, ast.Assert) for statement in statements):
        return source
    lines: list[str] = []
    for line in source.split("\n"):
        if not line.startswith("#"):
            break
        lines.append(line)
    after_block = False
    for statement in statements:
        kept = _outline(source, statement, proof)
        # several ... in a row, and a name defined twice, are written once
        if kept == ["..."]:
            kept = [] if lines and lines[-1] == "..." else kept
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            kept = [line for line in kept if line not in lines]
        block = isinstance(statement, (ast.FunctionDef, ast.ClassDef))
        if kept and lines and (block or after_block):
            lines += ["", ""]
        lines, after_block = lines + kept, block or (after_block and not kept)
    # nothing left open: only imports and drawing
    return "\n".join(lines) if any(line.endswith("...") for line in lines) else source


def fingerprint(notebook: NotebookNode) -> str:
    """A number for what stands in the cells, outputs aside."""
    text = "\0".join(f"{cell.cell_type}\n{cell.source}" for cell in notebook.cells)
    return hashlib.sha256(text.encode()).hexdigest()


def live_version(notebook: NotebookNode, name: str) -> NotebookNode:
    """The live version of a stored notebook, which stays as it is; `name` is the file that has the full text."""
    made = nbformat.from_dict(notebook)
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if not stays_whole(cell):
                cell.source = skeleton(cell.source, proof="proof" in structure.tags(cell))
        else:
            cell.source = structure.SOLUTION.sub("", cell.source).rstrip()
    rule = nbformat.v4.new_markdown_cell(RULE.format(longest=LONGEST, name=name), id="live-rule")
    made.cells.insert(1, rule)
    made.metadata[MARK] = fingerprint(made)
    return made


def check_untouched(target: Path) -> None:
    """Raise ValueError when a live notebook that is there has been typed in, or is something else."""
    if not target.exists():
        return
    try:
        old = structure.read(target)
        untouched = old.metadata.get(MARK) == fingerprint(old)
    except (ValueError, AttributeError, OSError):
        untouched = False
    if not untouched:
        raise ValueError(
            f"{target.name} in {target.parent} has been changed by hand; move it away, then run this again"
        )


def build_live(notebook: Path, folder: Path = LIVE) -> Path:
    """Write the live version of one stored notebook into `folder`; returns its path. Raises ValueError."""
    made = live_version(structure.read(notebook), notebook.name)
    nbformat.validate(made)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / notebook.name
    check_untouched(target)
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_text(nbformat.writes(made) + "\n", encoding="utf-8", newline="\n")
    os.replace(unfinished, target)
    return target


def main(names: list[str]) -> int:
    """Build the live notebooks of the weeks that `names` begin; returns the exit status."""
    return build_each(names, lambda notebook: str(build_live(notebook).relative_to(ROOT)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
