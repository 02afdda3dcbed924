"""Many small pictures in one figure: images, the kernels of a convolution, feature maps.

The pictures are laid side by side by `torchvision.utils.make_grid`. Tensors may be on any device and may
require gradients; they are read and never changed.
"""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torchvision.utils import make_grid

from ._arguments import interval, kind, on_cpu, whole
from ._drawing import set_title
from .style import WIDEST, CourseFigure, figure, look

TALLEST = 10.0  # inches; more does not fit on a screen
LARGEST_CELL = 2.2  # inches that one picture takes at most, and one with few pixels
LARGEST_COARSE_CELL = 1.0
NARROWEST = 3.2  # inches, so that a title finds room above one single picture
GAP = 0.05  # inches between two pictures
MOST_COLUMNS = 32
FINE = 64  # pixels; a picture that is less wide is coarse, and enlarged before it is drawn
CAPTION_SIZE = 9  # points
CAPTION_LINE = 0.17  # inches that one line of a caption takes
CHARACTERS_PER_INCH = 14  # of a caption


def show_grid(
    images: torch.Tensor | Sequence[torch.Tensor | Image.Image],
    titles: Sequence[object] | None = None,
    columns: int = 8,
    *,
    title: str = "",
    value_range: tuple[float, float] | None = None,
) -> CourseFigure:
    """Show `images` in rows of `columns`, with the texts `titles` (one for each image) under them.

    `images`: a tensor (N, C, H, W) with C = 1 or 3, or (N, H, W), or a list of (C, H, W), (H, W) or PIL
    images of one size. uint8 runs from 0 (black) to 255, bool and floats from 0 to 1; images with other
    values, such as normalised ones, need `value_range` = (value shown black, value shown white), beyond which
    values are cut.

    Raises TypeError or ValueError for no images, other shapes or dtypes, NaN, values out of range, a number
    of titles that does not fit, and more images than a figure can hold (10 inches in height).
    """
    if value_range is not None:
        value_range = interval(value_range, "value_range")
    pictures = [_to_rgb(image, f"image {i}", value_range) for i, image in enumerate(_as_list(images))]
    for i, picture in enumerate(pictures):
        if picture.shape != pictures[0].shape:
            raise ValueError(
                f"image {i} is {_size(picture)} and image 0 is {_size(pictures[0])} pixels (height x width); "
                "resize them to one size"
            )
    captions = _captions(titles, len(pictures))
    columns = min(whole(columns, "columns"), len(pictures))
    listed = f", titled: {', '.join(captions)}" if captions else ""
    plural = "s" if len(pictures) > 1 else ""
    description = f"{len(pictures)} image{plural} of {_size(pictures[0])} pixels, {columns} in a row{listed}."
    return _draw(pictures, captions, columns, title, description)


def show_kernels(weights: torch.Tensor, columns: int = 8, *, title: str = "") -> CourseFigure:
    """Show the kernels of a convolution, `weights` of shape (out, in, height, width), floating point.

    Each kernel is divided by its own largest absolute value: a weight of 0 is middle grey, the most negative
    possible weight black, the most positive white. in = 3 is shown in colour and in = 1 in grey, one picture
    for each of the `out` kernels; for any other `in` each row holds the `in` slices of one kernel, and
    `columns` is not used. Raises TypeError or ValueError for another shape, integers, NaN, or too many
    kernels.
    """
    values = _stack(weights, "weights", "(out, in, height, width)", "conv.weight")
    outputs, inputs = values.shape[:2]
    largest = values.abs().amax(dim=(1, 2, 3), keepdim=True)
    scaled = values / (2 * torch.where(largest > 0, largest, 1.0)) + 0.5
    coloured = inputs in (1, 3)
    pictures = list(scaled) if coloured else [piece[None] for kernel in scaled for piece in kernel]
    columns = min(whole(columns, "columns"), outputs) if coloured else inputs
    extreme = values.abs().max().item()
    description = (
        f"{outputs} kernels of {inputs} x {_size(values)} weights, each scaled by its own largest absolute "
        f"value (0 is middle grey); the largest of all is {extreme:.3g} in size."
    )
    return _draw([_three(picture) for picture in pictures], [], columns, title, description)


