"""The checks of exercises 5.1 to 5.3 and of bugs 5.1 and 5.2: schedulers that count epochs.

A scheduler is judged by the rates that it writes, epoch by epoch; a loop by the rates that its optimizer used.
"""

import copy
import math
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LRScheduler, MultiStepLR

from course_utils._arguments import kind
from course_utils.checks.core import Mistake, NotAttempted, call, exercise, plain_number
from course_utils.errors import in_words


@exercise("5.1", "Three papers")
def papers(paper_1: object, paper_2: object, paper_3: object) -> str:
    tables, missing = [], []
    for name, function in (("paper_1", paper_1), ("paper_2", paper_2), ("paper_3", paper_3)):
        try:
            tables.append(_tables(function, name))
        except NotAttempted:
            missing.append(name)
    if len(missing) == 3:
        raise NotAttempted("not attempted yet (or the returns are missing)")
    if missing:
        raise Mistake(f"{missing[0]} still returns nothing; each of the three returns its scheduler")
    for table in zip(*tables, strict=True):  # one optimizer's rates for the three papers
        for judge, used in zip((_stairs, _fading, _wave), table, strict=True):
            for group in zip(*used, strict=True):
                judge(group)
    return "a place, a ratio, half a period: each class asks for another number, and a paper rarely says which"


def _tables(function: object, name: str) -> list[list[list[float]]]:
    """The rates [epoch][group] for 121 epochs that the function's scheduler writes, for two optimizers."""
    tables = []
    for rates in ([0.1], [0.4, 0.03]):
        used = _rates(function, name, rates, 121)
        if not _close(used[0], rates):
            raise Mistake(
                f"{name}: epoch 0 trains with {_listed(used[0])} where the optimizer was built with {_listed(rates)}; "
                "every paper begins with the initial rate"
            )
        tables.append(used)
    return tables


def _stairs(used: tuple[float, ...]) -> None:
    changes = [epoch for epoch in range(1, len(used)) if used[epoch] != used[epoch - 1]]
    if changes == [29, 79]:
        raise Mistake("paper_1: the rate falls one epoch too early; after 30 epochs means that epochs 0 to 29 are over")
    if changes == [31, 81]:
        raise Mistake("paper_1: the rate falls one epoch too late; epochs count from 0, so the 31st is epoch 30")
    if changes == [30, 60, 90, 120]:
        raise Mistake("paper_1: the rate falls every 30 epochs; the second stair is longer, so the places need a list")
    if changes != [30, 80]:
        raise Mistake(f"paper_1: the rate changes at epochs {_listed(changes)}, expected 30 and 80")
    for epoch in (30, 80):
        before, after = used[epoch - 1], used[epoch]
        if not math.isclose(after, before / 10, rel_tol=1e-6):
            raise Mistake(f"paper_1: at epoch {epoch} the rate goes from {before:.4g} to {after:.4g}, not to a tenth")


def _fading(used: tuple[float, ...]) -> None:
    if used[40] == used[39] or used[1] == used[0]:
        raise Mistake("paper_2: the rate does not fall after every epoch; this rule has no stairs")
    ratios = [later / earlier for earlier, later in zip(used, used[1:], strict=False) if earlier > 1e-300]
    if not all(math.isclose(ratio, ratios[0], rel_tol=1e-6) for ratio in ratios):
        raise Mistake(
            "paper_2: the factor changes from epoch to epoch; the same one every time is ExponentialLR's rule"
        )
    share = used[40] / used[0]
    if not math.isclose(share, 0.01, rel_tol=0.1):
        raise Mistake(
            f"paper_2: after 40 epochs the rate is {share:.2g} of the first one, expected 0.01: gamma acts 40 times"
        )
    if not math.isclose(share, 0.01, rel_tol=1e-6):
        raise Mistake(
            f"paper_2: {share:.6f} after 40 epochs is nearly right; let Python compute gamma, do not round it"
        )


