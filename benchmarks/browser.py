"""From a key to pixels: how long a reader waits for an explorer in a real JupyterLab, in Chromium.

Needs the package playwright and a Chromium (its own, from `playwright install chromium`, or the system's); where
either is missing the row says so. The first slider of each explorer is moved by the keyboard, or its first menu where
it has no slider. In the page, the clock starts at the event of the key or menu, and stops when the new picture has
been decoded and the next frame is about to be painted.
"""

import importlib.util
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from benchmarks.explorers import explorers
from benchmarks.table import Row, p95
from course_utils.authoring.build import NOTEBOOK_METADATA

LIMIT = 100  # milliseconds, for 95 of 100 moves
MOVES = 40  # of each explorer
PATIENCE = 120  # seconds, for the server, the page and all cells
NO_CHANGE = 3  # seconds after which a move is taken for one that changes nothing
PAUSE = 0.15  # seconds between two moves
CONTROLS = (".noUi-handle", "select")
SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
WATCH = """image => {
  window.moves = [];
  if (!window.listening) {
    window.listening = true;
    for (const kind of ['keydown', 'change'])
      document.addEventListener(kind, () => { window.pressed = performance.now(); }, true);
  }
  if (window.watching) window.watching.disconnect();
  window.watching = new MutationObserver(async () => {
    const pressed = window.pressed, changed = performance.now() - pressed;
    await image.decode();
    requestAnimationFrame(() => window.moves.push([changed, performance.now() - pressed]));
  });
  window.watching.observe(image, {attributes: true, attributeFilter: ['src']});
}"""


def measure(quick: bool) -> list[Row]:
    if importlib.util.find_spec("playwright") is None:
        return [Row("a key to pixels", note="playwright is missing (pip install playwright)")]
    with tempfile.TemporaryDirectory(prefix="bench-") as name, jupyterlab(Path(name)) as address:
        names = [make.__name__ for make in explorers()]
        write_notebook(Path(name) / "explorers.ipynb", names)
        with page_of(address, "explorers.ipynb") as page:
            images = run_all(page, len(names))
            return [one(page, name, image, 8 if quick else MOVES) for name, image in zip(names, images, strict=True)]


def one(page: Any, name: str, image: Any, moves: int) -> Row:
    """The row of one explorer; a failed one where it does not answer, so that the others are not lost."""
    try:
        return row(name, moved(page, image, moves))
    except RuntimeError as error:
        return Row(name, note=str(error), failed=True)


def row(name: str, moves: list[tuple[float, float]]) -> Row:
    """The row of one explorer from its moves: milliseconds to the change of the picture's address, and to pixels."""
    changed, painted = zip(*moves, strict=True)
    also = {"median, ms": statistics.median(painted), "to the new src at p95, ms": p95(changed), "moves": len(moves)}
    return Row(f"{name}, p95", p95(painted), "ms", limit=LIMIT, also=also)


def write_notebook(path: Path, names: list[str]) -> None:
    """A notebook that shows each of these explorers in a cell of its own."""
    sources = ["from course_utils import explore", *(f"explore.{name}()" for name in names)]
    cells = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells, metadata=nbformat.from_dict(NOTEBOOK_METADATA)), path)


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """A JupyterLab that serves `folder`, with settings of its own; gives its address with the token.

    Raises RuntimeError when it does not start.
    """
    private = folder / ".jupyter"
    settings = private / "settings" / "@jupyterlab"
    for name, text in {
        # every cell stays in the page, also far below
        "notebook-extension/tracker": '{"windowingMode": "none"}',
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    }.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    environment = dict(os.environ, JUPYTERLAB_SETTINGS_DIR=str(settings.parent), IPYTHONDIR=str(private))
    environment |= {"JUPYTER_CONFIG_DIR": str(private / "config"), "JUPYTER_RUNTIME_DIR": str(private / "runtime")}
    environment |= {"JUPYTER_DATA_DIR": str(private), "JUPYTERLAB_WORKSPACES_DIR": str(private / "workspaces")}
    # port 0 lets the system choose a free one; the page offers its commands to scripts
    options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
    options += [f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    log = private / "log.txt"
    with log.open("w") as stream:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield address_in(log, server)
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE)


