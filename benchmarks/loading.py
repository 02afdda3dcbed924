"""What two worker processes gain when the banknote photographs are loaded: seconds of an epoch, wall time."""

from dataclasses import replace

from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.table import Row, compared, interleaved, wall_seconds
from course_utils import data

ROUNDS = 9
SIDE = 64  # pixels, as week 2 trains with


def measure(quick: bool) -> list[Row]:
    transform = v2.Compose([v2.Resize((SIDE, SIDE)), v2.PILToTensor()])
    notes = ImageFolder(data.banknotes("train"), transform)
    alone = DataLoader(notes, batch_size=20)
    fresh = DataLoader(notes, batch_size=20, num_workers=2)
    kept = DataLoader(notes, batch_size=20, num_workers=2, persistent_workers=True)
    loaders = {
        "num_workers=0": alone,
        "num_workers=2": fresh,
        "num_workers=2, persistent_workers=True": kept,
    }
    found = interleaved(
        {name: lambda loader=loader: wall_seconds(lambda: epoch(loader)) for name, loader in loaders.items()},
        2 if quick else ROUNDS,
    )
    rows = [compared(f"{name}, {len(notes)} files", found, name, "num_workers=0") for name in list(loaders)[1:]]
    return [replace(row, note="no gain here: few and small files" if row.ratio >= 1 else "") for row in rows]


def epoch(loader: DataLoader) -> int:
    """Load every batch; returns how many pictures there were."""
    return sum(len(pictures) for pictures, _ in loader)
