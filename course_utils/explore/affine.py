"""Explorer: rotation, translation, scale and shear, and what they do to lengths and areas."""

from dataclasses import dataclass
from math import cos, radians, sin, tan

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_utils.explore.base import Control, Explorer, Move, headline, sheet
from course_utils.explore.normalizing import check_finite, part
from course_utils.style import BLACK, BLUE, GREY, ORANGE, RED

SIDE = 180  # pixels of the square picture
# every corner a multiple of 4 pixels from the centre, so that scale 0.25, 0.5, … cut no pixel in parts
LETTER = [(54, 26), (134, 26), (134, 54), (82, 54), (82, 82), (118, 82), (118, 110), (82, 110), (82, 154), (54, 154)]
_BARS = [(54, 26, 82, 154), (82, 26, 134, 54), (82, 82, 118, 110)]  # the letter as three rectangles x0 y0 x1 y1
_INK = torch.tensor([int(BLUE[place : place + 2], 16) for place in (1, 3, 5)], dtype=torch.uint8)
_CORNER = torch.tensor([int(ORANGE[place : place + 2], 16) for place in (1, 3, 5)], dtype=torch.uint8)


@dataclass(frozen=True)
class Moved:
    """A picture with the letter F after an affine map."""

    angle: float
    translate: tuple[float, float]  # in pixels, to the right and down
    scale: float
    shear: tuple[float, float]  # in degrees, along x and along y
    image: Tensor  # uint8 (3, 180, 180), as torchvision gives it
    matrix: np.ndarray  # float64 (2, 2): what a step from the centre of the picture becomes
    letter: np.ndarray  # float64 (11, 2): the outline of the F as (x, y), closed
    frame: np.ndarray  # float64 (5, 2): the outline of the picture
    before: int  # pixels of the F
    after: int
    inside: float  # the part of the picture that is not cut off


def apply_affine(
    angle: float = 0,
    translate_x: float = 0,
    translate_y: float = 0,
    scale: float = 1,
    shear_x: float = 0,
    shear_y: float = 0,
) -> Moved:
    """Put the picture with the F through torchvision.transforms.v2.functional.affine, nearest pixel, fill 0.

    `angle` and the shears are in degrees (a positive angle turns clockwise), the translation in pixels, about
    the centre of the picture. `scale` multiplies every length, so areas are multiplied by scale²: rotation and
    shear keep them. The outlines come from the matrix of `affine_matrix`. Raises ValueError for numbers that
    are not finite, a scale that is not above 0, and a shear of 90 degrees or more.
    """
    from torchvision.transforms.v2 import functional  # costs seconds, so not at the top

    check_finite(angle=angle, translate_x=translate_x, translate_y=translate_y)
    check_finite(scale=scale, shear_x=shear_x, shear_y=shear_y)
    if scale <= 0:
        raise ValueError(f"scale = {scale!r} is not usable; it multiplies lengths, give a number above 0")
    for name, shear in (("shear_x", shear_x), ("shear_y", shear_y)):
        if not abs(shear) < 90:
            raise ValueError(f"{name} = {shear!r} is not usable; give degrees between -90 and 90")
    original = letter_picture()
    image = functional.affine(
        original, angle=angle, translate=[translate_x, translate_y], scale=scale, shear=[shear_x, shear_y]
    )
    matrix = affine_matrix(angle, scale, shear_x, shear_y)

    def moved(points: np.ndarray) -> np.ndarray:
        return (points - SIDE / 2) @ matrix.T + SIDE / 2 + (translate_x, translate_y)

    centres = np.stack(np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5), axis=-1).reshape(-1, 2)
    places = moved(centres)
    return Moved(
        angle=angle,
        translate=(translate_x, translate_y),
        scale=scale,
        shear=(shear_x, shear_y),
        image=image,
        matrix=matrix,
        letter=moved(np.array([*LETTER, LETTER[0]], dtype=float)),
        frame=moved(np.array([(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE), (0, 0)], dtype=float)),
        before=_ink(original),
        after=_ink(image),
        inside=float(((places > 0) & (places < SIDE)).all(axis=1).mean()),
    )


