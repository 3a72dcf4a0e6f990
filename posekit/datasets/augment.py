"""Random views of a training image: geometry first, appearance on the small crop.

Recipes are those of RTMPose (arXiv 2303.07399), ViTPose (arXiv 2204.12484) and RTMDet
(arXiv 2212.07784). Nothing here has a random state of its own: every draw comes from the generator
that is passed in, so a sample is a function of its seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from posekit.datasets.augment_values import (
    expect,
    expect_hsv,
    expect_probability,
    expect_range,
)
from posekit.skeleton import Skeleton
from posekit.transforms.affine import boxes_to_cs, crop_matrices

__all__ = [
    "DetectionAugment",
    "PoseAugment",
    "Tile",
    "View",
    "place",
    "shift_hsv",
    "view_matrix",
]


@dataclass(frozen=True, slots=True)
class View:
    """Which part of an image a crop shows, and how.

    Attributes:
        box: (4,), xyxy in pixels of the image, float32.
        rotation: about the box's centre, in degrees.
        flip: mirror left and right.
    """

    box: np.ndarray
    rotation: float = 0.0
    flip: bool = False


@dataclass(frozen=True, kw_only=True)
class PoseAugment:
    """Augmentation of one instance's crop; the defaults are RTMPose's first stage.

    Attributes:
        flip: probability of mirroring.
        half_body: probability of cropping to the upper or the lower body.
        half_body_min_keypoints: fewest visible keypoints for it; the recipes ask for more than 8.
        half_body_padding: padding of the half body's box.
        upper_body: probability of the upper body if both halves are possible.
        shift: largest shift, as a fraction of the padded box.
        shift_prob: probability of a shift.
        scale: smallest and largest factor on the box.
        rotation: largest angle, in degrees.
        rotation_prob: probability of a rotation.
        hsv: largest change of hue (0..180), saturation and value (0..255).
        photometric: probability of each of brightness, contrast, saturation, hue and swapped
            channels (SSD, arXiv 1512.02325); 0 for none.
        blur: probability of a box blur.
        median_blur: probability of a median blur.
        dropout: probability of a black rectangle.
        dropout_size: shortest and longest sides of it, as fractions of the crop.

    Raises:
        InputError: a value out of its range; the message names it.
    """

    flip: float = 0.5
    half_body: float = 0.3
    half_body_min_keypoints: int = 9
    half_body_padding: float = 1.5
    upper_body: float = 0.7
    shift: float = 0.16
    shift_prob: float = 0.3
    scale: Sequence[float] = (0.6, 1.4)
    rotation: float = 80.0
    rotation_prob: float = 0.6
    hsv: Sequence[float] = (5.0, 30.0, 30.0)
    photometric: float = 0.0
    blur: float = 0.1
    median_blur: float = 0.1
    dropout: float = 1.0
    dropout_size: Sequence[float] = (0.2, 0.4)

    def __post_init__(self) -> None:
        for name in (
            *("flip", "half_body", "upper_body", "shift_prob", "rotation_prob"),
            *("photometric", "blur", "median_blur", "dropout"),
        ):
            expect_probability(f"augment.{name}", getattr(self, name))
        expect_range("augment.scale", self.scale)
        expect_range("augment.dropout_size", self.dropout_size, most=1.0)
        expect_hsv("augment.hsv", self.hsv)
        expect(
            math.isfinite(self.half_body_padding) and self.half_body_padding > 0,
            "augment.half_body_padding",
            "a positive number",
            self.half_body_padding,
        )
        for name in ("shift", "rotation"):
            value = getattr(self, name)
            expect(math.isfinite(value) and value >= 0, f"augment.{name}", "a number >= 0", value)

    def view(
        self,
        rng: np.random.Generator,
        box: np.ndarray,
        keypoints: np.ndarray,
        visible: np.ndarray,
        *,
        skeleton: Skeleton,
        padding: float = 1.25,
    ) -> View:
        """Draws the part of the image to crop.

        Args:
            rng: every draw comes from it.
            box: (4,), xyxy in pixels of the image.
            keypoints: (K, 2), in pixels of the image.
            visible: (K,), 0 for keypoints without a label.
            skeleton: its body halves; without them there is no half-body crop.
            padding: padding that the crop will add; a shift is a fraction of the padded box.
        """
        box = box.astype(np.float32)
        flip = bool(rng.random() < self.flip)
        if rng.random() < self.half_body:
            box = self._half_body(rng, box, keypoints, visible > 0, skeleton, padding)
        center, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        if rng.random() < self.shift_prob:
            center = center + self.shift * padding * size * _bell(rng, 2)
        low, high = self.scale
        size = size * (0.5 * (low + high) + 0.5 * (high - low) * _bell(rng, 1))
        turned = rng.random() < self.rotation_prob
        rotation = float(self.rotation * _bell(rng, 1)[0]) if turned else 0.0
        box = np.concatenate([center - size / 2, center + size / 2]).astype(np.float32)
        return View(box, rotation, flip)

    def _half_body(
        self,
        rng: np.random.Generator,
        box: np.ndarray,
        keypoints: np.ndarray,
        visible: np.ndarray,
        skeleton: Skeleton,
        padding: float,
    ) -> np.ndarray:
        """The box around one half, or the box as it was if too little is visible."""
        if visible.sum() < self.half_body_min_keypoints:
            return box
        upper = [i for i in skeleton.upper_body_ids if visible[i]]
        lower = [i for i in skeleton.lower_body_ids if visible[i]]
        # The reference's least numbers: two points of a torso, three of the legs.
        prefer_upper = rng.random() < self.upper_body
        halves = [(upper, len(upper) >= 2), (lower, len(lower) >= 3)]
        chosen = [half for half, enough in (halves if prefer_upper else halves[::-1]) if enough]
        if not chosen:
            return box
        points = keypoints[chosen[0]]
        size = (points.max(axis=0) - points.min(axis=0)) * (self.half_body_padding / padding)
        if size.min() <= 1:  # all on one line: no box
            return box
        center = points.mean(axis=0)
        return np.concatenate([center - size / 2, center + size / 2])

    def paint(self, rng: np.random.Generator, crop: np.ndarray) -> np.ndarray:
        """Changes the colours of a crop (h, w, 3), uint8, BGR, and hides a part of it."""
        if self.photometric > 0:
            crop = _photometric(rng, crop, self.photometric)
        crop = shift_hsv(rng, crop, self.hsv)
        # Drawn whether used or not, so that one probability does not move the other draws.
        blur, median, hide = rng.random(3)
        kernels = 2 * rng.integers(1, 4, 2) + 1  # 3, 5 or 7
        if blur < self.blur:
            crop = cv2.blur(crop, (int(kernels[0]), int(kernels[0])))
        if median < self.median_blur:
            crop = cv2.medianBlur(crop, int(kernels[1]))
        if hide < self.dropout:
            height, width = crop.shape[:2]
            low, high = self.dropout_size
            hole_h, hole_w = (rng.uniform(low, high, 2) * (height, width)).astype(int)
            y = int(rng.integers(0, height - hole_h + 1))
            x = int(rng.integers(0, width - hole_w + 1))
            crop[y : y + hole_h, x : x + hole_w] = 0
        return crop


def view_matrix(
    view: View, *, input_size: Sequence[int], padding: float = 1.25, udp: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The map from image to crop coordinates, in the convention of prediction crops.

    Args:
        view: the part of the image.
        input_size: (w, h) of the crop.
        padding: enlarges the box.
        udp: align the centres of the corner pixels.

    Returns:
        The matrix (2, 3), float64; centre (2,) and scale (2,), float32, in pixels of the image.
    """
    centers, scales = boxes_to_cs(view.box[None], input_size=input_size, padding=padding)
    center, scale = centers[0], scales[0]
    # A mirrored image shows the point x at -x, up to a shift that the crop's centre takes back.
    seen = centers * np.array([-1, 1], np.float32) if view.flip else centers
    matrix = crop_matrices(seen, scales, input_size=input_size, udp=udp)[0]
    if view.flip:
        matrix = matrix @ np.diag([-1.0, 1.0, 1.0])
    if view.rotation:
        angle = math.radians(view.rotation)
        turn = np.eye(3)
        turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        turn[:2, 2] = center - turn[:2, :2] @ center
        matrix = matrix @ turn
    return matrix, center, scale


