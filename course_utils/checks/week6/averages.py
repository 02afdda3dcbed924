"""The checks of exercises 6.9 to 6.11: the steps of a one-cycle training, and averages of weights.

A scheduler is judged by the rates that a loop really uses, an average by one computed with plain numbers, and the
statistics by torch's own update_bn.
"""

import copy
import math

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset

from course_utils._arguments import kind
from course_utils.checks.core import Mistake, NotAttempted, call, exercise, expect_type
from course_utils.checks.week6._answers import still_recording
from course_utils.errors import in_words

LOADERS = (  # samples, batch size, drop_last, epochs, accumulate
    (70, 10, False, 2, 1),
    (65, 10, False, 3, 1),
    (65, 10, True, 3, 1),
    (70, 10, False, 4, 3),
    (65, 10, True, 2, 4),
    (20, 10, False, 5, 8),
)


@exercise("6.9", "How many steps?")
def one_cycle(function: object) -> str:
    for samples, size, drop_last, epochs, accumulate in LOADERS:
        loader = DataLoader(TensorDataset(torch.zeros(samples, 1)), batch_size=size, drop_last=drop_last)
        for max_lr in (0.1, 0.02):
            optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3.0, momentum=0.9)
            scheduler = call(function, optimizer, max_lr, loader, epochs, accumulate)
            expect_type(scheduler, OneCycleLR, "what one_cycle() returns")
            if scheduler.optimizer is not optimizer:
                raise Mistake("your scheduler belongs to another optimizer; use the one that one_cycle is given")
            steps = epochs * -(-len(loader) // accumulate)
            if scheduler.last_epoch != 0:
                raise Mistake(
                    f"your scheduler has made {scheduler.last_epoch} step(s) already; return it new, the loop steps it"
                )
            _right_length(scheduler.total_steps, steps, len(loader), samples // size, epochs, accumulate)
            _right_shape(optimizer, scheduler, max_lr, steps)
    return "count the optimizer's steps, not samples or epochs: rounded up in every epoch, and only then multiplied"


def _right_length(total: int, steps: int, batches: int, whole_batches: int, epochs: int, accumulate: int) -> None:
    if total == steps:
        return
    loop = f"{epochs} epochs of {batches} batches with accumulate={accumulate} make {steps} optimizer steps"
    if total == epochs * batches:
        raise Mistake(
            f"{loop}, but your schedule has {total}: it counts batches, and {accumulate} of them share a step"
        )
    if total == epochs:
        raise Mistake(f"{loop}, but your schedule has {total}: it counts epochs")
    if total == epochs * (batches // accumulate):
        raise Mistake(f"{loop}, but your schedule has {total}: the batches left at the end of an epoch make a step too")
    if total == -(-epochs * batches // accumulate) or total == epochs * batches // accumulate:
        raise Mistake(
            f"{loop}, but your schedule has {total}: what is left ends with its epoch, so round in each epoch"
        )
    if total == epochs * whole_batches or total == epochs * -(-whole_batches // accumulate):
        raise Mistake(f"{loop}, but your schedule has {total}: the last, smaller batch of the loader was forgotten")
    if total == steps + 1:
        raise Mistake(
            f"{loop}, but your schedule has {total}: the lowest rate is its last value and would come too late"
        )
    if total == steps - 1:
        raise Mistake(
            f"{loop}, but your schedule has {total}: the last step would leave the curve, one value is missing"
        )
    what = "it would stop with an error" if total < steps - 1 else "the rate is still high at the end"
    raise Mistake(f"{loop}, but your schedule has {total}: {what}")


def _right_shape(optimizer: torch.optim.Optimizer, scheduler: OneCycleLR, max_lr: float, steps: int) -> None:
    fresh = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3.0, momentum=0.9)
    used = _rates(optimizer, scheduler, steps)
    wanted = _rates(fresh, OneCycleLR(fresh, max_lr, total_steps=steps), steps)
    highest = optimizer.param_groups[0]["max_lr"]
    if not math.isclose(highest, max_lr, rel_tol=1e-6):
        raise Mistake(f"your schedule's max_lr is {highest:.4g} where {max_lr} was given; hand max_lr on as it is")
    if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(used[0], wanted[0], strict=True)):
        raise Mistake("the number of steps is right, but the shape is another one: leave all other settings alone")
    if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(used[1], wanted[1], strict=True)):
        raise Mistake("the rates are right, but not the momentum, which OneCycleLR moves as well; leave its settings")


def _rates(optimizer: torch.optim.Optimizer, scheduler: OneCycleLR, steps: int) -> tuple[list[float], list[float]]:
    """The rates and the momenta of `steps` steps."""
    rates, momenta = [], []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        momenta.append(float(optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        scheduler.step()
    return rates, momenta


@exercise("6.10", "An average that knows it is young")
def young_ema(function: object) -> str:
    for limit in (0.6, 0.9):
        rule = call(function, limit)
        if not callable(rule):
            raise Mistake(f"young_ema() should return the function, but it returned {kind(rule)}; no () behind average")
        _one_update(rule, limit)
        _many_updates(rule, limit)
    again, other = call(function, 0.5), call(function, 0.9)
    if _value(again, 1.0, 0.0, 500) == _value(other, 1.0, 0.0, 500):
        raise Mistake("two functions with the limits 0.5 and 0.9 do the same; each should keep a limit of its own")
    return "at n = 1 the new weights count 82 %, so the start is soon forgotten; from n = 80 on a limit of 0.9 holds"


def _value(rule: object, averaged: float, current: float, n: int) -> float:
    """What the rule makes of two tensors; Mistake when it is no tensor of their kind."""
    old = torch.full((2, 3), averaged, dtype=torch.float64)
    new = torch.full((2, 3), current, dtype=torch.float64)
    result = call(rule, old, new, torch.tensor(n))
    expect_type(result, torch.Tensor, "what your average() returns")
    if result.shape != (2, 3):
        raise Mistake(f"for two tensors (2, 3) average() returns one of shape {tuple(result.shape)}")
    if result.dtype != torch.float64:
        raise Mistake(f"for float64 weights average() returns {result.dtype}; don't convert the tensors")
    if not torch.equal(new, torch.full_like(new, current)):
        raise Mistake("average() changed `current`, the weights that are being trained; it may only read them")
    if not bool(torch.isfinite(result).all()):
        raise Mistake("average() returns nan or inf; look at the fraction")
    return result[0, 0].item()


def _one_update(rule: object, limit: float) -> None:
    counts = (1, 4, 20, 1000)
    kept = [_value(rule, 1.0, 0.0, n) for n in counts]  # what is left of the average: the decay
    growing = [(1 + n) / (10 + n) for n in counts]
    wanted = [min(limit, entry) for entry in growing]
    if not _close(kept, wanted):
        n, got, decay = next(entry for entry in zip(counts, kept, wanted, strict=True) if not _close(*entry[1:]))
        place = f"limit {limit}, n = {n}: the decay should be {decay:.3f}"
        if _close(kept, [1 - entry for entry in wanted]):
            raise Mistake(f"{place}, but you multiply the current weights by it; it belongs to the average")
        if _close(kept, [max(limit, entry) for entry in growing]):
            raise Mistake(f"{place}, but yours is {got:.3f}: the larger of the two, where the smaller is asked")
        if _close(kept, [limit] * len(counts)):
            raise Mistake(f"{place}, but yours is {got:.3f} whatever n is; a young average has to follow faster")
        if _close(kept, growing):
            raise Mistake(f"{place}, but yours is {got:.3f}: without the limit the memory grows for ever")
        if _close(kept, [0.0] * len(counts)):
            raise Mistake(f"{place}, but nothing of the average is left: it is the current weights alone")
        if _close(kept, [1.0] * len(counts)):
            raise Mistake(f"{place}, but all of the average is left: the current weights never come in")
        if _close(kept, [n / (n + 1) for n in counts]):
            raise Mistake(f"{place}, but yours is {got:.3f}: that is the equal mean of all models")
        if _close(kept, [min(limit, (2 + n) / (11 + n)) for n in counts]):
            raise Mistake(f"{place}, but yours is {got:.3f}: n is one too large, the argument counts already")
        if _close(kept, [min(limit, n / (9 + n)) for n in counts]):
            raise Mistake(f"{place}, but yours is {got:.3f}: n is one too small, take it as it comes")
        if _close(kept, [min(limit, (1 + i) / (10 + i)) for i in range(len(counts))]) or _close(
            kept, [min(limit, (2 + i) / (11 + i)) for i in range(len(counts))]
        ):
            raise Mistake(f"{place}, but yours is {got:.3f}: you count the calls; n is the third argument")
        raise Mistake(f"{place}, but {got:.3f} of the average is left")
    both = [_value(rule, 3.0, 5.0, n) for n in counts]
    if not _close(both, [3 * decay + 5 * (1 - decay) for decay in wanted]):
        raise Mistake(f"at n = 1 your average of 3 and 5 is {both[0]:.3f}; the shares of the two should sum to 1")


def _close(values: object, wanted: object) -> bool:
    got, truth = (torch.tensor(entry, dtype=torch.float64) for entry in (values, wanted))
    return torch.allclose(got, truth, rtol=0, atol=1e-6)


def _many_updates(rule: object, limit: float) -> None:
    """In an AveragedModel, against plain numbers."""
    model = nn.Linear(2, 2).double()
    averaged = AveragedModel(model, avg_fn=rule)
    wanted = 0.0
    for n in range(120):
        value = math.sin(n)
        for parameter in model.parameters():
            nn.init.constant_(parameter, value)
        try:
            averaged.update_parameters(model)
        except (Exception, SystemExit) as error:
            raise Mistake(f"as the avg_fn of an AveragedModel it stopped with {in_words(error, 120)}") from None
        decay = 0.0 if n == 0 else min(limit, (1 + n) / (10 + n))
        wanted = decay * wanted + (1 - decay) * value
        if not math.isclose(averaged.module.bias[0].item(), wanted, abs_tol=1e-6):
            raise Mistake(
                f"single calls are right, but the average after {n + 1} updates is not: "
                "take n from the argument, and keep nothing of your own between calls"
            )


@exercise("6.11", "Fresh statistics")
def refresh(function: object) -> str:
    code = getattr(function, "__code__", None)
    if code is not None and "update_bn" in code.co_names:
        raise Mistake("this lets update_bn do it; write out what it does")
    torch.default_generator.manual_seed(0)
    for model, inputs in _models():
        batches = [(batch, torch.zeros(len(batch))) for batch in inputs]
        wanted = copy.deepcopy(model)
        update_bn(batches, wanted)
        given = copy.deepcopy(model)
        try:
            returned = call(function, given, batches)
        except NotAttempted:
            if _norms(model) and _same_statistics(given, model):
                raise
            raise Mistake("refresh() computes something, but returns nothing; end it with return model") from None
        still_recording()
        if returned is not given and not isinstance(returned, nn.Module):
            raise Mistake(f"refresh() should return the model, but it returned {kind(returned)}")
        if returned is not given:
            raise Mistake("refresh() returned another model; change the statistics of the one that it is given")
        _untouched(given, model)
        _judge(given, model, wanted, batches)
        _settings(given, model)
    return "each batch counts the same, and no weight has moved: now the statistics belong to these weights"


def _models() -> list[tuple[nn.Module, list[torch.Tensor]]]:
    flat = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5), nn.BatchNorm1d(5, momentum=0.3)
    )
    picture = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    plain = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    rows = [3 * torch.randn(size, 4) + 1 for size in (20, 20, 14, 20, 5)]  # each counts the same
    pictures = [torch.rand(6, 1, 6, 6) for _ in range(4)]
    prepared = []
    dropping = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3)).eval()
    for norm in [norm for model in (flat, picture, dropping) for norm in _norms(model)]:
        nn.init.uniform_(norm.weight, 0.5, 1.5)  # as after a training; a norm that is set back whole shows
        nn.init.uniform_(norm.bias)
    for model, inputs in ((flat, rows), (picture, pictures), (plain, rows)):
        model.train()
        with torch.no_grad():
            for batch in inputs[:2]:
                model(batch + 1)  # some history, so that a start that is not set back shows
        prepared.append((model.eval(), inputs))
    flat[1].train()  # one layer that was left in training mode
    wrapped = AveragedModel(flat)
    return [*prepared, (wrapped, rows), (dropping, rows)]


