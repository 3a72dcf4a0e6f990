"""3D poses drawn as plots, one cell per instance: pure functions on arrays, OpenCV only.

The camera never moves: it looks from azimuth -45 and elevation 15 degrees at a cube of space with
z up, in perspective. `fit_limits` says how large the cube is; given the limits of the frame before,
it only ever grows, so that a figure does not jump in size over a clip:

    limits = fit_limits(result.pose3d, limits)
    plot = draw_pose3d(result.pose3d, size_wh=(540, 540), limits=limits)
    picture = beside(drawing, plot)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.result import Pose3D
from posekit.skeleton import Color, Skeleton

__all__ = ["MAX_PLOT", "MIN_PLOT", "Limits", "PlotOptions", "beside", "draw_pose3d", "fit_limits"]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

AZIMUTH, ELEVATION = -45.0, 15.0  # degrees
MIN_PLOT, MAX_PLOT = 16, 16384  # pixels that either side of all plots together may have
DISTANCE = 3.2  # of the camera from the cube's middle, in sides of the cube
MARGIN = 0.05  # of a cell's side
# Of the cube's side: half the floor, how far figures reach from the middle, how high the picture.
FLOOR_HALF, REACH, TOP = 0.4, 0.42, 0.96
FLOOR_SQUARES = 8
# A keypoint this many times as far from the figure's middle as half of the others is an outlier.
OUTLIER = 4.0
# Heights below this share of the figure's size mean that nobody put it on the ground.
BELOW_GROUND = 0.02
# Keypoints on which the figure turns, by name; others turn on the middle of what is seen.
ROOTS = ("root", "pelvis")

# BGR
PAPER: Color = (252, 250, 249)
FLOOR: Color = (246, 241, 237)
GRID: Color = (222, 214, 207)
OUTLINE: Color = (70, 58, 50)
SHADOW: Color = (214, 203, 194)
TEXT: Color = (92, 78, 68)
AXES: tuple[tuple[str, Color], ...] = (
    ("x", (90, 90, 205)),
    ("y", (95, 160, 80)),
    ("z", (200, 130, 70)),
)
# Radius and thickness are those of a cell of this many pixels, and grow with it.
REFERENCE_SIDE = 270


@dataclass(frozen=True, kw_only=True)
class PlotOptions(Options):
    """3D plots."""

    num_instances: int = option(
        1, "people to plot beside the image; a negative number plots everybody", most=100, only="3D"
    )

    def check(self) -> None:
        if not self.num_instances:
            raise InputError("num_instances must be at least 1, or negative for everybody, found 0")


SMALLEST_CELL = 16  # pixels
# cv2 takes positions in 1/16 of a pixel.
SHIFT = 4


@dataclass(frozen=True)
class Limits:
    """The cube of space that is shown.

    Attributes:
        side: of the cube, in the keypoints' unit.
        on_ground: whether the cube stands at height 0; otherwise the figure is at its centre.
    """

    side: float
    on_ground: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.side < math.inf:
            raise InputError(f"expected a cube of a positive side, found {self.side!r}")


def fit_limits(pose: Pose3D, before: Limits | None = None, *, kpt_thr: float = 0.3) -> Limits:
    """A cube that holds every instance, each moved to its middle.

    Sides are ..., 1, 1.25, 1.5, 1.75, 2, 2.5, 3, ...: most standing adults give 1.75 m or 2 m.
    Outliers do not count.

    Args:
        pose: the people of a frame.
        before: what this gave for the frame before; it grows, but never shrinks.
        kpt_thr: keypoints below this score do not count.
    """
    points, shown = _check_pose(pose, kpt_thr)
    side, on_ground = 0.0, True
    for person, visible in zip(points, shown, strict=True):
        if not visible.any():
            continue
        typical = person[_typical(person, visible)]
        middle = _middle(person, visible, pose.skeleton)
        size = np.ptp(typical, axis=0).max()
        grounded = bool(typical[:, 2].min() >= -BELOW_GROUND * size)
        aside = np.linalg.norm(typical[:, :2] - middle[:2], axis=1).max() / REACH
        height = typical[:, 2].max() if grounded else 2 * np.abs(typical[:, 2] - middle[2]).max()
        side = max(side, float(aside), float(height))
        on_ground &= grounded
    if before is not None:
        side, on_ground = max(side, before.side), on_ground and before.on_ground
    return Limits(_round_up(side), on_ground)


def draw_pose3d(
    pose: Pose3D,
    *,
    size_wh: tuple[int, int],
    num_instances: int = 1,
    limits: Limits | None = None,
    track_ids: npt.ArrayLike | None = None,
    kpt_thr: float = 0.3,
    radius: int = 3,
    thickness: int = 1,
) -> Image:
    """A picture (h, w, 3), BGR, of each instance in space, in cells of equal size.

    The cells stand side by side, or in rows where that leaves them closer to square; those without
    an instance stay empty, so that the picture always has the size asked for. A figure stands in
    the middle of its cell: on its root where it has a keypoint of that name, otherwise on the mean
    of what is seen. Far links and keypoints are drawn before near ones, and the figure's shadow on
    the floor before both.

    Args:
        pose: n instances of K keypoints, z up.
        size_wh: (w, h) of the picture, in pixels.
        num_instances: number of cells; negative for as many as there are instances.
        limits: what the cells show; None fits them to this frame. See `fit_limits`.
        track_ids: (n,): the titles, and the lowest ids come first, so that people keep their cells.
        kpt_thr: keypoints of a lower score are not drawn.
        radius: of a keypoint's dot, in pixels where the cell's side is 270; it grows with the cell.
        thickness: of a link's line, likewise.

    Raises:
        InputError: an argument of the wrong shape, type or range.
    """
    width, height = _check_size(size_wh)
    _check_whole("radius", radius, 0)
    _check_whole("thickness", thickness, 1)
    points, shown = _check_pose(pose, kpt_thr)
    order, titles = _order(len(points), track_ids)
    count = _cell_count(num_instances, len(points), (width, height))
    limits = fit_limits(pose, kpt_thr=kpt_thr) if limits is None else limits

    picture = np.empty((height, width, 3), np.uint8)  # the cells cover all of it
    for i, (x1, y1, x2, y2) in enumerate(_cells(width, height, count)):
        cell = picture[y1:y2, x1:x2]
        camera = _camera(x2 - x1, y2 - y1)
        cell[...] = camera.stage
        if i < len(order):
            person, visible = points[order[i]], shown[order[i]]
            placed = _place(person, visible, pose.skeleton, limits)
            _draw_figure(cell, camera, placed, visible, pose.skeleton, radius, thickness)
            gap = max(2, camera.side // 40)
            _write(cell, titles[order[i]], (gap, gap), camera.side)
        if x1:
            cell[:, 0] = GRID
        if y1:
            cell[0] = GRID
    return picture


def _cell_count(num_instances: int, people: int, size_wh: tuple[int, int]) -> int:
    """How many cells there are in a picture of that size."""
    if isinstance(num_instances, bool) or not isinstance(num_instances, int) or not num_instances:
        raise InputError(
            f"expected num_instances from 1, or negative for all, found {num_instances!r}"
        )
    width, height = size_wh
    most = width * height // SMALLEST_CELL**2
    if num_instances > most:
        raise InputError(
            f"expected at most {most} cells in {width} x {height} pixels, "
            f"found num_instances={num_instances}"
        )
    return num_instances if num_instances > 0 else min(max(people, 1), most)


def beside(image: Image, plot: Image) -> Image:
    """A new image with the input image at left and the plot at right, scaled to the image's height.

    Args:
        image: (H, W, 3), BGR, uint8; keeps its pixels.
        plot: (h, w, 3), likewise.

    Raises:
        InputError: something else.
    """
    for name, array in (("image", image), ("plot", plot)):
        if (
            not isinstance(array, np.ndarray)
            or array.dtype != np.uint8
            or array.ndim != 3
            or array.shape[2] != 3
            or not array.size
        ):
            kind = getattr(array, "dtype", type(array).__name__)
            raise InputError(
                f"expected the {name} as BGR (H, W, 3) of uint8, found {np.shape(array)} of {kind}"
            )
    height = len(image)
    if len(plot) != height:
        width = max(1, round(plot.shape[1] * height / len(plot)))
        way = cv2.INTER_AREA if height < len(plot) else cv2.INTER_LINEAR
        plot = np.asarray(cv2.resize(plot, (width, height), interpolation=way), np.uint8)
    return np.concatenate([image, plot], axis=1)


@dataclass(frozen=True, eq=False)
class _Camera:
    """The view of a unit cube, x and y from -0.5 to 0.5 and z from 0 to 1, in one size of cell."""

    stage: Image  # (h, w, 3), floor and axes
    zoom: float  # pixels
    center: tuple[float, float]  # pixels
    side: int  # of the square that the cube is drawn in, pixels

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Points (..., 3) -> pixels (..., 2) and nearness (...); larger is nearer."""
        flat, near = _view(points)
        return flat * self.zoom + self.center, near


