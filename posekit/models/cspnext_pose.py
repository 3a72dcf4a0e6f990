"""CSPNeXt with a head for heat maps, the forerunner of RTMPose.

Architecture: CSPNeXt as in RTMDet (arXiv 2212.07784); the deconvolutions of Simple Baselines (arXiv
1804.06208) read its last stage. Section 3.1 of RTMPose (arXiv 2303.07399) measures it.

Images (N, 3, H, W), RGB, normalised -> heat maps (N, K, H/4, W/4).
"""

from __future__ import annotations

from torch import Tensor, nn

from posekit.models.cspnext import CSPNEXT_KEYS, CSPNeXt, cspnext_channels
from posekit.models.family import Family
from posekit.models.heatmap_head import HEATMAP_HEAD_KEYS, HeatmapHead

__all__ = ["CSPNeXtPose"]

FAMILY = Family(
    codec="posekit.codecs.heatmap.UDPHeatmap",
    outputs=("heatmap",),
    stride=32,
    recipe="heatmap",
    openmmlab_keys=(*CSPNEXT_KEYS, *HEATMAP_HEAD_KEYS),
)


class CSPNeXtPose(nn.Module):
    """CSPNeXt-tiny, -s, -m and -l for heat maps.

    Args:
        deepen_factor: depth of the backbone, 0.67 for -m.
        widen_factor: width of the backbone, 0.75 for -m.
        num_keypoints: K.
    """

    def __init__(self, *, deepen_factor: float, widen_factor: float, num_keypoints: int) -> None:
        super().__init__()
        self.backbone = CSPNeXt(deepen_factor=deepen_factor, widen_factor=widen_factor)
        self.head = HeatmapHead(cspnext_channels(widen_factor)[-1], num_keypoints)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), sides multiples of 32 -> heat maps (N, K, H/4, W/4)."""
        out: Tensor = self.head(self.backbone(images)[-1])
        return out
