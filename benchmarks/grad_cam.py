"""What Grad-CAM of one photograph costs, measured in forward passes of EfficientNet-Lite0.

    python benchmarks/grad_cam.py [rounds]

One thread, CPU time. Every line is timed in turn in each round, and the table shows the median of the ratios to the
forward pass of the same round, so that other work on the machine does not matter much. The libraries torchcam, captum
and grad-cam are measured when they are installed; the course does not need them.
"""

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_utils import cam, data, models

LIMIT = 1.15  # what course_utils.cam may cost
ROUNDS = 25


def main(rounds: int) -> int:
    torch.set_num_threads(1)
    model, pictures = models.efficientnet_lite0(), models.imagenet_input(data.photo("cat"))
    chosen = int(model(pictures).argmax())
    ours = cam.grad_cam(model, pictures, model._avg_pooling, chosen, at="input")
    found: dict[str, list[float]] = {}
    contenders = {
        "forward pass": lambda: forward(model, pictures),
        "course_utils: last map": lambda: cam.grad_cam(model, pictures, model._avg_pooling, chosen, at="input"),
        "course_utils: block 10, 14x14": lambda: cam.grad_cam(model, pictures, model._blocks[10], chosen),
        "whole graph, backward()": lambda: naive(model, pictures, chosen),
        **libraries(pictures, chosen),
    }
    for _ in range(rounds + 2):
        seconds = {name: timed(run) for name, run in contenders.items()}
        for name, one in seconds.items():
            found.setdefault(name, []).append(one / seconds["forward pass"])
    print(f"forward pass: {1000 * seconds['forward pass']:.0f} ms of CPU; torch {torch.__version__}, {rounds} rounds")
    print(f"{'':32} {'ratio':>6} {'lowest':>7} {'highest':>8}   largest difference")
    for name, run in contenders.items():
        ratios = sorted(found[name][2:])  # the first two rounds warm up
        line = f"{name:32} {statistics.median(ratios):6.2f} {ratios[0]:7.2f} {ratios[-1]:8.2f}"
        print(f"{line}   {difference(run(), ours)}")
    ratio = statistics.median(found["course_utils: last map"][2:])
    print(f"course_utils: {ratio:.2f} of a forward pass, {'within' if ratio <= LIMIT else 'above'} the limit {LIMIT}")
    return int(ratio > LIMIT)


def timed(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


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
    if installed("torchcam"):
        from torchcam.methods import GradCAM as TorchCam

        hooked, last = with_last_map()
        extractor = TorchCam(hooked, last)
        runs["torchcam"] = lambda: extractor(chosen, hooked(pictures), normalized=False)[0][0]
    if installed("captum"):
        from captum.attr import LayerGradCam

        captum = LayerGradCam(*with_last_map())
        runs["captum"] = lambda: captum.attribute(pictures, target=chosen)[0, 0].relu()
    if installed("pytorch_grad_cam"):
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        other, target_layer = with_last_map()
        explainer = GradCAM(other, [target_layer])
        target = [ClassifierOutputTarget(chosen)]
        runs["grad-cam"] = lambda: torch.from_numpy(explainer(pictures, target)[0])
    return runs


def with_last_map() -> tuple[nn.Module, nn.Module]:
    """A network of its own for each library, and a layer whose output is the map that the pooling averages."""
    model, last = models.efficientnet_lite0(), nn.Identity()
    model._avg_pooling = nn.Sequential(last, model._avg_pooling)
    return model, last


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def difference(heat: Tensor | None, ours: Tensor) -> str:
    """How far another map is from ours when both are divided by their largest value."""
    if heat is None or heat.shape != ours.shape:
        return "another size" if heat is not None else ""
    return f"{(heat.detach() / heat.max() - ours / ours.max()).abs().max():.0e}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
