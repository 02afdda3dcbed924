"""The checks of exercises 5.4 to 5.6: the plateau, a schedule in one function, a range test's choice.

Each compares with something other than the solution: torch's scheduler, another form of the formula, a slow sum.
"""

import math

import torch
from torch import nn
from torch.optim import lr_scheduler

from course_utils.checks.core import Mistake, NotAttempted, call, exercise, expect_type, plain_number

# name -> (metrics, settings), as they stand in the exercise
PLATEAUS = {
    "a": ([9, 7, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5], {"patience": 2}),
    "b": ([9, 7, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5], {"patience": 2, "cooldown": 2}),
    "c": ([9, 7, 8, 8, 6, 7, 7, 7, 5, 6, 6, 6], {"patience": 2}),
    "d": ([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9], {"patience": 3, "mode": "max"}),
    "e": ([9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3], {"patience": 1, "threshold": 0.3}),
}


@exercise("5.4", "When does it reduce?")
def reduced_after(answers: object) -> str:
    expect_type(answers, dict, "reduced_after")
    for name, (metrics, settings) in PLATEAUS.items():
        given = answers.get(name)
        if given is None or given is ...:
            raise Mistake(f"the list for {name} is still missing; an empty list [] says: never")
        epochs = _epochs(given, name)
        truth = _reductions(metrics, settings)
        if epochs != truth:
            raise Mistake(f"{name}: {_why(epochs, truth, metrics, settings)}")
    unknown = [name for name in answers if name not in PLATEAUS]
    if unknown:
        raise Mistake(f"{unknown[0]!r} was not asked for; keep the five names a to e")
    return "best value, bad epochs since, cooldown: three numbers explain every reduction"


def _epochs(given: object, name: str) -> list[int]:
    """The learner's epochs as a list of ints: from a list, tuple, set, range, array or tensor."""
    if hasattr(given, "tolist"):
        given = given.tolist()
    if not isinstance(given, (tuple, set, range)):
        expect_type(given, list, name)
    numbers = [plain_number(entry, f"an entry of {name}") for entry in given]
    for number in numbers:
        if not math.isfinite(number) or number != int(number):
            raise Mistake(f"{name} holds {number}, but an epoch is a whole number from 0 to 11")
        if not 0 <= number <= 11:
            raise Mistake(f"{name} holds {number:g}; there are only the epochs 0 to 11")
        if numbers.count(number) > 1:
            raise Mistake(f"{name} holds epoch {number:g} more than once; each reduction is one entry")
    return sorted(int(number) for number in numbers)


