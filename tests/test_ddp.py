"""Lesson 6.10's own cell: a process that dies costs one restart, not the training.

The cell is taken out of the notebook's text and run with another script, whose process number 0 dies at its first
start, after all processes have met: the worst moment, because then their addresses are known and soon wrong.
"""

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
DIES_ONCE = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(NOTEBOOKS)!r})
import ddp_train
if (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]) == ("0", "0"):
    ddp_train.dist.init_process_group("gloo")
    os.kill(os.getpid(), signal.SIGABRT)
ddp_train.main(Path(sys.argv[1]))
"""


def cell() -> str:
    """The source of the cell that starts torchrun."""
    (source,) = NOTEBOOKS.glob("source/week6_*.py")
    (found,) = (part for part in source.read_text(encoding="utf-8").split("\n# %%") if "\ntorchrun = [" in part)
    return found.partition("\n")[2]


def results(source: str, script: Path, monkeypatch) -> list[dict]:
    """What both processes found when the cell runs with this script; an AssertionError when torchrun fails."""
    monkeypatch.delenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", raising=False)
    names = {"script": script, "os": os, "sys": sys, "Path": Path, "subprocess": subprocess, "tempfile": tempfile}
    exec(compile(source, "<the cell that starts torchrun>", "exec"), names)
    return [torch.load(Path(names["results"], f"rank{rank}.pt")) for rank in range(2)]


@pytest.fixture
def dying(tmp_path: Path) -> Path:
    path = tmp_path / "dies_once.py"
    path.write_text(DIES_ONCE, encoding="utf-8")
    return path


def test_after_a_restart_the_weights_are_the_same(dying: Path, monkeypatch):
    restarted = results(cell(), dying, monkeypatch)
    undisturbed = results(cell(), NOTEBOOKS / "ddp_train.py", monkeypatch)
    for one, other in zip(restarted, undisturbed, strict=True):
        assert one["seen"] == other["seen"]
        assert all(torch.equal(one["weights"][key], other["weights"][key]) for key in other["weights"])


def test_without_restarts_torchrun_gives_up(dying: Path, monkeypatch):
    (restarts,) = (
        node.value
        for node in ast.walk(ast.parse(cell()))
        if isinstance(node, ast.Constant) and "restarts" in str(node.value)
    )
    with pytest.raises(AssertionError, match="exitcode  : -6"):
        results(cell().replace(restarts, "--max-restarts=0"), dying, monkeypatch)
