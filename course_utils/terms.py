"""The index of the course: every term in English and Chinese, its symbol in torch, and the lesson that has it."""

from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from course_utils._widgets import close_all, close_earlier_run

SYLLABUS = Path(__file__).resolve().parent.parent / "notebooks" / "syllabus.yml"
MOST_SHOWN = 12


@dataclass(frozen=True)
class Term:
    """One entry of the syllabus."""

    week: int
    lesson: str
    title: str
    chinese: str
    symbol: str

    @property
    def place(self) -> str:
        return f"week {self.week}, {self.lesson}"


@cache
def all_terms() -> tuple[Term, ...]:
    """Every concept, function and fact of the six weeks, in the order of the course (errata and exercises left out)."""
    import yaml

    try:
        text = SYLLABUS.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{SYLLABUS.name} is missing from the notebooks folder; "
            f"`git restore notebooks/{SYLLABUS.name}` brings it back"
        ) from None
    # the loader in C, where there is one, takes a tenth of the time
    entries = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return tuple(
        Term(entry["week"], entry["lesson"], entry["title"], entry.get("zh") or "", entry.get("api") or "")
        for entry in entries
        if entry["kind"] not in ("erratum", "exercise")
    )


def find(text: str, week: int | None = None) -> list[Term]:
    """The terms whose English title, Chinese name, symbol or lesson holds every word of `text`, in any case.

    Exact symbols come first, then titles that begin with the text, then the rest, and last those where only the
    lesson's name fits. An empty text finds every term (of `week`).
    """
    words = text.casefold().split()
    wanted = " ".join(words)

    def holds_all(everything: str) -> bool:
        return all(word in everything.casefold() for word in words)

    def fits(term: Term) -> bool:
        return week in (None, term.week) and holds_all(f"{term.title} {term.chinese} {term.symbol} {term.lesson}")

    def distance(term: Term) -> int:
        last = term.symbol.casefold().rsplit(".", 1)[-1]
        if wanted and wanted in (last, term.symbol.casefold(), term.chinese.casefold()):
            return 0
        if term.title.casefold().startswith(wanted):
            return 1
        return 2 if holds_all(f"{term.title} {term.chinese} {term.symbol}") else 3

    return sorted(filter(fits, all_terms()), key=distance)


def table(terms: list[Term]) -> str:
    """`terms` as an HTML table, the first dozen of them."""
    if not terms:
        return "<i>Nothing found. Try a shorter word, in English or Chinese, or a part of a function's name.</i>"
    rows = "".join(
        f"<tr><td style='text-align:left'>{escape(term.title)}</td><td>{escape(term.chinese)}</td>"
        f"<td style='text-align:left'><code>{escape(term.symbol)}</code></td>"
        f"<td style='text-align:left;white-space:nowrap'>{escape(term.place)}</td></tr>"
        for term in terms[:MOST_SHOWN]
    )
    more = f"<small>and {len(terms) - MOST_SHOWN} more</small>" if len(terms) > MOST_SHOWN else ""
    head = "<tr><th>term</th><th>中文</th><th>symbol</th><th>where</th></tr>"
    return f"<table style='line-height:1.4'>{head}{rows}</table>{more}"


class SearchBox:
    """A field to type in, a choice of weeks, and the terms that fit."""

    def __init__(self, text: str = "", week: int | None = None) -> None:
        self._start = (text, week)
        self._controls = None

    def __repr__(self) -> str:
        text, week = self._start
        return f"index of {len(all_terms())} terms; {text!r} finds {len(find(text, week))}"

    def _repr_mimebundle_(self, **_: object) -> dict:
        close_earlier_run(self)
        bundle = self.controls["box"]._repr_mimebundle_()
        return {**bundle, "text/plain": repr(self), "text/html": table(find(*self._start))}

    def close(self) -> None:
        """Give back the widgets."""
        if self._controls is not None:
            close_all([*self._controls.values()])
        self._controls = None

    @property
    def controls(self) -> dict:
        """The widgets by name: `text`, `week` in a `row`, `found`, and the `box` around them."""
        if self._controls is None:
            import ipywidgets

            text = ipywidgets.Text(self._start[0], description="find", placeholder="English, 中文, or a symbol")
            # 0, because a Dropdown takes None for "nothing chosen"
            choices = [("all weeks", 0), *((f"week {week}", week) for week in range(1, 7))]
            week = ipywidgets.Dropdown(options=choices, value=self._start[1] or 0, description="in")
            found = ipywidgets.HTML(table(find(*self._start)))

            def search(_: object) -> None:
                found.value = table(find(text.value, week.value or None))

            text.observe(search, names="value")
            week.observe(search, names="value")
            row = ipywidgets.HBox([text, week])
            box = ipywidgets.VBox([row, found])
            self._controls = {"text": text, "week": week, "found": found, "row": row, "box": box}
        return self._controls


def search_box(text: str = "", week: int | None = None) -> SearchBox:
    """A search box over the index, which starts with `text` and `week`."""
    return SearchBox(text, week)
