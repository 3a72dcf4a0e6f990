"""Labels as annotation tools write them are read as they were meant, or what is wrong is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from posekit.datasets.detection_labels import read_detection_labels
from posekit.datasets.labels import PoseLabels
from posekit.datasets.plain_coco import plain_coco
from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.datasets.sources import parse_dataset
from posekit.datasets.validate import validate
from posekit.errors import InputError
from tests.conftest import ROOT

CASES = ROOT / "tests" / "data" / "labels"
Data = dict[str, Any]


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 80), (90, 90, 90)).save(path)


def good() -> Data:
    data: Data = json.loads((CASES / "annotation_ids_from_0.json").read_text())
    for annotation in data["annotations"]:
        annotation["id"] += 1
    return data


def write(folder: Path, data: Any, name: str = "set.json") -> str:
    picture(folder / "a.png")
    path = folder / name
    path.write_text(json.dumps(data), encoding="utf-8")
    return str(path)


def read(path: str, **source: Any) -> tuple[PoseLabels, str, str]:
    """Labels, errors and warnings."""
    dataset = parse_dataset({"train": {"annotations": path, **source}})
    labels, problems = read_pose_labels(dataset.train[0], dataset_skeleton(dataset))
    fatal = [str(problem) for problem in problems if problem.fatal]
    return labels, "\n".join(fatal), "\n".join(str(p) for p in problems if not p.fatal)


def changed(folder: Path, change: Callable[[Data], Any], **source: Any) -> tuple[str, str]:
    """What is wrong, and what is said, of a good file that was changed, with two people left."""
    data = good()
    change(data)
    labels, errors, warnings = read(write(folder, data), **source)
    if not errors:
        expected, _, _ = read(write(folder, good(), "good.json"))
        np.testing.assert_array_equal(labels.keypoints, expected.keypoints)
        np.testing.assert_array_equal(labels.visible, expected.visible)
        np.testing.assert_array_equal(labels.boxes_xyxy, expected.boxes_xyxy)
        assert labels.image_rows.tolist() == [0, 0]
        assert labels.areas.tolist() == [1200, 1200]
    return errors, warnings


def each(**values: Any) -> Callable[[Data], Any]:
    return lambda data: [a.update(values) for a in data["annotations"]]


def mapped(key: str, change: Callable[[Any], Any]) -> Callable[[Data], Any]:
    return lambda data: [a.update({key: change(a[key])}) for a in data["annotations"]]


# A case -> instances, what is said; None for nothing.
EXPECTED = {
    "annotation_ids_from_0.json": (2, None),
    "area_0.json": (2, "2 x areas that no instance here has"),
    "bbox_strings_no_area.json": (2, None),
    "coco_names_spelled.json": (2, None),
    "cvat_points_not_skeletons.json": (0, "draw skeletons"),
    "cvat_track_outside.json": (1, "1 x instances without a labelled keypoint, left out"),
    "ids_as_strings.json": (2, None),
    "iscrowd_string.json": (2, None),
    "keypoints_nested.json": (2, None),
    "nan_where_not_visible.json": (2, None),
    "no_bbox.json": (2, "2 x instances without a box: taken from their keypoints"),
    "no_file_name.json": (2, "1 images are named by another key than 'file_name'"),
    "sides_with_numbers.json": (2, None),
    "skeleton_by_names.json": (2, "'skeleton' names keypoints instead of counting them"),
    "skeleton_from_0.json": (2, "'skeleton' counts keypoints from 0"),
    "windows_path.json": (2, "1 images are found only by the end of their path"),
    "with_bom.json": (2, None),
    "yolo_data.yaml": (0, "this is the data.yaml of a YOLO data set, not COCO JSON; convert it"),
}


def test_every_case_has_an_expectation() -> None:
    assert {path.name for path in CASES.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_a_tool_is_read_or_named(tmp_path: Path, name: str) -> None:
    shutil.copy(CASES / name, tmp_path)
    picture(tmp_path / "a.png")
    report = validate(str(tmp_path / name))
    instances, said = EXPECTED[name]
    assert report.instances == instances
    assert len(report.errors) == (0 if instances else 1)
    if said is None:
        # What is said of the names of sides is another matter.
        assert not [w for w in report.warnings if "side" not in str(w) and "left" not in str(w)]
    else:
        assert said in str(report)


@pytest.mark.parametrize("kind", [str, float, lambda v: f" {v} ", lambda v: f"{v}.0"])
def test_ids_are_one_in_any_writing(tmp_path: Path, kind: Callable[[int], Any]) -> None:
    def change(data: Data) -> None:
        data["images"][0]["id"] = kind(1)
        data["categories"][0]["id"] = kind(1)
        data["annotations"][0].update(id=kind(1), image_id=kind(1), category_id=1)
        data["annotations"][1].update(id=2, image_id=1, category_id=kind(1))

    assert changed(tmp_path, change) == ("", "")


def test_ids_that_are_texts_are_numbered_and_it_is_said(tmp_path: Path) -> None:
    def change(data: Data) -> None:
        data["images"][0]["id"] = "frame-7f"
        data["categories"][0]["id"] = "c"
        data["annotations"][0].update(id="u1", image_id="frame-7f", category_id="c")
        data["annotations"][1].update(id=10**30, image_id="frame-7f", category_id="c")

    errors, warnings = changed(tmp_path, change)
    assert errors == ""
    assert "ids of images that are texts are numbered: 'frame-7f' is 1" in warnings
    assert "ids of annotations that are texts are numbered: 'u1' is 1" in warnings


def test_zero_is_an_id(tmp_path: Path) -> None:
    def change(data: Data) -> None:
        data["images"][0]["id"] = data["categories"][0]["id"] = 0
        each(image_id=0, category_id=0)(data)
        data["annotations"][0]["id"] = 0

    assert changed(tmp_path, change) == ("", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (each(id=None), "duplicate|2 x annotations without an 'id', numbered"),
        (each(category_id="thing"), "2 x annotations whose 'category_id' is a category's name"),
        (
            lambda data: [a.pop("category_id") for a in data["annotations"]],
            "2 x annotations without 'category_id', taken for the only category",
        ),
    ],
)
def test_what_is_clear_without_ids_is_taken_and_said(
    tmp_path: Path, change: Callable[[Data], Any], said: str
) -> None:
    errors, warnings = changed(tmp_path, change)
    assert errors == ""
    assert said.rpartition("|")[2] in warnings


@pytest.mark.parametrize("value", [False, "0", "false", 0.0, None, "no", ""])
def test_no_crowd_in_any_writing(tmp_path: Path, value: Any) -> None:
    assert changed(tmp_path, each(iscrowd=value)) == ("", "")


@pytest.mark.parametrize("value", [True, "1", 1.0, "true"])
def test_crowds_in_any_writing_are_left_out_and_counted(tmp_path: Path, value: Any) -> None:
    errors, _ = changed(tmp_path, each(iscrowd=value))
    assert "no labelled instance to train on: 2 x crowds" in errors


def test_a_crowd_that_is_neither_is_an_error(tmp_path: Path) -> None:
    errors, _ = changed(tmp_path, each(iscrowd="maybe"))
    assert "2 x annotations whose 'iscrowd' is neither 0 nor 1: annotation 1 (image 1)" in errors


def triples(values: list[Any]) -> list[list[Any]]:
    return [values[i : i + 3] for i in range(0, len(values), 3)]


@pytest.mark.parametrize(
    "change",
    [
        triples,
        lambda values: [triples(values)],
        lambda values: [str(value) for value in values],
        lambda values: [[str(value) for value in row] for row in triples(values)],
        lambda values: ", ".join(map(str, values)),
        lambda values: json.dumps(values),
        lambda values: [float(value) for value in values],
        lambda values: [True if i % 3 == 2 else v for i, v in enumerate(values)],
    ],
)
def test_keypoints_in_any_writing(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    assert changed(tmp_path, mapped("keypoints", change)) == ("", "")


@pytest.mark.parametrize(
    "change",
    [
        lambda values: [row[:2] for row in triples(values)],
        lambda values: [value for row in triples(values) for value in row[:2]],
    ],
)
def test_keypoints_without_visibility_are_labelled_and_it_is_said(
    tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    errors, warnings = changed(tmp_path, mapped("keypoints", change))
    assert errors == ""
    assert "2 x 'keypoints' without visibility, labelled but where they are 0, 0" in warnings


def test_two_keypoints_of_three_are_not_three_without_visibility(tmp_path: Path) -> None:
    errors, _ = changed(tmp_path, mapped("keypoints", lambda values: values[:6]))
    assert "2 x wrong keypoint counts, expected 3 x (x, y, visibility)" in errors


@pytest.mark.parametrize(
    "rows",
    [
        [[52, 15, 2], [None, None, 0], [62, 29, 2]],
        [[52, 15, 2], [float("nan"), float("nan"), 0], [62, 29, 2]],
        [[52, 15, 2], [None, None, None], [62, 29, 2]],
        [[52, 15, 2], None, [62, 29, 2]],
        [[52, 15, 2], [], [62, 29, 2]],
        [[52, 15, 2], [57, 22, -1], [62, 29, 2]],
        [[52, 15, 2], ["", "", "0"], [62, 29, 2]],
        [[52, 15], [None, None], [62, 29]],
        [[52, 15], [0, 0], [62, 29]],
        [[52, 15, 1.0], [1e400, 0, 0.0], [62, 29, 2.0]],
    ],
)
@pytest.mark.parametrize("flat", [False, True])
def test_what_is_not_labelled_needs_no_numbers(tmp_path: Path, rows: Any, flat: bool) -> None:
    data = good()
    if flat:
        width = len(rows[0])
        rows = [v for row in rows for v in (row or [None] * width)]
    data["annotations"][1]["keypoints"] = rows
    labels, errors, _ = read(write(tmp_path, data))
    assert errors == ""
    assert labels.visible.tolist() == [[1, 1, 1], [1, 0, 1]]
    assert np.isfinite(labels.keypoints).all()
    np.testing.assert_array_equal(labels.keypoints[1, [0, 2]], [[52, 15], [62, 29]])


@pytest.mark.parametrize(
    "row", [[None, 22, 2], [float("nan"), 22, 1], ["x", 22, 2], [57, 22, None], [1e300, 22, 2]]
)
def test_what_is_labelled_without_numbers_is_an_error(tmp_path: Path, row: list[Any]) -> None:
    data = good()
    data["annotations"][1]["keypoints"][3:6] = row
    labels, errors, _ = read(write(tmp_path, data))
    assert "1 x keypoints that are not finite numbers: annotation 2 (image 1)" in errors
    assert len(labels) == 1


@pytest.mark.parametrize("value", [3, 0.75, "1.5"])
def test_other_visibilities_are_labels_and_it_is_said(tmp_path: Path, value: Any) -> None:
    errors, warnings = changed(
        tmp_path,
        mapped(
            "keypoints", lambda points: [value if i % 3 == 2 else v for i, v in enumerate(points)]
        ),
    )
    assert errors == ""
    assert "2 x visibilities other than 0, 1 and 2: above 0 is labelled" in warnings


@pytest.mark.parametrize("absent", [[], None, [0] * 9, [[0, 0, 0]] * 3, [None] * 9])
@pytest.mark.parametrize("box", [[], None, [0, 0, 0, 0]])
def test_an_instance_without_labels_is_left_out_with_a_note(
    tmp_path: Path, absent: Any, box: Any
) -> None:
    data = good()
    data["annotations"][0].update(keypoints=absent, num_keypoints=0, bbox=box, area=0)
    labels, errors, warnings = read(write(tmp_path, data))
    assert errors == ""
    assert labels.annotation_ids.tolist() == [2]
    assert "1 x instances without a labelled keypoint, left out: annotation 1" in warnings
    assert "\n" not in warnings


@pytest.mark.parametrize(
    "change",
    [
        lambda box: [str(side) for side in box],
        lambda box: ",".join(map(str, box)),
        lambda box: json.dumps(box),
        lambda box: {"x": box[0], "y": box[1], "width": box[2], "height": box[3]},
        lambda box: {"x": box[0], "y": box[1], "w": box[2], "h": box[3]},
        lambda box: [float(side) for side in box],
    ],
)
def test_boxes_in_any_writing(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    assert changed(tmp_path, mapped("bbox", change)) == ("", "")


@pytest.mark.parametrize("box", [None, [], "", [0, 0, 0, 0], [None] * 4, [float("nan")] * 4])
def test_a_missing_box_is_taken_from_the_keypoints(tmp_path: Path, box: Any) -> None:
    data = good()
    data["annotations"][1]["bbox"] = box
    labels, errors, warnings = read(write(tmp_path, data))
    assert errors == ""
    # 10 x 14 pixels, and a tenth of the longer side around.
    np.testing.assert_allclose(labels.boxes_xyxy[1], [50.6, 13.6, 63.4, 30.4], atol=1e-5)
    assert "1 x instances without a box: taken from their keypoints: annotation 2" in warnings


def test_the_box_of_a_single_point_is_the_image(tmp_path: Path) -> None:
    data = good()
    data["annotations"][1].update(bbox=None, keypoints=[52, 15, 2, 0, 0, 0, 0, 0, 0])
    labels, errors, _ = read(write(tmp_path, data))
    assert errors == ""
    assert labels.boxes_xyxy[1].tolist() == [0, 0, 99, 79]


@pytest.mark.parametrize("area", [0, 1, "0", -5, 1e9, "big", True])
def test_an_area_that_cannot_be_is_that_of_the_box(tmp_path: Path, area: Any) -> None:
    errors, warnings = changed(tmp_path, each(area=area))  # the boxes have 1200 pixels
    assert errors == ""
    assert "2 x areas that no instance here has (0, 1, or more than the image)" in warnings


@pytest.mark.parametrize("area", ["1200", "1200.0", None, 1200.0])
def test_an_area_in_any_writing(tmp_path: Path, area: Any) -> None:
    assert changed(tmp_path, each(area=area)) == ("", "")


def test_an_area_of_the_segment_is_kept(tmp_path: Path) -> None:
    data = good()
    each(area=417.5)(data)
    labels, _, warnings = read(write(tmp_path, data))
    assert (labels.areas.tolist(), warnings) == ([417.5, 417.5], "")


def test_boxes_of_floats_beyond_the_image_are_clipped(tmp_path: Path) -> None:
    data = good()
    data["annotations"][0]["bbox"] = [-0.4, 10.0, 200.7, 40.2]
    labels, errors, warnings = read(write(tmp_path, data))
    assert errors == ""
    np.testing.assert_allclose(labels.boxes_xyxy[0], [0, 10, 99, 50.2], atol=1e-4)
    assert "1 x boxes partly outside of the image, clipped" in warnings


@pytest.mark.parametrize(
    ("links", "expected", "said"),
    [
        ([[1, 2], [1, 3]], [(0, 1), (0, 2)], ""),
        (None, [], ""),
        ([[0, 1], [0, 2]], [(0, 1), (0, 2)], "counts keypoints from 0"),
        ([["nose", "left_hand"], ["nose", 3]], [(0, 1), (0, 2)], "names keypoints"),
        ([["1", "2"], [1.0, 3.0]], [(0, 1), (0, 2)], ""),
        ([[1, 2], [1, 7]], [(0, 1)], "has 1 links that are left out"),
        ([[0, 1], [1, 3]], [(0, 2)], "has 1 links that are left out"),
        ([[1, 1], [1, 2], [2, 1], [1, 2]], [(0, 1)], "has 3 links that are left out"),
        ([1, 2, 1, 3], [(0, 1), (0, 2)], ""),
        ([[1, 2, 3], None, "x", [1, 2]], [(0, 1)], "has 3 links that are left out"),
        ([["nose", "tail"]], [], "has 1 links that are left out"),
        ({"a": 1}, [], "is not a list of pairs"),
        ("1-2", [], "is not a list of pairs"),
    ],
)
def test_links_serve_drawing_and_never_stop(
    tmp_path: Path, links: Any, expected: list[tuple[int, int]], said: str
) -> None:
    data = good()
    data["categories"][0]["skeleton"] = links
    path = write(tmp_path, data)
    assert list(dataset_skeleton(parse_dataset(path)).links) == expected
    _, errors, warnings = read(path)
    assert errors == ""
    assert said in warnings and bool(said) == bool(warnings)


def second_category(names: list[str]) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        data["categories"].append({"id": 2, "name": "other", "keypoints": names})
        data["annotations"][1]["category_id"] = 2

    return change


def test_categories_that_agree_are_used_together(tmp_path: Path) -> None:
    change = second_category(["nose", "left_hand", "right_hand"])
    assert changed(tmp_path, change) == ("", "")
    errors, warnings = changed(tmp_path, second_category(["Nose", "Left Hand", "hand_r"]))
    assert errors == ""
    assert "'thing' and 'other' spell the same keypoints differently" in warnings


def test_categories_that_differ_name_how_to_choose(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"have different keypoints; choose .*categories: \[other"):
        changed(tmp_path, second_category(["nose", "right_hand", "left_hand"]))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(categories=data["categories"][0]),
        lambda data: data.update(categories={"1": data["categories"][0]}),
        lambda data: data.update(images={"1": data["images"][0]}),
        lambda data: data.update(annotations=dict(enumerate(data["annotations"]))),
        lambda data: data["images"][0].update(width="100", height="80"),
        lambda data: data["images"][0].update(width=100.0, height="80.0"),
        lambda data: data["categories"].append({"id": 5, "name": "box", "keypoints": []}),
        lambda data: data["categories"][0].update(supercategory=None, skeleton=[]),
        lambda data: data["annotations"][0].update(num_keypoints="3"),
    ],
)
def test_other_writings_of_the_lists(tmp_path: Path, change: Callable[[Data], Any]) -> None:
    assert changed(tmp_path, change) == ("", "")


def test_a_missing_size_is_not_needed(tmp_path: Path) -> None:
    data = good()
    del data["images"][0]["width"], data["images"][0]["height"]
    labels, errors, warnings = read(write(tmp_path, data))
    assert (errors, warnings) == ("", "")
    assert labels.boxes_xyxy[1].tolist() == [50, 10, 80, 50]


@pytest.mark.parametrize("value", [None, "missing"])
@pytest.mark.parametrize("key", ["images", "annotations"])
def test_missing_lists_are_named(tmp_path: Path, key: str, value: Any) -> None:
    data = good()
    data[key] = None
    if value is not None:
        del data[key]
    report = validate(write(tmp_path, data))
    assert f"'{key}' is missing" in str(report.errors[0])


def test_without_categories_a_skeleton_says_the_names(tmp_path: Path) -> None:
    data = good()
    del data["categories"]
    path = write(tmp_path, data)
    report = validate(path)
    assert "('categories' is missing or empty); name them with 'skeleton'" in str(report)
    (tmp_path / "mine.yaml").write_text(
        "keypoints:\n" + "".join(f"- [{name}, [0, 0, 0]]\n" for name in "abc")
    )
    report = validate({"train": path, "skeleton": str(tmp_path / "mine.yaml")})
    assert (report.errors, report.instances) == ((), 2)


def test_reasons_are_said_where_nothing_is_left(tmp_path: Path) -> None:
    data = good()
    data["annotations"].append({**data["annotations"][0], "id": 3, "iscrowd": 1})
    data["annotations"][0]["keypoints"] = [0] * 9
    data["annotations"][1]["bbox"] = [500, 10, 30, 40]
    path = write(tmp_path, data)
    reasons = (
        "no labelled instance to train on: 1 x instances without a labelled keypoint, left out, "
        "1 x boxes outside of the image, "
    )
    assert reasons in str(validate(path))
    assert "1 x crowds" in str(validate(path))
    source = parse_dataset({"train": {"annotations": path, "skip_bad": True}}).train[0]
    skeleton = dataset_skeleton(parse_dataset(path))
    with pytest.raises(InputError, match=r"1 x boxes outside of the image.*1 x crowds"):
        PoseDataset([source], skeleton, input_size=(32, 32))


def test_an_empty_list_of_annotations_is_said(tmp_path: Path) -> None:
    errors, _ = changed(tmp_path, lambda data: data.update(annotations=[]))
    assert "no labelled instance to train on: its list 'annotations' is empty" in errors


def test_what_images_lack_is_said_where_none_is_left(tmp_path: Path) -> None:
    data = good()
    data["images"] = [{"id": None, "file_name": "a.png"}]
    with pytest.raises(InputError, match=r"can be used \(1 x images without an 'id'"):
        read(write(tmp_path, data))


def test_detectors_learn_from_the_same_writings(tmp_path: Path) -> None:
    data = good()
    mapped("bbox", lambda box: ",".join(map(str, box)))(data)
    each(image_id="1", iscrowd="0")(data)
    source = parse_dataset(write(tmp_path, data)).train[0]
    labels, problems = read_detection_labels(source, ["thing"])
    assert problems == []
    assert labels.boxes_xyxy.tolist() == [[10, 10, 40, 50], [50, 10, 80, 50]]


def test_evaluation_reads_plain_coco(tmp_path: Path) -> None:
    """Ids, boxes and areas of the content that metrics count with."""
    data = good()
    data["images"][0]["id"] = "1"
    data["annotations"][0].update(image_id="1", bbox="10,10,30,40", area="900", iscrowd="0")
    data["annotations"][1].update(id="2", bbox=None, area=0, iscrowd=False)
    content = plain_coco(parse_dataset(write(tmp_path, data)).train[0]).content()
    first, second = content["annotations"]
    assert (first["image_id"], second["id"]) == (1, 2)
    assert (first["bbox"], first["area"], first["iscrowd"]) == ([10, 10, 30, 40], 900, 0)
    assert "area" not in second and second["iscrowd"] == 0
    np.testing.assert_allclose(second["bbox"], [50.6, 13.6, 12.8, 16.8])


def test_detections_in_any_writing_are_those_of_the_images(tmp_path: Path) -> None:
    data = good()
    data["images"][0]["id"] = "frame"
    each(image_id="frame")(data)
    path = write(tmp_path, data)
    found = [{"image_id": "frame", "category_id": "1", "bbox": ["1", 2, 30, 40], "score": "0.5"}]
    (tmp_path / "boxes.json").write_text(json.dumps(found))
    source = parse_dataset(
        {"train": {"annotations": path, "boxes": str(tmp_path / "boxes.json")}}
    ).train[0]
    labels, _ = read_pose_labels(source, dataset_skeleton(parse_dataset(path)))
    assert labels.boxes_xyxy.tolist() == [[1, 2, 31, 42]]


def test_a_shared_file_leaves_both_images_out(tmp_path: Path) -> None:
    data = good()
    data["images"] = [{"id": i, "file_name": rf"cam{i}\a.png"} for i in (1, 2)]
    data["images"].append({"id": 3, "file_name": "b.png"})
    picture(tmp_path / "b.png")
    data["annotations"][1]["image_id"] = 3
    path = write(tmp_path, data)
    assert "1 x images whose names lead to one file" in str(validate(path))
    labels, errors, warnings = read(path, skip_bad=True)
    assert errors == "" and "1 x images whose names lead to one file" in warnings
    assert labels.annotation_ids.tolist() == [2]


def test_keypoints_of_one_name_are_an_error_of_the_file(tmp_path: Path) -> None:
    data = good()
    data["categories"][0]["keypoints"] = ["hand", "nose", "hand"]
    path = write(tmp_path, data)
    with pytest.raises(
        InputError, match=r"set.json: category 'thing' has several .* called 'hand'"
    ):
        read(path)


def table_script() -> str:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    return next(part for part in text.split("```python\n") if "csv.DictReader" in part).split(
        "```"
    )[0]


def test_the_script_for_tables_makes_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    columns = [f"{name}_{axis}" for name in ("nose", "left_hand", "right_hand") for axis in "xy"]
    rows = ["image," + ",".join(columns), "a.png,12,15,17,22,22,29", "b.png,52,15,,,62.5,29"]
    (tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
    exec(table_script(), {})
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    labels, errors, _ = read(str(tmp_path / "points.json"))
    assert errors == ""
    assert labels.visible.tolist() == [[1, 1, 1], [1, 0, 1]]
    assert labels.keypoints[1, 2].tolist() == [62.5, 29]
