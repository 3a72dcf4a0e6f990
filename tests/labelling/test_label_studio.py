"""Label Studio's exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import posekit
from posekit.errors import InputError
from tests.labelling.truth import NAMES, PEOPLE, SIZE, check, draw

W, H = SIZE


def region(kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "original_width": W, "original_height": H, "image_rotation": 0, "type": kind,
        "value": value, "from_name": "x", "to_name": "image", "origin": "manual", **more,
    }  # fmt: skip


def results(name: str, tie: str) -> list[dict[str, Any]]:
    """Regions of a picture; points are tied to boxes by `parent` or `relation`, or not."""
    found = []
    for number, person in enumerate(p for p in PEOPLE if p.image == name):
        x, y, w, h = person.box
        sides = {"x": x / W * 100, "y": y / H * 100, "width": w / W * 100, "height": h / H * 100}
        box = f"box{number}"
        value = sides | {"rotation": 0, "rectanglelabels": ["person"]}
        found.append(region("rectanglelabels", value, id=box))
        for label, (px, py, v) in zip(NAMES, person.points, strict=True):
            if not v:
                continue
            point = {"x": px / W * 100, "y": py / H * 100, "width": 0.5, "keypointlabels": [label]}
            identity = f"{box}-{label}"
            parent = {"parentID": box} if tie == "parent" else {}
            found.append(region("keypointlabels", point, id=identity, **parent))
            if tie == "relation":
                ends = {"from_id": identity, "to_id": box}
                found.append({**ends, "type": "relation", "direction": "right"})
            if v == 1:
                found.append(region("choices", point | {"choices": ["occluded"]}, id=identity))
    return found


def task(number: int, name: str, tie: str = "parent") -> dict[str, Any]:
    annotation = {
        "id": number, "was_cancelled": False, "ground_truth": False,
        "created_at": "2024-01-01T00:00:00Z", "result": results(name, tie),
    }  # fmt: skip
    data = {"image": f"/data/upload/1/0123abcd-{name}"}
    return {"id": number, "data": data, "annotations": [annotation], "predictions": []}


def export(folder: Path, tasks: Any) -> Path:
    draw(folder)
    path = folder / "export.json"
    path.write_text(json.dumps(tasks))
    return path


@pytest.mark.parametrize("tie", ["parent", "relation", "none"])
def test_json(tmp_path: Path, tie: str) -> None:
    path = export(tmp_path, [task(1, "a.png", tie), task(2, "b.png", tie)])
    found = posekit.labels(path, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")
    assert any("without the prefix that Label Studio gives" in note for note in found.notes)


def test_json_min(tmp_path: Path) -> None:
    tasks = []
    for number, name in enumerate(("a.png", "b.png")):
        entry: dict[str, Any] = {"image": f"/data/local-files/?d=set/{name}", "id": number}
        for one in results(name, "none"):
            if one["type"] != "choices":
                row = one["value"] | {"original_width": W, "original_height": H}
                entry.setdefault(one["type"], []).append(row)
        tasks.append(entry | {"annotator": 1, "annotation_id": number, "lead_time": 3.5})
    posekit.labels(export(tmp_path, tasks), out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", hidden=False)


def test_the_newest_annotation_counts_and_skipped_tasks_do_not(tmp_path: Path) -> None:
    tasks = [task(1, "a.png"), task(2, "b.png"), task(3, "empty.png")]
    old = {"id": 9, "created_at": "2023-01-01T00:00:00Z", "result": []}
    tasks[0]["annotations"].insert(0, old)
    tasks[2]["annotations"][0]["was_cancelled"] = True
    found = posekit.labels(export(tmp_path, tasks), out=tmp_path / "coco.json")
    content = check(tmp_path / "coco.json")
    assert len(content["images"]) == 2
    assert any("nobody has labelled, or that were skipped" in note for note in found.notes)
    assert any("several annotations" in note for note in found.notes)


def test_a_turned_box_is_the_upright_one_around_it(tmp_path: Path) -> None:
    one = task(1, "b.png")
    box = one["annotations"][0]["result"][0]["value"]
    # Turned by a quarter around its top left corner: 60 x 110 at (180, 30) reaches to x = 70.
    box.update(x=90, y=18.75, width=30, height=68.75, rotation=90)
    posekit.labels(export(tmp_path, [one]), out=tmp_path / "coco.json")
    found = json.loads((tmp_path / "coco.json").read_text())["annotations"][0]["bbox"]
    assert found == pytest.approx([70, 30, 110, 60], abs=1e-3)


def test_predictions_count_where_nobody_labelled(tmp_path: Path) -> None:
    one = task(1, "a.png"), task(2, "b.png")
    tasks = [
        {"data": t["data"], "predictions": [{"result": t["annotations"][0]["result"]}]} for t in one
    ]
    found = posekit.labels(export(tmp_path, tasks), out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")
    assert any("using predictions, which nobody has corrected" in note for note in found.notes)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"original_width": None}, "expected original_width and original_height in pixels"),
        ({"value": 5}, "expected an object as 'value', found 5"),
        ({"value": {"x": 1, "y": None, "keypointlabels": ["nose"]}}, "expected a number as y"),
        ({"value": {"x": 1, "y": 1, "keypointlabels": []}}, "expected one label in 'keypointlabel"),
        ({"image_rotation": 90}, "its picture was turned by 90 degrees"),
        ({"original_width": 100}, "of images of several sizes"),
    ],
)
def test_a_broken_region_is_named(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    tasks = [task(1, "a.png"), task(2, "b.png")]
    tasks[0]["annotations"][0]["result"][1].update(change)
    path = export(tmp_path, tasks)
    with pytest.raises(InputError, match=what) as error:
        posekit.labels(path, out=tmp_path / "coco.json")
    assert "tasks[0]" in str(error.value) and "\n" not in str(error.value)
    posekit.labels(path, out=tmp_path / "coco.json", skip_bad=True)
    check(tmp_path / "coco.json", people=PEOPLE[2:])


def test_other_regions_are_left_out_with_a_note(tmp_path: Path) -> None:
    one = task(1, "b.png")
    one["annotations"][0]["result"].append(region("polygonlabels", {"points": []}, id="p"))
    found = posekit.labels(export(tmp_path, [one]), out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", people=PEOPLE[2:])
    assert any("of the type 'polygonlabels', left out" in note for note in found.notes)
