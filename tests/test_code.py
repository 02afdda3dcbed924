"""The Python text of the project is linted and formatted as pyproject.toml says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "words", [("check", "--quiet"), ("format", "--check", "--diff", "--quiet")], ids=["lint", "format"]
)
def test_ruff_finds_nothing(words):
    command = [sys.executable, "-m", "ruff", *words, "--no-cache", "."]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
