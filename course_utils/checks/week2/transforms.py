"""Checks of lessons 2.4 and 2.5: transforms."""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from course_utils import data
from course_utils._arguments import kind
from course_utils.checks.core import (
    Mistake,
    NotAttempted,
    call,
    exercise,
    expect_close,
    expect_tensor,
    expect_type,
)
from course_utils.errors import one_line


class _CountingNet(nn.Module):
    """A small convolutional network, (N, 3, H, W) to (N, 4), that notes the shape of every input."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.linear = nn.Conv2d(3, 5, 3), nn.Linear(5, 4)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(images.shape))
        if images.dim() != 4:
            raise ValueError(f"the model takes 4-D batches, this input has shape {tuple(images.shape)}")
        # the largest response: then the mean picture and the mean of the answers are different things
        return self.linear(self.convolution(images).amax(dim=(2, 3)))


@exercise("2.9", "Let the crops vote")
def crop_vote(function: object) -> str:
    torch.default_generator.manual_seed(0)
    model, inputs = _CountingNet().eval(), torch.rand(3, 5, 3, 9, 8)
    with torch.no_grad():
        rows = torch.stack([torch.cat([model(crop[None]) for crop in picture]) for picture in inputs])
    model.seen.clear()
    answer = call(function, model, inputs.clone())
    expect_type(answer, torch.Tensor, "what vote() returns")
    answer = answer.detach()
    if not model.seen:
        raise Mistake("the model was never called; its answers are what is to be averaged")
    if tuple(answer.shape) == (3, 5, 4):
        raise Mistake("the shape is (batch, crops, classes): one row of scores a crop; now average over the crops")
    if tuple(answer.shape) == (15, 4):
        raise Mistake("the shape is (batch * crops, classes); take it apart with view(batch, crops, -1), then average")
    if tuple(answer.shape) == (5, 4):
        raise Mistake("the shape is (crops, classes): you averaged over the pictures; the crops are dimension 1")
    if tuple(answer.shape) == (3,):
        raise Mistake("the shape is (batch,): return the mean logits, (batch, classes); an argmax can follow later")
    expect_tensor(answer, "vote(model, inputs)", dtype=torch.float32, device="cpu", shape=(3, 4))
    with torch.no_grad():
        likely = {
            "you averaged the crops before the model saw them: it got one blurred picture each": model(inputs.mean(1)),
            "these are the sums over the crops; the mean does not grow with their number": rows.sum(1),
            "these are the scores of one crop only; all five have a vote": rows[:, 0],
            "these are the scores of the centre crop only; all five have a vote": rows[:, 4],
            "these are mean probabilities; average the logits, before any softmax": rows.softmax(-1).mean(1),
            "this is a softmax of the mean; return the mean logits themselves": rows.mean(1).softmax(-1),
            "pictures and crops got mixed up: the model's rows come picture by picture, so view(batch, crops, -1)": (
                rows.flatten(0, 1).view(5, 3, 4).mean(0)
            ),
        }
    for sentence, scores in likely.items():
        if torch.allclose(answer, scores, atol=1e-5):
            raise Mistake(sentence)
    expect_close(answer, rows.mean(1), "vote(model, inputs)", "each picture needs the mean of its own five rows")
    calls = len(model.seen) - 1  # one of them was the check's own, above
    if calls > 1:
        raise Mistake(f"the values are right, but the model was called {calls} times; one call can take all the crops")
    return "five views, one call: the crops travel as a longer batch, and only the averaging knows who belongs together"


_SIZES: dict[str, tuple[Callable, str]] = {
    "CenterCrop(100)": (v2.CenterCrop(100), "one number means a square"),
    "CenterCrop((100, 250))": (v2.CenterCrop((100, 250)), "a pair as size is (height, width)"),
    "RandomCrop(200, padding=20)": (v2.RandomCrop(200, padding=20), "it pads first, and cuts 200x200 out of that"),
    "Pad((10, 20))": (v2.Pad((10, 20)), "10 left and 10 right, 20 above and 20 below"),
    "Pad((5, 10, 15, 20))": (v2.Pad((5, 10, 15, 20)), "left, top, right, bottom"),
    "RandomResizedCrop(64)": (v2.RandomResizedCrop(64), "whatever it cuts out, it resizes to size"),
    "RandomRotation((90, 90))": (v2.RandomRotation((90, 90)), "without expand the frame stays as it was"),
    "RandomRotation((90, 90), expand=True)": (
        v2.RandomRotation((90, 90), expand=True),
        "turned by 90 degrees, with room for it, it lies on its side",
    ),
}


@exercise("2.10", "Sizes before you run")
def sizes(answer: object) -> str:
    expect_type(answer, dict, "answer")
    if missing := [name for name in _SIZES if name not in answer]:
        raise Mistake(f"the entry {missing[0]!r} is missing; keep the keys as they were")
    for name, (transform, why) in _SIZES.items():
        given = answer[name]
        if given is ... or given is None:
            raise Mistake(f"{name} is still open")
        if isinstance(given, (torch.Tensor, np.ndarray)):
            given = given.tolist()
        expect_type(given, (tuple, list), name)
        if len(given) != 2 or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in given):
            raise Mistake(f"{name} should be two whole numbers, (width, height), but it is {one_line(repr(given), 40)}")
        given, truth = tuple(int(n) for n in given), transform(Image.new("RGB", (300, 200))).size
        if given == truth[::-1] != truth and "Rotation" not in name:
            raise Mistake(f"{name}: {given} has the height first, PIL's size begins with the width; {why}")
        if given != truth:
            raise Mistake(f"{name}: not {given}; {why}")
    return "sizes are (height, width), paddings begin at the left, PIL says (width, height): three orders in one line"


# --- 2.11 ---

_PROMISED = ("crop", "resize", "shift", "flip", "colour", "shear", "occlusion")
_SIDE, _DRAWS = 224, 6
Pixels = np.ndarray  # float32 (H, W, 3), 0 to 255


@exercise("2.11", "Ten pictures from one")
def ten_augmentations(function: object) -> str:
    _same_dice(0)
    original = v2.Compose([v2.Resize(_SIDE), v2.CenterCrop(_SIDE)])(data.photo("coffee"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows: a file may be open
        given = original.copy()
        kinds = call(function, given, Path(folder))
        expect_type(kinds, dict, "what save_ten() returns")
        if missing := [name for name in _PROMISED if name not in kinds]:
            raise Mistake(f"the name {missing[0]!r} is missing in the dictionary that you return")
        if unfilled := [name for name, transform in kinds.items() if transform is ... or transform is None]:
            raise Mistake(f"{unfilled[0]!r} is still open")
        if len(kinds) < 10:
            raise Mistake(f"the dictionary holds {len(kinds)} transforms; seven are given, three or more are yours")
        if given.tobytes() != original.tobytes():
            raise Mistake("the picture that save_ten was given is changed afterwards; transforms make new ones")
        results = {name: _drawn(name, transform, original) for name, transform in kinds.items()}
        for name in _PROMISED:
            _keeps_promise(name, kinds[name])
        _look_into(Path(folder), kinds, results, _pixels(original, "the original"))
    return f"{len(kinds)} files from one photograph, and every one could carry the old label: that is augmentation"


def _same_dice(seed: int) -> None:
    """The same draws for every transform, whichever generator it uses; core gives the states back."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def _pixels(result: object, name: str) -> Pixels:
    """What a transform made, as an array; of a tuple of crops the first."""
    if isinstance(result, (tuple, list)) and result:
        result = result[0]
    if isinstance(result, Image.Image):
        return np.asarray(result.convert("RGB"), dtype=np.float32)
    if not isinstance(result, torch.Tensor) or result.dim() != 3 or result.shape[0] not in (1, 3):
        raise Mistake(f"{name!r} makes no picture of a picture, but {kind(result)}")
    array = result.detach().to(torch.float32).expand(3, *result.shape[1:]).permute(1, 2, 0).numpy()
    return array * 255 if result.is_floating_point() else array


