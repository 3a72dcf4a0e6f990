"""Boxes -> crops of a fixed size, and coordinates of a crop back to the image.

Conventions are those of MMPose: a box becomes a centre and a scale (its padded size, widened to
the crop's aspect ratio); "plain" aligns the corners of pixel areas, UDP (arXiv 1911.07524) aligns
the centres of the corner pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

__all__ = ["boxes_to_cs", "crop", "crop_all", "crop_matrices", "to_image"]

# OpenCV keeps source coordinates in 16-bit integers while it remaps.
MAX_WARP_SIDE = 32766
# A fourth channel pays for itself where crops have an eighth of their image's pixels.
WIDENED_FROM = 1 / 8


def boxes_to_cs(
    boxes_xyxy: np.ndarray, *, input_size: Sequence[int], padding: float = 1.25
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and scales of boxes.

    Args:
        boxes_xyxy: (n, 4), in pixels of the image.
        input_size: (w, h) of the crop.
        padding: enlarges the boxes.

    Returns:
        Centres (n, 2) and scales (n, 2), float32, in pixels of the image; scales have the crop's
        aspect ratio and contain the padded box.
    """
    boxes = boxes_xyxy.astype(np.float32, copy=False)
    centers = (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)
    sizes = (boxes[:, 2:] - boxes[:, :2]) * np.float32(padding)
    aspect = np.float32(input_size[0] / input_size[1])
    width, height = sizes[:, :1], sizes[:, 1:]
    scales = np.where(
        width > height * aspect,
        np.hstack([width, width / aspect]),
        np.hstack([height * aspect, height]),
    )
    # A box without area still has a crop.
    return centers, np.maximum(scales, np.float32(1e-3))


def crop_matrices(
    centers: np.ndarray, scales: np.ndarray, *, input_size: Sequence[int], udp: bool = False
) -> np.ndarray:
    """The affine maps (n, 2, 3), float64, from image to crop coordinates."""
    matrices = np.zeros((len(centers), 2, 3))
    if udp:
        factor = (np.asarray(input_size, np.float64) - 1) / scales  # (n, 2)
        matrices[:, 0, 0], matrices[:, 1, 1] = factor[:, 0], factor[:, 1]
        matrices[:, :, 2] = factor * (0.5 * scales - centers)
        return matrices
    # Three corresponding points in float32, as the reference has them: solving for the map in
    # exact arithmetic instead moves crops by up to a grey level.
    size = np.asarray(input_size, np.float32)
    middle = size * np.float32(0.5)
    left = np.array([-0.5, 0], np.float32)
    target = np.stack(
        [
            middle,
            middle + size[0] * left,
            middle + size[0] * (left + np.array([0, 0.5], np.float32)),
        ]
    )
    for center, scale, matrix in zip(centers, scales, matrices, strict=True):
        beside = center + scale[0] * left
        reach = center[0] - beside[0]  # half the width, as rounded
        source = np.stack([center, beside, beside + np.array([0, reach], np.float32)])
        matrix[:] = cv2.getAffineTransform(source.astype(np.float32), target.astype(np.float32))
    return matrices


def crop(image: np.ndarray, matrix: np.ndarray, out: np.ndarray, *, pad_value: int = 0) -> None:
    """Warps an image into `out`.

    Args:
        image: (H, W, 3), uint8.
        matrix: (2, 3), from image to crop coordinates, as `crop_matrices` makes them.
        out: (h, w, 3), uint8, C-contiguous; it is overwritten.
        pad_value: grey level outside the image.
    """
    height, width = out.shape[:2]
    if max(image.shape[:2]) > MAX_WARP_SIDE:
        image, matrix = _visible_part(image, matrix, width, height)
    cv2.warpAffine(
        image,
        matrix,
        (width, height),
        dst=out,
        flags=cv2.INTER_LINEAR,
        borderValue=(pad_value, pad_value, pad_value),
    )


def crop_all(
    image: np.ndarray, matrices: np.ndarray, out: np.ndarray, *, pad_value: int = 0
) -> None:
    """Warps parts of an image into `out`, with the values of `crop`.

    OpenCV warps pixels of four bytes more than twice as fast as pixels of three.

    Args:
        image: (H, W, 3), uint8.
        matrices: (n, 2, 3), from image to crop coordinates, as `crop_matrices` makes them.
        out: (n, h, w, 4), uint8, C-contiguous; it is overwritten. The fourth byte means nothing.
        pad_value: grey level outside the image.
    """
    count, height, width = out.shape[:3]
    few = count * height * width < WIDENED_FROM * image.shape[0] * image.shape[1]
    if few or max(image.shape[:2]) > MAX_WARP_SIDE:
        narrow = np.empty((height, width, 3), np.uint8)
        for matrix, pixels in zip(matrices, out, strict=True):
            crop(image, matrix, narrow, pad_value=pad_value)
            cv2.cvtColor(narrow, cv2.COLOR_BGR2BGRA, dst=pixels)
        return
    wide = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
    for matrix, pixels in zip(matrices, out, strict=True):
        cv2.warpAffine(
            wide,
            matrix,
            (width, height),
            dst=pixels,
            flags=cv2.INTER_LINEAR,
            borderValue=(pad_value,) * 4,
        )


def _visible_part(
    image: np.ndarray, matrix: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a huge image that the crop shows, and the map from it."""
    corners = (np.array([[0, 0], [width, height]]) - matrix[:, 2]) / np.diag(matrix[:, :2])
    bounds = np.array([image.shape[1], image.shape[0]])
    # Two pixels more for the interpolation; at least one pixel of the image.
    low = np.clip(np.floor(corners[0]).astype(int) - 2, 0, bounds - 1)
    high = np.clip(np.ceil(corners[1]).astype(int) + 3, low + 1, bounds)
    high = np.minimum(high, low + MAX_WARP_SIDE)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ low
    return image[low[1] : high[1], low[0] : high[0]], moved


def to_image(
    keypoints: np.ndarray, centers: np.ndarray, scales: np.ndarray, *, input_size: Sequence[int]
) -> np.ndarray:
    """Keypoints (n, K, 2) in pixels of the crop -> pixels of the image, float32."""
    size = np.asarray(input_size, np.float32)
    centers, scales = centers[:, None], scales[:, None]
    moved: np.ndarray = keypoints / size * scales + centers - np.float32(0.5) * scales
    return moved.astype(np.float32, copy=False)
