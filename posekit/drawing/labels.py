"""Text on a picture: readable on any background, inside the image, beside faces and other text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from posekit.drawing.palettes import ink_on
from posekit.skeleton import Color, Skeleton

__all__ = ["Labels", "face_ids", "text_height"]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]

FONT = cv2.FONT_HERSHEY_SIMPLEX
# Capital letters of this font at scale 1, in pixels.
FONT_HEIGHT = 21.0
# Pixels that text is high: at least so much, and never more than a share of the image's shorter
# side; between, a share of the person's box.
LEAST_HEIGHT, MOST_SHARE, BOX_SHARE = 8.0, 1 / 24, 1 / 20
# Text of less cannot be read: it is left out.
UNREADABLE = 5.0
# The rim of lines from names to keypoints, as a share of the image's shorter side.
LINE_SHARE = 1 / 240
# Covered pixels up to which a place is free.
ROOM = 0.5
DEGREE = "\N{DEGREE SIGN}"
_FACE = re.compile(r"(^|[_\s])(nose|eye|ear|face|mouth|chin|head|forehead|snout)", re.IGNORECASE)


class _Text(NamedTuple):
    """A text as it is drawn.

    Attributes:
        letters: what OpenCV's font has.
        degree: a degree sign, which it does not have, follows.
        scale: as OpenCV takes it.
        weight: of its lines, in pixels.
        size: (w, h) with a margin, in pixels.
        margin: around it.
        line: from the top to the line that letters stand on.
    """

    letters: str
    degree: bool
    scale: float
    weight: int
    size: tuple[int, int]
    margin: int
    line: int


@lru_cache(maxsize=64)
def face_ids(skeleton: Skeleton) -> tuple[int, ...]:
    """The keypoints of a face, by their names."""
    return tuple(i for i, name in enumerate(skeleton.names) if _FACE.search(name))


def text_height(image_size: tuple[int, int], box: Sequence[float]) -> float:
    """How high the text about a person is, in pixels.

    Args:
        image_size: (w, h).
        box: x1, y1, x2, y2 in pixels.
    """
    long = max(box[2] - box[0], box[3] - box[1])
    most = max(min(image_size) * MOST_SHARE, LEAST_HEIGHT)
    return float(np.clip(long * BOX_SHARE, LEAST_HEIGHT, most))


class Labels:
    """The texts of one picture, each where it covers least.

    Args:
        canvas: (H, W, 3), BGR, uint8; changed in place.
        faces: (m, 4), xyxy in pixels, which text keeps away from.
    """

    def __init__(self, canvas: Image, faces: Floats) -> None:
        self._canvas = canvas
        self._size = (canvas.shape[1], canvas.shape[0])
        self._faces = self._count = len(faces)
        self._taken = np.zeros((2 * len(faces) + 32, 4))  # of which `_count` are meant
        self._taken[: len(faces)] = faces
        # Drawn one kind after the other, so that no line crosses a text.
        self._lines: list[tuple[tuple[int, int], tuple[int, int]]] = []
        self._plates: list[tuple[_Text, int, int, Color]] = []
        self._beside: list[tuple[_Text, int, int]] = []

    def of_person(self, text: str, box: Sequence[float], color: Color, height: float) -> None:
        """Places a text, on a plate of the person's colour, above the box or where there is room.

        Args:
            text: what to write.
            box: x1, y1, x2, y2 in pixels.
            color: RGB.
            height: of the letters, in pixels.
        """
        laid = self._fitted(text, height)
        if laid is None:
            return
        (w, h), (width, height_) = laid.size, self._size
        x1, x2 = (min(max(x, 0), width) for x in (box[0], box[2]))
        y1, y2 = (min(max(y, 0), height_) for y in (box[1], box[3]))
        corners = np.array(
            [
                (x1, y1 - h),
                (x2 - w, y1 - h),
                (x2, y1),
                (x1 - w, y1),
                (x1, y2),
                (x2 - w, y2),
                (x2, y2 - h),
                (x1 - w, y2 - h),
                (x1, y2 - h),
                (x1, (y1 + y2) / 2),
                (x1, y1 - 2 * h),
                (x1, y1),
            ]
        )
        covered = self._covered(corners, laid.size, stay=False)
        x, y = self._moved_inside(corners[int(np.argmin(covered))], laid.size)
        self._take(x, y, laid.size)
        self._plates.append((laid, x, y, color))

    def at_point(self, text: str, point: Sequence[float], height: float, gap: float) -> bool:
        """Places a text, white with a black rim, beside a point, if there is room for it.

        Args:
            text: such as a keypoint's name.
            point: x, y in pixels.
            height: of the letters, in pixels.
            gap: to the point, in pixels.

        Returns:
            Whether there is room.
        """
        laid = self._fitted(text, height)
        if laid is None:
            return False
        (w, h), (x, y) = laid.size, (float(point[0]), float(point[1]))
        for away in (gap, gap + h, gap + 2 * h):
            corners = np.array(
                [
                    (x + away, y - h / 2),
                    (x - away - w, y - h / 2),
                    (x - w / 2, y - away - h),
                    (x - w / 2, y + away),
                    (x + away, y - away - h),
                    (x - away - w, y + away),
                ]
            )
            covered = self._covered(corners, laid.size, stay=True)
            best = int(np.argmin(covered))
            if covered[best] < ROOM:
                break
        else:
            return False
        left, top = self._moved_inside(corners[best], laid.size)
        self._take(left, top, laid.size)
        if away > gap:
            start = round(x), round(y)
            self._lines.append(
                (start, (min(max(start[0], left), left + w), min(max(start[1], top), top + h)))
            )
        self._beside.append((laid, left, top))
        return True

    def draw(self) -> None:
        """Draws everything that was placed."""
        rim = max(2, round(min(self._size) * LINE_SHARE))
        for color, weight in (((0, 0, 0), rim), ((255, 255, 255), max(1, round(rim / 3)))):
            for start, end in self._lines:
                cv2.line(self._canvas, start, end, color, weight, cv2.LINE_AA)
        for text, x, y, color in self._plates:
            plate = _plate(text, color)
            self._canvas[y : y + text.size[1], x : x + text.size[0]] = plate
        for text, x, y in self._beside:
            cover, ink = _rimmed(text)
            part = self._canvas[y : y + text.size[1], x : x + text.size[0]]
            part[...] = cv2.add(cv2.multiply(part, cover, scale=1 / 255), ink)

    def _fitted(self, text: str, height: float) -> _Text | None:
        """The text in at most that height, so that it fits into the image; None where none does."""
        width, image_height = self._size
        laid = _lay_out(text, round(height))
        share = min(width / laid.size[0], image_height / laid.size[1])
        if share < 1:
            height *= share * 0.95
            if height < UNREADABLE:
                return None
            laid = _lay_out(text, math.floor(height))
        return laid if laid.size[0] <= width and laid.size[1] <= image_height else None

    def _covered(self, corners: Floats, size: tuple[int, int], *, stay: bool) -> Floats:
        """How many pixels each place covers of what is taken; faces count most, then the order.

        Args:
            corners: (c, 2), left and top of each place.
            size: (w, h) of the text.
            stay: a place that does not lie inside the image counts as covered, instead of moved.
        """
        most = np.array(self._size) - size
        inside = np.clip(corners, 0, np.maximum(most, 0))
        found = np.arange(len(corners)) * 1e-3
        moved = np.abs(inside - corners).sum(axis=1)
        found += moved * size[0] if stay else moved * 1e-2
        taken = self._taken[: self._count]
        sides = np.minimum(inside[:, None] + size, taken[:, 2:])
        sides -= np.maximum(inside[:, None], taken[:, :2])
        np.maximum(sides, 0, out=sides)
        areas = sides[..., 0] * sides[..., 1]
        areas[:, : self._faces] *= 100
        return np.asarray(found + areas.sum(axis=1))

    def _moved_inside(self, corner: Floats, size: tuple[int, int]) -> tuple[int, int]:
        x, y = (
            min(max(round(float(at)), 0), self._size[axis] - size[axis])
            for axis, at in enumerate(corner)
        )
        return x, y

    def _take(self, x: int, y: int, size: tuple[int, int]) -> None:
        if self._count == len(self._taken):
            self._taken = np.concatenate([self._taken, np.zeros_like(self._taken)])
        self._taken[self._count] = (x, y, x + size[0], y + size[1])
        self._count += 1


# Texts come again in each frame: OpenCV takes up to a tenth of a millisecond for one.
@lru_cache(maxsize=512)
def _plate(text: _Text, color: Color) -> Image:
    """(h, w, 3), BGR."""
    plate = np.full((text.size[1], text.size[0], 3), color[::-1], np.uint8)
    _write(plate, text, ink_on(color))
    return plate


@lru_cache(maxsize=1024)
def _rimmed(text: _Text) -> tuple[Image, Image]:
    """What is left of the picture beneath, and what is added to it, (h, w, 3) each."""
    ink = np.zeros((text.size[1], text.size[0], 3), np.uint8)
    _write(ink, text, (255, 255, 255))
    rim = np.asarray(cv2.dilate(ink, np.ones((3, 3), np.uint8)), np.uint8)
    return np.subtract(255, rim, dtype=np.uint8), ink


def _write(canvas: Image, text: _Text, color: Color) -> None:
    at = (text.margin, text.line)
    cv2.putText(canvas, text.letters, at, FONT, text.scale, color, text.weight, cv2.LINE_AA)
    if text.degree:
        radius = max(1, round(FONT_HEIGHT * text.scale / 7))
        ring = text.size[0] - text.margin - radius, text.margin + radius
        cv2.circle(canvas, ring, radius, color, max(1, text.weight // 2), cv2.LINE_AA)


@lru_cache(maxsize=4096)
def _lay_out(text: str, height: int) -> _Text:
    letters, degree = text.removesuffix(DEGREE), text.endswith(DEGREE)
    scale = height / FONT_HEIGHT
    weight = max(1, round(height / 10))
    (width, _), _ = cv2.getTextSize(letters, FONT, scale, weight)
    margin = max(2, round(height / 4))
    if degree:
        width += 2 * max(1, round(height / 7)) + weight + 1
    line = margin + math.ceil(height)
    # OpenCV's versions measure the space below letters, and above them, each in its own way.
    below = math.ceil(height / 3) if set(letters) & set("gjpqy_,;()") else 0
    size = (width + 2 * margin, line + below + margin)
    return _Text(letters, degree, scale, weight, size, margin, line)
