"""Explorer: where does a pretrained network look when it is asked for one class?"""

from dataclasses import dataclass
from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_utils import cam, models
from course_utils.explore.base import Control, Explorer, Move, Settings, headline
from course_utils.explore.pretrained import BOTH, PICTURES, as_bytes, network, seen, three_pictures
from course_utils.style import GREY

# words on the menu: the module, and whether its output or its input is the map
LAYERS = {
    "block 2": ("_blocks.2", "output"),
    "block 4": ("_blocks.4", "output"),
    "block 10": ("_blocks.10", "output"),
    "block 15": ("_blocks.15", "output"),
    "last map": ("_avg_pooling", "input"),
}
MOST_CLASSES = 4  # for each photograph, those with the largest logits


@dataclass(frozen=True)
class Explanation:
    """Grad-CAM of one class at one layer for one photograph."""

    photo: str
    class_name: str
    layer: str  # a name of LAYERS
    probability: float
    heat: Tensor  # float32 (h, w), not negative


def explain(photo: str = BOTH, class_name: str | None = None, layer: str = "last map") -> Explanation:
    """Grad-CAM of EfficientNet-Lite0, as course_utils.cam computes it.

    `photo` is one of PICTURES, `class_name` one of its four most probable classes (None: the first), `layer` a name of
    LAYERS. Raises ValueError for others.
    """
    if layer not in LAYERS:
        raise ValueError(f"layer {layer!r} is not there; choose one of: {', '.join(LAYERS)}")
    found = _explained(photo)
    class_name = next(iter(found)) if class_name is None else class_name
    if class_name not in found:
        raise ValueError(f"class {class_name!r} is not there; choose one of: {', '.join(found)}")
    probability, heats = found[class_name]
    return Explanation(photo, class_name, layer, probability, heats[layer])


@cache
def _explained(photo: str) -> dict[str, tuple[float, dict[str, Tensor]]]:
    """For each class its probability and its maps at all layers: one forward pass, one backward pass a class.

    The same maps as cam.grad_cam gives one at a time; here the graph is kept for the next class.
    """
    maps: dict[str, Tensor] = {}
    handles = []

    def keep(name: str, value: Tensor) -> Tensor:
        maps[name] = value if maps else value.detach().requires_grad_()  # the graph begins at the first layer
        return maps[name]

    for name, (path, at) in LAYERS.items():
        module = network().get_submodule(path)
        if at == "output":
            handles.append(module.register_forward_hook(lambda m, a, output, name=name: keep(name, output)))
        else:
            handles.append(module.register_forward_pre_hook(lambda m, a, name=name: keep(name, a[0])))
    try:
        with torch.enable_grad():  # the network is frozen: nothing is recorded before the first layer
            logits = network()(seen(photo)[1])[0]
    finally:
        for handle in handles:
            handle.remove()
    probabilities = logits.detach().softmax(0)
    found = {}
    for index in logits.topk(MOST_CLASSES).indices.tolist():
        gradients = torch.autograd.grad(logits[index], list(maps.values()), retain_graph=True)
        heats = {
            name: cam.class_activation_map(value.detach()[0], gradient.mean((2, 3))[0]).relu()
            for (name, value), gradient in zip(maps.items(), gradients, strict=True)
        }
        found[_names()[index]] = probabilities[index].item(), heats
    return found


@cache
def _names() -> tuple[str, ...]:
    return models.imagenet_classes()


@cache
def classes(photo: str) -> tuple[str, ...]:
    """The four classes that can be asked for, the most probable first."""
    return tuple(_explained(photo))


WIDTH, HEIGHT = 700, 312  # of the picture, in dots; 100 are an inch
BOTTOM = 30


def draw_explanation(figure: Figure) -> Move:
    """Draw captions and frame; return what moves photograph, map and overlay."""
    title = headline(figure)
    captions = ("what the network sees", "its Grad-CAM", "both together")
    images = three_pictures(figure, captions, BOTTOM, extent=1)
    figure.text(
        0.99,
        9 / HEIGHT,
        "Yellow speaks most for the class, black not at all.",
        size=9,
        color=GREY,
        ha="right",
    )
    facts = figure.text(0.01, 9 / HEIGHT, "", size=9, animated=True)

    def move(shown: Explanation) -> None:
        height, width = shown.heat.shape
        picture = seen(shown.photo)[0]
        title.set_text(f"{shown.class_name}: probability {100 * shown.probability:.1f} %")
        for image, content in zip(
            images, (picture, cam.in_colour(shown.heat), cam.overlay(picture, shown.heat)), strict=True
        ):
            image.set_data(as_bytes(content))
        facts.set_text(f"{shown.layer}: {height} × {width} values")

    return move


def describe_explanation(shown: Explanation) -> str:
    """One sentence: photograph, class, layer, and where the largest value is."""
    height, width = shown.heat.shape
    if shown.heat.max() == 0:
        where = "no value of the map speaks for it"
    else:
        row, column = divmod(int(shown.heat.argmax()), width)
        where = f"the largest value is {place(row, height, column, width)}"
    return (
        f"Asked for “{shown.class_name}” in the photograph “{shown.photo}” at {shown.layer} "
        f"({height} × {width}): {where}."
    )


def place(row: int, height: int, column: int, width: int) -> str:
    """Where in a picture, in words: thirds from top to bottom and from left to right."""
    vertical = ("at the top", "in the middle", "at the bottom")[3 * row // height]
    return f"{vertical}, {('left', 'centre', 'right')[3 * column // width]}"


def grad_cam(
    photo: str = BOTH,
    class_name: str | None = None,
    layer: str = "last map",
    question: str = "Which part of the picture speaks for the class you ask for, and at which layer can you tell?",
) -> Explorer:
    """Grad-CAM of EfficientNet-Lite0 for a photograph, one of its four most probable classes, and one of five layers.

    `photo` is one of PICTURES, `class_name` a class that the menu shows for it (None: the most probable), `layer` a
    name of LAYERS. The network runs once for each photograph. Raises ValueError for other values.
    """
    known = tuple(dict.fromkeys(name for picture in PICTURES for name in classes(picture)))
    usual = classes(BOTH)[0]
    start = {"photo": photo, "layer": layer}
    if class_name is not None or photo in PICTURES:
        start["class_name"] = classes(photo)[0] if class_name is None else class_name
    return Explorer(
        question=question,
        description="Left a photograph, in the middle the map of what speaks for the chosen class, right both "
        "together: asked for the cat the network points at the cat, asked for espresso at the cup.",
        # the class comes before the photograph it depends on, so that whoever sets controls from the last to the
        # first sets the photograph first
        controls={
            "class_name": Control("class", known, usual, kind="menu", width=226),
            "layer": Control("layer", tuple(LAYERS), "last map", kind="menu", width=226),
            "photo": Control("photograph", PICTURES, BOTH, kind="menu", width=226),
        },
        compute=explain,
        draw=draw_explanation,
        describe=describe_explanation,
        strip=[{"class_name": name} for name in classes(BOTH)[:2]] + [{"class_name": usual, "layer": "block 4"}],
        size=(WIDTH / 100, HEIGHT / 100),
        start=start,
        narrow=_classes_of_the_photograph,
    )


def _classes_of_the_photograph(settings: Settings) -> dict[str, tuple]:
    return {"class_name": classes(settings["photo"])}
