"""The page at / in a real browser: check_page.py --resnetd PATH --chromium PATH --shots FOLDER."""

import argparse
import re
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from browsing import AIRPLANE, CAT, PHONE, SHIP, cards, check_accessibility, headings, pick, visit
from checks import Checks
from page_keys import check_keys
from page_late import check_hanging, check_late_description, check_removed, check_replicas
from page_models import check_models
from page_requests import check_busy, check_code, check_problems, check_stop
from page_several import check_sixty
from serving import DATA, server


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resnetd", type=Path, required=True)
    parser.add_argument("--chromium", required=True)
    parser.add_argument("--shots", type=Path, required=True, help="where screenshots go")
    arguments = parser.parse_args()
    arguments.shots.mkdir(parents=True, exist_ok=True)
    checks = Checks()
    with server(arguments.resnetd, "--max-bytes", "1MB") as url, sync_playwright() as playwright:
        # Root cannot use the sandbox in a container; the page is trusted.
        flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=flags)
        for check in (
            check_model, check_samples, check_classes, check_several, check_sixty, check_map, check_problems, check_busy,
            check_code, check_pasting_and_dropping, check_camera, check_tiff, check_keyboard, check_looks, check_live,
            check_docs, check_removed, check_late_description, check_replicas, check_hanging,
        ):
            with visit(browser, url) as page:
                check(page, checks, arguments.shots)
        check_models(browser, arguments.resnetd, checks, arguments.shots)
        check_keys(browser, arguments.resnetd, checks, arguments.shots)
        check_stop(browser, arguments.resnetd, checks, arguments.shots)
        browser.close()
    checks.done()


def check_classes(page: Page, checks: Checks, shots: Path) -> None:
    page.screenshot(path=shots / "empty.png")
    expect(page.locator("#served")).to_contain_text("cifar10-resnet56")
    pick(page, CAT)
    card = cards(page)
    expect(card.locator(".answer > h2")).to_have_text("cat")
    expect(card.locator(".class")).to_have_count(5)
    expect(card.locator(".class").first).to_contain_text(re.compile(r"99\.\d %"))
    expect(card.locator("figcaption")).to_contain_text("451 × 300 JPEG")
    expect(card.locator(".timings dl")).to_be_hidden()
    card.locator(".timings summary").click()
    expect(card.locator(".timings dl")).to_contain_text("Inference")
    expect(card.locator(".timings dl")).to_contain_text("Network and browser")
    expect(page.locator("#announce")).to_have_text(re.compile("cat.jpg: cat"))
    page.screenshot(path=shots / "classes.png", full_page=True)
    checks.that(True, "a photo that is picked shows its classes and size, and its timings on request")
    card.get_by_role("button", name="Remove cat.jpg").click()
    expect(card).to_have_count(0)
    checks.that(True, "a card can be removed")


def check_model(page: Page, checks: Checks, shots: Path) -> None:
    expect(page.locator("#demonstration")).to_contain_text("make run MODEL=imagenet")
    listed = page.locator("#classes li")
    page.locator("#classes summary").click()
    expect(listed).to_have_count(10)
    expect(listed.first).to_have_text("airplane")
    expect(page.locator("#models")).to_be_hidden()
    checks.that(True, "a server with one model offers no choice")
    checks.that(True, "the embedded model is called a demonstration, and its classes are listed")

    labels = [f"class {number}" for number in range(300)]
    answer = {"name": "many", "architecture": "resnet18", "labels": labels, "device": "cpu", "demonstration": False}
    page.route("**/v1/model", lambda route: route.fulfill(json=answer))
    page.reload()
    expect(page.locator("#served")).to_contain_text("300 classes")
    expect(page.locator("#demonstration")).to_be_hidden()
    page.locator("#classes summary").click()
    page.get_by_label("Search the classes").fill("29")
    expect(page.locator("#classes li")).to_have_count(13)  # 29, 129, 229 and 290 to 299
    expect(page.locator("#classes .hint")).to_have_text("13 of 300 classes")
    checks.that(True, "many classes can be searched")


def check_samples(page: Page, checks: Checks, shots: Path) -> None:
    page.get_by_role("button", name="A cat").click()
    expect(headings(page)).to_have_text("cat")
    page.reload()
    page.get_by_role("button", name="A cup of coffee").click()
    expect(headings(page)).to_have_text(re.compile("^Not sure. Perhaps "))
    page.screenshot(path=shots / "unsure.png", full_page=True)
    checks.that(True, "sample photos are classified, and an answer that is not sure looks so")


