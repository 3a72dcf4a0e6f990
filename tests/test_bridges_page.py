"""The examples of docs/bridges.md run, each where its library is there."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import posekit
from tests.conftest import ROOT
from tests.io.test_formats import frame, write

TEXT = (ROOT / "docs" / "bridges.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## ([^\n]*)\n+```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
# What is written, and which library a section is of.
LIBRARIES = {
    "supervision": ("supervision", ""),
    "sleap-io": ("sleap_io", "clip.slp"),
    "movement": ("xarray", ""),
    "NWB": ("ndx_pose", "clip.nwb"),
    "pose-format": ("pose_format", "clip.pose"),
    "Rerun": ("rerun", "clip.rrd"),
    "FiftyOne": ("fiftyone", ""),
}
LARGE = ("sleap-io", "Rerun", "FiftyOne")  # tests/bridges has more of each


def test_each_library_has_an_example() -> None:
    assert [title for title, _ in SECTIONS] == list(LIBRARIES)
    modules = {path.stem for path in (ROOT / "posekit" / "bridges").glob("*.py")}
    for name in modules - {"__init__", "results", "cvat"}:
        assert f"| `{name}` |" in TEXT
    assert "`posekit.bridges.cvat`" in TEXT  # which takes a model in place of results


@pytest.mark.parametrize(
    ("title", "code"),
    [pytest.param(*one, marks=pytest.mark.slow if one[0] in LARGE else ()) for one in SECTIONS],
)
def test_an_example_runs(
    title: str,
    code: str,
    small: posekit.Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, written = LIBRARIES[title]
    pytest.importorskip(module)
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    write(tmp_path, [frame(0, skeleton="coco"), frame(1, 0), frame(2)], ("parquet",))
    (tmp_path / "walk.parquet").rename("clip.parquet")
    cv2.imwrite("photo.jpg", np.zeros((64, 48, 3), np.uint8))
    exec(compile(code, f"docs/bridges.md, {title}", "exec"), {"predictor": small})
    assert not written or (tmp_path / written).stat().st_size


def test_versions_are_those_that_the_modules_ask_for() -> None:
    for name, package in re.findall(r"^\| `(\w+)` \| .*? \| `([\w.>=-]+)`", TEXT, re.MULTILINE):
        source = (ROOT / "posekit" / "bridges" / f"{name}.py").read_text(encoding="utf-8")
        assert f'PACKAGE = "{package}"' in source or package == "xarray", name
