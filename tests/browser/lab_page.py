"""What a person does in JupyterLab, for the tests: open a notebook, run it, come to a cell, type into it."""

import time

from playwright.sync_api import Locator, Page

RUN_SECONDS = 400
NOTEBOOK = "jupyterapp.shell.currentWidget"
STATE = f"""() => {{
    const panel = {NOTEBOOK};
    const codes = panel.content.widgets.map(widget => widget.model).filter(model => model.type === 'code');
    const errors = codes.flatMap(model => Array.from({{length: model.outputs.length}}, (_, i) => model.outputs.get(i)))
        .filter(output => output.type === 'error').map(output => output.toJSON().ename);
    const open = codes.filter(model => model.executionCount === null && model.sharedModel.getSource().trim());
    return {{busy: panel.sessionContext.session?.kernel?.status !== 'idle', open: open.length, errors,
             codes: codes.length}};
}}"""
CLEARED = f"() => {NOTEBOOK}.content.widgets.every(w => w.model.type !== 'code' || w.model.executionCount === null)"


class LabPage:
    """One notebook in a real JupyterLab."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        page.goto(address)
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        page.wait_for_function(f"() => {NOTEBOOK}?.sessionContext?.session?.kernel?.status === 'idle'")
        # news and updates are asked for once; nobody answers here
        for button in page.locator(".Toastify button:has-text('No')").all():
            button.click()

    def run_all(self) -> dict:
        """Restart the kernel and run every cell, as the toolbar's button does; returns what is then in the notebook."""
        # the outputs that were saved must not look like those of this run
        self.page.evaluate("() => jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        self.page.wait_for_function(CLEARED)
        self.page.locator("[data-command='notebook:restart-run-all']:visible").first.click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            state = self.page.evaluate(STATE)
            if not state["busy"] and (not state["open"] or state["errors"]):
                return state
            self.page.wait_for_timeout(500)
        raise AssertionError(f"Run All did not end in {RUN_SECONDS} s: {state}")

    def cells(self) -> list[str]:
        """The source of every cell."""
        return self.page.evaluate(f"() => {NOTEBOOK}.content.widgets.map(w => w.model.sharedModel.getSource())")

    def cell(self, number: int) -> Locator:
        """Scroll to a cell and give it back as it is drawn."""
        go = f"number => {NOTEBOOK}.content.scrollToItem(number, 'start')"
        mark = f"""number => {{
            const node = {NOTEBOOK}.content.widgets[number].node;
            node.dataset.asked = number;
            return node.isConnected;
        }}"""
        self.page.evaluate(go, number)
        found = self.page.locator(f"[data-asked='{number}']")
        for _ in range(100):
            # cells above it are drawn late and push it away
            if self.page.evaluate(mark, number) and found.count():
                found.scroll_into_view_if_needed()
                return found
            self.page.wait_for_timeout(100)
            self.page.evaluate(go, number)
        raise AssertionError(f"cell {number} does not appear")

    def type(self, number: int, source: str) -> None:
        """Replace a code cell's text with the keyboard and run it."""
        editor = self.cell(number).locator(".cm-content")
        editor.click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Shift+Enter")

    def run(self, number: int) -> None:
        """Run one code cell with the keyboard."""
        self.cell(number).locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")

    def theme(self, name: str) -> None:
        """Change to 'JupyterLab Light' or 'JupyterLab Dark'."""
        self.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        self.page.wait_for_selector(f"body[data-jp-theme-name='{name}']", state="attached")

    def shut_down(self) -> None:
        """End the kernel; the page may be closed afterwards."""
        self.page.evaluate(f"() => {NOTEBOOK}?.sessionContext?.shutdown()")
