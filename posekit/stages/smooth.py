"""Steadier keypoints: each track of a clip is smoothed over time, live or with a short delay.

Both ways take packets as they come and pass on the same ones, in the same order, with smoothed
results. Images (no `frame_id`) pass through untouched; what is remembered ends with its clip.
Keypoints with far lower scores than their person's others pass through too, and do not affect other
frames.

Sources: One Euro filter (Casiez et al., CHI 2012, "1€ Filter: A Simple Speed-based Low-pass Filter
for Noisy Input in Interactive Systems"); Savitzky and Golay, Analytical Chemistry 36 (1964).
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.result import PoseResult
from posekit.stages.packet import Packet, continues, track_ids_of

__all__ = [
    "OneEuroFilter",
    "SmoothOptions",
    "smooth_one_euro",
    "smooth_savgol",
    "trusted_keypoints",
]

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

# A keypoint is trusted where its score is at least this share of its person's mean: scores of
# SimCC models have no fixed scale.
TRUSTED_SHARE = 0.25
# A keypoint or a track that was away longer than this starts anew, in seconds.
LONGEST_GAP = 0.5
# Of the One Euro filter. Noise is taken for speed as well, and raises the cutoff: the larger beta
# and d_cutoff are, the more is left of it at rest (benchmarks/smoothing.py).
MIN_CUTOFF, BETA, D_CUTOFF = 1.0, 20.0, 1.0
# Between two frames, in seconds.
SHORTEST_INTERVAL = 1e-3


@dataclass(frozen=True, kw_only=True)
class SmoothOptions(Options):
    """Smoothing."""

    smooth: Literal["one-euro", "savgol", "butterworth"] | None = option(
        None,
        "smooth the keypoints of people in a video over time: `one-euro` (no delay, for "
        "cameras), `savgol` (a few frames of delay, for files) or `butterworth` (order 4, "
        "forwards and backwards, as in biomechanics, for files)",
    )
    cutoff: float | None = option(
        None,
        "cutoff frequency of `smooth=butterworth`, above which movement counts as noise; if "
        "unset, 6",
        unit="Hz",
        above=0,
    )

    def check(self) -> None:
        if self.cutoff is not None and self.smooth != "butterworth":
            raise InputError(
                "cutoff applies to smooth=butterworth only; set that, or leave cutoff out"
            )


class OneEuroFilter:
    """A low-pass filter of K points that follows fast movements closely and holds slow ones still.

    Speeds are measured in sizes of the figure per second, so that the same parameters fit every
    resolution and distance; each point has one speed over all of its coordinates.

    Args:
        min_cutoff: cutoff frequency of a point at rest, in Hz; lower is steadier.
        beta: by how many Hz the cutoff grows per size of the figure per second; higher lags less.
        d_cutoff: cutoff frequency of the speed, in Hz.

    Raises:
        InputError: a parameter that is not finite and in its range.
    """

    def __init__(
        self, *, min_cutoff: float = MIN_CUTOFF, beta: float = BETA, d_cutoff: float = D_CUTOFF
    ) -> None:
        _check_number("min_cutoff", min_cutoff, above=0)
        _check_number("beta", beta, least=0)
        _check_number("d_cutoff", d_cutoff, above=0)
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.d_cutoff = d_cutoff
        self._points: Floats | None = None  # (K, D), filtered
        self._velocities = np.zeros((0, 0))  # (K, D), filtered, sizes per second
        self._times = np.zeros(0)  # (K,), when each point was last trusted; -inf for never

    def __call__(
        self,
        points: npt.ArrayLike,
        time: float,
        *,
        size: float = 1.0,
        trusted: npt.ArrayLike | None = None,
    ) -> Floats:
        """The next positions, smoothed.

        Args:
            points: (K, D), in any unit.
            time: when, in seconds; later than at the call before. Intervals may vary.
            size: of the figure, in the unit of the points.
            trusted: (K,), bool: the others come back as they are and change nothing; None trusts
                every one.

        Returns:
            (K, D), float64.

        Raises:
            InputError: other shapes than before, or a time that is not later.
        """
        found = np.asarray(points, dtype=np.float64)
        good: Bools = np.logical_and.reduce(np.isfinite(found), axis=-1)
        if trusted is not None:
            good &= np.asarray(trusted, dtype=np.bool_)
        if self._points is None:
            self._points = found.copy()
            self._velocities = np.zeros_like(found)
            self._times = np.full(len(found), -np.inf)
        if found.shape != self._points.shape or not math.isfinite(time):
            raise InputError(
                f"expected points {self._points.shape} as before and a finite time, "
                f"found {found.shape} and {time}"
            )
        if len(found) and time <= self._times.max():
            raise InputError(
                f"expected a time after {self._times.max()} s, found {time} s; use another "
                "filter for another video"
            )
        interval = (time - self._times)[:, None]  # (K, 1)
        known: Bools = np.logical_and(good, interval[:, 0] <= LONGEST_GAP)
        started: Bools = np.logical_and(good, ~known)
        self._points[started] = found[started]
        self._velocities[started] = 0
        self._advance(known, found[known], interval[known], size)
        self._times[good] = time
        return np.where(good[:, None], self._points, found)

    def _advance(self, rows: Bools, found: Floats, interval: Floats, size: float) -> None:
        assert self._points is not None
        before, speed_before = self._points[rows], self._velocities[rows]
        velocity = (found - before) / (interval * (size if 0 < size < math.inf else 1.0))
        velocity = speed_before + _gain(self.d_cutoff, interval) * (velocity - speed_before)
        speed = np.linalg.norm(velocity, axis=1, keepdims=True)
        gain = _gain(self.min_cutoff + self.beta * speed, interval)
        self._points[rows] = before + gain * (found - before)
        self._velocities[rows] = velocity


def smooth_one_euro(
    packets: Iterable[Packet],
    *,
    fps: float = 30.0,
    min_cutoff: float = MIN_CUTOFF,
    beta: float = BETA,
    d_cutoff: float = D_CUTOFF,
) -> Iterator[Packet]:
    """Yields packets with smoothed keypoints, without delay; see `OneEuroFilter`.

    Speeds are relative to the longer side of the box, in 3D to the figure's extent. A track that
    was away for more than half a second starts anew.

    Args:
        packets: of one or several clips, with track ids.
        fps: frames per second, to compute the time of packets that have only a `frame_id`.

    Raises:
        InputError: a parameter out of range, at once; people without track ids, when they come.
    """
    _check_number("fps", fps, above=0)
    parameters = {"min_cutoff": min_cutoff, "beta": beta, "d_cutoff": d_cutoff}
    OneEuroFilter(**parameters)  # complains about them here and not in the first frame
    return _one_euro(packets, fps, lambda: OneEuroFilter(**parameters))


def smooth_savgol(
    packets: Iterable[Packet], *, window: int = 9, order: int = 2
) -> Iterator[Packet]:
    """Yields packets with smoothed keypoints, half a window later than they come.

    Each keypoint gets the value, at its frame, of the polynomial that fits its trusted positions in
    the window best. At the ends of a track the window is shorter, and missed frames are left out of
    the fit; with fewer frames than coefficients, the order is lower.

    Args:
        packets: of one or several clips, with track ids.
        window: number of frames, odd; the delay is `window // 2` packets.
        order: of the polynomial, lower than `window`.

    Raises:
        InputError: a parameter out of range, at once; people without track ids, when they come.
    """
    for name, value in (("window", window), ("order", order)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"expected {name} as a whole number, found {value!r}")
    if window < 1 or window % 2 == 0 or window > 1001:
        raise InputError(f"expected window as an odd number of frames up to 1001, found {window}")
    if not 0 <= order < min(window, 10):
        raise InputError(
            f"expected order from 0 to below the window and 10, found {order} for {window} frames"
        )
    return _savgol(packets, window // 2, order)


@dataclass
class _Track:
    """What is remembered of one person: when they were last seen, and the filters."""

    last_seen: float
    flat: OneEuroFilter
    solid: OneEuroFilter


def _one_euro(
    packets: Iterable[Packet], fps: float, new_filter: Callable[[], OneEuroFilter]
) -> Iterator[Packet]:
    tracks: dict[int, _Track] = {}
    before: PoseResult | None = None
    time = -math.inf
    for packet in packets:
        result = packet.result
        if not continues(before, result):
            tracks.clear()
            time = -math.inf
        before = result
        if result.frame_id is None:
            yield packet
            continue
        # Damaged videos repeat time stamps.
        now = result.frame_id / fps if packet.time is None else packet.time
        time = max(now, time + SHORTEST_INTERVAL)
        ids = track_ids_of(result)
        tracks = {i: track for i, track in tracks.items() if time - track.last_seen <= LONGEST_GAP}
        for i in ids:
            track = tracks.setdefault(i, _Track(time, new_filter(), new_filter()))
            track.last_seen = time
        yield _filter_people(packet, [tracks[i] for i in ids], time)


def _filter_people(packet: Packet, tracks: list[_Track], time: float) -> Packet:
    """The packet with each person's keypoints as that person's filters give them."""
    if not tracks:
        return packet
    result = packet.result
    keypoints = result.keypoints.copy()
    trusted = trusted_keypoints(result.keypoint_scores)
    sizes = (result.boxes_xyxy[:, 2:] - result.boxes_xyxy[:, :2]).max(axis=1)
    for row, track in enumerate(tracks):
        keypoints[row] = track.flat(
            keypoints[row], time, size=float(sizes[row]), trusted=trusted[row]
        )
    pose3d = result.pose3d
    if pose3d is not None:
        solid = pose3d.keypoints.copy()
        trusted = trusted_keypoints(pose3d.keypoint_scores)
        for row, track in enumerate(tracks):
            size = _extent(solid[row], trusted[row])
            solid[row] = track.solid(solid[row], time, size=size, trusted=trusted[row])
        pose3d = dataclasses.replace(pose3d, keypoints=solid)
    return packet.having(keypoints=keypoints, pose3d=pose3d)


@dataclass
class _Waiting:
    """A frame in the window, which row each track is, and which keypoints count (n, K)."""

    packet: Packet | None  # until it is given: others only need the result, and it has an image
    result: PoseResult
    frame_id: int
    rows: dict[int, int]
    trusted: Bools
    trusted3d: Bools

    def give(self) -> Packet:
        packet, self.packet = self.packet, None
        assert packet is not None
        return packet


def _savgol(packets: Iterable[Packet], half: int, order: int) -> Iterator[Packet]:
    frames: deque[_Waiting] = deque()  # half a window behind the next packet to give, and ahead
    ahead = 0  # of these, how many have not been given yet
    before: PoseResult | None = None
    for packet in packets:
        result = packet.result
        if not continues(before, result):
            yield from _flush(frames, ahead, half, order)
            frames.clear()
            ahead = 0
        before = result
        if result.frame_id is None:
            yield packet
            continue
        frames.append(_waiting(packet, result.frame_id))
        ahead += 1
        if ahead > half:
            yield _fit_frame(frames, len(frames) - ahead, order)
            ahead -= 1
        if len(frames) - ahead > half:
            frames.popleft()
    yield from _flush(frames, ahead, half, order)


def _flush(frames: deque[_Waiting], ahead: int, half: int, order: int) -> Iterator[Packet]:
    """What is left of a clip that has ended."""
    for left in range(ahead, 0, -1):
        while len(frames) - left > half:
            frames.popleft()
        yield _fit_frame(frames, len(frames) - left, order)


def _waiting(packet: Packet, frame_id: int) -> _Waiting:
    result, pose3d = packet.result, packet.result.pose3d
    rows = {track: row for row, track in enumerate(track_ids_of(result))}
    trusted = trusted_keypoints(result.keypoint_scores) & np.isfinite(result.keypoints).all(axis=-1)
    trusted3d = np.zeros((0, 0), np.bool_)
    if pose3d is not None:
        trusted3d = trusted_keypoints(pose3d.keypoint_scores) & np.isfinite(pose3d.keypoints).all(
            axis=-1
        )
    return _Waiting(packet, result, frame_id, rows, trusted, trusted3d)


def _fit_frame(frames: deque[_Waiting], index: int, order: int) -> Packet:
    """The packet of frames[index], its keypoints fitted to those of all frames."""
    now = frames[index]
    if not now.rows:
        return now.give()
    keypoints = now.result.keypoints.copy()
    pose3d = now.result.pose3d
    solid = None if pose3d is None else pose3d.keypoints.copy()
    for track, row in now.rows.items():
        seen = [(frame, frame.rows[track]) for frame in frames if track in frame.rows]
        offsets = [frame.frame_id - now.frame_id for frame, _ in seen]
        points = np.stack([frame.result.keypoints[at] for frame, at in seen])
        trusted = np.stack([frame.trusted[at] for frame, at in seen])
        keypoints[row] = _fit(points, trusted, offsets, order)
        if solid is not None:
            in_3d = [
                (frame, pose.keypoints[at], at)
                for frame, at in seen
                if (pose := frame.result.pose3d) is not None
            ]
            offsets = [frame.frame_id - now.frame_id for frame, *_ in in_3d]
            points = np.stack([point for _, point, _ in in_3d])
            trusted = np.stack([frame.trusted3d[at] for frame, _, at in in_3d])
            solid[row] = _fit(points, trusted, offsets, order)
    if pose3d is not None and solid is not None:
        pose3d = dataclasses.replace(pose3d, keypoints=solid)
    return now.give().having(keypoints=keypoints, pose3d=pose3d)


def _fit(points: Floats, trusted: Bools, offsets: list[int], order: int) -> Floats:
    """Points (K, D) at offset 0 of polynomials through points (T, K, D) that are trusted (T, K)."""
    now = offsets.index(0)
    smoothed = points[now].copy()
    if trusted.all():
        return np.tensordot(_weights(tuple(offsets), order), points, axes=1)
    # Keypoints mostly share their pattern of frames in which they are trusted.
    patterns, which = np.unique(trusted, axis=1, return_inverse=True)
    for i, pattern in enumerate(patterns.T):
        if pattern[now]:
            chosen = which.reshape(-1) == i
            weights = _weights(tuple(np.asarray(offsets)[pattern].tolist()), order)
            smoothed[chosen] = np.tensordot(weights, points[pattern][:, chosen], axes=1)
    return smoothed


@lru_cache(maxsize=4096)
def _weights(offsets: tuple[int, ...], order: int) -> Floats:
    """(T,): what each sample weighs in the value at 0 of the fitted polynomial.

    Where the offsets are -h..h these are Savitzky and Golay's.
    """
    positions = np.asarray(offsets, dtype=np.float64) / max(1, *map(abs, offsets))
    powers = np.vander(positions, min(order, len(offsets) - 1) + 1, increasing=True)
    weights: Floats = np.linalg.pinv(powers)[0]
    return weights


def trusted_keypoints(scores: Floats) -> Bools:
    """Which keypoints (n, K) do not score far lower than their person's others."""
    level = np.maximum(np.nan_to_num(scores), 0).mean(axis=1, keepdims=True)
    trusted: Bools = np.logical_and(scores > 0, scores >= TRUSTED_SHARE * level)
    return trusted


def _gain(cutoff: float | Floats, interval: Floats) -> Floats:
    """What a first-order low-pass filter takes of a new value."""
    turn = 2 * math.pi * cutoff * interval
    gain: Floats = turn / (turn + 1)
    return gain


def _extent(points: Floats, trusted: Bools) -> float:
    """The longest side of the trusted points' bounding box."""
    return float(np.ptp(points[trusted], axis=0).max()) if trusted.any() else 0.0


def _check_number(
    name: str, value: float, *, above: float = -math.inf, least: float = -math.inf
) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"expected {name} as a finite number, found {value!r}")
    if value <= above:
        raise InputError(f"expected {name} above {above:g}, found {value:g}")
    if value < least:
        raise InputError(f"expected {name} of at least {least:g}, found {value:g}")
