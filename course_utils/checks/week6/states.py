"""The checks of exercises 6.6 to 6.8 and of bugs 6.2 and 6.3: state_dicts, files, checkpoints, a frozen body.

Each compares with something other than the solution: a run that was not interrupted, entries compared one by one.
"""

import contextlib
import copy
import math
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler

from course_utils._arguments import kind as kind_of
from course_utils.checks.core import Mistake, NotAttempted, attempted, call, exercise, expect_tensor, expect_type
from course_utils.checks.week6._answers import one_number, still_recording
from course_utils.errors import in_words


def _small_net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """The same values, whatever device they lie on."""
    return one.shape == other.shape and torch.equal(one.detach().cpu(), other.detach().cpu())


@exercise("6.6", "0.123")
def through_a_file(function: object) -> str:
    torch.default_generator.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        for number, make in enumerate((_small_net, lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))):
            net, fresh, path = make(), make(), Path(folder) / f"net_{number}.pt"
            net[1].running_mean.fill_(3.0)  # what a file brings and a fill does not
            net[1].num_batches_tracked.fill_(7)
            buffers = {name: value.clone() for name, value in net.named_buffers()}
            with contextlib.chdir(folder), _watched_load(function) as loads:
                returned = call(function, net, fresh, path)
            still_recording()
            _filled(net, buffers)
            _written(path, net)
            if returned is net:
                raise Mistake("you returned net itself; the network that was loaded is fresh")
            expect_type(returned, nn.Module, "what through_a_file() returns")
            if returned is not fresh:
                raise Mistake("return the network that you were given as fresh: load_state_dict() changes it in place")
            _arrived(fresh, net, buffers)
            if not loads:
                raise Mistake("nobody read the file: fresh was filled from net; load what torch.load(path) gives")
    return "parameters and buffers came through the file; the file knows names and numbers, the class is your code"


@contextlib.contextmanager
def _watched_load(function: object) -> Iterator[list]:
    """A list that gets an entry for each torch.load in the block, or has one already when it could not be seen."""
    original = torch.load
    hidden = original in [value for value in getattr(function, "__globals__", {}).values() if callable(value)]
    loads: list = ["imported by its own name"] * hidden

    def watched(*arguments: object, **named: object) -> object:
        loads.append(arguments)
        return original(*arguments, **named)

    torch.load = torch.serialization.load = watched
    try:
        yield loads
    finally:
        torch.load = torch.serialization.load = original


def _filled(net: nn.Module, buffers: dict[str, torch.Tensor]) -> None:
    for name, value in net.named_buffers():
        if not _equal(value, buffers[name]):
            raise Mistake(
                f"the buffer {name} of net was changed, but only parameters are filled; state_dict() has both"
            )
    for name, value in net.named_parameters():
        if not torch.allclose(value, torch.full_like(value, 0.123)):
            raise Mistake(f"the parameter {name} of net does not hold 0.123 everywhere; go through net.parameters()")


def _written(path: Path, net: nn.Module) -> None:
    if not path.exists():
        raise Mistake("there is no file at path; save with torch.save(…, path), the path that the function was given")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file that pickle wrote
            stored = torch.load(path)
    except pickle.UnpicklingError:
        raise Mistake("the file holds more than tensors (the whole net?); save net.state_dict()") from None
    except (Exception, SystemExit) as error:
        raise Mistake(f"the file at path cannot be loaded: {in_words(error, 100)}") from None
    expect_type(stored, dict, "what the file holds")
    missing = [name for name in net.state_dict() if name not in stored]
    if missing:
        raise Mistake(f"the file lacks {missing[0]}: a state_dict holds all parameters and buffers, each by its name")
    for name, value in net.state_dict().items():
        expect_type(stored[name], torch.Tensor, f"{name} in the file")
        if not _equal(stored[name], value):
            raise Mistake(f"{name} in the file is not what net holds at the end: first fill, then save")


