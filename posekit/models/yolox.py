"""YOLOX: one-stage object detection without anchors, with a decoupled head.

Architecture: YOLOX (arXiv 2107.08430), section 2; the backbone is CSPDarknet of YOLOv5 and the
feature pyramid PANet (arXiv 1803.01534) with the same blocks.

Images (N, 3, H, W), BGR, 0 to 255 -> class logits (N, num_classes, h, w), box offsets (N, 4, h, w)
and objectness logits (N, 1, h, w), each a tuple of three levels (strides 8, 16 and 32). Offsets
are (x, y) of the box's centre from the cell's top left corner and the logarithms of (w, h), in
strides.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from posekit.models.cspnext import CSPNEXT_KEYS
from posekit.models.family import Family
from posekit.models.layers import ConvBNAct, SpatialPyramidPooling, conv_block
from posekit.models.pafpn import PAFPN, CSPLayer

__all__ = ["YOLOX"]

FAMILY = Family(
    codec="posekit.codecs.anchors.YOLOXBoxes",
    outputs=("classes", "cell_offsets", "objectness"),
    stride=32,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    color="bgr",
    clip_boxes=False,
    onnx=True,
    openmmlab_keys=(
        *CSPNEXT_KEYS,
        (r"bbox_head\.multi_level_(cls|reg)_convs\.(\d)\.(.*)", r"heads.\2.\1_tower.\3"),
        (r"bbox_head\.multi_level_conv_(cls|reg|obj)\.(\d)\.(.*)", r"heads.\2.\1_pred.\3"),
    ),
)

# Channels and blocks of the four stages at width 1 and depth 1, behind a stem of 64 channels.
STEM_CHANNELS = 64
STAGE_CHANNELS = (128, 256, 512, 1024)
STAGE_BLOCKS = (3, 9, 9, 3)
NECK_BLOCKS = 3
HEAD_CHANNELS = 256
STACKED_CONVS = 2
# YOLOX was trained with its own batch norm settings throughout.
BN_EPS = 1e-3
BN_MOMENTUM = 0.03


class Swish(nn.Module):
    """`nn.SiLU` written out, as in the weights' training and in the reference outputs.

    The last bit is rounded differently, and the larger sizes amplify that ten-thousandfold.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Focus(nn.Module):
    """Every 2x2 pixels become channels, then a convolution: half the size, nothing thrown away."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvBNAct(4 * in_channels, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        # Column by column: top left, bottom left, top right, bottom right.
        pixels = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        out: Tensor = self.conv(torch.cat(pixels, dim=1))  # (N, 4C, H/2, W/2) -> (N, C', H/2, W/2)
        return out


class Bottleneck(nn.Module):
    """A 1x1 and a 3x3 convolution, with an optional shortcut."""

    def __init__(self, channels: int, *, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = ConvBNAct(channels, channels, 1)
        self.conv2 = conv_block(channels, channels, 3, depthwise=depthwise)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x))
        return out + x if self.shortcut else out


def _csp_layer(
    in_channels: int, out_channels: int, num_blocks: int, *, shortcut: bool, depthwise: bool
) -> CSPLayer:
    half = out_channels // 2
    blocks = (Bottleneck(half, shortcut=shortcut, depthwise=depthwise) for _ in range(num_blocks))
    return CSPLayer(in_channels, out_channels, nn.Sequential(*blocks))


class CSPDarknet(nn.Module):
    """The backbone: images (N, 3, H, W) to features at strides 8, 16 and 32."""

    def __init__(self, *, deepen_factor: float, widen_factor: float, depthwise: bool) -> None:
        super().__init__()
        in_channels = int(STEM_CHANNELS * widen_factor)
        self.stem = Focus(3, in_channels)
        stages = []
        for index, (base, blocks) in enumerate(zip(STAGE_CHANNELS, STAGE_BLOCKS, strict=True)):
            channels = int(base * widen_factor)
            is_last = index == len(STAGE_CHANNELS) - 1
            layers = [conv_block(in_channels, channels, 3, 2, depthwise=depthwise)]
            if is_last:
                layers.append(SpatialPyramidPooling(channels))
            layers.append(
                _csp_layer(
                    channels,
                    channels,
                    max(round(blocks * deepen_factor), 1),
                    shortcut=not is_last,
                    depthwise=depthwise,
                )
            )
            stages.append(nn.Sequential(*layers))
            in_channels = channels
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stages[0](self.stem(x))  # (N, C2, H/4, W/4)
        c3 = self.stages[1](x)  # (N, C3, H/8, W/8)
        c4 = self.stages[2](c3)  # (N, C4, H/16, W/16)
        c5 = self.stages[3](c4)  # (N, C5, H/32, W/32)
        return c3, c4, c5


class DecoupledHead(nn.Module):
    """One level's head: a tower for classes, a tower for boxes and objectness."""

    def __init__(self, channels: int, *, num_classes: int, depthwise: bool) -> None:
        super().__init__()

        def tower() -> nn.Sequential:
            return nn.Sequential(
                *(
                    conv_block(channels, channels, 3, depthwise=depthwise)
                    for _ in range(STACKED_CONVS)
                )
            )

        self.cls_tower = tower()
        self.reg_tower = tower()
        self.cls_pred = nn.Conv2d(channels, num_classes, 1)
        self.reg_pred = nn.Conv2d(channels, 4, 1)
        self.obj_pred = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        box_feature = self.reg_tower(x)
        return (
            self.cls_pred(self.cls_tower(x)),  # (N, num_classes, h, w)
            self.reg_pred(box_feature),  # (N, 4, h, w)
            self.obj_pred(box_feature),  # (N, 1, h, w)
        )


class YOLOX(nn.Module):
    """YOLOX-nano, -tiny, -s, -m, -l and -x.

    Args:
        deepen_factor: multiplies the number of blocks of a stage (rounded, at least 1).
        widen_factor: multiplies the channels.
        num_classes: number of classes.
        depthwise: depthwise-separable convolutions for the 3x3 ones (nano).
    """

    def __init__(
        self,
        *,
        deepen_factor: float,
        widen_factor: float,
        num_classes: int,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        c3, c4, c5 = (int(channels * widen_factor) for channels in STAGE_CHANNELS[1:])
        head_channels = int(HEAD_CHANNELS * widen_factor)
        self.backbone = CSPDarknet(
            deepen_factor=deepen_factor, widen_factor=widen_factor, depthwise=depthwise
        )
        neck_blocks = max(round(NECK_BLOCKS * deepen_factor), 1)

        def csp(channels_in: int, channels_out: int) -> nn.Module:
            return _csp_layer(
                channels_in, channels_out, neck_blocks, shortcut=False, depthwise=depthwise
            )

        def downsample(channels: int) -> nn.Module:
            return conv_block(channels, channels, 3, 2, depthwise=depthwise)

        self.neck = PAFPN(
            (c3, c4, c5),
            csp=csp,
            downsample=downsample,
            out_conv=partial(ConvBNAct, out_channels=head_channels),
        )
        self.heads = nn.ModuleList(
            DecoupledHead(head_channels, num_classes=num_classes, depthwise=depthwise)
            for _ in range(3)
        )
        for module in self.modules():
            if isinstance(module, ConvBNAct):
                module.act = Swish()
                module.bn.eps, module.bn.momentum = BN_EPS, BN_MOMENTUM

    def forward(
        self, images: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
        """(N, 3, H, W), sides multiples of 32 -> classes, boxes, objectness, each per level."""
        levels = self.neck(self.backbone(images))
        outputs = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        classes, boxes, objectness = zip(*outputs, strict=True)
        return classes, boxes, objectness
