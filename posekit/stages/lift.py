"""2D keypoints of tracked people -> 3D keypoints, one frame at a time or in windows of a video.

Source: MotionBERT (arXiv 2210.06551), which takes sequences of up to 243 frames. MMPose lifts each
frame alone; a window of one frame does the same. Longer windows overlap, and where they do, the
predictions are averaged, each weighted by how far the frame lies from the window's nearer end.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from posekit.codecs.lifting import (
    METRES_PER_PIXEL,
    center_in_frame,
    coco_to_h36m,
    put_on_ground,
    stand_up,
)
from posekit.errors import InputError
from posekit.finite import check_finite
from posekit.result import Pose3D, PoseResult
from posekit.skeleton import Skeleton, load_skeleton
from posekit.spec import LifterSpec

__all__ = ["Lifter", "check_liftable", "lift_stream"]

# Of a camera: nine frames through the full network cost 2.5 times what a single one does.
LIVE_WINDOW = 9
# A window starts every third of its length, so that three of them cover each frame.
WINDOWS_PER_FRAME = 3
DEFAULT_MAX_GAP = 10  # frames


class Lifter:
    """A lifting network with its pre- and post-processing.

    Args:
        net: the network, on its device.
        spec: its description.
        skeleton: the keypoints that the network gives.
    """

    def __init__(self, net: nn.Module, spec: LifterSpec, skeleton: Skeleton) -> None:
        parameter = next(net.parameters())
        self.net = net
        self.spec = spec
        self.skeleton = skeleton
        self.codec = spec.codec.make()
        self.flip_test: bool = spec.flip_test
        self.max_frames: int = spec.max_frames
        self.center: tuple[float, float] = spec.center
        self.scale: float = spec.scale
        self.device = parameter.device
        self.dtype = parameter.dtype

    def __call__(
        self,
        keypoints: np.ndarray,
        boxes_xyxy: np.ndarray,
        *,
        image_size: Sequence[float],
        flip_test: bool | None = None,
        normalize: bool = True,
        on_ground: bool = True,
        batch_size: int = 1024,
    ) -> np.ndarray:
        """3D keypoints of N sequences of T frames, each of one person.

        Args:
            keypoints: (N, T, 17, 2), COCO's, in pixels of the image.
            boxes_xyxy: (N, T, 4), in pixels of the image.
            image_size: (w, h) of the image, in pixels.
            flip_test: average with the mirrored sequence; None does as the configuration says.
            normalize: move and scale each sequence to where the training data had people, by the
                mean centre and the median size of its boxes; they are not used otherwise.
            on_ground: shift each frame so that the lowest keypoint has height 0.
            batch_size: most frames, of all sequences together, that go through the network at
                once; one sequence always does.

        Returns:
            (N, T, K, 3), float32, as `describe` says.

        Raises:
            InputError: more frames than the network takes.
            WeightsError: the network gives NaN for keypoints that are numbers.
        """
        if keypoints.shape[2:] != (17, 2) or boxes_xyxy.shape != (*keypoints.shape[:2], 4):
            raise ValueError(
                "expected keypoints (N, T, 17, 2) and boxes (N, T, 4), found "
                f"{keypoints.shape} and {boxes_xyxy.shape}"
            )
        count, frames = keypoints.shape[:2]
        if frames > self.max_frames:
            raise InputError(
                f"expected at most {self.max_frames} frames, found {frames}; "
                "lift longer sequences in windows"
            )
        joints = coco_to_h36m(keypoints.astype(np.float32, copy=False))
        if normalize:
            boxes = boxes_xyxy.astype(np.float32, copy=False)
            joints = center_in_frame(joints, boxes, center=self.center, scale=self.scale)
        flips = self.flip_test if flip_test is None else flip_test
        lifted = np.empty((count, frames, self.skeleton.num_keypoints, 3), np.float32)
        step = max(1, batch_size // max(1, frames * (1 + flips)))
        for start in range(0, count, step):
            part = slice(start, start + step)
            lifted[part] = self.lift_joints(joints[part], image_size, flip_test=flips)
        if np.isfinite(joints).all():
            check_finite("the lifter", self.dtype, lifted)
        return stand_up(lifted, on_ground=on_ground)

    def describe(
        self, keypoints: np.ndarray, *, normalize: bool = True, on_ground: bool = True
    ) -> Pose3D:
        """3D keypoints (n, K, 3) of one image with their scores, units and axes."""
        return Pose3D(
            keypoints=keypoints,
            keypoint_scores=np.ones(keypoints.shape[:2], np.float32),  # the network gives none
            skeleton=self.skeleton,
            unit=self._unit(normalize),
            axes=(
                "x to the left of the image, y away from the camera, z up; x and y from the "
                f"person's root joint, z from {'the lowest keypoint' if on_ground else 'it too'}, "
                "so that people's places in the scene are not known"
            ),
        )

    def _unit(self, normalize: bool) -> str:
        """What the keypoints are measured in."""
        unknown = "the person's true size and distance from the camera are not known"
        if getattr(self.codec, "metric", False):
            return f"metres, of people as large as those of the training data; {unknown}"
        if normalize:
            size = f"{self.scale * METRES_PER_PIXEL:.1f} m"
            return f"metres if the longer side of the person's box is {size} long; {unknown}"
        width = f"{METRES_PER_PIXEL * 1000:.0f} mm"
        return f"metres if a pixel of the image is {width} wide; the true scale is not known"

    @torch.inference_mode()
    def lift_joints(
        self, joints: np.ndarray, image_size: Sequence[float], *, flip_test: bool
    ) -> np.ndarray:
        """3D joints of sequences, in the camera's axes and relative to the root joint.

        Args:
            joints: (N, T, 17, 2), Human3.6M's, in pixels of the image.
            image_size: (w, h) of the image, in pixels.
            flip_test: average with the mirrored sequence.

        Returns:
            (N, T, K, 3), float32.
        """
        codec, order = self.codec, self.skeleton.flip_indices
        inputs = codec.encode(joints, image_size=image_size).to(self.device, self.dtype)
        if flip_test:
            # One pass for both: a single frame is bound by reading the weights.
            outputs, mirrored = self.net(torch.cat([inputs, codec.flip(inputs, order)])).chunk(2)
            outputs = (outputs + codec.flip(mirrored, order)) * 0.5
        else:
            outputs = self.net(inputs)
        keypoints, _ = codec.decode(outputs, image_size=image_size)
        return np.asarray(keypoints)


def lift_stream(
    results: Iterable[PoseResult],
    lifter: Lifter,
    *,
    window: int | None = None,
    live: bool | Callable[[PoseResult], bool] = False,
    flip_test: bool | None = None,
    disable_norm_pose_2d: bool = False,
    disable_rebase_keypoint: bool = False,
    max_gap: int = DEFAULT_MAX_GAP,
    batch_size: int = 1024,
) -> Iterator[PoseResult]:
    """Results with their `pose3d`, in the order in which they come.

    With a window of one frame, and for images always, each result is lifted alone and leaves at
    once. With a longer one, a result leaves when `window` more of its clip have come, or its clip
    ends: windows never reach from one clip into another. A track shorter than a window is one.
    Where a track is missed in up to `max_gap` results in a row, those get the person too, behind
    the others: box and keypoints are drawn straight from before to after, with the lower of both
    scores, and `interpolated` is True. A longer gap ends the track's windows.
    If `results` raises `InputError`, what came before is lifted first.

    Args:
        results: of images and clips, with COCO's 17 keypoints; those of clips with `track_ids`
            where the window is longer than a frame. They may not hold drawings: all of a window
            are kept.
        lifter: does the lifting.
        window: frames that are lifted together, of one person; None for as many as the network
            takes, or nine where `live`.
        live: look only into the past: no result waits, and none gets people who were missed; a
            gap is filled for what comes after it alone. Or a function that says so of the clip
            whose first result it is called with.
        flip_test: average with the mirrored sequence; None does as the configuration says.
        disable_norm_pose_2d: leave people where they are in the image and as large.
        disable_rebase_keypoint: leave heights relative to the root joint.
        max_gap: the longest gap that is filled, in results; 0 fills none.
        batch_size: most frames that go through the network at once; one window always does.

    Raises:
        InputError: a window that the network does not take, at once; results with other
            keypoints than COCO's, when their turn comes.
        ValueError: results of a clip that nobody tracked, or with a track twice.
    """
    length = lifter.max_frames if window is None else window
    if not _is_count(length, 1) or length > lifter.max_frames:
        raise InputError(f"window must be 1 to {lifter.max_frames} frames, found {window!r}")
    if not _is_count(max_gap, 0):
        raise InputError(f"max_gap must be a whole number of at least 0, found {max_gap!r}")
    if not _is_count(batch_size, 1):
        raise InputError(f"batch_size must be a whole number of at least 1, found {batch_size!r}")
    stage = _Stage(
        lifter=lifter,
        window=length,
        max_gap=max_gap,
        flip_test=flip_test,
        normalize=not disable_norm_pose_2d,
        on_ground=not disable_rebase_keypoint,
        batch_size=batch_size,
    )
    live_stage = stage
    if window is None:
        live_stage = dataclasses.replace(stage, window=min(LIVE_WINDOW, length))
    return _lift_results(results, stage, live_stage, live)


def _lift_results(
    results: Iterable[PoseResult],
    stage: _Stage,
    live_stage: _Stage,
    live: bool | Callable[[PoseResult], bool],
) -> Iterator[PoseResult]:
    clip: _Alone | _Live | _Windows = _Alone(stage)
    previous: PoseResult | None = None
    try:
        for result in results:
            if previous is None or result.skeleton is not previous.skeleton:
                check_liftable(result.skeleton)
            if previous is None or not _continues(previous, result):
                yield from clip.flush()
                if result.frame_id is None or stage.window == 1:
                    clip = _Alone(stage)
                elif live(result) if callable(live) else live:
                    clip = _Live(live_stage)
                else:
                    clip = _Windows(stage)
            previous = result
            yield from clip.push(result)
    except InputError:
        yield from clip.flush()
        raise
    yield from clip.flush()


def _continues(previous: PoseResult, result: PoseResult) -> bool:
    """True where both are of the same clip, in this order."""
    return (
        previous.frame_id is not None
        and result.frame_id is not None
        and result.frame_id > previous.frame_id
        and (result.source, result.name) == (previous.source, previous.name)
        and result.image_size == previous.image_size
    )


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

    def push(self, result: PoseResult) -> Iterator[PoseResult]:
        windows = [
            _Window(index, 0, keypoints[None], box[None])
            for index, (keypoints, box) in enumerate(
                zip(result.keypoints, result.boxes_xyxy, strict=True)
            )
        ]
        lifted = [frames[0] for _, frames in self.stage.lift(windows, result.image_size)]
        yield dataclasses.replace(result, pose3d=self.stage.describe(lifted))

    def flush(self) -> Iterator[PoseResult]:
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

    def push(self, result: PoseResult) -> Iterator[PoseResult]:
        ids = _track_ids(result)
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
        pose3d = self.stage.describe([lifted[track_id] for track_id in ids])
        yield dataclasses.replace(result, pose3d=pose3d)

    def flush(self) -> Iterator[PoseResult]:
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
    """A result whose windows are not all done."""

    result: PoseResult
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

    def push(self, result: PoseResult) -> Iterator[PoseResult]:
        now = self.first + len(self.waiting)
        self.waiting.append(_Waiting(result))
        windows: list[_Window] = []
        for index, track_id in enumerate(_track_ids(result)):
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

    def flush(self) -> Iterator[PoseResult]:
        if not self.waiting:
            return
        windows = [window for track in self.tracks.values() for window in self._last_window(track)]
        self.tracks.clear()
        self._lift(windows, self.waiting[0].result.image_size)
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

    def _pop(self) -> PoseResult:
        waiting = self.waiting.popleft()
        self.first += 1
        result = waiting.result
        ids = [*_track_ids(result), *waiting.filled_in]
        if self.stage.max_gap:
            result = _with_instances(result, waiting.filled_in)
        lifted = [waiting.blends[track_id].mean() for track_id in ids]
        return dataclasses.replace(result, pose3d=self.stage.describe(lifted))


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
        track_ids=np.concatenate([_track_ids(result), list(added)]).astype(np.int64),
        interpolated=np.concatenate([seen, np.ones(len(sightings), bool)]),
    )


def _track_ids(result: PoseResult) -> list[int]:
    if result.track_ids is None:
        raise ValueError(
            f"expected results with track_ids, found none for {result.name}, frame "
            f"{result.frame_id}; track them first, or lift with window=1"
        )
    ids: list[int] = result.track_ids.tolist()
    if len(set(ids)) < len(ids):
        raise ValueError(
            f"expected each track once in a result, found track_ids {ids} for {result.name}, "
            f"frame {result.frame_id}"
        )
    return ids


def check_liftable(skeleton: Skeleton) -> None:
    """Raises `InputError` where 2D keypoints are not the ones that lifters take."""
    if skeleton.names != load_skeleton("coco").names:
        raise InputError(
            f"lifting takes COCO's 17 keypoints, found {skeleton.num_keypoints} of "
            f"'{skeleton.name}'; choose a 2D model that gives COCO's, such as 'human'"
        )


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
