"""InterNet's 3D heat maps of both hands -> keypoints.

Source: InterNet (InterHand2.6M, arXiv 2008.09309).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from posekit.codecs.largest import largest

__all__ = ["Hand3DHeatmap", "Hands3D", "join_hands", "stand_hands_up"]


class Hands3D(NamedTuple):
    """Both hands of N crops.

    Attributes:
        keypoints: (N, 2K, 3), right hand first: x and y in pixels of the network's input, z in mm
            relative to the wrist of the same hand. float32.
        scores: (N, 2K), the heat maps' maxima, 0 to `max_bound`, float32.
        root_depth: (N,), depth of the left wrist relative to the right one, in mm, float32.
        hand_type: (N, 2), whether there is a right and a left hand.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    root_depth: np.ndarray
    hand_type: np.ndarray


class Hand3DHeatmap:
    """Decodes InterNet's outputs.

    Args:
        input_size: (w, h) of the network's input, in pixels.
        heatmap_size: (w, h, d), in cells.
        depth_bound: depth that the heat maps cover, in mm.
        root_cells: cells of the 1D heat map of the relative depth.
        root_depth_bound: depth that this 1D map covers, in mm.
    """

    reads = ("heatmap", "root_depth", "hand_type")

    def __init__(
        self,
        *,
        input_size: Sequence[int] = (256, 256),
        heatmap_size: Sequence[int] = (64, 64, 64),
        depth_bound: float = 400.0,
        root_cells: int = 64,
        root_depth_bound: float = 400.0,
    ) -> None:
        self.input_size = tuple(input_size)
        self.heatmap_size = tuple(heatmap_size)
        self.depth_bound = depth_bound
        self.root_cells = root_cells
        self.root_depth_bound = root_depth_bound

    def decode(self, outputs: tuple[Tensor, Tensor, Tensor]) -> Hands3D:
        """Keypoints at the maps' maxima, the relative depth, and which hands there are.

        Args:
            outputs: heat maps (N, 2K, d, h, w), relative depth (N, 1) in cells, logits of a right
                and a left hand (N, 2).

        Returns:
            The hands. Where a map has no positive value, the keypoint is at cell (-1, -1, -1).

        Raises:
            ValueError: heat maps of another size.
        """
        heatmaps, root_depth, hand_type = outputs
        depth, height, width = heatmaps.shape[2:]
        if (width, height, depth) != self.heatmap_size:
            raise ValueError(
                f"expected heatmaps of (w, h, d) {self.heatmap_size}, found "
                f"{(width, height, depth)}"
            )
        maxima, cells = largest(heatmaps.flatten(2))  # (N, 2K) each
        x, y, z = cells % width, cells // width % height, cells // (width * height)
        positions = torch.stack([x, y, z], dim=-1).float()
        positions = torch.where(maxima[..., None] > 0, positions, -1.0)
        # One transfer from the device for all.
        packed = torch.cat(
            [
                torch.cat([positions, maxima[..., None].float()], dim=-1).flatten(1),
                root_depth.float(),
                hand_type.float(),
            ],
            dim=1,
        )
        table = packed.cpu().numpy()
        points = table[:, :-3].reshape(len(table), -1, 4)
        to_pixels = np.array(self.input_size, np.float32) / np.array(
            self.heatmap_size[:2], np.float32
        )
        keypoints = np.empty((*points.shape[:2], 3), np.float32)
        keypoints[..., :2] = points[..., :2] * to_pixels
        keypoints[..., 2] = (points[..., 2] / self.heatmap_size[2] - 0.5) * self.depth_bound
        return Hands3D(
            keypoints=keypoints,
            scores=points[..., 3].copy(),
            root_depth=(table[:, -3] / self.root_cells - 0.5) * self.root_depth_bound,
            hand_type=table[:, -2:] > 0,  # of logits: a probability above one half
        )

    def flip(
        self, outputs: tuple[Tensor, Tensor, Tensor], flip_indices: Sequence[int] | Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Turns the outputs of a mirrored input into those of the input: hands change places."""
        heatmaps, root_depth, hand_type = outputs
        order = torch.as_tensor(flip_indices, device=heatmaps.device)
        return heatmaps[:, order].flip(-1), self.root_cells - root_depth, hand_type.flip(1)


def join_hands(hands: Hands3D, *, max_bound: float = 255.0) -> tuple[np.ndarray, np.ndarray]:
    """Puts both hands into one coordinate frame, and sets the scores of an absent hand to 0.

    Args:
        hands: the result of `Hand3DHeatmap.decode`; x and y may have been moved to the image.
        max_bound: value of a heat map at a keypoint in the network's training.

    Returns:
        Keypoints (N, 2K, 3), depths in mm relative to the right wrist, and scores (N, 2K), 0 to 1.
    """
    half = hands.keypoints.shape[1] // 2
    keypoints, scores = hands.keypoints.copy(), hands.scores / np.float32(max_bound)
    keypoints[:, half:, 2] += hands.root_depth[:, None]
    scores[:, :half] *= hands.hand_type[:, :1]
    scores[:, half:] *= hands.hand_type[:, 1:]
    return keypoints, scores


def stand_hands_up(
    keypoints: np.ndarray, scores: np.ndarray, *, on_ground: bool = True
) -> np.ndarray:
    """Camera axes (x right, y down, z away) -> axes with z up, for display.

    Args:
        keypoints: (N, 2K, 3).
        scores: (N, 2K); keypoints with a score of 0 do not count for the ground.
        on_ground: shift each pair of hands so that the lowest keypoint has height 0.
    """
    x, y, z = keypoints[..., 0], keypoints[..., 1], keypoints[..., 2]
    standing = np.stack([x, z, -y], axis=-1)
    if on_ground:
        heights = np.where(scores > 0, standing[..., 2], np.inf).min(axis=1, keepdims=True)
        standing[..., 2] -= np.where(np.isfinite(heights), heights, 0)
    return standing
