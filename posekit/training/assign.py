"""Assigns cells to boxes or people: dynamic soft label assignment, and SimOTA.

Source: RTMDet (arXiv 2212.07784), after SimOTA (YOLOX, arXiv 2107.08430); for people as in RTMO
(arXiv 2312.07526), by COCO's object keypoint similarity, OKS.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from posekit.errors import InputError

__all__ = ["Assignment", "assign_cells", "assign_people", "keypoint_similarity"]

TINY = 1e-7  # of a logarithm
MOST_COST = 1e5  # of a cell that is not near the middle of a person


class Assignment(NamedTuple):
    """What each cell of an image is assigned to.

    Attributes:
        indices: (A,), int64, number of the box or person; -1 is background.
        overlaps: (A,), IoU of the cell's prediction with that box, or its OKS with that person; 0
            for background.
    """

    indices: Tensor
    overlaps: Tensor


@torch.no_grad()
def assign_cells(
    logits: Tensor,
    predicted_xyxy: Tensor,
    points: Tensor,
    strides: Tensor,
    boxes_xyxy: Tensor,
    labels: Tensor,
    *,
    top_cells: int = 13,
    iou_weight: float = 3.0,
    center_radius: float = 3.0,
) -> Assignment:
    """Assigns its cheapest cells to each box.

    A pair's cost is the focal cross entropy with the IoU as the class's target, plus -log(IoU),
    weighted, plus 10^(distance to the box's centre in cells - radius). A box takes as many cells
    as the sum of its best IoUs, and at least one; a cell that several boxes take goes to the
    cheapest. Cells outside of all boxes are background.

    Args:
        logits: (A, C), of all levels' cells.
        predicted_xyxy: (A, 4), in pixels of the input.
        points: (A, 2), in pixels of the input.
        strides: (A,), pixels per cell.
        boxes_xyxy: (G, 4), in pixels of the input; G may be 0.
        labels: (G,), classes from 0.
        top_cells: how many of a box's best IoUs are summed.
        iou_weight: weight of the IoU's cost.
        center_radius: distance from the centre, in cells, at which the centre's cost is 1.

    Raises:
        InputError: labels that do not fit the boxes or the logits.
    """
    _check_labels(boxes_xyxy, labels, logits.shape[-1])
    inside = ((points[:, None] > boxes_xyxy[:, :2]) & (points[:, None] < boxes_xyxy[:, 2:])).all(-1)
    candidates = inside.any(dim=1).nonzero()[:, 0]  # (V,)
    if not len(candidates):
        return _nothing(points)

    overlaps = _pairwise_iou(predicted_xyxy[candidates], boxes_xyxy)  # (V, G)
    centers = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    distances = (points[candidates, None] - centers).norm(dim=-1) / strides[candidates, None]
    cost = (
        _class_cost(logits[candidates], labels.long(), overlaps)
        - iou_weight * (overlaps + TINY).log()
        + 10 ** (distances - center_radius)
    )
    return _matched(points, candidates, cost, overlaps, top_cells)


@torch.no_grad()
def assign_people(
    logits: Tensor,
    predicted_xyxy: Tensor,
    predicted_keypoints: Tensor,
    points: Tensor,
    strides: Tensor,
    boxes_xyxy: Tensor,
    keypoints: Tensor,
    visible: Tensor,
    areas: Tensor,
    *,
    sigmas: Tensor,
    top_cells: int = 10,
    iou_weight: float = 3.0,
    oks_weight: float = 3.0,
    center_radius: float = 2.5,
) -> Assignment:
    """Assigns to each person the cheapest cells that are in somebody's box or near their middle.

    A pair's cost is -log(IoU) and -log(OKS), weighted, plus -log of the root of the cell's
    probability; cells that are not both in the person's box and near the mean of their visible
    keypoints come after all others. A person takes as many cells as the sum of the best OKS, and at
    least one; a cell that several people take goes to the cheapest.

    Args:
        logits: (A,), for a person in each cell of all levels.
        predicted_xyxy: (A, 4), in pixels of the input.
        predicted_keypoints: (A, K, 2), likewise.
        points: (A, 2), the cells' middles, likewise.
        strides: (A,), pixels per cell.
        boxes_xyxy: (G, 4), boxes of the people; G may be 0.
        keypoints: (G, K, 2), in pixels of the input.
        visible: (G, K), 1 for keypoints that are labelled, else 0.
        areas: (G,), in pixels squared.
        sigmas: (K,), as COCO defines them.
        top_cells: how many of a person's best OKS are summed.
        iou_weight, oks_weight: weights of these costs.
        center_radius: what is near the middle: at most this far along x and along y, in strides.
    """
    shown = visible.sum(dim=-1, keepdim=True)  # (G, 1)
    means = (keypoints * visible[..., None]).sum(dim=-2) / shown.clamp(min=1)
    centers = means.where(shown > 0, (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2)
    inside = ((points[:, None] > boxes_xyxy[:, :2]) & (points[:, None] < boxes_xyxy[:, 2:])).all(-1)
    away = (points[:, None] - centers).abs().amax(dim=-1)  # (A, G)
    near = away < center_radius * strides[:, None]
    candidates = (inside | near).any(dim=1).nonzero()[:, 0]  # (V,)
    if not len(candidates):
        return _nothing(points)

    overlaps = _pairwise_iou(predicted_xyxy[candidates], boxes_xyxy)  # (V, G)
    similar = keypoint_similarity(
        predicted_keypoints[candidates, None], keypoints, areas, sigmas
    )  # (V, G, K)
    similar = (similar * visible).sum(dim=-1) / shown[:, 0].clamp(min=1)
    cost = (
        MOST_COST * ~(inside & near)[candidates]
        - iou_weight * (overlaps + TINY).log()
        - oks_weight * (similar + TINY).log()
        - 0.5 * functional.logsigmoid(logits[candidates, None])
    )
    return _matched(points, candidates, cost, similar, top_cells)


def keypoint_similarity(keypoints: Tensor, others: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """What each keypoint adds to COCO's object keypoint similarity, 0 to 1.

    Args:
        keypoints: (..., K, 2).
        others: likewise.
        areas: (...), in pixels squared.
        sigmas: (K,), as COCO defines them.

    Returns:
        (..., K).
    """
    # Not the root of the sum of squares, whose slope at 0 is undefined.
    squares = (keypoints - others).square().sum(dim=-1)
    return (-squares / (8 * sigmas.square() * areas.clamp(min=1e-8)[..., None])).exp()


def _nothing(points: Tensor) -> Assignment:
    indices = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    return Assignment(indices, points.new_zeros(len(points)))


def _matched(
    points: Tensor, candidates: Tensor, cost: Tensor, overlaps: Tensor, top_cells: int
) -> Assignment:
    """The cheapest of the candidates (V,) for each of G, given cost and overlaps (V, G)."""
    indices, of_cell = _nothing(points)
    taken = _cheapest(cost, _cell_counts(overlaps, top_cells))  # (V, G)
    contested = taken.sum(dim=1) > 1
    taken[contested] = functional.one_hot(cost[contested].argmin(dim=1), cost.shape[1]).bool()
    found = taken.any(dim=1)
    owners = taken[found].int().argmax(dim=1)
    indices[candidates[found]] = owners
    of_cell[candidates[found]] = overlaps[found].gather(1, owners[:, None])[:, 0]
    return Assignment(indices, of_cell)


def _class_cost(logits: Tensor, labels: Tensor, overlaps: Tensor) -> Tensor:
    """Focal cross entropy summed over classes, (V, C) and (V, G) -> (V, G).

    Only the box's own class has a target other than 0, so that the other classes' sum is one
    number per cell: no tensor over cells, boxes and classes.
    """
    probabilities = logits.sigmoid()
    as_background = functional.softplus(logits) * probabilities**2  # (V, C)
    own = logits[:, labels]  # (V, G)
    entropy = functional.binary_cross_entropy_with_logits(own, overlaps, reduction="none")
    own_cost = entropy * (overlaps - probabilities[:, labels]) ** 2
    return as_background.sum(dim=1, keepdim=True) - as_background[:, labels] + own_cost


def _cell_counts(overlaps: Tensor, top_cells: int) -> Tensor:
    """How many cells each box takes, (V, G) -> (G,)."""
    best = overlaps.topk(min(top_cells, len(overlaps)), dim=0).values
    return best.sum(dim=0).int().clamp(min=1)


def _cheapest(cost: Tensor, counts: Tensor) -> Tensor:
    """Marks the `counts` (G,) cheapest cells of each column, (V, G) -> (V, G) bool."""
    most = min(int(counts.max()), len(cost))
    cells = cost.topk(most, dim=0, largest=False).indices  # (most, G), cheapest first
    wanted = torch.arange(most, device=cost.device)[:, None] < counts
    return torch.zeros_like(cost, dtype=torch.bool).scatter_(0, cells, wanted)


def _pairwise_iou(boxes_xyxy: Tensor, others_xyxy: Tensor) -> Tensor:
    """(V, 4) and (G, 4) -> (V, G)."""
    low = torch.maximum(boxes_xyxy[:, None, :2], others_xyxy[:, :2])
    high = torch.minimum(boxes_xyxy[:, None, 2:], others_xyxy[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    areas = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(dim=-1)
    other_areas = (others_xyxy[:, 2:] - others_xyxy[:, :2]).prod(dim=-1)
    return overlap / (areas[:, None] + other_areas - overlap).clamp(min=1e-6)


def _check_labels(boxes_xyxy: Tensor, labels: Tensor, num_classes: int) -> None:
    if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[1] != 4 or labels.shape != boxes_xyxy.shape[:1]:
        raise InputError(
            f"expected boxes (G, 4) and labels (G,), found {tuple(boxes_xyxy.shape)} and "
            f"{tuple(labels.shape)}"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise InputError(
            f"expected labels from 0 to {num_classes - 1}, found {sorted(set(labels.tolist()))}: "
            "labels are indices into the list of classes, not category ids"
        )
