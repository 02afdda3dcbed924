"""Large real data sets by name: FashionMNIST and CIFAR-10, downloaded once through torchvision into data/cache.

torchvision fetches, checks, unpacks and reads; here is only what it leaves open. It works in a folder `unfinished-…`
beside the target, which gets its final name in one step when every file was verified: what has the name is whole.
"""

import errno
import gzip
import os
import socket
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from .data import DataError, data_folder
from .errors import in_words, one_line

if TYPE_CHECKING:  # importing torchvision takes seconds; who only wants NAMES need not wait
    from torchvision.datasets import CIFAR10, FashionMNIST

NAMES = ("fashionmnist", "cifar10")
TIMEOUT_S = 30.0  # how long a server may keep silent
_OFFLINE = 'or stay offline with dataset="banknotes"'
# Errors of the disk and of the folder; other errors while downloading are the network's.
_DISK = {errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, getattr(errno, "EDQUOT", None)}
# The timeout of sockets belongs to the whole process, and two threads need not fetch the same files.
_one_at_a_time = threading.Lock()


def dataset(name: str, train: bool = True, transform: Callable | None = None) -> "FashionMNIST | CIFAR10":
    """The training pictures (or with `train=False` the test pictures) of one of NAMES, as torchvision's data set.

    An entry is (picture, label): a PIL picture, for "fashionmnist" grey (mode L) with 28x28 pixels, for "cifar10"
    RGB with 32x32, or what `transform` makes of it; the label is an int, 0 to 9. The first call downloads into
    data/cache (progress on stderr), a later one only compares the files with torchvision's checksums.
    Source: torchvision.datasets.FashionMNIST and CIFAR10. Raises ValueError for an unknown name, TypeError for
    another wrong argument, DataError when the data could not be downloaded or stored, or were damaged since.
    """
    if name not in NAMES:
        shipped = '"banknotes" is shipped with the course, see data.banknotes'
        raise ValueError(f"dataset {name!r} is not there; choose one of: {', '.join(NAMES)} ({shipped})")
    if not isinstance(train, bool):
        raise TypeError(f"train is {train!r}; True (training pictures) or False (test pictures) is needed")
    if transform is not None and not callable(transform):
        raise TypeError(f"transform is {transform!r}; a function of a picture is needed, or None")
    from torchvision import datasets

    kind = {"fashionmnist": datasets.FashionMNIST, "cifar10": datasets.CIFAR10}[name]
    root = data_folder() / "cache"
    target = root / _folder_name(kind)
    with _one_at_a_time:
        if not os.path.lexists(target):
            _download(name, kind, target)
    # Damage is reported, not repaired: files that arrived whole were changed by someone or by a failing disk, which
    # the reader should know; and offline, or on a paid line, nobody wants them deleted and fetched without a question.
    try:
        fault = _fault(kind, root)
        if not fault:
            return kind(root, train=train, transform=transform)
    except OSError as error:
        fault = f"it cannot be read, {error.strerror or in_words(error)}"
    raise DataError(f"{target} is damaged ({fault}); delete it and call again to download {name} anew")


def _folder_name(kind: type) -> str:
    """The folder that torchvision makes for a data set inside the root it is given."""
    return getattr(kind, "base_folder", kind.__name__)


def _download(name: str, kind: type, target: Path) -> None:
    """Put the whole data set at `target`, or raise DataError and leave nothing behind."""
    root = target.parent
    try:
        root.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=root, ignore_cleanup_errors=True) as unfinished:
            print(f"Downloading {name} into {root}, this once:", file=sys.stderr)
            _fetch(name, kind, Path(unfinished))
            try:
                os.replace(Path(unfinished) / target.name, target)
            except OSError:
                # Another process was quicker; what it stored is as good, and ours goes with the unfinished folder.
                if not os.path.lexists(target):
                    raise
    except OSError as error:
        reason = "a file has this name" if root.is_file() else error.strerror or in_words(error)
        raise DataError(
            f"{name} was not stored, the folder {root} cannot be written ({reason}); put that right, {_OFFLINE}"
        ) from None


def _fetch(name: str, kind: type, folder: Path) -> None:
    """Download, unpack and verify inside `folder`. Raises DataError for the network, OSError for the disk."""
    try:
        with _patience():
            kind(folder, download=True)
        reason = _fault(kind, folder)
    except (OSError, HTTPException, RuntimeError, ValueError, zlib.error) as error:
        if getattr(error, "errno", None) in _DISK:
            raise
        reason = _reason(error, kind, folder)
    if reason:
        raise DataError(f"{name} was not downloaded ({reason}); nothing was stored; try again, {_OFFLINE}")


@contextmanager
def _patience() -> Iterator[None]:
    """A server that stays silent for TIMEOUT_S raises TimeoutError; torchvision itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception, kind: type, folder: Path) -> str:
    """Why a download failed, in words; torchvision says "corrupted" of a cut connection and of another file alike."""
    from torchvision.datasets.utils import check_integrity

    if not isinstance(error, RuntimeError):
        return in_words(error, 80)
    for archive, md5 in getattr(kind, "resources", None) or [(kind.filename, kind.tgz_md5)]:
        for path in folder.rglob(archive):
            if not check_integrity(path, md5):
                size = path.stat().st_size
                if _ends_early(path):
                    return f"the connection broke off after {size:,} bytes of {archive}"
                return f"wrong checksum: another file came as {archive}"
    # FashionMNIST joins what each mirror said into one text; the last one's answer stands after "got:"
    return one_line(str(error).rpartition("got:\n")[2], 80)


def _ends_early(archive: Path) -> bool:
    """Whether a .gz file is the beginning of a longer one."""
    try:
        with gzip.open(archive) as content:
            while content.read(1 << 20):
                pass
    except EOFError:
        return True
    except (OSError, zlib.error):
        return False
    return archive.stat().st_size == 0


def _fault(kind: type, root: Path) -> str:
    """The first file below `root` that is not what torchvision's checksums say, in words; empty when all are."""
    from torchvision.datasets.utils import check_integrity

    folder = root / _folder_name(kind)
    if not hasattr(kind, "resources"):
        for name, md5 in [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]:
            if not check_integrity(folder / name, md5):
                return f"{name} is missing or changed"
        return ""
    for archive, md5 in kind.resources:
        path = folder / "raw" / archive
        if not check_integrity(path, md5):
            return f"{archive} is missing or changed"
        # torchvision has checksums of FashionMNIST's archives only, and looks no further than at a file's name
        unpacked = path.with_suffix("")
        if not unpacked.is_file() or unpacked.read_bytes() != gzip.decompress(path.read_bytes()):
            return f"{unpacked.name} is missing or changed"
    return ""
