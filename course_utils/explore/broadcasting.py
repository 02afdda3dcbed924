"""Explorer: do two shapes broadcast, and what is stretched?"""

from dataclasses import dataclass
from textwrap import fill

import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from course_utils.explore.base import Control, Explorer, Move, Settings, headline, sheet
from course_utils.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED

Size = int | None  # None: this dimension is absent
# what a control may say; not None, which a drop-down takes for "nothing chosen"
ABSENT = "absent"
SIZES = (ABSENT, 1, 2, 3, 4)


@dataclass(frozen=True)
class Matching:
    """Two shapes laid over each other from the right, as three columns: dimension -3, -2, -1."""

    a: tuple[Size, Size, Size]
    b: tuple[Size, Size, Size]
    joined: tuple[Size, Size, Size] | None  # the result; None when a dimension fails
    rules: tuple[str, str, str]  # what happens in each dimension
    failing: tuple[int, ...]  # the dimensions, of -3, -2, -1, that do not fit
    refusal: str  # torch's own message, or nothing


def match_shapes(a: tuple[Size, Size, Size], b: tuple[Size, Size, Size]) -> Matching:
    """Compare two shapes of up to three dimensions from the right; `None` stands for an absent dimension.

    In every dimension the sizes must be equal, or one of them 1 or absent: that one is stretched. Source: the
    page "Broadcasting semantics" of the documentation of torch; torch.broadcast_shapes gives the result.
    Raises ValueError when a dimension is absent to the right of a present one.
    """
    shapes = [shape_of("a", a), shape_of("b", b)]
    rules, failing = [], []
    for place, (one, other) in enumerate(zip(a, b, strict=True)):
        rules.append(_rule(one, other))
        if rules[-1] == "do not fit":
            failing.append(place - 3)
    refusal, joined = "", None
    try:
        result = tuple(torch.broadcast_shapes(*shapes))
        joined = (None,) * (3 - len(result)) + result
    except RuntimeError as error:
        refusal = str(error)
    return Matching(a, b, joined, tuple(rules), tuple(failing), refusal)


def shape_of(name: str, sizes: tuple[Size, Size, Size]) -> tuple[int, ...]:
    """`sizes` without the absent ones, which must stand on the left; ValueError when they do not."""
    shape = tuple(size for size in sizes if size is not None)
    if sizes[3 - len(shape) :] != shape:
        raise ValueError(f"{name} has an absent dimension right of a present one: {sizes}; leave out the left ones")
    return shape


def _rule(one: Size, other: Size) -> str:
    if one is None and other is None:
        return "absent"
    if one == other:
        return "equal"
    if one is None or other is None:
        return f"added to {'a' if one is None else 'b'}"
    if 1 in (one, other):
        return f"{'a' if one == 1 else 'b'} stretched"
    return "do not fit"


def match_controls(**sizes: int | str) -> Matching:
    """`match_shapes` of what the six controls a3, a2, a1, b3, b2, b1 say: a size, or ABSENT."""
    said = {name: None if size == ABSENT else size for name, size in sizes.items()}
    return match_shapes((said["a3"], said["a2"], said["a1"]), (said["b3"], said["b2"], said["b1"]))


COLUMNS = (1.75, 2.95, 4.15)  # the middle of each column of the table, in inches
ROWS = {"a": 3.58, "b": 3.2, "rule": 2.86, "result": 2.48}
SIDE = 0.3  # of a drawn element
RULE_COLOURS = {"equal": GREEN, "do not fit": RED, "absent": GREY}


def draw_matching(figure: Figure) -> Move:
    """Draw the table of sizes and under it both tensors and the result as blocks; return what moves them."""
    axes = sheet(figure)
    title = headline(figure)
    for middle, dimension in zip(COLUMNS, (-3, -2, -1), strict=True):
        axes.text(middle, 3.85, f"dim {dimension}".replace("-", "−"), size=9, color=GREY, ha="center")
    for name in ("a", "b", "result"):
        axes.text(0.25, ROWS[name], name, size=11, weight="bold", va="center")
    axes.plot([0.25, 4.85], [2.69, 2.69], color=GREY, linewidth=1)
    cells = {
        name: [axes.text(x, ROWS[name], "", size=13, ha="center", va="center", animated=True) for x in COLUMNS]
        for name in ("a", "b", "result")
    }
    rules = [axes.text(x, ROWS["rule"], "", size=10, ha="center", va="center", animated=True) for x in COLUMNS]
    message = axes.text(5.0, 3.9, "", size=9, va="top", color=RED, linespacing=1.3, animated=True)
    blocks, captions = [], []
    for left in (0.25, 2.55, 4.85):
        block = PolyCollection([], linewidth=1, animated=True)
        axes.add_collection(block)
        blocks.append((left, block))
        captions.append(axes.text(left, 2.08, "", size=10, va="center", animated=True))
    axes.text(2.33, 1.33, "+", size=16, ha="center", va="center")
    axes.text(4.63, 1.33, "=", size=16, ha="center", va="center")
    nothing = axes.text(5.75, 1.33, "no result", size=12, color=RED, ha="center", va="center", animated=True)
    axes.text(0.25, 0.06, "full colour: in memory      pale: read again, not copied", size=9, color=GREY)

    def move(matching: Matching) -> None:
        joined = matching.joined
        if joined is None:
            title.set_text(f"no broadcast: dimension {matching.failing[-1]} does not fit".replace("-", "−"))
        else:
            title.set_text(f"the result has {elements(joined)} element{'s' * (elements(joined) != 1)}")
        for name, sizes in (("a", matching.a), ("b", matching.b), ("result", joined)):
            for column, text in enumerate(cells[name]):
                failed = column - 3 in matching.failing
                fitting = sizes[column] if sizes else ("×" if failed else "")
                text.set(text="–" if fitting is None else str(fitting), color=RED if failed else BLACK)
        for text, rule in zip(rules, matching.rules, strict=True):
            text.set(text=rule, color=RULE_COLOURS.get(rule, BLUE))
        message.set_text(fill("torch says: " + matching.refusal, 27) if matching.refusal else "")
        nothing.set_visible(joined is None)
        for (left, block), caption, name, sizes, colour in zip(
            blocks,
            captions,
            ("a", "b", "result"),
            (matching.a, matching.b, joined),
            (BLUE, ORANGE, PURPLE),
            strict=True,
        ):
            block.set_visible(sizes is not None)
            caption.set_text("" if sizes is None else f"{name} {written(sizes)}")
            if sizes is not None:
                _fill_block(block, left, sizes, joined or sizes, colour)

    return move


