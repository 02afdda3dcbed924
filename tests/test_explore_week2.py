"""Explorers of week 2: transforms, batches, Normalize and affine maps against torch or by another way."""

import itertools
import math

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.image import AxesImage
from test_explore import assert_drawn_well, texts, values, words
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from course_utils import data, explore
from course_utils.explore import base
from course_utils.explore.affine import LETTER, SIDE, letter_picture
from course_utils.explore.batches import EPOCHS, SAMPLES, SIZES, Numbered
from course_utils.explore.gallery import HEIGHT, LEFT, MIDDLE, SHEET, TRANSFORMS, WIDTH, lay_out, picture, places
from course_utils.explore.gallery import PHOTOS as PICTURES
from course_utils.explore.normalizing import LIMIT, MEANS, OWN, PHOTOS, RULER, STDS, part

CALLS = [(transform, arguments) for transform, known in TRANSFORMS.items() for arguments in known]


@pytest.mark.parametrize(
    ("call", "hints"),
    [
        (lambda: explore.transform_gallery("RandomFlip"), ["the nearest names are", "RandomHorizontalFlip"]),
        (lambda: explore.apply_transform(None), ["transform = None", "the nearest names are"]),
        (lambda: explore.transform_gallery("Pad", "padding=9"), ["choose from: 'padding=8'"]),
        (lambda: explore.apply_transform("Resize", 36), ["arguments = 36", "'size=36'"]),
        (lambda: explore.apply_transform("Resize", photo="dog"), ["photo = 'dog'", "'digit 6'"]),
        (lambda: explore.apply_transform("Resize", seed=-1), ["seed -1 is not usable"]),
        (lambda: explore.transform_gallery(seed=20), ["not on the scale 0 to 19; the nearest is 19"]),
        (lambda: explore.batches(batch_size=13), ["batch_size = 13 is not on the scale 1 to 24"]),
        (lambda: explore.batches(shuffle="no"), ["choose from: False, True"]),
        (lambda: explore.load_batches(0), ["batch_size is 0; a whole number of at least 1"]),
        (lambda: explore.load_batches(4, drop_last=None), ["drop_last is None; True or False"]),
        (lambda: explore.load_batches(4, epoch=4), ["give 1 to 3"]),
        (lambda: explore.normalize(mean=0.47), ["the nearest is 0.469"]),
        (lambda: explore.normalize_pixels(0.5, 0), ["std = 0", "above 0"]),
        (lambda: explore.normalize_pixels(math.nan, 1), ["mean = nan", "finite"]),
        (lambda: explore.normalize_pixels(0.5, 1, "dog"), ["photo = 'dog'", "'cat'"]),
        (lambda: explore.affine(scale=0.6), ["scale = 0.6", "the nearest is 0.5"]),
        (lambda: explore.apply_affine(scale=0), ["scale = 0", "above 0"]),
        (lambda: explore.apply_affine(shear_y=-90), ["shear_y = -90", "between -90 and 90"]),
        (lambda: explore.apply_affine(translate_x=torch.ones(2)), ["translate_x = a tensor of shape (2,)", "finite"]),
    ],
)
def test_a_bad_argument_is_told_in_one_line(call, hints, says_in_one_line):
    says_in_one_line(call, ValueError, *hints)


# --- transform_gallery


