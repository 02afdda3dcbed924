"""The checks of exercises 4.1 to 4.4 and bugs 4.1 and 4.2: initialisation, cross-entropy and its family.

Each compares with something other than the solution: an integral, a count of inputs, slow loops with math.exp.
"""

import math
import numbers
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.checks.core import Mistake, attempted, call, exercise, expect_close, expect_tensor, expect_type


def _plain_number(value: object, name: str) -> float:
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise Mistake(f"{name} should be one number, but it has shape {tuple(value.shape)}")
        return value.item()
    if getattr(value, "size", 0) == 1:
        return value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        expect_type(value, float, name)
    return float(value)


def _expected(function: Callable) -> float:
    """The mean of `function` over a standard normal number, by the rectangle rule."""
    z = torch.linspace(-9, 9, 40_001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    return (function(z) * density).sum().item() * 18 / 40_000


@exercise("4.1", "A gain by measurement")
def gain(function: object) -> str:
    torch.default_generator.manual_seed(0)
    activations = {
        "tanh": torch.tanh,
        "ReLU": torch.relu,
        "leaky ReLU with slope 0.2": lambda x: F.leaky_relu(x, 0.2),
        "GELU": F.gelu,
        "SiLU": F.silu,
        "no activation": nn.Identity(),
    }
    for name, activation in activations.items():
        value = _plain_number(call(function, activation), "what gain() returns")
        if not math.isfinite(value):
            raise Mistake(f"for {name} gain() gives {value}; draw normal numbers, and divide by what is not 0")
        square = _expected(lambda z, f=activation: f(z).square())
        mean = _expected(activation)
        _judge_gain(value, name, square, mean)
    torch.default_generator.manual_seed(1)
    drawn = [_plain_number(call(function, torch.relu), "what gain() returns") for _ in range(5)]
    if max(abs(value / math.sqrt(2) - 1) for value in drawn) > 0.02:
        raise Mistake("for ReLU the values scatter by more than 2 percent: draw at least 100,000 numbers")
    return "1.53 for GELU and 1.68 for SiLU, which torch does not list; both for inputs of std 1 only, unlike ReLU's"


def _judge_gain(value: float, name: str, square: float, mean: float) -> None:
    """Raise Mistake unless `value` is 1 / sqrt(square); `square` and `mean` are the activation's moments."""
    wanted = 1 / math.sqrt(square)
    if abs(value / wanted - 1) < 0.02:
        return

    def is_near(other: float) -> bool:
        return abs(value / other - 1) < 0.02

    if is_near(1 / wanted):
        raise Mistake(f"for {name} you give {value:.2f}: that is output / input; the gain brings back what is lost")
    if is_near(wanted**2):
        raise Mistake(f"for {name} you give {value:.2f}, a ratio of mean squares; the weights need its square root")
    variance = square - mean**2
    if is_near(1 / math.sqrt(variance)):
        raise Mistake(
            f"for {name} you give {value:.2f}, the ratio of the stds, but its output has a mean: take root mean squares"
        )
    if is_near(1 / variance):
        raise Mistake(f"for {name} you give {value:.2f}, a ratio of variances: root mean squares are asked for")
    raise Mistake(f"for {name} you give {value:.2f}, expected {wanted:.2f}: input standard normal, root mean squares")


class _Branch(nn.Module):
    """A part of the network below: layers inside of layers, as in a tree."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(300, 500, bias=False)
        self.norm = nn.BatchNorm1d(500)
        self.last = nn.Linear(500, 400)


def _tree() -> nn.Sequential:
    net = nn.Sequential(
        nn.Conv2d(30, 120, 3),
        nn.BatchNorm2d(120),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(120, 40, 5, bias=False), nn.ReLU(), nn.Flatten()),
        _Branch(),
    )
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-1, 1)
    return net


@exercise("4.2", "Initialise a whole network")
def initialise(function: object) -> str:
    torch.default_generator.manual_seed(0)
    net = _tree()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    identities = {name: parameter for name, parameter in net.named_parameters()}
    returned = call(function, net)
    expect_type(returned, nn.Module, "what initialise() returns")
    if list(returned.state_dict()) != list(before):
        raise Mistake("the network that comes back has other layers; change the given one in place and return it")
    if returned is not net:
        raise Mistake("initialise() returned another object; change the given network in place and return it")
    for name, parameter in net.named_parameters():
        if parameter is not identities[name] or not parameter.requires_grad:
            raise Mistake(f"{name} was replaced or needs no gradient any more; fill it in place, as nn.init does")
    for name, module in net.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            _has_kaimings_scale(module, name, before)
    for name, module in net.named_modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for part in ("weight", "bias", "running_mean", "running_var"):
                if not torch.equal(getattr(module, part), before[f"{name}.{part}"]):
                    kind = type(module).__name__
                    raise Mistake(f"the {part} of a {kind} was changed; only Linear and Conv2d are meant")
    first = net[0].weight.detach().clone()
    if torch.equal(call(function, net)[0].weight, first):
        raise Mistake("calling it twice gives the same numbers; draw the weights at random, without a fixed seed")
    return "bias=False, layers inside of layers, normalisation left alone: this function serves any network with ReLUs"


def _has_kaimings_scale(module: nn.Module, name: str, before: dict[str, torch.Tensor]) -> None:
    """Raise Mistake unless weight and bias of the layer `name` are as exercise 4.2 asks for."""
    layer = f"the {type(module).__name__} '{name}'"
    weight = module.weight.detach().double()
    if torch.equal(module.weight, before[f"{name}.weight"]):
        depth = "it lies inside another module: walk through net.modules()" if "." in name else "it was not reached"
        raise Mistake(f"the weight of {layer} is still torch's default; {depth}")
    if not bool(weight.isfinite().all()):
        raise Mistake(f"the weight of {layer} holds nan or inf")
    fan_in, fan_out = weight[0].numel(), weight[:, 0].numel()
    std, wanted = weight.std().item(), math.sqrt(2 / fan_in)
    if std == 0:
        raise Mistake(f"all weights of {layer} are equal, so its units can never become different: draw them at random")
    if abs(std / wanted - 1) > 0.03:
        others = {
            math.sqrt(2 / fan_out): "that is fan_out; the scale should come from fan_in, which is the default",
            math.sqrt(1 / fan_in): "that is the gain 1; ReLU needs sqrt(2)",
            math.sqrt(1 / (3 * fan_in)): "that is torch's default with a = sqrt(5) again",
            math.sqrt(2 / (fan_in + fan_out)): "that is Xavier, which does not know that ReLU takes half away",
            math.sqrt(4 / (fan_in + fan_out)): "that is Xavier with ReLU's gain: use fan_in alone, Kaiming's rule",
            math.sqrt(2 / weight.shape[1]): "a kernel looks at in · k · k numbers, and all of them are its fan_in",
        }
        why = next((words for other, words in others.items() if abs(std / other - 1) < 0.03), "it is sqrt(2 / fan_in)")
        raise Mistake(f"the weight of {layer} has std {std:.4f}, expected {wanted:.4f}: {why}")
    if abs(weight.mean().item()) > 0.05 * wanted:
        raise Mistake(f"the weight of {layer} has the mean {weight.mean():.3g}, expected 0")
    if module.bias is not None and bool((module.bias != 0).any()):
        raise Mistake(f"the bias of {layer} is not 0 everywhere: fill it, too")


@exercise("4.3", "The family tree of a loss")
def between(function: object) -> str:
    losses = [nn.CrossEntropyLoss, nn.NLLLoss, nn.BCELoss, nn.MSELoss, nn.BCEWithLogitsLoss, nn.CTCLoss, nn.ReLU]
    for kind in losses:
        answer = call(function, kind)
        expect_type(answer, (list, tuple), "what between() returns")
        names = [entry.__name__ if isinstance(entry, type) else entry for entry in answer]
        for entry in names:
            expect_type(entry, str, "an entry of the list")
        wanted, ancestor = [], kind.__base__  # one parent each, so that one can climb
        while ancestor is not nn.Module:
            wanted.append(ancestor.__name__)
            ancestor = ancestor.__base__
        if names == wanted:
            continue
        where = f"for {kind.__name__} you give {names or 'an empty list'}"
        if "object" in names:
            raise Mistake(f"{where}: object comes after Module; stop before Module")
        if kind.__name__ in names:
            raise Mistake(f"{where}: the class itself stands first in its __mro__; leave it out")
        if "Module" in names:
            raise Mistake(f"{where}: Module does not lie between, leave it out")
        if sorted(names) == sorted(wanted):
            raise Mistake(f"{where}: the right names in the wrong order; Python looks from the class upwards")
        if names == ["_WeightedLoss", "_Loss"]:
            raise Mistake(f"{where}: that is right for CrossEntropyLoss; read the __mro__ of the class that is given")
        raise Mistake(f"{where}, but its __mro__ has {', '.join(wanted) or 'nothing'} between it and Module")
    return "_WeightedLoss keeps the weights, _Loss the reduction, and Module makes a loss movable like a layer"


def _losses_by_loops(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> list[float]:
    """The weighted cross-entropy of each sample, one exponential at a time."""
    found = []
    for row, label in zip(logits.tolist(), targets.tolist(), strict=True):
        probability = math.exp(row[label]) / sum(math.exp(value) for value in row)
        found.append(-weights[label].item() * math.log(probability))
    return found


MEANINGS = {"none": "B", "sum": "D", "mean": "C"}


@exercise("4.4", "The three reductions by hand")
def reductions(meaning_of: object, function: object) -> str:
    expect_type(meaning_of, dict, "meaning_of")
    for name, letter in MEANINGS.items():
        given = meaning_of.get(name)
        if given is None or given is ...:
            raise Mistake(f"the letter for '{name}' is still missing")
        expect_type(given, str, f"the letter for '{name}'")
        if given.strip().upper() == letter:
            continue
        if name == "mean" and given.strip().upper() == "A":
            raise Mistake("'mean' is not A: 1.8210 / 3 is not what came out above; by what was it divided there?")
        raise Mistake(f"'{name}' is not {given.strip().upper()}: look at what the cell above printed for it")
    generator = torch.Generator().manual_seed(0)
    cases = []
    for samples, classes in [(7, 4), (1, 3), (5, 2)]:
        drawn = torch.randint(classes, (samples,), generator=generator)
        scores = 2 * torch.randn(samples, classes, generator=generator)
        cases.append((scores, drawn, 0.5 + 3 * torch.rand(classes, generator=generator)))
    # the lesson's own data last: its class weights add up to 3, which is also its number of samples
    cases.append((torch.tensor([[1.0, 2], [1, 3], [1, 3]]), torch.tensor([0, 1, 1]), torch.tensor([1.0, 2])))
    for logits, targets, weights in cases:
        answer = call(function, logits.clone(), targets.clone(), weights.clone())
        expect_type(answer, dict, "what reduced() returns")
        each = _losses_by_loops(logits, targets, weights)
        for name in MEANINGS:
            value = answer.get(name)
            if value is None:
                raise Mistake(f"the dictionary has no entry '{name}'")
            attempted(value)
            expect_type(value, torch.Tensor, f"reduced(…)['{name}']")
        _judge_none(answer["none"], each, logits, targets, weights)
        expect_tensor(answer["sum"], "reduced(…)['sum']", dtype=torch.float32, shape=())
        expect_close(answer["sum"], sum(each), "reduced(…)['sum']", "it should be the sum of the entries of 'none'")
        expect_tensor(answer["mean"], "reduced(…)['mean']", dtype=torch.float32, shape=())
        _judge_mean(answer["mean"].item(), sum(each), targets, weights)
    return "1.8210 / (1 + 2 + 2) = 0.3642: with weights, 'mean' divides by weight, so only their ratios count"


def _judge_none(
    value: torch.Tensor, each: list[float], logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> None:
    name = "reduced(…)['none']"
    expect_tensor(value, name, dtype=torch.float32, shape=(len(each),))
    wanted, scale = torch.tensor(each), weights[targets]
    if torch.allclose(value, -wanted, atol=1e-4):
        raise Mistake(f"{name} has the wrong sign: a logarithm of a probability is negative, the loss is not")
    if torch.allclose(value, wanted / scale, atol=1e-4) and not torch.allclose(scale, torch.ones_like(scale)):
        raise Mistake(f"{name} has no weights yet: every sample's loss is multiplied by the weight of its class")
    if torch.allclose(value, -scale * logits[torch.arange(len(each)), targets], atol=1e-4):
        raise Mistake(f"{name} is only minus the logit, as from NLLLoss: log sum exp of the row is missing")
    expect_close(value, wanted, name, "it should be weight · (−logit of the class + log of the sum of exponentials)")


def _judge_mean(value: float, total: float, targets: torch.Tensor, weights: torch.Tensor) -> None:
    name, right = "reduced(…)['mean']", total / weights[targets].sum().item()
    if abs(value - right) < 1e-4 * max(1, right):
        return
    wrong = {
        total / len(targets): "you divided by the number of samples; with weights it is the sum of their weights",
        total / weights.sum().item(): "you divided by the sum over the classes; take each sample's weight",
    }
    for other, words in wrong.items():
        if abs(value - other) < 1e-4:
            raise Mistake(f"{name} is {value:.4f}, expected {right:.4f}: {words}")
    raise Mistake(f"{name} is {value:.4f}, expected {right:.4f}: the sum, divided by the samples' weights")


def _descent(pixels: torch.Tensor, digits: torch.Tensor, steps: int) -> tuple[torch.Tensor, list[float]]:
    """The probabilities after `steps` steps of 0.1 from zero, by the formula belief minus truth, and the losses."""
    weight, bias, losses = torch.zeros(pixels.shape[1], 10).double(), torch.zeros(10).double(), []
    truth = torch.eye(10).double()[digits]
    for _ in range(steps + 1):
        powers = (pixels @ weight + bias).exp()
        belief = powers / powers.sum(dim=1, keepdim=True)
        losses.append(-(belief * truth).sum(dim=1).log().mean().item())
        error = (belief - truth) / len(digits)
        weight, bias, last = weight - 0.1 * pixels.T @ error, bias - 0.1 * error.sum(dim=0), belief
    return last, losses[:-1]


@exercise("bug 4.1", "A floor under the loss")
def bug_4_1(function: object) -> str:
    generator = torch.Generator().manual_seed(3)
    digits = torch.arange(30) % 10
    pixels = torch.randn(30, 12, generator=generator, dtype=torch.float64)
    pixels[:, :10] += 3 * torch.eye(10).double()[digits]
    answer = call(function, pixels.clone(), digits.clone(), 60)
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Mistake("train() should still return two things, the net and the list of its losses")
    net, losses = answer
    expect_type(net, nn.Module, "the first thing train() returns")
    expect_type(losses, (list, tuple), "the second thing train() returns")
    if len(losses) != 60:
        raise Mistake(f"train(…, steps=60) noted {len(losses)} losses, expected one for each of the 60 steps")
    losses = [_plain_number(loss, "a loss") for loss in losses]
    if not all(math.isfinite(loss) for loss in losses):
        raise Mistake("the loss becomes nan or inf; the step size was fine before")
    belief, wanted = _descent(pixels, digits, 60)
    _judge_losses(losses, wanted)
    with torch.no_grad():
        out = net(pixels)
    expect_tensor(out, "net(pixels)", dtype=torch.float64, shape=(30, 10))
    if not (torch.allclose(torch.softmax(out, dim=1), belief, atol=1e-5) or torch.allclose(out, belief, atol=1e-5)):
        raise Mistake("the losses are right now, but the net does not give the logits that belong to them")
    return "one softmax, and it is the loss's; a second one kept the best possible loss at log(e + 9) − 1 = 1.4612"


def _judge_losses(losses: list[float], wanted: list[float]) -> None:
    """Raise Mistake unless the losses are those of plain descent on the cross-entropy."""
    if min(losses) < 0:
        raise Mistake(f"the loss is {min(losses):.2f} now, below 0: NLLLoss takes logarithms of probabilities")
    if max(abs(one - other) for one, other in zip(losses, wanted, strict=True)) < 1e-5:
        return
    if abs(losses[0] - math.log(10)) > 1e-3:
        raise Mistake(
            f"the first loss is {losses[0]:.4f}; ten classes and no opinion give log 10 = 2.3026: what is normalised, "
            "and along which dimension?"
        )
    if losses[-1] > math.log(math.e + 9) - 1 and losses[-1] > wanted[-1] + 0.1:
        raise Mistake(
            f"after 60 steps on easy data the loss is {losses[-1]:.2f}, and it cannot fall below 1.46: the loss still "
            "gets numbers between 0 and 1 where it expects logits"
        )
    raise Mistake(
        f"the last loss is {losses[-1]:.4f}, plain descent with steps of 0.1 from zero gives {wanted[-1]:.4f}: "
        "keep layer, optimizer and steps, and repair only what the loss is given"
    )


@exercise("bug 4.2", "Who else is in the room?")
def bug_4_2(function: object) -> str:
    generator = torch.Generator().manual_seed(4)
    scores = 2 * torch.randn(12, 10, generator=generator, dtype=torch.float64)
    rows = [[math.exp(value) for value in row] for row in scores.tolist()]
    right_digit = [row.index(max(row)) for row in rows]
    right_sure = [max(row) / sum(row) for row in rows]
    for size in (1, 12, 10):
        answer = call(function, scores[:size].clone())
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Mistake("how_sure() should still return two things, the digits and their probabilities")
        digit, sure = answer
        expect_type(digit, torch.Tensor, "the first thing how_sure() returns")
        expect_type(sure, torch.Tensor, "the second thing how_sure() returns")
        if digit.is_floating_point() and not sure.is_floating_point():
            raise Mistake("digits and probabilities have changed places: the digits come first")
        for name, value in (("digit", digit), ("sure", sure)):
            if tuple(value.shape) != (size,):
                raise Mistake(f"for {size} pictures {name} has shape {tuple(value.shape)}, one each is ({size},)")
        expect_tensor(digit, "digit", dtype=torch.int64)
        expect_tensor(sure, "sure", dtype=torch.float64)
        wanted = torch.tensor(right_sure[:size]).double()
        if torch.allclose(sure, wanted, atol=1e-6) and digit.tolist() == right_digit[:size]:
            continue
        columns = torch.softmax(scores[:size], dim=0).amax(dim=1)
        if torch.allclose(sure, columns, atol=1e-6):
            raise Mistake(
                f"reported in a batch of {size}, the first picture gets {sure[0]:.2f}, among 12 it gets "
                f"{torch.softmax(scores, dim=0)[0].max():.2f}: the pictures still compete with one another"
            )
        if bool((sure > 1).any()) or bool((sure < 0).any()):
            odd = sure[(sure > 1) | (sure < 0)][0]
            raise Mistake(f"a probability of {odd:.2f} cannot be: logits are no probabilities")
        if torch.allclose(sure, torch.sigmoid(scores[:size]).amax(dim=1), atol=1e-6):
            raise Mistake("a sigmoid for each digit: then the ten probabilities of a picture add up to more than 1")
        if torch.allclose(sure, torch.softmax(scores[:size].flatten(), 0).view(size, 10).amax(dim=1), atol=1e-6):
            raise Mistake("now all numbers of the batch together add up to 1; every picture needs its own 1")
        if torch.allclose(sure, wanted, atol=1e-6):
            raise Mistake("the probabilities are right, the digits are not those that they belong to")
        raise Mistake(
            f"the first picture should get {wanted[0]:.4f}, but it gets {sure[0]:.4f}: what does a row add up to?"
        )
    return "a batch of one gives what a batch of many gives: softmax belongs along the dimension of the classes"