def affine_matrix(angle: float, scale: float, shear_x: float, shear_y: float) -> np.ndarray:
    """The matrix (2, 2) of torchvision's affine map, x to the right and y down: rotation · shear · scale.

    The shear along x acts first, then that along y, each by tan(shear) against the axis, then the rotation;
    the determinant is scale². Source: the comment on _get_inverse_affine_matrix in torchvision's code.
    """
    turn, x, y = radians(angle), radians(shear_x), radians(shear_y)
    rotation = np.array([[cos(turn), -sin(turn)], [sin(turn), cos(turn)]])
    along_x = np.array([[1, -tan(x)], [0, 1]])
    along_y = np.array([[1, 0], [-tan(y), 1]])
    return scale * rotation @ along_y @ along_x


def letter_picture() -> Tensor:
    """The picture before: uint8 (3, 180, 180), a grid of 20 pixels, a blue F, the top left corner orange."""
    image = torch.full((3, SIDE, SIDE), 255, dtype=torch.uint8)
    image[:, ::20] = image[:, :, ::20] = 200
    image[:, [0, -1]] = image[:, :, [0, -1]] = 110
    image[:, 1:36, 1:36] = _CORNER[:, None, None]
    for left, top, right, bottom in _BARS:
        image[:, top:bottom, left:right] = _INK[:, None, None]
    return image


def _ink(image: Tensor) -> int:
    return int((image == _INK[:, None, None]).all(dim=0).sum())


VIEW = 90  # pixels around the picture that are drawn too


def draw_affine(figure: Figure) -> Move:
    """Draw the frame and the legend; return what moves picture, outlines, numbers and words."""
    width, height = figure.get_size_inches()
    words = sheet(figure)
    side = (SIDE + 2 * VIEW) / 100
    axes = figure.add_axes((0.14 / width, 0.12 / height, side / width, side / height))
    axes.set(xticks=[], yticks=[], facecolor="#ECECEC")
    axes.spines[:].set_visible(False)
    title = headline(figure)
    shown = axes.imshow(
        np.zeros((SIDE, SIDE, 3), dtype=np.uint8),
        extent=(0, SIDE, SIDE, 0),
        aspect="auto",
        interpolation="nearest",
        animated=True,
    )
    axes.set(xlim=(-VIEW, SIDE + VIEW), ylim=(SIDE + VIEW, -VIEW))
    axes.plot(*zip(*LETTER, LETTER[0], strict=True), color=GREY, linestyle="--", linewidth=1.8, animated=True)
    (frame,) = axes.plot([], [], color=RED, linestyle="-", linewidth=1.4, animated=True)
    (letter,) = axes.plot([], [], color=RED, linestyle="-", linewidth=2, animated=True)
    left, middle = 4.0, 5.15
    mono = {"size": 9, "family": "DejaVu Sans Mono"}
    # what stays and what moves are texts of their own: every moving letter takes time
    words.text(left, 3.56, "v2.functional.affine(image,", **mono)
    call, facts = [], []
    for row, name in enumerate(("angle", "translate", "scale", "shear")):
        words.text(middle, 3.37 - 0.19 * row, f"{name}=", ha="right", **mono)
        call.append(words.text(middle, 3.37 - 0.19 * row, "", animated=True, **mono))
    words.text(left, 2.33, "matrix", size=10)
    matrix = words.text(middle, 2.45, "", va="top", linespacing=1.4, animated=True, **mono)
    for row, name in enumerate(("determinant", "pixels of the F", "inside the frame")):
        words.text(left, 1.75 - 0.24 * row, name, size=10)
        facts.append(words.text(middle + 0.15, 1.75 - 0.24 * row, "", size=10, animated=True))
    for y, colour, style, meaning in (
        (0.62, RED, "-", "where picture and F go"),
        (0.4, GREY, "--", "where the F was"),
    ):
        words.plot([left, left + 0.32], [y, y], color=colour, linestyle=style)
        words.text(left + 0.42, y, meaning, size=9, va="center")
    words.text(left, 0.18, "light grey: outside, cut off", size=9, color=GREY, va="center")

    def move(moved: Moved) -> None:
        title.set_text(f"scale {moved.scale:g}: areas × {moved.scale:g}² = {moved.scale**2:g}")
        shown.set_data(moved.image.permute(1, 2, 0).numpy())
        frame.set_data(*moved.frame.T)
        letter.set_data(*moved.letter.T)
        values = (f"{moved.angle:g},", f"{_pair(moved.translate)},", f"{moved.scale:g},", f"{_pair(moved.shear)})")
        for text, value in zip(call, values, strict=True):
            text.set_text(value)
        rows = [" ".join(f"{round(value, 2) + 0.0:5.2f}" for value in row) for row in moved.matrix]
        matrix.set_text("\n".join(rows).replace("-", "−"))
        for text, fact in zip(facts, facts_of(moved), strict=True):
            text.set_text(fact)
        facts[-1].set_color(BLACK if moved.inside else RED)

    return move


