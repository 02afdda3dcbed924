"""The checks of exercises 4.9 to 4.12 and of bugs 4.5 and 4.6: optimizers.

Each compares with something other than the solution: a descent that is run, steps counted number by number, torch.
"""

import copy
import math

import torch
from torch import nn

from course_utils.checks.core import Mistake, attempted, call, exercise, expect_type, plain_number
from course_utils.errors import in_words


@exercise("4.9", "The rate at which it breaks")
def breaking_rate(function: object) -> str:
    torch.default_generator.manual_seed(0)
    for curvatures in ([1.0, 4.0], [0.5, 3.0, 20.0], [2.0, 2.5, 3.0, 8.0]):
        top, low = max(curvatures), min(curvatures)
        axes = torch.linalg.qr(torch.randn(len(curvatures), len(curvatures), dtype=torch.float64))[0]
        matrix = axes @ torch.diag(torch.tensor(curvatures, dtype=torch.float64)) @ axes.T
        matrix = (matrix + matrix.T) / 2
        answer = call(function, matrix.clone())
        if isinstance(answer, torch.Tensor) and answer.numel() > 1:
            raise Mistake(f"one rate serves all axes, but yours has shape {tuple(answer.shape)}; take the critical one")
        rate = plain_number(answer, "what breaking_rate() returns")
        if not math.isfinite(rate) or rate <= 0:
            raise Mistake(f"a learning rate is a positive number, but yours is {rate:g}")
        grows_below, grows_above = (_grows(matrix, rate * share) for share in (0.98, 1.02))
        if not grows_below and grows_above:
            continue
        if math.isclose(rate, 1 / top, rel_tol=1e-3):
            raise Mistake("at 1 / curvature the steepest axis lands on 0 in one step; it breaks only at factor -1")
        if math.isclose(rate, 2 / low, rel_tol=1e-3):
            raise Mistake("you took the flattest axis; at this rate the steepest one has flown off long before")
        if math.isclose(rate, 2 / matrix.diagonal().max().item(), rel_tol=1e-3):
            raise Mistake(
                "the diagonal holds the curvatures only where the valley lies along the axes; take eigenvalues"
            )
        if math.isclose(rate, 2 / sum(curvatures), rel_tol=1e-3):
            raise Mistake("you added all curvatures up; each axis goes its own way, and the steepest breaks first")
        word = "still comes down from every start a little above" if not grows_below else "already flies off below"
        raise Mistake(f"for the curvatures {curvatures} descent {word} your rate {rate:.4g}: look for the factor -1")
    return "the steepest axis sets the limit, and at half of this rate it lands on 0 in one step"


def _grows(matrix: torch.Tensor, rate: float) -> bool:
    """Is some start further from 0 after 500 steps of gradient descent? Every axis is a start."""
    w = torch.eye(len(matrix), dtype=matrix.dtype)
    for _ in range(500):
        w = w - rate * (matrix @ w)
        if w.norm() > 1e6:
            return True
    return bool(w.norm() > math.sqrt(len(matrix)))


@exercise("4.10", "Three groups")
def three_groups(function: object) -> str:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = call(function, net)
    expect_type(optimizer, torch.optim.SGD, "what three_groups() returns")
    groups = optimizer.param_groups
    if len(groups) != 3:
        raise Mistake(f"the optimizer has {len(groups)} group(s), expected 3: one for each linear layer")
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    held = [[names.get(id(parameter), "a stranger") for parameter in group["params"]] for group in groups]
    wanted = [[f"{layer}.weight", f"{layer}.bias"] for layer in (0, 2, 4)]
    for number, (has, should) in enumerate(zip(held, wanted, strict=True)):
        if sorted(has) == sorted(should):
            continue
        if sorted(map(sorted, held)) == sorted(map(sorted, wanted)):
            raise Mistake(f"group {number} holds {', '.join(has)}: the groups are there, but in another order")
        missing = [name for name in should if name not in sum(held, [])]
        if missing:
            raise Mistake(f"{', '.join(missing)} is in no group and would never be learnt; give .parameters()")
        raise Mistake(f"group {number} holds {', '.join(has)}, expected {', '.join(should)}")
    pairs = [(group["lr"], group["momentum"]) for group in groups]
    expected = [(0.01, 0.9), (0.02, 0.8), (0.03, 0.7)]
    for number, (pair, should) in enumerate(zip(pairs, expected, strict=True)):
        for name, value, truth in zip(("lr", "momentum"), pair, should, strict=True):
            if math.isclose(value, truth, rel_tol=1e-6):
                continue
            if number and math.isclose(value, expected[0][name == "momentum"], rel_tol=1e-6):
                raise Mistake(f"group {number} has {name} {value:g}, the default of this optimizer; name {name} in it")
            raise Mistake(f"group {number} has {name} {value:g}, expected {truth:g}")
    return "each group has its own lr and momentum and took the other settings from the defaults"


