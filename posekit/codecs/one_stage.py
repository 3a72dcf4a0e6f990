"""RTMO's cells, each of which may hold a person -> boxes, scores and pose vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from posekit.codecs.anchors import offsets_to_boxes
from posekit.codecs.cells import cell_corners, flat_cells

__all__ = ["Cells", "PersonCells"]


class Cells(NamedTuple):
    """All A cells of all levels, of N images.

    Attributes:
        boxes_xyxy: (N, A, 4), in pixels of the input; they may reach beyond it.
        scores: (N, A), 0 to 1.
        keypoint_scores: (N, A, K), 0 to 1: how visible each keypoint is.
        vectors: (N, A, C), which the network's classifier turns into keypoints.
        centers: (A, 2), the middle pixels of the cells, in pixels of the input.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    keypoint_scores: Tensor
    vectors: Tensor
    centers: Tensor


class PersonCells:
    """People as a box, a score and a pose vector per cell (RTMO, arXiv 2312.07526).

    Args:
        strides: pixels per cell, level by level.
    """

    reads = ("classes", "cell_offsets", "visibility", "pose_vectors")

    def __init__(self, *, strides: Sequence[int] = (16, 32)) -> None:
        self.strides = tuple(strides)

    def decode(self, outputs: Sequence[Sequence[Tensor]]) -> Cells:
        """All cells of all levels.

        Args:
            outputs: class logits (N, 1, h, w), offsets (N, 4, h, w), logits of the visibility
                (N, K, h, w) and pose vectors (N, C, h, w), each per level.
        """
        logits, offsets, visibility, vectors = outputs
        # The middle of 16 pixels lies between the eighth and the ninth.
        centers = [
            cell_corners(level, stride) + (stride - 1) / 2
            for level, stride in zip(offsets, self.strides, strict=True)
        ]
        boxes = map(offsets_to_boxes, offsets, centers, self.strides)
        return Cells(
            torch.cat(list(boxes), dim=1),
            _joined(logits)[..., 0].sigmoid(),
            _joined(visibility).sigmoid(),
            _joined(vectors),
            torch.cat(centers),
        )


def _joined(levels: Sequence[Tensor]) -> Tensor:
    """(N, C, h, w) of each level -> (N, A, C), float32."""
    return torch.cat([flat_cells(level) for level in levels], dim=1)
