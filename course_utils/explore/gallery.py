"""Explorer: what do the transforms of torchvision.transforms.v2 do to a picture?"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from course_utils import data
from course_utils._arguments import kind
from course_utils._drawing import counted
from course_utils.explore.base import Control, Explorer, Move, Settings, _member, headline, sheet
from course_utils.session import check_seed
from course_utils.style import BLACK, GREY

HEIGHT, WIDTH = 80, 108  # of every picture before the transform, in pixels
CALLS = 8
PHOTOS = ("cat", "coffee", "digit 6")

# The arguments that the reader may choose for each transform; the last is what a change of transform shows.
_ARGUMENTS: dict[str, tuple[dict[str, Any], ...]] = {
    "RandomCrop": (
        {"size": 64},
        {"size": 32},
        {"size": (80, 108), "padding": 16},
        {"size": (80, 108), "padding": 16, "padding_mode": "reflect"},
    ),
    "CenterCrop": ({"size": 64}, {"size": 32}, {"size": 120}),
    "RandomResizedCrop": ({"size": 64, "scale": (0.5, 1.0)}, {"size": 64, "scale": (0.08, 0.2)}, {"size": 64}),
    "FiveCrop": ({"size": 64}, {"size": 32}, {"size": 48}),
    "TenCrop": ({"size": 64}, {"size": 48, "vertical_flip": True}, {"size": 48}),
    "RandomHorizontalFlip": ({"p": 0.1}, {"p": 1.0}, {"p": 0.5}),
    "RandomVerticalFlip": ({"p": 0.1}, {"p": 1.0}, {"p": 0.5}),
    "RandomRotation": (
        {"degrees": 10},
        {"degrees": (45, 90)},
        {"degrees": 30, "center": (0, 0)},
        {"degrees": 30, "expand": True},
        {"degrees": 180},
    ),
    "Pad": (
        {"padding": 8},
        {"padding": (16, 4)},
        {"padding": (2, 8, 16, 24)},
        {"padding": 16, "padding_mode": "edge"},
        {"padding": 16, "padding_mode": "reflect"},
    ),
    "RandomAffine": (
        {"degrees": 0, "translate": (0.3, 0.1)},
        {"degrees": 0, "scale": (0.5, 1.5)},
        {"degrees": 0, "shear": (0, 0, 0, 45)},
        {"degrees": 0, "shear": 45},
    ),
    "ColorJitter": (
        {"hue": 0.1},
        {"brightness": 0.8},
        {"contrast": 0.8},
        {"saturation": 1.0},
        {"hue": 0.5},
    ),
    "RandomGrayscale": ({"p": 0.1}, {"p": 1.0}, {"p": 0.5}),
    "Grayscale": ({"num_output_channels": 1}, {"num_output_channels": 3}),
    "RandomErasing": (
        {"p": 0.5},
        {"p": 1.0, "value": "random"},
        {"p": 1.0, "scale": (0.3, 0.5)},
        {"p": 1.0},
    ),
    "Resize": ({"size": 36}, {"size": 96}, {"size": (96, 48)}),
    "RandomPerspective": (
        {"distortion_scale": 0.2, "p": 1.0},
        {"distortion_scale": 0.8, "p": 1.0},
        {"distortion_scale": 0.5, "p": 0.5},
    ),
    "GaussianBlur": ({"kernel_size": 3}, {"kernel_size": 15, "sigma": 4.0}, {"kernel_size": 9, "sigma": (0.1, 4.0)}),
    "GaussianNoise": ({"sigma": 0.05}, {"sigma": 0.5}, {"sigma": 0.2}),
    "RandAugment": ({"magnitude": 5}, {"magnitude": 25}, {"num_ops": 2, "magnitude": 9}),
}
_CORNERS = ("top left", "top right", "bottom left", "bottom right", "centre")


def _written(arguments: dict[str, Any]) -> str:
    """Arguments as they stand in a call, texts in double quotes."""
    return ", ".join(
        f'{name}="{value}"' if isinstance(value, str) else f"{name}={value}" for name, value in arguments.items()
    )


# transform -> what stands in the brackets of its call -> the same as keyword arguments
TRANSFORMS = {name: {_written(arguments): arguments for arguments in choices} for name, choices in _ARGUMENTS.items()}


@dataclass(frozen=True)
class Gallery:
    """What eight calls of a random transform give, or the one call of FiveCrop and TenCrop."""

    transform: str
    call: str  # as the reader would write it
    photo: str
    seed: int
    original: Tensor  # float32 (3, 80, 108), 0 to 1
    results: tuple[Tensor, ...]  # float32 (C, H, W) each, C = 1 or 3
    names: tuple[str, ...]  # which crop each result of FiveCrop and TenCrop is; "" for the others
    calls: int
    different: int  # how many of the results differ from each other
    unchanged: int  # how many of the results equal the original


def apply_transform(transform: str, arguments: str | None = None, photo: str = "cat", seed: int = 0) -> Gallery:
    """Call `v2.<transform>(<arguments>)` eight times on a picture, after torch.manual_seed(seed).

    `transform` is a key of TRANSFORMS, `arguments` a key of TRANSFORMS[transform] (None takes the first),
    `photo` one of PHOTOS: a float32 tensor (3, 80, 108) from 0 to 1. FiveCrop and TenCrop, which give a
    tuple, are called once. The reader's random state and default dtype are as before afterwards. Raises
    ValueError for anything else.
    """
    from torchvision.transforms import v2  # costs seconds, so not at the top

    arguments = _checked(transform, arguments)
    original = picture(_member("photo", photo, PHOTOS))
    several = transform in ("FiveCrop", "TenCrop")
    chosen = TRANSFORMS[transform][arguments]
    check_seed(seed)
    with _seeded(seed):
        change = getattr(v2, transform)(**chosen)
        results = change(original) if several else tuple(change(original) for _ in range(CALLS))
    second = "upside down" if chosen.get("vertical_flip") else "mirrored"
    return Gallery(
        transform=transform,
        call=f"v2.{transform}({arguments})",
        photo=photo,
        seed=seed,
        original=original,
        results=tuple(results),
        names=(*_CORNERS, *[second] * 5)[: len(results)] if several else ("",) * CALLS,
        calls=1 if several else CALLS,
        different=len({(result.shape, result.numpy().tobytes()) for result in results}),
        unchanged=sum(torch.equal(result, original) for result in results),
    )


def _checked(transform: str, arguments: str | None) -> str:
    """The arguments, for None the first of `transform`; ValueError when the gallery does not have them."""
    if not isinstance(transform, str) or transform not in TRANSFORMS:
        near = ", ".join(get_close_matches(str(transform)[:40], TRANSFORMS, n=3, cutoff=0))
        given = repr(transform) if isinstance(transform, str) else kind(transform)
        raise ValueError(f"transform = {given:.60} is not in the gallery; the nearest names are: {near}")
    known = tuple(TRANSFORMS[transform])
    return known[0] if arguments is None else _member("arguments", arguments, known)


@lru_cache(maxsize=8)
def picture(photo: str) -> Tensor:
    """The middle of one of data.PHOTOS, or "digit 6" in black on white, as float32 (3, 80, 108), 0 to 1."""
    if photo == "digit 6":
        digits = data.digits()
        six = Image.fromarray(255 - digits.images[digits.labels == 6][0].numpy())
        shown = Image.new("RGB", (WIDTH, HEIGHT), "white")
        shown.paste(six.resize((HEIGHT, HEIGHT), Image.Resampling.BILINEAR), ((WIDTH - HEIGHT) // 2, 0))
    else:
        whole_photo = data.photo(photo)
        height = min(whole_photo.height, whole_photo.width * HEIGHT // WIDTH)
        left, top = (whole_photo.width - height * WIDTH // HEIGHT) // 2, (whole_photo.height - height) // 2
        box = (left, top, left + height * WIDTH // HEIGHT, top + height)
        shown = whole_photo.resize((WIDTH, HEIGHT), Image.Resampling.BOX, box)
    return torch.from_numpy(np.array(shown)).permute(2, 0, 1).contiguous().to(torch.float32) / 255


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generator of the CPU inside the block, and let numbers be drawn as float32 there."""
    usual = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(usual)


