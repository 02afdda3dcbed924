"""The static pages: complete, readable from disk alone, and the same for the same notebooks."""

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import v4
from PIL import Image

from course_utils.authoring import site
from course_utils.authoring.structure import LESSON, headings, read, tags

# one process reads the whole course once
pytestmark = pytest.mark.xdist_group("site")

NOTEBOOKS = sorted(site.NOTEBOOKS.glob("*.ipynb"))
PAGE = "week1_small.html"

TASK = "### Exercise 1.1 Double · 3 min · ★★\n\nWrite `double`."
STUB = "def double(x):\n    ..."
HELP = """<details><summary>Hint 1</summary>

Think of *hintword* and $h^2$.
</details>
<details><summary>Solution</summary>

```python
def double(x):
    return solutionword * x
```
</details>"""
PROSE = """## 1.1 A lesson

The price is \\$5; $a_1 * b_1 * c_1 < d$ and $x^2$, but `$HOME` is code. See [the other](week2_other.ipynb#2.1-There).

$$
\\frac{1}{2} \\sum_i x_i
$$

> **Myth.** False.

| one | two |
|---|---|
| $y$ | ![A blue square](square.png) |
"""


def png(colour: str = "blue") -> bytes:
    """A small picture."""
    file = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(file, "PNG")
    return file.getvalue()


def shown(kind: str = "display_data", **data: str) -> nbformat.NotebookNode:
    """An output with data by the last part of its type: png=…, plain=…, html=…"""
    types = {"png": "image/png", "plain": "text/plain", "html": "text/html"}
    extra = {"execution_count": 1} if kind == "execute_result" else {}
    return v4.new_output(kind, {types[name]: value for name, value in data.items()}, **extra)


def code(source: str, *outputs: nbformat.NotebookNode, **metadata: list[str]) -> nbformat.NotebookNode:
    return v4.new_code_cell(source, outputs=list(outputs), execution_count=1, metadata=metadata)


def save(path: Path, cells: list[nbformat.NotebookNode]) -> Path:
    """A stored notebook whose cell ids are their positions."""
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    path.write_text(nbformat.writes(v4.new_notebook(cells=cells)), encoding="utf-8")
    return path


@pytest.fixture
def small(tmp_path) -> list[Path]:
    """Two notebooks with one of everything."""
    picture = base64.b64encode(png()).decode()
    (tmp_path / "square.png").write_bytes(png())
    title = (
        "# Week 1 · Small\n\n**The question of the week: why?**\n\n"
        "| lesson | minutes |\n|---|---|\n| 1.1 A lesson | 25 |"
    )
    view = shown("execute_result", png=picture, plain="[explorer] What moves? A point moves.")
    view.data["application/vnd.jupyter.widget-view+json"] = {"model_id": "dead", "version_major": 2}
    first = [
        v4.new_markdown_cell(title),
        code("seed = 0", tags=["parameters"]),
        code("import torch", tags=["setup"]),
        v4.new_markdown_cell(PROSE, metadata={"covers": ["w1-from-numpy"]}),
        code("print('<b>')", v4.new_output("stream", name="stdout", text="<b> & $5 and $6\n"), tags=["proof"]),
        code(
            "plot()",
            shown(png=picture, plain="[figure] A line & more."),
            shown(html="<small>A line &amp; more.</small>"),
        ),
        v4.new_markdown_cell("### Explorer Moving\n\nTurn it."),
        code("explore.moving()", view),
        code("question", shown("execute_result", plain="? How many?  [1 | 2]")),
        code("question.reveal(2)", shown("execute_result", html="<div>you predicted: <b>no guess yet</b></div>")),
        v4.new_markdown_cell(TASK),
        code(STUB, tags=["exercise"]),
        code("check.double(double)", shown("execute_result", html="<div>○ not attempted</div>"), tags=["check"]),
        v4.new_markdown_cell(HELP),
        v4.new_markdown_cell("## Recap\n\nSaid again. Said again: ### no heading."),
    ]
    second = [
        v4.new_markdown_cell("# Week 2 · Other"),
        v4.new_markdown_cell("## 2.1 There\n\n[back](week1_small.ipynb)"),
    ]
    return [save(tmp_path / "week1_small.ipynb", first), save(tmp_path / "week2_other.ipynb", second)]


@pytest.fixture
def page(small) -> BeautifulSoup:
    """The page of the first small notebook."""
    return soup(site.make_site(small)[PAGE])


@pytest.fixture(scope="module")
def course() -> dict[str, str]:
    """The site of the course."""
    return site.make_site(NOTEBOOKS)


