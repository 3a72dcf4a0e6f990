"""Results in COCO's form: annotations of a data set, and what its server accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from posekit.skeleton import Skeleton

if TYPE_CHECKING:
    from posekit.result import PoseResult

__all__ = ["category", "coco_annotations", "rescored", "results"]

CATEGORY = 1


def category(skeleton: Skeleton) -> dict[str, Any]:
    """The COCO category of a skeleton; links count keypoints from 1, as COCO's do."""
    return {
        "id": CATEGORY,
        "name": "person" if skeleton.name.startswith(("coco", "halpe")) else skeleton.name,
        "supercategory": "person" if skeleton.name.startswith(("coco", "halpe")) else "",
        "keypoints": list(skeleton.names),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.links],
    }


def coco_annotations(
    result: PoseResult, image_id: int, *, first_id: int = 1, threshold: float = 0.3
) -> list[dict[str, Any]]:
    """One annotation per instance.

    Args:
        result: the result for the image.
        image_id: id of the image.
        first_id: id of the first annotation; the others follow.
        threshold: keypoints below this score are 0, 0, 0; others are visible (v = 2). Scores of
            SimCC models may exceed 1.
    """
    found = []
    scores = rescored(result.box_scores, result.keypoint_scores)
    for number in range(len(result)):
        seen = result.keypoint_scores[number] >= threshold
        points = np.where(seen[:, None], result.keypoints[number], 0)
        triples = np.column_stack([points, np.where(seen, 2, 0)])
        box = _xywh(result.boxes_xyxy[number])
        one: dict[str, Any] = {
            "id": first_id + number,
            "image_id": image_id,
            "category_id": CATEGORY,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
            "keypoints": [
                value
                for x, y, v in triples.tolist()
                for value in (round(x, 3), round(y, 3), int(v))
            ],
            "num_keypoints": int(seen.sum()),
            "score": float(scores[number]),
            "keypoint_scores": result.keypoint_scores[number].tolist(),
        }
        if result.track_ids is not None:
            one["track_id"] = int(result.track_ids[number])
        found.append(one)
    return found


def results(result: PoseResult, image_id: int) -> list[dict[str, Any]]:
    """What COCO's server accepts for each instance: keypoints as x, y, score."""
    scores = rescored(result.box_scores, result.keypoint_scores)
    triples = np.concatenate([result.keypoints, result.keypoint_scores[..., None]], axis=-1)
    return [
        {
            "image_id": image_id,
            "category_id": CATEGORY,
            "keypoints": triples[number].ravel().tolist(),
            "bbox": _xywh(result.boxes_xyxy[number]),
            "score": float(scores[number]),
        }
        for number in range(len(result))
    ]


def rescored(
    box_scores: np.ndarray, keypoint_scores: np.ndarray, *, threshold: float = 0.2
) -> np.ndarray:
    """A person's score: the box's times the mean of its keypoints' scores above a threshold.

    Args:
        box_scores: (n,).
        keypoint_scores: (n, K).
        threshold: keypoints below this score do not count.

    Returns:
        (n,); 0 for a person none of whose keypoints counts.
    """
    counts = keypoint_scores > threshold
    sums = np.where(counts, keypoint_scores, 0).sum(axis=1)
    scores: np.ndarray = box_scores * sums / np.maximum(counts.sum(axis=1), 1)
    return scores


def _xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]
