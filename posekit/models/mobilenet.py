"""MobileNetV2, the backbone of SSDLite, and the Simple Baseline pose network on top of it.

Architecture: MobileNetV2 (arXiv 1801.04381), table 2 without the classifier; Simple Baselines
(arXiv 1804.06208) for the deconvolution head.

`MobileNetV2`: images (N, 3, H, W) -> features (N, 96, H/16, W/16) and (N, 1280, H/32, W/32).
`MobileNetV2Pose`: images (N, 3, H, W), RGB, normalised -> heat maps (N, K, H/4, W/4).
"""

from __future__ import annotations

from torch import Tensor, nn

from posekit.models.family import Family
from posekit.models.heatmap_head import HEATMAP_HEAD_KEYS, HeatmapHead
from posekit.models.layers import ConvBNAct

__all__ = ["MobileNetV2", "MobileNetV2Pose"]

_PARTS = ("expand_conv", "depthwise_conv", "linear_conv")

FAMILY = Family(
    codec="posekit.codecs.heatmap.MSRAHeatmap",
    outputs=("heatmap",),
    stride=32,
    codec_defaults={"shift_heatmap": True},
    recipe="heatmap",
    openmmlab_keys=(
        *HEATMAP_HEAD_KEYS,
        (r"backbone\.conv1\.(.*)", r"backbone.stem.\1"),
        (r"backbone\.conv2\.(.*)", r"backbone.last_conv.\1"),
        # The source counts the stages from one; the first one does not widen.
        *(
            (
                rf"backbone\.layer{stage + 1}\.(\d)\.conv\.{index}\.(.*)",
                rf"backbone.stages.{stage}.\1.{part}.\2",
            )
            for stage in range(7)
            for index, part in enumerate(_PARTS[1:] if stage == 0 else _PARTS)
        ),
    ),
)

STEM_CHANNELS = 32
LAST_CHANNELS = 1280
# Per stage: expansion, channels, blocks, stride of the first block.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STRIDE_16_STAGE = 4  # the last one at stride 16


class InvertedResidual(nn.Module):
    """A depthwise convolution between a 1x1 one that widens and a linear 1x1 one that narrows."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand_conv = (
            ConvBNAct(in_channels, hidden, act=nn.ReLU6) if expansion != 1 else nn.Identity()
        )
        self.depthwise_conv = ConvBNAct(hidden, hidden, 3, stride, groups=hidden, act=nn.ReLU6)
        self.linear_conv = ConvBNAct(hidden, out_channels, act=None)
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear_conv(self.depthwise_conv(self.expand_conv(x)))
        return out + x if self.shortcut else out


class MobileNetV2(nn.Module):
    """The backbone at width 1: images (N, 3, H, W) to features at strides 16 and 32."""

    out_channels = (STAGES[STRIDE_16_STAGE][1], LAST_CHANNELS)

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBNAct(3, STEM_CHANNELS, 3, 2, act=nn.ReLU6)
        stages = []
        in_channels = STEM_CHANNELS
        for expansion, channels, num_blocks, stride in STAGES:
            blocks = []
            for index in range(num_blocks):
                blocks.append(
                    InvertedResidual(in_channels, channels, stride if index == 0 else 1, expansion)
                )
                in_channels = channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.last_conv = ConvBNAct(in_channels, LAST_CHANNELS, act=nn.ReLU6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)  # (N, 32, H/2, W/2)
        for stage in self.stages[: STRIDE_16_STAGE + 1]:
            x = stage(x)
        c4 = x  # (N, 96, H/16, W/16)
        for stage in self.stages[STRIDE_16_STAGE + 1 :]:
            x = stage(x)
        return c4, self.last_conv(x)  # the latter (N, 1280, H/32, W/32)


class MobileNetV2Pose(nn.Module):
    """Simple Baseline with MobileNetV2.

    Args:
        num_keypoints: K.
    """

    def __init__(self, *, num_keypoints: int) -> None:
        super().__init__()
        self.backbone = MobileNetV2()
        self.head = HeatmapHead(LAST_CHANNELS, num_keypoints)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), sides multiples of 32 -> heat maps (N, K, H/4, W/4)."""
        _, feature = self.backbone(images)
        out: Tensor = self.head(feature)
        return out
