"""Every notebook of the course runs: with the stored outputs, other parameters, in other folders, offline.

Each run is a program of its own, without network (tests/notebooks/offline.py), so that nothing here helps it.
"""

import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from found import NOTEBOOKS, ROOT, SANITIZE, WEEKS, name
from make_samples import GOOD
from nbformat.v4 import new_code_cell, new_notebook, new_output
from offline import namespace, offline, way

CELL_TIMEOUT, RUN_TIMEOUT = 120, 900  # seconds
OTHER_FOLDER = "another folder 另一个"
# another value for each parameter that a notebook may have: another seed, quick settings
OTHER = {
    "seed": 1,
    "device": "cpu",
    "epochs": 1,
    "dataset": "digits",
}


def run(command: list[str], threads: int = 1, unshare: tuple[str, ...] | None = None) -> subprocess.CompletedProcess:
    """Run `python <command>` from the repository's root without network; stdout and stderr come together."""
    words, environment = offline([sys.executable, *command], unshare)
    # Several tests share the cores: a thread that waits must sleep, or two threads each take several times as long.
    environment |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", "PYTHONUTF8": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        words,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=RUN_TIMEOUT,
    )


def nbval(path: Path, threads: int = 1) -> subprocess.CompletedProcess:
    """Compare the stored text of every cell with that of a new run."""
    return run(
        [
            *("-m", "pytest", "-q", "--tb=short", "--color=no", "--noconftest", "-o", "addopts="),
            *("-p", "no:cacheprovider", "-W", "ignore", f"--rootdir={path.parent}"),
            *("--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}"),
            *("--nbval-sanitize-with", str(SANITIZE), str(path)),
        ],
        threads,
    )


def run_papermill(source: Path, target: Path, folder: Path, values: dict, **options) -> subprocess.CompletedProcess:
    """Run the notebook in `folder` with these parameters, and store it as `target`."""
    parameters = [word for key, value in values.items() for word in ("-p", key, str(value))]
    return run(
        [
            *("-m", "papermill", str(source), str(target), "-k", "python3", "--cwd", str(folder)),
            *(
                "--execution-timeout",
                str(CELL_TIMEOUT),
                "--no-progress-bar",
                # written once at the end: after each cell it costs more than the cells
                "--no-request-save-on-cell-execute",
                "--log-level",
                "ERROR",
                *parameters,
            ),
        ],
        **options,
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_outputs_are_those_stored(path: Path, say):
    say(f"{path.stem}: nbval with 1 thread, network: {way()}")
    done = nbval(path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WEEKS, ids=name)
def test_outputs_are_the_same_with_two_threads(path: Path, say):
    say(f"{path.stem}: nbval with 2 threads, network: {way()}")
    done = nbval(path, threads=2)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_runs_with_other_parameters_in_another_folder(path: Path, tmp_path: Path, say):
    say(f"{path.stem}: papermill with other parameters in another folder, network: {way()}")
    names = set(papermill.inspect_notebook(str(path)))
    assert {"seed", "device"} <= names, f"the parameters are {sorted(names)}; seed and device are always there"
    assert names <= set(OTHER), f"give another value in test_run.OTHER for {sorted(names - set(OTHER))}"
    folder, target = tmp_path / OTHER_FOLDER, tmp_path / "done.ipynb"
    folder.mkdir()
    done = run_papermill(path, target, folder, {key: OTHER[key] for key in names})
    assert done.returncode == 0, done.stdout[-4000:]
    injected = [cell for cell in nbformat.read(target, 4).cells if "injected-parameters" in cell.metadata.tags]
    assert len(injected) == 1 and "seed = 1" in injected[0].source
    assert all(cell.execution_count for cell in injected), "papermill did not run to the end"


# --- the tests of these tests ---


def stored(folder: Path, *cells: tuple[str, str]) -> Path:
    """A notebook of (source, stored stdout) pairs."""
    made = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for count, (source, said) in enumerate(cells, start=1):
        outputs = [new_output("stream", name="stdout", text=said + "\n")] if said else []
        made.cells.append(new_code_cell(source, execution_count=count, outputs=outputs))
    path = folder / "notebook.ipynb"
    nbformat.write(made, path)
    return path


def test_nbval_accepts_a_good_notebook_and_shows_what_differs(tmp_path: Path):
    good = nbval(GOOD / "sample.ipynb")
    assert good.returncode == 0, good.stdout
    changed = nbval(stored(tmp_path, ("print(1 + 1)", "3")))
    assert changed.returncode == 1 and "mismatch" in changed.stdout, changed.stdout
    assert "Cell 0" in changed.stdout and "notebook.ipynb" in changed.stdout


def test_sanitize_forgives_what_differs_between_machines_only(tmp_path: Path):
    line = "ready: torch 2.15.0, device cpu, seed 0"
    forgiven = ["ready: torch 3.0.1, device cuda, seed 0", "ready: torch 2.16.0+cpu, device mps, seed 0"]
    differing = [line.replace("seed 0", "seed 1"), line.replace("cpu", "tpu"), line.replace("torch", "numpy")]
    cells = [(f"print({line!r})", said) for said in forgiven + differing]
    cells += [
        ("print(object())", "<object object at 0x12ab>"),
        ("print('✓ Python: version 3.11.7')", "✓ Python: version 3.13.0"),
        ("print('✓ Python: version 3.11.7')", "✗ Python: version 3.11.7"),
        ("""print("no A on <module '__main__' (built-in)>")""", "no A on <module '__main__' (<class 'X'>)>"),
        ("""print("no A on <module '__main__' (built-in)>")""", "no B on <module '__main__' (built-in)>"),
    ]
    done = nbval(stored(tmp_path, *cells))
    assert f"{len(differing) + 2} failed, {len(forgiven) + 3} passed" in done.stdout, done.stdout


def test_sanitize_file_has_no_empty_replacement():
    lines = SANITIZE.read_text(encoding="utf-8").splitlines()
    rules = [line.partition(":") for line in lines if line.startswith(("regex", "replace"))]
    assert [key for key, _, _ in rules] == ["regex", "replace"] * 6
    assert all(value.strip() for _, _, value in rules)


def test_papermill_run_reports_an_error(tmp_path: Path):
    path = stored(tmp_path, ("raise ValueError('stop here')", ""))
    done = run_papermill(path, tmp_path / "done.ipynb", tmp_path, {})
    assert done.returncode != 0 and "stop here" in done.stdout


REACH = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=5)
for reach in (
    lambda: socket.socket().connect(("192.0.2.1", 80)),
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
    lambda: socket.getaddrinfo("example.org", 443),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
):
    try:
        reach()
    except OSError:
        continue
    raise SystemExit("something outside was reached")
print("only this machine")
"""


@pytest.mark.parametrize("unshare", sorted({namespace(), ()}), ids=lambda words: " ".join(words) or "blocked sockets")
def test_programs_reach_this_machine_only(unshare: tuple[str, ...]):
    done = run(["-c", REACH], unshare=unshare)
    assert done.stdout.strip() == "only this machine", done.stdout


@pytest.mark.parametrize("unshare", sorted({namespace(), ()}), ids=lambda words: " ".join(words) or "blocked sockets")
def test_a_kernel_runs_without_network(tmp_path: Path, unshare: tuple[str, ...]):
    path = stored(tmp_path, (REACH, "only this machine"))
    done = run_papermill(path, tmp_path / "done.ipynb", tmp_path, {}, unshare=unshare)
    assert done.returncode == 0, done.stdout
    assert "only this machine" in (tmp_path / "done.ipynb").read_text(encoding="utf-8").split('"outputs"')[1]
