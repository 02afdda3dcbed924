"""The training loop that weeks 1 to 4 wrote out, for the weeks after them."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import nn

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


class Scores(NamedTuple):
    """What `evaluate` measures: the mean loss of a sample, and the share of right answers (0 to 1)."""

    loss: float
    accuracy: float


def train_epoch(
    model: nn.Module,
    batches: Batches,
    loss_function: Loss,
    optimizer: torch.optim.Optimizer,
    after_step: Callable[[], object] | None = None,
) -> float:
    """Train once through `batches` and return the mean loss of a sample, as measured on the way.

    `batches` are pairs (inputs (N, …), targets (N, …)); they are moved to the model's device. `loss_function` returns
    the mean of a batch. `after_step()`, when given, runs after each optimizer step: for schedulers that count
    batches. The model is trained in training mode; the mode it had comes back afterwards. Raises ValueError when there
    is no batch.
    """
    was_training = _modes(model)
    total = torch.zeros((), dtype=torch.float64)
    count = 0
    try:
        model.train()
        for inputs, targets in _on_device_of(model, batches):
            optimizer.zero_grad()
            loss = loss_function(model(inputs), targets)
            loss.backward()
            optimizer.step()
            if after_step is not None:
                after_step()
            total += loss.detach().cpu().double() * len(inputs)
            count += len(inputs)
    finally:
        _restore(was_training)
    return float(total) / _some(count)


@torch.no_grad()
def evaluate(model: nn.Module, batches: Batches, loss_function: Loss) -> Scores:
    """Mean loss and accuracy over `batches`, in evaluation mode and without a graph; the mode it had comes back.

    The model returns one logit for each class, (N, K); `targets` are class indices (N,), and `loss_function` returns
    the mean of a batch. Raises ValueError when there is no batch.
    """
    was_training = _modes(model)
    total = torch.zeros((), dtype=torch.float64)
    right = count = 0
    try:
        model.eval()
        for inputs, targets in _on_device_of(model, batches):
            logits = model(inputs)
            total += loss_function(logits, targets).cpu().double() * len(inputs)
            right += int((logits.argmax(1) == targets).sum())
            count += len(inputs)
    finally:
        _restore(was_training)
    return Scores(float(total) / _some(count), right / count)


def _on_device_of(model: nn.Module, batches: Batches) -> Batches:
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return ((inputs.to(device), targets.to(device)) for inputs, targets in batches)


def _modes(model: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Each submodule with its mode: a part that was frozen in evaluation mode gets it back."""
    return [(module, module.training) for module in model.modules()]


def _restore(modes: list[tuple[nn.Module, bool]]) -> None:
    for module, training in modes:
        module.training = training


def _some(count: int) -> int:
    if count == 0:
        raise ValueError("batches is empty: an iterator is used up after one epoch, give a DataLoader or a list")
    return count