def _apply(transform: object, picture: object, name: str, seed: int) -> Pixels:
    _same_dice(seed)
    try:
        return _pixels(call(transform, picture), name)
    except NotAttempted:
        raise Mistake(f"{name!r} gives nothing back when it is called with a picture") from None


def _forms(picture: Image.Image) -> list[object]:
    """The picture as PIL, as bytes and as floats: a transform may want any of them."""
    image = v2.functional.to_image(picture)
    return [picture, image, v2.functional.to_dtype(image, torch.float32, scale=True)]


def _unlike(a: Pixels, b: Pixels) -> bool:
    return a.shape != b.shape or bool((np.abs(a - b) > 0.6).any())


def _drawn(name: str, transform: object, picture: Image.Image) -> list[Pixels]:
    """Six draws of a transform, in the first form of the picture that it takes and changes."""
    if not callable(transform):
        raise Mistake(f"{name!r} should be a transform, but it is {kind(transform)}")
    plain, problem, changed = _pixels(picture, name), None, 0
    for form in _forms(picture):
        try:
            draws = [_apply(transform, form, name, seed) for seed in range(_DRAWS)]
        except Mistake as mistake:
            problem = problem or mistake
            continue
        changed = sum(_unlike(draw, plain) for draw in draws)
        if changed == _DRAWS:
            return draws
        if changed:
            raise Mistake(
                f"{name!r} left the picture as it was in {_DRAWS - changed} of {_DRAWS} calls; p=1, or more strength?"
            )
    raise problem or Mistake(f"{name!r} changed nothing in {_DRAWS} calls; raise its strength")


