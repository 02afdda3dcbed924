"""Other folders, missing packages, busy ports."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from table import Fault, row, rows

from course_utils import checkpoints, data
from course_utils.authoring.structure import preparation, read

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60  # seconds for JupyterLab to say something
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "fault", rows("test_a_missing_package_is_told_by_the_setup_cell"), ids=lambda fault: fault.name
)
def test_a_missing_package_is_told_by_the_setup_cell(fault: Fault, notebook: Path, monkeypatch, says):
    package = fault.name.removeprefix("no ")
    for name in {"torch.utils.tensorboard", *(name for name in sys.modules if name.startswith(f"{package}."))}:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    cells = read(notebook)
    with pytest.raises(RuntimeError) as caught:
        for index in preparation(cells):
            exec(cells.cells[index].source, names := {"seed": 0, "device": "auto"})
    assert "session" in names, "the setup cell came as far as its last line"
    says(fault, str(caught.value))


def test_a_working_directory_that_is_gone(tmp_path, monkeypatch, says):
    (tmp_path / "gone").mkdir()
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.chdir(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone", ignore_errors=True)  # Windows keeps it
    says(row("working directory deleted"), f"{len(data.digits().labels)} digits")
    with pytest.raises(checkpoints.CheckpointError):
        checkpoints.load("run.pt")


def test_a_path_with_spaces_and_chinese(tmp_path, says):
    folder = tmp_path / "my course 课程"
    folder.mkdir()
    checkpoints.save({"epoch": 1}, folder / "run 一.pt")
    assert checkpoints.load(folder / "run 一.pt") == {"epoch": 1}
    (folder / "run 一.pt").unlink()
    with pytest.raises(checkpoints.CheckpointError) as caught:
        checkpoints.load(folder / "run 一.pt")
    says(row("folder with spaces and Chinese"), str(caught.value))


def test_course_data_that_is_a_file(tmp_path, monkeypatch, says):
    (tmp_path / "digits.npz").write_bytes(b"mine")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "digits.npz"))
    with pytest.raises(data.DataError) as caught:
        data.digits()
    says(row("COURSE_DATA is a file"), str(caught.value))
    assert (tmp_path / "digits.npz").read_bytes() == b"mine"


def test_a_port_of_jupyterlab_that_is_busy(tmp_path, says):
    log, names = tmp_path / "log.txt", ("DATA", "CONFIG", "RUNTIME")
    environment = {**os.environ, **{f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in names}}
    with socket.create_server(("127.0.0.1", 0)) as busy, log.open("w") as stream:
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
        command += [f"--ServerApp.port={port}", f"--ServerApp.root_dir={tmp_path}"]
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        try:
            address, end = None, time.monotonic() + PATIENCE
            while not address and process.poll() is None and time.monotonic() < end:
                address = re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())
                time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
    assert address and int(address[1]) != port, log.read_text()
    says(row("port of JupyterLab busy"), next(line for line in log.read_text().splitlines() if str(port) in line))