@dataclass(frozen=True, kw_only=True)
class DetectionAugment:
    """RTMDet's augmentation; the defaults are its first stage, `mosaic=False, mixup=0` the second.

    Attributes:
        mosaic: four images on a canvas of twice the input's size.
        mixup: probability of blending in a second sample, made in the same way.
        pool: mosaic and mixup take the other images from this many samples before this one in the
            epoch's order, which are still in the cache.
        resize: smallest and largest factor on the image, drawn before the input's size is cut out.
        flip: probability of mirroring.
        hsv: largest change of hue (0..180), saturation and value (0..255).

    Raises:
        InputError: a value out of its range; the message names it.
    """

    mosaic: bool = True
    mixup: float = 1.0
    pool: int = 40
    resize: Sequence[float] = (0.5, 2.0)
    flip: float = 0.5
    hsv: Sequence[float] = (5.0, 30.0, 30.0)

    def __post_init__(self) -> None:
        expect_probability("augment.mixup", self.mixup)
        expect_probability("augment.flip", self.flip)
        expect_range("augment.resize", self.resize)
        expect_hsv("augment.hsv", self.hsv)
        expect(self.pool >= 1, "augment.pool", "at least 1", self.pool)

    def tiles(
        self,
        rng: np.random.Generator,
        sizes_wh: Sequence[tuple[int, int]],
        input_size: Sequence[int],
    ) -> list[Tile]:
        """Draws where images lie in the input: four for a mosaic, else one.

        Args:
            rng: every draw comes from it.
            sizes_wh: (w, h) of each image.
            input_size: (w, h) of the network's input.
        """
        width, height = input_size
        ratio = float(rng.uniform(self.resize[0], self.resize[1]))
        fits = [min(width / w, height / h) for w, h in sizes_wh]
        if self.mosaic:
            canvas = (2 * width, 2 * height)
            middle = (rng.uniform(0.5, 1.5) * width, rng.uniform(0.5, 1.5) * height)
        else:
            w, h = sizes_wh[0]
            canvas = (round(w * fits[0]), round(h * fits[0]))
            middle = (0.0, 0.0)
        # The cut is anywhere where the resized canvas is larger, else the canvas is all visible.
        cut = [
            rng.integers(0, max(round(side * ratio) - out, 0) + 1)
            for side, out in zip(canvas, input_size, strict=True)
        ]
        tiles = []
        for i, ((w, h), fit) in enumerate(zip(sizes_wh, fits, strict=True)):
            left = self.mosaic and i % 2 == 0
            top = self.mosaic and i < 2
            x = middle[0] - w * fit if left else middle[0]
            y = middle[1] - h * fit if top else middle[1]
            window = (
                max(x, 0),
                max(y, 0),
                min(x + w * fit, canvas[0]),
                min(y + h * fit, canvas[1]),
            )
            tiles.append(
                Tile(
                    scale=fit * ratio,
                    offset=(x * ratio - float(cut[0]), y * ratio - float(cut[1])),
                    window=(
                        window[0] * ratio - float(cut[0]),
                        window[1] * ratio - float(cut[1]),
                        window[2] * ratio - float(cut[0]),
                        window[3] * ratio - float(cut[1]),
                    ),
                )
            )
        return tiles


