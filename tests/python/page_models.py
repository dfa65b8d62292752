"""The choice of a model on the page, and two models side by side."""

import csv
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, expect

from browsing import CAT, PHONE, SHIP, cards, check_accessibility, headings, pick, visit
from checks import Checks
from page_late import check_late_models
from page_several import saved
from serving import server


def check_models(browser: Browser, resnetd: Path, checks: Checks, shots: Path) -> None:
    with server(resnetd, "--model", "small=cifar10-resnet20", "--model", "large=cifar10-resnet56") as url:
        with visit(browser, url) as page:
            check_choice(page, checks, url)
        with visit(browser, url) as page:
            check_comparison(page, checks, shots)
        with visit(browser, url) as page:
            check_fallback(page, checks, url)
        with visit(browser, url) as page:
            check_late_models(page, checks, shots)


def check_choice(page: Page, checks: Checks, url: str) -> None:
    choice = page.get_by_label("Model", exact=True)
    expect(choice).to_have_value("small")  # the default model
    expect(page.locator("#served")).to_contain_text("small (resnet20")
    with page.expect_request("**/classify*") as asked:
        pick(page, CAT)
    checks.equal(asked.value.url, f"{url}/v1/models/small/classify?top_k=5", "photos go to the default model first")
    expect(headings(page)).to_have_text(["cat"])
    with page.expect_request("**/classify*") as asked:
        choice.select_option("large")
    checks.equal(asked.value.url, f"{url}/v1/models/large/classify?top_k=5", "photos on the page go to the model that is chosen")
    expect(headings(page)).to_have_text(["cat"])
    expect(page.locator("#served")).to_contain_text("large (resnet56")
    page.reload()
    expect(choice).to_have_value("large")
    with page.expect_request("**/classify*") as asked:
        pick(page, SHIP)
    checks.that("/v1/models/large/" in asked.value.url, "the choice stays when the page is loaded again")
    expect(headings(page)).to_have_text(["ship"])
    cards(page).locator(".request summary").click()
    expect(cards(page).locator(".request code")).to_contain_text(f"{url}/v1/models/large/classify?top_k=5")
    checks.that(True, "the request as code names the model")
    page.goto(f"{url}/?model=gone&compare=gone")
    expect(choice).to_have_value("small")
    expect(page.get_by_label("Compare with")).to_have_value("")
    checks.that(True, "a model that is not served any more is not chosen")


def check_comparison(page: Page, checks: Checks, shots: Path) -> None:
    page.get_by_label("Compare with").select_option("large")
    pick(page, CAT, SHIP)
    card = cards(page).first
    expect(card.locator(".by")).to_have_text(["small", "large"])
    expect(headings(page)).to_have_text(["cat", "cat", "ship", "ship"])
    expect(page.locator("#summary p")).to_have_text(["small", "large", "Both models"])
    expect(page.locator("#summary li")).to_have_text(["cat 1", "ship 1", "cat 1", "ship 1", "same class 2"])
    checks.that(True, "two models answer for the same photo, and the summary says how often they agree")

    answers = card.locator(".answer")
    boxes = [answers.nth(index).bounding_box() for index in (0, 1)]
    checks.that(boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"], "their answers are side by side")
    answers.nth(0).locator(".class").first.click()
    expect(card.locator("canvas")).to_be_visible()
    answers.nth(1).locator(".class").first.click()
    expect(answers.nth(1).locator(".class").first).to_have_attribute("aria-pressed", "true")
    expect(answers.nth(0).locator(".class").first).to_have_attribute("aria-pressed", "false")
    expect(answers.nth(1).locator(".map-hint")).to_contain_text("Class activation map")
    checks.that(True, "the photo has the map of one of them")
    rows = list(csv.DictReader(saved(page, "Save as CSV", "classes.csv").splitlines()))
    checks.equal([(row["file"], row["model"]) for row in rows],
                 [(f, m) for f in ("cat.jpg", "cifar10-ship.png") for m in ("small", "large")], "the export has both")

    page.reload()
    expect(page.get_by_label("Compare with")).to_have_value("large")
    for size_name, size in (("desk", {"width": 1280, "height": 900}), ("phone", PHONE)):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.reload()
            pick(page, CAT, SHIP)
            expect(headings(page)).to_have_text(["cat", "cat", "ship", "ship"])
            cards(page).first.locator(".class").first.click()
            expect(cards(page).first.locator("canvas")).to_be_visible()
            page.screenshot(path=shots / f"compare-{size_name}-{scheme}.png", full_page=True)
            checks.that(not page.evaluate("document.documentElement.scrollWidth > innerWidth"), f"a comparison fits the {size_name}'s screen")
            check_accessibility(page, checks, f"a comparison, {size_name}, {scheme}")
    page.get_by_label("Compare with").select_option("")
    expect(headings(page)).to_have_text(["cat", "ship"])
    expect(page).to_have_url(re.compile(r"\?model=small$"))
    checks.that(True, "the comparison can be ended")


def check_fallback(page: Page, checks: Checks, url: str) -> None:
    """A model that is overloaded is replaced by another one, whose answer is of several labels."""
    def replace(route: Route) -> None:
        answer = route.fetch(url=f"{url}/v1/models/small/classify?top_k=5")
        route.fulfill(json=answer.json() | {"instead_of": "large"})

    page.route(f"{url}/v1/models/large/classify?top_k=5", replace)
    described = page.request.get(f"{url}/v1/models/small").json() | {"task": "multi-label"}
    page.route(f"{url}/v1/models/small", lambda route: route.fulfill(json=described))
    page.get_by_label("Model", exact=True).select_option("large")
    pick(page, CAT)
    card = cards(page)
    expect(card.locator(".by")).to_have_text("small, because large is overloaded")
    expect(page.locator("#announce")).to_have_text("cat.jpg: cat")  # an answer with several labels has no probability
    checks.that(True, "what is said of an answer follows from the model that gave it")
    with page.expect_request("**/classify*explain=cam*") as asked:
        card.locator(".class").first.click()
    checks.that(asked.value.url.startswith(f"{url}/v1/models/small/"), "the map is asked from the model that answered")
    checks.that(asked.value.url.endswith("&fallback=off"), "and from no other one")
    expect(card.locator(".map-hint")).to_contain_text("Class activation map of “cat”")
    card.locator(".request summary").click()
    expect(card.locator(".request code")).to_contain_text(f"{url}/v1/models/small/classify?top_k=5&explain=cam&class=%233&fallback=off")
    checks.that(True, "the request as code is that of this map")
