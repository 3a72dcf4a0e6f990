"""Links out of docs/ to files of the repository lead to pages of the site.

On GitHub `[...](../CONTRIBUTING.md)` leads to that file. The site has a page of each file that some
page links to: Markdown as it is, all else as a block of code. Notebooks are there to be downloaded.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import File, Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(\]\()([^()#\s]+)((?:#[^()\s]*)?\))")
# A link whose text is the name of a file: on the site it is the page's title.
FILE_NAME = re.compile(r"\[(?:[\w./-]+\.md)\]\(([^()#\s]+\.md)((?:#[^()\s]*)?)\)")
# Pages of their own, with places in the navigation.
NAMED = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".ini": "ini", ".toml": "toml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file of the repository that is linked to, also from such a page."""
    from mkdocs.structure.files import File, InclusionLevel

    origin: dict[str, str] = {}  # page of the site -> the file of the repository that it shows
    waiting = [*NAMED, *_linked_from_docs(files)]
    while waiting:
        path = waiting.pop()
        uri = page_of(path)
        if uri in origin:
            continue
        origin[uri] = path
        place = InclusionLevel.INCLUDED if path in NAMED else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, uri, content=_text(path), inclusion=place))
        if path.endswith(".md"):
            waiting += [p for p in targets(_text(path), posixpath.dirname(path)) if _outside(p)]
    config.extra["repository_pages"] = origin
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points links at pages of the site, as seen from the page that they stand on."""
    here = page.file.src_uri
    path = config.extra["repository_pages"].get(here, f"docs/{here}")
    folder = posixpath.dirname(path)

    def rewritten(found: re.Match[str]) -> str:
        if "://" in found[2] or found[2].startswith(("mailto:", "/")):
            return found[0]
        target = posixpath.normpath(posixpath.join(folder, found[2]))
        uri = page_of(target) if _outside(target) else target.removeprefix("docs/")
        return f"{found[1]}{posixpath.relpath(uri, posixpath.dirname(here) or '.')}{found[3]}"

    def titled(found: re.Match[str]) -> str:
        target = files.get_file_from_path(
            posixpath.normpath(posixpath.join(posixpath.dirname(here), found[1]))
        )
        return found[0] if target is None else f"[{_title(target)}]({found[1]}{found[2]})"

    return FILE_NAME.sub(titled, LINK.sub(rewritten, markdown))


def _title(file: File) -> str:
    return file.content_string.lstrip("# ").partition("\n")[0].strip()


def page_of(path: str) -> str:
    """What of the site shows a file of the repository."""
    if path in NAMED:
        return NAMED[path]
    if path.endswith(".ipynb"):
        return f"repository/{path}"
    return f"repository/{path.lower() if path.endswith('.md') else f'{path}.md'}"


def _text(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith((".md", ".ipynb")):
        return text
    language = LANGUAGES.get(Path(path).suffix, "text")
    return f"# {path}\n\n````{language}\n{text.rstrip()}\n````\n"


def _linked_from_docs(files: Files) -> Iterator[str]:
    for file in files.documentation_pages():
        if file.generated_by is None:
            folder = posixpath.dirname(f"docs/{file.src_uri}")
            yield from (p for p in targets(file.content_string, folder) if _outside(p))


def targets(text: str, folder: str) -> Iterator[str]:
    """Files of the repository that a text links to."""
    for found in LINK.finditer(text):
        path = posixpath.normpath(posixpath.join(folder, found[2]))
        if "://" not in found[2] and (ROOT / path).is_file():
            yield path


def _outside(path: str) -> bool:
    return not path.startswith("docs/") and (ROOT / path).is_file()
