"""SimCC: a keypoint as two classifications, one over x bins and one over y bins.

Source: SimCC (arXiv 2107.03332).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["SimCC"]


class SimCC:
    """Decodes x and y logits.

    Args:
        input_size: (w, h) of the network's input, in pixels.
        split_ratio: bins per pixel.
    """

    def __init__(self, *, input_size: Sequence[int], split_ratio: float = 2.0) -> None:
        self.input_size = tuple(input_size)
        self.split_ratio = split_ratio

    def decode(self, outputs: tuple[Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray]:
        """The bin of the largest logit along each axis.

        Args:
            outputs: x logits (N, K, w * split_ratio), y logits (N, K, h * split_ratio).

        Returns:
            Keypoints (N, K, 2) in pixels of the input, and scores (N, K): the smaller of the two
            largest logits. Where that is not positive the keypoint is (-1, -1) bins, as in the
            reference.
        """
        x_scores, x_bins = outputs[0].max(dim=-1)
        y_scores, y_bins = outputs[1].max(dim=-1)
        scores = torch.minimum(x_scores, y_scores).float()
        bins = torch.stack([x_bins, y_bins], dim=-1).float()
        bins = torch.where(scores[..., None] > 0, bins, -1.0)
        # One transfer from the device for both.
        packed = torch.cat([bins / self.split_ratio, scores[..., None]], dim=-1).cpu().numpy()
        return np.ascontiguousarray(packed[..., :2]), np.ascontiguousarray(packed[..., 2])

    def flip(
        self, outputs: tuple[Tensor, Tensor], flip_indices: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The outputs of a mirrored input as those of the input itself."""
        x, y = outputs
        order = torch.as_tensor(flip_indices, device=x.device)
        return x[:, order].flip(-1), y[:, order]