def facts_of(moved: Moved) -> tuple[str, str, str]:
    """The determinant, the pixels of the F as they were counted, and how much of the picture is left."""
    return (
        f"{np.linalg.det(moved.matrix):.5g}",
        f"{moved.before} → {moved.after}, × {moved.after / moved.before:.2f}",
        part(moved.inside),
    )


def describe_affine(moved: Moved) -> str:
    """One sentence: the call, the factor of areas, and what is cut off."""
    return (
        f"affine(image, angle={moved.angle:g}, translate={_pair(moved.translate)}, scale={moved.scale:g}, "
        f"shear={_pair(moved.shear)}): areas × {moved.scale**2:g}; the F has {moved.before} pixels before and "
        f"{moved.after} after; {part(moved.inside)} of the picture lies inside the frame."
    )


def _pair(values: tuple[float, float]) -> str:
    return f"[{values[0]:g}, {values[1]:g}]"


def affine(
    angle: int = 0,
    translate_x: int = 0,
    translate_y: int = 0,
    scale: float = 0.5,
    shear_x: int = 0,
    shear_y: int = 0,
    question: str = "Does scale=0.5 halve the lengths or the area, and which controls leave the area alone?",
) -> Explorer:
    """An F on a grid under torchvision's affine map: angle, translation, scale and shear.

    `angle` -180 to 180 degrees and the translations -180 to 180 pixels in steps of 15, `scale` one of 0.25,
    0.5, 0.75, 1, 1.25, 1.5, 2, the shears -60 to 60 degrees in steps of 15. Raises ValueError for other values.
    """
    wide, shears = tuple(range(-180, 181, 15)), tuple(range(-60, 61, 15))
    return Explorer(
        question=question,
        description="A letter F on a grid after an affine map, with the outline of where it was: scale "
        "multiplies lengths, so areas are multiplied by its square, and rotation and shear keep areas.",
        controls={
            "scale": Control("scale", (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2), 0.5),
            "angle": Control("angle", wide, 0),
            "translate_x": Control("translate x", wide, 0),
            "translate_y": Control("translate y", wide, 0),
            "shear_x": Control("shear x", shears, 0),
            "shear_y": Control("shear y", shears, 0),
        },
        compute=apply_affine,
        draw=draw_affine,
        describe=describe_affine,
        strip=[
            {},
            {"scale": 1, "shear_x": 30},
            {"scale": 1.5, "angle": 30, "translate_x": 45},
        ],
        size=(7.0, 4.1),
        start={
            "scale": scale,
            "angle": angle,
            "translate_x": translate_x,
            "translate_y": translate_y,
            "shear_x": shear_x,
            "shear_y": shear_y,
        },
    )
