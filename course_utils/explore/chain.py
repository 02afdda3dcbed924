"""Explorer: how values flow forward and gradients backward through y = (x + w) * (w + 1)."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from course_utils.explore.base import Control, Explorer, Move, headline, moving_artists, sheet
from course_utils.style import BLACK, BLUE, GREY, RED, CourseFigure, look

STEPS = ("forward only", "after backward")
# where the boxes stand, in inches: the middle of each
PLACES = {"x": (0.95, 2.55), "w": (0.95, 0.95), "a": (3.35, 2.55), "b": (3.35, 0.95), "y": (5.9, 1.75)}
MEANING = {"x": "x", "w": "w", "a": "a = x + w", "b": "b = w + 1", "y": "y = a · b"}
WIDTH, HEIGHT = 1.36, 0.92


@dataclass(frozen=True)
class Flow:
    """Values, local derivatives and gradients of the graph at one x and w."""

    step: str
    values: dict[str, float]  # of x, w, a, b, y
    local: dict[tuple[str, str], float]  # (from, to): the derivative of `to` by `from` along this edge
    gradients: dict[str, float]  # dy/d(node) for every node, as torch.autograd finds them
    paths: tuple[float, float]  # what reaches w through a, and through b; they add up to dy/dw


def flow(x: float, w: float, step: str = "after backward") -> Flow:
    """Compute y = (x + w) * (w + 1) with torch, and every derivative on the way with torch.autograd.grad.

    In double precision, on the CPU. By hand: dy/dx = w + 1 and dy/dw = (w + 1) + (x + w) = 2w + x + 1.
    """
    node = {name: torch.tensor(float(value), dtype=torch.float64) for name, value in (("x", x), ("w", w))}
    for leaf in node.values():
        leaf.requires_grad_()
    with torch.enable_grad():
        node["a"] = node["x"] + node["w"]
        node["b"] = node["w"] + 1
        node["y"] = node["a"] * node["b"]
    names = list(PLACES)
    gradients = torch.autograd.grad(node["y"], [node[name] for name in names], retain_graph=True)
    edges = [("x", "a"), ("w", "a"), ("w", "b"), ("a", "y"), ("b", "y")]
    local = {
        (start, end): torch.autograd.grad(node[end], node[start], retain_graph=True)[0].item() for start, end in edges
    }
    return Flow(
        step=step,
        values={name: node[name].item() for name in names},
        local=local,
        gradients={name: gradient.item() for name, gradient in zip(names, gradients, strict=True)},
        paths=(local["a", "y"] * local["w", "a"], local["b", "y"] * local["w", "b"]),
    )


def draw_flow(figure: Figure) -> Move:
    """Draw the five nodes and five edges; return what writes values and gradients into them."""
    axes = sheet(figure)
    title = headline(figure)
    sentence = axes.text(0.27, 0.22, "", size=11, va="center", animated=True)
    values, gradients, local = {}, {}, {}
    for name, (x, y) in PLACES.items():
        leaf = name in "xw"
        axes.add_patch(
            FancyBboxPatch(
                (x - WIDTH / 2, y - HEIGHT / 2),
                WIDTH,
                HEIGHT,
                boxstyle="round,pad=0,rounding_size=0.1",
                facecolor="#EAF4FB" if leaf else "white",
                edgecolor=BLACK,
                linewidth=1.8 if leaf else 1.2,
                linestyle="-" if leaf else "--",
            )
        )
        axes.text(x, y + 0.29, MEANING[name], size=11, ha="center", va="center", weight="bold")
        values[name] = axes.text(x, y + 0.01, "", size=11, ha="center", va="center", color=BLUE, animated=True)
        gradients[name] = axes.text(x, y - 0.28, "", size=10, ha="center", va="center", color=RED, animated=True)
    for start, end in [("x", "a"), ("w", "a"), ("w", "b"), ("a", "y"), ("b", "y")]:
        (x0, y0), (x1, y1) = PLACES[start], PLACES[end]
        axes.annotate(
            "",
            (x1 - WIDTH / 2, y1 + 0.3 * (y0 - y1) / 1.6),
            (x0 + WIDTH / 2, y0 - 0.3 * (y0 - y1) / 1.6),
            arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.6, "shrinkA": 1, "shrinkB": 1},
        )
        local[start, end] = axes.text(
            (x0 + x1) / 2,
            (y0 + y1) / 2,
            "",
            size=10,
            ha="center",
            va="center",
            color=RED,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            animated=True,
        )
    axes.text(6.85, 0.62, "solid box: a leaf, keeps .grad", size=9, color=GREY, ha="right")
    axes.text(6.85, 0.44, "dashed box: passes it on", size=9, color=GREY, ha="right")

    def move(flow: Flow) -> None:
        back = flow.step == STEPS[1]
        title.set_text(f"dy/dw = {number(flow.gradients['w'])}" if back else f"y = {number(flow.values['y'])}")
        for name in PLACES:
            values[name].set_text(number(flow.values[name]))
            gradients[name].set_text(f"dy/d{name} = {number(flow.gradients[name])}" if back else "")
        for (start, end), text in local.items():
            text.set_text(f"d{end}/d{start} = {number(flow.local[start, end])}")
            text.set_visible(back)
        through_a, through_b = flow.paths
        stuck = ": a step would not move w" if flow.gradients["w"] == 0 else ""
        sentence.set_color(RED if back else BLACK)
        sentence.set_text(
            f"dy/dw = {factor(flow.local['a', 'y'])} · 1 (through a) + {factor(flow.local['b', 'y'])} · 1"
            f" (through b) = {number(through_a + through_b)}{stuck}"
            if back
            else "forward: every node has a value, none has a gradient yet"
        )

    return move


def describe_flow(flow: Flow) -> str:
    """One sentence: the values, and after backward how the gradient of w comes together."""
    value = {name: number(value) for name, value in flow.values.items()}
    forward = f"At x = {value['x']} and w = {value['w']}: a = {value['a']}, b = {value['b']}, y = {value['y']}"
    if flow.step == STEPS[0]:
        return f"{forward}; no gradients yet."
    through_a, through_b = flow.paths
    return (
        f"{forward}; dy/dx = {number(flow.gradients['x'])}, and dy/dw = {number(through_a)} through a plus "
        f"{number(through_b)} through b, which is {number(flow.gradients['w'])}."
    )


def graph(
    x: float = 2.0,
    w: float = 1.0,
    step: str = "after backward",
    question: str = "Through how many paths does w reach y, and what does each add to dy/dw?",
) -> Explorer:
    """The graph of y = (x + w) * (w + 1), with values, local derivatives and gradients.

    `x` and `w` go from -3 to 3 in steps of a half, `step` is one of STEPS. At 2w + x + 1 = 0 the gradient is
    zero: a step of gradient descent would leave w where it is. Raises ValueError for other values.
    """
    scale = tuple(half / 2 for half in range(-6, 7))
    return Explorer(
        question=question,
        description="The graph of y = (x + w) * (w + 1): values flow to the right, gradients back to the "
        "left, and dy/dw is the sum over the two paths from w to y.",
        controls={
            "x": Control("x", scale, 2.0, show=number),
            "w": Control("w", scale, 1.0, show=number),
            "step": Control("step", STEPS, STEPS[1], kind="buttons", width=400),
        },
        compute=flow,
        draw=draw_flow,
        describe=describe_flow,
        strip=[{"step": STEPS[0]}, {}, {"x": 1.0, "w": -1.0}],
        size=(7.0, 3.65),
        start={"x": x, "w": w, "step": step},
    )


def graph_figure(x: float = 2.0, w: float = 1.0, step: str = "after backward") -> CourseFigure:
    """The picture of `graph` as a still figure with its description, for any finite x and w.

    Raises ValueError for a number that is not finite and for a step that is not one of STEPS.
    """
    for name, value in (("x", x), ("w", w)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < float("inf"):
            raise ValueError(f"{name} = {value!r} is not usable; give a finite number such as 2.0")
    if step not in STEPS:
        raise ValueError(f"step = {step!r} is not possible; choose from: {', '.join(map(repr, STEPS))}")
    result = flow(x, w, step)
    with look():
        picture = CourseFigure(figsize=(7.0, 3.65))
        draw_flow(picture)(result)
    for artist in moving_artists(picture):
        artist.set_animated(False)  # savefig leaves animated artists out
    picture.description = describe_flow(result)
    return picture


def number(value: float) -> str:
    """`value` with at most two decimals, without a superfluous zero or the minus of -0."""
    return f"{round(value, 2) + 0.0:g}".replace("-", "−")


def factor(value: float) -> str:
    """`value` as part of a product: in brackets when it is negative."""
    return f"({number(value)})" if value < 0 else number(value)
