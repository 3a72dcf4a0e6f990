"""What the codecs' training targets share: Gaussians, and which keypoints get one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from posekit.errors import InputError

__all__ = ["drawn_and_weights", "gaussians", "keypoint_tensors"]


def keypoint_tensors(
    keypoints: Tensor | np.ndarray, visible: Tensor | np.ndarray
) -> tuple[Tensor, Tensor]:
    """Keypoints (N, K, 2) and visibilities (N, K) as float32 tensors on the keypoints' device.

    Raises:
        InputError: shapes that do not fit each other.
    """
    keypoints = torch.as_tensor(keypoints).float()
    visible = torch.as_tensor(visible).to(keypoints)
    if keypoints.ndim != 3 or keypoints.shape[2] != 2 or visible.shape != keypoints.shape[:2]:
        raise InputError(
            "expected keypoints (N, K, 2) and their visibility (N, K), found "
            f"{tuple(keypoints.shape)} and {tuple(visible.shape)}"
        )
    return keypoints, visible


def drawn_and_weights(
    centers: Tensor, visible: Tensor, size: Sequence[int], reach: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Which keypoints get a target, and the weight of each one's loss.

    Args:
        centers: (N, K, 2), centres of the Gaussians, in cells.
        visible: (N, K).
        size: (w, h) of the targets, in cells.
        reach: (x, y), how far a Gaussian extends from its centre, in cells.

    Returns:
        (N, K) bool: visible and in reach of the target's cells; and weights (N, K): `visible`, but
        0 where only the target is out of reach.
    """
    extent = centers.new_tensor(reach)
    inside = (centers - extent < centers.new_tensor(size)) & (centers + extent + 1 >= 0)
    seen, inside = visible >= 0.5, inside.all(dim=-1)
    return seen & inside, visible.where(inside | ~seen, 0.0)


def gaussians(
    centers: Tensor, length: int, sigma: float, *, window: Tensor | None = None, reach: float = 0
) -> Tensor:
    """Gaussians of height 1 along an axis, (N, K) -> (N, K, length).

    Args:
        centers: (N, K), in cells.
        length: number of cells.
        sigma: standard deviation, in cells.
        window: (N, K), in cells: values more than `reach` from here are 0; None does not cut.
        reach: half the width of the window, in cells.
    """
    cells = torch.arange(length, device=centers.device, dtype=centers.dtype)
    values = torch.exp(-((cells - centers[..., None]) ** 2) / (2 * sigma**2))
    if window is None:
        return values
    return values.where((cells - window[..., None]).abs() <= reach, 0.0)
