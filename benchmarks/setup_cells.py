"""The cells that every notebook begins with, as the benchmarks of imports and of the first cell need them."""

import ast
from pathlib import Path

from course_utils.authoring.structure import preparation, read

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
BARE = "import torch, torchvision, matplotlib.pyplot"


def notebooks() -> list[Path]:
    """The notebooks that students open, sorted by name."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def first_cells(path: Path) -> list[str]:
    """The sources of the parameters and setup cells of a notebook."""
    notebook = read(path)
    return [notebook.cells[index].source for index in preparation(notebook)]


def course_imports(sources: list[str]) -> str:
    """The lines of these sources that import from course_utils, each once, in order."""
    statements = [statement for source in sources for statement in ast.parse(source).body]
    lines = [
        ast.unparse(statement)
        for statement in statements
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").split(".")[0] == "course_utils"
    ]
    return "\n".join(dict.fromkeys(lines))
