"""What importing course_utils costs, against the three imports that no notebook could do without.

Each import is timed in a fresh process, in turn, in processor time without Python's own start.
"""

import subprocess
import sys

from benchmarks.setup_cells import BARE, course_imports, first_cells, notebooks
from benchmarks.table import Row, compared, interleaved

LIMIT = 1.1
ROUNDS = 11


def measure(quick: bool) -> list[Row]:
    lines = course_imports([source for path in notebooks() for source in first_cells(path)])
    contenders = {"course_utils": lambda: cpu_of(lines), BARE: lambda: cpu_of(BARE)}
    found = interleaved(contenders, 2 if quick else ROUNDS)
    name = "all that the setup cells import from course_utils"
    return [compared(name, found, "course_utils", BARE, "s", LIMIT, also={"lines": lines.count("\n") + 1})]


def cpu_of(code: str) -> float:
    """The processor seconds that `code` takes in a fresh process."""
    program = f"import time\nstarted = time.process_time()\n{code}\nprint(time.process_time() - started)"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)
