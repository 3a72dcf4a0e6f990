"""The steps around the networks on a GPU: images go there once, and only boxes and keypoints back.

Each does what its namesake in `affine`, `image` and `nms` does with OpenCV and NumPy, for many
images or boxes at once and without waiting for the GPU. They run on any device of torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from posekit.transforms.image import fitted_size

__all__ = ["batched_nms", "crop_batch", "letterbox_batch", "place_images"]

# Each round settles the boxes of one more link of "overlaps one that overlaps one that ..".
NMS_ROUNDS = 16


def place_images(
    images: Sequence[np.ndarray | Tensor], device: torch.device
) -> list[np.ndarray | Tensor]:
    """Images (H, W, 3), uint8: as tensors on a CUDA device, and wherever one of them is a tensor.

    Tensors are cropped and resized by torch, arrays by OpenCV.
    """
    if device.type != "cuda" and not any(isinstance(image, Tensor) for image in images):
        return list(images)
    return [
        image.to(device) if isinstance(image, Tensor) else to_device(image, device)
        for image in images
    ]


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A uint8 or float32 array as a tensor on a device; does not wait for a copy to a GPU."""
    if device.type != "cuda":
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)
    dtype = torch.uint8 if array.dtype == np.uint8 else torch.float32
    pinned = torch.empty(array.shape, dtype=dtype, pin_memory=True)
    np.copyto(pinned.numpy(), array)
    return pinned.to(device, non_blocking=True)


def letterbox_batch(
    images: Sequence[Tensor], size_wh: tuple[int, int], pad_value: int, *, keep_ratio: bool = True
) -> tuple[Tensor, list[tuple[float, float]]]:
    """Resizes each image to fit at the top left of a batch's.

    Values are those of OpenCV's bilinear resize, whose fixed-point arithmetic this repeats: a grey
    level more or less in some pixels moves boxes by up to a pixel.

    Args:
        images: (H, W, 3) each, uint8, on one device.
        size_wh: of the batch, in pixels.
        pad_value: grey level of the rest.
        keep_ratio: False stretches the images instead.

    Returns:
        (N, h, w, 3), uint8, and the factors (x, y) from each image to it.
    """
    width, height = size_wh
    batch = images[0].new_full((len(images), height, width, 3), pad_value)
    factors = []
    for image, out in zip(images, batch, strict=True):
        size = (image.shape[1], image.shape[0])
        new_width, new_height = fitted_size(size, size_wh) if keep_ratio else size_wh
        out[:new_height, :new_width] = _resize(image, (new_width, new_height))
        factors.append((new_width / size[0], new_height / size[1]))
    return batch, factors


def _resize(image: Tensor, size_wh: tuple[int, int]) -> Tensor:
    """As `cv2.resize` with INTER_LINEAR: (H, W, 3), uint8 -> (h, w, 3), int32, 0 to 255."""
    left, right, of_left, of_right = _taps(image.shape[1], size_wh[0], image.device)
    above, below, of_above, of_below = _taps(image.shape[0], size_wh[1], image.device)
    rows = image[:, left].int() * of_left[:, None] + image[:, right].int() * of_right[:, None]
    rows = rows >> 4
    upper = (rows[above] * of_above[:, None, None]) >> 16
    lower = (rows[below] * of_below[:, None, None]) >> 16
    return (upper + lower + 2) >> 2


@functools.lru_cache(maxsize=32)
def _taps(side: int, new_side: int, device: torch.device) -> Tensor:
    """Of each new pixel the two old ones that it lies between, and their weights in 2048ths.

    (4, new_side), int32.
    """
    places = ((np.arange(new_side) + 0.5) / (new_side / side) - 0.5).astype(np.float32)
    first = np.floor(places).astype(np.int32)
    fraction = np.where((first < 0) | (first >= side - 1), 0, places - first.astype(np.float32))
    first = first.clip(0, side - 1)
    weights = [np.rint(part * np.float32(2048)) for part in (np.float32(1) - fraction, fraction)]
    taps = [first, np.minimum(first + 1, side - 1), *weights]
    # Not `to_device`: another stream may use it next.
    return torch.from_numpy(np.stack(taps).astype(np.int32)).to(device)