@lru_cache(maxsize=2)
def _camera(width: int, height: int) -> _Camera:
    """The cube as large as the cell allows, and the empty stage."""
    circle = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    rim = REACH * np.stack([np.cos(circle), np.sin(circle)], axis=1)
    corners = FLOOR_HALF * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    outline = np.concatenate(
        [np.insert(corners, 2, 0, axis=1), np.insert(rim, 2, 0, axis=1), [[0, 0, TOP]]]
    )
    flat, _ = _view(outline)
    low, high = flat.min(axis=0), flat.max(axis=0)
    room = np.array([width, height]) * (1 - 2 * MARGIN)
    zoom = float((room / (high - low)).min())
    middle = np.array([width, height]) / 2 - (low + high) / 2 * zoom
    stage = np.full((height, width, 3), PAPER, np.uint8)
    side = int(zoom * (high - low).max())
    camera = _Camera(stage, zoom, (float(middle[0]), float(middle[1])), side)
    _draw_stage(camera)
    stage.setflags(write=False)
    return camera


def _draw_stage(camera: _Camera) -> None:
    """Floor, grid and the three axes."""
    half = FLOOR_HALF
    corners = [[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]]
    floor = _to_fixed_point(camera.project(np.array(corners))[0])
    cv2.fillConvexPoly(camera.stage, floor, FLOOR, cv2.LINE_AA, SHIFT)
    for at in np.linspace(-half, half, FLOOR_SQUARES + 1):
        for ends in ([[at, -half, 0], [at, half, 0]], [[-half, at, 0], [half, at, 0]]):
            start, end = _to_fixed_point(camera.project(np.array(ends))[0]).tolist()
            cv2.line(camera.stage, start, end, GRID, 1, cv2.LINE_AA, SHIFT)
    # At the left, where no figure hides them.
    corner = [-half, -half, 0]
    tips = ([half, -half, 0], [-half, half, 0], [-half, -half, half])
    for (name, color), tip in zip(AXES, tips, strict=True):
        pixels = camera.project(np.array([corner, tip]))[0]
        start, end = _to_fixed_point(pixels).tolist()
        thick = max(1, round(camera.side / 400))
        cv2.line(camera.stage, start, end, color, thick, cv2.LINE_AA, SHIFT)
        beyond = pixels[0] + (pixels[1] - pixels[0]) * (1 + 8 / np.ptp(pixels, axis=0).max())
        _write(camera.stage, name, beyond, camera.side, color, centered=True)


