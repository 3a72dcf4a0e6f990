"""One image in memory, in any form -> pixels. No file is opened, and videos are refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from posekit.errors import InputError
from posekit.io.images import claimed_size, decode_image, to_bgr
from posekit.io.in_memory import from_pil, from_tensor
from posekit.io.listing import IMAGE_SIGNATURE, is_pil, is_tensor
from posekit.io.sequence import kind_of

__all__ = ["read_single"]


def read_single(image: Any, max_pixels: int, *, rgb: bool = False) -> np.ndarray:
    """A single image in memory as (H, W, 3), BGR, uint8.

    Args:
        image: as `PoseService.predict` takes it.
        max_pixels: larger images are refused, encoded ones before they are decoded.
        rgb: whether the colours of an array or a tensor are RGB.

    Raises:
        InputError: several images, a file name, a damaged or too large image, or no image at all.
    """
    pixels = _pixels(image, max_pixels, rgb=rgb)
    _check_size(pixels.shape[1], pixels.shape[0], max_pixels)
    return pixels


def _pixels(image: Any, max_pixels: int, *, rgb: bool) -> np.ndarray:
    if isinstance(image, bytes | bytearray | memoryview):
        data = bytes(image)
        width, height, _ = claimed_size(data)
        _check_size(width, height, max_pixels)
        if data and not IMAGE_SIGNATURE.match(data):
            raise InputError(
                "the encoded image is of an unsupported format; use one such as JPEG or PNG"
            )
        if kind_of(data, "") is not None:
            raise InputError("the encoded image has several images: give one, or use a predictor")
        return decode_image(data, "the encoded image")
    if is_pil(image):
        width, height = image.size
        _check_size(width, height, max_pixels)
        return from_pil(image)
    if is_tensor(image) and image.ndim != 4:
        return next(from_tensor(image, rgb=rgb))
    if not isinstance(image, np.ndarray) or image.ndim == 4:
        raise InputError(
            "expected a single image: an array (H, W, 3), the bytes of a file, a tensor or a PIL "
            f"image; found {type(image).__name__} {getattr(image, 'shape', '')}".rstrip()
        )
    return to_bgr(image, rgb=rgb)


def _check_size(width: int, height: int, most: int) -> None:
    if width * height > most:
        raise InputError(
            f"an image of {width} x {height} pixels is larger than max_pixels={most}: make it "
            "smaller"
        )
