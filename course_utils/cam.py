"""Where does a network look? Class activation maps (CAM), Grad-CAM, and two scores against a known box.

CAM: Zhou et al., "Learning Deep Features for Discriminative Localization" (2016). Grad-CAM: Selvaraju et al.,
"Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2017). Pointing game: Zhang et al.,
"Top-down Neural Attention by Excitation Backprop" (2016). Energy: Wang et al., "Score-CAM" (2020).
"""

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ._arguments import kind

Box = Sequence[int] | Tensor
# from no answer to the strongest: black, dark red, red, orange, yellow; ever lighter, so readable without colours too
HEAT = ((0.0, 0.0, 0.0), (0.5, 0.0, 0.05), (0.9, 0.2, 0.0), (1.0, 0.6, 0.0), (1.0, 0.95, 0.2))
STRONGEST = 0.75  # how much of the photograph the strongest answer hides


def class_activation_map(features: Tensor, weights: Tensor) -> Tensor:
    """The sum of the maps, each times its weight: `features` (C, h, w), `weights` (C,) -> (h, w).

    `features` is the map that the pooling averages, `weights` the row of the classifier that belongs to the class. It
    is a weighted sum, not an average: the mean of the map plus the class's bias is the class's logit. Negative values
    (against the class) are kept; take `.relu()` for what speaks for it. Gradients flow through. Raises TypeError or
    ValueError for other shapes.
    """
    _floats(features, "features", 3, "(C, h, w), such as features[0] of a batch")
    _floats(weights, "weights", 1, "(C,), such as classifier.weight[class_index]")
    if len(features) != len(weights):
        raise ValueError(
            f"features has {len(features)} channels and weights {len(weights)} numbers; one each is needed"
        )
    return torch.einsum("chw,c->hw", features, weights)


def grad_cam(
    model: nn.Module,
    pictures: Tensor,
    layer: nn.Module,
    class_index: int | None = None,
    at: Literal["output", "input"] = "output",
) -> Tensor:
    """Grad-CAM of one class at one layer, (h, w), not negative, without a graph.

    ReLU of the sum over channels of alpha[k] * map[k], where alpha[k] is the mean over the pixels of the score's
    derivative. `model` maps `pictures` (1, C, H, W) to logits (1, K); `layer` is a module of it that is called once and
    whose output is (1, C, h, w); with `at="input"` its input is taken, which for the global pooling is the map that
    the network really averages. `class_index` None is the class with the largest logit.

    The model runs in evaluation mode, and nothing of it is changed afterwards: modes, gradients, hooks. Operations up
    to the layer record nothing, and the backward pass goes from the score to the layer only. Raises TypeError or
    ValueError, one line, for other arguments and for a layer that does not fit.
    """
    _floats(pictures, "pictures", 4, "(1, C, H, W), such as picture[None]")
    if len(pictures) != 1:
        raise ValueError(f"pictures holds {len(pictures)} pictures; Grad-CAM takes one, such as pictures[:1]")
    if at not in ("output", "input"):
        raise ValueError(f'at is {at!r}; choose "output" or "input"')
    if not isinstance(layer, nn.Module):
        raise TypeError(f"layer is {kind(layer)}; give a module of the model, such as model.features")
    if all(module is not layer for module in model.modules()):
        raise ValueError(f"layer {type(layer).__name__} is not a module of this {type(model).__name__}")
    seen: list[Tensor] = []

    def keep(value: object) -> Tensor:
        """Cut the graph here: what follows is recorded, from a copy on, so that it may change it in place."""
        seen.append(_layer_map(value, layer, at, len(seen)))
        torch.set_grad_enabled(True)
        return seen[0].clone()

    if at == "output":
        handle = layer.register_forward_hook(lambda module, arguments, output: keep(output))
    else:
        handle = layer.register_forward_pre_hook(
            lambda module, arguments: (keep(arguments[0] if arguments else None), *arguments[1:])
        )
    with _evaluating(model), torch.inference_mode(False), torch.no_grad():  # gives back the gradient mode too
        try:
            logits = model(pictures.clone() if pictures.is_inference() else pictures)
        finally:
            handle.remove()
        if not seen:
            raise ValueError(f"layer {type(layer).__name__} was not called by the model; hook one that it calls")
        score = _score(logits, class_index)
        found = torch.autograd.grad(score, seen[0], allow_unused=True) if score.requires_grad else (None,)
    if found[0] is None:
        raise ValueError(f"the score does not depend on layer {type(layer).__name__}; hook one on the way to it")
    alphas = found[0].mean(dim=(2, 3))[0]
    return class_activation_map(seen[0].detach()[0], alphas).relu()


def resize(map: Tensor, size: int | Sequence[int]) -> Tensor:
    """`map` (h, w) enlarged to `size` (height, width), bilinear, so that it can lie on the picture; an int is a square.

    Raises TypeError or ValueError for another shape or size.
    """
    _floats(map, "map", 2, "(h, w)")
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"size is {size!r}; (height, width) in pixels is needed, such as picture.shape[-2:]")
    return nn.functional.interpolate(map[None, None], sides, mode="bilinear", align_corners=False)[0, 0]


