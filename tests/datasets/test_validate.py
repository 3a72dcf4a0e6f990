"""Every problem of a data set is found before training, by file and id."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from posekit.config import CONF_DIR
from posekit.datasets.sources import parse_dataset, parse_sources
from posekit.datasets.validate import Report, validate
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from tests.datasets.sets import coco, save

Data = dict[str, Any]


def errors(report: Report) -> str:
    return "\n".join(map(str, report.errors))


def warnings(report: Report) -> str:
    return "\n".join(map(str, report.warnings))


def test_a_good_set_has_no_problem(tmp_path: Path) -> None:
    report = validate(save(tmp_path, coco(3, per_image=2)))
    assert (report.errors, report.warnings) == ((), ())
    assert (report.images, report.instances) == (3, 6)
    report.raise_errors()


def change(index: int, **values: Any) -> Callable[[Data], None]:
    return lambda data: data["annotations"][index].update(values)


@pytest.mark.parametrize("name", ["", " ", None])
def test_keypoints_without_a_name(tmp_path: Path, name: str | None) -> None:
    data = coco()
    names = data["categories"][0]["keypoints"]
    data["categories"][0]["keypoints"] = [names[0], name, *names[2:]]
    found = errors(validate(save(tmp_path, data)))
    assert "categories[0], 'keypoints' has one without a name: " in found


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(1, keypoints=[1, 2, 2]), r"wrong keypoint counts, expected 5 .*annotation 101"),
        (change(1, keypoints=["a"] * 15), r"not finite numbers: annotation 101 \(image 11\)"),
        (change(1, keypoints=[float("nan"), 0, 1] * 5), r"not finite numbers: annotation 101"),
        (change(1, keypoints="none"), r"'keypoints' is not a list: annotation 101"),
        (change(1, bbox=[5, 5, 0, 9]), r"boxes without area: annotation 101 .*\[5, 5, 0, 9\]"),
        (change(1, bbox=[400, 5, 9, 9]), r"boxes outside of the image: annotation 101 .*320x240"),
        (change(1, bbox=[1, 2, 3]), r"not \[x, y, width, height\]: annotation 101"),
        (change(1, bbox="none"), r"not \[x, y, width, height\]: annotation 101"),
        (change(1, id=100), r"duplicate annotation ids: annotation 100 \(image 11\)"),
        (change(1, id=[1]), r"'id' is neither a number nor a text: annotations\[1\]"),
        (change(1, image_id=99), r"'images' does not have: annotation 101 \(image 99\)"),
        (change(1, category_id=9), r"'categories' does not have: annotation 101 .*category 9"),
        (lambda data: data["images"].append(data["images"][0]), "duplicate image ids: image 10"),
        (lambda data: data["images"][2].pop("file_name"), "without 'file_name': image 12"),
    ],
)
def test_a_problem_is_an_error_with_file_and_id(
    tmp_path: Path, damage: Callable[[Data], None], message: str
) -> None:
    data = coco()
    path = save(tmp_path, data)
    damage(data)
    Path(path).write_text(json.dumps(data))
    report = validate(path)
    assert re.search(rf"set\.json: 1 x .*{message}", errors(report))
    with pytest.raises(InputError, match="skip_bad"):
        report.raise_errors()


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    data = coco(8)
    path = save(tmp_path, data)
    for i in range(7):
        data["annotations"][i]["bbox"][2] = 0
    data["annotations"][7]["keypoints"].pop()
    (tmp_path / "3.png").unlink()
    Path(path).write_text(json.dumps(data))
    report = validate(path)
    assert "7 x boxes without area" in errors(report)
    assert "and 2 more" in errors(report)
    assert "wrong keypoint counts" in errors(report)
    assert f"1 x missing image files: {tmp_path / '3.png'} (image 13)" in errors(report)
    assert "no labelled instance to train on" in errors(report)


def test_broken_entries_can_be_left_out(tmp_path: Path) -> None:
    data = coco(5)
    path = save(tmp_path, data)
    data["annotations"][0]["bbox"][2] = 0
    data["annotations"][1]["keypoints"].pop()
    (tmp_path / "2.png").unlink()
    (tmp_path / "3.png").write_bytes(b"")
    Path(path).write_text(json.dumps(data))
    assert validate(path).errors
    report = validate({"train": {"annotations": path, "skip_bad": True}})
    assert report.errors == ()
    assert report.instances == 1
    assert "2 x missing or empty image files" in warnings(report)
    assert "wrong keypoint counts" in warnings(report)


def test_files_that_are_not_images_are_named(tmp_path: Path) -> None:
    path = save(tmp_path, coco())
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "1.png").write_bytes(b"hello, I am text")
    report = validate(path)
    assert "empty image files" in errors(report) and "0.png (image 10)" in errors(report)
    assert "not readable images" in errors(report) and "1.png (image 11)" in errors(report)


def test_what_is_odd_is_a_warning(tmp_path: Path) -> None:
    data = coco(5)
    path = save(tmp_path, data)
    data["annotations"][0].update(keypoints=[0] * 15, num_keypoints=0)
    data["annotations"][1]["keypoints"][:3] = [900, 900, 2]
    data["annotations"][2]["bbox"] = [-20, 10, 200, 100]
    data["images"][3]["width"] = 640
    Path(path).write_text(json.dumps(data))
    report = validate(path)
    assert report.errors == ()
    assert "1 x instances without a labelled keypoint, left out: annotation 100" in warnings(report)
    assert "1 x images without a usable annotation: image 10" in warnings(report)
    assert "keypoints outside of the image: annotation 101" in warnings(report)
    assert "partly outside of the image, clipped: annotation 102" in warnings(report)
    assert "3.png (image 13) is 320x240, the JSON says 640x240" in warnings(report)
    assert report.instances == 4


def test_a_size_is_that_of_the_image_as_shown(tmp_path: Path) -> None:
    data = coco(1)
    data["images"][0]["file_name"] = "0.jpg"
    path = save(tmp_path, data)
    with Image.open(tmp_path / "0.jpg") as image:
        exif = image.getexif()
        exif[274] = 6  # to be turned by a quarter
        image.save(tmp_path / "0.jpg", exif=exif)
    assert "0.jpg (image 10) is 240x320, the JSON says 320x240" in warnings(validate(path))


def test_a_set_without_labels_is_an_error(tmp_path: Path) -> None:
    data = coco(2)
    path = save(tmp_path, data)
    for annotation in data["annotations"]:
        annotation.update(keypoints=[0] * 15, num_keypoints=0)
    Path(path).write_text(json.dumps(data))
    assert "no labelled instance to train on" in errors(validate(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is cut off: it ends after 0 characters"),
        (b'{"images": [{"id": 1, "file_na', "is cut off: it ends after 30 characters"),
        (b'{"images": [], "annotations": []', "is cut off"),
        (b'{"images": [}', "is not valid JSON: line 1, column 13"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[]", "'images' is missing"),
        (b'{"images": [], "annotations": []}', "'categories' is missing"),
        (b'{"images": [], "annotations": [], "categories": [{}]}', r"categories\[0\] has no"),
        (b'{"images": [], "annotations": [], "categories": []}', "name no keypoints"),
    ],
)
def test_an_unreadable_json_is_an_error(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "set.json"
    if content is not None:
        path.write_bytes(content)
    report = validate(str(path))
    assert len(report.errors) == 1
    assert re.search(message, str(report.errors[0]))
    assert str(report.errors[0]).startswith(str(path))


def test_images_that_are_nowhere_name_the_folders_tried(tmp_path: Path) -> None:
    path = save(tmp_path, coco(1))
    (tmp_path / "0.png").unlink()
    assert "name their folder with 'images'" in errors(validate(path))
    with_folder = {"annotations": path, "images": str(tmp_path / "no")}
    assert "no such folder of images" in errors(validate({"train": with_folder}))


def test_images_are_found_beside_the_annotations(tmp_path: Path) -> None:
    path = Path(save(tmp_path / "images", coco()))
    (tmp_path / "annotations").mkdir()
    moved = path.rename(tmp_path / "annotations" / "set.json")
    assert validate(str(moved)).errors == ()


def test_evaluation_sources_are_checked_too(tmp_path: Path) -> None:
    good = save(tmp_path / "a", coco())
    bad = save(tmp_path / "b", coco())
    (tmp_path / "b" / "2.png").unlink()
    report = validate({"train": good, "val": [good, bad]})
    assert [problem.file for problem in report.errors] == [bad]


def test_detected_boxes_are_for_evaluation(tmp_path: Path) -> None:
    path = save(tmp_path, coco())
    source = {"annotations": path, "boxes": path}
    assert "under dataset.val only" in errors(validate({"train": source}))
    report = validate({"train": path, "val": source})
    assert "expected a list of COCO results" in errors(report)


def test_absent_keypoints_are_a_warning(tmp_path: Path) -> None:
    report = validate(save(tmp_path, coco()), skeleton=load_skeleton("coco"))
    assert report.errors == ()
    assert "12 keypoints of 'coco' have no label: left_ear, right_ear" in warnings(report)


@pytest.mark.parametrize(("count", "fatal"), [(4, True), (3, True), (2, False), (0, None)])
def test_keypoints_that_are_not_in_pixels_are_found(
    tmp_path: Path, count: int, fatal: bool | None
) -> None:
    data = coco(4)
    path = save(tmp_path, data)
    for annotation in data["annotations"][:count]:
        points = annotation["keypoints"]
        annotation["keypoints"] = [v if i % 3 == 2 else v / 320 for i, v in enumerate(points)]
    Path(path).write_text(json.dumps(data))
    report = validate(path)
    what = f"{count} x instances none of whose labelled keypoints is near their box"
    assert (what in errors(report), what in warnings(report)) == (fatal is True, fatal is False)
    assert ("in pixels of the image" in errors(report)) == (fatal is True)
    assert fatal is None or "annotation 100" in str(report)


def test_names_without_sides_are_a_warning(tmp_path: Path) -> None:
    data = coco()
    data["categories"][0]["keypoints"] = ["a", "b", "c", "d", "e"]
    report = validate(save(tmp_path, data))
    assert report.errors == ()
    assert "names of the keypoints (a, b, c, ...) have no left and right" in warnings(report)
    assert validate(save(tmp_path, data), classes=["person"]).warnings == ()


def test_sides_without_a_partner_are_a_warning(tmp_path: Path) -> None:
    data = coco()
    names = ["nose", "lfet_eye", "right_eye", "left_hip", "right_hip"]
    data["categories"][0]["keypoints"] = names
    report = validate(save(tmp_path, data))
    assert report.errors == ()
    assert "lfet_eye, right_eye (or is lfet_eye its partner?)" in warnings(report)
    assert "hip" not in warnings(report)
    dataset = {"train": save(tmp_path, data), "skeleton": "coco"}  # whose pairs are written down
    assert "lfet_eye" not in warnings(validate(dataset))


def test_boxes_are_checked_for_a_detector(tmp_path: Path) -> None:
    data = coco()
    path = save(tmp_path, data)
    data["annotations"][0]["bbox"] = [1, 1, 0, 0]
    Path(path).write_text(json.dumps(data))
    report = validate(path, classes=["person"])
    assert report.errors == ()
    assert "boxes without area: annotation 100" in warnings(report)
    assert "expected cat" in errors(validate(path, classes=["cat", "dog"]))


def test_published_sets_name_their_missing_images(shared: Path) -> None:
    folder = shared / "annotations"
    assert validate(str(folder / "test_coco.json")).errors == ()
    source = {"annotations": str(folder / "test_onehand10k.json")}
    report = validate({"train": source})
    assert len(report.errors) == 1
    assert "3 x missing image files" in errors(report) and "9.jpg (image 9)" in errors(report)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "dataset.train is missing"),
        ({"trian": "a.json"}, "unknown key 'trian'; did you mean train"),
        ({"train": {"annotation": "a.json"}}, "dataset.train: expected the path"),
        ({"train": {"annotations": "a", "imags": "b"}}, "unknown key 'imags'; did you mean images"),
        ({"train": [{"annotations": "a", "repeat": 0}]}, r"dataset.train\[0\].repeat"),
        (7, "expected a mapping"),
    ],
)
def test_a_wrong_configuration_is_an_error(config: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_dataset(config)


def test_relative_paths_start_from_the_root() -> None:
    dataset = parse_dataset({"root": "data", "train": {"annotations": "a.json", "images": "/b"}})
    assert Path(dataset.train[0].annotations) == Path("data/a.json")
    assert dataset.train[0].images == "/b"
    assert parse_sources("a.json")[0].annotations == "a.json"


@pytest.mark.parametrize(
    "path", sorted((CONF_DIR / "dataset").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_packaged_data_set_is_a_configuration(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    config["train"] = config["train"] or "mine.json"
    dataset = parse_dataset(config)
    for source in dataset.train + dataset.val:
        if source.skeleton is not None:
            load_skeleton(source.skeleton)


WEIRD = [None, "x", "", -1, 0, 1.5, 10**30, True, [], {}, [None], [[1]], {"a": 1}, float("nan")]


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
def test_no_value_breaks_the_checks(tmp_path: Path, part: str) -> None:
    data = coco(2)
    path = Path(save(tmp_path, data))
    for key in list(data[part][0]):
        for value in WEIRD:
            damaged = json.loads(json.dumps(data))
            damaged[part][0][key] = value
            path.write_text(json.dumps(damaged))
            assert isinstance(validate(str(path)), Report)
            assert isinstance(validate(str(path), classes=["person"]), Report)


def test_no_value_breaks_the_reading_of_detections(tmp_path: Path) -> None:
    path = save(tmp_path, coco(2))
    boxes = tmp_path / "boxes.json"
    good = {"image_id": 10, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    config = {"train": path, "val": {"annotations": path, "boxes": str(boxes)}}
    boxes.write_text(json.dumps([good]))
    assert validate(config).errors == ()
    for key in good:
        for value in WEIRD:
            boxes.write_text(json.dumps([good | {key: value}, 7]))
            assert f"{boxes}" in errors(validate(config))
