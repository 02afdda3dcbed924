"""The proof of running: what `course.py proof` writes, and that README and start_here have its table."""

import datetime
import re
from pathlib import Path

import pytest
import torch

from course_utils.authoring import proof
from course_utils.authoring.build import BuildError

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PLACES = [ROOT / "README.md", ROOT / "notebooks" / "source" / "start_here.py"]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.name)
def test_the_table_names_every_notebook_and_a_day(path):
    text = path.read_text(encoding="utf-8").split(proof.FIRST)[1].split(proof.LAST)[0]
    rows = re.findall(r"\| (\w+) \| (\d+) \|", text)
    assert sorted(name for name, _ in rows) == sorted(path.stem for path in NOTEBOOKS)
    assert all(0 < int(seconds) for _, seconds in rows)
    assert re.search(r"20\d\d-\d\d-\d\d, Python 3\.\d+\.\d+, torch \d+\.\d+", text)


def test_a_run_becomes_a_table():
    first, blank, *rows = proof.table({"week1": 12.4, "week2": 60.0}, datetime.date(2030, 1, 2))
    assert first.startswith("2030-01-02, Python ") and f"torch {torch.__version__}," in first and blank == ""
    assert rows == ["| notebook | seconds |", "|---|---|", "| week1 | 12 |", "| week2 | 60 |"]


def test_only_what_stands_between_the_marks_changes(tmp_path):
    for name, start in (("README.md", ""), ("start_here.py", "# ")):
        path = tmp_path / name
        path.write_text(f"before\n{start}{proof.FIRST}\nold\n{start}{proof.LAST}\nafter\n", encoding="utf-8")
        for _ in range(2):  # the second time changes nothing
            proof.put(path, ["one", "", "two"])
            wanted = ["before", start + proof.FIRST, start, f"{start}one", start, f"{start}two", start]
            wanted += [start + proof.LAST, "after"]
            assert path.read_text(encoding="utf-8").splitlines() == [line.rstrip() for line in wanted]


@pytest.mark.parametrize("text", ["", proof.FIRST, f"{proof.LAST} {proof.FIRST}", 2 * f"{proof.FIRST}{proof.LAST}"])
def test_without_the_marks_nothing_is_written(tmp_path, text, says_in_one_line):
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    says_in_one_line(lambda: proof.put(path, ["one"]), ValueError, "README.md", "once each")
    assert path.read_text(encoding="utf-8") == text


def test_a_notebook_that_fails_proves_nothing(monkeypatch, capsys):
    def fails(source):
        raise BuildError("cell 3 fails")

    def never(*_):
        raise AssertionError("nothing may be written")

    monkeypatch.setattr(proof, "seconds", fails)
    monkeypatch.setattr(proof, "put", never)
    assert proof.main([]) == 1
    assert "nothing is proven: cell 3 fails" in capsys.readouterr().err
    assert proof.main(["week1"]) == 2
    assert "takes no options" in capsys.readouterr().err


def test_it_runs_the_cells_of_a_text(tmp_path):
    folder = tmp_path / "notebooks" / "source"
    folder.mkdir(parents=True)
    source = folder / "small.py"
    source.write_text("# %%\nimport time\n\ntime.sleep(1)\n", encoding="utf-8")
    assert proof.seconds(source) > 1
    source.write_text("# %%\nraise ValueError('stop here')\n", encoding="utf-8")
    with pytest.raises(BuildError, match="stop here"):
        proof.seconds(source)
