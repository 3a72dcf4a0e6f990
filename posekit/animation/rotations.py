"""Rotations that bring a skeleton into a pose. Quaternions are x, y, z, w, as in SciPy."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

__all__ = ["best_fit", "continuous_euler", "filled", "same_sign", "swing"]

EPSILON = 1e-9


def best_fit(rest: np.ndarray, directions: np.ndarray) -> Rotation:
    """The rotations that bring vectors nearest to others, by least squares.

    What `Rotation.align_vectors` finds for one frame, for all frames at once.

    Args:
        rest: (C, 3).
        directions: (F, C, 3).
    """
    u, _, vt = np.linalg.svd(np.einsum("fci,cj->fij", directions, rest))
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]  # no mirrors
    return Rotation.from_matrix(u @ vt)


def swing(rest: np.ndarray, directions: np.ndarray) -> Rotation:
    """The shortest rotations that bring a direction (3,) to others (F, 3), all of length 1."""
    cosine = directions @ rest
    quats = np.concatenate([np.cross(rest, directions), 1 + cosine[:, None]], axis=-1)
    # To the opposite there are many: half a turn about an axis across.
    across = np.cross(rest, np.eye(3)[np.argmin(np.abs(rest))])
    quats[cosine < EPSILON - 1] = [*across, 0.0]
    return Rotation.from_quat(quats)


def filled(quats: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Rotations of all frames: known ones, slerp between them, and the nearest one outside.

    Args:
        quats: (F, 4).
        known: (F,), bool; if none is known, all become the identity.
    """
    if known.all():
        return quats
    frames = np.flatnonzero(known)
    if not len(frames):
        return np.tile([0.0, 0.0, 0.0, 1.0], (len(quats), 1))
    if len(frames) == 1:
        return np.tile(quats[frames[0]], (len(quats), 1))
    when = np.clip(np.arange(len(quats)), frames[0], frames[-1])
    found: np.ndarray = Slerp(frames, Rotation.from_quat(quats[frames]))(when).as_quat()
    return found


def same_sign(quats: np.ndarray) -> np.ndarray:
    """Quaternions (F, J, 4) of the same rotations that do not jump to their negatives."""
    turns = np.einsum("fjk,fjk->fj", quats[1:], quats[:-1]) < 0
    quats = quats.copy()
    quats[1:][np.cumsum(turns, axis=0) % 2 == 1] *= -1
    return quats


def continuous_euler(quats: np.ndarray, order: str = "ZXY") -> np.ndarray:
    """Euler angles (F, J, 3) in degrees; none jumps by more than 180 between frames.

    Of the two sets of angles of a rotation, plus whole turns, the one nearest to the frame before.

    Args:
        quats: (F, J, 4).
        order: order of the rotations, each about axes turned by those before it (intrinsic).
    """
    frames, joints = quats.shape[:2]
    angles = np.zeros((frames, joints, 3))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gimbal lock")  # any of the many is right
        for joint in range(joints):  # one by one, for what this takes is several times as large
            angles[:, joint] = Rotation.from_quat(quats[:, joint]).as_euler(order, degrees=True)
    for number in range(1, frames):
        before = angles[number - 1]
        first, second, third = angles[number].T
        both = np.stack([angles[number], np.stack([first + 180, 180 - second, third + 180], -1)])
        both += 360 * np.round((before - both) / 360)
        nearest = np.abs(both - before).sum(axis=-1).argmin(axis=0)
        angles[number] = both[nearest, np.arange(joints)]
    return angles
