"""The checks of exercises 4.5 to 4.8 and bugs 4.3 and 4.4: the losses of lesson 4.3.

Each compares with something other than the solution: a slow loop, least squares, torch's own loss.
"""

import math
import warnings
import weakref

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.checks.core import Mistake, NotAttempted, call, exercise, expect_close, expect_tensor, expect_type
from course_utils.errors import in_words


def _plain_number(value: object, name: str) -> float:
    """A Python number; a tensor or an array with one element counts as one."""
    if hasattr(value, "item") and getattr(value, "size", 1) != 0:
        numel = value.numel() if isinstance(value, torch.Tensor) else getattr(value, "size", 1)
        if numel == 1:
            value = value.item()
    expect_type(value, (int, float), name)
    return value


# --- 4.5 ---


@exercise("4.5", "Too little is worse")
def pinball(function: object) -> str:
    generator = torch.Generator().manual_seed(0)
    for shape, q in [((7,), 0.5), ((7,), 0.9), ((3, 4), 0.2)]:
        predictions = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        targets = torch.randn(shape, generator=generator, dtype=torch.float64)
        answer = call(function, predictions, targets, q)
        expect_type(answer, torch.Tensor, "what pinball() returns")
        if tuple(answer.shape) == shape:
            raise Mistake("there is still one number for each element; return their mean")
        expect_tensor(answer, "what pinball() returns", dtype=torch.float64, shape=(), requires_grad=True)
        pairs = list(zip(predictions.flatten().tolist(), targets.flatten().tolist(), strict=True))
        _pinball_value(answer.item(), pairs, q)
        (gradient,) = torch.autograd.grad(answer, predictions)
        wanted = [(-q if target > guess else 1 - q) / len(pairs) for guess, target in pairs]
        expect_close(
            gradient.flatten(), wanted, "its gradient", "-q / N where the prediction is too low, else (1-q) / N"
        )
    exact = torch.ones(3, requires_grad=True)
    expect_close(call(function, exact, torch.ones(3), 0.9), 0.0, "the loss of a perfect prediction", "nothing to pay")
    return "nine units paid on one side for one on the other: smallest where nine of ten targets lie below"


def _pinball_value(got: float, pairs: list[tuple[float, float]], q: float) -> None:
    """Raise Mistake, told apart by what was confused, unless `got` is the mean cost of (prediction, target) pairs."""
    low = sum(target - guess for guess, target in pairs if target > guess)
    high = sum(guess - target for guess, target in pairs if target <= guess)
    wanted = (q * low + (1 - q) * high) / len(pairs)

    def is_(value: float) -> bool:
        return math.isclose(got, value, rel_tol=1e-5, abs_tol=1e-7)

    if is_(wanted):
        return
    if is_(((1 - q) * low + q * high) / len(pairs)):
        raise Mistake(f"with q={q} the two sides are exchanged: too low should cost q a unit, too high 1 - q")
    if is_(q * (low + high) / len(pairs)):
        raise Mistake("both sides cost q; a prediction that is too high should cost 1 - q a unit")
    if is_(wanted * len(pairs)):
        raise Mistake("that is the sum over all elements; asked is their mean")
    if is_((q * low - (1 - q) * high) / len(pairs)):
        raise Mistake("too high lowers your loss: missing is negative there, and the cost must be positive")
    if is_(q * low / len(pairs)):
        raise Mistake("a prediction that is too high costs nothing; it should cost 1 - q a unit")
    raise Mistake(f"with q={q} the loss is {got:.4g}, expected {wanted:.4g}: q a unit too low, 1 - q a unit too high")


# --- 4.6 ---


@exercise("4.6", "The hardest triplets")
def hardest(function: object) -> str:
    generator = torch.Generator().manual_seed(0)
    cases = [[0, 0, 1, 1], [2, 5, 2, 5, 5, 2, 9, 9, 2], [0, 1, 2] * 5]
    for labels in cases:
        embeddings = torch.randn(len(labels), 3, generator=generator)
        answer = call(function, embeddings.clone(), torch.tensor(labels))
        if not isinstance(answer, torch.Tensor):
            expect_type(answer, (tuple, list), "what hardest() returns")
        if len(answer) != 2:
            raise Mistake(f"hardest() returns {len(answer)} things; asked are two: positives, negatives")
        positives, negatives = (_indices(part, name, len(labels)) for part, name in zip(answer, PARTS, strict=True))
        far, near = _by_loops(embeddings.tolist(), labels)
        _judge_triplets(positives, negatives, far, near, labels)
    return "now every triplet is the hardest its anchor has: such batches keep teaching when random ones are all zero"


