"""The checks of exercises 6.1 to 6.5 and of bug 6.1: modes, weight decay, dropout, normalisation.

Each compares with something other than the solution: a training that is run, torch's own layers, counted shares.
"""

import inspect
import math

import torch
from torch import nn
from torch.nn import functional as F

from course_utils._arguments import kind
from course_utils.checks.core import Mistake, call, exercise, expect_type, reading
from course_utils.checks.week6._answers import call_by_hand, one_number, still_recording


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
