"""The checks of exercises 6.2 and 6.3: weight decay beside torch's own steps, dropout by counted shares."""

import inspect
import math

import torch

from course_utils.checks.core import Mistake, call, exercise, expect_type
from course_utils.checks.week6._answers import call_by_hand, one_number


@exercise("6.2", "Where does the decay come in?")
def weight_decay(line: object, function: object) -> str:
    _is_the_line(line)
    code = getattr(function, "__code__", None)
    if code is not None and {"SGD", "optim"} & set(code.co_names):
        raise Mistake("this lets torch's own optimizer do it; write the two steps with plain arithmetic")
    generator = torch.Generator().manual_seed(0)
    for momentum, decay in ((0.0, 0.3), (0.9, 0.0), (0.9, 0.3), (0.5, 0.1)):
        w, g1, g2 = torch.randn(3, dtype=torch.float64, generator=generator).tolist()
        lr = 0.1 + 0.2 * torch.rand(1, dtype=torch.float64, generator=generator).item()
        got = one_number(call(function, w, g1, g2, lr, momentum, decay), "what two_steps() returns")
        truth = _torch_steps(w, g1, g2, lr, momentum, decay)
        if not math.isclose(got, truth, rel_tol=1e-5):  # float32 tensors are plain enough
            _which_mistake(got, (w, g1, g2, lr, momentum, decay), truth)
    return "the decay is part of the gradient, so it goes through the momentum too; AdamW keeps it out of that"


def _is_the_line(line: object) -> None:
    expect_type(line, str, "line")
    text = " ".join(line.split("#")[0].split())
    source = inspect.getsource(inspect.getmodule(torch.optim.SGD))
    if "d_p.add_" in text:
        raise Mistake("that is the line of the old course; find the one that stands in your torch, with sgd_lines")
    if len([part for part in line.strip().splitlines() if part.strip()]) > 3:
        raise Mistake("line holds many lines; which one of them adds the decay to the gradient?")
    if not text or text not in " ".join(source.split()):
        raise Mistake("line is not in the source of torch.optim.SGD; copy it from sgd_lines as it stands")
    if "alpha=weight_decay" in text and "grad" not in text:
        raise Mistake("line is only a part of a line; copy the whole of it, to see what the decay is added to")
    if "alpha=weight_decay" in text or "addcmul_(param.clone(), weight_decay)" in text:
        return
    if text.startswith("if"):
        raise Mistake("this line only asks about the decay; what is done with it comes after")
    if "weight_decay" not in text:
        raise Mistake("weight_decay does not occur in this line; look at sgd_lines")
    raise Mistake("this line takes or hands on the number; look for the one in which the gradient gets something added")


def _torch_steps(w: float, g1: float, g2: float, lr: float, momentum: float, decay: float) -> float:
    weight = torch.tensor([w], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=lr, momentum=momentum, weight_decay=decay)
    for gradient in (g1, g2):
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
    return weight.item()


def _which_mistake(got: float, settings: tuple, truth: float) -> None:
    """Raise Mistake, naming the likely mistake in two steps of SGD."""
    w, g1, g2, lr, momentum, decay = settings
    beside = w * (1 - lr * decay) - lr * g1
    first = w - lr * (g1 + decay * w)
    candidates = {
        "the decay stands beside the step in yours, as in AdamW; in SGD it goes into the gradient and so into the "
        "momentum buffer": beside * (1 - lr * decay) - lr * (momentum * g1 + g2),
        "the decay of the second step takes the weight of the start; it has moved since": first
        - lr * (momentum * (g1 + decay * w) + g2 + decay * w),
        "decay has no effect: add decay * w to each gradient": _torch_steps(w, g1, g2, lr, momentum, 0.0),
        "momentum has no effect: the second step also uses momentum times the first one's gradient": _torch_steps(
            w, g1, g2, lr, 0.0, decay
        ),
        "the step goes uphill: lr times the buffer is subtracted": _uphill(settings),
        "the decay makes the weight larger: add it to the gradient, which is subtracted afterwards": _added_wrongly(
            settings
        ),
        "the first step uses (1 - momentum) of the gradient; torch's buffer starts with all of it": _averaged(settings),
    }
    bare = w - lr * g1 - decay * w
    candidates["the decay is not multiplied by lr: it is a part of the gradient, and the step scales both"] = (
        bare - lr * (momentum * g1 + g2) - decay * bare
    )
    only_first = first - lr * (momentum * (g1 + decay * w) + g2)
    candidates["the second gradient has no decay; every step adds it anew"] = only_first
    if math.isclose(got, w, rel_tol=1e-6):
        raise Mistake("this is w as it came; two steps move it")
    if math.isclose(got, first, rel_tol=1e-6):
        raise Mistake("this is the weight after one step; g2 belongs to a second one")
    for words, value in candidates.items():
        if math.isclose(got, value, rel_tol=1e-6):
            raise Mistake(words)
    raise Mistake(
        f"for momentum {momentum:g} and decay {decay:g} two_steps gives {got:.5g}, torch.optim.SGD {truth:.5g}; "
        "go through the order: decay, buffer, step"
    )


def _added_wrongly(settings: tuple) -> float:
    w, g1, g2, lr, momentum, decay = settings
    buffer = g1 - decay * w
    w = w - lr * buffer
    return w - lr * (momentum * buffer + g2 - decay * w)


def _uphill(settings: tuple) -> float:
    w, g1, g2, lr, momentum, decay = settings
    buffer = g1 + decay * w
    w = w + lr * buffer
    return w + lr * (momentum * buffer + g2 + decay * w)


