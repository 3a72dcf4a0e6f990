"""A detector's input without most of its border."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import posekit
from posekit.backends import why_unavailable
from posekit.errors import InputError
from posekit.spec import DetectorSpec, load_spec
from posekit.stages.detect import Detector
from posekit.stages.similarity import box_iou
from posekit.transforms.image import Normalize, trimmed_size
from posekit.weights.load import load_network

NAME = "rtmdet-nano_person-320"


@pytest.mark.parametrize(
    ("image", "whole", "expected"),
    [
        ((1920, 1080), (640, 640), (640, 384)),  # 360, in multiples of 32
        ((1080, 1920), (640, 640), (384, 640)),
        ((640, 480), (640, 640), (640, 480)),
        ((640, 481), (640, 640), (640, 640)),  # few shapes: the next one is the whole
        ((3000, 10), (640, 640), (640, 384)),
        ((100, 100), (640, 640), (640, 640)),
        ((960, 540), (416, 416), (416, 256)),
        ((960, 540), (320, 320), (320, 192)),
        ((960, 540), (640, 384), (640, 384)),  # not square
        ((540, 960), (640, 384), (384, 384)),
        ((960, 540), (40, 40), (40, 32)),
    ],
)
def test_sizes(image: tuple[int, int], whole: tuple[int, int], expected: tuple[int, int]) -> None:
    assert trimmed_size(image, whole, 32) == expected


@pytest.fixture(scope="module")
def detectors(
    person_detector: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Detector, Detector]:
    """The same, whole and trimmed."""
    spec = load_spec(NAME)
    assert isinstance(spec, DetectorSpec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        net = load_network(spec, person_detector)
    return Detector(net, spec), Detector(net, spec, trimmed=True)


@pytest.fixture
def inputs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes (w, h) of the inputs, one for each image."""
    seen: list[tuple[int, int]] = []
    letterboxed = Normalize.letterboxed

    def note(
        self: Normalize, images: Any, size_wh: tuple[int, int], *more: Any, **named: Any
    ) -> Any:
        seen.extend([size_wh] * len(images))
        return letterboxed(self, images, size_wh, *more, **named)

    monkeypatch.setattr(Normalize, "letterboxed", note)
    return seen


def test_clear_people_stay_where_they_are(
    detectors: tuple[Detector, Detector], shared: Path, inputs: list[tuple[int, int]]
) -> None:
    images = [cv2.imread(str(path)) for path in sorted((shared / "images").iterdir())]
    whole, trimmed = (detector(images) for detector in detectors)
    sizes = [trimmed_size((image.shape[1], image.shape[0]), (320, 320), 32) for image in images]
    assert inputs == [(320, 320)] * len(images) + sizes
    assert set(sizes) == {(320, 256), (256, 320)}
    clear = 0
    for one, other in zip(whole, trimmed, strict=True):
        sure = (one.scores > 0.3) & (one.labels == 0)
        overlaps = box_iou(one.boxes_xyxy[sure].astype(float), other.boxes_xyxy.astype(float))
        assert (overlaps.max(axis=1, initial=0) > 0.98).all()
        scores = other.scores[overlaps.argmax(axis=1)]
        # Without the border's part in the means they would differ by up to 0.04.
        np.testing.assert_allclose(scores, one.scores[sure], atol=0.02)
        clear += int(sure.sum())
    assert clear > 10


def test_a_crowd_stays_above_the_threshold(
    detectors: tuple[Detector, Detector], shared: Path
) -> None:
    video = cv2.VideoCapture(str(shared / "video" / "demo.mp4"))
    image = video.read()[1]
    whole, trimmed = (
        detector.find_boxes([image], [0], score_threshold=0.3, nms_threshold=0.3)[0]
        for detector in detectors
    )
    assert len(whole) == len(trimmed) > 4


def test_each_image_gets_its_own_boxes(
    detectors: tuple[Detector, Detector], shared: Path, inputs: list[tuple[int, int]]
) -> None:
    image = cv2.imread(str(shared / "images" / "000000000785.jpg"))
    half = image[:, : image.shape[1] // 2]
    together = detectors[1]([image, half, half, image])
    assert len(set(inputs)) == 2
    for one, found in zip((image, half, half, image), together, strict=True):
        (alone,) = detectors[1]([one])
        np.testing.assert_allclose(alone.boxes_xyxy, found.boxes_xyxy, atol=1e-2)


def test_an_image_of_the_inputs_shape_is_computed_as_ever(
    detectors: tuple[Detector, Detector], shared: Path
) -> None:
    image = cv2.imread(str(shared / "images" / "000000000785.jpg"))[:400, :400]
    (whole,), (trimmed,) = (detector([image]) for detector in detectors)
    np.testing.assert_array_equal(whole.boxes_xyxy, trimmed.boxes_xyxy)
    assert len(whole) > 1


@pytest.mark.parametrize("strides", [(), (8,), (0, 0, 0), (8, 16, 64)])
def test_strides_that_are_not_the_networks_are_refused(
    detectors: tuple[Detector, Detector], strides: tuple[int, ...]
) -> None:
    spec = load_spec(NAME)
    assert isinstance(spec, DetectorSpec)
    spec = dataclasses.replace(spec, codec=spec.codec.having(strides=strides))
    detector = Detector(detectors[0].net, spec, trimmed=True)
    with pytest.raises(InputError, match=r"codec\.strides are .* maps of "):
        detector([np.zeros((54, 96, 3), np.uint8)])


def test_tensors_keep_the_whole_input(
    detectors: tuple[Detector, Detector], inputs: list[tuple[int, int]]
) -> None:
    detectors[1]([torch.zeros(54, 96, 3, dtype=torch.uint8)])
    assert inputs == []  # which are letterboxed on their device
    assert (320, 320) in detectors[1]._runs


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_engines_compute_the_same(
    detectors: tuple[Detector, Detector], shared: Path, tmp_path: Path, backend: str
) -> None:
    if reason := why_unavailable(backend, torch.device("cpu")):
        pytest.skip(reason)
    spec = load_spec(NAME)
    assert isinstance(spec, DetectorSpec)
    image = cv2.imread(str(shared / "images" / "000000197388.jpg"))
    (expected,) = detectors[1]([image], score_threshold=0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEKIT_CACHE", str(tmp_path))
        engine = Detector(detectors[0].net, spec, backend=backend, trimmed=True)
        (found,) = engine([image], score_threshold=0.3)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=0.05)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def test_engines_of_trimmed_inputs_are_settled_too(detectors: tuple[Detector, Detector]) -> None:
    spec = load_spec(NAME)
    assert isinstance(spec, DetectorSpec)
    detector = Detector(detectors[0].net, spec, backend="default", trimmed=True)
    wide, tall = np.zeros((54, 96, 3), np.uint8), np.zeros((96, 54, 3), np.uint8)
    detector([wide])
    assert not detector._runs[320, 192]._chosen  # type: ignore[attr-defined]
    detector.settle()
    detector([tall])
    assert set(detector._runs) == {(320, 192), (192, 320)}
    for run in detector._runs.values():
        assert set(run._chosen) == {"one", "many"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("speed", "expected"), [("fast", (256, 192)), ("balanced", (256, 256))])
def test_speed_fast_trims(
    inputs: list[tuple[int, int]], speed: posekit.loading.Speed, expected: tuple[int, int]
) -> None:
    predictor = posekit.load("demo", device="cpu", speed=speed)
    (result,) = predictor.stream("posekit:demo.jpg")
    assert inputs == [expected]
    assert len(result) == 4
