"""Every item of the syllabus is taught: a cell of its week names it, and the code there has its symbol."""

import re
from pathlib import Path

import pytest
from found import WEEKS, name, syllabus
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.authoring.structure import read, week_of


def missing(notebook: NotebookNode, items: list[dict]) -> list[str]:
    """One line for each of `items` that no cell covers, or whose symbol is in no covering code cell."""
    lines = []
    for item in items:
        cells = [cell for cell in notebook.cells if item["id"] in cell.metadata.get("covers", [])]
        symbol = item.get("api", "").split(".")[-1]
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        if not cells:
            lines.append(f"{item['id']} ({item['tier']}): no cell covers it: {item['title']}")
        elif symbol and not any(re.search(rf"(?<!\w){re.escape(symbol)}(?!\w)", source) for source in code):
            lines.append(f"{item['id']} ({item['tier']}): {symbol} stands in none of its {len(code)} code cells")
    return lines


@pytest.mark.parametrize("path", WEEKS, ids=name)
def test_week_covers_its_items(path: Path):
    items = [item for item in syllabus() if item["week"] == week_of(path)]
    assert items, f"the syllabus has no week {week_of(path)}"
    lines = missing(read(path), items)
    assert not lines, "\n".join([f"{path.name}: {len(lines)} of {len(items)} items are missing", *lines])


def test_syllabus_items_are_whole():
    items = syllabus()
    assert len({item["id"] for item in items}) == len(items)
    for item in items:
        assert set(item) <= set("id week lesson kind tier title zh api then must_show old_course_says truth".split())
        assert item["id"].startswith(f"w{item['week']}-") and item["must_show"] and item["title"]
        assert item["tier"] in ("core", "detail")
        assert item["kind"] in ("concept", "api", "fact", "exercise", "erratum")
        assert (item["kind"] == "erratum") == ("truth" in item)


# --- the tests of this test ---

CAT = {"id": "w1-cat", "tier": "core", "title": "Join", "api": "torch.cat"}
IDEA = {"id": "w1-idea", "tier": "detail", "title": "Idea"}


def covering(*cells: NotebookNode) -> NotebookNode:
    return new_notebook(cells=list(cells))


def test_missing_items_are_named_all_at_once():
    lines = missing(covering(new_markdown_cell("words")), [CAT, IDEA])
    assert lines == ["w1-cat (core): no cell covers it: Join", "w1-idea (detail): no cell covers it: Idea"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("torch.cat([a, b])", True),
        ("from torch import cat", True),
        ("concat(a)", False),
        ("torch.cat_(a)", False),
    ],
)
def test_symbol_has_to_stand_in_covering_code(source: str, found: bool):
    lines = missing(covering(new_code_cell(source, metadata={"covers": ["w1-cat"]})), [CAT])
    assert lines == ([] if found else ["w1-cat (core): cat stands in none of its 1 code cells"])


def test_symbol_in_words_or_in_another_cell_does_not_count():
    cells = covering(new_markdown_cell("torch.cat", metadata={"covers": ["w1-cat"]}), new_code_cell("torch.cat([a])"))
    assert missing(cells, [CAT]) == ["w1-cat (core): cat stands in none of its 0 code cells"]


def test_an_item_without_symbol_may_be_covered_by_words():
    assert missing(covering(new_markdown_cell("An idea.", metadata={"covers": ["w1-idea"]})), [IDEA]) == []
