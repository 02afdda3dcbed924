"""Checks of lessons 3.1 and 3.2: modules, containers, LeNet and AlexNet."""

import copy
import sys

import torch
import torchvision
from torch import nn

from course_utils._arguments import kind
from course_utils.checks.core import (
    Mistake,
    NotAttempted,
    call,
    exercise,
    expect_close,
    expect_tensor,
    expect_type,
)
from course_utils.checks.week3._answers import expect_untouched, the_function, whole_number


@exercise("3.1", "LeNet for other pictures")
def fc1_inputs(function: object) -> str:
    with torch.device("meta"):
        layers = nn.Sequential(nn.Conv2d(3, 6, 5), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2))
        maps = {side: layers(torch.empty(1, 3, side, side)) for side in (32, 28, 64, 33, 35, 100)}
    for side, left in maps.items():
        answer = whole_number(call(function, side), f"fc1_inputs({side})", "// divides whole numbers, / does not")
        wanted, last = left.numel(), left.shape[-1]
        told = f"fc1_inputs({side}) is {answer}, expected {wanted}"
        if answer == 6 * ((side - 4) // 2) ** 2:
            raise Mistake(f"{told}: that is what the first round leaves, with 6 channels; there is a second one")
        if answer == last * last:
            raise Mistake(f"{told}: the places of one map are right, but there are 16 maps")
        if answer in (16 * last, last):
            raise Mistake(f"{told}: a map has {last} rows AND {last} columns")
        if answer in (16 * (side // 4 - 5 + 1) ** 2, 16 * (side // 4) ** 2):
            raise Mistake(f"{told}: each window of 5 takes 4 pixels from the side, before its pooling halves it")
        if answer != wanted and side % 2:
            raise Mistake(f"{told}: even sides are right; for odd ones look at where the poolings round down")
        if answer != wanted:
            raise Mistake(f"{told}: the last map is {last} x {last}; follow the side through the two rounds")
    return "the shape before a linear layer can be known before anything runs; the rest of a network bends with it"


CALLS = {
    "E": "Probe.__init__",
    "C": "Module.__init__ of Probe",
    "B": "Conv2d.__init__",
    "F": "Module.__init__ of Conv2d",
    "D": "Module.register_parameter of weight",
    "A": "Module.__setattr__ of conv1",
}


def _calls_of_a_build() -> str:
    """The letters of exercise 3.2 in the order in which torch really makes these calls."""

    class Probe(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 6, 5)

    seen: list[str] = []

    def note(frame: object, event: str, argument: object) -> None:
        if event != "call":
            return
        function = frame.f_code.co_qualname.rpartition("<locals>.")[2]
        names = frame.f_locals
        seen.extend(
            [
                function,
                f"{function} of {type(names.get('self')).__name__}",
                f"{function} of {names.get('name')}",
            ]
        )

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        Probe()
    finally:
        sys.setprofile(before)
    return "".join(sorted(CALLS, key=lambda letter: seen.index(CALLS[letter])))


@exercise("3.2", "When is _modules built and filled?")
def module_calls(order: object) -> str:
    if not isinstance(order, (str, list, tuple)):
        raise Mistake(f'order should be a text of six letters, such as "ABCDEF", but it is {kind(order)}')
    letters = "".join(character for entry in order for character in str(entry) if character.isalnum()).upper()
    if sorted(letters) != sorted(CALLS):
        raise Mistake(f'order is {letters!r}; each of the letters A to F belongs in it once, such as "ABCDEF"')
    place = letters.index
    if place("E") != 0:
        raise Mistake("LeNet(classes=2) first runs your own __init__; all else is called from there")
    if place("A") < max(place("B"), place("F"), place("D")):
        raise Mistake("the layer gets its name too early: Python works out the right side of = before it assigns")
    if place("C") > place("B"):
        raise Mistake(
            "super().__init__() is the first line: the network's empty _modules is there before any layer is built"
        )
    if place("B") > min(place("F"), place("D")):
        raise Mistake("the layer's dictionaries and parameters are made inside Conv2d.__init__, so that begins before")
    if place("D") < place("F"):
        raise Mistake("weight and bias need the layer's own _parameters: a layer is a module and has to build it first")
    truth = _calls_of_a_build()
    if letters != truth:
        raise Mistake(f"the order is {letters}, but torch makes the calls in another one; print and compare")
    return "the network's room is ready and empty, the layer is finished inside itself, and only then gets its name"


@exercise("3.3", "A layer of your own")
def standardise_layer(layer: object) -> str:
    if isinstance(layer, nn.Module):
        raise Mistake("this check takes the class itself; pass Standardise without ()")
    if not isinstance(layer, type) or not issubclass(layer, nn.Module):
        raise Mistake(f"Standardise should be a class that inherits from nn.Module, but it is {kind(layer)}")
    torch.default_generator.manual_seed(0)
    mean, std = [0.5, -1.0, 2.0], [0.5, 2.0, 4.0]
    module = call(layer, list(mean), list(std))
    # as wide as it has channels: here a wrong shape broadcasts without an error
    square, wide = torch.rand(2, 3, 3, 3), torch.rand(4, 3, 5, 6)
    answer = call(module.forward, square.clone())
    expect_type(answer, torch.Tensor, "what forward() returns")
    expect_tensor(answer, "the output", dtype=torch.float32)
    by_width = (square - torch.tensor(mean)) / torch.tensor(std)
    if answer.shape == square.shape and torch.allclose(answer, by_width, atol=1e-5):
        raise Mistake(
            "mean and std run along the width: a shape (C,) lines up with the last size; channels need (C, 1, 1)"
        )
    expect_tensor(call(module.forward, wide.clone()), "the output", dtype=torch.float32, shape=(4, 3, 5, 6))
    _expect_places(module)
    for x in (square, wide):
        wanted = torch.empty_like(x)
        for channel in range(3):
            wanted[:, channel] = (x[:, channel] - mean[channel]) / std[channel]
        expect_close(module(x.clone()), wanted, "the output", "(x - mean) / std for each channel, gain is 1 at first")
    if module.gain.numel() != 3:
        raise Mistake(f"gain holds {module.gain.numel()} number(s), expected one for each of the 3 channels")
    with torch.no_grad():
        module.gain.copy_(torch.tensor([1.0, 2.0, 3.0]).reshape(module.gain.shape))
    scaled = wanted * torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    expect_close(module(wide.clone()), scaled, "the output with gain 1, 2, 3", "gain should multiply its channel")
    _expect_learning(module, wide)
    if call(module.double().forward, wide.double()).dtype != torch.float64:
        raise Mistake("after .double() the output should be float64; compute with the module's own tensors")
    return "what the network needs travels with it now: into the file, to the card, and the gain is learnt"


def _expect_learning(module: nn.Module, x: torch.Tensor) -> None:
    """Raise Mistake unless a gradient reaches gain and forward leaves its input as it is."""
    given = x.clone()
    answer = module(given)
    expect_untouched(given, x)
    if not module.gain.requires_grad:
        raise Mistake("gain is frozen (its requires_grad is False), so no training will ever change it")
    if answer.requires_grad:
        answer.sum().backward()
    if module.gain.grad is None:
        raise Mistake("the output is right, but no gradient reaches gain: leave .data, detach() and no_grad() out")


def _expect_places(module: nn.Module) -> None:
    """Raise Mistake unless mean and std are buffers that are stored, and gain is the only parameter."""
    parameters, buffers = dict(module.named_parameters()), dict(module.named_buffers())
    for name in ("mean", "std"):
        if name in parameters:
            raise Mistake(f"{name} is a Parameter, so an optimizer would change it; it belongs in a buffer")
        if name not in buffers:
            raise Mistake(
                f"{name} is no buffer: .to(), .double() and state_dict() will forget it; use self.register_buffer"
            )
        if name not in module.state_dict():
            raise Mistake(f"{name} is a buffer, but not stored with the network; leave persistent=False out")
    if "gain" not in parameters:
        place = "a buffer" if "gain" in buffers else "no parameter"
        raise Mistake(f"gain is {place}, so nothing will learn it; assign nn.Parameter(torch.ones(…)) to self.gain")
    extra = sorted(set(parameters) - {"gain"})
    if extra:
        raise Mistake(f"gain should be the only parameter, there is also {', '.join(extra)}")


NAMES = "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5".split()

SETTINGS = (
    "in_channels out_channels kernel_size stride padding dilation groups padding_mode ceil_mode return_indices".split()
)


@exercise("3.4", "AlexNet with names")
def alexnet_names(function: object) -> str:
    with torch.device("meta"):
        features = call(the_function(function))
        truth = torchvision.models.alexnet(weights=None)
    expect_type(features, nn.Sequential, "what named_features() returns")
    names = list(features._modules)
    if len(names) != 13:
        raise Mistake(f"there are {len(names)} layers, expected 13; print(alexnet.features) lists them")
    if names == [str(i) for i in range(13)]:
        raise Mistake("the layers still have numbers for names; give nn.Sequential one OrderedDict, without a star")
    for place, (name, wanted) in enumerate(zip(names, NAMES, strict=True)):
        if name != wanted:
            raise Mistake(f"layer {place} has the name {name!r}, expected {wanted!r}")
    for name, mine, theirs in zip(names, features, truth.features, strict=True):
        if type(mine) is not type(theirs):
            raise Mistake(f"{name} is a {type(mine).__name__}, torchvision's is a {type(theirs).__name__}")
        for setting in SETTINGS:
            got, wanted = (_pair(getattr(layer, setting, None)) for layer in (mine, theirs))
            if got != wanted:
                raise Mistake(f"{name} has {setting} {got}, torchvision's has {wanted}; compare the two lines")
        if (getattr(mine, "bias", None) is None) != (getattr(theirs, "bias", None) is None):
            raise Mistake(f"{name} has no bias; torchvision's has one for each of its channels")
        for parameter in mine.parameters():
            if parameter.dtype != torch.float32:
                raise Mistake(f"the weights of {name} have dtype {parameter.dtype}, torchvision's have torch.float32")
    truth.features = copy.deepcopy(features).to("meta")
    output = truth(torch.empty(1, 3, 224, 224, device="meta"))
    count = sum(parameter.numel() for parameter in truth.parameters())
    if tuple(output.shape) != (1, 1000) or count != 61_100_840:
        raise Mistake(f"with your features AlexNet has {count} parameters and gives {tuple(output.shape)}")
    return f"13 layers with names and still {count:,} parameters; state_dict now says features.conv1.weight"


def _pair(setting: object) -> object:
    """A size as two numbers, as torch reads a single one; numbers of channels stay single."""
    if isinstance(setting, (tuple, list)):
        setting = tuple(setting)
        return setting[0] if len(set(setting)) == 1 else setting
    return setting


class _Odd(nn.Module):
    """A model with all that a census can trip over: an own parameter, nesting, buffers, frozen weights, no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.block = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(nn.Linear(4, 5), nn.PReLU())
        )
        self.block[0].requires_grad_(False)


@exercise("3.5", "A census")
def census(function: object) -> str:
    plain = nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 2))
    nested = nn.Sequential(nn.Sequential(nn.Identity(), nn.ReLU(), nn.Conv2d(2, 3, 5)), nn.Linear(3, 2))
    cases = [
        ("two linear layers", plain, {"0": 7 * 5 + 5, "2": 5 * 2 + 2}),
        ("a block in a network", nested, {"0.2": 3 * (2 * 5 * 5 + 1), "1": 3 * 2 + 2}),
        (
            "a model with an own parameter, batch norm and a frozen layer",
            _Odd(),
            {"": 3, "block.0": 4 * 3 * 9, "block.1": 4 + 4, "block.3.0": 4 * 5 + 5, "block.3.1": 1},
        ),
    ]
    for text, model, wanted in cases:
        answer = call(function, model)
        expect_type(answer, dict, "what census() returns")
        if not answer:
            raise NotAttempted("not attempted yet")
        _compare_census(text, model, answer, wanted)
    return "the sum is right because every number is counted where it lives, and nowhere else"


def _compare_census(text: str, model: nn.Module, answer: dict, wanted: dict[str, int]) -> None:
    """Raise Mistake for the first difference between the two counts."""
    for name in answer:
        expect_type(name, str, "a key")
    hint = "p.numel() gives whole numbers"
    counts = {name: whole_number(number, f"the count of {name!r}", hint) for name, number in answer.items()}
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
    if set(counts) & (set(parameters) - {"scale"}):
        raise Mistake("the keys name parameters (such as 0.weight); an entry is a module: weight and bias together")
    unknown = [name for name in counts if name not in modules]
    if unknown:
        if whole := [name for name in wanted if name.rpartition(".")[2] == unknown[0]]:
            raise Mistake(f"{text}: {unknown[0]!r}: the key should be the whole dotted name, such as {whole[0]!r}")
        raise Mistake(f"{text}: {unknown[0]!r} is the name of no module; named_modules() gives the dotted names")
    filled = {name for name, number in counts.items() if number}
    if sum(counts.values()) > sum(wanted.values()) and filled - set(wanted):
        raise Mistake(
            f"{text}: {sum(wanted.values())} numbers, but your sum is {sum(counts.values())}: parameters() also walks "
            "into the children, so they are counted again"
        )
    empty = [name for name, number in counts.items() if number == 0]
    if empty:
        raise Mistake(f"{text}: {type(modules[empty[0]]).__name__} {empty[0]!r} has no parameters; leave it out")
    if too_high := [name for name in counts if name not in wanted]:
        raise Mistake(
            f"{text}: {too_high[0]!r} has none of its own, they belong to modules inside it; walk the whole tree"
        )
    for name in wanted:
        if name in counts:
            continue
        if name == "":
            raise Mistake(f"{text}: the entry '' is missing; the model itself may have parameters too")
        if not any(parameter.requires_grad for parameter in modules[name].parameters()):
            raise Mistake(f"{text}: the entry {name!r} is missing; a frozen parameter is a parameter too")
        raise Mistake(f"{text}: the entry {name!r} is missing; {type(modules[name]).__name__} has parameters")
    for name, number in wanted.items():
        if counts[name] == number + sum(buffer.numel() for buffer in modules[name].buffers()) != number:
            raise Mistake(f"{text}: {name!r} has {number} parameters, not {counts[name]}: buffers are no parameters")
        if counts[name] != number:
            raise Mistake(f"{text}: {name!r} has {number} numbers, not {counts[name]}; weight and bias, all sizes")


@exercise("bug 3.1", "The copy that knows nothing")
def bug_3_1(network: object) -> str:
    _expect_class(network, "Deep")
    torch.default_generator.manual_seed(0)
    x = torch.linspace(-2, 2, 40).unsqueeze(1)
    for depth in (3, 5):
        net, twin = call(network, depth), call(network, depth)
        expect_type(net, nn.Module, "Deep(depth)")
        given = x.clone()
        output = call(net.forward, given)
        expect_tensor(output, "the output", dtype=torch.float32, shape=(40, 1), requires_grad=True)
        expect_untouched(given, x)
        numbers, ends, hidden = sum(p.numel() for p in net.parameters()), 16 + 16 + 16 + 1, 16 * 16 + 16
        if numbers == ends:
            raise Mistake(
                f"Deep({depth}) knows {numbers} parameters, of first and last: the hidden layers are not registered"
            )
        if numbers == ends + hidden:
            raise Mistake(
                f"Deep({depth}) has one hidden layer under {depth} names: [layer] * {depth} repeats the same object"
            )
        if numbers != ends + depth * hidden:
            raise Mistake(f"Deep({depth}) should have {ends + depth * hidden} parameters, but it has {numbers}")
        if frozen := [name for name, p in net.named_parameters() if not p.requires_grad]:
            raise Mistake(f"{frozen[0]} is frozen (its requires_grad is False), so the training leaves it as it is")
        output.sum().backward()
        unused = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        if unused:
            raise Mistake(f"all layers are registered now, but forward does not use {unused[0]}: it gets no gradient")
        twin.load_state_dict(net.state_dict())
        if not torch.allclose(twin(x), net(x), atol=1e-6):
            raise Mistake("a copy with the same state_dict still computes something else; what is not in it?")
        if _is_straight(net):
            raise Mistake("the network can only draw a straight line now; keep the tanh after every layer but the last")
    return "a plain list is invisible: not learnt, not stored, not moved, and not one message; count the parameters"


def _is_straight(net: nn.Module) -> bool:
    """Whether the network of one input draws a straight line, as layers without a bend between them do."""
    with torch.no_grad():
        drawn = net(torch.linspace(-8, 8, 101).unsqueeze(1)).flatten()
    line = drawn[0] + (drawn[-1] - drawn[0]) * torch.linspace(0, 1, 101)
    return bool((drawn - line).abs().max() <= 1e-3 * (drawn.max() - drawn.min()))


@exercise("bug 3.2", "Guessing among ten")
def bug_3_2(network: object) -> str:
    _expect_class(network, "Reader")
    torch.default_generator.manual_seed(0)
    net = call(network)
    expect_type(net, nn.Module, "Reader()")
    net.eval()
    for count in (6, 5):
        pictures = torch.rand(count, 1, 28, 28)
        scores = call(net.forward, pictures.clone())
        expect_tensor(scores, "the output", dtype=torch.float32, shape=(count, 10), requires_grad=True)
        if torch.allclose(scores, scores[:1].expand_as(scores), atol=1e-6):
            raise Mistake("all pictures of a batch get the same ten scores; each one needs a row of its own numbers")
        alone = torch.cat([call(net.forward, picture[None].clone()) for picture in pictures])
        if not torch.allclose(scores, alone, atol=1e-5):
            raise Mistake(
                "a picture alone gets other scores than the same picture in a batch: "
                "each row before fc holds numbers of several pictures"
            )
        for sums, name in ((scores.exp().sum(dim=1), "log-probabilities"), (scores.sum(dim=1), "probabilities")):
            if torch.allclose(sums, torch.ones(count), atol=1e-5):
                raise Mistake(f"forward gives {name}; cross_entropy wants the scores of fc as they are")
    numbers = sum(p.numel() for p in net.parameters())
    if numbers != 5_142:
        raise Mistake(f"no picture meets another now, but the layers changed: {numbers} parameters instead of 5142")
    if not all(isinstance(getattr(net, name, None), nn.Module) for name in ("conv1", "conv2", "fc")):
        raise Mistake("keep the three layers conv1, conv2 and fc; only the way between them is wrong")
    # the gradient of the summed scores is, in every row of fc.weight, the sum of the numbers that fc was given
    net(pictures.clone()).sum().backward()
    for name, parameter in net.named_parameters():
        if parameter.grad is None:
            raise Mistake(f"every picture has its own row, but no gradient reaches {name}, so it will not learn")
    maps = pictures
    for conv in (net.conv1, net.conv2):
        maps = nn.functional.max_pool2d(torch.relu(conv(maps)), 2)
    given = maps.flatten(1).sum(dim=0)
    if not torch.allclose(net.fc.weight.grad[0].sort().values, given.sort().values, atol=1e-3):
        raise Mistake("every picture has its own row, but it does not hold the picture's own 256 numbers, each once")
    return "a right shape is no proof; one picture alone and in company is a test that takes two lines"


def _expect_class(answer: object, name: str) -> None:
    if isinstance(answer, nn.Module):
        raise Mistake(f"this check takes the class itself; pass {name} without ()")
    if not isinstance(answer, type) or not issubclass(answer, nn.Module):
        raise Mistake(f"{name} should still be a class that inherits from nn.Module, but it is {kind(answer)}")
