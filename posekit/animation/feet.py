"""Feet on the ground: when they stand, where, and legs that reach there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import (
    binary_closing,
    binary_opening,
    gaussian_filter1d,
    maximum_filter1d,
    minimum_filter1d,
)
from scipy.signal import savgol_filter

__all__ = ["bend", "calmed", "find_contacts", "level", "reach", "spans", "targets"]

# Of a foot that stands, of a person 1.75 m tall; larger people have more of each.
SLOW = 0.6  # metres per second
LOW = 0.06  # metres above where the lower foot is around that time
STATURE = 1.75  # metres
# Seconds.
STEP = 0.08  # over which a speed is measured, to either side
FLOOR = 0.5  # in which a foot comes down to the floor, to either side
CALM = 0.4  # in which a step is a parabola, seen from the root
SHORTEST = 0.12  # contact, and gap between two
EASE = 0.15  # in which a foot comes to its place, and leaves it
STRETCH = 0.9995  # of a leg's length, that it reaches
EPSILON = 1e-9


def find_contacts(ankles: np.ndarray, fps: float, stature: float) -> np.ndarray:
    """Whether each foot stands, (F, 2), bool: it does while it is low and slow.

    Args:
        ankles: (F, 2, 3), in metres, y up.
        fps: frames per second.
        stature: height of the person, in metres.
    """
    frames, scale = len(ankles), stature / STATURE
    if frames < 2:
        return np.zeros((frames, 2), np.bool_)
    span = max(1, round(STEP * fps))
    late = np.minimum(np.arange(frames) + span, frames - 1)
    early = np.maximum(np.arange(frames) - span, 0)
    speed = np.linalg.norm(ankles[late] - ankles[early], axis=-1) * (fps / (late - early))[:, None]
    floor = minimum_filter1d(ankles[..., 1].min(axis=1), 2 * max(1, round(FLOOR * fps)) + 1)
    stands = (speed < SLOW * scale) & (ankles[..., 1] - floor[:, None] < LOW * scale)
    length = np.ones((max(1, round(SHORTEST * fps)), 1), np.bool_)
    # Not through the ends: what is beyond them is not known.
    joined = binary_closing(np.pad(stands, ((len(length),) * 2, (0, 0)), mode="edge"), length)
    kept: np.ndarray = binary_opening(joined, length)[len(length) : len(length) + frames]
    return kept


def calmed(ankles: np.ndarray, contacts: np.ndarray, fps: float) -> np.ndarray:
    """Ankles (F, 2, 3), relative to the root, smoothed while their foot stands."""
    smooth = ankles.copy()
    for side in range(2):
        for first, last in spans(contacts[:, side]):
            longest = last - first + 1
            window = min(2 * round(CALM * fps / 2) + 1, longest - (longest + 1) % 2)
            if window > 3:
                part = ankles[first : last + 1, side]
                smooth[first : last + 1, side] = savgol_filter(part, window, 2, axis=0)
    return smooth


def level(ankles: np.ndarray, contacts: np.ndarray, fps: float, height: float) -> np.ndarray:
    """How much higher everything goes so that feet stand on the ground: (F,), in metres.

    Args:
        ankles: (F, 2, 3), in metres.
        contacts: (F, 2), bool.
        fps: frames per second.
        height: height of a standing foot's ankle, in metres.
    """
    missing = height - ankles[..., 1]
    standing = contacts.any(axis=1)
    if not standing.any():  # the lowest of all times, but for a few
        return np.full(len(ankles), height - np.percentile(ankles[..., 1].min(axis=1), 5))
    frames = np.flatnonzero(standing)
    known = (missing * contacts).sum(axis=1)[frames] / contacts[frames].sum(axis=1)
    steps = np.interp(np.arange(len(ankles)), frames, known)
    smooth: np.ndarray = gaussian_filter1d(steps, EASE / 2 * fps, mode="nearest")
    return smooth


def targets(ankles: np.ndarray, contacts: np.ndarray, fps: float, height: float) -> np.ndarray:
    """Where ankles should be, (F, 2, 3): in one place while a foot stands, never below ground.

    Args:
        ankles, contacts, fps, height: as for `level`.
    """
    wanted = ankles.copy()
    frames = np.arange(len(ankles))
    for side in range(2):
        moves, weights = np.zeros((len(ankles), 3)), np.zeros(len(ankles))
        for first, last in spans(contacts[:, side]):
            place = ankles[first : last + 1, side].mean(axis=0)
            place[1] = height
            nearest = np.clip(frames, first, last)
            away = np.abs(frames - nearest) / max(1.0, EASE * fps)
            near = np.flatnonzero(away < 1)
            ease = (1 + np.cos(np.pi * away[near])) / 2
            ease[away[near] == 0] = 1e6  # a foot that stands is eased towards no other place
            moves[near] += ease[:, None] * (place - ankles[nearest[near], side])
            weights[near] += ease
        wanted[:, side] += moves / np.maximum(weights, 1)[:, None]
    wanted[..., 1] = np.maximum(wanted[..., 1], height)
    return wanted


def reach(hips: np.ndarray, wanted: np.ndarray, legs: np.ndarray, fps: float) -> np.ndarray:
    """How much lower the root goes so that both legs reach: (F,), in metres.

    Args:
        hips: (F, 2, 3), in metres.
        wanted: (F, 2, 3), where the ankles should be.
        legs: (2,), their lengths, in metres.
        fps: frames per second.
    """
    across = ((wanted - hips)[..., [0, 2]] ** 2).sum(axis=-1)
    high = wanted[..., 1] + np.sqrt(np.maximum((STRETCH * legs) ** 2 - across, 0))
    needed = np.maximum(hips[..., 1] - high, 0).max(axis=1)
    span = max(1, round(EASE * fps))
    widest = maximum_filter1d(needed, 2 * span + 1, mode="nearest")
    smooth: np.ndarray = gaussian_filter1d(widest, span / 3, mode="nearest")
    return smooth


def bend(
    hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, forward: np.ndarray, bones: np.ndarray
) -> np.ndarray:
    """Legs after their ankles have moved: knees stay in the plane in which they were bent.

    Args:
        hip, knee: (F, 3), before the move.
        ankle: (F, 3), its new place; one that is too far away is not reached.
        forward: (F, 3), the direction in which a straight leg bends.
        bones: (2,), lengths of thigh and shank.

    Returns:
        Directions (F, 2, 3) of thigh and shank.
    """
    thigh, shank = bones
    line = ankle - hip
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    along = line / np.maximum(distance, EPSILON)
    distance = np.clip(distance, abs(thigh - shank) + EPSILON, thigh + shank - EPSILON)
    out = knee - hip + 1e-3 * thigh * forward
    out = out - (out * along).sum(axis=-1, keepdims=True) * along
    out /= np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), EPSILON)
    share = (thigh**2 - shank**2 + distance**2) / (2 * distance)
    new = share * along + np.sqrt(np.maximum(thigh**2 - share**2, 0)) * out
    end = distance * along - new
    both = np.stack([new, end], axis=1)
    unit: np.ndarray = both / np.linalg.norm(both, axis=-1, keepdims=True)
    return unit


def spans(flags: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last frame of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    yield from zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
