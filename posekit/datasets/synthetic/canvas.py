"""What figures are drawn on, and made of: an image with a map of parts, convex polygons."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from posekit.datasets.synthetic.palette import Array, Color

__all__ = [
    "BAG",
    "CHEST",
    "HAIR_BACK",
    "HEAD",
    "LEFT_ARM",
    "LEFT_EAR",
    "LEFT_LEG",
    "NECK",
    "PARTS",
    "PELVIS",
    "RIGHT_ARM",
    "RIGHT_EAR",
    "RIGHT_LEG",
    "SHIFT",
    "SKIRT",
    "Canvas",
    "Shape",
    "hull",
]

# Polygons are given to OpenCV in 1/16 of a pixel.
SHIFT = 4
# What a drawn pixel belongs to.
PELVIS, CHEST, NECK, HEAD, LEFT_EAR, RIGHT_EAR, HAIR_BACK, BAG, SKIRT = range(1, 10)
LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG = 10, 13, 16, 19  # each: upper, lower, end
PARTS = 32


class Canvas:
    """Draws convex polygons into the image, and their parts into a map, without smoothing."""

    def __init__(self, image: Array) -> None:
        self.image = image
        self.labels = np.zeros(image.shape[:2], np.uint8)

    def fill(self, polygon: Array, color: Color, part: int = 0) -> None:
        """Draws a convex polygon (n, 2), in pixels; in the map too, unless its part is 0."""
        points = np.rint(polygon * (1 << SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(self.image, points, color, cv2.LINE_AA, SHIFT)
        if part:
            cv2.fillConvexPoly(self.labels, points, part, cv2.LINE_8, SHIFT)

    def line(self, points: Array, color: Color, width: float) -> None:
        """Draws an open line through points (n, 2); these and its width are in pixels."""
        places = np.rint(points * (1 << SHIFT)).astype(np.int32)
        cv2.polylines(self.image, [places], False, color, max(1, round(width)), cv2.LINE_AA, SHIFT)


@dataclass
class Shape:
    """A convex polygon of one part, and its colours."""

    polygon: Array
    color: Color
    part: int
    pattern: str = "plain"
    axis: tuple[Array, Array] | None = None  # from, to in pixels: what stripes lie across


def hull(*points: Array) -> Array:
    """The corners (m, 2) of the convex hull of all points, (n, 2) each."""
    together = np.concatenate(points).astype(np.float32)
    return cv2.convexHull(together)[:, 0].astype(np.float64)
