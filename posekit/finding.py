"""Frames -> packets: boxes, keypoints, and ids of people over the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from posekit.options import PredictOptions
from posekit.result import PoseResult
from posekit.stages.boxes import Boxes, GivenBoxes, whole_image
from posekit.stages.camera3d import CameraEstimator
from posekit.stages.choose import Chooser
from posekit.stages.clip_tracks import ClipTracks
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator, Poses, doubles_left_out
from posekit.stages.estimators import Estimator
from posekit.stages.hand3d import HandEstimator
from posekit.stages.one_stage import Choose, OneStageEstimator
from posekit.stages.packet import Frame, Packet, in_chunks
from posekit.stages.track import Similarity
from posekit.timeline import span
from posekit.transforms.device import place_images

__all__ = ["PoseFinder", "has_heatmaps"]


def has_heatmaps(estimator: Estimator) -> bool:
    """Whether there are heat maps to draw."""
    return isinstance(estimator, PoseEstimator) and estimator.heatmap_size is not None


@dataclass(frozen=True, kw_only=True)
class PoseFinder:
    """The networks that see images, at work for one call of the predictor.

    Attributes:
        estimator: boxes -> keypoints, or images -> people with their keypoints.
        detector: a function that returns the detector when first needed; None takes each image as
            one box.
        det_cat_ids: the detector's classes that the model is for.
        options: options of the call.
    """

    estimator: Estimator
    detector: Callable[[], Detector | None]
    det_cat_ids: Sequence[int]
    options: PredictOptions

    def packets(
        self,
        frames: Iterator[Frame],
        *,
        similarity: Similarity | Any | None = None,
        det_interval: int | Literal["auto"] = 1,
        keep_images: bool = True,
    ) -> Iterator[Packet]:
        """Yields the 2D poses of each frame, with ids if people are tracked.

        Args:
            frames: in order.
            similarity: how people are tracked, as `ClipTracks` takes it; None for no tracking.
            det_interval: as `PredictOptions.det_interval`.
            keep_images: whether packets keep the images of a video, which then stay in memory while
                a window is filled.
        """
        options = self.options
        given = None if options.bboxes is None else GivenBoxes(options.bboxes)
        tracks = None if similarity is None else self._tracks(similarity, det_interval)
        choose = self._chooser(tracked=tracks is not None)
        # Where tracks carry boxes, a frame's depend on the poses of the one before.
        chunk_size = options.batch_size if det_interval == 1 else 1
        for chunk in in_chunks(frames, chunk_size, gpu=self.estimator.device.type == "cuda"):
            numbers = [frame.index for frame in chunk]
            # Once for both networks, where they are on a GPU.
            images = place_images([frame.image for frame in chunk], self.estimator.device)
            carried = tracks.carried(chunk[0]) if tracks is not None else None
            if isinstance(self.estimator, OneStageEstimator):
                with span("pose", frames=numbers):
                    boxes, poses = self._at_once(self.estimator, chunk, images, choose)
            else:
                if given is not None:
                    boxes = [given.of(frame.index) for frame in chunk]
                elif carried is not None:
                    boxes = [carried]
                else:
                    with span("detect", frames=numbers):
                        boxes = self._detect(images)
                boxes = _chosen(chunk, boxes, choose)
                with span("pose", frames=numbers):
                    poses = self._poses(images, boxes)
                if tracks is not None and tracks.lost(poses[0]):
                    with span("detect", frames=numbers):
                        boxes = _chosen(chunk, self._detect(images), choose)
                    poses = self._poses(images, boxes)
            for frame, box, pose in zip(chunk, boxes, poses, strict=True):
                result = self._result(frame, box, pose)
                if options.pose_based_nms:
                    kept = doubles_left_out(result)
                    result = result[kept]
                    if tracks is not None:
                        tracks.keep(kept)
                if tracks is not None:
                    with span("track", frame=frame.index):
                        result = tracks.named(frame, result)
                keep = keep_images or frame.clip is None or frame.clip.live
                image = frame.image if keep else None
                yield Packet(result, frame.clip, frame.time, image, pose.heatmap)

    def _tracks(self, similarity: Any, det_interval: int | Literal["auto"]) -> ClipTracks:
        options = self.options
        return ClipTracks(
            self.estimator.skeleton,
            similarity=similarity,
            threshold=options.tracking_thr,
            max_age=options.max_age // options.stride,
            det_interval=det_interval,
            images=options.det_interval is not None,
        )

    def _chooser(self, *, tracked: bool) -> Chooser | None:
        options = self.options
        if options.most_people is None:
            return None
        return Chooser(
            options.most_people,
            options.select or "score",
            max_age=options.max_age // options.stride if tracked else None,
            threshold=options.tracking_thr,
        )

    def _result(self, frame: Frame, boxes: Boxes, poses: Poses) -> PoseResult:
        return PoseResult(
            keypoints=poses.keypoints,
            keypoint_scores=poses.scores,
            boxes_xyxy=boxes.xyxy,
            box_scores=boxes.scores,
            skeleton=self.estimator.skeleton,
            image_size=frame.size,
            name=frame.name,
            index=frame.index,
            source=frame.source,
            frame_id=frame.frame_id,
            time=frame.time,
            pose3d=poses.pose3d,
        )

    def _detect(self, images: Sequence[np.ndarray | Tensor]) -> list[Boxes]:
        """The boxes of each image that the detector finds, or the image itself without one."""
        detector = self.detector()
        if detector is None:
            return [whole_image(image) for image in images]
        options = self.options
        score_threshold, nms_threshold = options.detection_thresholds
        return detector.find_boxes(
            images,
            options.det_categories or self.det_cat_ids,
            score_threshold=score_threshold,
            nms_threshold=nms_threshold,
            whole_if_none=options.empty == "whole_image",
        )

    def _at_once(
        self,
        estimator: OneStageEstimator,
        chunk: Sequence[Frame],
        images: Sequence[np.ndarray | Tensor],
        choose: Chooser | None,
    ) -> tuple[list[Boxes], list[Poses]]:
        """Boxes and poses of each image, by a model that needs no boxes."""
        chosen: Choose | None = None
        if choose is not None:
            chooser = choose

            def chosen(place: int, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
                return chooser(chunk[place], boxes, scores)

        people = estimator(
            images,
            score_threshold=self.options.bbox_thr,
            nms_threshold=self.options.nms_thr,
            choose=chosen,
        )
        boxes = [Boxes(found.boxes_xyxy, found.scores) for found in people]
        return boxes, [found.poses for found in people]

    def _poses(self, images: Sequence[np.ndarray | Tensor], boxes: Sequence[Boxes]) -> list[Poses]:
        options = self.options
        corners = [of_image.xyxy for of_image in boxes]
        shared: dict[str, Any] = {
            "flip_test": options.flip_test,
            "batch_size": options.pose_batch_size,
        }
        if isinstance(self.estimator, HandEstimator):
            on_ground = not options.disable_rebase_keypoint
            return self.estimator(images, corners, on_ground=on_ground, **shared)
        if isinstance(self.estimator, CameraEstimator):
            return self.estimator(images, corners, **shared)
        assert isinstance(self.estimator, PoseEstimator)
        heatmap = options.draw_heatmap and has_heatmaps(self.estimator)
        return self.estimator(images, corners, with_heatmap=heatmap, **shared)


def _chosen(chunk: Sequence[Frame], boxes: Sequence[Boxes], choose: Chooser | None) -> list[Boxes]:
    """The boxes of the people that are wanted."""
    if choose is None:
        return list(boxes)
    return [
        found[choose(frame, found.xyxy, found.scores)]
        for frame, found in zip(chunk, boxes, strict=True)
    ]
