"""Grids: the pixels that are drawn, the texts under them, and one clear line for all else."""

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.grids import show_feature_maps, show_grid, show_kernels

NAN = float("nan")


def cells(figure, rows, columns):
    """What was drawn, as the colour of the upper left pixel of every picture: (rows, columns, 3)."""
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    ys = np.linspace(0, drawn.shape[0], rows, endpoint=False).round().astype(int) + 4
    xs = np.linspace(0, drawn.shape[1], columns, endpoint=False).round().astype(int) + 4
    return drawn[ys][:, xs]


def flat(*values, dtype=torch.float32, size=16):
    """Grey images of one value each: (N, 1, size, size)."""
    return torch.tensor(values, dtype=dtype).reshape(-1, 1, 1, 1).expand(-1, 1, size, size)


@pytest.mark.parametrize(
    ("images", "arguments"),
    [
        (flat(0.0, 0.2, 0.4, 0.6, 1.0), {}),
        (flat(0, 51, 102, 153, 255, dtype=torch.uint8), {}),
        (flat(0.0, 0.2, 0.4, 0.6, 1.0)[:, 0], {}),
        (flat(0.0, 0.2, 0.4, 0.6, 1.0).double(), {}),
        (flat(-1.0, -0.6, -0.2, 0.2, 1.0), {"value_range": (-1, 1)}),
        (flat(0, 10, 20, 30, 90, dtype=torch.uint8), {"value_range": (0, 50)}),  # 90 is beyond and cut
        (list(flat(0.0, 0.2, 0.4, 0.6, 1.0)), {}),
        ([Image.new("L", (16, 16), grey) for grey in (0, 51, 102, 153, 255)], {}),
        ([Image.new("RGB", (16, 16), (grey,) * 3) for grey in (0, 51, 102, 153, 255)], {}),
        ([Image.new("RGBA", (16, 16), (grey, grey, grey, 9)) for grey in (0, 51, 102, 153, 255)], {}),
    ],
)
def test_every_way_to_give_images_draws_the_same(images, arguments):
    figure = show_grid(images, columns=3, **arguments)
    drawn = cells(figure, 2, 3)
    assert drawn.reshape(-1, 3)[:5] == pytest.approx(np.array([[0], [0.2], [0.4], [0.6], [1]]).repeat(3, 1), abs=1e-6)
    assert drawn[1, 2].tolist() == [1, 1, 1]  # nothing there: white
    assert figure.description == "5 images of 16 x 16 pixels, 3 in a row."


