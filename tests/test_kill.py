"""Week 6's program that writes checkpoints, killed twenty times at random moments of its writing, loses nothing.

The program is taken out of the notebook's text, so what is killed is what a reader sees. It runs in processes that a
fork server starts with torch already imported (where there is none, as on Windows, each imports it anew).
"""

import ast
import multiprocessing
import random
import sys
import time
from pathlib import Path

import pytest
import torch

from course_utils import checkpoints

SOURCES = Path(__file__).resolve().parents[1] / "notebooks" / "source"
KILLS = 20
PATIENCE = 60  # seconds until a process that says nothing is given up
LONGEST_DELAY = 0.03  # seconds after a report, several times what one checkpoint takes


def program() -> str:
    """What the notebook of week 6 gives the name PROGRAM."""
    for path in SOURCES.glob("week6_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PROGRAM":
                return ast.literal_eval(node.value)
    raise AssertionError(f"no notebook in {SOURCES} called week6_… has a cell with PROGRAM = …")


def run(source: str, path: Path, reports: Path) -> None:
    """In a process of its own: the program, its argument, and its reports in a file."""
    sys.argv = ["program", str(path)]
    with open(reports, "w", buffering=1, encoding="utf-8") as sys.stdout:
        exec(compile(source, "<the program of week 6>", "exec"), {"__name__": "__main__"})


def killed(source: str, path: Path, reports: Path, delay: float) -> int:
    """Start `source`, wait for its first report and `delay` seconds, kill it: the last number that it reported."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        # what this file imports, once for all processes
        context.set_forkserver_preload(["torch", "pytest", "course_utils.checkpoints"])
    reports.write_text("")
    process = context.Process(target=run, args=(source, path, reports), daemon=True)
    process.start()
    try:
        end = time.monotonic() + PATIENCE
        while "\n" not in reports.read_text():
            assert process.is_alive() and time.monotonic() < end, "the program ended, or reported nothing"
            time.sleep(0.001)
        time.sleep(delay)
    finally:
        process.kill()
        process.join()
    return int(reports.read_text().rpartition("\n")[0].splitlines()[-1])  # a line without its end does not count


def lost(path: Path, reported: int) -> str:
    """What is wrong with the file after a kill, or "": it must be complete and not older than the last report."""
    try:
        checkpoint = torch.load(path)
    except Exception as error:
        return f"the file cannot be read: {type(error).__name__}"
    if not bool((checkpoint["weights"] == checkpoint["epoch"]).all()):
        return "the file mixes two epochs"
    return "" if checkpoint["epoch"] >= reported else f"epoch {reported} was reported, {checkpoint['epoch']} is there"


def test_twenty_kills_lose_nothing(tmp_path):
    chance, path = random.Random(0), tmp_path / "run.pt"
    in_the_middle, last = 0, 0
    for _ in range(KILLS):
        reported = killed(program(), path, tmp_path / "reports.txt", chance.uniform(0, LONGEST_DELAY))
        assert lost(path, reported) == ""
        assert reported > last, "the program did not go on from its file"
        last = reported
        in_the_middle += path.with_name("run.pt.part").exists()  # only a kill during writing leaves it
    assert in_the_middle > 0, "no kill came while a checkpoint was written"


def test_the_course_reads_what_the_program_wrote(tmp_path):
    reported = killed(program(), tmp_path / "run.pt", tmp_path / "reports.txt", 0.01)
    assert checkpoints.load(tmp_path / "run.pt")["epoch"] >= reported


PLAIN = """
import sys
import time
from pathlib import Path

import torch

path = Path(sys.argv[1])
torch.save({"weights": torch.ones(1000), "epoch": 1}, path)
whole = path.read_bytes()
print(1, flush=True)
with open(path, "wb") as file:  # as torch.save does: the file is emptied first
    file.write(whole[:2000])
    file.flush()
    time.sleep(600)
"""


def test_a_plain_save_would_be_noticed(tmp_path):
    reported = killed(PLAIN, tmp_path / "run.pt", tmp_path / "reports.txt", 0.5)
    assert "cannot be read" in lost(tmp_path / "run.pt", reported)


@pytest.mark.parametrize(
    ("weights", "epoch", "words"), [([3.0, 4.0], 4, "mixes two epochs"), ([3.0, 3.0], 3, "epoch 4 was reported")]
)
def test_other_losses_would_be_noticed(tmp_path, weights, epoch, words):
    torch.save({"weights": torch.tensor(weights), "epoch": epoch}, tmp_path / "run.pt")
    assert words in lost(tmp_path / "run.pt", 4)
