"""Build the site: notebooks/*.ipynb, as they are stored, -> pages that open from disk and need no network.

    python -m course_utils.authoring.site             to build/site
    python -m course_utils.authoring.site FOLDER      to another folder, new or empty or an older site

Nothing is run: outputs, figures and the strips of the explorers are those in the notebooks. Formulas become MathML,
figures lie inside the pages. The same notebooks give the same bytes. The look is in pages/: templates, site.css,
site.js.
"""

import base64
import html
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbconvert.filters import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from PIL import Image

from course_utils.authoring.mathml import FormulaError, formula
from course_utils.authoring.rules import SYLLABUS
from course_utils.authoring.structure import EXPLORER, LESSON, OTHER, exercises, headings, read, tags, week_of

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
TARGET = ROOT / "build" / "site"
PAGES = Path(__file__).resolve().parent / "pages"
MANIFEST = "site-files.txt"  # in the target: the files that this command wrote and may replace
ASSETS = ("site.css", "site.js")
COURSE = "PyTorch in six weeks"

# the quiet word beside a code cell; the first tag that a cell has decides
LABELS = {
    "find-the-bug": "Find the bug",
    "exercise": "Your turn",
    "check": "Check",
    "then-and-now": "Then and now",
    "proof": "Proof",
    "skip-execution": "Only in JupyterLab",
}
FOLDED = {"parameters": "Parameters of this notebook", "setup": "Setup: imports, device, seed"}
IMAGES = ("image/svg+xml", "image/png", "image/jpeg")
_WORD = re.compile(r"^(Exercise|Find the bug|Explorer)\b")
_EFFORT = re.compile(r" · \d+ min · ★{1,3}$")
_DETAILS = re.compile(r"<details>.*?</details>", re.DOTALL)
_PREDICTION = re.compile(r"\? (?P<question>.+?)(?:  \[(?P<options>.+)\])?", re.DOTALL)


class SiteError(RuntimeError):
    """The site cannot be built; the message is one line."""


@dataclass(frozen=True)
class Heading:
    """A heading of a page: `title` is plain text, `anchor` its id."""

    level: int
    title: str
    anchor: str


@dataclass
class Block:
    """One cell on a page: its HTML, its CSS classes, and what the search knows of it.

    `passages` are (heading or None, text): the text goes on under the last heading before it.
    """

    id: str
    html: Markup
    classes: str
    passages: list[tuple[Heading | None, str]]
    covers: list[str]


@dataclass
class Lesson:
    """A line in the table of lessons; `minutes` is None for a warm-up or a recap."""

    title: str
    anchor: str
    minutes: int | None


@dataclass
class Page:
    """One notebook as a page. `links` are the addresses in its prose that must lead somewhere in the site."""

    name: str
    title: str
    week: int | None
    lead: Markup
    blocks: list[Block]
    lessons: list[Lesson]
    counts: dict[str, int]
    anchors: set[str]
    links: list[str] = field(default_factory=list)

    @property
    def minutes(self) -> int:
        return sum(lesson.minutes or 0 for lesson in self.lessons)


