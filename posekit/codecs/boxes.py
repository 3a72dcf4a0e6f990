"""Dense predictions of point-based detectors -> boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from posekit.codecs.cells import Chosen, cell_corners, cells_above, flat_cells

__all__ = ["DistanceBoxes"]


class DistanceBoxes:
    """Boxes as distances from each cell's top left corner to the four sides (RTMDet, FCOS).

    Args:
        strides: pixels per cell, level by level.
    """

    reads = ("classes", "distances")

    def __init__(self, *, strides: Sequence[int] = (8, 16, 32)) -> None:
        self.strides = tuple(strides)

    def decode(
        self,
        outputs: tuple[tuple[Tensor, ...], tuple[Tensor, ...]],
        cells: Sequence[Chosen] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """All A cells of all levels as boxes, or m chosen ones.

        Args:
            outputs: class logits per level (N, C, h, w), distances per level (N, 4, h, w) to the
                left, top, right and bottom side in pixels of the network's input.
            cells: those of each level that are chosen.

        Returns:
            Boxes (N, A, 4) or (m, 4), xyxy in pixels of the input, and probabilities (N, A, C) or
            (m, C).
        """
        boxes, scores = [], []
        chosen = [None] * len(self.strides) if cells is None else cells
        for logits, distances, stride, some in zip(*outputs, self.strides, chosen, strict=True):
            corners = cell_corners(logits, stride, some)
            sides = flat_cells(distances, some)
            boxes.append(torch.cat([corners - sides[..., :2], corners + sides[..., 2:]], dim=-1))
            scores.append(flat_cells(logits, some).sigmoid())
        return torch.cat(boxes, dim=-2), torch.cat(scores, dim=-2)

    def cells_above(
        self, outputs: tuple[tuple[Tensor, ...], tuple[Tensor, ...]], score: float
    ) -> list[Chosen]:
        """Per level the cells with a probability that may be above a score."""
        return cells_above(zip(outputs[0], strict=True), score)