def _wave(used: tuple[float, ...]) -> None:
    start, end = used[0], used[90]
    if math.isclose(end, start, rel_tol=1e-6):
        if math.isclose(used[45], start, rel_tol=1e-6):
            raise Mistake("paper_3: the rate never changes; which class follows a cosine?")
        raise Mistake("paper_3: after 90 epochs the wave is up again; T_max is half a period, and half a wave is asked")
    if abs(end) < 1e-9:
        raise Mistake("paper_3: the rate goes down to 0; an argument sets the lowest rate")
    if math.isclose(end, (start + 0.001) / 2, rel_tol=1e-6):
        raise Mistake(
            "paper_3: after 90 epochs the rate is only half way down; T_max is half a period, not a whole one"
        )
    if not math.isclose(end, 0.001, rel_tol=1e-6):
        raise Mistake(f"paper_3: after 90 epochs the rate {start:g} has become {end:.4g}, expected 0.001")
    for epoch in range(91):
        wanted = 0.001 + (start - 0.001) * math.cos(math.pi / 2 * epoch / 90) ** 2
        if not math.isclose(used[epoch], wanted, rel_tol=1e-6):
            raise Mistake(
                f"paper_3: it arrives, but not along the cosine: {used[epoch]:.4g} in epoch {epoch}, not {wanted:.4g}"
            )


@exercise("5.2", "A gamma for each group")
def fade(function: object) -> str:
    for rates, gammas in (([0.1, 0.1], [0.5, 0.9]), ([0.2, 0.1, 0.05], [0.8, 0.3, 0.95]), ([0.7], [0.6])):
        given = list(gammas)
        used = _rates(function, "fade", rates, 8, given)
        if given != gammas:
            raise Mistake("fade changed the list gammas itself; read from it, the caller may still need it")

        def follows(rule: object, used: list = used, rates: list = rates) -> bool:
            return all(
                math.isclose(used[epoch][i], rule(epoch, i, rates[i]), rel_tol=1e-6)
                for epoch in range(8)
                for i in range(len(rates))
            )

        if follows(lambda epoch, i, lr, g=gammas: lr * g[i] ** epoch):
            continue
        if follows(lambda epoch, i, lr, g=gammas: lr * g[-1] ** epoch):
            raise Mistake(
                f"every group fades with {gammas[-1]}, the last gamma: your functions share one name and look it up "
                "late; give each a value of its own, lambda epoch, gamma=gamma: …"
            )
        if follows(lambda epoch, i, lr, g=gammas: lr * g[0] ** epoch):
            raise Mistake(
                f"every group fades with {gammas[0]}, the first gamma; a list has one function for each group"
            )
        if follows(lambda epoch, i, lr, g=gammas: lr * lr * g[i] ** epoch):
            raise Mistake(
                "the functions return rates; LambdaLR wants factors and multiplies by the initial rate itself"
            )
        if follows(lambda epoch, i, lr, g=gammas: lr * g[i]):
            raise Mistake(
                "every group is multiplied by its gamma once, and then stays; the factor depends on the epoch"
            )
        if follows(lambda epoch, i, lr, g=gammas: lr * g[i] ** (epoch * (epoch + 1) / 2)):
            raise Mistake("the powers pile up: this class multiplies the present rate, so the factor is gamma itself")
        if follows(lambda epoch, i, lr, g=gammas: lr * g[i] ** (epoch + 1)):
            raise Mistake("epoch 0 is already multiplied; a training begins with the optimizer's own rates")
        wanted = [lr * g**3 for lr, g in zip(rates, gammas, strict=True)]
        raise Mistake(
            f"in epoch 3 the rates {_listed(rates)} with gammas {_listed(gammas)} are {_listed(used[3])}, "
            f"expected {_listed(wanted)}"
        )
    return "a function looks its names up when it runs; gamma=gamma keeps the value of the moment when it was made"


@exercise("5.3", "A wave that stays down")
def cosine_then_floor(scheduler: object) -> str:
    if not (isinstance(scheduler, type) and issubclass(scheduler, LRScheduler)):
        raise Mistake("the check takes your class itself; it has to inherit from lr_scheduler.LRScheduler")
    for rates, T_max, floor in (([0.1], 8, 0.0), ([0.4, 0.1], 5, 0.02), ([0.05, 1.0, 0.3], 12, 0.01)):
        optimizer = _sgd(rates)
        built = _built(scheduler, optimizer, T_max, floor)
        used = _run(built, optimizer, "CosineThenFloor", 3 * T_max)
        truth = _true_wave(rates, T_max, floor)
        for epoch, (has, should) in enumerate(zip(used, truth, strict=True)):
            if not _close(has, should):
                _explain_wave(epoch, has, should, used, rates, T_max, floor)
    _goes_on(scheduler)
    return "attributes first, then super().__init__; the rule starts from base_lrs and needs no memory of its own"


