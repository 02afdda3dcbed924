"""Checkpoints that survive a kill: the whole old file or the whole new one, at any moment, and nothing in between."""

import os
import pickle
from pathlib import Path

import torch


class CheckpointError(RuntimeError):
    """A checkpoint is missing or cannot be read; the message says which, and what to do."""


def save(checkpoint: object, path: str | os.PathLike) -> None:
    """Write `checkpoint` (tensors and plain data) to `path`, atomically: a kill in the middle leaves the old file.

    It is written beside `path`, as `<name>.part`, brought onto the disk, and then renamed. A `.part` file that a kill
    left behind is written over by the next save. One process writes to a path at a time. Raises CheckpointError when
    the folder is missing or the file cannot be written; then the old file is as it was, and no `.part` is left.
    """
    path = Path(path)
    beside = path.with_name(path.name + ".part")
    try:
        with open(beside, "wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:
        # while torch writes, it turns what the disk says into an error of its own
        refused = error if isinstance(error, OSError) else error.__context__
        if not isinstance(refused, OSError):
            raise
        if beside.is_file():
            beside.unlink()  # on a full disk half a file is in the way of everything
        advice = "is there a folder for it?" if not path.parent.is_dir() else "put that right, then save again"
        raise CheckpointError(f"{path.name} cannot be written ({refused.strerror}): {advice}") from None


def load(path: str | os.PathLike, map_location: str | torch.device = "cpu") -> object:
    """What `save` wrote to `path`, its tensors on `map_location`.

    Only tensors and plain data are read (weights_only), so a file cannot run code. Raises CheckpointError when the
    file is missing, damaged, or holds other objects.
    """
    path = Path(path)
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path.name} is not there; look at the path, or start from the beginning") from None
    except pickle.UnpicklingError:
        reason = "holds more than tensors and plain data, or is no checkpoint; store state_dicts and numbers"
        raise CheckpointError(f"{path.name} {reason}") from None
    except (IsADirectoryError, PermissionError) as error:
        raise CheckpointError(f"{path.name} cannot be read ({error.strerror}); look at the path") from None
    except (OSError, EOFError, RuntimeError):
        raise CheckpointError(f"{path.name} is damaged; take the checkpoint before it") from None
