"""Which cells of a detector answer for which box: dynamic soft label assignment.

Source: RTMDet (arXiv 2212.07784), after SimOTA (YOLOX, arXiv 2107.08430).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from posekit.errors import InputError

__all__ = ["Assignment", "assign_cells"]


class Assignment(NamedTuple):
    """What each cell of an image answers for.

    Attributes:
        indices: (A,), int64, of the box; -1 is background.
        ious: (A,), IoU of the cell's prediction with that box; 0 for background.
    """

    indices: Tensor
    ious: Tensor


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
    """Gives each box its cheapest cells.

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
        iou_weight: of the cost of the IoU.
        center_radius: cells from the centre at which that cost is 1.

    Raises:
        InputError: labels that do not fit the boxes or the logits.
    """
    _check_labels(boxes_xyxy, labels, logits.shape[-1])
    indices = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    ious = points.new_zeros(len(points))
    inside = ((points[:, None] > boxes_xyxy[:, :2]) & (points[:, None] < boxes_xyxy[:, 2:])).all(-1)
    candidates = inside.any(dim=1).nonzero()[:, 0]  # (V,)
    if not len(candidates):
        return Assignment(indices, ious)

    overlaps = _pairwise_iou(predicted_xyxy[candidates], boxes_xyxy)  # (V, G)
    centers = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    distances = (points[candidates, None] - centers).norm(dim=-1) / strides[candidates, None]
    cost = (
        _class_cost(logits[candidates], labels.long(), overlaps)
        - iou_weight * (overlaps + 1e-7).log()
        + 10 ** (distances - center_radius)
    )
    taken = _cheapest(cost, _cell_counts(overlaps, top_cells))  # (V, G)
    contested = taken.sum(dim=1) > 1
    taken[contested] = functional.one_hot(cost[contested].argmin(dim=1), len(labels)).bool()
    found = taken.any(dim=1)
    box_of_cell = taken[found].int().argmax(dim=1)
    indices[candidates[found]] = box_of_cell
    ious[candidates[found]] = overlaps[found].gather(1, box_of_cell[:, None])[:, 0]
    return Assignment(indices, ious)


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
            "labels are places in the list of classes, not category ids"
        )
