"""Boxes of real photographs, with real weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from posekit.backends import make_backend, why_unavailable
from posekit.build import build_network
from posekit.config import read_config
from posekit.errors import InputError
from posekit.spec import DetectorSpec, load_spec
from posekit.stages.detect import Detections, Detector
from posekit.weights.hub import resolve_weights
from posekit.weights.tensors import load_weights

NAME = "rtmdet-nano_person-320"
MAX_DETECTIONS = read_config(NAME)["max_detections"]
MARGIN = 1e-3  # of scores; rounding was measured to change them by 2e-6
IMAGES = (
    "000000000785",
    "000000037516",
    "000000040083",
    "000000196141",
    "000000197388",
    "001766",
    "33",
)


@pytest.fixture(scope="module")
def detector(person_detector: Path, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        path = resolve_weights(NAME, person_detector)
    spec = load_spec(NAME)
    assert isinstance(spec, DetectorSpec)
    return Detector(load_weights(build_network(spec.net), path), spec)


def assert_same_detections(
    found: Detections, expected: Detections, threshold: float, *, pixels: float, score: float
) -> None:
    """That each clear box of either side has its partner on the other.

    Rounding decides which boxes at the threshold, or at the end of as many as are kept, are there,
    and in which order equally good ones come.
    """
    for ours, others in ((found, expected), (expected, found)):
        last = others.scores.min() if len(others) == MAX_DETECTIONS else threshold
        for index in np.flatnonzero(ours.scores > max(threshold, last) + MARGIN):
            away = np.abs(others.boxes_xyxy - ours.boxes_xyxy[index]).max(axis=1)
            near = (away <= pixels) & (np.abs(others.scores - ours.scores[index]) <= score)
            assert ours.labels[index] in others.labels[near], ours[index : index + 1]


@pytest.mark.parametrize("name", IMAGES)
def test_detections_match_the_reference(detector: Detector, shared: Path, name: str) -> None:
    expected = json.loads((shared / "reference" / "detections" / f"{name}.json").read_text())
    image = cv2.imread(str(shared / "images" / expected["image"]))
    (found,) = detector([image], score_threshold=expected["score_thr"])
    boxes = np.array(expected["bboxes"], np.float32).reshape(-1, 4)
    wanted = Detections(boxes, np.array(expected["scores"]), np.array(expected["labels"]))
    assert len(wanted) > 2
    assert_same_detections(found, wanted, expected["score_thr"], pixels=0.5, score=5e-3)


def test_images_of_a_chunk_do_not_change_each_other(detector: Detector, shared: Path) -> None:
    images = [cv2.imread(str(path)) for path in sorted((shared / "images").iterdir())[:3]]
    together = detector(images)
    for image, expected in zip(images, together, strict=True):
        (alone,) = detector([image])
        assert_same_detections(alone, expected, 0.05, pixels=1e-2, score=1e-4)


def test_an_engine_that_computes_images_apart_gets_them_together(
    detector: Detector, shared: Path, tmp_path: Path
) -> None:
    if reason := why_unavailable("openvino", torch.device("cpu")):
        pytest.skip(reason)
    backend = make_backend(detector.net, "openvino", input_size=(320, 320), cache_dir=tmp_path)
    batches: list[int] = []

    class Noted:
        computes_images_apart = backend.computes_images_apart  # type: ignore[attr-defined]

        def __call__(self, images: torch.Tensor) -> Any:
            batches.append(len(images))
            return backend(images)

    faster = Detector(detector.net, load_spec(NAME), backend=Noted())
    images = [cv2.imread(str(path)) for path in sorted((shared / "images").iterdir())[:5]] * 4
    together = faster(images)
    assert batches == [16, 4]
    alone = [faster([image])[0] for image in images[:5]]
    for expected, found in zip(alone * 4, together, strict=True):
        # One image alone has all threads, which add in another order.
        assert_same_detections(found, expected, 0.05, pixels=1e-2, score=1e-4)
    # Others get them one by one: their arithmetic may change with the size of a batch.
    sizes: list[int] = []
    hook = detector.net.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    detector(images[:3])
    hook.remove()
    assert sizes == [1, 1, 1]


def test_extreme_images(detector: Detector) -> None:
    for shape in ((1, 1, 3), (1, 2000, 3), (3000, 2, 3)):
        (found,) = detector([np.zeros(shape, np.uint8)])
        assert np.isfinite(found.boxes_xyxy).all()


def test_no_images(detector: Detector) -> None:
    assert detector([]) == []


def test_select_takes_the_classes_asked_for_without_overlaps() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8, 0.7]), np.array([0, 0, 3]))
    chosen = found.select((0,), score_threshold=0.3, nms_threshold=0.3)
    assert chosen.scores.tolist() == [0.9]
    assert len(found.select((3,), score_threshold=0.3, nms_threshold=0.3)) == 1
    assert len(found.select((0, 3), score_threshold=0.95, nms_threshold=0.3)) == 0


@pytest.mark.parametrize("score_threshold", [0.3, 0.05, 1e-4])  # the last: too many candidates
def test_tensors_give_the_same_detections(
    detector: Detector, shared: Path, score_threshold: float
) -> None:
    images = [cv2.imread(str(path)) for path in sorted((shared / "images").glob("*.jpg"))[:6]]
    tensors = [torch.from_numpy(image) for image in images]
    together = detector(tensors, score_threshold=score_threshold)
    for image, found in zip(images, together, strict=True):
        (expected,) = detector([image], score_threshold=score_threshold)
        assert_same_detections(found, expected, score_threshold, pixels=1e-2, score=1e-4)


@pytest.mark.parametrize("strides", [(8,), (8, 16, 64), (0, 0, 0)])
def test_strides_that_are_not_the_networks_are_refused(strides: tuple[int, ...]) -> None:
    spec = load_spec(NAME)
    assert isinstance(spec, DetectorSpec)
    codec = spec.codec.having(strides=strides)
    detector = Detector(
        build_network(spec.net, device="cpu").eval(), dataclasses.replace(spec, codec=codec)
    )
    with pytest.raises(InputError, match=r"codec\.strides are .* maps of \[\(40, 40\), "):
        detector([np.zeros((64, 64, 3), np.uint8)])
