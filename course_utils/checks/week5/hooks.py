"""The checks of exercises 5.10 to 5.12 and of bug 5.3: hooks.

The oracles are computed without hooks: gradients clipped afterwards, maps by torch.nn.functional, runs counted.
"""

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as every_module

from course_utils.checks.core import (
    Mistake,
    NotAttempted,
    call,
    exercise,
    expect_close,
    expect_tensor,
    expect_type,
    plain_number,
)
from course_utils.errors import in_words

KINDS = ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")


def waiting(net: nn.Module) -> int:
    """How many hooks hang at the modules of `net`, or at all modules at once."""
    everywhere = sum(len(getattr(every_module, f"_global_{kind}")) for kind in KINDS)
    return everywhere + sum(len(getattr(module, f"_{kind}")) for module in net.modules() for kind in KINDS)


def _modes(net: nn.Module) -> list[bool]:
    return [module.training for module in net.modules()]


OTHERS = "you took down hooks that others had hung up; remove yours, through its handle"


@exercise("5.10", "A clip at every parameter")
def clip_by_hooks(function: object) -> str:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 3, dtype=torch.float64, generator=generator)
    for place in (1, 2):
        _clips_some(place, function, x, generator)
    return "a clip at each tensor; torch.nn.utils.clip_grad_norm_ clips all of them as one long vector"


def _clips_some(place: int, function: object, x: torch.Tensor, generator: torch.Generator) -> None:
    """Raise Mistake unless the hooks of `function` clip as they should, until they are removed.

    Of the four gradients that are not 0, `place` are shorter than the limit.
    """
    net = _two_layers(generator)
    plain = _gradients(copy.deepcopy(net), x)
    norms = sorted(grad.norm().item() for grad in plain.values() if grad.any())
    limit = round((norms[place - 1] + norms[place]) / 2, 3)
    # the hooks of the check come first, see what arrives, and notice later if it was written into
    arrived = {}
    for name, parameter in net.named_parameters():
        parameter.register_hook(lambda grad, name=name: arrived.update({name: (grad, grad.clone())}))
    before_it, modes = waiting(net), _modes(net)
    handles = call(function, net, limit)
    if isinstance(handles, dict):
        handles = handles.values()
    count = len(plain)
    if not isinstance(handles, Iterable) or isinstance(handles, (str, torch.Tensor)):
        raise Mistake(f"return the list of the handles; yours is of type {type(handles).__name__}")
    handles = list(handles)
    if not all(hasattr(handle, "remove") for handle in handles):
        raise Mistake("what you return has entries without remove(); keep what register_hook gives back")
    if len(handles) != count:
        raise Mistake(f"the network has {count} parameters, but you return {len(handles)} handle(s); one for each")
    for attempt in range(2):
        arrived.clear()
        try:
            clipped = _gradients(net, x)
        except (Exception, SystemExit) as error:
            raise Mistake(f"backward() with your hooks stopped with {in_words(error, 120)}") from None
        if any(not torch.equal(given, before) for given, before in arrived.values()):
            raise Mistake("a hook wrote into the gradient it was lent, which others may share; return a new tensor")
        _compare(plain, clipped, limit, attempt)
    for handle in handles:
        handle.remove()
    if waiting(net) != before_it or _modes(net) != modes:
        raise Mistake("besides the clips something else is left in the network: a hook at a module, or another mode")
    after = _gradients(net, x)
    if any(not torch.allclose(after[name], plain[name]) for name in plain):
        raise Mistake("after remove() on all your handles gradients are still changed; return every handle")


def _two_layers(generator: torch.Generator) -> nn.Module:
    """A network (double) whose gradients are long and short, and in its last layer zeros."""
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Linear(2, 2)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64, generator=generator) * 0.5)
    return net


