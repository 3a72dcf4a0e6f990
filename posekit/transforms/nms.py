"""Non-maximum suppression of boxes and of poses.

Source: object keypoint similarity as a pose's IoU (COCO; arXiv 1701.01779), its soft form after
Soft-NMS (arXiv 1704.04503), counting of nearby joints (DEKR, arXiv 2104.02300).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from posekit.errors import InputError

__all__ = ["nearby_joints_nms", "nms", "oks_nms", "soft_oks_nms"]

# Of so many boxes all pairs are compared at once, which takes less time than one after the other.
ALL_PAIRS = 64


def nms(
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    *,
    pixel_offset: float = 0.0,
    max_kept: int | None = None,
) -> np.ndarray:
    """Greedy suppression of boxes that overlap a better one.

    Args:
        boxes_xyxy: (n, 4).
        scores: (n,).
        threshold: boxes whose IoU with a kept one is larger are dropped.
        pixel_offset: 1 counts both border pixels into a side's length, as older evaluation code
            does; 0 measures it.
        max_kept: keep at most this many, the best ones; None keeps all.

    Returns:
        Indices of the boxes kept, best first; ties keep the input's order.
    """
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = boxes_xyxy.T.copy()  # one axis at a time is several times as fast
    areas = (right - left + pixel_offset) * (bottom - top + pixel_offset)

    def shared(low: np.ndarray, high: np.ndarray, a: Any, b: np.ndarray) -> np.ndarray:
        """How far the extents of a and b along an axis overlap: (..., n)."""
        inner = np.minimum.outer(high[a], high[b])
        inner -= np.maximum.outer(low[a], low[b])
        inner += pixel_offset
        return np.maximum(inner, 0, out=inner)

    def apart(some: np.ndarray | np.intp, others: np.ndarray) -> np.ndarray:
        """Which of the others each of some does not cover: (..., n)."""
        overlap = shared(left, right, some, others)
        overlap *= shared(top, bottom, some, others)
        either = np.add.outer(areas[some], areas[others]) - overlap
        found: np.ndarray = overlap <= threshold * either
        return found

    kept: list[int] = []
    while order.size > ALL_PAIRS:
        if max_kept is not None and len(kept) >= max_kept:
            return np.array(kept, dtype=np.intp)
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[apart(best, rest)]
    stays = np.ones(len(order), dtype=bool)
    for place, row in enumerate(apart(order, order) if order.size else ()):
        if max_kept is not None and len(kept) >= max_kept:
            break
        if stays[place]:
            kept.append(order[place])
            stays &= row
    return np.array(kept, dtype=np.intp)


def oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    *,
    sigmas: np.ndarray,
) -> np.ndarray:
    """Greedy suppression of poses that resemble a better one.

    Args:
        keypoints: (n, K, 2).
        scores: (n,).
        areas: (n,), of the people, in the keypoints' unit squared.
        threshold: poses whose similarity to a kept one is larger are dropped; 0.9 is usual.
        sigmas: (K,), the keypoints' sigmas as COCO defines them.

    Returns:
        Indices of the poses kept, best first; ties keep the input's order.

    Raises:
        InputError: shapes that do not fit each other.
    """
    _check_poses(keypoints, scores, areas=areas, sigmas=sigmas)
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[_similarity(keypoints, areas, best, rest, sigmas) <= threshold]
    return np.array(kept, dtype=np.intp)


def soft_oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    *,
    sigmas: np.ndarray,
    max_kept: int = 20,
) -> np.ndarray:
    """Orders poses; one that resembles a better one moves back rather than out.

    Each pose taken multiplies the scores of those left by exp(-similarity^2 / threshold).

    Args:
        keypoints: (n, K, 2).
        scores: (n,), not negative.
        areas: (n,), of the people, in the keypoints' unit squared.
        threshold: the smaller, the further back; 0.9 is usual.
        sigmas: (K,), the keypoints' sigmas as COCO defines them.
        max_kept: keep at most this many.

    Returns:
        Indices of the poses kept, best first; ties keep the input's order.

    Raises:
        InputError: shapes that do not fit each other.
    """
    _check_poses(keypoints, scores, areas=areas, sigmas=sigmas)
    order = np.argsort(-scores, kind="stable")
    left = scores[order].astype(np.float64)
    kept: list[int] = []
    while order.size and len(kept) < max_kept:
        best, rest = order[0], order[1:]
        kept.append(best)
        similarity = _similarity(keypoints, areas, best, rest, sigmas)
        left = left[1:] * np.exp(-(similarity**2) / threshold)
        again = np.argsort(-left, kind="stable")
        order, left = rest[again], left[again]
    return np.array(kept, dtype=np.intp)


def nearby_joints_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    *,
    distance_threshold: float = 0.05,
    num_nearby: int,
    max_kept: int | None = None,
) -> np.ndarray:
    """Suppression of poses most of whose joints lie next to a better pose's.

    Args:
        keypoints: (n, K, 2).
        scores: (n,).
        distance_threshold: joints are near each other below this distance, in multiples of the
            diagonal of the box around the pose in question.
        num_nearby: a pose with more near joints than that is a duplicate.
        max_kept: keep at most this many, the best ones; None keeps all (the reference's own default
            is 30).

    Returns:
        Indices of the poses kept, best first; ties keep the input's order.

    Raises:
        InputError: shapes that do not fit each other.
    """
    _check_poses(keypoints, scores)
    if not len(keypoints):
        return np.zeros(0, dtype=np.intp)
    reach = distance_threshold * np.linalg.norm(np.ptp(keypoints, axis=1), axis=-1)  # (n,)
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    gone = np.zeros(len(scores), dtype=bool)
    for pose in order:
        if gone[pose]:
            continue
        distances = np.linalg.norm(keypoints - keypoints[pose], axis=-1)  # (n, K)
        near = (distances < reach[pose]).sum(axis=1) > num_nearby
        near[pose] = True  # also where all its joints coincide
        best = int(np.argmax(np.where(near, scores, -np.inf)))
        # Nearness is not symmetric: a small pose's better neighbour may be gone already, and then
        # the small one goes too.
        if not gone[best]:
            kept.append(best)
            gone |= near
    ordered = np.array(kept, dtype=np.intp)
    ordered = ordered[np.argsort(-scores[ordered], kind="stable")]
    return ordered[:max_kept]


def _similarity(
    keypoints: np.ndarray, areas: np.ndarray, one: int, others: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """Object keypoint similarity of a pose with others, for the mean of both areas."""
    squares = ((keypoints[others] - keypoints[one]).astype(np.float64) ** 2).sum(axis=-1)
    area = (areas[others] + areas[one]) / 2 + np.spacing(1)  # (m,)
    exponents = squares / (2 * (2 * np.asarray(sigmas)) ** 2) / area[:, None]
    return np.exp(-exponents).mean(axis=-1)


def _check_poses(
    keypoints: np.ndarray,
    scores: np.ndarray,
    *,
    areas: np.ndarray | None = None,
    sigmas: np.ndarray | None = None,
) -> None:
    if keypoints.ndim != 3 or keypoints.shape[2] != 2:
        raise InputError(f"expected keypoints (n, K, 2), found {keypoints.shape}")
    people, joints = keypoints.shape[:2]
    for name, values, length in (
        ("scores", scores, people),
        ("areas", areas, people),
        ("sigmas", sigmas, joints),
    ):
        if values is not None and np.shape(values) != (length,):
            raise InputError(
                f"expected {name} ({length},) for keypoints {keypoints.shape}, "
                f"found {np.shape(values)}"
            )
