"""Patterns of clothes: stripes, bars, dots and the like within a convex polygon."""

from __future__ import annotations

import math

import cv2
import numpy as np

from posekit.datasets.synthetic.canvas import Canvas, Shape
from posekit.datasets.synthetic.figure import ROUND, Figure
from posekit.datasets.synthetic.palette import Array, Color, mix, noise_field

__all__ = ["draw_pattern"]


def draw_pattern(canvas: Canvas, figure: Figure, shape: Shape) -> None:
    if shape.pattern == "plain" or shape.axis is None:
        return
    outfit, unit = figure.outfit, figure.scale
    start, end = shape.axis
    along = end - start
    length = float(np.hypot(*along))
    along = along / length if length > 0.02 * unit else np.array([0.0, -1.0])
    across = np.array([-along[1], along[0]])
    accent = mix(shape.color, outfit.accent, 0.75)
    if shape.pattern in ("stripes", "checks"):
        _draw_bands(canvas, shape.polygon, start, along, 0.05 * unit, 0.45, accent)
    if shape.pattern in ("bars", "checks"):
        color = accent if shape.pattern == "bars" else mix(shape.color, outfit.accent, 0.4)
        _draw_bands(canvas, shape.polygon, start, across, 0.045 * unit, 0.4, color)
    if shape.pattern == "gradient":
        places = (shape.polygon - start) @ along
        low, high = float(places.min()), float(places.max())
        for step in range(1, 7):
            band = _between(shape.polygon, start, along, low + (high - low) * step / 7, high)
            if len(band) > 2:
                canvas.fill(band, mix(shape.color, outfit.accent, step / 9))
    if shape.pattern == "dots":
        middle = shape.polygon.mean(axis=0)
        inner = (middle + (shape.polygon - middle) * 0.82).astype(np.float32)
        (left, top), (right, bottom) = inner.min(axis=0), inner.max(axis=0)
        spacing = max(4.0, 0.042 * unit)
        for row, y in enumerate(np.arange(top, bottom, spacing)):
            for x in np.arange(left + (row % 2) * spacing / 2, right, spacing):
                if cv2.pointPolygonTest(inner, (float(x), float(y)), False) > 0:
                    canvas.fill(np.array([x, y]) + ROUND * (0.011 * unit), accent)
    if shape.pattern == "noise":
        x, y, width, height = cv2.boundingRect(shape.polygon.astype(np.float32))
        rows, columns = canvas.labels.shape
        window = np.s_[max(0, y) : min(rows, y + height), max(0, x) : min(columns, x + width)]
        piece = canvas.image[window]
        if piece.size:
            noise = noise_field(piece.shape[1], piece.shape[0], 0, 0)
            speckled = cv2.addWeighted(piece, 1.0, noise, 0.6, -0.6 * 128)
            mask = (canvas.labels[window] == shape.part).astype(np.uint8)
            cv2.copyTo(speckled, mask, piece)


def _draw_bands(
    canvas: Canvas,
    polygon: Array,
    start: Array,
    along: Array,
    period: float,
    duty: float,
    color: Color,
) -> None:
    period = max(period, 5.0)
    places = (polygon - start) @ along
    low, high = float(places.min()), float(places.max())
    for at in np.arange(math.floor(low / period) * period, high, period):
        band = _between(polygon, start, along, float(at), float(at) + period * duty)
        if len(band) > 2:
            canvas.fill(band, color)


def _between(polygon: Array, start: Array, along: Array, low: float, high: float) -> Array:
    """The part of a convex polygon whose place along a direction is within two bounds."""
    places = ((polygon - start) @ along).tolist()
    corners = polygon.tolist()
    # Plain numbers: a polygon has some thirty corners, too few for arrays to pay.
    for sign, bound in ((1.0, low), (-1.0, -high)):
        kept, kept_places = [], []
        for i, (x, y) in enumerate(corners):
            here, before = sign * places[i] - bound, sign * places[i - 1] - bound
            if (here >= 0) != (before >= 0):
                part = here / (here - before)
                kept.append(
                    [x + (corners[i - 1][0] - x) * part, y + (corners[i - 1][1] - y) * part]
                )
                kept_places.append(sign * bound)
            if here >= 0:
                kept.append([x, y])
                kept_places.append(places[i])
        corners, places = kept, kept_places
    return np.array(corners).reshape(-1, 2)
