"""The documentation site: its navigation, pictures, links, and what its script goes by."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import posekit
from posekit.commands.option_texts import SETTINGS, SHEETS, options_of
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in DOCS.rglob("*.md")}
PICTURES = re.compile(r'!\[[^]]+\]\(([^)]+)\)|(?:src|srcset)="([^"]+)"')


class Loader(yaml.SafeLoader):
    """Of the configuration, whose tags name functions of mkdocs."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


@pytest.fixture(scope="module")
def hooks() -> Iterator[Any]:
    sys.path.insert(0, str(DOCS / "hooks"))
    yield import_module
    sys.path.remove(str(DOCS / "hooks"))


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), Loader)
    return found


@pytest.fixture(scope="module")
def reference(hooks: Any) -> dict[str, str]:
    return dict(hooks("reference_pages").pages())


def files_of(items: list[Any]) -> Iterator[str]:
    for item in items:
        value = next(iter(item.values())) if isinstance(item, dict) else item
        yield from files_of(value) if isinstance(value, list) else [value]


def test_each_page_is_in_the_navigation_once(
    hooks: Any, config: dict[str, Any], reference: dict[str, str]
) -> None:
    navigation = hooks("navigation")
    nav = navigation.expanded(config["nav"], navigation.folders(DOCS))
    of_repository = hooks("repository").NAMED.values()
    assert sorted(files_of(nav)) == sorted([*PAGES, *reference, *of_repository])


def test_a_folder_without_pages_is_left_out_of_the_navigation(hooks: Any, tmp_path: Path) -> None:
    navigation = hooks("navigation")
    items = [{"A": "a.md"}, {"Tutorials": "tutorials/"}]
    assert navigation.expanded(items, navigation.folders(tmp_path)) == [{"A": "a.md"}]
    (tmp_path / "tutorials").mkdir()
    for name in ("zebra", "clip-to-csv", "first-picture"):
        (tmp_path / "tutorials" / f"{name}.md").write_text(f"# {name}\n\nWhat it is. More.\n")
    _, found = navigation.expanded(items, navigation.folders(tmp_path))
    assert [Path(page).stem for page in found["Tutorials"]] == [
        "first-picture", "clip-to-csv", "zebra",
    ]  # fmt: skip
    assert "**[zebra](tutorials/zebra.md)**\n\n    What it is.\n" in navigation.cards(tmp_path)


def test_the_reference_has_each_key_of_each_command(reference: dict[str, str]) -> None:
    for command in (*SHEETS, *SETTINGS):
        page = reference[f"reference/commands/{command}.md"]
        missing = [name for name in options_of(command) if f"{{ #{name} .key }}" not in page]
        assert not missing, command


def test_the_reference_has_each_public_name(hooks: Any, reference: dict[str, str]) -> None:
    page = reference["reference/python/posekit.md"]
    for name in posekit.__all__:
        assert name == "__version__" or f"::: posekit.{name}\n" in page
    for file, _, _, places in hooks("reference_pages").MODULES:
        page = reference[f"reference/python/{file}.md"]
        for place in places:
            module, _, chosen = place.partition(":")
            public = [n for n in import_module(module).__all__ if not n.startswith("_")]
            names = chosen.split(",") if chosen else public
            assert set(names) <= {*public}
            assert f"::: {module}\n" in page and f"members: [{', '.join(names)}]" in page


def test_each_bridge_is_in_the_reference(reference: dict[str, str]) -> None:
    for path in (ROOT / "posekit" / "bridges").glob("[a-z]*.py"):
        assert f"::: posekit.bridges.{path.stem}\n" in reference["reference/python/bridges.md"]


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_links_to_is_there(name: str, hooks: Any, reference: dict[str, str]) -> None:
    folder = posixpath.dirname(f"docs/{name}")
    for found in hooks("repository").LINK.finditer(PAGES[name]):
        if re.match(r"\w+:", found[2]) is None:
            path = posixpath.normpath(posixpath.join(folder, found[2]))
            known = (ROOT / path).is_file() or path.removeprefix("docs/") in reference
            assert known, found[0]


def test_links_out_of_the_pages_lead_to_pages_of_the_site(hooks: Any) -> None:
    repository = hooks("repository")
    page_of = repository.page_of
    assert page_of("CHANGELOG.md") == "changelog.md"
    assert page_of("README.md") == "repository/readme.md"
    assert page_of("notebooks/a.ipynb") == "repository/notebooks/a.ipynb"
    assert page_of("examples/a.py") == "repository/examples/a.py.md"
    text = "[a](../README.md#x) [b](predict.md) [c](https://example.org/README.md)"
    assert list(repository.targets(text, "docs")) == ["README.md", "docs/predict.md"]


def test_pictures_are_there_small_and_used() -> None:
    used = set()
    for name, text in PAGES.items():
        for found in PICTURES.finditer(text):
            path = (DOCS / name).parent / (found[1] or found[2])
            assert path.is_file(), found[0]
            used.add(path.resolve())
    there = {path for path in (DOCS / "images").iterdir() if path.suffix in (".webp", ".svg")}
    assert there - used == {DOCS / "images" / "logo.svg"}
    assert all(path.stat().st_size < 100_000 for path in there if path.name != "start.webp")


def test_the_first_picture_moves_and_loads_soon() -> None:
    path = DOCS / "images" / "start.webp"
    with Image.open(path) as image:
        assert image.n_frames > 30
    assert path.stat().st_size < 1_000_000


def test_the_script_of_models_knows_the_columns_of_their_tables() -> None:
    script = (DOCS / "javascripts" / "models.js").read_text("utf-8")
    columns = re.findall(r'"([^"]+)"', re.search(r"COLUMNS = \[(.*?)\]", script, re.DOTALL)[1])
    tables = re.findall(r"(?:^\|.*\|\n)+", PAGES["models.md"], re.MULTILINE)
    assert len(tables) == PAGES["models.md"].count("\n## ")
    for table in tables[:-1]:  # the last one is of models that are not here
        header, _, *rows = [line[2:-2].split(" | ") for line in table.splitlines()]
        assert header == columns
        for row in rows:
            cells = dict(zip(columns, row, strict=True))
            assert re.fullmatch(r"(\d+x\d+|\d+ frames)", cells["input"])
            assert re.fullmatch(r"(\w+ \(\d+\))?", cells["keypoints"])
            assert cells["licence"] and float(cells["parameters"] or 1) > 0


def test_the_site_asks_no_other_server(config: dict[str, Any]) -> None:
    assert config["theme"]["font"] is False and "analytics" not in config["extra"]
    for name in (*config["extra_css"], *config["extra_javascript"]):
        assert "//" not in re.sub(r"^\s*//.*$", "", (DOCS / name).read_text("utf-8"), flags=re.M)
