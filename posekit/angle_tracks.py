"""Angles of tracked people over the frames of a clip: seen from one side, without jumps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posekit.angles import ANGLES, Facing, facing_strength, measure_angles
from posekit.result import PoseResult
from posekit.skeleton import Skeleton

__all__ = ["TrackedAngles", "measured"]

Floats = npt.NDArray[np.float64]

# Who was away for longer is measured anew, in seconds.
LONGEST_GAP = 1.0
# How fast what feet and nose say of a person's direction is believed, in seconds, and how clearly
# they must say that it has changed, as a share of the person's height.
FACING_TIME, CLEAR = 0.2, 0.02


@dataclass
class _Person:
    time: float
    facing: float  # how clearly to the right, over the last frames
    side: float  # 1 or -1
    angles: Floats  # (A,), the last one known of each, continuous


class TrackedAngles:
    """Measures the angles of one frame of a clip after another.

    A person with a track id keeps the side that they face until feet or nose clearly show another.
    Their angles do not jump by whole turns, unless they are away for more than a second: the first
    angle is in (-180, 180], later ones may be outside. Without ids every frame is measured by
    itself.

    Args:
        skeleton: skeleton of the keypoints, of the 3D ones if there are any.
        names: names of the A angles.
        threshold: keypoints below this score count as not seen.
        facing: see `measure_angles`.
    """

    def __init__(
        self, skeleton: Skeleton, names: Sequence[str], *, threshold: float, facing: Facing = "auto"
    ) -> None:
        self.names = tuple(names)
        self._skeleton, self._threshold, self._facing = skeleton, threshold, facing
        self._periods = np.array([ANGLES[name].period for name in names])
        self._people: dict[int, _Person] = {}

    def __call__(self, result: PoseResult) -> Floats:
        """(n, A): angles of the n people of a frame, in degrees; NaN where one is not seen."""
        facing: Facing | Floats = self._facing
        if facing == "auto" and result.pose3d is None and result.track_ids is not None:
            strengths = facing_strength(
                result.keypoints, self._skeleton, result.keypoint_scores, self._threshold
            )
            facing = self._followed(result, strengths)
        found = measured(result, self.names, self._threshold, facing)
        return found if result.track_ids is None else self._unwrapped(result, found)

    def _followed(self, result: PoseResult, strengths: Floats) -> Floats:
        """The sides of people with ids, who turn around only where that is clear."""
        sides = np.ones(len(result))
        now = _time(result)
        for row, track in enumerate(_ids(result)):
            person = self._person(track, now, float(strengths[row]))
            share = 1 - np.exp(-(now - person.time) / FACING_TIME)
            person.facing += share * (float(strengths[row]) - person.facing)
            if person.facing * person.side < 0 and abs(person.facing) > CLEAR:
                # A mirrored angle is another one, which nothing continues.
                person.side, person.angles[:] = -person.side, np.nan
            sides[row] = person.side
        return sides

    def _unwrapped(self, result: PoseResult, found: Floats) -> Floats:
        now = _time(result)
        for row, track in enumerate(_ids(result)):
            person = self._person(track, now, 1.0)
            before = np.where(np.isnan(person.angles), found[row], person.angles)
            found[row] -= self._periods * np.round((found[row] - before) / self._periods)
            person.angles = np.where(np.isnan(found[row]), person.angles, found[row])
            person.time = now
        self._people = {
            track: person
            for track, person in self._people.items()
            if now - person.time <= LONGEST_GAP
        }
        return found

    def _person(self, track: int, now: float, strength: float) -> _Person:
        person = self._people.get(track)
        if person is None or not 0 <= now - person.time <= LONGEST_GAP:
            nothing = np.full(len(self.names), np.nan)
            person = _Person(now, strength, -1.0 if strength < 0 else 1.0, nothing)
            self._people[track] = person
        return person


def measured(
    result: PoseResult, names: Sequence[str], threshold: float, facing: Facing | Floats = "auto"
) -> Floats:
    """Angles of a result's n people, in 3D where there is 3D, (n, A); see `measure_angles`."""
    if not len(result):  # of whom nobody knows whether they would be in 3D
        return np.zeros((0, len(names)))
    if result.pose3d is None:
        return measure_angles(
            result.keypoints, result.skeleton, names, result.keypoint_scores, threshold,
            facing=facing,
        )  # fmt: skip
    pose3d = result.pose3d
    points = pose3d.upright.astype(np.float64)
    return measure_angles(points, pose3d.skeleton, names, pose3d.keypoint_scores, threshold)


def _time(result: PoseResult) -> float:
    return float(result.index) if result.time is None else result.time


def _ids(result: PoseResult) -> list[int]:
    assert result.track_ids is not None
    ids: list[int] = result.track_ids.tolist()
    return ids