def describe_matching(matching: Matching) -> str:
    """One sentence: both shapes, and the result or the dimension that fails."""
    pair = f"{written(matching.a)} and {written(matching.b)}"
    if matching.joined is None:
        dimension = matching.failing[-1]
        return (
            f"{pair} do not broadcast: in dimension {dimension} the sizes {matching.a[dimension]} and "
            f"{matching.b[dimension]} differ, and neither is 1."
        )
    rules = ", ".join(f"dimension {place - 3} {rule}" for place, rule in enumerate(matching.rules) if rule != "absent")
    return f"{pair} broadcast to {written(matching.joined)}" + (f": {rules}." if rules else ".")


def broadcast(
    a: tuple[int, ...] = (4, 1, 3),
    b: tuple[int, ...] = (2, 1),
    question: str = "Do two shapes fit, and which dimensions are stretched?",
) -> Explorer:
    """Two shapes of up to three dimensions with sizes 1 to 4, compared from the right.

    The controls a3, a2, a1 are the sizes of a's dimensions -3, -2, -1, those of b likewise, or "absent";
    left of an absent dimension nothing can be present. Raises ValueError for other shapes.
    """
    for name, shape in (("a", a), ("b", b)):
        if not isinstance(shape, tuple) or len(shape) > 3:
            raise ValueError(f"{name} = {shape!r} is not possible; give a tuple of at most three sizes, as (4, 1, 3)")
    return Explorer(
        question=question,
        description="Two shapes one above the other, aligned at the right, with the rule that each dimension "
        "follows, and both tensors as blocks that are stretched to the shape of the result.",
        controls={
            f"{name}{place}": Control(f"{name}: dim −{place}", SIZES, 1, "menu", width=215)
            for name in "ab"
            for place in (3, 2, 1)
        },
        compute=match_controls,
        draw=draw_matching,
        describe=describe_matching,
        strip=[_six((4, 1, 3), (2, 1)), _six((2, 3), (3,)), _six((3, 4), (3,))],
        size=(7.0, 4.4),
        start=_six(a, b),
        narrow=_left_of_absent,
    )


def _six(a: tuple[int, ...], b: tuple[int, ...]) -> Settings:
    padded = [(ABSENT,) * (3 - len(shape)) + shape for shape in (a, b)]
    return dict(zip(("a3", "a2", "a1", "b3", "b2", "b1"), (*padded[0], *padded[1]), strict=True))


def _left_of_absent(settings: Settings) -> dict[str, tuple]:
    possible = {}
    for name in "ab":
        end = settings[f"{name}1"] == ABSENT
        possible[f"{name}2"] = (ABSENT,) if end else SIZES
        end = end or settings[f"{name}2"] == ABSENT
        possible[f"{name}3"] = (ABSENT,) if end else SIZES
    return possible


def written(sizes: tuple[Size, Size, Size]) -> str:
    """A shape as Python writes it: (4, 1, 3), (3,) or ()."""
    return str(tuple(size for size in sizes if size is not None))


def elements(sizes: tuple[Size, Size, Size]) -> int:
    """How many elements a tensor of this shape has."""
    count = 1
    for size in sizes:
        count *= 1 if size is None else size
    return count


def _fill_block(
    block: PolyCollection,
    left: float,
    sizes: tuple[Size, Size, Size],
    stretched: tuple[Size, Size, Size],
    colour: str,
) -> None:
    """Draw a tensor of `stretched` sizes, the part that it really stores (`sizes`) in full colour."""
    real = [1 if size is None else size for size in sizes]
    whole = [1 if size is None else size for size in stretched]
    pale = tuple(0.78 + 0.22 * part for part in to_rgb(colour))
    squares, faces, edges, dashes = [], [], [], []
    for depth in reversed(range(whole[0])):  # those behind first
        for row in range(whole[1]):
            for column in range(whole[2]):
                x = left + SIDE * column + 0.17 * depth
                y = 1.18 - SIDE * row + 0.12 * depth
                squares.append([(x, y), (x + SIDE, y), (x + SIDE, y + SIDE), (x, y + SIDE)])
                stored = depth < real[0] and row < real[1] and column < real[2]
                faces.append(colour if stored else pale)
                edges.append(BLACK if stored else GREY)
                dashes.append("-" if stored else ":")
    block.set_verts(squares)
    block.set(facecolor=faces, edgecolor=edges, linestyle=dashes)
