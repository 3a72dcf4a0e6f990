"""SimCC: a keypoint as two classifications, one over x bins and one over y bins.

Source: SimCC (arXiv 2107.03332); Gaussian targets as RTMPose has them (arXiv 2303.07399).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from posekit.codecs.largest import largest
from posekit.codecs.targets import drawn_and_weights, gaussians, keypoint_tensors

__all__ = ["SimCC"]


class SimCC:
    """Decodes x and y logits, and makes their training targets.

    Args:
        input_size: (w, h) of the network's input, in pixels.
        split_ratio: bins per pixel.
        sigma: standard deviations (x, y) of the Gaussian targets, in bins; None follows the
            published configurations: the root of a sixteenth of the number of bins.
    """

    reads = ("simcc_x", "simcc_y")

    def __init__(
        self,
        *,
        input_size: Sequence[int],
        split_ratio: float = 2.0,
        sigma: Sequence[float] | None = None,
    ) -> None:
        self.input_size = tuple(input_size)
        self.split_ratio = split_ratio
        if sigma is None:
            sigma = [round((side * split_ratio / 16) ** 0.5, 2) for side in input_size]
        self.sigma = tuple(sigma)

    def encode(
        self, keypoints: Tensor | np.ndarray, visible: Tensor | np.ndarray
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Gaussians of height 1 around each keypoint's nearest bins.

        Args:
            keypoints: (N, K, 2), in pixels of the input.
            visible: (N, K), 0 to 1; below 0.5 a keypoint has no target.

        Returns:
            Targets ((N, K, w * split_ratio), (N, K, h * split_ratio)), shaped as the network's
            outputs, and weights (N, K): `visible`, but 0 for a keypoint more than three sigma
            outside of the input. float32, on the keypoints' device.

        Raises:
            InputError: shapes that do not fit each other.
        """
        keypoints, visible = keypoint_tensors(keypoints, visible)
        bins = (keypoints * self.split_ratio).round()  # (N, K, 2)
        counts = [round(side * self.split_ratio) for side in self.input_size]
        drawn, weights = drawn_and_weights(bins, visible, counts, [3 * s for s in self.sigma])
        x, y = (
            gaussians(bins[..., axis], counts[axis], self.sigma[axis]).where(drawn[..., None], 0.0)
            for axis in (0, 1)
        )
        return (x, y), weights

    def decode(self, outputs: tuple[Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """The bin of the largest logit along each axis.

        Args:
            outputs: x logits (N, K, w * split_ratio), y logits (N, K, h * split_ratio).

        Returns:
            Keypoints (N, K, 2) in pixels of the input, and scores (N, K): the smaller of the two
            largest logits. Where that is not positive, the keypoint is at bin (-1, -1), as in
            MMPose.
        """
        x_scores, x_bins = largest(outputs[0])
        y_scores, y_bins = largest(outputs[1])
        scores = torch.minimum(x_scores, y_scores).float()
        bins = torch.stack([x_bins, y_bins], dim=-1).float()
        bins = torch.where(scores[..., None] > 0, bins, -1.0)
        # One transfer from the device for both.
        packed = torch.cat([bins / self.split_ratio, scores[..., None]], dim=-1).cpu().numpy()
        return np.ascontiguousarray(packed[..., :2]), np.ascontiguousarray(packed[..., 2])

    def flip(
        self, outputs: tuple[Tensor, Tensor], flip_indices: Sequence[int] | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Turns the outputs of a mirrored input into those of the input itself."""
        x, y = outputs
        order = torch.as_tensor(flip_indices, device=x.device)
        return x[:, order].flip(-1), y[:, order]
