"""Results and their forms."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from posekit.result import X_LEFT, Pose3D
from posekit.skeleton import load_skeleton
from tests.io.test_write import result


def test_the_dict_has_plain_values_and_the_references_nesting() -> None:
    found = result("a.jpg", n=2).to_mmpose()
    assert found["visualization"] == []
    (instances,) = found["predictions"]
    assert len(instances) == 2
    assert type(instances[0]["keypoints"][0][0]) is float
    assert type(instances[0]["bbox"]) is tuple and type(instances[0]["bbox_score"]) is float


def test_nobody_found() -> None:
    assert result("a.jpg", n=0).to_mmpose() == {"visualization": [], "predictions": [[]]}


@pytest.mark.parametrize(
    ("axes", "up", "expected"),
    [
        ("x to the right, y away, z up", "z", [1, 2, 3]),
        (f"{X_LEFT}, y away from the camera, z up", "z", [-1, 2, 3]),
        ("the camera's", "-y", [1, 3, -2]),
    ],
)
def test_upright_is_a_right_hands(axes: str, up: Any, expected: list[int]) -> None:
    skeleton = load_skeleton("h36m")
    points = np.tile(np.float32([1, 2, 3]), (2, 17, 1))
    pose = Pose3D(points, np.ones((2, 17), np.float32), skeleton, "m", axes, up)
    np.testing.assert_array_equal(pose.upright, np.tile(expected, (2, 17, 1)))
    np.testing.assert_array_equal(pose.keypoints, points)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"box_scores must be \(2,\) for 2 instances"):
        dataclasses.replace(result("a.jpg", n=2), box_scores=np.ones(3))
