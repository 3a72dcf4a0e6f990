"""Results as a recording for Rerun's viewer: 2D, 3D and boxes on a timeline."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from posekit.bridges.results import Results, read_results
from posekit.packages import need
from posekit.result import X_LEFT, PoseResult
from posekit.skeleton import Skeleton
from posekit.stages.packet import track_ids_of

if TYPE_CHECKING:
    from rerun import RecordingStream

__all__ = ["Recorder", "to_rerun"]

PACKAGE = "rerun-sdk>=0.41"

FLUSHED = 256  # results after which the queue of what is to be written is emptied: it has no bound


def to_rerun(
    results: Results,
    path: str | os.PathLike[str] | None = None,
    *,
    recording: RecordingStream | None = None,
    kpt_thr: float = 0.3,
) -> RecordingStream:
    """Logs results: keypoints with names, colours and links, and people by track id.

    The entities of track 5 are `image/5/keypoints` (class 0) and `image/5/box`, and for 3D models
    also `space/5/keypoints` (class 1); without tracks, people are numbered in each frame. The
    timelines are `frame` and, for videos, `time` in seconds.

    Args:
        results: see `posekit.bridges`.
        path: the `.rrd` file to write; None if the recording has its own output.
        recording: the recording to log to, such as a spawned viewer; None makes a new one.
        kpt_thr: keypoints below this score are not logged.

    Returns:
        The recording; its file is complete.

    Raises:
        InputError: no results, a track twice in one, or rerun-sdk is not installed.
    """
    recorder = Recorder(path, recording=recording, kpt_thr=kpt_thr)
    for result in read_results(results):
        recorder.log(result)
    recorder.close()
    return recorder.recording


class Recorder:
    """Logs results as they come; see `to_rerun`."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        recording: RecordingStream | None = None,
        kpt_thr: float = 0.3,
    ) -> None:
        self._library = need("rerun", PACKAGE)
        self.recording = recording or self._library.RecordingStream("posekit")
        self._to_file, self._kpt_thr = path is not None, kpt_thr
        self._shown: set[str] | None = None
        self._count = 0
        if path is not None:
            self.recording.save(os.fspath(path))

    def log(self, result: PoseResult) -> None:
        """Logs an image, or a clip's next frame."""
        library, recording = self._library, self.recording
        if self._shown is None:
            recording.log("/", _context(library, result), static=True)
            if (pose3d := result.pose3d) is not None:
                axes = library.ViewCoordinates
                up = axes.LFU if pose3d.axes.startswith(X_LEFT) else axes.RIGHT_HAND_Z_UP
                recording.log("space", up if pose3d.up == "z" else axes.RDF, static=True)
        frame = result.index if result.frame_id is None else result.frame_id
        recording.set_time("frame", sequence=frame)
        if result.time is not None:
            recording.set_time("time", duration=result.time)
        people = dict(_people(library, result, self._kpt_thr))
        # Who is gone would stay in the picture otherwise.
        for entity in (self._shown or set()) - people.keys():
            recording.log(entity, library.Clear(recursive=False))
        for entity, values in people.items():
            recording.log(entity, *values)
        self._shown = set(people)
        self._count += 1
        if self._to_file and self._count % FLUSHED == 0:
            self.recording.flush()

    def close(self) -> None:
        """Sends what is left, and finishes the file."""
        self.recording.flush()
        if self._to_file:
            self.recording.disconnect()


def _context(library: Any, result: PoseResult) -> Any:
    skeletons = [result.skeleton]
    if result.pose3d is not None:
        skeletons.append(result.pose3d.skeleton)
    return library.AnnotationContext(
        [_class(library, number, skeleton) for number, skeleton in enumerate(skeletons)]
    )


def _class(library: Any, number: int, skeleton: Skeleton) -> Any:
    points = zip(skeleton.names, skeleton.keypoint_colors, strict=True)
    return library.ClassDescription(
        info=library.AnnotationInfo(number, label=skeleton.name),
        keypoint_annotations=[
            library.AnnotationInfo(i, label=name, color=color)
            for i, (name, color) in enumerate(points)
        ],
        keypoint_connections=list(skeleton.links),
    )


def _people(
    library: Any, result: PoseResult, kpt_thr: float
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What is logged of each person, by its entity: links join the points of one entity."""
    ids = range(len(result)) if result.track_ids is None else track_ids_of(result)
    pose3d = result.pose3d
    for row, one in enumerate(ids):
        scores = result.keypoint_scores[row]
        seen = np.flatnonzero(scores >= kpt_thr)
        points = library.Points2D(result.keypoints[row, seen], class_ids=0, keypoint_ids=seen)
        box = library.Boxes2D(
            array=result.boxes_xyxy[row, None],
            array_format=library.Box2DFormat.XYXY,
            labels=[f"{one}"],
        )
        yield f"image/{one}/keypoints", (points, library.AnyValues(score=scores[seen]))
        yield f"image/{one}/box", (box, library.AnyValues(score=result.box_scores[row, None]))
        if pose3d is not None:
            scores = pose3d.keypoint_scores[row]
            seen = np.flatnonzero(scores >= kpt_thr)
            solid = library.Points3D(pose3d.keypoints[row, seen], class_ids=1, keypoint_ids=seen)
            yield f"space/{one}/keypoints", (solid, library.AnyValues(score=scores[seen]))
