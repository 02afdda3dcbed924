#!/usr/bin/env python3
"""The course's one command line. It needs nothing but Python 3.11 or newer.

    python course.py lab [options of JupyterLab]     open the course in JupyterLab
    python course.py test [options of pytest]        run everything that the continuous integration runs
    python course.py test --latest [...]             the same with the newest packages that pyproject.toml allows
    python course.py notebooks [week1 ...]           build the notebooks from notebooks/source (authors)
    python course.py site                            build static pages of all notebooks, to read without JupyterLab
    python course.py slides [week1 ...]              build a deck of slides for each week (instructors)
    python course.py live [week1 ...]                build notebooks whose code is typed in class (instructors)
    python course.py bench [names] [--quick] [--check]   measure: a table of ratios
    python course.py proof                           run every notebook and write when and how fast into the README
    python course.py clean [--venv]                  remove what was built, but not build/live; --venv: all environments

All but clean make the environment .venv when it is not there or no longer fits; all else they leave to the tools.
"""
# An old Python has to get as far as saying that it is too old: no syntax here that Python 3.6 cannot read.

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "course-stamp.txt"
LATEST = False  # whether the newest packages are meant, not the pinned ones
OLDEST = (3, 11)
# On Linux torch brings its CUDA packages; an environment is 5.8 GB there.
GIGABYTES = 7 if sys.platform.startswith("linux") else 3
CACHES = ("__pycache__", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints")


class Stop(Exception):
    """Nothing more can be done; the message is the one line that says why and what to do."""


def say(text):
    print("course.py: " + text, flush=True)


def use_latest():
    """From here on another environment is meant, with the newest packages that pyproject.toml allows."""
    global VENV, STAMP, LATEST
    VENV, LATEST = ROOT / ".venv-latest", True
    STAMP = VENV / "course-stamp.txt"


def venv_python():
    """The environment's interpreter, whether it exists or not."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint():
    """What the environment depends on: the pins, the settings, the version of Python, where the course lies."""
    parts = [(ROOT / name).read_bytes() for name in ("requirements.txt", "pyproject.toml")]
    # as bytes: a folder's name need not be text
    parts += ["{}.{}".format(*sys.version_info[:2]).encode(), os.fsencode(str(ROOT))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def child_environment():
    """The variables for the tools: this environment's programs first, and nothing of another environment."""
    left_out = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment["PATH"] = os.pathsep.join([str(venv_python().parent), os.environ.get("PATH", os.defpath)])
    return environment


def runs(command):
    """Whether a command starts and succeeds."""
    try:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.call(command, cwd=str(ROOT), **quiet) == 0
    except OSError:
        return False


def find_uv():
    """The command that runs uv, or nothing; a uv on the PATH that does not work counts as none."""
    for command in ([shutil.which("uv") or ""], [sys.executable, "-m", "uv"]):
        if command[0] and runs(command + ["--version"]):
            return command
    return []


def step(what, command):
    """Run one step of the installation; its own output is shown."""
    say(what)
    try:
        # pip and uv look at the active environment; they are told which one is meant
        code = subprocess.call(command, cwd=str(ROOT), env=child_environment())
    except OSError as error:
        raise Stop("{} could not start: {}".format(command[0], error)) from None
    if code != 0:
        raise Stop(
            "this step failed (exit code {}): {}. The lines above say why; most often it is the network or the "
            "disk. Run the same command again, it goes on from here.".format(code, what)
        )


def check_disk():
    """Raise Stop when what is missing of the environment will not fit."""
    there = 0
    for folder, _, names in os.walk(str(VENV)):
        there += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    free, missing = shutil.disk_usage(str(ROOT)).free, GIGABYTES * 10**9 - there
    if free < missing:
        raise Stop(
            "not enough disk: the environment needs {:.1f} GB more, {:.1f} GB are free in {}. Free some space or move "
            "the course to another disk.".format(missing / 1e9, free / 1e9, ROOT)
        )


def same_python():
    """Whether the .venv that is there has a working interpreter of this Python's version."""
    try:
        settings = (VENV / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    lines = dict(line.partition("=")[::2] for line in settings.replace(" ", "").splitlines())
    version = lines.get("version_info") or lines.get("version", "")
    wanted = [str(number) for number in sys.version_info[:2]]
    return venv_python().exists() and version.split(".")[:2] == wanted


def make_environment():
    """Make .venv and install the course, or go on where an earlier attempt stopped. Raises Stop."""
    if VENV.exists() and not same_python():
        say("removing {}: it is broken or of another Python".format(VENV.name))
        shutil.rmtree(str(VENV))
    check_disk()
    if STAMP.exists():
        # from here on the environment is neither the old one nor the new
        STAMP.unlink()
    started, python, uv = time.time(), str(venv_python()), find_uv()
    if uv:
        # compiled once here, as pip does by itself: else the first lesson waits for it
        install = uv + ["pip", "install", "--python", python, "--compile-bytecode"]
        if not VENV.exists():
            step("making {} with uv".format(VENV.name), uv + ["venv", "--python", sys.executable, str(VENV)])
    else:
        install = [python, "-m", "pip", "install"]
        if not (VENV.exists() and runs([python, "-m", "pip", "--version"])):
            if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
                raise Stop(
                    "this Python cannot make environments (no module venv or ensurepip). On Debian and Ubuntu: "
                    "sudo apt install python3-venv; elsewhere: Python from python.org, or uv. Then run this again."
                )
            step("making " + VENV.name, [sys.executable, "-m", "venv", str(VENV)])
    size = "about 6 GB, two to four minutes" if GIGABYTES == 7 else "about 1 GB, a few minutes"
    if LATEST:
        # uv renews everything by itself; pip has to be told that what others need is meant too
        everything = ["--upgrade"] if uv else ["--upgrade", "--upgrade-strategy", "eager"]
        step("installing the newest packages ({})".format(size), install + everything + ["-e", "."])
    else:
        step("installing the packages of requirements.txt ({})".format(size), install + ["-r", "requirements.txt"])
        # setuptools is among the packages, so nothing is fetched here
        step("installing the course itself", install + ["--no-deps", "--no-build-isolation", "-e", "."])
    STAMP.write_bytes(fingerprint().encode())
    say("the environment is ready ({:.0f} s)".format(time.time() - started))


def ready():
    """Whether .venv is complete and made for these requirements; what is newest is asked anew each time."""
    return not LATEST and STAMP.exists() and STAMP.read_bytes() == fingerprint().encode() and same_python()


def hand_over(arguments):
    """Become `python <arguments>` in the environment; returns its exit code where a process cannot be replaced."""
    command = [str(venv_python())] + arguments
    os.chdir(str(ROOT))
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], command, child_environment())
    # Ctrl-C is the tool's business: JupyterLab asks, pytest sums up
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.call(command, env=child_environment())


