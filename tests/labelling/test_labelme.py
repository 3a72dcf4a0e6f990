"""labelme's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import posekit
from posekit.errors import InputError
from tests.labelling.truth import NAMES, PEOPLE, SIZE, check, draw, read


def shape(label: str, kind: str, points: list[list[float]], group: Any, **more: Any) -> Any:
    return {
        "label": label, "points": points, "group_id": group, "shape_type": kind,
        "description": "", "flags": {}, **more,
    }  # fmt: skip


def file_of(name: str, *, grouped: bool = True) -> dict[str, Any]:
    shapes = []
    for number, person in enumerate(p for p in PEOPLE if p.image == name):
        group = number if grouped else None
        x, y, w, h = person.box
        shapes.append(shape("person", "rectangle", [[x + w, y], [x, y + h]], group))
        for label, (px, py, v) in zip(NAMES, person.points, strict=True):
            if v:
                flags = {"occluded": v == 1, "blurred": False}
                shapes.append(shape(label, "point", [[px, py]], group, flags=flags))
    return {
        "version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": None,
        "imageWidth": SIZE[0], "imageHeight": SIZE[1],
    }  # fmt: skip


def folder_of(folder: Path, **how: Any) -> Path:
    draw(folder)
    for name in ("a.png", "b.png", "empty.png"):
        content = file_of(name, **how)
        (folder / name).with_suffix(".json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("grouped", [True, False], ids=["groups", "boxes alone"])
def test_a_folder(tmp_path: Path, grouped: bool) -> None:
    found = posekit.labels(folder_of(tmp_path / "set", grouped=grouped), out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")
    assert found.counts[""]["images"] == 3 and found.counts[""]["without labels"] == 1


def test_a_file(tmp_path: Path) -> None:
    folder_of(tmp_path / "set")
    posekit.labels(tmp_path / "set" / "b.json", out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", people=PEOPLE[2:])


def test_points_without_boxes_or_groups_are_one_person(tmp_path: Path) -> None:
    draw(tmp_path)
    content = file_of("b.png", grouped=False)
    content["shapes"] = content["shapes"][1:]
    (tmp_path / "b.json").write_text(json.dumps(content))
    found = posekit.labels(tmp_path / "b.json", out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", people=PEOPLE[2:], boxes=False)
    # Around the keypoints, with a tenth of the longer side (90) on each side.
    assert read(tmp_path / "coco.json")["annotations"][0]["bbox"] == [71, 31, 58, 108]
    assert any("1 x boxes made from keypoints" in note for note in found.notes)


def test_points_that_could_be_of_two_are_an_error(tmp_path: Path) -> None:
    draw(tmp_path)
    content = file_of("a.png", grouped=False)
    content["shapes"] = [one for one in content["shapes"] if one["shape_type"] == "point"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"a duplicate keypoint: give each .*a.json, 'left_hand'"):
        posekit.labels(tmp_path / "a.json", out=tmp_path / "coco.json")
    content["shapes"] += file_of("b.png", grouped=False)["shapes"][:1]
    content["shapes"].append(shape("person", "rectangle", [[0, 0], [60, 60]], None))
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"points that belong to nobody: .*, 'nose' in no box"):
        posekit.labels(tmp_path / "a.json", out=tmp_path / "coco.json")


def test_other_shapes_and_files_are_left_out_with_a_note(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set")
    content = file_of("a.png")
    content["shapes"].append(shape("person", "polygon", [[0, 0], [9, 0], [9, 9]], 0))
    (folder / "a.json").write_text(json.dumps(content))
    (folder / "notes.json").write_text('{"a": 1}')
    found = posekit.labels(folder, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")
    assert any("kind 'polygon', left out" in note and "shapes[11]" in note for note in found.notes)
    assert any("not labelme's, left out" in note for note in found.notes)


def test_names_can_be_chosen(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set")
    found = posekit.labels(folder, out=tmp_path / "coco.json", keypoints=["right_foot", "nose"])
    one = read(tmp_path / "coco.json")["annotations"][0]
    assert one["keypoints"] == [40, 110, 2, 50, 20, 2]
    assert any("points of other names than keypoints=" in note for note in found.notes)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"points": [[1]]}, r"shapes\[1\]: expected points of x, y"),
        ({"points": [["a", 2]]}, r"shapes\[1\]: expected a number as x, found 'a'"),
        ({"points": [[float("nan"), 2]]}, r"shapes\[1\]: expected a number as x, found 'nan'"),
        ({"points": [[1, 2], [3, 4]]}, r"shapes\[1\]: expected one point, found 2"),
        ({"group_id": {}}, r"shapes\[1\]: expected a number as group_id, found {}"),
        ({"points": [[10**400, 2]]}, r"shapes\[1\]: expected a number as x"),
        ({"label": None}, r"shapes\[1\]: expected a label, found None"),
    ],
)
def test_a_broken_shape_is_named(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    folder = folder_of(tmp_path / "set")
    content = file_of("a.png")
    content["shapes"][1].update(change)
    (folder / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=what) as error:
        posekit.labels(folder, out=tmp_path / "coco.json")
    assert "a.json" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "coco.json").exists()
    posekit.labels(folder, out=tmp_path / "coco.json", skip_bad=True)
    assert len(read(tmp_path / "coco.json")["annotations"]) == 3


def test_a_picture_of_another_size_is_an_error(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set")
    content = file_of("a.png") | {"imageWidth": 160, "imageHeight": 200}
    (folder / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"a.png is 200x160, labels say 160x200"):
        posekit.labels(folder, out=tmp_path / "coco.json")


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set")
    text = (folder / "a.json").read_text()
    (folder / "a.json").write_text(text[:-40])
    with pytest.raises(InputError, match=r"a.json is cut off"):
        posekit.labels(folder, out=tmp_path / "coco.json")
