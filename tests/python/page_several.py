"""Many photos on the page: the summary, small cards, the export and the removal of all."""

import csv
import json
from pathlib import Path

from playwright.sync_api import Page, expect

from browsing import AIRPLANE, CAT, PHONE, SHIP, cards, check_accessibility, headings, pick
from checks import Checks

COUNTS = {"cat": 24, "ship": 20, "airplane": 15}


def check_sixty(page: Page, checks: Checks, shots: Path) -> None:
    photos = [("cat", CAT)] * 24 + [("ship", SHIP)] * 20 + [("airplane", AIRPLANE)] * 15
    files = [(f"{number:02} {name}{path.suffix}", path.read_bytes()) for number, (name, path) in enumerate(photos)]
    pick(page, *files, ("notes, or so.txt", b"not a picture"))
    expect(page.locator("#progress")).to_be_visible()
    expect(page.locator("#summary-title")).to_have_text("60 photos", timeout=60_000)
    expect(page.locator("#summary li")).to_have_text(["cat 24", "ship 20", "airplane 15", "with an error 1"])
    expect(page.locator("#announce")).to_have_text("60 photos. cat 24; ship 20; airplane 15; with an error 1")
    expect(page.locator("#progress")).to_be_hidden()
    checks.that(True, "sixty photos have a summary, which screen readers hear once")

    tall = page.evaluate("document.documentElement.scrollHeight")
    first = cards(page).first
    expect(first.locator(".class").first).to_be_hidden()
    page.screenshot(path=shots / "sixty.png", full_page=True)
    check_accessibility(page, checks, "small cards")
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=shots / "sixty-phone-dark.png")
    check_accessibility(page, checks, "small cards, phone, dark")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    first.get_by_role("button", name="Details").click()
    expect(first.locator(".class")).to_have_count(5)
    expect(first.locator(".class").first).to_be_visible()
    page.screenshot(path=shots / "sixty-opened.png")
    first.get_by_role("button", name="Smaller").click()
    expect(first.locator(".class").first).to_be_hidden()
    page.get_by_role("button", name="Small cards").click()
    expect(first.locator(".class").first).to_be_visible()
    checks.that(page.evaluate("document.documentElement.scrollHeight") > 4 * tall, "many photos are shown small, and in full on request")

    rows = list(csv.DictReader(saved(page, "Save as CSV", "classes.csv").splitlines()))
    checks.equal(len(rows), 60, "the CSV file has a row for each photo")
    labels = [row["label_1"] for row in rows]
    checks.equal({label: labels.count(label) for label in COUNTS}, COUNTS, "the CSV file has the classes")
    checks.equal((rows[0]["file"], rows[0]["model"], rows[0]["width"], rows[0]["unsure"]),
                 ("00 cat.jpg", "cifar10-resnet56", "451", "false"), "the CSV file has name, model, size and certainty")
    checks.that(0.99 < float(rows[0]["probability_1"]) < 1, "the CSV file has probabilities")
    checks.equal(rows[-1]["file"], "notes, or so.txt", "names with commas are quoted")
    checks.that("not an image" in rows[-1]["error"], "the CSV file has errors")

    answers = json.loads(saved(page, "Save as JSON", "classes.json"))
    checks.equal([answer["file"] for answer in answers], [row["file"] for row in rows], "the JSON file has the same photos")
    checks.equal(answers[24]["predictions"][0]["label"], "ship", "the JSON file has the classes")
    checks.that("error" in answers[-1], "the JSON file has errors")

    page.get_by_role("button", name="Remove all").click()
    expect(cards(page)).to_have_count(0)
    expect(page.locator("#several")).to_be_hidden()
    expect(page.locator("#files")).to_be_focused()
    pick(page, CAT)
    expect(headings(page)).to_have_text(["cat"])
    checks.that(True, "all photos can be removed at once")


def saved(page: Page, button: str, name: str) -> str:
    """The file that the page saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    if download.value.suggested_filename != name:
        raise AssertionError(download.value.suggested_filename)
    return Path(download.value.path()).read_text()
