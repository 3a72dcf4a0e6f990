"""The input of the bridges: results one by one, or those of a video as arrays."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from posekit.errors import InputError
from posekit.io.read_table import read_table
from posekit.result import PoseResult
from posekit.skeleton import Skeleton
from posekit.stages.packet import continues, track_ids_of

__all__ = ["ClipArrays", "Results", "clip_arrays", "read_results"]

log = logging.getLogger(__name__)

Results = Iterable[PoseResult] | PoseResult | str | os.PathLike[str]


def read_results(results: Results) -> Iterator[PoseResult]:
    """Yields the results in order and checks that all have the same keypoints.

    Args:
        results: an iterable of `PoseResult`, a single one, or the path of a Parquet table.

    Raises:
        InputError: no results, something else, or results with different keypoints.
    """
    first: PoseResult | None = None
    for result in _each(results):
        if not isinstance(result, PoseResult):
            raise InputError(
                f"expected results as predictor.stream gives them, found {type(result).__name__}"
            )
        first = first or result
        if _names(result) != _names(first):
            raise InputError(
                f"expected the same keypoints in all results, found {first.skeleton.name} and "
                f"{result.skeleton.name}; convert them apart"
            )
        yield result
    if first is None:
        raise InputError("expected results, found none")


def _each(results: Results) -> Iterable[PoseResult]:
    if isinstance(results, PoseResult):
        return (results,)
    return _of_table(Path(results)) if isinstance(results, str | os.PathLike) else results


def _of_table(path: Path) -> Iterator[PoseResult]:
    table = read_table(path)
    if table.clip is not None and not table.complete:
        log.warning("%s is incomplete: its run ended before the video did", path)
    for packet in table.packets():
        if isinstance(packet, tuple):
            log.warning("%s has no results of %s: %s", path, *packet)
        else:
            yield packet.result


def _names(result: PoseResult) -> tuple[tuple[str, ...], ...]:
    pose3d = result.pose3d
    return (result.skeleton.names, () if pose3d is None else pose3d.skeleton.names)


@dataclass(frozen=True, eq=False)
class ClipArrays:
    """T frames of a video with N people of K keypoints in D dimensions.

    The frame interval is that of the closest two results; frames without a result have nobody.

    Attributes:
        first: one of the results, for what they have in common.
        skeleton: names and links of the keypoints.
        people: N names: `track_5` for track 5; `individual_0` for a single untracked person.
        times: (T,), float64, seconds since the start of the video.
        fps: frames per second; None for a single frame.
        keypoints: (T, N, K, D), float32, as the results have them; NaN where someone is not seen.
        scores: (T, N, K), float32, likewise.
    """

    first: PoseResult
    skeleton: Skeleton
    people: tuple[str, ...]
    times: np.ndarray
    fps: float | None
    keypoints: np.ndarray
    scores: np.ndarray

    @property
    def irregular_by(self) -> float:
        """The most seconds by which a frame is off the time that `fps` gives it."""
        if self.fps is None:
            return 0.0
        expected = self.times[0] + np.arange(len(self.times)) / self.fps
        return float(np.abs(self.times - expected).max())


def clip_arrays(results: Results, *, fps: float | None = None, pose3d: bool = False) -> ClipArrays:
    """Collects the results of one video in arrays.

    Args:
        results: those of the frames of one video, in order, with `track_ids` if there are several
            people.
        fps: frames per second, where results have no time, or there is only one.
        pose3d: take the 3D keypoints.

    Raises:
        InputError: as `read_results`; images without `fps`, frames of several videos, several
            people without `track_ids`, or no 3D keypoints.
    """
    frames: list[_Seen] = []
    # One piece of memory each, which goes as a whole: an array per frame would leave holes.
    points, sure = bytearray(), bytearray()
    first: PoseResult | None = None
    before: PoseResult | None = None
    for result in read_results(results):
        first = first or result
        if result.time is not None and before is not None and not continues(before, result):
            raise InputError(
                f"expected the frames of one video in order, found {before.name}, frame "
                f"{before.frame_id}, and then {result.name}, frame {result.frame_id}"
            )
        found, scores = _what(result, pose3d)
        points += np.asarray(found, np.float32).tobytes()
        sure += np.asarray(scores, np.float32).tobytes()
        frames.append(_Seen(*_when(result, fps), _who(result)))
        before = result
    assert first is not None
    skeleton, dimensions = first.skeleton, 2
    if pose3d and first.pose3d is not None:
        skeleton, dimensions = first.pose3d.skeleton, 3
    k = skeleton.num_keypoints
    return _gathered(
        first,
        skeleton,
        frames,
        np.frombuffer(points, np.float32).reshape(-1, k, dimensions),
        np.frombuffer(sure, np.float32).reshape(-1, k),
        fps,
    )


class _Seen(NamedTuple):
    """Who is in a frame."""

    number: int
    time: float
    who: tuple[int | None, ...]


def _when(result: PoseResult, fps: float | None) -> tuple[int, float]:
    """Number and time of a frame."""
    number = result.index if result.frame_id is None else result.frame_id
    if result.time is not None:
        return number, result.time
    if fps is None:
        raise InputError(
            f"expected frames of a video, found {result.name}, which has no time; pass fps= if "
            "these images are a video"
        )
    return number, number / fps


def _who(result: PoseResult) -> tuple[int | None, ...]:
    untracked = result.track_ids is None and len(result) == 1
    return (None,) if untracked else tuple(track_ids_of(result))


def _what(result: PoseResult, pose3d: bool) -> tuple[np.ndarray, np.ndarray]:
    if not pose3d:
        return result.keypoints, result.keypoint_scores
    if result.pose3d is None:
        raise InputError(f"expected 3D keypoints, found none for {result.name}")
    return result.pose3d.keypoints, result.pose3d.keypoint_scores


def _gathered(
    first: PoseResult,
    skeleton: Skeleton,
    frames: list[_Seen],
    points: np.ndarray,
    sure: np.ndarray,
    fps: float | None,
) -> ClipArrays:
    """The clip of frames, with the keypoints (S, K, D) of all whom they saw, and scores (S, K)."""
    ids = sorted({one for frame in frames for one in frame.who if one is not None})
    untracked = any(None in frame.who for frame in frames)
    if untracked and ids:
        raise InputError("expected track_ids in all results or in none, found some without")
    columns: list[int | None] = [None] if untracked else list(ids)
    numbers = np.array([frame.number for frame in frames])
    steps = np.diff(numbers)
    if (steps <= 0).any():
        raise InputError(f"expected images in order, found indices {numbers.tolist()[:10]}")
    step = math.gcd(*steps.tolist()) or 1
    rows = (numbers - numbers[0]) // step
    count = int(rows[-1]) + 1
    times = np.interp(np.arange(count), rows, [frame.time for frame in frames])
    keypoints = np.full((count, len(columns), *points.shape[1:]), np.nan, np.float32)
    scores = np.full((count, len(columns), points.shape[1]), np.nan, np.float32)
    seen = np.repeat(rows, [len(frame.who) for frame in frames])
    places = {one: place for place, one in enumerate(columns)}
    who = [places[one] for frame in frames for one in frame.who]
    keypoints[seen, who], scores[seen, who] = points, sure
    people = tuple("individual_0" if one is None else f"track_{one}" for one in columns)
    rate = fps if count == 1 else _rate(times)
    return ClipArrays(first, skeleton, people, times, rate, keypoints, scores)


def _rate(times: np.ndarray) -> float:
    """Frames per second, as a fraction that videos have, such as 30000/1001."""
    exact = (len(times) - 1) / float(times[-1] - times[0])
    return float(Fraction(exact).limit_denominator(1001))
