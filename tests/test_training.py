"""The training loop of later weeks: right numbers, and nothing of the user's changed."""

import pytest
import torch
from torch import nn

from course_utils import training


def batches(sizes=(4, 4, 2)):
    generator = torch.Generator().manual_seed(0)
    made = []
    for size in sizes:
        targets = torch.randint(3, (size,), generator=generator)
        made.append((nn.functional.one_hot(targets, 3).float() + 0.1, targets))
    return made


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def test_an_epoch_is_the_written_out_loop():
    one, other, loss_function = network(), network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
    torch.manual_seed(1)
    returned = training.train_epoch(one, batches(), loss_function, optimizer)
    torch.manual_seed(1)
    by_hand, losses = torch.optim.SGD(other.parameters(), lr=0.1), []
    for inputs, targets in batches():
        by_hand.zero_grad()
        loss = loss_function(other(inputs), targets)
        loss.backward()
        by_hand.step()
        losses += [loss.item()] * len(inputs)
    assert returned == pytest.approx(sum(losses) / 10)
    for left, right in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(left, right)


def test_training_learns_and_counts_steps():
    net, steps = network(), []
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    before = training.evaluate(net, batches(), nn.CrossEntropyLoss())
    for _ in range(20):
        training.train_epoch(net, batches(), nn.CrossEntropyLoss(), optimizer, lambda: steps.append(1))
    after = training.evaluate(net, batches(), nn.CrossEntropyLoss())
    assert len(steps) == 60
    assert after.loss < before.loss and after.accuracy == 1.0


def test_scores_do_not_depend_on_the_batches():
    net = network().train()
    parts = training.evaluate(net, batches(), nn.CrossEntropyLoss())
    whole = [tuple(torch.cat(column) for column in zip(*batches(), strict=True))]
    together = training.evaluate(net, whole, nn.CrossEntropyLoss())
    assert parts.accuracy == together.accuracy
    assert parts.loss == pytest.approx(together.loss, rel=1e-6)


@pytest.mark.parametrize("action", ["train_epoch", "evaluate"])
@pytest.mark.parametrize("broken", [False, True])
def test_every_submodule_gets_its_mode_back(action: str, broken: bool):
    net = network().train()
    net[1].eval()
    modes = [module.training for module in net.modules()]
    arguments = (net, [(torch.zeros(2, 7), torch.zeros(2))] if broken else batches(), nn.CrossEntropyLoss())
    if action == "train_epoch":
        arguments += (torch.optim.SGD(net.parameters(), lr=0.1),)
    if broken:
        with pytest.raises(RuntimeError):
            getattr(training, action)(*arguments)
    else:
        getattr(training, action)(*arguments)
    assert [module.training for module in net.modules()] == modes


def test_evaluation_changes_nothing():
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    training.evaluate(net, batches(), nn.CrossEntropyLoss())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in net.parameters())


def test_no_batches_is_said_plainly():
    net = network()
    with pytest.raises(ValueError, match="batches is empty"):
        training.evaluate(net, iter([]), nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="batches is empty"):
        training.train_epoch(net, [], nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.1))
