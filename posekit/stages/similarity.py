"""How alike the people of two frames are: IoU of their boxes, OKS of their poses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "Bools",
    "Floats",
    "box_areas",
    "box_centers",
    "box_iou",
    "box_iou_rowwise",
    "mean_scores",
    "pose_oks",
    "reliable",
    "shares_inside",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# About the mean of COCO's 17, for skeletons without sigmas.
DEFAULT_SIGMA = 0.06
# A keypoint counts where its score is at least this share of its person's mean: scores of SimCC
# models have no fixed scale.
RELIABLE_SHARE = 0.5


def box_iou(boxes: Floats, others: Floats) -> Floats:
    """IoU (m, n) of boxes (m, 4) and (n, 4)."""
    return box_iou_rowwise(boxes[:, None], others[None])


def box_iou_rowwise(boxes: Floats, others: Floats) -> Floats:
    """IoU of boxes (..., 4), broadcast against each other; 0 where neither has an area."""
    low = np.maximum(boxes[..., :2], others[..., :2])
    high = np.minimum(boxes[..., 2:], others[..., 2:])
    inside = np.maximum(high - low, 0)
    overlap = inside[..., 0] * inside[..., 1]  # faster than numpy's prod along so short an axis
    union = box_areas(boxes) + box_areas(others) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def shares_inside(boxes: Floats, others: Floats) -> Floats:
    """The fraction (m, n) of each box (m, 4) that lies in each of the others (n, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap = np.maximum(high - low, 0).prod(axis=-1)
    return overlap / np.maximum(box_areas(boxes), 1e-9)[:, None]


def pose_oks(
    tracks: tuple[Floats, Floats, Floats],
    people: tuple[Floats, Floats, Floats],
    sigmas: Floats,
) -> Floats:
    """OKS (m, n) of boxes (m, 4), keypoints (m, K, 2), scores (m, K) and those of n people.

    For pairs with a body's width between them it is 0 in any case, so only the others are computed.
    """
    boxes, points, scores = tracks
    other_boxes, other_points, other_scores = people
    near = box_iou(_doubled_boxes(boxes), _doubled_boxes(other_boxes)) > 0
    rows, columns = np.nonzero(near)
    counted = reliable(scores)[rows] & reliable(other_scores)[columns]  # (pairs, K)
    squared = ((points[rows] - other_points[columns]) ** 2).sum(axis=-1)
    spread = 2 * (2 * (sigmas if len(sigmas) else DEFAULT_SIGMA)) ** 2
    area = np.maximum(box_areas(boxes)[rows], 1e-9)
    likeness = np.exp(-squared / (spread * area[:, None])) * counted
    similar = np.zeros(near.shape)
    similar[rows, columns] = likeness.sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return similar


def _doubled_boxes(boxes: Floats) -> Floats:
    half = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([box_centers(boxes) - half, box_centers(boxes) + half], axis=1)


def box_areas(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    areas: Floats = sides[..., 0] * sides[..., 1]
    return areas


def box_centers(boxes: Floats) -> Floats:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def reliable(scores: Floats) -> Bools:
    """Which keypoints (m, K) are as sure as their person's others."""
    return (scores > 0) & (scores >= RELIABLE_SHARE * mean_scores(scores)[:, None])


def mean_scores(scores: Floats) -> Floats:
    return np.maximum(scores, 0).sum(axis=1) / max(scores.shape[1], 1)
