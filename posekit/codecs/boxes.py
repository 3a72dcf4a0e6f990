"""Dense predictions of point-based detectors -> boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

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
        self, outputs: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
    ) -> tuple[Tensor, Tensor]:
        """All A cells of all levels as boxes.

        Args:
            outputs: class logits per level (N, C, h, w), distances per level (N, 4, h, w) to the
                left, top, right and bottom side in pixels of the network's input.

        Returns:
            Boxes (N, A, 4), xyxy in pixels of the input, and probabilities (N, A, C).
        """
        boxes, scores = [], []
        for logits, distances, stride in zip(*outputs, self.strides, strict=True):
            height, width = logits.shape[-2:]
            y, x = torch.meshgrid(
                torch.arange(height, device=logits.device, dtype=torch.float32) * stride,
                torch.arange(width, device=logits.device, dtype=torch.float32) * stride,
                indexing="ij",
            )
            corners = torch.stack([x, y]).flatten(1).T  # (h * w, 2)
            sides = distances.float().flatten(2).transpose(1, 2)  # (N, h * w, 4)
            boxes.append(torch.cat([corners - sides[..., :2], corners + sides[..., 2:]], dim=-1))
            scores.append(logits.float().flatten(2).transpose(1, 2).sigmoid())
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)
