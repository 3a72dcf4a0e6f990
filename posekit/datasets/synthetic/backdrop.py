"""What is behind and in front of people, and on the picture: places, objects, light, noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from posekit.datasets.synthetic.figure import Figure, figure_bounds
from posekit.datasets.synthetic.palette import (
    TILE,
    Array,
    Color,
    Rng,
    any_color,
    mix,
    noise_field,
    shade,
)

__all__ = [
    "BACKGROUNDS",
    "add_artefacts",
    "draw_clutter",
    "draw_ground",
    "draw_occluder",
    "outdoors",
]


def outdoors(image: Array, rng: Rng) -> int:
    """Draws sky, clouds and ground; returns the row of the horizon."""
    height, width = image.shape[:2]
    horizon = int(height * rng.uniform(0.35, 0.55))
    sky = any_color(rng, (95, 115), (60, 140), (210, 255))
    _gradient(image[:horizon], shade(sky, 0.9), mix(sky, (255, 255, 255), 0.65))
    if rng.random() < 0.5:
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0.05, 0.6) * horizon))
        cv2.circle(
            image, centre, int(rng.uniform(0.03, 0.07) * width), (170, 235, 255), -1, cv2.LINE_AA
        )
    for _ in range(int(rng.integers(0, 4))):
        _cloud(image, rng, horizon)
    for layer in range(int(rng.integers(1, 3))):
        hill = any_color(rng, (35, 80), (40, 120), (110, 190))
        xs = np.linspace(0, width, 24)
        waves = np.sin(xs / width * rng.uniform(3, 9) + rng.uniform(0, 6))
        ys = horizon - (0.12 - 0.05 * layer) * height * (0.6 + 0.4 * waves)
        outline = np.concatenate([np.stack([xs, ys], 1), [[width, height], [0, height]]])
        cv2.fillPoly(image, [outline.astype(np.int32)], hill, cv2.LINE_AA)
    ground = any_color(rng, (25, 60), (60, 150), (110, 190))
    _gradient(image[horizon:], mix(ground, (255, 255, 255), 0.15), shade(ground, 0.8))
    _speckle(image[horizon:], rng, float(rng.uniform(0.1, 0.5)))
    if rng.random() < 0.5:
        _grass(image, rng, horizon, ground)
    return horizon


def _room(image: Array, rng: Rng) -> int:
    height, width = image.shape[:2]
    horizon = int(height * rng.uniform(0.4, 0.62))
    wall, floor = (
        any_color(rng, (0, 179), (10, 90), (120, 240)),
        any_color(rng, (5, 25), (40, 140), (90, 190)),
    )
    kind = rng.integers(4)
    _gradient(image[:horizon], wall, shade(wall, 0.85))
    line = shade(wall, float(rng.choice([0.8, 1.15])))
    if kind == 0:
        _bricks(image[:horizon], rng, line)
    elif kind == 1:
        step = int(rng.integers(14, 60))
        for x in range(int(rng.integers(step)), width, step):
            cv2.rectangle(image, (x, 0), (x + step // 3, horizon - 1), line, -1)
    elif kind == 2:
        x, y = int(rng.uniform(0, 0.7) * width), int(rng.uniform(0.02, 0.2) * height)
        end = (x + int(0.25 * width), y + int(0.25 * height))
        cv2.rectangle(
            image[:horizon], (x, y), end, any_color(rng, (90, 125), (40, 120), (180, 250)), -1
        )
        cv2.rectangle(image[:horizon], (x, y), end, shade(wall, 0.6), 5)
    _gradient(image[horizon:], shade(floor, 1.1), shade(floor, 0.8))
    if rng.random() < 0.5:
        middle = rng.uniform(0, width)
        for x in np.linspace(-1.5 * width, 2.5 * width, int(rng.integers(14, 30))):
            top = (int(middle + (x - middle) * 0.45), horizon)
            cv2.line(image, top, (int(x), height), shade(floor, 0.7), 1, cv2.LINE_AA)
    cv2.rectangle(image, (0, horizon - 5), (width, horizon), shade(wall, 0.7), -1)
    _speckle(image, rng, float(rng.uniform(0, 0.2)))
    return horizon


def _clouds(image: Array, rng: Rng) -> int:
    """Coloured noise of several scales."""
    height, width = image.shape[:2]
    base = any_color(rng, (0, 179), (0, 140), (60, 220))
    image[:] = np.array(base, np.uint8)
    for cells, amount in ((4, 0.5), (12, 0.3), (50, 0.25)):
        shape = (max(2, cells * height // width), cells, 3)
        grid = rng.integers(0, 256, shape, dtype=np.uint8)
        noise = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
        amount *= float(rng.uniform(0, 1))
        cv2.addWeighted(image, 1, noise, amount, -128 * amount, dst=image)
    return int(0.35 * height)


def _shapes(image: Array, rng: Rng) -> int:
    """Overlapping rectangles, discs and triangles."""
    height, width = image.shape[:2]
    _gradient(image, any_color(rng), any_color(rng))
    for _ in range(int(rng.integers(5, 30))):
        centre = rng.uniform(0, 1, 2) * (width, height)
        size = rng.uniform(0.03, 0.2, 2) * width
        kind, color = rng.integers(3), any_color(rng)
        if kind == 0:
            corners = cv2.boxPoints((tuple(centre), tuple(size), float(rng.uniform(0, 180))))
            cv2.fillConvexPoly(image, corners.astype(np.int32), color, cv2.LINE_AA)
        elif kind == 1:
            axes = (int(size[0] / 2), int(size[1] / 2))
            cv2.ellipse(image, centre.astype(int).tolist(), axes, 0, 0, 360, color, -1, cv2.LINE_AA)
        else:
            points = centre + rng.uniform(-1, 1, (3, 2)) * size
            cv2.fillConvexPoly(image, points.astype(np.int32), color, cv2.LINE_AA)
    _speckle(image, rng, float(rng.uniform(0, 0.3)))
    return int(0.35 * height)


def _weave(image: Array, rng: Rng) -> int:
    """Slanted stripes or checks."""
    height, width = image.shape[:2]
    first = any_color(rng, (0, 179), (0, 140), (60, 240))
    second = mix(first, any_color(rng), float(rng.uniform(0.2, 0.8)))
    image[:] = np.array(first, np.uint8)
    step = float(rng.uniform(10, 70))
    slant = float(rng.uniform(-1, 1)) * height
    for x in np.arange(-height, width + height, step):
        corners = np.array(
            [[x, 0], [x + step / 2, 0], [x + step / 2 + slant, height], [x + slant, height]]
        )
        cv2.fillConvexPoly(image, corners.astype(np.int32), second, cv2.LINE_AA)
    if rng.random() < 0.4:
        for y in np.arange(0, height, step):
            strip = image[int(y) : int(y + step / 2)]
            strip[:] = (
                cv2.addWeighted(strip, 0.5, np.full_like(strip, 128), 0.5, 0) if strip.size else 0
            )
    return int(0.35 * height)


def _studio(image: Array, rng: Rng) -> int:
    """A gradient."""
    base = any_color(rng, (0, 179), (0, 120), (90, 245))
    _gradient(image, base, shade(base, float(rng.uniform(0.6, 1.2))))
    _speckle(image, rng, float(rng.uniform(0, 0.3)))
    return int(0.35 * image.shape[0])


BACKGROUNDS: tuple[Callable[[Array, Rng], int], ...] = (
    *(outdoors, outdoors, outdoors, _room, _room, _room),
    *(_clouds, _shapes, _weave, _studio),
)


def _gradient(image: Array, top: Color, bottom: Color) -> None:
    """Fills an image from its first row to its last."""
    if image.size:
        ends = np.array([top, bottom], np.float64)
        part = np.linspace(0, 1, len(image))[:, None]
        rows = np.clip(ends[0] * (1 - part) + ends[1] * part, 0, 255).astype(np.uint8)
        height, width = image.shape[:2]
        cv2.resize(rows[:, None], (width, height), dst=image, interpolation=cv2.INTER_NEAREST)


def _bricks(image: Array, rng: Rng, line: Color) -> None:
    height, width = image.shape[:2]
    rise = int(rng.integers(12, 28))
    for row, y in enumerate(range(0, height, rise)):
        cv2.line(image, (0, y), (width, y), line, 2)
        for x in range((row % 2) * rise, width, rise * 2):
            cv2.line(image, (x, y), (x, min(height, y + rise) - 1), line, 2)


def _grass(image: Array, rng: Rng, horizon: int, ground: Color) -> None:
    height, width = image.shape[:2]
    for x, y, bend in rng.uniform(0, 1, (90, 3)):
        size = 4 + 14 * y
        root = (int(x * width), int(horizon + y * (height - horizon)))
        tip = (int(root[0] + (bend - 0.5) * size), int(root[1] - size))
        cv2.line(image, root, tip, shade(ground, 0.75 + 0.6 * bend), 1, cv2.LINE_AA)


def _cloud(image: Array, rng: Rng, horizon: int) -> None:
    width = image.shape[1]
    x, y = rng.uniform(0, width), rng.uniform(0.05, 0.6) * horizon
    size = rng.uniform(0.02, 0.045) * width
    for step in range(4):
        centre = (int(x + step * size), int(y + rng.uniform(-0.3, 0.3) * size))
        cv2.circle(
            image[:horizon],
            centre,
            int(size * rng.uniform(0.6, 1)),
            (250, 248, 246),
            -1,
            cv2.LINE_AA,
        )


def draw_clutter(image: Array, rng: Rng, horizon: int) -> None:
    """Something that resembles limbs or heads and belongs to nobody."""
    height, width = image.shape[:2]
    x, y = float(rng.uniform(0, width)), float(rng.uniform(horizon * 0.8, height))
    size = float(rng.uniform(0.08, 0.35)) * height
    color, kind = any_color(rng), rng.integers(6)
    thick = max(2, int(size * rng.uniform(0.06, 0.16)))
    if kind == 0:  # a tree
        cv2.line(
            image, (int(x), int(y)), (int(x), int(y - size)), (45, 70, 100), thick, cv2.LINE_AA
        )
        crown = any_color(rng, (35, 80), (80, 160), (90, 180))
        cv2.circle(image, (int(x), int(y - size)), int(size * 0.35), crown, -1, cv2.LINE_AA)
    elif kind == 1:  # a bent branch
        points = np.cumsum(np.vstack([[x, y], rng.uniform(-0.5, 0.5, (3, 2)) * size]), axis=0)
        cv2.polylines(image, [points.astype(np.int32)], False, color, thick, cv2.LINE_AA)
    elif kind == 2:  # a ball
        radius = int(size * 0.2)
        cv2.circle(image, (int(x), int(y)), radius, color, -1, cv2.LINE_AA)
        cv2.circle(image, (int(x), int(y)), radius // 2, shade(color, 1.3), 2, cv2.LINE_AA)
    elif kind == 3:  # a crate
        _crate(image, x, y, size * 0.5, color)
    elif kind == 4:  # a sign
        cv2.line(
            image, (int(x), int(y)), (int(x), int(y - size)), shade(color, 0.5), thick, cv2.LINE_AA
        )
        corner = (int(x + size * 0.25), int(y - size * 0.7))
        cv2.rectangle(image, (int(x - size * 0.25), int(y - size)), corner, color, -1)
    else:  # a bush
        _bush(image, rng, x, y, size * 0.5)


def _crate(image: Array, x: float, y: float, size: float, color: Color) -> None:
    first, last = (int(x - size / 2), int(y - size)), (int(x + size / 2), int(y))
    cv2.rectangle(image, first, last, color, -1)
    cv2.rectangle(image, first, last, shade(color, 0.6), max(1, int(size * 0.06)))
    cv2.line(image, first, last, shade(color, 0.6), max(1, int(size * 0.06)), cv2.LINE_AA)


def _bush(image: Array, rng: Rng, x: float, y: float, size: float) -> None:
    color = any_color(rng, (35, 80), (80, 180), (70, 170))
    for dx, dy, light in rng.uniform(-1, 1, (7, 3)):
        centre = (int(x + dx * size * 0.6), int(y - size * (0.45 + 0.3 * dy)))
        cv2.circle(image, centre, int(size * 0.38), shade(color, 1 + 0.15 * light), -1, cv2.LINE_AA)


def draw_occluder(
    image: Array, owners: Array, rng: Rng, boxes: Sequence[tuple[int, int, int, int] | None]
) -> None:
    """Something in front of one of the people, small enough to leave most of it visible."""
    present = [box for box in boxes if box is not None]
    if not present:
        return
    x1, y1, x2, y2 = present[int(rng.integers(len(present)))]
    size = float(rng.uniform(0.15, 0.28)) * min(max(x2 - x1, 1), y2 - y1) + 4
    x, y = float(rng.uniform(x1, x2)), float(rng.uniform(y1 + 0.4 * (y2 - y1), y2 + size * 0.4))
    before = image.copy()
    kind = rng.integers(3)
    if kind == 0:
        _crate(image, x, y, size, any_color(rng))
    elif kind == 1:
        _bush(image, rng, x, y, size)
    else:
        color, bottom = any_color(rng), min(image.shape[0] - 1, int(y2 + 3))
        cv2.line(
            image, (int(x), y1 - 10), (int(x), bottom), color, max(2, int(size * 0.2)), cv2.LINE_AA
        )
    low_x, high_x = max(0, int(x - 1.5 * size)), int(x + 1.5 * size) + 2
    changed = (image[:, low_x:high_x] != before[:, low_x:high_x]).any(axis=2)
    owners[:, low_x:high_x][changed] = 0


def draw_ground(image: Array, figure: Figure, rng: Rng) -> None:
    """A shadow, and a seat for those who sit."""
    box = figure_bounds(figure)
    bottom = box[3] + figure.pose.lift * figure.scale - 0.02 * figure.scale
    if figure.pose.seat:
        hips = figure.project(figure.joints["pelvis"])
        half = 0.13 * figure.scale
        top = hips[1] + 0.05 * figure.scale
        seat = np.array(
            [
                [hips[0] - half, top],
                [hips[0] + half, top],
                [hips[0] + half, bottom],
                [hips[0] - half, bottom],
            ]
        )
        color = any_color(rng, (5, 25), (40, 160), (70, 200))
        cv2.fillConvexPoly(image, seat.astype(np.int32), color, cv2.LINE_AA)
        lid = np.array([[hips[0] - half, top], [hips[0] + half, top + 0.03 * figure.scale]])
        cv2.rectangle(
            image, lid[0].astype(int).tolist(), lid[1].astype(int).tolist(), shade(color, 1.3), -1
        )
    if rng.random() < 0.8:
        centre = ((box[0] + box[2]) / 2, bottom)
        axes = ((box[2] - box[0]) * 0.45 + 2, 0.025 * figure.scale + 1)
        height, width = image.shape[:2]
        x1, x2 = (int(np.clip(centre[0] + s * axes[0] + s, 0, width)) for s in (-1, 1))
        y1, y2 = (int(np.clip(centre[1] + s * axes[1] + s, 0, height)) for s in (-1, 1))
        piece = image[y1:y2, x1:x2]
        if piece.size:
            dark = piece.copy()
            middle = (int(centre[0]) - x1, int(centre[1]) - y1)
            cv2.ellipse(
                dark, middle, (int(axes[0]), int(axes[1])), 0, 0, 360, (30, 30, 30), -1, cv2.LINE_AA
            )
            cv2.addWeighted(dark, 0.4, piece, 0.6, 0, dst=piece)


def add_artefacts(image: Array, rng: Rng) -> Array:
    """Uneven light, blur, noise and JPEG blocks, each at random."""
    height, width = image.shape[:2]
    if rng.random() < 0.6:  # uneven, coloured light
        corners = rng.uniform(0.75, 1.2, (2, 2, 1)) * rng.uniform(0.94, 1.06, (1, 1, 3)) * 170
        light = cv2.resize(np.clip(corners, 0, 255).astype(np.uint8), (width, height))
        image = cv2.multiply(image, light, scale=1 / 170)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3)))
    if rng.random() < 0.6:
        x, y = (int(value) for value in rng.integers(0, TILE, 2))
        strength = float(rng.uniform(0.03, 0.45))
        noise = noise_field(width, height, x, y)
        image = cv2.addWeighted(image, 1.0, noise, strength, -128 * strength)
    if rng.random() < 0.5:
        quality = int(rng.integers(35, 92))
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded: Array | None = cv2.imdecode(data, cv2.IMREAD_COLOR)
        image = image if decoded is None else decoded
    return image


def _speckle(image: Array, rng: Rng, strength: float) -> None:
    if image.size and strength > 0.02:
        x, y = (int(value) for value in rng.integers(0, TILE, 2))
        noise = noise_field(image.shape[1], image.shape[0], x, y)
        cv2.addWeighted(image, 1.0, noise, strength, -128 * strength, dst=image)
