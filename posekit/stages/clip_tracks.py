"""Who is who over all inputs: a tracker for each clip, and the boxes that it carries along."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from posekit.result import PoseResult
from posekit.skeleton import Skeleton
from posekit.stages.boxes import Boxes
from posekit.stages.estimate import Poses
from posekit.stages.own_tracker import checked_ids, maker_of
from posekit.stages.packet import Clip, Frame
from posekit.stages.track import Similarity, Tracker
from posekit.stages.turns import DetectorTurns

__all__ = ["ClipTracks"]


class ClipTracks:
    """Trackers: one for all images, and a new one for each clip.

    Args:
        skeleton: the keypoints of the people.
        similarity: as a `Tracker` takes it, or a maker of other trackers (see `own_tracker`).
        threshold: likewise.
        max_age: likewise.
        det_interval: people are detected in every n-th frame, or with "auto" as `DetectorTurns`
            says; tracks carry the boxes between.
        images: whether successive images count as such frames too, not only those of clips.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        *,
        similarity: Similarity | Any,
        threshold: float,
        max_age: int,
        det_interval: int | Literal["auto"] = 1,
        images: bool = True,
    ) -> None:
        self._interval = det_interval
        self._images = images
        self._new: Callable[[], Any] = functools.partial(
            Tracker,
            similarity=similarity,
            threshold=threshold,
            max_age=max_age,
            sigmas=skeleton.sigmas or None,
        )
        if similarity not in get_args(Similarity):
            self._new = maker_of(similarity, carrying=det_interval != 1)
        self._clip: Clip | None = None
        self._size: tuple[int, int] | None = None  # of the frame before
        self._tracker = self._new()  # what it lacks is said before a frame is read
        self._used = False
        self._turns = DetectorTurns(det_interval)
        self._somebody = False  # whom the detector found
        self._carried: np.ndarray | None = None  # ids
        self._expected = np.zeros((0, 4))  # where they are looked for

    def carried(self, frame: Frame) -> Boxes | None:
        """Boxes from the frame before; None if the detector has its turn."""
        self._carried = None
        if self._interval == 1 or (frame.clip is None and not self._images):
            return None
        if frame.clip is not self._clip:
            self._turns = DetectorTurns(self._interval)
        same = frame.clip is self._clip and frame.size == self._size
        boxes, scores, ids = self._tracker.carry(frame.size)
        number = frame.index if frame.frame_id is None else frame.frame_id
        missing = self._tracker.is_missing(frame.size, self._turns.scene_age)
        if self._turns.due(frame.image, number, boxes, missing=missing) or not same:
            return None
        # Everybody left: whoever is there now is not left waiting.
        if self._somebody and not len(ids):
            return None
        self._carried, self._expected = ids, boxes
        return Boxes(boxes.astype(np.float32), scores.astype(np.float32))

    def lost(self, poses: Poses) -> bool:
        """Whether the detector must run after all, because carried boxes no longer show people.

        With `det_interval="auto"` one such box is enough; with a number it must be all of them, as
        after a cut.
        """
        if self._carried is None or not len(self._carried):
            return False
        there = self._tracker.still_there(self._carried, poses.keypoints, poses.scores)
        lost = not (there.all() if self._interval == "auto" else there.any())
        if lost:
            self._carried = None
        return lost

    def keep(self, rows: np.ndarray) -> None:
        """Keeps those boxes carried to this frame that its result still has, in its order."""
        if self._carried is not None:
            self._carried, self._expected = self._carried[rows], self._expected[rows]

    def named(self, frame: Frame, result: PoseResult) -> PoseResult:
        """The result with the ids of its people; carried ones that were lost are left out."""
        if frame.clip is not self._clip:
            self._clip = frame.clip
            if self._used:
                self._tracker = self._new()
        self._used = True
        self._size = frame.size
        poses = (result.keypoints, result.keypoint_scores)
        if self._carried is None:
            self._somebody = len(result) > 0
            found = self._tracker.update(result.boxes_xyxy, result.box_scores, *poses)
            ids = checked_ids(found, len(result), self._tracker)
            self._turns.detected(ids, result.boxes_xyxy, result.keypoint_scores)
            result = dataclasses.replace(result, track_ids=ids)
            return result if (ids >= 0).all() else result[ids >= 0]
        kept = self._tracker.follow(self._carried, *poses)
        ids = self._carried[kept]
        self._turns.followed(
            ids, self._expected[kept], self._tracker.boxes_of(ids), result.keypoint_scores[kept]
        )
        return dataclasses.replace(result, track_ids=self._carried)[kept]
