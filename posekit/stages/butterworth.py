"""Keypoints smoothed as in biomechanics: a Butterworth filter, forwards and backwards, in Hz.

A filter of half the order runs over each track in both directions, so that nothing is delayed
(scipy's `sosfiltfilt`; Sports2D and Pose2Sim do the same). At the cutoff a movement's amplitude is
halved. Only nearby frames matter to such a filter, so a clip is filtered part by part, each with as
many frames before and after it as the filter remembers.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from posekit.errors import InputError
from posekit.result import PoseResult
from posekit.stages.packet import Packet, continues, track_ids_of
from posekit.stages.smooth import LONGEST_GAP, Bools, Floats, trusted_keypoints

__all__ = ["DEFAULT_CUTOFF", "smooth_butterworth"]

log = logging.getLogger(__name__)

DEFAULT_CUTOFF = 6.0
# What frames that are left out would change of a keypoint, as a share of its movement.
PRECISION = 1e-5
# Steps between frames may differ from the mean by this share before it is said.
UNEVEN = 0.5
# A lower cutoff, as a share of the frames per second, would keep thousands of frames waiting.
LOWEST = 1 / 2000


def smooth_butterworth(
    packets: Iterable[Packet], *, cutoff: float = DEFAULT_CUTOFF, order: int = 4, fps: float = 30.0
) -> Iterator[Packet]:
    """Yields packets with smoothed keypoints, some frames later than they come.

    Gaps of up to half a second are bridged by straight lines, which are not in the results; after
    longer ones the filter starts anew. A keypoint that is seen in too few frames in a row for the
    filter stays as it is.

    Args:
        packets: of one or several clips, with track ids.
        cutoff: in Hz, below half of a clip's frames per second.
        order: of both directions together, even.
        fps: frames per second of clips that do not say it.

    Raises:
        InputError: a parameter out of range, at once; a cutoff too high for a clip, or people
            without track ids, when they come.
    """
    if not isinstance(cutoff, int | float) or not 0 < cutoff < math.inf:
        raise InputError(f"expected cutoff as a number of Hz above 0, found {cutoff!r}")
    if order not in (2, 4, 6, 8):
        raise InputError(f"expected order as 2, 4, 6 or 8, found {order!r}")
    return _in_clips(packets, cutoff, order, fps)


@dataclass
class _Filter:
    """The filter of a clip.

    Attributes:
        rate: frames per second.
        sos: second-order sections.
        memory: frames that matter on either side.
        shortest: frames that it needs at least.
        longest_gap: frames that are bridged.
    """

    rate: float
    sos: Floats
    memory: int
    shortest: int
    longest_gap: int

    @classmethod
    def of(cls, packet: Packet, cutoff: float, order: int, rate: float) -> _Filter:
        from scipy.signal import butter

        if not LOWEST * rate <= cutoff < rate / 2:
            raise InputError(
                f"cutoff must be from {LOWEST * rate:g} to below {rate / 2:g} Hz, half of the "
                f"frames per second of {packet.result.name}, found {cutoff:g}"
            )
        half = order // 2
        poles = butter(half, cutoff, fs=rate, output="zpk")[1]
        # As `sosfiltfilt` extends a signal at its ends.
        shortest = 3 * (half + 1) + 1
        remembered = math.ceil(math.log(PRECISION) / math.log(max(abs(poles).max(), 0.1)))
        return cls(
            rate,
            butter(half, cutoff, fs=rate, output="sos"),
            max(remembered, shortest),
            shortest,
            int(LONGEST_GAP * rate),
        )


@dataclass
class _Clip:
    """Frames of a clip: `behind` that were given, then those that wait."""

    filter: _Filter
    packets: list[Packet | None] = field(default_factory=list)
    results: list[PoseResult] = field(default_factory=list)
    behind: int = 0
    said: bool = False  # that something stays as it is
    uneven: bool = False  # as was said
    time: float | None = None  # of the last frame

    def take(self, packet: Packet) -> Iterator[Packet]:
        """Takes the next frame; gives those that are decided."""
        track_ids_of(packet.result)
        self._check_time(packet)
        self.packets.append(packet)
        self.results.append(packet.result)
        if len(self.results) - self.behind >= 2 * self.filter.memory:
            yield from self.give(self.filter.memory)

    def _check_time(self, packet: Packet) -> None:
        before, self.time = self.time, packet.time
        if before is None or packet.time is None or self.uneven:
            return
        if abs((packet.time - before) * self.filter.rate - 1) > UNEVEN:
            self.uneven = True
            log.warning(
                "%s: its frames are not evenly spaced in time; they are smoothed as if at "
                "%.4g frames per second",
                packet.result.name,
                self.filter.rate,
            )

    def give(self, count: int) -> Iterator[Packet]:
        """The next of the frames that wait, filtered."""
        span = slice(self.behind, self.behind + count)
        found, short = _filtered(self.results, span, self.filter)
        if short and not self.said:
            self.said = True
            log.warning(
                "%s: keypoints seen in fewer than %d frames in a row are not smoothed",
                self.results[0].name,
                self.filter.shortest,
            )
        for place, (keypoints, solid) in zip(range(span.start, span.stop), found, strict=True):
            packet, self.packets[place] = self.packets[place], None
            assert packet is not None
            pose3d = packet.result.pose3d
            if pose3d is not None and solid is not None:
                pose3d = dataclasses.replace(pose3d, keypoints=solid)
            yield packet.having(keypoints=keypoints, pose3d=pose3d)
        gone = max(0, span.stop - self.filter.memory)
        del self.packets[:gone], self.results[:gone]
        self.behind = span.stop - gone

    def end(self) -> Iterator[Packet]:
        """All that is left."""
        yield from self.give(len(self.results) - self.behind)


def _in_clips(packets: Iterable[Packet], cutoff: float, order: int, fps: float) -> Iterator[Packet]:
    clip: _Clip | None = None
    waiting: Packet | None = None  # the first frame, until the second tells how far apart they are
    before: PoseResult | None = None
    for packet in packets:
        if not continues(before, packet.result):
            if waiting is not None:
                yield waiting
            if clip is not None:
                yield from clip.end()
            clip = waiting = None
        first = before
        before = packet.result
        if packet.result.frame_id is None:
            yield packet
        elif clip is not None:
            yield from clip.take(packet)
        elif waiting is None:
            track_ids_of(packet.result)
            _Filter.of(packet, cutoff, order, _rate(packet, 1, fps))  # complains
            waiting = packet
        else:
            assert first is not None and first.frame_id is not None
            step = packet.result.frame_id - first.frame_id
            clip = _Clip(_Filter.of(packet, cutoff, order, _rate(packet, step, fps)))
            yield from clip.take(waiting)
            yield from clip.take(packet)
            waiting = None
    if waiting is not None:
        yield waiting
    if clip is not None:
        yield from clip.end()


def _rate(packet: Packet, step: int, fps: float) -> float:
    """Frames per second of those that come, which a clip says of itself."""
    return fps / step if packet.clip is None else float(packet.clip.fps)


def _filtered(
    results: list[PoseResult], span: slice, chosen: _Filter
) -> tuple[list[tuple[np.ndarray, np.ndarray | None]], bool]:
    """2D and 3D keypoints of the frames of a span; whether something stayed as it was."""
    found: list[tuple[np.ndarray, np.ndarray | None]] = [
        (result.keypoints.copy(), None if result.pose3d is None else result.pose3d.keypoints.copy())
        for result in results[span]
    ]
    rows: dict[int, list[tuple[int, int]]] = {}  # of each track, its frames and places in them
    for frame, result in enumerate(results):
        for place, track in enumerate(track_ids_of(result)):
            rows.setdefault(track, []).append((frame, place))
    short = False
    for places in rows.values():
        if not any(span.start <= frame < span.stop for frame, _ in places):
            continue
        flat = [
            (results[frame].keypoints[row], results[frame].keypoint_scores[row])
            for frame, row in places
        ]
        smooth, few = _filter_track([frame for frame, _ in places], flat, chosen)
        short |= few
        solid: list[tuple[int, np.ndarray, np.ndarray]] = []
        for frame, row in places:
            if (pose3d := results[frame].pose3d) is not None:
                solid.append((frame, pose3d.keypoints[row], pose3d.keypoint_scores[row]))
        if solid:
            smooth_3d, _ = _filter_track(
                [one[0] for one in solid], [one[1:] for one in solid], chosen
            )
        for number, (frame, row) in enumerate(places):
            if span.start <= frame < span.stop:
                keypoints, keypoints_3d = found[frame - span.start]
                keypoints[row] = smooth[number]
                if keypoints_3d is not None:
                    keypoints_3d[row] = smooth_3d[number]
    return found, short


def _filter_track(
    frames: list[int], people: list[tuple[np.ndarray, np.ndarray]], chosen: _Filter
) -> tuple[Floats, bool]:
    """Keypoints (T, K, D) of one person; whether some were too few.

    Args:
        frames: T numbers of frames, growing.
        people: keypoints (K, D) and scores (K,) in each.
        chosen: the filter.
    """
    points = np.stack([one for one, _ in people]).astype(np.float64)
    good: Bools = trusted_keypoints(np.stack([scores for _, scores in people]))
    good = good & np.isfinite(points).all(axis=-1)
    # Keypoints mostly share their pattern of frames in which they are trusted.
    patterns, which = np.unique(good, axis=1, return_inverse=True)
    numbers, short = np.asarray(frames), False
    for i, pattern in enumerate(patterns.T):
        columns = which.reshape(-1) == i
        seen = np.flatnonzero(pattern)
        if not len(seen):
            continue
        breaks = np.flatnonzero(np.diff(numbers[seen]) - 1 > chosen.longest_gap) + 1
        for stretch in np.split(seen, breaks):
            known = numbers[stretch]
            if known[-1] - known[0] + 1 < chosen.shortest:
                short = True
                continue
            values = points[np.ix_(stretch, np.flatnonzero(columns))]
            points[np.ix_(stretch, np.flatnonzero(columns))] = _run(known, values, chosen)
    return points, short


def _run(frames: np.ndarray, values: Floats, chosen: _Filter) -> Floats:
    """Values (t, k, D) at growing frames, filtered with gaps bridged."""
    from scipy.signal import sosfiltfilt

    every = np.arange(frames[0], frames[-1] + 1)
    flat = values.reshape(len(values), -1)
    if len(every) > len(frames):
        flat = np.stack([np.interp(every, frames, column) for column in flat.T], axis=1)
    smooth: Floats = sosfiltfilt(chosen.sos, flat, axis=0)[frames - frames[0]]
    return smooth.reshape(values.shape)
