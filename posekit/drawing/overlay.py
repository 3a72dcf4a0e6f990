"""Poses, boxes and heat maps drawn over an image: pure functions on arrays, nothing is opened."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from posekit.declared import Options, option
from posekit.drawing.colors import parse_color
from posekit.drawing.marks import MARKS, Mark, draw_marks, draw_trails, parse_marks
from posekit.drawing.palettes import PALETTES, Palette, PaletteName
from posekit.errors import InputError
from posekit.result import PoseResult
from posekit.skeleton import Color, Skeleton

__all__ = ["DrawOptions", "Style", "draw_heatmap", "draw_pose", "draw_result"]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
Style = Literal["mmpose", "openpose"]

BOX_COLOR: Color = (0, 255, 0)
# OpenPose's style: limbs let the image shine through, and everything after the 18 keypoints of
# the body (feet, face, hands) has half the radius.
LIMB_OPACITY = 0.6
OPENPOSE_BODY = 18


@dataclass(frozen=True, kw_only=True)
class DrawOptions(Options):
    """Drawings."""

    radius: int = option(3, "radius of the keypoints", unit="pixels", least=1, most=1000)
    thickness: int = option(1, "thickness of the links", unit="pixels", least=1, most=1000)
    kpt_thr: float = option(0.3, "keypoints below this score are not drawn")
    draw: Any = option(
        None,
        "what to draw besides the skeletons, one or several: `boxes`, `ids`, `scores`, "
        "`angles`, `trail` and `names` (of keypoints); if unset, `ids` where `track` gives "
        "them; `[]` for nothing",
        choices=MARKS,
    )
    palette: PaletteName = option(
        "mmpose",
        "`mmpose`: the colours of each skeleton; `colorblind`: colours that nearly everybody "
        "can tell apart, left in blue, right in orange",
    )
    draw_bbox: bool = option(False, "draw the boxes as MMPose does, all green")
    draw_heatmap: bool = option(
        False,
        "add the heatmaps below the drawing, for models that have them (ViTPose, HRNet, ResNet)",
        only="2D",
    )
    black_background: bool = option(False, "draw on black", only="2D")
    skeleton_style: Style = option(
        "mmpose", "`mmpose`, or `openpose` with OpenPose's keypoints and colours", only="2D"
    )

    def check(self) -> None:
        if self.draw is not None:
            parse_marks(self.draw)
        if self.palette != "mmpose" and self.skeleton_style != "mmpose":
            raise InputError(
                f"palette={self.palette} does not apply to skeleton_style={self.skeleton_style}, "
                "which has its own colours; leave one out"
            )

    def marks(self, *, tracked: bool) -> tuple[Mark, ...]:
        """What is drawn with the skeletons.

        Args:
            tracked: whether there are ids.
        """
        if self.draw is None:
            return ("ids",) if tracked else ()
        return parse_marks(self.draw)


def draw_pose(
    image: Image,
    keypoints: npt.ArrayLike,
    scores: npt.ArrayLike,
    skeleton: Skeleton,
    *,
    boxes: npt.ArrayLike | None = None,
    radius: int = 3,
    thickness: int = 1,
    kpt_thr: float = 0.3,
    style: Style = "mmpose",
    draw_bbox: bool = False,
    black_background: bool = False,
    box_color: str | Color | None = BOX_COLOR,
    dot_opacity: npt.ArrayLike = 1.0,
    beneath: Callable[[Image], None] | None = None,
) -> Image:
    """Draws every person's links, then keypoints, then boxes on a copy of an image.

    A keypoint is left out where its score is below `kpt_thr` or a coordinate is not finite; a
    link also where one of its ends lies outside the image or on its first row or column.

    Args:
        image: (H, W, 3), BGR; is not changed.
        keypoints: (n, K, 2), x and y in pixels of the image.
        scores: (n, K).
        skeleton: what the K keypoints are.
        boxes: (n, 4), x1, y1, x2, y2 in pixels; needed with `draw_bbox`.
        radius: radius of the keypoints, in pixels.
        thickness: thickness of links and boxes, in pixels.
        kpt_thr: the lowest keypoint score that is drawn.
        style: `mmpose`, or `openpose` with its own keypoints (a neck between the shoulders),
            colours and translucent limbs.
        draw_bbox: whether to draw the boxes.
        black_background: whether to draw on black instead of the image.
        box_color: of the boxes, as `posekit.drawing.colors.parse_color` takes it; None draws none.
        dot_opacity: of the keypoints' dots, 0 (none is drawn) to 1: one number, or (n, K).
        beneath: draws on the new image before the people.

    Raises:
        InputError: an argument of the wrong shape, type or range; a skeleton that has no OpenPose
            style.
    """
    _check_image(image)
    _check_whole("radius", radius, 0)
    _check_whole("thickness", thickness, 1)
    if style not in get_args(Style):
        raise InputError(f"expected style 'mmpose' or 'openpose', found {style!r}")
    points, shown = _check_people(keypoints, scores, skeleton, kpt_thr)
    if draw_bbox and boxes is None and len(points):
        raise InputError("draw_bbox needs the boxes of the people: pass boxes=(n, 4)")
    opacity = _check_opacity(dot_opacity, shown.shape)
    canvas = np.zeros_like(image, order="C") if black_background else image.copy()
    if beneath is not None:
        beneath(canvas)
    if style == "openpose":
        points, shown, opacity, skeleton = _to_openpose(points, shown, opacity, skeleton)
        _draw_people_openpose(canvas, points, shown, opacity, skeleton, radius, thickness)
    else:
        _draw_people(canvas, points, shown, opacity, skeleton, radius, thickness)
    color = parse_color("box_color", box_color)
    if draw_bbox and boxes is not None and color is not None:
        _draw_boxes(canvas, _check_boxes(boxes, len(points)), thickness, color)
    return canvas


def draw_result(
    image: Image,
    result: PoseResult,
    options: DrawOptions,
    trails: Mapping[int, Floats] | None = None,
) -> Image:
    """`draw_pose` of a result, with what the options ask for besides.

    Args:
        image: (H, W, 3), BGR; is not changed.
        result: the result for the image.
        options: how it is drawn.
        trails: where the tracks have been, as `Trails` gives it, for `draw=trail`.

    Raises:
        InputError: as `draw_pose`.
    """
    palette = PALETTES[options.palette]
    drawing = draw_pose(
        image,
        result.keypoints,
        result.keypoint_scores,
        palette.recoloured(result.skeleton),
        boxes=result.boxes_xyxy,
        radius=options.radius,
        thickness=options.thickness,
        kpt_thr=options.kpt_thr,
        style=options.skeleton_style,
        draw_bbox=options.draw_bbox,
        black_background=options.black_background,
        beneath=_trails_of(trails, palette) if trails else None,
    )
    if marks := options.marks(tracked=result.track_ids is not None):
        draw_marks(drawing, result, marks, palette, kpt_thr=options.kpt_thr)
    return drawing


def _trails_of(trails: Mapping[int, Floats], palette: Palette) -> Callable[[Image], None]:
    return lambda canvas: draw_trails(canvas, trails, palette)


def draw_heatmap(image: Image, heatmap: npt.ArrayLike) -> Image:
    """A new image, half of it the image and half the heat map, in colours from blue to red.

    Args:
        image: (H, W, 3), BGR; is not changed.
        heatmap: (H, W), or (K, H, W) of which the maximum over the keypoints is drawn. Lowest
            and highest value get the ends of the colour scale. See `project_heatmaps`.

    Raises:
        InputError: an argument of the wrong shape or type.
    """
    _check_image(image)
    heat = np.asarray(heatmap, dtype=np.float32)
    if heat.ndim == 3 and len(heat):
        heat = heat.max(axis=0)
    if heat.shape != image.shape[:2]:
        raise InputError(
            f"expected a heatmap of the image's {image.shape[:2]} pixels, (H, W) or (K, H, W), "
            f"found {np.shape(heatmap)}; project_heatmaps brings a network's there"
        )
    heat = np.nan_to_num(heat)
    levels = cv2.normalize(heat, np.empty_like(heat), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_JET)
    return np.asarray(cv2.addWeighted(image, 0.5, colors, 0.5, 0), dtype=np.uint8)


def _draw_people(
    canvas: Image,
    points: Floats,
    shown: npt.NDArray[np.bool_],
    opacity: Floats,
    skeleton: Skeleton,
    radius: int,
    thickness: int,
) -> None:
    pixels, dots, ends = _visible(canvas, points, shown, radius)
    links = list(zip(skeleton.links, map(_bgr, skeleton.link_colors), strict=True))
    colors = [_bgr(color) for color in skeleton.keypoint_colors]
    for position, is_dot, is_end, alphas in zip(pixels, dots, ends, opacity, strict=True):
        for (start, end), color in links:
            if is_end[start] and is_end[end]:
                cv2.line(canvas, position[start], position[end], color, thickness)
        for at, color, drawn, alpha in zip(position, colors, is_dot, alphas, strict=True):
            if drawn:
                _draw_dot(canvas, at, radius, color, alpha)


def _draw_people_openpose(
    canvas: Image,
    points: Floats,
    shown: npt.NDArray[np.bool_],
    opacity: Floats,
    skeleton: Skeleton,
    radius: int,
    thickness: int,
) -> None:
    # Black keypoints mean: not drawn.
    shown_dots = shown & np.asarray(skeleton.keypoint_colors).any(axis=1)
    pixels, _, ends = _visible(canvas, points, shown, radius)
    _, dots, _ = _visible(canvas, points, shown_dots, radius)
    links = list(zip(skeleton.links, map(_bgr, skeleton.link_colors), strict=True))
    colors = [_bgr(color) for color in skeleton.keypoint_colors]
    for position, is_dot, is_end, alphas in zip(pixels, dots, ends, opacity, strict=True):
        for (start, end), color in links:
            if is_end[start] and is_end[end]:
                _blend_limb(canvas, position[start], position[end], color, thickness)
        for i, at in enumerate(position):
            if is_dot[i]:
                size = radius if i < OPENPOSE_BODY else radius // 2
                _draw_dot(canvas, at, size, colors[i], alphas[i])


def _draw_dot(canvas: Image, at: list[int], radius: int, color: Color, opacity: float) -> None:
    if opacity >= 1:
        cv2.circle(canvas, at, radius, color, -1)
    elif opacity > 0:
        x, y = max(at[0] - radius - 1, 0), max(at[1] - radius - 1, 0)
        part = canvas[y : at[1] + radius + 2, x : at[0] + radius + 2]
        dot = cv2.circle(part.copy(), (at[0] - x, at[1] - y), radius, color, -1)
        part[...] = cv2.addWeighted(part, 1 - opacity, dot, opacity, 0)


def _blend_limb(
    canvas: Image, start: list[int], end: list[int], color: Color, thickness: int
) -> None:
    """A translucent ellipse from start to end, blended within its own bounding box only."""
    dx, dy = start[0] - end[0], start[1] - end[1]
    centre = ((start[0] + end[0]) // 2, (start[1] + end[1]) // 2)
    half_axes = (int(math.hypot(dx, dy) / 2), thickness)
    angle = int(math.degrees(math.atan2(dy, dx)))
    outline = np.asarray(cv2.ellipse2Poly(centre, half_axes, angle, 0, 360, 1), dtype=np.int32)
    x, y, width, height = cv2.boundingRect(outline)
    x1, y1 = max(x, 0), max(y, 0)
    part = canvas[y1 : y + height, x1 : x + width]
    if not part.size:
        return
    limb = part.copy()
    cv2.fillConvexPoly(limb, outline - np.array([x1, y1], np.int32), color)
    part[...] = cv2.addWeighted(part, 1 - LIMB_OPACITY, limb, LIMB_OPACITY, 0)


def _draw_boxes(canvas: Image, boxes: Floats, thickness: int, color: Color) -> None:
    height, width = canvas.shape[:2]
    # An edge beyond the image stays invisible; kept near it, as OpenCV's integers overflow.
    margin = thickness + 1
    limits = np.array([width, height, width, height]) + margin
    whole = np.clip(np.trunc(boxes[np.isfinite(boxes).all(axis=1)]), -margin, limits)
    for x1, y1, x2, y2 in whole.astype(int).tolist():
        cv2.rectangle(canvas, (x1, y1), (x2, y2), _bgr(color), thickness)


def _visible(
    canvas: Image, points: Floats, shown: npt.NDArray[np.bool_], radius: int
) -> tuple[list[list[list[int]]], list[list[bool]], list[list[bool]]]:
    """Whole-pixel positions (n, K, 2), which dots touch the image and which may end a link."""
    pixels = points.astype(np.int64)  # truncates, as the reference does
    size = np.array([canvas.shape[1], canvas.shape[0]])
    dots = shown & ((pixels >= -radius) & (pixels < size + radius)).all(axis=-1)
    ends = shown & ((pixels > 0) & (pixels < size)).all(axis=-1)
    return pixels.tolist(), dots.tolist(), ends.tolist()


def _to_openpose(
    points: Floats, shown: npt.NDArray[np.bool_], opacity: Floats, skeleton: Skeleton
) -> tuple[Floats, npt.NDArray[np.bool_], Floats, Skeleton]:
    """Keypoints in the order of OpenPose's skeleton, matched by name; the neck is computed."""
    target = skeleton.openpose
    if target is None:
        raise InputError(
            f"skeleton '{skeleton.name}' has no OpenPose style; use style='mmpose', or name one "
            "with the key 'openpose' in its YAML"
        )
    index = {name: i for i, name in enumerate(skeleton.names)}
    if {"left_shoulder", "right_shoulder"} <= index.keys() and "neck" not in index:
        shoulders = [index["left_shoulder"], index["right_shoulder"]]
        index["neck"] = len(index)
        points = np.concatenate([points, points[:, shoulders].mean(axis=1, keepdims=True)], axis=1)
        shown = np.concatenate([shown, shown[:, shoulders].all(axis=1, keepdims=True)], axis=1)
        faintest = opacity[:, shoulders].min(axis=1, keepdims=True)
        opacity = np.concatenate([opacity, faintest], axis=1)
    missing = [name for name in target.names if name not in index]
    if missing:
        raise InputError(
            f"skeleton '{skeleton.name}' cannot be drawn as '{target.name}': "
            f"it has no {', '.join(missing)}"
        )
    order = [index[name] for name in target.names]
    return points[:, order], shown[:, order], opacity[:, order], target


