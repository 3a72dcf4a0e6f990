"""Non-maximum suppression."""

from __future__ import annotations

import numpy as np

__all__ = ["nms"]


def nms(
    boxes_xyxy: np.ndarray, scores: np.ndarray, threshold: float, *, pixel_offset: float = 0.0
) -> np.ndarray:
    """Greedy suppression of boxes that overlap a better one.

    Args:
        boxes_xyxy: (n, 4).
        scores: (n,).
        threshold: boxes whose IoU with a kept one is larger go.
        pixel_offset: 1 counts both border pixels into a side's length, as older evaluation code
            does; 0 measures it.

    Returns:
        Indices of the boxes kept, best first; ties keep the input's order.
    """
    order = np.argsort(-scores, kind="stable")
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    areas = (high - low + pixel_offset).prod(axis=1)
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        sides = np.minimum(high[best], high[rest]) - np.maximum(low[best], low[rest])
        overlap = np.maximum(sides + pixel_offset, 0).prod(axis=1)
        union = areas[best] + areas[rest] - overlap
        order = rest[overlap <= threshold * union]
    return np.array(kept, dtype=np.intp)
