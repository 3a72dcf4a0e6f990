"""Average precision, on real annotations and small ones whose result is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from posekit.coco_form import rescored
from posekit.errors import InputError
from posekit.evaluation.box_ap import BoxAP
from posekit.evaluation.keypoint_ap import KeypointAP

SIGMAS = [0.05, 0.05, 0.1]
PERFECT = pytest.approx(1.0)  # pycocotools adds an epsilon


def person(number: int, image_id: int, x: float, **more: object) -> dict:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [x, 0, 100, 100],
        "area": 5000,
        "iscrowd": 0,
        "keypoints": [x, 0, 2, x + 100, 0, 2, x, 100, 1],
        "num_keypoints": 3,
        **more,
    }


def dataset(*annotations: dict, crowd: tuple[float, ...] = (0.1, 0.5, 0.9)) -> dict:
    return {
        "images": [{"id": i, "crowdIndex": value} for i, value in enumerate(crowd)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": list(annotations),
    }


def predict(metric: KeypointAP, annotations: list[dict], *, shift: float = 0, score: float = 1):
    keypoints = np.array([a["keypoints"] for a in annotations], float).reshape(-1, 3, 3)[..., :2]
    count = len(annotations)
    metric.update(
        [a["image_id"] for a in annotations],
        keypoints + shift,
        np.ones((count, 3)),
        np.full(count, score),
        np.full(count, 10000.0),
    )


def sigmas(shared: Path, name: str) -> list[float]:
    return json.loads((shared / "reference" / "metainfo" / f"{name}.json").read_text())["sigmas"]


FIELDS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


@pytest.mark.parametrize("protocol", ["coco", "wholebody"])
def test_the_truth_itself_is_perfect(shared: Path, protocol: str) -> None:
    name = {"coco": "test_coco", "wholebody": "test_coco_wholebody"}[protocol]
    file = shared / "annotations" / f"{name}.json"
    fields = FIELDS if protocol == "wholebody" else FIELDS[:1]
    metric = KeypointAP(file, sigmas=sigmas(shared, name[5:]), protocol=protocol)
    for annotation in json.loads(file.read_text())["annotations"]:
        values = [value for field in fields for value in annotation[field]]
        rows = np.array(values, float).reshape(1, -1, 3)
        if rows[..., 2].any():
            image = [annotation["image_id"]]
            metric.update(image, rows[..., :2], np.ones(rows.shape[:2]), np.ones(1), np.ones(1))
    found = metric.compute()
    assert {"AP", "AP50", "AP75", "AP(M)", "AP(L)", "AR", "AR50", "AR75"} < set(found)
    assert ("lefthand/AP" in found) == (protocol == "wholebody")
    if protocol == "wholebody":
        # Everybody is found whole; people without a left hand are not those with one.
        assert found["AP"] == 1
        assert found["lefthand/AR"] == found["righthand/AR"] == 1
    else:
        assert set(found.values()) == {1.0}


def test_real_detections_have_the_ap_in_the_files_name(shared: Path) -> None:
    metric = BoxAP(shared / "annotations" / "test_coco.json")
    rows = json.loads((shared / "annotations" / "test_coco_det_AP_H_56.json").read_text())
    boxes = np.array([row["bbox"] for row in rows])
    boxes[:, 2:] += boxes[:, :2]
    images, scores = ([row[key] for row in rows] for key in ("image_id", "score"))
    metric.update(images, boxes, np.array(scores), [1] * len(rows))
    found = metric.compute()
    assert 0.7 < found["AP"] < 0.9 < found["AP50"]
    assert found["AP(L)"] > found["AP(S)"]


def test_each_person_missed_costs_recall() -> None:
    annotations = [person(1, 0, 0), person(2, 0, 200), person(3, 1, 0), person(4, 2, 0)]
    metric = KeypointAP(dataset(*annotations), sigmas=SIGMAS)
    predict(metric, annotations[:3])
    assert metric.compute()["AR"] == pytest.approx(0.75)


def test_oks_decides_which_thresholds_are_met() -> None:
    annotations = [person(1, 0, 0)]
    # All sigmas alike: the OKS of a shift by (d, d) is exp(-2 d^2 / (2 area (2 sigma)^2)).
    metric = KeypointAP(dataset(*annotations), sigmas=[0.05] * 3)
    shift = math.sqrt(-math.log(0.72) * 5000 * 0.1**2)
    predict(metric, annotations, shift=shift)
    found = metric.compute()
    assert [found["AP50"], found["AP75"], found["AP"]] == pytest.approx([1, 0, 0.5])


def test_people_without_keypoints_are_neither_found_nor_missed() -> None:
    hidden = person(2, 0, 200, keypoints=[0] * 9, num_keypoints=0)
    metric = KeypointAP(dataset(person(1, 0, 0), hidden), sigmas=SIGMAS)
    predict(metric, [person(1, 0, 0)])
    assert metric.compute()["AR"] == 1


def test_duplicates_are_suppressed_before_they_count() -> None:
    annotations = [person(1, 0, 0), person(2, 1, 0)]
    found = []
    for nms_threshold in (0.9, None):
        metric = KeypointAP(dataset(*annotations), sigmas=SIGMAS, nms_threshold=nms_threshold)
        predict(metric, annotations[:1])
        predict(metric, annotations[:1], shift=0.1, score=0.9)
        predict(metric, annotations[1:], score=0.5)
        found.append(metric.compute()["AP"])
    assert found[0] == pytest.approx(1)
    assert found[1] < 0.9


def test_order_of_updates_does_not_matter() -> None:
    annotations = [person(1, 0, 0), person(2, 0, 200), person(3, 1, 0)]
    found = []
    for order in ([0, 1, 2], [2, 1, 0]):
        metric = KeypointAP(dataset(*annotations), sigmas=SIGMAS)
        for index in order:
            predict(metric, [annotations[index]], shift=2 * index, score=1 - 0.1 * index)
        found.append(metric.compute())
    assert str(found[0]) == str(found[1])


def test_crowdpose_takes_areas_from_boxes_and_splits_by_crowd_index() -> None:
    annotations = [person(1, 0, 0), person(2, 1, 0), person(3, 2, 0)]
    for annotation in annotations:
        del annotation["area"]
    metric = KeypointAP(dataset(*annotations), sigmas=[0.05] * 3, protocol="crowdpose")
    predict(metric, annotations[:1])
    predict(metric, annotations[1:2], shift=math.sqrt(-math.log(0.72) * 5300 * 0.1**2))
    found = metric.compute()
    assert found["AP(E)"] == pytest.approx(1)
    assert found["AP(M)"] == pytest.approx(0.5)
    assert found["AP(H)"] == 0
    assert "AP(L)" not in found


def test_a_level_without_images_is_nan() -> None:
    metric = KeypointAP(dataset(person(1, 0, 0), crowd=(0.1,)), sigmas=SIGMAS, protocol="crowdpose")
    predict(metric, [person(1, 0, 0)])
    assert math.isnan(metric.compute()["AP(H)"])


def test_no_predictions_at_all_are_zero() -> None:
    assert KeypointAP(dataset(person(1, 0, 0)), sigmas=SIGMAS).compute()["AP"] == 0
    assert BoxAP(dataset(person(1, 0, 0))).compute()["AP"] == 0


def test_no_people_at_all_are_nan() -> None:
    assert math.isnan(KeypointAP(dataset(), sigmas=SIGMAS).compute()["AP"])
    assert math.isnan(BoxAP(dataset()).compute()["AP"])


def test_the_annotations_given_stay_as_they_were() -> None:
    given = dataset(person(1, 0, 0), person(2, 1, 0))
    before = json.dumps(given)
    metric = KeypointAP(given, sigmas=SIGMAS)
    predict(metric, given["annotations"])
    assert str(metric.compute()) == str(metric.compute())
    assert json.dumps(given) == before


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    KeypointAP(dataset(person(1, 0, 0)), sigmas=SIGMAS).compute()
    assert capsys.readouterr().out == ""


def test_rescoring_counts_only_certain_keypoints() -> None:
    scores = rescored(np.array([0.5, 0.5]), np.array([[0.9, 0.5, 0.2], [0.1, 0.0, 0.2]]))
    np.testing.assert_allclose(scores, [0.5 * 0.7, 0])


def test_box_ap_of_some_categories_leaves_out_the_others() -> None:
    given = dataset(person(1, 0, 0), person(2, 0, 200, category_id=2))
    given["categories"].append({"id": 2, "name": "cat"})
    metrics = BoxAP(given), BoxAP(given, category_ids=[1])
    for metric in metrics:
        metric.update([0], np.array([[0, 0, 100, 100]]), np.ones(1), [1])
    assert [metric.compute()["AP"] for metric in metrics] == pytest.approx([0.5, 1])


def test_bad_input_is_refused(tmp_path: Path) -> None:
    given = dataset(person(1, 0, 0))
    with pytest.raises(InputError, match="no 'images'"):
        KeypointAP({}, sigmas=SIGMAS)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=r"broken\.json: expected COCO-style annotations"):
        BoxAP(tmp_path / "broken.json")
    with pytest.raises(InputError, match=r"expected 2 keypoints .* of annotation 1, found 3"):
        KeypointAP(given, sigmas=SIGMAS[:2])
    with pytest.raises(InputError, match="found 'mpii'"):
        KeypointAP(given, sigmas=SIGMAS, protocol="mpii")
    with pytest.raises(InputError, match="'crowdIndex'"):
        KeypointAP({**given, "images": [{"id": 0}]}, sigmas=SIGMAS, protocol="crowdpose")


def test_predictions_that_do_not_belong_are_refused() -> None:
    metric = KeypointAP(dataset(person(1, 0, 0)), sigmas=SIGMAS)
    with pytest.raises(InputError, match=r"image ids of the annotations, found \[7\]"):
        predict(metric, [person(1, 7, 0)])
    with pytest.raises(InputError, match="people of 3 keypoints"):
        metric.update([0], np.zeros((1, 4, 2)), np.ones((1, 4)), np.ones(1), np.ones(1))
    with pytest.raises(InputError, match=r"category ids of the annotations, found \[3\]"):
        BoxAP(dataset()).update([0], np.zeros((1, 4)), np.ones(1), [3])


@pytest.mark.parametrize("first", [0, -3, 2**40])
@pytest.mark.parametrize("protocol", ["coco", "crowdpose"])
def test_ids_may_start_anywhere(first: int, protocol: str) -> None:
    annotations = [person(first + i, i, 100 * i) for i in range(3)]
    metric = KeypointAP(dataset(*annotations), sigmas=SIGMAS, protocol=protocol)
    predict(metric, annotations)
    found = metric.compute()
    assert found["AP"] == found["AR"] == PERFECT
    levels = {"AP(E)", "AP(M)", "AP(H)"} if protocol == "crowdpose" else set()
    assert all(found[level] == PERFECT for level in levels)


def test_whole_body_ids_may_start_at_zero() -> None:
    parts = {
        "keypoints": 17,
        "foot_kpts": 6,
        "face_kpts": 68,
        "lefthand_kpts": 21,
        "righthand_kpts": 21,
    }
    rng = np.random.default_rng(0)
    points = {name: rng.uniform(0, 100, (count, 2)) for name, count in parts.items()}
    fields = {name: np.insert(xy, 2, 2, axis=1).ravel().tolist() for name, xy in points.items()}
    metric = KeypointAP(
        dataset(person(0, 0, 0, **fields)), sigmas=[0.05] * 133, protocol="wholebody"
    )
    places = np.concatenate(list(points.values()))[None]
    metric.update([0], places, np.ones((1, 133)), np.ones(1), np.ones(1))
    found = metric.compute()
    assert {part.name: found[f"{part.name}AP"] for part in metric.parts} == {
        part.name: PERFECT for part in metric.parts
    }


def test_ids_of_boxes_may_start_at_zero() -> None:
    annotations = [person(i, i, 0) for i in range(2)]
    metric = BoxAP(dataset(*annotations))
    boxes = np.array([[0, 0, 100, 100]] * 2)
    metric.update([0, 1], boxes, np.ones(2), [1, 1])
    assert metric.compute()["AP"] == metric.compute()["AR"] == PERFECT


@pytest.mark.parametrize("write", [str, float, lambda number: f"{number}.0"])
def test_ids_may_be_written_otherwise(write) -> None:
    content = dataset(*(person(i, i, 100 * i, iscrowd="0") for i in range(3)))
    predicted = content["annotations"]
    for rows, keys in (("images", ["id"]), ("annotations", ["id", "image_id", "category_id"])):
        content[rows] = [{**row, **{k: write(row[k]) for k in keys}} for row in content[rows]]
    content["categories"][0]["id"] = write(1)
    metric, boxes = KeypointAP(content, sigmas=SIGMAS), BoxAP(content)
    predict(metric, predicted)
    assert metric.compute()["AP"] == PERFECT
    corners = np.array([[100 * i, 0, 100 * i + 100, 100] for i in range(3)])
    boxes.update([write(i) for i in range(3)], corners, np.ones(3), [write(1)] * 3)
    assert boxes.compute()["AP"] == PERFECT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [person(5, 0, 0), person(5, 1, 0)]}, "each id once, found 5 again"),
        ({"images": [{"id": 0}, {"id": 0.0}]}, "images: expected each id once, found 0 again"),
        ({"annotations": [person(1.5, 0, 0)]}, "whole number as 'id', found 1.5"),
        ({"images": [{"id": "a.jpg"}]}, "whole number as 'id', found 'a.jpg'"),
        ({"annotations": [person(True, 0, 0)]}, "whole number as 'id', found True"),
        ({"annotations": [person(1, None, 0)]}, "annotation 1: .* 'image_id', found None"),
        ({"annotations": [person(1, 0, 0, iscrowd="some")]}, "0 or 1 as 'iscrowd'"),
        ({"annotations": [5]}, "no 'annotations'"),
    ],
)
@pytest.mark.parametrize("kind", [KeypointAP, BoxAP])
def test_ids_that_would_be_misread_are_refused(kind, change: dict, message: str) -> None:
    options = {"sigmas": SIGMAS} if kind is KeypointAP else {}
    with pytest.raises(InputError, match=message):
        kind({**dataset(person(1, 0, 0)), **change}, **options)


@pytest.mark.parametrize("image_ids", [[0.5], ["a"], [None]])
def test_predictions_of_no_image_are_refused(image_ids: list) -> None:
    metric = KeypointAP(dataset(person(1, 0, 0)), sigmas=SIGMAS)
    one = np.ones(1)
    with pytest.raises(InputError, match="whole numbers as image ids"):
        metric.update(image_ids, np.zeros((1, 3, 2)), np.ones((1, 3)), one, one)


@pytest.mark.parametrize("area", [0, 1, 1.0, 0.25, -5, float("nan"), None, "", "0", "much", 1e12])
def test_an_area_that_nobody_has_is_replaced_and_said(
    area: object, caplog: pytest.LogCaptureFixture
) -> None:
    annotations = [person(i, i, 100 * i, area=area) for i in range(3)]
    content = dataset(*annotations)
    for image in content["images"]:
        image |= {"width": 400, "height": 300}
    metric = KeypointAP(content, sigmas=SIGMAS)
    predict(metric, annotations, shift=1)  # near, but not at the very place
    measured = KeypointAP(content, sigmas=SIGMAS, box_area=True)
    predict(measured, annotations, shift=1)
    assert metric.compute()["AP"] == measured.compute()["AP"] == PERFECT
    said = "3 annotations without a usable 'area' (0, 1, 2): AP uses 0.53 of the box's area"
    assert caplog.text.count(said) == 1  # what was asked for is not said


def test_one_area_missing_changes_that_one_alone(caplog: pytest.LogCaptureFixture) -> None:
    annotations = [person(1, 0, 0), person(2, 1, 0)]
    del annotations[1]["area"]
    metric = KeypointAP(dataset(*annotations), sigmas=SIGMAS)
    assert [row["area"] for row in metric._truths[0]["annotations"]] == [5000, 5300]
    assert "1 annotations without a usable 'area' (2)" in caplog.text


def test_real_areas_are_taken_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    KeypointAP(dataset(person(1, 0, 0), person(2, 0, 0, area="70.5")), sigmas=SIGMAS)
    tiny = person(3, 0, 0, area=0.8)
    tiny["bbox"] = [0, 0, 1, 1]
    KeypointAP(dataset(tiny), sigmas=SIGMAS)
    hidden = person(4, 0, 0, area=0, keypoints=[0] * 9, num_keypoints=0)
    KeypointAP(dataset(hidden, person(5, 0, 0, area=0, iscrowd=1)), sigmas=SIGMAS)
    assert not caplog.text


@pytest.mark.parametrize("bbox", [None, [], [0, 0, 0, 0], [0, 0, -5, 5], [0, 0, 5], "none"])
def test_a_box_that_is_none_is_that_of_the_keypoints(
    bbox: object, caplog: pytest.LogCaptureFixture
) -> None:
    annotations = [person(1, 0, 0, bbox=bbox, area=0)]
    metric = KeypointAP(dataset(*annotations), sigmas=SIGMAS)
    predict(metric, annotations, shift=1)
    assert metric.compute()["AP"] == PERFECT
    assert "without a usable 'bbox' (1): AP uses the extent of the keypoints" in caplog.text
    assert metric._truths[0]["annotations"][0]["area"] == pytest.approx(5300)


def test_one_keypoint_without_a_box_has_no_size() -> None:
    alone = person(1, 0, 0, bbox=None, area=None, keypoints=[5, 5, 2] + [0] * 6)
    with pytest.raises(InputError, match="annotation 1 has neither an area nor a box"):
        KeypointAP(dataset(alone), sigmas=SIGMAS)


def test_keypoints_may_be_nested_and_hidden_ones_nowhere() -> None:
    points = [[0, 0, 2], [None, None, 0], [float("nan"), 7, 0]]
    annotations = [person(1, 0, 0, keypoints=points)]
    metric = KeypointAP(dataset(*annotations), sigmas=SIGMAS)
    metric.update([0], np.array([[[0, 0], [9, 9], [50, 80]]]), np.ones((1, 3)), [1.0], [1.0])
    assert metric.compute()["AP"] == PERFECT
    with pytest.raises(InputError, match="coordinates of each labelled keypoint"):
        KeypointAP(dataset(person(1, 0, 0, keypoints=[None, 0, 2] * 3)), sigmas=SIGMAS)


def test_boxes_have_their_own_area_where_none_can_be_used() -> None:
    annotations = [person(i, i, 0, area=area) for i, area in enumerate([0, None, -1])]
    metric = BoxAP(dataset(*annotations))
    corners = np.array([[0, 0, 100, 100]] * 3)
    metric.update([0, 1, 2], corners, np.ones(3), [1, 1, 1])
    found = metric.compute()
    assert found["AP"] == found["AP(L)"] == PERFECT  # 10,000 pixels
    assert math.isnan(found["AP(S)"])
    with pytest.raises(InputError, match=r"annotation 1: expected .* as 'bbox', found None"):
        BoxAP(dataset(person(1, 0, 0, bbox=None)))
    BoxAP(dataset(person(1, 0, 0, bbox=[0, 0, 0, 0])))  # published sets have some


@pytest.mark.parametrize("keypoint_threshold", [0.2, None])
def test_who_has_no_score_at_any_keypoint_was_not_found(keypoint_threshold: float | None) -> None:
    annotations = [person(1, 0, 0), person(2, 1, 0)]
    metric = KeypointAP(dataset(*annotations), sigmas=SIGMAS, keypoint_threshold=keypoint_threshold)
    keypoints = np.array([a["keypoints"] for a in annotations], float).reshape(-1, 3, 3)[..., :2]
    scores = np.array([[0.9, 0.9, 0.9], [0, 0, 0]])
    metric.update([0, 1], keypoints, scores, np.ones(2), np.full(2, 1e4))
    # One of two is found: of 101 recalls the 51 up to a half have precision 1.
    assert metric.compute()["AP"] == pytest.approx(51 / 101)
    assert metric.compute()["AR"] == 0.5
    assert len(metric.results()) == 2  # as the reference writes them


def test_a_part_without_scores_is_not_found_but_the_others_are() -> None:
    fields = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
    points = {name: [10.0, 20.0, 2.0] * count for name, count in fields.items()}
    body = {"keypoints": np.insert(np.arange(34.0).reshape(17, 2), 2, 2, axis=1).ravel().tolist()}
    annotation = person(1, 0, 0, **body, **points)
    metric = KeypointAP(dataset(annotation), sigmas=[0.05] * 133, protocol="wholebody")
    places = np.concatenate([np.arange(34.0).reshape(17, 2), np.full((116, 2), (10.0, 20.0))])
    scores = np.ones((1, 133))
    scores[:, 17:23] = 0
    metric.update([0], places[None], scores, np.ones(1), np.ones(1))
    found = metric.compute()
    assert (found["foot/AP"], found["body/AP"], found["AP"]) == (0.0, PERFECT, PERFECT)


def test_a_metric_that_is_cleared_starts_anew() -> None:
    annotations = [person(1, 0, 0)]
    metric = KeypointAP(dataset(*annotations), sigmas=SIGMAS)
    predict(metric, annotations)
    metric.clear()
    assert metric.compute()["AP"] == 0.0