PARTS = ("positives", "negatives")


def _indices(part: object, name: str, count: int) -> list[int]:
    """The entries of one answer as ints, whatever holds them."""
    given = torch.as_tensor(part)
    if given.dtype.is_floating_point:
        raise Mistake(f"{name} holds {given.dtype}, distances perhaps; asked are the indices of the samples (argmax)")
    if given.dtype == torch.bool:
        raise Mistake(f"{name} holds True and False; asked are the indices of the samples")
    if tuple(given.shape) != (count,):
        raise Mistake(f"{name} has shape {tuple(given.shape)}, expected ({count},): one index for each anchor")
    return given.tolist()


def _by_loops(points: list[list[float]], labels: list[int]) -> tuple[list[int], list[int]]:
    """For each point the index of the farthest of its own label, and of the nearest of another."""
    far, near = [], []
    for i, anchor in enumerate(points):
        distances = [math.dist(anchor, point) for point in points]
        own = [j for j, label in enumerate(labels) if label == labels[i] and j != i]
        others = [j for j, label in enumerate(labels) if label != labels[i]]
        far.append(max(own, key=distances.__getitem__))
        near.append(min(others, key=distances.__getitem__))
    return far, near


def _judge_triplets(positives: list, negatives: list, far: list, near: list, labels: list) -> None:
    """Raise Mistake unless the answer is (far, near), told apart by whom it found instead."""
    anchors = range(len(labels))
    if (positives, negatives) == (near, far):
        raise Mistake("positives and negatives are exchanged: the positives come first")
    if all(positives[i] == i for i in anchors):
        raise Mistake("every anchor is its own positive: its distance to itself is 0, look for the largest one")
    for i in anchors:
        if not (0 <= positives[i] < len(labels) and 0 <= negatives[i] < len(labels)):
            raise Mistake(f"anchor {i}: there is no sample {positives[i]} or {negatives[i]} among {len(labels)}")
        if labels[positives[i]] != labels[i]:
            raise Mistake(f"the positive of anchor {i} has another label; keep the other labels out of the search")
        if labels[negatives[i]] == labels[i]:
            raise Mistake(
                f"the negative of anchor {i} has the anchor's own label; a 0 in place of a distance wins every argmin"
            )
    if positives != far:
        raise Mistake("all positives have the right label, but they are not the farthest: the hard ones are far away")
    if negatives != near:
        raise Mistake("all negatives have another label, but they are not the nearest: the hard ones are close by")


# --- 4.7 ---


@exercise("4.7", "Enough frames")
def frames_needed(function: object) -> str:
    targets = [[1], [1, 2], [1, 2, 3, 4], [1, 2, 1], [1, 1, 2], [2, 2, 2], [1, 2, 2, 1, 3, 3], [3, 1, 3, 1, 1]]
    for target in targets:
        answer = _plain_number(call(function, list(target)), "what frames_needed() returns")
        if answer != int(answer):
            raise Mistake(f"frames_needed({target}) is {answer}; frames are counted in whole numbers")
        _judge_frames(int(answer), target)
    return "CTCLoss agrees: one frame less is infinite; check it for every recording before you train"


def _finite(target: list[int], frames: int) -> bool:
    """Does torch's CTCLoss find a path for the target in so many frames?"""
    log_probs = F.log_softmax(torch.zeros(frames, 1, 5), dim=2)
    lengths = torch.tensor([frames]), torch.tensor([len(target)])
    return bool(nn.CTCLoss()(log_probs, torch.tensor([target]), *lengths).isfinite())


def _judge_frames(answer: int, target: list[int]) -> None:
    """Raise Mistake unless CTCLoss is finite with `answer` frames and infinite with one less."""
    if answer >= 1 and _finite(target, answer) and (answer == 1 or not _finite(target, answer - 1)):
        return
    if answer < len(target):
        raise Mistake(f"{target} cannot be read from {answer} frames: every letter needs one of its own")
    if answer == 2 * len(target) + 1:
        raise Mistake(f"{target}: {answer} has a blank around every letter; blanks are allowed there, not needed")
    if not _finite(target, answer):
        raise Mistake(f"{target} in {answer} frames: CTCLoss is infinite; what must stand between two equal letters?")
    if answer == len(target) + len(target) - len(set(target)):
        raise Mistake(f"{target} needs fewer than {answer} frames: equal letters that are not neighbours need no blank")
    raise Mistake(f"{target} needs fewer than {answer} frames: with {answer - 1} CTCLoss is still finite")