def lab(options):
    say("opening JupyterLab; stop it with Ctrl-C in this window")
    address = ["--ServerApp.ip=127.0.0.1", "--ServerApp.root_dir=" + str(ROOT)]
    # as a page, not as a file: with --no-browser the printed address shows it too
    page = ["--LabApp.default_url=/lab/tree/notebooks/start_here.ipynb"]
    return hand_over(["-m", "jupyterlab"] + address + page + options)


def test(options):
    say("running the tests")
    # one process for each core
    return hand_over(["-m", "pytest", "-n", "logical"] + options)


def notebooks(names):
    return hand_over(["-m", "course_utils.authoring.build"] + names)


def site(options):
    return hand_over(["-m", "course_utils.authoring.site"] + options)


def slides(names):
    return hand_over(["-m", "course_utils.authoring.slides"] + names)


def live(names):
    return hand_over(["-m", "course_utils.authoring.live"] + names)


def bench(options):
    return hand_over(["-m", "benchmarks"] + options)


def proof(options):
    return hand_over(["-m", "course_utils.authoring.proof"] + options)


def clean(options):
    """Remove what the tools made. Downloads (data/cache) and notebooks stay, those for the class in build/live too."""
    if options not in ([], ["--venv"]):
        raise Stop("clean knows only --venv, not {}".format(" ".join(options)))
    targets = [VENV, ROOT / ".venv-latest"] if options else []
    if (ROOT / "build").is_dir():
        targets += [made for made in sorted((ROOT / "build").iterdir()) if made.name != "live"]
    for folder, names, _ in os.walk(str(ROOT)):
        made = [name for name in names if name in CACHES or name.endswith(".egg-info")]
        targets += [Path(folder, name) for name in made]
        names[:] = [name for name in names if name not in made and name not in (".venv", ".venv-latest", ".git")]
    for target in targets:
        if target.is_symlink():
            target.unlink()
        elif target.is_dir():
            shutil.rmtree(str(target))
        elif target.exists():
            target.unlink()
        else:
            continue
        say("removed " + str(target.relative_to(ROOT)))
    return 0


COMMANDS = {"lab": lab, "test": test, "notebooks": notebooks, "site": site, "slides": slides, "live": live}
COMMANDS.update({"bench": bench, "proof": proof, "clean": clean})


def main(arguments):
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # a console without Chinese characters prints ? for them
            stream.reconfigure(errors="replace")
    if not arguments or arguments[0] not in COMMANDS:
        asked = bool(arguments) and arguments[0] in ("-h", "--help", "help")
        print(__doc__.split("\n\n")[1], file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    name, options = arguments[0], arguments[1:]
    try:
        if sys.version_info[:2] < OLDEST:
            found, oldest = (".".join(str(n) for n in v[:2]) for v in (sys.version_info, OLDEST))
            raise Stop(
                "this is Python {}, the course needs {} or newer. Install one from python.org and start it by its "
                "name, for example: python3.12 course.py {}".format(found, oldest, name)
            )
        if name == "test" and "--latest" in options:
            options.remove("--latest")
            use_latest()
        if name != "clean" and not ready():
            make_environment()
        return COMMANDS[name](options)
    except Stop as stop:
        print("course.py: " + str(stop), file=sys.stderr)
    except OSError as error:
        print("course.py: the system refused: {}".format(error), file=sys.stderr)
    except KeyboardInterrupt:
        print("course.py: interrupted. Run the same command again, it goes on from here.", file=sys.stderr)
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
