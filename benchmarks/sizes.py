"""How large the repository is (files that git tracks) and each notebook."""

import subprocess
from pathlib import Path

from benchmarks.setup_cells import notebooks
from benchmarks.table import Row

ROOT = Path(__file__).resolve().parents[1]


def measure(quick: bool) -> list[Row]:
    return [repository(), *(Row(path.name, megabytes([path]), "MB") for path in notebooks())]


def repository() -> Row:
    """The row of the whole repository; not measured where git or its folder is missing."""
    try:
        files = tracked()
    except (OSError, subprocess.CalledProcessError):
        return Row("tracked files", note="`git ls-files` does not work here")
    largest = max(files, key=lambda path: path.lstat().st_size)
    note = f"largest: {largest.relative_to(ROOT).as_posix()}"
    return Row("tracked files", megabytes(files), "MB", also={"files": len(files)}, note=note)


def tracked() -> list[Path]:
    """The files that git tracks and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listed.decode("utf-8").split("\0") if name]
    return [path for path in paths if path.is_file()]


def megabytes(files: list[Path]) -> float:
    return sum(path.lstat().st_size for path in files) / 1e6