def _gradients(net: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    net.zero_grad()
    hidden = net[2](net[1](net[0](x)))
    # the last layer counts with a factor of 0: gradients that are all zeros
    (hidden.square().sum() + 0.05 * hidden.sum() + 0 * net[3](hidden.detach()).sum()).backward()
    return {name: parameter.grad.clone() for name, parameter in net.named_parameters()}


def _compare(plain: dict, clipped: dict, limit: float, attempt: int) -> None:
    """Raise Mistake, naming the likely one, unless `clipped` are the gradients `plain`, each clipped to `limit`."""
    norms = {name: grad.norm() for name, grad in plain.items()}

    def same(rule) -> bool:
        return all(torch.allclose(clipped[name], rule(name, grad), atol=1e-9) for name, grad in plain.items())

    # a small number beside the norm, against a division by 0, is as good
    if all(
        torch.allclose(clipped[name], grad * min(1.0, limit / max(norms[name].item(), 1e-12)), rtol=1e-4, atol=1e-9)
        for name, grad in plain.items()
    ):
        return
    broken = [name for name, grad in clipped.items() if not grad.isfinite().all()]
    if any(plain[name].any() for name in broken):
        raise Mistake("a gradient holds nan or inf after your hook; without it all of them are finite")
    if broken:
        raise Mistake("a gradient of nothing but zeros became nan: 0 times (limit / 0); clamp the factor to at most 1")
    if attempt:
        raise Mistake("the first backward() is clipped rightly, the second one is not; a hook should remember nothing")
    if same(lambda name, grad: grad):
        raise Mistake("no gradient is any shorter than without hooks; does your hook return its result?")
    if same(lambda name, grad: grad.clamp(-limit, limit)):
        raise Mistake("you clipped each number by itself, which turns the direction; scale the whole tensor instead")
    if same(lambda name, grad: grad * limit / norms[name] if norms[name] else grad):
        raise Mistake("gradients shorter than the limit were made longer; the factor must not exceed 1")
    for name in plain:
        length, wanted = clipped[name].norm().item(), min(norms[name].item(), limit)
        if abs(length - wanted) > 1e-4 * max(wanted, 1):
            raise Mistake(
                f"with limit {limit:g} a gradient of norm {norms[name].item():.3g} came out with {length:.3g}, "
                f"expected {wanted:.3g}"
            )
    raise Mistake("the norms are right, but a gradient points elsewhere than before; multiply it by one number")


class _LikeAlexNet(nn.Module):
    """features[0] a convolution, features[1] its ReLU, as in torchvision's AlexNet; small, and counts its runs."""

    def __init__(self, inplace: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace), nn.MaxPool2d(2), nn.Dropout(0.5))
        self.classifier = nn.Linear(4 * 3 * 3, 5)
        self.runs = 0
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        return self.classifier(self.features(pictures).flatten(1))


@exercise("5.11", "Before and after the ReLU")
def before_and_after(function: object) -> str:
    generator = torch.Generator().manual_seed(0)
    for inplace in (False, True):
        net, runs = _LikeAlexNet(inplace, generator), []
        net.features[3].train(inplace)  # one network has a part in evaluation mode
        pictures = torch.randn(2, 3, 8, 8, generator=generator)
        truth = F.conv2d(pictures, net.features[0].weight, net.features[0].bias).detach()
        net.features[0].register_forward_hook(lambda *_, runs=runs: runs.append(1))
        before_it, modes, given = waiting(net), _modes(net), pictures.clone()
        returned = call(function, net, given)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise Mistake("return two tensors: the map before the ReLU, and the map after it")
        _look_at_state(net, inplace, modes, waiting(net) - before_it)
        if not torch.equal(given, pictures):
            raise Mistake("your function changed the pictures themselves; only look")
        for value, name in zip(returned, ("the map before the ReLU", "the map after the ReLU"), strict=True):
            expect_tensor(value, name, dtype=torch.float32, shape=tuple(truth.shape))
            if value.requires_grad:
                raise Mistake(f"{name} still carries its graph, and with it every map of the run; add detach()")
        before, after = returned
        close = {"rtol": 1e-4, "atol": 1e-4}
        if torch.allclose(before, F.relu(truth), **close) and torch.allclose(after, truth, **close):
            raise Mistake("the two maps are the wrong way round: the convolution's comes first")
        if torch.allclose(before, F.relu(truth), **close):
            raise Mistake("both maps are the ReLU's: in place it wrote into what you kept; detach() makes no copy")
        expect_close(before, truth, "the map before the ReLU", "it is what net.features[0] put out for these pictures")
        if torch.allclose(after, truth, **close):
            raise Mistake("both maps are the convolution's; hook net.features[1] for the second")
        expect_close(after, F.relu(truth), "the map after the ReLU", "it is what net.features[1] put out")
        if net.runs != 1:
            raise Mistake(f"net(pictures) ran {net.runs} times; hang up both hooks, and run it once")
        if len(runs) != 1:
            raise Mistake(
                f"net.features[0] ran {len(runs)} times; a hook gets its output from the run of net(pictures)"
            )
        _stops_with_an_error(function, net, inplace)
    return "in AlexNet about half of the convolution's values are negative, and in place the ReLU wipes them out"


