"""Whole bodies in metres before the camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import posekit
from posekit.build import build_network
from posekit.codecs.simcc3d import FOCAL_LENGTH, ROOT_DEPTH
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from posekit.spec import PoseSpec, read_spec
from posekit.stages.camera3d import CameraEstimator

SMALL = {
    "net": {
        "_target_": "posekit.models.rtmw3d.RTMW3D",
        "deepen_factor": 0.167,
        "widen_factor": 0.375,
        "neck_blocks": 1,
    },
    "input_size": [96, 128],
    "keypoints": "coco_wholebody",
    "keypoints_3d": True,
    "flip_test": False,
}


@pytest.fixture(scope="module")
def predictor() -> posekit.Predictor:
    spec = read_spec(SMALL, "small")
    assert isinstance(spec, PoseSpec)
    net = build_network(spec.net, device="cpu").eval()
    return posekit.Predictor(CameraEstimator(net, spec, load_skeleton("coco_wholebody")))


def test_2d_and_3d_are_the_same_people(predictor: posekit.Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    boxes = np.array([[10, 10, 110, 210], [150, 20, 300, 230]], np.float32)
    (result,) = predictor.stream(image, bboxes=boxes)
    assert result.keypoints.shape == (2, 133, 2)
    pose = result.pose3d
    assert pose is not None and pose.keypoints.shape == (2, 133, 3)
    assert pose.unit.startswith("metres") and pose.up == "-y"
    # Seen from the middle of the image, 3D keypoints are where the 2D ones are.
    x, y, z = np.moveaxis(pose.keypoints, -1, 0)
    seen = np.stack([x / z * FOCAL_LENGTH[0] + 160, y / z * FOCAL_LENGTH[1] + 120], -1)
    np.testing.assert_allclose(seen, result.keypoints, atol=0.01)
    assert np.abs(z - ROOT_DEPTH).max() < 3
    np.testing.assert_array_equal(pose.upright, np.stack([x, z, -y], -1))


def test_it_is_drawn_beside_and_written(predictor: posekit.Predictor, tmp_path: Path) -> None:
    image = np.full((200, 160, 3), 80, np.uint8)
    boxes = np.array([[10, 10, 150, 190]], np.float32)
    result = next(predictor(image, bboxes=boxes, return_vis=True, out_dir=str(tmp_path)))
    assert result["visualization"][0].shape[1] > 160
    assert np.shape(result["predictions"][0][0]["keypoints"]) == (133, 3)
    assert list((tmp_path / "predictions").glob("*.json"))


def test_options_of_lifters_are_refused(predictor: posekit.Predictor) -> None:
    with pytest.raises(InputError, match="lift_window"):
        predictor.stream(np.zeros((9, 9, 3), np.uint8), lift_window=3)


def test_nobody(predictor: posekit.Predictor) -> None:
    (result,) = predictor.stream(np.zeros((90, 90, 3), np.uint8), bboxes=np.zeros((0, 4)))
    assert result.pose3d is not None and result.pose3d.keypoints.shape == (0, 133, 3)