FIRST_STEPS = {
    "SGD": lambda params: torch.optim.SGD(params, lr=0.1),
    "SGD, momentum 0.9": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9),
    "SGD, momentum 0.9, nesterov": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True),
    "Adagrad": lambda params: torch.optim.Adagrad(params, lr=0.1),
    "RMSprop": lambda params: torch.optim.RMSprop(params, lr=0.1),
    "Adam": lambda params: torch.optim.Adam(params, lr=0.1),
    "Adamax": lambda params: torch.optim.Adamax(params, lr=0.1),
    "RAdam": lambda params: torch.optim.RAdam(params, lr=0.1),
}
WHY = {
    "SGD": "nothing is divided and nothing remembered: lr times the gradient",
    "SGD, momentum 0.9": "before the first step the buffer is empty, and it starts with the whole gradient",
    "SGD, momentum 0.9, nesterov": "the gradient, and 0.9 of the buffer, which is the gradient too",
    "Adagrad": "the sum holds one squared gradient, so its root is the gradient itself",
    "RMSprop": "its average starts at 0 and takes in only a hundredth of the square; nothing corrects that",
    "Adam": "after the correction both averages are the gradient and its square",
    "Adamax": "the largest gradient so far is this one",
    "RAdam": "with one square in its average it does not dare to divide",
}


@exercise("4.11", "The first step")
def first_step(answers: object) -> str:
    expect_type(answers, dict, "first_step")
    for name, build in FIRST_STEPS.items():
        given = answers.get(name)
        if given is None or given is ...:
            raise Mistake(f"the number for {name} is still missing")
        given = plain_number(given, name)
        weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        weight.grad = torch.full_like(weight, 100.0)
        build([weight]).step()
        truth = abs(weight.item())
        if math.isclose(given, truth, rel_tol=0.01):
            continue
        if math.isclose(given, -truth, rel_tol=0.01):
            raise Mistake(f"{name}: the direction is right, but asked is the length, a positive number")
        raise Mistake(f"{name}: the step is not {given:g} long: {WHY[name]}")
    unknown = [name for name in answers if name not in FIRST_STEPS]
    if unknown:
        raise Mistake(f"{unknown[0]!r} was not asked for; keep the eight names of the table")
    return "who divides by the gradient's size steps by about lr, who does not steps by lr times the gradient"


@exercise("4.12", "One that is not on the shelf")
def lion(kind: object) -> str:
    if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)):
        raise Mistake("the check takes your class itself; it has to inherit from torch.optim.Optimizer")
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(2, 3, dtype=torch.float64, generator=generator)
    gradients = torch.randn(6, 2, 3, dtype=torch.float64, generator=generator)
    weight = start.clone().requires_grad_()
    optimizer = call(kind, [weight])
    _steps(optimizer, weight, gradients[:1])
    if torch.equal(weight, start):
        attempted(dict(optimizer.state.get(weight, {})) or ...)
        raise Mistake("step() moves nothing; change the parameter in place, with p.mul_, p.add_, p.sub_")
    if weight.grad is None or not torch.equal(weight.grad, gradients[0]):
        raise Mistake("step() changed the gradient, which other code may still read; work on a copy")
    moved = (weight.detach() - start).abs()
    if not torch.allclose(moved, torch.full_like(moved, 0.001), atol=1e-9):
        raise Mistake("the first step should move every number by exactly lr = 0.001: where is the sign?")
    if torch.allclose(weight, start + 0.001 * gradients[0].sign(), atol=1e-9):
        raise Mistake("the first step goes up the gradient; the update is subtracted")
    for settings in ({"lr": 0.1}, {"lr": 0.1, "betas": (0.5, 0.8)}, {"lr": 0.1, "weight_decay": 0.5}):
        _follows_the_rule(kind, start, gradients, settings)
    _keeps_the_contract(kind, start, gradients)
    return "sign, memory, decay beside the step: with its state and its groups it is a full member of the family"