def _reductions(metrics: list, settings: dict) -> list[int]:
    """The epochs after which torch's scheduler lowers the rate."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    found, before = [], 0.1
    for epoch, metric in enumerate(metrics):
        scheduler.step(metric)
        rate = optimizer.param_groups[0]["lr"]
        if rate < before:
            found.append(epoch)
        before = rate
    return found


def _why(epochs: list[int], truth: list[int], metrics: list, settings: dict) -> str:
    """What a wrong list was probably computed with; nothing in it says the right one."""
    patience = settings["patience"]
    if settings.get("cooldown") and epochs == _reductions(metrics, settings | {"cooldown": 0}):
        return "the cooldown is missing: the two epochs after a reduction are not counted as bad"
    if "mode" in settings and epochs == _reductions(metrics, settings | {"mode": "min"}):
        return 'that is what mode "min" would do; this is an accuracy, and with mode "max" larger is better'
    if "threshold" in settings and epochs == _reductions(metrics, settings | {"threshold": 1e-4}):
        return "a little better is not enough here: with threshold 0.3 a metric has to be below 0.7 times the best"
    if epochs == _reductions(metrics, settings | {"patience": patience - 1}):
        return f"too early: {patience} bad epochs are forgiven, and the rate falls after the next one"
    if epochs == _reductions(metrics, settings | {"patience": patience + 1}):
        return f"too late: bad epoch number {patience + 1} is the one that counts"
    if truth and epochs == [epoch + 1 for epoch in truth if epoch < 11]:
        return "every entry is one too large: give the epoch after which the rate falls, counted from 0"
    if len(epochs) < len(truth) and epochs == truth[: len(epochs)] and epochs:
        return "right as far as it goes, but it goes on: after a reduction the count starts again at 0"
    if not epochs:
        return "it does fall: write the best value and the bad epochs since then under each metric"
    if not truth:
        return "it never falls: count the bad epochs since the last best value"
    wrong = next((epoch for epoch in epochs if epoch not in truth), None)
    if wrong is not None:
        return f"the rate is not reduced after epoch {wrong}: how many bad epochs in a row are there at this place?"
    return "every epoch in your list is right, but at least one is missing"


@exercise("5.5", "Warm-up and cosine in one function")
def factor(function: object) -> str:
    for warmup, total in [(5, 60), (10, 200), (1, 12), (4, 9)]:
        for step in range(total + warmup + 3):
            try:
                value = plain_number(call(function, step, warmup, total), "what factor() returns")
            except NotAttempted:
                if step == 0:
                    raise
                raise Mistake(f"factor({step}, {warmup}, {total}) gives nothing; each case needs its return") from None
            truth = _warm_cosine(step, warmup, total)
            if not math.isclose(value, truth, rel_tol=1e-5, abs_tol=1e-6):  # float32 is exact enough
                why = _wrong_factor(value, step, warmup, total)
                raise Mistake(f"factor({step}, {warmup}, {total}) is {value:.4g}, expected {truth:.4g}: {why}")
    return "three lines of a function replace LinearLR, CosineAnnealingLR and SequentialLR"


def _warm_cosine(step: int, warmup: int, total: int) -> float:
    """The same in another form: a line, and the square of a cosine."""
    if step < warmup:
        return (step + 1) / warmup
    return math.cos(math.pi / 2 * (step - warmup) / (total - warmup)) ** 2 if step < total else 0.0


def _wrong_factor(value: float, step: int, warmup: int, total: int) -> str:
    truth = _warm_cosine(step, warmup, total)

    def wave(share: float) -> float:
        return (1 + math.cos(math.pi * share)) / 2

    def like(other: float) -> bool:
        return math.isclose(value, other, rel_tol=1e-5, abs_tol=1e-6)

    if not math.isfinite(value):
        return "a factor is a finite number; is something divided by 0?"
    if like(0.1 * truth):
        return "that is a rate; LambdaLR multiplies the initial rate itself"
    if step < warmup:
        if like(step / warmup):
            return "the warm-up begins with 1/warmup, not with 0, and is 1 at its last step"
        return "the warm-up is (step + 1) of warmup equal stairs"
    if step >= total:
        return "from step total on it stays 0; a cosine that is not stopped climbs again"
    share = (step - warmup) / (total - warmup)
    if step == warmup and like((step + 1) / warmup):
        return "the warm-up is over when step is warmup; the comparison is step < warmup"
    if like(wave(step / total)):
        return "the cosine has to begin when the warm-up ends: subtract warmup from step, and from total"
    if like(wave((step - warmup) / total)):
        return "the cosine has only total - warmup steps for its way"
    if like(wave(step / (total - warmup))):
        return "the cosine starts to count at warmup, so subtract it from step"
    if step == warmup and like(wave((step - warmup + 1) / (total - warmup))):
        return "at step warmup the cosine is still at 1: its own first step is number 0"
    if like(wave((step - warmup) / (total - warmup - 1))):
        return "the cosine is 0 at step total, not one step earlier"
    if like(2 * wave(share)):
        return "1 + cos goes from 2 to 0; half of it goes from 1 to 0"
    if like(math.cos(math.pi * share)):
        return "a bare cosine goes from 1 to -1; add 1 and take half"
    if like(wave(share / math.pi)):
        return "half a wave is pi long: the pi is missing inside the cosine"
    if like(wave(2 * share)):
        return "that is a whole wave, down and up again; half a wave goes from cos(0) to cos(pi)"
    if like(1 - share):
        return "that is a straight line down; asked is half a cosine wave"
    return "look at the half wave (1 + cos(pi p)) / 2 with p from 0 at warmup to 1 at total"


@exercise("5.6", "The choice")
def choose(function: object) -> str:
    for rates, losses in _range_tests():
        given = list(rates), list(losses)
        value = plain_number(call(function, *given), "what choose() returns")
        if [len(entry) for entry in given] != [len(rates), len(losses)]:
            raise Mistake("choose() shortened the lists that it was given, and the caller still needs them; stop early")
        truth = rates[_lowest(losses)] / 10
        if not math.isclose(value, truth, rel_tol=1e-6):
            raise Mistake(_wrong_choice(value, rates, losses))
    return "the lowest point is where it begins to go wrong; a tenth of it leaves room"


def _range_tests() -> list[tuple[list[float], list[float]]]:
    """Made-up range tests: noisy, with another range, short, with nan or inf at the end, with nan at once."""
    generator = torch.Generator().manual_seed(0)

    def bowl(low: float, high: float, count: int, best: float, noise: float) -> tuple[list[float], list[float]]:
        rates = torch.logspace(math.log10(low), math.log10(high), count, dtype=torch.float64)
        distance = (rates / best).log10()
        shape = torch.where(distance < 0, 2.3 - 1.5 * (distance / 2).exp2().clamp(max=1) ** 3, 0.8 + 3 * distance**2)
        shaken = shape + noise * torch.randn(count, dtype=torch.float64, generator=generator)
        return rates.tolist(), shaken.tolist()

    plain = bowl(1e-4, 10.0, 100, 0.3, 0.15)
    other = bowl(1e-6, 1e-1, 80, 2e-3, 0.1)
    rates, losses = bowl(1e-3, 10.0, 90, 0.5, 0.05)
    broken = (rates, [*losses[:80], math.nan, 0.01, 0.01, math.inf, *[0.01] * 6])
    endless = (rates, [*losses[:78], *[math.inf] * 12])
    short = ([0.01 * 2**place for place in range(9)], [6.0, 2.2, 2.0, 1.5, 1.4, 1.9, 2.3, 2.6, 3.0])
    at_once = ([0.5, 1.0, 2.0], [2.3, math.nan, 0.1])
    return [plain, other, short, broken, endless, at_once]


def _finite(losses: list[float]) -> list[float]:
    bad = [place for place, loss in enumerate(losses) if not math.isfinite(loss)]
    return losses[: bad[0]] if bad else losses


def _smooth(losses: list[float]) -> list[float]:
    """Each average as a sum of all earlier losses, with weights 0.9 to the power of their age."""
    result = []
    for end in range(1, len(losses) + 1):
        weights = [0.9 ** (end - 1 - place) for place in range(end)]
        result.append(sum(w * loss for w, loss in zip(weights, losses, strict=False)) / sum(weights))
    return result


def _lowest(losses: list[float]) -> int:
    values = _smooth(_finite(losses))
    return values.index(min(values))


def _wrong_choice(value: float, rates: list[float], losses: list[float]) -> str:
    finite = _finite(losses)

    def like(other: float) -> bool:
        return math.isclose(value, other, rel_tol=1e-6)

    rate = rates[_lowest(losses)]
    without, begun, plain, first = 0.0, finite[0], [], []
    for loss in finite:
        without, begun = 0.9 * without + 0.1 * loss, 0.9 * begun + 0.1 * loss
        plain.append(without)
        first.append(begun)
    if not math.isfinite(value):
        return f"choose() returned {value}; a comparison with nan is never true, so leave nan and inf out"
    if like(rate):
        return "this is the rate with the lowest average; the rule takes a tenth of it"
    if like(rate * 10):
        return "a tenth is asked for, yours is ten times the rate"
    if like(_lowest(losses)) or like(_lowest(losses) / 10):
        return "this is the place in the list; read the rate that stands there"
    if like(min(_smooth(finite))) or like(min(_smooth(finite)) / 10):
        return "this is a loss; asked is the rate at which the average is lowest"
    if any(like(rates[finite.index(min(finite))] / scale) for scale in (1, 10)):
        return "this belongs to the lowest single loss, which may be a lucky batch; average first"
    if any(like(rates[plain.index(min(plain))] / scale) for scale in (1, 10)):
        return "without the bias correction the first averages are far too small; divide by 1 - 0.9**t"
    if any(like(rates[first.index(min(first))] / scale) for scale in (1, 10)):
        return "your average begins with the first loss, which then counts too much; begin with 0 and correct the bias"
    if len(finite) < len(losses):
        return f"for losses that end in nan or inf the choice is {value:.4g}: nothing from the first of them on counts"
    return f"the choice is {value:.4g}, expected {rate / 10:.4g}: a tenth of the rate at which the average is lowest"
