"""The set-up: one list of packages, and a command line that says in one line what is wrong."""

import ast
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import course

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RANGES = {canonicalize_name(Requirement(line).name): Requirement(line) for line in PROJECT["dependencies"]}
PIN = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*( ; .+)?")


def pins() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_every_pin_is_a_name_and_an_exact_version():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#") and not PIN.fullmatch(line)] == []


def test_the_three_files_name_the_same_packages():
    settings = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (from_pip,) = [entry["pip"] for entry in settings["dependencies"] if isinstance(entry, dict)]
    names = [canonicalize_name(line) for line in from_pip if not line.startswith("-")]
    assert sorted(names) == sorted(RANGES)
    # versions live in one place
    assert [line for line in from_pip if line.startswith("-")] == ["-c requirements.txt", "-e ."]
    assert set(RANGES) <= {canonicalize_name(pin.name) for pin in pins() if pin.marker is None}


def test_the_pins_are_in_the_ranges():
    for pin in pins():
        name, (version,) = canonicalize_name(pin.name), pin.specifier
        if name in RANGES:
            assert RANGES[name].specifier.contains(version.version), f"{pin} is outside {RANGES[name]}"


def test_all_say_the_same_oldest_python():
    settings = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    oldest = ".".join(map(str, course.OLDEST))
    assert PROJECT["requires-python"] == f">={oldest}"
    assert f"python={oldest}" in settings["dependencies"]
    assert f"Python {oldest} or newer" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_what_exists_for_linux_only_is_not_asked_for_elsewhere(platform):
    system, name = {"darwin": ("Darwin", "posix"), "win32": ("Windows", "nt")}[platform]
    machine = {
        "sys_platform": platform,
        "platform_system": system,
        "os_name": "posix" if platform == "darwin" else "nt",
    }
    machine["platform_machine"] = "arm64" if platform == "darwin" else "AMD64"
    wanted = {pin.name for pin in pins() if pin.marker is None or pin.marker.evaluate(machine)}
    assert not [name for name in wanted if re.match(r"nvidia-|cuda-|triton", name)]
    assert ("ptyprocess" in wanted, "pywinpty" in wanted) == (platform == "darwin", platform == "win32")
    assert {"torch", "jupyterlab", "setuptools"} <= wanted


def project_files() -> list[Path]:
    """What belongs to the project: what git would take; without git everything the tools have not made."""
    listed = None
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True)
    if listed is not None and listed.returncode == 0:
        paths = [ROOT / name for name in os.fsdecode(listed.stdout).split("\0") if name]
    else:
        made = {".git", ".venv", ".venv-latest", "build", "cache", *course.CACHES}
        paths = [path for path in ROOT.rglob("*") if not made & set(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file()]


def test_no_index_address_and_no_folder_of_one_machine():
    # in halves, so that this file does not find itself
    words = ["--index" + "-url", "--extra-index" + "-url", "--find" + "-links", "/simple" + "/", "/whl" + "/"]
    # the samples of bad notebooks, and the tests that write such paths, show what the rules must refuse
    shown = {"absolute-paths", "make_samples"}
    folder = re.compile(r"(?<![\w.\-/])(/(root|work|home|Users)/\w|[A-Z]:[\\/]+Users[\\/])")
    files = project_files()
    assert ROOT / "course.py" in files
    found = []
    for path in files:
        if path == Path(__file__) or any(word in path.name for word in shown):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and arrays
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words if word in text]
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in folder.finditer(text)]
    assert not found


def test_ci_runs_the_readme_s_command():
    script = ROOT / ".ci" / "run"
    assert "python3 course.py test" in script.read_text(encoding="utf-8")
    assert os.name == "nt" or script.stat().st_mode & stat.S_IXUSR
    assert "python course.py test" in (ROOT / "README.md").read_text(encoding="utf-8")


# ---- course.py, on a copy of the course whose installer only pretends

