"""Detectors on labelled boxes, and their boxes for pose models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posekit.build import build_network
from posekit.datasets.detection_samples import DetectionDataset
from posekit.datasets.sources import Source
from posekit.errors import InputError
from posekit.evaluation.detectors import box_metric, detect_boxes, evaluate_detector
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, load_spec
from posekit.stages.detect import Detector
from posekit.weights.hub import resolve_weights
from posekit.weights.tensors import load_weights
from tests.datasets.sets import coco, save
from tests.evaluation.sets import (
    change_ids,
    change_text_ids,
    put,
    real,
    samples,
    text_boxes,
)


@pytest.fixture(scope="module")
def detector(person_detector: Path) -> Detector:
    name = "rtmdet-nano_person-320"
    spec = load_spec(name)
    assert isinstance(spec, DetectorSpec)
    net = load_weights(build_network(spec.net), resolve_weights(name, person_detector))
    return Detector(net, spec)


def test_a_trained_detector_finds_most_people(shared: Path, detector: Detector) -> None:
    dataset = DetectionDataset([real(shared, "coco")], detector.classes, input_size=(320, 320))
    found = evaluate_detector(detector, dataset)
    assert 0.65 < found["AP"] < 0.85
    assert found["AP50"] > 0.9


def test_boxes_of_a_detector_come_out_of_their_file_as_they_were(
    shared: Path, detector: Detector, tmp_path: Path
) -> None:
    source, skeleton = real(shared, "coco"), load_skeleton("coco")
    found = detect_boxes(detector, source, skeleton, classes=[0], score_threshold=0.3)
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(found))
    dataset = samples(skeleton, real(shared, "coco", boxes=str(path)))
    boxes = dataset.labels[0].boxes_xyxy
    image = cv2.imread(str(shared / "images" / "000000000785.jpg"))
    expected = detector([image], score_threshold=0.3)[0]
    np.testing.assert_allclose(boxes[: len(expected)], expected.boxes_xyxy, atol=1e-3)


def test_boxes_of_a_detector_need_a_single_category(shared: Path, detector: Detector) -> None:
    source = real(shared, "ap10k", skeleton="ap10k")
    with pytest.raises(InputError, match=r"expected one category.*found 54"):
        detect_boxes(detector, source, load_skeleton("ap10k"), classes=[0], score_threshold=0.3)


@pytest.mark.parametrize("change", [change_ids, change_text_ids, put(area=0), text_boxes])
def test_boxes_as_tools_write_them_are_found(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    data = coco(3)
    save(tmp_path, data)
    change(data)
    source = Source(annotations=save(tmp_path, data))
    dataset = DetectionDataset([source], ["person"], input_size=(64, 64))
    metric = box_metric(dataset)
    for labels in dataset.labels:
        for row, number in enumerate(labels.image_ids):
            boxes = labels.boxes_xyxy[labels.starts[row] : labels.starts[row + 1]]
            metric.update([number] * len(boxes), boxes, [1.0] * len(boxes), [1] * len(boxes))
    assert metric.compute()["AP"] == pytest.approx(1)
