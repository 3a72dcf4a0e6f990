"""Angles: of figures whose limbs stand at known angles."""

from __future__ import annotations

import numpy as np
import pytest

from posekit.angles import (
    ANGLES,
    angle_names,
    choose_angles,
    facing_strength,
    measure_angles,
    unwrap_angles,
    vertex_positions,
)
from posekit.errors import InputError
from posekit.skeleton import Skeleton, load_skeleton
from tests.people import HALPE, figure


def angle(name: str, points: np.ndarray, skeleton: Skeleton = HALPE, **more: object) -> float:
    return float(measure_angles(points, skeleton, [name], **more)[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "turned", "expected"),
    [
        ("right_knee", {}, 0),
        ("right_knee", {"shank": -180}, 90),  # the lower leg points back
        ("left_knee", {"shank": -90 - 130}, 130),
        ("right_hip", {}, 0),
        ("right_hip", {"thigh": 0}, 90),  # seated
        ("right_hip", {"thigh": -110}, -20),  # behind the body
        ("left_hip", {"trunk": 60, "thigh": -90}, 30),  # leaning forward
        ("right_ankle", {}, 0),
        ("right_ankle", {"foot": 15}, 15),  # toes up
        ("right_ankle", {"foot": -90}, -90),  # in line with the shank
        ("right_shoulder", {}, 0),
        ("right_shoulder", {"arm": 0}, 90),
        ("right_shoulder", {"arm": 90}, 180),
        ("left_elbow", {"forearm": 0}, 90),
        ("left_elbow", {"forearm": 45}, 135),
        ("right_foot", {"foot": -30}, -30),
        ("right_shank", {}, -90),
        ("right_thigh", {"thigh": 0}, 0),
        ("right_arm", {"arm": 180}, 180),
        ("right_forearm", {"forearm": 30}, 30),
        ("trunk", {}, 90),
        ("trunk", {"trunk": 45}, 45),
        ("head", {"head": 120}, 120),
    ],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_angles_of_a_figure_are_its_limbs(
    name: str, turned: dict[str, float], expected: float, mirrored: bool
) -> None:
    points = figure(**turned)
    facing = "right"
    if mirrored:
        points, facing = points * [-1, 1] + [400, 0], "left"
    assert angle(name, points, facing=facing) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("degrees", np.linspace(-179.5, 180, 25))
def test_a_rotating_limb_is_measured_all_the_way_round(degrees: float) -> None:
    points = figure(forearm=degrees)
    assert angle("right_forearm", points) == pytest.approx(degrees, abs=1e-9)
    elbow = (degrees + 90 + 180) % 360 - 180
    assert angle("right_elbow", points) == pytest.approx(elbow, abs=1e-9)


def test_the_range_holds_180_and_not_minus_180() -> None:
    points = figure(forearm=180)
    points[HALPE.names.index("right_wrist"), 1] = points[HALPE.names.index("right_elbow"), 1]
    assert angle("right_forearm", points, facing="right") == 180
    assert angle("right_forearm", points * [1, -1], facing="right") == 180
    points = figure(shank=90)  # folded: the ankle on the hip's side
    assert angle("right_knee", points) == pytest.approx(180)


def test_a_pendulum_is_followed() -> None:
    time = np.arange(200) / 50
    swing = 60 * np.cos(2 * np.pi * 0.8 * time)
    points = np.stack([figure(thigh=-90 + one, shank=-90 + one) for one in swing])
    found = measure_angles(points, HALPE, ["right_hip", "right_knee", "left_thigh"])
    np.testing.assert_allclose(found, np.stack([swing, 0 * swing, swing - 90], 1), atol=1e-9)


def test_windmilling_arms_are_continuous_in_a_track() -> None:
    turns = np.linspace(-90, -90 + 2.5 * 360, 200)
    points = np.stack([figure(arm=one, forearm=one) for one in turns])
    names = ["right_arm", "right_elbow"]
    found = measure_angles(points, HALPE, names)
    assert found[:, 0].max() <= 180 and found[:, 0].min() > -180
    found[60:64] = np.nan  # not seen
    whole = unwrap_angles(found, names)
    assert np.isnan(whole[60:64]).all()
    seen = np.isfinite(whole[:, 0])
    np.testing.assert_allclose(whole[seen, 0], turns[seen], atol=1e-9)
    assert unwrap_angles(np.array([[122.0], [-31.0], [100.0]]), ["right_arm"])[1, 0] == -31


def test_hips_have_no_end_that_is_first() -> None:
    points = figure()
    left, right = HALPE.names.index("left_hip"), HALPE.names.index("right_hip")
    points[left], points[right] = (210, 290), (190, 310)
    assert angle("pelvis", points) == pytest.approx(45)
    points[[left, right]] = points[[right, left]]
    assert angle("pelvis", points) == pytest.approx(45)
    swaying = np.array([[80.0], [89.0], [-82.0]])
    assert unwrap_angles(swaying, ["pelvis"])[2, 0] == 98


def test_a_keypoint_that_is_not_seen_makes_its_angles_unknown() -> None:
    points, scores = figure(), np.ones(26)
    scores[HALPE.names.index("right_ankle")] = 0.2
    found = measure_angles(points, HALPE, None, scores, 0.3)
    unknown = {name for name, one in zip(angle_names(HALPE), found, strict=True) if np.isnan(one)}
    assert unknown == {"right_ankle", "right_knee", "right_shank", "pelvis", "shoulders"}
    points[HALPE.names.index("neck")] = np.nan
    assert np.isnan(angle("trunk", points))
    # Hips and shoulders that coincide have no direction.
    assert np.isnan(angle("pelvis", figure()))


def test_who_looks_left_is_told_by_feet_or_by_the_nose() -> None:
    coco = load_skeleton("coco")
    assert facing_strength(figure(), HALPE) > 0.05
    assert facing_strength(-figure() * [1, -1], HALPE) < -0.05
    assert facing_strength(figure(coco), coco) > 0
    one_ear = np.ones(17)
    one_ear[coco.names.index("left_ear")] = 0
    assert facing_strength(figure(coco) * [-1, 1], coco, one_ear, 0.5) < 0
    nobody = np.zeros(17)
    assert facing_strength(figure(coco), coco, nobody, 0.5) == 0
    both = np.stack([figure(shank=-150), figure(shank=-150) * [-1, 1]])
    np.testing.assert_allclose(measure_angles(both, HALPE, ["right_knee"]), [[60], [60]])
    apart = measure_angles(both, HALPE, ["right_knee"], facing=[1, 1])
    np.testing.assert_allclose(apart, [[60], [-60]])


@pytest.mark.parametrize("name", ["coco", "halpe26", "coco_wholebody", "h36m"])
def test_each_skeleton_gives_its_angles(name: str) -> None:
    skeleton = load_skeleton(name)
    names = angle_names(skeleton)
    assert {"left_knee", "right_hip", "left_elbow", "right_shoulder", "trunk"} <= set(names)
    assert ("left_ankle" in names) == ("left_heel" in skeleton.names)
    points = figure(skeleton, thigh=-30, shank=-120)
    found = dict(zip(names, measure_angles(points, skeleton, facing="right"), strict=True))
    assert found["left_knee"] == pytest.approx(90)
    assert found["right_hip"] == pytest.approx(60)
    assert found["trunk"] == pytest.approx(90)
    where = vertex_positions(points, skeleton, ["left_knee", "trunk", "right_arm"])
    np.testing.assert_allclose(where[0], points[skeleton.names.index("left_knee")])
    np.testing.assert_allclose(where[1:], [[200, 300], [200, 220]])


@pytest.mark.parametrize("name", ["zebra", "ap10k", "animalpose", "300w", "coco_wholebody_hand"])
def test_no_angles_without_a_body(name: str) -> None:
    skeleton = load_skeleton(name)
    assert angle_names(skeleton) == ()
    with pytest.raises(InputError, match=f"skeleton '{name}' lacks the keypoints of any angle"):
        choose_angles("all", skeleton)


def test_in_3d_it_is_the_angle_between_the_segments() -> None:
    flat = figure(thigh=-20, shank=-110, arm=-90, forearm=10, foot=-10)
    turn = np.radians(50)  # about the vertical: what is seen from the side does not matter
    solid = np.column_stack([flat[:, 0] * np.cos(turn), flat[:, 0] * np.sin(turn), -flat[:, 1]])
    expected = {
        "right_knee": 90, "left_hip": 70, "right_elbow": 100, "left_ankle": 10, "trunk": 90,
        "right_thigh": -20, "left_shank": -70,
    }  # fmt: skip
    found = measure_angles(solid, HALPE, list(expected))
    np.testing.assert_allclose(found, list(expected.values()), atol=1e-9)


def test_users_say_angles_in_short() -> None:
    both = ("right_knee", "left_knee")
    assert choose_angles("knee", HALPE) == both
    assert choose_angles(["Left Knee", "right_knee", "knee"], HALPE) == both
    assert choose_angles("all", HALPE) == angle_names(HALPE) == tuple(ANGLES)
    assert choose_angles(["trunk"], HALPE) == ("trunk",)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("knees", r"no angle is called 'knees'; did you mean knee"),
        (["knee", 7], "no angle is called 7; known are ankle, knee, hip"),
        ([], "angles is empty: name one, such as knee, or all"),
        ("ankle", "skeleton 'coco' lacks the keypoints of 'ankle'; it has right_knee, "),
    ],
)
def test_other_angles_are_refused(wanted: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_angles(wanted, load_skeleton("coco"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": np.zeros((17, 2))}, r"expected keypoints \(\.\.\., 26, 2\)"),
        ({"names": ["knee"]}, "expected the name of one angle"),
        ({"names": ["wing"]}, "no angle is called 'wing'"),
        ({"threshold": 0.5}, "a threshold needs keypoint_scores"),
        ({"threshold": 0.5, "keypoint_scores": np.zeros(17)}, r"expected keypoint_scores \(26,\)"),
        ({"facing": "front"}, "facing must be auto, right or left, found 'front'"),
        ({"facing": [1, 1]}, "expected facing as a word or"),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, object], message: str) -> None:
    given = {"keypoints": figure(), "skeleton": HALPE, **changes}
    with pytest.raises(InputError, match=message):
        measure_angles(**given)  # type: ignore[arg-type]
