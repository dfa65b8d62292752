"""Checks the page's requests: the code that is shown beside each answer, rejections, and a server that stops."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright._impl._driver import compute_driver_executable
from playwright.sync_api import Browser, Page, expect

from browsing import CAT, SHIP, cards, check_accessibility, headings, pick, visit
from checks import Checks, fail
from serving import server


def check_code(page: Page, checks: Checks, shots: Path) -> None:
    """The commands and programs beside an answer are copied and run."""
    name = "my cat's photo.jpg"
    pick(page, (name, CAT.read_bytes()))
    card = cards(page)
    expect(card.locator(".request code")).to_be_hidden()
    card.get_by_text("This request as code").click()
    card.locator(".timings summary").click()
    page.screenshot(path=shots / "code.png", full_page=True)
    check_accessibility(page, checks, "timings and the request as code")
    node, _ = compute_driver_executable()
    runs = {"curl": ["bash", "run"], "Python": [sys.executable, "run"], "JavaScript": [node, "run.mjs"]}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(CAT.read_bytes())
        for language, command in runs.items():
            card.get_by_role("button", name=language, exact=True).click()
            card.get_by_role("button", name="Copy").click()
            expect(card.get_by_role("button", name="Copied")).to_be_visible()
            (Path(folder) / command[-1]).write_text(page.evaluate("navigator.clipboard.readText()"))
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if run.returncode != 0:
                fail(f"{language}: {run.stderr}")
            if language == "curl":
                answer = json.loads(run.stdout)
                checks.equal((answer["predictions"][0]["label"], len(answer["predictions"])), ("cat", 5), "the request as curl is answered")
            else:
                first = run.stdout.splitlines()[0].split()
                checks.that(first[0] == "cat" and float(first[1]) > 0.99, f"the request as {language} is answered")
    card.locator(".class").nth(1).click()
    expect(card.locator("canvas")).to_be_visible()
    expect(card.locator(".request code")).to_contain_text("&explain=cam&class=%235")
    card.locator(".class").nth(1).click()
    expect(card.locator("canvas")).to_be_hidden()
    expect(card.locator(".request code")).not_to_contain_text("explain")
    checks.that(True, "with a map, the request is that of the map, and without it not any more")


def check_problems(page: Page, checks: Checks, shots: Path) -> None:
    text = ("notes.txt", b"not a picture")
    large = ("large.jpg", CAT.read_bytes() + bytes(2_000_000))
    half = ("half.jpg", CAT.read_bytes()[:9000])
    pick(page, text, large, half, CAT)
    titles = ["This is not a picture", "The file is too large", "The picture is incomplete", "cat"]
    expect(headings(page)).to_have_text(titles)
    first, second = cards(page).nth(0), cards(page).nth(1)
    expect(first.locator(".message")).to_have_text("Choose a file in the format JPEG, PNG, WebP, GIF, BMP or TIFF.")
    expect(second.locator(".message")).not_to_contain_text("--")
    expect(second.locator(".said p")).to_be_hidden()
    second.locator(".said summary").click()
    expect(second.locator(".said p")).to_contain_text("more than 1000000 bytes")
    expect(second.locator(".said p")).to_contain_text("Request id: ")
    page.screenshot(path=shots / "problems.png", full_page=True)
    check_accessibility(page, checks, "problems")
    checks.that(True, "what is no image, too large or cut off is said for visitors; what the server said is behind a disclosure")

    document = page.evaluate("fetch('/openapi.json').then((answer) => answer.json())")
    refused = document["paths"]["/classify"]["post"]["responses"].values()
    possible = {
        reason
        for response in refused
        for reason in response["content"].get("application/problem+json", {}).get("examples", {})
    }
    # A browser cannot cause these with this page's requests.
    possible -= {"bad-request", "host-not-allowed", "headers-too-large", "unsupported-encoding", "invalid-parameter",
                 "not-an-admin", "url-not-allowed", "url-failed", "url-timeout"}
    known = set(page.evaluate("import('/page/problems.js').then((module) => module.reasons())"))
    checks.equal(possible - known, set(), f"{len(known)} kinds of problems have words for visitors")


def check_busy(page: Page, checks: Checks, shots: Path) -> None:
    busy = {"reason": "queue-full", "title": "The queue is full", "detail": "the queue is full; retry in 1 s"}
    again = busy | {"retry_after_seconds": 1}
    page.route("**/classify*", lambda route: route.fulfill(status=503, json=again), times=1)
    pick(page, SHIP)
    expect(headings(page)).to_have_text("ship")
    expect(page.locator(".timings summary")).to_have_text(re.compile(r"^Timings: [\d.]+ ms$"))
    checks.that(True, "a photo is sent again when the server has been busy; the time between is not counted")
    page.route("**/classify*", lambda route: route.fulfill(status=503, json=busy))
    pick(page, SHIP)
    expect(headings(page).first).to_have_text("The server is busy")
    page.unroute("**/classify*")
    cards(page).first.get_by_role("button", name="Try again").click()
    expect(headings(page).first).to_have_text("ship")
    page.route("**/classify*", lambda route: route.abort())
    pick(page, SHIP)
    expect(headings(page).first).to_have_text("The upload was interrupted")
    expect(page.locator("#away")).to_be_hidden()
    checks.that(True, "a busy server and a lost connection are said in words, and can be tried again")


def check_stop(browser: Browser, resnetd: Path, checks: Checks, shots: Path) -> None:
    """The server stops while the page is open, and comes back at the same address."""
    away = "#away"
    with server(resnetd) as url:
        context = visit(browser, url)
        page = context.__enter__()
        pick(page, CAT)
        expect(headings(page)).to_have_text(["cat"])
        expect(page.locator(away)).to_be_hidden()
    expect(page.locator(away)).to_contain_text("The server does not answer")
    pick(page, SHIP)
    expect(headings(page)).to_have_text(["Waiting …", "cat"])
    page.screenshot(path=shots / "away.png", full_page=True)
    check_accessibility(page, checks, "without the server")
    page.get_by_role("button", name="Ask now").click()
    expect(page.locator(away)).to_be_visible()
    with server(resnetd, listen=url.removeprefix("http://")):
        expect(page.locator(away)).to_be_hidden(timeout=30_000)
        expect(headings(page)).to_have_text(["ship", "cat"], timeout=30_000)
        checks.that(True, "the page says that the server is away, and sends waiting photos when it is back")
        context.__exit__(None, None, None)
