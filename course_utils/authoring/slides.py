"""Slides for the lecture hall: notebooks/weekN_….ipynb, as they are stored -> build/slides/weekN_….html.

    python -m course_utils.authoring.slides            a deck for every week
    python -m course_utils.authoring.slides week1      those whose name begins so

A deck is one file that loads nothing: pictures, formulas (MathML), style and script are in it. What becomes a slide
follows from the notebook's structure alone: a title slide for each lesson; a slide for each paragraph with its code,
its output behind a key press; a figure as large as fits, an explorer in its three stored
settings; a prediction by itself, its answer a key press later; an
exercise with its task and stub, hints and solution behind the key S. Notes come from notebooks/for_teachers.md (key N).
"""

import base64
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from math import ceil
from pathlib import Path

import numpy as np
from bs4 import BeautifulSoup, Tag
from nbconvert.filters.markdown import markdown2html
from nbformat import NotebookNode
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_utils.authoring.build import built_path, find_sources
from course_utils.authoring.mathml import to_mathml
from course_utils.authoring.structure import LESSON, OTHER, exercises, preparation, read, tags, week_of

ROOT = Path(__file__).resolve().parents[2]
SLIDES = ROOT / "build" / "slides"
NOTES = ROOT / "notebooks" / "for_teachers.md"
DECK = Path(__file__).resolve().parent / "deck"
FORMATTER = HtmlFormatter(nowrap=True, style="friendly")

# estimates of heights, in pixels of a slide of 1280 x 720; deck.js corrects what they get wrong
ROOM = 630
TEXT_LINE, TEXT_WIDTH = 42, 80  # pixels, characters
CODE_LINE, CODE_WIDTH = 32, 77
FIGURE = 440
CAPTION = 180  # characters; a longer sentence would take the figure's place, it stays as alt text
CODE_LINES = 17  # of one slide


@dataclass(frozen=True)
class Block:
    """A piece of a slide: its HTML and about how high it is; a `step` waits for a key press."""

    html: str
    height: int
    step: bool = False
    leads: bool = False  # is nothing without the block that follows: a heading, the code of an output


@dataclass
class Slide:
    """What stands on one slide; `part` is the lesson it belongs to ("1.2"), `help` the exercise ("1.4")."""

    part: str
    label: str
    blocks: list[Block] = field(default_factory=list)
    help: str = ""
    kind: str = ""


@dataclass
class Deck:
    """A week's slides and, by exercise, its folded help: a list of HTML pieces in the order of their opening."""

    title: str
    slides: list[Slide]
    helps: dict[str, list[str]]


def timetable(notebook: NotebookNode) -> dict[str, tuple[int, str]]:
    """The minutes and the product of each lesson, from the table in the title cell: "1.1" -> (10, "a program …")."""
    rows = re.findall(r"^\| (\d+\.\d+) [^|]*\| (\d+) \| ([^|]*) \|$", notebook.cells[0].source, re.MULTILINE)
    return {number: (int(minutes), product) for number, minutes, product in rows}


# --- text ---


def elements(source: str) -> list[Tag]:
    """Markdown as HTML elements of the top level; formulas are MathML, links lead out or to another deck."""
    page = BeautifulSoup(to_mathml(markdown2html(source)), "html.parser")
    for anchor in page.find_all("a", class_="anchor-link"):
        anchor.decompose()
    for link in page.find_all("a"):
        target = link.get("href", "")
        if match := re.match(r"(week\d\w*)\.ipynb", target):
            link["href"] = f"{match[1]}.html"
        elif not target.startswith("https://"):
            link.unwrap()
    return [child for child in page.children if isinstance(child, Tag)]


