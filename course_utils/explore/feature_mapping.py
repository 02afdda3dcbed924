"""Explorer: what do the layers of a pretrained network make of a photograph?"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from course_utils.explore.base import Control, Explorer, Move, Settings, headline
from course_utils.explore.pretrained import PICTURES, as_bytes, network, seen
from course_utils.hooks import Recorder
from course_utils.style import GREY

# words on the menu: where the Recorder finds the output; the activation is one module that is called twice
LAYERS = {
    "first activation": "_swish",
    "block 0": "_blocks.0",
    "block 2": "_blocks.2",
    "block 4": "_blocks.4",
    "block 10": "_blocks.10",
    "block 15": "_blocks.15",
    "last activation": "_swish:2",
}
COLUMNS, ROWS = 8, 4
A_PAGE = COLUMNS * ROWS
CELL, GAP = 56, 4  # dots


@dataclass(frozen=True)
class MapPage:
    """Some feature maps of one layer for one photograph."""

    photo: str
    layer: str  # a name of LAYERS
    page: int  # from 1
    channels: int  # of the layer
    maps: Tensor  # float32 (N, h, w), those of this page, N at most 32

    @property
    def first(self) -> int:
        """The number of the first of these maps, counted from 0."""
        return (self.page - 1) * A_PAGE

    @property
    def constant(self) -> int:
        """How many of these maps have the same value everywhere."""
        return int((self.maps.amax((1, 2)) == self.maps.amin((1, 2))).sum())


def show_maps(layer: str = "block 4", photo: str = "cat", page: int = 1) -> MapPage:
    """The `page`-th 32 feature maps of one layer of EfficientNet-Lite0 for a photograph.

    `layer` is a name of LAYERS, `photo` one of PICTURES. Raises ValueError for other names and a page that is not
    there.
    """
    if layer not in LAYERS:
        raise ValueError(f"layer {layer!r} is not there; choose one of: {', '.join(LAYERS)}")
    maps = _recorded(photo)[layer]
    if page not in pages(len(maps)):
        raise ValueError(f"page {page!r} is not there; {layer} has {len(maps)} maps, pages 1 to {pages(len(maps))[-1]}")
    chosen = maps[(page - 1) * A_PAGE : page * A_PAGE]
    return MapPage(photo=photo, layer=layer, page=page, channels=len(maps), maps=chosen)


@cache
def _recorded(photo: str) -> dict[str, Tensor]:
    """All layers of one run, (C, h, w) each; kept, so that a change of layer or page runs no network."""
    names = [name for name in LAYERS.values() if ":" not in name]
    with torch.no_grad(), Recorder(network(), names) as recorder:
        network()(seen(photo)[1])
    return {layer: recorder.outputs[name][0] for layer, name in LAYERS.items()}


def pages(channels: int) -> tuple[int, ...]:
    """The numbers of the pages that so many maps take."""
    return tuple(range(1, -(-channels // A_PAGE) + 1))


def contact_sheet(maps: Tensor) -> np.ndarray:
    """Maps (N, h, w) as one grey picture of 4 rows of 8, uint8 (236, 476); what is left over is white.

    Each map is scaled by itself, its smallest value black and its largest white; a constant map is black.
    """
    if maps.shape[1] > CELL:
        maps = torch.nn.functional.avg_pool2d(maps, maps.shape[1] // CELL)
    low = maps.amin((1, 2), keepdim=True)
    span = maps.amax((1, 2), keepdim=True) - low
    grey = 255 * (maps - low) / torch.where(span > 0, span, 1.0)
    times = CELL // grey.shape[1]
    grey = grey.round().to(torch.uint8).repeat_interleave(times, 1).repeat_interleave(times, 2).numpy()
    pitch = CELL + GAP
    sheet = np.full((ROWS * pitch - GAP, COLUMNS * pitch - GAP), 255, dtype=np.uint8)
    for index, tile in enumerate(grey):
        row, column = divmod(index, COLUMNS)
        sheet[row * pitch : row * pitch + CELL, column * pitch : column * pitch + CELL] = tile
    return sheet


WIDTH, HEIGHT = 700, 308  # of the picture, in dots; 100 are an inch
BOTTOM = 30


def draw_maps(figure: Figure) -> Move:
    """Draw the frame of the picture; return what moves the photograph and the maps."""
    title = headline(figure)
    sheet_width, sheet_height = COLUMNS * (CELL + GAP) - GAP, ROWS * (CELL + GAP) - GAP
    side = WIDTH - sheet_width - 24
    left = figure.add_axes((7 / WIDTH, (BOTTOM + sheet_height - side) / HEIGHT, side / WIDTH, side / HEIGHT))
    right = figure.add_axes(
        ((side + 17) / WIDTH, BOTTOM / HEIGHT, sheet_width / WIDTH, sheet_height / HEIGHT), xlim=(0, sheet_width)
    )
    for axes in (left, right):
        axes.set_axis_off()
    photograph = left.imshow(np.zeros((side, side, 3), dtype=np.uint8), interpolation="nearest", animated=True)
    tiles = right.imshow(
        np.zeros((sheet_height, sheet_width), dtype=np.uint8),
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="nearest",
        animated=True,
    )
    figure.text(
        (side + 17) / WIDTH, 9 / HEIGHT, "Each map by itself: smallest value black, largest white.", size=9, color=GREY
    )
    which = figure.text(7 / WIDTH, 9 / HEIGHT, "", size=9, animated=True)

    def move(page: MapPage) -> None:
        height, width = page.maps.shape[1:]
        title.set_text(f"{page.layer}: {page.channels} maps of {height} × {width} values")
        photograph.set_data(_thumbnail(page.photo, side))
        tiles.set_data(contact_sheet(page.maps))
        which.set_text(f"maps {page.first} to {page.first + len(page.maps) - 1}")

    return move


@cache
def _thumbnail(photo: str, side: int) -> np.ndarray:
    """What the network sees of a photograph, resized once instead of at each move: uint8 (side, side, 3)."""
    return np.asarray(Image.fromarray(as_bytes(seen(photo)[0])).resize((side, side)))


def describe_maps(page: MapPage) -> str:
    """One sentence: which maps, their size, their values, how many are constant."""
    height, width = page.maps.shape[1:]
    low, high = (f"{float(value):.2f}".replace("-", "−") for value in (page.maps.min(), page.maps.max()))
    return (
        f"Maps {page.first} to {page.first + len(page.maps) - 1} of the {page.channels} that {page.layer} makes of "
        f"the photograph “{page.photo}”, {height} × {width} values each, from {low} to {high}; "
        f"{page.constant} of them have the same value everywhere."
    )


def feature_maps(
    layer: str = "block 4",
    photo: str = "cat",
    page: int = 1,
    question: str = "How do size and number of the maps change with depth, and what can still be recognised?",
) -> Explorer:
    """The feature maps of seven layers of EfficientNet-Lite0 for a photograph, 32 on a page.

    `layer` is a name of LAYERS, `photo` one of PICTURES. The network runs once for each photograph. Raises ValueError
    for other values.
    """
    return Explorer(
        question=question,
        description="Left the photograph, right 32 feature maps of one layer of a network trained on ImageNet: "
        "early maps are large and show edges and colours, late ones are small and many.",
        controls={
            "layer": Control("layer", tuple(LAYERS), "block 4", kind="menu", width=226),
            "photo": Control("photograph", PICTURES, "cat", kind="menu", width=226),
            "page": Control("page", pages(1280), 1, width=226),
        },
        compute=show_maps,
        draw=draw_maps,
        describe=describe_maps,
        strip=[{"layer": "first activation"}, {"layer": "block 10"}, {"layer": "last activation", "page": 20}],
        size=(WIDTH / 100, HEIGHT / 100),
        start={"layer": layer, "photo": photo, "page": page},
        narrow=_pages_of_the_layer,
    )


def _pages_of_the_layer(settings: Settings) -> dict[str, tuple]:
    return {"page": pages(len(_recorded(settings["photo"])[settings["layer"]]))}
