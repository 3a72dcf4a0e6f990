"""Animations of figures whose joints, steps and camera are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posekit.animation.feet import spans
from posekit.animation.motion import Motion, Track, animate
from posekit.animation.rotations import best_fit, continuous_euler, filled, swing
from posekit.animation.skeleton import (
    ANKLE_HEIGHT,
    ENDS,
    IMAGE_POINTS,
    JOINTS,
    NAMES,
    PARENTS,
    SIDES,
    source_of,
)
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from tests.animation.walker import STATURE, Walk

ANKLES = [NAMES.index("LeftFoot"), NAMES.index("RightFoot")]
HEADINGS = (0.0, 1.0, np.pi / 2, 3.0)  # towards the camera, across, to the right, away
H36M = source_of(load_skeleton("coco"), load_skeleton("h36m"), "a test")


def walk(heading: float = 1.0, **changes: float) -> Walk:
    return Walk(heading=heading, start=(-1.0, -4.0 if heading > 2 else -6.5), **changes)  # type: ignore[arg-type]


def track_of(walk: Walk, **noise: float) -> Track:
    results = walk.results(**noise)  # type: ignore[arg-type]
    solid = np.concatenate([result.pose3d.keypoints for result in results])  # type: ignore[union-attr]
    x, y, z = np.moveaxis(H36M.taker(load_skeleton("h36m"))(solid).astype(float), -1, 0)
    columns = [load_skeleton("coco").names.index(name) for name in IMAGE_POINTS.values()]
    return Track(
        points=np.stack([-x, z, -y], axis=-1),
        keypoints=np.concatenate([result.keypoints[:, columns] for result in results]).astype(
            float
        ),
        scores=np.ones((len(results), len(columns))),
        image_sizes=np.tile(np.array(walk.size, float), (len(results), 1)),
        fps=walk.fps,
    )


def animated(track: Track, walk: Walk, *, moving: bool = True) -> Motion:
    motion = animate(track, H36M, stature=STATURE, focal=walk.focal, moving=moving)
    assert motion is not None
    return motion


def slides(motion: Motion) -> list[float]:
    """How far a foot moves while it stands, in metres, of each of its stands."""
    return [
        float(np.ptp(motion.positions[first : last + 1, ankle], axis=0).max())
        for side, ankle in enumerate(ANKLES)
        for first, last in spans(motion.contacts[:, side])
    ]


def tips_of(motion: Motion) -> np.ndarray:
    """What the feet point at, (F, 2, 3)."""
    turned: list[Rotation] = []
    for joint, parent in enumerate(PARENTS):
        own = Rotation.from_quat(motion.rotations[:, joint])
        turned.append(own if parent < 0 else turned[parent] * own)
    ends = [motion.ends[list(ENDS).index(NAMES[ankle])] for ankle in ANKLES]
    tips = [turned[ankle].apply(end) for ankle, end in zip(ANKLES, ends, strict=True)]
    return motion.positions[:, ANKLES] + np.stack(tips, axis=1)


def jump(motion: Motion) -> float:
    return float(np.abs(np.diff(continuous_euler(motion.rotations), axis=0)).max())


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_walk_is_found_as_it_was(heading: float) -> None:
    figure = walk(heading)
    motion = animated(track_of(figure), figure)
    assert np.abs(motion.root - figure.of("Hips")).max() < 0.01
    assert np.abs(motion.positions - figure.joints).max() < 0.03
    assert (motion.contacts == figure.planted).mean() > 0.9
    assert len(slides(motion)) >= 8 and max(slides(motion)) < 1e-3
    assert jump(motion) < 30
    assert motion.seen.all() and not motion.exchanged.any() and not motion.guessed


@pytest.mark.parametrize("heading", HEADINGS)
def test_with_noise_feet_still_stand(heading: float) -> None:
    figure = walk(heading)
    motion = animated(track_of(figure, noise=2.0, noise_3d=0.02), figure)
    error = np.abs(motion.root - figure.of("Hips")).max(axis=0)
    assert (error < (0.08, 0.08, 0.2)).all()
    assert len(slides(motion)) >= 6 and max(slides(motion)) < 1e-3
    lowest = motion.positions[:, ANKLES, 1].min()
    assert lowest > ANKLE_HEIGHT * STATURE - 1e-3
    assert jump(motion) <= 180
    # Smooth, in spite of the feet: less than gravity.
    acceleration = np.diff(motion.root, 2, axis=0) * figure.fps**2
    assert np.sqrt((acceleration**2).mean(axis=0)).max() < 9.8


def test_feet_that_stand_are_flat() -> None:
    figure = walk()
    motion = animated(track_of(figure), figure)
    heights = tips_of(motion)[..., 1]
    middle = np.zeros_like(motion.contacts)
    for side in range(2):
        for first, last in spans(motion.contacts[:, side]):
            middle[first + 4 : last - 3, side] = True
    assert middle.sum() > 50
    np.testing.assert_allclose(heights[middle], 0, atol=2e-3)
    assert heights.min() > -2e-3


def test_known_angles_are_found() -> None:
    figure = walk(0.0)
    motion = animated(track_of(figure), figure)
    angles = continuous_euler(motion.rotations)
    # Arms hang from their T-pose by 90 degrees, and swing by 0.5 rad before and behind the body.
    arm = motion.rotations[:, NAMES.index("LeftArm")]
    swing_angle = -0.5 * np.sin(2 * np.pi * figure.cadence * figure.time)
    direction = Rotation.from_quat(arm).apply([1.0, 0.0, 0.0])
    expected = np.stack([0 * swing_angle, -np.cos(swing_angle), np.sin(swing_angle)], axis=-1)
    np.testing.assert_allclose(direction, expected, atol=1e-3)
    elbow = Rotation.from_quat(motion.rotations[:, NAMES.index("LeftForeArm")]).magnitude()
    np.testing.assert_allclose(elbow, 0.6, atol=1e-3)
    assert np.abs(angles[:, NAMES.index("Spine")]).max() < 0.1


def test_offsets_are_a_t_pose_of_the_stature() -> None:
    figure = walk()
    motion = animated(track_of(figure, noise_3d=0.02), figure)
    np.testing.assert_allclose(motion.offsets[list(SIDES)] * (-1, 1, 1), motion.offsets, atol=1e-12)
    for joint, offset in zip(JOINTS[1:], motion.offsets[1:], strict=True):
        assert np.linalg.norm(offset) == pytest.approx(joint.share * STATURE, abs=0.03)
    rest = np.zeros((len(NAMES), 3))
    for joint, parent in enumerate(PARENTS):
        rest[joint] = motion.offsets[joint] + (rest[parent] if parent >= 0 else 0)
    height = rest[NAMES.index("Head"), 1] - rest[ANKLES[0], 1] + ANKLE_HEIGHT * STATURE
    assert height == pytest.approx(STATURE, abs=0.01)


def test_a_root_that_is_fixed() -> None:
    figure = walk()
    motion = animated(track_of(figure), figure, moving=False)
    assert not motion.root[:, [0, 2]].any()
    relative = figure.joints - figure.joints[:, :1]
    np.testing.assert_allclose(motion.positions - motion.root[:, None], relative, atol=1e-4)
    tips = tips_of(motion)
    lowest = np.minimum(motion.positions[..., 1].min(axis=1), tips[..., 1].min(axis=1))
    np.testing.assert_allclose(lowest, 0, atol=1e-9)
    assert not motion.contacts.any() and np.isnan(motion.focal)


def test_a_focal_length_that_is_wrong_scales_the_depth() -> None:
    figure = walk(np.pi / 2)
    motion = animate(track_of(figure), H36M, stature=STATURE, focal=2 * figure.focal)
    assert motion is not None
    assert np.median(motion.root[:, 2] / figure.of("Hips")[:, 2]) == pytest.approx(2, rel=0.03)
    found, true = np.ptp(motion.root[:, 0]), np.ptp(figure.of("Hips")[:, 0])
    assert found == pytest.approx(true, rel=0.03)


def test_another_height_scales_everything() -> None:
    figure = walk()
    motion = animate(track_of(figure), H36M, stature=STATURE / 2, focal=figure.focal)
    assert motion is not None
    np.testing.assert_allclose(motion.root * 2, figure.of("Hips"), atol=0.03)


def test_a_camera_that_looks_down_leaves_feet_on_the_ground() -> None:
    figure = walk(0.0)
    track, pitch = track_of(figure), Rotation.from_euler("X", -12, degrees=True)
    world = figure.joints - [0, figure.camera_height, 0]
    seen = pitch.inv().apply(world.reshape(-1, 3)).reshape(world.shape)
    flat = seen[:, [NAMES.index(name) for name in IMAGE_POINTS]]
    pixels = figure.focal * flat[..., :2] * (1, -1) / -flat[..., 2:] + np.array(figure.size) / 2
    tilted = dataclasses.replace(track, points=seen, keypoints=pixels)
    motion = animated(tilted, figure)
    heights = motion.positions[:, ANKLES, 1][motion.contacts]
    np.testing.assert_allclose(heights, ANKLE_HEIGHT * STATURE, atol=1e-3)
    assert max(slides(motion)) < 1e-3


class TestWhatIsMissing:
    def test_a_gap_lies_between_its_ends(self) -> None:
        figure = walk()
        track = track_of(figure)
        for values in (track.points, track.keypoints, track.scores):
            values[30:40] = np.nan
        motion = animated(track, figure)
        assert np.flatnonzero(~motion.seen).tolist() == list(range(30, 40))
        assert np.isfinite(motion.positions).all()
        assert np.abs(motion.root - figure.of("Hips")).max() < 0.05
        assert not motion.contacts[30:40].any()

    def test_a_long_gap(self) -> None:
        figure = walk(frames=300, speed=0.3)  # type: ignore[arg-type]
        track = track_of(figure)
        track.points[10:290] = np.nan
        motion = animated(track, figure)
        assert np.isfinite(motion.positions).all()
        assert jump(motion) < 90

    def test_keypoints_that_are_no_numbers_count_nothing(self) -> None:
        figure = walk()
        track = track_of(figure)
        track.keypoints[::3, 4:] = np.nan
        track.scores[50] = np.nan
        motion = animated(track, figure)
        assert motion.seen.all()
        assert np.abs(motion.root - figure.of("Hips")).max() < 0.02

    def test_no_keypoint_of_the_image_at_all(self) -> None:
        figure = walk()
        track = track_of(figure)
        track.keypoints[:] = np.nan
        assert np.isfinite(animated(track, figure).positions).all()

    def test_a_joint_that_is_no_number_is_a_frame_not_seen(self) -> None:
        figure = walk()
        track = track_of(figure)
        track.points[7, 4] = np.nan
        motion = animated(track, figure)
        assert np.flatnonzero(~motion.seen).tolist() == [7]

    def test_nobody(self) -> None:
        figure = walk()
        track = track_of(figure)
        for value in (np.nan, 0.0):
            track.points[:] = value
            assert animate(track, H36M, stature=STATURE, focal=None) is None

    @pytest.mark.parametrize("moving", [True, False])
    @pytest.mark.parametrize("frames", [1, 2, 3, 4])
    def test_few_frames(self, frames: int, moving: bool) -> None:
        figure = walk(frames=frames)  # type: ignore[arg-type]
        motion = animated(track_of(figure), figure, moving=moving)
        assert motion.positions.shape == (frames, len(NAMES), 3)
        relative = figure.joints - figure.joints[:, :1]
        np.testing.assert_allclose(
            (motion.positions - motion.root[:, None])[:, :11], relative[:, :11], atol=1e-3
        )

    def test_bones_without_length_are_an_average_persons(self) -> None:
        figure = walk()
        track = track_of(figure)
        hand, arm = NAMES.index("LeftHand"), NAMES.index("LeftForeArm")
        other = NAMES.index("RightHand")
        track.points[:, hand] = track.points[:, arm]
        track.points[:, other] = track.points[:, NAMES.index("RightForeArm")]
        motion = animated(track, figure)
        assert motion.guessed == ("LeftHand", "RightHand")
        assert np.linalg.norm(motion.offsets[hand]) == pytest.approx(0.146 * STATURE)
        assert np.isfinite(motion.rotations).all()

    def test_a_bone_without_length_in_a_frame_keeps_its_direction(self) -> None:
        figure = walk()
        track = track_of(figure)
        for joint in ("LeftHand", "LeftArm", "LeftUpLeg"):
            number = NAMES.index(joint)
            track.points[20, number] = track.points[20, PARENTS[number]]
        motion = animated(track, figure)
        assert np.isfinite(motion.positions).all() and jump(motion) < 90


class TestSides:
    @pytest.mark.parametrize("heading", HEADINGS)
    def test_moments_in_which_they_are_exchanged_are_mended(self, heading: float) -> None:
        figure = walk(heading)
        track = track_of(figure)
        for values in (track.points, track.keypoints):
            order = list(SIDES) if values is track.points else [*range(6, 12), *range(6)]
            values[20:25] = values[20:25][:, order]
            values[60] = values[60][order]
        motion = animated(track, figure)
        assert np.flatnonzero(motion.exchanged).tolist() == [*range(20, 25), 60]
        assert np.abs(motion.positions - figure.joints).max() < 0.03

    def test_somebody_who_turns_is_not_mended(self) -> None:
        figure = walk(0.0)
        track = track_of(figure)
        turns = Rotation.from_euler("Y", np.linspace(0, 6 * np.pi, len(track.points))[:, None])
        turned = np.stack([turns.apply(track.points[:, joint]) for joint in range(len(NAMES))], 1)
        motion = animated(dataclasses.replace(track, points=turned), figure, moving=False)
        assert not motion.exchanged.any()
        yaw = continuous_euler(motion.rotations)[:, 0, 2]
        assert yaw[-1] - yaw[0] == pytest.approx(3 * 360, abs=1)

    def test_nobody_is_mended_for_long(self) -> None:
        figure = walk()
        track = track_of(figure)
        track.points[50:] = track.points[50:][:, list(SIDES)]
        assert not animated(track, figure).exchanged.any()


class TestRotations:
    def test_the_best_fit_is_scipys(self) -> None:
        rng = np.random.default_rng(0)
        rest, directions = rng.normal(size=(3, 3)), rng.normal(size=(20, 3, 3))
        found = best_fit(rest, directions)
        for number, vectors in enumerate(directions):
            expected, _ = Rotation.align_vectors(vectors, rest)
            assert (found[number] * expected.inv()).magnitude() < 1e-6

    def test_a_swing_is_the_shortest(self) -> None:
        rng = np.random.default_rng(0)
        directions = rng.normal(size=(50, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        directions[:2] = [0, 0, -1], [0, 0, 1]
        found = swing(np.array([0.0, 0.0, 1.0]), directions)
        np.testing.assert_allclose(found.apply([0, 0, 1]), directions, atol=1e-9)
        angle = np.arccos(np.clip(directions[:, 2], -1, 1))
        np.testing.assert_allclose(found.magnitude(), angle, atol=1e-6)

    def test_euler_angles_do_not_jump_where_they_are_not_unique(self) -> None:
        # Somersaults: the middle angle goes through 90 degrees.
        pitch = np.linspace(0, 4 * np.pi, 200)
        turns = Rotation.from_euler("ZXY", np.stack([0.3 + 0 * pitch, pitch, 0.2 * pitch], -1))
        quats = turns.as_quat()[:, None]
        angles = continuous_euler(quats)
        assert np.abs(np.diff(angles, axis=0)).max() < 10
        again = Rotation.from_euler("ZXY", angles[:, 0], degrees=True)
        assert (again * turns.inv()).magnitude().max() < 1e-6

    def test_no_euler_angle_jumps_by_more_than_half_a_turn(self) -> None:
        quats = Rotation.random(4000, random_state=0).as_quat().reshape(400, 10, 4)
        angles = continuous_euler(quats)
        assert np.abs(np.diff(angles, axis=0)).max() <= 180 + 1e-9
        again = Rotation.from_euler("ZXY", angles.reshape(-1, 3), degrees=True)
        errors = (again * Rotation.from_quat(quats.reshape(-1, 4)).inv()).magnitude()
        assert errors.max() < 1e-6

    def test_what_is_not_known_lies_between(self) -> None:
        turns = Rotation.from_euler("Y", [[10], [0], [0], [40], [0]], degrees=True).as_quat()
        found = filled(turns, np.array([True, False, False, True, False]))
        yaw = Rotation.from_quat(found).as_euler("YXZ", degrees=True)[:, 0]
        np.testing.assert_allclose(yaw, [10, 20, 30, 40, 40], atol=1e-9)


@pytest.mark.parametrize(
    ("flat", "solid", "message"),
    [
        ("coco", None, "found 2D keypoints of 'coco' only"),
        ("interhand3d", "interhand3d", "found keypoints of 'interhand3d'"),
        ("wflw", "wflw", "found keypoints of 'wflw'"),
    ],
)
def test_models_that_cannot_be_animated(flat: str, solid: str | None, message: str) -> None:
    known = None if solid is None else load_skeleton(solid)
    with pytest.raises(InputError, match=f"format bvh: expected a model .* {message}"):
        source_of(load_skeleton(flat), known, "format bvh")
