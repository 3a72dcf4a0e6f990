"""CSPNeXt, the backbone and feature pyramid of RTMDet, RTMPose and RTMW.

Architecture: RTMDet (arXiv 2212.07784), sections 3.1 and 3.2: cross-stage partial stages whose
blocks end in a 5x5 depthwise convolution, each stage closed by channel attention.

`CSPNeXt`: (N, 3, H, W) -> features at strides 8, 16 and 32.
`cspnext_pafpn`: those three -> three of the same sizes, mixed from coarse to fine and back.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from posekit.models.family import Rule
from posekit.models.layers import (
    ChannelAttention,
    ConvBNAct,
    DepthwiseSeparableConv,
    SpatialPyramidPooling,
    conv_block,
)
from posekit.models.pafpn import PAFPN, CSPLayer

__all__ = ["CSPNEXT_KEYS", "CSPNeXt", "cspnext_channels", "cspnext_pafpn"]

# Keys of OpenMMLab's checkpoints, see `Family.openmmlab_keys`; with those of the pyramid behind it.
CSPNEXT_KEYS: tuple[Rule, ...] = (
    (r"backbone\.stem\.(.*)", r"backbone.stem.\1"),
    (r"backbone\.stage1\.(.*)", r"backbone.stages.0.\1"),
    (r"backbone\.stage2\.(.*)", r"backbone.stages.1.\1"),
    (r"backbone\.stage3\.(.*)", r"backbone.stages.2.\1"),
    (r"backbone\.stage4\.(.*)", r"backbone.stages.3.\1"),
    (r"neck\.(.*)", r"neck.\1"),
)

# Channels and blocks of the four stages at width 1 and depth 1, behind a stem of 64 channels.
STEM_CHANNELS = 64
STAGE_CHANNELS = (128, 256, 512, 1024)
STAGE_BLOCKS = (3, 6, 6, 3)


def cspnext_channels(widen_factor: float) -> tuple[int, int, int]:
    """Channels of the features at strides 8, 16 and 32."""
    c3, c4, c5 = (int(channels * widen_factor) for channels in STAGE_CHANNELS[1:])
    return c3, c4, c5


class CSPNeXtBlock(nn.Module):
    """A 3x3 convolution and a 5x5 depthwise-separable one, with an optional shortcut."""

    def __init__(self, channels: int, *, shortcut: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = conv_block(channels, channels, 3, depthwise=depthwise)
        self.conv2 = DepthwiseSeparableConv(channels, channels, 5)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x))
        return out + x if self.shortcut else out


def _csp_layer(
    in_channels: int,
    out_channels: int,
    num_blocks: int,
    *,
    shortcut: bool,
    depthwise: bool,
    attention: bool,
) -> CSPLayer:
    half = out_channels // 2
    blocks = nn.Sequential(
        *(CSPNeXtBlock(half, shortcut=shortcut, depthwise=depthwise) for _ in range(num_blocks))
    )
    gate = ChannelAttention(2 * half) if attention else None
    return CSPLayer(in_channels, out_channels, blocks, attention=gate)


class CSPNeXt(nn.Module):
    """The backbone: images (N, 3, H, W) to features at strides 8, 16 and 32.

    Args:
        deepen_factor: multiplies the number of blocks of a stage (rounded, at least 1).
        widen_factor: multiplies the channels.
        depthwise: depthwise-separable convolutions for the 3x3 ones (RTMDet-nano).
    """

    def __init__(
        self, *, deepen_factor: float, widen_factor: float, depthwise: bool = False
    ) -> None:
        super().__init__()
        stem = int(STEM_CHANNELS * widen_factor)
        half_stem = int(STEM_CHANNELS * widen_factor // 2)
        self.stem = nn.Sequential(
            ConvBNAct(3, half_stem, 3, 2),
            ConvBNAct(half_stem, half_stem, 3),
            ConvBNAct(half_stem, stem, 3),
        )
        stages = []
        in_channels = stem
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
                    attention=True,
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


def cspnext_pafpn(
    in_channels: tuple[int, int, int],
    *,
    num_blocks: int,
    out_channels: int | None,
    depthwise: bool = False,
) -> PAFPN:
    """The feature pyramid with CSPNeXt blocks.

    Args:
        in_channels: channels of the features at strides 8, 16 and 32.
        num_blocks: CSPNeXt blocks in each layer.
        out_channels: every level's channels after a last 3x3 convolution; None leaves the levels
            as they are, with `in_channels`.
        depthwise: as in `CSPNeXt`.
    """

    def csp(channels_in: int, channels_out: int) -> nn.Module:
        return _csp_layer(
            channels_in,
            channels_out,
            num_blocks,
            shortcut=False,
            depthwise=depthwise,
            attention=False,
        )

    def downsample(channels: int) -> nn.Module:
        return conv_block(channels, channels, 3, 2, depthwise=depthwise)

    out_conv = None
    if out_channels is not None:
        out_conv = partial(
            conv_block, out_channels=out_channels, kernel_size=3, depthwise=depthwise
        )
    return PAFPN(in_channels, csp=csp, downsample=downsample, out_conv=out_conv)
