"""PIL images and tensors -> arrays. Neither PIL nor torch is imported here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from posekit.errors import InputError
from posekit.io.images import to_bgr

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

__all__ = ["from_pil", "from_tensor"]

CHANNELS = (1, 3, 4)
# Half a level of 8 bits: what rounding may add to 0 and 1.
ROUNDING = 0.5 / 255
MORE_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


def from_pil(image: Image.Image) -> np.ndarray:
    """A PIL image as (H, W, 3), BGR, uint8, turned upright by its EXIF tag.

    Grey, palettes and CMYK are converted; as with files, alpha is dropped, and 16-bit images keep
    their upper 8 bits. An image with several frames gives the current one.

    Raises:
        InputError: it was closed, its file is damaged, or its mode has no fixed value range.
    """
    from PIL import ImageOps

    name = f"the PIL image {getattr(image, 'filename', '') or ''}".rstrip()
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in MORE_BITS or (upright.mode == "I" and image.format == "PNG"):
            return to_bgr(np.clip(np.asarray(upright), 0, 65535).astype(np.uint16))
        if upright.mode in ("I", "F"):
            raise InputError(
                f"{name} has the mode {upright.mode}, which has no fixed value range: convert "
                "it to L or RGB"
            )
        if upright.mode == "RGBa":
            upright = upright.convert("RGBA")
        pixels = np.asarray(upright if upright.mode == "L" else upright.convert("RGB"))
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, AttributeError) as error:
        raise InputError(f"{name} cannot be read: {error}") from None
    return to_bgr(pixels, rgb=True)


def from_tensor(tensor: Tensor, *, rgb: bool = False) -> Iterator[np.ndarray]:
    """The images of a tensor as (H, W, 3), BGR, uint8.

    Args:
        tensor: (H, W), (C, H, W), (H, W, C), or a stack of these with N before; uint8, or floats
            from 0 to 1; on any device, with or without a gradient.
        rgb: whether its colours are RGB instead of BGR.

    Raises:
        InputError: other types or values, another shape, or one whose channels may come first or
            last.
    """
    shape = tuple(tensor.shape)
    name = f"a tensor {shape} of {str(tensor.dtype).removeprefix('torch.')}"
    if not tensor.is_floating_point() and str(tensor.dtype) not in ("torch.uint8", "torch.uint16"):
        raise InputError(f"{name}: expected uint8 (0 to 255), or floats from 0 to 1")
    if not 2 <= len(shape) <= 4 or 0 in shape:
        raise InputError(f"{name}: expected (H, W), (C, H, W), (H, W, C), or a stack of images")
    if len(shape) > 2:
        first, last = (shape[place] in CHANNELS for place in (-3, -1))
        if first and last:
            raise InputError(
                f"{name}: channels may come first or last: give a NumPy array, in which they "
                "come last"
            )
        if not first and not last:
            raise InputError(f"{name}: expected 1, 3 or 4 channels, first or last of an image")
        if first:
            tensor = tensor.movedim(-3, -1)
    for image in tensor if len(shape) == 4 else [tensor]:
        yield to_bgr(_levels(image, name), rgb=rgb)
        del image


def _levels(image: Tensor, name: str) -> np.ndarray:
    try:
        image = image.detach().cpu()
        if not image.is_floating_point():
            return np.array(image.numpy())
        values = image.float().numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{name} has no numbers that can be read: {reason}") from None
    if not np.isfinite(values).all():
        raise InputError(f"{name} has values that are NaN or infinite")
    low, high = float(values.min()), float(values.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise InputError(
            f"{name} has values from {low:g} to {high:g}, expected 0 to 1: divide by 255, undo the "
            "normalisation, or give uint8"
        )
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
