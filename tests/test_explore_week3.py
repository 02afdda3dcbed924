"""The explorers of week 3: their arithmetic against slow loops, finite differences and torch's own modules."""

import itertools
import math
from importlib import import_module

import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.text import Text
from torch import nn

from course_utils import data, explore
from course_utils.explore import activating, convolving, transposing
from course_utils.style import ORANGE, SKY

# in the package these two names are those of the explorers
photo_kernel, pooling = (import_module(f"course_utils.explore.{name}") for name in ("photo_kernel", "pooling"))


def words(explorer: explore.Explorer) -> str:
    shown = (text.get_text() for text in explorer.figure.findobj(Text) if text.get_visible())
    return " ".join(" ".join(text.split()) for text in shown if text)


def tables(explorer: explore.Explorer) -> list[PolyCollection]:
    """The tables of cells on the sheet, in the order in which they were created."""
    return [found for found in explorer.figure.axes[0].collections if isinstance(found, PolyCollection)]


def coloured(table: PolyCollection, colour: str) -> list[int]:
    """Which cells of a table have this colour, counted row by row."""
    return [index for index, face in enumerate(table.get_facecolor()) if np.allclose(face, to_rgba(colour))]


# --- convolution


def convolved_slowly(kernel_size: int, stride: int, padding: int, dilation: int) -> list[list[int]]:
    """Every output pixel as a sum over the places where a tap lies inside the input."""
    covered = dilation * (kernel_size - 1) + 1
    starts = [start for start in range(-padding, convolving.SIDE + padding) if start % stride == -padding % stride]
    starts = [start for start in starts if start + covered <= convolving.SIDE + padding]
    inside = range(convolving.SIDE)
    return [
        [
            sum(
                convolving.WEIGHTS[i][j] * convolving.INPUT[top + i * dilation][left + j * dilation]
                for i in range(kernel_size)
                for j in range(kernel_size)
                if top + i * dilation in inside and left + j * dilation in inside
            )
            for left in starts
        ]
        for top in starts
    ]


def test_convolution_is_the_slow_sum_at_every_setting_and_position():
    refused = 0
    for kernel_size, stride, padding, dilation in itertools.product(
        convolving.KERNEL_SIZES, convolving.STRIDES, convolving.PADDINGS, convolving.DILATIONS
    ):
        settings = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
        slow = convolved_slowly(**settings)
        sliding = explore.slide_window(**settings)
        assert sliding.output == slow, settings
        assert max(sliding.size, 0) == len(slow), settings
        assert bool(sliding.refusal) == (not slow) == (sliding.covered > 7 + 2 * padding), settings
        refused += not slow
        for position in range(1, len(slow) ** 2 + 1):
            sliding = explore.slide_window(**settings, position=position)
            row, column = divmod(position - 1, len(slow))
            taken = [sliding.padded[down][right] for down, right in sliding.taken]
            weights = [weight for line in sliding.kernel for weight in line]
            assert sum(w * value for w, value in zip(weights, taken, strict=True)) == slow[row][column], settings
    assert 0 < refused < 30


def test_the_kernel_is_not_flipped():
    output = explore.slide_window(kernel_size=3).output
    flipped = torch.tensor(convolving.WEIGHTS)[:3, :3].flip(0, 1)
    assert output != torch.conv2d(torch.tensor(convolving.INPUT)[None, None], flipped[None, None])[0, 0].tolist()


