"""Every page of the built site in Chromium: no error, no other server, no wider than a phone, and
no barrier to screen readers and weak eyes that axe finds serious.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")
playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [pytest.mark.slow, pytest.mark.browser]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built, or one that is named by POSEKIT_SITE."""
    if built := os.environ.get("POSEKIT_SITE"):
        return Path(built)
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", folder],
        cwd=ROOT,
        check=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as tool:
        try:
            started = tool.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        except playwright.Error as error:
            pytest.skip(f"no Chromium: {error}")
        yield started
        started.close()


@pytest.mark.parametrize("look", ["light", "dark"])
def test_every_page_opens(site: Path, address: str, browser: Any, look: str) -> None:
    context = browser.new_context(viewport=PHONE if look == "dark" else DESK, color_scheme=look)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: r.url.startswith((address, "data:")) or wrong.append(r.url))
    page.on("response", lambda r: r.status >= 400 and wrong.append(f"{r.status} {r.url}"))
    pages = sorted(site.rglob("index.html"))
    assert len(pages) > 50
    for path in pages:
        name = path.parent.relative_to(site).as_posix()
        before = len(wrong)
        page.goto(f"{address}/{name}/", wait_until="load")
        wider = page.evaluate(WIDER)
        if wider > 0:
            wrong.append(f"{wider} pixels too wide")
        broken = "() => [...document.images].filter(i => i.complete && !i.naturalWidth).length"
        if page.evaluate(broken):
            wrong.append("a picture is missing")
        for found in axe.Axe().run(page).response["violations"]:
            if found["impact"] in ("serious", "critical"):
                wrong.append(f"{found['id']}: {found['nodes'][0]['html']}")
        wrong[before:] = [f"{name}: {text}" for text in wrong[before:]]
    context.close()
    assert not wrong


def shown(page: Any) -> int:
    return int(page.locator("table.models tbody tr:visible").count())


def test_models_are_filtered_and_sorted_by_keyboard(address: str, browser: Any) -> None:
    page = browser.new_context(viewport=DESK).new_page()
    page.goto(f"{address}/models/")
    count = page.locator(".models-filter output")
    everything = int(re.match(r"\d+", count.inner_text())[0])
    assert shown(page) == everything > 300
    page.get_by_label("Task").select_option("hand")
    page.get_by_label("Text").fill("rtmpose")
    assert 0 < shown(page) < 20 and count.inner_text() == f"{shown(page)} of {everything} models"
    assert page.url.endswith("?text=rtmpose&task=hand")
    assert not page.locator("#body").is_visible() and page.locator("#hand").is_visible()
    page.get_by_role("button", name="Show all").press("Enter")
    page.wait_for_function(
        "text => document.querySelector('output').textContent === text", arg=f"{everything} models"
    )
    page.get_by_label("Parameters up to").fill("5")
    values = page.locator("td[data-label=parameters]:visible").all_inner_texts()
    assert values and all(float(value) <= 5 for value in values if value)

    header = page.get_by_role("button", name="parameters").first
    for direction, sign in (("ascending", 1), ("descending", -1)):
        header.press("Enter")
        table = page.locator("table.models").nth(1)
        assert table.locator(f"th[aria-sort={direction}]").inner_text().strip() == "parameters"
        values = table.locator("td[data-label=parameters]:visible").all_inner_texts()
        numbers = [float(value) for value in values if value]
        assert numbers == sorted(numbers, key=lambda number: sign * number) and len(numbers) > 3


def test_a_filtered_view_has_an_address(address: str, browser: Any) -> None:
    page = browser.new_context(viewport=PHONE).new_page()
    page.goto(f"{address}/models/?keypoints=halpe26&sort=-parameters")
    names = page.locator("td[data-label=name]:visible").all_inner_texts()
    assert len(names) == 7 and names[0].startswith("rtmpose-x")
    assert page.evaluate(WIDER) <= 0


def test_search_finds_an_option(address: str, browser: Any) -> None:
    page = browser.new_context(viewport=DESK).new_page()
    page.goto(f"{address}/")
    page.get_by_placeholder("Search").fill("det_interval")
    page.locator(".md-search-result__item").first.wait_for(timeout=60_000)
    assert "det_interval" in page.locator(".md-search-result__list").inner_text()
