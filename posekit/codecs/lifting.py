"""2D keypoints -> the input of a lifting network, and its output -> 3D keypoints.

Source: MotionBERT (arXiv 2210.06551), VideoPose3D (arXiv 1811.11742), SimpleBaseline3D (arXiv
1705.03098), and their use in MMPose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "METRES_PER_PIXEL",
    "ImagePoseLift",
    "MotionBERTLift",
    "VideoPoseLift",
    "center_in_frame",
    "coco_to_h36m",
    "put_on_ground",
    "stand_up",
]

# Of the lifted keypoints, where neither the camera nor the person's size is known.
METRES_PER_PIXEL = 0.004
MIN_BOX_SIZE = 1.0  # pixels: a box without area does not divide by zero

# Human3.6M's joints that are joints of COCO as well, and those.
H36M_JOINTS = (1, 2, 3, 4, 5, 6, 9, 11, 12, 13, 14, 15, 16)
COCO_JOINTS = (12, 14, 16, 11, 13, 15, 0, 5, 7, 9, 6, 8, 10)
# The others lie halfway between two of COCO's: the root between the hips, the thorax between the
# shoulders, the head between the eyes.
H36M_ROOT, H36M_SPINE, H36M_THORAX, H36M_HEAD = 0, 7, 8, 10
COCO_HIPS, COCO_SHOULDERS, COCO_EYES = (11, 12), (5, 6), (1, 2)


class _Lift:
    """Normalises 2D keypoints by the image's size.

    Attributes:
        metric: whether the network's output is in metres; otherwise in halves of the image's width.
    """

    reads = ("keypoints_3d",)
    metric = False

    def flip(self, coordinates: Tensor, flip_indices: Sequence[int]) -> Tensor:
        """Mirrors left and right: an input (N, T, K, D), or the output back.

        x changes its sign and the joints of a pair change places.
        """
        order = torch.as_tensor(flip_indices, device=coordinates.device)
        mirrored = coordinates[..., order, :]
        return torch.cat([-mirrored[..., :1], mirrored[..., 1:]], dim=-1)

    def _normalized(self, keypoints: np.ndarray, image_size: Sequence[float]) -> np.ndarray:
        width, height = image_size
        center = np.array([0.5 * width, 0.5 * height], np.float32)
        return (keypoints.astype(np.float32) - center) / np.float32(0.5 * width)


class MotionBERTLift(_Lift):
    """Normalises 2D keypoints by the image's size, and decodes MotionBERT's output.

    Args:
        root_relative: the network was trained with the root joint (index 0) at the origin, so its
            prediction for that joint means nothing; otherwise only the root's depth means nothing.
    """

    def __init__(self, *, root_relative: bool = True) -> None:
        self.root_relative = root_relative

    def encode(
        self,
        keypoints: np.ndarray,
        scores: np.ndarray | None = None,
        *,
        image_size: Sequence[float],
    ) -> Tensor:
        """The network's input.

        Args:
            keypoints: (N, T, K, 2), in pixels of the image.
            scores: (N, T, K), confidences from 0 to 1; None trusts every keypoint, as MMPose does.
            image_size: (w, h), in pixels.

        Returns:
            (N, T, K, 3), float32: x from -1 to 1 over the image's width, y in the same units with
            0 in the middle, confidence.
        """
        normalized = self._normalized(keypoints, image_size)
        confidences = np.ones(keypoints.shape[:-1]) if scores is None else scores
        packed = np.concatenate([normalized, confidences[..., None]], axis=-1, dtype=np.float32)
        return torch.from_numpy(packed)

    def decode(
        self, outputs: Tensor, *, image_size: Sequence[float] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The network's output as keypoints relative to the root joint.

        Args:
            outputs: (N, T, K, 3).
            image_size: (w, h), in pixels, as for `encode`; the result is then in metres, at 4 mm
                per pixel, since one camera's image does not show how large a person is. None keeps
                the network's unit, half the image's width.

        Returns:
            Keypoints (N, T, K, 3), float32, and scores (N, T, K), all 1: the network gives none.
        """
        keypoints = outputs.detach().float().cpu().numpy().copy()
        if self.root_relative:
            keypoints[..., 0, :] = 0
        else:
            keypoints[..., 0, 2] = 0
            keypoints -= keypoints[..., :1, :].copy()
        if image_size is not None:
            keypoints *= np.float32(image_size[0] / 2 * METRES_PER_PIXEL)
        return keypoints, np.ones(keypoints.shape[:-1], np.float32)