def _draw_figure(
    cell: Image,
    camera: _Camera,
    points: Floats,
    shown: Bools,
    skeleton: Skeleton,
    radius: int,
    thickness: int,
) -> None:
    """A figure (K, 3) in the unit cube: shadow, then what is far, then what is near."""
    pixels, near = camera.project(points)
    shown = shown & (near < DISTANCE / 2)  # what is closer to the camera has no place
    at = _to_fixed_point(pixels).tolist()
    below = _to_fixed_point(camera.project(points * [1, 1, 0])[0]).tolist()
    scale = camera.side / REFERENCE_SIDE
    size, line = round(radius * scale * 2**SHIFT), max(1, round(2 * thickness * scale))
    edge = max(1, round(line / 3))
    links = [
        (start, end, color[::-1])
        for (start, end), color in zip(skeleton.links, skeleton.link_colors, strict=True)
        if shown[start] and shown[end]
    ]
    for start, end, _ in links:
        cv2.line(cell, below[start], below[end], SHADOW, line + edge, cv2.LINE_AA, SHIFT)
    # Links are half a step farther than dots, so that a joint covers its links' ends.
    items: list[tuple[float, int]] = [
        ((near[start] + near[end]) / 2 - 1e-3, i) for i, (start, end, _) in enumerate(links)
    ]
    items += [(near[i], ~i) for i in np.flatnonzero(shown).tolist()]
    for _, i in sorted(items):
        if i >= 0:
            start, end, color = links[i]
            if line > 2:  # a thinner one would be hardly more than its outline
                cv2.line(cell, at[start], at[end], OUTLINE, line + 2 * edge, cv2.LINE_AA, SHIFT)
            cv2.line(cell, at[start], at[end], color, line, cv2.LINE_AA, SHIFT)
        else:
            color = skeleton.keypoint_colors[~i][::-1]
            rim = size + (edge << SHIFT)
            cv2.circle(cell, at[~i], rim, OUTLINE, -1, cv2.LINE_AA, SHIFT)
            cv2.circle(cell, at[~i], size, color, -1, cv2.LINE_AA, SHIFT)