def _bgr(color: Color) -> Color:
    return color[::-1]


def _check_image(image: Image) -> None:
    if not isinstance(image, np.ndarray):
        raise InputError(f"expected an image as a NumPy array, found {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        hint = "; cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) makes one" if image.ndim == 2 else ""
        raise InputError(
            "expected a BGR image (H, W, 3) of uint8 to draw on, "
            f"found {image.shape} of {image.dtype}{hint}"
        )


def _check_whole(name: str, value: int, lowest: int) -> None:
    # The upper end spares drawings that hide everything, and OpenCV's limits.
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"expected {name} as a whole number of pixels, found {value!r}")
    if not lowest <= value <= 1000:
        raise InputError(f"expected {name} between {lowest} and 1000 pixels, found {value}")


def _check_opacity(opacity: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    try:
        found: Floats = np.broadcast_to(np.asarray(opacity, np.float64), shape)
    except (TypeError, ValueError):
        raise InputError(
            f"expected dot_opacity as a number or {shape}, found {np.shape(opacity)}"
        ) from None
    return found


def _check_people(
    keypoints: npt.ArrayLike, scores: npt.ArrayLike, skeleton: Skeleton, kpt_thr: float
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Keypoints (n, K, 2) and which of them are drawn (n, K)."""
    count = skeleton.num_keypoints
    points = np.asarray(keypoints, dtype=np.float64)
    confidence = np.asarray(scores, dtype=np.float32)
    if not points.size and not confidence.size:
        return np.zeros((0, count, 2)), np.zeros((0, count), dtype=bool)
    if points.shape != (len(points), count, 2) or confidence.shape != points.shape[:2]:
        raise InputError(
            f"expected keypoints (n, {count}, 2) and scores (n, {count}) for the skeleton "
            f"'{skeleton.name}', found {points.shape} and {confidence.shape}"
        )
    shown = (confidence >= np.float32(kpt_thr)) & np.isfinite(points).all(axis=-1)
    # Far outside any image, yet within what integers and means can hold.
    return np.clip(np.where(shown[..., None], points, 0), -1e9, 1e9), shown


def _check_boxes(boxes: npt.ArrayLike, people: int) -> Floats:
    corners = np.asarray(boxes, dtype=np.float64)
    if not people and not corners.size:
        return np.zeros((0, 4))
    if corners.shape != (people, 4):
        raise InputError(f"expected boxes ({people}, 4), found {corners.shape}")
    return corners