@pytest.mark.parametrize(("transform", "arguments"), CALLS)
def test_the_headline_can_be_copied_and_gives_the_same_pictures(transform, arguments):
    gallery = explore.apply_transform(transform, arguments, "coffee", seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        change = eval(gallery.call, {"v2": v2})
        expected = [change(gallery.original) for _ in range(gallery.calls)]
    if isinstance(expected[0], tuple):
        (expected,) = expected
    assert len(gallery.results) == len(gallery.names) == len(expected) >= 5
    assert all(map(torch.equal, gallery.results, expected))
    assert gallery.unchanged == sum(torch.equal(result, gallery.original) for result in expected)


@pytest.mark.parametrize(("transform", "arguments"), CALLS)
def test_every_result_lies_whole_on_the_sheet_and_touches_no_other(transform, arguments):
    taken = np.zeros(SHEET, dtype=int)
    for seed in (0, 19):
        gallery = explore.apply_transform(transform, arguments, "cat", seed)
        laid, taken[:] = lay_out(gallery), 0
        middles = [(MIDDLE, LEFT // 2), *places(len(gallery.results))]
        for result, (row, column) in zip((gallery.original, *gallery.results), middles, strict=True):
            height, width = result.shape[-2:]
            place = np.s_[row - height // 2 :, column - width // 2 :]
            drawn = laid[place][:height, :width]
            expected = (255 * result.clamp(0, 1)).expand(3, -1, -1).permute(1, 2, 0)
            assert drawn.shape == tuple(expected.shape)
            assert np.abs(drawn - expected.numpy()).max() <= 0.5
            taken[place][:height, :width] += 1
        assert taken.max() == 1


def assert_no_text_lies_on_another(explorer: explore.Explorer) -> None:
    boxes = [text.get_window_extent().padded(-1) for text in texts(explorer)]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2)), explorer.settings


def test_every_call_is_written_inside_the_picture():
    explorer = explore.transform_gallery(seed=19)
    for transform, known in TRANSFORMS.items():
        explorer.controls["transform"].value = transform
        assert values(explorer.controls["arguments"]) == list(known)
        for arguments in known:
            explorer.controls["arguments"].value = arguments
            assert_drawn_well(explorer, explorer.settings)
            assert_no_text_lies_on_another(explorer)
            assert f"v2.{transform}({arguments})" in words(explorer)
            sizes = {f"{result.shape[-2]} × {result.shape[-1]}" for result in explorer.result.results}
            assert all(size in words(explorer) for size in sizes)


def first(transform: str, arguments: str, photo: str = "coffee") -> torch.Tensor:
    return explore.apply_transform(transform, arguments, photo).results[0]


def test_transforms_do_what_indexing_does():
    coffee = picture("coffee")
    assert (
        coffee.shape == (3, HEIGHT, WIDTH) and coffee.dtype == torch.float32 and 0 <= coffee.min() < coffee.max() <= 1
    )
    assert torch.equal(first("CenterCrop", "size=64"), coffee[:, 8:72, 22:86])
    assert torch.equal(first("RandomHorizontalFlip", "p=1.0"), coffee.flip(-1))
    assert torch.equal(first("RandomVerticalFlip", "p=1.0"), coffee.flip(-2))
    assert first("Resize", "size=36").shape == (3, 36, 48)  # the short side, 80, becomes 36
    padded = first("Pad", "padding=(2, 8, 16, 24)")
    assert torch.equal(padded[:, 8:88, 2:110], coffee) and padded.sum() == pytest.approx(coffee.sum().item())
    grey = 0.2989 * coffee[0] + 0.587 * coffee[1] + 0.114 * coffee[2]
    assert torch.allclose(first("Grayscale", "num_output_channels=1"), grey[None], atol=1e-6)
    assert torch.allclose(first("RandomGrayscale", "p=1.0"), grey.expand(3, -1, -1), atol=1e-6)


def test_five_crop_takes_the_corners_and_the_centre_and_ten_crop_their_mirror_images():
    coffee = picture("coffee")
    five = explore.apply_transform("FiveCrop", "size=64", "coffee")
    corners = {"top left": (0, 0), "top right": (0, 44), "bottom left": (16, 0), "bottom right": (16, 44)}
    starts = corners | {"centre": (8, 22)}
    assert five.names == tuple(starts)
    for result, (top, left) in zip(five.results, starts.values(), strict=True):
        assert torch.equal(result, coffee[:, top : top + 64, left : left + 64])
    for arguments, name, axis in (("size=48", "mirrored", -1), ("size=48, vertical_flip=True", "upside down", -2)):
        ten = explore.apply_transform("TenCrop", arguments, "coffee")
        assert ten.names[5:] == (name,) * 5
        flipped = explore.apply_transform("FiveCrop", "size=48", "coffee").results
        assert all(map(torch.equal, ten.results[:5], flipped))
        if axis == -1:
            again = [v2.functional.crop(coffee.flip(-1), *start, 48, 48) for start in ((0, 0), (0, 60))]
            assert torch.equal(ten.results[5], again[0]) and torch.equal(ten.results[6], again[1])
        else:
            assert torch.equal(ten.results[5], coffee.flip(-2)[:, :48, :48])


def test_the_gallery_counts_what_differs_and_what_stays():
    explorer = explore.transform_gallery("RandomVerticalFlip", "p=0.5", photo="digit 6", seed=0)
    assert explorer.result.different == 2 and 0 < explorer.result.unchanged < 8
    assert f"8 calls, seed 0: 2 different results, {explorer.result.unchanged} unchanged" in words(explorer)
    explorer.controls["arguments"].value = "p=1.0"
    assert "8 times the same" in words(explorer) and "unchanged" not in words(explorer)
    explorer.controls["transform"].value = "FiveCrop"
    assert "1 call: a tuple of 5 pictures, never random" in words(explorer)
    assert "bottom right 32 × 32" not in words(explorer) and "bottom right 48 × 48" in words(explorer)


def test_arguments_follow_the_transform_and_stay_where_they_fit():
    explorer = explore.transform_gallery("RandomCrop", "size=32")
    explorer.controls["transform"].value = "CenterCrop"
    assert explorer.settings["arguments"] == "size=32"
    explorer.controls["transform"].value = "RandomRotation"
    assert explorer.settings["arguments"] == "degrees=180"
    assert explore.transform_gallery("Pad").settings["arguments"] == "padding=8"


def test_draws_are_the_same_whatever_number_type_and_random_state_the_reader_has():
    usual = torch.get_default_dtype()
    expected = explore.apply_transform("RandomAffine", "degrees=0, shear=45", seed=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        state = torch.get_rng_state()
        try:
            torch.set_default_dtype(torch.float64)
            again = explore.apply_transform("RandomAffine", "degrees=0, shear=45", seed=5)
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(usual)
        assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, again.results, expected.results))
    assert not torch.equal(
        explore.apply_transform("RandomAffine", "degrees=0, shear=45", seed=6).results[0], again.results[0]
    )


@pytest.mark.parametrize("photo", PICTURES)
def test_pictures_are_what_they_are_called(photo):
    shown = picture(photo)
    if photo == "digit 6":
        digits = data.digits()
        ink = 255 - digits.images[digits.labels == 6][0].float()
        small = torch.nn.functional.interpolate(shown[None, :, :, 14:94], size=(28, 28), mode="area")[0, 0] * 255
        assert np.corrcoef(small.flatten(), ink.flatten())[0, 1] > 0.97
        assert (shown[:, :, [0, -1]] == 1).all()
    else:
        whole = torch.from_numpy(np.array(data.photo(photo))).float() / 255
        assert shown.mean(dim=(1, 2)).tolist() == pytest.approx(whole.mean(dim=(0, 1)).tolist(), abs=0.08)


# --- batches


@pytest.mark.parametrize(("batch_size", "drop_last"), list(itertools.product(SIZES, (False, True))))
def test_the_number_of_iterations_is_the_formula(batch_size, drop_last):
    for shuffle, epoch in itertools.product((False, True), (1, 2, 3)):
        result = explore.load_batches(batch_size, drop_last, shuffle, epoch)
        expected = SAMPLES // batch_size if drop_last else (SAMPLES + batch_size - 1) // batch_size
        assert result.iterations == len(result.batches) == expected
        loaded = [sample for batch in result.batches for sample in batch]
        assert sorted((*loaded, *result.dropped)) == list(range(SAMPLES))
        assert len(result.dropped) == (SAMPLES % batch_size if drop_last else 0)
        assert all(len(batch) == batch_size for batch in result.batches[:-1])
        if not shuffle:
            assert loaded == list(range(len(loaded)))


@pytest.mark.parametrize(("batch_size", "drop_last"), [(4, True), (1, False), (12, True)])
def test_the_epochs_are_those_of_one_seeded_loader(batch_size, drop_last):
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(Numbered(), batch_size=batch_size, shuffle=True, drop_last=drop_last, generator=generator)
    epochs = []
    for epoch in range(1, EPOCHS + 1):
        epochs.append([samples.tolist() for samples, _ in loader])
        assert [list(batch) for batch in explore.load_batches(batch_size, drop_last, True, epoch).batches] == epochs[-1]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    seen: set[int] = set()
    for epoch, batches in enumerate(epochs, 1):
        seen |= {sample for batch in batches for sample in batch}
        unused = explore.load_batches(batch_size, drop_last, True, epoch).unused
        assert unused == tuple(sorted(set(range(SAMPLES)) - seen))


def test_without_shuffle_the_dropped_samples_are_never_used_and_batches_hold_one_class():
    result = explore.load_batches(4, drop_last=True, shuffle=False, epoch=3)
    assert result.dropped == result.unused == (20, 21, 22)
    assert [{Numbered()[sample][1] for sample in batch} for batch in result.batches] == [{0}] * 3 + [{1}] * 2
    assert explore.load_batches(4, drop_last=True, shuffle=True, epoch=3).unused == ()


def cells(explorer: explore.Explorer) -> np.ndarray:
    """The corners of all cells that are drawn, (N, 4, 2) in inches: of the batches, then of the dropped ones."""
    found = [artist for artist in explorer.figure.findobj(PolyCollection) if artist.get_animated()]
    return np.array([path.vertices[:4] for artist in found for path in artist.get_paths()])


@pytest.mark.parametrize(("batch_size", "drop_last"), list(itertools.product(SIZES, (False, True))))
def test_every_sample_has_one_cell_and_one_number_inside_the_picture(batch_size, drop_last):
    explorer = explore.batches(batch_size, drop_last=drop_last, epoch=2)
    corners = cells(explorer)
    assert len(corners) == SAMPLES
    width, height = explorer.figure.get_size_inches()
    assert corners.min() > 0 and corners[..., 0].max() < width and corners[..., 1].max() < height - 0.4
    lower_left = corners.min(axis=1)
    apart = np.abs(lower_left[:, None] - lower_left[None]).max(axis=-1) + np.eye(SAMPLES)
    assert apart.min() > 0.26
    paths = [artist.get_paths() for artist in explorer.figure.findobj(PathCollection)]
    assert [len(numbers) for numbers in paths] == [SAMPLES, explorer.result.iterations]
    for number, corner in zip(paths[0], lower_left, strict=True):
        box = number.get_extents()
        assert (box.min > corner).all() and (box.max < corner + 0.27).all()


def test_batches_shows_formula_drops_and_the_loop_that_never_runs():
    explorer = explore.batches()
    assert "epoch 1: 6 iterations = ceil(23 / 4)" in words(explorer)
    assert "dropped in epoch 1: nothing" in words(explorer) and "never used so far: 0 samples" in words(explorer)
    explorer.controls["drop_last"].value = True
    assert "epoch 1: 5 iterations = floor(23 / 4)" in words(explorer) and "drop_last=True" in words(explorer)
    assert "dropped in epoch 1: 3 samples" in words(explorer) and "never used so far: 3 samples" in words(explorer)
    assert "zero times" not in words(explorer)
    explorer.controls["batch_size"].value = 24
    assert "epoch 1: 0 iterations = floor(23 / 24)" in words(explorer)
    assert "runs zero times, without an error" in words(explorer) and "23 samples dropped" in explorer.words.value


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (explore.batches, {}),
        (explore.batches, {"batch_size": 12, "drop_last": True, "epoch": 3}),
        (explore.batches, {"batch_size": 24, "drop_last": True}),
        (explore.normalize, {"mean": 0.0, "std": 0.01, "photo": "rocket"}),
        (explore.affine, {"angle": -165, "translate_x": -165, "translate_y": -165, "scale": 1.25, "shear_x": -60}),
    ],
)
def test_no_text_lies_on_another(make, settings):
    explorer = make(**settings)
    assert_drawn_well(explorer, settings)
    assert_no_text_lies_on_another(explorer)