def text_height(element: Tag) -> int:
    """About how many pixels an element of text takes."""
    if element.name in ("ul", "ol"):
        return sum(text_height(item) + 8 for item in element.find_all("li", recursive=False))
    if element.name == "table":
        return sum(ceil(len(row.get_text()) / TEXT_WIDTH) * 48 for row in element.find_all("tr"))
    if element.name == "blockquote":
        return 24 + sum(text_height(child) for child in element.find_all(True, recursive=False))
    if element.name in ("div", "pre"):
        return 24 + CODE_LINE * len(element.get_text().splitlines())
    if element.name in ("h2", "h3", "h4"):
        return 47
    formulas = len(element.find_all("math", display="block")) + len(element.find_all("mfrac"))
    return ceil(len(element.get_text()) / TEXT_WIDTH) * TEXT_LINE + 45 * formulas


def text_blocks(source_elements: list[Tag]) -> Iterator[Block]:
    """Elements as blocks; a list or table too long for one slide is divided between its items or rows."""
    for element in source_elements:
        rows = element.find_all("tr" if element.name == "table" else "li", recursive=element.name == "table")
        if text_height(element) > ROOM and element.name in ("table", "ul", "ol"):
            head = str(rows.pop(0)) if element.name == "table" else ""
            first, chunk, height = 1, [], 0
            for number, row in enumerate(rows, start=1):
                tall = text_height(row) + 8
                if chunk and height + tall > ROOM - 70:
                    yield Block(f'<{element.name} start="{first}">{head}{"".join(chunk)}</{element.name}>', height)
                    first, chunk, height = number, [], 0
                chunk.append(str(row))
                height += tall
            yield Block(f'<{element.name} start="{first}">{head}{"".join(chunk)}</{element.name}>', height)
        else:
            yield Block(str(element), text_height(element), leads=element.name in ("h2", "h3", "h4"))


# --- code and outputs ---


def code_pieces(source: str) -> list[str]:
    """Code in pieces that fit on a slide, divided where a statement begins."""
    lines, pieces = source.rstrip().split("\n"), []
    while len(lines) > CODE_LINES:
        # not so early that a rest of two lines remains
        starts = [n for n in range(6, CODE_LINES + 1) if lines[n][:1].strip() and lines[n][0] not in ")]}"]
        blanks = [n for n in range(6, CODE_LINES + 1) if not lines[n - 1].strip()]
        cut = max(starts or blanks or [CODE_LINES])
        pieces.append("\n".join(lines[:cut]).rstrip())
        lines = lines[cut:]
    return [*pieces, "\n".join(lines)]


def wrapped_lines(text: str) -> int:
    """How many lines a text takes in the slide's fixed-width type."""
    return sum(max(1, ceil(len(line) / CODE_WIDTH)) for line in text.splitlines())


def code_blocks(source: str) -> Iterator[Block]:
    """The code of a cell, coloured; what does not fit on one slide continues on the next."""
    pieces = code_pieces(source)
    for number, piece in enumerate(pieces, start=1):
        more = f'<p class="more">({number} of {len(pieces)})</p>' if len(pieces) > 1 else ""
        html = f'<div><pre class="code">{highlight(piece, PythonLexer(), FORMATTER).rstrip()}</pre>{more}</div>'
        height = 24 + CODE_LINE * wrapped_lines(piece) + 30 * bool(more)
        yield Block(html, height, leads=number == len(pieces))


def asked(cell: NotebookNode) -> tuple[str, list[str]] | None:
    """The question and the choices of a cell that shows a prediction; None for any other cell."""
    for output in cell.outputs:
        if match := re.match(r"\? (.*?)(?:  \[(.*)\])?\Z", output.get("data", {}).get("text/plain", ""), re.DOTALL):
            return match[1], match[2].split(" | ") if match[2] else []
    return None


def prediction(question: str, options: list[str]) -> Block:
    """A question with its choices, without the code that asks it."""
    choices = "".join(f"<li>{escape(option)}</li>" for option in options)
    html = (
        f'<div><p class="label">Predict</p><p class="question">{escape(question)}</p>'
        f'<ol class="choices">{choices}</ol></div>'
    )
    return Block(html, 60 + ceil(len(question) / 55) * 52 + 52 * len(options))


