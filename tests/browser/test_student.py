"""What a student does on the first page: solves wrongly and rightly, unfolds a hint; light, dark, a narrow window."""

import re

import pytest

pytestmark = pytest.mark.xdist_group("browser-start_here")
# contrast of the text of an element to what lies behind it (WCAG 2, relative luminance)
CONTRAST = """element => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = colour => {
        const [r, g, b] = numbers(colour).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let behind = element;
    while (behind && (numbers(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const pair = [light(getComputedStyle(element).color), light(getComputedStyle(behind).backgroundColor)].sort();
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""
TOO_WIDE = """() => {
    const panel = jupyterapp.shell.currentWidget.content.node.getBoundingClientRect();
    return [...document.querySelectorAll('.jp-Notebook img')].map(image => image.getBoundingClientRect())
        .filter(box => box.width && box.right > panel.right + 1).length;
}"""


def number_of(cells: list[str], start: str) -> int:
    """The number of the one cell whose text begins so."""
    (number,) = [number for number, text in enumerate(cells) if text.startswith(start)]
    return number


def test_an_exercise_has_three_states_and_folded_help(opened, errors, keep, page):
    lab = opened("start_here.ipynb")
    cells = lab.cells()
    for start in ("seed = 0", "import torch"):
        lab.run(number_of(cells, start))
    stub, check = number_of(cells, "answer = ..."), number_of(cells, "check.first_answer(answer)")
    seen = []
    for answer in ("answer = ...", "answer = torch.tensor(41)", "answer = torch.tensor(42)"):
        lab.type(stub, answer)
        lab.run(check)
        sign = "○✗✓"[len(seen)]
        output = lab.cell(check).locator(".jp-OutputArea-output", has_text=sign)
        output.wait_for()
        seen.append(output.inner_text())
        assert "Traceback" not in seen[-1] and len(seen[-1].strip().splitlines()) <= 2
        keep(page, f"exercise-{len(seen)}")
    assert len(set(seen)) == 3

    folded = lab.cell(check + 1)
    for summary in ("Hint 1", "Solution"):
        details = folded.locator("details", has=page.locator(f"summary:has-text('{summary}')"))
        inside = details.locator("p, pre").first
        assert not inside.is_visible()
        details.locator("summary").click()
        inside.wait_for(state="visible")
    assert "torch.tensor(6 * 7)" in folded.inner_text()
    keep(page, "unfolded")
    assert errors == []


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_both_themes_can_be_read(opened, keep, page, theme):
    lab = opened("start_here.ipynb")
    lab.theme(f"JupyterLab {theme}")
    lab.run_all()
    cells = lab.cells()
    machine = lab.cell(number_of(cells, "machine.look_around()")).locator(".jp-OutputArea-output").last
    assert machine.evaluate(CONTRAST) > 4.5
    keep(page, f"machine-{theme}")
    check = lab.cell(number_of(cells, "check.first_answer(answer)")).locator(".jp-OutputArea-output").last
    for words in [check, *check.locator("*").all()]:
        if words.evaluate("e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())"):
            # a sign has to be seen, a word to be read
            enough = 3 if words.inner_text().strip() in "○✗✓" else 4.5
            assert words.evaluate(CONTRAST) > enough, words.inner_text()
    keep(page, f"check-{theme}")
    lab.theme("JupyterLab Light")


def test_a_narrow_window_cuts_no_picture(opened, keep, page):
    lab = opened("start_here.ipynb")
    lab.run_all()
    page.evaluate("() => jupyterapp.shell.collapseLeft()")
    page.set_viewport_size({"width": 640, "height": 900})
    for number, text in enumerate(lab.cells()):
        if re.search(r"^(explore|curves)\.", text, re.MULTILINE):
            cell = lab.cell(number)
            assert cell.locator("img").count() > 0
            page.wait_for_timeout(300)
            assert page.evaluate(TOO_WIDE) == 0
            keep(page, f"narrow-{number}")