def _look_at_state(net: nn.Module, inplace: bool, modes: list[bool], left: int) -> None:
    """Raise Mistake unless the network is as it was given, and no hooks are left."""
    if left < 0:
        raise Mistake(OTHERS)
    if left:
        raise Mistake(f"{left} hook(s) still wait in the network after your function; remove() them, or use with")
    if net.features[1].inplace != inplace:
        raise Mistake("you changed inplace of the network's ReLU; leave it, a copy in the hook is enough")
    if not net.training:
        raise Mistake("the network came in training mode and is in evaluation mode now; leave its mode alone")
    if _modes(net) != modes:
        raise Mistake("a part of the network was in evaluation mode and is in training mode now; leave all modes alone")
    if not all(parameter.requires_grad for parameter in net.parameters()):
        raise Mistake("the network's parameters no longer require gradients, so it cannot train; leave them alone")
    if not torch.is_grad_enabled():
        raise Mistake("gradients are switched off now for everybody; use with torch.no_grad(), or detach() in the hook")


def _stops_with_an_error(function: object, net: nn.Module, inplace: bool) -> None:
    """Raise Mistake when a run that fails (in the classifier, after both hooks ran) leaves something behind."""
    before_it, modes = waiting(net), _modes(net)
    try:
        function(net, torch.zeros(1, 3, 20, 20))
    except Exception:
        pass
    else:
        raise Mistake("for pictures that do not fit net(pictures) raises an error, and your function hides it")
    left = waiting(net) - before_it
    if left:
        raise Mistake(
            f"when net(pictures) stops with an error, {left} hook(s) stay behind; use with, or try and finally"
        )
    if net.features[1].inplace != inplace or _modes(net) != modes or not torch.is_grad_enabled():
        raise Mistake("when net(pictures) stops with an error, what you switched stays so; leave it, or use finally")


