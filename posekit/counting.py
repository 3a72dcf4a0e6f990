"""Repetitions of an exercise, counted from one angle with two thresholds.

    counter = RepetitionCounter("squat")
    for result in predictor.stream("clip.mp4", track="iou"):
        for one in counter(result):
            print(f"person {one.track_id}: {one.number} after {one.end:.1f} s")

A repetition begins at rest, with the joint nearly straight, goes beyond the exercise's bent angle
and ends at rest again. Between the two angles nothing changes (hysteresis), so that noise counts
nothing. What begins bent, before rest was seen once, does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from posekit.angle_tracks import measured
from posekit.angles import ANGLES, angle_names
from posekit.errors import InputError
from posekit.result import PoseResult
from posekit.skeleton import Skeleton

__all__ = ["EXERCISES", "Exercise", "Repetition", "RepetitionCounter"]


class Exercise(NamedTuple):
    """The definition of one repetition.

    Attributes:
        joint: the joint whose angle is used: the mean of the visible sides, without its sign.
        rest: angle in degrees below which the joint is at rest.
        bent: angle in degrees that a repetition must exceed.
    """

    joint: str
    rest: float
    bent: float


# Thresholds are wide, so that shallow repetitions count and a small movement does not.
EXERCISES: dict[str, Exercise] = {
    "squat": Exercise("knee", 40, 80),
    "lunge": Exercise("knee", 40, 75),
    "push-up": Exercise("elbow", 45, 75),
    "pull-up": Exercise("elbow", 50, 95),
    "curl": Exercise("elbow", 50, 100),
    "sit-up": Exercise("hip", 60, 90),
    "overhead-press": Exercise("shoulder", 100, 150),
    "jumping-jack": Exercise("shoulder", 60, 120),
}


class Repetition(NamedTuple):
    """A finished repetition.

    Attributes:
        track_id: the person's track id.
        number: number of this person's repetition, from 1.
        start, end: when rest was left and reached again, in seconds.
        peak: the largest angle in between, in degrees.
    """

    track_id: int
    number: int
    start: float
    end: float
    peak: float


@dataclass
class _Person:
    count: int = 0
    rested: float | None = None  # when they were at rest last, in seconds
    peak: float = 0.0  # since then


@dataclass
class RepetitionCounter:
    """Counts the repetitions of each person in a video.

    Args:
        exercise: a name in `EXERCISES`, or an `Exercise` of your own.
        threshold: keypoints below this score count as not seen.
        shortest: shortest repetition in seconds; anything shorter is a keypoint that jumped.

    Raises:
        InputError: an unknown name, or thresholds that are not in order.
    """

    exercise: str | Exercise
    threshold: float = 0.3
    shortest: float = 0.3
    _people: dict[int, _Person] = field(default_factory=dict, init=False, repr=False)
    _chosen: Exercise = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._chosen = _exercise(self.exercise)

    @property
    def counts(self) -> dict[int, int]:
        """The number of repetitions counted for each track id, 0 included."""
        return {track: person.count for track, person in self._people.items()}

    def check(self, skeleton: Skeleton) -> None:
        """Checks that a skeleton has the joint.

        Raises:
            InputError: it does not.
        """
        if not self._names(skeleton):
            raise InputError(
                f"counting needs the {self._chosen.joint}'s angle, and skeleton '{skeleton.name}' "
                "lacks its keypoints"
            )

    def __call__(self, result: PoseResult) -> list[Repetition]:
        """Processes the next frame and returns the repetitions that end in it.

        Raises:
            InputError: people without track ids, or keypoints without the joint.
        """
        skeleton = result.skeleton if result.pose3d is None else result.pose3d.skeleton
        self.check(skeleton)
        if result.track_ids is None and len(result):
            raise InputError(
                'counting needs track_ids, found none: turn tracking on, such as by track="iou"'
            )
        angles = np.abs(measured(result, self._names(skeleton), self.threshold))
        time = float(result.index) if result.time is None else result.time
        tracks = [] if result.track_ids is None else result.track_ids.tolist()
        ended = (
            self._advance(track, _mean(row), time)
            for track, row in zip(tracks, angles, strict=True)
        )
        return [one for one in ended if one is not None]

    def _names(self, skeleton: Skeleton) -> list[str]:
        joint = self._chosen.joint
        names = (joint, f"left_{joint}", f"right_{joint}")
        return [name for name in angle_names(skeleton) if name in names]

    def _advance(self, track: int, angle: float, time: float) -> Repetition | None:
        person = self._people.setdefault(track, _Person())
        if np.isnan(angle):
            return None
        if angle > self._chosen.rest:
            person.peak = max(person.peak, angle)
            return None
        start, peak = person.rested, person.peak
        person.rested, person.peak = time, angle
        if start is None or peak < self._chosen.bent or time - start < self.shortest:
            return None
        person.count += 1
        return Repetition(track, person.count, start, time, peak)


def _exercise(wanted: str | Exercise) -> Exercise:
    if isinstance(wanted, Exercise):
        parts = {name.split("_", 1)[-1] for name in ANGLES}
        if wanted.joint not in parts | set(ANGLES) or not 0 <= wanted.rest < wanted.bent:
            raise InputError(
                "expected an exercise as the name of a joint and two angles, 0 <= rest < bent, "
                f"found {tuple(wanted)}"
            )
        return wanted
    if wanted not in EXERCISES:
        raise InputError(f"count must be one of {', '.join(EXERCISES)}, found {wanted!r}")
    return EXERCISES[wanted]


def _mean(angles: npt.NDArray[np.float64]) -> float:
    """Of those that are known; NaN of none."""
    seen = angles[np.isfinite(angles)]
    return float(seen.mean()) if len(seen) else float("nan")
