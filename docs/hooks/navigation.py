"""In the navigation, a name that ends in `/` stands for the pages of that folder.

On the start page, `<!-- tutorials -->` stands for a card per tutorial.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import reference_pages

# What these pages have no use for.
HIDDEN = {"index.md": ["navigation", "toc"], "models.md": ["navigation", "toc"]}
# The order of the tutorials; others come behind these.
TUTORIALS = (
    "index", "first-picture", "clip-to-csv", "own-keypoints", "from-mmpose", "from-rtmlib",
    "from-ultralytics", "to-3d-and-blender", "biomechanics", "cluster", "hub", "notebooks",
)  # fmt: skip


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Writes out the folders of the navigation."""
    config.nav = expanded(config.nav, folders(Path(config.docs_dir)))
    return config


def folders(docs: Path) -> dict[str, list[Any]]:
    """What the names that end in `/` stand for."""
    return {
        "tutorials/": tutorials(docs / "tutorials"),
        "reference/": reference_pages.navigation(),
    }


def expanded(items: list[Any], folders: dict[str, list[Any]]) -> list[Any]:
    """The navigation with the pages of folders; one without pages is left out."""
    found: list[Any] = []
    for item in items:
        (title, value) = next(iter(item.items())) if isinstance(item, dict) else ("", item)
        if isinstance(value, list):
            value = expanded(value, folders)
        elif value in folders:
            value = folders[value]
        if value:
            found.append({title: value} if title else value)
    return found


def tutorials(folder: Path) -> list[Any]:
    """The pages of a folder, in the order in which one reads them; their titles are their own."""
    names = {path.stem for path in folder.glob("*.md")}
    known = [name for name in TUTORIALS if name in names]
    return [f"tutorials/{name}.md" for name in [*known, *sorted(names - {*known})]]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Hides what a page has no use for, and writes the cards."""
    if page.file.src_uri in HIDDEN:
        page.meta["hide"] = HIDDEN[page.file.src_uri]
    return markdown.replace("<!-- tutorials -->", cards(Path(config.docs_dir)))


def cards(docs: Path) -> str:
    """A card per tutorial: its title, which is a link, and its first sentence."""
    names = tutorials(docs / "tutorials")
    lines = ['<div class="grid cards" markdown>', ""]
    for name in names:
        heading, _, text = (docs / name).read_text(encoding="utf-8").partition("\n")
        lines += [f"-   **[{heading.removeprefix('#').strip()}]({name})**", ""]
        lines += [f"    {first_sentence(text)}", ""]
    return "\n".join([*lines, "</div>"])


def first_sentence(text: str) -> str:
    """Of a page, below its title, without links."""
    paragraphs = [part for part in text.strip().split("\n\n") if part[:1].isalnum()]
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(paragraphs[:1]))
    return re.split(r"(?<=[.!?])\s", " ".join(plain.split()), maxsplit=1)[0].rstrip(":")