def show_feature_maps(maps: torch.Tensor, columns: int = 8, *, title: str = "") -> CourseFigure:
    """Show the channels of one layer's output, `maps` of shape (C, H, W), floating point, as C grey pictures.

    Each map is scaled by itself: its smallest value is black, its largest white. A map that is constant is
    black all over, and the description says how many of them there are. Raises TypeError or ValueError for
    another shape (take one image of a batch: `maps[0]`), integers, NaN, or too many maps.
    """
    values = _stack(maps, "maps", "(C, H, W)", "maps[0] of a batch")
    low = values.amin(dim=(1, 2), keepdim=True)
    span = values.amax(dim=(1, 2), keepdim=True) - low
    scaled = (values - low) / torch.where(span > 0, span, 1.0)
    constant = int((span == 0).sum())
    description = (
        f"{len(values)} feature maps of {_size(values)} values, each scaled to its own smallest and largest "
        f"value; {constant} of them {'is' if constant == 1 else 'are'} constant; all values lie between "
        f"{values.min().item():.3g} and {values.max().item():.3g}."
    )
    pictures = [_three(picture[None]) for picture in scaled]
    return _draw(pictures, [], min(whole(columns, "columns"), len(pictures)), title, description)


def _as_list(images: object) -> list:
    """The images one by one, after a look at how they were given."""
    if isinstance(images, torch.Tensor):
        shape = tuple(images.shape)
        if images.dim() not in (3, 4):
            raise ValueError(
                f"images has shape {shape}; (N, C, H, W) or (N, H, W) is needed, and one image goes into a "
                "list: [image]"
            )
        images = list(images)
    if not isinstance(images, (list, tuple)):
        raise TypeError(f"images is {kind(images)}; give a tensor, or a list of tensors or PIL images")
    if not images:
        raise ValueError("there is no image to show; give at least one")
    return list(images)


def _to_rgb(image: object, name: str, value_range: tuple[float, float] | None) -> torch.Tensor:
    """One image as a new float tensor (3, H, W) from 0 to 1."""
    if isinstance(image, Image.Image):
        image = image if image.mode in ("L", "RGB") else image.convert("RGB")
        image = torch.from_numpy(np.array(image))
        image = image if image.dim() == 2 else image.permute(2, 0, 1)
    if not isinstance(image, torch.Tensor):
        raise TypeError(f"{name} is {kind(image)}; a tensor or a PIL image is needed")
    shape = tuple(image.shape)
    if image.dim() not in (2, 3) or (image.dim() == 3 and shape[0] not in (1, 3)):
        last = image.dim() == 3 and shape[2] in (1, 3)
        hint = "; move the channels to the front with .permute" if last else ""
        raise ValueError(f"{name} has shape {shape}; (H, W), (1, H, W) or (3, H, W) is needed{hint}")
    if image.numel() == 0:
        raise ValueError(f"{name} has shape {shape}; it holds no pixel")
    if image.dtype not in (torch.uint8, torch.bool) and not image.is_floating_point():
        raise TypeError(f"{name} is {image.dtype}; uint8 (0 to 255), bool or floats are needed, e.g. .to(torch.uint8)")
    values = _finite(on_cpu(image, name).to(torch.float32), name)
    if value_range is None and image.is_floating_point():
        low, high = values.min().item(), values.max().item()
        if low < -1e-4 or high > 1 + 1e-4:
            raise ValueError(
                f"{name} has values from {low:.3g} to {high:.3g}; floats are shown from 0 to 1, so undo the "
                "normalisation, divide by 255, or give value_range=(low, high)"
            )
    low, high = value_range or ((0.0, 255.0) if image.dtype == torch.uint8 else (0.0, 1.0))
    return _three(((values - low) / (high - low)).clamp(0, 1))


def _three(picture: torch.Tensor) -> torch.Tensor:
    """(H, W) or (1, H, W) grey, or (3, H, W) colour, as (3, H, W)."""
    return picture.expand(3, *picture.shape[-2:])