def _built(scheduler: type, optimizer: torch.optim.Optimizer, T_max: int, floor: float) -> LRScheduler:
    """The learner's scheduler; what stands in the way of building it is told as a Mistake."""

    def get_lr(self: LRScheduler) -> list[float]:
        rates = scheduler.get_lr(self)
        if rates is None or rates is ...:
            raise NotAttempted("not attempted yet (or the return of get_lr is missing)")
        if isinstance(rates, (torch.Tensor, np.ndarray)) and rates.ndim == 1:
            rates = rates.tolist()
        elif isinstance(rates, Iterator):  # torch takes these as well
            rates = list(rates)
        if not isinstance(rates, (list, tuple)) or len(rates) != len(optimizer.param_groups):
            what = f"{len(rates)} rates" if isinstance(rates, (list, tuple)) else kind(rates)
            groups = len(optimizer.param_groups)
            raise Mistake(f"get_lr gives {what} for {groups} group(s); it returns a list, one rate for each group")
        return list(rates)

    probe = type(scheduler.__name__, (scheduler,), {"get_lr": get_lr})
    try:
        built = probe(optimizer, T_max, floor)
    except (Mistake, NotAttempted):
        raise
    except AttributeError as error:
        raise Mistake(
            f"building it stopped with {in_words(error, 100)}; the base class takes the first step, so get_lr runs "
            "inside super().__init__: set your attributes before it"
        ) from None
    except (Exception, SystemExit) as error:
        raise Mistake(f"building CosineThenFloor stopped with {in_words(error, 120)}") from None
    if not vars(built):
        raise NotAttempted("not attempted yet")
    if not hasattr(built, "optimizer") or not hasattr(built, "base_lrs"):
        raise Mistake("its __init__ does not reach the base class; end it with super().__init__(optimizer, last_epoch)")
    return built


def _true_wave(rates: list[float], T_max: int, floor: float) -> list[list[float]]:
    """torch's own wave until epoch T_max, then the floor: [epoch][group] for 3 T_max epochs."""
    optimizer = _sgd(rates)
    wave = CosineAnnealingLR(optimizer, T_max, eta_min=floor)
    down = _run(wave, optimizer, "CosineAnnealingLR", T_max)
    return down + [[floor] * len(rates)] * (2 * T_max)


def _explain_wave(
    epoch: int, has: list[float], should: list[float], used: list, rates: list[float], T_max: int, floor: float
) -> None:
    """Raise the Mistake that says why the rates `has` of this epoch are not `should`."""
    where = f"with rates {_listed(rates)}, T_max {T_max}, floor {floor:g}: in epoch {epoch}"
    if epoch > T_max and all(h > s for h, s in zip(has, should, strict=True)):
        raise Mistake(f"{where} the rate is up again; after T_max it stays at the floor")
    if epoch > T_max and all(h < s for h, s in zip(has, should, strict=True)):
        raise Mistake(f"{where} the rate is below the floor")
    if epoch == 0 and all(math.isclose(h, lr + floor, rel_tol=1e-6) for h, lr in zip(has, rates, strict=True)):
        raise Mistake(f"{where} the rate is lr + floor; the wave is (lr - floor) high and stands on the floor")
    bare = _true_wave(rates, T_max, 0.0)
    if floor and all(map(_close, used[:T_max], bare)):
        raise Mistake(f"{where} the wave goes down to 0, as if there were no floor")
    if floor and all(_close(used[k], [max(floor, rate) for rate in bare[k]]) for k in range(len(used))):
        raise Mistake(f"{where} it is the wave of floor 0, cut off; it should be flatter and end on the floor")
    if len(has) > 1 and _close(has[:1], should[:1]):
        raise Mistake(f"{where} the first group is right, the others not: each falls from its own initial rate")
    raise Mistake(f"{where} the rates are {_listed(has)}, expected {_listed(should)}; start from base_lrs")