@pytest.fixture(scope="module")
def parsed(course) -> dict[str, BeautifulSoup]:
    """Every page of the course."""
    return {name: soup(text) for name, text in course.items() if name.endswith(".html")}


def soup(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "html.parser")


def index_of(files: dict[str, str]) -> dict[str, list]:
    """The index of the search, out of its script."""
    return json.loads(files["search-index.js"].removeprefix("window.courseIndex = ").removesuffix(";\n"))


# --- the whole course ---


def test_every_notebook_has_its_page(course):
    assert {path.stem + ".html" for path in NOTEBOOKS} | {"index.html", "terms.html"} == {
        name for name in course if name.endswith(".html")
    }


def test_the_course_is_light(course):
    assert sum(len(text.encode()) for text in course.values()) < 20_000_000


def test_nothing_is_loaded_from_elsewhere(course, parsed):
    for name, tree in parsed.items():
        addresses = [tag["src"] for tag in tree.select("[src]")] + [tag["href"] for tag in tree.select("link")]
        for address in addresses:
            assert address.startswith("data:") or address in course, f"{name} loads {address[:80]}"
        assert not tree.select("iframe, object, embed, base, [srcset]")
    assert not re.search(r"url\(|@import|//[a-z]", re.sub(r"/\*.*?\*/", "", course["site.css"]))
    assert not re.search(r"https?:|fetch\(|import\(", course["site.js"])


def test_ids_are_unique_and_every_internal_link_arrives(parsed):
    ids = {name: [tag["id"] for tag in tree.select("[id]")] for name, tree in parsed.items()}
    followed = 0
    for name, tree in parsed.items():
        assert len(ids[name]) == len(set(ids[name]))
        for link in tree.select("a[href]"):
            if re.match(r"[a-z]+:", link["href"]):
                continue
            file, _, anchor = unquote(link["href"]).partition("#")
            assert (file or name) in parsed, f"{name}: {link['href']}"
            assert not anchor or anchor in ids[file or name], f"{name}: {link['href']}"
            followed += 1
    assert followed > 100