def check_several(page: Page, checks: Checks, shots: Path) -> None:
    pick(page, CAT, SHIP)
    expect(headings(page)).to_have_text(["cat", "ship"])
    pick(page, AIRPLANE)
    expect(headings(page).first).to_have_text("airplane")
    page.screenshot(path=shots / "several.png", full_page=True)
    checks.that(True, "several photos have a card each, in order, the newest above")


def check_map(page: Page, checks: Checks, shots: Path) -> None:
    pick(page, CAT)
    card = cards(page)
    canvas, hint = card.locator("canvas"), card.locator(".map-hint")
    cat, dog = card.locator(".class").nth(0), card.locator(".class").nth(1)
    expect(canvas).to_be_hidden()
    cat.click()
    expect(canvas).to_be_visible()
    expect(cat).to_have_attribute("aria-pressed", "true")
    expect(hint).to_contain_text("Class activation map of “cat”")
    photo, map_ = card.locator("img").bounding_box(), canvas.bounding_box()
    left, width = 75.17 / 451 * photo["width"], 300.67 / 451 * photo["width"]
    close = abs(map_["x"] - photo["x"] - left) < 2 and abs(map_["width"] - width) < 2
    checks.that(close, "the map lies on the part of the photo that the network saw")
    frame = card.locator(".frame").bounding_box()
    checks.that(all(abs(frame[side] - map_[side]) < 2 for side in map_), "a frame shows that part")
    expect(hint).to_contain_text("The network did not see the sides of the photo")
    expect(card.locator(".legend")).to_have_text("adds nothingadds most")
    checks.that(True, "the map has a legend, and words about what the network did not see")
    page.screenshot(path=shots / "map.png", full_page=True)
    strongest = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 == 3).reduce((a, b) => Math.max(a, b))"
    of_cat = canvas.evaluate(strongest)
    dog.click()
    expect(hint).to_contain_text("dog")
    expect(cat).to_have_attribute("aria-pressed", "false")
    checks.that(canvas.evaluate(strongest) < of_cat / 2, "an improbable class's map looks weak")
    dog.click()
    expect(canvas).to_be_hidden()
    expect(card.locator(".legend")).to_be_hidden()
    checks.that(True, "a class shows its map, and hides it when it is chosen again")


GIVE = """([type, name, bytes]) => {
    const given = new DataTransfer();
    given.items.add(new File([new Uint8Array(bytes)], name));
    const options = { bubbles: true, cancelable: true };
    document.body.dispatchEvent(type === "paste"
        ? new ClipboardEvent(type, { ...options, clipboardData: given })
        : new DragEvent(type, { ...options, dataTransfer: given }));
}"""


def check_pasting_and_dropping(page: Page, checks: Checks, shots: Path) -> None:
    page.evaluate(GIVE, ["paste", "pasted.png", list(SHIP.read_bytes())])
    expect(headings(page)).to_have_text(["ship"])
    page.evaluate(GIVE, ["drop", "dropped.jpg", list(CAT.read_bytes())])
    expect(headings(page)).to_have_text(["cat", "ship"])
    checks.that(True, "photos can be pasted and dropped")


def check_camera(page: Page, checks: Checks, shots: Path) -> None:
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_role("button", name="Take the photo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(cards(page).locator(".class")).to_have_count(5)
    page.evaluate("window.first = document.querySelector('#viewfinder').srcObject")
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_role("button", name="Take the photo")).to_be_focused()
    page.get_by_role("button", name="Close the camera").click()
    expect(page.locator("#viewfinder")).to_be_hidden()
    checks.that(page.evaluate("first.getTracks().every((track) => track.readyState === 'ended')"), "a camera that is asked for twice is closed")
    expect(page.get_by_role("button", name="Use the camera")).to_be_focused()
    checks.that(True, "the camera takes a photo and is closed again")


def check_tiff(page: Page, checks: Checks, shots: Path) -> None:
    pick(page, DATA / "pictures" / "lzw.tif")
    expect(cards(page).locator("figcaption")).to_contain_text("as the network's input")
    expect(page.locator(".result img").first).to_have_js_property("naturalWidth", 32)
    checks.that(True, "a format that browsers do not show is shown by the server")


