"""Adds the pages of the reference, which no file holds."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import reference_pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for uri, text in reference_pages.pages():
        files.append(File.generated(config, uri, content=text))
    return files
