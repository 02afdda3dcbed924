"""The decks: what becomes a slide, nothing from a network, nothing given away, the same bytes every time."""

import base64
import io
import re

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from course_utils.authoring import slides
from course_utils.authoring.slides import Block, build_deck, code_pieces, join, notes, pack, timetable, week_notebooks
from course_utils.authoring.structure import LESSON, exercises, headings, read, solution, tags

WEEKS = week_notebooks([])
# with several processes the tests of one week stay together: its deck is built once
EACH_WEEK = pytest.mark.parametrize(
    "notebook", [pytest.param(path, id=path.stem, marks=pytest.mark.xdist_group(f"deck-{path.stem}")) for path in WEEKS]
)


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    """The page of a notebook's deck as text and parsed, built once."""
    folder, made = tmp_path_factory.mktemp("decks"), {}

    def get(notebook):
        if notebook not in made:
            text = build_deck(notebook, folder).read_text(encoding="utf-8")
            made[notebook] = text, BeautifulSoup(text, "html.parser")
        return made[notebook]

    return get


@EACH_WEEK
def test_every_lesson_has_its_title_slide(decks, notebook):
    _, page = decks(notebook)
    titles = [heading.removeprefix("## ") for _, heading in headings(read(notebook)) if LESSON.match(heading)]
    found = [section for section in page.select("section.part") if section.select(".number")]
    assert [f"{s.select_one('.number').get_text()} {s.h2.get_text()}" for s in found] == titles
    for section, (minutes, _) in zip(found, timetable(read(notebook)).values(), strict=True):
        assert f"{minutes} minutes" in section.get_text()


