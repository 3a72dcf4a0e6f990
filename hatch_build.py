"""What the package index is told beyond pyproject.toml: addresses, and a README that it can show.

The one place that names the repository is `repository-code` in CITATION.cff. The index shows the
README apart from the repository, so its relative links become addresses of the release's files;
while no repository is named they become plain text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# Of `text` and, before it, whether it is a picture.
LINK = re.compile(r"(!?)\[((?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\(([^)\s]+)\)")
ATTRIBUTE = re.compile(r'\b(src|href)="([^"]+)"')
ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|#", re.IGNORECASE)


def repository_of(citation: str) -> str | None:
    """The address that CITATION.cff names; None where it names none."""
    found = re.search(r"^repository-code:\s*[\"']?([^\"'\s]+)", citation, re.MULTILINE)
    return found[1].rstrip("/") if found else None


def urls_of(repository: str | None, version: str) -> dict[str, str]:
    """What stands beside the package on the index."""
    if repository is None:
        return {}
    return {
        "Repository": repository,
        "Documentation": f"{repository}/tree/v{version}/docs",
        "Changelog": f"{repository}/blob/v{version}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


def readme_for_index(text: str, repository: str | None, version: str) -> str:
    """The README with addresses in place of relative links. Blocks of code stay as they are."""

    def address(target: str, *, picture: bool) -> str:
        return f"{repository}/{'raw' if picture else 'blob'}/v{version}/{target}"

    def link(match: re.Match[str]) -> str:
        bang, words, target = match.groups()
        words = LINK.sub(link, words)  # a picture that is a link
        if ABSOLUTE.match(target):
            return f"{bang}[{words}]({target})"
        if repository is None:
            return words
        return f"{bang}[{words}]({address(target, picture=bool(bang))})"

    def attribute(match: re.Match[str]) -> str:
        name, target = match.groups()
        if repository is None or ABSOLUTE.match(target):
            return match[0]
        return f'{name}="{address(target, picture=name == "src")}"'

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [ATTRIBUTE.sub(attribute, LINK.sub(link, part)) for part in parts[::2]]
    return "".join(parts)


class IndexMetadata(MetadataHookInterface):
    """Fills in the fields that pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        repository = repository_of((root / "CITATION.cff").read_text(encoding="utf-8"))
        version = metadata["version"]
        text = (root / "README.md").read_text(encoding="utf-8")
        metadata["urls"] = urls_of(repository, version)
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": readme_for_index(text, repository, version),
        }