def test_convolution_marks_the_pixels_under_the_window_and_fills_the_output():
    explorer = explore.convolution(kernel_size=3, stride=2, padding=1, dilation=2, position=5)
    image, _, output = tables(explorer)
    # the padded input is 9 wide, the fifth of 3 × 3 outputs begins at row 2, column 2 and skips every second pixel
    assert coloured(image, ORANGE) == [9 * row + column for row in (2, 4, 6) for column in (2, 4, 6)]
    assert coloured(output, SKY) == [0, 1, 2, 3] and coloured(output, ORANGE) == [4]
    assert "output 3 × 3: floor((7 + 2·1 − 2·(3 − 1) − 1) / 2) + 1 = 3" in words(explorer)
    (window,) = [line for line in explorer.figure.axes[0].lines if line.get_visible()]
    first, last = (image.get_paths()[9 * place + place].vertices for place in (2, 6))
    x, y = window.get_xydata().T
    assert (x.min(), x.max()) == pytest.approx((first[:, 0].min(), last[:, 0].max()))
    assert (y.min(), y.max()) == pytest.approx((last[:, 1].min(), first[:, 1].max()))


def test_pixels_that_no_window_reads_stay_white():
    image, _, _ = tables(explore.convolution(kernel_size=1, stride=3))
    assert len(coloured(image, SKY)) == 8 and len(coloured(image, ORANGE)) == 1
    assert len(coloured(image, "white")) == 49 - 9


def test_a_kernel_that_is_too_large_is_told_in_words_and_the_way_back_works():
    explorer = explore.convolution(kernel_size=5, dilation=2)
    assert "no output: floor((7 + 2·0 − 2·(5 − 1) − 1) / 1) + 1 = −1" in words(explorer)
    assert "spans 9 pixels, the padded input has only 7" in words(explorer)
    assert "torch says: Calculated padded input size per channel: (7 x 7)" in words(explorer)
    assert "there is no output" in explorer.words.value
    assert [value for _, value in explorer.controls["position"].options] == [1]
    assert not tables(explorer)[2].get_visible()
    explorer.controls["padding"].value = 2
    assert "output 3 × 3" in words(explorer) and "torch says" not in words(explorer)
    assert len(explorer.controls["position"].options) == 9 and tables(explorer)[2].get_visible()


# --- a kernel on a photograph