def _arrived(fresh: nn.Module, net: nn.Module, buffers: dict[str, torch.Tensor]) -> None:
    for name, value in fresh.named_parameters():
        if not torch.allclose(value, torch.full_like(value, 0.123)):
            raise Mistake(f"{name} of fresh does not hold 0.123; was the file loaded into fresh?")
        if not value.requires_grad:
            raise Mistake(f"{name} of fresh no longer requires a gradient; nothing in this task changes that")
        if value.data_ptr() == dict(net.named_parameters())[name].data_ptr():
            raise Mistake(f"{name} of fresh is the memory of net; load what the file holds")
    for name, value in fresh.named_buffers():
        if not _equal(value, buffers[name]):
            raise Mistake(f"the buffer {name} did not come along: fresh was filled by hand, not loaded from the file")


@exercise("6.7", "Load what fits")
def load_what_fits(function: object) -> str:
    torch.default_generator.manual_seed(0)
    for prefix, classes in (("", 5), ("module.", 5), ("module.", 2)):
        net, giver = (
            nn.ModuleDict({"first": _small_net(), "submodule": nn.Linear(3, 2), "last": nn.Linear(2, outputs)})
            for outputs in (2, classes)
        )
        giver["first"][1].running_var.fill_(5.0)
        state = {prefix + name: value for name, value in giver.state_dict().items()}
        del state[prefix + "first.0.bias"]
        state[prefix + "old_head.weight"] = torch.ones(1000, 2)
        if classes == 2:
            del state[prefix + "first.1.running_mean"]  # a buffer can be missing too
        _one_loading(function, net, state, prefix)
    return "the names that got nothing are the ones to train; print them whenever you load with strict=False"


def _one_loading(function: object, net: nn.Module, state: dict[str, torch.Tensor], prefix: str) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    given = {name: value.clone() for name, value in state.items()}
    renamed = {name.removeprefix("module."): value for name, value in given.items()}
    fits = [name for name in before if name in renamed and renamed[name].shape == before[name].shape]
    returned = call(function, net, state)
    still_recording()
    if list(state) != list(given) or not all(_equal(state[name], given[name]) for name in given):
        raise Mistake("state was changed; build a new dictionary and leave the given one as it is")
    if list(net.state_dict()) != list(before):
        raise Mistake("net has other names in its state_dict() than before; only values are to be loaded")
    for name, value in net.state_dict().items():
        if name in fits and not _equal(value, renamed[name]):
            if name.startswith("submodule") and _equal(net.state_dict()["first.0.weight"], renamed["first.0.weight"]):
                raise Mistake(f"{name} got nothing: take module. away at the beginning only, submodule is another word")
            if name.lstrip("module.") != name and _equal(value, before[name]):
                raise Mistake(f"{name} got nothing: was it cut by lstrip, which takes letters away and no word?")
            if not prefix and _equal(value, before[name]):
                raise Mistake(
                    f"{name} is in state, but net did not get its values; not every file has module. in front"
                )
            if prefix and _equal(value, before[name]):
                raise Mistake(f"{name} got nothing, though module.{name} is in state; take away the prefix first")
            raise Mistake(f"{name} is in state with the right shape, but net did not get its values")
        if name not in fits and not _equal(value, before[name]):
            raise Mistake(f"{name} does not fit and should have kept its own values")
    expect_type(returned, (list, tuple), "what load_what_fits() returns")
    others = [entry for entry in returned if not isinstance(entry, str)]
    if others:
        raise Mistake(f"the list should hold names, as text, but one of its entries is {kind_of(others[0])}")
    kept = sorted(name for name in before if name not in fits)
    if list(returned) == kept:
        return
    if sorted(returned) == kept:
        raise Mistake("the right names, but not sorted")
    if any(name in fits for name in returned):
        raise Mistake(f"the list should name what got nothing, but {next(n for n in returned if n in fits)} was loaded")
    if len(set(returned)) < len(returned):
        raise Mistake("a name is in the list more than once")
    unknown = [name for name in returned if name not in before]
    if unknown:
        raise Mistake(f"{unknown[0]!r} is in the list, but it is no name in net.state_dict()")
    lacking = [name for name in kept if name not in returned]
    if lacking and lacking[0] in renamed:
        raise Mistake(
            f"the list has {len(returned)} name(s), expected {len(kept)}: entries of another shape got nothing too"
        )
    raise Mistake(f"{lacking[0]} is not in the list, but state has nothing for it; net.state_dict() has all names")


