"""2D poses of tracked people -> 3D, one frame at a time or in windows of a video.

MMPose lifts each frame alone; a window of one frame does the same. Longer windows overlap, and
where they do, the predictions are averaged, each weighted by how far the frame lies from the
window's nearer end.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posekit.codecs.lifting import put_on_ground
from posekit.errors import InputError
from posekit.result import Pose3D, PoseResult
from posekit.stages.lift import Lifter, check_liftable
from posekit.stages.packet import Packet, continues, track_ids_of

__all__ = ["lift_stream"]

# Of a camera: nine frames through the full network cost 2.5 times what a single one does.
LIVE_WINDOW = 9
# A window starts every third of its length, so that three of them cover each frame.
WINDOWS_PER_FRAME = 3
DEFAULT_MAX_GAP = 10  # frames


def lift_stream(
    packets: Iterable[Packet],
    lifter: Lifter,
    *,
    window: int | None = None,
    flip_test: bool | None = None,
    disable_norm_pose_2d: bool = False,
    disable_rebase_keypoint: bool = False,
    max_gap: int = DEFAULT_MAX_GAP,
    batch_size: int = 1024,
) -> Iterator[Packet]:
    """Yields packets whose results have `pose3d`, in the order in which they come.

    With a window of one frame, and for images always, each result is lifted alone and leaves at
    once. With a longer one, a packet leaves when `window` more of its clip have come, or its clip
    ends: windows never reach from one clip into another. A track shorter than a window is lifted as
    a whole. If a track is missed in up to `max_gap` results in a row, these get the person too,
    after the others: box and keypoints are interpolated linearly, with the lower of both scores,
    and `interpolated` is True. A longer gap ends the track's windows. For a live clip only the past
    counts: nothing waits, and no result gets people who were missed; a gap is only filled as input
    for the frames after it. If `packets` raises `InputError`, what came before is lifted first.

    Args:
        packets: of images and clips, with COCO's 17 keypoints; those of clips with `track_ids`
            where the window is longer than a frame. All of a window are kept, with the images and
            drawings that they hold.
        lifter: does the lifting.
        window: frames of one person that are lifted together; None for as many as the network
            takes, or nine for a live clip.
        flip_test: average with the mirrored sequence; None does as the configuration says.
        disable_norm_pose_2d: leave people where they are in the image and as large.
        disable_rebase_keypoint: leave heights relative to the root joint.
        max_gap: the longest gap that is filled, in results; 0 fills none.
        batch_size: most frames that go through the network at once; one window always does.

    Raises:
        InputError: a window that the network does not take, at once; results with other keypoints
            than COCO's, of a clip without track ids, or with a track twice, when their turn comes.
    """
    length = lifter.max_frames if window is None else window
    if not _is_count(length, 1) or length > lifter.max_frames:
        raise InputError(f"window must be 1 to {lifter.max_frames} frames, found {window!r}")
    for name, value, least in (("max_gap", max_gap, 0), ("batch_size", batch_size, 1)):
        if not _is_count(value, least):
            raise InputError(f"{name} must be a whole number of at least {least}, found {value!r}")
    stage = _Stage(
        lifter=lifter,
        window=length,
        max_gap=max_gap,
        flip_test=flip_test,
        normalize=not disable_norm_pose_2d,
        on_ground=not disable_rebase_keypoint,
        batch_size=batch_size,
    )
    live_window = min(LIVE_WINDOW, length) if window is None else length
    return _lift_packets(packets, stage, dataclasses.replace(stage, window=live_window))


def _lift_packets(packets: Iterable[Packet], stage: _Stage, live_stage: _Stage) -> Iterator[Packet]:
    clip: _Alone | _Live | _Windows = _Alone(stage)
    previous: PoseResult | None = None
    try:
        for packet in packets:
            result = packet.result
            if previous is None or result.skeleton is not previous.skeleton:
                check_liftable(result.skeleton)
            if not continues(previous, result):
                yield from clip.flush()
                if result.frame_id is None or stage.window == 1:
                    clip = _Alone(stage)
                else:
                    clip = _Live(live_stage) if packet.live else _Windows(stage)
            previous = result
            yield from clip.push(packet)
    except InputError:
        yield from clip.flush()
        raise
    yield from clip.flush()


@dataclass(frozen=True)
class _Window:
    """T frames of one person."""

    track_id: int
    first: int  # number of its first frame in the clip
    keypoints: np.ndarray  # (T, 17, 2)
    boxes: np.ndarray  # (T, 4)


@dataclass(frozen=True)
class _Stage:
    """How to lift."""

    lifter: Lifter
    window: int
    max_gap: int
    flip_test: bool | None
    normalize: bool
    on_ground: bool
    batch_size: int

    def lift(
        self, windows: Sequence[_Window], image_size: tuple[int, int]
    ) -> Iterator[tuple[_Window, np.ndarray]]:
        """Each window with its keypoints (T, K, 3), z up, relative to the root joint."""
        by_length: dict[int, list[_Window]] = {}
        for window in windows:
            by_length.setdefault(len(window.boxes), []).append(window)
        for group in by_length.values():
            lifted = self.lifter(
                np.stack([window.keypoints for window in group]),
                np.stack([window.boxes for window in group]),
                image_size=image_size,
                flip_test=self.flip_test,
                normalize=self.normalize,
                on_ground=False,  # after the average
                batch_size=self.batch_size,
            )
            yield from zip(group, lifted, strict=True)

    def describe(self, lifted: Sequence[np.ndarray]) -> Pose3D:
        """What `lift` gave for the people of one image: (K, 3) each."""
        shape = (-1, self.lifter.skeleton.num_keypoints, 3)
        keypoints = np.asarray(lifted, np.float32).reshape(shape)
        if self.on_ground:
            keypoints = put_on_ground(keypoints)
        return self.lifter.describe(keypoints, normalize=self.normalize, on_ground=self.on_ground)


class _Alone:
    """Lifts each result by itself, as MMPose does."""

    def __init__(self, stage: _Stage) -> None:
        self.stage = stage

    def push(self, packet: Packet) -> Iterator[Packet]:
        result = packet.result
        windows = [
            _Window(index, 0, keypoints[None], box[None])
            for index, (keypoints, box) in enumerate(
                zip(result.keypoints, result.boxes_xyxy, strict=True)
            )
        ]
        lifted = [frames[0] for _, frames in self.stage.lift(windows, result.image_size)]
        yield packet.having(pose3d=self.stage.describe(lifted))

    def flush(self) -> Iterator[Packet]:
        yield from ()


@dataclass
class _Sighting:
    """A person in one frame."""

    keypoints: np.ndarray  # (17, 2)
    scores: np.ndarray  # (17,)
    box: np.ndarray  # (4,)
    box_score: float


@dataclass
class _Track:
    """A person in consecutive frames; those in a gap are filled in when it ends."""

    track_id: int
    start: int  # number of the first frame kept
    frames: deque[_Sighting] = field(default_factory=deque)
    next_window: int = 0  # first frame of the next window
    lifted_to: int = 0  # frames before this one have been in a window

    @property
    def end(self) -> int:
        return self.start + len(self.frames)

    def drop_before(self, start: int) -> None:
        while self.start < start:
            self.frames.popleft()
            self.start += 1

    def window(self, first: int, end: int) -> _Window:
        part = [self.frames[i - self.start] for i in range(max(first, self.start), end)]
        return _Window(
            self.track_id,
            max(first, self.start),
            np.stack([sighting.keypoints for sighting in part]),
            np.stack([sighting.box for sighting in part]),
        )


class _Live:
    """Lifts each frame with those before it, which are all that is kept."""

    def __init__(self, stage: _Stage) -> None:
        self.stage = stage
        self.tracks: dict[int, _Track] = {}
        self.count = 0  # frames that have come

    def push(self, packet: Packet) -> Iterator[Packet]:
        result = packet.result
        ids = track_ids_of(result)
        windows: list[_Window] = []
        for index, track_id in enumerate(ids):
            track, _ = _extend(self.tracks, track_id, self.count, _sighting(result, index))
            track.drop_before(track.end - self.stage.window)
            windows.append(track.window(track.start, track.end))
        self.count += 1
        for track in list(self.tracks.values()):
            if self.count - track.end > self.stage.max_gap:
                del self.tracks[track.track_id]
        lifted = {
            window.track_id: frames[-1]
            for window, frames in self.stage.lift(windows, result.image_size)
        }
        yield packet.having(pose3d=self.stage.describe([lifted[track_id] for track_id in ids]))

    def flush(self) -> Iterator[Packet]:
        yield from ()


class _Blend:
    """The weighted mean of what several windows say of one person in one frame."""

    def __init__(self) -> None:
        self.total: Any = 0.0
        self.weight = 0.0

    def add(self, keypoints: np.ndarray, weight: float) -> None:
        self.total = self.total + np.float32(weight) * keypoints
        self.weight += weight

    def mean(self) -> np.ndarray:
        return np.asarray(self.total / np.float32(self.weight))


@dataclass
class _Waiting:
    """A packet whose windows are not all done."""

    packet: Packet
    blends: dict[int, _Blend] = field(default_factory=dict)
    filled_in: dict[int, _Sighting] = field(default_factory=dict)


class _Windows:
    """Lifts a clip in overlapping windows of each track.

    Windows of a track begin `stride` frames apart, and the last one ends where the track does. A
    frame leaves `window` frames after it came: all windows that begin at it or before it have been
    lifted by then. Only a track that is in a gap just then may have one that cannot be completed in
    time: it is lifted up to the gap, and the next one begins no later than the gap.
    """

    def __init__(self, stage: _Stage) -> None:
        self.stage = stage
        self.stride = max(1, stage.window // WINDOWS_PER_FRAME)
        self.tracks: dict[int, _Track] = {}
        self.waiting: deque[_Waiting] = deque()
        self.first = 0  # number of the first frame that waits

    def push(self, packet: Packet) -> Iterator[Packet]:
        now, result = self.first + len(self.waiting), packet.result
        self.waiting.append(_Waiting(packet))
        windows: list[_Window] = []
        for index, track_id in enumerate(track_ids_of(result)):
            track, filled_in = _extend(self.tracks, track_id, now, _sighting(result, index))
            for number, sighting in filled_in:
                self.waiting[number - self.first].filled_in[track_id] = sighting
            windows += self._full_windows(track)
        leaves = len(self.waiting) > self.stage.window
        for track in list(self.tracks.values()):
            missed = now + 1 - track.end
            if missed > self.stage.max_gap or (leaves and track.end <= self.first):
                windows += self._last_window(track)
                del self.tracks[track.track_id]
            elif leaves and missed and track.next_window <= self.first:
                windows += self._last_window(track)
                track.next_window = min(track.next_window + self.stride, track.end)
        self._lift(windows, result.image_size)
        if leaves:
            yield self._pop()

    def flush(self) -> Iterator[Packet]:
        if not self.waiting:
            return
        windows = [window for track in self.tracks.values() for window in self._last_window(track)]
        self.tracks.clear()
        self._lift(windows, self.waiting[0].packet.result.image_size)
        while self.waiting:
            yield self._pop()

    def _full_windows(self, track: _Track) -> Iterator[_Window]:
        length = self.stage.window
        while track.next_window + length <= track.end:
            track.lifted_to = track.next_window + length
            yield track.window(track.next_window, track.lifted_to)
            track.next_window += self.stride
        track.drop_before(track.end - length)

    def _last_window(self, track: _Track) -> Iterator[_Window]:
        """The window that ends with what the track has, unless there was one."""
        if track.lifted_to < track.end:
            track.lifted_to = track.end
            yield track.window(track.end - self.stage.window, track.end)

    def _lift(self, windows: Sequence[_Window], image_size: tuple[int, int]) -> None:
        for window, lifted in self.stage.lift(windows, image_size):
            weights = _weights(len(lifted))
            for number, keypoints, weight in zip(
                range(window.first, window.first + len(lifted)), lifted, weights, strict=True
            ):
                if number >= self.first:
                    blends = self.waiting[number - self.first].blends
                    blends.setdefault(window.track_id, _Blend()).add(keypoints, weight)

    def _pop(self) -> Packet:
        waiting = self.waiting.popleft()
        self.first += 1
        result = waiting.packet.result
        ids = [*track_ids_of(result), *waiting.filled_in]
        if self.stage.max_gap:
            result = _with_instances(result, waiting.filled_in)
        lifted = [waiting.blends[track_id].mean() for track_id in ids]
        lifted_result = dataclasses.replace(result, pose3d=self.stage.describe(lifted))
        return dataclasses.replace(waiting.packet, result=lifted_result)


def _weights(frames: int) -> list[float]:
    """How much a window's frames count: by their distance from its nearer end, never 0."""
    return [float(min(i + 1, frames - i)) for i in range(frames)]