def output_texts(text: str) -> Iterator[Block]:
    """Printed text; what is longer than a slide continues on the next."""
    held: list[str] = []
    for line in [*text.rstrip().splitlines(), None]:
        if held and (line is None or wrapped_lines("\n".join([*held, line])) > CODE_LINES + 1):
            shown = "\n".join(held)
            yield Block(f'<pre class="output">{escape(shown)}</pre>', 6 + CODE_LINE * wrapped_lines(shown), step=True)
            held = []
        if line is not None:
            held.append(line)


def settings_of(strip: bytes) -> list[bytes]:
    """An explorer's strip, three settings one below the other, as three pictures: as one it is too high for a slide.

    It is cut where a white row is nearest to a third: the sentences above the settings have one line or two.
    """
    image = Image.open(io.BytesIO(strip))
    rows = np.asarray(image.convert("RGB"))
    white = np.flatnonzero((rows > 250).all(axis=(1, 2)))
    cuts = [0, *(int(min(white, key=lambda row: abs(row - image.height * k / 3))) for k in (1, 2)), image.height]
    parts = []
    for top, bottom in itertools.pairwise(cuts):
        part = io.BytesIO()
        image.crop((0, top, image.width, bottom)).save(part, "PNG", optimize=True)
        parts.append(part.getvalue())
    return parts


def figure(picture: bytes, kind: str, alt: str, caption: str = "") -> Block:
    """A picture as a slide's figure, with the sentence under it."""
    image = f'<img src="data:{kind};base64,{base64.b64encode(picture).decode()}" alt="{escape(alt)}">'
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return Block(f'<figure class="figure">{image}{below}</figure>', FIGURE + ceil(len(caption) / 90) * 30, step=True)


def output_blocks(cell: NotebookNode) -> Iterator[Block]:
    """The outputs of a cell: text, the answer of a prediction, figures with the sentence under them, explorers."""
    outputs = [output for output in cell.outputs if output.output_type == "stream" or output.get("data")]
    for output, following in zip(outputs, [*outputs[1:], None], strict=False):
        data = output.get("data", {})
        plain = output.text if output.output_type == "stream" else data.get("text/plain", "")
        kind = next((kind for kind in ("image/png", "image/jpeg") if kind in data), None)
        if kind and plain.startswith("[explorer] "):
            for number, part in enumerate(settings_of(base64.b64decode(data[kind])), start=1):
                yield figure(part, "image/png", f"{plain.removeprefix('[explorer] ')} Setting {number} of 3.")
        elif kind:
            below = "" if following is None else following.get("data", {}).get("text/html", "")
            words = BeautifulSoup(below, "html.parser").get_text() if below.startswith("<small>") else ""
            caption = words if len(words) <= CAPTION else ""
            yield figure(base64.b64decode(data[kind]), kind, words or plain.removeprefix("[figure] "), caption)
        elif plain.startswith("you predicted:"):
            truth = plain.partition("it is:")[2].strip()
            yield Block(f'<p class="reveal">It is: <b>{escape(truth)}</b></p>', 70, step=True)
        elif plain and not data.get("text/html", "").startswith("<small>"):
            yield from output_texts(plain)


# --- slides ---


def height_of(blocks: list[Block]) -> int:
    """About how many pixels some blocks take, with the gaps between them."""
    return sum(block.height + 15 for block in blocks)


def pack(blocks: list[Block], part: str, label: str, help_of: str = "") -> list[Slide]:
    """Blocks on as few slides as their order and heights allow. Nothing waits for a key at the top of a slide."""
    slides: list[Slide] = []
    held: list[Block] = []

    def close() -> None:
        nonlocal held
        if held:
            first, *rest = held
            slides.append(Slide(part, label, [Block(first.html, first.height), *rest], help_of))
            held = []

    for block in blocks:
        if held and height_of(held) + block.height > ROOM:
            split = len(held)
            while split and held[split - 1].leads:
                split -= 1
            if split and height_of(held[split:]) + block.height <= ROOM:
                held, carried = held[:split], held[split:]
            else:
                carried = []
            close()
            held.extend(carried)
        held.append(block)
    close()
    return slides


