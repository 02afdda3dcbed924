"""What start_here uses: the look at the machine, and the index of terms."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import torch

from course_utils import data, machine, session, terms


def test_this_machine_is_ready():
    report = machine.look_around()
    assert report.ready, repr(report)
    assert [finding.part for finding in report][:3] == ["Python", "torch", "torchvision"]
    assert repr(report).splitlines()[-1] == "ready: open week 1"


def test_an_old_torch_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "1.13.1")
    report = machine.look_around()
    assert not report.ready
    assert "✗ torch: version 1.13.1; needs 2.15 or newer" in repr(report) and "course.py lab" in repr(report)


def test_a_missing_package_is_named_with_its_cure(monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name == "tensorboard":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert "✗ tensorboard: not installed; " + machine.REPAIR in repr(machine.look_around())


def test_an_old_python_is_named():
    assert not machine._python("3.9.7").ready and machine._python("3.14.0").ready


def test_damaged_data_are_named(monkeypatch):
    def broken():
        raise data.DataError("data/digits.npz is missing; run `git restore data`")

    monkeypatch.setattr(data, "verify", broken)
    assert "✗ data: data/digits.npz is missing" in repr(machine.look_around())


@pytest.mark.parametrize(
    ("text", "symbol"),
    [("from_numpy", "torch.from_numpy"), ("学习率", None), ("STRIDE", None), ("torch.cat", "torch.cat")],
)
def test_a_term_is_found_in_english_chinese_and_by_symbol(text, symbol):
    found = terms.find(text)
    assert found
    assert symbol is None or found[0].symbol == symbol


def test_the_index_covers_six_weeks_and_narrows_to_one():
    assert {term.week for term in terms.find("")} == set(range(1, 7))
    assert {term.week for term in terms.find("", week=3)} == {3}
    assert terms.find("no such term anywhere") == []
    assert "Nothing found" in terms.table([])


def test_typing_in_the_search_box_changes_the_table():
    box = terms.search_box("learning rate")
    before = box.controls["found"].value
    box.controls["text"].value = "from_numpy"
    after = box.controls["found"].value
    assert "torch.from_numpy" in after and before != after
    box.controls["week"].value = 6
    assert box.controls["found"].value != after
    bundle = box._repr_mimebundle_()
    assert bundle["text/plain"].startswith("index of ") and "<table" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_a_missing_syllabus_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setattr(terms, "SYLLABUS", tmp_path / "syllabus.yml")
    terms.all_terms.cache_clear()
    try:
        with pytest.raises(FileNotFoundError, match=r"syllabus\.yml is missing .*git restore notebooks"):
            terms.all_terms()
    finally:
        terms.all_terms.cache_clear()


def test_what_the_machine_needs_is_what_the_project_asks_for():
    text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    lowest = dict(re.findall(r"^(\w+)>=([\d.]+)", "\n".join(project["dependencies"]), re.MULTILINE))
    assert machine.NEEDED == {name: session.version_numbers(lowest[name]) for name in machine.NEEDED}
    assert session.version_numbers(project["requires-python"]) == machine.OLDEST_PYTHON
