"""What tells people apart in a picture: boxes, ids, scores, angles, keypoint names, trails.

Only what is asked for is computed. Sizes grow with the picture and, for text, with the person.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from posekit.angles import ANGLES, angle_names, measure_angles, vertex_positions
from posekit.drawing.labels import DEGREE, Labels, face_ids, text_height
from posekit.drawing.palettes import Palette
from posekit.errors import InputError
from posekit.result import PoseResult
from posekit.skeleton import Color, Skeleton

__all__ = ["MARKS", "Mark", "Trails", "draw_marks", "draw_trails", "parse_marks"]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
Mark = Literal["boxes", "ids", "scores", "angles", "trail", "names"]
MARKS: tuple[Mark, ...] = get_args(Mark)

# Frames that a trail is long.
TRAIL_LENGTH = 40
# Of lines, as shares of the image's shorter side.
BOX_SHARE, TRAIL_SHARE = 1 / 360, 1 / 200
# Around what is known of a face, as a share of its longer side; of a lone keypoint, of the box.
FACE_MARGIN, LEAST_FACE = 0.5, 0.08
LEAST_NAME = 7.0  # pixels that a keypoint's name is high


def parse_marks(value: Any) -> tuple[Mark, ...]:
    """The option `draw`: a name, or several.

    Raises:
        InputError: something else.
    """
    several = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
    names = tuple(value) if several else (value,)
    for name in names:
        if not isinstance(name, str) or name not in MARKS:
            raise InputError(f"draw must be one or several of {', '.join(MARKS)}, found {name!r}")
    return tuple(dict.fromkeys(names))


class Trails:
    """Where the people of a clip have been."""

    def __init__(self) -> None:
        self._points: dict[int, deque[tuple[int, tuple[int, int]]]] = {}
        self._count = 0

    def clear(self) -> None:
        """Forgets everybody, as for another clip."""
        self._points.clear()

    def update(self, result: PoseResult) -> dict[int, Floats]:
        """Adds the next frame; returns the path (m, 2) of each track, the latest point last."""
        self._count += 1
        if result.track_ids is not None:
            centers = (result.boxes_xyxy[:, :2] + result.boxes_xyxy[:, 2:]) / 2
            good = np.isfinite(centers).all(axis=1)
            centers = np.clip(np.where(good[:, None], centers, 0), -1e6, 1e6).astype(int)
            for track, (x, y), known in zip(
                result.track_ids.tolist(), centers.tolist(), good.tolist(), strict=True
            ):
                if known:
                    self._points.setdefault(track, deque()).append((self._count, (x, y)))
        oldest = self._count - TRAIL_LENGTH
        for track, points in list(self._points.items()):
            while points and points[0][0] <= oldest:
                points.popleft()
            if not points:
                del self._points[track]
        return {
            track: np.array([point for _, point in points])
            for track, points in self._points.items()
        }


def draw_trails(canvas: Image, trails: Mapping[int, Floats], palette: Palette) -> None:
    """Draws the path of each track, thin where it is old."""
    most = max(2, round(min(canvas.shape[:2]) * TRAIL_SHARE))
    for track, points in trails.items():
        color, places = palette.person(track)[::-1], points.tolist()
        for place, (start, end) in enumerate(itertools.pairwise(places), start=1):
            weight = max(1, round(most * place / max(1, len(places) - 1)))
            cv2.line(canvas, start, end, color, weight, cv2.LINE_AA)


def draw_marks(
    canvas: Image, result: PoseResult, marks: Collection[Mark], palette: Palette, *, kpt_thr: float
) -> None:
    """Draws boxes first, then text over everything.

    Args:
        canvas: (H, W, 3), BGR, uint8; changed in place.
        result: the people to mark.
        marks: which ones to draw.
        palette: people's colours.
        kpt_thr: keypoints below this score get no names.
    """
    height, width = canvas.shape[:2]
    people = [
        (row, palette.person(number), box)
        for row, (number, box) in enumerate(zip(_numbers(result), _boxes(result), strict=True))
        if np.isfinite(box).all()
    ]
    if "boxes" in marks:
        weight = max(1, round(min(height, width) * BOX_SHARE))
        for _, color, box in people:
            x1, y1, x2, y2 = np.clip(box, -weight - 1, max(height, width) + weight + 1).astype(int)
            corners = (int(x1), int(y1)), (int(x2), int(y2))
            cv2.rectangle(canvas, *corners, color[::-1], weight)
    if not {"ids", "scores", "angles", "names"} & set(marks):
        return
    shown = (result.keypoint_scores >= np.float32(kpt_thr)) & np.isfinite(result.keypoints).all(-1)
    labels = Labels(canvas, _faces(result, shown))
    for row, color, box in people:
        if text := _text(result, row, marks):
            labels.of_person(text, box.tolist(), color, text_height((width, height), box.tolist()))
    if "angles" in marks:
        _write_angles(labels, result, people, kpt_thr, (width, height))
    if "names" in marks:
        _write_names(labels, result, people, shown, (width, height))
    labels.draw()


People = list[tuple[int, Color, Floats]]


def _numbers(result: PoseResult) -> list[int]:
    """By which people have colours; in a clip that nobody tracks all have the same."""
    if result.track_ids is not None:
        ids: list[int] = result.track_ids.tolist()
        return ids
    return [0] * len(result) if result.frame_id is not None else list(range(len(result)))


def _boxes(result: PoseResult) -> Floats:
    return np.clip(result.boxes_xyxy.astype(np.float64), -1e6, 1e6)


def _text(result: PoseResult, row: int, marks: Collection[Mark]) -> str:
    parts = []
    if "ids" in marks and result.track_ids is not None:
        parts.append(str(result.track_ids[row]))
    if "scores" in marks:
        parts.append(f"{result.box_scores[row]:.2f}")
    return " ".join(parts)


def _faces(result: PoseResult, shown: npt.NDArray[np.bool_]) -> Floats:
    """Boxes (m, 4) of the faces that are seen."""
    ids = list(face_ids(result.skeleton))
    if not ids or not len(result):
        return np.zeros((0, 4))
    points, known = result.keypoints[:, ids], shown[:, ids]
    rows = known.any(axis=1)
    points, known = points[rows].astype(np.float64), known[rows, :, None]
    low = np.where(known, points, np.inf).min(axis=1)
    high = np.where(known, points, -np.inf).max(axis=1)
    boxes = result.boxes_xyxy[rows]
    least = LEAST_FACE * np.abs(boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    around = FACE_MARGIN * np.maximum((high - low).max(axis=1), least)[:, None]
    return np.clip(np.hstack([low - around, high + around]), -1e6, 1e6)


def _write_names(
    labels: Labels,
    result: PoseResult,
    people: People,
    shown: npt.NDArray[np.bool_],
    image_size: tuple[int, int],
) -> None:
    for row, _, box in people:
        height = max(0.6 * text_height(image_size, box.tolist()), LEAST_NAME)
        for name, point, known in zip(
            result.skeleton.names, result.keypoints[row].tolist(), shown[row].tolist(), strict=True
        ):
            if known:
                labels.at_point(name, point, height, height / 3 + 2)


def _write_angles(
    labels: Labels,
    result: PoseResult,
    people: People,
    kpt_thr: float,
    image_size: tuple[int, int],
) -> None:
    """Those of joints, at the joints, as they are seen in the picture."""
    names = _joints(result.skeleton)
    if not names or not len(result):
        return
    values = measure_angles(
        result.keypoints, result.skeleton, names, result.keypoint_scores, kpt_thr
    )
    places = vertex_positions(result.keypoints, result.skeleton, names)
    for row, _, box in people:
        height = max(0.8 * text_height(image_size, box.tolist()), LEAST_NAME)
        for value, place in zip(values[row].tolist(), places[row].tolist(), strict=True):
            if math.isfinite(value):
                labels.at_point(f"{round(value)}{DEGREE}", place, height, height / 3 + 2)


@lru_cache(maxsize=16)
def _joints(skeleton: Skeleton) -> tuple[str, ...]:
    return tuple(name for name in angle_names(skeleton) if ANGLES[name].kind == "joint")