def _extend(
    tracks: dict[int, _Track], track_id: int, now: int, sighting: _Sighting
) -> tuple[_Track, list[tuple[int, _Sighting]]]:
    """The track with frame `now` added, and what fills the gap before it, with its numbers."""
    track = tracks.get(track_id)
    if track is None:
        track = tracks[track_id] = _Track(track_id, start=now, next_window=now, lifted_to=now)
    steps = now + 1 - track.end
    filled_in = []
    if steps > 1:
        before = track.frames[-1]
        filled_in = [
            (track.end + i, _between(before, sighting, (i + 1) / steps)) for i in range(steps - 1)
        ]
    track.frames.extend(filled for _, filled in filled_in)
    track.frames.append(sighting)
    return track, filled_in


def _between(before: _Sighting, after: _Sighting, share: float) -> _Sighting:
    """A straight line's point; scores are the lower ones, since nobody looked."""
    return _Sighting(
        before.keypoints + share * (after.keypoints - before.keypoints),
        np.minimum(before.scores, after.scores),
        before.box + share * (after.box - before.box),
        min(before.box_score, after.box_score),
    )


def _sighting(result: PoseResult, index: int) -> _Sighting:
    return _Sighting(
        result.keypoints[index],
        result.keypoint_scores[index],
        result.boxes_xyxy[index],
        float(result.box_scores[index]),
    )


def _with_instances(result: PoseResult, added: Mapping[int, _Sighting]) -> PoseResult:
    """The result with instances of these tracks behind its own, and with `interpolated`."""
    seen = result.interpolated
    if seen is None:
        seen = np.zeros(len(result), bool)
    if not added:
        return dataclasses.replace(result, interpolated=seen)
    sightings = list(added.values())
    return dataclasses.replace(
        result,
        keypoints=np.concatenate([result.keypoints, [s.keypoints for s in sightings]]),
        keypoint_scores=np.concatenate([result.keypoint_scores, [s.scores for s in sightings]]),
        boxes_xyxy=np.concatenate([result.boxes_xyxy, [s.box for s in sightings]]),
        box_scores=np.concatenate(
            [result.box_scores, np.array([s.box_score for s in sightings], np.float32)]
        ),
        track_ids=np.concatenate([track_ids_of(result), list(added)]).astype(np.int64),
        interpolated=np.concatenate([seen, np.ones(len(sightings), bool)]),
    )


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
