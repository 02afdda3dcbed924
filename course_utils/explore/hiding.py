"""Explorer: does the network look at the digit when it names it?"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_utils import cam, data, models
from course_utils.explore.base import Control, Explorer, Move, headline
from course_utils.explore.pretrained import as_bytes, three_pictures
from course_utils.style import GREY, SKY

COUNT = 20  # pictures
SIDE = data.HIDDEN_SIZE


@dataclass(frozen=True)
class Search:
    """The class activation map of one digit in one picture, and how well it fits the box."""

    number: int  # of the picture
    asked: int  # the digit whose map this is
    label: int  # the digit that is there
    predicted: int  # the digit that the network names
    probability: float  # of the digit asked for
    picture: Tensor  # float32 (3, 64, 64)
    heat: Tensor  # float32 (16, 16), negative where it speaks against the digit
    box: tuple[int, int, int, int]  # x0, y0, x1, y1
    pointing: bool
    energy: float

    @property
    def share(self) -> float:
        """The box's share of the picture, which an even map would have as its energy."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0) / SIDE**2


def search_digit(picture: int = 0, asked: int = 0) -> Search:
    """The map of the digit `asked` (0 to 9) in one of 20 pictures of the part "test". Raises ValueError for others."""
    for name, value, count in (("picture", picture, COUNT), ("asked", asked, 10)):
        if value not in range(count):
            raise ValueError(f"{name} {value!r} is not there; choose a whole number from 0 to {count - 1}")
    shown, features, probabilities, weights = _run()
    heat = cam.class_activation_map(features[picture], weights[asked])
    large = cam.resize(heat, SIDE)
    box = tuple(shown.boxes[picture].tolist())
    return Search(
        number=picture,
        asked=asked,
        label=int(shown.labels[picture]),
        predicted=int(probabilities[picture].argmax()),
        probability=float(probabilities[picture, asked]),
        picture=shown.images[picture],
        heat=heat,
        box=box,
        pointing=cam.points_inside(large, box),
        energy=cam.energy_inside(large, box),
    )


@cache
def _run() -> tuple[data.HiddenDigits, Tensor, Tensor, Tensor]:
    """The pictures, their last maps (20, C, 16, 16), probabilities (20, 10), and the classifier's weights (10, C)."""
    network, shown = models.hidden_digits_network(), data.hidden_digits(COUNT, part="test")
    with torch.no_grad():
        return (
            shown,
            network.features(shown.images),
            network(shown.images).softmax(1),
            network.classifier.weight.detach(),
        )


WIDTH, HEIGHT = 700, 312  # of the picture, in dots; 100 are an inch
BOTTOM = 30


def draw_search(figure: Figure) -> Move:
    """Draw captions and frame; return what moves the pictures and the box."""
    title = headline(figure)
    images = three_pictures(figure, ("picture and box", "its map, 16 × 16", "both together"), BOTTOM, extent=SIDE)
    boxes = [image.axes.plot([], [], color=SKY, linewidth=2, animated=True)[0] for image in images]
    figure.text(0.99, 9 / HEIGHT, "Yellow speaks most for the digit, black not at all.", size=9, color=GREY, ha="right")
    facts = figure.text(0.01, 9 / HEIGHT, "", size=9, animated=True)

    def move(search: Search) -> None:
        hit = "points into the box" if search.pointing else "points beside the box"
        title.set_text(f"the map of {search.asked} {hit}, energy inside {search.energy:.2f}")
        contents = (
            search.picture,
            cam.in_colour(search.heat),
            cam.overlay(search.picture, search.heat),
        )
        x0, y0, x1, y1 = search.box
        for image, line, content in zip(images, boxes, contents, strict=True):
            image.set_data(as_bytes(content))
            line.set_data(np.array([x0, x1, x1, x0, x0]), np.array([y0, y0, y1, y1, y0]))
        facts.set_text(
            f"It is a {search.label}, the network says {search.predicted}; "
            f"probability of {search.asked}: {search.probability:.2f}"
        )

    return move


def describe_search(search: Search) -> str:
    """One sentence: what is there, what was asked, both scores, and the energy of an even map."""
    hit = "inside" if search.pointing else "outside"
    return (
        f"Picture {search.number} hides a {search.label} and the network says {search.predicted}; the map of "
        f"{search.asked} is largest {hit} the box and has {search.energy:.2f} of its energy in it, an even map would "
        f"have {search.share:.2f}."
    )


def hidden_digits(
    picture: int = 0,
    asked: int | None = None,
    question: str = "Is the map on the digit, also when the network is asked for a digit that is not there?",
) -> Explorer:
    """The class activation map of any digit in 20 pictures with a known box, with pointing game and energy.

    `picture` is its number, `asked` the digit whose map is shown (None: the one that is there). Raises ValueError for
    other values.
    """
    labels = _run()[0].labels.tolist()
    start = {"picture": picture}
    if asked is not None or picture in range(COUNT):
        start["asked"] = labels[picture] if asked is None else asked
    return Explorer(
        question=question,
        description="A digit hidden in a photograph, the map of where the network sees the digit asked for, and both "
        "together with the digit's box: asked for the digit that is there the map mostly lies in the box.",
        controls={
            "picture": Control("picture", tuple(range(COUNT)), 0),
            "asked": Control("digit asked for", tuple(range(10)), labels[0]),
        },
        compute=search_digit,
        draw=draw_search,
        describe=describe_search,
        strip=[{"asked": labels[0]}, {"asked": (labels[0] + 1) % 10}, _hardest(labels)],
        size=(WIDTH / 100, HEIGHT / 100),
        start=start,
    )


def _hardest(labels: list[int]) -> dict[str, int]:
    """The picture whose own digit's map has the least of its energy in the box."""
    picture = min(range(COUNT), key=lambda number: search_digit(number, labels[number]).energy)
    return {"picture": picture, "asked": labels[picture]}