class VideoPoseLift(_Lift):
    """Normalises 2D keypoints by the image's size; outputs are in metres from the root joint."""

    metric = True

    def encode(
        self,
        keypoints: np.ndarray,
        scores: np.ndarray | None = None,
        *,
        image_size: Sequence[float],
    ) -> Tensor:
        """The network's input.

        Args:
            keypoints: (N, T, K, 2), in pixels of the image.
            scores: not used.
            image_size: (w, h), in pixels.

        Returns:
            (N, T, K, 2), float32: x from -1 to 1 over the image's width, y in the same units with
            0 in the middle.
        """
        return torch.from_numpy(self._normalized(keypoints, image_size))

    def decode(
        self, outputs: Tensor, *, image_size: Sequence[float] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The network's output as it is, (N, T, K, 3) in metres, and scores (N, T, K), all 1."""
        keypoints = outputs.detach().float().cpu().numpy().copy()
        return keypoints, np.ones(keypoints.shape[:-1], np.float32)


class ImagePoseLift:
    """Normalises each joint, in input and output, by its mean and deviation in the training data.

    Args:
        keypoints_mean: (K, 2), means of the 2D joints, in pixels.
        keypoints_std: (K, 2), their standard deviations, positive.
        target_mean: (K, 3) or, without the root joint, (K - 1, 3): means of the 3D joints, relative
            to the root, in metres.
        target_std: their standard deviations, of the same shape, positive.
        root: index of the root joint; `decode` puts it at the origin if the network's output lacks
            it.

    Raises:
        ValueError: statistics whose shapes or values do not fit.
    """

    reads = ("keypoints_3d",)
    metric = True

    def __init__(
        self,
        *,
        keypoints_mean: Sequence[Sequence[float]],
        keypoints_std: Sequence[Sequence[float]],
        target_mean: Sequence[Sequence[float]],
        target_std: Sequence[Sequence[float]],
        root: int = 0,
    ) -> None:
        self._inputs = _statistics("keypoints", keypoints_mean, keypoints_std, 2)
        self._outputs = _statistics("target", target_mean, target_std, 3)
        joints, given = len(keypoints_mean), len(target_mean)
        if given not in (joints, joints - 1):
            raise ValueError(
                f"target_mean: expected {joints} joints, or {joints - 1} without the root, "
                f"found {given}"
            )
        if not 0 <= root < joints:
            raise ValueError(f"root: expected 0 to {joints - 1}, found {root}")
        self.root = root
        self.adds_root = given < joints

    def encode(
        self,
        keypoints: np.ndarray,
        scores: np.ndarray | None = None,
        *,
        image_size: Sequence[float],
    ) -> Tensor:
        """The network's input.

        Args:
            keypoints: (N, T, K, 2), in pixels of the image.
            scores: not used.
            image_size: not used; the training data's means take its place.

        Returns:
            (N, T, K, 2), float32, in standard deviations from each joint's mean.
        """
        mean, std = self._inputs
        return torch.from_numpy((keypoints.astype(np.float32) - mean) / std)

    def decode(
        self, outputs: Tensor, *, image_size: Sequence[float] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The network's output (N, T, K or K - 1, 3) in metres, and scores (N, T, K), all 1."""
        mean, std = self._outputs
        keypoints = outputs.detach().float().cpu().numpy() * std + mean
        if self.adds_root:
            keypoints = np.insert(keypoints, self.root, 0, axis=-2)
        return keypoints, np.ones(keypoints.shape[:-1], np.float32)

    def flip(self, coordinates: Tensor, flip_indices: Sequence[int]) -> Tensor:
        """Mirrors left and right: an input (N, T, K, 2), or the output back.

        Joints are mirrored at the mean of the root joint, and those of a pair change places.
        """
        order = list(flip_indices)
        if coordinates.shape[-1] == 2:
            statistics, middle = self._inputs, float(self._inputs[0][self.root, 0])
        else:
            statistics, middle = self._outputs, 0.0
            if self.adds_root:  # those after the root are one further forward
                order = [i - (i > self.root) for i in order if i != self.root]
        mean, std = (torch.as_tensor(x).to(coordinates) for x in statistics)
        mirrored = (coordinates * std + mean)[..., order, :]
        mirrored = torch.cat([2 * middle - mirrored[..., :1], mirrored[..., 1:]], dim=-1)
        return (mirrored - mean) / std


def _statistics(
    name: str, mean: Sequence[Sequence[float]], std: Sequence[Sequence[float]], axes: int
) -> tuple[np.ndarray, np.ndarray]:
    means, stds = np.array(mean, np.float32), np.array(std, np.float32)
    for key, found in ((f"{name}_mean", means), (f"{name}_std", stds)):
        if found.ndim != 2 or found.shape != (len(means), axes):
            raise ValueError(
                f"{key}: expected {axes} numbers for each of {len(means)} joints, found shape "
                f"{found.shape}"
            )
    if not (np.isfinite(means).all() and np.isfinite(stds).all() and (stds > 0).all()):
        raise ValueError(
            f"{name}_mean, {name}_std: expected finite means and positive standard deviations"
        )
    return means, stds


def coco_to_h36m(keypoints: np.ndarray) -> np.ndarray:
    """COCO's keypoints as the joints of Human3.6M.

    Args:
        keypoints: (..., 17, C): coordinates or anything else that may be averaged.

    Returns:
        (..., 17, C), of the same dtype.
    """
    if keypoints.ndim < 2 or keypoints.shape[-2] != 17:
        raise ValueError(
            f"expected COCO's 17 keypoints, of shape (..., 17, C), found {keypoints.shape}"
        )
    joints = np.empty_like(keypoints)
    joints[..., H36M_JOINTS, :] = keypoints[..., COCO_JOINTS, :]
    for joint, pair in (
        (H36M_ROOT, COCO_HIPS),
        (H36M_THORAX, COCO_SHOULDERS),
        (H36M_HEAD, COCO_EYES),
    ):
        joints[..., joint, :] = keypoints[..., pair, :].mean(axis=-2)
    joints[..., H36M_SPINE, :] = (joints[..., H36M_ROOT, :] + joints[..., H36M_THORAX, :]) / 2
    return joints


def center_in_frame(
    keypoints: np.ndarray,
    boxes_xyxy: np.ndarray,
    *,
    center: Sequence[float],
    scale: float,
) -> np.ndarray:
    """Moves each person to where the training data had people, and scales them to that size.

    A sequence is moved and scaled as a whole, by its boxes' mean centre and their median size, so
    that boxes that jitter do not make the person move.

    Args:
        keypoints: (N, K, 2), in pixels of the image, or sequences (N, T, K, 2).
        boxes_xyxy: the people's boxes (N, 4), or (N, T, 4).
        center: (x, y), the mean centre of the training data's boxes, in pixels.
        scale: the mean of their longer sides, in pixels.
    """
    sizes = (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).max(axis=-1)
    centers = (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2
    if keypoints.ndim == 4:
        sizes, centers = np.median(sizes, axis=1)[:, None], centers.mean(axis=1)[:, None]
    sizes = np.maximum(sizes, MIN_BOX_SIZE)[..., None, None]
    return (keypoints - centers[..., None, :]) / sizes * scale + np.asarray(center, keypoints.dtype)


def stand_up(keypoints: np.ndarray, *, on_ground: bool = True) -> np.ndarray:
    """Camera axes (x right, y down, z away) -> axes with z up, for display.

    Args:
        keypoints: (..., K, 3).
        on_ground: shift each person so that the lowest keypoint has height 0.
    """
    x, y, z = keypoints[..., 0], keypoints[..., 1], keypoints[..., 2]
    standing = np.stack([-x, z, -y], axis=-1)
    return put_on_ground(standing) if on_ground else standing


def put_on_ground(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints (..., K, 3) with z up, each person shifted so that the lowest has height 0."""
    shifted = keypoints.copy()
    shifted[..., 2] -= keypoints[..., 2].min(axis=-1, keepdims=True)
    return shifted
