"""The teacher's notes say what the notebooks say: their lessons, minutes and headings."""

import re

import pytest

from course_utils.authoring.slides import NOTES, notes, timetable, week_notebooks
from course_utils.authoring.structure import EXPLORER, LESSON, headings, read, week_of

TEXT = NOTES.read_text(encoding="utf-8")
MOST_LINES = 60
EACH_WEEK = pytest.mark.parametrize("notebook", week_notebooks([]), ids=lambda path: path.stem)


def part_of(week):
    """The notes of one week, from its heading to the next."""
    return re.search(rf"^## Week {week}$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]


def titles_of(notebook):
    """All headings of a notebook, without their marks."""
    return [heading.lstrip("#").strip() for _, heading in headings(notebook)]


@EACH_WEEK
def test_lessons_and_minutes(notebook):
    stored = read(notebook)
    minutes = {number: found for number, (found, _) in timetable(stored).items()}
    lessons = [heading.removeprefix("## ") for _, heading in headings(stored) if LESSON.match(heading)]
    wanted = [f"### {title} · {minutes[title.split()[0]]} min" for title in lessons]
    assert re.findall(r"^### .*$", part_of(week_of(notebook)), re.MULTILINE) == wanted


@EACH_WEEK
def test_the_table_has_the_sums(notebook):
    stored = read(notebook)
    lessons = sum(minutes for minutes, _ in timetable(stored).values())
    exercises = sum(
        int(found[1]) for _, heading in headings(stored) if (found := re.search(r"· (\d+) min · ★", heading))
    )
    assert f"\n| {week_of(notebook)} | {lessons} | {exercises} |\n" in TEXT


@EACH_WEEK
def test_every_place_is_a_heading(notebook):
    titles = titles_of(read(notebook))
    places = re.findall(r"\*(?=\S)([^*\n]+)(?<=\S)\*", part_of(week_of(notebook)))
    unknown = [place for place in places if not any(re.match(re.escape(place) + r"(?!\w)", title) for title in titles)]
    assert places and not unknown


@EACH_WEEK
def test_every_lesson_has_advice(notebook):
    found = notes(TEXT)
    for number in timetable(read(notebook)):
        for start in ("Stop and ask: ", "Expect: ", "Project: ", "Short of time: "):
            assert start in found[number], number


@EACH_WEEK
def test_every_explorer_is_to_be_shown_or_left_out(notebook):
    part = part_of(week_of(notebook))
    for _, heading in headings(read(notebook)):
        if EXPLORER.match(heading):
            assert f"*{heading.removeprefix('### ')}*" in part


@EACH_WEEK
def test_short_enough_to_be_read(notebook):
    lines = [line for line in part_of(week_of(notebook)).splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
