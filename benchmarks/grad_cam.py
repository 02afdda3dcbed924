"""What Grad-CAM of one photograph costs, in forward passes of EfficientNet-Lite0, and what other libraries take.

Processor time of one thread, each contender in turn in every round. The libraries are measured when they are
installed; the course does not need them. They go into a folder that `python course.py clean` removes again:

    python -m pip install --no-deps --target build/peers -r benchmarks/peers.txt

(or `uv pip install …` with the same options). All maps are those of the photograph of a cat, for the class that the
network finds in it, on the map that the pooling sees; how far each is from ours is in the table.
"""

import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.table import Row, compared, cpu_seconds, interleaved
from course_utils import cam, data, models

LIMIT = 1.15  # what course_utils.cam may cost
ROUNDS = 25
PEERS = Path(__file__).resolve().parents[1] / "build" / "peers"
MODULES = {"torchcam": "torchcam", "captum": "captum", "grad-cam": "pytorch_grad_cam"}
FORWARD, OURS, OTHER_LAYER = "one forward pass", "cam.grad_cam, last map", "cam.grad_cam, block 10 (14x14)"


def measure(quick: bool) -> list[Row]:
    # behind everything else: what the course itself uses stays as it is
    sys.path.append(str(PEERS))
    try:
        return rows(3 if quick else ROUNDS)
    finally:
        sys.path.remove(str(PEERS))


def rows(rounds: int) -> list[Row]:
    """One row for each contender that is installed, and for each library that is not."""
    model, pictures = models.efficientnet_lite0(), models.imagenet_input(data.photo("cat"))
    chosen = int(model(pictures).argmax())
    contenders = {
        FORWARD: partial(forward, model, pictures),
        OURS: lambda: cam.grad_cam(model, pictures, model._avg_pooling, chosen, at="input"),
        OTHER_LAYER: lambda: cam.grad_cam(model, pictures, model._blocks[10], chosen),
        "whole graph, backward()": lambda: naive(model, pictures, chosen),
        **libraries(pictures, chosen),
    }
    found = interleaved({name: partial(cpu_seconds, run) for name, run in contenders.items()}, rounds, warm_up=2)
    ours = contenders[OURS]()
    apart = {
        name: {"largest difference from our map": difference(run(), ours)}
        for name, run in contenders.items()
        if name not in (FORWARD, OURS, OTHER_LAYER)
    }
    made = [
        compared(name, found, name, FORWARD, limit=LIMIT if name == OURS else None, also=apart.get(name, {}))
        for name in contenders
        if name != FORWARD
    ]
    return made + [Row(name, note="not installed (benchmarks/grad_cam.py says how)") for name in missing()]


def difference(heat: Tensor, ours: Tensor) -> float:
    """The largest difference of two maps that both run from 0 to 1; ours is enlarged to the size of the other."""
    enlarged = functional.interpolate(ours[None, None], tuple(heat.shape), mode="bilinear")[0, 0]
    return float((from_0_to_1(heat.detach()) - from_0_to_1(enlarged)).abs().max())


def from_0_to_1(heat: Tensor) -> Tensor:
    return (heat - heat.min()) / (heat.max() - heat.min())


@torch.no_grad()
def forward(model: nn.Module, pictures: Tensor) -> None:
    model(pictures)


def naive(model: nn.Module, pictures: Tensor, chosen: int) -> Tensor:
    """As most tutorials write it: everything recorded, and a backward pass down to the first layer."""
    kept = []

    def keep(module: nn.Module, arguments: tuple[Tensor]) -> None:
        arguments[0].retain_grad()
        kept.append(arguments[0])

    handle = model._avg_pooling.register_forward_pre_hook(keep)
    try:
        model(pictures)[0, chosen].backward()
    finally:
        handle.remove()
    heat = cam.class_activation_map(kept[0].detach()[0], kept[0].grad.mean((2, 3))[0]).relu()
    model.zero_grad()
    return heat


def libraries(pictures: Tensor, chosen: int) -> dict[str, Callable[[], Tensor]]:
    """Those of the three that are installed, on the same map."""
    runs: dict[str, Callable[[], Tensor]] = {}
    if "torchcam" not in missing():
        from torchcam.methods import GradCAM as TorchCam

        hooked, last = with_last_map()
        extractor = TorchCam(hooked, last)
        runs["torchcam"] = lambda: extractor(chosen, hooked(pictures), normalized=False)[0][0]
    if "captum" not in missing():
        from captum.attr import LayerGradCam

        captum = LayerGradCam(*with_last_map())
        runs["captum"] = lambda: captum.attribute(pictures, target=chosen)[0, 0].relu()
    if "grad-cam" not in missing():
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        other, target_layer = with_last_map()
        explainer = GradCAM(other, [target_layer])
        target = [ClassifierOutputTarget(chosen)]
        runs["grad-cam"] = lambda: torch.from_numpy(explainer(pictures, target)[0])
    return runs


def missing() -> list[str]:
    """The libraries that are not installed."""
    return [name for name, module in MODULES.items() if importlib.util.find_spec(module) is None]


def with_last_map() -> tuple[nn.Module, nn.Module]:
    """A network of its own for each library, and a layer whose output is the map that the pooling averages."""
    model, last = models.efficientnet_lite0(), nn.Identity()
    model._avg_pooling = nn.Sequential(last, model._avg_pooling)
    return model, last
