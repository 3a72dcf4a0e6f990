"""Heat maps of crops, laid over the image that these were cut from."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from posekit.errors import InputError

__all__ = ["project_heatmaps"]

# How many keypoints' maps are warped at a time: bounded by memory and by OpenCV's channels.
WARP_CHANNELS = 32


def project_heatmaps(
    heatmaps: npt.ArrayLike, to_image: npt.ArrayLike, size_wh: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """People's heat maps laid where the people are in the image.

    Args:
        heatmaps: (n, K, h, w), as the network gave them for n people.
        to_image: (n, 2, 3), each person's affine map from heat-map pixels to image pixels.
        size_wh: the image's width and height.

    Returns:
        (H, W): the highest value of any keypoint of any person; 0 where there is none.

    Raises:
        InputError: the shapes do not fit.
    """
    maps = np.asarray(heatmaps, dtype=np.float32)
    warps = np.asarray(to_image, dtype=np.float64)
    if maps.ndim != 4 or warps.shape != (len(maps), 2, 3):
        raise InputError(
            f"expected heatmaps (n, K, h, w) and affine maps (n, 2, 3), found {maps.shape} and "
            f"{warps.shape}"
        )
    width, height = size_wh
    canvas = np.zeros((height, width), np.float32)
    if 0 in maps.shape:
        return canvas
    h, w = maps.shape[2:]
    corners = np.array([[-1, -1, 1], [w, -1, 1], [-1, h, 1], [w, h, 1]], np.float64)
    for person, warp in zip(maps, warps, strict=True):
        # Only the part of the image that the person's map reaches.
        reach = corners @ warp.T  # (4, 2)
        if not np.isfinite(reach).all():
            continue
        x1, y1 = np.clip(np.floor(reach.min(axis=0)), 0, size_wh).astype(int).tolist()
        x2, y2 = np.clip(np.ceil(reach.max(axis=0)) + 1, 0, size_wh).astype(int).tolist()
        if x1 >= x2 or y1 >= y2:
            continue
        shifted = warp - [[0, 0, x1], [0, 0, y1]]
        part = canvas[y1:y2, x1:x2]
        layers = np.ascontiguousarray(person.transpose(1, 2, 0))  # (h, w, K)
        for k in range(0, layers.shape[2], WARP_CHANNELS):
            chunk = np.ascontiguousarray(layers[..., k : k + WARP_CHANNELS])
            warped = cv2.warpAffine(chunk, shifted, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR)
            highest = warped if warped.ndim == 2 else warped.max(axis=2)
            np.maximum(part, highest, out=part)
    return canvas
