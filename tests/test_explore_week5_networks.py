"""The explorers of week 5 that look into networks: their arithmetic, and what their pictures show."""

import itertools

import numpy as np
import pytest
import torch
from matplotlib.image import AxesImage
from matplotlib.text import Text

from course_utils import cam, data, explore, models
from course_utils.explore import feature_mapping, hiding, looking, pretrained
from course_utils.hooks import Recorder


def words(explorer: explore.Explorer) -> str:
    shown = (text.get_text() for text in explorer.figure.findobj(Text) if text.get_visible())
    return " ".join(" ".join(text.split()) for text in shown if text)


def pictures(explorer: explore.Explorer) -> list[np.ndarray]:
    """The data of the images, as matplotlib draws them, in the order of their creation."""
    return [np.asarray(image.get_array()) for axes in explorer.figure.axes for image in axes.get_images()]


@pytest.fixture(scope="module")
def network():
    return models.efficientnet_lite0()


# --- feature maps


@pytest.mark.parametrize("photo", ["rocket", pretrained.BOTH])
def test_maps_are_those_of_the_network_at_every_layer_and_page(network, photo):
    inputs = models.imagenet_input(pretrained.photograph(photo))
    with (
        torch.no_grad(),
        Recorder(network, list({name.split(":")[0] for name in feature_mapping.LAYERS.values()})) as it,
    ):
        network(inputs)
        last = network.extract_features(inputs)
    channels = []
    for layer, name in feature_mapping.LAYERS.items():
        expected = it.outputs[name][0] if layer != "last activation" else last[0]
        found = [explore.show_maps(layer, photo, page) for page in feature_mapping.pages(len(expected))]
        assert torch.equal(torch.cat([page.maps for page in found]), expected), layer
        assert all(page.channels == len(expected) and len(page.maps) <= 32 for page in found)
        assert [page.first for page in found] == [32 * k for k in range(len(found))]
        channels.append(len(expected))
    assert channels == [32, 16, 24, 40, 112, 320, 1280]


def test_each_tile_is_its_map_from_black_to_white_and_the_rest_is_white():
    page = explore.show_maps("block 4", "cat", 2)
    sheet = feature_mapping.contact_sheet(page.maps)
    assert sheet.shape == (236, 476) and sheet.dtype == np.uint8
    for index, values in enumerate(page.maps):
        row, column = divmod(index, 8)
        tile = sheet[60 * row : 60 * row + 56, 60 * column : 60 * column + 56]
        assert (tile.min(), tile.max()) == (0, 255)
        expected = ((values - values.min()) / (values.max() - values.min())).repeat_interleave(2, 0)
        assert np.abs(tile / 255 - expected.repeat_interleave(2, 1).numpy()).max() < 0.003
    assert len(page.maps) == 8 and (sheet[60:] == 255).all()


def test_a_map_without_any_answer_is_black_and_counted():
    maps = torch.zeros(3, 7, 7)
    maps[1, 2, 3] = 4
    sheet = feature_mapping.contact_sheet(maps)
    assert sheet[:56, :56].max() == 0 and sheet[16:24, 60 + 24 : 60 + 32].min() == 255
    assert (sheet[:, 180:] == 255).all()
    assert feature_mapping.MapPage("cat", "block 15", 1, 3, maps).constant == 2


def test_large_maps_are_averaged_to_the_size_of_a_tile():
    values = torch.rand(1, 112, 112)
    values[0, :2, :2] = torch.tensor([[0.0, 0], [0, 0]])
    values[0, 2:4, :2] = 1
    sheet = feature_mapping.contact_sheet(values)
    assert sheet[0, 0] == 0 and sheet[1, 0] == 255


def test_pages_follow_the_layer():
    explorer = explore.feature_maps("last activation", page=40)
    assert "maps 1248 to 1279" in words(explorer) and "1280 maps of 7 × 7" in words(explorer)
    explorer.controls["layer"].value = "block 10"
    assert explorer.settings["page"] == 4 and len(explorer.controls["page"].options) == 4
    assert "block 10: 112 maps of 14 × 14" in words(explorer) and "maps 96 to 111" in words(explorer)
    assert "of the 112 that block 10 makes of the photograph “cat”" in explorer.words.value
    explorer.controls["layer"].value = "block 0"
    assert explorer.settings["page"] == 1 and len(explorer.controls["page"].options) == 1