def crop_batch(
    images: Sequence[Tensor],
    owners: np.ndarray,
    matrices: np.ndarray,
    size_wh: tuple[int, int],
    *,
    pad_value: int = 0,
) -> Tensor:
    """Warps parts of images into one batch.

    Values are those of OpenCV 5's bilinear warp, but for a grey level in one of 10,000; older
    versions round places to a 32nd of a pixel.

    Args:
        images: (H, W, 3) each, uint8, on one device.
        owners: (n,), in rising order: which image a crop is of.
        matrices: (n, 2, 3), from image to crop coordinates, as `crop_matrices` makes them.
        size_wh: of the crops, in pixels.
        pad_value: grey level outside the images.

    Returns:
        (n, h, w, 3), uint8.
    """
    width, height = size_wh
    device = images[0].device
    # From crop to image coordinates, as fractions from -1 to 1 between the outer edges of the
    # first and the last pixel; in float64, which some devices lack.
    to_edges = np.array([_inverse(matrix) for matrix in matrices]).reshape(-1, 2, 3)
    sides = np.array([[images[owner].shape[1], images[owner].shape[0]] for owner in owners])
    to_edges *= 2 / sides.reshape(-1, 2, 1)
    to_edges[:, :, 2] += 1 / sides.reshape(-1, 2) - 1
    maps = to_device(to_edges.astype(np.float32), device)  # (n, 2, 3)
    x = torch.arange(width, device=device, dtype=torch.float32)[:, None]
    y = torch.arange(height, device=device, dtype=torch.float32)[:, None, None]
    # (n, h, w, 2); not a matrix product, which some GPUs round to 10 bits.
    along_x, along_y, start = maps[:, None, None].unbind(dim=-1)
    places = x * along_x + y * along_y + start
    crops = torch.empty((len(owners), 3, height, width), dtype=torch.uint8, device=device)
    for owner in np.unique(owners):
        first, last = np.searchsorted(owners, [owner, owner + 1]).tolist()
        # What is outside counts as 0 in `grid_sample`.
        planes = images[owner].permute(2, 0, 1)[None].float() - pad_value
        sampled = nn.functional.grid_sample(
            planes.expand(last - first, -1, -1, -1),  # without a copy
            places[first:last],
            padding_mode="zeros",
            align_corners=False,
        )
        crops[first:last] = sampled.add_(pad_value).round_()
    return crops.permute(0, 2, 3, 1)


def batched_nms(
    boxes_xyxy: Tensor, valid: Tensor, labels: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Greedy suppression, per class, of boxes that overlap a better one; in N images at once.

    A box stays if no better one that stays overlaps it. That is asked of all boxes together, with
    the answers of the round before, until nothing changes.

    Args:
        boxes_xyxy: (N, k, 4), best first.
        valid: (N, k), bool: which of them count.
        labels: (N, k), their classes.
        threshold: boxes whose IoU with a kept one of their class is larger are dropped.

    Returns:
        Which boxes stay (N, k), bool, and for which images that is final (N,), bool: a chain of
        more than 16 overlapping boxes may need more rounds than are tried.
    """
    left, top, right, bottom = boxes_xyxy.unbind(dim=-1)  # (N, k) each
    areas = (right - left) * (bottom - top)
    width = _pairwise(torch.minimum, right) - _pairwise(torch.maximum, left)
    height = _pairwise(torch.minimum, bottom) - _pairwise(torch.maximum, top)
    overlap = width.clamp(min=0) * height.clamp(min=0)  # (N, k, k)
    union = areas[:, :, None] + areas[:, None] - overlap
    ranks = torch.arange(boxes_xyxy.shape[1], device=boxes_xyxy.device)
    # [n, j, i]: i is better than j and covers it; as numbers, for products are fast everywhere.
    covered = (overlap > threshold * union) & (ranks < ranks[:, None])
    covered = (covered & (labels[:, :, None] == labels[:, None])).to(boxes_xyxy.dtype)
    kept = before = valid
    for _ in range(NMS_ROUNDS):
        before = kept
        by_better = covered @ before[..., None].to(covered.dtype)  # (N, k, 1)
        kept = valid & (by_better[..., 0] == 0)
    return kept, (kept == before).all(dim=1)


def _pairwise(function: Callable[[Tensor, Tensor], Tensor], values: Tensor) -> Tensor:
    """Of (N, k) all pairs, (N, k, k)."""
    return function(values[:, :, None], values[:, None])


def _inverse(matrix: np.ndarray) -> np.ndarray:
    inverse: np.ndarray = cv2.invertAffineTransform(matrix)
    return inverse
