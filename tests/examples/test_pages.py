"""The lists of examples are complete, and their programs are as short as they say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from posekit.io import read_frames
from tests.conftest import ROOT

PROGRAMS = sorted((ROOT / "examples").glob("*.py"))
PAGES = ("examples/README.md", "docs/examples.md")
LINES = 60  # that each has less than


@pytest.mark.parametrize("page", PAGES)
def test_a_list_has_every_program(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+\.py)\]\(([\w./]+)\)", text, re.MULTILINE)
    assert sorted(name for name, _ in rows) == [path.name for path in PROGRAMS]
    for name, link in rows:
        assert ((ROOT / page).parent / link).resolve() == ROOT / "examples" / name


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_is_short_and_says_what_it_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert len(text.splitlines()) < LINES
    assert len(docstring.splitlines()) >= 3 and path.stem in docstring


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    # A second has 25 frames, of which five tell as much.
    exec(code.replace("end=1,", "end=0.2,"), {})
    frames = [frame.image for frame in read_frames("nobody.mp4")]
    assert len(frames) == 5
    assert all((image.max(axis=2) < 16).mean() > 0.05 for image in frames)
