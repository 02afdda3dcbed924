"""`course.py lab` opens a course that runs: the real server, asked as a browser asks it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import websocket

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# one server for all
pytestmark = pytest.mark.xdist_group("lab")
PATIENCE = 120  # seconds, for the server's start and for each cell
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

    def ask(self, path: str, method: str = "GET", data: dict | None = None) -> bytes:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.address + path, body, method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("lab")
    log = folder / "log.txt"
    # port 0 lets the system choose a free one
    command = [sys.executable, "-c", LAB, "--no-browser", "--ServerApp.port=0", "--allow-root"]
    environment = {**os.environ, "JUPYTER_DATA_DIR": str(folder), "JUPYTER_CONFIG_DIR": str(folder / "config")}
    environment |= {"JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "PYTHONPATH": str(ROOT)}
    with log.open("w") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield _opened(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE)


def _opened(process: subprocess.Popen, log: Path) -> Server:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"(http://127\.0\.0\.1:\d+)(/\S*)\?token=(\w+)", log.read_text()):
            return Server(found[1], found[3], found[2])
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


def test_the_page_is_start_here_and_needs_the_token(server):
    assert server.page == "/lab/tree/notebooks/start_here.ipynb"
    assert b"JupyterLab" in server.ask(server.page)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        server._replace(token="wrong").ask("/api/contents/notebooks/start_here.ipynb")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_run_all_reaches_the_end_without_an_error(server, path):
    cells = json.loads(server.ask(f"/api/contents/notebooks/{path.name}"))["content"]["cells"]
    session = {"path": f"notebooks/{path.name}", "name": path.name, "type": "notebook", "kernel": {"name": "python3"}}
    kernel = json.loads(server.ask("/api/sessions", "POST", session))["kernel"]["id"]
    wire = websocket.create_connection(
        f"{server.address.replace('http', 'ws')}/api/kernels/{kernel}/channels?token={server.token}", timeout=PATIENCE
    )
    try:
        codes = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        assert len(codes) > 5
        for code in codes:
            assert run(wire, code)["status"] == "ok", code
    finally:
        wire.close()
        server.ask(f"/api/kernels/{kernel}", "DELETE")


def run(wire: websocket.WebSocket, code: str) -> dict:
    """Execute one cell as the front end does; returns the content of the kernel's reply."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
    header |= {"username": "", "session": ""}
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    wire.send(json.dumps(message))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        received = wire.recv()
        if isinstance(received, bytes):  # pictures of widgets
            continue
        answer = json.loads(received)
        is_mine = answer["parent_header"].get("msg_id") == header["msg_id"]
        if is_mine and answer["msg_type"] == "execute_reply":
            return answer["content"]
    pytest.fail(f"no answer within {PATIENCE} s to:\n{code}")