def test_every_place_of_the_search_exists(course, parsed):
    index = index_of(course)
    ids = {name: {tag["id"] for tag in tree.select("[id]")} for name, tree in parsed.items()}
    for page, anchor, _, _ in index["places"]:
        assert anchor in ids[index["pages"][page][0]]
    for place, cell, *_ in [*index["texts"], *index["terms"]]:
        assert cell in ids[index["pages"][index["places"][place][0]][0]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_is_mathml_and_no_dollar_is_left(path, parsed):
    tree = parsed[path.stem + ".html"]
    prose = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    prose = re.sub(r"^```.*?^```|`+[^`]*`+|\\\$", "", prose, flags=re.DOTALL | re.MULTILINE)
    assert len(tree.select("math")) == len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", prose, re.DOTALL))
    for words in tree.select_one("article").find_all(string=re.compile(r"\$")):
        assert words.find_parent(["pre", "code", "figure", "fieldset"]) or words.find_parent(class_="shown"), words
    assert not re.search(r"\\[a-z]{2,}", "".join(tag.get_text() for tag in tree.select("math")))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_picture_is_shown_with_its_sentence(path, parsed):
    said = [
        output.data["text/plain"].split("] ", 1)[1]
        for cell in read(path).cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if any(kind.startswith("image/") for kind in output.get("data", {}))
    ]
    images = parsed[path.stem + ".html"].select("figure img")
    assert [image["alt"] for image in images] == said
    for image in parsed[path.stem + ".html"].select("img"):
        assert len(image["alt"].split()) >= 3
        width, height = Image.open(io.BytesIO(base64.b64decode(image["src"].split(",")[1]))).size
        assert (image["width"], image["height"]) == (str(width), str(height))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_hints_and_solutions_are_folded_and_highlighted(path, parsed):
    tree, notebook = parsed[path.stem + ".html"], read(path)
    folded = tree.select("details")
    prepared = sum(bool({"parameters", "setup"} & set(tags(cell))) for cell in notebook.cells)
    written = sum(cell.source.count("<details>") for cell in notebook.cells if cell.cell_type == "markdown")
    assert len(folded) == written + prepared > 0
    assert not tree.select("details[open]")
    for part in folded:
        # more than its summary: nothing has slipped out
        assert len(part.get_text()) > len(part.summary.get_text()) + 3, part.summary
        if part.summary.get_text() == "Solution":
            assert part.select(".highlight pre span[class]"), f"a solution of {path.stem} is not highlighted"


def test_the_overview_has_every_lesson_with_its_minutes(parsed):
    lines = {
        line.a.get_text(): line.span.get_text() for line in parsed["index.html"].select(".lessons li") if line.span
    }
    for path in NOTEBOOKS:
        notebook = read(path)
        for _, heading in headings(notebook):
            if match := LESSON.match(heading):
                number = f"{match[1]}.{match[2]}"
                wanted = re.search(rf"\| {number} .*?\| (\d+) \|", notebook.cells[0].source)[1]
                found = [minutes for title, minutes in lines.items() if title.split()[0] == number]
                assert found == [f"{wanted} min"]


def test_the_search_knows_a_term_in_its_lesson(course):
    index = index_of(course)
    (place,) = [place for place, _, _, _, symbol in index["terms"] if symbol == "torch.from_numpy"]
    page, _, _, lesson = index["places"][place]
    assert index["pages"][page][0] == "week1_tensors_autograd.html"
    assert lesson == "1.2 Tensors"


def test_the_terms_are_in_order_and_lead_to_their_cells(course, parsed):
    tables = parsed["terms.html"].select("table.terms")
    letters = [table.caption.get_text() for table in tables]
    assert letters == sorted(set(letters)) and len(letters) > 20
    assert sum(len(table.select("tbody tr")) for table in tables) == len(index_of(course)["terms"]) > 400
    (row,) = [row for table in tables for row in table.select("tr") if row.find("code", string="torch.from_numpy")]
    file, cell = row.a["href"].split("#")
    assert "from_numpy" in parsed[file].find(id=cell).get_text()


# --- one of everything ---


def test_formulas_prices_and_code_are_told_apart(page):
    assert len(page.select("math")) == 5  # one of them in a hint, one in a table
    assert len(page.select('math[display="block"]')) == 1
    assert "The price is $5;" in page.get_text()
    assert page.find("code", string="$HOME")
    # the stars between the dollars are no emphasis
    assert not page.select_one("#cell-3 em")


def test_outputs_are_text(page):
    assert page.select_one("#cell-4 pre.output").get_text() == "<b> & $5 and $6\n"
    assert page.select_one("#cell-4 > .label").get_text() == "Proof"


def test_a_figure_says_its_sentence_once(page):
    figure = page.select_one("#cell-5 figure")
    assert figure.img["alt"] == figure.figcaption.get_text() == "A line & more."
    assert figure.figcaption["aria-hidden"] == "true"
    assert not page.select("#cell-5 small")


def test_an_explorer_is_its_strip(page):
    figure = page.select_one("#cell-7 figure.explorer")
    assert figure.img["alt"] == "What moves? A point moves."
    assert base64.b64decode(figure.img["src"].removeprefix("data:image/png;base64,")) == png()
    assert "widget" not in str(page)


def test_a_picture_of_the_prose_lies_in_the_page(page):
    image = page.select_one("#cell-3 td img")
    assert image["alt"] == "A blue square"
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == png()


def test_a_prediction_can_be_chosen(page):
    question = page.select_one("#cell-8 .predict")
    assert question.p.get_text() == "How many?"
    assert [button["value"] for button in question.select("input")] == ["1", "2"]
    assert page.select_one("#cell-9 .reveal b").get_text() == "no guess yet"


def test_an_exercise_is_one_panel(page):
    panel = page.select(".task")
    assert [cell["id"] for cell in panel] == ["cell-10", "cell-11", "cell-12", "cell-13"]
    assert "first" in panel[0]["class"] and "last" in panel[-1]["class"]
    assert page.select_one("h3 .effort").get_text() == " · 3 min · ★★"
    assert [summary.get_text() for summary in panel[-1].select("details > summary")] == ["Hint 1", "Solution"]
    assert panel[-1].select_one("details .highlight .k").get_text() == "def"


def test_parameters_and_setup_are_folded(page):
    assert page.select_one("#cell-1 > details .highlight").get_text().strip() == "seed = 0"
    assert page.select_one("#cell-2 > details .highlight").get_text().strip() == "import torch"


def test_links_between_notebooks_join_pages(small, page):
    other = soup(site.make_site(small)["week2_other.html"])
    assert page.find("a", string="the other")["href"] == "week2_other.html#2.1-There"
    assert other.select_one("h2")["id"] == "2.1-There"
    assert other.find("a", string="back")["href"] == PAGE
    assert other.select_one(".turn a[rel=prev]")["href"] == PAGE and not other.select(".turn a[rel=next]")


def test_the_search_tells_no_solutions(small):
    files = site.make_site(small)
    assert "solutionword" in files[PAGE] and "hintword" in files[PAGE]
    text = json.dumps(index_of(files))
    assert "solutionword" not in text and "hintword" not in text
    assert "Think" not in text and "Write double." in text


def test_headings_of_one_name_get_anchors_of_their_own(tmp_path):
    twins = save(tmp_path / "week1_twins.ipynb", [v4.new_markdown_cell("# A\n\n## B\n\nx\n\n## B\n\ny")])
    page = soup(site.make_site([twins])["week1_twins.html"])
    assert [heading["id"] for heading in page.select("h2")] == ["B", "B-2"]


def test_same_notebooks_same_bytes(small, tmp_path):
    target = tmp_path / "site"
    site.write(site.make_site(small), target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    site.write(site.make_site(small), target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert PAGE in before and "site.css" in before


# --- what can go wrong ---


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (v4.new_markdown_cell(r"$\frac{1}{2$"), ("cell 2", "formula")),
        (v4.new_markdown_cell("![Three good words](lost.png)"), ("cell 2", "lost.png")),
        (v4.new_markdown_cell('<img alt="three good words" src="https://example.org/x.png">'), ("cell 2", "x.png")),
        (v4.new_markdown_cell("[x](week9_none.ipynb)"), ("week9_none.html", "no page")),
        (v4.new_markdown_cell("[x](#Nowhere)"), ("#Nowhere", "no heading")),
        (
            code("1 / 0", v4.new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])),
            ("cell 2", "1 / 0"),
        ),
    ],
    ids=["formula", "picture", "outside picture", "page", "heading", "error"],
)
def test_a_mistake_in_a_notebook_is_named_in_one_line(cell, words, tmp_path, says_in_one_line):
    path = save(tmp_path / "week1_bad.ipynb", [v4.new_markdown_cell("# Title"), cell])
    says_in_one_line(lambda: site.make_site([path]), site.SiteError, "week1_bad", *words)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cells": [], "nbformat": 4, "nbformat_minor": 5}'])
