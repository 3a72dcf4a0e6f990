"""How well a lifter's 3D poses fit those of labelled sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from posekit.datasets.lifting_samples import LiftingDataset
from posekit.datasets.sequences import read_factors
from posekit.errors import InputError
from posekit.evaluation.networks import in_eval_mode
from posekit.evaluation.pose3d import MPJPE
from posekit.stages.lift import Lifter

__all__ = ["evaluate_lifter"]


def evaluate_lifter(
    lifter: Lifter,
    paths: Sequence[str],
    *,
    flip_test: bool | None = None,
    batch_size: int = 4,
) -> dict[str, float]:
    """N-MPJPE and P-MPJPE of a lifter, and MPJPE where the files have a `factor`.

    Sequences are cut into windows of as many frames as the network takes, each frame once, and are
    compared relative to the root joint, in camera axes.

    Args:
        lifter: its network is in eval mode meanwhile.
        paths: NPZ files as `LiftingDataset` describes them, of the lifter's joints; optionally with
            `factor` (N,) or (N, T): units of `keypoints_3d` (mm for Human3.6M) per pixel, since
            the network gives pixels.
        flip_test: average with the mirrored sequence; None does as the configuration says.
        batch_size: most windows that go through the network at once.

    Raises:
        InputError: a file that is not as described; some files with a factor, some without.
    """
    dataset = LiftingDataset(
        paths, lifter.skeleton, window=lifter.max_frames, stride=lifter.max_frames, scaled=False
    )
    factors = [
        read_factors(path, part[3], part[0].shape[1])
        for path, part in zip(paths, dataset.sequences, strict=True)
    ]
    with_factor = [path for path, factor in zip(paths, factors, strict=True) if factor is not None]
    if with_factor and len(with_factor) < len(paths):
        missing = sorted(set(map(str, paths)) - set(map(str, with_factor)))
        raise InputError(f"'factor' is in some of the files, but not in {', '.join(missing)}")
    if with_factor and getattr(lifter.codec, "metric", False):
        raise InputError(
            f"'factor' is for networks that give pixels, but {lifter.spec.name} gives metres; "
            f"leave it out of {', '.join(map(str, with_factor))} for N-MPJPE and P-MPJPE"
        )
    metric = MPJPE(("none", "scale", "procrustes") if with_factor else ("scale", "procrustes"))
    with in_eval_mode(lifter.net):
        for start in range(0, len(dataset), batch_size):
            rows = range(start, min(start + batch_size, len(dataset)))
            samples = [dataset[row] for row in rows]
            lifted = _lift(lifter, samples, flip_test)
            for row, sample, poses in zip(rows, samples, lifted, strict=True):
                part, n, first = (int(value) for value in dataset.windows[row])
                used = sample["valid"] > 0
                factor = factors[part]
                if factor is not None:
                    frames = slice(first, first + int(used.sum()))
                    poses[used] *= factor[n, frames, None, None]
                targets = sample["keypoints_3d"]
                metric.update(poses[used], (targets - targets[:, :1])[used])
    return metric.compute()


@torch.inference_mode()
def _lift(
    lifter: Lifter, samples: Sequence[Mapping[str, Any]], flip_test: bool | None
) -> np.ndarray:
    """(N, T, K, 3), float64, in pixels, relative to the root joint, camera axes."""
    codec, order = lifter.codec, lifter.skeleton.flip_indices
    inputs = torch.cat(
        [
            codec.encode(sample["keypoints_2d"][None], image_size=sample["image_size"])
            for sample in samples
        ]
    ).to(lifter.device, lifter.dtype)
    outputs = lifter.net(inputs)
    if lifter.flip_test if flip_test is None else flip_test:
        mirrored = lifter.net(codec.flip(inputs, order))
        outputs = (outputs + codec.flip(mirrored, order)) * 0.5
    keypoints, _ = codec.decode(outputs)  # in halves of the images' widths
    widths = np.array([sample["image_size"][0] for sample in samples], np.float64)
    return np.asarray(keypoints * (widths / 2)[:, None, None, None])