UV = """\
import os, sys
from pathlib import Path
words = sys.argv[1:]
with open(os.environ["CALLS"], "a", encoding="utf-8") as calls:
    print(*words, sep="|", file=calls)
if words[0] == os.environ.get("FAILS"):
    print("error: could not connect")
    sys.exit(2)
if not Path("requirements.txt").exists():
    sys.exit("the requirements are named as seen from the course's folder")
if words[0] == "venv":
    import venv
    venv.create(words[-1], symlinks=os.name != "nt", with_pip=False)
"""


class Copy:
    """A copy of what course.py reads, with a pretended uv first on the PATH that notes how it is called."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my course 课程"
        self.root.mkdir()
        for name in ("course.py", "pyproject.toml", "requirements.txt"):
            shutil.copy(ROOT / name, self.root)
        # stands in for pytest, which a pretended installation does not bring
        (self.root / "pytest.py").write_text("import sys; print('pytest', *sys.argv[1:]); sys.exit(7)")
        programs = folder / "programs"
        programs.mkdir()
        (programs / "uv.py").write_text(UV, encoding="utf-8")
        if os.name == "nt":
            (programs / "uv.bat").write_text(f'@"{sys.executable}" "{programs / "uv.py"}" %*\n')
        else:
            (programs / "uv").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{programs / "uv.py"}" "$@"\n')
            (programs / "uv").chmod(0o755)
        self.calls_file = folder / "calls.txt"
        path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
        # another environment is active
        self.environment = {**os.environ, "PATH": path, "CALLS": str(self.calls_file), "PYTHONUTF8": "1"}
        self.environment |= {"VIRTUAL_ENV": str(folder / "other"), "PYTHONPATH": str(folder / "other")}
        self.elsewhere = folder

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(self.root / "course.py"), *words]
        options = {"capture_output": True, "encoding": "utf-8", "timeout": 120, "cwd": self.elsewhere}
        return subprocess.run(command, env={**self.environment, **environment}, **options)

    def calls(self) -> list[str]:
        """The calls of the installer so far, without the questions for its version."""
        lines = self.calls_file.read_text(encoding="utf-8").splitlines() if self.calls_file.exists() else []
        return [line for line in lines if line != "--version"]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    # enough disk on whatever machine the tests run: nothing large is installed here
    made = Copy(tmp_path)
    text = (made.root / "course.py").read_text(encoding="utf-8")
    small = re.sub(r"^GIGABYTES = .*$", "GIGABYTES = 0", text, flags=re.MULTILINE)
    assert small != text
    (made.root / "course.py").write_text(small, encoding="utf-8")
    return made


def one_line(text: str) -> str:
    """The only line of an error; whoever reads it sees no traceback."""
    (line,) = text.strip().splitlines()
    assert line.startswith("course.py: ")
    return line


def test_the_first_call_installs_and_the_second_starts_at_once(copy):
    first = copy.run("test", "-k", "two words")
    assert first.returncode == 7, first.stderr
    assert "pytest -n logical -k two words" in first.stdout
    assert "about" in first.stdout and "the environment is ready" in first.stdout
    venv, pinned, itself = copy.calls()
    python = str(copy.root / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python")
    assert venv.startswith("venv|--python|") and venv.endswith(str(copy.root / ".venv"))
    assert pinned.startswith(f"pip|install|--python|{python}") and pinned.endswith("|-r|requirements.txt")
    assert itself.endswith("|--no-deps|--no-build-isolation|-e|.")
    second = copy.run("test")
    assert (second.returncode, len(copy.calls())) == (7, 3)
    assert "installing" not in second.stdout


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_a_change_of_the_requirements_installs_again(copy, name):
    copy.run("test")
    with (copy.root / name).open("a") as stream:
        stream.write("# another\n")
    copy.run("test")
    # the environment itself is kept
    assert [call.split("|")[0] for call in copy.calls()] == ["venv", "pip", "pip", "pip", "pip"]


def test_the_newest_packages_get_an_environment_of_their_own_each_time(copy):
    for _ in range(2):
        done = copy.run("test", "--latest", "-k", "words")
        assert done.returncode == 7 and "pytest -n logical -k words" in done.stdout, done.stderr
    venv, first, second = copy.calls()
    assert venv.endswith(str(copy.root / ".venv-latest")) and not (copy.root / ".venv").exists()
    python = str(copy.root / ".venv-latest" / ("Scripts" if os.name == "nt" else "bin") / "python")
    assert first == second and first.startswith(f"pip|install|--python|{python}") and first.endswith("|--upgrade|-e|.")
    assert copy.run("test").returncode == 7
    assert copy.calls()[-2].endswith("|-r|requirements.txt")


def test_a_course_that_was_moved_installs_itself_again(copy):
    copy.run("test")
    copy.root = copy.root.rename(copy.root.with_name("moved"))
    copy.run("test")
    assert len(copy.calls()) == 5


def test_an_environment_of_another_python_is_made_anew(copy):
    copy.run("test")
    settings = copy.root / ".venv" / "pyvenv.cfg"
    settings.write_text(re.sub(r"(version\w* = )3\.\d+", r"\g<1>3.2", settings.read_text()))
    left = copy.root / ".venv" / "left over"
    left.touch()
    again = copy.run("test")
    assert "removing .venv" in again.stdout and not left.exists()
    assert again.returncode == 7


@pytest.mark.parametrize("step", ["venv", "pip"])
def test_a_step_that_fails_is_named_and_can_be_tried_again(copy, step):
    broken = copy.run("test", FAILS=step)
    line = one_line(broken.stderr)
    named = "making .venv" if step == "venv" else "requirements.txt"
    assert broken.returncode == 1 and named in line and "exit code 2" in line and "network" in line
    assert "could not connect" in broken.stdout, "the installer's own words are shown"
    assert copy.run("test").returncode == 7


def test_the_tools_see_only_this_environment(copy):
    (copy.root / "pytest.py").write_text(
        "import os, sys; print(sys.prefix); print(os.environ['PATH'].split(os.pathsep)[0]);"
        "print({'VIRTUAL_ENV', 'PYTHONPATH'} & set(os.environ), os.getcwd())"
    )
    prefix, programs, others = copy.run("test").stdout.splitlines()[-3:]
    assert prefix == str(copy.root / ".venv")
    assert Path(programs).parent == copy.root / ".venv"
    assert others == f"set() {copy.root}"


# ---- course.py, as a module


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """course.py for a folder that has no environment and must not get one."""
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(course, "ROOT", tmp_path)
    monkeypatch.setattr(course, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(course, "STAMP", tmp_path / ".venv" / "course-stamp.txt")
    monkeypatch.setattr(course, "GIGABYTES", 0)
    monkeypatch.setattr(course, "LATEST", False)

    def never(*_, **__):
        raise AssertionError("nothing may be started here")

    monkeypatch.setattr(course.subprocess, "call", never)
    monkeypatch.setattr(course.os, "execve", never)
    return tmp_path


Version = namedtuple("Version", "major minor micro releaselevel serial")


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 8, 0)])
def test_an_old_python_is_told_so(fresh, monkeypatch, capsys, version):
    monkeypatch.setattr(course.sys, "version_info", Version(*version, "final", 0))
    assert course.main(["lab"]) == 1
    line = one_line(capsys.readouterr().err)
    assert f"Python 3.{version[1]}," in line and "3.11 or newer" in line and "course.py lab" in line


def test_an_old_python_can_read_course_py():
    ast.parse((ROOT / "course.py").read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_what_to_install(fresh, monkeypatch, capsys, missing):
    find = course.importlib.util.find_spec
    monkeypatch.setattr(course, "find_uv", list)
    monkeypatch.setattr(course.importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert course.main(["test"]) == 1
    assert "python3-venv" in one_line(capsys.readouterr().err)


def test_without_uv_the_environment_is_made_by_venv_and_pip(fresh, monkeypatch):
    steps = []
    monkeypatch.setattr(course, "find_uv", list)

    def step(_, command):
        steps.append(command)
        course.VENV.mkdir(exist_ok=True)

    monkeypatch.setattr(course, "step", step)
    course.make_environment()
    python = str(course.venv_python())
    assert steps[0] == [sys.executable, "-m", "venv", str(course.VENV)]
    assert steps[1] == [python, "-m", "pip", "install", "-r", "requirements.txt"]
    assert steps[2][:4] == [python, "-m", "pip", "install"]


def test_an_interruption_is_one_line_and_leaves_no_stamp(fresh, monkeypatch, capsys):
    def interrupted(*_):
        course.VENV.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(course, "find_uv", lambda: ["uv"])
    monkeypatch.setattr(course, "step", interrupted)
    assert course.main(["lab"]) == 130
    assert "Run the same command again" in one_line(capsys.readouterr().err)
    assert course.VENV.exists() and not course.ready()


def test_a_full_disk_is_found_before_anything_is_made(fresh, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(course, "GIGABYTES", 7)
    monkeypatch.setattr(course.shutil, "disk_usage", lambda _: usage(10**12, 10**12, 2 * 10**9))
    assert course.main(["lab"]) == 1
    line = one_line(capsys.readouterr().err)
    assert "needs 7.0 GB more" in line and "2.0 GB are free" in line
    assert not course.VENV.exists()


def test_what_is_installed_already_needs_no_disk(fresh, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(course, "GIGABYTES", 1e-6)
    monkeypatch.setattr(course.shutil, "disk_usage", lambda _: usage(0, 0, 400))
    course.VENV.mkdir()
    (course.VENV / "package").write_bytes(b"x" * 700)
    course.check_disk()
    (course.VENV / "package").write_bytes(b"x" * 500)
    with pytest.raises(course.Stop, match="not enough disk"):
        course.check_disk()


def test_what_the_system_refuses_is_one_line(fresh, monkeypatch, capsys):
    def refuse():
        raise PermissionError(13, "Permission denied", ".venv")

    monkeypatch.setattr(course, "make_environment", refuse)
    assert course.main(["lab"]) == 1
    assert "Permission denied" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(("words", "code"), [([], 2), (["labs"], 2), (["--help"], 0)])
def test_usage(fresh, capsys, words, code):
    assert course.main(words) == code
    out, err = capsys.readouterr()
    text = err if code else out
    assert all(f"python course.py {name}" in text for name in course.COMMANDS)


def test_clean_removes_what_the_tools_made_and_nothing_else(fresh, capsys):
    made = [".pytest_cache/x", ".ruff_cache/x", "a/__pycache__/x", "a/.ipynb_checkpoints/x", "a.egg-info/x"]
    made += ["build/x", "build/site/x"]
    kept = [
        "build/live/x",
        ".venv/lib/__pycache__/x",
        ".venv-latest/lib/__pycache__/x",
        ".git/__pycache__/x",
        "data/cache/x",
        "a/notebook.ipynb",
    ]
    for name in [*made, *kept]:
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).touch()
    assert course.main(["clean"]) == 0
    assert [name for name in made if (fresh / name).exists()] == []
    assert [name for name in kept if not (fresh / name).exists()] == []
    assert course.main(["clean", "--all"]) == 1
    assert "--venv" in one_line(capsys.readouterr().err)
    assert course.main(["clean", "--venv"]) == 0
    assert not list(fresh.glob(".venv*")) and (fresh / "data/cache/x").exists()


def test_the_fingerprint_follows_the_requirements(fresh):
    before = course.fingerprint()
    assert re.fullmatch(rf"[0-9a-f]{{{2 * hashlib.sha256().digest_size}}}", before)
    (fresh / "requirements.txt").write_text("torch==1.0\n")
    assert course.fingerprint() != before