def _goes_on(scheduler: type) -> None:
    """Raise Mistake unless a new scheduler that got the state of an old one goes on as the old one would."""
    first, second = _sgd([0.3, 0.1]), _sgd([0.3, 0.1])
    old = _built(scheduler, first, 6, 0.01)
    _run(old, first, "CosineThenFloor", 3)
    new = _built(scheduler, second, 9, 0.05)
    try:
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        new.load_state_dict(copy.deepcopy(old.state_dict()))
    except (Exception, SystemExit) as error:
        raise Mistake(f"storing and loading its state stopped with {in_words(error, 120)}") from None
    tables = [_run(one, optimizer, "CosineThenFloor", 8) for one, optimizer in ((old, first), (new, second))]
    if not all(_close(has, should) for has, should in zip(*tables, strict=True)):
        raise Mistake(
            "after state_dict and load_state_dict it goes on differently; count with self.last_epoch, keep all in self"
        )


PER_BATCH = "the rate changes from batch to batch"


@exercise("bug 5.1", "A slope that stays too small")
def bug_5_1(function: object) -> str:
    _judge_loop(function)
    return "an epoch's scheduler steps once an epoch; its place is behind the loop over the batches, not in it"


@exercise("bug 5.2", "Not quick enough")
def bug_5_2(function: object) -> str:
    _judge_loop(function)
    return "train with the first rate, then step; nothing warns once the optimizer has moved at all"


def _judge_loop(function: object) -> None:
    """Raise Mistake unless `function(net, batches, make, epochs)` uses the rates of the plan and trains as before."""
    for epochs, count in ((5, 4), (3, 7)):
        batches, net, used = _batches(count), _line(), []

        def make(net: nn.Module, used: list = used, epochs: int = epochs) -> tuple:
            optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
            optimizer.register_step_pre_hook(lambda opt, args, named: used.append(opt.param_groups[0]["lr"]))
            stairs = MultiStepLR(optimizer, [1, 3], gamma=0.5) if epochs == 5 else ExponentialLR(optimizer, gamma=0.5)
            return optimizer, stairs

        plan = [0.2 * 0.5 ** ((epoch >= 1) + (epoch >= 3) if epochs == 5 else epoch) for epoch in range(100)]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            losses = call(function, net, [(x.clone(), y.clone()) for x, y in batches], make, epochs)
        trial = len(used) == epochs * count + 1 and used[0] == plan[0]
        _judge_rates(used[trial:], plan, epochs, count)
        if isinstance(losses, (torch.Tensor, np.ndarray)):
            losses = losses.tolist()
        if not isinstance(losses, (list, tuple)) or len(losses) != epochs:
            raise Mistake(f"the function should still return a list of {epochs} losses, one for each epoch")
        losses = [plain_number(loss, "a loss") for loss in losses]
        ends = torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
        for kept in {trial, False}:  # the weights may have been set back after a trial step
            truth, weights = _by_hand(batches, plan[:epochs], kept)
            if torch.allclose(ends, weights, rtol=1e-6, atol=1e-9):
                break
        else:
            raise Mistake("the rates are right now, but the line ends elsewhere; leave the three lines of a step alone")
        if not all(math.isclose(loss, true, rel_tol=1e-6) for loss, true in zip(losses, truth, strict=True)):
            raise Mistake("the training is right now, but the returned losses are not the mean of each epoch's batches")


