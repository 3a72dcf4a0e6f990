"""What a page shows of a table of results: its people, and their angles and heights over time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posekit.angle_tracks import TrackedAngles
from posekit.angles import ANGLES, angle_names
from posekit.io.read_table import ResultTable
from posekit.result import PoseResult
from posekit.skeleton import Skeleton

__all__ = ["Findings", "Person", "find"]

MOST_POINTS = 1200  # of a line
MOST_POSES = 240  # of the view in 3D
MOST_PEOPLE = 30  # that have lines of their own


@dataclass
class Person:
    """A tracked person, or the n-th person of a picture.

    Attributes:
        name: what they are called.
        frames: how many frames they are in.
        first, last: times in seconds, of a clip.
        score: the mean score of their keypoints.
        times: seconds of the rows below; for pictures their indices.
        angles: degrees, a row per frame; NaN where it is not seen.
        heights: of the keypoints, a row per frame; NaN where it is not seen.
    """

    name: str
    frames: int = 0
    first: float = math.inf
    last: float = -math.inf
    score: float = 0.0
    times: list[float] = field(default_factory=list)
    angles: list[np.ndarray] = field(default_factory=list)
    heights: list[np.ndarray] = field(default_factory=list)


@dataclass
class Findings:
    """What a table contains, read once.

    Attributes:
        skeleton: skeleton of the keypoints, of the 3D ones if there are any.
        people: by their numbers.
        angle_names: names of the columns of `Person.angles`.
        frames: how many were computed.
        empty: number of frames without anybody.
        timed: whether it is a clip.
        unit: unit of the heights.
        poses: for clips in 3D, some frames: the time, and the name and keypoints (K, 3), z up, of
            each person.
    """

    skeleton: Skeleton
    angle_names: tuple[str, ...]
    timed: bool
    unit: str
    people: dict[int, Person] = field(default_factory=dict)
    frames: int = 0
    empty: int = 0
    instances: int = 0
    poses: list[tuple[float, list[tuple[str, np.ndarray]]]] = field(default_factory=list)


def find(table: ResultTable, *, threshold: float) -> Findings:
    """Reads a table.

    Args:
        table: of a picture or a clip.
        threshold: keypoints below this score count as not seen.
    """
    spatial = table.run.skeleton_3d is not None
    skeleton = table.run.skeleton_3d or table.run.skeleton
    names = angle_names(skeleton)
    found = Findings(skeleton, names, table.clip is not None, "" if spatial else "pixels")
    measure = TrackedAngles(skeleton, names, threshold=threshold)
    every = max(1, -(-table.frames // MOST_POINTS))
    every_pose = max(1, -(-table.frames // MOST_POSES))
    for number, result in enumerate(_results(table)):
        found.frames += 1
        found.instances += len(result)
        found.empty += not len(result)
        if result.pose3d is not None:
            found.unit = result.pose3d.unit
        # All of them, for angles go on from frame to frame.
        angles = measure(result) if names else np.zeros((len(result), 0))
        heights = _heights(result, threshold)
        _add(found, result, angles, heights, kept=number % every == 0)
        if spatial and number % every_pose == 0:
            found.poses.append((_time(result), _upright(result, threshold)))
    return found


def shown_angle(name: str) -> str:
    """An angle in words."""
    return name.replace("_", " ")


def is_joint(name: str) -> bool:
    """Whether an angle is one between two segments, which most people look for."""
    return ANGLES[name].kind == "joint"


def _results(table: ResultTable) -> Iterator[PoseResult]:
    for packet in table.packets():
        if not isinstance(packet, tuple):
            yield packet.result


def _time(result: PoseResult) -> float:
    return float(result.index) if result.time is None else result.time


def _number(result: PoseResult, row: int) -> int:
    return row if result.track_ids is None else int(result.track_ids[row])


def _add(
    found: Findings, result: PoseResult, angles: np.ndarray, heights: np.ndarray, *, kept: bool
) -> None:
    time = _time(result)
    for row in range(len(result)):
        number = _number(result, row)
        if number not in found.people:
            tracked = result.track_ids is not None
            found.people[number] = Person(f"person {number}" if tracked else f"no. {number + 1}")
        person = found.people[number]
        person.frames += 1
        person.first, person.last = min(person.first, time), max(person.last, time)
        person.score += float(np.mean(result.keypoint_scores[row]))
        if kept and len(found.people) <= MOST_PEOPLE:
            person.times.append(time)
            person.angles.append(angles[row])
            person.heights.append(heights[row])


def _heights(result: PoseResult, threshold: float) -> np.ndarray:
    """(n, K): above the lower edge of the picture in pixels, or z; NaN where not seen."""
    if result.pose3d is not None:
        seen = result.pose3d.keypoint_scores >= threshold
        return np.where(seen, result.pose3d.upright[..., 2], np.nan)
    seen = result.keypoint_scores >= threshold
    return np.where(seen, result.image_size[1] - result.keypoints[..., 1], np.nan)


def _upright(result: PoseResult, threshold: float) -> list[tuple[str, np.ndarray]]:
    assert result.pose3d is not None
    seen = result.pose3d.keypoint_scores >= threshold
    points = np.where(seen[..., None], result.pose3d.upright, np.nan)
    return [(f"person {_number(result, row)}", points[row]) for row in range(len(result))]


def rows_of(found: Findings) -> list[dict[str, Any]]:
    """A row of the page's table for each person, those in most frames first."""
    people = sorted(found.people.values(), key=lambda person: -person.frames)
    return [
        {
            "name": person.name,
            "frames": person.frames,
            "first": person.first,
            "last": person.last,
            "score": person.score / max(1, person.frames),
        }
        for person in people
    ]