def plain(source: str) -> str:
    """HTML as one line of plain text."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", source)).split())


def page_name(notebook: str) -> str:
    """The page of a notebook: week1_x.ipynb -> week1_x.html."""
    return notebook.removesuffix(".ipynb") + ".html"


class Prose(IPythonRenderer):
    """Markdown as nbconvert and JupyterLab read it, with MathML for formulas and pages for notebooks.

    One object renders one page, cell by cell; it collects `headings` and `links` on the way.
    """

    def __init__(self, folder: Path) -> None:
        # not embed_images: it would close a <details> that ends in a later block
        super().__init__(escape=False, path=str(folder))
        self.headings: list[Heading] = []
        self.links: list[str] = []
        self._taken: Counter[str] = Counter()

    def render(self, source: str) -> str:
        """One cell's markdown as HTML. Raises FormulaError, and SiteError for a picture that is not there."""
        rendered = MarkdownWithMath(renderer=self).render(source)
        if outside := re.search(r"""<img\b[^>]*\bsrc=["'](?!data:)([^"']*)""", rendered):
            raise SiteError(f"the picture {outside[1]} is no file beside the notebook; put it there")
        return rendered

    def inline_math(self, body: str) -> str:
        return formula(body)

    def block_math(self, body: str) -> str:
        return formula(body, block=True)

    def latex_environment(self, name: str, body: str) -> str:
        return formula(rf"\begin{{{name}}}{body}\end{{{name}}}", block=True)

    def heading(self, text: str, level: int, **attrs: object) -> str:
        """A heading with the id that JupyterLab gives it, and a link to itself."""
        title = plain(text)
        anchor = title.replace(" ", "-")
        self._taken[anchor] += 1
        if self._taken[anchor] > 1:
            anchor += f"-{self._taken[anchor]}"
        self.headings.append(Heading(level, title, anchor))
        text = _WORD.sub(r'<span class="kind">\1</span>', text)
        text = _EFFORT.sub(lambda match: f'<span class="effort">{match[0]}</span>', text)
        link = f'<a class="anchor" href="#{quote(anchor)}" aria-label="Link to this heading">#</a>'
        return f'<h{level} id="{html.escape(anchor)}">{text}{link}</h{level}>\n'

    def block_quote(self, text: str) -> str:
        kind = "myth" if text.lstrip().startswith("<p><strong>Myth") else "note"
        return f'<blockquote class="{kind}">\n{text}</blockquote>\n'

    def table(self, text: str) -> str:
        return f'<div class="wide"><table>\n{text}</table></div>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if not re.match(r"[a-z][a-z0-9+.-]*:", url):
            file, hash_sign, anchor = url.partition("#")
            url = (page_name(file) if file.endswith(".ipynb") else file) + hash_sign + anchor
            self.links.append(url)
        return super().link(text, url, title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return super().image(text, self._src_to_base64(unquote(url)) or url, title)


# --- outputs ---


def picture(mime: str, data: str, text: str, place: str) -> str:
    """A figure or the strip of an explorer, with its sentence as alt text and caption."""
    explorer = text.startswith("[explorer] ")
    said = text.removeprefix("[explorer] ").removeprefix("[figure] ")
    alt = f"A figure in: {place}" if said.startswith("<") else said
    if mime == "image/svg+xml":
        size, encoded = "", base64.b64encode(data.encode()).decode()
    else:
        encoded = "".join(data.split())
        width, height = Image.open(BytesIO(base64.b64decode(encoded))).size
        size = f' width="{width}" height="{height}"'
    note = '<span class="label">Explorer, three settings; it moves in JupyterLab</span> ' if explorer else ""
    # the caption says what the alt text says: nobody needs to hear it twice
    caption = "" if alt is not said else f'<figcaption aria-hidden="true">{note}{html.escape(said)}</figcaption>'
    return (
        f'<figure class="{"explorer" if explorer else "plot"}">'
        f'<img src="data:{mime};base64,{encoded}" alt="{html.escape(alt)}"{size}>{caption}</figure>'
    )


def prediction(question: str, options: str | None, name: str) -> str:
    """A question with its options as buttons to choose from, which need no kernel."""
    buttons = "".join(
        f'<label><input type="radio" name="guess-{name}" value="{html.escape(option)}"> {html.escape(option)}</label>'
        for option in (options.split(" | ") if options else [])
    )
    return (
        f'<fieldset class="predict"><legend>Predict</legend><p>{html.escape(question)}</p>'
        f"{f'<div>{buttons}</div>' if buttons else ''}</fieldset>"
    )


def rendered_outputs(cell: NotebookNode, place: str) -> str:
    """Everything that a code cell showed; `place` is the heading above it."""
    parts: list[str] = []
    shown = ""  # the sentence of the picture before
    for output in cell.outputs:
        said, shown = shown, ""
        if output.output_type == "stream":
            parts.append(f'<pre class="output">{ansi2html(output.text)}</pre>')
            continue
        if output.output_type == "error":
            raise SiteError(f"{cell.source.splitlines()[0]!r} stopped with {output.ename}; build the notebook again")
        data, text = output.data, output.data.get("text/plain", "")
        mime = next((mime for mime in IMAGES if mime in data), None)
        guess = _PREDICTION.fullmatch(text)
        if mime:
            parts.append(picture(mime, data[mime], text, place))
            shown = text.removeprefix("[figure] ")
        elif "text/html" in data:
            source = data["text/html"]
            # the small print under a figure is its caption already
            if not (source.startswith("<small>") and plain(source) == " ".join(said.split())):
                kind = "reveal" if source.startswith("<div") and "you predicted:" in source else "wide"
                parts.append(f'<div class="shown {kind}">{source}</div>')
        elif guess:
            parts.append(prediction(guess["question"], guess["options"], cell.id))
        elif text:
            parts.append(f'<pre class="output">{ansi2html(text)}</pre>')
    return "\n".join(parts)


# --- pages ---


def code_block(cell: NotebookNode, prose: Prose) -> tuple[str, str]:
    """The HTML and the CSS classes of a code cell with its outputs."""
    marks = tags(cell)
    source = prose.block_code(cell.source, "python")
    kind = next((tag for tag in LABELS if tag in marks), "")
    folded = next((tag for tag in FOLDED if tag in marks), None)
    if folded:
        source = f"<details><summary>{FOLDED[folded]}</summary>\n{source}</details>"
    elif kind:
        source = f'<span class="label">{LABELS[kind]}</span>\n{source}'
    place = prose.headings[-1].title if prose.headings else "the notebook"
    return f"{source}\n{rendered_outputs(cell, place)}", f"cell code {kind or folded or ''}".strip()


def passages(rendered: str, found: list[Heading]) -> list[tuple[Heading | None, str]]:
    """The text of a rendered markdown cell, split at its headings; hints and solutions are left out."""
    # formulas are no words
    words = re.sub(r"<math\b.*?</math>", " … ", _DETAILS.sub("", rendered), flags=re.DOTALL)
    pieces = re.split(r"<h[1-6] id=.*?</h[1-6]>", words, flags=re.DOTALL)
    # a blank between blocks, so that words stay apart
    texts = [plain(re.sub(r"(</(?:p|li|td|th|pre|summary)>)", r"\1 ", piece)) for piece in pieces]
    return [(heading, text) for heading, text in zip([None, *found], texts, strict=True) if heading or text]


def blocks_of(notebook: NotebookNode, prose: Prose) -> list[Block]:
    """Every cell as a block, in order. Raises SiteError naming the cell."""
    in_exercise: dict[int, str] = {}
    for exercise in exercises(notebook):
        in_exercise |= {index: " task" for index in range(exercise.task, exercise.help + 1)}
        in_exercise[exercise.task] += " first"
        in_exercise[exercise.help] += " last"
    blocks = []
    for index, cell in enumerate(notebook.cells):
        before = len(prose.headings)
        try:
            if cell.cell_type == "markdown":
                rendered, classes = prose.render(cell.source), "cell prose"
                found = passages(rendered, prose.headings[before:])
            elif cell.cell_type == "code":
                rendered, classes = code_block(cell, prose)
                found = [] if "setup" in tags(cell) else [(None, " ".join(cell.source.split()))]
            else:
                continue
        except (FormulaError, SiteError) as error:
            raise SiteError(f"cell {index + 1}: {error}") from None
        classes += in_exercise.get(index, "")
        blocks.append(Block(cell.id, Markup(rendered), classes, found, list(cell.metadata.get("covers", []))))
    return blocks


def minutes_of(notebook: NotebookNode, number: str) -> int | None:
    """The minutes that the title cell gives for a lesson ("1.4"): a number alone in a table's cell, or `20 min`."""
    for line in notebook.cells[0].source.splitlines():
        if re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", line):
            if found := re.search(r"\|\s*(\d+)\s*\||\b(\d+) min\b", line):
                return int(found[1] or found[2])
    return None


def lead_of(notebook: NotebookNode, prose: Prose) -> Markup:
    """The first paragraph under the title, without bold type: a week's question, as it stands on the index page."""
    paragraphs = [part for part in notebook.cells[0].source.split("\n\n") if not part.startswith("#")]
    text = paragraphs[0].replace("**", "").removeprefix("The question of the week: ") if paragraphs else ""
    rendered = prose.render(text[:1].upper() + text[1:]).strip()
    return Markup(rendered.removeprefix("<p>").removesuffix("</p>"))


def make_page(path: Path) -> Page:
    """The page of one stored notebook. Raises SiteError."""
    try:
        notebook = read(path)
        if not notebook.cells:
            raise SiteError("it has no cells; build it again")
        prose = Prose(path.parent)
        blocks = blocks_of(notebook, prose)
        lead = lead_of(notebook, Prose(path.parent))
    except SiteError as error:
        raise SiteError(f"{path.name}: {error}") from None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        reason = (str(error).splitlines() or [""])[0][:120]
        raise SiteError(
            f"{path.name} cannot be read as a notebook ({type(error).__name__}: {reason}); build it again"
        ) from error
    lessons = []
    for heading in prose.headings:
        line = "#" * heading.level + " " + heading.title
        if match := LESSON.match(line):
            lessons.append(Lesson(heading.title, heading.anchor, minutes_of(notebook, f"{match[1]}.{match[2]}")))
        elif OTHER.match(line) or (week_of(path) is None and heading.level == 2):
            lessons.append(Lesson(heading.title, heading.anchor, None))
    found = exercises(notebook)
    counts = {
        "exercises": sum(not exercise.is_bug for exercise in found),
        "bugs to find": sum(exercise.is_bug for exercise in found),
        "explorers": sum(bool(EXPLORER.match(line)) for _, line in headings(notebook)),
    }
    return Page(
        name=page_name(path.name),
        title=prose.headings[0].title if prose.headings else path.stem,
        week=week_of(path),
        lead=lead,
        blocks=blocks,
        lessons=lessons,
        counts={name: count for name, count in counts.items() if count},
        anchors={heading.anchor for heading in prose.headings} | {block.id for block in blocks},
        links=prose.links,
    )


def check_links(pages: list[Page]) -> None:
    """Every link in the prose leads to a page and a place that exist; raises SiteError for the first that does not."""
    anchors = {page.name: page.anchors for page in pages}
    for page in pages:
        for url in page.links:
            file, _, anchor = unquote(url).partition("#")
            file = file or page.name
            if file not in anchors:
                raise SiteError(f"{page.name}: the link {url} leads to no page of the site; name a notebook beside it")
            if anchor and anchor not in anchors[file]:
                raise SiteError(f"{page.name}: the link {url} leads to no heading; copy the heading, with - for blanks")


# --- search ---


@cache
def syllabus_terms() -> dict[str, tuple[str, str, str]]:
    """What the syllabus calls its items: id -> (English, Chinese, symbol); old mistakes and exercises left out."""
    entries = yaml.load(SYLLABUS.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {
        entry["id"]: (entry["title"], entry.get("zh") or "", entry.get("api") or "")
        for entry in entries
        if entry["kind"] not in ("erratum", "exercise")
    }


def search_index(pages: list[Page]) -> dict[str, list]:
    """What the search knows.

    `pages`: [file, title]; `places`: [page, anchor, heading, lesson] for each heading; `texts`: [place, cell, text];
    `terms`: [place, cell, English, Chinese, symbol], each where it is taught first. Pages and places are numbers.
    """
    index: dict[str, list] = {"pages": [], "places": [], "texts": [], "terms": []}
    known: set[str] = set()
    for page in pages:
        index["pages"].append([page.name, page.title])
        number, lesson, place = len(index["pages"]) - 1, "", None
        for block in page.blocks:
            for heading, text in block.passages:
                if heading:
                    lesson = heading.title if heading.level <= 2 else lesson
                    index["places"].append([number, heading.anchor, heading.title, lesson])
                    place = len(index["places"]) - 1
                if text and place is not None:
                    index["texts"].append([place, block.id, text])
            for item in block.covers:
                if item in syllabus_terms() and item not in known and place is not None:
                    known.add(item)
                    index["terms"].append([place, block.id, *syllabus_terms()[item]])
    return index


def term_table(index: dict[str, list]) -> list[dict[str, str]]:
    """The terms in the order of the alphabet, each with the address of its cell and the name of its lesson."""
    rows = []
    for place, cell, title, chinese, symbol in index["terms"]:
        page, _, heading, lesson = index["places"][place]
        file = index["pages"][page][0]
        key = re.sub(r"^[\W_]*(?:(?:an?|the) )?", "", title.casefold())  # _buffers under B, "The kernel" under K
        letter = key[0].upper() if "a" <= key[:1] <= "z" else "0-9"
        row = {"title": title, "chinese": chinese, "symbol": symbol, "letter": letter, "key": key}
        rows.append(row | {"url": f"{file}#{cell}", "place": lesson or heading})
    return sorted(rows, key=lambda row: (row["letter"], row["key"], row["url"]))


# --- the whole site ---


def make_site(notebooks: list[Path]) -> dict[str, str]:
    """The files of the site, name -> text, from stored notebooks in the order of the course. Raises SiteError."""
    if not notebooks:
        raise SiteError("there are no notebooks; run `python course.py notebooks` first")
    pages = [make_page(path) for path in notebooks]
    check_links(pages)
    index = search_index(pages)
    # an undefined name in a template is a mistake, not an empty text
    templates = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shared = {"course": COURSE, "pages": pages}
    files = {}
    for number, page in enumerate(pages):
        files[page.name] = templates.get_template("page.html").render(
            **shared,
            current=page.name,
            page=page,
            previous=pages[number - 1] if number else None,
            following=pages[number + 1] if number + 1 < len(pages) else None,
        )
    files["index.html"] = templates.get_template("index.html").render(**shared, current="index.html")
    rows = term_table(index)
    files["terms.html"] = templates.get_template("terms.html").render(**shared, current="terms.html", terms=rows)
    files |= {name: (PAGES / name).read_text(encoding="utf-8") for name in ASSETS}
    # a script, because a page on disk may not fetch a file
    text = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
    files["search-index.js"] = f"window.courseIndex = {text};\n"
    return files


def write(files: dict[str, str], target: Path) -> None:
    """Write the site; what is not its own stays as it is. Raises SiteError before anything is changed.

    The folder may be new, empty, or an older site: then pages that no longer exist are removed.
    """
    if target.exists() and not target.is_dir():
        raise SiteError(f"{target} is a file; name a folder, for example build/site")
    manifest = target / MANIFEST
    # only names, never paths: nothing outside the folder can be meant
    written = set()
    if manifest.is_file():
        written = {name for name in manifest.read_text(encoding="utf-8").splitlines() if name == Path(name).name}
    elif target.is_dir() and any(target.iterdir()):
        raise SiteError(f"{target} holds other files and no site; name a new or an empty folder")
    for name in sorted(files.keys() - written):
        if (target / name).exists():
            raise SiteError(f"{target / name} was not written by this command; move it away or name another folder")
    target.mkdir(parents=True, exist_ok=True)
    manifest.write_text("".join(f"{name}\n" for name in sorted(written | files.keys())), encoding="utf-8", newline="\n")
    for name, text in files.items():
        (target / name).write_text(text, encoding="utf-8", newline="\n")
    for name in written - files.keys():
        (target / name).unlink(missing_ok=True)
    manifest.write_text("".join(f"{name}\n" for name in sorted(files)), encoding="utf-8", newline="\n")


def main(arguments: list[str]) -> int:
    """Build the site from the notebooks of the course; returns the exit status."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print("site takes one folder at most, for example: python course.py site build/site", file=sys.stderr)
        return 2
    target = Path(arguments[0]) if arguments else TARGET
    try:
        files = make_site(sorted(NOTEBOOKS.glob("*.ipynb")))
        write(files, target)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"the site cannot be written to {target}: {error.strerror}; name another folder", file=sys.stderr)
        return 1
    size = sum(len(text.encode()) for text in files.values())
    print(f"{len(files)} files, {size / 1e6:.1f} MB: open {target / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
