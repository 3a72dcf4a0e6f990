"""A figure in flat colours: limbs, torso, head, hair and clothes, the nearest last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from posekit.datasets.synthetic.figure import DISC, FACE, ROUND, TURN, Figure, circle
from posekit.datasets.synthetic.palette import Array, Color, mix, noise_field, shade

__all__ = [
    "CHEST",
    "EYE_SEEN",
    "HEAD",
    "LEFT_ARM",
    "LEFT_EAR",
    "LEFT_LEG",
    "PARTS",
    "PELVIS",
    "RIGHT_ARM",
    "RIGHT_EAR",
    "RIGHT_LEG",
    "SKIRT",
    "Canvas",
    "draw_figure",
]

# How far an eye is turned to the viewer, in radii of the head, where it is drawn.
EYE_SEEN = 0.06
# Polygons are given to OpenCV in 1/16 of a pixel.
SHIFT = 4

# What a drawn pixel belongs to.
PELVIS, CHEST, NECK, HEAD, LEFT_EAR, RIGHT_EAR, HAIR_BACK, BAG, SKIRT = range(1, 10)
LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG = 10, 13, 16, 19  # each: upper, lower, end
PARTS = 32


class Canvas:
    """Draws convex polygons into the image and, without smoothing, what they are into a map."""

    def __init__(self, image: Array) -> None:
        self.image = image
        self.labels = np.zeros(image.shape[:2], np.uint8)

    def fill(self, polygon: Array, color: Color, part: int = 0) -> None:
        points = np.rint(polygon * (1 << SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(self.image, points, color, cv2.LINE_AA, SHIFT)
        if part:
            cv2.fillConvexPoly(self.labels, points, part, cv2.LINE_8, SHIFT)

    def line(self, points: Array, color: Color, width: float) -> None:
        places = np.rint(points * (1 << SHIFT)).astype(np.int32)
        cv2.polylines(self.image, [places], False, color, max(1, round(width)), cv2.LINE_AA, SHIFT)


@dataclass
class _Shape:
    """A convex polygon of one part, with how it is coloured."""

    polygon: Array
    color: Color
    part: int
    pattern: str = "plain"
    axis: tuple[Array, Array] | None = None  # from, to in pixels: what stripes lie across


def draw_figure(canvas: Canvas, figure: Figure) -> None:
    """Limbs, torso and head, from far to near."""
    joints = figure.joints
    groups: list[tuple[float, Callable[[], None]]] = []
    for base, name in ((LEFT_ARM, "left"), (RIGHT_ARM, "right")):
        ends = [joints[f"{name}_{joint}"] for joint in ("elbow", "wrist", "hand")]
        depth = float(np.mean([point[2] for point in ends])) + 0.025
        shapes = _arm(figure, name, base)
        groups.append((depth, partial(_draw_shapes, canvas, figure, shapes)))
    torso = _torso(figure)
    depth = float((joints["waist"] + joints["neck"])[2]) / 2
    groups.append((depth, partial(_draw_torso, canvas, figure, torso)))
    for base, name in ((LEFT_LEG, "left"), (RIGHT_LEG, "right")):
        ends = [joints[f"{name}_{joint}"] for joint in ("knee", "ankle")]
        leg_depth = float(np.mean([point[2] for point in ends]))
        # A leg starts beneath the shirt and the skirt, unless it comes towards the viewer.
        forward = leg_depth > depth + 0.12 and not figure.outfit.skirt
        shapes = _leg(figure, name, base)
        order = leg_depth if forward else depth - 0.001 + 0.001 * math.tanh(leg_depth - depth)
        groups.append((order, partial(_draw_shapes, canvas, figure, shapes)))
    head_depth = float(joints["head"][2]) + 0.02
    groups.append((max(head_depth, depth + 0.001), partial(_draw_head, canvas, figure)))
    for back_depth, shapes in _backs(figure):
        groups.append((back_depth, partial(_draw_shapes, canvas, figure, shapes)))
    for _, draw in sorted(groups, key=lambda group: group[0]):
        draw()


def _draw_shapes(canvas: Canvas, figure: Figure, shapes: Sequence[_Shape]) -> None:
    """Outlines first, so that none runs across the inside of a limb."""
    width = figure.outfit.outline * figure.scale
    if width:
        for shape in shapes:
            canvas.fill(_grow(shape.polygon, width), shade(shape.color, 0.45), shape.part)
    for shape in shapes:
        canvas.fill(shape.polygon, shape.color, shape.part)
        _draw_pattern(canvas, figure, shape)


def _arm(figure: Figure, name: str, base: int) -> list[_Shape]:
    outfit = figure.outfit
    shoulder, elbow, wrist, hand = (
        figure.joints[f"{name}_{joint}"] for joint in ("shoulder", "elbow", "wrist", "hand")
    )
    light = _light(figure, (shoulder + elbow + wrist) / 3)
    skin, shirt = shade(outfit.skin, light), shade(outfit.shirt, light)
    thick = 0.6 + 0.4 * outfit.girth
    radii = (0.04 * thick, 0.03 * thick, 0.022 * thick)
    upper = _limb(figure, shoulder, elbow, radii[0], radii[1], skin, base)
    lower = _limb(figure, elbow, wrist, radii[1], radii[2], shade(skin, 0.97), base + 1)
    palm = _limb(figure, wrist, hand, 0.02, 0.024, shade(skin, 1.03), base + 2)
    shapes = [upper, lower, palm]
    if outfit.sleeve:
        part = min(1.0, outfit.sleeve)
        end = shoulder + (elbow - shoulder) * part
        radius = radii[0] + (radii[1] - radii[0]) * part + 0.006
        sleeve = _limb(figure, shoulder, end, radii[0] + 0.005, radius, shirt, base)
        sleeve.pattern = outfit.pattern
        shapes = [upper, lower, palm, sleeve]
    if outfit.sleeve > 1:
        end = elbow + (wrist - elbow) * min(0.96, outfit.sleeve - 1)
        radius = radii[1] + (radii[2] - radii[1]) * (outfit.sleeve - 1) + 0.006
        cuff = _limb(figure, elbow, end, radii[1] + 0.006, radius, shade(shirt, 0.97), base + 1)
        cuff.pattern = outfit.pattern
        shapes.append(cuff)
    return shapes if elbow[2] < wrist[2] else sorted(shapes, key=lambda shape: -shape.part)


def _leg(figure: Figure, name: str, base: int) -> list[_Shape]:
    outfit = figure.outfit
    hip, knee, ankle, heel, toe = (
        figure.joints[f"{name}_{joint}"] for joint in ("hip", "knee", "ankle", "heel", "toe")
    )
    light = _light(figure, (knee + ankle) / 2)
    skin, cloth = shade(outfit.skin, light), shade(outfit.legs, light)
    thick = 0.5 + 0.5 * outfit.girth
    radii = (0.06 * thick, 0.042 * thick, 0.028 * thick)
    bare = outfit.skirt
    upper = _limb(figure, hip, knee, radii[0], radii[1], skin if bare else cloth, base)
    lower = _limb(figure, knee, ankle, radii[1], radii[2], skin, base + 1)
    shapes = [lower, upper]
    if not bare and outfit.leg < 1:
        upper.color = skin
        end = hip + (knee - hip) * outfit.leg
        shapes.append(_limb(figure, hip, end, radii[0], radii[1] * 1.2, cloth, base))
    elif not bare:
        end = knee + (ankle - knee) * 0.95
        lower.color = skin
        trouser = _limb(figure, knee, end, radii[1], radii[2] * 1.15, shade(cloth, 0.96), base + 1)
        shapes = [lower, trouser, upper]
    circles = [circle(figure, heel, 0.024), circle(figure, toe, 0.02)]
    circles.append(circle(figure, (ankle + heel) / 2, 0.026))
    shoe = _Shape(_hull(*circles), shade(outfit.shoes, light), base + 2)
    if ankle[2] < knee[2] - 0.05:  # the shin points away: what is farther is drawn first
        return [shoe, *shapes]
    return [*shapes, shoe] if knee[2] <= ankle[2] + 0.05 else [shoe, *shapes]


def _limb(
    figure: Figure, start: Array, end: Array, r0: float, r1: float, color: Color, part: int
) -> _Shape:
    """A tapered capsule."""
    polygon = _hull(circle(figure, start, r0), circle(figure, end, r1))
    return _Shape(polygon, color, part, axis=(figure.project(start), figure.project(end)))


def _torso(figure: Figure) -> list[_Shape]:
    outfit, joints = figure.outfit, figure.joints
    girth, waist = outfit.girth, joints["waist"]
    axis = (figure.project(waist), figure.project(joints["neck"]))

    def around(
        frame: Array, origin: Array, places: Sequence[tuple[float, float, float, float]]
    ) -> Array:
        return _hull(
            *(
                circle(figure, origin + frame @ np.array([sign * x, y, z]), r * girth)
                for x, y, z, r in places
                for sign in (1, -1)
            )
        )

    reach = 0.115 * outfit.shoulders * (0.6 + 0.4 * girth)
    pelvis = around(
        figure.pelvis,
        joints["pelvis"],
        [(0.06 * girth, 0.0, 0.0, 0.06), (0.055 * girth, 0.07, 0.0, 0.05)],
    )
    places = [(reach, 0.19, 0.0, 0.034 / girth + 0.006), (0.03, 0.215, 0.0, 0.03)]
    places += [(0.06 * girth, 0.13, z, 0.052) for z in (-0.02, 0.025)]
    places.append((0.05 * girth, -0.01, 0.0, 0.055))
    chest = around(figure.chest, waist, places)
    light = _light(figure, (waist + joints["neck"]) / 2)
    shapes = [
        _Shape(pelvis, shade(outfit.legs, light), PELVIS),
        _Shape(chest, shade(outfit.shirt, light), CHEST, outfit.pattern, axis),
    ]
    if outfit.skirt:
        hem = []
        for name in ("left", "right"):
            hip, knee = joints[f"{name}_hip"], joints[f"{name}_knee"]
            hem.append(circle(figure, hip + (knee - hip) * 0.6, 0.075 * girth))
        skirt = _hull(pelvis, *hem)
        shapes.insert(1, _Shape(skirt, shade(outfit.legs, light), SKIRT))
    return shapes


def _draw_torso(canvas: Canvas, figure: Figure, shapes: list[_Shape]) -> None:
    _draw_shapes(canvas, figure, shapes)
    outfit, joints = figure.outfit, figure.joints
    facing = float(figure.chest[2, 2])
    # The neck and its opening, deeper in front than behind.
    neck, head = joints["neck"], joints["head"]
    tone = shade(outfit.skin, 0.86)
    canvas.fill(
        _hull(circle(figure, neck, 0.034), circle(figure, (neck + head) / 2, 0.034)), tone, NECK
    )

    def place(x: float, y: float, z: float = 0.062) -> Array:
        return figure.project(joints["waist"] + figure.chest @ np.array([x, y, z * outfit.girth]))

    if facing > 0.12:
        neckline = [place(-0.034, 0.222, 0.02), place(0.0, 0.18), place(0.034, 0.222, 0.02)]
        canvas.fill(np.stack(neckline), tone, NECK)
        _draw_front(canvas, figure, place)
    elif facing < -0.12:
        # A seam and a yoke: a back has no print.
        dark = shade(outfit.shirt, 0.7)
        canvas.line(
            np.stack([place(x, 0.165, -0.05) for x in (-0.1, -0.05, 0, 0.05, 0.1)]),
            dark,
            0.006 * figure.scale,
        )


def _draw_front(canvas: Canvas, figure: Figure, place: Callable[..., Array]) -> None:
    outfit, scale = figure.outfit, figure.scale
    accent = outfit.accent
    if outfit.front in ("buttons", "zip"):
        heights = np.linspace(0.0, 0.17, 6)
        canvas.line(
            np.stack([place(0, y) for y in heights]), shade(outfit.shirt, 0.6), 0.008 * scale
        )
        if outfit.front == "zip":
            canvas.line(np.stack([place(0.004, y) for y in heights]), accent, 0.008 * scale)
        else:
            for y in heights[:-1]:
                canvas.fill(place(0.0, y) + DISC * max(0.9, 0.009 * scale), accent)
        return
    if outfit.front == "disc":
        outline = DISC * 0.042
    elif outfit.front == "square":
        outline = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.036
    elif outfit.front == "heart":
        t = TURN
        x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t)
        outline = np.stack([x, y], axis=1) * 0.0026
    else:
        t = np.arange(10) * np.pi / 5 + np.pi / 2
        r = np.where(np.arange(10) % 2 == 0, 0.05, 0.022)
        outline = np.stack([r * np.cos(t), r * np.sin(t)], axis=1)
    places = np.stack([place(x, 0.105 + y) for x, y in outline])
    points = np.rint(places * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(canvas.image, [points], accent, cv2.LINE_AA, SHIFT)


def _backs(figure: Figure) -> list[tuple[float, list[_Shape]]]:
    """Long hair and bags, which lie behind head and back."""
    outfit, joints = figure.outfit, figure.joints
    radius = 0.082 * outfit.head
    result = []

    def on_head(x: float, y: float, z: float) -> Array:
        return joints["head"] + figure.head @ (np.array([x, y, z]) * radius)

    spots: list[tuple[Array, float]] = []
    if outfit.hair_style == "long":
        spots = [
            (on_head(x, y, -0.35), r)
            for x, y, r in ((0, 0.1, 0.95), (0.4, -1.5, 0.55), (-0.4, -1.5, 0.55))
        ]
    elif outfit.hair_style == "bob":
        spots = [
            (on_head(x, y, -0.25), r)
            for x, y, r in ((0, 0.15, 0.97), (0.45, -0.7, 0.6), (-0.45, -0.7, 0.6))
        ]
    elif outfit.hair_style == "bun":
        spots = [(on_head(0, 0.75, -0.75), 0.45)]
    elif outfit.hair_style == "tail":
        spots = [(on_head(0, 0.35, -0.95), 0.3), (on_head(0, -1.2, -1.35), 0.18)]
    if spots:
        depth = float(np.mean([place[2] for place, _ in spots]))
        # Beside the neck it lies behind it in a front view and before it in a back view.
        facing = float(figure.head[2, 2])
        torso = float((joints["waist"] + joints["neck"])[2]) / 2
        depth = max(depth, torso) + 0.08 if facing < -0.1 else min(depth, torso) - 0.03
        hair = _hull(*(circle(figure, place, r * radius) for place, r in spots))
        result.append((depth, [_Shape(hair, shade(outfit.hair, 0.85), HAIR_BACK)]))
    if outfit.bag:
        middle = joints["waist"] + figure.chest @ np.array([0, 0.1, -0.09 * outfit.girth])
        corners = [
            middle + figure.chest @ np.array([x, y, 0])
            for x in (-0.05, 0.05)
            for y in (-0.07, 0.07)
        ]
        bag = _hull(*(circle(figure, corner, 0.03) for corner in corners))
        facing = float(figure.chest[2, 2])
        depth = float(middle[2]) + (0.03 if facing < 0 else -0.05)
        result.append((depth, [_Shape(bag, outfit.accent, BAG)]))
    return result


def _draw_head(canvas: Canvas, figure: Figure) -> None:
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
    nose_shape = _hull(nose + DISC * (0.15 * scale), bridge + DISC * (0.05 * scale))
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
            canvas.fill(_hull(face, chin), skin, HEAD)
        else:
            canvas.fill(_hull(face), skin, HEAD)
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
        canvas.fill(_hull(middle + crown * (scale * 1.04, -scale * 1.04)), color, HEAD)
    peak = np.array(
        [[x, 0.48, z] for x, z in ((-0.62, 0.68), (-0.4, 1.3), (0.4, 1.3), (0.62, 0.68))]
    )
    peak = peak @ figure.head.T
    if figure.head[2, 2] > -0.25:
        canvas.fill(_hull(middle + peak[:, :2] * (scale, -scale)), shade(color, 0.7), HEAD)


def _visible_cap(head: Array, axis: Array, degrees: float) -> Array:
    """(m, 2) what is seen of a cap of the unit sphere: its rim, and the horizon within it."""
    axis = axis / np.linalg.norm(axis)
    side = np.array([1.0, 0.0, 0.0])
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rim = c * axis + s * (DISC[:, :1] * side + DISC[:, 1:] * np.cross(axis, side))
    rim = rim @ head.T
    inside = DISC @ (head @ axis)[:2] > c
    return np.concatenate([rim[rim[:, 2] > 0, :2], DISC[inside]])


def _draw_pattern(canvas: Canvas, figure: Figure, shape: _Shape) -> None:
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


def _hull(*points: Array) -> Array:
    together = np.concatenate(points).astype(np.float32)
    return cv2.convexHull(together)[:, 0].astype(np.float64)


def _grow(polygon: Array, by: float) -> Array:
    """A convex polygon, as `_hull` gives them, with its corners moved outward by some pixels."""
    edges = np.empty_like(polygon)
    edges[1:-1] = polygon[2:] - polygon[:-2]
    edges[0], edges[-1] = polygon[1] - polygon[-1], polygon[0] - polygon[-2]
    edges *= by / np.maximum(np.hypot(edges[:, 0], edges[:, 1]), 1e-6)[:, None]
    return polygon + np.stack([edges[:, 1], -edges[:, 0]], axis=1)


def _light(figure: Figure, point: Array) -> float:
    """Nearer is brighter, within a body."""
    return 1.0 + 0.9 * float(np.clip(point[2] - figure.joints["pelvis"][2], -0.2, 0.2))
