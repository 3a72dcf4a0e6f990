"""RTMW3D: RTMW that also predicts the depth of each keypoint relative to the hips.

Architecture: RTMW (arXiv 2407.08634), section on RTMW3D.

Images (N, 3, H, W), RGB, normalised -> logits over x bins (N, K, W * split_ratio), over y bins
(N, K, H * split_ratio) and over z bins (N, K, depth * split_ratio).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from posekit.models.cspnext import CSPNeXt, cspnext_channels, cspnext_pafpn
from posekit.models.family import Family
from posekit.models.rtmpose import start_near_uniform
from posekit.models.rtmw import RTMW_KEYS, TOKEN_CHANNELS, TwoScaleTokens

__all__ = ["RTMW3D"]

FAMILY = Family(
    codec="posekit.codecs.simcc3d.SimCC3D",
    outputs=("simcc_x", "simcc_y", "simcc_z"),
    stride=32,
    openmmlab_keys=RTMW_KEYS,
)


class TwoScaleSimCC3DHead(TwoScaleTokens):
    """Logits over the x, y and z bins of each token's keypoint.

    Args:
        in_channels, num_keypoints, input_size: as in `TwoScaleTokens`.
        depth: depth of the box that bins along z divide, in pixels of the input.
        split_ratio: bins per pixel.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_keypoints: int,
        input_size: Sequence[int],
        depth: int,
        split_ratio: float,
    ) -> None:
        super().__init__(in_channels, num_keypoints=num_keypoints, input_size=input_size)
        bins = [int(side * split_ratio) for side in (*input_size, depth)]
        self.to_x, self.to_y, self.to_z = (nn.Linear(TOKEN_CHANNELS, n, bias=False) for n in bins)
        start_near_uniform(self)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tokens = self.tokens(fine, coarse)
        return self.to_x(tokens), self.to_y(tokens), self.to_z(tokens)


class RTMW3D(nn.Module):
    """RTMW3D-l and -x.

    Args:
        deepen_factor: depth of the backbone.
        widen_factor: width of the backbone.
        num_keypoints: K.
        neck_blocks: CSPNeXt blocks in each layer of the feature pyramid.
        input_size: (w, h), multiples of 32.
        depth: depth of the box that bins along z divide, in pixels of the input.
        split_ratio: SimCC bins per pixel.
    """

    def __init__(
        self,
        *,
        deepen_factor: float,
        widen_factor: float,
        num_keypoints: int,
        neck_blocks: int,
        input_size: Sequence[int] = (288, 384),
        depth: int = 288,
        split_ratio: float = 2.0,
    ) -> None:
        super().__init__()
        channels = cspnext_channels(widen_factor)
        self.backbone = CSPNeXt(deepen_factor=deepen_factor, widen_factor=widen_factor)
        self.neck = cspnext_pafpn(channels, num_blocks=neck_blocks, out_channels=None)
        self.head = TwoScaleSimCC3DHead(
            channels[-1],
            num_keypoints=num_keypoints,
            input_size=input_size,
            depth=depth,
            split_ratio=split_ratio,
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> logits over x, y and z bins, (N, K, bins) each."""
        _, fine, coarse = self.neck(self.backbone(images))
        return self.head(fine, coarse)
