"""Measure what the course costs, print one table, and write it to build/benchmarks.md and build/benchmarks.json.

    python course.py bench                 everything, in one run (about twenty minutes on a quiet machine)
    python course.py bench grad_cam        these benchmarks only
    python course.py bench --quick         few repeats, to see whether everything works
    python course.py bench --check         exit status 1 when a limit is exceeded

A run of some benchmarks, or a quick one, is written to build/benchmarks_part.md and .json, so that it never replaces
the table of a whole run. One thread, no graphics card. Measure on a machine that does nothing else.
"""

import argparse
import os
import platform
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from benchmarks.table import Row, as_json, exit_code, markdown
from course_utils.authoring.build import BUILD_ENVIRONMENT

BUILD = Path(__file__).resolve().parents[1] / "build"
# in the order of the table: each is a module of this folder with `measure(quick: bool) -> list[Row]`
NAMES = ("sizes", "imports", "first_cell", "notebooks", "explorers", "browser", "drawing", "grad_cam", "loading")


def measured(name: str, quick: bool) -> list[Row]:
    """The rows of one benchmark; when it fails, one row that says why, so that the others are not lost."""
    started = time.monotonic()
    print(f"{name} …", end=" ", file=sys.stderr, flush=True)
    try:
        return import_module(f"benchmarks.{name}").measure(quick)
    except Exception as error:  # whatever it is, it stands in the table and in the exit status
        said = " ".join(str(error).split())[:200]
        return [Row(name, note=f"{type(error).__name__}: {said}", failed=True)]
    finally:
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def title(quick: bool) -> str:
    """Where and when the table was measured."""
    packages = ", ".join(f"{name} {version(name).partition('+')[0]}" for name in ("torch", "torchvision", "matplotlib"))
    place = f"{os.cpu_count()} cores, one thread used, {platform.system()} {platform.machine()}"
    few = " A quick run of few repeats: not to be quoted." if quick else ""
    return f"Measured on {time.strftime('%Y-%m-%d')}: Python {platform.python_version()}, {packages}; {place}.{few}"


def main(words: list[str]) -> int:
    """Run the benchmarks that are named, print and write their table; returns the exit status.

    Raises SystemExit with one line for a benchmark that does not exist.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # a console without "×" prints ? for it; a file gets it
            stream.reconfigure(errors="replace")
    usage = "python course.py bench [names] [--quick] [--check]"
    parser = argparse.ArgumentParser(usage=usage, description=f"the benchmarks: {', '.join(NAMES)}")
    parser.add_argument("names", nargs="*", help="the benchmarks to run; all without names")
    parser.add_argument("--quick", action="store_true", help="few repeats, to see whether everything works")
    parser.add_argument("--check", action="store_true", help="exit status 1 when a limit is exceeded")
    asked = parser.parse_args(words)
    for name in asked.names:
        if name not in NAMES:
            raise SystemExit(f"there is no benchmark {name!r}; choose from: {', '.join(NAMES)}")
    groups = {name: measured(name, asked.quick) for name in NAMES if not asked.names or name in asked.names}
    heading = title(asked.quick)
    table = markdown(heading, groups)
    print(table)
    BUILD.mkdir(exist_ok=True)
    target = BUILD / ("benchmarks_part" if asked.quick or len(groups) < len(NAMES) else "benchmarks")
    target.with_suffix(".md").write_text(table, encoding="utf-8", newline="\n")
    target.with_suffix(".json").write_text(as_json(heading, groups), encoding="utf-8", newline="\n")
    print(f"written to build/{target.name}.md and .json", file=sys.stderr)
    return exit_code(groups, asked.check)


if __name__ == "__main__":
    # before torch is imported; inherited by every process that a benchmark starts
    os.environ.update(BUILD_ENVIRONMENT)
    # readers' imports are compiled once and stored; without this the time to compile them would be measured
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main(sys.argv[1:]))