def test_making_batches_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    explore.batches(5, epoch=3).strip()
    assert torch.equal(torch.get_rng_state(), before)


# --- normalize


def levels(photo: str) -> np.ndarray:
    return np.asarray(data.photo(photo).convert("L")).astype(np.float64) / 255


@pytest.mark.parametrize("photo", PHOTOS)
def test_own_statistics_are_those_of_the_photograph_and_only_they_give_0_and_1(photo):
    grey = levels(photo)
    assert OWN[photo] == (round(grey.mean(), 3), round(grey.std(), 3))
    good = [
        (mean, std)
        for mean, std in itertools.product(MEANS, STDS)
        if abs((grey.mean() - mean) / std) < 0.005 and abs(grey.std() / std - 1) < 0.005
    ]
    assert good == [OWN[photo]]
    mean, std = explore.normalize_pixels(*OWN[photo], photo).after
    assert abs(mean) < 0.005 and abs(std - 1) < 0.005


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize(
    ("mean", "std"), [(0.0, 0.01), (1.0, 0.01), (0.5, 0.5), (0.469, 0.126), (0.3, 0.05), (0.0, 1.0)]
)
def test_values_after_are_those_of_the_formula(mean, std, photo):
    after = (levels(photo) - mean) / std
    result = explore.normalize_pixels(mean, std, photo)
    assert result.after == pytest.approx((after.mean(), after.std()), rel=1e-3, abs=1e-3)
    assert (result.low, result.high) == pytest.approx((after.min(), after.max()), rel=1e-4, abs=1e-4)
    assert result.outside == pytest.approx((np.abs(after) > LIMIT).mean(), abs=1e-3)
    counts, _ = np.histogram(after, bins=result.edges)
    assert result.shares == pytest.approx(counts / after.size, abs=1e-9)
    assert counts.sum() == after.size and result.shares.max() < 0.95 * RULER


