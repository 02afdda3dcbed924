"""Every notebook in a real JupyterLab: Run All reaches the end, and every explorer follows keyboard and mouse."""

import re
from pathlib import Path
from typing import get_type_hints

import pytest
from playwright.sync_api import Locator, Page

from course_utils import explore
from course_utils.explore.base import Explorer

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
CALL = re.compile(r"^explore\.(\w+)\(", re.MULTILINE)
MOVE_SECONDS = 15  # to see the picture change on a busy machine; how fast it is, is measured in benchmarks/
# what the picture shows, not where it comes from
BYTES = """async image => {
    const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
    let sum = 0;
    for (const byte of bytes) sum = (31 * sum + byte) % 4294967291;
    return `${bytes.length}-${sum}`;
}"""


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=pytest.mark.xdist_group(f"browser-{path.stem}")) for path in NOTEBOOKS],
)
def test_run_all_and_every_explorer(opened, errors, keep, page, path):
    lab = opened(path.name)
    state = lab.run_all()
    assert state["errors"] == [] and state["open"] == 0 and state["codes"] > 5, state
    keep(page, f"{path.stem}-end")
    cells = lab.cells()
    called = [(number, name) for number, text in enumerate(cells) for name in CALL.findall(text)]
    explorers = {
        number: name for number, name in called if get_type_hints(getattr(explore, name))["return"] is Explorer
    }
    headings = sum("### Explorer" in text for text in cells)
    assert len(explorers) >= max(1, headings)
    for number, name in explorers.items():
        cell = lab.cell(number)
        image = cell.locator("img.widget-image, .widget-image img").first
        image.scroll_into_view_if_needed()
        for way in (by_keyboard, by_mouse):
            before = image.evaluate(BYTES)
            assert way(page, cell), f"{name} has no control for {way.__name__}"
            assert changes(page, image, before), f"{name}: the picture stays as it was after {way.__name__}"
        keep(page, f"{path.stem}-{name}")
    assert errors == []


def changes(page: Page, image: Locator, before: str) -> bool:
    """Whether the picture becomes another one."""
    for _ in range(10 * MOVE_SECONDS):
        if image.evaluate(BYTES) != before:
            return True
        page.wait_for_timeout(100)
    return False


def by_keyboard(page: Page, cell: Locator) -> bool:
    """Move the first slider, or else another control, by one key."""
    for handle in cell.locator("[role=slider]").all():
        value, most = handle.get_attribute("aria-valuenow"), handle.get_attribute("aria-valuemax")
        if handle.is_visible():
            handle.focus()
            page.keyboard.press("ArrowLeft" if value == most else "ArrowRight")
            return True
    menu = cell.locator("select:visible")
    if menu.count():
        menu.first.focus()
        at_the_end = menu.first.evaluate("menu => menu.selectedIndex === menu.options.length - 1")
        # the arrow keys never reach a menu: JupyterLab takes them to walk through the cells
        page.keyboard.press("Home" if at_the_end else "End")
        return True
    return press_button(page, cell)


def by_mouse(page: Page, cell: Locator) -> bool:
    """Click into the first slider's track, or else choose with another control."""
    for track in cell.locator(".noUi-target").all():
        box = track.bounding_box()
        if box:
            handle = track.locator("[role=slider]").first.bounding_box()
            share = (handle["x"] + handle["width"] / 2 - box["x"]) / box["width"]
            page.mouse.click(box["x"] + box["width"] * (0.2 if share > 0.5 else 0.8), box["y"] + box["height"] / 2)
            return True
    return press_button(page, cell) or choose_last(cell)


def press_button(page: Page, cell: Locator) -> bool:
    """Press a button that is not pressed yet."""
    for button in cell.locator("button.widget-toggle-button:visible").all():
        if "mod-active" not in button.get_attribute("class"):
            button.click()
            return True
    return False


def choose_last(cell: Locator) -> bool:
    """Choose the last entry of a menu that shows another one."""
    for menu in cell.locator("select:visible").all():
        count = menu.locator("option").count()
        if count > 1:
            chosen = menu.evaluate("menu => menu.selectedIndex")
            menu.select_option(index=0 if chosen == count - 1 else count - 1)
            return True
    return False
