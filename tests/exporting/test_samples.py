"""What an export is compared and calibrated on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import posekit
from posekit.datasets.synthetic import generate_scene
from posekit.exporting.result import ExportResult
from posekit.exporting.samples import take_samples
from posekit.stages import estimate
from tests.exporting.conftest import DRAWN


def test_every_image_gives_a_crop_before_any_gives_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def see(image: np.ndarray, matrices: np.ndarray, out: np.ndarray) -> None:
        seen.extend([int(image[0, 0, 0])] * len(matrices))
        out[:] = image[0, 0, 0]

    monkeypatch.setattr(estimate, "crop_all", see)
    images = [np.full((64, 64, 3), grey, np.uint8) for grey in range(10, 250, 12)]
    network = posekit.load(DRAWN, detector="whole_image", device="cpu").estimator
    samples = take_samples(network, images)
    assert len(set(seen)) == len(seen) == 20
    assert (len(samples.compared), samples.boxes) == (16, "whole images")


def test_crops_are_of_the_people_that_the_models_detector_finds(int8_onnx: ExportResult) -> None:
    assert int8_onnx.boxes == "the detector"
    # Half of them are kept for the ranges.
    people = sum(len(generate_scene(seed)) for seed in range(6))
    crops, calibrated_on = int8_onnx.difference.crops, int8_onnx.calibrated_on
    assert crops + calibrated_on == pytest.approx(people, abs=0.2 * people)
    assert abs(crops - calibrated_on) <= 1
    # On crops that are no people the same ranges move keypoints by several pixels.
    assert int8_onnx.difference.mean_px < 1


def test_crops_are_of_parts_of_the_images_where_the_detector_has_no_weights(
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = posekit.export(
        DRAWN,
        tmp_path / "pose.safetensors",
        format="safetensors",
        inputs=str(scenes / "0.png"),
        detector="rtmdet-m_person-640",
    )
    found = (result.difference.crops, result.inputs, result.boxes)
    assert found == (4, "1 images", "parts of images")
    assert "the detector has no weights" in caplog.text
