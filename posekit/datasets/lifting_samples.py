"""Windows of 2D sequences with their 3D poses, for training and evaluation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from posekit.datasets.sampler import Key, epoch_and_index
from posekit.datasets.sequences import read_factors, read_sequences
from posekit.errors import InputError
from posekit.skeleton import Skeleton

__all__ = ["LiftingDataset"]

log = logging.getLogger(__name__)

# From the root to a joint, in halves of the image's width: no pose is larger by far.
LARGEST_POSE = 30.0


class LiftingDataset(Dataset[dict[str, Any]]):
    """Windows of 2D sequences with their 3D poses.

    An NPZ holds `keypoints_2d` (N, T, K, 2 or 3: x, y, score) in pixels and `keypoints_3d`
    (N, T, K, 3); `image_size` (w, h), or (N, 2); and optionally `lengths` (N,), the frames in use,
    and `factor` (N,) or (N, T): units of `keypoints_3d` per pixel.

    Args:
        paths: NPZ files.
        skeleton: the K joints and their mirrored pairs.
        window: frames per sample; shorter sequences repeat their last frame.
        stride: frames between the starts of two windows.
        flip: probability of mirroring.
        seed: seed of every random draw.
        scaled: bring 3D keypoints of files with a `factor` to halves of the image's width, the
            units that the network learns; others are taken to be in these units. False changes
            none.

    Raises:
        InputError: a file that is not as described; the message names it and what it has.
    """

    def __init__(
        self,
        paths: Sequence[str],
        skeleton: Skeleton,
        *,
        window: int = 243,
        stride: int = 81,
        flip: float = 0.0,
        seed: int = 0,
        scaled: bool = True,
    ) -> None:
        if window < 1 or stride < 1:
            raise InputError(f"window and stride must be at least 1, found {window} and {stride}")
        self.skeleton = skeleton
        self.window = window
        self.flip = flip
        self.seed = seed
        self.sequences = []
        for path in paths:
            points, targets, sizes, lengths = read_sequences(path, skeleton)
            if scaled:
                targets = _in_half_widths(path, targets, sizes, lengths)
            self.sequences.append((points, targets, sizes, lengths))
        windows = [
            (part, n, start)
            for part, (points, _, _, lengths) in enumerate(self.sequences)
            for n in range(len(points))
            for start in range(0, max(int(lengths[n]) - window, 0) + stride, stride)
            if start < lengths[n]
        ]
        self.windows = np.array(windows, np.int64).reshape(-1, 3)
        if not windows:
            raise InputError(f"no sequence in {', '.join(map(str, paths)) or 'no file at all'}")

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """The sample of (epoch, index).

        Returns:
            keypoints_2d: (T, K, 2), float32, in pixels; scores: (T, K), float32.
            keypoints_3d: (T, K, 3), float32, in the file's units or as `scaled` says.
            valid: (T,), float32: 0 for repeated frames.
            image_size: (2,), float32, (w, h).
            sequence, start: int64.
        """
        epoch, index = epoch_and_index(key, len(self))
        part, n, start = self.windows[index]
        points, targets, sizes, lengths = self.sequences[part]
        frames = np.minimum(np.arange(start, start + self.window), lengths[n] - 1)
        inputs, outputs = points[n, frames], targets[n, frames]  # copies
        width = sizes[n, 0]
        rng = np.random.default_rng((self.seed, epoch, index))
        if rng.random() < self.flip:
            flip = list(self.skeleton.flip_indices)
            inputs, outputs = inputs[:, flip], outputs[:, flip]
            # The middle of the image stays: the codec centres there.
            inputs[..., 0] = width - inputs[..., 0]
            outputs[..., 0] *= -1
        return {
            "keypoints_2d": inputs[..., :2],
            "scores": inputs[..., 2],
            "keypoints_3d": outputs,
            "valid": (np.arange(start, start + self.window) < lengths[n]).astype(np.float32),
            "image_size": sizes[n],
            "sequence": np.int64(n),
            "start": np.int64(start),
        }


def _in_half_widths(
    path: str, targets: np.ndarray, sizes: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """3D keypoints as the network gives them, where the file says how many units a pixel is."""
    factor = read_factors(path, lengths, targets.shape[1])
    if factor is not None:
        scale = factor * sizes[:, :1] / 2  # (N, T), units per half width
        targets = (targets / scale[..., None, None]).astype(np.float32)
    largest = float(np.abs(targets - targets[:, :, :1]).max(initial=0))
    if largest > LARGEST_POSE:
        log.warning(
            "warning: %s: 3D keypoints lie up to %.0f halves of the image's width from the root; "
            "are they in millimetres? Give 'factor', their units per pixel",
            path,
            largest,
        )
    return targets
