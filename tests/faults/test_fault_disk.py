"""A full disk, a read-only course, no screen: real mounts of their own where the system allows them."""

import builtins
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from table import Fault, row, rows

from course_utils import checkpoints

# what one run found out is shared
pytestmark = pytest.mark.xdist_group("fault-disk")

ROOT = Path(__file__).resolve().parents[2]
UNSHARE = ("unshare", "-rm")

# the course on a read-only disk, a folder on a disk of 1 MB; then the program
MOUNT = """
mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" && mount -t tmpfs -o size=1m none "$3" || exit 9
shift
cd "$1" && shift 2 && exec "$@"
"""
# the same for systems without mounts: the lowest calls that Python itself makes are refused
REFUSE = """
import builtins, errno, io, os, sys
SMALL, COURSE = sys.argv[1], os.getcwd()

class Full(io.FileIO):
    def write(self, content):
        if self.tell() + memoryview(content).nbytes > 1_000_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(content)

def opened(path, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *rest, inner=io.open):
    if set(mode) & set("wxa"):
        refuse(path)
        if str(path).startswith(SMALL):
            return Full(path, mode) if "b" in mode else io.TextIOWrapper(Full(path, mode), encoding, newline=newline)
    return inner(path, mode, buffering, encoding, errors, newline, *rest)

def refuse(path, *rest):
    if str(path).startswith(COURSE):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

builtins.open = io.open = opened
os.mkdir = lambda path, *rest, inner=os.mkdir, **named: refuse(path) or inner(path, *rest, **named)
"""
PROGRAM = """
import contextlib, io, json, os, sys
from pathlib import Path
import torch
import course_utils

small, course, told = Path(sys.argv[1]), Path.cwd(), {}
assert course_utils.__file__.startswith(str(course)), course_utils.__file__
from course_utils import checkpoints, curves, data, downloads, grade, session
from course_utils.authoring import build

class Screen(io.StringIO):
    def reconfigure(self, **options):
        pass

def tell(name, call):
    try:
        told[name] = str(call())
    except Exception as error:
        told[name] = str(error)

said = Screen()
with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
    session.setup()
    told["read-only course, first cells"] = said.getvalue().strip() + f", {len(data.digits().labels)} digits"
    tell("read-only course, download", lambda: downloads.dataset("cifar10"))
    tell("read-only course, checkpoint", lambda: checkpoints.save({}, course / "run.pt"))
    tell("read-only course, table of grades", lambda: grade._check_new(course / "table.csv"))
    build.execute = lambda notebook, folder: None  # its cells have run; what fails is storing it
    assert build.main(["start_here"]) == 1
told["read-only course, building"] = said.getvalue().splitlines()[-1]

checkpoints.save({"epoch": 1}, small / "run.pt")
large = {"epoch": 2, "weights": torch.zeros(1_000_000)}
tell("disk full, checkpoint", lambda: checkpoints.save(large, small / "run.pt"))
tell("disk full, table of grades", lambda: grade._write_new(small / "table.csv", "x" * 2_000_000))
assert checkpoints.load(small / "run.pt") == {"epoch": 1}, "what was there"
assert os.listdir(small) == ["run.pt"], "nothing half"

picture = io.BytesIO()
curves.function_plot({"sigmoid": torch.sigmoid}, x_range=(-6, 6)).savefig(picture, format="png")
told["no display"] = "drawn" if picture.getvalue()[1:4] == b"PNG" else "nothing"
print(json.dumps(told))
"""


def told_by_the_program(small: Path, place: Path, mounts: bool) -> dict[str, str]:
    """What PROGRAM says on such disks and without a screen: name of the fault -> message."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {"MPLBACKEND": "TkAgg", "PYTHONUTF8": "1"}
    environment.pop("COURSE_DATA", None)
    source = PROGRAM if mounts else REFUSE + PROGRAM
    command = [sys.executable, "-c", source, str(small)]
    if mounts:
        command = [*UNSHARE, "sh", "-c", MOUNT, "sh", str(ROOT), str(place), str(small), *command]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def may_mount(place: Path, small: Path) -> bool:
    """Whether programs may have mounts of their own on this system."""
    if not shutil.which("unshare"):
        return False
    probe = [*UNSHARE, "sh", "-c", MOUNT, "sh", str(ROOT), str(place), str(small), "true"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, str]:
    place, small = (tmp_path_factory.mktemp(name) for name in ("read only", "small"))
    return told_by_the_program(small, place, may_mount(place, small))


@pytest.mark.parametrize("fault", rows("test_a_full_disk"), ids=lambda fault: fault.name)
def test_a_full_disk(fault: Fault, told, says):
    says(fault, told[fault.name])


@pytest.mark.parametrize("fault", rows("test_a_read_only_course"), ids=lambda fault: fault.name)
def test_a_read_only_course(fault: Fault, told, says):
    says(fault, told[fault.name])


def test_no_display(told, says):
    says(row("no display"), told["no display"])


def test_a_checkpoint_that_cannot_be_opened(tmp_path, says, monkeypatch):
    with pytest.raises(checkpoints.CheckpointError) as caught:
        checkpoints.load(tmp_path)
    says(row("checkpoint is a folder"), str(caught.value))
    checkpoints.save({"epoch": 1}, tmp_path / "run.pt")

    def refuse(path, *rest, **named):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "open", refuse)  # root is refused nothing, and tests may run as root
        with pytest.raises(checkpoints.CheckpointError) as caught:
            checkpoints.load(tmp_path / "run.pt")
    says(row("checkpoint not readable"), str(caught.value))
    assert torch.load(tmp_path / "run.pt") == {"epoch": 1}
