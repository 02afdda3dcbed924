"""The checks of exercises 5.13 to 5.15 and of bug 5.4: class activation maps, Grad-CAM, boxes from maps.

The oracles go other ways than the solutions: the classifier is asked at every place, the head of the network is
differentiated by itself, pixels are counted one by one.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course_utils._arguments import kind
from course_utils.checks.core import Mistake, call, exercise, expect_tensor, plain_number
from course_utils.checks.week5.hooks import waiting


@exercise("5.13", "Maps for a batch")
def class_maps(function: object) -> str:
    torch.default_generator.manual_seed(0)
    for count, channels, kinds, height, width in ((3, 5, 5, 4, 6), (4, 7, 3, 2, 2)):
        features = torch.rand(count, channels, height, width)
        classifier = nn.Linear(channels, kinds)
        classes = torch.tensor([2, 0, 1, 1])[:count]
        truth, given = _asked_everywhere(features, classifier, classes), features.clone()
        values = [parameter.detach().clone() for parameter in classifier.parameters()]
        found = call(function, given, classifier, classes.clone())
        if any(not torch.equal(now, was) for now, was in zip(classifier.parameters(), values, strict=True)):
            raise Mistake("class_maps() changed the classifier's weight or bias; looking must not train")
        if not torch.equal(given, features):
            raise Mistake("class_maps() wrote into the features that it was given; make a new tensor")
        if isinstance(found, (list, tuple)) and all(isinstance(entry, torch.Tensor) for entry in found):
            shapes = {tuple(entry.shape) for entry in found}
            if shapes != {(height, width)}:
                raise Mistake(f"your list holds {len(found)} tensors of shapes {sorted(shapes)}; give (N, h, w)")
            found = torch.stack(list(found))
        if isinstance(found, torch.Tensor) and found.shape == (count, kinds, height, width):
            raise Mistake("you have the maps of all classes, (N, K, h, w); of each picture only its own is asked")
        if isinstance(found, torch.Tensor) and found.shape == (height, width):
            raise Mistake("you give one map for the whole batch; each of the N pictures has its own")
        expect_tensor(found, "what class_maps() returns", dtype=torch.float32, shape=(count, height, width))
        found = found.detach()
        if not torch.allclose(found, truth, atol=1e-5):
            raise Mistake(_wrong_maps(found, truth, features, classifier, classes))
    return "the mean of each map, plus the bias of its class, is the logit of that picture and class"


def _asked_everywhere(features: torch.Tensor, classifier: nn.Linear, classes: torch.Tensor) -> torch.Tensor:
    """The classifier decides at every place by itself, then its bias is taken off: (N, h, w)."""
    count, _, height, width = features.shape
    maps = torch.empty(count, height, width)
    with torch.no_grad():
        for n in range(count):
            for i in range(height):
                for j in range(width):
                    maps[n, i, j] = classifier(features[n, :, i, j])[classes[n]] - classifier.bias[classes[n]]
    return maps


def _wrong_maps(found, truth, features, classifier, classes) -> str:
    weight, bias = classifier.weight.detach(), classifier.bias.detach()
    count, channels, height, width = features.shape
    if torch.allclose(found, truth + bias[classes][:, None, None], atol=1e-5):
        return "the bias is in every pixel; the map is the weighted sum alone"
    if torch.allclose(found, truth.relu(), atol=1e-5):
        return "the negative values are gone; a CAM keeps what speaks against the class"
    if torch.allclose(found, truth / channels, atol=1e-5):
        return "you took the mean over the channels; the map is their weighted sum, not an average"
    if torch.allclose(found, truth / (height * width), atol=1e-5):
        return "every value is divided by h * w; that division belongs to the pooling, not to the map"
    rows = weight[classes]
    if torch.allclose(found, truth / rows.sum(1)[:, None, None], atol=1e-4):
        return "you divided by the sum of the weights; a CAM is a weighted sum, not a weighted average"
    soft = torch.stack([torch.tensordot(s, f, 1) for s, f in zip(rows.softmax(1), features, strict=True)])
    if torch.allclose(found, soft, atol=1e-5):
        return "the weights went through a softmax; take the row of the classifier as it is"
    for n, row in enumerate(weight[classes]):
        same = torch.stack([torch.tensordot(row, f, 1) for f in features])
        if torch.allclose(found, same, atol=1e-5):
            return f"all pictures got the row of class {classes[n]}; picture n has its own class, classes[n]"
    if weight.shape[0] == weight.shape[1]:
        columns = weight.T[classes]
        turned = torch.stack([torch.tensordot(c, f, 1) for c, f in zip(columns, features, strict=True)])
        if torch.allclose(found, turned, atol=1e-5):
            return "you took columns of the weight; it has shape (K, C), and a class is a row of it"
    return "the shape is right, but other values: each picture's maps times the row of its own class, summed"


class _Small(nn.Module):
    """Two convolutions and a head that bends: CAM does not exist here, Grad-CAM does."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh())
        self.second = nn.Sequential(nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.Tanh())
        places = ((side + 1) // 2) * ((side + 3) // 2)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(5 * places, 6), nn.Tanh(), nn.Linear(6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(x)))


@exercise("5.14", "Grad-CAM that leaves no trace")
def grad_cam(function: object) -> str:
    torch.default_generator.manual_seed(1)
    for side, place, wanted in ((6, "second", [0, 2, 2]), (6, "second", [1]), (8, "first", [2, 0])):
        net = _Small(side).double().eval()
        pictures = torch.rand(len(wanted), 2, side, side + 2, dtype=torch.float64)
        layer = getattr(net, place)
        with torch.no_grad():
            maps = net.first(pictures) if place == "first" else net.second(net.first(pictures))
        rest = net.head if place == "second" else nn.Sequential(net.second, net.head)
        parameters = list(net.parameters())
        for parameter in parameters[1:]:
            parameter.grad = torch.ones_like(parameter)  # somebody is between backward() and step()
        values = [parameter.detach().clone() for parameter in parameters]
        before_it = waiting(net)
        found = call(function, net, pictures.clone(), layer, torch.tensor(wanted))
        _no_trace(net, parameters, values, waiting(net) - before_it)
        if isinstance(found, (list, tuple)) and all(isinstance(entry, torch.Tensor) for entry in found):
            shapes = {tuple(entry.shape) for entry in found}
            if shapes != {tuple(maps.shape[2:])}:
                raise Mistake(f"your list holds {len(found)} tensors of shapes {sorted(shapes)}; give (N, h, w)")
            found = torch.stack(list(found))
        if isinstance(found, torch.Tensor) and found.shape == maps.shape[2:]:
            raise Mistake("you give one map for the whole batch; each of the N pictures has its own, (N, h, w)")
        expect_tensor(found, "what grad_cam() returns", dtype=torch.float64, shape=(len(wanted), *maps.shape[2:]))
        slopes = torch.stack(  # (N, classes, C, h, w): the head is asked for one picture at a time
            [torch.autograd.functional.jacobian(rest, one[None])[0, :, 0] for one in maps]
        )
        for n in range(len(wanted)):
            _same_map(found[n].detach(), slopes, maps[n], rest, wanted, n)
    _after_an_error(function)
    return "slopes of one score down to one layer, and the network did not notice"


def _summed(maps: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
    return (maps * alphas[:, None, None]).sum(0)


def _same_map(found, all_slopes, maps, rest, classes, n) -> None:
    """Compares the map of picture n; all_slopes is (N, classes, C, h, w), maps are its own (C, h, w)."""
    slopes, wanted = all_slopes[n], classes[n]

    def close(other: torch.Tensor) -> bool:
        return torch.allclose(found, other, rtol=1e-6, atol=1e-12)

    alphas = slopes.mean((2, 3))
    signed = _summed(maps, alphas[wanted])
    if close(signed.relu()):
        return
    if close(signed):
        raise Mistake("the map has negative values; the ReLU after the sum is missing")
    if close(signed.abs()):
        raise Mistake("abs() counts what speaks against the class as if it spoke for it; use ReLU")
    if close(_summed(maps, slopes[wanted].sum((1, 2))).relu()):
        raise Mistake("alpha is the mean of the slopes over all places, but yours is their sum")
    if close((maps * slopes[wanted]).sum(0).relu()):
        raise Mistake("every place has its own slope here; first take the mean over the places, one alpha for a map")
    if close(signed.relu() / len(maps)):
        raise Mistake("you took the mean over the maps; they are summed, each with its alpha")
    if close(_summed(maps, slopes[wanted].relu().mean((1, 2))).relu()):
        raise Mistake("negative slopes were cut before the mean; they count, and ReLU comes once, after the sum")
    if close(_summed(maps.relu(), alphas[wanted].relu()).relu()) or close(_summed(maps, alphas[wanted].relu()).relu()):
        raise Mistake("negative alphas were cut; they count, and ReLU comes once, after the sum")
    for index, others in enumerate(alphas):
        if index != wanted and close(_summed(maps, others).relu()):
            raise Mistake(f"picture {n} has the map of class {index}, but class {wanted} was asked: use classes[{n}]")
    if close(_summed(maps, alphas.sum(0)).relu()):
        raise Mistake("you added up the scores of all classes; of each picture one logit is asked, its own class")
    if close(_summed(maps, alphas[classes].sum(0)).relu()):
        raise Mistake("scores[:, classes] is a table of N x N scores; in each row only its own class counts")
    if close(_summed(maps, alphas[wanted] / len(classes)).relu()):
        raise Mistake("every map is divided by N: the mean over the batch does that; take the sum of the scores")
    if close(_summed(maps, torch.stack([all_slopes[i, c].mean((1, 2)) for i, c in enumerate(classes)]).mean(0)).relu()):
        raise Mistake("the alphas are a mean over the batch as well; each picture has alphas of its own, (N, C)")
    soft = rest(maps[None])[0].detach().softmax(0)
    probability = soft[wanted] * (alphas[wanted] - (soft[:, None] * alphas).sum(0))
    if close(_summed(maps, probability).relu()):
        raise Mistake("these are slopes of the probability; the score of Grad-CAM is the logit, without softmax")
    if close(_summed(maps, soft[wanted].reciprocal() * probability).relu()):
        raise Mistake("these are slopes of the log-probability; the score of Grad-CAM is the logit alone")
    loss = _summed(maps, -soft[wanted].reciprocal() * probability).relu()
    if close(loss) or close(loss / len(classes)):  # a loss is a mean over the batch, unless reduction is "sum"
        raise Mistake("these are slopes of the loss, which falls where the class is; the score is the logit itself")
    top = signed.relu().max()
    if top > 0 and close(signed.relu() / top):
        raise Mistake("the map was divided by its largest value; leave it as the formula gives it")
    raise Mistake("the shape is right, but other values: alpha is the mean slope of a map, then sum, then ReLU")


def _no_trace(net: nn.Module, parameters: list, values: list, left: int) -> None:
    if left:
        raise Mistake(f"{left} hook(s) still hang in the network; call handle.remove()")
    if any(not torch.equal(parameter, value) for parameter, value in zip(parameters, values, strict=True)):
        raise Mistake("the network's parameters were changed; looking must not train")
    if parameters[0].grad is not None:
        raise Mistake("a parameter has a .grad that it had not before; torch.autograd.grad fills none, backward() does")
    for parameter in parameters[1:]:
        if parameter.grad is None:
            raise Mistake("a .grad that was there is gone; do not call zero_grad(), it was not yours")
        if not torch.equal(parameter.grad, torch.ones_like(parameter)):
            raise Mistake("a .grad was there and has another value now: was something added, or set to zero?")
    if not all(parameter.requires_grad for parameter in parameters):
        raise Mistake("some parameters no longer require gradients; give back what you switch off")
    if any(module.training for module in net.modules()):
        raise Mistake("the network is in training mode now; it came in evaluation mode")
    if not torch.is_grad_enabled():
        raise Mistake("gradients are switched off now for everybody; use `with torch.no_grad():`")


def _after_an_error(function: object) -> None:
    """The network stops behind the layer: a picture of another size does not fit its head."""
    net = _Small(6).double().eval()
    stopped, before_it = False, waiting(net)
    try:
        function(net, torch.rand(2, 2, 9, 9, dtype=torch.float64), net.second, torch.tensor([0, 1]))
    except Exception:
        stopped = True
    if waiting(net) > before_it:
        raise Mistake("the network stopped with an error, and your hook still hangs in it; remove it in a `finally:`")
    if not stopped:
        raise Mistake("the network stopped with an error, but your function says nothing; let the error pass")
    if not torch.is_grad_enabled():
        raise Mistake("after an error gradients stay switched off; use `with torch.no_grad():`")


@exercise("5.15", "From the map to a box")
def box_of(function: object) -> str:
    torch.default_generator.manual_seed(6)  # boxes whose numbers differ, so that each mistake shows
    cases = [(_mountain(*size), share) for size, share in (((9, 12), 0.3), ((12, 7), 0.5), ((16, 16), 0.2))]
    edge = torch.zeros(7, 8)
    edge[1, 3], edge[4, 6] = 4, 2  # half of the largest value, exactly
    for heat, share in (*cases, (_mountain(7, 8), 0.8), (edge, 0.5)):
        given = heat.clone()
        found = _four(call(function, given, share))
        if not torch.equal(given, heat):
            raise Mistake("box_of() wrote into the map that it was given; make a new tensor")
        truth = _slow_box(heat, share)
        if found != truth:
            raise Mistake(_wrong_box(found, truth, heat, share))
    return "a box from a network that never saw one; how well it fits depends on the share"


def _mountain(height: int, width: int) -> torch.Tensor:
    """A map with one high mountain, a lower one, and values below 0."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    heat = torch.full((height, width), -0.5)
    for tall, wide in ((3.0, 1.3), (1.4, 0.8)):
        top, left = torch.rand(2) * torch.tensor([height - 2.0, width - 2.0]) + 0.5
        heat = heat + tall * torch.exp(-((y - top) ** 2 + (x - left) ** 2) / (2 * wide**2))
    return heat + 0.05 * torch.rand(height, width)


def _slow_box(heat: torch.Tensor, share: float, wanted=lambda value, limit: value >= limit) -> tuple | None:
    limit = share * max(heat.flatten().tolist())
    places = [(x, y) for y, line in enumerate(heat.tolist()) for x, value in enumerate(line) if wanted(value, limit)]
    if not places:
        return None
    xs, ys = [x for x, _ in places], [y for _, y in places]
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def _four(found: object) -> tuple[int, ...]:
    if isinstance(found, (torch.Tensor, np.ndarray)):
        found = found.tolist()
    if isinstance(found, Iterator):
        found = list(found)
    if not isinstance(found, (tuple, list)):
        raise Mistake(f"a box is four numbers, but yours is {kind(found)}; return x0, y0, x1, y1")
    if len(found) != 4:
        raise Mistake(f"a box is four numbers, but yours has {len(found)}; return x0, y0, x1, y1")
    numbers = [plain_number(entry, "a side of the box") for entry in found]
    if not all(math.isfinite(number) and number == int(number) for number in numbers):
        raise Mistake(f"the sides of a box are whole numbers, but yours are {numbers}")
    return tuple(int(number) for number in numbers)


def _wrong_box(found: tuple, truth: tuple, heat: torch.Tensor, share: float) -> str:
    x0, y0, x1, y1 = truth
    shown = f"a map of {heat.shape[0]} x {heat.shape[1]} and share {share}: your box {found}, expected {truth}"
    if found == (y0, x0, y1, x1):
        return f"{shown}; columns come first, rows second"
    if found == (x0, x1, y0, y1):
        return f"{shown}; the order is x0, y0, x1, y1, the two corners"
    if found in ((x0, y0, x1 - 1, y1 - 1), (x0, y0, x1, y1 - 1), (x0, y0, x1 - 1, y1)):
        return f"{shown}; x1 and y1 are the first ones outside, one further"
    if found == (y0, x0, y1 - 1, x1 - 1):
        return f"{shown}; columns come first, and x1 and y1 are one further"
    if found == (x0, y0, x1 - x0, y1 - y0):
        return f"{shown}; you give width and height, asked is where it ends"
    if found == _slow_box(heat, share, lambda value, limit: value > limit):
        return f"{shown}; at least means that a value of just share times the largest counts too"
    if found == _slow_box(heat, 1.0, lambda value, _: value >= share):
        return f"{shown}; you compare with the share itself, not with share times the largest value"
    limit = share * heat.mean().item()
    if found == _slow_box(heat, 1.0, lambda value, _: value >= limit):
        return f"{shown}; you compare with the mean, asked is the largest value"
    for other in (0.2, 0.3, 0.5, 0.8):
        if other != share and found == _slow_box(heat, other):
            return f"{shown}; this would be the box of the share {other:g}: is your function using `share`?"
    low, high = heat.min().item(), heat.max().item()
    if found == _slow_box(heat, 1.0, lambda value, _: value >= low + share * (high - low)):
        return f"{shown}; you scaled the map from its smallest value on, asked is share times the largest"
    return f"{shown}; first and last column, first and last row that hold a value of at least share * heat.max()"


class _Student(nn.Module):
    """Batch norm and dropout: in training mode every forward pass differs, and leaves something behind."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.5))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 4))
        nn.init.uniform_(self.classifier[2].weight, -0.2, 0.8)  # so that no class has a map without a positive value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(x)))


@exercise("bug 5.4", "The restless map")
def bug_5_4(function: object) -> str:
    for training, frozen in ((True, False), (True, True), (False, False)):
        torch.default_generator.manual_seed(1)
        net = _Student().train()
        pictures = torch.rand(4, 3, 10, 8)
        net(pictures)  # running statistics that are not those of one picture
        if frozen:
            net.features[1].eval()  # a batch norm that stays in evaluation mode on purpose
        net.train(training) if not frozen else None
        modes = [module.training for module in net.modules()]
        state, before_it = {name: value.clone() for name, value in net.state_dict().items()}, waiting(net)
        for number, class_index in enumerate((0, 1, 2, 3)):
            picture = pictures[number : number + 1]
            found = call(function, net, picture.clone(), class_index)
            _student_unchanged(net, modes, state, waiting(net) - before_it)
            expect_tensor(found, "the map", dtype=torch.float32, shape=(8, 6))
            wanted = _student_map(net, picture, class_index)
            if not torch.allclose(found.detach(), wanted.relu(), atol=1e-6):
                raise Mistake(_wrong_student_map(found.detach(), net, picture, class_index))
        _student_after_an_error(function)
    return "same picture, same map, at any moment of the training, and nothing of the network was touched"


def _student_unchanged(net: nn.Module, modes: list[bool], state: dict, left: int) -> None:
    moved = [name for name, value in net.state_dict().items() if not torch.equal(value, state[name])]
    if moved:
        raise Mistake(f"the network was in training mode, and looking changed {moved[0]}: who keeps running values?")
    now = [module.training for module in net.modules()]
    if now != modes:
        if not any(now):
            raise Mistake("the whole network is in evaluation mode afterwards, and its training would go on so")
        if any(was and not is_now for was, is_now in zip(modes, now, strict=True)):
            raise Mistake("a part of the network stays in evaluation mode; give every submodule back what it had")
        if not any(modes):
            raise Mistake("the network came in evaluation mode and is in training mode now; give back what it had")
        raise Mistake("a submodule that was in evaluation mode on purpose is in training mode now; keep each mode")
    if left:
        raise Mistake("a hook is left in the network")
    if not all(parameter.requires_grad for parameter in net.parameters()):
        raise Mistake("the network's parameters no longer require gradients, so its training would stand still")
    if any(parameter.grad is not None for parameter in net.parameters()):
        raise Mistake("the look filled .grad, which the next optimizer step would use; keep torch.autograd.grad")


def _student_map(net: nn.Module, picture: torch.Tensor, class_index: int) -> torch.Tensor:
    """By the formula of the CAM, from batch norm's running statistics; dropout does nothing. Before the ReLU."""
    convolution, norm = net.features[0], net.features[1]
    with torch.no_grad():
        maps = F.conv2d(picture, convolution.weight, convolution.bias)[0]
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        maps = ((maps - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]).relu()
        return _summed(maps, net.classifier[2].weight[class_index]) / maps[0].numel()


def _wrong_student_map(found, net, picture, class_index) -> str:
    for other in range(4):
        if other != class_index and torch.allclose(found, _student_map(net, picture, other).relu(), atol=1e-6):
            return f"this is the map of class {other}, but class {class_index} was asked for"
    if torch.allclose(found, _student_map(net, picture, class_index), atol=1e-6):
        return "the map has negative values now; keep the ReLU at the end, the formula was right"
    return (
        "the map is not that of the network in evaluation mode; is dropout or batch norm still training? "
        "The formula was right as it stood"
    )


def _student_after_an_error(function: object) -> None:
    net = _Student().train()
    before_it = waiting(net)
    try:
        function(net, torch.rand(1, 3, 10, 8), 99)  # there is no class 99
    except Exception:
        pass
    if not net.training or not net.features[1].training:
        raise Mistake("after an error inside the look the network stays in evaluation mode; restore in a `finally:`")
    if waiting(net) > before_it:
        raise Mistake("after an error inside the look a hook is left; remove it in the `finally:`")