# --- 4.8 ---

EXAMPLE = "L1Loss"
USES = {
    **dict.fromkeys(("L1Loss", "MSELoss", "SmoothL1Loss", "PoissonNLLLoss"), ("regression",)),
    **dict.fromkeys(("NLLLoss", "CrossEntropyLoss", "MultiMarginLoss"), ("classification",)),
    **dict.fromkeys(("SoftMarginLoss", "BCELoss", "BCEWithLogitsLoss"), ("classification", "multi-label")),
    **dict.fromkeys(("MultiLabelSoftMarginLoss", "MultiLabelMarginLoss"), ("multi-label",)),
    "KLDivLoss": ("distribution",),
    "MarginRankingLoss": ("ranking",),
    **dict.fromkeys(("HingeEmbeddingLoss", "CosineEmbeddingLoss"), ("embedding",)),
    "TripletMarginLoss": ("embedding", "ranking"),
    "CTCLoss": ("sequence",),
}
ALL_USES = ("regression", "classification", "multi-label", "distribution", "ranking", "embedding", "sequence")
SCORES = torch.tensor([[0.3, -0.8, 1.4], [2.1, 0.6, -0.5], [-1.2, 0.9, 0.2], [0.7, 1.1, -2.0]], dtype=torch.float64)
OTHER = SCORES.flip(0) * 0.7 + 0.1
TARGETS = {
    "number": OTHER,
    "0/1": torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 1], [1, 1, 0]], dtype=torch.float64),
    "+1/-1": torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64),
    "class": torch.tensor([2, 0, 1, 1]),
    "indices": torch.tensor([[1, 2, -1], [0, -1, -1], [2, -1, -1], [0, 1, -1]]),
    "distribution": torch.softmax(OTHER, dim=1),
    "letters": torch.tensor([[1, 2], [2, 1], [1, 1]]),
    "none": None,
}
# the right kind, and what a wrong kind would mean
KINDS = {
    **dict.fromkeys(("L1Loss", "MSELoss", "SmoothL1Loss"), ("number", "it takes any number")),
    "PoissonNLLLoss": ("number", "it takes a count, which is a number"),
    **dict.fromkeys(("NLLLoss", "CrossEntropyLoss", "MultiMarginLoss"), ("class", "it picks one entry of each row")),
    **dict.fromkeys(("BCELoss", "BCEWithLogitsLoss"), ("0/1", "y and 1 - y stand in its formula")),
    "MultiLabelSoftMarginLoss": ("0/1", "it asks yes or no for each class"),
    "MultiLabelMarginLoss": ("indices", "it wants a row that begins with the labels' numbers"),
    "SoftMarginLoss": ("+1/-1", "the target is a sign there, and a 0 would wipe out the score"),
    **dict.fromkeys(("HingeEmbeddingLoss", "CosineEmbeddingLoss"), ("+1/-1", "alike or not is told by a sign")),
    "MarginRankingLoss": ("+1/-1", "the sign says who belongs in front"),
    "KLDivLoss": ("distribution", "it compares two distributions"),
    "TripletMarginLoss": ("none", "anchor, positive and negative say it all"),
    "CTCLoss": ("letters", "it reads a text"),
}


def _inputs(name: str) -> tuple[torch.Tensor, ...]:
    """What goes into the loss before its target."""
    if name == "CTCLoss":
        return (torch.stack([SCORES, OTHER, SCORES * OTHER], dim=1).log_softmax(dim=2),)
    if name == "KLDivLoss":
        return (SCORES.log_softmax(dim=1),)
    if name == "BCELoss":
        return (SCORES.sigmoid(),)
    if name == "HingeEmbeddingLoss":
        return (SCORES[:, 0].abs(),)
    if name == "MarginRankingLoss":
        return SCORES[:, 0], OTHER[:, 0]
    if name == "CosineEmbeddingLoss":
        return SCORES, OTHER
    if name == "TripletMarginLoss":
        return SCORES, OTHER, SCORES.roll(1, 0)
    return (SCORES,)


def _target(name: str, kind: str) -> torch.Tensor | None:
    """A target of this kind, with the shape of the loss's input where it is given element by element."""
    rows_only = name in ("HingeEmbeddingLoss", "MarginRankingLoss", "CosineEmbeddingLoss")
    if kind == "+1/-1" and not rows_only:
        return 2 * TARGETS["0/1"] - 1
    if kind in ("number", "0/1") and rows_only:
        return TARGETS[kind][:, 0]
    return TARGETS[kind]