def test_bars_keep_their_heights_and_both_rulers_end_where_the_formula_says():
    explorer = explore.normalize(mean=0.5, std=0.25, photo="hopper")
    before, after = (np.array([path.vertices[:4] for path in bars.get_paths()]) for bars in bars_of(explorer))
    assert np.array_equal(before[..., 1], after[..., 1])
    assert after[..., 0] == pytest.approx((before[..., 0] - 0.5) / 0.25)
    rulers = [line for axes in explorer.figure.axes for line in axes.lines if line.get_marker() == "|"]
    left, right = (ruler.get_xydata()[:, 0] for ruler in rulers)
    assert left == pytest.approx([0.302 - 0.27, 0.302, 0.302 + 0.27], abs=1e-3)
    assert right == pytest.approx((left - 0.5) / 0.25, abs=1e-4)


def bars_of(explorer: explore.Explorer) -> list[PolyCollection]:
    return [artist for artist in explorer.figure.findobj(PolyCollection) if artist.get_animated()]


def test_normalize_says_what_comes_out_and_what_leaves_the_picture():
    explorer = explore.normalize()
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
    assert "after: mean −0.06, std 0.25" in words(explorer) and "outside" not in words(explorer)
    assert "other numbers than its own" in explorer.words.value
    explorer.controls["mean"].value, explorer.controls["std"].value = OWN["cat"]
    assert "after: mean 0.00, std 1.00" in words(explorer) and "its own statistics" in explorer.words.value
    explorer.controls["std"].value = 0.01
    assert "values after: −46.12 to 28.79" in words(explorer) and "67 % of the pixels lie outside" in words(explorer)
    assert [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] == limits
    assert ("0.469 (cat)", 0.469) in explorer.controls["mean"].options


