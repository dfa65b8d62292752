"""Opens the page in a browser, and selects photos."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from checks import Checks, fail
from serving import DATA

CAT, SHIP, AIRPLANE = DATA / "cat.jpg", DATA / "cifar10-ship.png", DATA / "cifar10-airplane.png"
PHONE = {"width": 390, "height": 844}


@contextmanager
def visit(browser: Browser, url: str, **options: object) -> Iterator[Page]:
    """A new page, which must not load anything from other hosts or raise errors."""
    context = browser.new_context(permissions=["camera", "clipboard-read", "clipboard-write"], **options)
    page = context.new_page()
    elsewhere, complaints = [], []
    own = (url, "blob:" + url, "data:image/svg+xml")
    page.on("request", lambda r: None if r.url.startswith(own) else elsewhere.append(r.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
    page.goto(url)
    yield page
    if elsewhere or complaints:
        fail(f"asked elsewhere: {elsewhere}, complained: {complaints}")
    context.close()


def pick(page: Page, *files: Path | tuple[str, bytes]) -> None:
    """Selects files, each given by a path or by name and bytes."""
    named = [(file.name, file.read_bytes()) if isinstance(file, Path) else file for file in files]
    payload = [{"name": n, "mimeType": "image/*", "buffer": content} for n, content in named]
    page.set_input_files("#files", payload)


def cards(page: Page) -> Locator:
    return page.locator(".result")


def headings(page: Page) -> Locator:
    return page.locator(".answer > h2")


def check_accessibility(page: Page, checks: Checks, what: str) -> None:
    found = Axe().run(page)
    if found.violations_count:
        fail(f"axe: {found.generate_report()}")
    checks.that(True, f"axe finds no violation: {what}")
