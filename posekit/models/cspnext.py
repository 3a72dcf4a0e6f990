"""CSPNeXt, the backbone and feature pyramid of RTMDet, RTMPose and RTMW.

Architecture: RTMDet (arXiv 2212.07784), sections 3.1 and 3.2: cross-stage partial stages whose
blocks end in a 5x5 depthwise convolution, each stage closed by channel attention.

`CSPNeXt`: (N, 3, H, W) -> features at strides 8, 16 and 32.
`CSPNeXtPAFPN`: those three -> three of the same sizes, mixed from coarse to fine and back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from posekit.models.layers import (
    ChannelAttention,
    ConvBNAct,
    DepthwiseSeparableConv,
    SpatialPyramidPooling,
    conv_block,
)

__all__ = ["CSPNeXt", "CSPNeXtPAFPN", "cspnext_channels"]

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


class CSPLayer(nn.Module):
    """Cross-stage partial layer: blocks on one half of the channels, the other half untouched."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_blocks: int,
        *,
        shortcut: bool,
        depthwise: bool,
        attention: bool,
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.main_conv = ConvBNAct(in_channels, half)
        self.short_conv = ConvBNAct(in_channels, half)
        self.blocks = nn.Sequential(
            *(CSPNeXtBlock(half, shortcut=shortcut, depthwise=depthwise) for _ in range(num_blocks))
        )
        self.attention = ChannelAttention(2 * half) if attention else nn.Identity()
        self.final_conv = ConvBNAct(2 * half, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.blocks(self.main_conv(x)), self.short_conv(x)], dim=1)
        return self.final_conv(self.attention(x))


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
                CSPLayer(
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


class CSPNeXtPAFPN(nn.Module):
    """Path-aggregation feature pyramid (PANet, arXiv 1803.01534) with CSPNeXt blocks.

    Args:
        in_channels: of the features at strides 8, 16 and 32.
        num_blocks: CSPNeXt blocks in each layer.
        out_channels: every level's channels after a last 3x3 convolution; None leaves the levels
            as they are, with `in_channels`.
        depthwise: as in `CSPNeXt`.
    """

    def __init__(
        self,
        in_channels: tuple[int, int, int],
        *,
        num_blocks: int,
        out_channels: int | None,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        c3, c4, c5 = in_channels

        def csp(channels_in: int, channels_out: int) -> CSPLayer:
            return CSPLayer(
                channels_in,
                channels_out,
                num_blocks,
                shortcut=False,
                depthwise=depthwise,
                attention=False,
            )

        # Coarse to fine, then fine to coarse.
        self.reduce_layers = nn.ModuleList([ConvBNAct(c5, c4), ConvBNAct(c4, c3)])
        self.top_down_blocks = nn.ModuleList([csp(2 * c4, c4), csp(2 * c3, c3)])
        self.downsamples = nn.ModuleList(
            [
                conv_block(c3, c3, 3, 2, depthwise=depthwise),
                conv_block(c4, c4, 3, 2, depthwise=depthwise),
            ]
        )
        self.bottom_up_blocks = nn.ModuleList([csp(2 * c3, c4), csp(2 * c4, c5)])
        self.out_convs = nn.ModuleList(
            conv_block(channels, out_channels, 3, depthwise=depthwise)
            for channels in (in_channels if out_channels is not None else ())
            if out_channels is not None
        )

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        c3, c4, c5 = features
        top = self.reduce_layers[0](c5)  # (N, C4, H/32, W/32)
        middle = self.top_down_blocks[0](torch.cat([_upsample(top), c4], dim=1))
        lateral = self.reduce_layers[1](middle)  # (N, C3, H/16, W/16)
        p3 = self.top_down_blocks[1](torch.cat([_upsample(lateral), c3], dim=1))
        p4 = self.bottom_up_blocks[0](torch.cat([self.downsamples[0](p3), lateral], dim=1))
        p5 = self.bottom_up_blocks[1](torch.cat([self.downsamples[1](p4), top], dim=1))
        levels = (p3, p4, p5)
        if not len(self.out_convs):
            return levels
        return tuple(conv(level) for conv, level in zip(self.out_convs, levels, strict=True))


def _upsample(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