def _finite(values: torch.Tensor, name: str) -> torch.Tensor:
    bad = int((~values.isfinite()).sum())
    if bad:
        raise ValueError(
            f"{name}: {bad} of {values.numel()} values are NaN or infinite; find where they came from before drawing"
        )
    return values


def _stack(tensor: object, name: str, wanted: str, example: str) -> torch.Tensor:
    """A tensor of weights or maps on the CPU in float32, with as many dimensions as `wanted` names."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} is {kind(tensor)}; a tensor {wanted} is needed, such as {example}")
    if tensor.dim() != len(wanted.split(",")) or tensor.numel() == 0:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; {wanted} is needed, such as {example}")
    if not tensor.is_floating_point():
        raise TypeError(f"{name} is {tensor.dtype}; floats are needed, for example its .float()")
    return _finite(on_cpu(tensor, name).to(torch.float32), name)


def _captions(titles: Sequence[object] | None, count: int) -> list[str]:
    if titles is None:
        return []
    if isinstance(titles, torch.Tensor):
        titles = on_cpu(titles, "titles").tolist()
    if isinstance(titles, str) or not isinstance(titles, Sequence):
        raise TypeError(f"titles is {kind(titles)}; a list with one text for each image is needed")
    if len(titles) != count:
        raise ValueError(f"there are {count} images and {len(titles)} titles; give one title for each image")
    return [str(entry.item() if isinstance(entry, torch.Tensor) else entry) for entry in titles]


def _size(picture: torch.Tensor) -> str:
    return f"{picture.shape[-2]} x {picture.shape[-1]}"


@look()
def _draw(
    pictures: list[torch.Tensor], captions: list[str], columns: int, title: str, description: str
) -> CourseFigure:
    """Draw pictures (3, H, W) from 0 to 1, `columns` in a row; captions stand on white under the pictures."""
    if columns > MOST_COLUMNS:
        raise ValueError(
            f"{columns} pictures in a row are too small to be seen; show at most {MOST_COLUMNS}, for example "
            "with columns=, or a slice such as weights[:, :16]"
        )
    largest = LARGEST_COARSE_CELL if pictures[0].shape[2] < FINE else LARGEST_CELL
    cell = min((WIDEST - 0.2) / columns, largest)
    zoom = max(1, FINE // pictures[0].shape[2])  # whole pixels, so that gaps beside tiny pictures can be thin
    pictures = [picture.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2) for picture in pictures]
    height, width = pictures[0].shape[1:]
    scale = width / (cell - GAP)  # pixels per inch
    wrapped = [textwrap.wrap(text, max(4, int((cell - GAP) * CHARACTERS_PER_INCH))) for text in captions]
    room = math.ceil(max(map(len, wrapped), default=0) * CAPTION_LINE * scale)
    gap = max(1, round(GAP * scale))
    tall = math.ceil(len(pictures) / columns) * (height + room + gap) / scale
    if tall > TALLEST:
        raise ValueError(
            f"{len(pictures)} pictures in rows of {columns} would be {tall:.0f} inches tall, {TALLEST:g} is "
            "the most; show fewer (a slice such as [:16]) or more in a row"
        )
    with_room = [torch.nn.functional.pad(picture, (0, 0, 0, room), value=1.0) for picture in pictures]
    grid = make_grid(with_room, nrow=columns, padding=gap, pad_value=1.0)
    if len(pictures) > 1:  # make_grid puts no gap around a single picture
        grid = grid[:, gap:-gap, gap:-gap]
    wide = min(max(grid.shape[2] / scale + 0.1, NARROWEST), WIDEST)
    drawing, axes = figure(description, size=(wide, tall + 0.4))
    axes.imshow(grid.permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_axis_off()
    axes.set_anchor("NW")
    for i, words in enumerate(wrapped):
        row, column = divmod(i, columns)
        left, top = column * (width + gap), row * (height + room + gap)
        place = {"ha": "center", "va": "top", "linespacing": 1.1, "fontsize": CAPTION_SIZE}
        axes.text(left + width / 2, top + height, "\n".join(words), **place)
    set_title(axes, title)
    return drawing
