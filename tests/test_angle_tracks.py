"""Angles of people who are followed over the frames of a clip."""

from __future__ import annotations

import numpy as np
import pytest

from posekit.angle_tracks import TrackedAngles
from posekit.angles import Facing
from posekit.skeleton import load_skeleton
from tests.people import HALPE, figure, result

COCO = load_skeleton("coco")


def follow(
    people: list[dict[int, np.ndarray]],
    names: list[str],
    *,
    facing: Facing = "auto",
    **more: object,
) -> list[np.ndarray]:
    angles = TrackedAngles(HALPE, names, threshold=0.3, facing=facing)
    return [angles(result(number, one, **more)) for number, one in enumerate(people)]  # type: ignore[arg-type]


def test_an_arm_that_goes_round_goes_on_counting() -> None:
    turns = np.arange(-90, 700, 25.0)
    found = follow([{4: figure(arm=one, forearm=one)} for one in turns], ["right_arm"])
    np.testing.assert_allclose(np.concatenate(found)[:, 0], turns, atol=1e-4)


def test_without_ids_each_frame_is_by_itself() -> None:
    found = follow([{0: figure(arm=one)} for one in (170, 190)], ["right_arm"], ids=False)
    np.testing.assert_allclose(np.concatenate(found)[:, 0], [170, -170], atol=1e-4)


def test_people_go_on_apart_from_each_other() -> None:
    frames = [{1: figure(arm=a), 2: figure(arm=b)} for a, b in [(170, -170), (190, -190)]]
    found = follow(frames, ["right_arm"])
    np.testing.assert_allclose(found[1][:, 0], [190, -190], atol=1e-4)


def test_who_was_away_for_long_starts_anew() -> None:
    turned = figure(arm=190)
    frames = [{1: figure(arm=170)}, *({} for _ in range(40)), {1: turned}]
    assert follow(frames, ["right_arm"])[-1][0, 0] == pytest.approx(-170, abs=1e-4)
    frames = [{1: figure(arm=170)}, *({} for _ in range(20)), {1: turned}]
    assert follow(frames, ["right_arm"])[-1][0, 0] == pytest.approx(190, abs=1e-4)


def test_one_frame_of_feet_that_point_elsewhere_turns_nobody() -> None:
    bent = figure(shank=-140)
    wrong = bent.copy()
    for side in ("left", "right"):
        toe, heel = (HALPE.names.index(f"{side}_{part}") for part in ("big_toe", "heel"))
        wrong[[toe, heel]] = wrong[[heel, toe]]
    found = follow([{0: wrong if number == 5 else bent} for number in range(10)], ["right_knee"])
    np.testing.assert_allclose(np.concatenate(found), 50, atol=1e-4)


def test_who_turns_around_keeps_the_sign_of_flexion() -> None:
    right = figure(shank=-140)
    left = (right - [200, 0]) * [-1, 1] + [200, 0]
    found = follow([{0: right if number < 10 else left} for number in range(40)], ["left_knee"])
    np.testing.assert_allclose(found[9], 50, atol=1e-4)
    np.testing.assert_allclose(found[-1], 50, atol=1e-4)
    as_it_is = follow([{0: right}, {0: left}], ["left_knee"], facing="right")
    np.testing.assert_allclose(np.concatenate(as_it_is)[:, 0], [50, -50], atol=1e-4)


def test_lifted_people_are_measured_in_3d_and_not_mirrored() -> None:
    h36m = load_skeleton("h36m")
    flat = figure(h36m, thigh=-20, shank=-110)
    solid = np.column_stack([-flat[:, 0], 0 * flat[:, 0], -flat[:, 1]])  # x to the left
    solid[h36m.names.index("left_wrist"), 1] += 3.0  # away from the camera
    found = result(0, {0: figure(COCO)}, skeleton=COCO, solid={0: solid})
    angles = TrackedAngles(h36m, ["right_knee", "left_hip"], threshold=0.3)(found)
    np.testing.assert_allclose(angles, [[90, 70]], atol=1e-4)
    upright = found.pose3d.upright[0]
    np.testing.assert_allclose(upright[:, 0], flat[:, 0], atol=1e-4)
    assert upright[h36m.names.index("left_wrist"), 1] == 3