def overlay(picture: Tensor, map: Tensor) -> Tensor:
    """`picture` (3, H, W), 0 to 1, in grey under the positive part of `map` in colours; a new (3, H, W), 0 to 1.

    The map, (h, w) of any size, is enlarged to the picture and divided by its largest value: yellow is the strongest
    answer, red a weaker one, and where it is 0 or negative the grey picture is left. Raises TypeError or ValueError
    for other shapes or values.
    """
    _floats(picture, "picture", 3, "(3, H, W)")
    low, high = picture.min().item(), picture.max().item()
    if len(picture) != 3 or low < -1e-4 or high > 1 + 1e-4:
        raise ValueError(
            f"picture has shape {tuple(picture.shape)} and values from {low:.3g} to {high:.3g}; (3, H, W) from 0 to 1 "
            "is needed, before the normalisation"
        )
    heat = _relative(resize(map.detach().to(picture), picture.shape[1:]))
    grey = picture.detach().mean(dim=0, keepdim=True).expand(3, -1, -1)
    return torch.lerp(grey, in_colour(heat), STRONGEST * heat).clamp(0, 1)


def in_colour(map: Tensor) -> Tensor:
    """The positive part of `map` (h, w), divided by its largest value, in colours: a new (3, h, w), 0 to 1.

    Yellow is the largest value, red a smaller one, black 0 and less. Raises TypeError or ValueError for other shapes.
    """
    _floats(map, "map", 2, "(h, w)")
    heat = _relative(map.detach())
    colours = torch.tensor(HEAT, dtype=heat.dtype, device=heat.device)
    place = heat * (len(colours) - 1)
    below = place.long().clamp(max=len(colours) - 2)
    return torch.lerp(colours[below], colours[below + 1], (place - below)[..., None]).permute(2, 0, 1)


def _relative(map: Tensor) -> Tensor:
    """The positive part, 0 to 1; 0 everywhere when there is none."""
    positive = map.clamp(min=0)
    return positive / positive.max().clamp(min=torch.finfo(map.dtype).tiny)


def points_inside(map: Tensor, box: Box) -> bool:
    """The pointing game: is the largest value of `map` (H, W) inside `box`, (x0, y0, x1, y1) in pixels of the map?

    x1 and y1 are the first pixels outside, as in data.hidden_digits. A map that is the same everywhere points nowhere:
    False. Raises TypeError or ValueError for other shapes, and for a box that reaches beyond the map: `resize` the map
    to the picture first.
    """
    x0, y0, x1, y1 = _box(map, box)
    if map.max() == map.min():
        return False
    row, column = divmod(int(map.argmax()), map.shape[1])
    return x0 <= column < x1 and y0 <= row < y1


def energy_inside(map: Tensor, box: Box) -> float:
    """The share of the map's positive values that lies inside `box`, 0 to 1; arguments as in `points_inside`.

    An even map has the box's share of the area. A map without a positive value has 0.
    """
    x0, y0, x1, y1 = _box(map, box)
    positive = map.detach().double().clamp(min=0)
    total = positive.sum().item()
    return positive[y0:y1, x0:x1].sum().item() / total if total > 0 else 0.0


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; every submodule gets back the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def _layer_map(value: object, layer: nn.Module, at: str, calls: int) -> Tensor:
    """What the layer gave or got, as a leaf that wants its gradient; ValueError when it is no map, or not the only."""
    name = type(layer).__name__
    if calls:
        raise ValueError(
            f"layer {name} is called twice by the model, so which map is meant is not clear; hook the module after it, "
            'with at="input"'
        )
    if not isinstance(value, Tensor) or value.dim() != 4 or not value.is_floating_point():
        raise ValueError(
            f"the {at} of layer {name} is {kind(value)}; a map (1, C, h, w) is needed, as convolutions give"
        )
    return value.detach().requires_grad_()


def _score(logits: object, class_index: int | None) -> Tensor:
    """The logit of the class, a tensor without dimensions."""
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != 1:
        raise ValueError(f"the model returned {kind(logits)}; logits of shape (1, classes) are needed")
    if class_index is None:
        return logits[0, logits.argmax()]
    try:
        index = operator.index(class_index)
    except (TypeError, RuntimeError):
        raise TypeError(f"class_index is {kind(class_index)}; a whole number or None is needed") from None
    if not 0 <= index < logits.shape[1]:
        raise ValueError(f"class_index is {index}; the model knows the classes 0 to {logits.shape[1] - 1}")
    return logits[0, index]


def _floats(tensor: object, name: str, dimensions: int, wanted: str) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} is {kind(tensor)}; a tensor {wanted} is needed")
    if tensor.dim() != dimensions or tensor.numel() == 0:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; {wanted} is needed")
    if not tensor.is_floating_point():
        raise TypeError(f"{name} is {tensor.dtype}; floats are needed, for example its .float()")


def _box(map: Tensor, box: Box) -> tuple[int, int, int, int]:
    """The four numbers of the box, after a look at map and box."""
    _floats(map, "map", 2, "(H, W)")
    if not map.isfinite().all():
        raise ValueError("map holds values that are not finite; find where they came from first")
    numbers = box.tolist() if isinstance(box, (Tensor, np.ndarray)) else list(box)
    if len(numbers) != 4 or not all(isinstance(n, (int, np.integer)) for n in numbers):
        raise ValueError(f"box is {numbers}; four whole numbers (x0, y0, x1, y1) are needed")
    x0, y0, x1, y1 = (int(n) for n in numbers)
    height, width = map.shape
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(
            f"box {(x0, y0, x1, y1)} does not lie in the map of {height} x {width} pixels; resize the map to the "
            "picture first"
        )
    return x0, y0, x1, y1
