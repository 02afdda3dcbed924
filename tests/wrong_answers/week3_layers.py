"""Mistakes that readers make in exercises 3.6 to 3.11 and in bug 3.3."""

PENCIL = """
by_pencil = {{
    "padding 0, everywhere": {everywhere},
    "padding 1, corner": {corner},
    "padding 1, edge": {edge},
    "padding 1, inside": {inside},
}}


def two_kernels(padding):
    layer = nn.Conv2d(3, {kernels}, kernel_size=3, padding={padding}, bias={bias}, padding_mode="{mode}")
    nn.init.constant_(layer.weight[0], {first})
    nn.init.constant_(layer.weight[-1], {second})
    return layer
"""


def pencil(
    everywhere="27",
    corner="12",
    edge="18",
    inside="27",
    kernels="2",
    padding="padding",
    bias="False",
    first="1.0",
    second="2.0",
    mode="zeros",
):
    return PENCIL.format(**locals())


BLUR = """
def blur(images, size):
    padded = F.pad(images, [{pad}] * 4, mode="{mode}")
    weight = torch.full(({shape}, size, size), {value})
    return F.conv2d(padded, weight{groups})
"""


def blur(pad="size // 2", mode="replicate", shape="3, 1", value="1 / size**2", groups=", groups=3"):
    return BLUR.format(**locals())


DEPTH = """
def colours_as_depth(images):
    layer = nn.Conv3d(1, 1, {kernel}, padding={padding}, bias={bias})
    nn.init.constant_(layer.weight, {weight})
    return layer(images.unsqueeze(1))
"""


def depth(kernel="(3, 3, 3)", padding="(1, 0, 0)", bias="False", weight="1 / 27"):
    return DEPTH.format(**locals())


BACK = """
def way_back(conv, size):
    k, s, p, d = conv.kernel_size[0], conv.stride[0], conv.padding[0], conv.dilation[0]
    missing = {missing}
    return nn.ConvTranspose2d({channels}, k, s, {padding}, output_padding=missing, dilation={dilation})
"""


def back(
    missing="(size + 2 * p - d * (k - 1) - 1) % s",
    channels="conv.out_channels, conv.in_channels",
    padding="p",
    dilation="d",
):
    return BACK.format(**locals())


MERGED = """
def merged(first, second):
    layer = nn.Linear({shape})
    with torch.no_grad():
        layer.weight.copy_({weight})
        layer.bias.zero_()
        if first.bias is not None:
            layer.bias += {through}
        if second.bias is not None:
            layer.bias += second.bias
    return {returned}
"""


def merged(
    shape="first.in_features, second.out_features",
    weight="second.weight @ first.weight",
    through="second.weight @ first.bias",
    returned="layer",
):
    return MERGED.format(**locals())


KEEP = """
def run_and_keep(pictures):
    layers = OrderedDict(conv=nn.Conv2d(1, 1, 3, bias=False), relu=nn.ReLU({inplace}), pool=nn.MaxPool2d(2))
    with torch.no_grad():
        layers["conv"].weight.copy_(torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4)
    kept, x = {{}}, pictures
    for name, layer in layers.items():
        {step}
    {last}
    return kept
"""


def keep(step, inplace="inplace=True", last="pass"):
    return KEEP.format(step=step.replace("\n", "\n        "), inplace=inplace, last=last)


def maps(expression):
    return f"def dead_channels(maps):\n    return {expression}"


