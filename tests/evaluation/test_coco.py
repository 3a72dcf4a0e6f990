"""Average precision, on real annotations and small ones whose result is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from posekit.errors import InputError
from posekit.evaluation.coco import BoxAP, KeypointAP, rescored

SIGMAS = [0.05, 0.05, 0.1]


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
    without = person(1, 0, 0)
    del without["area"]
    with pytest.raises(InputError, match="no 'area': give box_area=True"):
        KeypointAP(dataset(without), sigmas=SIGMAS)


def test_predictions_that_do_not_belong_are_refused() -> None:
    metric = KeypointAP(dataset(person(1, 0, 0)), sigmas=SIGMAS)
    with pytest.raises(InputError, match=r"image ids of the annotations, found \[7\]"):
        predict(metric, [person(1, 7, 0)])
    with pytest.raises(InputError, match="people of 3 keypoints"):
        metric.update([0], np.zeros((1, 4, 2)), np.ones((1, 4)), np.ones(1), np.ones(1))
    with pytest.raises(InputError, match=r"category ids of the annotations, found \[3\]"):
        BoxAP(dataset()).update([0], np.zeros((1, 4)), np.ones(1), [3])