def _by_torch(name: str) -> torch.Tensor:
    """What the real loss gives for its inputs and its right kind of target, without reduction."""
    arguments = [*_inputs(name)]
    target = _target(name, KINDS[name][0])
    if target is not None:
        arguments.append(target)
    if name == "CTCLoss":
        arguments += [torch.full((3,), 4), torch.full((3,), 2)]
    return getattr(nn, name)(reduction="none")(*arguments)


def _binary(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -y * p.log() - (1 - y) * (1 - p).log()


def _of_class(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.stack([row[c] for row, c in zip(x, y.tolist(), strict=True)])


def _bent(d: torch.Tensor) -> torch.Tensor:
    return torch.where(d.abs() < 1, d**2 / 2, d.abs() - 0.5)


def _lead(x: torch.Tensor, labels: list[list[int]]) -> torch.Tensor:
    """Σ max(0, 1 - x[i] + x[j]) over the labels i and the other classes j of each row, divided by C."""
    rows = []
    for row, right in zip(x, labels, strict=True):
        others = [j for j in range(len(row)) if j not in right]
        rows.append(sum((1 - row[i] + row[j]).clamp(min=0) for i in right for j in others) / len(row))
    return torch.stack(rows)


def _distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).square().sum(dim=1).sqrt()


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(dim=1) / (a.square().sum(dim=1) * b.square().sum(dim=1)).sqrt()


def _all_paths(log_probs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-log of the sum over all paths that read the target, path by path."""
    frames, count, classes = log_probs.shape
    sums = [0.0] * count
    for path in torch.cartesian_prod(*[torch.arange(classes)] * frames):
        read = torch.unique_consecutive(path)
        for n in range(count):
            if read[read != 0].tolist() == targets[n].tolist():
                sums[n] += log_probs[torch.arange(frames), n, path].sum().exp().item()
    return -torch.tensor(sums, dtype=log_probs.dtype).log()


FORMULAS = {
    "A": lambda x, y: x.exp() - y * x,
    "B": lambda x, y: (x - y) ** 2,
    "C": lambda x, y: (1 + (-y * x).exp()).log(),
    "D": lambda x, y: -_of_class(x, y),
    "E": lambda x, y: y * (y.log() - x),
    "F": lambda x, y: torch.where(y == 1, x, (1 - x).clamp(min=0)),
    "G": lambda x, y: (x - y).abs(),
    "H": lambda x, y: -_of_class((x.exp() / x.exp().sum(dim=1, keepdim=True)).log(), y),
    "I": _binary,
    "J": lambda x, y: _bent(x - y),
    "K": lambda x1, x2, y: (-y * (x1 - x2)).clamp(min=0),
    "L": lambda x, y: _binary(1 / (1 + (-x).exp()), y),
    "M": lambda x, y: _binary(1 / (1 + (-x).exp()), y).mean(dim=1),
    "N": lambda a, p, n: (_distance(a, p) - _distance(a, n) + 1).clamp(min=0),
    "O": lambda x1, x2, y: torch.where(y == 1, 1 - _cosine(x1, x2), _cosine(x1, x2).clamp(min=0)),
    "P": lambda x, y: _lead(x, [[c] for c in y.tolist()]),
    "Q": lambda x, y: _lead(x, [[c for c in row if c >= 0] for row in y.tolist()]),
    "R": _all_paths,
}


def _judge_formula(name: str, letter: str) -> int:
    """Raise Mistake unless the formula gives what torch gives; else how many numbers were compared."""
    target = _target(name, KINDS[name][0])
    arguments = _inputs(name) if target is None else (*_inputs(name), target)
    truth = _by_torch(name)
    try:
        value = FORMULAS[letter](*arguments)
    except Exception:  # made for other shapes or another number of inputs: the formula of another loss
        raise Mistake(f"{name}: formula {letter} cannot even be computed from its input and target") from None
    if not isinstance(value, torch.Tensor) or value.shape != truth.shape:
        raise Mistake(f"{name}: formula {letter} does not give one number where torch does; it belongs to another loss")
    if not torch.allclose(value, truth, rtol=0, atol=1e-5):
        got, wanted = value.flatten()[0].item(), truth.flatten()[0].item()
        raise Mistake(f"{name}: formula {letter} gives {got:.4f} for the first element, torch gives {wanted:.4f}")
    return truth.numel()


def _refused(name: str, kind: str) -> str:
    """What torch does with another kind of target, in words."""
    if "none" in (kind, KINDS[name][0]):
        return "its forward has another number of arguments"
    if name == "CTCLoss":
        return "its target is whole numbers with lengths"
    arguments = [*_inputs(name), _target(name, kind)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(nn, name)(reduction="none")(*arguments)
    except Exception as error:  # whatever torch says to it
        return f"torch stops with {in_words(error, 90)}"
    return "torch computes something all the same"


def _row(name: str, row: object) -> tuple[str, str, str]:
    """The three entries of a row as plain texts."""
    if not isinstance(row, (tuple, list)) or len(row) != 3 or any(not isinstance(entry, str) for entry in row):
        raise Mistake(f"{name}: a row is (formula, target, use), three texts such as ('G', 'number', 'regression')")
    letter, kind, use = (entry.strip() for entry in row)
    return letter.upper(), kind.lower(), use.lower()


@exercise("4.8", "The map of losses")
def loss_map(answer: object) -> str:
    expect_type(answer, dict, "loss_map")
    for name in USES:
        if name not in answer:
            raise Mistake(f"the row of {name} has gone; all 18 should be there")
    for name in answer:
        if not isinstance(name, str) or not hasattr(nn, name):
            raise Mistake(f"torch.nn has no {name}: a name is misspelt, or does not belong here")
    open_rows = [name for name in USES if answer[name] is None or answer[name] is ...]
    if len(open_rows) >= len(USES) - 1:
        raise NotAttempted("not attempted yet")
    numbers = 0
    for name in USES:
        if name in open_rows:
            raise Mistake(f"everything before it is right; the row of {name} is still missing")
        letter, kind, use = _row(name, answer[name])
        if letter not in FORMULAS:
            raise Mistake(f"{name}: there is no formula {letter!r}, they are called A to R")
        if kind not in TARGETS:
            raise Mistake(f"{name}: there is no target {kind!r}; the words are {', '.join(TARGETS)}")
        if use not in ALL_USES:
            raise Mistake(f"{name}: there is no use {use!r}; the words are {', '.join(ALL_USES)}")
        right, why = KINDS[name]
        if (name, kind) == ("CrossEntropyLoss", "distribution"):
            raise Mistake(
                "CrossEntropyLoss takes a distribution, too (lesson 4.2), but its usual target is another one"
            )
        if kind != right:
            raise Mistake(f"{name} is not made for the target {kind!r} ({_refused(name, kind)}): {why}")
        numbers += _judge_formula(name, letter)
        if use not in USES[name]:
            raise Mistake(f"{name}: formula and target are right, but its use is not {use}; what does its target say?")
    return f"18 names, 18 formulas, and torch agrees on all {numbers} numbers; this page is yours now, keep it"


# --- bug 4.3 ---


@exercise("bug 4.3", "A line that lies flat")
def bug_4_3(function: object) -> str:
    generator = torch.Generator().manual_seed(0)
    for slope, intercept, count in [(2.0, 1.0, 40), (-1.5, 0.5, 25)]:
        torch.default_generator.manual_seed(0)
        x = torch.linspace(-1, 1, count, dtype=torch.float64)
        y = slope * x + intercept + 0.1 * torch.randn(count, generator=generator, dtype=torch.float64)
        answer = call(function, x.clone(), y.clone())
        expect_type(answer, (tuple, list), "what fit() returns")
        if len(answer) != 2:
            raise Mistake(f"fit() returns {len(answer)} things; it should still be two, slope and intercept")
        found = [_plain_number(value, name) for value, name in zip(answer, ("the slope", "the intercept"), strict=True)]
        columns = torch.stack([x, torch.ones_like(x)], dim=1)
        wanted = torch.linalg.lstsq(columns, y.unsqueeze(1)).solution.flatten().tolist()
        _judge_line(found, wanted, y.mean().item())
    return "with equal shapes each prediction meets its own target; torch's MSELoss would have warned of the others"


def _judge_line(found: list[float], wanted: list[float], mean: float) -> None:
    """Raise Mistake unless the line found is that of least squares."""
    if not all(math.isfinite(value) for value in found):
        raise Mistake(
            "the line is nan or infinite: the steps got too long; keep the mean of the squares, not their sum"
        )
    if abs(found[0]) < 0.01 and abs(found[1] - mean) < 0.01:
        raise Mistake("the line is still flat, at the mean of all targets: print the shape of predictions - y")
    if abs(found[0] - wanted[0]) < 0.02 and abs(found[1] - wanted[1]) < 0.02:
        return
    if abs(found[0] - wanted[0]) < 0.02:
        raise Mistake(f"the slope is right, but the intercept is {found[1]:.2f}, expected {wanted[1]:.2f}")
    raise Mistake(
        f"the slope is {found[0]:.2f}, expected {wanted[0]:.2f}: every prediction should be held against its own target"
    )


# --- bug 4.4 ---


class _Traced(torch.autograd.Function):
    """Passes its input on; `alive` holds one weak reference for each call whose graph may still exist."""

    alive: list[weakref.ref] = []

    @staticmethod
    def forward(ctx, x: torch.Tensor) -> torch.Tensor:
        _Traced.alive.append(weakref.ref(ctx))
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


class _Model(nn.Module):
    """A line whose graphs are counted: `most` is the largest number of graphs alive when a batch begins."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.most = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.most = max(self.most, sum(ref() is not None for ref in _Traced.alive))
        return _Traced.apply(self.linear(x))


@exercise("bug 4.4", "The longer the epoch")
def bug_4_4(function: object) -> str:
    generator = torch.Generator().manual_seed(0)
    for count in (6, 12):
        batches = [
            (torch.randn(4, 2, generator=generator), torch.randn(4, 1, generator=generator)) for _ in range(count)
        ]
        torch.default_generator.manual_seed(0)
        model, _Traced.alive = _Model(), []
        start = [p.detach().clone() for p in model.parameters()]
        wanted, ends = _slow_epoch(start, batches)
        answer = call(function, model, list(batches), torch.optim.SGD(model.parameters(), lr=0.05))
        if isinstance(answer, torch.Tensor) and answer.requires_grad:
            raise Mistake(f"after {count} batches the mean loss still has a history: {answer.grad_fn.name()}")
        if isinstance(answer, (list, tuple)):
            raise Mistake("train_epoch() returns several values; it should still be one, the mean loss")
        value = _plain_number(answer, "what train_epoch() returns")
        if len(_Traced.alive) != count:
            raise Mistake(f"the model saw {len(_Traced.alive)} batches with gradient, expected {count}")
        _judge_training(model, start, ends)
        if model.most > 2:
            raise Mistake(
                f"the number at the end is plain, but during the epoch up to {model.most} batches were alive at once: "
                "cut the history in the loop"
            )
        _judge_mean(value, wanted)
    return "a number is enough for a report; what stays behind now is one batch, however long the epoch"


def _judge_training(model: nn.Module, start: list[torch.Tensor], ends: list[torch.Tensor]) -> None:
    """Raise Mistake unless the model went from `start` to `ends`."""
    now = [p.detach() for p in model.parameters()]
    if all(torch.equal(before, after) for before, after in zip(start, now, strict=True)):
        raise Mistake("the model does not learn any more: cut the history of the sum, not that of the loss")
    if not all(torch.allclose(end, after, atol=1e-5) for end, after in zip(ends, now, strict=True)):
        raise Mistake("the model learns something else than before: zero_grad, backward and step belong to each batch")


def _judge_mean(value: float, losses: list[float]) -> None:
    """Raise Mistake unless the value is the mean of the losses."""
    mean, close = sum(losses) / len(losses), {"rel_tol": 1e-4, "abs_tol": 1e-6}
    if math.isclose(value, mean, **close):
        return
    if math.isclose(value, losses[-1] / len(losses), **close) or math.isclose(value, losses[-1], **close):
        raise Mistake("only the last batch is left: the losses of all batches should be added up")
    if math.isclose(value, sum(losses), **close):
        raise Mistake("that is the sum of the losses; the mean is asked, divide by the number of batches")
    raise Mistake(f"the mean loss is {value:.4g}, expected {mean:.4g}; add up what each batch's loss is, and divide")


def _slow_epoch(start: list[torch.Tensor], batches: list) -> tuple[list[float], list[torch.Tensor]]:
    """The losses and last parameters of gradient descent on a linear model, with the gradient worked out by hand."""
    (weight, bias), losses = (p.clone() for p in start), []
    for x, y in batches:
        errors = x @ weight.T + bias - y
        losses.append(errors.square().mean().item())
        weight = weight - 0.05 * 2 * (errors.T @ x) / len(x)
        bias = bias - 0.05 * 2 * errors.mean(dim=0)
    return losses, [weight, bias]