@exercise("6.8", "A body that stays frozen")
def frozen_body(kind: object) -> str:
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise Mistake("the check takes your class itself; it has to inherit from nn.Module")
    torch.default_generator.manual_seed(0)
    body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4)))
    head = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))
    inputs = 3 + 2 * torch.randn(16, 3)
    model = call(kind, body, head)
    if getattr(model, "body", None) is not body or getattr(model, "head", None) is not head:
        raise Mistake("the given body and head should be the attributes .body and .head, themselves and no copies")
    _modes(model, "right after it was made")
    for mode in (True, False, True):
        try:
            returned = model.train() if mode else model.eval()
        except (Exception, SystemExit) as error:
            raise Mistake(f"train({mode}) stopped with {in_words(error, 120)}") from None
        if returned is not model:
            raise Mistake("train() should return self, as nn.Module's does: code writes model = model.train()")
        if head.training != mode or model.training != mode:
            raise Mistake(f"after train({mode}) the head's mode should be {mode}; call super().train(mode)")
        _modes(model, f"after train({mode})")
    gradients = [name for name, value in body.named_parameters() if value.requires_grad]
    if gradients:
        raise Mistake(f"{gradients[0]} of the body still requires a gradient; an optimizer would move it")
    if not all(value.requires_grad for value in head.parameters()):
        raise Mistake("the head lost its gradients too; only the body is frozen")
    _trained(model, inputs)
    return "eval() in train(): the body is the same to the last bit, whatever a training loop calls"


def _modes(model: nn.Module, moment: str) -> None:
    awake = [name for name, module in model.body.named_modules() if module.training]
    if awake and len(awake) < len(list(model.body.modules())):
        raise Mistake(f"{moment} a part of the body is in training mode; body.eval() reaches all that lies inside")
    if awake:
        raise Mistake(f"{moment} the body is in training mode; every train() of the whole goes down to it")


def _trained(model: nn.Module, inputs: torch.Tensor) -> None:
    """A few steps: the body stays, the head learns, and forward is head(body(x))."""
    before = copy.deepcopy(model.body.state_dict())
    first = copy.deepcopy(model.head.state_dict())
    optimizer = torch.optim.SGD([value for value in model.parameters() if value.requires_grad], lr=0.1)
    model.train()
    for _ in range(3):
        try:
            outputs = call(model, inputs)
        except NotAttempted:
            raise Mistake("forward() returns nothing; it should return head(body(x))") from None
        expect_tensor(outputs, "what the module returns", shape=(16, 2))
        if not outputs.requires_grad:
            raise Mistake(
                "the outputs carry no gradient, so the head cannot learn; no_grad belongs around the body only"
            )
        optimizer.zero_grad()
        outputs.square().mean().backward()
        optimizer.step()
    for name, value in model.body.state_dict().items():
        if not _equal(value, before[name]):
            raise Mistake(
                f"{name} of the body moved during training; which mode is it in while the batch goes through?"
            )
    if all(_equal(value, first[name]) for name, value in model.head.named_parameters()):
        raise Mistake("the head did not learn; forward should be head(body(x))")
    model.eval()
    with torch.no_grad():
        outputs, wanted = call(model, inputs), model.head(model.body(inputs))
    if not torch.allclose(outputs, wanted, atol=1e-6):
        raise Mistake("the outputs are not head(body(x))")
    if model.body.training or model.head.training:
        raise Mistake("forward() changed a mode; only train() does that")


