"""The checks of exercises 6.12 and 6.13 and of bug 6.4: tuning.

Each compares with something other than the solution: a slow loop over candidates and epochs, data made of pure noise,
and trainings whose mistake is known.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

from course_utils.checks.core import Mistake, call, exercise, expect_type
from course_utils.checks.week6._answers import one_number
from course_utils.explore.diagnosing import CAUSES, HEALTHY, SIGNS, train_sick


@exercise("6.12", "An honest report")
def report(function: object) -> str:
    generator = torch.Generator().manual_seed(0)
    for record in (_tempting(), _drawn(4, 3, 6, generator), _drawn(2, 5, 9, generator), _drawn(3, 2, 4, generator)):
        given = {name: {part: scores.clone() for part, scores in parts.items()} for name, parts in record.items()}
        answer = call(function, given)
        if not _unchanged(given, record):
            raise Mistake("the record was changed; read from it, and leave it as it is")
        if not isinstance(answer, (tuple, list)) or len(answer) != 4:
            raise Mistake("report() should return four things: name, epoch, mean and standard deviation")
        name, epoch, mean, std = answer
        expect_type(name, str, "the name")
        if name not in record:
            raise Mistake(f"{name!r} is no name in the record; return the key of the candidate that you chose")
        epoch, mean, std = (
            one_number(value, what)
            for value, what in zip((epoch, mean, std), ("the epoch", "mean", "std"), strict=True)
        )
        _chosen_by_validation(record, name, epoch)
        scores = record[name]["test"][:, int(epoch)].tolist()
        _tested(record[name], int(epoch), scores, mean, std)
    return "chosen by the validation of all seeds, told by the test, with its spread: nobody is fooled, not even you"


def _unchanged(given: dict, record: dict) -> bool:
    """Whether `given`, which the answer had in its hands, still holds what `record` holds."""
    try:
        pairs = [(given[name][part], scores) for name, parts in record.items() for part, scores in parts.items()]
        return len(given) == len(record) and all(torch.equal(one, other) for one, other in pairs)
    except (KeyError, TypeError, RuntimeError):
        return False


def _record(candidates: dict[str, tuple[list, list]]) -> dict[str, dict[str, torch.Tensor]]:
    return {
        name: dict(zip(("valid", "test"), (torch.tensor(part, dtype=torch.float64) for part in parts), strict=True))
        for name, parts in candidates.items()
    }


def _tempting() -> dict[str, dict[str, torch.Tensor]]:
    """Each wrong way to choose leads to another place: one lucky seed, the test, the last epoch."""
    return _record(
        {
            "lucky": (
                [[0.60, 0.97, 0.70], [0.62, 0.64, 0.72], [0.61, 0.66, 0.71]],
                [[0.60, 0.70, 0.69], [0.60, 0.70, 0.69], [0.60, 0.71, 0.70]],
            ),
            "steady": (
                [[0.70, 0.82, 0.78], [0.72, 0.80, 0.79], [0.71, 0.84, 0.80]],
                [[0.79, 0.74, 0.73], [0.80, 0.78, 0.76], [0.81, 0.73, 0.77]],
            ),
            "popular": (
                [[0.70, 0.75, 0.81], [0.71, 0.77, 0.80], [0.70, 0.76, 0.82]],
                [[0.72, 0.90, 0.88], [0.71, 0.92, 0.87], [0.70, 0.91, 0.86]],
            ),
        }
    )


def _drawn(count: int, seeds: int, epochs: int, generator: torch.Generator) -> dict[str, dict[str, torch.Tensor]]:
    shape = 2, seeds, epochs
    return {
        f"candidate {number}": dict(
            zip(("valid", "test"), 0.5 + 0.4 * torch.rand(shape, dtype=torch.float64, generator=generator), strict=True)
        )
        for number in range(count)
    }


def _best(record: dict, score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> tuple[str, int]:
    """The candidate and the epoch with the highest `score(valid, test)`, one number an epoch; by a slow loop."""
    highest, place = -math.inf, ("", -1)
    for name, parts in record.items():
        for epoch, value in enumerate(score(parts["valid"], parts["test"]).tolist()):
            if value > highest:
                highest, place = value, (name, epoch)
    return place


def _chosen_by_validation(record: dict, name: str, epoch: float) -> None:
    truth = _best(record, lambda valid, test: valid.mean(0))
    if (name, epoch) == truth:
        return
    others = {
        "by the test accuracy, which then is no test any more": lambda valid, test: test.mean(0),
        "by a single lucky seed; average over the seeds (dimension 0) first": lambda valid, test: valid.amax(0),
        "by the worst seed; asked is the mean over the seeds": lambda valid, test: valid.amin(0),
        "by the last epoch alone; every epoch is a candidate": lambda valid, test: torch.where(
            torch.arange(valid.shape[1]) == valid.shape[1] - 1, valid.mean(0), -1.0
        ),
        "by the lowest accuracy, as if it were a loss": lambda valid, test: -valid.mean(0),
    }
    for how, score in others.items():
        if (name, epoch) == _best(record, score):
            raise Mistake(f"you chose {name!r} in epoch {epoch:g}: that is chosen {how}")
    by_all = max(record, key=lambda key: float(record[key]["valid"].mean()))
    if name == by_all != truth[0]:
        raise Mistake(f"you chose {name!r}, whose mean over all epochs is highest; asked is its best epoch")
    if name == truth[0] and epoch == int(record[name]["test"].mean(0).argmax()):
        raise Mistake(
            f"the candidate is right, but its epoch {epoch:g} was chosen by the test; the validation chooses both"
        )
    if epoch == truth[1] + 1 and name == truth[0]:
        raise Mistake(f"the candidate is right, but the epoch {epoch:g} is one too many; epochs are counted from 0")
    if name == truth[0]:
        raise Mistake(f"{name!r} is right, but not the epoch {epoch:g}: average its validation over the seeds first")
    raise Mistake(f"you chose {name!r} in epoch {epoch:g}, but the mean validation accuracy is highest elsewhere")


def _tested(parts: dict[str, torch.Tensor], epoch: int, scores: list[float], mean: float, std: float) -> None:
    count = len(scores)
    truth = sum(scores) / count
    if not math.isclose(mean, truth, abs_tol=1e-6):
        if math.isclose(mean, parts["valid"][:, epoch].mean(), abs_tol=1e-6):
            raise Mistake("the mean is that of the validation, by which you chose: it is too good; report the test")
        if math.isclose(mean, parts["test"].mean(), abs_tol=1e-6):
            raise Mistake("the mean goes over all epochs; report the test accuracies of the chosen epoch")
        if math.isclose(mean, max(scores), abs_tol=1e-6):
            raise Mistake("you report the best seed on the test part; report the mean over the seeds")
        if math.isclose(mean, parts["test"].mean(0).max(), abs_tol=1e-6):
            raise Mistake("you took the epoch that is best on the test part; the validation has chosen already")
        if math.isclose(mean, 100 * truth, abs_tol=1e-4):
            raise Mistake("the mean is given in percent; the record has shares from 0 to 1")
        if math.isclose(mean, sorted(scores)[count // 2], abs_tol=1e-6) and count % 2:
            raise Mistake("this is the median of the seeds; asked is their mean")
        if math.isclose(std, truth, abs_tol=1e-6):
            raise Mistake("mean and standard deviation have changed places; the mean comes first")
        raise Mistake(
            f"the mean is {mean:.4g}, expected {truth:.4g}: the chosen epoch's test accuracies, over the seeds"
        )
    squares = sum((score - truth) ** 2 for score in scores)
    if math.isclose(std, math.sqrt(squares / (count - 1)), abs_tol=1e-6):
        return
    if math.isclose(std, math.sqrt(squares / count), abs_tol=1e-6):
        raise Mistake("the standard deviation is divided by the number of seeds; as for a sample, divide by one less")
    if math.isclose(std, squares / (count - 1), abs_tol=1e-6):
        raise Mistake("the last number is the variance; its root is the standard deviation")
    if math.isclose(std, math.sqrt(squares / (count - 1) / count), abs_tol=1e-6):
        raise Mistake("the last number is the standard error of the mean; asked is the deviation of the single seeds")
    if math.isclose(std, parts["valid"][:, epoch].std(), abs_tol=1e-6):
        raise Mistake("the standard deviation is that of the validation accuracies; take the test's, as for the mean")
    raise Mistake(f"the standard deviation is {std:.4g}, expected {math.sqrt(squares / (count - 1)):.4g}")


# letter -> cause and strength of a training of the explorer
PATIENTS = {
    "A": ("learning rate too low", "clear"),
    "B": ("data leak", "strong"),
    "C": ("forgotten shuffle", "strong"),
    "D": ("overfitting", "strong"),
}
# what of a patient's curves can be seen with the eye
SEEN = {
    "A": "all three losses fall together, smoothly and slowly, and none gets small",
    "B": "train and valid both get small, and only the really new data disagree",
    "C": "valid jumps up and down, far above train, and the new data jump with it",
    "D": "train goes to 0, while valid turns up again and the new data with it",
}


def patients() -> dict[str, dict[str, np.ndarray]]:
    """The four patients of exercise 6.13: letter -> "train", "valid", "new" -> losses, float64 (25,)."""
    found = {}
    for letter, sickness in PATIENTS.items():
        curves = train_sick(*sickness)
        found[letter] = {part: getattr(curves, part) for part in ("train", "valid", "new")}
    return found


@exercise("6.13", "What do they have?")
def diagnosis(answers: object) -> str:
    expect_type(answers, dict, "diagnosis")
    known = [cause for cause in CAUSES if cause != HEALTHY]
    for letter, (truth, _) in PATIENTS.items():
        said = answers.get(letter)
        if said is None or said is ...:
            raise Mistake(f"patient {letter} has no diagnosis yet")
        if not isinstance(said, str):
            raise Mistake(f"the diagnosis of {letter} should be one of the explorer's words, in quotation marks")
        said = said.strip().lower()
        if said == HEALTHY:
            raise Mistake(f"{letter} is not healthy: {SEEN[letter]}")
        if said not in known:
            raise Mistake(f"{said!r} for {letter} is not in the menu; choose among: {', '.join(known)}")
        if said != truth:
            raise Mistake(f"{letter}: with {said} you would see that {SIGNS[said][0]}; but here {SEEN[letter]}")
    unknown = [letter for letter in answers if letter not in PATIENTS]
    if unknown:
        raise Mistake(f"there is no patient {unknown[0]!r}; the four are A, B, C and D")
    return "train, valid and new data: each of the three curves rules causes out that the others cannot"


COUNTS = (5, 20, 80)
TRAIN_ROWS = 60


@exercise("bug 6.4", "Ninety percent, and then")
def bug_6_4(function: object) -> str:
    noise = [_scores(function, *_people(seed, signal=0.0)) for seed in range(8)]
    mean = float(np.mean([list(scores.values()) for scores in noise]))
    said = f"on labels that are coin flips the validation says {mean:.0%}"
    old = all(_same(scores, _judged(HONEST, *_people(seed, 0.0))) for seed, scores in enumerate(noise))
    for why, rows in LEAKS.items():
        if not old and all(_same(scores, _judged(rows, *_people(seed, 0.0))) for seed, scores in enumerate(noise)):
            raise Mistake(f"{said}: {why}")
    if not 0.4 < mean < 0.6:
        raise Mistake(f"{said}, and not 50%: does something still see its labels, or is a class swapped?")
    lowest = min(_scores(function, *_people(100, signal=1.0)).values())
    if lowest < 0.9:
        raise Mistake(
            f"where twenty columns really foretell the illness, {lowest:.0%} are right; "
            "keep the strongest columns, chosen and classified by the rows that train"
        )
    if not old:
        raise Mistake("the validation is honest, but not the old one: rows 0 to 59 train, all the others validate")
    return "what is chosen by labels is trained by labels: it belongs behind the split, and noise stays at 50%"


def _people(seed: int, signal: float) -> tuple[torch.Tensor, torch.Tensor]:
    """100 rows of 2,000 columns; with `signal` the columns 500 to 519 tell the class."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(100, 2000, dtype=torch.float64, generator=generator)
    y = torch.randint(2, (100,), generator=generator)
    x[:, 500:520] += signal * (2 * y[:, None] - 1)
    return x, y


