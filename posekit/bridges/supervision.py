"""Results as `KeyPoints` and `Detections` of Roboflow's `supervision`."""

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
    """Yields the `KeyPoints` of each image or frame, with the numbers unchanged.

    Args:
        results: see `posekit.bridges`.
        kpt_thr: keypoints below this score are not `visible`.

    Yields:
        `KeyPoints`, with `data["tracker_id"]` (n,) if people are tracked.

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
    """Yields the `Detections` of each image or frame: boxes, scores and `tracker_id`.

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
    """The links for `supervision.EdgeAnnotator(edges=...)`, which counts keypoints from 1."""
    return [(start + 1, end + 1) for start, end in skeleton.links]


def _ids(result: PoseResult) -> dict[str, Any]:
    return {} if result.track_ids is None else {"tracker_id": result.track_ids}