def _coordinates() -> Image.Image:
    """A picture that says where each pixel was: red is x + 16, green is y + 16, blue is 128 all over."""
    ramp = np.arange(_SIDE, dtype=np.uint8) + 16
    red, green = np.meshgrid(ramp, ramp)
    return Image.fromarray(np.stack([red, green, np.full_like(red, 128)], axis=-1))


def _trimmed(values: Pixels) -> float:
    """The mean of the middle half, which neither frames nor mirrored borders disturb."""
    low, high = np.percentile(values, [25, 75])
    return float(values[(values >= low) & (values <= high)].mean())


def _source_map(pixels: Pixels) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Where the pixels of a result come from: the matrix (2, 2) and shift (2,) of source = matrix @ (x, y) + shift,
    and the extent (2,) of what is still seen. None when too little of the coordinate picture can be read.
    """
    known = np.abs(pixels[..., 2] - 128) < 4
    step = min(20, *(side // 4 for side in known.shape))
    if step < 2 or known.mean() < 0.2:
        return None
    places = pixels[..., :2] - 16
    matrix = np.zeros((2, 2))
    along_x, along_y = known[:, step:] & known[:, :-step], known[step:] & known[:-step]
    if not along_x.any() or not along_y.any():
        return None
    for axis in range(2):
        place = places[..., axis]
        matrix[axis, 0] = _trimmed((place[:, step:] - place[:, :-step])[along_x]) / step
        matrix[axis, 1] = _trimmed((place[step:] - place[:-step])[along_y]) / step
    rows, columns = np.nonzero(known)
    rest = places[known] - np.stack([columns, rows], axis=1) @ matrix.T
    extent = np.array([np.ptp(places[known][:, axis]) for axis in range(2)])
    return matrix, np.array([_trimmed(rest[:, axis]) for axis in range(2)]), extent


def _is_straight(matrix: np.ndarray) -> bool:
    return bool(np.abs(matrix[[0, 1], [1, 0]]).max() < 0.04)


def _is_crop(pixels: Pixels) -> bool:
    found = _source_map(pixels)
    return found is not None and _is_straight(found[0]) and bool(found[2].min() < 0.97 * (_SIDE - 1))


def _is_resize(pixels: Pixels) -> bool:
    found = _source_map(pixels)
    if found is None or not _is_straight(found[0]):
        return False
    scale = np.diag(found[0])
    return bool((scale > 0).all() and np.abs(scale - 1).max() > 0.03)


def _is_shift(pixels: Pixels) -> bool:
    found = _source_map(pixels)
    if found is None or np.abs(found[0] - np.eye(2)).max() > 0.04:
        return False
    middle = (np.array([pixels.shape[1], pixels.shape[0]]) - 1) / 2
    return bool(np.abs(found[1] + middle - (_SIDE - 1) / 2).max() > 1)


def _is_flip(pixels: Pixels) -> bool:
    found = _source_map(pixels)
    return found is not None and _is_straight(found[0]) and bool(np.diag(found[0]).min() < -0.5)


def _is_shear(pixels: Pixels) -> bool:
    found = _source_map(pixels)
    if found is None:
        return False
    right, down = found[0].T
    return bool(abs(right @ down) > 0.04 * np.linalg.norm(right) * np.linalg.norm(down))


def _is_occlusion(pixels: Pixels) -> bool:
    """Is one region other than it was, and everything around it the same?"""
    before = _pixels(_coordinates(), "")
    if pixels.shape != before.shape:
        return False
    changed = (np.abs(pixels - before) > 2).any(axis=-1)
    if not 0.003 < changed.mean() < 0.8:
        return False
    rows, columns = np.nonzero(changed)
    box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    return bool(changed.sum() > 0.6 * box)


def _is_colour(transform: object, form: object, seed: int) -> bool:
    """Does it give the same colours when the pixels stand at other places? Then it looks at colours only."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(_SIDE * _SIDE, generator=generator).numpy()

    def shuffled(pixels: Pixels) -> Pixels:
        return pixels.reshape(-1, 3)[order].reshape(pixels.shape)

    moved = Image.fromarray(shuffled(np.asarray(form)))
    for first, second in zip(_forms(form), _forms(moved), strict=True):
        try:
            here, there = (_apply(transform, entry, "colour", seed) for entry in (first, second))
        except Mistake:
            continue
        if here.shape == (_SIDE, _SIDE, 3) and _unlike(here, _pixels(form, "")):
            return bool((np.abs(shuffled(here) - there) < 3).mean() > 0.99)
    return False


