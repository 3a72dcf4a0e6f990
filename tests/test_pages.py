"""Every block of code in docs/ runs as it stands, one after the other, or says why it cannot."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.hub_server import HubServer
from tests.page_folders import at_home, networks_of, write_folder, write_weights
from tests.pages import RUN, Reader, read_page

DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
# These take less than three seconds of one core; the others are run by `make slow`.
QUICK: set[str] = set()
# Tests of their own run these, with what somebody does by hand between two commands.
ELSEWHERE = {"labelling.md": "test_labelling_page.py"}


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def hub(tmp_path: Path, cache: Path) -> Iterator[HubServer]:
    with at_home(tmp_path / "home", cache) as server:
        yield server


def runs_something(path: Path) -> bool:
    return any(block.runs for block in read_page(path))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name, path in PAGES.items()
        if runs_something(path) and name not in ELSEWHERE
    ],
)
def test_a_page_runs(name: str, stock: Path, cache: Path, hub: HubServer, tmp_path: Path) -> None:
    for model in networks_of(read_page(PAGES[name])):
        if not (weights := cache / "models" / f"{model}.safetensors").exists():
            write_weights(model, weights)
    folder = tmp_path / "reader"
    shutil.copytree(stock, folder)
    Reader(folder).follow(PAGES[name])