def _write(
    image: Image,
    text: str,
    at: npt.ArrayLike,
    side: int,
    color: Color = TEXT,
    *,
    centered: bool = False,
) -> None:
    """Text with its upper left corner or its middle at a pixel, as large as a cell's side asks."""
    scale = max(side / 900, 0.3)
    width, height = _text_size(text if centered else "Track", scale)
    x, y = np.asarray(at, dtype=np.float64).tolist()
    start = (
        (round(x - width / 2), round(y + height / 2)) if centered else (round(x), round(y) + height)
    )
    thick = max(1, round(scale * 1.4))
    cv2.putText(image, text, start, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thick, cv2.LINE_AA)


@lru_cache(maxsize=64)
def _text_size(text: str, scale: float) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    return width, height


def _view(points: Floats) -> tuple[Floats, Floats]:
    """Points (..., 3) of the unit cube -> right and down (..., 2), as seen, and nearness (...)."""
    azimuth, elevation = math.radians(AZIMUTH), math.radians(ELEVATION)
    sin_a, cos_a = math.sin(azimuth), math.cos(azimuth)
    sin_e, cos_e = math.sin(elevation), math.cos(elevation)
    right_down_near = np.array(
        [
            [-sin_a, cos_a, 0],
            [sin_e * cos_a, sin_e * sin_a, -cos_e],
            [cos_e * cos_a, cos_e * sin_a, sin_e],
        ]
    )
    seen = (points - [0, 0, 0.5]) @ right_down_near.T
    near = seen[..., 2]
    return seen[..., :2] / np.maximum(DISTANCE - near, DISTANCE / 2)[..., None], near


def _place(points: Floats, shown: Bools, skeleton: Skeleton, limits: Limits) -> Floats:
    """Points (K, 3) moved into the unit cube."""
    middle = _middle(points, shown, skeleton)
    middle[2] = 0 if limits.on_ground else middle[2] - limits.side / 2
    # What is far outside stays there, within what integers hold.
    placed: Floats = np.clip((points - middle) / limits.side, -20, 20)
    return placed


def _middle(points: Floats, shown: Bools, skeleton: Skeleton) -> Floats:
    """(3,): the root, or the mean of the visible keypoints without outliers."""
    for i, name in enumerate(skeleton.names):
        if name in ROOTS and shown[i]:
            return points[i].copy()
    if not shown.any():
        return np.zeros(3)
    middle: Floats = points[_typical(points, shown)].mean(axis=0)
    return middle


