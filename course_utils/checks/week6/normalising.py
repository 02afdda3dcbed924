"""The checks of exercises 6.4 and 6.5: batch and group normalisation beside torch's own layers."""

import torch
from torch import nn
from torch.nn import functional as F

from course_utils.checks.core import Mistake, exercise, expect_type
from course_utils.checks.week6._answers import call_by_hand

NAMES = {
    "measured, subtracted in evaluation": "running_mean",
    "measured, its root divides in evaluation": "running_var",
    "learnt, multiplied": "weight",
    "learnt, added": "bias",
}
ALSO = {"gamma": "weight", "γ": "weight", "beta": "bias", "β": "bias"}


class _Closed(nn.BatchNorm1d):
    """A batch normalisation that cannot be called, so that its numbers have to be used."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("norm is not to be called here; compute its output from its four quantities")


@exercise("6.4", "The four quantities")
def bn_four(four: object, function: object) -> str:
    expect_type(four, dict, "four")
    _named(four)
    torch.default_generator.manual_seed(0)
    for momentum, eps in ((0.1, 1e-5), (0.3, 0.5)):
        _normalises(function, momentum, eps)
    return "training measures the batch and remembers, evaluation uses the memory; gamma and beta are the same in both"


def _named(four: dict) -> None:
    for key, truth in NAMES.items():
        given = four.get(key)
        if given is None or given is ...:
            raise Mistake(f"the name for {key!r} is still missing")
        expect_type(given, str, key)
        name = given.strip().removeprefix("norm.")
        name = ALSO.get(name.lower(), name)
        if name == truth:
            continue
        if name not in NAMES.values():
            raise Mistake(f"{key!r}: nn.BatchNorm1d(3) has no {given!r} among its four; look into its state_dict()")
        kind = "learnt" if name in ("weight", "bias") else "measured"
        if not key.startswith(kind):
            raise Mistake(f"{key!r}: {name} is {kind}; parameters are learnt, buffers are measured")
        raise Mistake(f"{key!r}: {name} has the other part in the formula")


def _normalises(function: object, momentum: float, eps: float) -> None:
    norm = _Closed(4, momentum=momentum, eps=eps, dtype=torch.float64)
    true = nn.BatchNorm1d(4, momentum=momentum, eps=eps, dtype=torch.float64)
    for name in ("weight", "bias", "running_mean", "running_var"):
        values = torch.rand(4, dtype=torch.float64) + 0.5
        for each in (norm, true):
            with torch.no_grad():
                getattr(each, name).copy_(values)
    for training in (True, True, False, True):
        norm.train(training), true.train(training)
        x = 2 + 3 * torch.randn(6, 4, dtype=torch.float64)
        before = {name: value.clone() for name, value in true.state_dict().items()}
        given, own = x.clone().requires_grad_(), x.clone().requires_grad_()
        wanted = true(own)
        words = "this uses torch's own batch normalisation; compute it from the four quantities"
        output = call_by_hand(function, "batch_norm", words, given, norm)
        if not training:
            _same_memory(norm, true, x, before, training, momentum)
        _same_output(output, wanted, x, before, training, eps)
        _same_memory(norm, true, x, before, training, momentum)
        if norm.training != training:
            raise Mistake("the mode of norm was changed; a forward pass only reads it")
        _same_gradients(output, (given, norm), wanted, (own, true))


def _same_output(output: object, wanted: torch.Tensor, x: torch.Tensor, old: dict, training: bool, eps: float) -> None:
    mode = "training" if training else "evaluation"
    expect_type(output, torch.Tensor, "what normalise_batch() returns")
    if output.shape != wanted.shape:
        raise Mistake(f"in {mode} mode the output has shape {tuple(output.shape)}, expected {tuple(wanted.shape)}")
    if output.dtype != wanted.dtype:
        raise Mistake(f"x and norm are {wanted.dtype}, but the output is {output.dtype}; don't convert anything")
    if not torch.isfinite(output).all():
        raise Mistake(f"in {mode} mode the output holds nan or inf")
    if torch.allclose(output, wanted, atol=1e-8):
        if not output.requires_grad:
            raise Mistake(
                "the output has no graph, so gamma and beta could not be learnt; only the memory needs no_grad"
            )
        return
    batch = (x.mean(dim=0), x.var(dim=0, correction=0))
    memory = (old["running_mean"], old["running_var"])
    mean, var = batch if training else memory
    gamma, beta = old["weight"], old["bias"]
    fresh = F.batch_norm(
        x, old["running_mean"].clone(), old["running_var"].clone(), gamma, beta, not training, 0.1, eps
    )
    plain = (x - mean) / (var + eps).sqrt()
    candidates = {
        "the mean is one number for the whole batch; each column has its own: dim=0": (x - x.mean())
        / (x.var(correction=0) + eps).sqrt()
        * gamma
        + beta,
        "the mean is taken over each row; each column has its own: dim=0": F.layer_norm(x, (4,), gamma, beta, eps),
        f"in {mode} mode you take the mean and variance of the other mode; look at norm.training": fresh,
        "the variance for the output is the one with 1/n: correction=0": (x - batch[0])
        / (x.var(dim=0) + eps).sqrt()
        * gamma
        + beta,
        "gamma and beta are missing at the end": plain,
        "beta is missing: add norm.bias": plain * gamma,
        "gamma is missing: multiply by norm.weight": plain + beta,
        "gamma and beta are in each other's place": plain * beta + gamma,
        "norm.eps is missing under the root; it is not always tiny": (x - mean) / var.sqrt() * gamma + beta,
        "norm.eps belongs to the variance, under the root": (x - mean) / (var.sqrt() + eps) * gamma + beta,
        "eps is a number of norm's, not always 0.00001": (x - mean) / (var + 1e-5).sqrt() * gamma + beta,
        "divide by the root of the variance, not by the variance": (x - mean) / (var + eps) * gamma + beta,
    }
    for words, value in candidates.items():
        if torch.allclose(output, value, atol=1e-8):
            raise Mistake(words)
    raise Mistake(f"in {mode} mode the output is not that of norm; compare it with norm(x), number by number")


def _same_memory(norm: nn.Module, true: nn.Module, x: torch.Tensor, old: dict, training: bool, momentum: float) -> None:
    for name in ("weight", "bias"):
        if not torch.equal(getattr(norm, name), getattr(true, name)):
            raise Mistake(f"norm.{name} was changed; it is learnt by an optimizer, a forward pass leaves it alone")
    for name in ("running_mean", "running_var"):
        value, wanted = getattr(norm, name, None), getattr(true, name)
        if not isinstance(value, torch.Tensor) or value.dtype != wanted.dtype:
            raise Mistake(f"norm.{name} is no tensor of {wanted.dtype} any more; update it in place")
        if value.requires_grad:
            raise Mistake(f"norm.{name} carries a graph now, which grows from batch to batch; update it under no_grad")
        if value.shape == wanted.shape and torch.allclose(value, wanted, atol=1e-8):
            continue
        if not training:
            raise Mistake(f"{name} has moved in evaluation mode; there the memory is only read")
        if value.shape != wanted.shape:
            raise Mistake(f"norm.{name} has the shape {tuple(value.shape)} now, expected {tuple(wanted.shape)}")
        if torch.equal(value, old[name]):
            raise Mistake(f"in training mode {name} should be updated, but it stood still")
        measured = x.mean(dim=0) if name == "running_mean" else x.var(dim=0)
        if torch.allclose(value, momentum * old[name] + (1 - momentum) * measured):
            raise Mistake(f"{name}: momentum is the share of the new batch, 1 - momentum that of the old memory")
        if torch.allclose(value, 0.9 * old[name] + 0.1 * measured):
            raise Mistake(f"{name} moves by a tenth; the share is norm.momentum, which is {momentum:g} here")
        if torch.allclose(value, measured):
            raise Mistake(f"{name} holds this batch alone; it is a moving average of the old value and the new")
        biased = x.var(dim=0, correction=0)
        if name == "running_var" and torch.allclose(value, (1 - momentum) * old[name] + momentum * biased):
            raise Mistake("running_var takes the variance with 1/(n - 1), other than the output")
        raise Mistake(f"{name} is not (1 - momentum) * old + momentum * batch afterwards")


def _same_gradients(output: torch.Tensor, given: tuple, wanted: torch.Tensor, own: tuple) -> None:
    """Raise Mistake unless x, gamma and beta get the gradients that a norm gives them."""
    direction = torch.randn(output.shape, dtype=output.dtype)
    found, truth = (
        torch.autograd.grad((y * direction).sum(), (x, norm.weight, norm.bias), allow_unused=True)
        for y, (x, norm) in ((output, given), (wanted, own))
    )
    for name, one, other in zip(("x", "norm.weight", "norm.bias"), found, truth, strict=True):
        if one is None:
            raise Mistake(f"the output is right, but {name} gets no gradient from it; leave out .data and .detach()")
        if not torch.allclose(one, other, atol=1e-8):
            raise Mistake(
                f"the output is right, but not the gradient of {name}: the batch's mean and variance depend on x, so "
                "they belong to the graph; only the memory needs no_grad"
            )


OPERATIONS = {"subtract": "mean", "divide by": "std", "multiply by": "gamma", "add": "beta"}


@exercise("6.5", "Plus, minus, times, divided by")
def plus_minus(operations: object, function: object) -> str:
    expect_type(operations, dict, "operations")
    for key, truth in OPERATIONS.items():
        given = operations.get(key)
        if given is None or given is ...:
            raise Mistake(f"operations: what stands behind {key!r} is still missing")
        expect_type(given, str, key)
        word = {"γ": "gamma", "β": "beta"}.get(given.strip().lower(), given.strip().lower())
        if word not in OPERATIONS.values():
            raise Mistake(f"operations: {given!r} is none of the four words mean, std, gamma, beta")
        if word != truth:
            raise Mistake(
                f"operations: {key} {given}? First the batch is brought to mean 0 and std 1, then it is undone"
            )
    torch.default_generator.manual_seed(0)
    for size, groups in (((4, 6, 3, 5), 3), ((4, 6, 3, 5), 1), ((2, 6, 4, 4), 6), ((3, 8, 2, 2), 2), ((1, 4, 3, 2), 2)):
        _normalises_groups(function, size, groups)
    return "one group is layer, as many as channels instance normalisation: only the axes of the mean differ"


def _normalises_groups(function: object, size: tuple[int, ...], groups: int) -> None:
    n, c, *_ = size
    x = torch.randn(size, dtype=torch.float64) + torch.arange(n * c, dtype=torch.float64).view(n, c, 1, 1)
    x = x * 0.1  # a small variance shows whether eps is there
    x[0] *= 0.05
    gamma, beta = torch.rand(2, c, dtype=torch.float64) + 0.5
    given = x.clone()
    words = "this uses torch's own normalisation; here it is to be written out"
    output = call_by_hand(function, "_norm", words, given, groups, gamma.clone(), beta.clone())
    expect_type(output, torch.Tensor, "what normalise_groups() returns")
    if tuple(output.shape) != size:
        raise Mistake(f"the output has shape {tuple(output.shape)}, expected that of x, {size}")
    if output.dtype != x.dtype:
        raise Mistake(f"x is {x.dtype}, but the output {output.dtype}; keep the type of x")
    if not torch.isfinite(output).all():
        raise Mistake("the output holds nan or inf; what is under the root?")
    if not torch.equal(given, x):
        raise Mistake("x itself was changed; make a new tensor")
    wanted = F.group_norm(x, groups, gamma, beta, 1e-5)
    if torch.allclose(output, wanted, atol=1e-7):
        return
    g, b = gamma.view(1, c, 1, 1), beta.view(1, c, 1, 1)
    plain = F.group_norm(x, groups, eps=1e-5)
    parts = x.reshape(n, groups, -1)
    mean, biased = parts.mean(2, keepdim=True), parts.var(2, keepdim=True, correction=0)
    unbiased = parts.var(2, keepdim=True)
    candidates = {
        "the mean is taken over every channel of its own; a group shares one": F.group_norm(x, c, gamma, beta),
        "the mean is taken over all channels of a sample; `groups` has no effect": F.group_norm(x, 1, gamma, beta),
        "the mean goes over the samples as well; each sample is taken for itself": F.batch_norm(
            x, None, None, gamma, beta, True
        ),
        "the mean goes over all samples of a group; each sample is taken for itself": (
            F.batch_norm(x.view(n, groups, -1), None, None, training=True).view(size) * g + b
        ),
        "there is one mean for the whole of x; each sample has one for each group": (x - x.mean())
        / (x.var(correction=0) + 1e-5).sqrt()
        * g
        + b,
        "x comes back as it was": x,
        "gamma and beta are missing at the end": plain,
        "gamma and beta are in each other's place": plain * b + g,
        "the variance is the one with 1/n: correction=0": ((parts - mean) / (unbiased + 1e-5).sqrt()).reshape(size) * g
        + b,
        "eps is missing under the root, which shows where a sample has little spread": (
            (parts - mean) / biased.sqrt()
        ).reshape(size)
        * g
        + b,
        "eps belongs to the variance, under the root": ((parts - mean) / (biased.sqrt() + 1e-5)).reshape(size) * g + b,
        "divide by the std, the root of the variance": ((parts - mean) / (biased + 1e-5)).reshape(size) * g + b,
    }
    for words, value in candidates.items():
        if torch.allclose(output, value, atol=1e-7):
            raise Mistake(words)
    raise Mistake(f"for x of shape {size} and {groups} group(s) the values are not those of group normalisation")
