"""The head of a figure: hair, face, ears and a cap."""

from __future__ import annotations

import math

import numpy as np

from posekit.datasets.synthetic.canvas import HEAD, LEFT_EAR, RIGHT_EAR, Canvas, hull
from posekit.datasets.synthetic.figure import DISC, FACE, Figure
from posekit.datasets.synthetic.palette import Array, shade

__all__ = ["EYE_SEEN", "draw_head"]

# How far an eye is turned to the viewer, in radii of the head, where it is drawn.
EYE_SEEN = 0.06


def draw_head(canvas: Canvas, figure: Figure) -> None:
    outfit, joints, head = figure.outfit, figure.joints, figure.head
    centre, radius = joints["head"], 0.082 * outfit.head
    skin, scale = outfit.skin, figure.size(centre, radius)
    width = outfit.outline * figure.scale
    middle = figure.project(centre)

    def ear(part: int) -> None:
        place = figure.project(joints["left_ear" if part == LEFT_EAR else "right_ear"])
        canvas.fill(place + DISC * (0.24 * scale), shade(skin, 0.8), part)
        canvas.fill(place + DISC * (0.13 * scale), shade(skin, 0.65))

    def spot(place: tuple[float, float, float]) -> tuple[Array, float]:
        direction = head @ np.array(place)
        return middle + direction[:2] * (scale, -scale), float(direction[2])

    near = LEFT_EAR if head[2, 0] > 0 else RIGHT_EAR
    ear(RIGHT_EAR if near == LEFT_EAR else LEFT_EAR)
    nose, nose_depth = spot(FACE["nose"])
    bridge = spot((0.0, 0.14, 0.95))[0]
    nose_shape = hull(nose + DISC * (0.15 * scale), bridge + DISC * (0.05 * scale))
    if width:
        canvas.fill(middle + DISC * (scale + width), shade(outfit.hair, 0.45), HEAD)
    if -0.4 < nose_depth < 0.3:  # in profile it stands out
        canvas.fill(nose_shape, shade(skin, 0.82), HEAD)
    canvas.fill(middle + DISC * scale, outfit.hair, HEAD)
    jaw = figure.project(centre + head @ np.array([0, -0.35, 0.22]) * 1.0 * radius)

    # The face is a cap of the sphere.
    face_axis = np.array([0.0, -0.55, 0.84])
    flat = _visible_cap(head, face_axis, 79.0)
    if len(flat) > 2:
        face = middle + flat * (scale, -scale)
        if figure.head[2, 2] > -0.2:
            chin = jaw + DISC * (0.72 * scale)
            canvas.fill(hull(face, chin), skin, HEAD)
        else:
            canvas.fill(hull(face), skin, HEAD)
    if outfit.hair_style == "cap":
        _draw_cap(canvas, figure, middle, scale)

    for sign in (1, -1):
        eye, depth = spot(FACE["left_eye" if sign > 0 else "right_eye"])
        if depth > EYE_SEEN:
            squeeze = (max(0.5, min(1.0, depth * 1.1)), 1.0)
            canvas.fill(eye + DISC * squeeze * (0.2 * scale), (250, 250, 250))
            canvas.fill(eye + DISC * squeeze * (0.12 * scale), (40, 26, 20))
            brow = [
                spot((sign * x, y, 0.78))[0] for x, y in ((0.2, 0.4), (0.38, 0.44), (0.55, 0.36))
            ]
            canvas.line(np.stack(brow), shade(outfit.hair, 0.7), 0.09 * scale)
    if nose_depth > 0.0:
        canvas.fill(nose_shape, shade(skin, 0.8), HEAD)
    mouth = [
        spot((x, y, 0.86)) for x, y in ((-0.26, -0.5), (-0.12, -0.58), (0.12, -0.58), (0.26, -0.5))
    ]
    if min(depth for _, depth in mouth) > 0.05:
        canvas.line(np.stack([place for place, _ in mouth]), (70, 60, 170), 0.1 * scale)
    if abs(head[2, 0]) > 0.22:
        ear(near)


def _draw_cap(canvas: Canvas, figure: Figure, middle: Array, scale: float) -> None:
    """A cap's crown and, where it is turned to the viewer, its peak."""
    color = figure.outfit.accent
    crown = _visible_cap(figure.head, np.array([0.0, 0.95, 0.1]), 66.0)
    if len(crown) > 2:
        canvas.fill(hull(middle + crown * (scale * 1.04, -scale * 1.04)), color, HEAD)
    peak = np.array(
        [[x, 0.48, z] for x, z in ((-0.62, 0.68), (-0.4, 1.3), (0.4, 1.3), (0.62, 0.68))]
    )
    peak = peak @ figure.head.T
    if figure.head[2, 2] > -0.25:
        canvas.fill(hull(middle + peak[:, :2] * (scale, -scale)), shade(color, 0.7), HEAD)


def _visible_cap(head: Array, axis: Array, degrees: float) -> Array:
    """(m, 2) what is seen of a cap of the unit sphere: its rim, and the horizon within it."""
    axis = axis / np.linalg.norm(axis)
    side = np.array([1.0, 0.0, 0.0])
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rim = c * axis + s * (DISC[:, :1] * side + DISC[:, 1:] * np.cross(axis, side))
    rim = rim @ head.T
    inside = DISC @ (head @ axis)[:2] > c
    return np.concatenate([rim[rim[:, 2] > 0, :2], DISC[inside]])