_LOOKS: dict[str, tuple[Callable[[Pixels], bool] | None, str]] = {
    "crop": (_is_crop, "the whole picture is still to be seen, or it is turned; a crop cuts a part away"),
    "resize": (_is_resize, "the content has the size that it had; a crop or a frame is no resize"),
    "shift": (_is_shift, "the content was not simply moved; RandomAffine(0, translate=...) moves it and nothing else"),
    "flip": (_is_flip, "nothing is mirrored in what it makes"),
    "colour": (None, "it should give other colours at the same places, and nothing but colours"),
    "shear": (_is_shear, "right angles stay right angles; a rotation is no shear"),
    "occlusion": (_is_occlusion, "one region should be hidden, and all around it stay as it was"),
}


def _keeps_promise(name: str, transform: object) -> None:
    """Raise Mistake unless at least half of the draws look like what the name promises."""
    looks, why = _LOOKS[name]
    if looks is None:
        photo = v2.Resize((_SIDE, _SIDE))(data.photo("astronaut")).point(lambda value: 40 + value // 2)  # pale
        kept = sum(_is_colour(transform, photo, seed) for seed in range(_DRAWS))
    else:
        kept = sum(looks(draw) for draw in _drawn(name, transform, _coordinates()))
    if 2 * kept < _DRAWS:
        raise Mistake(f"{name!r} does not do what it is called: {why}")


def _look_into(folder: Path, kinds: dict, results: dict[str, list[Pixels]], original: Pixels) -> None:
    """Raise Mistake unless every name has its picture file, each unlike the others and unlike the original."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise Mistake("no file was written into the folder; save every result as folder / f'{name}.png'")
    found: dict[str, Pixels] = {}
    for name in kinds:
        fitting = [path for path in files if path.stem == str(name)] or [p for p in files if str(name) in p.stem]
        if not fitting:
            raise Mistake(f"there is no file for {name!r}, but {len(files)} other(s); is its name part of the path?")
        try:
            with Image.open(fitting[0]) as opened:
                is_report = opened.mode == "RGBA"  # plt.savefig: a figure, with margins
                found[name] = np.asarray(opened.convert("RGB"), dtype=np.float32)
        except OSError:
            raise Mistake(f"{fitting[0].name} cannot be opened as a picture; save it with .save()") from None
        if is_report:
            continue
        if not _unlike(found[name], original):
            raise Mistake(f"{fitting[0].name} is the original picture; save what the transform gives back")
        draws = results[name]
        if not any(_unlike(draws[0], draw) for draw in draws[1:]):  # without chance: we know what it must be
            same_size = found[name].shape == draws[0].shape
            if not same_size or np.abs(found[name] - draws[0]).mean() > 12:  # JPEG stays far below
                raise Mistake(f"{fitting[0].name} is not what {name!r} makes of the original; apply each to `picture`")
    names = list(found)
    for i, first in enumerate(names):
        for second in names[:i]:
            if not _unlike(found[first], found[second]):
                raise Mistake(f"the pictures {second!r} and {first!r} are the same; choose another transform")


# --- 2.12 ---


@exercise("2.12", "AddPepperNoise")
def pepper_noise(noise_class: object) -> str:
    if not isinstance(noise_class, type):
        raise Mistake(f"this check takes the class AddPepperNoise itself, but it got {kind(noise_class)}")
    _same_dice(0)
    mid_grey = np.random.default_rng(0).integers(60, 200, size=(120, 160, 3), dtype=np.uint8)
    picture = Image.fromarray(mid_grey)
    noise = call(noise_class, 0.9, 1.0)
    if not callable(noise):
        raise Mistake("an object of your class cannot be called; it needs a method __call__(self, picture)")
    noisy = _noised(noise, picture)
    _counted(mid_grey, noisy, snr=0.9)
    if np.array_equal(noisy, _noised(noise, picture)):
        raise Mistake("two calls hit the same pixels; draw the noise anew in __call__")
    _counted(mid_grey, _noised(call(noise_class, 0.6, 1.0), picture), snr=0.6)

    little = Image.fromarray(mid_grey[:16, :16])
    for p, calls in ((0.0, 50), (1.0, 50), (0.3, 400)):
        noise = call(noise_class, 0.5, p)
        rate = sum(bool((_noised(noise, little) != np.asarray(little)).any()) for _ in range(calls)) / calls
        if abs(rate - p) <= 0.11:  # almost five standard deviations for p = 0.3
            continue
        raise Mistake(f"with p={p:g} the picture was changed in {rate:.0%} of {calls} calls; p is how often it happens")

    tensor = v2.functional.to_image(picture)
    _counted(mid_grey, _noised(call(noise_class, 0.9, 1.0), tensor), snr=0.9)
    prepare = v2.Compose([call(noise_class, 0.9, 1.0), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    for form in (picture, tensor):
        result = call(prepare, form)
        expect_tensor(result, "what your Compose makes", dtype=torch.float32, shape=(3, 120, 160))
        if not (result.min() == 0 and result.max() == 1):
            raise Mistake("in a Compose with ToImage and ToDtype black should end as 0 and white as 1")
    return "PIL in, PIL out, tensor in, tensor out, the input untouched: now it fits between any two neighbours"


def _noised(noise: object, picture: Image.Image | torch.Tensor) -> np.ndarray:
    """What the learner's object makes of a picture, as bytes (H, W, 3), after a look at its type and size."""
    is_tensor = isinstance(picture, torch.Tensor)
    given = picture.clone() if is_tensor else picture.copy()
    what = "a tensor" if is_tensor else "a PIL picture"
    try:
        result = call(noise.__call__, given)
    except Mistake as mistake:
        raise Mistake(f"given {what}, {mistake}") from None
    if isinstance(result, torch.Tensor) != is_tensor or not isinstance(result, (torch.Tensor, Image.Image)):
        raise Mistake(f"{what} goes in, but {kind(result)} comes out; the right neighbour counts on the same type")
    if is_tensor:
        if not torch.equal(given, picture):
            raise Mistake("your class wrote into the tensor that it was given; work on a copy, or use masked_fill")
        expect_tensor(result, "the noisy tensor", dtype=torch.uint8, shape=tuple(picture.shape))
        return result.detach().permute(1, 2, 0).numpy()
    if given.tobytes() != picture.tobytes():
        raise Mistake("your class wrote into the picture that it was given; work on a copy")
    if result.mode != "RGB":
        raise Mistake(f"an RGB picture goes in, but one of mode {result.mode} comes out")
    if result.size != picture.size:
        raise Mistake(f"a picture of {picture.size} goes in, one of {result.size} comes out; mind height and width")
    return np.asarray(result)


def _counted(before: np.ndarray, after: np.ndarray, snr: float) -> None:
    """Raise Mistake unless about 1 - snr of the pixels are black or white now, half and half, and the rest is kept."""
    changed = (before != after).any(axis=-1)
    white, black = (after == 255).all(axis=-1), (after == 0).all(axis=-1)
    share, wanted = changed.mean().item(), 1 - snr
    dots = after[changed]
    if not changed.any():
        raise Mistake(f"with snr={snr:g} and p=1 not one pixel was changed; does p decide the wrong way round?")
    if (changed & ~white & ~black).any():
        if np.isin(dots[dots != before[changed]], (0, 255)).all():
            raise Mistake("the dots are coloured: draw one number a pixel, shape (1, H, W), for all three channels")
        raise Mistake("some changed pixels are neither black nor white; in bytes black is 0 and white is 255")
    if white.any() != black.any():
        raise Mistake(f"all the dots are {'white' if white.any() else 'black'}; salt is white, pepper is black")
    if abs(share - snr) < 0.02:
        raise Mistake(f"with snr={snr:g} a share of {share:.2f} was changed; snr is the share that stays")
    if abs(share - wanted / 2) < 0.01:
        raise Mistake(f"with snr={snr:g} only {share:.2f} was changed: salt and pepper get (1 - snr) / 2 each")
    if abs(share - min(1.0, 2 * wanted)) < 0.02:
        raise Mistake(f"with snr={snr:g} a share of {share:.2f} was changed: salt and pepper share 1 - snr, half each")
    if abs(share - wanted) > 0.02:
        raise Mistake(f"with snr={snr:g} a share of {share:.2f} was changed, expected about {wanted:.2f}")
    if abs(white.sum() - black.sum()) > 0.2 * changed.sum():
        raise Mistake(f"{white.sum()} white dots and {black.sum()} black ones; they should be about equally many")
