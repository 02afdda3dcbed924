"""CAM, Grad-CAM and their scores: against independent computations, and nothing of the user's changed."""

import pytest
import torch
from torch import nn

from course_utils import cam, data, models


class Small(nn.Module):
    """Every kind of trap: batch norm, dropout, ReLU in place after the layer, a module called twice, one never."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5))
        self.relu = nn.ReLU(inplace=True)
        self.body = nn.Conv2d(5, 6, 3, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, classes))
        self.unused = nn.Conv2d(3, 3, 1)
        self.aside = nn.Conv2d(3, 3, 1)

    def forward(self, pictures):
        self.aside(pictures)
        return self.head(self.pool(self.relu(self.body(self.relu(self.stem(pictures))))))


def small(dtype=torch.float64) -> Small:
    torch.manual_seed(0)
    model = Small().to(dtype)
    for _ in range(3):
        model(torch.rand(8, 3, 11, 11, dtype=dtype))  # running statistics that are not those of the start
    with torch.no_grad():  # maps and derivatives that are not tiny
        for weights, factor in ((model.body.weight, 8), (model.head[2].weight, 3), (model.head[4].weight, 4)):
            weights *= factor
    return model.eval()


def picture(dtype=torch.float64):
    return torch.rand(1, 3, 11, 11, dtype=dtype, generator=torch.Generator().manual_seed(1))


def by_autograd(model, pictures, layer, class_index):
    """The definition, with the whole graph kept: an output hook that only looks, and no cut."""
    kept = []
    # a copy: what the hook is shown may be changed in place afterwards
    handle = layer.register_forward_hook(lambda m, a, output: kept.append(output) or output.clone())
    logits = model(pictures)
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[0, class_index], kept)
    return (kept[0] * gradient.mean((2, 3), keepdim=True)).sum(1)[0].clamp(min=0).detach()


def by_differences(model, pictures, layer, class_index, step=1e-5):
    """Without any derivative: move a whole channel up and down, and see what the score does."""
    maps = []

    def score(channel, amount):
        def moved(module, arguments, output):
            maps.append(output.clone())
            output = output.clone()
            output[:, channel] += amount
            return output

        handle = layer.register_forward_hook(moved)
        with torch.no_grad():
            result = model(pictures)[0, class_index].item()
        handle.remove()
        return result

    score(0, 0)
    features = maps[0][0]
    pixels = features[0].numel()
    alphas = [(score(k, step) - score(k, -step)) / (2 * step) / pixels for k in range(len(features))]
    return sum(alpha * channel for alpha, channel in zip(alphas, features, strict=True)).clamp(min=0)


def state_of(model):
    return (
        [(module.training, len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.tolist(), p._version) for p in model.parameters()],
        [buffer.tolist() for buffer in model.buffers()],
    )


# ------------------------------------------------------------------------------------------- Grad-CAM's values


@pytest.mark.parametrize("name", ["stem", "body", "stem.0"])
@pytest.mark.parametrize("class_index", range(4))
def test_grad_cam_is_the_definition_and_the_finite_differences(name, class_index):
    model, pictures = small(), picture()
    layer = model.get_submodule(name)
    found = cam.grad_cam(model, pictures, layer, class_index)
    assert found.shape == ((5, 5) if name == "body" else (11, 11))
    assert not found.requires_grad and found.min() >= 0
    assert torch.allclose(found, by_autograd(model, pictures, layer, class_index), atol=1e-12)
    assert torch.allclose(found, by_differences(model, pictures, layer, class_index), atol=1e-8)


def test_grad_cam_in_float32_is_right_to_five_decimals():
    model, pictures = small(torch.float32), picture(torch.float32)
    largest = 0.0
    for class_index in range(4):
        found = cam.grad_cam(model, pictures, model.body, class_index)
        exact = by_autograd(model.double(), pictures.double(), model.body, class_index)
        model.float()
        assert found.dtype == torch.float32 and torch.allclose(found.double(), exact, atol=1e-5)
        largest = max(largest, found.max().item())
    assert largest > 0.01  # there is something to compare


def test_without_a_class_it_is_the_one_with_the_largest_logit():
    model, pictures = small(), picture()
    best = model(pictures).argmax()
    assert torch.equal(cam.grad_cam(model, pictures, model.body), cam.grad_cam(model, pictures, model.body, best))
    other = (int(best) + 1) % 4
    assert not torch.equal(cam.grad_cam(model, pictures, model.body), cam.grad_cam(model, pictures, model.body, other))


def test_the_input_of_the_pooling_is_the_map_after_the_activation():
    model, pictures = small(), picture()
    found = cam.grad_cam(model, pictures, model.pool, 1, at="input")
    with torch.no_grad():
        features = model.relu(model.body(model.relu(model.stem(pictures))))
    features.requires_grad_()
    (gradient,) = torch.autograd.grad(model.head(model.pool(features))[0, 1], features)
    assert torch.allclose(found, (features * gradient.mean((2, 3), keepdim=True)).sum(1)[0].relu(), atol=1e-12)
    assert not torch.allclose(found, cam.grad_cam(model, pictures, model.body, 1))


@pytest.fixture(scope="module")
def pretrained():
    return models.efficientnet_lite0()


@pytest.mark.parametrize("photo", ["cat", "coffee"])
def test_cam_is_49_times_grad_cam_on_the_map_that_the_pooling_averages(photo):
    model = models.efficientnet_lite0().double()
    pictures = models.imagenet_input(data.photo(photo)).double()
    with torch.no_grad():
        features, logits = model.extract_features(pictures)[0], model(pictures)
    chosen = int(logits.argmax())
    whole = cam.class_activation_map(features, model._fc.weight[chosen].detach())
    gradient = cam.grad_cam(model, pictures, model._avg_pooling, at="input")
    assert whole.shape == gradient.shape == (7, 7)
    assert (whole.relu() - 49 * gradient).abs().max() < 1e-13 * whole.abs().max()
    assert torch.allclose(whole.mean() + model._fc.bias[chosen], logits[0, chosen])
    # one module earlier, before the activation, it is another map
    earlier = cam.grad_cam(model, pictures, model._bn1)
    correlation = torch.corrcoef(torch.stack([earlier.flatten(), gradient.flatten()]))[0, 1]
    assert 0.7 < correlation < 0.99


def test_the_module_that_is_called_twice_is_refused_on_the_pretrained_network(pretrained):
    with pytest.raises(ValueError, match='ReLU6 is called twice .* at="input"$'):
        cam.grad_cam(pretrained, models.imagenet_input(data.photo("cat")), pretrained._swish)


# ------------------------------------------------------------------------------ nothing of the user's is changed


def broken(*_):
    raise ZeroDivisionError("broken on purpose")


@pytest.mark.parametrize("breaks", ["", "before", "layer", "after", "class"])
def test_modes_gradients_hooks_and_statistics_are_as_before(breaks):
    model, pictures = small(), picture().requires_grad_()
    model.train()
    model.stem.eval()
    model.body.weight.requires_grad_(False)
    model.head[2].weight.grad = torch.full_like(model.head[2].weight, 7)
    looked = []
    model.body.register_forward_hook(lambda *_: looked.append(torch.is_grad_enabled()))
    place = {"before": model.stem, "layer": model.body, "after": model.head}.get(breaks)
    if place is not None:
        place.register_forward_hook(broken)
    before, random_state = state_of(model), torch.get_rng_state()
    if breaks:
        with pytest.raises(ValueError if breaks == "class" else ZeroDivisionError):
            cam.grad_cam(model, pictures, model.body, 99 if breaks == "class" else 0)
    else:
        cam.grad_cam(model, pictures, model.body, 0)
    assert state_of(model) == before
    assert pictures.grad is None and torch.equal(torch.get_rng_state(), random_state)
    assert torch.is_grad_enabled()
    assert looked or breaks == "before"


def test_all_parameters_frozen_and_every_gradient_mode_of_the_user():
    model, pictures = small(), picture()
    usual = cam.grad_cam(model, pictures, model.body, 2)
    with torch.no_grad():
        assert torch.equal(cam.grad_cam(model, pictures, model.body, 2), usual)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        assert torch.equal(cam.grad_cam(model, picture(), model.body, 2), usual)
        assert torch.is_inference_mode_enabled()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert torch.equal(cam.grad_cam(model, pictures, model.body, 2), usual)


def test_a_model_in_training_mode_gives_the_same_map_each_time():
    model, pictures = small(), picture()
    usual = cam.grad_cam(model, pictures, model.body, 2)
    model.train()
    for _ in range(3):
        assert torch.equal(cam.grad_cam(model, pictures, model.body, 2), usual)


def test_what_stands_before_the_layer_records_nothing_and_gets_no_backward_pass():
    model, pictures = small(), picture()
    recorded = []
    model.stem.register_forward_hook(lambda m, a, output: recorded.append(output.requires_grad))
    model.head.register_forward_hook(lambda m, a, output: recorded.append(output.requires_grad))
    cam.grad_cam(model, pictures, model.body, 0)
    assert recorded == [False, True]


# ---------------------------------------------------------------------------------------------- one clear line


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda model: model.relu, "layer ReLU is called twice by the model"),
        (lambda model: model.unused, "layer Conv2d was not called by the model"),
        (lambda model: model.aside, "the score does not depend on layer Conv2d"),
        (lambda model: model.head[2], r"the output of layer Linear is a tensor of shape \(1, 8\); a map"),
        (lambda model: nn.Conv2d(3, 5, 3), "layer Conv2d is not a module of this Small"),
        (lambda model: "body", "layer is a str"),
    ],
)
def test_a_layer_that_does_not_fit(layer, words):
    model = small()
    with pytest.raises((ValueError, TypeError), match=f"^{words}[^\n]*$"):
        cam.grad_cam(model, picture(), layer(model), 0)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pictures": torch.rand(3, 11, 11).double()}, r"pictures has shape \(3, 11, 11\)"),
        ({"pictures": torch.rand(2, 3, 11, 11).double()}, "pictures holds 2 pictures"),
        ({"pictures": torch.zeros(1, 3, 11, 11, dtype=torch.int64)}, "pictures is torch.int64; floats"),
        ({"pictures": None}, "pictures is None"),
        ({"class_index": 4}, "class_index is 4; the model knows the classes 0 to 3"),
        ({"class_index": -1}, "class_index is -1"),
        ({"class_index": "cat"}, "class_index is a str"),
        ({"class_index": 1.0}, "class_index is a float"),
        ({"at": "inside"}, "at is 'inside'"),
    ],
)
def test_a_bad_argument(change, words):
    model = small()
    with pytest.raises((ValueError, TypeError), match=f"^{words}[^\n]*$"):
        cam.grad_cam(**{"model": model, "pictures": picture(), "layer": model.body} | change)


def test_an_input_given_by_name_only():
    class ByName(nn.Sequential):
        def forward(self, x):
            return self[0](input=x).mean((2, 3))

    model = ByName(nn.Conv2d(3, 4, 3))
    with pytest.raises(ValueError, match="^the input of layer Conv2d is None; a map"):
        cam.grad_cam(model, torch.rand(1, 3, 11, 11), model[0], 0, at="input")


def test_a_model_that_returns_no_logits():
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(ValueError, match=r"the model returned a tensor of shape \(1, 4, 9, 9\); logits of shape"):
        cam.grad_cam(body, torch.rand(1, 3, 11, 11), body[0], 0)


# ------------------------------------------------------------------------------------------------ CAM and scores


def test_class_activation_map_is_the_weighted_sum_and_its_mean_is_the_logit():
    torch.manual_seed(0)
    net = models.GapNet(3, 10).eval().double()
    pictures = torch.rand(1, 3, 64, 64).double()
    with torch.no_grad():
        features, logits = net.features(pictures)[0], net(pictures)
        for k in range(10):
            found = cam.class_activation_map(features, net.classifier.weight[k])
            by_hand = sum(weight * channel for weight, channel in zip(net.classifier.weight[k], features, strict=True))
            assert torch.allclose(found, by_hand)
            assert torch.allclose(found.mean() + net.classifier.bias[k], logits[0, k])
            assert torch.allclose(256 * cam.grad_cam(net, pictures, net.features, k), found.relu(), atol=1e-12)
    assert found.min() < 0  # what speaks against the class is kept


@pytest.mark.parametrize(
    ("features", "weights", "words"),
    [
        (torch.rand(2, 5, 4, 4), torch.rand(5), r"features has shape \(2, 5, 4, 4\)"),
        (torch.rand(5, 4, 4), torch.rand(2, 5), r"weights has shape \(2, 5\)"),
        (torch.rand(5, 4, 4), torch.rand(6), "features has 5 channels and weights 6 numbers"),
        (torch.ones(5, 4, 4, dtype=torch.uint8), torch.rand(5), "features is torch.uint8"),
    ],
)
def test_cam_refuses_other_shapes(features, weights, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}[^\n]*$"):
        cam.class_activation_map(features, weights)


def test_resize_keeps_the_place_and_the_range():
    small_map = torch.zeros(4, 4)
    small_map[1, 2] = 1
    large = cam.resize(small_map, (64, 32))
    assert large.shape == (64, 32) and cam.resize(small_map, 8).shape == (8, 8)
    row, column = divmod(int(large.argmax()), 32)
    assert 16 <= row < 32 and 16 <= column < 24
    assert 0 <= large.min() and large.max() <= 1
    assert torch.allclose(cam.resize(torch.full((3, 3), 0.7), 30), torch.tensor(0.7))
    for size in (0, (3,), (2.0, 3), "a"):
        with pytest.raises(ValueError, match="^size is"):
            cam.resize(small_map, size)


def test_overlay_is_grey_where_the_map_is_zero_and_yellow_where_it_is_strongest():
    colours = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
    before = colours.clone()
    heat = torch.zeros(4, 6)
    heat[1, 4] = 3
    heat[3, 0] = -9  # against the class: not coloured
    shown = cam.overlay(colours, heat)
    assert shown.shape == colours.shape and 0 <= shown.min() and shown.max() <= 1
    assert torch.equal(colours, before)
    grey = colours.mean(0)
    assert torch.allclose(shown[:, :, :20], grey[:, :20].expand(3, -1, -1), atol=1e-6)
    hottest = shown[:, 14:16, 44:46].mean((1, 2))
    assert hottest[0] > 0.7 and hottest[1] > 0.6 and hottest[2] < 0.45
    assert torch.allclose(cam.overlay(colours, torch.zeros(2, 2)), grey.expand(3, -1, -1), atol=1e-6)
    assert torch.allclose(cam.overlay(colours, 1e6 * heat), shown, atol=1e-5)


def test_colours_grow_lighter_from_black_to_yellow():
    ramp = torch.arange(-10.0, 21)[None]
    before = ramp.clone()
    colours = cam.in_colour(ramp)
    assert colours.shape == (3, 1, 31) and torch.equal(ramp, before)
    assert colours[:, 0, :11].max() == 0, "negative values and 0 are black"
    assert torch.allclose(colours[:, 0, -1], torch.tensor(cam.HEAT[-1]))
    light = torch.tensor([0.2126, 0.7152, 0.0722]) @ colours[:, 0]
    assert (light[11:].diff() > 0).all()
    assert torch.equal(cam.in_colour(10 * ramp), colours) and cam.in_colour(-ramp.abs()).max() == 0


def test_overlay_refuses_a_normalised_picture():
    with pytest.raises(ValueError, match="^picture has shape .* before the normalisation$"):
        cam.overlay(torch.randn(3, 8, 8), torch.rand(2, 2))


def test_pointing_looks_at_the_largest_value_and_at_the_edges_of_the_box():
    heat = torch.zeros(10, 20)
    heat[3, 12] = 1
    assert cam.points_inside(heat, (12, 3, 13, 4))
    assert not cam.points_inside(heat, (13, 3, 15, 4)) and not cam.points_inside(heat, (12, 4, 13, 6))
    assert not cam.points_inside(heat, (10, 0, 12, 10)), "x1 is the first column outside"
    assert cam.points_inside(heat, torch.tensor([0, 0, 20, 10])) is True
    assert not cam.points_inside(torch.ones(10, 20), (0, 0, 20, 10)), "an even map points nowhere"


def test_energy_is_the_share_of_the_positive_part():
    heat = torch.tensor([[1.0, 2, -5], [3, 4, -7]])
    assert cam.energy_inside(heat, (1, 0, 3, 1)) == pytest.approx(0.2)
    assert cam.energy_inside(heat, [0, 0, 3, 2]) == 1.0
    assert cam.energy_inside(torch.ones(8, 8), (0, 0, 4, 4)) == pytest.approx(0.25)
    assert cam.energy_inside(-torch.ones(8, 8), (0, 0, 4, 4)) == 0.0


@pytest.mark.parametrize("score", [cam.points_inside, cam.energy_inside])
@pytest.mark.parametrize(
    ("map", "box", "words"),
    [
        (torch.rand(16, 16), (10, 10, 40, 40), "box .* does not lie in the map of 16 x 16 pixels; resize"),
        (torch.rand(16, 16), (5, 5, 5, 9), "box .* does not lie"),
        (torch.rand(16, 16), (1, 2, 3), "box is .*four whole numbers"),
        (torch.rand(16, 16), (1, 2, 3.5, 4), "box is .*four whole numbers"),
        (torch.rand(1, 16, 16), (1, 2, 3, 4), r"map has shape \(1, 16, 16\)"),
        (torch.full((16, 16), float("nan")), (1, 2, 3, 4), "map holds values that are not finite"),
    ],
)
def test_scores_refuse(score, map, box, words):
    with pytest.raises(ValueError, match=f"^{words}[^\n]*$"):
        score(map, box)
