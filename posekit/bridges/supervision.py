"""Results as Roboflow's `supervision` has them: key points, and boxes with the ids of tracks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from posekit.bridges.results import Results, read_results
from posekit.packages import need
from posekit.result import PoseResult
from posekit.skeleton import Skeleton

if TYPE_CHECKING:
    from supervision import Detections, KeyPoints

__all__ = ["edges", "to_detections", "to_keypoints"]

PACKAGE = "supervision>=0.29"  # whose key points have a score each and one of the person


def to_keypoints(results: Results, *, kpt_thr: float = 0.3) -> Iterator[KeyPoints]:
    """The `KeyPoints` of each image or frame, numbers as the results have them.

    Args:
        results: see `posekit.bridges`.
        kpt_thr: the least score of a keypoint that is `visible`.

    Yields:
        With `data["tracker_id"]` (n,) where people are tracked.

    Raises:
        InputError: no results, or supervision is not installed.
    """
    library = need("supervision", PACKAGE)
    for result in read_results(results):
        yield library.KeyPoints(
            xy=result.keypoints,
            keypoint_confidence=result.keypoint_scores,
            detection_confidence=result.box_scores,
            class_id=np.zeros(len(result), int),
            visible=result.keypoint_scores >= kpt_thr,
            data=_ids(result),
        )


def to_detections(results: Results) -> Iterator[Detections]:
    """The `Detections` of each image or frame: boxes, their scores, `tracker_id`.

    Args:
        results: see `posekit.bridges`.

    Raises:
        InputError: no results, or supervision is not installed.
    """
    library = need("supervision", PACKAGE)
    for result in read_results(results):
        yield library.Detections(
            xyxy=result.boxes_xyxy,
            confidence=result.box_scores,
            class_id=np.zeros(len(result), int),
            tracker_id=result.track_ids,
        )


def edges(skeleton: Skeleton) -> list[tuple[int, int]]:
    """The links as `supervision.EdgeAnnotator(edges=...)` takes them: counted from 1."""
    return [(start + 1, end + 1) for start, end in skeleton.links]


def _ids(result: PoseResult) -> dict[str, Any]:
    return {} if result.track_ids is None else {"tracker_id": result.track_ids}