def _typical(points: Floats, shown: Bools) -> Bools:
    """Which keypoints (K,) are seen and no outliers."""
    away = np.linalg.norm(points - np.median(points[shown], axis=0), axis=1)
    typical: Bools = np.logical_and(shown, away <= OUTLIER * np.median(away[shown]))
    return typical


def _round_up(size: float) -> float:
    """The next of ..., 1, 1.25, 1.5, 1.75, 2, 2.5, 3, ..."""
    if size <= 0:
        return 1.0
    power = 2.0 ** math.floor(math.log2(size))
    return power * math.ceil(4 * size / power - 1e-6) / 4


def _cells(width: int, height: int, count: int) -> list[tuple[int, int, int, int]]:
    """x1, y1, x2, y2 of each cell, in the number of rows that gives the largest squares."""

    def square(rows: int) -> float:
        return min(width / math.ceil(count / rows), height / rows)

    rows = max(range(1, count + 1), key=square)
    columns = math.ceil(count / rows)
    xs = [round(i * width / columns) for i in range(columns + 1)]
    ys = [round(i * height / rows) for i in range(rows + 1)]
    return [(xs[c], ys[r], xs[c + 1], ys[r + 1]) for r in range(rows) for c in range(columns)]


def _to_fixed_point(pixels: Floats) -> npt.NDArray[np.int32]:
    """Pixels as OpenCV's fixed-point numbers."""
    fixed: npt.NDArray[np.int32] = np.round(pixels * 2**SHIFT).astype(np.int32)
    return fixed


def _order(people: int, track_ids: npt.ArrayLike | None) -> tuple[list[int], list[str]]:
    """In which order instances are shown, and the title of each."""
    if track_ids is None:
        return list(range(people)), [f"Instance {i}" for i in range(people)]
    ids = np.asarray(track_ids)
    if ids.shape != (people,) and (people or ids.size):
        raise InputError(f"expected track_ids ({people},), found {ids.shape}")
    return np.argsort(ids, kind="stable").tolist(), [f"Track {i}" for i in ids.tolist()]


def _check_pose(pose: Pose3D, kpt_thr: float) -> tuple[Floats, Bools]:
    """Keypoints (n, K, 3) and which of them are drawn (n, K)."""
    if not isinstance(pose, Pose3D):
        raise InputError(f"expected a Pose3D, found {type(pose).__name__}")
    if isinstance(kpt_thr, bool) or not isinstance(kpt_thr, int | float):
        raise InputError(f"expected kpt_thr as a number, found {kpt_thr!r}")
    # Lifted ones as MMPose plots them, with their own axes.
    plotted = pose.keypoints if pose.up == "z" else pose.upright
    points = np.asarray(plotted, dtype=np.float64)
    shown = np.asarray(pose.keypoint_scores, dtype=np.float32) >= np.float32(kpt_thr)
    shown &= np.isfinite(points).all(axis=-1)
    # Far outside of any figure, yet within what means and squares hold.
    return np.clip(np.where(shown[..., None], points, 0), -1e12, 1e12), shown


def _check_size(size_wh: tuple[int, int]) -> tuple[int, int]:
    try:
        width, height = (int(side) for side in size_wh)
        whole = (width, height) == tuple(size_wh)
    except (TypeError, ValueError):
        whole = False
    if not whole or not MIN_PLOT <= min(width, height) <= max(width, height) <= MAX_PLOT:
        raise InputError(
            f"expected size_wh as (w, h), each from {MIN_PLOT} to {MAX_PLOT} pixels, "
            f"found {size_wh!r}"
        )
    return width, height


def _check_whole(name: str, value: int, lowest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"expected {name} as a whole number of pixels, found {value!r}")
    if not lowest <= value <= 1000:
        raise InputError(f"expected {name} between {lowest} and 1000 pixels, found {value}")
