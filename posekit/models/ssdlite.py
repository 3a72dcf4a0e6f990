"""SSDLite: one-stage detection with anchors, small enough for phones.

Architecture: SSD (arXiv 1512.02325) with depthwise-separable heads and MobileNetV2 (arXiv
1801.04381, section 6.2).

Images (N, 3, 320, 320), RGB, normalised -> class logits (N, A * (num_classes + 1), h, w) and box
deltas (N, A * 4, h, w), each a tuple of six levels (20, 10, 5, 3, 2 and 1 cells a side). Channels
go anchor by anchor; the last class of an anchor is the background.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from posekit.models.family import Family
from posekit.models.layers import ConvBNAct
from posekit.models.mobilenet import MobileNetV2

__all__ = ["SSDLite"]

FAMILY = Family(
    codec="posekit.codecs.anchors.SSDBoxes",
    outputs=("classes", "anchor_deltas"),
    pad_value=0,
    keep_ratio=False,
    openmmlab_keys=(
        (r"backbone\.conv1\.(.*)", r"backbone.stem.\1"),
        (r"backbone\.conv2\.(.*)", r"backbone.last_conv.\1"),
        # The source counts the stages from one.
        *((rf"backbone\.layer{i + 1}\.(.*)", rf"backbone.stages.{i}.\1") for i in range(7)),
        (r"neck\.extra_layers\.(\d)\.0\.(.*)", r"extra_layers.\1.reduce_conv.\2"),
        (r"neck\.extra_layers\.(\d)\.1\.(.*)", r"extra_layers.\1.\2"),
        (r"bbox_head\.(cls|reg)_convs\.(\d)\.0\.(.*)", r"\1_preds.\2.depthwise_conv.\3"),
        (r"bbox_head\.(cls|reg)_convs\.(\d)\.1\.(.*)", r"\1_preds.\2.pred.\3"),
    ),
)

EXTRA_CHANNELS = (512, 256, 256, 128)  # of the levels behind the backbone
BN_EPS = 1e-3
BN_MOMENTUM = 0.03


class ExtraLayer(nn.Module):
    """Halves the size: a 1x1 convolution to half the channels, then a depthwise-separable one."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.reduce_conv = ConvBNAct(in_channels, hidden, act=nn.ReLU6)
        self.depthwise_conv = ConvBNAct(hidden, hidden, 3, 2, groups=hidden, act=nn.ReLU6)
        self.pointwise_conv = ConvBNAct(hidden, out_channels, act=nn.ReLU6)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pointwise_conv(self.depthwise_conv(self.reduce_conv(x)))
        return out


class DepthwisePredictor(nn.Module):
    """A depthwise 3x3 convolution and a plain 1x1 one."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvBNAct(
            in_channels, in_channels, 3, groups=in_channels, act=nn.ReLU6
        )
        self.pred = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pred(self.depthwise_conv(x))
        return out


class SSDLite(nn.Module):
    """SSDLite with MobileNetV2.

    Args:
        num_classes: number of classes, without the background.
        anchors_per_cell: A, two more than twice the number of aspect ratios.
    """

    def __init__(self, *, num_classes: int, anchors_per_cell: int = 6) -> None:
        super().__init__()
        self.backbone = MobileNetV2()
        channels = (*MobileNetV2.out_channels, *EXTRA_CHANNELS)
        self.extra_layers = nn.ModuleList(
            ExtraLayer(before, after) for before, after in pairwise(channels[1:])
        )
        self.cls_preds = nn.ModuleList(
            DepthwisePredictor(c, anchors_per_cell * (num_classes + 1)) for c in channels
        )
        self.reg_preds = nn.ModuleList(
            DepthwisePredictor(c, anchors_per_cell * 4) for c in channels
        )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = BN_EPS, BN_MOMENTUM

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """(N, 3, H, W) -> (logits per level, deltas per level)."""
        levels = list(self.backbone(images))
        for layer in self.extra_layers:
            levels.append(layer(levels[-1]))
        logits = tuple(pred(level) for pred, level in zip(self.cls_preds, levels, strict=True))
        deltas = tuple(pred(level) for pred, level in zip(self.reg_preds, levels, strict=True))
        return logits, deltas
