"""Run every section of a notebook alone, each code cell twice in a row; print what went wrong as JSON.

Usage: python run_lessons.py notebook.ipynb working_directory

Each section gets a fresh kernel, which runs the parameters and setup cells (twice, too) and then its own.
In every kernel a Deprecation- or FutureWarning that comes from a cell or from course_utils is an error.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jupyter_client.manager import start_new_kernel

from course_utils.authoring.structure import Section, preparation, read, sections, tags

TIMEOUT = 120  # seconds a cell
AT_ONCE = 2  # kernels
STRICT = r"""
import warnings
for kind in (DeprecationWarning, FutureWarning):
    warnings.filterwarnings("error", category=kind, module=r"(__main__|course_utils(\..*)?)$")
"""


def run_section(cells: list, ready: list[int], section: Section, folder: str) -> dict | None:
    """The first cell of the section that stops, as {section, cell, time, error}; None when all is well."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=folder)
    try:
        execute(client, STRICT)
        for index in [*ready, *section.cells]:
            cell = cells[index]
            if cell.cell_type != "code" or "skip-execution" in tags(cell):
                continue
            for time in (1, 2):
                if error := execute(client, cell.source):
                    return {"section": section.title, "cell": index + 1, "time": time, "error": error}
        return None
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client: object, source: str) -> str:
    """The error that `source` ends with, or ""."""
    try:
        reply = client.execute_interactive(
            source, allow_stdin=False, output_hook=lambda message: None, timeout=TIMEOUT
        )["content"]
    except TimeoutError:
        return f"TimeoutError: more than {TIMEOUT} s"
    except RuntimeError as error:
        return f"the kernel is gone: {error}"
    return "" if reply["status"] == "ok" else f"{reply['ename']}: {reply['evalue']}"


def main(path: str, folder: str) -> None:
    notebook = read(Path(path))
    ready = preparation(notebook)
    parts = sections(notebook)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda part: run_section(notebook.cells, ready, part, folder), parts)
        problems = [problem for problem in found if problem]
    print(json.dumps({"sections": [part.title for part in parts], "problems": problems}))


if __name__ == "__main__":
    main(*sys.argv[1:])
