"""Metrics of 3D poses: MPJPE, and the same after alignment of scale (N-) or pose (P-).

Source: Human3.6M (PAMI 2014) for MPJPE and its protocols, N-MPJPE (arXiv 1804.01110).
"""

from __future__ import annotations

import numpy as np

from posekit.errors import InputError

__all__ = ["MPJPE", "procrustes_aligned", "scale_aligned"]

ALIGNMENTS = ("none", "scale", "procrustes")
NAMES = {"none": "MPJPE", "scale": "N-MPJPE", "procrustes": "P-MPJPE"}


class MPJPE:
    """Mean distance of joints, as published, in the poses' unit; it keeps only sums.

    Args:
        alignments: any of "none" (MPJPE), "scale" (N-MPJPE) and "procrustes" (P-MPJPE).

    Raises:
        InputError: an alignment of another name.
    """

    def __init__(self, alignments: tuple[str, ...] = ALIGNMENTS) -> None:
        for alignment in alignments:
            if alignment not in ALIGNMENTS:
                raise InputError(
                    f"alignment must be one of {', '.join(ALIGNMENTS)}, found '{alignment}'"
                )
        self.totals = dict.fromkeys(alignments, 0.0)
        self.count = 0

    def update(
        self, poses: np.ndarray, truth: np.ndarray, visible: np.ndarray | None = None
    ) -> None:
        """Takes a batch.

        Args:
            poses: (n, K, 3).
            truth: (n, K, 3).
            visible: (n, K); a joint with 0 does not count, but takes part in the alignment if it is
                finite, as in MMPose. None counts all.

        Raises:
            InputError: shapes that do not fit each other.
        """
        poses, truth = np.asarray(poses, np.float64), np.asarray(truth, np.float64)
        seen = np.ones(truth.shape[:2], bool) if visible is None else np.asarray(visible) > 0
        if truth.ndim != 3 or poses.shape != truth.shape or seen.shape != truth.shape[:2]:
            raise InputError(
                "expected poses and truth (n, K, 3) and visible (n, K), found "
                f"{poses.shape}, {truth.shape} and {seen.shape}"
            )
        # Joints that do not count may be nowhere (NaN), and cannot align then.
        placed = np.isfinite(poses).all(axis=-1) & np.isfinite(truth).all(axis=-1)
        for alignment in self.totals:
            aligned = poses
            if alignment == "scale":
                aligned = scale_aligned(poses, truth, placed)
            elif alignment == "procrustes":
                aligned = procrustes_aligned(poses, truth, placed)
            errors = np.linalg.norm(aligned - truth, axis=-1)
            self.totals[alignment] += float(errors[seen].sum())
        self.count += int(seen.sum())

    def compute(self) -> dict[str, float]:
        """ "MPJPE", "N-MPJPE" and "P-MPJPE" as asked for; NaN where no joint counted."""
        count = self.count or float("nan")
        return {NAMES[alignment]: total / count for alignment, total in self.totals.items()}


def scale_aligned(
    poses: np.ndarray, truth: np.ndarray, used: np.ndarray | None = None
) -> np.ndarray:
    """Poses (n, K, 3), each times the factor that brings it closest to the truth (n, K, 3).

    The joints that are `used` (n, K) determine the factor; None takes all.
    """
    among = True if used is None else used[..., None]
    power = (poses**2).sum(axis=(1, 2), keepdims=True, where=among)
    product = (poses * truth).sum(axis=(1, 2), keepdims=True, where=among)
    return poses * np.divide(product, power, out=np.ones_like(power), where=power > 0)


def procrustes_aligned(
    poses: np.ndarray, truth: np.ndarray, used: np.ndarray | None = None
) -> np.ndarray:
    """Poses, each rotated, scaled and moved to be closest to the truth.

    Args:
        poses: (n, K, 3).
        truth: (n, K, 3).
        used: (n, K), which joints to align by; None takes all.

    Returns:
        (n, K, 3).
    """
    by = np.ones(truth.shape[:2], bool) if used is None else np.asarray(used) > 0
    weights = by / np.maximum(by.sum(axis=1, keepdims=True), 1)  # (n, K)
    pose_mean, truth_mean = (
        (values * weights[..., None]).sum(axis=1, keepdims=True, where=by[..., None])
        for values in (poses, truth)
    )
    centered = np.where(by[..., None], poses - pose_mean, 0)
    target = np.where(by[..., None], truth - truth_mean, 0)
    u, stretch, vt = np.linalg.svd(centered.transpose(0, 2, 1) @ target)
    # A reflection is no rotation: turn the least axis around.
    sign = np.ones_like(stretch)
    sign[:, -1] = np.where(np.linalg.det(u @ vt) < 0, -1, 1)
    rotation = (u * sign[:, None]) @ vt  # (n, 3, 3), from the right
    power = (centered**2).sum(axis=(1, 2))
    fitted = (stretch * sign).sum(axis=1)
    scale = np.divide(fitted, power, out=np.ones_like(power), where=power > 0)
    return scale[:, None, None] * ((poses - pose_mean) @ rotation) + truth_mean
