"""VGG Image Annotator's files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import posekit
from posekit.errors import InputError
from tests.labelling.truth import NAMES, PEOPLE, check, draw


def regions(name: str) -> list[dict[str, Any]]:
    found = []
    for number, person in enumerate(p for p in PEOPLE if p.image == name):
        x, y, w, h = person.box
        group = {"person_id": str(number)}
        rect = {"name": "rect", "x": x, "y": y, "width": w, "height": h}
        found.append({"shape_attributes": rect, "region_attributes": {"label": "person", **group}})
        for label, (px, py, v) in zip(NAMES, person.points, strict=True):
            if v:
                shape = {"name": "point", "cx": px, "cy": py}
                about = {"label": label, "occluded": {"yes": True} if v == 1 else {}, **group}
                found.append({"shape_attributes": shape, "region_attributes": about})
    return found


def metadata() -> dict[str, Any]:
    names = ("a.png", "b.png", "empty.png")
    return {
        f"{name}123": {
            "filename": name, "size": 123, "regions": regions(name), "file_attributes": {},
        }
        for name in names
    }  # fmt: skip


def project() -> dict[str, Any]:
    return {"_via_settings": {}, "_via_img_metadata": metadata(), "_via_attributes": {}}


def version_1() -> dict[str, Any]:
    data = metadata()
    for entry in data.values():
        entry["regions"] = {str(i): region for i, region in enumerate(entry["regions"])}
    return data


@pytest.mark.parametrize("content", [metadata, project, version_1])
def test_json(tmp_path: Path, content: Any) -> None:
    draw(tmp_path)
    (tmp_path / "via.json").write_text(json.dumps(content()))
    found = posekit.labels(tmp_path / "via.json", out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")
    assert found.counts[""]["without labels"] == 1


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    names = ["filename", "file_size", "file_attributes", "region_count", "region_id"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*names, "region_shape_attributes", "region_attributes"])
        writer.writeheader()
        writer.writerows(rows)


def table() -> list[dict[str, str]]:
    rows = []
    for name in ("a.png", "b.png", "empty.png"):
        listed = regions(name)
        for number, region in enumerate(listed or [{}]):
            cells = {
                f"region_{key}attributes": json.dumps(region.get(f"{long}_attributes", {}))
                for key, long in (("shape_", "shape"), ("", "region"))
            }
            about = {"filename": name, "file_size": "9", "file_attributes": "{}"}
            count = {"region_count": str(len(listed)), "region_id": str(number)}
            rows.append(about | count | cells)
    return rows


def test_csv(tmp_path: Path) -> None:
    draw(tmp_path)
    write_csv(tmp_path / "via.csv", table())
    found = posekit.labels(tmp_path / "via.csv", out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")
    assert found.counts[""]["images"] == 3


def test_a_broken_cell_is_named_by_its_line(tmp_path: Path) -> None:
    draw(tmp_path)
    rows = table()
    rows[1]["region_shape_attributes"] = "{broken"
    write_csv(tmp_path / "via.csv", rows)
    with pytest.raises(InputError, match=r"via.csv, line 3: expected an object as JSON"):
        posekit.labels(tmp_path / "via.csv", out=tmp_path / "coco.json")


def test_a_line_that_is_cut_off_is_named(tmp_path: Path) -> None:
    draw(tmp_path)
    path = tmp_path / "via.csv"
    write_csv(path, table())
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], lines[3].partition(",")[0]]))
    with pytest.raises(InputError, match=r"via.csv, line 4: expected 7 cells, found 1; is the"):
        posekit.labels(path, out=tmp_path / "coco.json")
    assert not (tmp_path / "coco.json").exists()


@pytest.mark.parametrize(
    ("where", "change", "what"),
    [
        ("shape_attributes", {"cx": "far"}, r"a.png, regions\[1\]: expected a number as cx"),
        ("region_attributes", {"label": ""}, r"regions\[1\]: no attribute says what keypoint"),
    ],
)
def test_a_broken_region_is_named(
    tmp_path: Path, where: str, change: dict[str, Any], what: str
) -> None:
    draw(tmp_path)
    data = metadata()
    data["a.png123"]["regions"][1][where].update(change)
    (tmp_path / "via.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=what):
        posekit.labels(tmp_path / "via.json", out=tmp_path / "coco.json")
    found = posekit.labels(tmp_path / "via.json", out=tmp_path / "coco.json", skip_bad=True)
    assert found.counts[""]["people"] == 3 and found.counts[""]["seen"] == 12


def test_other_shapes_are_left_out_with_a_note(tmp_path: Path) -> None:
    draw(tmp_path)
    data = metadata()
    circle = {"name": "circle", "cx": 1, "cy": 1, "r": 3}
    data["b.png123"]["regions"].append({"shape_attributes": circle, "region_attributes": {}})
    (tmp_path / "via.json").write_text(json.dumps(data))
    found = posekit.labels(tmp_path / "via.json", out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")
    assert any("of the kind 'circle', left out" in note for note in found.notes)
