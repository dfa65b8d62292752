"""Checks the page of a server that requires an API key."""

import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from browsing import CAT, cards, check_accessibility, headings, pick, visit
from checks import Checks
from serving import DATA, server

NO_STORAGE = "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('blocked', 'SecurityError'); } })"


def check_keys(browser: Browser, resnetd: Path, checks: Checks, shots: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        made = subprocess.run([resnetd, "api-key", "visitor", "--append", keys], capture_output=True, text=True, check=True)
        key = made.stdout.strip()
        with server(resnetd, "--api-keys", str(keys)) as url:
            with visit(browser, url) as page:
                check_key(page, checks, shots, key)
            with visit(browser, url) as page:
                check_without_storage(page, checks, key)


def check_key(page: Page, checks: Checks, shots: Path, key: str) -> None:
    field, problem = page.get_by_label("API key").and_(page.locator("input")), page.locator("#key-problem")
    expect(field).to_be_visible()
    pick(page, DATA / "pictures" / "lzw.tif")
    expect(headings(page)).to_have_text(["The server needs an API key"])
    expect(cards(page).locator(".photo")).to_be_hidden()
    enter(page, f"{key}\u200b")  # copied with a space of no width
    expect(problem).to_contain_text("cannot be seen")
    expect(field).to_be_focused()
    page.screenshot(path=shots / "key.png", full_page=True)
    check_accessibility(page, checks, "a key with a character that cannot be sent")
    checks.that(True, "a key with a character that cannot be sent is reported at the field")
    enter(page, f" {key} ")
    expect(cards(page).locator(".class")).to_have_count(5)
    expect(cards(page).locator("img")).to_have_js_property("naturalWidth", 32)
    expect(cards(page).locator(".photo")).to_be_visible()
    expect(page.locator("#key")).to_be_hidden()
    checks.that(True, "photos that were chosen before the key are classified and shown with it")
    page.reload()
    pick(page, CAT)
    expect(headings(page)).to_have_text(["cat"])
    checks.that(True, "the key stays when the page is loaded again")


def check_without_storage(page: Page, checks: Checks, key: str) -> None:
    page.add_init_script(NO_STORAGE)
    page.reload()
    enter(page, key)
    pick(page, CAT)
    expect(headings(page)).to_have_text(["cat"])
    checks.that(True, "a browser that stores nothing keeps the key as long as the page")


def enter(page: Page, key: str) -> None:
    page.locator("#key-input").fill(key)
    page.get_by_role("button", name="Use this key").click()