@exercise("bug 6.2", "The best of 150 epochs")
def bug_6_2(fit: object) -> str:
    for targets, epochs in ((1.0, 60), (0.6, 45)):
        net, train, valid = _passing_by(targets)
        expected, states = _watched(copy.deepcopy(net), train, valid, epochs)
        lowest = min(range(epochs), key=expected.__getitem__)
        returned = call(fit, net, train, valid, epochs)
        if not (isinstance(returned, (tuple, list)) and len(returned) == 2 and isinstance(returned[0], nn.Module)):
            raise Mistake("fit() should still return two things: the network and the list of validation losses")
        best, seen = returned
        if not hasattr(seen, "__len__") or not hasattr(seen, "__getitem__") or isinstance(seen, (str, dict)):
            raise Mistake(f"the second thing should be the list of validation losses, but it is {kind_of(seen)}")
        seen = [one_number(loss, "an entry of the losses") for loss in seen]
        if len(seen) != epochs:
            raise Mistake(f"the list holds {len(seen)} losses for {epochs} epochs; the run shall not be cut short")
        if not all(math.isclose(one, other, rel_tol=1e-6) for one, other in zip(seen, expected, strict=True)):
            raise Mistake("the validation losses are not those of this training any more; leave the training as it was")
        _is_the_best(best, valid, expected, states, lowest)
    return "a state_dict is a list of addresses: what shall stay must be copied, or written into a file"


def _passing_by(target: float) -> tuple:
    """A net whose training passes the validation's optimum on its way, so that the best epoch is in the middle."""
    torch.default_generator.manual_seed(0)
    inputs = torch.randn(32, 1, dtype=torch.float64)
    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1, affine=False), nn.Linear(1, 1)).double()
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[2].weight.fill_(0.0)
    shift = 0.3 * torch.randn(32, 1, dtype=torch.float64)
    return net, (inputs, 2 * target * inputs), (inputs + shift, 0.3 * target * (inputs + shift))


def _watched(net: nn.Module, train: tuple, valid: tuple, epochs: int) -> tuple[list[float], list[dict]]:
    """The losses of the exercise's training, and a real copy of the state after each epoch."""
    optimizer, losses, states = torch.optim.Adam(net.parameters(), lr=0.02), [], []
    for _ in range(epochs):
        net.train()
        optimizer.zero_grad()
        F.mse_loss(net(train[0]), train[1]).backward()
        optimizer.step()
        net.eval()
        with torch.no_grad():
            losses.append(F.mse_loss(net(valid[0]), valid[1]).item())
        states.append({name: value.clone() for name, value in net.state_dict().items()})
    return losses, states


def _is_the_best(best: nn.Module, valid: tuple, losses: list[float], states: list[dict], lowest: int) -> None:
    found = best.state_dict()
    if found.keys() != states[lowest].keys():
        raise Mistake("the network that came back has other parts than the one that was given")
    matching = [epoch for epoch, state in enumerate(states) if all(_equal(found[key], state[key]) for key in state)]
    if lowest in matching:
        best.eval()
        with torch.no_grad():
            loss = math.nan
            with contextlib.suppress(Exception):
                loss = F.mse_loss(best(valid[0]), valid[1]).item()
        if math.isclose(loss, losses[lowest], rel_tol=1e-9):
            return
        raise Mistake("what came back holds the best epoch's numbers, but computes something else than the network")
    names = [name for name, _ in best.named_parameters()]
    if all(_equal(found[name], states[lowest][name]) for name in names):
        raise Mistake("the parameters are those of the best epoch, but the buffers are not: keep the whole state_dict")
    last = len(losses) - 1
    if last in matching:
        raise Mistake(
            f"the network that came back is that of epoch {last}, the last, but the lowest loss was in epoch {lowest}"
        )
    if matching:
        raise Mistake(f"the network is that of epoch {matching[0]}, but the lowest loss was in epoch {lowest}")
    raise Mistake("the network that came back is that of no epoch at all; what was written down, and when?")