def test_a_share_is_never_rounded_to_nothing_or_all():
    assert [part(share) for share in (0, 0.004, 0.126, 0.996, 1)] == ["0 %", "under 1 %", "13 %", "over 99 %", "100 %"]


# --- affine

MAPS = [
    {},
    {"scale": 0.6},
    {"angle": 30},
    {"translate_x": 45, "translate_y": -30},
    {"shear_x": 30},
    {"shear_y": -40},
    {"angle": -120, "translate_x": 15, "translate_y": 60, "scale": 0.75, "shear_x": 45, "shear_y": 30},
    {"angle": 180, "translate_x": -180, "translate_y": 180, "scale": 2, "shear_x": 60, "shear_y": -60},
]


@pytest.mark.parametrize("settings", MAPS)
def test_outlines_are_where_torchvision_moves_points(settings):
    moved = explore.apply_affine(**settings)
    corners = [*LETTER, LETTER[0], (0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)]
    room = 1000  # around the picture, because torchvision pushes points outside back onto the edge
    canvas = (SIDE + 2 * room, SIDE + 2 * room)
    points = tv_tensors.KeyPoints(torch.tensor(corners, dtype=torch.float64) + room, canvas_size=canvas)
    expected = v2.functional.affine(
        points, angle=moved.angle, translate=list(moved.translate), scale=moved.scale, shear=list(moved.shear)
    )
    assert np.concatenate([moved.letter, moved.frame[:-1]]) == pytest.approx(expected.numpy() - room, abs=1e-3)