def join(slides: list[Slide], blocks: list[Block]) -> bool:
    """Put a closing remark at the end of the last slide, as a step; returns whether there was room for it."""
    last = slides[-1]
    if last.kind or last.help or height_of([*last.blocks, *blocks]) > ROOM:
        return False
    words = "".join(block.html for block in blocks)
    last.blocks.append(Block(f'<div class="remark">{words}</div>', height_of(blocks), step=True))
    return True


def help_pieces(source: str) -> list[str]:
    """The folded parts of a help cell, unfolded, each with its name."""
    pieces = []
    for details in (element for element in elements(source) if element.name == "details"):
        name = details.summary.get_text()
        details.summary.decompose()
        pieces.append(f"<div><h3>{escape(name)}</h3>{details.decode_contents().strip()}</div>")
    return pieces


def title_slides(notebook: NotebookNode, week: str) -> Iterator[Slide]:
    """The week's title slide, its aims, its lessons, and the code that every lesson counts on."""
    heading, *rest = elements(notebook.cells[0].source)
    question, *others = rest
    title = heading.get_text()
    block = Block(f"<h1>{escape(title)}</h1>{question}", ROOM)
    yield Slide("", "", [block], kind="title")
    for element in others:
        if element.name == "table":
            element["class"] = "agenda"
            for cell in element.find_all("td"):
                if match := re.match(r"(\d+\.\d+) ", cell.get_text()):
                    words = cell.decode_contents()
                    cell.clear()
                    cell.append(BeautifulSoup(f'<a href="#lesson-{match[1]}">{words}</a>', "html.parser"))
    yield from pack(list(text_blocks(others)), "", week)
    for index in preparation(notebook):
        yield from pack(list(code_blocks(notebook.cells[index].source)), "", f"{week}: before every lesson")


def part_slide(heading: str, times: dict[str, tuple[int, str]]) -> Slide:
    """The title slide of a lesson, the warm-up or the recap."""
    words = heading.removeprefix("## ")
    if not LESSON.match(heading):
        return Slide(words, words, [Block(f"<h2>{escape(words)}</h2>", ROOM)], kind="title part")
    number, _, title = words.partition(" ")
    minutes, product = times.get(number, (0, ""))
    said = f"<p>{minutes} minutes. You build {escape(product)}.</p>" if minutes else ""
    html = f'<p class="number">{number}</p><h2>{escape(title)}</h2>{said}'
    return Slide(number, words, [Block(html, ROOM)], kind="title part")


def deck(notebook: NotebookNode, week: str) -> Deck:
    """The slides of a stored notebook; `week` names it at the head of slides that belong to no lesson."""
    cells, times = notebook.cells, timetable(notebook)
    slides, helps = list(title_slides(notebook, week)), {}
    left_out = {0, *preparation(notebook)}
    task_of = {}
    for exercise in exercises(notebook):
        helps[exercise.number] = help_pieces(cells[exercise.help].source)
        left_out |= {exercise.check, exercise.help}
        task_of |= {exercise.task: exercise.number, exercise.stub: exercise.number}
    part, label, held, help_of = "", week, [], ""

    def close() -> None:
        only_words = bool(held) and not any(block.leads or block.step for block in held) and not help_of
        if not (only_words and slides[-1].part == part and join(slides, held)):
            slides.extend(pack(held, part, label, help_of))
        held.clear()

    for index, cell in enumerate(cells):
        if index in left_out:
            continue
        if cell.cell_type == "markdown":
            close()
            help_of = task_of.get(index, "")
            found = [element for element in elements(cell.source) if element.name != "details"]
            first = cell.source.split("\n", 1)[0].rstrip()
            if LESSON.match(first) or OTHER.match(first):
                slides.append(part_slide(first, times))
                part, label = slides[-1].part, slides[-1].label
                found = found[1:]
            held.extend(text_blocks(found))
        elif "check" in tags(cell) or "check.summary(" in cell.source:
            continue
        elif question := asked(cell):
            # by itself: what was on the screen before might give the answer away
            close()
            slides.append(Slide(part, label, [prediction(*question)], help_of))
        else:
            held.extend(code_blocks(cell.source))
            held.extend(output_blocks(cell))
    close()
    title = cells[0].source.split("\n", 1)[0].removeprefix("# ")
    return Deck(title, slides, helps)