def test_feature_maps_show_the_photograph_and_the_page():
    explorer = explore.feature_maps(photo="hopper")
    photograph, tiles = pictures(explorer)
    expected = models.imagenet_picture(data.photo("hopper"))
    found = torch.from_numpy(photograph / 255).permute(2, 0, 1).mean((1, 2))
    assert photograph.shape == (200, 200, 3) and torch.allclose(found.float(), expected.mean((1, 2)), atol=0.01)
    assert np.array_equal(tiles, feature_mapping.contact_sheet(explorer.result.maps))


@pytest.mark.parametrize(
    ("make", "arguments", "hint"),
    [
        (explore.feature_maps, {"layer": "block 16"}, "layer = 'block 16' is not possible"),
        (explore.feature_maps, {"photo": "dog"}, "photo = 'dog' is not possible"),
        (explore.feature_maps, {"page": 3}, "page = 3 is not on the scale 1 to 2"),
        (explore.show_maps, {"layer": "conv"}, "layer 'conv' is not there; choose one of: first activation"),
        (explore.show_maps, {"photo": "dog"}, "photo 'dog' is not there; choose one of: astronaut"),
        (explore.show_maps, {"page": 0}, "page 0 is not there; block 4 has 40 maps, pages 1 to 2"),
        (explore.grad_cam, {"photo": "dog"}, "photo = 'dog' is not possible"),
        (explore.grad_cam, {"class_name": "dog"}, "class_name = 'dog' is not possible"),
        (explore.grad_cam, {"photo": "rocket", "class_name": "espresso"}, "class_name = 'espresso' is not possible"),
        (explore.grad_cam, {"layer": "pool"}, "layer = 'pool' is not possible"),
        (explore.explain, {"layer": "pool"}, "layer 'pool' is not there; choose one of: block 2"),
        (explore.explain, {"photo": "cat", "class_name": "cup"}, "class 'cup' is not there; choose one of: Egyptian"),
        (explore.hidden_digits, {"picture": 20}, "picture = 20 is not on the scale 0 to 19"),
        (explore.hidden_digits, {"asked": 10}, "asked = 10 is not on the scale 0 to 9"),
        (explore.hidden_digits, {"picture": "first"}, "picture = 'first' is not possible"),
        (explore.search_digit, {"picture": -1}, "picture -1 is not there; choose a whole number from 0 to 19"),
        (explore.search_digit, {"asked": 2.5}, "asked 2.5 is not there"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(make, arguments, hint):
    with pytest.raises(ValueError) as caught:
        make(**arguments)
    assert str(caught.value).startswith(hint) and "\n" not in str(caught.value)


# --- Grad-CAM


@pytest.mark.parametrize("photo", ["coffee", pretrained.BOTH])
def test_explanations_are_those_of_cam_grad_cam(network, photo):
    inputs = models.imagenet_input(pretrained.photograph(photo))
    names, logits = models.imagenet_classes(), network(inputs)[0].detach()
    best = logits.topk(4).indices.tolist()
    assert looking.classes(photo) == tuple(names[k] for k in best)
    for (layer, (path, at)), index in itertools.product(looking.LAYERS.items(), best):
        shown = explore.explain(photo, names[index], layer)
        expected = cam.grad_cam(network, inputs, network.get_submodule(path), index, at)
        assert shown.heat.shape == expected.shape
        assert torch.allclose(shown.heat, expected, atol=1e-5 * expected.max().item()), (layer, index)
        assert shown.probability == pytest.approx(logits.softmax(0)[index].item())


def test_asked_for_the_cup_it_looks_at_the_cup_and_for_the_cat_at_the_cat():
    explorer = explore.grad_cam()
    halves = {}
    for name in looking.classes(pretrained.BOTH):
        explorer.controls["class_name"].value = name
        heat = cam.resize(explorer.result.heat, 224)
        halves[name] = cam.energy_inside(heat, (0, 0, 224, 112))  # the cat is above
        assert name in words(explorer) and name in explorer.words.value
    assert halves["espresso"] < 0.2
    assert min(share for name, share in halves.items() if "cat" in name) > 0.8


def test_the_three_pictures_are_photograph_map_and_overlay():
    explorer = explore.grad_cam("hopper", layer="block 10")
    photograph, heat, both = pictures(explorer)
    shown = explorer.result
    assert np.array_equal(photograph, pretrained.as_bytes(models.imagenet_picture(data.photo("hopper"))))
    assert heat.shape == (14, 14, 3) and heat.sum(2).argmax() == shown.heat.argmax()
    expected = cam.overlay(models.imagenet_picture(data.photo("hopper")), shown.heat)
    assert np.array_equal(both, pretrained.as_bytes(expected))
    assert "block 10: 14 × 14 values" in words(explorer)


def test_classes_follow_the_photograph():
    explorer = explore.grad_cam("coffee", class_name="cup")
    assert explorer.settings == {"class_name": "cup", "layer": "last map", "photo": "coffee"}
    explorer.controls["photo"].value = "rocket"
    known = [value for _, value in explorer.controls["class_name"].options]
    assert tuple(known) == looking.classes("rocket") and explorer.settings["class_name"] == known[-1]
    assert explore.grad_cam("astronaut").settings["class_name"] == looking.classes("astronaut")[0]


def test_a_place_in_words():
    assert looking.place(0, 7, 6, 7) == "at the top, right"
    assert looking.place(3, 7, 3, 7) == "in the middle, centre"
    assert looking.place(55, 56, 0, 56) == "at the bottom, left"


def test_no_hook_is_left_in_the_shared_network():
    explore.grad_cam(), explore.feature_maps()
    looking._explained.__wrapped__("cat")
    for module in pretrained.network().modules():
        assert not module._forward_hooks and not module._forward_pre_hooks and not module.training
    assert all(not p.requires_grad and p.grad is None for p in pretrained.network().parameters())


# --- hidden digits


def test_search_is_the_weighted_sum_and_its_scores():
    net, shown = models.hidden_digits_network(), data.hidden_digits(hiding.COUNT, part="test")
    with torch.no_grad():
        logits = net(shown.images)
        features = net.features(shown.images)
    right = pointing = 0
    for picture, asked in itertools.product(range(hiding.COUNT), range(10)):
        search = explore.search_digit(picture, asked)
        assert search.heat.shape == (16, 16)
        by_hand = (features[picture] * net.classifier.weight[asked, :, None, None]).sum(0)
        assert torch.allclose(search.heat, by_hand.detach(), atol=1e-4)
        logit = search.heat.mean() + net.classifier.bias[asked]
        assert logit.item() == pytest.approx(logits[picture, asked].item(), abs=1e-3)
        assert search.probability == pytest.approx(logits[picture].softmax(0)[asked].item(), abs=1e-5)
        assert search.label == shown.labels[picture] and search.box == tuple(shown.boxes[picture].tolist())
        if asked == search.label:
            right += search.predicted == search.label
            pointing += search.pointing
    assert right >= 16 and pointing >= 16  # of 20


def test_hidden_digits_draws_the_box_and_tells_both_scores():
    explorer = explore.hidden_digits(picture=3)
    search = explorer.result
    assert search.asked == search.label
    for axes in explorer.figure.axes:
        (line,) = axes.lines
        x0, y0, x1, y1 = search.box
        assert {tuple(point) for point in line.get_xydata()} == {(x0, y0), (x1, y0), (x1, y1), (x0, y1)}
        assert axes.get_xlim() == (0, 64) and axes.get_ylim() == (64, 0)
    photograph, heat, both = pictures(explorer)
    assert photograph.shape == both.shape == (64, 64, 3) and heat.shape == (16, 16, 3)
    assert f"energy inside {search.energy:.2f}" in words(explorer)
    assert f"It is a {search.label}, the network says {search.predicted}" in words(explorer)
    assert f"{search.energy:.2f} of its energy in it" in explorer.words.value


def test_title_says_whether_the_map_points_into_the_box():
    explorer = explore.hidden_digits()
    seen = set()
    for picture, asked in itertools.product(range(hiding.COUNT), range(10)):
        explorer.controls["picture"].value = picture
        explorer.controls["asked"].value = asked
        inside = explorer.result.pointing
        assert ("points into the box" in words(explorer)) == inside
        assert ("points beside the box" in words(explorer)) == (not inside)
        seen.add(inside)
        if len(seen) == 2 and picture > 2:
            break
    assert seen == {True, False}


def test_images_are_fixed_in_their_axes():
    for make in (explore.grad_cam, explore.hidden_digits):
        explorer = make()
        before = [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes]
        for control in explorer.controls.values():
            control.value = control.options[-1][1]
        assert [(axes.get_xlim(), axes.get_ylim()) for axes in explorer.figure.axes] == before
        assert len(explorer.figure.findobj(AxesImage)) == 3
