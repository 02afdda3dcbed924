"""The pretrained network of the explorers and the pictures it looks at, loaded once; three pictures in a row."""

from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image
from torch import Tensor, nn

from course_utils import data, models

BOTH = "cat above coffee"
PICTURES = (*data.PHOTOS, BOTH)
SIDE = models.IMAGENET_SIDE


@cache
def network() -> nn.Module:
    """EfficientNet-Lite0, frozen; it is shared, so nobody may change it."""
    return models.efficientnet_lite0().requires_grad_(False)


def photograph(name: str) -> Image.Image:
    """One of PICTURES, RGB; the last one shows two things. Raises ValueError for another name."""
    if name not in PICTURES:
        raise ValueError(f"photo {name!r} is not there; choose one of: {', '.join(PICTURES)}")
    if name != BOTH:
        return data.photo(name)
    together = Image.new("RGB", (512, 512))
    for top, part in ((0, "cat"), (256, "coffee")):
        photo = data.photo(part)
        height = photo.width // 2
        upper = (photo.height - height) // 2
        together.paste(photo.resize((512, 256), box=(0, upper, photo.width, upper + height)), (0, top))
    return together


@cache
def seen(name: str) -> tuple[Tensor, Tensor]:
    """What the network sees of a picture, (3, 224, 224) from 0 to 1, and its input (1, 3, 224, 224)."""
    photo = photograph(name)
    return models.imagenet_picture(photo), models.imagenet_input(photo)


def as_bytes(picture: Tensor) -> np.ndarray:
    """(3, H, W) from 0 to 1 as matplotlib and PIL want it: uint8 (H, W, 3)."""
    return (255 * picture).round().to(torch.uint8).permute(1, 2, 0).numpy()


def three_pictures(figure: Figure, captions: tuple[str, str, str], bottom: int, extent: float) -> list[AxesImage]:
    """Three moving square pictures of 224 dots with their captions above, in a figure 700 dots wide.

    Their axes run from 0 to `extent`, y downwards, whatever number of pixels a picture has.
    """
    width, height = (100 * inches for inches in figure.get_size_inches())
    images = []
    for index, caption in enumerate(captions):
        left = 7 + index * (SIDE + 7)
        axes = figure.add_axes((left / width, bottom / height, SIDE / width, SIDE / height))
        axes.set_axis_off()
        figure.text(left / width, (bottom + SIDE + 6) / height, caption, size=10)
        empty = np.full((1, 1, 3), 255, dtype=np.uint8)
        image = axes.imshow(empty, interpolation="nearest", extent=(0, extent, extent, 0), animated=True)
        images.append(image)
    return images
