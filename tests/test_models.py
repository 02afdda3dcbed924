"""The networks of weeks 5 and 6: their shapes, their weights, and what they have learnt."""

import re
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from course_utils import data, models

SHIPPED = Path(__file__).resolve().parent.parent / "data"


def test_lenet():
    net = models.LeNet()
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert models.LeNet(3)(torch.zeros(2, 1, 28, 28)).shape == (2, 3)
    assert sum(p.numel() for p in net.parameters()) == 44_426


def test_gap_net_is_what_cam_needs():
    net = models.GapNet(3, 10).eval()
    pictures = torch.rand(2, 3, 64, 64)
    features = net.features(pictures)
    assert features.shape == (2, 44, 16, 16) and features.min() >= 0
    assert isinstance(net.features, nn.Sequential) and isinstance(net.features[-1], nn.ReLU)
    assert isinstance(net.classifier, nn.Linear)
    assert torch.allclose(net(pictures), net.classifier(features.mean((2, 3))), atol=1e-6)
    assert sum(p.numel() for p in net.parameters()) == 48_362
    assert models.GapNet(1, 4)(torch.rand(2, 1, 28, 28)).shape == (2, 4)
    calls = []  # every module is called once, so that a hook on it sees one output
    for module in net.modules():
        module.register_forward_hook(lambda module, *_: calls.append(module))
    net(pictures)
    assert len(calls) == len(set(calls)) == len(list(net.modules()))


@pytest.mark.parametrize("make", [models.hidden_digits_network, models.efficientnet_lite0])
def test_a_loaded_network_is_ready_new_and_draws_no_random_number(make):
    before = torch.get_rng_state()
    try:
        torch.set_default_dtype(torch.float64)
        one, other = make(), make()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in one.modules())
    for tensor in [*one.parameters(), *one.buffers()]:
        assert tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.int64)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.zero_()
    assert all(p.requires_grad for p in other.parameters())
    assert all(p.abs().sum() > 0 for p in make().parameters() if p.dim() > 1)


# ------------------------------------------------------------------------------------------- hidden digits


def test_the_checkpoint_is_small_and_holds_weights_only():
    assert (SHIPPED / "hidden_digits_network.pt").stat().st_size < 300_000
    weights = data.hidden_digits_weights()
    assert all(isinstance(value, torch.Tensor) and value.isfinite().all() for value in weights.values())
    assert set(weights) == set(models.GapNet(3, 10).state_dict())


def test_the_network_does_what_the_readme_says(monkeypatch):
    monkeypatch.syspath_prepend(str(SHIPPED))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import train_hidden_digits

    text = (SHIPPED / "README.md").read_text(encoding="utf-8")
    said = re.search(r"accuracy (\d\.\d+), pointing\s+(\d\.\d+), energy\s+(\d\.\d+)", text).groups()
    measured = train_hidden_digits.score(models.hidden_digits_network(), count=300)
    for number, found, tolerance in zip(map(float, said), measured, (0.03, 0.03, 0.02), strict=True):
        assert abs(number - found) < tolerance, (said, measured)
    assert measured[0] > 0.92 and measured[1] > 0.96


# --------------------------------------------------------------------------------------- the pretrained network


def test_the_pretrained_network_knows_the_photographs():
    net, names = models.efficientnet_lite0(), models.imagenet_classes()
    assert len(names) == 1000 and names[285] == "Egyptian cat"
    known = {"cat": "Egyptian cat", "coffee": "espresso", "rocket": "missile"}
    for photo, name in known.items():
        with torch.no_grad():
            logits = net(models.imagenet_input(data.photo(photo)))
        assert logits.shape == (1, 1000) and names[logits.argmax()] == name


def test_the_docstring_tells_the_sizes_of_the_maps():
    net, sizes = models.efficientnet_lite0(), []
    for block in net._blocks:
        block.register_forward_hook(lambda m, a, output: sizes.append(output.shape[-1]))
    features = net.extract_features(models.imagenet_input(data.photo("cat")))
    assert sizes == [112, 56, 56, 28, 28] + 6 * [14] + 5 * [7]
    assert features.shape == (1, 1280, 7, 7) and features.min() >= 0


@pytest.mark.parametrize("photo", data.PHOTOS)
def test_imagenet_input_is_the_picture_normalised(photo):
    picture, inputs = models.imagenet_picture(data.photo(photo)), models.imagenet_input(data.photo(photo))
    assert (picture.shape, picture.dtype) == ((3, 224, 224), torch.float32)
    assert (inputs.shape, inputs.dtype) == ((1, 3, 224, 224), torch.float32)
    assert 0 <= picture.min() and picture.max() <= 1
    assert torch.allclose(inputs[0], (255 * picture - 127) / 128, atol=1e-5)


@pytest.mark.parametrize("size", [(451, 300), (300, 451), (224, 224), (333, 641), (1000, 257)])
def test_imagenet_picture_is_that_of_torchvision(size):
    from torchvision.transforms import v2

    photo = data.photo("hopper").resize(size)
    steps = [v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(224), v2.PILToTensor()]
    assert torch.equal((255 * models.imagenet_picture(photo)).round().byte(), v2.Compose(steps)(photo))


def test_imagenet_input_crops_the_middle_and_takes_any_mode():
    wide = Image.new("L", (512, 256), 0)
    wide.paste(255, (0, 0, 100, 256))  # left of what the crop keeps
    assert models.imagenet_picture(wide).max() == 0
    with pytest.raises(TypeError, match="^photo is of type Tensor; give a PIL image"):
        models.imagenet_input(torch.zeros(3, 224, 224))