def test_colours_keep_their_channels_and_grey_joins_them():
    red = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1).expand(3, 16, 16)
    green = Image.new("RGB", (16, 16), (0, 255, 0))
    drawn = cells(show_grid([red, green, torch.zeros(16, 16, dtype=torch.bool)]), 1, 3)
    assert drawn[0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_pixels_keep_their_place():
    image = torch.zeros(64, 96)
    image[10, 70] = 1.0
    drawn = np.asarray(show_grid([image]).axes[0].images[0].get_array())
    assert drawn.shape == (64, 96, 3)
    assert np.argwhere(drawn[..., 0] == 1).tolist() == [[10, 70]]


@pytest.mark.parametrize(("count", "columns"), [(1, 8), (3, 8), (7, 3), (10, 8), (20, 10)])
def test_every_title_stands_centred_under_its_own_picture(count, columns):
    figure = show_grid(flat(*[0.5] * count), titles=torch.arange(count), columns=columns)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == [str(i) for i in range(count)]
    drawn = np.asarray(axes.images[0].get_array())[..., 0]
    for text in axes.texts:
        x, y = text.get_position()
        assert drawn[int(y) - 1, int(x)] == 0.5  # the picture ends where the text begins
        assert (drawn[int(y) + 1 :, int(x)][:10] == 1).all()
        row = np.flatnonzero(drawn[int(y) - 1] == 0.5)
        own = row[abs(row - x) < (row.size / min(columns, count)) * 0.51]
        assert own.mean() == pytest.approx(x - 0.5, abs=1)


def test_long_titles_are_broken_and_told_in_the_description():
    figure = show_grid(flat(*[0.5] * 8), titles=["automobile (predicted: truck)"] + ["cat"] * 7, title="One mistake")
    assert figure.axes[0].texts[0].get_text().splitlines() == ["automobile", "(predicted:", "truck)"]
    assert "titled: automobile (predicted: truck), cat" in figure.description
    assert figure.axes[0].get_title("left") == "One mistake"


def test_a_kernel_is_scaled_by_its_own_largest_weight_and_zero_is_grey():
    weights = torch.zeros(3, 1, 2, 2)
    weights[0, 0, 0, 0], weights[0, 0, 1, 1] = -0.1, 0.05
    weights[1, 0, 0, 0] = 7.0
    figure = show_kernels(weights)
    assert cells(figure, 1, 3)[0, :, 0] == pytest.approx([0.0, 1.0, 0.5])
    shades = np.unique(np.asarray(figure.axes[0].images[0].get_array()).round(5))
    assert shades.tolist() == [0.0, 0.5, 0.75, 1.0]  # 0.75: the 0.05 of the kernel whose largest is 0.1


def test_kernels_with_three_inputs_are_coloured_and_others_are_rows_of_slices():
    coloured = torch.zeros(2, 3, 2, 2)
    coloured[0, 0] = 1.0
    figure = show_kernels(coloured)
    assert cells(figure, 1, 2)[0].tolist() == [[1, 0.5, 0.5], [0.5, 0.5, 0.5]]
    assert figure.description.startswith("2 kernels of 3 x 2 x 2 weights") and "is 1 in size" in figure.description

    slices = torch.zeros(2, 4, 3, 3)
    slices[1, 2] = -1.0
    drawn = cells(show_kernels(slices), 2, 4)[..., 0]
    assert drawn.tolist() == [[0.5] * 4, [0.5, 0.5, 0.0, 0.5]]


def test_feature_maps_are_scaled_one_by_one_and_constant_ones_are_counted():
    maps = torch.stack([torch.tensor([[low, 1.0], [1.0, high]]) for low, high in ((-3, 5), (1, 1), (0, 1e-7))])
    maps[2] = torch.tensor([[1e-7, 0.0], [0.0, 0.0]])
    figure = show_feature_maps(maps)
    assert cells(figure, 1, 3)[0, :, 0].tolist() == [0, 0, 1]
    assert "3 feature maps of 2 x 2 values" in figure.description
    assert "1 of them is constant; all values lie between -3 and 5." in figure.description


BAD = [
    (lambda: show_grid([]), ValueError, "there is no image to show"),
    (lambda: show_grid(torch.ones(0, 3, 4, 4)), ValueError, "there is no image to show"),
    (lambda: show_grid(None), TypeError, "images is None; give a tensor, or a list"),
    (lambda: show_grid(np.ones((2, 4, 4))), TypeError, "images is a ndarray; give a tensor, or a list"),
    (lambda: show_grid(["cat.jpg"]), TypeError, "image 0 is a str; a tensor or a PIL image"),
    (
        lambda: show_grid(torch.ones(4, 4)),
        ValueError,
        "images has shape (4, 4)",
        "one image goes into a list: [image]",
    ),
    (lambda: show_grid(torch.ones(2, 4, 4, 3)), ValueError, "image 0 has shape (4, 4, 3)", "permute"),
    (
        lambda: show_grid(torch.ones(2, 4, 8, 8)),
        ValueError,
        "image 0 has shape (4, 8, 8); (H, W), (1, H, W) or (3, H",
    ),
    (lambda: show_grid(torch.ones(2, 3, 0, 4)), ValueError, "image 0 has shape (3, 0, 4); it holds no pixel"),
    (
        lambda: show_grid([torch.ones(4, 4), torch.ones(4, 5)]),
        ValueError,
        "image 1 is 4 x 5 and image 0 is 4 x 4",
        "resize",
    ),
    (
        lambda: show_grid(torch.ones(1, 4, 4, dtype=torch.int64)),
        TypeError,
        "image 0 is torch.int64; uint8 (0 to 255)",
    ),
    (lambda: show_grid(torch.ones(1, 4, 4) * 1j), TypeError, "image 0 is torch.complex64; uint8"),
    (
        lambda: show_grid(torch.ones(1, 4, 4) * NAN),
        ValueError,
        "image 0: 16 of 16 values are NaN or infinite",
    ),
    (
        lambda: show_grid(torch.ones(1, 4, 4) * 255),
        ValueError,
        "image 0 has values from 255 to 255",
        "value_range=",
    ),
    (lambda: show_grid(torch.ones(1, 4, 4) * -0.5), ValueError, "image 0 has values from -0.5 to -0.5"),
    (lambda: show_grid(torch.ones(1, 4, 4, device="meta")), ValueError, "image 0 is on the device 'meta'"),
    (lambda: show_grid(flat(0.1, 0.2), titles=["a"]), ValueError, "there are 2 images and 1 titles"),
    (lambda: show_grid(flat(0.1, 0.2), titles="ab"), TypeError, "titles is a str; a list with one text"),
    (lambda: show_grid(flat(0.1, 0.2), columns=0), ValueError, "columns is 0; a whole number of at least 1"),
    (
        lambda: show_grid(flat(0.1, 0.2), value_range=(1, 0)),
        ValueError,
        "value_range is (1, 0); the first number",
    ),
    (
        lambda: show_grid(flat(0.1, 0.2), value_range=1),
        TypeError,
        "'value_range' needs 2 numbers (low, high)",
    ),
    (lambda: show_grid(flat(*[0.5] * 200)), ValueError, "200 pictures in rows of 8", "a slice such as [:16]"),
    (lambda: show_grid(flat(*[0.5] * 40), columns=40), ValueError, "40 pictures in a row are too small"),
    (
        lambda: show_kernels([1.0]),
        TypeError,
        "weights is a list of length 1; a tensor (out, in, height, width)",
    ),
    (
        lambda: show_kernels(torch.ones(3, 3)),
        ValueError,
        "weights has shape (3, 3); (out, in, height, width)",
    ),
    (lambda: show_kernels(torch.ones(0, 3, 3, 3)), ValueError, "weights has shape (0, 3, 3, 3)"),
    (
        lambda: show_kernels(torch.ones(1, 1, 3, 3, dtype=torch.int8)),
        TypeError,
        "weights is torch.int8; floats",
    ),
    (
        lambda: show_kernels(torch.ones(1, 1, 3, 3) / 0),
        ValueError,
        "weights: 9 of 9 values are NaN or infinite",
    ),
    (
        lambda: show_kernels(torch.ones(4, 64, 3, 3)),
        ValueError,
        "64 pictures in a row are too small",
        "[:, :16]",
    ),
    (
        lambda: show_feature_maps(torch.ones(2, 3, 4, 4)),
        ValueError,
        "maps has shape (2, 3, 4, 4)",
        "maps[0] of a batch",
    ),
    (lambda: show_feature_maps(None), TypeError, "maps is None; a tensor (C, H, W)"),
    (
        lambda: show_feature_maps(torch.ones(2, 3, 4) * NAN),
        ValueError,
        "maps: 24 of 24 values are NaN or infinite",
    ),
    (
        lambda: show_feature_maps(torch.ones(2, 3, 4), columns="8"),
        ValueError,
        "columns is '8'; a whole number",
    ),
]


@pytest.mark.parametrize("case", BAD, ids=[case[2][:45] for case in BAD])
def test_bad_input_gives_one_clear_line(case, says_in_one_line):
    says_in_one_line(*case)
