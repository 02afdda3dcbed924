"""The table of the benchmarks, on made-up measurements; the benchmarks themselves are no tests."""

import json
import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import test_explore

from benchmarks import __main__ as bench
from benchmarks import browser, explorers, imports, notebooks, setup_cells, sizes, table
from benchmarks.table import Row

ROOT = Path(__file__).resolve().parents[1]
WITHIN = Row("quick", 2.0, "ms", "bare", 1.05, 1.1)
OVER = Row("slow", 99.5, "s", limit=60)
ABSENT = Row("a peer", note="not installed")
FAILED = Row("broken", note="ValueError: no", failed=True)


def test_contenders_are_called_in_turn_and_the_warm_up_is_not_counted():
    called = []

    def contender(name, seconds):
        return lambda: called.append(name) or next(seconds)

    found = table.interleaved({"a": contender("a", iter([9, 1, 2])), "b": contender("b", iter([9, 4, 5]))}, rounds=2)
    assert called == ["a", "b"] * 3
    assert found == {"a": (1, 2), "b": (4, 5)}


def test_the_ratio_is_the_median_of_the_ratios_of_each_round():
    # a noisy round meets both: the ratio of the medians would be 0.5
    assert table.median_ratio([1, 10, 30], [1, 10, 10]) == 1
    assert table.median_ratio([1, 2], [2, 2]) == 0.75
    with pytest.raises(ValueError):
        table.median_ratio([1, 2], [1])


def test_p95_is_interpolated():
    assert table.p95(range(101)) == 95
    assert table.p95([0, 10]) == pytest.approx(9.5)


def test_compared_gives_median_value_in_its_unit_and_ratio():
    row = table.compared("import", {"us": (0.1, 0.3, 0.2), "bare": (0.1, 0.1, 0.1)}, "us", "bare", limit=1.5)
    assert (row.value, row.unit, row.against) == (pytest.approx(200), "ms", "bare")
    assert row.ratio == pytest.approx(2) and row.verdict == "over"
    assert table.compared("x", {"us": (3.0,), "bare": (2.0,)}, "us", "bare", "s").value == 3


@pytest.mark.parametrize(
    ("timed", "clock"), [(table.wall_seconds, "perf_counter"), (table.cpu_seconds, "process_time")]
)
def test_a_run_is_timed_by_its_own_clock(monkeypatch, timed, clock):
    now = [5.0]
    monkeypatch.setattr(table.time, clock, lambda: now[0])
    assert timed(lambda: now.append(now.pop() + 2)) == 2


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (WITHIN, "ok"),
        (OVER, "over"),
        (ABSENT, "not measured"),
        (FAILED, "failed"),
        (Row("no limit", 3.0, "MB"), ""),
        # the limit is one of the ratio where there is a ratio, and is still kept when it is just reached
        (Row("ratio", 0.5, "s", "bare", 1.2, 1.1), "over"),
        (Row("ratio", 500, "s", "bare", 1.1, 1.1), "ok"),
        (Row("value", 60, "s", limit=60), "ok"),
    ],
)
def test_verdicts(row, verdict):
    assert row.verdict == verdict


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_table_is_markdown_with_one_line_for_each_row():
    also = Row("a|b", 1234.5, "ms", also={"p95, ms": 0.01234}, note="two\nlines")
    lines = table.markdown("Measured on Mars.", {"one": [WITHIN, ABSENT], "two": [OVER, also]}).splitlines()
    assert lines[:2] == ["Measured on Mars.", ""]
    body = [cells(line) for line in lines[2:]]
    assert {len(line) for line in body} == {len(table.HEADINGS)}
    assert [line[0] for line in body[2:]] == ["**one**", "quick", "a peer", "**two**", "slow", "a\\|b"]
    assert body[3] == ["quick", "2", "ms", "bare", "1.05", "1.1 ×", "ok", ""]
    assert body[4] == ["a peer", "", "", "", "", "", "not measured", "not installed"]
    assert body[6] == ["slow", "99.5", "s", "", "", "60 s", "over", ""]
    assert body[7][1] == "1234" and body[7][-1] == "p95, ms 0.0123; two lines"


