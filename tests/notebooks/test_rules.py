"""The stored notebooks keep the static rules, and every rule rejects a notebook that breaks it."""

from pathlib import Path

import make_samples
import pytest
from found import NOTEBOOKS, WEEKS, name

from course_utils.authoring import rules
from course_utils.authoring.structure import read, sections

GOOD = sorted(make_samples.GOOD.glob("*.ipynb"))


def test_the_course_is_there():
    stems = [path.stem for path in NOTEBOOKS]
    assert "start_here" in stems and any(stem.startswith("week1_") for stem in stems), f"found only {stems}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_notebook_keeps_the_rules(path: Path):
    broken = rules.violations(read(path), path)
    assert not broken, "\n".join([path.name, *broken])


@pytest.mark.parametrize("path", WEEKS[1:], ids=name)
def test_week_begins_with_three_questions_on_earlier_weeks(path: Path):
    first = sections(read(path))[0]
    assert first.title == "Warm-up"
    sources = [read(path).cells[index].source for index in first.cells]
    assert sum("predict(" in source for source in sources) == sum(".reveal(" in source for source in sources) == 3


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_good_sample_keeps_the_rules(path: Path):
    assert rules.violations(read(path), path) == []


@pytest.mark.parametrize("case", make_samples.BAD)
def test_bad_notebook_is_rejected_by_its_rule_alone(case: str):
    path = make_samples.bad_path(case)
    broken = rules.violations(read(path), path)
    assert any(make_samples.BAD[case][1] in line for line in broken), broken
    assert {line.rsplit("[", 1)[1] for line in broken} == {case.split(".")[0] + "]"}, broken


def test_every_rule_has_a_bad_notebook():
    proven = {case.split(".")[0] for case in make_samples.BAD} | {"file-size"}
    assert proven == set(rules.RULES | rules.WEEK_RULES)


def test_bad_folder_is_what_the_script_makes():
    paths = {make_samples.bad_path(case): make_samples.bad(case) for case in make_samples.BAD}
    assert set(make_samples.BAD_FOLDER.glob("*.ipynb")) == set(paths)
    stale = [path.name for path, book in paths.items() if read(path) != book]
    assert not stale, f"run python tests/notebooks/make_samples.py: {stale}"


def test_too_large_a_file_is_rejected():  # not stored: it would be 2.5 MB
    path = make_samples.GOOD / "sample.ipynb"
    book = read(path)
    book.cells[4].outputs = [make_samples.stream("x" * 2_900_000)]
    (line,) = rules.violations(book, path)
    assert line.startswith("notebook: is 2.9 MB, at most 2.5 MB")


def test_cells_are_counted_from_one():
    path = make_samples.bad_path("title-cell")
    assert rules.violations(read(path), path)[0].startswith("cell 1: ")


@pytest.mark.parametrize(
    "harmless",
    [
        'print("A:\\n")',
        "link = 'https://pytorch.org/tmp/work'",
        "share = total/work",
        "# </root> closes it",
        "here = './tmp/x'",
    ],
)
def test_what_only_looks_like_a_path_is_let_through(harmless: str):
    path = make_samples.GOOD / "sample.ipynb"
    book = read(path)
    book.cells[4].source = harmless
    assert rules.violations(book, path) == []
