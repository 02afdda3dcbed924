"""The script of lesson 6.10: a process that dies costs one restart, not the training."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
# the script under torchrun, but at the first start its process number 0 dies as by a crash inside torch
DIES_ONCE = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(NOTEBOOKS)!r})
import ddp_train
if (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]) == ("0", "0"):
    os.kill(os.getpid(), signal.SIGABRT)
ddp_train.main(Path(sys.argv[1]))
"""


def train(script: Path, results: Path, *arguments: str) -> subprocess.CompletedProcess:
    results.mkdir()
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *arguments]
    return subprocess.run(
        [sys.executable, *torchrun, script, results],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def dying(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("dying") / "dies_once.py"
    path.write_text(DIES_ONCE, encoding="utf-8")
    return path


def test_without_restarts_torchrun_gives_up(dying: Path, tmp_path: Path):
    done = train(dying, tmp_path / "results")
    assert done.returncode == 1
    assert f"exitcode  : -{signal.SIGABRT.value}" in done.stderr
    assert not list((tmp_path / "results").iterdir())


def test_after_a_restart_the_weights_are_the_same(dying: Path, tmp_path: Path):
    restarted = train(dying, tmp_path / "restarted", "--max-restarts=1")
    assert restarted.returncode == 0, restarted.stderr
    undisturbed = train(NOTEBOOKS / "ddp_train.py", tmp_path / "undisturbed", "--max-restarts=1")
    assert undisturbed.returncode == 0, undisturbed.stderr
    for rank in range(2):
        one, other = (torch.load(tmp_path / name / f"rank{rank}.pt") for name in ("restarted", "undisturbed"))
        assert one["seen"] == other["seen"]
        assert all(torch.equal(one["weights"][key], other["weights"][key]) for key in other["weights"])