@dataclass(frozen=True, slots=True)
class Tile:
    """Where one image lies in the input: `point * scale + offset`, seen through a window.

    Attributes:
        scale: factor on the image.
        offset: (x, y), in pixels of the input.
        window: xyxy, in pixels of the input; the image does not show outside of it.
    """

    scale: float
    offset: tuple[float, float]
    window: tuple[float, float, float, float]


def place(image: np.ndarray, tile: Tile, out: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Draws an image into the input; only the visible part is resized.

    Args:
        image: (H, W, 3), uint8.
        tile: where it lies.
        out: (h, w, 3), uint8; the tile's window in it is written.
        boxes: (n, 4), xyxy in pixels of the image.

    Returns:
        The boxes in pixels of the input, clipped to the window; hidden ones have no area.
    """
    height, width = out.shape[:2]
    x1, y1, x2, y2 = tile.window
    left, top = max(round(x1), 0), max(round(y1), 0)
    right, bottom = min(round(x2), width), min(round(y2), height)
    if left < right and top < bottom:
        scale = tile.scale
        # Half a pixel: positions are those of pixel areas, OpenCV's those of pixel centres.
        matrix = np.array(
            [
                [scale, 0, 0.5 * scale - 0.5 + tile.offset[0] - left],
                [0, scale, 0.5 * scale - 0.5 + tile.offset[1] - top],
            ]
        )
        out[top:bottom, left:right] = cv2.warpAffine(
            image,
            matrix,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    moved = boxes * np.float32(tile.scale) + np.tile(np.array(tile.offset, np.float32), 2)
    low = np.array([max(x1, 0), max(y1, 0)] * 2, np.float32)
    high = np.array([min(x2, width), min(y2, height)] * 2, np.float32)
    clipped: np.ndarray = np.clip(moved, low, np.maximum(high, low))
    return clipped


def shift_hsv(rng: np.random.Generator, image: np.ndarray, most: Sequence[float]) -> np.ndarray:
    """Adds to hue, saturation and value, each with probability 1/2 (YOLOX, arXiv 2107.08430)."""
    change = rng.uniform(-1, 1, 3) * np.asarray(most) * rng.integers(0, 2, 3)
    hue, saturation, value = change.astype(int)
    if not (hue or saturation or value):
        return image
    levels = np.arange(256)
    table = np.stack(
        [
            (levels + hue) % 180,
            np.clip(levels + saturation, 0, 255),
            np.clip(levels + value, 0, 255),
        ],
        axis=-1,
    ).astype(np.uint8)
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    return np.asarray(cv2.cvtColor(cv2.LUT(hsv, table[None]), cv2.COLOR_HSV2BGR))


def _photometric(rng: np.random.Generator, image: np.ndarray, prob: float) -> np.ndarray:
    """Brightness, contrast, saturation, hue and the order of the channels, by tables."""
    used = rng.random(5) < prob
    brightness, hue = rng.uniform(-32, 32), rng.uniform(-18, 18)
    contrast, saturation = rng.uniform(0.5, 1.5, 2)
    order = rng.permutation(3)
    contrast_first = rng.random() < 0.5
    levels = np.arange(256.0)
    tone = levels + (brightness if used[0] else 0)
    tone = tone * (contrast if used[1] and contrast_first else 1)
    image = cv2.LUT(image, np.clip(tone, 0, 255).astype(np.uint8))
    if used[2] or used[3]:
        table = np.stack(
            [
                (levels + (hue if used[3] else 0)) % 180,
                np.clip(levels * (saturation if used[2] else 1), 0, 255),
                levels,
            ],
            axis=-1,
        ).astype(np.uint8)
        hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), table[None])
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if used[1] and not contrast_first:
        image = cv2.LUT(image, np.clip(levels * contrast, 0, 255).astype(np.uint8))
    return np.ascontiguousarray(image[..., order]) if used[4] else np.asarray(image)


def _bell(rng: np.random.Generator, count: int) -> np.ndarray:
    """Standard normal draws within -1..1, by rejection."""
    values = rng.standard_normal(count)
    while (outside := np.abs(values) > 1).any():
        values[outside] = rng.standard_normal(int(outside.sum()))
    return values
