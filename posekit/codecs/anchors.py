"""Predictions relative to cells (YOLOX) and to anchors (SSD) -> boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from posekit.codecs.cells import Chosen, cell_corners, cells_above, flat_cells

__all__ = ["SSDBoxes", "YOLOXBoxes", "offsets_to_boxes"]


class YOLOXBoxes:
    """Boxes as an offset of the centre and a logarithmic size, in strides (arXiv 2107.08430).

    Args:
        strides: pixels per cell, level by level.
    """

    reads = ("classes", "cell_offsets", "objectness")

    def __init__(self, *, strides: Sequence[int] = (8, 16, 32)) -> None:
        self.strides = tuple(strides)

    def decode(
        self,
        outputs: tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]],
        cells: Sequence[Chosen] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """All A cells of all levels as boxes, or m chosen ones.

        Args:
            outputs: class logits (N, C, h, w), offsets (N, 4, h, w) and objectness logits
                (N, 1, h, w), each per level.
            cells: those of each level that are chosen.

        Returns:
            Boxes (N, A, 4) or (m, 4), xyxy in pixels of the input, and probabilities (N, A, C) or
            (m, C): class times objectness for the best class of a cell, zero for its others, since
            a cell stands for one object.
        """
        boxes, scores = [], []
        chosen = [None] * len(self.strides) if cells is None else cells
        for logits, offsets, objectness, stride, some in zip(
            *outputs, self.strides, chosen, strict=True
        ):
            corners = cell_corners(offsets, stride, some)
            boxes.append(offsets_to_boxes(offsets, corners, stride, some))
            best, labels = flat_cells(logits, some).sigmoid().max(dim=-1, keepdim=True)
            best = best * flat_cells(objectness, some).sigmoid()  # (N, h * w, 1)
            level = best.new_zeros(*best.shape[:-1], logits.shape[1])
            scores.append(level.scatter_(-1, labels, best))
        return torch.cat(boxes, dim=-2), torch.cat(scores, dim=-2)

    def cells_above(
        self,
        outputs: tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]],
        score: float,
    ) -> list[Chosen]:
        """Per level the cells with a probability that may be above a score."""
        # A product of probabilities is at most the smaller one.
        return cells_above(zip(outputs[0], outputs[2], strict=True), score)


class SSDBoxes:
    """Boxes as deltas from anchors of several sizes and shapes (arXiv 1512.02325).

    Each cell has, around its centre, a square of the level's minimal size, a square of the
    geometric mean of minimal and maximal size, and two rectangles of the minimal size's area per
    aspect ratio.

    Args:
        strides: pixels per cell, level by level.
        min_sizes: minimal size of each level, in pixels.
        max_sizes: maximal size of each level, in pixels.
        ratios: aspect ratios; each one gives a wide and a tall rectangle.
        stds: scale of the deltas of (x, y, w, h).
    """

    # A side changes by at most this factor, lest exp() overflow.
    MAX_LOG_RATIO = math.log(1000 / 16)

    reads = ("classes", "anchor_deltas")

    def __init__(
        self,
        *,
        strides: Sequence[int],
        min_sizes: Sequence[float],
        max_sizes: Sequence[float],
        ratios: Sequence[float] = (2, 3),
        stds: Sequence[float] = (0.1, 0.1, 0.2, 0.2),
    ) -> None:
        self.strides = tuple(strides)
        self.stds = tuple(stds)
        shapes = [1.0, *(value for ratio in ratios for value in (1 / ratio, float(ratio)))]
        self.anchor_sizes = []  # per level (A, 2): width, height
        for small, large in zip(min_sizes, max_sizes, strict=True):
            sizes = [(small / shape**0.5, small * shape**0.5) for shape in shapes]
            sizes.insert(1, ((small * large) ** 0.5, (small * large) ** 0.5))
            self.anchor_sizes.append(torch.tensor(sizes))

    def decode(
        self, outputs: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
    ) -> tuple[Tensor, Tensor]:
        """All anchors of all levels as boxes.

        Args:
            outputs: class logits (N, A * (C + 1), h, w) for A anchors per cell, background last,
                and deltas (N, A * 4, h, w), each per level.

        Returns:
            Boxes (N, all anchors, 4), xyxy in pixels of the input, and probabilities
            (N, all anchors, C).
        """
        boxes, scores = [], []
        for logits, deltas, sizes, stride in zip(
            *outputs, self.anchor_sizes, self.strides, strict=True
        ):
            batch, num_anchors = len(logits), len(sizes)
            sizes = sizes.to(logits.device)
            centers = cell_corners(logits, stride)[:, None] + stride / 2  # (h * w, 1, 2)
            scaled = flat_cells(deltas).unflatten(-1, (num_anchors, 4)) * sizes.new_tensor(
                self.stds
            )
            shift, log_ratio = scaled.split(2, dim=-1)  # (N, h * w, A, 2) each
            ratio = log_ratio.clamp(-self.MAX_LOG_RATIO, self.MAX_LOG_RATIO).exp()
            boxes.append(_to_xyxy(centers + shift * sizes, ratio * sizes).flatten(1, 2))
            classes = flat_cells(logits).reshape(batch, -1, logits.shape[1] // num_anchors)
            scores.append(classes.softmax(dim=-1)[..., :-1])
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)


def offsets_to_boxes(
    offsets: Tensor, points: Tensor, stride: int, chosen: Chosen | None = None
) -> Tensor:
    """Boxes (N, h * w, 4), xyxy, of a level, or (m, 4) of chosen cells.

    Args:
        offsets: (N, 4, h, w), from the cells' points to the boxes' centres, and logarithms of the
            sizes, in strides.
        points: (h * w, 2) or (m, 2), in pixels.
        stride: pixels per cell.
        chosen: cells; None for all.
    """
    center, size = flat_cells(offsets, chosen).split(2, dim=-1)  # (N, h * w, 2) each
    return _to_xyxy(center * stride + points, size.exp() * stride)


def _to_xyxy(center: Tensor, size: Tensor) -> Tensor:
    return torch.cat([center - size / 2, center + size / 2], dim=-1)