def address_in(log: Path, server: subprocess.Popen) -> str:
    """The address, with token, of a JupyterLab that is starting. Raises RuntimeError when it does not start."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+/\S*\?token=\w+", log.read_text())
        # it writes its address down before it listens
        if found and is_listening(found[0]):
            return found[0]
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text()[-500:]}")


def is_listening(address: str) -> bool:
    """Whether anybody listens at http://127.0.0.1:port/…"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(address).port)) == 0


@contextmanager
def page_of(address: str, notebook: str) -> Iterator[Any]:
    """The playwright page in which Chromium has opened a notebook of the server at `address`."""
    from playwright.sync_api import sync_playwright

    server, token = address.split("/lab")[0], address.partition("?")[2]
    with sync_playwright() as tools:
        own = tools.chromium.executable_path
        found = own if Path(own).exists() else next(filter(None, map(shutil.which, SYSTEM_BROWSERS)), None)
        if found is None:
            raise RuntimeError("no Chromium was found; install one with: playwright install chromium")
        browser = tools.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_default_timeout(1000 * PATIENCE)
            page.goto(f"{server}/lab/tree/{notebook}?{token}")
            page.wait_for_selector(".jp-Notebook .jp-CodeCell")
            # the status bar; before that JupyterLab would ask which kernel to start
            page.wait_for_selector(f"text='{NOTEBOOK_METADATA['kernelspec']['display_name']} | Idle'")
            yield page
        finally:
            browser.close()


def run_all(page: Any, count: int) -> list[Any]:
    """Run every cell; returns the pictures of the `count` explorers, in order."""
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_function("count => document.querySelectorAll('img.widget-image').length === count", arg=count)
    return page.query_selector_all("img.widget-image")


def moved(page: Any, image: Any, moves: int) -> list[tuple[float, float]]:
    """Move a control of an explorer `moves` times; the milliseconds of every move that changed the picture.

    Raises RuntimeError when more than half of the moves changed nothing.
    """
    from playwright.sync_api import TimeoutError as NothingCame

    cell = image.evaluate_handle("image => image.closest('.jp-Cell')").as_element()
    control = next(filter(None, map(cell.query_selector, CONTROLS)))
    image.scroll_into_view_if_needed()
    control.focus()
    image.evaluate(WATCH)
    way = 1
    for _ in range(moves):
        seen = page.evaluate("() => window.moves.length")
        way = move(page, control, way)
        try:
            page.wait_for_function("seen => window.moves.length > seen", arg=seen, timeout=1000 * NO_CHANGE)
        except NothingCame:
            pass  # a move may change nothing: it is not counted
        time.sleep(PAUSE)
    found = [tuple(one) for one in page.evaluate("() => window.moves")]
    if len(found) < moves / 2:
        raise RuntimeError(f"only {len(found)} of {moves} moves changed the picture")
    return found


def move(page: Any, control: Any, way: int) -> int:
    """One step forward (`way` 1) or back (-1), the other way at an end; returns the way that was taken."""
    place, last = control.evaluate(
        """control => control.tagName === 'SELECT' ? [control.selectedIndex, control.options.length - 1]
           : ['now', 'max'].map(name => Number(control.getAttribute('aria-value' + name)))"""
    )
    way = -1 if place >= last else 1 if place <= 0 else way
    if control.evaluate("control => control.tagName") == "SELECT":
        # JupyterLab keeps the arrow keys for itself where a menu has the focus
        control.select_option(index=int(place) + way)
    else:
        page.keyboard.press("ArrowRight" if way > 0 else "ArrowLeft")
    return way
