"""SimCC in three dimensions: a keypoint as classifications over x, y and z bins.

Source: RTMW3D (RTMW, arXiv 2407.08634). Depths are relative to the middle of the hips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from posekit.codecs.largest import largest

__all__ = ["SimCC3D", "to_camera"]

# What the published models were trained with: the range of depths on either side of the hips, and
# how far from the camera these are on average, in metres.
Z_RANGE = 2.1744869
ROOT_DEPTH = 5.14388
# Of the cameras of H3WB, in pixels; for images of which the camera is not known.
FOCAL_LENGTH = (1145.04940459, 1143.78109572)


class SimCC3D:
    """Decodes x, y and z logits.

    Args:
        input_size: (w, h) of the network's input, in pixels.
        depth: depth of the box that the bins along z divide, in pixels of the input.
        split_ratio: bins per pixel.
        z_range: metres from the middle of that box to either end.
        root_depth: metres from the camera to that middle.
    """

    reads = ("simcc_x", "simcc_y", "simcc_z")

    def __init__(
        self,
        *,
        input_size: Sequence[int],
        depth: int = 288,
        split_ratio: float = 2.0,
        z_range: float = Z_RANGE,
        root_depth: float = ROOT_DEPTH,
    ) -> None:
        self.input_size = tuple(input_size)
        self.depth = depth
        self.split_ratio = split_ratio
        self.z_range = z_range
        self.root_depth = root_depth

    def decode(self, outputs: tuple[Tensor, Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """The bin of the largest logit along each axis.

        Args:
            outputs: x logits (N, K, w * split_ratio), y logits (N, K, h * split_ratio), z logits
                (N, K, depth * split_ratio).

        Returns:
            Keypoints (N, K, 3), float32: x and y in pixels of the input, z in metres behind the
            middle of the hips; and scores (N, K), the smaller of the largest logits along x and
            y. Where that is not positive, the keypoint is at bin -1, as in MMPose.
        """
        (x_scores, x_bins), (y_scores, y_bins), (_, z_bins) = map(largest, outputs)
        scores = torch.minimum(x_scores, y_scores).float()
        bins = torch.stack([x_bins, y_bins, z_bins], dim=-1).float()
        places = torch.where(scores[..., None] > 0, bins, -1.0) / self.split_ratio
        packed = torch.cat([places, scores[..., None]], dim=-1).cpu().numpy()
        keypoints = np.ascontiguousarray(packed[..., :3])
        keypoints[..., 2] = (keypoints[..., 2] / (self.depth / 2) - 1) * self.z_range
        return keypoints, np.ascontiguousarray(packed[..., 3])

    def flip(
        self, outputs: tuple[Tensor, Tensor, Tensor], flip_indices: Sequence[int] | Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Turns the outputs of a mirrored input into those of the input itself."""
        x, y, z = outputs
        order = torch.as_tensor(flip_indices, device=x.device)
        return x[:, order].flip(-1), y[:, order], z[:, order]


def to_camera(
    keypoints: np.ndarray,
    depths: np.ndarray,
    center: Sequence[float],
    focal_length: Sequence[float] = FOCAL_LENGTH,
) -> np.ndarray:
    """Places an image's keypoints in front of the camera.

    Args:
        keypoints: (..., 2), in pixels of the image.
        depths: (...), along the camera's axis, in metres.
        center: (x, y) where the camera's axis meets the image, in pixels.
        focal_length: along x and y, in pixels.

    Returns:
        (..., 3), metres: x to the right, y down, z away from the camera. float32.
    """
    rays = (keypoints - np.asarray(center)) / np.asarray(focal_length)
    return np.concatenate([rays * depths[..., None], depths[..., None]], -1).astype(np.float32)
