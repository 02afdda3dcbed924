"""JupyterLab started by course.py, for the tests that ask it and those that look at it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.browser import PATIENCE, address_in

# course.py with the environment that is running these tests in place of .venv
LAB = """
import sys
from pathlib import Path
import course
course.ready = lambda: True
course.venv_python = lambda: Path(sys.executable)
sys.exit(course.main(["lab", *sys.argv[1:]]))
"""


class Server(NamedTuple):
    """A running JupyterLab: its address without a last slash, its token, and the page that it opens."""

    address: str
    token: str
    page: str


@contextmanager
def jupyterlab(course: Path, folder: Path, *options: str) -> Iterator[Server]:
    """`course.py lab` of the course in `course`, on a free port, with settings of nobody in `folder`."""
    log = folder / "log.txt"
    # port 0 lets the system choose a free one
    command = [sys.executable, "-c", LAB, "--no-browser", "--ServerApp.port=0", "--allow-root", *options]
    # a thread that waits must sleep: the tests share the cores
    environment = {**os.environ, "PYTHONPATH": str(course), "OMP_WAIT_POLICY": "passive"}
    names = ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
    for name in (*names, "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"):
        environment[name] = str(folder / name.lower())
    with log.open("w") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield _opened(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE)


def _opened(process: subprocess.Popen, log: Path) -> Server:
    found = re.fullmatch(r"(http://[^/]+)(/\S*)\?token=(\w+)", address_in(log, process))
    return Server(found[1], found[3], found[2])