def _averaged(settings: tuple) -> float:
    w, g1, g2, lr, momentum, decay = settings
    buffer = (1 - momentum) * (g1 + decay * w)
    w = w - lr * buffer
    return w - lr * (momentum * buffer + (1 - momentum) * (g2 + decay * w))


@exercise("6.3", "Dropout by hand")
def dropout_scale(function: object) -> str:
    torch.default_generator.manual_seed(0)
    x = torch.rand(200, 120, dtype=torch.float64) + 0.5
    for p in (0.5, 0.1, 0.8):
        _drops(function, x, p)
    _passes_unchanged(function, x)
    for p, words in ((0.0, "at p = 0 nothing is dropped and nothing scaled"), (1.0, "at p = 1 all becomes 0")):
        output = _same_kind(_dropped(function, x.clone(), p, True), x, p)
        if not torch.allclose(output, x if p == 0 else torch.zeros_like(x)):
            raise Mistake(f"{words}, but yours gives other values")
    for size in ((2, 3, 4), (5,), ()):
        small = torch.ones(size, dtype=torch.float32)
        _same_kind(_dropped(function, small, 0.5, True), small, 0.5)
    ten = torch.ones(10)
    if len({(_dropped(function, ten.clone(), 0.5, True) == 0).sum().item() for _ in range(40)}) == 1:
        raise Mistake("of ten numbers exactly as many are dropped each time; each has a chance of its own, like a coin")
    _gradients_flow(function, x)
    return "what is kept grows by 1/(1 - p), so that sums stay right on average; the weights never heard of it"


def _dropped(function: object, x: torch.Tensor, p: float, training: bool) -> object:
    words = "this uses torch's own dropout; write it with a random mask and a division"
    return call_by_hand(function, "dropout", words, x, p, training)


def _same_kind(output: object, x: torch.Tensor, p: float) -> torch.Tensor:
    expect_type(output, torch.Tensor, "what drop_out() returns")
    if output.dtype != x.dtype:
        raise Mistake(f"x is {x.dtype}, but the output {output.dtype}; keep the type of x")
    if output.shape != x.shape:
        raise Mistake(f"x has shape {tuple(x.shape)}, but the output {tuple(output.shape)}; set to 0, don't take out")
    if not torch.isfinite(output).all():
        why = "there you divide by 0; treat it first" if p == 1 else "what are the numbers multiplied by?"
        raise Mistake(f"for p = {p:g} the output holds nan or inf: {why}")
    return output


def _drops(function: object, x: torch.Tensor, p: float) -> None:
    """Raise Mistake unless about the share p is 0, anew each time and anywhere, and the rest is x / (1 - p)."""
    given = x.clone()
    output = _same_kind(_dropped(function, given, p, True), x, p)
    if not torch.equal(given, x):
        raise Mistake("x itself was changed; other layers may still need it, so make a new tensor")
    kept = output != 0
    share = 1 - kept.double().mean().item()
    if share == 0:
        raise Mistake(f"with training=True and p = {p:g} nothing is 0; each number has a chance of its own")
    if share == 1:
        raise Mistake(f"for p = {p:g} everything is 0; each number has a chance of its own, so draw as many as x has")
    for dim, name in ((0, "column"), (1, "row")):
        if kept.double().mean(dim=dim).std() > 0.25:
            raise Mistake(f"whole {name}s are dropped together; each number has a chance of its own")
    if abs(share - p) > 0.03:
        if abs(share - (1 - p)) < 0.03:
            raise Mistake(f"for p = {p:g} the share {share:.2f} is 0: p is the probability of dropping, not of keeping")
        raise Mistake(f"for p = {p:g} the share {share:.2f} of the numbers is 0, expected about {p:g}")
    factors = (output / x)[kept]
    if not torch.allclose(factors, factors[0], rtol=1e-4):
        raise Mistake("the kept numbers are multiplied by different factors; all get the same, 1/(1 - p)")
    factor, right = factors[0].item(), 1 / (1 - p)
    if not math.isclose(factor, right, rel_tol=1e-4):
        if math.isclose(factor, 1, rel_tol=1e-4):
            raise Mistake("what is kept keeps its size, so the sum shrinks to 1 - p of it; scale it up")
        if math.isclose(factor, 1 - p, rel_tol=1e-4):
            raise Mistake("what is kept is multiplied by 1 - p; it is divided by it: fewer must carry more")
        raise Mistake(
            f"for p = {p:g} the kept numbers are multiplied by {factor:.4g}, expected 1/(1 - p) = {right:.4g}"
        )
    again = _dropped(function, x.clone(), p, True)
    if torch.equal(again != 0, kept):
        raise Mistake("two calls drop the same numbers; draw the mask inside the function, and set no seed there")


def _passes_unchanged(function: object, x: torch.Tensor) -> None:
    for p in (0.5, 0.2):
        output = _same_kind(_dropped(function, x.clone(), p, False), x, p)
        if torch.allclose(output, x):
            continue
        if bool((output == 0).any()):
            raise Mistake("with training=False numbers are still dropped; then x comes back as it is")
        raise Mistake("with training=False x comes back scaled; the scaling was done in training already")


def _gradients_flow(function: object, x: torch.Tensor) -> None:
    for training in (True, False):
        leaf = x.clone().requires_grad_()
        output = _same_kind(_dropped(function, leaf, 0.5, training), x, 0.5)
        if not output.requires_grad:
            raise Mistake("no gradient can come back through it: leave no_grad, .detach() and .data out")
        output.sum().backward()
        if leaf.grad is None or not torch.allclose(leaf.grad, (output / leaf).detach()):
            raise Mistake("the gradient should be 0 for the dropped and 1/(1 - p) for the kept, but is another")
