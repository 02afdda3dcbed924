"""The site and the slides, from disk and with the network cut: nothing is fetched, search, theme and keys work."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from course_utils.authoring import site, slides

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.xdist_group("browser-pages")
NO_OVERFLOW = "() => document.documentElement.scrollWidth <= innerWidth + 1"
PLAIN = "() => document.body.innerText.includes('$$') || /\\\\(frac|partial|sum)\\b/.test(document.body.innerText)"
# the slides whose text runs out of its frame
CUT = """() => slides.map((slide, number) => {
    show(number, true);
    const body = slide.querySelector('.body');
    return body.scrollHeight > body.clientHeight + 1 ? number + 1 : 0;
}).filter(Boolean)"""

# all slides are there at once
CUT_ON_PAPER = """() => slides.filter((slide) => {
  const body = slide.querySelector(".body");
  return body.scrollHeight > body.clientHeight + 1;
}).map((slide) => slide.id)"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the stored notebooks."""
    target = tmp_path_factory.mktemp("site")
    assert site.main([str(target)]) == 0
    return target


@pytest.fixture
def cut_off(chromium: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page without network, and a list of whatever it asks for outside its own folder or complains about."""
    with chromium.new_context(viewport={"width": 1280, "height": 720}) as context:
        context.set_offline(True)
        page, wrong = context.new_page(), []
        page.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or wrong.append(asked.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        yield page, wrong


def test_every_page_opens_without_network(cut_off, folder, keep):
    page, wrong = cut_off
    pages = sorted(folder.glob("*.html"))
    assert len(pages) >= 9  # seven notebooks, overview, index of terms
    for path in pages:
        page.goto(path.as_uri())
        assert page.locator("h1").first.is_visible() and page.evaluate(NO_OVERFLOW)
        assert not page.evaluate(PLAIN), f"{path.name} shows a formula as it is typed"
        images = page.locator("main img")
        assert images.evaluate_all("all => all.every(image => image.complete && image.naturalWidth > 0 && image.alt)")
        assert page.locator("main details[open]").count() == 0
    keep(page, "site-last")
    assert wrong == []


def test_search_theme_and_folded_solutions(cut_off, folder, keep):
    page, wrong = cut_off
    page.goto((folder / "index.html").as_uri())
    page.locator("#search").press_sequentially("Grad-CAM")
    page.locator("#results a").first.wait_for()
    keep(page, "site-search")
    page.keyboard.press("Escape")
    page.locator("#search").fill("学习率")
    page.locator("#results a").first.click()
    page.wait_for_url("**/week*.html#*")
    assert page.evaluate("() => document.getElementById(decodeURIComponent(location.hash.slice(1))) !== null")
    before = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") != before
    solution = page.locator("details:has(summary:has-text('Solution'))").first
    assert not solution.locator("pre").first.is_visible()
    solution.locator("summary").click()
    assert solution.locator("pre").first.is_visible()
    keep(page, "site-dark")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate(NO_OVERFLOW)
    keep(page, "site-narrow")
    assert wrong == []


def test_no_slide_is_cut_and_the_keys_go_on(cut_off, tmp_path, keep):
    page, wrong = cut_off
    for notebook in sorted((ROOT / "notebooks").glob("week*.ipynb")):
        page.goto(slides.build_deck(notebook, tmp_path).as_uri())
        assert page.evaluate(CUT) == [], notebook.stem
    page.evaluate("() => show(0, true)")
    for key in ("ArrowRight", " ", "PageDown"):
        page.keyboard.press(key)
    seen = page.evaluate("() => current")
    assert seen > 0
    page.keyboard.press("Home")
    assert page.evaluate("() => current") == 0
    keep(page, "slides")
    page.reload()  # no slide but the first was ever shown
    page.pdf(path=tmp_path / "slides.pdf", prefer_css_page_size=True)
    page.emulate_media(media="print")
    assert page.evaluate(CUT_ON_PAPER) == []
    assert wrong == []