def test_the_json_holds_every_number_and_the_verdict():
    read = json.loads(table.as_json("here", {"one": [WITHIN], "two": [OVER]}))
    assert read["measured"] == "here"
    assert [(row["benchmark"], row["name"], row["verdict"]) for row in read["rows"]] == [
        ("one", "quick", "ok"),
        ("two", "slow", "over"),
    ]
    assert read["rows"][0]["ratio"] == 1.05 and read["rows"][1]["ratio"] is None


@pytest.mark.parametrize(
    ("rows", "check", "code"),
    [
        ([WITHIN, ABSENT], True, 0),
        ([WITHIN, OVER], True, 1),
        ([WITHIN, OVER], False, 0),
        ([FAILED], False, 1),
        ([FAILED], True, 1),
    ],
)
def test_the_exit_status(rows, check, code):
    assert table.exit_code({"one": rows}, check) == code


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Benchmarks that measure nothing: `fake(name=rows or an error)`; the files go into a temporary folder."""
    monkeypatch.setattr(bench, "BUILD", tmp_path / "build")

    def install(**found):
        class Module:
            def __init__(self, rows):
                self.rows = rows

            def measure(self, quick):
                if isinstance(self.rows, Exception):
                    raise self.rows
                return self.rows

        monkeypatch.setattr(bench, "NAMES", tuple(found))
        monkeypatch.setattr(bench, "import_module", lambda name: Module(found[name.removeprefix("benchmarks.")]))
        return tmp_path / "build"

    return install


def test_a_whole_run_is_printed_and_written(fake, capsys):
    build = fake(first=[WITHIN], second=[OVER])
    assert bench.main([]) == 0
    printed = capsys.readouterr().out
    assert (build / "benchmarks.md").read_text(encoding="utf-8").strip() == printed.strip()
    assert printed.index("**first**") < printed.index("| quick") < printed.index("**second**") < printed.index("| slow")
    assert len(json.loads((build / "benchmarks.json").read_text(encoding="utf-8"))["rows"]) == 2
    assert bench.main(["--check"]) == 1


@pytest.mark.parametrize("words", [["first"], ["--quick"]])
def test_a_part_or_a_quick_run_leaves_the_table_of_a_whole_run_alone(fake, words):
    build = fake(first=[WITHIN], second=[OVER])
    bench.main([])
    whole = (build / "benchmarks.md").read_bytes()
    bench.main(words)
    assert (build / "benchmarks.md").read_bytes() == whole
    part = (build / "benchmarks_part.md").read_text(encoding="utf-8")
    assert "**first**" in part and ("**second**" in part) == ("--quick" in words)
    assert ("not to be quoted" in part) == ("--quick" in words)


def test_check_looks_only_at_what_was_asked_for(fake):
    fake(first=[WITHIN], second=[OVER])
    assert bench.main(["first", "--check"]) == 0
    assert bench.main(["second", "--check"]) == 1


def test_a_benchmark_that_fails_is_a_row_and_the_others_are_measured(fake, capsys):
    fake(first=ValueError("no\nluck"), second=[WITHIN])
    assert bench.main([]) == 1
    printed = capsys.readouterr().out
    assert "failed | ValueError: no luck" in printed and "| quick" in printed


def test_an_unknown_name_is_told_in_one_line_and_nothing_is_measured(fake, says_in_one_line):
    build = fake(first=[WITHIN])
    says_in_one_line(lambda: bench.main(["first", "fist"]), SystemExit, "'fist'", "first")
    assert not build.exists()


def test_an_unknown_name_on_the_command_line():
    done = subprocess.run([sys.executable, "-m", "benchmarks", "x"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and all(name in done.stderr for name in bench.NAMES)


def test_every_benchmark_is_in_the_table():
    modules = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__", "__main__"}
    measuring = {name for name in modules if hasattr(import_module(f"benchmarks.{name}"), "measure")}
    assert set(bench.NAMES) == measuring and len(bench.NAMES) == len(measuring)
    assert modules - measuring == {"table", "setup_cells"}


def test_every_explorer_is_measured():
    assert set(explorers.explorers()) == set(test_explore.EXPLORERS)


def test_moves_change_a_control_and_reach_the_ends():
    explorer, chance = test_explore.explore.strides(), explorers.random.Random(0)
    seen = set()
    for number in range(60):
        name, value = explorers.next_move(explorer, chance, to_an_end=number % 2 == 0)
        control = explorer.controls[name]
        values = test_explore.values(control)
        assert value != control.value and value in values
        assert number % 2 or value in (values[0], values[-1])
        control.value = value
        seen.add(name)
    assert seen == set(explorer.controls)


def test_an_explorers_row_has_median_and_p95():
    row = explorers.one(test_explore.explore.strides, moves=6)
    assert row.name == "strides" and row.limit == explorers.LIMIT
    assert 0 < row.value <= row.also["p95, ms"] and row.note in {"operation", "row", "column"}


def test_the_imports_are_those_of_the_setup_cells():
    sources = ["import math\nfrom course_utils import data", "from course_utils import data\nfrom torch import nn"]
    sources += ["from course_utils.text import rounded\nfrom course_utilities import x"]
    assert setup_cells.course_imports(sources) == "from course_utils import data\nfrom course_utils.text import rounded"
    for path in setup_cells.notebooks():
        parameters, setup = setup_cells.first_cells(path)
        assert "seed = " in parameters and "session.setup(seed, device)" in setup


def test_an_import_is_timed_in_a_process_of_its_own():
    assert imports.cpu_of("time.process_time = lambda: started + 0.25") == pytest.approx(0.25)
    with pytest.raises(subprocess.CalledProcessError):
        imports.cpu_of("import nothing_of_this_name")


def test_of_several_runs_of_a_notebook_the_median_is_shown():
    row = notebooks.median_run("week9", [(70, 60, 900), (50, 40, 800), (58, 57, 700)])
    assert (row.value, row.verdict) == (58, "ok")
    assert row.also == {"CPU, s": 57, "peak memory, MB": 700}


def test_the_memory_of_child_processes_is_watched():
    allocate = "x = bytearray(100_000_000); x[::1000] = x[::1000]; input()"
    others = sum(map(notebooks.resident, notebooks.psutil.Process().children(recursive=True)))
    end = time.monotonic() + 60
    with notebooks.MemoryWatch() as watch:
        child = subprocess.Popen([sys.executable, "-c", allocate], stdin=subprocess.PIPE)
        while watch.peak - others < 100e6 and time.monotonic() < end:
            time.sleep(0.01)
        child.communicate(b"\n")
    assert 100e6 < watch.peak - others < 200e6


def test_tracked_files_are_counted(monkeypatch, tmp_path):
    for name, size in (("a.txt", 1000), ("b b.bin", 5000), ("untracked", 7)):
        (tmp_path / name).write_bytes(bytes(size))
    monkeypatch.setattr(sizes, "ROOT", tmp_path)

    def git(words, **options):
        assert words[:2] == ["git", "ls-files"] and options["cwd"] == tmp_path
        return subprocess.CompletedProcess(words, 0, stdout=b"a.txt\0b b.bin\0deleted.txt\0")

    monkeypatch.setattr(sizes.subprocess, "run", git)
    row = sizes.repository()
    assert row.value == pytest.approx(0.006) and row.also == {"files": 2} and row.note == "largest: b b.bin"


def test_a_folder_without_git_is_told(monkeypatch):
    def no_git(*words, **options):
        raise FileNotFoundError("git")

    monkeypatch.setattr(sizes.subprocess, "run", no_git)
    assert sizes.repository().verdict == "not measured"


def test_without_playwright_the_row_says_so(monkeypatch):
    monkeypatch.setattr(browser.importlib.util, "find_spec", lambda name: None)
    (row,) = browser.measure(quick=True)
    assert row.verdict == "not measured" and "playwright is missing" in row.note


def test_the_row_of_a_browser_run():
    row = browser.row("strides", [(50.0, 60.0)] * 19 + [(90.0, 200.0)])
    assert row.value == pytest.approx(67) and row.verdict == "ok"
    assert row.also["median, ms"] == 60 and row.also["moves"] == 20


def test_an_explorer_that_does_not_answer_in_the_browser_is_a_failed_row(monkeypatch):
    def nothing(page, image, moves):
        raise RuntimeError("only 0 of 8 moves changed the picture")

    monkeypatch.setattr(browser, "moved", nothing)
    assert browser.one(None, "strides", None, 8).verdict == "failed"
