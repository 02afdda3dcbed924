"""The checks of exercise 6.1 and of bug 6.1: modes. Trainings are run and their traces looked at."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from course_utils._arguments import kind
from course_utils.checks.core import Mistake, call, exercise, reading
from course_utils.checks.week6._answers import one_number, still_recording


@exercise("6.1", "A body that stands still")
def only_head(function: object) -> str:
    for build in (_conv_net, _deep_net):
        for state in ("new", "eval", "all frozen", "head in eval"):
            _stands_still(function, build, state)
    return "the weights stop with requires_grad_, the buffers and the dropout with eval(): a body at rest needs both"


def _conv_net() -> tuple[nn.Module, torch.Tensor]:
    net = nn.Module()
    net.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())
    net.head = nn.Sequential(nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 3))
    net.forward = lambda x: net.head(net.body(x))
    return net, torch.randn(8, 1, 6, 6)


def _deep_net() -> tuple[nn.Module, torch.Tensor]:
    net = nn.Sequential()
    block = nn.Sequential(nn.Linear(5, 6), nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.5)))
    net.body = nn.Sequential(block, nn.ReLU())
    net.head = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 2))
    return net, torch.randn(8, 5)


def _stands_still(function: object, build: object, state: str) -> None:
    """Raise Mistake unless a training after `function` moves the head and nothing of the body."""
    torch.default_generator.manual_seed(0)
    net, x = build()
    if state == "eval":
        net.eval()
    elif state == "all frozen":
        net.requires_grad_(False)
    elif state == "head in eval":
        net.head.eval()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    body, head = net.body, net.head
    given = call(function, net)
    still_recording()
    if isinstance(given, torch.optim.Optimizer):
        raise Mistake("only_head should return the parameters for an optimizer, not the optimizer; it is made later")
    if isinstance(given, (torch.Tensor, str)) or not hasattr(given, "__iter__"):
        raise Mistake("only_head should return a list of parameters; what it returned can't be gone through")
    with reading("the list that only_head returns"):
        given = list(given)
    if given and isinstance(given[0], tuple):
        raise Mistake("these are pairs of name and parameter; an optimizer takes net.head.parameters()")
    if given and isinstance(given[0], dict):
        raise Mistake("this is a list of parameter groups; asked is the list of the parameters themselves")
    others = [entry for entry in given if not isinstance(entry, nn.Parameter)]
    if others:
        raise Mistake(f"the list should hold parameters, but one of its entries is {kind(others[0])}")
    if getattr(net, "body", None) is not body or getattr(net, "head", None) is not head:
        raise Mistake("net has another body or head now; set switches on the modules that are there")
    now = net.state_dict()
    if now.keys() != start.keys() or any(not torch.equal(value, start[name]) for name, value in now.items()):
        raise Mistake("only_head itself changed numbers of the network; it should only set switches")
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    held = [names.get(id(parameter), "a stranger") for parameter in given]
    if any(name.startswith("body") for name in held):
        raise Mistake(
            f"the list holds {next(n for n in held if n.startswith('body'))}; the head alone should be learnt"
        )
    missing = [name for name in names.values() if name.startswith("head") and name not in held]
    if missing:
        raise Mistake(f"{missing[0]} is not in the list, so the optimizer would never move it")
    if len(held) != len(set(held)) or "a stranger" in held:
        raise Mistake("the list should hold each parameter of the head once, and nothing else")
    tracked = [name for name, parameter in net.body.named_parameters() if parameter.requires_grad]
    if tracked:
        raise Mistake(f"body.{tracked[0]} still has requires_grad: autograd computes gradients that nobody uses")
    still = [name for name, parameter in net.head.named_parameters() if not parameter.requires_grad]
    if still:
        raise Mistake(f"head.{still[0]} has requires_grad False and cannot learn (the network came in {state})")
    asleep = [type(module).__name__ for module in net.head.modules() if not module.training]
    if asleep:
        raise Mistake(f"a {asleep[-1]} of the head is in evaluation mode (the network came in the state: {state})")
    _trains(net, x, given, start)


def _trains(net: nn.Module, x: torch.Tensor, given: list, start: dict) -> None:
    before = net.body(x)
    optimizer = torch.optim.SGD(given, lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        net.head(net.body(x)).square().mean().backward()
        optimizer.step()
    moved = [name for name, value in net.state_dict().items() if not torch.equal(value, start[name])]
    body = [name for name in moved if name.startswith("body")]
    if body:
        raise Mistake(f"after three steps {body[0]} has moved: the body is still in training mode")
    if not torch.equal(before, net.body(x)):
        raise Mistake("the body gives another output for the same input each time: its dropout is still active")
    if not torch.allclose(before, torch.cat([net.body(part) for part in x.split(3)]), atol=1e-5):
        raise Mistake("what the body makes of a sample depends on its batch: its batch normalisation still measures it")
    if not any(name.startswith("head") for name in moved):
        raise Mistake("after three steps the head has not moved")


@exercise("bug 6.1", "The bigger the better")
def bug_6_1(function: object) -> str:
    torch.default_generator.manual_seed(0)
    inputs, targets = torch.randn(60, 5) + 1, torch.randint(3, (60,))
    net = _settled_net(inputs)
    with torch.no_grad():
        logits = _evaluated(net, inputs)
        targets = torch.where(torch.rand(60) < 0.7, logits.argmax(dim=1), targets)
        right = (logits.argmax(dim=1) == targets).double()
    found = {}
    rows: list[int] = []
    net[0].register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    for mode in ("train", "eval"):
        for size in (60, 2, 7):
            net.train(mode == "train")
            rows.clear()
            before = {name: value.clone() for name, value in net.state_dict().items()}
            grad = torch.is_grad_enabled()
            found[mode, size] = one_number(call(function, net, inputs, targets, size), "what accuracy() returns")
            if torch.is_grad_enabled() != grad:
                raise Mistake("afterwards no graph is recorded any more; use no_grad as a with block")
            moved = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
            if moved:
                raise Mistake(f"measuring has changed the network: {moved[0]} moves with every batch of the validation")
            _right_share(found[mode, size], right, size)
            if max(rows, default=0) > size:
                raise Mistake(
                    f"{max(rows)} pictures went through the network at once, where batches of {size} were asked"
                )
            if net.training != (mode == "train"):
                raise Mistake(
                    f"the accuracy is right now, but the network came in {mode} mode and goes in another; give it back"
                )
    net.train()
    net[3].eval()
    call(function, net, inputs, targets, 20)
    if not net.training or net[3].training:
        raise Mistake(
            "one part came in another mode than the whole, and goes in the same: train(was) reaches every part, so "
            "keep the mode of each"
        )
    _records_nothing(function, net, inputs, targets)
    return "eval() makes the numbers right, no_grad() makes them cheap: an evaluation needs both, and leaves no trace"


def _settled_net(inputs: torch.Tensor) -> nn.Module:
    """A network with dropout and batch normalisation whose running statistics differ from those of small batches."""
    net = nn.Sequential(nn.Linear(5, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.4), nn.Linear(12, 3))
    with torch.no_grad():
        for _ in range(50):
            net(inputs)
    return net


def _evaluated(net: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """What `net` gives in evaluation mode, by functions that know no mode."""
    hidden = F.batch_norm(net[0](inputs), net[1].running_mean, net[1].running_var, net[1].weight, net[1].bias)
    return net[4](hidden.relu())


def _right_share(value: float, right: torch.Tensor, size: int) -> None:
    """Raise Mistake unless `value` is the mean of `right`, one 0 or 1 for each sample."""
    truth, whole = right.mean().item(), len(right) // size * size
    if not math.isfinite(value):
        raise Mistake("the accuracy is no finite number")
    if abs(value - truth) < 1e-4:
        return
    if abs(value - 100 * truth) < 1e-2:
        raise Mistake("the accuracy is given in percent now; it was a share from 0 to 1")
    if whole < len(right):
        if math.isclose(value, torch.stack([part.mean() for part in right.split(size)]).mean(), abs_tol=1e-6):
            raise Mistake(
                "this is the mean of the batches' accuracies, but the last batch is smaller; divide once, by all"
            )
        if any(math.isclose(value, right[:whole].sum().item() / count, abs_tol=1e-6) for count in (whole, len(right))):
            raise Mistake(
                f"in batches of {size} the last {len(right) - whole} pictures are left out; count all of them"
            )
    if size != 60:
        raise Mistake(
            f"in batches of {size} the accuracy is {value:.3f}, and {truth:.3f} in one: which layers see a batch?"
        )
    raise Mistake(f"the accuracy is {value:.3f}, but with dropout off and the running statistics it is {truth:.3f}")


def _records_nothing(function: object, net: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> None:
    packed = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: packed.append(0) or tensor, lambda tensor: tensor):
        call(function, net, inputs, targets, 20)
    if packed:
        raise Mistake("the numbers are right, but now a graph is recorded for each batch; keep the no_grad")
