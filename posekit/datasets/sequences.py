"""Files of 2D sequences with their 3D poses, as `LiftingDataset` describes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from posekit.errors import InputError
from posekit.skeleton import Skeleton

__all__ = ["read_factors", "read_sequences"]


def read_sequences(
    path: str, skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (N, T, K, 3), targets (N, T, K, 3), image sizes (N, 2), lengths (N,).

    Raises:
        InputError: the file is not as described; the message names it and what it has.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # zip, zlib and NumPy each have their own kinds
        raise InputError(f"{path} is not an NPZ file of plain arrays: {error}") from None
    for key in ("keypoints_2d", "keypoints_3d", "image_size"):
        if key not in arrays:
            raise InputError(f"{path}: has {', '.join(arrays)}; '{key}' is missing")
    points, targets = arrays["keypoints_2d"], arrays["keypoints_3d"]
    count = skeleton.num_keypoints
    _expect_shape(path, "keypoints_2d", points, lambda s: s[2] == count and s[3] in (2, 3), count)
    expected = (*points.shape[:3], 3)
    _expect_shape(path, "keypoints_3d", targets, lambda s: s == expected, count)
    if points.shape[-1] == 2:
        points = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
    for key, array in (("keypoints_2d", points), ("keypoints_3d", targets)):
        bad = np.flatnonzero(~np.isfinite(array).all(axis=(1, 2, 3)))
        if len(bad):
            shown = ", ".join(map(str, bad[:5]))
            raise InputError(f"{path}: {key} is not finite in {len(bad)} sequences: {shown}")
    lengths = np.asarray(arrays.get("lengths", np.full(len(points), points.shape[1])), np.int64)
    if lengths.shape != (len(points),) or not ((lengths > 0) & (lengths <= points.shape[1])).all():
        raise InputError(
            f"{path}: lengths: expected {len(points)} numbers 1..{points.shape[1]}, "
            f"found {lengths.tolist()[:5]}"
        )
    try:
        sizes = np.broadcast_to(np.asarray(arrays["image_size"], np.float32), (len(points), 2))
    except ValueError:
        raise InputError(
            f"{path}: image_size: expected (w, h) or {len(points)} of them, found shape "
            f"{arrays['image_size'].shape}"
        ) from None
    bad = np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)).all(axis=1))
    if len(bad):
        raise InputError(
            f"{path}: image_size: expected (w, h) above 0, found {sizes[bad[0]].tolist()} for "
            f"sequence {bad[0]}"
        )
    return points.astype(np.float32), targets.astype(np.float32), sizes, lengths


def read_factors(path: str, lengths: np.ndarray, frames: int) -> np.ndarray | None:
    """Units of 3D per pixel (N, T), of a file that has been read as sequences before.

    Raises:
        InputError: `factor` has another shape, or is not positive in a frame that is used.
    """
    with np.load(path, allow_pickle=False) as file:
        if "factor" not in file.files:
            return None
        factor = np.asarray(file["factor"])
    count = len(lengths)
    if factor.shape == (count,):
        factor = np.repeat(factor[:, None], frames, axis=1)
    if factor.shape != (count, frames) or not np.issubdtype(factor.dtype, np.number):
        raise InputError(
            f"{path}: factor: expected numbers of shape ({count},) or ({count}, {frames}), found "
            f"{factor.dtype} {factor.shape}"
        )
    used = np.arange(frames) < lengths[:, None]
    if not (np.isfinite(factor[used]) & (factor[used] > 0)).all():
        raise InputError(f"{path}: factor: expected positive numbers, units of 3D per pixel")
    return np.where(used, factor, 1.0).astype(np.float64)


def _expect_shape(
    path: str, key: str, array: np.ndarray, good: Callable[[tuple[int, ...]], bool], count: int
) -> None:
    if array.ndim != 4 or not np.issubdtype(array.dtype, np.number) or not good(array.shape):
        raise InputError(
            f"{path}: {key}: expected numbers of shape (N, T, {count}, "
            f"{'2 or 3' if key == 'keypoints_2d' else 3}), found {array.dtype} {array.shape}"
        )
