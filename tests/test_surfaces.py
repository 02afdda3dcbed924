"""Surfaces: the contour lines and paths that are drawn, what the description says, one clear line for all else."""

import matplotlib
import numpy as np
import pytest
import torch

from course_utils.surfaces import descent_paths

NAN, INF = float("nan"), float("inf")


def bowl(points):
    return points[..., 0] ** 2 + 4 * points[..., 1] ** 2


def drawn(figure, label):
    """The points (T, 2) of the line with this label."""
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_label() == label]
    return np.stack([line.get_xdata(), line.get_ydata()], axis=1)


def marks(figure, marker):
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() == marker]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


PATH = torch.tensor([[2.0, 1.0], [1.0, -0.5], [0.5, 0.25]])


def test_paths_are_drawn_on_the_map():
    figure = descent_paths(bowl, {"slow": PATH, "still": PATH[:1]}, (-3, 3), (-2, 2), "Down the bowl")
    axes = figure.axes[0]
    assert legend(figure) == ["slow", "still"]
    assert drawn(figure, "slow").tolist() == PATH.tolist()
    assert marks(figure, "o") == [(0.5, 0.25), (2.0, 1.0)]
    assert (axes.get_xlim(), axes.get_ylim()) == ((-3, 3), (-2, 2))
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title("left")) == ("w1", "w2", "Down the bowl")
    assert figure.description == (
        "Paths over contour lines: slow goes from (2, 1) to (0.5, 0.25) in 2 steps, height 8 to 0.5; "
        "still goes from (2, 1) to (2, 1) in 0 steps, height 8 to 8."
    )


def test_a_contour_line_joins_places_of_one_height():
    figure = descent_paths(bowl, {"path": PATH}, (-3, 3), (-2, 2))
    (contours,) = figure.axes[0].collections
    assert len(contours.levels) == 14 and (np.diff(contours.levels, 2) > 0).all()  # closer near the lowest place
    for level, line in zip(contours.levels, contours.get_paths(), strict=True):
        points = torch.tensor(line.vertices[np.isfinite(line.vertices).all(axis=1)])
        assert bowl(points).numpy() == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("end", [NAN, INF])
def test_a_diverging_path_ends_before_and_is_marked(end):
    path = torch.tensor([[1.0, 1.0], [-5.0, 2.0], [end, 0.0], [0.0, 0.0]])
    figure = descent_paths(bowl, {"wild": path})
    label = "wild (not finite at step 2)"
    assert legend(figure) == [label]
    assert drawn(figure, label).tolist() == [[1, 1], [-5, 2]]
    assert marks(figure, "x") == [(-5, 2)] and marks(figure, "o") == []
    assert figure.axes[0].get_xlim() == (-2, 2)  # the view stays although the path leaves it
    assert "to (-5, 2) in 1 step, height 5 to 41, then it is not finite" in figure.description
    figure.png()


def test_a_path_without_a_finite_point_is_named():
    figure = descent_paths(bowl, {"lost": torch.full((2, 2), NAN)})
    assert "lost starts where nothing is finite" in figure.description
    figure.png()


def test_only_short_paths_have_a_point_for_each_step():
    paths = {"short": torch.zeros(40, 2), "long": torch.zeros(41, 2)}
    figure = descent_paths(bowl, paths)
    markers = {line.get_label(): line.get_marker() for line in figure.axes[0].get_lines()}
    assert markers["short"] == "." and markers["long"] == "None"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_the_readers_path_stays_as_it_is(dtype):
    path = torch.tensor([[1, 1], [0, 0]], dtype=dtype)
    path.requires_grad_(dtype.is_floating_point)
    settings = dict(matplotlib.rcParams)
    descent_paths(bowl, {"path": path})
    assert path.tolist() == [[1, 1], [0, 0]] and path.grad is None
    assert dict(matplotlib.rcParams) == settings


def test_a_numpy_path_and_a_function_that_computes_gradients_are_taken():
    def slope(points):
        with torch.enable_grad():
            points = points.clone().requires_grad_()
            bowl(points).sum().backward()
        return points.grad.norm(dim=1)

    figure = descent_paths(slope, {"path": PATH.numpy()})
    assert "height 8.94 to 2.24" in figure.description


@pytest.mark.parametrize("value", [3.0, NAN])
def test_a_flat_map_and_one_with_a_hole_are_drawn(value):
    def plain(points):
        return torch.where(points[..., 0] > 0, torch.full_like(points[..., 0], value), 3.0)

    descent_paths(plain, {"path": PATH}).png()


PATHS = {"path": PATH}
BAD = [
    (lambda: descent_paths(bowl, {}), ValueError, "descent_paths got an empty dictionary"),
    (lambda: descent_paths(bowl, PATH), TypeError, 'dictionary {"label": path}, not a tensor'),
    (lambda: descent_paths(bowl, {str(i): PATH for i in range(8)}), ValueError, "8 entries; at most 7"),
    (lambda: descent_paths(bowl, {"a": [PATH[0]]}), TypeError, "'a' is a list of length 1; join", "torch.stack"),
    (lambda: descent_paths(bowl, {"a": [[1, 2]]}), TypeError, "'a' is a list of length 1; a tensor of shape"),
    (lambda: descent_paths(bowl, {"a": PATH[0]}), ValueError, "'a' has shape (2,); (T, 2) is needed"),
    (lambda: descent_paths(bowl, {"a": PATH.T}), ValueError, "'a' has shape (2, 3); (T, 2) is needed"),
    (lambda: descent_paths(bowl, {"a": PATH[:0]}), ValueError, "'a' has shape (0, 2)", "at least one point"),
    (lambda: descent_paths(bowl, {"a": PATH * 1j}), TypeError, "'a' holds complex numbers"),
    (lambda: descent_paths(bowl, {"a": PATH.to("meta")}), ValueError, "'a' is on the device 'meta'"),
    (lambda: descent_paths(3, PATHS), TypeError, "function is an int; give a function"),
    (lambda: descent_paths(torch.sum, PATHS), ValueError, "function gives a tensor of shape ()"),
    (lambda: descent_paths(lambda p: 3.0, PATHS), ValueError, "function gives a float for points"),
    (lambda: descent_paths(lambda p: bowl(p) * NAN, PATHS), ValueError, "no finite value in this view"),
    (lambda: descent_paths(bowl, PATHS, (2, 1)), ValueError, "x_range is (2, 1); the first number must be"),
    (lambda: descent_paths(bowl, PATHS, y_range=3), TypeError, "'y_range' needs 2 numbers (low, high)"),
    (lambda: descent_paths(bowl, PATHS, x_label=3), TypeError, "x_label is an int; a text is needed"),
    (lambda: descent_paths(bowl, PATHS, title=3), TypeError, "title is an int; a text is needed"),
]


@pytest.mark.parametrize("case", BAD, ids=[case[2][:45] for case in BAD])
def test_bad_input_gives_one_clear_line(case, says_in_one_line):
    says_in_one_line(*case)
