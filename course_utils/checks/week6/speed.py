"""The checks of exercises 6.14 and 6.15: gradients of a batch in parts, and a training that was repaired.

The first compares with the gradient of the whole batch, the second with softmax regression written out in NumPy.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course_utils._arguments import kind
from course_utils.checks.core import Mistake, call, exercise, expect_type
from course_utils.checks.week6._answers import still_recording


@exercise("6.14", "A large batch in small parts")
def accumulate(function: object) -> str:
    torch.default_generator.manual_seed(0)
    for sizes in ((4, 4), (5, 3, 1), (2, 7)):
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
        names = [name for name, _ in net.named_parameters()]
        parts = [
            (torch.randn(size, 3, dtype=torch.float64), torch.randn(size, 1, dtype=torch.float64)) for size in sizes
        ]
        each = [_gradients(net, x, y) for x, y in parts]
        truth = _gradients(net, *(torch.cat(both) for both in zip(*parts, strict=True)))
        before = [parameter.detach().clone() for parameter in net.parameters()]
        stale = [torch.full_like(parameter, 0.5) for parameter in net.parameters()]
        for parameter, old in zip(net.parameters(), stale, strict=True):
            parameter.grad = old.clone()
        rows: list[int] = []
        # on the first layer, which every way through the net meets
        watcher = net[0].register_forward_hook(lambda module, inputs, output, rows=rows: rows.append(len(inputs[0])))
        returned = call(function, net, [(x.clone(), y.clone()) for x, y in parts])
        watcher.remove()
        still_recording()
        if returned is not net:
            raise Mistake(f"accumulate() should return net itself, but it returned {kind(returned)}")
        now = [(name, value.requires_grad, value.dtype) for name, value in net.named_parameters()]
        if now != [(name, True, torch.float64) for name in names]:
            raise Mistake("net came with trainable float64 parameters and goes with others; only .grad is to be filled")
        if not all(module.training for module in net.modules()):
            raise Mistake("net came in training mode and goes in evaluation mode; its mode is not yours to change")
        if not all(torch.equal(one, other) for one, other in zip(net.parameters(), before, strict=True)):
            raise Mistake("the weights have changed; only .grad is to be filled, the step belongs to the caller")
        if max(rows, default=0) > max(sizes):
            raise Mistake(
                f"{max(rows)} samples went through net at once; one part at a time, the largest has {max(sizes)}"
            )
        if len(rows) < len(sizes):
            raise Mistake(f"net was called {len(rows)} time(s) for {len(sizes)} parts; every part goes through it")
        _compare_gradients(net, names, truth, each, stale, sizes)
    return "sums of gradients are gradients of sums: a batch of any size fits, one part after the other"


def _gradients(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(F.mse_loss(net(x), y), list(net.parameters())))


def _compare_gradients(
    net: nn.Module,
    names: list[str],
    truth: list[torch.Tensor],
    each: list[list[torch.Tensor]],
    stale: list[torch.Tensor],
    sizes: tuple[int, ...],
) -> None:
    """Raise Mistake unless .grad of every parameter is `truth`, with the reason when it is a well known one."""
    found = [parameter.grad for parameter in net.parameters()]
    for name, gradient in zip(names, found, strict=True):
        if gradient is None:
            raise Mistake(f"{name} has no gradient; every part needs its backward()")
        if not bool(torch.isfinite(gradient).all()):
            raise Mistake(f"the gradient of {name} holds nan or inf; by what is the loss divided?")

    def equal(other: list[torch.Tensor]) -> bool:
        return all(torch.allclose(one, two, rtol=1e-6, atol=1e-9) for one, two in zip(found, other, strict=True))

    if equal(truth):
        return
    sums = [sum(grads) for grads in zip(*each, strict=True)]
    means = [total / len(sizes) for total in sums]
    by_size = [sum(n * g for n, g in zip(sizes, grads, strict=True)) for grads in zip(*each, strict=True)]
    reasons = [
        (
            [t + s for t, s in zip(truth, stale, strict=True)],
            "what was in .grad before is still in it: zero_grad() first",
        ),
        (sums, "the parts' mean losses were added up; each counts with its share of the batch, len(x) / total"),
        ([t + s for t, s in zip(sums, stale, strict=True)], "neither was .grad emptied first, nor is a loss scaled"),
        (means, f"the parts count alike, but they have {sizes} samples: weigh each with len(x) / total"),
        (each[-1], "only the last part is left: zero_grad() inside the loop wipes out the parts before"),
        (
            [t * sizes[-1] / sum(sizes) for t in each[-1]],
            "only the last part is left, with its share: zero_grad() once",
        ),
        (by_size, "the losses are summed over all samples; divide by their number, sum of len(x)"),
    ]
    for other, reason in reasons:
        if equal(other):
            raise Mistake(reason)
    raise Mistake(
        f"for parts of {sizes} samples the gradients are not those of the whole batch; scale each part's loss"
    )


@exercise("6.15", "Three repairs")
def healthy(function: object) -> str:
    for number, (samples, steps) in enumerate([(32, 5), (20, 9)]):
        chance = torch.Generator().manual_seed(number)
        images = torch.randint(0, 256, (samples, 1, 8, 8), dtype=torch.uint8, generator=chance)
        labels = torch.randint(0, 10, (samples,), dtype=torch.int32, generator=chance)
        torch.default_generator.manual_seed(number)
        net = nn.Linear(64, 10)
        start = net.weight.detach().clone().numpy()
        truth, weight = _softmax_regression(net, images, labels, steps)
        given = images.clone(), labels.clone()
        losses = call(function, net, images, labels, steps)
        if isinstance(losses, (list, torch.Tensor)):
            raise Mistake(f"healthy() should return a NumPy array, but it returned {kind(losses)}; np.array(losses)")
        expect_type(losses, np.ndarray, "what healthy() returns")
        if losses.dtype == object:
            raise Mistake("the array holds tensors, not numbers; append loss.item()")
        if losses.dtype.kind not in "fiu":
            raise Mistake(f"the array holds {losses.dtype}, expected numbers: the losses, as floats")
        if losses.shape != (steps,):
            raise Mistake(f"the losses have shape {losses.shape}, expected ({steps},): one number for each step")
        if not (torch.equal(images, given[0]) and torch.equal(labels, given[1])):
            raise Mistake("the images or labels of the caller were changed; convert into a new tensor")
        if not isinstance(getattr(net, "weight", None), nn.Parameter):
            raise Mistake("net has lost its weight; the optimizer alone changes what is in it")
        if not np.isfinite(losses).all():
            raise Mistake("the losses hold nan or inf; the pictures are to be divided by 255")
        _compare_losses(losses.astype(float), truth, net.weight.detach().cpu().numpy(), start, weight)
    return "one mistake of dtype, one of the graph, one on the way to NumPy: the three that come most often"


def _softmax_regression(
    net: nn.Linear, images: torch.Tensor, labels: torch.Tensor, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The losses before each of `steps`, and one more after them; the weight at the end. Gradients by formula."""
    x = images.flatten(1).numpy().astype(float) / 255
    weight, bias = (parameter.detach().numpy().astype(float) for parameter in (net.weight, net.bias))
    wanted = np.eye(10)[labels.numpy()]
    losses = []
    for step in range(steps + 1):
        logits = x @ weight.T + bias
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        losses.append(-np.log((p * wanted).sum(axis=1)).mean())
        if step < steps:
            slope = (p - wanted) / len(x)
            weight, bias = weight - 0.1 * slope.T @ x, bias - 0.1 * slope.sum(axis=0)
    return np.array(losses), weight


