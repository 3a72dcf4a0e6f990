"""What poses say about who is who, beside where the boxes are."""

from __future__ import annotations

import numpy as np

from posekit.skeleton import load_skeleton
from posekit.stages.track import Tracker
from tests.stages.test_track import people

SIGMAS = load_skeleton("coco").sigmas


def moved(pixels: float, *, seed: int) -> np.ndarray:
    """(17, 2), by which keypoints move about their middle."""
    found = np.random.default_rng(seed).normal(0, 1, (17, 2))
    found -= found.mean(axis=0)
    return pixels * found / found.std()


def see(tracker: Tracker, *those: tuple[float, np.ndarray]) -> list[int]:
    """Ids of people at x, whose keypoints differ by so much from those of all."""
    boxes, scores, keypoints, sure = people(*((x, 200) for x, _ in those))
    for row, (_, change) in enumerate(those):
        keypoints[row] += change.astype(np.float32)
    return tracker.update(boxes, scores, keypoints, sure).tolist()


def test_one_who_comes_back_where_another_goes_out_of_sight_is_known_by_the_pose() -> None:
    tracker = Tracker(similarity="oks", sigmas=SIGMAS)
    plain, other = np.zeros((17, 2)), moved(8, seed=3)
    for frame in range(12):
        assert see(tracker, (100 + frame % 2, plain), (103 - frame % 2, other)) == [0, 1]
    for frame in range(4):
        assert see(tracker, (100 + frame % 2, plain)) == [0]
    assert see(tracker, (101, other)) == [1]


def test_a_pose_that_has_changed_is_the_restless_ones() -> None:
    for restless in (0, 1):
        tracker = Tracker(similarity="oks", sigmas=SIGMAS)
        for frame in range(15):
            changes = [moved(0.5, seed=frame), moved(0.5, seed=50 + frame)]
            changes[restless] = moved(8, seed=100 + frame)
            assert see(tracker, (100, changes[0]), (150, changes[1])) == [0, 1]
        assert see(tracker, (125, moved(8, seed=200))) == [restless]


def test_a_single_keypoint_in_common_says_nothing() -> None:
    tracker = Tracker(similarity="oks", sigmas=SIGMAS)
    boxes, scores, keypoints, sure = people((100, 200), (106, 200))
    sure[1, 1:] = 0
    for _ in range(8):
        assert tracker.update(boxes, scores, keypoints, sure).tolist() == [0, 1]
    assert see(tracker, (101, moved(2, seed=1))) == [0]
