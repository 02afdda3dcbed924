"""The stop button, pressed in the middle: it stops at once, and no hook, no mode, no half file, no server is left."""

import os
import random
import signal
import subprocess
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from table import Fault, row, rows
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from course_utils import board, cam, checkpoints, training
from course_utils.checks import week1
from course_utils.hooks import Recorder


class Interrupted(nn.Module):
    """A layer in which somebody presses the stop button."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        signal.raise_signal(signal.SIGINT)
        return x


def network() -> nn.Sequential:
    """A network that nobody finishes, with one part in evaluation mode."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), Interrupted(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net[1].eval()
    return net


def recorder(net: nn.Module) -> None:
    with Recorder(net, ["0", "1"], gradients=True):
        net(torch.ones(1, 1, 5, 5))


BATCHES = [(torch.ones(2, 1, 5, 5), torch.zeros(2, dtype=torch.int64))]
ACTIONS = {
    "interrupt, recorder": recorder,
    "interrupt, training": lambda net: training.train_epoch(
        net, BATCHES, nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.1)
    ),
    "interrupt, evaluation": lambda net: training.evaluate(net, BATCHES, nn.CrossEntropyLoss()),
    "interrupt, Grad-CAM": lambda net: cam.grad_cam(net, torch.ones(1, 1, 5, 5), net[0], 0),
}


def hooks(net: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules())


@pytest.mark.parametrize("fault", rows("test_an_interrupt_leaves_the_network_as_it_was"), ids=lambda fault: fault.name)
def test_an_interrupt_leaves_the_network_as_it_was(fault: Fault, says):
    net = network()
    weights = [parameter.detach().clone() for parameter in net.parameters()]
    modes = [module.training for module in net.modules()]
    with pytest.raises(KeyboardInterrupt) as caught:
        ACTIONS[fault.name](net)
    says(fault, caught.typename)
    assert hooks(net) == 0 and torch.is_grad_enabled()
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), weights, strict=True))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())


def test_an_interrupt_in_a_check_gives_everything_back(says):
    def stopped(values):
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        torch.set_grad_enabled(False)
        signal.raise_signal(signal.SIGINT)

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    with pytest.raises(KeyboardInterrupt) as caught:
        week1.tracked(stopped)
    says(row("interrupt, check"), caught.typename)
    assert torch.equal(torch.get_rng_state(), before[0]) and torch.is_grad_enabled()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]


def test_an_interrupt_while_saving_keeps_the_old_file(tmp_path, monkeypatch, says):
    path = tmp_path / "run.pt"
    checkpoints.save({"epoch": 1}, path)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt) as caught:
        patched.setattr(os, "fsync", lambda _: signal.raise_signal(signal.SIGINT))
        checkpoints.save({"epoch": 2}, path)
    says(row("interrupt, checkpoint"), caught.typename)
    assert checkpoints.load(path) == {"epoch": 1}
    checkpoints.save({"epoch": 3}, path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_an_interrupt_leaves_no_server(tmp_path, monkeypatch, says):
    SummaryWriter(tmp_path).close()
    started, original = [], subprocess.Popen

    def popen(*arguments, **options):
        started.append(original(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    stopped = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(board, "time", stopped)
    with pytest.raises(KeyboardInterrupt) as caught:
        board.serve(tmp_path)
    says(row("interrupt, TensorBoard"), caught.typename)
    assert [process.poll() is None for process in started] == [False]
