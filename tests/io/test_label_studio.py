"""Tasks of Label Studio: its own schema takes them, and they come back with the same numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import posekit
from posekit.io.sinks import load_format
from posekit.io.write import ResultWriter
from posekit.result import PoseResult
from posekit.stages.packet import Packet
from tests.io.test_formats import image, run_of


def write(folder: Path, results: list[PoseResult]) -> Path:
    folder.mkdir(exist_ok=True)
    for result in results:
        width, height = result.image_size
        cv2.imwrite(str(folder / result.name), np.full((height, width, 3), 90, np.uint8))
    run = dataclasses.replace(run_of(results[0]), kpt_thr=0.3)
    with ResultWriter(folder, None, formats=[load_format("label_studio")], run=run) as writer:
        for result in results:
            writer.write(Packet(result))
    return folder / "predictions.label_studio.json"


def test_tasks_are_read_back_with_equal_numbers(tmp_path: Path) -> None:
    results = [image("a b.png"), image("ä.png", 1), image("c.png", 2)]
    path = write(tmp_path, results)
    posekit.labels(path, out=tmp_path / "coco.json")
    content = json.loads((tmp_path / "coco.json").read_text())
    assert content["categories"][0]["keypoints"] == list(results[0].skeleton.names)
    assert [entry["file_name"] for entry in content["images"]] == [r.name for r in results]
    people = iter(content["annotations"])
    for result in results:
        for points, scores, box in zip(
            result.keypoints, result.keypoint_scores, result.boxes_xyxy, strict=True
        ):
            seen = scores >= 0.3
            found = next(people)
            values = np.reshape(found["keypoints"], (-1, 3))
            np.testing.assert_array_equal(values[:, 2], 2 * seen)
            np.testing.assert_allclose(values[seen, :2], points[seen], atol=1e-3)
            x, y, w, h = found["bbox"]
            np.testing.assert_allclose([x, y, x + w, y + h], box, atol=2e-3)
    assert next(people, None) is None


def test_label_studios_own_schema_takes_them(tmp_path: Path) -> None:
    sdk = pytest.importorskip("label_studio_sdk.label_interface")
    path = write(tmp_path, [image("a.png"), image("b.png", 1)])
    known = sdk.LabelInterface(path.with_suffix(".xml").read_text(encoding="utf-8"))
    known.validate()
    tasks = json.loads(path.read_text())
    assert len(tasks) == 2
    for task in tasks:
        assert known.validate_task({"data": task["data"]})
        (prediction,) = task["predictions"]
        assert known.validate_prediction(prediction, return_errors=True) == []
        assert len(prediction["result"]) > 2
        # The check can fail.
        prediction["result"][1]["value"]["keypointlabels"] = ["tail"]
        assert known.validate_prediction(prediction, return_errors=True)


def test_label_studios_exports_know_the_order_of_keypoints(tmp_path: Path) -> None:
    """Its COCO export fails without it."""
    keypoints = pytest.importorskip("label_studio_sdk.converter.keypoints")
    utils = pytest.importorskip("label_studio_sdk.converter.utils")
    result = image("a.png")
    path = write(tmp_path, [result]).with_suffix(".xml")
    known = utils.parse_config(path.read_text(encoding="utf-8"))
    assert keypoints.build_kp_order(known) == list(result.skeleton.names)


def test_a_picture_of_nobody_is_a_task(tmp_path: Path) -> None:
    nobody = image("a.png")
    nobody = dataclasses.replace(
        nobody, keypoints=nobody.keypoints[:0], keypoint_scores=nobody.keypoint_scores[:0],
        boxes_xyxy=nobody.boxes_xyxy[:0], box_scores=nobody.box_scores[:0],
    )  # fmt: skip
    (task,) = json.loads(write(tmp_path, [nobody]).read_text())
    assert task["predictions"][0]["result"] == [] and task["predictions"][0]["score"] == 0