def check_keyboard(page: Page, checks: Checks, shots: Path) -> None:
    # Said early: the browser must know that somebody will choose before it is asked to open a dialog.
    page.on("filechooser", lambda chooser: chooser.set_files([CAT, SHIP]))
    expect(page.locator("#device")).to_have_text(re.compile("cpu|cuda"))
    page.keyboard.press("Tab")
    expect(page.locator("#files")).to_be_focused()
    outline = "getComputedStyle(document.querySelector('label.button')).outlineStyle"
    checks.that(page.evaluate(outline) == "solid", "the focus can be seen")
    page.keyboard.press("Enter")
    expect(headings(page)).to_have_text(["cat", "ship"])
    for _ in range(1 + 4 + 1):  # the camera, the four buttons of the summary, and the first class
        page.keyboard.press("Tab")
    first = cards(page).first.locator(".class").first
    expect(first).to_be_focused()
    page.keyboard.press("Space")
    expect(cards(page).first.locator("canvas")).to_be_visible()
    for _ in range(4 + 2 + 1):  # the other classes, timings and request, and the cross
        page.keyboard.press("Tab")
    expect(cards(page).first.locator(".remove")).to_be_focused()
    page.keyboard.press("Enter")
    expect(headings(page)).to_have_text(["ship"])
    expect(cards(page).first.locator(".remove")).to_be_focused()
    checks.that(True, "everything can be done with the keyboard alone")


def check_looks(page: Page, checks: Checks, shots: Path) -> None:
    """Light and dark mode on desktop and mobile, with a map and a problem; axe reports no violations."""
    text = ("notes.txt", b"not a picture")
    for size_name, size in (("desk", {"width": 1280, "height": 900}), ("phone", PHONE)):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.reload()
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
            checks.that((brightness > 128) == (scheme == "light"), f"{scheme} is {scheme} ({ground})")
            pick(page, CAT, SHIP, text)
            expect(headings(page)).to_have_text(["cat", "ship", "This is not a picture"])
            cards(page).first.locator(".class").first.click()
            expect(cards(page).first.locator("canvas")).to_be_visible()
            page.screenshot(path=shots / f"{size_name}-{scheme}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
            checks.that(not wide, f"nothing is wider than the {size_name}'s screen")
            check_accessibility(page, checks, f"{size_name}, {scheme}")


def check_live(page: Page, checks: Checks, shots: Path) -> None:
    expect(page.locator("#device")).to_have_text(re.compile("cpu|cuda"))
    expect(page.locator("#depth")).to_have_text("0")
    pick(page, CAT, SHIP, AIRPLANE)
    expect(page.locator("#rate")).to_have_text(re.compile(r"^(?!0\.0)\d+\.\d$"), timeout=10_000)
    expect(page.locator("#p99")).to_have_text(re.compile(r"\d m?s$"), timeout=10_000)
    checks.that(True, "the server's figures are shown and kept up")


def check_docs(page: Page, checks: Checks, shots: Path) -> None:
    """Swagger UI under the content security policy: light and dark mode, and a request that is answered."""
    page.get_by_role("link", name="API documentation").click()
    expect(page).to_have_url(re.compile("/docs$"))
    operation = page.locator("#operations-images-classify")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(operation).to_be_visible(timeout=30_000)  # the document is large
        # The page follows by an event, which comes a moment later.
        root = page.locator("html")
        dark = re.compile("dark-mode")
        expect(root).to_have_class(dark) if scheme == "dark" else expect(root).not_to_have_class(dark)
        page.wait_for_timeout(500)  # colours may fade
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
        checks.that((brightness > 128) == (scheme == "light"), f"the API's page in {scheme} is {scheme}")
        page.screenshot(path=shots / f"docs-{scheme}.png", full_page=True)
    operation.locator(".opblock-summary-control").click()
    operation.locator("input[type=file]").set_input_files(AIRPLANE)
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table")
    expect(operation.locator(".request-url")).to_contain_text(re.compile("/classify\\s*$"))
    expect(answer.locator(".response-col_status").last).to_contain_text("200")
    expect(answer.locator(".response-col_description").last).to_contain_text(re.compile('"predictions": .*?"label": "airplane"', re.S))
    page.screenshot(path=shots / "docs-tried.png", full_page=True)
    checks.that(True, "a request that is tried in the API's page has no parameters of its own, and is answered")
    operation.get_by_label("Request content type").select_option("multipart/form-data")
    form = operation.locator(".opblock-section-request-body")
    form.get_by_role("button", name=re.compile("Add .*item")).click()
    for number, file in enumerate((CAT, SHIP)):
        form.locator("input[type=file]").nth(number).set_input_files(file)
    operation.get_by_role("button", name="Execute").click()
    expect(answer.locator(".response-col_description").last).to_contain_text('"name": "cifar10-ship.png"')
    checks.that(True, "the API's page sends a form with several files")
    schemas = page.locator("section.models")
    expect(schemas).to_contain_text("Prediction")
    expect(page.locator(".errors-wrapper")).to_have_count(0)
    checks.that(True, "the API's page shows the schemas, and finds no error in the document")


if __name__ == "__main__":
    sys.exit(main())