def shifted_sum(square: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The filtered photograph as a sum of nine shifted copies, in double precision."""
    side = len(square) - 2
    shifts = itertools.product(range(3), repeat=2)
    return sum(weights[i, j] * square[i : i + side, j : j + side].astype(np.float64) for i, j in shifts)


@pytest.mark.parametrize("photo", data.PHOTOS)
def test_a_filtered_photograph_is_a_sum_of_shifted_copies(photo):
    square = photo_kernel.grey_square(photo).numpy()
    assert square.shape == (130, 130) and 0 <= square.min() < 0.1 and 0.6 < square.max() <= 1
    for preset, (weights, divisor) in photo_kernel.PRESETS.items():
        kernel = np.array(weights).reshape(3, 3)
        filtered = explore.filter_photo(kernel.tolist(), divisor, photo)
        assert np.abs(filtered.after - shifted_sum(square, kernel / divisor)).max() < 1e-5, preset
        assert np.array_equal(filtered.before, square[1:-1, 1:-1])


def test_the_sum_of_the_weights_is_what_becomes_of_an_even_area():
    sums = {name: sum(weights) / divisor for name, (weights, divisor) in photo_kernel.PRESETS.items()}
    assert {name for name, total in sums.items() if total == 0} == {
        "edges x (Sobel)",
        "edges y (Sobel)",
        "Laplacian",
    }
    assert all(total in (0, 1) for total in sums.values())
    for name, (weights, divisor) in photo_kernel.PRESETS.items():
        filtered = explore.filter_photo(np.array(weights).reshape(3, 3).tolist(), divisor)
        assert filtered.total == sums[name]
        even = torch.full((1, 1, 5, 5), 0.25)
        kernel = torch.tensor(filtered.weights / divisor, dtype=torch.float32)
        assert torch.allclose(torch.conv2d(even, kernel[None, None]), torch.tensor(0.25 * sums[name]), atol=1e-6)


def test_sobel_kernels_answer_to_their_own_direction():
    along_x, along_y = (
        explore.filter_photo(np.array(photo_kernel.PRESETS[f"edges {axis} (Sobel)"][0]).reshape(3, 3).tolist())
        for axis in "xy"
    )
    assert np.array_equal(along_x.weights, along_y.weights.T)
    step = np.zeros((8, 8), dtype=np.float32)
    step[:, 4:] = 1  # grows along x only
    assert np.abs(shifted_sum(step, along_x.weights)).max() == 4
    assert np.abs(shifted_sum(step, along_y.weights)).max() == 0


def test_the_picture_shows_black_white_and_blue():
    colours = photo_kernel.in_colour(np.array([[-2.0, -0.5, 0.0, 0.5, 1.0, 3.0]]))[0]
    assert colours[2:].tolist() == [[0, 0, 0], [128, 128, 128], [255, 255, 255], [255, 255, 255]]
    assert all(blue > green > red for red, green, blue in colours[:2].tolist())
    assert (colours[0] > colours[1]).all()
    explorer = explore.photo_kernel()
    before, after = (axes.images[0] for axes in explorer.figure.axes[1:])
    assert np.array_equal(before.get_array(), photo_kernel.in_colour(explorer.result.before))
    assert np.array_equal(after.get_array(), photo_kernel.in_colour(explorer.result.after))
    # two dots for each pixel, so that nothing is smoothed on the screen
    assert {round(axes.get_window_extent().width) for axes in explorer.figure.axes[1:]} == {256}


def test_a_preset_holds_its_weights_and_own_weights_start_from_them():
    explorer = explore.photo_kernel()
    assert "sum of the weights 0: even areas turn black" in words(explorer)
    explorer.controls["preset"].value = "box blur"
    assert "sum of the weights 9 / 9 = 1: the brightness stays" in words(explorer)
    assert [value for _, value in explorer.controls["w00"].options] == [1]
    assert explorer.result.after.mean() == pytest.approx(explorer.result.before.mean(), abs=0.002)
    explorer.controls["preset"].value = photo_kernel.OWN
    assert explorer.result.weights.tolist() == [[1, 1, 1]] * 3 and explorer.settings["divisor"] == 9
    explorer.controls["w11"].value = 8
    assert "sum of the weights 16 / 9 = 1.7778: brighter" in words(explorer)
    explorer.controls["w11"].value = -8
    assert "sum of the weights 0 / 9 = 0: even areas turn black" in words(explorer)
    explorer.controls["divisor"].value = 1
    explorer.controls["w00"].value = -7
    assert "sum of the weights −8: even areas fall below 0" in words(explorer)


@pytest.mark.parametrize("weight", [-8, 8])
def test_the_largest_weights_are_drawn_inside_the_picture(weight):
    explorer = explore.photo_kernel()
    for name in photo_kernel.NAMES:
        explorer.controls[name].value = weight
    assert f"{9 * weight}".replace("-", "−") in words(explorer)
    box = explorer.figure.bbox
    for text in explorer.figure.findobj(Text):
        place = text.get_window_extent()
        assert not text.get_text() or (box.x0 <= place.x0 and place.x1 <= box.x1)


def test_another_photograph_and_a_preset_to_start_with():
    explorer = explore.photo_kernel("Laplacian", photo="cat")
    assert explorer.settings["preset"] == "Laplacian" and explorer.settings["w11"] == -4
    assert np.array_equal(explorer.result.before, explore.filter_photo(photo_kernel.IDENTITY, photo="cat").after)


# --- transposed convolution


def stamped_slowly(
    kernel_size: int, stride: int, padding: int, output_padding: int, stamped: int
) -> tuple[np.ndarray, np.ndarray]:
    """The output and the number of stamps on each of its pixels, stamp after stamp; only for possible sizes."""
    side = (transposing.SIDE - 1) * stride + kernel_size + output_padding
    canvas, counts = np.zeros((side, side), dtype=int), np.zeros((side, side), dtype=int)
    kernel = np.array(transposing.WEIGHTS)[:kernel_size, :kernel_size]
    for number in range(stamped):
        row, column = divmod(number, transposing.SIDE)
        place = np.s_[row * stride : row * stride + kernel_size, column * stride : column * stride + kernel_size]
        canvas[place] += transposing.INPUT[row][column] * kernel
        counts[place] += 1
    kept = slice(padding, side - padding)
    return canvas[kept, kept], counts


def test_transposed_convolution_is_the_sum_of_its_stamps():
    refused = set()
    for kernel_size, stride, padding, output_padding, stamped in itertools.product(
        transposing.KERNEL_SIZES, transposing.STRIDES, transposing.PADDINGS, transposing.OUTPUT_PADDINGS, (1, 6, 16)
    ):
        settings = kernel_size, stride, padding, output_padding, stamped
        stamping = explore.stamp_kernels(*settings)
        output, counts = stamped_slowly(*settings)
        if output_padding >= stride:
            assert "output padding must be smaller" in stamping.refusal and not stamping.canvas, settings
            refused.add("output_padding")
        elif stamping.size < 1:
            assert "Output size is too small" in stamping.refusal and stamping.canvas, settings
            assert output.size == 0
            refused.add("size")
        else:
            assert stamping.output == output.tolist() and not stamping.refusal, settings
            assert stamping.counts == counts.tolist() and len(output) == stamping.size, settings
    assert refused == {"output_padding", "size"}


def test_stamps_inside_are_even_exactly_when_the_stride_divides_the_kernel():
    for kernel_size, stride in itertools.product(transposing.KERNEL_SIZES, transposing.STRIDES):
        many = torch.conv_transpose2d(
            torch.ones(1, 1, 20, 20), torch.ones(1, 1, kernel_size, kernel_size), stride=stride
        )
        inside = many[0, 0, 20:-20, 20:-20] if stride > 2 else many[0, 0, 6:-6, 6:-6]
        stamping = explore.stamp_kernels(kernel_size, stride)
        assert stamping.inner_counts == tuple(inside.unique().int().tolist())
        assert stamping.even == (kernel_size % stride == 0)
        # what the words say of the inside is seen in the picture
        assert set(stamping.inner_counts) <= {count for row in stamping.counts for count in row}


def test_transposed_convolution_shows_size_stamps_and_checkerboard():
    explorer = explore.transposed_convolution()
    assert "output 9 × 9: (4 − 1)·2 − 2·0 + 1·(3 − 1) + 0 + 1 = 9" in words(explorer)
    assert "3 % 2 = 1: uneven 1, 2 or 4 stamps a pixel" in words(explorer)
    explorer.controls["kernel_size"].value = 4
    assert "4 % 2 = 0: even 4 stamps a pixel" in words(explorer)
    explorer.controls["stamped"].value = 6
    image, *_, canvas, legend = tables(explorer)
    assert coloured(image, ORANGE) == [5] and coloured(image, SKY) == [0, 1, 2, 3, 4]
    faces = canvas.get_facecolor()
    counts = np.array(explorer.result.counts).flatten()
    assert set(counts) == {0, 1, 2, 3, 4} and len(legend.get_paths()) == 5
    for count in range(5):
        assert np.allclose(faces[counts == count], to_rgba(transposing.layers(count)))


def test_sizes_that_torch_refuses_are_told_in_words():
    explorer = explore.transposed_convolution(output_padding=2)
    assert "refused: output_padding 2 is not smaller than stride 2" in words(explorer)
    assert "torch says: output padding must be smaller than either stride or dilation" in words(explorer)
    assert "Torch refuses" in explorer.words.value
    explorer.controls["stride"].value = 3
    assert "refused" not in words(explorer) and "output 14 × 14" in words(explorer)
    explorer = explore.transposed_convolution(kernel_size=1, stride=1, padding=2)
    assert "no output: (4 − 1)·1 − 2·2 + 1·(1 − 1) + 0 + 1 = 0" in words(explorer)
    assert "Output size is too small" in words(explorer)


# --- pooling


def pooled_slowly(kind: str, size: int, stride: int, padding: int) -> list[list[float]]:
    """Every output pixel from the list of the values in its window."""
    outside = -math.inf if kind == pooling.MAX else 0
    if kind in (pooling.MAX, pooling.AVERAGE):
        starts = range(-padding, pooling.SIDE + padding - size + 1, stride)
        spans = [range(start, start + size) for start in starts]
    else:
        spans = [
            range(math.floor(i * pooling.SIDE / size), math.ceil((i + 1) * pooling.SIDE / size)) for i in range(size)
        ]
    inside = range(pooling.SIDE)
    rows = []
    for down in spans:
        rows.append([])
        for right in spans:
            window = [
                pooling.INPUT[row][column] if row in inside and column in inside else outside
                for row in down
                for column in right
            ]
            rows[-1].append(max(window) if "max" in kind else sum(window) / len(window))
    return rows


def test_pooling_is_the_slow_loop_at_every_setting():
    refused = 0
    for kind, size, stride, padding in itertools.product(
        pooling.KINDS, pooling.SIZES, pooling.STRIDES, pooling.PADDINGS
    ):
        settings = kind, size, stride, padding
        pooled = explore.pool_windows(*settings)
        if not pooled.adaptive and padding > size / 2:
            assert "pad should be at most half" in pooled.refusal and not pooled.output, settings
            refused += 1
            continue
        assert not pooled.refusal
        assert np.allclose(pooled.output, pooled_slowly(*settings), atol=1e-12), settings
        assert len(pooled.output) ** 2 <= pooling.MOST
    assert refused == 2 * 4 * 4


def test_unpooling_is_that_of_maxunpool2d():
    image = torch.tensor(pooling.INPUT, dtype=torch.float32)[None]
    for size, stride, padding in itertools.product(pooling.SIZES, pooling.STRIDES, (0, 1)):
        if 2 * padding > size:
            continue
        pooled = explore.pool_windows(pooling.MAX, size, stride, padding)
        values, indices = nn.MaxPool2d(size, stride, padding, return_indices=True)(image)
        put_back = nn.MaxUnpool2d(size, stride, padding)(values, indices, output_size=(6, 6))
        assert pooled.unpooled == put_back[0].int().tolist() and pooled.indices == indices[0].tolist()
    for row, column in itertools.product(range(6), repeat=2):  # adaptive: every value stands where it came from
        value = explore.pool_windows(pooling.ADAPTIVE_MAX, 4).unpooled[row][column]
        assert value in (0, pooling.INPUT[row][column])
    assert explore.pool_windows(pooling.AVERAGE).unpooled == []


@pytest.mark.parametrize("kind", [pooling.AVERAGE, pooling.ADAPTIVE_AVERAGE])
def test_windows_are_the_pixels_that_get_a_gradient(kind):
    for size, stride, padding in itertools.product(pooling.SIZES, pooling.STRIDES, pooling.PADDINGS):
        if 2 * padding > size and kind == pooling.AVERAGE:
            continue
        layer = nn.AvgPool2d(size, stride, padding) if kind == pooling.AVERAGE else nn.AdaptiveAvgPool2d(size)
        reached = torch.zeros(6, 6, dtype=torch.bool)
        count = len(explore.pool_windows(kind, size, stride, padding).output)
        for position in range(1, count**2 + 1):
            pooled = explore.pool_windows(kind, size, stride, padding, position)
            image = torch.zeros(1, 1, 6, 6, requires_grad=True)
            (gradient,) = torch.autograd.grad(layer(image)[0, 0][pooled.place], image)
            marked = torch.zeros(6, 6, dtype=torch.bool)
            rows, columns = (slice(max(start, 0), end) for start, end in pooled.window)
            marked[rows, columns] = True
            assert torch.equal(gradient[0, 0] != 0, marked)
            reached |= marked
        assert pooled.skipped == 36 - reached.sum()


def test_pooling_shows_window_index_padding_and_loss():
    explorer = explore.pooling(position=6)
    image, output, back = tables(explorer)
    assert "output 3 × 3: floor((6 + 2·0 − 2) / 2) + 1 = 3" in words(explorer)
    assert "output [1, 2] = max of 0, 1, 8, 3 = 8, at index 22 = 3·6 + 4" in words(explorer)
    assert coloured(image, ORANGE) == [16, 17, 22, 23]
    assert coloured(output, ORANGE) == [5] and coloured(back, ORANGE) == [22]
    assert len(coloured(back, SKY)) == 8
    explorer.controls["kind"].value = pooling.AVERAGE
    assert "output [1, 2] = (0 + 1 + 8 + 3) / 4 = 3" in words(explorer)
    assert "remembers no place" in words(explorer) and not back.get_visible()
    explorer.controls["stride"].value = 4
    assert "20 of the 36 pixels are in no window" in words(explorer)
    assert len(coloured(image, "white")) == 20
    explorer = explore.pooling(padding=1)
    assert "max of −∞, −∞, −∞, 3 = 3, at index 0" in words(explorer)
    explorer.controls["padding"].value = 2
    assert "refused: padding 2 is more than half of kernel size 2" in words(explorer)
    assert "torch says: pad should be at most half" in words(explorer)
    assert not tables(explorer)[1].get_visible()


def test_adaptive_pooling_holds_stride_and_padding():
    explorer = explore.pooling(stride=3, padding=1)
    explorer.controls["kind"].value = pooling.ADAPTIVE_MAX
    assert [value for _, value in explorer.controls["stride"].options] == [3]
    explorer.controls["size"].value = 4
    assert "output 4 × 4, as asked, from windows of 2 pixels" in words(explorer)
    assert len(tables(explorer)[0].get_paths()) == 36  # no border
    explorer.controls["kind"].value = pooling.MAX
    assert explorer.settings["stride"] == 3 and len(explorer.controls["stride"].options) == 4


# --- activations

MODULES = {
    "Sigmoid": nn.Sigmoid(),
    "Tanh": nn.Tanh(),
    "ReLU": nn.ReLU(),
    "LeakyReLU": nn.LeakyReLU(0.3),
    "PReLU": nn.PReLU(init=0.3).double(),
    "RReLU": nn.RReLU().eval(),
    "ELU": nn.ELU(),
    "GELU": nn.GELU(),
    "SiLU": nn.SiLU(),
    "Softplus": nn.Softplus(),
}


@pytest.mark.parametrize("function", activating.FUNCTIONS)
def test_activations_are_those_of_the_modules_and_gradients_are_finite_differences(function):
    def f(x: float) -> float:
        return MODULES[function](torch.tensor([x], dtype=torch.float64)).item()

    for x in (-6.0, -2.5, -0.7, 0.4, 1.0, 6.0):
        activation = explore.activate(function, x, 0.3)
        assert activation.value == pytest.approx(f(x), abs=1e-7)  # the weight of PReLU was float32 once
        assert activation.gradient == pytest.approx((f(x + 1e-6) - f(x - 1e-6)) / 2e-6, abs=1e-6)
    inputs, outputs, derivatives = activation.curve
    assert inputs.min() == -6 and inputs.max() == 6 and 0 not in inputs
    assert outputs == pytest.approx([f(x) for x in inputs], abs=1e-6)
    # between two neighbours the output grows by a mean of both derivatives, but for the step over 0
    growth = np.delete(np.diff(outputs), 299)
    means = np.delete((derivatives[1:] + derivatives[:-1]) / 2 * np.diff(inputs), 299)
    assert growth == pytest.approx(means, abs=1e-5)


def test_the_gradient_at_the_kink_is_torchs():
    assert explore.activate("ReLU", 0).gradient == 0
    assert explore.activate("LeakyReLU", 0, 0.2).gradient == pytest.approx(0.2)
    assert explore.activate("RReLU", -1).gradient == pytest.approx(11 / 48)


@pytest.mark.parametrize(
    ("function", "slope", "parts"),
    [
        ("Sigmoid", 0.1, [(-6, -2 * math.acosh(5)), (2 * math.acosh(5), 6)]),
        ("Tanh", 0.1, [(-6, -math.acosh(10)), (math.acosh(10), 6)]),
        ("ReLU", 0.1, [(-6, 0)]),
        ("ELU", 0.1, [(-6, math.log(0.01))]),
        ("Softplus", 0.1, [(-6, math.log(0.01 / 0.99))]),
        ("LeakyReLU", 0.0, [(-6, 0)]),
        ("LeakyReLU", 0.01, []),
        ("RReLU", 0.1, []),
    ],
)
def test_flat_parts_end_where_calculus_says(function, slope, parts):
    activation = explore.activate(function, 0.0, slope)
    assert np.array(activation.flat_parts).flatten() == pytest.approx(np.array(parts).flatten(), abs=0.021)


def test_activations_work_where_gradients_are_switched_off_and_leave_the_random_state():
    activating._curve.cache_clear()
    state = torch.get_rng_state()
    with torch.no_grad():
        assert explore.activate("Tanh", 0.0).gradient == 1
    with torch.inference_mode():
        assert explore.activate("Sigmoid", 0.0).gradient == 0.25
        explore.activate("RReLU", -1.0)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_tangent_touches_with_the_gradient_as_its_slope():
    explorer = explore.activations("Sigmoid", x=1.0)
    (tangent,) = [line for line in explorer.figure.axes[0].lines if line.get_linestyle() == "--"]
    (x0, y0), (x1, y1) = tangent.get_xydata()
    sigmoid = 1 / (1 + math.exp(-1))
    assert (y1 - y0) / (x1 - x0) == pytest.approx(sigmoid * (1 - sigmoid))
    assert np.interp(1.0, [x0, x1], [y0, y1]) == pytest.approx(sigmoid)


def test_activations_say_where_they_are_flat_and_hold_the_slope():
    explorer = explore.activations()
    assert "LeakyReLU: gradient at x = −2 is 0.1" in words(explorer) and "slope 0.1 is negative_slope" in words(
        explorer
    )
    bands = [band for axes in explorer.figure.axes for band in axes.collections]
    assert len(bands) == 2 and not any(band.get_paths() for band in bands)
    explorer.controls["function"].value = "ReLU"
    assert "ReLU: gradient at x = −2 is 0: flat" in words(explorer) and "ReLU has no slope to set" in words(explorer)
    assert "it is flat from −6 to 0" in explorer.words.value
    assert [value for _, value in explorer.controls["slope"].options] == [0.1]
    for band in bands:
        assert band.get_paths()[0].vertices[:, 0].min() == -6
        assert band.get_paths()[0].vertices[:, 0].max() == pytest.approx(0, abs=1e-6)
    explorer.controls["function"].value = "PReLU"
    explorer.controls["slope"].value = 0.5
    assert "PReLU: gradient at x = −2 is 0.5" in words(explorer)


# --- bad arguments


@pytest.mark.parametrize(
    ("call", "arguments", "hint"),
    [
        (explore.slide_window, {"kernel_size": 6}, "kernel_size is 6; there are weights for at most 5"),
        (explore.slide_window, {"stride": 0}, "stride is 0; a whole number of at least 1"),
        (explore.slide_window, {"padding": "same"}, "padding is 'same'; a whole number of at least 0"),
        (explore.slide_window, {"padding": 10**9}, "padding is 1000000000; give at most 100"),
        (explore.slide_window, {"dilation": 10**30}, "give at most 100"),
        (explore.slide_window, {"stride": np.int64(3)}, "stride is an int64; a Python int is needed"),
        (explore.pool_windows, {"size": torch.tensor(3)}, "size is a tensor of shape (); a Python int is needed"),
        (explore.slide_window, {"position": 26}, "the last output pixel is number 25; give 1 to 25"),
        (explore.slide_window, {"kernel_size": 5, "dilation": 3, "position": 2}, "give 1 to 1"),
        (explore.convolution, {"dilation": 4}, "dilation = 4 is not on the scale 1 to 3; the nearest is 3"),
        (explore.convolution, {"stride": 3, "position": 9}, "position = 9 is not on the scale 1 to 4"),
        (explore.filter_photo, {"weights": [[1, 2], [3, 4]]}, "shape (2, 2); give three rows of three"),
        (explore.filter_photo, {"weights": "blur"}, "weights must be three rows of three numbers"),
        (explore.filter_photo, {"weights": torch.full((3, 3), math.nan)}, "values that are not finite"),
        (explore.filter_photo, {"weights": [[10**400] * 3] * 3}, "weights hold a number that is too large"),
        (explore.filter_photo, {"weights": [[None] * 3] * 3}, "weights hold None"),
        (explore.filter_photo, {"weights": photo_kernel.IDENTITY, "divisor": 10**400}, "is not usable"),
        (explore.filter_photo, {"weights": photo_kernel.IDENTITY, "divisor": 0}, "divisor 0 is not usable"),
        (explore.filter_photo, {"weights": photo_kernel.IDENTITY, "photo": "dog"}, "photo 'dog' is not there"),
        (explore.photo_kernel, {"photo": ["cat"]}, "photo ['cat'] is not there; choose one of: astronaut"),
        (explore.photo_kernel, {"preset": "blur"}, "choose from: 'own weights', 'identity'"),
        (explore.photo_kernel, {"preset": None}, "preset = None is not possible"),
        (explore.photo_kernel, {"preset": ["blur"]}, "preset = an object of type list is not"),
        (explore.stamp_kernels, {"kernel_size": 5}, "kernel_size is 5; there are weights for at most 4"),
        (explore.stamp_kernels, {"stamped": 17}, "the input has only 16 pixels"),
        (explore.stamp_kernels, {"output_padding": -1}, "output_padding is -1; a whole number of at least 0"),
        (explore.transposed_convolution, {"stride": 4}, "stride = 4 is not on the scale 1 to 3"),
        (explore.pool_windows, {"kind": "min"}, "kind 'min' is not there; choose one of: max, average"),
        (explore.pool_windows, {"size": 2.0}, "size is 2.0; a whole number of at least 1"),
        (explore.pool_windows, {"kind": "adaptive max", "size": 3, "position": 10}, "give 1 to 9"),
        (explore.pooling, {"kind": "min"}, "choose from: 'max', 'average'"),
        (explore.pooling, {"position": 10}, "position = 10 is not on the scale 1 to 9"),
        (explore.activate, {"function": "Swish", "x": 1.0}, "function 'Swish' is not there; choose one of: Sigmoid"),
        (explore.activate, {"function": "ReLU", "x": math.nan}, "x = nan is not usable"),
        (explore.activate, {"function": "PReLU", "x": 1, "slope": True}, "slope = True is not usable"),
        (explore.activations, {"function": "relu"}, "choose from: 'Sigmoid', 'Tanh'"),
        (explore.activations, {"x": 6.05}, "x = 6.05 is not on the scale -6.0 to 6.0; the nearest is 6.0"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(says_in_one_line, call, arguments, hint):
    says_in_one_line(lambda: call(**arguments), ValueError, hint)


def test_a_kernel_larger_than_the_padded_input_is_refused_by_torch_when_pooling():
    pooled = explore.pool_windows(pooling.MAX, 7)
    assert "Output size is too small" in pooled.refusal and pooled.output == []
    assert "larger than the padded input" in pooling.title_of(pooled)
