"""Where a person is in space, from 2D keypoints, a pose of known size and a focal length.

A keypoint at the normalised image position (a, b) lies on the ray x = -a z, y = -b z, so each gives
two linear equations for the root. They are solved for all frames together, with what is known about
how people move: the root does not accelerate at will, and a foot that is planted stays. Depth,
about which an image says least, is smoothed most by this, and frames without keypoints are bridged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded

__all__ = ["Sighting", "solve_root"]

# What is expected: of a keypoint's place, of the root's acceleration, of a foot that is planted.
JOINT_ERROR = 0.03  # metres
ACCELERATION = 5.0  # metres per second squared
PLANTED_ERROR = 0.005  # metres per frame
OUTLIER = 0.1  # metres: a keypoint this far off counts half
PASSES = 3  # in which outliers lose their weight
# Keeps what nothing else says near the distance that the person's size in the image says.
PRIOR = 1e-6
BLOCK = 1024  # frames whose equations are made together
NEAREST = 0.2  # metres: nobody is behind the camera


@dataclass(frozen=True, eq=False)
class Sighting:
    """A person over F frames.

    Attributes:
        relative: (F, J, 3), joints relative to the root, in metres.
        image: (F, J, 2), where they are seen, in focal lengths from the image's middle, y up.
        weights: (F, J), how much each counts; 0 where there is none.
        fps: frames per second.
    """

    relative: np.ndarray
    image: np.ndarray
    weights: np.ndarray
    fps: float


def solve_root(
    seen: Sighting, ankles: np.ndarray | None = None, planted: np.ndarray | None = None
) -> np.ndarray:
    """The root's positions (F, 3), in metres.

    Args:
        seen: the person.
        ankles: (F, 2, 3), relative to the root, in metres.
        planted: (F, 2), bool, whether each of these stays in place.
    """
    frames = len(seen.relative)
    prior = _prior(seen)
    bands, right = _smoothness(frames, seen.fps)
    if ankles is not None and planted is not None:
        _add_feet(bands, right, ankles, planted)
    root = None
    for _ in range(PASSES):
        rows, target = bands.copy(order="F"), right.copy()
        for start in range(0, frames, BLOCK):  # of all at once, what this takes is much larger
            part = slice(start, start + BLOCK)
            block = Sighting(seen.relative[part], seen.image[part], seen.weights[part], seen.fps)
            weights = block.weights if root is None else _inliers(block, root[part])
            _add_rays(rows[:, 3 * start : 3 * (start + BLOCK)], target[part], block, weights)
        rows[6] += PRIOR
        target += PRIOR * prior
        solved = solveh_banded(rows, target.ravel(), overwrite_ab=True, overwrite_b=True)
        root = solved.reshape(frames, 3)
        root[:, 2] = np.minimum(root[:, 2], -NEAREST)
    assert root is not None
    return root


def _inliers(seen: Sighting, root: np.ndarray) -> np.ndarray:
    """Weights (F, J), less where a root (F, 3) leaves a keypoint far off."""
    x, y, z = np.moveaxis(seen.relative, -1, 0)
    a, b = np.moveaxis(seen.image, -1, 0)
    tx, ty, tz = root.T[:, :, None]
    squared = (tx + x + a * (tz + z)) ** 2 + (ty + y + b * (tz + z)) ** 2
    weights: np.ndarray = seen.weights / (1 + squared / OUTLIER**2)
    return weights


def _prior(seen: Sighting) -> np.ndarray:
    """A place (3,) by the person's size in the image: weak perspective, over all frames."""
    counted = seen.weights[..., None] > 0
    if not counted.any():
        return np.array([0.0, 0.0, -5.0])

    def spread(points: np.ndarray) -> float:
        total = np.maximum(counted.sum(axis=1, keepdims=True), 1)
        middle = np.where(counted, points, 0).sum(axis=1, keepdims=True) / total
        return float(np.sqrt((np.where(counted, points - middle, 0) ** 2).sum()))

    distance = spread(seen.relative[..., :2]) / max(spread(seen.image), 1e-6)
    middle = np.median(seen.image[counted[..., 0]], axis=0)
    return np.array([*(middle * distance), -distance])


def _smoothness(frames: int, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Upper bands (7, 3 F) and right side (F, 3) of the equations without any sighting."""
    bands, right = np.zeros((7, 3 * frames)), np.zeros((frames, 3))
    weight = (JOINT_ERROR / (ACCELERATION / fps**2)) ** 2
    difference = (1.0, -2.0, 1.0)
    for first in range(3):
        for second in range(first, 3):
            if (count := 3 * (frames - 2)) > 0:
                start = 3 * second
                band = 6 - 3 * (second - first)
                bands[band, start : start + count] += (
                    weight * difference[first] * difference[second]
                )
    return bands, right


def _add_feet(
    bands: np.ndarray, right: np.ndarray, ankles: np.ndarray, planted: np.ndarray
) -> None:
    """The root moves against the ankle of a foot that is planted in two frames."""
    weight = (JOINT_ERROR / PLANTED_ERROR) ** 2
    both = weight * (planted[1:] & planted[:-1])
    total = np.repeat(both.sum(axis=1), 3)
    bands[6, :-3] += total
    bands[6, 3:] += total
    bands[3, 3:] -= total
    moved = np.einsum("fs,fsk->fk", both, np.diff(ankles, axis=0))
    right[1:] -= moved
    right[:-1] += moved


def _add_rays(bands: np.ndarray, right: np.ndarray, seen: Sighting, weights: np.ndarray) -> None:
    """Equations of every keypoint for the root: x + a z and y + b z are what the pose leaves."""
    x, y, z = np.moveaxis(seen.relative, -1, 0)
    a, b = np.moveaxis(seen.image, -1, 0)
    ex, ey = -(x + a * z), -(y + b * z)

    def total(values: np.ndarray) -> np.ndarray:
        summed: np.ndarray = (weights * values).sum(axis=1)
        return summed

    everywhere = weights.sum(axis=1)
    bands[6, 0::3] += everywhere
    bands[6, 1::3] += everywhere
    bands[6, 2::3] += total(a * a + b * b)
    bands[4, 2::3] += total(a)
    bands[5, 2::3] += total(b)
    right[:, 0] += total(ex)
    right[:, 1] += total(ey)
    right[:, 2] += total(a * ex + b * ey)
