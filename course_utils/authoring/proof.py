"""Run every notebook, then write into README.md and start_here when that was, on which versions, in how many seconds.

    python -m course_utils.authoring.proof

Nothing is written unless every notebook runs to its end. The seconds are those of one run with one thread, from the
start of the kernel to its last cell; benchmarks/ has the measured comparisons.
"""

import datetime
import os
import platform
import sys
import time
from pathlib import Path

import torch
import torchvision

from course_utils.authoring.build import BuildError, build, built_path, execute, find_sources, source_notebook

ROOT = Path(__file__).resolve().parents[2]
FIRST, LAST = "<!-- written by: python course.py proof -->", "<!-- end of the proof -->"


def seconds(source: Path) -> float:
    """Run the notebook of a text in notebooks/source from its first to its last cell. Raises BuildError."""
    notebook, start = source_notebook(source), time.monotonic()
    execute(notebook, built_path(source).parent)
    return time.monotonic() - start


def table(took: dict[str, float], today: datetime.date) -> list[str]:
    """The lines of the proof in Markdown: versions, machine and date above, one row a notebook."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, no graphics card"
    rows = [f"| {name} | {value:.0f} |" for name, value in took.items()]
    return [f"{today.isoformat()}, {versions}, {machine}:", "", "| notebook | seconds |", "|---|---|", *rows]


def put(path: Path, lines: list[str]) -> None:
    """Replace what stands between the two marks in a file; a text in notebooks/source gets its lines as comments.

    Raises ValueError when the marks are not there, once each and in this order; the file is left as it is.
    """
    text = path.read_text(encoding="utf-8")
    if [text.count(mark) for mark in (FIRST, LAST)] != [1, 1] or text.index(FIRST) > text.index(LAST):
        raise ValueError(f"{path.name} needs the lines {FIRST} and {LAST}, once each, around the place of the table")
    start = "# " if path.suffix == ".py" else ""
    before, after = text.split(FIRST)[0], text.split(LAST)[1]
    middle = "".join(f"{start}{line}".rstrip() + "\n" for line in ["", *lines, ""])
    path.write_text(f"{before}{FIRST}\n{middle}{start}{LAST}{after}", encoding="utf-8", newline="\n")


def main(options: list[str]) -> int:
    """Run all notebooks, write the table; returns the exit status."""
    if options:
        print(f"proof takes no options, not {' '.join(options)}; it runs every notebook", file=sys.stderr)
        return 2
    took: dict[str, float] = {}
    try:
        for source in find_sources([]):
            print(f"running {source.stem} …", end=" ", flush=True)
            took[source.stem] = seconds(source)
            print(f"{took[source.stem]:.0f} s")
        lines, (start_here,) = table(took, datetime.date.today()), find_sources(["start_here"])
        for path in (ROOT / "README.md", start_here):
            put(path, lines)
        build(start_here)
    except (BuildError, ValueError) as error:
        print(f"\nnothing is proven: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
