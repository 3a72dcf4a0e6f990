"""Pictures for model cards: a skeleton that nobody posed for, and what a model finds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from posekit.drawing.overlay import draw_pose
from posekit.errors import InputError
from posekit.names import all_tokens
from posekit.skeleton import Skeleton

__all__ = ["draw_prediction", "draw_skeleton", "lay_out"]

SIDE = 480  # pixels of the drawing
MARGIN = 40
BACKGROUND = 40  # many skeletons are partly white
LARGEST = 1024  # pixels of the longer side of a picture with people
MOST_NUMBERS = 40  # of more keypoints the numbers would hide the drawing

# Where a standing body that faces us has its keypoints, in heads: x to its own left, y down.
# A name's words without its side; those of a pair are mirrored.
_BODY = {
    ("nose",): (0.0, 0.55), ("head",): (0.0, 0.3), ("head", "top"): (0.0, 0.0),
    ("top", "head"): (0.0, 0.0), ("head", "bottom"): (0.0, 1.0), ("neck",): (0.0, 1.1),
    ("upper", "neck"): (0.0, 1.05), ("eye",): (0.18, 0.42), ("ear",): (0.4, 0.52),
    ("thorax",): (0.0, 1.45), ("spine",): (0.0, 2.2), ("pelvis",): (0.0, 3.3), ("hip",): (0.5, 3.3),
    ("root",): (0.0, 3.3), ("shoulder",): (0.85, 1.4), ("elbow",): (1.2, 2.4),
    ("wrist",): (1.45, 3.3), ("hand",): (1.5, 3.4), ("knee",): (0.6, 4.8), ("ankle",): (0.65, 6.3),
    ("foot",): (0.75, 6.5), ("big", "toe"): (0.75, 6.75), ("small", "toe"): (1.0, 6.7),
    ("heel",): (0.55, 6.55),
}  # fmt: skip


def draw_skeleton(skeleton: Skeleton) -> np.ndarray:
    """Keypoints, links and colours on dark grey, (480, 480, 3), BGR; numbers are the keypoints'."""
    points = lay_out(skeleton)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (SIDE - 2 * MARGIN) / max(float((high - low).max()), 1e-6)
    points = (points - (low + high) / 2) * scale + SIDE / 2
    canvas = np.full((SIDE, SIDE, 3), BACKGROUND, np.uint8)
    canvas = draw_pose(
        canvas, points[None], np.ones((1, len(points))), skeleton, radius=5, thickness=2
    )
    for number, (x, y) in enumerate(points if len(points) <= MOST_NUMBERS else ()):
        place = (int(x) + 6, int(y) - 6)
        cv2.putText(canvas, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (200, 200, 200), 1,
                    cv2.LINE_AA)  # fmt: skip
    return canvas


def lay_out(skeleton: Skeleton) -> np.ndarray:
    """Where to draw the K keypoints of a skeleton, (K, 2), x and y in no unit.

    Those of a body go where a standing body has them, seen from the front. All others are placed so
    that links have similar lengths, and mirrored keypoints lie symmetrically.
    """
    count = skeleton.num_keypoints
    known = {i: spot for i, spot in enumerate(_spots(skeleton)) if spot is not None}
    away = _graph_distances(skeleton)
    rng = np.random.default_rng(0)
    angle = np.arange(count) * (2 * np.pi / count)
    points = np.stack([np.sin(angle), -np.cos(angle)], axis=1) * away.max() / 3
    points += rng.normal(scale=0.01, size=points.shape)
    if known:
        fixed = np.array(list(known))
        points[fixed] = list(known.values())
        nearest = fixed[np.argmin(away[:, fixed], axis=1)]
        free = np.setdiff1d(np.arange(count), fixed)
        points[free] = points[nearest[free]] + rng.normal(scale=0.3, size=(len(free), 2))
    else:
        free = np.arange(count)
    weight = 1 / np.maximum(away, 0.5) ** 2
    np.fill_diagonal(weight, 0)
    for _ in range(200):  # stress majorization, a keypoint's step towards where all others want it
        between = points[:, None] - points[None]
        length = np.maximum(np.linalg.norm(between, axis=2), 1e-6)
        wanted = points[None] + between * (away / length)[..., None]
        moved = (weight[..., None] * wanted).sum(axis=1) / np.maximum(
            weight.sum(axis=1, keepdims=True), 1e-9
        )
        points[free] = moved[free]
        points[free] = _mirrored(points, skeleton)[free]
    return points


def _spots(skeleton: Skeleton) -> list[tuple[float, float] | None]:
    """Where a body has each keypoint; None for one that no body has."""
    spots: list[tuple[float, float] | None] = []
    for tokens in all_tokens(skeleton.names):
        side = tokens[0] if tokens and tokens[0] in ("left", "right") else ""
        spot = _BODY.get(tokens[1:] if side else tokens)
        if spot is not None and bool(side) != bool(spot[0]):
            spot = None if side else (0.0, spot[1])
        # The body's left is on our right.
        spots.append(spot and (-spot[0] if side == "right" else spot[0], spot[1]))
    if sum(spot is not None for spot in spots) < 5:  # such as the eyes of an animal alone
        return [None] * len(spots)
    return spots


def _graph_distances(skeleton: Skeleton) -> np.ndarray:
    """Links from each keypoint to each other, (K, K); a bit more than the most where none lead."""
    count = skeleton.num_keypoints
    ends = np.array(skeleton.links, dtype=int).reshape(-1, 2)
    graph = csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    away: np.ndarray = shortest_path(graph, directed=False, unweighted=True)
    finite = away[np.isfinite(away)]
    away[~np.isfinite(away)] = max(float(finite.max()), 1.0) + 1
    return away


def _mirrored(points: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """The mean of a layout and of its mirror image."""
    flipped = points[list(skeleton.flip_indices)] * [-1, 1]
    if tuple(skeleton.flip_indices) == tuple(range(len(points))):
        return points  # nothing tells a side: a line, a hand
    return (points + flipped) / 2


def draw_prediction(folder: Path, picture: Path) -> np.ndarray:
    """What a model finds in a picture, drawn, BGR.

    Args:
        folder: of the model.
        picture: an image.

    Raises:
        InputError: no image, or nobody is found in it.
    """
    from posekit.predictor import load

    if not picture.is_file():
        raise InputError(f"picture: no such file: {picture}")
    predictor = load(folder, device="cpu", backend="eager")
    result = next(predictor.stream(picture, return_vis=True))
    if not len(result):
        raise InputError(f"picture: the model finds nobody in {picture}; use another image")
    drawing = result.visualization
    assert drawing is not None
    factor = LARGEST / max(drawing.shape[:2])
    if factor < 1:
        size = (round(drawing.shape[1] * factor), round(drawing.shape[0] * factor))
        drawing = cv2.resize(drawing, size, interpolation=cv2.INTER_AREA)
    return drawing
