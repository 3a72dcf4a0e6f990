"""Who is who over all inputs: a tracker for each clip, and the boxes that it carries along."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from posekit.result import PoseResult
from posekit.skeleton import Skeleton
from posekit.stages.boxes import Boxes
from posekit.stages.packet import Clip, Frame
from posekit.stages.track import Similarity, Tracker

__all__ = ["ClipTracks"]


class ClipTracks:
    """Trackers: one for all images, and a new one for each clip.

    Args:
        skeleton: the keypoints of the people.
        similarity: as a `Tracker` takes it.
        threshold: likewise.
        max_age: likewise.
        det_interval: people are detected in every n-th frame; tracks carry the boxes between.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        *,
        similarity: Similarity,
        threshold: float,
        max_age: int,
        det_interval: int = 1,
    ) -> None:
        self._interval = det_interval
        self._new = functools.partial(
            Tracker,
            similarity=similarity,
            threshold=threshold,
            max_age=max_age,
            sigmas=skeleton.sigmas or None,
        )
        self._clip: Clip | None = None
        self._size: tuple[int, int] | None = None  # of the frame before
        self._tracker = self._new()
        self._somebody = False  # whom the detector found
        self._carried: np.ndarray | None = None

    def carried(self, frame: Frame) -> Boxes | None:
        """Boxes from the frame before; None where the detector has its turn."""
        self._carried = None
        number = frame.index if frame.frame_id is None else frame.frame_id
        if number % self._interval == 0:
            return None
        if frame.clip is not self._clip or frame.size != self._size:
            return None
        boxes, scores, ids = self._tracker.carry(frame.size)
        # Everybody lost, as behind a cut: whoever is there now is not left waiting.
        if self._somebody and not len(ids):
            return None
        self._carried = ids
        return Boxes(boxes.astype(np.float32), scores.astype(np.float32))

    def keep(self, rows: np.ndarray) -> None:
        """Of the boxes carried to this frame, those that its result still has, in its order."""
        if self._carried is not None:
            self._carried = self._carried[rows]

    def named(self, frame: Frame, result: PoseResult) -> PoseResult:
        """The result with the ids of its people; carried ones that were lost are left out."""
        if frame.clip is not self._clip:
            self._clip, self._tracker = frame.clip, self._new()
        self._size = frame.size
        poses = (result.keypoints, result.keypoint_scores)
        if self._carried is None:
            self._somebody = len(result) > 0
            ids = self._tracker.update(result.boxes_xyxy, result.box_scores, *poses)
            return dataclasses.replace(result, track_ids=ids)
        kept = self._tracker.follow(self._carried, *poses)
        return dataclasses.replace(result, track_ids=self._carried)[kept]
