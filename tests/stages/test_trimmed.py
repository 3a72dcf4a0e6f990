"""A detector's input without most of its border."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import posekit
from posekit.spec import DetectorSpec, load_spec
from posekit.stages.detect import Detector
from posekit.stages.similarity import box_iou
from posekit.transforms.image import trimmed_size
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
def inputs(detectors: tuple[Detector, Detector]) -> Iterator[list[tuple[int, ...]]]:
    """Sizes (w, h) of what the network gets."""
    seen: list[tuple[int, ...]] = []

    def note(_: Any, images: tuple[torch.Tensor]) -> None:
        seen.append(tuple(images[0].shape[:1:-1]))

    hook = detectors[0].net.register_forward_pre_hook(note)
    yield seen
    hook.remove()


def test_clear_people_stay_where_they_are(
    detectors: tuple[Detector, Detector], shared: Path, inputs: list[tuple[int, ...]]
) -> None:
    images = [cv2.imread(str(path)) for path in sorted((shared / "images").iterdir())]
    whole, trimmed = (detector(images) for detector in detectors)
    sizes = [trimmed_size((image.shape[1], image.shape[0]), (320, 320), 32) for image in images]
    assert inputs == [(320, 320)] * len(images) + sizes
    assert set(sizes) == {(320, 256), (256, 320)}
    clear = 0
    for one, other in zip(whole, trimmed, strict=True):
        sure = (one.scores > 0.45) & (one.labels == 0)  # scores move by some 5 %
        overlaps = box_iou(one.boxes_xyxy[sure].astype(float), other.boxes_xyxy.astype(float))
        assert (overlaps.max(axis=1, initial=0) > 0.98).all()
        clear += int(sure.sum())
    assert clear > 10


def test_each_image_gets_its_own_boxes(
    detectors: tuple[Detector, Detector], shared: Path, inputs: list[tuple[int, ...]]
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


def test_tensors_keep_the_whole_input(
    detectors: tuple[Detector, Detector], inputs: list[tuple[int, ...]]
) -> None:
    detectors[1]([torch.zeros(54, 96, 3, dtype=torch.uint8)])
    assert inputs == [(320, 320)]


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
def test_speed_fast_trims(speed: posekit.loading.Speed, expected: tuple[int, int]) -> None:
    predictor = posekit.load("demo", device="cpu", speed=speed)
    detector = predictor.detector
    assert detector is not None
    seen: list[tuple[int, ...]] = []
    detector.net.register_forward_pre_hook(lambda _, images: seen.append(images[0].shape[:1:-1]))
    (result,) = predictor.stream("posekit:demo.jpg")
    assert [tuple(size) for size in seen] == [expected]
    assert len(result) == 4
