"""The page in headless Chromium, as visitors use it; screenshots go to out/screenshots."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("gradio")

SHOTS = ROOT / "out" / "screenshots"
PATIENCE = 120_000  # milliseconds
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-unsafe-swiftshader",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Page:
    """A page of a visitor with a browser of their own, which notes what goes wrong in it."""

    def __init__(self, browser: Any, url: str, width: int = 1280, scheme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme,
            permissions=["camera", "clipboard-read", "clipboard-write"],
        )  # fmt: skip
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.faults: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self._request)
        self.page.goto(url)
        self.page.wait_for_selector(".pk-zone")

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _request(self, request: Any) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1" and request.url.startswith(("http", "ws")):
            self.foreign.append(request.url)

    def send(self, path: Path) -> None:
        self.page.set_input_files("#pk-file", str(path))
        self.page.wait_for_selector(f".pk-chosen strong:text-is('{path.name}')")

    def run(self) -> None:
        self.page.click("#pk-run")
        self.page.wait_for_selector(".pk-done, .pk-failed")
        self.page.wait_for_selector(".pk-stage")

    def tab(self, name: str) -> None:
        found = self.page.get_by_role("tab", name=name, exact=True)
        if not found.first.is_visible():  # behind a button, on a phone
            self.page.locator("#pk-tabs .overflow-menu > button").click()
            self.page.locator("#pk-tabs .overflow-dropdown button", has_text=name).click()
            return
        found.first.click()

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def close(self) -> None:
        """Closes it; nothing may have gone wrong in it, and nothing come from elsewhere."""
        self.context.close()
        assert self.faults == [] and self.foreign == []


@pytest.fixture
def page(chromium: Any, server: str) -> Iterator[Page]:
    found = Page(chromium, server)
    yield found
    found.close()


def test_a_clip_plays_beside_its_drawing(page: Page, clip: Path) -> None:
    page.shot("start")
    page.send(clip)
    page.run()
    page.page.wait_for_function(
        "[...document.querySelectorAll('.pk-stage video')].every((v) => v.readyState >= 2)"
    )
    sizes = page.page.eval_on_selector_all(".pk-stage video", "all => all.map(v => v.videoWidth)")
    assert sizes == [480, 480]
    page.page.eval_on_selector(".pk-stage figure:last-child video", "video => video.play()")
    page.page.wait_for_function("!document.querySelector('.pk-stage video').paused")
    assert page.page.locator(".pk-table tbody tr").count() >= 3
    page.shot("clip")
    for name in ("Angles", "Heights"):
        page.tab(name)
        page.page.wait_for_selector(f".pk-figures[data-what={name.lower()}] .main-svg")
        page.shot(name.lower())
    page.tab("Files")
    with page.page.expect_download() as download:
        page.page.click("a[data-download=jsonl]")
    assert len(Path(download.value.path()).read_text().splitlines()) >= 4
    page.shot("files")
    page.tab("Same elsewhere")
    page.page.locator("[data-copy]").first.click()
    copied = page.page.evaluate("navigator.clipboard.readText()")
    assert copied == "posekit predict model=demo 'inputs=a clip (1).mp4' out_dir=out track=iou"
    page.shot("elsewhere")


def test_the_example_is_a_press_away(page: Page) -> None:
    page.page.click("#pk-demo\\.jpg, button:has-text('An image, with the demo model')")
    page.page.wait_for_selector(".pk-chosen strong:text-is('posekit:demo.jpg')")
    page.run()
    page.page.wait_for_function(
        "[...document.querySelectorAll('.pk-stage img')].every((i) => i.complete && i.naturalWidth)"
    )
    assert "4 found" in page.page.inner_text(".pk-done")
    page.shot("picture")


def test_a_broken_clip_is_said_to_be_one(page: Page, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:500])
    page.page.set_input_files("#pk-file", str(broken))
    page.page.wait_for_selector(".pk-sent.pk-failed")
    assert "broken.mp4 cannot be read as a video" in page.page.inner_text(".pk-sent")
    page.shot("broken")
    page.faults = [one for one in page.faults if "status of 422" not in one]  # Chromium's own line


def test_too_large_a_file_is_not_even_sent(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(600_000))
    page.page.set_input_files("#pk-file", str(large))
    page.page.wait_for_selector(".pk-sent.pk-failed")
    assert "the largest file accepted is 0.5 MB" in page.page.inner_text(".pk-sent")
    page.shot("too_large")


def test_two_visitors_see_their_own(chromium: Any, server: str, clip: Path, tmp_path: Path) -> None:
    other_clip = tmp_path / "other.mp4"
    shutil.copyfile(clip, other_clip)
    pages = [Page(chromium, server), Page(chromium, server)]
    for one, path in zip(pages, (clip, other_clip), strict=True):
        one.send(path)
    for one in pages:
        one.page.click("#pk-run")
    links = []
    for one in pages:
        one.page.wait_for_selector(".pk-stage")
        links.append(one.page.get_attribute(".pk-stage figure:last-child video", "src"))
    labels = [
        one.page.get_attribute(".pk-stage figure:first-child video", "aria-label") for one in pages
    ]
    assert labels == [clip.name, "other.mp4"]
    stranger = pages[1].context.request.get(f"{server}/{links[0]}")
    own = pages[0].context.request.get(f"{server}/{links[0]}")
    assert (stranger.status, own.status) == (404, 200)
    for one in pages:
        one.close()


def test_a_closed_tab_ends_the_work_and_its_files_go(
    chromium: Any, server: str, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posekit.app import visits as module

    left: list[Any] = []
    close = module.Visit.close
    monkeypatch.setattr(module.Visit, "close", lambda visit: (close(visit), left.append(visit))[0])
    page = Page(chromium, server)
    page.send(clip)
    page.page.click("#pk-run")
    page.page.wait_for_selector(".pk-progress")
    page.page.wait_for_selector(".pk-progress:has-text('Frame'), .pk-done")
    page.close()
    playwright_wait(lambda: bool(left))
    visit = left[0]
    assert visit.job is not None
    visit.job.join(60)
    assert not visit.job.is_alive()
    assert visit.closed and not visit.folder.exists()


def playwright_wait(done: Any) -> None:
    """Waits for the server's threads."""
    import threading

    tick = threading.Event()
    for _ in range(600):
        if done():
            return
        tick.wait(0.1)
    raise AssertionError("nothing happened within a minute")


