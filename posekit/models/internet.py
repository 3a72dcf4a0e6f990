"""InterNet: 3D keypoints of both hands from one image.

Architecture: InterNet (InterHand2.6M, arXiv 2008.09309), section 4, with a deconvolution head per
hand.

Images (N, 3, 256, 256), RGB, normalised -> 3D heat maps (N, 2K, D, 64, 64), right hand first; the
left wrist's depth relative to the right one's, in cells of a 1D heat map (N, 1); logits for the
presence of a right and a left hand (N, 2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from posekit.models.family import Family
from posekit.models.heatmap_head import HeatmapHead
from posekit.models.resnet import ResNet

__all__ = ["InterNet"]

FAMILY = Family(
    codec="posekit.codecs.hand3d.Hand3DHeatmap",
    outputs=("heatmap", "root_depth", "hand_type"),
    stride=32,
    # mmpose 0.x calls the head `keypoint_head`.
    openmmlab_keys=(
        (r"backbone\.(.*)", r"backbone.\1"),
        (r"(?:keypoint_)?head\.(right|left)_hand_head\.(.*)", r"\1_head.\2"),
        (r"(?:keypoint_)?head\.(root|hand_type)_head\.fc\.(.*)", r"\1_head.\2"),
    ),
)

HIDDEN_CHANNELS = 512


def _perceptron(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(in_channels, HIDDEN_CHANNELS),
        nn.ReLU(inplace=True),
        nn.Linear(HIDDEN_CHANNELS, out_channels),
    )


class InterNet(nn.Module):
    """InterNet with ResNet-50 or a deeper one.

    Args:
        depth: number of layers of the backbone, 50 or more.
        num_keypoints: 2K, of both hands together.
        depth_size: D, cells of a heat map in depth.
        root_cells: cells of the 1D heat map of the relative depth.
    """

    def __init__(
        self,
        *,
        depth: int = 50,
        num_keypoints: int = 42,
        depth_size: int = 64,
        root_cells: int = 64,
    ) -> None:
        super().__init__()
        maps_per_hand = num_keypoints // 2 * depth_size
        self.depth_size = depth_size
        self.backbone = ResNet(depth=depth)
        self.right_head = HeatmapHead(ResNet.out_channels, maps_per_hand)
        self.left_head = HeatmapHead(ResNet.out_channels, maps_per_hand)
        self.root_head = _perceptron(ResNet.out_channels, root_cells)
        self.hand_type_head = _perceptron(ResNet.out_channels, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> (N, 2K, D, H/4, W/4), (N, 1), (N, 2)."""
        feature = self.backbone(images)  # (N, 2048, H/32, W/32)
        # Channels go keypoint by keypoint, each one's depths together.
        maps = torch.cat([self.right_head(feature), self.left_head(feature)], dim=1)
        heatmaps = maps.unflatten(1, (-1, self.depth_size))  # (N, 2K, D, H/4, W/4)
        pooled = feature.mean((2, 3))  # (N, 2048)
        weights = self.root_head(pooled).softmax(dim=1)  # (N, root_cells)
        cells = torch.arange(weights.shape[1], dtype=weights.dtype, device=weights.device)
        return heatmaps, (weights * cells).sum(dim=1, keepdim=True), self.hand_type_head(pooled)