def _steps(optimizer: torch.optim.Optimizer, weight: torch.Tensor, gradients: torch.Tensor) -> None:
    """One step for each of the gradients (T, …); an error of the learner's becomes a Mistake."""
    for gradient in gradients:
        weight.grad = gradient.clone()
        try:
            optimizer.step()
        except Exception as error:
            raise Mistake(f"your step() stopped with {in_words(error, 120)}") from None


def _by_numbers(
    start: torch.Tensor, gradients: torch.Tensor, lr: float, betas: tuple, weight_decay: float, variant: str = ""
) -> torch.Tensor:
    """Lion's places after all gradients, number by number; `variant` names a mistake to make."""
    ends = []
    for place, series in zip(start.flatten().tolist(), gradients.flatten(1).T.tolist(), strict=True):
        memory = 0.0
        for gradient in series:
            mixed = betas[0] * memory + (1 - betas[0]) * gradient
            fresh = betas[1] * memory + (1 - betas[1]) * gradient
            used = {"new memory": fresh, "old memory": memory, "no memory": gradient, "one beta": mixed}
            mixed = used.get(variant, mixed) + (weight_decay * place if variant == "decay inside" else 0)
            sign = (mixed > 0) - (mixed < 0)
            decay = {"decay inside": 0.0, "no decay": 0.0, "decay without lr": weight_decay}
            place = place * (1 - decay.get(variant, lr * weight_decay)) - lr * sign
            memory = betas[0] * memory + (1 - betas[0]) * gradient if variant == "one beta" else fresh
        ends.append(place)
    return torch.tensor(ends, dtype=torch.float64).reshape(start.shape)


VARIANTS = {
    "new memory": "the sign is taken of the new m; u needs the old m, mixed with the gradient by beta1",
    "old memory": "the sign is taken of the old m alone; mix in the new gradient with 1 - beta1",
    "no memory": "your steps are the signs of the gradients alone; m never enters: is it stored in state?",
    "one beta": "m is updated with beta1; it has a factor of its own, beta2",
    "decay inside": "weight decay went into the gradient, where the sign swallows it; it belongs beside the step",
    "no decay": "weight_decay does nothing: multiply the weight by 1 - lr * weight_decay",
    "decay without lr": "the weights decay too fast: the factor is 1 - lr * weight_decay, with lr",
}


def _follows_the_rule(kind: type, start: torch.Tensor, gradients: torch.Tensor, settings: dict) -> None:
    """Raise Mistake, naming the likely one, unless six steps end where the rule says."""
    weight = start.clone().requires_grad_()
    optimizer = call(lambda: kind([weight], **settings))
    _steps(optimizer, weight, gradients)
    full = {"lr": 0.001, "betas": (0.9, 0.99), "weight_decay": 0.0} | settings
    if torch.allclose(weight, _by_numbers(start, gradients, **full), atol=1e-9):
        return
    for variant, words in VARIANTS.items():
        if torch.allclose(weight, _by_numbers(start, gradients, **full, variant=variant), atol=1e-9):
            raise Mistake(words)
    raise Mistake(
        f"after six steps with {settings} the weights are not where the rule leads; go through it line by line"
    )


def _keeps_the_contract(kind: type, start: torch.Tensor, gradients: torch.Tensor) -> None:
    """Raise Mistake unless groups, missing gradients and state_dict work as in torch's optimizers."""
    slow, fast, idle = (start.clone().requires_grad_() for _ in range(3))
    optimizer = call(lambda: kind([{"params": [slow, idle]}, {"params": [fast], "lr": 0.1}], lr=0.001))
    fast.grad = gradients[0].clone()
    _steps(optimizer, slow, gradients[:1])
    if not torch.equal(idle, start):
        raise Mistake("a parameter without a gradient was moved; skip those whose p.grad is None")
    lengths = [(weight.detach() - start).abs().mean().item() for weight in (slow, fast)]
    if not math.isclose(lengths[1], 100 * lengths[0], rel_tol=1e-4):
        raise Mistake("two groups with lr 0.001 and 0.1 do not move by 0.001 and 0.1; read lr from the group")
    weight = start.clone().requires_grad_()
    first = call(lambda: kind([weight], lr=0.1))
    _steps(first, weight, gradients[:3])
    twin = weight.detach().clone().requires_grad_()
    second = call(lambda: kind([twin], lr=0.1))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    _steps(first, weight, gradients[3:])
    _steps(second, twin, gradients[3:])
    if not torch.allclose(weight, twin, atol=1e-9):
        raise Mistake(
            "after state_dict and load_state_dict it goes on differently; the memory belongs into self.state[p]"
        )


