"""Results and their forms."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from posekit.angles import angle_names
from posekit.errors import InputError
from posekit.result import X_LEFT, Pose3D
from posekit.skeleton import load_skeleton
from tests import people
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


def test_angles_are_those_of_the_skeleton() -> None:
    found = people.result(0, {3: people.figure(), 5: people.figure(trunk=60, thigh=0)})
    degrees = found.angles(["hip", "trunk"])
    assert degrees.shape == (2, 3)  # right hip, left hip, trunk
    np.testing.assert_allclose(degrees, [[0, 0, 90], [120, 120, 60]], atol=1e-4)
    hidden = people.result(0, {3: people.figure()}, unseen={3: ("right_knee",)})
    np.testing.assert_array_equal(np.isnan(hidden.angles("knee")), [[True, False]])
    assert not np.isnan(hidden.angles("knee", kpt_thr=0)).any()
    assert found[:0].angles("knee").shape == (0, 2)
    assert found.angles().shape[1] == len(angle_names(people.HALPE))
    with pytest.raises(InputError, match="no angle is called 'nee'; did you mean knee"):
        found.angles("nee")


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"box_scores must be \(2,\) for 2 instances"):
        dataclasses.replace(result("a.jpg", n=2), box_scores=np.ones(3))