MakeScheduler = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]
SCHEDULERS: dict[str, MakeScheduler] = {
    "StepLR": lambda optimizer: lr_scheduler.StepLR(optimizer, 6),
    "StepLR with another step": lambda optimizer: lr_scheduler.StepLR(optimizer, 3, gamma=0.5),
    "CosineAnnealingWarmRestarts": lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4, T_mult=2),
    "SequentialLR": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3), lr_scheduler.ExponentialLR(optimizer, 0.8)],
        milestones=[4],
    ),
}


@exercise("bug 6.3", "On with the rest")
def bug_6_3(save: object, resume: object) -> str:
    for number, (name, make) in enumerate(SCHEDULERS.items()):
        for stop in (4, 2, 7):
            whole, weights, _ = _rates(make, None, None, None)
            rates, resumed, start = _rates(make, save, resume, stop)
            if start != stop + 1:
                raise Mistake(
                    f"stopped after epoch {stop}, resume() should return {stop + 1}, but it returned {start!r}"
                )
            wrong = [epoch for epoch, (one, other) in enumerate(zip(rates, whole, strict=True)) if one != other]
            if wrong and number == 0:
                drops = [f"comes at epoch {epoch}" for epoch in range(10) if rates[epoch] < 0.1]
                raise Mistake(
                    f"{name}, stopped after epoch {stop}: the drop {(*drops, 'does not come')[0]}, without the break "
                    "it comes at epoch 6; compare what the scheduler knows before save() and after resume()"
                )
            if wrong:
                raise Mistake(
                    f"right for StepLR(6), but with {name} epoch {wrong[0]} has another rate than without the break: "
                    "a scheduler remembers more than one number, let it say itself what"
                )
            if not _equal(weights, resumed):
                raise Mistake("the rates are right, but the weights at the end are not: did the momentum come back?")
    return "save() takes the state_dict of everything that has one, and resume() hands each back to its owner"


def _rates(
    make: MakeScheduler, save: object, resume: object, stop: int | None
) -> tuple[list[float], torch.Tensor, int]:
    """The rates of ten epochs, the weights at the end, and what resume() returned."""

    def parts(seed: int) -> tuple:
        torch.default_generator.manual_seed(seed)
        model = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return model, optimizer, make(optimizer)

    (model, optimizer, scheduler), rates, start = parts(0), [], None
    with tempfile.TemporaryDirectory() as folder:
        for epoch in range(10):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            model(torch.ones(4, 2)).square().mean().backward()
            optimizer.step()
            try:
                scheduler.step()
            except Exception as error:
                raise Mistake(f"after resume() the scheduler stopped with {in_words(error, 120)}") from None
            if epoch == stop:
                path = f"{folder}/stopped_after_{stop}.pt"
                stored = model.weight.detach().clone()
                with contextlib.chdir(folder):
                    _store(save, path, epoch, model, optimizer, scheduler)
                    model, optimizer, scheduler = parts(1)
                    start = call(resume, path, model, optimizer, scheduler)
                still_recording()
                if not _equal(model.weight, stored):
                    raise Mistake("after resume() the model's weights are not those that were saved")
                if one_number(start, "what resume() returns") % 1:
                    raise Mistake("resume() should return the number of the epoch to go on with, an int")
    return rates, model.weight.detach().clone(), start


def _store(save: object, path: str, *parts: object) -> None:
    """Call save(), which has nothing to return and would count as unsolved for that."""
    attempted(save)
    if not callable(save):
        raise Mistake("this check takes your two functions themselves, without ()")
    with contextlib.suppress(NotAttempted):
        call(save, path, *parts)
    if not Path(path).exists():
        raise Mistake("save() wrote no file at path")