def pixels(picture):
    """The colours of a stored picture."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


@EACH_WEEK
def test_every_figure_is_in_it_and_described(decks, notebook):
    _, page = decks(notebook)
    shown = [base64.b64decode(image["src"].partition(",")[2]) for image in page.find_all("img")]
    assert all(len(image["alt"].split()) >= 3 for image in page.find_all("img"))
    for cell in read(notebook).cells:
        for output in cell.get("outputs", []) if "check" not in tags(cell) else []:
            for kind in {"image/png", "image/jpeg"} & set(output.get("data", {})):
                stored = base64.b64decode(output.data[kind])
                if output.data["text/plain"].startswith("[explorer]"):
                    settings, shown = shown[:3], shown[3:]
                    assert np.array_equal(np.concatenate([pixels(part) for part in settings]), pixels(stored))
                    assert max(len(pixels(part)) for part in settings) < 1.1 * len(pixels(stored)) / 3
                else:
                    assert shown.pop(0) == stored
    assert shown == []


@EACH_WEEK
def test_every_line_of_code_is_in_it(decks, notebook):
    _, page = decks(notebook)
    shown = "\n".join(pre.get_text() for pre in page.select("main pre.code"))
    lines = set(map(str.rstrip, shown.splitlines()))
    for cell in read(notebook).cells:
        if cell.cell_type != "code" or "check" in tags(cell) or "check.summary" in cell.source:
            continue
        if slides.asked(cell) is None:
            assert set(map(str.rstrip, cell.source.splitlines())) - {""} <= lines


@EACH_WEEK
def test_nothing_is_loaded(decks, notebook):
    text, page = decks(notebook)
    for element in page.find_all(src=True):
        assert element["src"].startswith("data:image/")
    assert not page.find_all(["link", "iframe", "object", "embed"])
    for link in page.find_all(href=True):
        assert link.name == "a"
        inside = link["href"].startswith("#") and page.find(id=link["href"][1:])
        another = link["href"] in {f"{path.stem}.html" for path in WEEKS}
        assert inside or another or link["href"].startswith("https://")
    assert not re.search(r"url\(|@import", page.style.get_text())
    assert "$" not in re.sub(r"<(pre|code|script)\b.*?</\1>", "", text, flags=re.DOTALL)


@EACH_WEEK
def test_solutions_wait_for_a_key(decks, notebook):
    _, page = decks(notebook)
    # what only a key brings up stands in templates, outside the slides
    stored, visible = read(notebook), page.main
    assert page.find_all("template") and not visible.find_all("template")
    text = visible.get_text()
    folded_parts = {template["id"]: template for template in page.find_all("template")}
    offered = {section.get("data-help") for section in visible.find_all("section")}
    assert not visible.find_all("details")
    assert not [heading for heading in visible.find_all(["h3", "summary"]) if heading.get_text() == "Solution"]
    for exercise in exercises(stored):
        folded = BeautifulSoup(folded_parts[f"help-{exercise.number}"].decode_contents(), "html.parser")
        names = [heading.get_text() for heading in folded.find_all("h3")]
        assert names[0] == "Hint 1" and names[-1] == "Solution"
        solved = solution(stored.cells[exercise.help].source)
        assert solved.strip() in folded.get_text()
        assert solved.strip() not in text
        assert f"help-{exercise.number}" in offered


@EACH_WEEK
def test_predictions_come_before_their_answers(decks, notebook):
    _, page = decks(notebook)
    sections = page.find_all("section")
    questions = [n for n, section in enumerate(sections) if section.select(".question")]
    answers = [n for n, section in enumerate(sections) for _ in section.select(".reveal")]
    assert len(questions) == len(answers) > 0
    for asked, told in zip(questions, answers, strict=True):
        assert asked < told
        assert len(sections[asked].select(".body > *")) == 1
    assert "no guess yet" not in page.get_text()


@EACH_WEEK
def test_same_bytes(decks, notebook, tmp_path):
    text, _ = decks(notebook)
    assert build_deck(notebook, tmp_path).read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == [f"{notebook.stem}.html"]


@EACH_WEEK
def test_ids_and_notes(decks, notebook):
    _, page = decks(notebook)
    ids = [element["id"] for element in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    for section in page.find_all("section"):
        for kind in ("data-help", "data-notes"):
            assert kind not in section.attrs or section[kind] in ids
    assert all(f"notes-{number}" in ids for number in timetable(read(notebook)))


def test_outputs_stay_with_their_code():
    words, code = Block("<p>words</p>", 400), Block("<pre>code</pre>", 200, leads=True)
    result = Block('<pre class="output">1</pre>', 100, step=True)
    first, second = pack([words, code, result], "1.1", "label")
    assert [block.html for block in first.blocks] == [words.html]
    assert [block.html for block in second.blocks] == [code.html, result.html]


def test_nothing_waits_at_the_top_of_a_slide():
    tall = Block('<pre class="output">1</pre>', 500, step=True)
    made = pack([tall, tall, tall], "1.1", "label")
    assert [slide.blocks[0].step for slide in made] == [False, False, False]


def test_a_remark_joins_only_where_there_is_room():
    made = pack([Block("<p>a</p>", 300)], "1.1", "label")
    assert not join(made, [Block("<p>long</p>", 500)])
    assert join(made, [Block("<p>b</p>", 100)])
    assert [block.step for block in made[0].blocks] == [False, True]


def test_long_code_is_divided_where_a_statement_begins():
    source = "\n".join(["for a in range(3):", "    b = a", "    c = b"] * 9)
    pieces = code_pieces(source)
    assert "\n".join(pieces) == source
    assert all(piece.startswith("for") and len(piece.splitlines()) <= slides.CODE_LINES for piece in pieces)


def test_notes_are_found_by_lesson():
    week = "## Week 1\n\nabout the week\n\n### 1.1 Title · 10 min\n\n- stop `here`\n\n### 1.2 Other\n\nmore\n"
    text = f"# Notes\n\n{week}\n## Week 2\n"
    found = notes(text)
    assert list(found) == ["1.1", "1.2"]
    assert "<code>here</code>" in found["1.1"] and "about" not in "".join(found.values())


@pytest.mark.parametrize("names", [["week99"], ["start_here"]])
def test_unknown_week_is_one_line(names, capsys):
    assert slides.main(names) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert names[0] in captured.err


def test_missing_notebook_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(slides, "built_path", lambda source: tmp_path / f"{source.stem}.ipynb")
    assert slides.main(["week1"]) == 2
    assert "python course.py notebooks week1" in capsys.readouterr().err


def test_long_outputs_are_divided():
    lines = [f"line {number}" for number in range(50)]
    blocks = list(slides.output_texts("\n".join(lines)))
    assert [
        line for block in blocks for line in BeautifulSoup(block.html, "html.parser").get_text().split("\n")
    ] == lines
    assert len(blocks) > 1 and all(block.height <= slides.ROOM for block in blocks)