@pytest.mark.parametrize("settings", MAPS)
def test_the_picture_is_where_the_outlines_say(settings):
    moved = explore.apply_affine(**settings)
    backwards = np.linalg.inv(moved.matrix)
    original, agreeing, compared = letter_picture(), 0, 0
    for row, column in itertools.product(range(0, SIDE, 3), repeat=2):
        place = np.array([column + 0.5, row + 0.5]) - SIDE / 2 - moved.translate
        x, y = backwards @ place + SIDE / 2
        if min(x % 1, -x % 1, y % 1, -y % 1) < 1e-3:
            continue  # on the edge between two pixels
        inside = 0 <= x < SIDE and 0 <= y < SIDE
        expected = original[:, int(y), int(x)] if inside else torch.zeros(3, dtype=torch.uint8)
        compared += 1
        agreeing += torch.equal(moved.image[:, row, column], expected)
    assert compared > 500
    assert agreeing == compared


def polygon_area(points: np.ndarray) -> float:
    x, y = points[:-1].T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@pytest.mark.parametrize("scale", [0.25, 0.5, 0.75, 1, 1.25])
def test_scale_is_a_factor_of_lengths_so_areas_get_its_square(scale):
    moved = explore.apply_affine(scale=scale)
    assert moved.before == polygon_area(np.array([*LETTER, LETTER[0]], dtype=float))
    assert moved.after == moved.before * scale**2
    for angle, x, y in itertools.product((-180, 15, 90), (-60, 0, 45), (-45, 0, 60)):
        moved = explore.apply_affine(angle=angle, scale=scale, shear_x=x, shear_y=y)
        assert polygon_area(moved.letter) == pytest.approx(moved.before * scale**2)
        assert np.linalg.det(moved.matrix) == pytest.approx(scale**2)


def test_a_positive_angle_turns_clockwise_and_a_translation_shifts_right_and_down():
    original = letter_picture()
    assert torch.equal(explore.apply_affine(angle=90).image, original.rot90(-1, dims=(1, 2)))
    shifted = explore.apply_affine(translate_x=30, translate_y=60).image
    assert torch.equal(shifted[:, 60:, 30:], original[:, :-60, :-30])
    assert shifted[:, :60].sum() == shifted[:, :, :30].sum() == 0
    assert letter_picture().unique(dim=1).shape[1] > 5 and not torch.equal(original, original.flip(-1))


def test_the_part_inside_is_counted_and_a_lost_picture_is_told():
    assert explore.apply_affine(translate_x=90).inside == 0.5
    assert explore.apply_affine(translate_x=90, translate_y=-90).inside == 0.25
    assert explore.apply_affine(scale=2).inside == 0.25
    assert explore.apply_affine(scale=0.5, angle=45).inside == 1
    explorer = explore.affine(scale=1, translate_y=180)
    assert explorer.result.inside == explorer.result.after == 0
    assert "6048 → 0, × 0.00" in words(explorer) and "0 % of the picture lies inside" in explorer.words.value


def test_affine_shows_the_area_factor_and_the_real_picture():
    explorer = explore.affine()
    assert "scale 0.5: areas × 0.5² = 0.25" in words(explorer) and "6048 → 1512, × 0.25" in words(explorer)
    explorer.controls["shear_x"].value = 45
    assert "areas × 0.5² = 0.25" in words(explorer) and "[45, 0])" in words(explorer)
    explorer.controls["scale"].value = 1.5
    assert "areas × 1.5² = 2.25" in words(explorer) and "2.25" in explorer.words.value
    (shown,) = explorer.figure.findobj(AxesImage)
    assert np.array_equal(shown.get_array(), explorer.result.image.permute(1, 2, 0))


def test_the_picture_of_affine_has_one_pixel_for_one_pixel():
    explorer = explore.affine(scale=1)
    frame = np.asarray(explorer._staged().frame(explorer.result))
    axes = next(axes for axes in explorer.figure.axes if axes.images)
    left, top = axes.transData.transform((0, 0))
    left, top = round(left), round(explorer.figure.bbox.height - top)
    corner = frame[top + 8 : top + 20, left + 8 : left + 20]
    assert np.array_equal(corner, np.broadcast_to(letter_picture()[:, 10, 10].numpy(), corner.shape))
    assert isinstance(explorer, base.Explorer)