@exercise("bug 4.5", "The new head")
def bug_4_5(function: object) -> str:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 10
    images = torch.rand(400, 784, dtype=torch.float64, generator=generator) * 0.3
    images[torch.arange(400), labels * 70] = 4.0  # a class is one bright pixel: easy to learn
    returned = call(function, images, labels)
    if not (isinstance(returned, (tuple, list)) and len(returned) == 3):
        raise Mistake("fine_tune should return three things: the network, its optimizer, the losses")
    net, optimizer, losses = returned
    expect_type(net, nn.Module, "the first thing fine_tune() returns")
    expect_type(optimizer, torch.optim.Optimizer, "the second thing fine_tune() returns")
    with torch.no_grad():
        scores = call(net, images[:3])
    if tuple(scores.shape) != (3, 10):
        raise Mistake(f"for three pictures the network gives {tuple(scores.shape)}; it should end in ten scores each")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    own = dict(net.named_parameters())
    if any(parameter.requires_grad for name, parameter in own.items() if parameter.shape in [(64, 784), (64,)]):
        raise Mistake("the features are trained as well now, and should stay frozen; the fault is another")
    last = [parameter for parameter in own.values() if parameter.shape[0] == 10]
    if not all(id(parameter) in held for parameter in last):
        strangers = len(held - {id(parameter) for parameter in own.values()})
        if not strangers:
            raise Mistake(
                "every tensor that the optimizer holds is the network's, but the last layer is not among them"
            )
        raise Mistake(
            f"the last layer never moves: {strangers} tensors that the optimizer holds are not in the network"
        )
    losses = [plain_number(loss, "a loss") for loss in losses]
    if not losses or not losses[-1] < 0.5 * losses[0]:
        raise Mistake(
            "the optimizer holds the last layer now, but the loss hardly falls; leave rate and rounds as given"
        )
    return "an optimizer holds tensors, not names: build the model to its end first, then the optimizer"


@exercise("bug 4.6", "The cold thermometer")
def bug_4_6(function: object) -> str:
    for net in (
        nn.Sequential(nn.RMSNorm(2), nn.Linear(2, 1)),
        nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)),
    ):
        net.double()
        kinds = _kinds(net)
        for parameter in net.parameters():
            nn.init.constant_(parameter, 1.0)
        optimizer = call(function, net)
        expect_type(optimizer, torch.optim.Optimizer, "what make_optimizer() returns")
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for name, parameter in net.named_parameters():
            if id(parameter) not in held:
                raise Mistake(f"{name} ({kinds[name]}) is in no group: it will not decay, but it will not learn either")
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        decayed = {name: bool((p != 1).any()) for name, p in net.named_parameters()}
        found = {kind: {decayed[name] for name in kinds if kinds[name] == kind} for kind in set(kinds.values())}
        if found["a weight matrix"] == {False}:
            if not any(decayed.values()):
                raise Mistake("now nothing decays any more; the weight matrices should, with 0.1 as before")
            raise Mistake("it is the wrong way round: the matrices are spared, and something else decays")
        if True in found.get("a bias", set()) and True in found["a gain"]:
            raise Mistake("with a gradient of 0 biases and gains still move: what pulls them towards 0?")
        if True in found.get("a bias", set()):
            raise Mistake("the gains are free now, but a bias still decays, and it should carry the mean")
        if True in found["a gain"]:
            raise Mistake("the biases are free now, but the gain of a normalisation layer still decays")
        if False in found["a weight matrix"]:
            raise Mistake(
                "one of the weight matrices does not decay; tell them apart by their dimensions, not by place"
            )
        groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
        for name, parameter in net.named_parameters():
            if kinds[name] == "a weight matrix":
                decay = groups[id(parameter)]["weight_decay"]
                if not math.isclose(decay, 0.1, rel_tol=1e-6):
                    raise Mistake(f"the matrices decay with {decay:g} now; their 0.1 was meant to stay")
    return "decay is for what multiplies the inputs; biases and gains set the level, and are left free"


def _kinds(net: nn.Module) -> dict[str, str]:
    """For each parameter's name: "a weight matrix", "a bias" or "a gain"."""
    kinds = {}
    for place, module in net.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            matrix = isinstance(module, nn.Linear) and name == "weight"
            kinds[f"{place}.{name}"] = "a weight matrix" if matrix else "a bias" if name == "bias" else "a gain"
    return kinds