class _Op(nn.Module):
    """A function as a module."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class _Backwards(nn.Module):
    """Written down from the end to the beginning; a Sequential inside; the last layer repairs nan."""

    def __init__(self) -> None:
        super().__init__()
        self.repair = _Op(torch.nan_to_num)
        self.head = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.body = nn.ModuleDict({"inner": nn.Sequential(_Op(torch.abs), _Op(lambda x: (-x - 1).log()))})
        self.stem = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.repair(self.head(self.body["inner"](self.stem(x))))


class _InForward(nn.Module):
    """Its own forward makes the nan, from layers that are sound."""

    def __init__(self) -> None:
        super().__init__()
        self.block = _Sound()
        self.out = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.block(x))


class _Sound(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * float("nan")


def _shared() -> nn.Module:
    """The exponential is used twice and gives inf the second time only; then inf - inf is nan."""
    exp = _Op(torch.exp)
    return nn.Sequential(_Op(torch.zeros_like), exp, _Op(lambda x: 1000 * x), exp, _Op(lambda x: x - x))


@exercise("5.12", "Who was the first?")
def first_bad(function: object) -> str:
    torch.default_generator.manual_seed(0)
    x = torch.randn(3, 4)
    sound = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    row = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), _Op(torch.log), nn.Linear(4, 4), nn.ReLU())
    for net, wanted in ((row, "2"), (_Backwards(), "body.inner.1"), (_shared(), "1"), (_InForward(), "block")):
        _judge(function, net, x, wanted)
    _judge(function, sound, x, "finite")
    return "the first bad layer is where to look; all that comes after it is only infected"


def _judge(function: object, net: nn.Module, x: torch.Tensor, wanted: str) -> None:
    theirs = net.register_forward_hook(lambda *_: None)  # a hook of somebody else
    modes, before_it = _modes(net), waiting(net)
    try:
        name = call(function, net, x.clone())
    except NotAttempted:
        if wanted != "finite":
            raise
        raise Mistake("for a network in which all is finite you return nothing, expected 'finite'") from None
    expect_type(name, str, "what first_bad() returns")
    left = waiting(net) - before_it
    if theirs.id not in net._forward_hooks:
        raise Mistake(OTHERS)
    if left:
        raise Mistake(
            f"after your function {left} hook(s) still wait in the network; keep the handles and remove() them"
        )
    if _modes(net) != modes:
        raise Mistake("the network's training mode is another one after your function; leave it alone")
    if name == wanted:
        return
    names = [entry for entry, _ in net.named_modules()]
    bad = _bad_names(net, x)
    if wanted == "finite":
        raise Mistake(f"for a network in which all is finite you return {name!r}, expected 'finite'")
    if name == "finite":
        if isinstance(net, _Backwards):
            raise Mistake(
                "a later layer turns nan into numbers again, and you say 'finite'; look at every layer's output"
            )
        raise Mistake(f"module {wanted!r} puts out nan or inf, but you say 'finite'")
    if name not in names:
        raise Mistake(f"{name!r} is no name in net.named_modules(); expected here is {wanted!r}")
    if isinstance(net, _Backwards) and name in ("body", "body.inner", ""):
        raise Mistake(f"{name!r} is a container around the culprit; the innermost is {wanted!r}")
    if not isinstance(net, _Backwards) and name == "" and wanted == "2":
        raise Mistake("you name the whole network (''), which is done last; the innermost comes first")
    if isinstance(net, _Backwards) and name == "head.0":
        raise Mistake("'head.0' comes first in named_modules(), but it runs later; go by the order of the calls")
    if wanted == "1" and name == "4":
        raise Mistake("you found the first nan, but module '1' had put out inf before; look for both")
    if wanted == "block":
        raise Mistake(f"a module of your own can make nan in its forward too: expected 'block', you return {name!r}")
    if name == names[-1]:
        raise Mistake(f"{name!r} is the last name of the loop, expected {wanted!r}; did all hooks see the same name?")
    if name in bad:
        raise Mistake(f"{name!r} does put out nan or inf, but {wanted!r} did so before it")
    raise Mistake(f"{name!r} puts out finite numbers; the first that does not is {wanted!r}")


def _bad_names(net: nn.Module, x: torch.Tensor) -> set[str]:
    bad = set()
    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: None if out.isfinite().all() else bad.add(name))
        for name, module in net.named_modules()
    ]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    return bad


@exercise("bug 5.3", "The watchman")
def bug_5_3(function: object) -> str:
    torch.default_generator.manual_seed(0)
    for rounds in (3, 5):
        _watches(rounds, function)
    return "what you hang up, take down: with handles in a with block nobody can forget it"


def _watches(rounds: int, function: object) -> None:
    """Raise Mistake unless watch() measures `rounds` rounds with one hook, and takes it down."""
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    pictures, truth, most = torch.rand(7, 6), [], []

    def between(module: nn.Module, args: tuple, output: torch.Tensor) -> None:
        most.append(len(net[1]._forward_hooks))
        truth.append(F.relu(net[0](args[0])).mean().item())
        with torch.no_grad():
            net[0].bias += 0.25  # every round has another mean

    net.register_forward_hook(between)
    theirs = net[1].register_forward_hook(lambda *_: None)  # a hook of somebody else
    before_it = waiting(net)
    returned = call(function, net, pictures, rounds)
    if (
        not isinstance(returned, (tuple, list))
        or len(returned) != 2
        or not all(hasattr(v, "__len__") for v in returned)
    ):
        raise Mistake("watch should return two lists as before: the means and the numbers of copies")
    means, copies = (list(value) for value in returned)
    left = waiting(net) - before_it
    if theirs.id not in net[1]._forward_hooks:
        raise Mistake(OTHERS)
    if not all(_modes(net)):
        raise Mistake("the network was in training mode, and is in evaluation mode after watch(); leave its mode alone")
    if len(truth) != rounds:
        raise Mistake(f"for {rounds} rounds net(pictures) should run {rounds} times, it ran {len(truth)} times")
    if left >= rounds:
        raise Mistake(f"after {rounds} rounds {left} hooks of yours wait in the network, and every call feeds them")
    if left:
        raise Mistake(f"{left} hook of yours still waits when watch() returns; take its handle and remove() it")
    if max(most) > 2:
        raise Mistake(
            f"in the end all hooks are gone, but in the last round {max(most) - 1} were waiting; one is enough"
        )
    if len(means) != rounds or len(copies) != rounds:
        raise Mistake(f"for {rounds} rounds you return {len(means)} means and {len(copies)} numbers of copies")
    for number, (mean, wanted) in enumerate(zip(means, truth, strict=True)):
        value = plain_number(mean, "a mean")
        if not abs(value - wanted) < 1e-4:
            raise Mistake(f"round {number} measured {value:.4f}, but the layer put out {wanted:.4f} on average")
    if any(plain_number(count, "a number of copies") != 1 for count in copies):
        raise Mistake(f"the numbers of copies are {copies}; one hook makes one copy a round, so count len(kept)")
