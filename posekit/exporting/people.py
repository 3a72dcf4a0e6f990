"""A one-stage model's decoding in operations of a graph, and distances between people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posekit.stages.detect import MAX_CANDIDATES
from posekit.stages.one_stage import OneStageEstimator
from posekit.transforms.device import batched_nms

__all__ = ["MAX_PEOPLE", "best_people", "people_distances", "suppressed_people"]

MAX_PEOPLE = 100  # of an image
SCORE_MARGIN = 0.01  # above the threshold, where rounding neither makes a person nor takes one away


def suppressed_people(
    estimator: OneStageEstimator, outputs: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `OneStageEstimator`, in operations of a graph: the best 100 people of each of n images.

    Returns:
        Boxes (n, m, 4), scores (n, m), best first, 0 where there are fewer, keypoints
        (n, m, K, 2) and their scores (n, m, K), in pixels of the input.
    """
    cells = estimator.cells(outputs)
    count = cells.scores.shape[1]
    best, places = cells.scores.topk(min(MAX_CANDIDATES, count))  # (n, k) each
    boxes = _rows(cells.boxes_xyxy, places)
    labels = torch.zeros_like(places)
    valid = best > estimator.score_threshold
    kept, _ = batched_nms(boxes, valid, labels, estimator.nms_threshold)
    scores, order = (best * kept).topk(min(MAX_PEOPLE, best.shape[1]))
    cell = places.gather(1, order)  # (n, m)
    boxes = _rows(cells.boxes_xyxy, cell)
    keypoints = estimator.classifier(
        _rows(cells.vectors, cell).flatten(0, 1),
        boxes.flatten(0, 1),
        cells.centers[cell.flatten()],
    ).unflatten(0, (-1, cell.shape[1]))
    width, height = estimator.input_size
    limits = boxes.new_tensor([width, height, width, height])
    clipped = torch.minimum(boxes.clamp(min=0), limits)
    return clipped, scores, keypoints, _rows(cells.keypoint_scores, cell)


def _rows(values: Tensor, places: Tensor) -> Tensor:
    """The rows (n, m, C) of values (n, A, C) at each image's places (n, m)."""
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))


@torch.no_grad()
def best_people(estimator: OneStageEstimator, outputs: Any, cells_of: Any) -> tuple[Tensor, Tensor]:
    """Keypoints (n, 100, K, 2) and scores (n, 100) in the cells that are best in other outputs.

    Args:
        estimator: the model that both outputs are of.
        outputs: raw outputs, which are decoded.
        cells_of: raw outputs that determine the best cells.
    """
    places = estimator.cells(cells_of).scores.topk(MAX_PEOPLE).indices
    cells = estimator.cells(outputs)
    keypoints = estimator.classify(
        _rows(cells.vectors, places).flatten(0, 1),
        _rows(cells.boxes_xyxy, places).flatten(0, 1),
        cells.centers[places.flatten()],
    )
    return keypoints.unflatten(0, places.shape), cells.scores.gather(1, places)


def people_distances(
    estimator: OneStageEstimator, crops: np.ndarray, outputs: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (m, K) from each person's keypoints to those of the person with the nearest box.

    Args:
        estimator: what finds people in the crops.
        crops: (n, h, w, 3), BGR, uint8, of the input's size.
        outputs: a file's, in the form that `suppressed_people` returns.
    """
    away: list[np.ndarray] = [np.zeros((0, estimator.skeleton.num_keypoints))]
    differences: list[np.ndarray] = [np.zeros(0)]
    for people, boxes, scores, keypoints in zip(estimator(list(crops)), *outputs[:3], strict=True):
        kept = scores > 0
        own = (people.boxes_xyxy, people.scores, people.poses.keypoints)
        other = (boxes[kept], scores[kept], keypoints[kept])
        # From both, so that neither loses nor adds a person.
        for side, opposite in ((own, other), (other, own)):
            clear = side[1] > estimator.score_threshold + SCORE_MARGIN
            clear[MAX_PEOPLE - MAX_PEOPLE // 10 :] = False  # the last of the file's may be cut off
            for box, score, points in zip(*(values[clear] for values in side), strict=True):
                if not len(opposite[0]):
                    away.append(np.full((1, len(points)), np.inf))
                    continue
                nearest = np.abs(opposite[0] - box).max(axis=1).argmin()
                away.append(np.linalg.norm(opposite[2][nearest] - points, axis=-1)[None])
                differences.append(np.abs(opposite[1][nearest, None] - score))
    return np.concatenate(away), np.concatenate(differences)