def test_a_broken_notebook_is_named_in_one_line(text, tmp_path, says_in_one_line):
    path = tmp_path / "week1_broken.ipynb"
    path.write_text(text, encoding="utf-8")
    says_in_one_line(lambda: site.make_site([path]), site.SiteError, "week1_broken.ipynb", "build it again")


def test_no_notebooks(says_in_one_line):
    says_in_one_line(lambda: site.make_site([]), site.SiteError, "no notebooks")


def test_a_file_is_no_target(tmp_path, says_in_one_line):
    file = tmp_path / "file"
    file.write_text("mine")
    says_in_one_line(lambda: site.write({"index.html": ""}, file), site.SiteError, "is a file")
    assert file.read_text() == "mine"


def test_a_folder_with_other_files_is_refused_and_left(tmp_path, says_in_one_line):
    (tmp_path / "index.html").write_text("mine")
    says_in_one_line(lambda: site.write({"index.html": "new"}, tmp_path), site.SiteError, "holds other files")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "mine"


def test_an_older_site_is_renewed_and_other_files_stay(tmp_path, says_in_one_line):
    target = tmp_path / "deep" / "site"
    site.write({"index.html": "old", "week9.html": "old"}, target)
    (target / "mine.txt").write_text("mine")
    (tmp_path / "deep" / "precious.txt").write_text("mine")
    with (target / site.MANIFEST).open("a") as manifest:
        manifest.write("../precious.txt\n")
    site.write({"index.html": "new"}, target)
    assert sorted(path.name for path in target.iterdir()) == ["index.html", "mine.txt", site.MANIFEST]
    assert (target / "index.html").read_text() == "new"
    assert (tmp_path / "deep" / "precious.txt").exists()
    says_in_one_line(lambda: site.write({"mine.txt": "new"}, target), site.SiteError, "mine.txt")
    assert (target / "mine.txt").read_text() == "mine"


def test_the_command_line(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(site, "NOTEBOOKS", small[0].parent)
    assert site.main([str(tmp_path / "site")]) == 0
    assert (tmp_path / "site" / "index.html").exists()
    assert "index.html" in capsys.readouterr().out
    for arguments, status in (([str(small[0])], 1), ([str(small[0] / "x")], 1), (["a", "b"], 2), (["--fast"], 2)):
        assert site.main(arguments) == status
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1


def test_the_module_runs_and_says_what_is_wrong(tmp_path):
    command = [sys.executable, "-m", "course_utils.authoring.site", "one", "two"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith("site takes one folder at most") and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
