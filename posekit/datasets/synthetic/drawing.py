"""A figure in flat colours: limbs, torso, head, hair and clothes, the nearest last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np

from posekit.datasets.synthetic.canvas import (
    BAG,
    CHEST,
    HAIR_BACK,
    LEFT_ARM,
    LEFT_LEG,
    NECK,
    PELVIS,
    RIGHT_ARM,
    RIGHT_LEG,
    SHIFT,
    SKIRT,
    Canvas,
    Shape,
    hull,
)
from posekit.datasets.synthetic.figure import DISC, TURN, Figure, circle
from posekit.datasets.synthetic.head import draw_head
from posekit.datasets.synthetic.palette import Array, Color, shade
from posekit.datasets.synthetic.patterns import draw_pattern

__all__ = ["draw_figure"]


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
    groups.append((max(head_depth, depth + 0.001), partial(draw_head, canvas, figure)))
    for back_depth, shapes in _backs(figure):
        groups.append((back_depth, partial(_draw_shapes, canvas, figure, shapes)))
    for _, draw in sorted(groups, key=lambda group: group[0]):
        draw()


def _draw_shapes(canvas: Canvas, figure: Figure, shapes: Sequence[Shape]) -> None:
    """Outlines first, so that none runs across the inside of a limb."""
    width = figure.outfit.outline * figure.scale
    if width:
        for shape in shapes:
            canvas.fill(_grow(shape.polygon, width), shade(shape.color, 0.45), shape.part)
    for shape in shapes:
        canvas.fill(shape.polygon, shape.color, shape.part)
        draw_pattern(canvas, figure, shape)


def _arm(figure: Figure, name: str, base: int) -> list[Shape]:
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


def _leg(figure: Figure, name: str, base: int) -> list[Shape]:
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
    shoe = Shape(hull(*circles), shade(outfit.shoes, light), base + 2)
    if ankle[2] < knee[2] - 0.05:  # the shin points away: what is farther is drawn first
        return [shoe, *shapes]
    return [*shapes, shoe] if knee[2] <= ankle[2] + 0.05 else [shoe, *shapes]


def _limb(
    figure: Figure, start: Array, end: Array, r0: float, r1: float, color: Color, part: int
) -> Shape:
    """A tapered capsule."""
    polygon = hull(circle(figure, start, r0), circle(figure, end, r1))
    return Shape(polygon, color, part, axis=(figure.project(start), figure.project(end)))


def _torso(figure: Figure) -> list[Shape]:
    outfit, joints = figure.outfit, figure.joints
    girth, waist = outfit.girth, joints["waist"]
    axis = (figure.project(waist), figure.project(joints["neck"]))

    def around(
        frame: Array, origin: Array, places: Sequence[tuple[float, float, float, float]]
    ) -> Array:
        return hull(
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
        Shape(pelvis, shade(outfit.legs, light), PELVIS),
        Shape(chest, shade(outfit.shirt, light), CHEST, outfit.pattern, axis),
    ]
    if outfit.skirt:
        hem = []
        for name in ("left", "right"):
            hip, knee = joints[f"{name}_hip"], joints[f"{name}_knee"]
            hem.append(circle(figure, hip + (knee - hip) * 0.6, 0.075 * girth))
        skirt = hull(pelvis, *hem)
        shapes.insert(1, Shape(skirt, shade(outfit.legs, light), SKIRT))
    return shapes


def _draw_torso(canvas: Canvas, figure: Figure, shapes: list[Shape]) -> None:
    _draw_shapes(canvas, figure, shapes)
    outfit, joints = figure.outfit, figure.joints
    facing = float(figure.chest[2, 2])
    # The neck and its opening, deeper in front than behind.
    neck, head = joints["neck"], joints["head"]
    tone = shade(outfit.skin, 0.86)
    canvas.fill(
        hull(circle(figure, neck, 0.034), circle(figure, (neck + head) / 2, 0.034)), tone, NECK
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


def _backs(figure: Figure) -> list[tuple[float, list[Shape]]]:
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
        hair = hull(*(circle(figure, place, r * radius) for place, r in spots))
        result.append((depth, [Shape(hair, shade(outfit.hair, 0.85), HAIR_BACK)]))
    if outfit.bag:
        middle = joints["waist"] + figure.chest @ np.array([0, 0.1, -0.09 * outfit.girth])
        corners = [
            middle + figure.chest @ np.array([x, y, 0])
            for x in (-0.05, 0.05)
            for y in (-0.07, 0.07)
        ]
        bag = hull(*(circle(figure, corner, 0.03) for corner in corners))
        facing = float(figure.chest[2, 2])
        depth = float(middle[2]) + (0.03 if facing < 0 else -0.05)
        result.append((depth, [Shape(bag, outfit.accent, BAG)]))
    return result


def _grow(polygon: Array, by: float) -> Array:
    """A convex polygon, as `hull` gives them, with its corners moved outward by some pixels."""
    edges = np.empty_like(polygon)
    edges[1:-1] = polygon[2:] - polygon[:-2]
    edges[0], edges[-1] = polygon[1] - polygon[-1], polygon[0] - polygon[-2]
    edges *= by / np.maximum(np.hypot(edges[:, 0], edges[:, 1]), 1e-6)[:, None]
    return polygon + np.stack([edges[:, 1], -edges[:, 0]], axis=1)


def _light(figure: Figure, point: Array) -> float:
    """Nearer is brighter, within a body."""
    return 1.0 + 0.9 * float(np.clip(point[2] - figure.joints["pelvis"][2], -0.2, 0.2))
