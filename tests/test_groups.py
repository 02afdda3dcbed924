"""Tests that share what one run found out stay in one process: without that all is right, and computed twice."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GROUPED = """
import pytest

@pytest.mark.parametrize("group", [
    pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in 3 * ["one", "one", "two", "two"]
])
def test_it(group):
    pass
"""


def test_a_group_stays_in_one_process(tmp_path):
    (tmp_path / "test_grouped.py").write_text(GROUPED, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-n", "2", "-v", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=120)
    ran = re.findall(r"\[(gw\d)\].* PASSED .*test_it\[(one|two)", done.stdout)
    assert len(ran) == 12, done.stdout + done.stderr
    for group in ("one", "two"):
        assert len({process for process, its in ran if its == group}) == 1, f"{group}: {ran}"