SHEET = (292, 700)  # pixels of the sheet that the pictures are laid on, height and width
LEFT, FIELD = 120, 6  # width of the column of the original, and the gap to the field of the results
ROW, MIDDLE = 146, 64  # height of a row of results with the words under them, and where a result's middle is
FRAME = 205  # grey value of the frame as large as the original
MOST = 10  # results, of TenCrop


def places(count: int) -> list[tuple[int, int]]:
    """The middles (row, column) of `count` results on the sheet, in pixels: four or five beside each other."""
    columns = 4 if count == CALLS else 5
    width = (SHEET[1] - LEFT - FIELD) // columns
    return [(ROW * (k // columns) + MIDDLE, LEFT + FIELD + width * (k % columns) + width // 2) for k in range(count)]


def lay_out(gallery: Gallery) -> np.ndarray:
    """All pictures on one white sheet, uint8 (292, 700, 3), one pixel for one pixel.

    The original stands left; behind every result a grey frame is as large as the original, and a grey line
    runs around the result itself, so that white on white can be seen.
    """
    laid = np.full((*SHEET, 3), 255, dtype=np.uint8)
    laid[:, LEFT] = FRAME
    _paste(laid, gallery.original, MIDDLE, LEFT // 2)
    for result, (row, column) in zip(gallery.results, places(len(gallery.results)), strict=True):
        for height, width in ((HEIGHT, WIDTH), result.shape[-2:]):
            top, left = row - height // 2 - 1, column - width // 2 - 1
            frame = laid[top : top + height + 2, left : left + width + 2]
            frame[[0, -1]] = frame[:, [0, -1]] = FRAME
        _paste(laid, result, row, column)
    return laid


def _paste(laid: np.ndarray, result: Tensor, row: int, column: int) -> None:
    height, width = result.shape[-2:]
    top, left = row - height // 2, column - width // 2
    pixels = (result.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    laid[top : top + height, left : left + width] = pixels.numpy()  # one channel is seen as grey


def draw_gallery(figure: Figure) -> Move:
    """Draw nothing but words yet; return what lays the pictures on the sheet and writes under them."""
    axes = sheet(figure)
    title = headline(figure)
    bottom = 0.34
    laid = axes.imshow(
        np.zeros((*SHEET, 3), dtype=np.uint8),
        extent=(0, SHEET[1] / 100, bottom, bottom + SHEET[0] / 100),
        aspect="auto",
        interpolation="nearest",
        animated=True,
    )

    def caption() -> Any:
        return axes.text(0, 0, "", size=9, color=BLACK, ha="center", va="top", linespacing=1.1, animated=True)

    def place(text: Any, words: str, height: int, row: int, column: int) -> None:
        text.set(text=words, position=(column / 100, bottom + (SHEET[0] - row - (height + 1) // 2) / 100 - 0.03))

    original, captions = caption(), [caption() for _ in range(MOST)]
    summary = axes.text(0.14, 0.17, "", size=10, va="center", animated=True)
    axes.text(6.86, 0.17, "height × width in pixels; frame: the original", size=9, color=GREY, ha="right", va="center")

    def move(gallery: Gallery) -> None:
        title.set_text(gallery.call)
        summary.set_text(told(gallery))
        laid.set_data(lay_out(gallery))
        place(original, f"original\n{size_of(gallery.original)}", HEIGHT, MIDDLE, LEFT // 2)
        middles = places(len(gallery.results))
        for k, text in enumerate(captions):
            text.set_visible(k < len(middles))
            if k < len(middles):
                result = gallery.results[k]
                words = "\n".join(filter(None, (gallery.names[k], size_of(result))))
                place(text, words, max(HEIGHT, result.shape[-2]), *middles[k])

    return move


def size_of(result: Tensor) -> str:
    """Height × width of a picture, and its channels when there is only one."""
    channels, height, width = result.shape
    return f"{height} × {width}" + (", 1 channel" if channels == 1 else "")


def told(gallery: Gallery) -> str:
    """How many calls with which seed, how many of the results differ, and how many are still the original."""
    if gallery.calls == 1:
        return f"1 call: a tuple of {len(gallery.results)} pictures, never random"
    differ = f"{gallery.different} different results" if gallery.different > 1 else "8 times the same"
    still = f", {gallery.unchanged} unchanged" if gallery.unchanged else ""
    return f"{counted(gallery.calls, 'call')}, seed {gallery.seed}: {differ}{still}"


def describe_gallery(gallery: Gallery) -> str:
    """One sentence: the call, the picture, the sizes and how many results differ."""
    smallest, *_, largest = sorted(gallery.results, key=lambda result: result[0].numel())
    same = size_of(smallest) == size_of(largest)
    sizes = f"all {size_of(smallest)}" if same else f"from {size_of(smallest)} to {size_of(largest)}"
    return (
        f"{gallery.call} on the picture “{gallery.photo}” of {HEIGHT} × {WIDTH} pixels; {told(gallery)}; "
        f"the results are {sizes}."
    )


def transform_gallery(
    transform: str = "RandomCrop",
    arguments: str | None = None,
    photo: str = "cat",
    seed: int = 0,
    question: str = "What can this transform do to a picture, and would you still know what it shows?",
) -> Explorer:
    """Transforms of torchvision.transforms.v2, each called eight times on a photograph or a handwritten 6.

    `transform` is a key of TRANSFORMS, `arguments` what stands in the brackets of its call (a key of
    TRANSFORMS[transform]; None takes its first), `photo` one of PHOTOS, `seed` 0 to 19. Raises ValueError for
    other values.
    """
    arguments = _checked(transform, arguments)
    every = tuple(dict.fromkeys(written for known in TRANSFORMS.values() for written in known))
    return Explorer(
        question=question,
        description="A picture of 80 × 108 pixels and beside it what eight calls of one transform make of it, "
        "all on one scale: the line above them is the call, the frame behind them is as large as the original.",
        controls={
            "transform": Control("transform", tuple(TRANSFORMS), "RandomCrop", kind="menu"),
            "arguments": Control("arguments", every, "size=64", kind="menu"),
            "photo": Control("picture", PHOTOS, "cat", kind="menu"),
            "seed": Control("seed", tuple(range(20)), 0),
        },
        compute=apply_transform,
        draw=draw_gallery,
        describe=describe_gallery,
        strip=[
            {},
            {"transform": "ColorJitter", "arguments": "hue=0.5", "photo": "coffee"},
            {"transform": "RandomVerticalFlip", "arguments": "p=0.5", "photo": "digit 6"},
        ],
        size=(7.0, 3.6),
        start={
            "transform": transform,
            "arguments": arguments,
            "photo": photo,
            "seed": seed,
        },
        narrow=_of_transform,
    )


def _of_transform(settings: Settings) -> dict[str, tuple]:
    return {"arguments": tuple(TRANSFORMS[settings["transform"]])}
