"""Checks what the page does with answers that come late, or never."""

import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from browsing import CAT, SHIP, cards, headings, pick
from checks import Checks

LATER = 300  # milliseconds in which a request that must not be sent would be sent


def check_removed(page: Page, checks: Checks, shots: Path) -> None:
    """Needs a server with one model."""
    expect(page.locator("#served")).to_contain_text("cifar10-resnet56")
    held = hold(page, "**/v1/model")
    posted = uploads(page)
    page.reload()
    pick(page, CAT)
    cards(page).get_by_role("button", name="Remove cat.jpg").click()
    held[0].continue_()
    expect(page.locator("#served")).to_contain_text("cifar10-resnet56")
    page.wait_for_timeout(LATER)
    checks.equal(posted, [], "a photo that is removed before the models are known is not sent")

    held = hold(page, "**/classify*")
    pick(page, CAT)
    expect(headings(page)).to_have_text("Waiting …")
    with page.expect_event("requestfailed"):
        cards(page).get_by_role("button", name="Remove cat.jpg").click()
    checks.equal(len(held), 1, "the upload of a photo that is removed ends")
    held[0].abort()


def check_late_models(page: Page, checks: Checks, shots: Path) -> None:
    """Needs a server with the models "small" and "large"."""
    expect(page.locator("#served")).to_contain_text("small (resnet20")
    held = hold(page, "**/v1/models/small")
    posted = uploads(page)
    page.reload()
    expect(page.locator("#models")).to_be_visible()
    pick(page, CAT)
    page.get_by_label("Model", exact=True).select_option("large")
    expect(headings(page)).to_have_text(["cat"])
    held[0].continue_()
    page.wait_for_timeout(LATER)
    checks.equal([url.split("/models/")[1] for url in posted], ["large/classify?top_k=5"], "photos go to the model that is chosen last")

    page.unroute("**/v1/models/small")
    hold(page, "**/classify*explain=cam*")
    cards(page).locator(".class").first.click()
    page.get_by_label("Model", exact=True).select_option("small")
    expect(page.locator("#served")).to_contain_text("small (resnet20")
    expect(headings(page)).to_have_text(["cat"])
    page.unroute_all(behavior="ignoreErrors")
    page.wait_for_timeout(LATER)
    expect(cards(page).locator("canvas")).to_be_hidden()
    checks.that(True, "the map of a model that is not chosen any more is not shown")

    refused = {"reason": "too-many-requests", "title": "Too many requests", "retry_after_seconds": 1}
    page.route("**/v1/models", lambda route: route.fulfill(status=429, json=refused), times=1)
    page.goto(page.url.split("?")[0] + "?model=large")
    expect(page.get_by_label("Model", exact=True)).to_have_value("large")
    checks.that(True, "the models are asked for again if the server refused that")


def check_late_description(page: Page, checks: Checks, shots: Path) -> None:
    """Needs a server with one model."""
    loading = {"reason": "not-ready", "title": "The model is not ready"}
    expect(page.locator("#served")).to_contain_text("cifar10-resnet56")
    page.route("**/v1/model", lambda route: route.fulfill(status=503, json=loading), times=1)
    with page.expect_response("**/v1/model"):
        page.reload()
    expect(page.locator("#served")).to_have_text("Classifies images.")
    pick(page, SHIP)
    expect(headings(page)).to_have_text(["ship"])
    expect(page.locator("#served")).to_contain_text("cifar10-resnet56")
    checks.that(True, "a model that was loading at first is described with its first answer")


def check_hanging(page: Page, checks: Checks, shots: Path) -> None:
    """A server that keeps connections open without an answer."""
    expect(page.locator("#depth")).to_have_text("0")
    page.locator("#live summary").click()  # the upload notices it alone
    hold(page, "**/livez")
    posted = hold(page, "**/classify*")
    pick(page, CAT)
    expect(page.locator("#away")).to_be_visible(timeout=30_000)
    expect(headings(page)).to_have_text(["Waiting …"])
    with page.expect_event("requestfailed", lambda request: "/classify" in request.url, timeout=30_000):
        checks.equal(len(posted), 1, "the page says that a server that hangs does not answer")
    page.unroute_all(behavior="ignoreErrors")
    expect(headings(page)).to_have_text(["cat"], timeout=30_000)
    expect(page.locator("#away")).to_be_hidden()
    checks.that(True, "the photo is sent again when it answers")


def check_replicas(page: Page, checks: Checks, shots: Path) -> None:
    """Behind a load balancer that sends each request to another replica."""
    asked = []

    def answer(route: Route) -> None:
        asked.append(route)
        replica = len(asked) % 3
        route.fulfill(body="process_start_time_seconds 1795831627\n"
                           f'resnetd_model_load_seconds{{model="cat",version="1"}} 0.{replica + 1}\n'
                           f'resnetd_images_total{{model="cat",version="1"}} {1000 * replica}\n')

    page.route("**/metrics", answer)
    page.reload()
    expect(page.locator("#rate")).to_have_text(re.compile(r"\d"), timeout=20_000)
    checks.equal(page.locator("#rate").text_content(), "0.0", "figures of several replicas are not mixed")


def hold(page: Page, pattern: str) -> list[Route]:
    """The requests to `pattern`, which get no answer."""
    held = []
    page.route(pattern, lambda route: held.append(route))  # not the method itself: Playwright sets attributes
    return held


def uploads(page: Page) -> list[str]:
    """The addresses that photos are sent to from now on."""
    posted = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    return posted
