"""How long a reader waits for the first cells of each notebook, parameters and setup, in a fresh kernel.

Against the three bare imports in a fresh kernel of the same round; the kernel's own start is in neither.
"""

import statistics

from nbformat.v4 import new_code_cell, new_notebook

from benchmarks.setup_cells import BARE, NOTEBOOKS, first_cells, notebooks
from benchmarks.table import Row, compared, interleaved
from course_utils.authoring.build import execute

ROUNDS = 5
START = "import time\n_started = time.perf_counter(), time.process_time()"
STOP = "print(time.perf_counter() - _started[0], time.process_time() - _started[1])"


def measure(quick: bool) -> list[Row]:
    cells = {path.stem: first_cells(path) for path in notebooks()} | {BARE: [BARE]}
    waits: dict[str, list[float]] = {name: [] for name in cells}

    def cpu(name: str) -> float:
        wall, seconds = run(cells[name])
        waits[name].append(wall)
        return seconds

    found = interleaved({name: lambda name=name: cpu(name) for name in cells}, 1 if quick else ROUNDS)
    return [
        compared(name, found, name, BARE, "s", also={"wall, s": statistics.median(waits[name][1:])})
        for name in cells
        if name != BARE
    ]


def run(sources: list[str]) -> tuple[float, float]:
    """The seconds, wall and processor, that these cells take in a fresh kernel. Raises BuildError when one fails."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in (START, *sources, STOP)])
    execute(notebook, NOTEBOOKS)
    wall, cpu = notebook.cells[-1].outputs[0].text.split()
    return float(wall), float(cpu)
