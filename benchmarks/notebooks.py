"""What a whole run of each notebook takes: seconds, and the memory of its kernel with the kernel's children."""

import os
import threading
import time
from pathlib import Path

import psutil

from benchmarks import setup_cells
from benchmarks.table import Row
from course_utils.authoring.build import execute
from course_utils.authoring.structure import read

LIMIT = 60  # seconds
ROUNDS = 3
PAUSE = 0.1  # seconds between two looks at the memory


def measure(quick: bool) -> list[Row]:
    return [
        median_run(path.stem, [run(path) for _ in range(1 if quick else ROUNDS)]) for path in setup_cells.notebooks()
    ]


def median_run(name: str, runs: list[tuple[float, float, float]]) -> Row:
    """The row of a notebook: of its runs (wall, CPU, MB) the one with the median wall time."""
    wall, cpu, megabytes = sorted(runs)[len(runs) // 2]
    return Row(name, wall, "s", limit=LIMIT, also={"CPU, s": cpu, "peak memory, MB": megabytes})


def run(path: Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak memory in MB of one run. Raises BuildError when a cell fails."""
    notebook, before, started = read(path), children_cpu(), time.perf_counter()
    with MemoryWatch() as watch:
        execute(notebook, path.parent)
    return time.perf_counter() - started, children_cpu() - before, watch.peak / 1e6


def children_cpu() -> float:
    """The processor seconds of all ended children of this process (always 0 on Windows)."""
    times = os.times()
    return times.children_user + times.children_system


class MemoryWatch:
    """Inside the block, the largest resident memory (`peak`, bytes) of all children of this process together."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._ended.wait(PAUSE):
            self.peak = max(self.peak, sum(map(resident, me.children(recursive=True))))


def resident(process: psutil.Process) -> int:
    """The resident memory of a process in bytes, 0 when it has just ended."""
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0
