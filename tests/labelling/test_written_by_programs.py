"""Files that the labelling programs wrote themselves, all of the set in `truth`.

`tests/data/programs` has them, named by program and version:

- labelme 3.16.7 by its `LabelFile` (no `group_id` yet), 6.3.1 by its window, with a turned box.
- VIA 2.0.10 and 3.0.10 in Chromium: points and boxes drawn with the mouse, then each export.
- Label Studio 1.23.2, its server and page: drawn by mouse in the interface of `label_studio`, and
  in one with `Labels` beside `KeyPoint` and `Rectangle` ("separate").
- CVAT's XML by Datumaro 1.13.12 and by FiftyOne 1.22.1, which rounds to pixels.
- Datumaro 1.13.12, a point per annotation; Ultralytics 8.4.190's `convert_coco`.
- DeepLabCut's tables by napari-deeplabcut 0.4.0, DeepLabCut's labelling tool.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import posekit
from posekit.errors import InputError
from tests.labelling.truth import IMAGES, NAMES, PEOPLE, check, draw, read

DATA = Path(__file__).parents[1] / "data" / "programs"
PIXEL = 0.51  # of programs that round to whole pixels, and of hand-drawn points


def copy(folder: Path, name: str) -> Path:
    """A file or folder beside its pictures."""
    draw(folder)
    if (DATA / name).is_dir():
        shutil.copytree(DATA / name, folder, dirs_exist_ok=True)
        return folder
    return Path(shutil.copy(DATA / name, folder))


@pytest.mark.parametrize(
    ("name", "images", "how"),
    [
        ("labelme_3.16.7", 2, {}),
        ("labelme_6.3.1", 3, {}),
        ("via_2.0.10_project.json", 3, {"atol": PIXEL}),
        ("via_3.0.10_project.json", 3, {"atol": PIXEL}),
        ("via_3.0.10.csv", 2, {"atol": PIXEL}),
        ("label_studio_1.23.2.json", 3, {"atol": PIXEL}),
        ("label_studio_1.23.2_min.json", 3, {"atol": PIXEL, "hidden": False}),
        ("label_studio_1.23.2_separate.json", 3, {"atol": PIXEL, "hidden": False}),
        ("label_studio_1.23.2_separate_min.json", 3, {"atol": PIXEL, "hidden": False}),
        ("datumaro_1.13.12_cvat.xml", 3, {}),
        ("datumaro_1.13.12.json", 3, {}),
    ],
)
def test_a_file_is_read(tmp_path: Path, name: str, images: int, how: dict[str, Any]) -> None:
    source = copy(tmp_path / "set", name)
    found = posekit.labels(source, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", **how)
    assert found.counts[""]["images"] == images
    assert found.counts[""]["seen"] == (13 if how.get("hidden", True) else 14)
    assert found.sheet is not None and found.sheet.is_file()


def test_fiftyones_labels_are_in_the_order_of_the_alphabet(tmp_path: Path) -> None:
    source = copy(tmp_path, "fiftyone_1.22.1_cvat.xml")
    posekit.labels(source, out=tmp_path / "coco.json")
    assert read(tmp_path / "coco.json")["categories"][0]["keypoints"] == sorted(NAMES)
    posekit.labels(source, out=tmp_path / "coco.json", keypoints=list(NAMES))
    check(tmp_path / "coco.json", atol=PIXEL)


def turn(name: str, text: str) -> str:
    """The same labels, drawn in the opposite order."""
    if name.endswith(".csv"):
        lines = text.splitlines()
        rows = [line for line in lines if not line.startswith("#")]
        return "\n".join([*lines[: len(lines) - len(rows)], *rows[::-1]])
    data = json.loads(text)
    for entry in data.get("_via_img_metadata", {}).values():
        entry["regions"].reverse()
    for item in data.get("items", []):
        item["annotations"].reverse()
    if "metadata" in data:
        data["metadata"] = dict(reversed(data["metadata"].items()))
    return json.dumps(data)


@pytest.mark.parametrize(
    "name",
    [
        "via_2.0.10_project.json",
        "via_3.0.10_project.json",
        "via_3.0.10.csv",
        "datumaro_1.13.12.json",
    ],
)
def test_keypoints_have_the_order_that_the_tool_declares(tmp_path: Path, name: str) -> None:
    """So that all exports of a project have the same, whatever was drawn first."""
    source = copy(tmp_path, name)
    source.write_text(turn(name, source.read_text()))
    found = posekit.labels(source, out=tmp_path / "coco.json")
    assert found.categories["person"] == NAMES
    assert not any("order of appearance" in note for note in found.notes)


def test_deeplabcuts_table_is_read(tmp_path: Path) -> None:
    data = draw(tmp_path / "labeled-data" / "walk")
    name = "CollectedData_napari_deeplabcut_0.4.0.csv"
    found = posekit.labels(shutil.copy(DATA / name, data), out=tmp_path / "coco.json")
    content = check(tmp_path / "coco.json", hidden=False, boxes=False)
    assert [one["track_id"] for one in content["annotations"]] == [0, 1, 0]
    assert found.counts[""]["images"] == 3


@pytest.mark.parametrize("name", ["via_2.0.10.json", "via_2.0.10.csv"])
def test_numbers_of_options_in_exports_of_via_are_noted(tmp_path: Path, name: str) -> None:
    source = copy(tmp_path, name)
    found = posekit.labels(source, out=tmp_path / "coco.json")
    content = read(tmp_path / "coco.json")
    assert content["categories"][0]["keypoints"] == ["0", "1", "2", "3", "4"]
    assert any("called by numbers" in note and "project" in note for note in found.notes)
    assert content["annotations"][0]["keypoints"][:3] == [50, 20, 2]


def test_a_comma_in_a_name_which_via_does_not_quote(tmp_path: Path) -> None:
    source = copy(tmp_path, "via_2.0.10.csv")
    (tmp_path / "a.png").rename(tmp_path / "a,1.png")
    source.write_text(source.read_text().replace("\na.png,", "\na,1.png,"))
    posekit.labels(source, out=tmp_path / "coco.json")
    names = [image["file_name"] for image in read(tmp_path / "coco.json")["images"]]
    assert names == ["a,1.png", "b.png", "empty.png"]


def test_min_of_label_studio_says_that_hidden_points_are_lost(tmp_path: Path) -> None:
    source = copy(tmp_path, "label_studio_1.23.2_min.json")
    found = posekit.labels(source, out=tmp_path / "coco.json")
    (note,) = (note for note in found.notes if "what a choice is of" in note)
    assert note.startswith("1 x ") and "tasks[0]" in note and "export as JSON" in note


def test_several_images_in_a_task_of_label_studio_are_an_error(tmp_path: Path) -> None:
    source = copy(tmp_path, "label_studio_1.23.2.json")
    tasks = json.loads(source.read_text())
    for region in tasks[0]["annotations"][0]["result"][-3:]:
        region["item_index"] = 1
    source.write_text(json.dumps(tasks))
    with pytest.raises(InputError, match=r"tasks\[0\]: its regions are on several images"):
        posekit.labels(source, out=tmp_path / "coco.json")


def test_ultralytics_labels(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "train", IMAGES[:2])
    shutil.copytree(DATA / "ultralytics_8.4.190", tmp_path / "labels" / "train")
    (tmp_path / "data.yaml").write_text(
        f"train: images/train\nkpt_shape: [5, 3]\nflip_idx: [0, 2, 1, 4, 3]\n"
        f"names: {{0: person}}\nkpt_names: {{0: [{', '.join(NAMES)}]}}\n"
    )
    found = posekit.labels(tmp_path, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")
    assert found.flip_pairs["person"] == [NAMES[1:3], NAMES[3:5]]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: d["view"]["1"].pop("fid_list"), "its files or metadata are not VIA's"),
        (lambda d: d.update(attribute=[]), "its attributes are not VIA's"),
        (lambda d: d["attribute"]["1"].pop("aname"), "its attributes are not VIA's"),
        (
            lambda d: next(iter(d["metadata"].values()))["xy"].pop(),
            r"a.png, metadata 1_\w+: expected a number as cy, found 'None'",
        ),
    ],
)
def test_a_broken_project_of_via_3_is_named(tmp_path: Path, change: Any, what: str) -> None:
    source = copy(tmp_path, "via_3.0.10_project.json")
    data = json.loads(source.read_text())
    change(data)
    source.write_text(json.dumps(data))
    with pytest.raises(InputError, match=what) as error:
        posekit.labels(source, out=tmp_path / "coco.json")
    assert "\n" not in str(error.value)


def test_a_broken_line_of_via_3_is_named(tmp_path: Path) -> None:
    source = copy(tmp_path, "via_3.0.10.csv")
    source.write_text(source.read_text().replace('"[1,70.521,50.047]"', '"[1,70"'))
    with pytest.raises(InputError, match=r"via_3.0.10.csv, line 12: expected a list as JSON"):
        posekit.labels(source, out=tmp_path / "coco.json")


@pytest.mark.parametrize("change", [{"vid": "99"}, {"z": [1.5]}])
def test_a_region_of_via_3_that_is_of_no_image_is_noted(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    source = copy(tmp_path, "via_3.0.10_project.json")
    data = json.loads(source.read_text())
    next(iter(data["metadata"].values())).update(change)
    source.write_text(json.dumps(data))
    found = posekit.labels(source, out=tmp_path / "coco.json")
    assert found.counts[""]["seen"] == 12
    assert any("1 x regions of a time, or of no image" in note for note in found.notes)


def test_points_of_datumaro_without_groups_are_of_the_box_around_them(tmp_path: Path) -> None:
    source = copy(tmp_path, "datumaro_1.13.12.json")
    data = json.loads(source.read_text())
    for item in data["items"]:
        for one in item["annotations"]:
            one["group"] = 0
    source.write_text(json.dumps(data))
    posekit.labels(source, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json")


def test_videos_of_via_3_are_left_out_with_a_note(tmp_path: Path) -> None:
    source = copy(tmp_path, "via_3.0.10_project.json")
    data = json.loads(source.read_text())
    data["file"]["2"]["type"] = 4
    source.write_text(json.dumps(data))
    found = posekit.labels(source, out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", people=PEOPLE[:2], atol=PIXEL)
    assert any("or of sound or video, left out" in note for note in found.notes)