WRONG = {
    "3.6": [
        (pencil(everywhere="9"), "there are three channels"),
        (pencil(corner="27"), "on the padding"),
        (pencil(edge="15"), "is not 15"),
        (pencil(inside="..."), "still missing"),
        (pencil(bias="True"), "still a bias"),
        (pencil(first="2.0", second="1.0"), "exchanged"),
        (pencil(padding="0"), "the padding that was asked for"),
        (pencil(kernels="3"), "expected (2, 3, 3)"),
        (pencil(second="1.0"), "should be 2"),
        (pencil(mode="replicate"), "beyond the picture there should be zeros"),
        (pencil(everywhere="54"), "54 is what the second kernel gives"),
        (pencil() + "two_kernels = two_kernels(1)", "but it got a Conv2d; pass it without ()"),
    ],
    "3.7": [
        (blur(pad="0"), "lost 2 rows"),
        (blur(value="1.0"), "added the pixels up"),
        (blur(shape="3, 3", value="1 / (3 * size**2)", groups=""), "all colours became the same"),
        (blur(mode="constant"), "too dark"),
        (blur(mode="reflect"), "repeat the border's own pixels"),
        (blur(shape="3, 3"), "RuntimeError"),
        (blur(value="1 / 9"), "blur(images, 5)"),
        (blur() + "blur = nn.AvgPool2d(3)", "but it got an AvgPool2d; pass it without ()"),
    ],
    "3.8": [
        (depth(padding="0"), "the depth became 1"),
        (depth(padding="1"), "kept their size"),
        (depth(bias="True"), "still a bias"),
        (depth(kernel="(1, 3, 3)", padding="0", weight="1 / 9"), "kernel has depth 1"),
        (depth(weight="1.0"), "so you add up"),
        (
            "def colours_as_depth(images):\n    return nn.Conv3d(3, 1, (1, 3, 3), padding=(1, 0, 0))(images.unsqueeze(2))",
            "as in the old snippet",
        ),
        ("def colours_as_depth(images):\n    return F.avg_pool2d(images, 3, 1)", "expected (2, 1, 3, 3, 4)"),
        ("colours_as_depth = nn.Conv3d(1, 1, 3)", "but it got a Conv3d; pass it without ()"),
    ],
    "3.9": [
        (back(missing="0"), "some rows are missing"),
        (back(channels="conv.in_channels, conv.out_channels"), "the way back starts with 5"),
        (back(missing="s - 1"), "what rounding down has lost"),
        (back(missing="(size + 2 * p - k) % s"), "is it in your formula"),
        (back(missing="(size + 2 * p - k) % s + s"), "torch refuses"),
        (back(padding="0", missing="0"), "padding is (0, 0)"),
        (back(dilation="1"), "dilation is (1, 1)"),
        ("def way_back(conv, size):\n    return nn.Upsample(size)", "should be a ConvTranspose2d"),
        (
            back().replace("output_padding=missing, dilation=d", "d"),
            "the sixth argument of ConvTranspose2d is output_padding",
        ),
        (back() + "_float = way_back\nway_back = lambda *given: _float(*given).double()", "dtype torch.float64"),
        (back() + "way_back = way_back(nn.Conv2d(3, 5, 3), 9)", "but it got a ConvTranspose2d; pass it without ()"),
    ],
    "3.10": [
        (merged(weight="first.weight @ second.weight"), "wrong order"),
        (merged(through="first.bias"), "multiply it"),
        (merged(through="0"), "bias is lost"),
        (merged(returned="nn.Sequential(first, second)"), "should be a Linear"),
        (merged(weight="second.weight + first.weight"), "product of both weights"),
        (merged(shape="first.out_features, second.out_features"), "RuntimeError"),
        (merged() + "merged = merged(nn.Linear(2, 3), nn.Linear(3, 1))", "but it got a Linear; pass it without ()"),
        (merged(returned="layer.double()"), "dtype torch.float64"),
    ],
    "3.11": [
        (maps("int((maps == 0).all(dim=3).all(dim=2).sum())"), "each picture by itself"),
        (maps("int((maps == 0).sum())"), "you counted the zeros"),
        (maps("int((maps.amax(dim=(0, 2, 3)) > 0).sum())"), "that are alive"),
        (maps("int((maps.amax(dim=(0, 2, 3)) < 0.01).sum())"), "one tiny number"),
        (maps("int((maps.amin(dim=(0, 2, 3)) == 0).sum())"), "a zero somewhere"),
        (maps("maps.amax(dim=(0, 2, 3)) == 0"), "one number"),
        (maps("int((maps == 0).all(3).all(2).any(0).sum())"), "0 in one picture"),
        (maps("float((maps.amax(dim=(0, 2, 3)) == 0).sum())"), "is the float 2"),
    ],
    "bug 3.3": [
        (keep("x = layer(x)\nkept[name] = x.detach()", last="kept['relu'] = kept['relu'].clone()"), "was copied after"),
        (keep("kept[name] = x.clone()\nx = layer(x)"), "has shape"),
        (keep("x = layer(x) if name != 'relu' else x\nkept[name] = x.clone()"), "its bend has to stay"),
        (keep("x = layer(x).abs()\nkept[name] = x.clone()"), "still has no negative number"),
        (keep("x = layer(x)\nkept[name] = x.clone()", last="kept['relu'] = None"), "kept['relu'] should be a Tensor"),
        (keep("x = layer(x)\nkept[name] = x.clone()", last="kept.pop('conv')"), "should still be conv, relu and pool"),
    ],
}
