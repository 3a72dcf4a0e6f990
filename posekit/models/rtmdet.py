"""RTMDet: real-time one-stage object detection.

Architecture: RTMDet (arXiv 2212.07784), sections 3.1 to 3.3.

Images (N, 3, H, W), BGR, normalised -> class logits and box distances per level (strides 8, 16
and 32): tuples of (N, num_classes, h, w) and of (N, 4, h, w). Distances are from a cell's top
left corner to the box's left, top, right and bottom side, in pixels of the input.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from posekit.models.cspnext import CSPNEXT_KEYS, CSPNeXt, cspnext_channels, cspnext_pafpn
from posekit.models.family import Family
from posekit.models.layers import conv_block

__all__ = ["RTMDet"]

FAMILY = Family(
    codec="posekit.codecs.boxes.DistanceBoxes",
    outputs=("classes", "distances"),
    stride=32,
    mean=(103.53, 116.28, 123.675),
    std=(57.375, 57.12, 58.395),
    color="bgr",
    recipe="rtmdet",
    onnx=True,
    openmmlab_keys=(
        *CSPNEXT_KEYS,
        # Shared convolutions are written once per level; the source keeps the last it reads.
        (r"bbox_head\.(cls|reg)_convs\.2\.(\d)\.conv\.weight", r"head.\1_towers.convs.\2.weight"),
        (r"bbox_head\.(cls|reg)_convs\.\d\.\d\.conv\.weight", None),
        (r"bbox_head\.(cls|reg)_convs\.(\d)\.(\d)\.bn\.(\w+)", r"head.\1_towers.norms.\2.\3.\4"),
        # Depthwise-separable ones are not shared.
        (r"bbox_head\.(cls|reg)_convs\.(\d\.\d\.\w+_conv\..*)", r"head.\1_towers.levels.\2"),
        (r"bbox_head\.rtm_(cls|reg)\.(.*)", r"head.\1_preds.\2"),
    ),
)

STRIDES = (8, 16, 32)
STACKED_CONVS = 2
# An untrained head's score of each cell: few cells hold an object (RetinaNet, arXiv 1708.02002).
PRIOR = 0.01


class SharedTowers(nn.Module):
    """3x3 convolutions that all levels share, with separate batch norms for each level."""

    def __init__(self, channels: int, num_levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(STACKED_CONVS)
        )
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(STACKED_CONVS))
            for _ in range(num_levels)
        )

    def forward(self, levels: tuple[Tensor, ...]) -> list[Tensor]:
        outputs = []
        for x, norms in zip(levels, self.norms, strict=True):
            assert isinstance(norms, nn.ModuleList)
            for conv, norm in zip(self.convs, norms, strict=True):
                x = nn.functional.silu(norm(conv(x)))
            outputs.append(x)
        return outputs


class SeparateTowers(nn.Module):
    """Separate 3x3 convolutions for each level."""

    def __init__(self, channels: int, num_levels: int, *, depthwise: bool) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                *(
                    conv_block(channels, channels, 3, depthwise=depthwise)
                    for _ in range(STACKED_CONVS)
                )
            )
            for _ in range(num_levels)
        )

    def forward(self, levels: tuple[Tensor, ...]) -> list[Tensor]:
        return [tower(x) for tower, x in zip(self.levels, levels, strict=True)]


def _predict(channels: int, outputs: int, bias: float) -> nn.Conv2d:
    """A 1x1 convolution whose output is nearly the bias everywhere, until it is trained."""
    conv = nn.Conv2d(channels, outputs, 1)
    nn.init.normal_(conv.weight, std=0.01)
    assert conv.bias is not None
    nn.init.constant_(conv.bias, bias)
    return conv


class RTMDetHead(nn.Module):
    """Two towers, for classes and for boxes, and a 1x1 prediction per level."""

    def __init__(
        self,
        channels: int,
        *,
        num_classes: int,
        depthwise: bool,
        share_conv: bool,
        exp_on_reg: bool,
    ) -> None:
        super().__init__()
        self.exp_on_reg = exp_on_reg
        levels = len(STRIDES)

        def towers() -> nn.Module:
            if share_conv:
                return SharedTowers(channels, levels)
            return SeparateTowers(channels, levels, depthwise=depthwise)

        self.cls_towers = towers()
        self.reg_towers = towers()
        unlikely = math.log(PRIOR / (1 - PRIOR))
        self.cls_preds = nn.ModuleList(_predict(channels, num_classes, unlikely) for _ in STRIDES)
        self.reg_preds = nn.ModuleList(_predict(channels, 4, 1.0) for _ in STRIDES)

    def forward(self, features: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], ...]:
        logits = tuple(
            pred(x) for pred, x in zip(self.cls_preds, self.cls_towers(features), strict=True)
        )
        distances = []
        for pred, x, stride in zip(self.reg_preds, self.reg_towers(features), STRIDES, strict=True):
            distance = pred(x)
            distances.append((distance.exp() if self.exp_on_reg else distance) * stride)
        return logits, tuple(distances)


class RTMDet(nn.Module):
    """RTMDet-nano, -tiny, -s, -m, -l and -x.

    Args:
        deepen_factor: depth of the backbone.
        widen_factor: width of the backbone.
        neck_channels: channels of every level after the feature pyramid.
        neck_blocks: CSPNeXt blocks in each layer of the feature pyramid.
        num_classes: number of classes.
        depthwise: depthwise-separable convolutions throughout (nano).
        share_conv: the head's towers share their convolutions between levels.
        exp_on_reg: distances are predicted as logarithms (m and larger).
    """

    def __init__(
        self,
        *,
        deepen_factor: float,
        widen_factor: float,
        neck_channels: int,
        neck_blocks: int,
        num_classes: int,
        depthwise: bool = False,
        share_conv: bool = True,
        exp_on_reg: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = CSPNeXt(
            deepen_factor=deepen_factor, widen_factor=widen_factor, depthwise=depthwise
        )
        self.neck = cspnext_pafpn(
            cspnext_channels(widen_factor),
            num_blocks=neck_blocks,
            out_channels=neck_channels,
            depthwise=depthwise,
        )
        self.head = RTMDetHead(
            neck_channels,
            num_classes=num_classes,
            depthwise=depthwise,
            share_conv=share_conv,
            exp_on_reg=exp_on_reg,
        )

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """(N, 3, H, W), sides multiples of 32 -> (logits per level, distances per level)."""
        return self.head(self.neck(self.backbone(images)))
