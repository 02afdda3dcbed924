"""`course.py lab` opens the course: the real server, asked as a browser asks it. tests/browser looks at its pages."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from lab_server import PATIENCE, jupyterlab

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_start_here_and_needs_the_token(tmp_path):
    with jupyterlab(ROOT, tmp_path) as server:
        assert server.page == "/lab/tree/notebooks/start_here.ipynb"
        assert b"JupyterLab" in ask(server.address + server.page, server.token)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            ask(f"{server.address}/api/contents/notebooks/start_here.ipynb", "wrong")


def ask(address: str, token: str) -> bytes:
    request = urllib.request.Request(address, headers={"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read()