def test_the_keyboard_is_enough(page: Page) -> None:
    seen = []
    for _ in range(40):
        page.page.keyboard.press("Tab")
        seen.append(
            page.page.evaluate("document.activeElement.id || document.activeElement.innerText")
        )
        if seen[-1] == "pk-run":
            break
    assert seen[0] == "Skip to the result"
    wanted = ["pk-file", "Use the camera", "pk-run"]
    assert [one for one in seen if one in wanted] == wanted
    page.page.focus("button:has-text('An image, with the demo model')")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".pk-chosen strong")
    page.page.focus("#pk-run")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".pk-stage")
    unnamed = page.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, video, [role=progressbar]")]
        .filter((one) => one.offsetParent && !(one.innerText || one.ariaLabel || one.labels?.length
          || one.title || one.getAttribute("aria-labelledby"))).map((one) => one.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_axe_finds_no_barrier(
    chromium: Any, server: str, clip: Path, width: int, scheme: str
) -> None:
    """Contrast, names, roles and order, as screen readers and weak eyes need them."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = Page(chromium, server, width, scheme)
    found = {}

    def audit(state: str) -> None:
        violations = axe.run(page.page).response["violations"]
        if violations:
            found[state] = [(one["id"], one["nodes"][0]["html"]) for one in violations]

    audit("start")
    page.send(clip)
    page.run()
    audit("result")
    for name, drawn in (("Angles", ".pk-figures[data-what=angles] .main-svg"), ("Files", "a")):
        page.tab(name)
        page.page.wait_for_selector(drawn)
        audit(name)
    page.close()
    assert found == {}


def test_the_camera_takes_a_picture(page: Page) -> None:
    page.page.click("[data-camera=open]")
    page.page.wait_for_function("document.querySelector('.pk-camera video').videoWidth > 0")
    page.shot("camera")
    page.page.click("[data-camera=picture]")
    page.page.wait_for_selector(".pk-chosen strong:text-is('camera.jpg')")


def test_the_camera_records_a_clip(page: Page) -> None:
    page.page.click("[data-camera=open]")
    page.page.wait_for_function("document.querySelector('.pk-camera video').videoWidth > 0")
    page.page.click("[data-camera=clip]")
    page.page.wait_for_timeout(1500)
    page.page.click("[data-camera=clip]")
    page.page.wait_for_selector(".pk-chosen strong:text-is('camera.webm')")


def test_3d_poses_turn_and_move(page: Page, tmp_path: Path) -> None:
    from posekit.app.figures import figures, to_json
    from posekit.app.findings import find
    from tests.app.test_parts import walk_table

    drawn = to_json(figures(find(walk_table(tmp_path), threshold=0.0)))
    page.page.route("**/visit/x/y/figures", lambda route: route.fulfill(
        body=drawn.decode(), content_type="application/json"))  # fmt: skip
    page.page.evaluate(
        """document.querySelector("#pk-stage").innerHTML =
        '<div class="pk-figures" data-figures="visit/x/y/figures" data-what="space"></div>'"""
    )
    page.page.wait_for_selector(".pk-space canvas")
    before = page.page.evaluate("JSON.stringify(document.querySelector('.pk-space').data[0].x)")
    page.page.focus("#pk-when")
    page.page.keyboard.press("End")
    assert page.page.inner_text(".pk-figures output") == "1.16 s"
    assert (
        page.page.evaluate("JSON.stringify(document.querySelector('.pk-space').data[0].x)")
        != before
    )
    page.page.wait_for_timeout(500)
    page.shot("space")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(chromium: Any, server: str, clip: Path, scheme: str) -> None:
    page = Page(chromium, server, 390, scheme)
    page.shot(f"phone_{scheme}_start")
    page.send(clip)
    page.run()
    page.shot(f"phone_{scheme}_clip")
    wide = page.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, f"{wide} pixels wide"
    page.tab("Files")
    page.shot(f"phone_{scheme}_files")
    page.close()


def test_a_wide_screen_in_the_dark(chromium: Any, server: str, clip: Path) -> None:
    page = Page(chromium, server, 1280, "dark")
    page.send(clip)
    page.run()
    page.tab("Angles")
    page.page.wait_for_selector(".pk-figures[data-what=angles] .main-svg")
    page.shot("dark")
    page.close()


def test_what_a_page_is_told_names_no_folder(page: Page, clip: Path) -> None:
    answers: list[str] = []
    page.page.on("response", lambda response: answers.append(response.url))
    page.send(clip)
    page.run()
    text = page.page.content()
    assert "/tmp/" not in text and str(Path.home()) not in text
    assert json.dumps(answers).count("/tmp") == 0
