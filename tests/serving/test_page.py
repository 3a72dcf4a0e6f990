"""What docs/serving.md says of a service holds, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import posekit
from posekit.serving.options import IMAGE_OPTIONS, ServiceOptions
from tests.conftest import ROOT
from tests.serving.conftest import jpeg

TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", SNIPPETS)
def test_an_example_runs(
    code: str,
    demo: posekit.Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert re.findall(r'posekit\.load\("(.*?)"\)', code) == ["human"]
    monkeypatch.setattr(posekit, "load", lambda _: demo)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    exec(compile(code, "docs/serving.md", "exec"), {})
    assert re.match(r"\(1, 17, 2\) \d|\[1, 1, 1, 1, 1, 1, 1, 1\]", capsys.readouterr().out)


def test_all_options_are_named() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `?([\w.,]+)`? \|", TEXT, re.MULTILINE)
    assert {name: value.replace(",", "") for name, value in rows} == {
        name: "none" if option.default is None else str(option.default)
        for name, option in ServiceOptions.declared().items()
    }
    (named,) = re.findall(r"image by image: (.*?)\. Only", TEXT, re.DOTALL)
    assert sorted(re.findall(r"`(\w+)`", named)) == sorted(IMAGE_OPTIONS)