def _compare_losses(
    losses: np.ndarray, truth: np.ndarray, found: np.ndarray, start: np.ndarray, weight: np.ndarray
) -> None:
    """Raise Mistake unless `losses` are those before the steps, and the weight `found` afterwards is `weight`."""

    def equal(one: np.ndarray, other: np.ndarray) -> bool:
        return np.allclose(one, other, rtol=1e-5, atol=1e-5)

    if not equal(losses, truth[:-1]):
        if equal(losses, np.full_like(losses, truth[0])) and np.array_equal(found, start):
            raise Mistake("the losses stay the same, and so do the weights: every step needs optimizer.step()")
        if equal(losses, np.full_like(losses, truth[0])):
            raise Mistake("the losses stay the same: logits come from before the loop, compute net(x) in every step")
        if equal(losses, truth[1:]):
            raise Mistake("these are the losses after the steps; asked are those before, as backward() used them")
        if equal(losses[0], truth[0]):
            raise Mistake(
                "the first loss is right and a later one is not: SGD with lr 0.1, and zero_grad() in each step"
            )
        if np.array_equal(found, start):
            raise Mistake("the net of the caller is as it was before; train this one, not another")
        raise Mistake("the first loss is not that of net on pictures divided by 255; repair only what fails")
    if not equal(found, weight):
        raise Mistake("the losses are right, but net was not left as trained; use the net that the caller gives")
