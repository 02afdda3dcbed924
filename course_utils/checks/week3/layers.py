"""The checks of exercises 3.6 to 3.11 and bug 3.3: convolution, pooling, linear and activation layers.

Each compares with something other than the solution: a slow loop, counted pixels, the size that torch itself gives.
"""

import torch
from torch import nn

from course_utils.checks.core import Mistake, call, exercise, expect_close, expect_tensor, expect_type, plain_number
from course_utils.checks.week3._answers import the_function, whole_number
from course_utils.errors import in_words


def _windows_by_loops(volume: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Cross-correlation of (D, H, W) with (d, h, w), no padding, window by window."""
    sizes = [have - want + 1 for have, want in zip(volume.shape, kernel.shape, strict=True)]
    depth, height, width = kernel.shape
    out = torch.empty(sizes)
    for f in range(sizes[0]):
        for i in range(sizes[1]):
            for j in range(sizes[2]):
                out[f, i, j] = (volume[f : f + depth, i : i + height, j : j + width] * kernel).sum()
    return out


def _in_a_frame(volume: torch.Tensor, frames: int, rows: int) -> torch.Tensor:
    """(D, H, W) with so many zero frames and zero rows and columns around it."""
    depth, height, width = volume.shape
    larger = torch.zeros(depth + 2 * frames, height + 2 * rows, width + 2 * rows)
    larger[frames : frames + depth, rows : rows + height, rows : rows + width] = volume
    return larger


@exercise("3.6", "Two kernels by hand")
def two_kernels(by_pencil: object, function: object) -> str:
    expect_type(by_pencil, dict, "by_pencil")
    rows_seen = {"padding 0, everywhere": (3, 3), "padding 1, corner": (2, 2), "padding 1, edge": (2, 3)}
    rows_seen["padding 1, inside"] = (3, 3)
    for name, (rows, columns) in rows_seen.items():
        number = by_pencil.get(name)
        if number is None or number is ...:
            raise Mistake(f"the number for '{name}' is still missing")
        number, seen = plain_number(number, f"'{name}'"), rows * columns
        if number == 3 * seen:
            continue
        if number == seen:
            raise Mistake(f"'{name}': {seen} pixels lie under the window in one channel, and there are three channels")
        if number == 6 * seen:
            raise Mistake(f"'{name}': {number:g} is what the second kernel gives, that of the twos; asked is the first")
        if number == 27:
            raise Mistake(f"'{name}': 27 is a window full of picture, but there a part of it lies on the padding")
        raise Mistake(f"'{name}' is not {number:g}: count the pixels of the picture under the window, times three")
    generator = torch.Generator().manual_seed(0)
    the_function(function)
    for padding in (0, 1):
        layer = call(function, padding)
        expect_type(layer, nn.Module, f"what two_kernels({padding}) returns")
        image = torch.randint(0, 9, (3, 5, 5), generator=generator).float()
        out = call(layer, image)
        expect_type(out, torch.Tensor, "the layer's output")
        size = 3 + 2 * padding
        if tuple(out.shape) != (2, size, size):
            raise Mistake(
                f"with padding {padding} the layer gives {tuple(out.shape)}, expected (2, {size}, {size}): two "
                "kernels, and the padding that was asked for"
            )
        expect_tensor(out, "the layer's output", dtype=torch.float32)
        if call(layer, torch.zeros(3, 5, 5)).abs().max() > 0:
            raise Mistake("a black picture should give 0 everywhere: there is still a bias")
        ones = _windows_by_loops(_in_a_frame(image, 0, padding), torch.ones(3, 3, 3))[0]
        if torch.allclose(out[0], 2 * ones) and torch.allclose(out[1], ones):
            raise Mistake("the first kernel has the ones, the second the twos; yours are exchanged")
        wanted, inside = torch.stack([ones, 2 * ones]), (..., slice(1, -1), slice(1, -1))
        if padding and torch.allclose(out[inside], wanted[inside]) and not torch.allclose(out, wanted):
            raise Mistake("the inside is right, the border is not: beyond the picture there should be zeros")
        expect_close(out[0], ones, "the first map", "all its weights should be 1")
        expect_close(out[1], 2 * ones, "the second map", "all its weights should be 2")
    return (
        "27 and 54 inside; with padding 1 a corner sees 4 of 9 pixels, an edge 6: a black frame is part of the picture"
    )


@exercise("3.7", "Blur every colour by itself")
def blur(function: object) -> str:
    the_function(function)
    generator = torch.Generator().manual_seed(0)
    for size in (3, 5):
        images = torch.rand(2, 3, 6, 7, generator=generator)
        answer = call(function, images.clone(), size)
        expect_type(answer, torch.Tensor, "what blur() returns")
        if tuple(answer.shape) == (2, 3, 6 - size + 1, 7 - size + 1):
            raise Mistake(f"the picture lost {size - 1} rows and columns: pad by half the size before the kernel runs")
        expect_tensor(answer, f"blur(images, {size})", dtype=torch.float32, shape=(2, 3, 6, 7))
        wanted = _blurred(images, size)
        if torch.allclose(answer, wanted * size**2, atol=1e-3):
            raise Mistake("you added the pixels up; for their mean every weight is 1 / size²")
        if torch.allclose(answer[:, 0], answer[:, 1], atol=1e-5):
            raise Mistake("all colours became the same: every channel should see itself only (groups)")
        half = size // 2
        inside = (..., slice(half, -half), slice(half, -half))
        if torch.allclose(answer[inside], wanted[inside], atol=1e-4):
            if answer[:, :, 0, 0].mean() < 0.8 * wanted[:, :, 0, 0].mean():
                raise Mistake("the inside is right, the border too dark: it is filled with zeros, repeat its pixels")
            expect_close(answer, wanted, f"blur(images, {size})", "the inside is right; repeat the border's own pixels")
        expect_close(answer, wanted, f"blur(images, {size})", "each pixel is the mean of size × size around it")
    return "one group for each channel, a border that is made up sensibly: so every image program blurs"


def _blurred(images: torch.Tensor, size: int) -> torch.Tensor:
    """Each pixel the mean of size × size around it, places outside taken from the nearest pixel; by loops."""
    height, width = images.shape[2:]
    reach, out = range(-(size // 2), size // 2 + 1), torch.empty_like(images)
    for i in range(height):
        for j in range(width):
            rows = [min(max(i + step, 0), height - 1) for step in reach]
            columns = [min(max(j + step, 0), width - 1) for step in reach]
            out[:, :, i, j] = images[:, :, rows][:, :, :, columns].mean(dim=(2, 3))
    return out


@exercise("3.8", "A colour image as three frames")
def colours_as_depth(function: object) -> str:
    the_function(function)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 5, 6, generator=generator)
    answer = call(function, images.clone())
    expect_type(answer, torch.Tensor, "what colours_as_depth() returns")
    if tuple(answer.shape) == (2, 1, 1, 3, 4):
        raise Mistake("the depth became 1: pad it by 1 on both sides, as a kernel of 3 needs")
    if tuple(answer.shape) == (2, 1, 3, 5, 6):
        raise Mistake("height and width kept their size: a padding of (1, 0, 0) pads the depth only")
    expect_tensor(answer, "the result", dtype=torch.float32, shape=(2, 1, 3, 3, 4))
    if all(torch.equal(frame, frame.flatten()[0].expand_as(frame)) for frame in (answer[0, 0, 0], answer[0, 0, 2])):
        raise Mistake(
            "the outer frames hold one number only, as in the old snippet: let the three colours be the depth"
        )
    if call(function, torch.zeros(1, 3, 4, 4)).abs().max() > 0:
        raise Mistake("a black picture should stay black: there is still a bias")
    flat, deep = torch.full((1, 3, 3), 1 / 9), torch.full((3, 3, 3), 1 / 27)
    single = torch.stack([_windows_by_loops(image, flat) for image in images])[:, None]
    if torch.allclose(answer, single, atol=1e-4) or torch.allclose(answer, single / 3, atol=1e-4):
        raise Mistake("each colour sees only itself: your kernel has depth 1, it should reach over three colours")
    wanted = torch.stack([_windows_by_loops(_in_a_frame(image, 1, 0), deep) for image in images])[:, None]
    if torch.allclose(answer, 27 * wanted, atol=1e-3):
        raise Mistake("your weights are 1, so you add up; for a mean each of the 27 is 1/27")
    expect_close(answer, wanted, "the result", "all 27 weights are 1/27, and beyond red and blue there are zeros")
    return "the outer frames see two colours and one frame of zeros, the middle one all three: now it is 3×3×3"


@exercise("3.9", "Bring the size back")
def way_back(function: object) -> str:
    wide = call(the_function(function), nn.Conv2d(3, 5, 3, dilation=3), 12)
    # with stride 1 nothing is lost, so that the right output_padding is 0
    if isinstance(wide, nn.ConvTranspose2d) and wide.output_padding == (3, 3):
        raise Mistake(
            "the sixth argument of ConvTranspose2d is output_padding, not dilation as in Conv2d; write dilation=…"
        )
    settings = [(3, 1, 0, 1), (3, 1, 1, 1), (4, 2, 1, 1), (3, 2, 1, 1), (5, 3, 2, 1), (2, 3, 0, 1), (4, 2, 1, 2)]
    for kernel, stride, padding, dilation in settings:
        conv = nn.Conv2d(3, 5, kernel, stride, padding, dilation)
        for size in range(9, 15):
            layer = call(function, conv, size)
            expect_type(layer, nn.ConvTranspose2d, "what way_back() returns")
            expect_tensor(layer.weight, "the weight of your layer", dtype=torch.float32)
            if (layer.in_channels, layer.out_channels) != (5, 3):
                raise Mistake(
                    f"your layer leads from {layer.in_channels} to {layer.out_channels} channels; conv leads from 3 to "
                    "5, so the way back starts with 5"
                )
            for name in ("kernel_size", "stride", "padding", "dilation"):
                if getattr(layer, name) != getattr(conv, name):
                    raise Mistake(f"{name} is {getattr(layer, name)}, but conv has {getattr(conv, name)}: keep it")
            _same_size(layer, conv, size)
    return "two formulas, and the remainder that rounding down had lost: output_padding is exactly that remainder"


def _same_size(layer: nn.ConvTranspose2d, conv: nn.Conv2d, size: int) -> None:
    """Raise Mistake unless the layer leads from conv's output for this size back to the size."""
    where = f"stride {conv.stride[0]}, dilation {conv.dilation[0]}, size {size}"
    with torch.no_grad():
        small = conv(torch.zeros(1, 3, size, size))
        try:
            back = tuple(layer(small).shape[2:])
        except RuntimeError as error:
            if "output padding" not in str(error):
                raise Mistake(f"{where}: your layer stopped with {in_words(error, 120)}") from None
            raise Mistake(
                f"{where}: torch refuses output_padding={layer.output_padding[0]}; it is a remainder, below the stride"
            ) from None
    if back != (size, size) and conv.dilation[0] > 1:
        raise Mistake(
            f"{where}: the way back ends at {back[0]}; without dilation you are right: is it in your formula?"
        )
    if back[0] < size:
        raise Mistake(f"{where}: the way back ends at {back[0]}, some rows are missing: compute the output_padding")
    if back != (size, size):
        raise Mistake(f"{where}: the way back ends at {back[0]}; output_padding is only what rounding down has lost")


@exercise("3.10", "Two layers, one layer")
def merged(function: object) -> str:
    the_function(function)
    torch.default_generator.manual_seed(0)
    for inputs, hidden, outputs in [(3, 3, 3), (4, 3, 3), (4, 6, 2)]:
        for first_bias, second_bias in [(True, True), (False, True), (True, False), (False, False)]:
            first = nn.Linear(inputs, hidden, bias=first_bias)
            second = nn.Linear(hidden, outputs, bias=second_bias)
            before = [p.detach().clone() for p in (*first.parameters(), *second.parameters())]
            layer = call(function, first, second)
            expect_type(layer, nn.Linear, "what merged() returns")
            expect_tensor(layer.weight, "the weight of the one layer", dtype=torch.float32)
            if (layer.in_features, layer.out_features) != (inputs, outputs):
                raise Mistake(
                    f"the one layer leads from {layer.in_features} to {layer.out_features} numbers, expected "
                    f"{inputs} to {outputs}"
                )
            after = [*first.parameters(), *second.parameters()]
            if not all(torch.equal(old, new) for old, new in zip(before, after, strict=True)):
                raise Mistake("one of the two given layers was changed; write into the new layer only")
            _does_the_same(layer, first, second)
    return "so depth without a bend is worth nothing, but at the end of training it lets you fold layers together"


def _does_the_same(layer: nn.Linear, first: nn.Linear, second: nn.Linear) -> None:
    """Raise Mistake unless layer(x) is second(first(x)), told apart by what the one layer does to 0 and to the axes."""
    with torch.no_grad():
        zero, axes = torch.zeros(1, first.in_features), torch.eye(first.in_features)
        offset, wanted_offset = layer(zero), second(first(zero))
        slopes, wanted_slopes = layer(axes) - offset, second(first(axes)) - wanted_offset
        if first.in_features == first.out_features == second.out_features:
            exchanged = axes @ second.weight.T @ first.weight.T
            if torch.allclose(slopes, exchanged, atol=1e-5):
                raise Mistake("the weights are multiplied in the wrong order: what is done last stands on the left")
        expect_close(slopes, wanted_slopes, "the weight", "it should be the product of both weights")
        biases = [given.bias for given in (first, second) if given.bias is not None]
        if first.bias is not None and first.out_features == second.out_features:
            if torch.allclose(offset[0], sum(biases), atol=1e-5):
                raise Mistake("the weight is right; the first bias goes through the second layer, too: multiply it")
        if first.bias is not None and second.bias is not None:
            if torch.allclose(offset[0], second.bias, atol=1e-5):
                raise Mistake("the weight is right, but the first layer's bias is lost")
        expect_close(offset, wanted_offset, "the bias", "what does the one layer give for zeros, what do the two?")


@exercise("3.11", "Count the dead units")
def dead_channels(function: object) -> str:
    ten = _ten_channels()
    for maps, dead in [(ten, 2), (ten[:1], 3), (torch.zeros(3, 4, 2, 2), 4), (torch.ones(3, 4, 2, 2), 0)]:
        answer = call(function, maps.clone())
        if isinstance(answer, torch.Tensor) and answer.numel() > 1:
            raise Mistake(f"the result should be one number, but it has shape {tuple(answer.shape)}; count its True")
        count = whole_number(answer, "what dead_channels() returns", "give the count as a whole number, with int(…)")
        zeros = maps == 0
        cold = zeros.flatten(2).all(dim=2)  # (N, C): 0 everywhere in this picture
        if count == dead:
            continue
        if count == int(cold.sum()):
            raise Mistake("you counted each picture by itself; a channel is dead when it is 0 in all pictures")
        if count == int(zeros.sum()):
            raise Mistake("you counted the zeros; asked are the channels in which there is nothing else")
        if count == maps.shape[1] - dead:
            raise Mistake("you counted the channels that are alive")
        if count in (int(cold.any(dim=0).sum()), int(cold[0].sum()), int(cold[-1].sum())):
            raise Mistake("you counted channels that are 0 in one picture; dead means 0 in all")
        if count == int((maps.amax(dim=(0, 2, 3)) < 1e-3).sum()):
            raise Mistake("a channel with one tiny number is not dead: it still has a gradient; compare with 0 itself")
        if count == int(zeros.any(dim=3).any(dim=2).any(dim=0).sum()):
            raise Mistake("you counted the channels with a zero somewhere; dead means zero everywhere")
        raise Mistake(f"of {maps.shape[1]} channels {dead} are 0 in every picture and place, but you count {count:g}")
    return "such units stay dead, their gradient is 0: a smaller learning rate or a leaky relative keeps them alive"


def _ten_channels() -> torch.Tensor:
    """Two pictures (2, 10, 3, 4) of which every usual mistake counts another number of channels; 2 are dead."""
    maps = torch.zeros(2, 10, 3, 4)  # channels 0 and 3 stay dead
    maps[1, 1, 2, 3] = 0.5  # 0 in the first picture
    maps[0, 4, 0, 0] = 0.5  # 0 in the second one
    maps[0, 5, 1, 1] = 1e-5  # hardly above 0, but alive
    maps[:, 6], maps[:, 7, 2] = 1e-6, 1e-6
    maps[:, 5, 0, 1] = 1e-6
    maps[:, 8, 1] = 2.0
    maps[:, 2], maps[:, 9] = 1.0, 30.0
    return maps


@exercise("bug 3.3", "Nothing below zero")
def bug_3_3(function: object) -> str:
    generator = torch.Generator().manual_seed(5)
    pictures = torch.rand(2, 1, 9, 8, generator=generator)
    given = pictures.clone()
    kept = call(function, given)
    expect_type(kept, dict, "what run_and_keep() returns")
    if list(kept) != ["conv", "relu", "pool"]:
        raise Mistake(f"the entries should still be conv, relu and pool, but they are {', '.join(map(str, kept))}")
    for name, values in kept.items():
        expect_type(values, torch.Tensor, f"kept['{name}']")
    if not torch.equal(given, pictures):
        raise Mistake("the pictures that were given have changed; nothing should write into them")
    kernel = torch.tensor([[[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]]) / 4
    answers = torch.stack([_windows_by_loops(picture, kernel) for picture in pictures])
    bent = torch.where(answers > 0, answers, 0.0)
    shape = tuple(answers.shape)
    expect_tensor(kept["conv"], "kept['conv']", dtype=torch.float32, shape=shape)
    if kept["conv"].data_ptr() == kept["relu"].data_ptr():
        raise Mistake("conv and relu still share one memory: compare their data_ptr(), and ask who writes there")
    if torch.allclose(kept["conv"], bent, atol=1e-5):
        raise Mistake("conv and relu have their own memory now, but conv was copied after the ReLU had written into it")
    if kept["conv"].min() >= 0:
        raise Mistake("the map of the convolution still has no negative number; it should be what the layer gave")
    expect_close(kept["conv"], answers, "kept['conv']", "it should be right minus left, as the layer gave it")
    expect_tensor(kept["relu"], "kept['relu']", dtype=torch.float32, shape=shape)
    if kept["relu"].min() < 0:
        raise Mistake("now the map of the ReLU has negative numbers: its bend has to stay")
    expect_close(kept["relu"], bent, "kept['relu']", "it should be the convolution's map with zeros for the negatives")
    rows, columns = shape[2] // 2, shape[3] // 2
    quarters = bent[:, :, : 2 * rows, : 2 * columns].reshape(2, 1, rows, 2, columns, 2)
    expect_tensor(kept["pool"], "kept['pool']", dtype=torch.float32, shape=(2, 1, rows, columns))
    expect_close(kept["pool"], quarters.amax(dim=(3, 5)), "kept['pool']", "it should be the largest of each 2 × 2")
    return "detach() cuts the graph, not the memory: whoever keeps a map must know that nobody writes into it later"