def _scores(function: object, x: torch.Tensor, y: torch.Tensor) -> dict[int, float]:
    answer = call(function, x.clone(), y.clone(), COUNTS)
    expect_type(answer, dict, "what tune() returns")
    if set(answer) != set(COUNTS):
        raise Mistake(f"tune() was asked for the counts {list(COUNTS)}, but its dictionary has {list(answer)}")
    scores = {count: one_number(answer[count], f"the accuracy for {count} columns") for count in COUNTS}
    for count, score in scores.items():
        if not 0 <= score <= 1:
            raise Mistake(f"the accuracy for {count} columns is {score:g}; it should be a share from 0 to 1")
    return scores


# who sees which rows: to choose columns, to train, to be judged
ALL, FIRST, LAST = slice(None), slice(0, TRAIN_ROWS), slice(TRAIN_ROWS, None)
HONEST = (FIRST, FIRST, LAST)
LEAKS = {
    "what else than nearer() learns from labels, and from which rows?": (ALL, FIRST, LAST),
    "the columns are chosen by the rows that validate; these may judge, and nothing else": (LAST, FIRST, LAST),
    "the rows that are judged also choose and train; only the first 60 may": (ALL, ALL, LAST),
    "the columns are honest now, but nearer() is trained on the rows that it is judged by": (FIRST, ALL, LAST),
    "you judge by the rows that were trained on; the last 40 are for that": (FIRST, FIRST, FIRST),
}


def _judged(rows: tuple[slice, slice, slice], x: torch.Tensor, y: torch.Tensor) -> dict[int, float]:
    """The accuracies of a `tune` that sees these rows, computed in another way than the notebook's."""
    choosing, training, judged = rows
    found = {}
    for count in COUNTS:
        gap = x[choosing][y[choosing] == 1].mean(0) - x[choosing][y[choosing] == 0].mean(0)
        kept = x[:, gap.abs().argsort(descending=True)[:count]]
        centres = torch.stack([kept[training][y[training] == k].mean(0) for k in (0, 1)])
        guesses = torch.cdist(kept[judged], centres).argmin(1)
        found[count] = (guesses == y[judged]).double().mean().item()
    return found


def _same(a: dict[int, float], b: dict[int, float]) -> bool:
    return all(math.isclose(a[count], b[count], abs_tol=1e-6) for count in COUNTS)