# --- the page ---


def notes(text: str) -> dict[str, str]:
    """The teacher's notes of every lesson, as HTML: what stands under its heading `### 1.2 …`."""
    found: dict[str, list[str]] = {}
    number = ""
    for line in text.splitlines():
        if re.match(r"#{1,3} ", line):
            match = re.match(r"### (\d+\.\d+) ", line)
            number = match[1] if match else ""
        elif number:
            found.setdefault(number, []).append(line)
    return {number: "".join(map(str, elements("\n".join(lines)))) for number, lines in found.items()}


def page(made: Deck, said: dict[str, str]) -> str:
    """A deck as one HTML page; `said` holds the notes of each lesson."""
    sections, total = [], len(made.slides)
    for number, slide in enumerate(made.slides, start=1):
        name = f"s{number}"
        if "part" in slide.kind:
            name = f"lesson-{slide.part}"
        extra = f' data-help="help-{slide.help}"' if slide.help in made.helps else ""
        extra += f' data-notes="notes-{slide.part}"' if slide.part in said else ""
        # every block that can be a step begins with its class
        body = "\n".join(b.html.replace('class="', 'class="step ', 1) if b.step else b.html for b in slide.blocks)
        hint = " · S: hint" if slide.help in made.helps else ""
        head = f"<header><span>{escape(slide.label)}</span><span>{number} / {total}{hint}</span></header>"
        opening = f'<section id="{escape(name)}" class="{slide.kind}"{extra}>'
        sections.append(f'{opening}{head}<div class="body">\n{body}\n</div></section>')
    parts = {slide.part for slide in made.slides}
    templates = [f'<template id="help-{key}">{"".join(pieces)}</template>' for key, pieces in made.helps.items()]
    templates += [f'<template id="notes-{key}">{words}</template>' for key, words in said.items() if key in parts]
    style = (DECK / "deck.css").read_text(encoding="utf-8") + FORMATTER.get_style_defs("pre")
    script = (DECK / "deck.js").read_text(encoding="utf-8")
    lines = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(made.title)}</title>\n<style>\n{style}\n</style>\n</head>\n<body>\n<main>",
        *sections,
        '<aside class="panel" hidden></aside><div class="progress"></div>\n</main>',
        *templates,
        f"<script>\n{script}</script>\n</body>\n</html>",
    ]
    return "\n".join(lines) + "\n"


def week_notebooks(names: list[str]) -> list[Path]:
    """The stored notebooks of the weeks whose names begin with one of `names`, all weeks without names.

    Raises ValueError for a name that no week begins with, and for a notebook that has not been built.
    """
    found = [built_path(source) for source in find_sources(names) if week_of(source) is not None]
    if not found:
        raise ValueError(f"{', '.join(names)} is no week; name one, for example week1")
    for path in found:
        if not path.exists():
            raise ValueError(f"{path.name} is not there; build it first: python course.py notebooks {path.stem}")
    return found


def build_deck(notebook: Path, folder: Path = SLIDES) -> Path:
    """Write the deck of one stored notebook into `folder`; returns its path."""
    said = notes(NOTES.read_text(encoding="utf-8")) if NOTES.exists() else {}
    text = page(deck(read(notebook), f"Week {week_of(notebook)}"), said)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{notebook.stem}.html"
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8", newline="\n")
    os.replace(unfinished, target)
    return target


def build_each(names: list[str], build: Callable[[Path], str]) -> int:
    """Call `build` for the notebook of each week that `names` begin and print what it says; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    try:
        for notebook in week_notebooks(names):
            print(build(notebook))
    except (ValueError, OSError) as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 2
    return 0


def main(names: list[str]) -> int:
    """Build the decks of the weeks that `names` begin; returns the exit status."""

    def build(notebook: Path) -> str:
        target = build_deck(notebook)
        return f"{target.relative_to(ROOT)}, {target.stat().st_size / 1e6:.1f} MB"

    return build_each(names, build)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
