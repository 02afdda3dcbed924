"""The shipped data: its contents, one line for every damage, hidden digits where the box says."""

import hashlib
import json
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils import data

SHIPPED = Path(__file__).resolve().parent.parent / "data"
CHECKSUMS = json.loads((SHIPPED / "checksums.json").read_text(encoding="utf-8"))
JPEGS_A_CLASS = {"train": 100, "valid": 30, "test": 30}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the data in a folder with a space and Chinese characters, and course_utils.data reads it."""
    folder = tmp_path / "my course 课程" / "data"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("cache", "__pycache__"))
    monkeypatch.setenv("COURSE_DATA", str(folder))
    return folder


def digest(picture) -> str:
    return hashlib.sha256(np.asarray(picture).tobytes()).hexdigest()


def message_of(call, *arguments) -> str:
    with pytest.raises(data.DataError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message and "git restore data" in message
    return message


# ------------------------------------------------------------------------------------------------ the files


def test_checksums_list_exactly_the_files_and_they_are_true():
    scripts = {"build.py", "draw_banknotes.py", "train_hidden_digits.py"}
    made_by_hand = {"README.md", "requirements.txt", "checksums.json", *scripts}
    found = {
        path.relative_to(SHIPPED).as_posix()
        for path in SHIPPED.rglob("*")
        if path.is_file() and not {"cache", "__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    }
    assert found - made_by_hand == set(CHECKSUMS)
    for name, entry in CHECKSUMS.items():
        content = (SHIPPED / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"]), name


def test_all_together_are_small():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if "cache" not in path.parts) <= 8_000_000


def test_readme_names_every_photo_and_set_with_its_checksum():
    text = (SHIPPED / "README.md").read_text(encoding="utf-8")
    for name in data.PHOTOS:
        assert f"photos/{name}.jpg" in text
        assert CHECKSUMS[f"photos/{name}.jpg"]["sha256"] in text
    for name in ("digits.npz", "hidden_digits_network.pt"):
        assert CHECKSUMS[name]["sha256"] in text
    total = sum(entry["bytes"] for entry in CHECKSUMS.values())
    assert f"{len(CHECKSUMS)} files, {total:,} bytes" in text


def test_no_two_banknote_photos_are_the_same_and_none_is_in_two_parts():
    digests = [digest(Image.open(path)) for path in SHIPPED.glob("banknotes/*/*/*.jpg")]
    assert len(digests) == len(set(digests)) == 2 * sum(JPEGS_A_CLASS.values())


def test_the_shipped_banknotes_are_what_the_script_draws(monkeypatch):
    monkeypatch.syspath_prepend(str(SHIPPED))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import build

    for number, part, value, index in [(0, "train", 1, 0), (1, "valid", 100, 7), (2, "test", 1, 29)]:
        drawn = np.asarray(build.photograph(value, [build.SEED, number, value, index]), dtype=float)
        shipped = np.asarray(Image.open(SHIPPED / f"banknotes/{part}/{value}/{index:03d}.jpg"), dtype=float)
        assert drawn.shape == shipped.shape
        assert np.abs(drawn - shipped).mean() < 5  # JPEG loses a little; another photo differs by 30 and more


def test_the_surroundings_of_a_note_do_not_depend_on_its_class(monkeypatch):
    monkeypatch.syspath_prepend(str(SHIPPED))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from draw_banknotes import photograph

    for seed in ([1, 2], [3, 4], [5, 6]):
        one, hundred = (np.asarray(photograph(value, seed), dtype=int) for value in (1, 100))
        differs = np.abs(one - hundred).max(axis=-1) > 0
        edge = np.concatenate([differs[0], differs[-1], differs[:, 0], differs[:, -1]])
        assert 0.1 < differs.mean() < 0.75  # the note, not the table
        assert edge.mean() < 0.35


# --------------------------------------------------------------------------------------------- what loads


def test_digits():
    images, labels = data.digits()
    assert (images.shape, images.dtype, images.device.type) == ((5000, 28, 28), torch.uint8, "cpu")
    assert (labels.shape, labels.dtype) == ((5000,), torch.int64)
    assert (images.min().item(), images.max().item()) == (0, 255)
    assert labels.bincount().tolist() == [500] * 10 and (labels.diff() >= 0).all()
    assert images.flatten(1).unique(dim=0).shape[0] == 5000
    assert images[:, 14, 14].float().mean() > 10 * images[:, 0].float().mean()  # ink in the middle, paper at the edge


def test_a_digit_looks_like_its_label():
    images, labels = data.digits()
    flat = images.flatten(1).float()
    train, test = torch.arange(5000) % 500 < 400, torch.arange(5000) % 500 >= 400
    means = torch.stack([flat[train & (labels == k)].mean(0) for k in range(10)])
    right = torch.cdist(flat[test], means).argmin(1) == labels[test]
    assert right.float().mean() > 0.7  # nearest class mean; mixed-up labels give 0.1


def test_digits_are_fresh_each_time():
    data.digits().images.zero_()
    data.digits().labels.zero_()
    assert data.digits().images.max() == 255 and data.digits().labels.max() == 9


@pytest.mark.parametrize("name", data.PHOTOS)
def test_photo(name):
    picture = data.photo(name)
    assert picture.mode == "RGB" and 300 <= min(picture.size) <= max(picture.size) <= 640
    pixels = np.asarray(picture)
    assert pixels.std() > 20 and (pixels[..., 0] != pixels[..., 2]).mean() > 0.5  # something is there, in colour
    picture.paste((0, 0, 0), (0, 0, *picture.size))
    assert np.asarray(data.photo(name)).max() > 200


def test_photos_are_all_there_is():
    assert {f"photos/{name}.jpg" for name in data.PHOTOS} == {n for n in CHECKSUMS if n.startswith("photos/")}


@pytest.mark.parametrize("part", data.PARTS)
def test_banknotes(part):
    from torchvision.datasets import ImageFolder

    folder = data.banknotes(part)
    assert folder == SHIPPED / "banknotes" / part
    pictures = ImageFolder(folder)
    assert pictures.class_to_idx == {"1": 0, "100": 1}
    assert Counter(pictures.targets) == {0: JPEGS_A_CLASS[part], 1: JPEGS_A_CLASS[part]}
    sizes = {Image.open(path).size for path, _ in pictures.samples}
    assert len(sizes) == 4 and all(96 <= side <= 160 for size in sizes for side in size)
    assert all(Image.open(path).mode == "RGB" for path, _ in pictures.samples)


# --------------------------------------------------------------------------------------------- hidden digits


def test_hidden_digits():
    images, labels, boxes = data.hidden_digits(300, seed=3)
    assert (images.shape, images.dtype) == ((300, 3, 64, 64), torch.float32)
    assert images.is_contiguous() and 0 <= images.min() and images.max() <= 1
    assert (labels.shape, labels.dtype) == ((300,), torch.int64)
    assert set(labels.tolist()) == set(range(10))
    assert (boxes.shape, boxes.dtype) == ((300, 4), torch.int64)
    x0, y0, x1, y1 = boxes.T
    assert (x0 >= 0).all() and (y0 >= 0).all() and (x1 <= 64).all() and (y1 <= 64).all()
    longer = torch.maximum(x1 - x0, y1 - y0)
    assert (x1 > x0).all() and (y1 > y0).all() and longer.min() >= 14 and longer.max() <= 34
    assert x0.min() < 5 and x1.max() > 59 and y0.min() < 5 and y1.max() > 59  # anywhere, not in the middle


def test_box_is_where_the_digit_is():
    with_ink, bare = data.hidden_digits(200, seed=5), data.hidden_digits(200, seed=5, opacity=0)
    assert torch.equal(with_ink.boxes, bare.boxes)
    changed = (with_ink.images - bare.images).abs().amax(dim=1) > 1e-4
    for mask, (x0, y0, x1, y1) in zip(changed, with_ink.boxes.tolist(), strict=True):
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == (x0, y0, x1, y1)


def test_every_digit_can_be_seen():
    with_ink, bare = data.hidden_digits(200, seed=6), data.hidden_digits(200, seed=6, opacity=0)
    strongest = (with_ink.images - bare.images).abs().mean(dim=1).flatten(1).amax(dim=1)
    assert strongest.min() > 0.2


def test_hidden_digit_is_the_one_of_its_label():
    images, labels, boxes = data.hidden_digits(400, seed=7)
    bare = data.hidden_digits(400, seed=7, opacity=0).images
    ink = (images - bare).abs().mean(dim=1)
    real, real_labels = data.digits()
    cut = torch.stack([_as_20x20(ink[i], *box) for i, box in enumerate(boxes.tolist())])
    whole = torch.stack([_as_20x20(digit.float(), *_ink_box(digit)) for digit in real[::10]])
    nearest = torch.cdist(cut.flatten(1), whole.flatten(1)).argmin(dim=1)
    assert (real_labels[::10][nearest] == labels).float().mean() > 0.75


def _ink_box(digit):
    rows, columns = digit.any(1).nonzero().flatten(), digit.any(0).nonzero().flatten()
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _as_20x20(ink, x0, y0, x1, y1):
    square = torch.nn.functional.interpolate(ink[None, None, y0:y1, x0:x1], (20, 20), mode="bilinear")[0, 0]
    return square / square.norm()


def test_same_seed_same_pictures_other_seed_or_part_others():
    first, again = data.hidden_digits(20, seed=1), data.hidden_digits(20, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.images, data.hidden_digits(20, seed=2).images)
    assert not torch.equal(first.images, data.hidden_digits(20, seed=1, part="test").images)


def test_parts_use_different_handwriting(monkeypatch):
    used = {}
    write = data._write
    for part in data.PARTS:
        used[part] = set()
        monkeypatch.setattr(data, "_write", lambda i, d, *rest, p=part: used[p].add(d.tobytes()) or write(i, d, *rest))
        data.hidden_digits(500, part=part)
    assert all(len(digits) > 100 for digits in used.values())
    assert not used["train"] & used["valid"] | used["train"] & used["test"] | used["valid"] & used["test"]


def test_global_random_state_is_left_alone():
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    data.hidden_digits(5, seed=9)
    assert states() == before
    pictures = data.hidden_digits(5, seed=9).images
    torch.manual_seed(123), np.random.seed(123), random.seed(123)
    assert torch.equal(data.hidden_digits(5, seed=9).images, pictures)


@pytest.mark.parametrize("count", [0, -1, 2.0, True, "3", None])
def test_bad_count(count):
    with pytest.raises(ValueError, match="count .* give a whole number, 1 or more"):
        data.hidden_digits(count)


@pytest.mark.parametrize("seed", [-1, 1.5, False, "0", None])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match="seed .* give a whole number, 0 or more"):
        data.hidden_digits(1, seed=seed)


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan"), "1", True])
def test_bad_opacity(opacity):
    with pytest.raises(ValueError, match="opacity .* give a number from 0 to 1"):
        data.hidden_digits(1, opacity=opacity)


# ------------------------------------------------------------------------------------------ names and places


@pytest.mark.parametrize("name", ["dog", "cat.jpg", "../photos/cat", "", None, 3, ["cat"]])
def test_unknown_photo_names_the_choices(name):
    with pytest.raises(ValueError, match="photo .* choose one of: astronaut, cat, coffee, hopper, rocket"):
        data.photo(name)


@pytest.mark.parametrize("call", [data.banknotes, lambda part: data.hidden_digits(1, part=part)])
@pytest.mark.parametrize("part", ["training", "", None])
def test_unknown_part_names_the_choices(call, part):
    with pytest.raises(ValueError, match="part .* choose one of: train, valid, test"):
        call(part)


def test_loads_from_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert len(data.digits().labels) == 5000
    assert data.banknotes("test") == SHIPPED / "banknotes" / "test"


def test_folder_with_spaces_and_chinese_characters(copy):
    assert data.banknotes("valid") == copy.resolve() / "banknotes" / "valid"
    assert data.photo("cat").size == Image.open(SHIPPED / "photos/cat.jpg").size
    assert len(data.hidden_digits(3).labels) == 3


def test_relative_course_data(copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    monkeypatch.setenv("COURSE_DATA", "data")
    assert data.banknotes("test").is_absolute()


# ------------------------------------------------------------------------------------------------- damage

LOADS = {
    "digits.npz": data.digits,
    "photos/rocket.jpg": lambda: data.photo("rocket"),
    "banknotes/valid/100/012.jpg": lambda: data.banknotes("valid"),
    "hidden_digits_network.pt": data.hidden_digits_weights,
}


@pytest.mark.parametrize("name", LOADS)
def test_missing_file(copy, name):
    (copy / name).unlink()
    assert f"data/{name} is missing" in message_of(LOADS[name])


@pytest.mark.parametrize("name", LOADS)
@pytest.mark.parametrize("keep", [0, 100])
def test_empty_or_truncated_file(copy, name, keep):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:keep])
    assert f"data/{name} is damaged: it has {keep} bytes instead of {len(content):,}" in message_of(LOADS[name])


@pytest.mark.parametrize("name", LOADS)
def test_one_changed_byte_of_a_file_that_was_loaded_before(copy, name):
    LOADS[name]()
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    message = message_of(LOADS[name])
    assert f"data/{name} is damaged" in message
    assert CHECKSUMS[name]["sha256"][:8] in message
    assert hashlib.sha256(content).hexdigest()[:8] in message


def test_damaged_photo_also_stops_hidden_digits(copy):
    (copy / "photos/cat.jpg").unlink()
    assert "photos/cat.jpg is missing" in message_of(data.hidden_digits, 1)


def test_a_folder_in_the_place_of_a_file(copy):
    (copy / "digits.npz").unlink()
    (copy / "digits.npz").mkdir()
    assert "data/digits.npz" in message_of(data.digits)


def test_damage_elsewhere_does_not_matter(copy):
    (copy / "digits.npz").unlink()
    assert data.photo("coffee").mode == "RGB"
    assert data.banknotes("train").is_dir()


def test_a_restored_file_loads_again(copy):
    (copy / "photos/cat.jpg").write_bytes(b"")
    message_of(data.photo, "cat")
    shutil.copy(SHIPPED / "photos/cat.jpg", copy / "photos/cat.jpg")
    assert data.photo("cat").mode == "RGB"


def test_a_strange_picture_among_the_banknotes(copy):
    shutil.copy(SHIPPED / "photos/cat.jpg", copy / "banknotes/train/1/my note.JPG")
    (copy / "banknotes/train/1/.DS_Store").write_bytes(b"left behind by a file manager")
    with pytest.raises(data.DataError, match=r"^data/banknotes/train/1/my note.JPG is not one of the course's"):
        data.banknotes("train")
    (copy / "banknotes/train/1/my note.JPG").unlink()
    assert data.banknotes("train").is_dir()


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"digits.npz": 1}', '{"digits.npz": {"bytes": 1}}', "{}"])
def test_damaged_checksums(copy, content):
    (copy / "checksums.json").write_text(content, encoding="utf-8")
    assert "data/checksums.json is damaged" in message_of(data.digits)


@pytest.mark.parametrize("content", ["{}", None])
def test_banknotes_without_checksums(copy, content):
    (copy / "checksums.json").unlink()
    if content is not None:
        (copy / "checksums.json").write_text(content, encoding="utf-8")
    assert "data/checksums.json is" in message_of(data.banknotes, "train")


def test_missing_folder_says_who_named_it(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(data.DataError, match="nowhere is missing; COURSE_DATA names it: set it right or unset it$"):
        data.digits()


def test_verify_finds_damage_in_any_set(copy):
    data.verify()
    for name in LOADS:
        kept = (copy / name).read_bytes()
        (copy / name).write_bytes(kept[:-1])
        assert f"data/{name} is damaged" in message_of(data.verify)
        (copy / name).write_bytes(kept)
    data.verify()
