"""Explorer: which values share one mean in batch, layer, instance and group normalisation?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from textwrap import fill

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, to_rgb
from matplotlib.figure import Figure
from torch import Tensor, nn

from course_utils import _arguments as given
from course_utils.explore.base import Control, Explorer, Move, Settings, _member, headline
from course_utils.explore.normalizing import number
from course_utils.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, YELLOW

CHANNELS, MOST_SAMPLES, MOST_PIXELS = 6, 4, 8
# each with the module of torch, without weight, bias and running statistics, and the set that channel c of sample n
# belongs to
NORMS: dict[str, tuple[Callable[[int, int], nn.Module], Callable[[int, int, int], int]]] = {
    "batch": (lambda pixels, _: nn.BatchNorm1d(CHANNELS, affine=False, track_running_stats=False), lambda n, c, _: c),
    "layer": (lambda pixels, _: nn.LayerNorm([CHANNELS, pixels], elementwise_affine=False), lambda n, c, _: n),
    "instance": (lambda pixels, _: nn.InstanceNorm1d(CHANNELS), lambda n, c, _: n * CHANNELS + c),
    "group": (
        lambda pixels, groups: nn.GroupNorm(groups, CHANNELS, affine=False),
        lambda n, c, groups: n * groups + c * groups // CHANNELS,
    ),
}
GROUPS = (1, 2, 3, 4, 6)
SAMPLES, PIXELS = (1, 2, 3, 4), (1, 2, 4, 8)


@dataclass(frozen=True)
class Shared:
    """A block of N samples, 6 channels and HW pixels, and what a normalisation makes of it."""

    norm: str
    groups: int
    before: np.ndarray  # float32 (N, 6, HW)
    after: np.ndarray | None  # the same after the normalisation; None when torch refuses
    sets: np.ndarray | None  # int64 (N, 6): the channels of the samples with equal numbers share one mean
    refusal: str  # torch's error, or empty

    @property
    def size(self) -> int:
        """Over how many values each mean is taken."""
        return int((self.sets == 0).sum()) * self.before.shape[2]

    @property
    def spread(self) -> np.ndarray:
        """The mean and the standard deviation (with 1/n) of every set after the normalisation, float64 (sets, 2)."""
        values = self.after.astype(np.float64)
        parts = [values[self.sets == number] for number in range(self.sets.max() + 1)]
        return np.array([(part.mean(), part.std()) for part in parts])


def normalize_block(groups: int = 2, samples: int = 4, pixels: int = 8, norm: str = "group") -> Shared:
    """Normalise `samples` × 6 channels × `pixels` values by one of NORMS, without weight and bias.

    Every sample and every channel has a brightness of its own. Batch norm is in training mode; `groups` matters for
    group norm alone. What torch refuses stands in `refusal`. Source: Wu and He (2018). Raises ValueError for a norm
    that is not there and numbers that are not whole or too large (4 samples, 8 pixels).
    """
    _member("norm", norm, tuple(NORMS))
    given.whole(groups, "groups")
    for name, value, most in (("samples", samples, MOST_SAMPLES), ("pixels", pixels, MOST_PIXELS)):
        if given.whole(value, name) > most:
            raise ValueError(f"{name} is {value}; the block has at most {most}, give fewer")
    block = _block()[:samples, :, :pixels].contiguous()
    make, set_of = NORMS[norm]
    try:
        with torch.no_grad():
            after = make(pixels, groups)(block)
    except (ValueError, RuntimeError) as error:
        return Shared(norm, groups, block.numpy().copy(), None, None, str(error).splitlines()[0])
    sets = np.array([[set_of(n, c, groups) for c in range(CHANNELS)] for n in range(samples)])
    return Shared(norm, groups, block.numpy().copy(), after.numpy().copy(), sets, "")


@lru_cache(maxsize=1)
def _block() -> Tensor:
    """Float32 (4, 6, 8): noise, and a brightness for every sample and for every channel."""
    source = {"generator": torch.Generator().manual_seed(6), "dtype": torch.float32, "device": "cpu"}
    noise = 0.5 * torch.randn(MOST_SAMPLES, CHANNELS, MOST_PIXELS, **source)
    sample = torch.tensor([1.2, -0.4, 0.3, -1.3], dtype=torch.float32, device="cpu")
    channel = torch.tensor([0.9, -0.9, 0.2, 1.4, -0.3, -1.4], dtype=torch.float32, device="cpu")
    return noise + sample[:, None, None] + channel[None, :, None]


GAP = 1  # an empty column between two samples
COLUMNS = MOST_SAMPLES * (MOST_PIXELS + GAP) - GAP
STRONGEST = 2.5
SHADES = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, RED, GREY)


def sheet_of(block: np.ndarray) -> np.ndarray:
    """(N, 6, HW) as it is drawn: (6, 35), the samples side by side, nan where nothing is."""
    sheet = np.full((CHANNELS, COLUMNS), np.nan)
    for n, sample in enumerate(block):
        left = n * (MOST_PIXELS + GAP)
        sheet[:, left : left + sample.shape[1]] = sample
    return sheet


def draw_shared(figure: Figure) -> Move:
    """Draw three empty sheets; return what moves their cells, the numbers of the sets and the words."""
    title = headline(figure)
    light = ListedColormap([_light(shade) for shade in SHADES])
    values = LinearSegmentedColormap.from_list("values", [RED, "#F7F7F7", BLUE])
    sheets = []
    for bottom, words, options in (
        (0.665, "who shares a mean: equal numbers", {"cmap": light, "vmin": 0, "vmax": len(SHADES) - 1}),
        (0.41, "values before", {"cmap": values, "vmin": -STRONGEST, "vmax": STRONGEST}),
        (0.155, "values after", {"cmap": values, "vmin": -STRONGEST, "vmax": STRONGEST}),
    ):
        axes = figure.add_axes((0.1, bottom, 0.88, 0.185))
        drawn = axes.imshow(
            np.full((CHANNELS, COLUMNS), np.nan), aspect="auto", interpolation="nearest", animated=True, **options
        )
        axes.set(xticks=[], yticks=range(CHANNELS), yticklabels=[])
        axes.set_ylabel("channel")
        axes.set_title(words, size=10)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        sheets.append(drawn)
    owners, before, after = sheets
    centred = {"size": 9, "ha": "center", "animated": True}
    numbers = [
        [owners.axes.text(0, c, "", va="center_baseline", **centred) for c in range(CHANNELS)]
        for _ in range(MOST_SAMPLES)
    ]
    names = [figure.text(0, 0.148, "", color=GREY, va="top", **centred) for _ in range(MOST_SAMPLES)]
    refusal = after.axes.text(
        COLUMNS / 2, 2.5, "", size=10, color=RED, ha="center", va="center", linespacing=1.4, animated=True
    )
    note = figure.text(0.02, 0.045, "", size=10, va="center", linespacing=1.4, animated=True)

    def move(result: Shared) -> None:
        title.set(text=title_of(result), color=RED if result.refusal else BLACK)
        samples, _, pixels = result.before.shape
        before.set_data(sheet_of(result.before))
        nothing, owned = np.full_like(result.before, np.nan), result.sets is not None
        after.set_data(sheet_of(result.after if owned else nothing))
        colours = np.broadcast_to(result.sets[:, :, None] % len(SHADES), nothing.shape) if owned else nothing
        owners.set_data(sheet_of(colours))
        for n in range(MOST_SAMPLES):
            middle = n * (MOST_PIXELS + GAP) + (pixels - 1) / 2
            for c, text in enumerate(numbers[n]):
                rows = np.flatnonzero(result.sets[n] == result.sets[n, c]) if owned and n < samples else [-1]
                # one number for all channels of a sample that share a mean
                text.set(x=middle, y=np.mean(rows), text=str(result.sets[n, c]) if rows[0] == c else "")
            names[n].set(x=0.1 + 0.88 * (middle + 0.5) / COLUMNS, text=f"sample {n}" if n < samples else "")
        refusal.set_text(fill(result.refusal, 60))
        note.set(text=note_of(result), color=RED if result.refusal else BLACK)

    return move


def _light(colour: str) -> tuple[float, ...]:
    """A colour mixed with white, so that dark numbers can be read on it."""
    return tuple(0.45 * part + 0.55 for part in to_rgb(colour))


def title_of(result: Shared) -> str:
    """Over how many values each mean is taken."""
    name = f"{result.norm} norm" + f", {result.groups} groups" * (result.norm == "group")
    if result.refusal:
        return f"{name}: torch refuses"
    count = int(result.sets.max()) + 1
    return f"{name}: {count} mean{'s' * (count > 1)}, each of {result.size} value{'s' * (result.size > 1)}"


def note_of(result: Shared) -> str:
    """What the sets have in common afterwards, and what channels and samples have not."""
    if result.refusal:
        return "nothing is computed"
    if result.size == 1:
        return "after: each value is its own mean, so that every value becomes 0"
    after = result.after.astype(np.float64)
    channels, samples = after.mean(axis=(0, 2)), after.mean(axis=(1, 2))
    return (
        f"after: every set has mean {_range(result.spread[:, 0])}, std {_range(result.spread[:, 1])}\n"
        f"means of the channels: {_range(channels)}; of the samples: {_range(samples)}"
    )


def _range(values: np.ndarray) -> str:
    low, high = number(values.min().item()), number(values.max().item())
    return low if low == high else f"{low} to {high}"


def describe_shared(result: Shared) -> str:
    """One sentence: the block, the sets, and mean and std afterwards."""
    samples, channels, pixels = result.before.shape
    said = f"torch says: {result.refusal}" if result.refusal else note_of(result).replace("\n", ", ")
    return f"A block ({samples}, {channels}, {pixels}) of N, C and HW, {title_of(result)}; {said}.".replace("..", ".")


def normalization_axes(
    groups: int = 2,
    samples: int = 4,
    pixels: int = 8,
    norm: str = "group",
    question: str = "Which values share one mean, and which normalisation still works for a single sample?",
) -> Explorer:
    """Batch, layer, instance and group normalisation of a block of N samples, 6 channels and HW pixels.

    `norm` is one of NORMS, `groups` one of GROUPS (4 does not divide 6 channels; the other norms have no groups),
    `samples` one of SAMPLES and `pixels` one of PIXELS; with one pixel the layer is a fully connected one. Raises
    ValueError for other values.
    """
    return Explorer(
        question=question,
        description="The values of a few samples and channels: top those that share one mean, in the middle the "
        "values before, below after; batch norm levels the channels, layer norm the samples.",
        controls={
            "groups": Control("groups", GROUPS, 2),
            "samples": Control("N, samples", SAMPLES, 4),
            "pixels": Control("HW, pixels", PIXELS, 8),
            "norm": Control("norm", tuple(NORMS), "group", kind="menu"),
        },
        compute=normalize_block,
        draw=draw_shared,
        describe=describe_shared,
        strip=[{"norm": "batch"}, {"norm": "layer"}, {"norm": "group"}],
        size=(7.0, 4.6),
        start={"groups": groups, "samples": samples, "pixels": pixels, "norm": norm},
        narrow=_grouped,
    )


def _grouped(settings: Settings) -> dict[str, tuple]:
    return {"groups": GROUPS if settings["norm"] == "group" else (settings["groups"],)}