def _judge_rates(used: list[float], plan: list[float], epochs: int, count: int) -> None:
    """Raise Mistake, naming the likely one, unless each epoch's `count` steps used the rate of the plan."""
    in_total = f"in {epochs} epochs of {count} batches"
    if not used:
        raise Mistake("the optimizer that make builds takes no step; train with that one, and call it for this net")
    if len(used) != epochs * count:
        raise Mistake(f"the optimizer made {len(used)} steps {in_total}, expected {epochs * count}")
    wanted = [plan[epoch] for epoch in range(epochs) for _ in range(count)]
    if _close(used, wanted):
        return
    if _close(used, plan[: len(used)]) or _close(used, plan[1 : len(used) + 1]):
        raise Mistake(f"{PER_BATCH} {in_total}, {used[0]:g}, {used[1]:g}, {used[2]:g}; the plan counts epochs")
    if len(set(used)) == 1:
        raise Mistake(f"the rate is {used[0]:g} in every step {in_total}: nobody steps the scheduler now")
    if _close(used, [plan[epoch + 1] for epoch in range(epochs) for _ in range(count)]):
        raise Mistake(f"the first epoch trains with {used[0]:g}, the second rate of the plan; {plan[0]:g} is skipped")
    starts = used[::count]
    if _close(used, [rate for rate in starts for _ in range(count)]):
        raise Mistake(f"the epochs train with {_listed(starts)}, but the plan says {_listed(plan[:epochs])}")
    place = next(i for i, (has, should) in enumerate(zip(used, wanted, strict=True)) if not math.isclose(has, should))
    raise Mistake(
        f"the rate is {used[place]:g} in epoch {place // count}, batch {place % count}; the plan says {wanted[place]:g}"
    )


def _batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(count)
    x = torch.rand(count, 6, 1, dtype=torch.float64, generator=generator)
    return list(zip(x, 2 * x + 0.5, strict=True))


def _line() -> nn.Linear:
    line = nn.Linear(1, 1).double()
    nn.init.zeros_(line.weight)
    nn.init.zeros_(line.bias)
    return line


def _by_hand(batches: list, plan: list[float], trial: bool) -> tuple[list[float], torch.Tensor]:
    """Losses and final (weight, bias) of gradient descent by formulas; `trial`: one step on the first batch before."""
    weight = bias = 0.0

    def step(x: torch.Tensor, y: torch.Tensor, lr: float) -> float:
        nonlocal weight, bias
        error = weight * x + bias - y
        slope, shift = 2 * (error * x).mean().item(), 2 * error.mean().item()
        weight, bias = weight - lr * slope, bias - lr * shift
        return error.square().mean().item()

    if trial:
        step(*batches[0], plan[0])
    losses = [sum(step(x, y, lr) for x, y in batches) / len(batches) for lr in plan]
    return losses, torch.tensor([weight, bias], dtype=torch.float64)


def _sgd(rates: list[float]) -> torch.optim.Optimizer:
    """An optimizer with one group for each rate; nothing has a gradient, so nothing moves."""
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=123.0)


def _rates(function: object, name: str, rates: list[float], epochs: int, *arguments: object) -> list[list[float]]:
    """What the scheduler of `function(optimizer, *arguments)` writes, [epoch][group]."""
    optimizer = _sgd(rates)
    scheduler = call(function, optimizer, *arguments)
    if not isinstance(scheduler, LRScheduler):
        raise Mistake(f"{name} should return a scheduler, but it returns {kind(scheduler)}")
    if scheduler.optimizer is not optimizer:
        raise Mistake(f"the scheduler of {name} belongs to another optimizer; give it the one that comes in")
    return _run(scheduler, optimizer, name, epochs)


def _run(scheduler: LRScheduler, optimizer: torch.optim.Optimizer, name: str, epochs: int) -> list[list[float]]:
    """The rates [epoch][group] in force while `epochs` epochs pass; an error on the way becomes a Mistake."""
    used = []
    for epoch in range(epochs):
        used.append([plain_number(group["lr"], "a rate") for group in optimizer.param_groups])
        if not all(math.isfinite(rate) for rate in used[-1]):
            raise Mistake(f"a rate of {name} is not finite in epoch {epoch}")
        optimizer.step()
        try:
            scheduler.step()
        except (Mistake, NotAttempted):
            raise
        except (Exception, SystemExit) as error:
            raise Mistake(f"the scheduler of {name} stopped in epoch {epoch} with {in_words(error, 110)}") from None
    return used


def _close(has: list[float], should: list[float]) -> bool:
    return len(has) == len(should) and all(
        math.isclose(h, s, rel_tol=1e-6, abs_tol=1e-12) for h, s in zip(has, should, strict=True)
    )


def _listed(numbers: list[float]) -> str:
    shown = [f"{number:.4g}" for number in numbers[:6]] + ["…"] * (len(numbers) > 6)
    return ", ".join(shown) or "none"