def _norms(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def _same_statistics(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(_norms(one), _norms(other), strict=True)
    return all(
        torch.allclose(a.running_mean, b.running_mean, atol=1e-5)
        and torch.allclose(a.running_var, b.running_var, rtol=1e-4, atol=1e-5)
        for a, b in pairs
    )


def _untouched(given: nn.Module, model: nn.Module) -> None:
    if given.state_dict().keys() != model.state_dict().keys():
        raise Mistake("the model has other parts than before; refresh() only fills running_mean and running_var")
    for (name, now), before in zip(given.named_parameters(), model.parameters(), strict=True):
        if not torch.equal(now, before):
            raise Mistake(f"the parameter {name} has changed; refresh() computes statistics and trains nothing")
        if now.grad is not None:
            raise Mistake(f"the parameter {name} has a gradient now; work in torch.no_grad() and call no backward()")


def _judge(given: nn.Module, model: nn.Module, wanted: nn.Module, batches: list) -> None:
    if _same_statistics(given, wanted):
        return
    if _same_statistics(given, model):
        raise Mistake("the statistics are the old ones; a BatchNorm counts only in training mode, when batches run")
    variants = {
        "the old statistics are still in them; begin with reset_running_stats()": {"reset": False, "momentum": None},
        "the last batches count more than the first; momentum=None makes an average of them": {"reset": True},
        "they were not reset, and the last batches count more than the first": {"reset": False},
    }
    for words, settings in variants.items():
        other = copy.deepcopy(model)
        _counted(other, batches, **settings)
        if _same_statistics(given, other):
            raise Mistake(f"the statistics have changed, but {words}")
    together = copy.deepcopy(model)
    _counted(together, [(torch.cat([inputs for inputs, _ in batches]), None)], momentum=None)
    if _same_statistics(given, together):
        raise Mistake("all the data went through as one batch; asked is the average of what each batch gave")
    if _same_statistics(given, _weighed(model, batches)):
        raise Mistake("a larger batch counts more in yours; asked is the plain average, each batch the same")
    emptied = copy.deepcopy(model)
    for norm in _norms(emptied):
        norm.reset_running_stats()
    if _same_statistics(given, emptied):
        raise Mistake("the statistics are set back to 0 and 1 and never filled: send the batches through in train mode")
    last = copy.deepcopy(model)
    _counted(last, batches, momentum=1.0)
    if _same_statistics(given, last):
        raise Mistake("only the last batch is in the statistics; all batches should count the same")
    raise Mistake("running_mean or running_var is not the plain average of what the batches gave")


def _counted(model: nn.Module, batches: list, reset: bool = True, **settings: object) -> None:
    """Send the batches through as a learner might, with something forgotten."""
    model.train()
    for norm in _norms(model):
        if reset:
            norm.reset_running_stats()
        if "momentum" in settings:
            norm.momentum = settings["momentum"]
    with torch.no_grad():
        for batch, _ in batches:
            model(batch)


def _weighed(model: nn.Module, batches: list) -> nn.Module:
    """A copy of `model` whose statistics are averages weighed with the sizes of the batches."""
    other, seen = copy.deepcopy(model), 0
    for norm in _norms(other):
        norm.reset_running_stats()
    other.train()
    with torch.no_grad():
        for batch, _ in batches:
            seen += len(batch)
            for norm in _norms(other):
                norm.momentum = len(batch) / seen
            other(batch)
    return other


def _settings(given: nn.Module, model: nn.Module) -> None:
    for now, before in zip(_norms(given), _norms(model), strict=True):
        if now.momentum != before.momentum:
            raise Mistake(f"a BatchNorm's momentum was {before.momentum} and is {now.momentum} now; set it back")
    for (name, now), before in zip(given.named_modules(), model.modules(), strict=True):
        if now.training != before.training:
            modes = ["evaluation", "training"]
            raise Mistake(
                f"the module {name or 'itself'} was in {modes[before.training]} mode and is in "
                f"{modes[now.training]} mode now; give each module its own mode back"
            )
