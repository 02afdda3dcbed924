"""A real Chromium without network, and a real JupyterLab on a copy of the course.

Where no Chromium is installed these tests say so and are left out; they are the only ones of the course that can be.
Their screenshots stay in build/browser, for whoever wants to look.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_page import LabPage
from lab_server import jupyterlab
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60  # seconds for something to appear in a page; a busy machine takes several times what it needs alone
PICTURES = ROOT / "build" / "browser"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# nothing but this machine answers: a page that needs the network fails here
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@pytest.fixture(scope="module")  # Playwright keeps an event loop running, which others may not meet
def chromium() -> Iterator[Browser]:
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no Chromium here (looked for {', '.join(PROGRAMS)}); install one to run the browser's tests")
    with sync_playwright() as playwright:
        # as root, in a container, Chromium starts without its sandbox only
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu", OFFLINE])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """An empty page of 1280 x 900 in a browser profile of its own."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(1000 * PATIENCE)
        yield context.new_page()


@pytest.fixture
def errors(page: Page) -> list[str]:
    """What goes wrong in the page's own JavaScript, as it happens."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab as `course.py lab` starts it, on a copy, because JupyterLab saves by itself; its address and token."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("course.py", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns("runs", ".ipynb_check*"))
    with jupyterlab(folder, folder, "--LabApp.expose_app_in_browser=True") as server:
        yield f"{server.address}/lab/tree/notebooks/{{}}?token={server.token}&reset"


@pytest.fixture
def opened(page: Page, address: str) -> Iterator[Callable[[str], LabPage]]:
    """Open a notebook by its file's name; its kernel ends with the test."""
    labs: list[LabPage] = []

    def open_one(name: str) -> LabPage:
        labs.append(LabPage(page, address.format(name)))
        return labs[-1]

    yield open_one
    for lab in labs:
        lab.shut_down()


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Store a screenshot of the page as it looks now, as a file of this run."""

    def store(page: Page, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png")

    return store
