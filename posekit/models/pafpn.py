"""Path-aggregation feature pyramid (PANet, arXiv 1803.01534), as RTMDet, RTMW and YOLOX have it.

Features at strides 8, 16 and 32 -> three of the same sizes, mixed from coarse to fine and back.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from posekit.models.layers import ConvBNAct

__all__ = ["PAFPN", "CSPLayer"]

Levels = tuple[Tensor, ...]


class CSPLayer(nn.Module):
    """Cross-stage partial layer: blocks on one half of the channels, the other half untouched.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        blocks: module for one half of the channels, `out_channels // 2`.
        attention: module for both halves together, before the last convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        blocks: nn.Sequential,
        *,
        attention: nn.Module | None = None,
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.main_conv = ConvBNAct(in_channels, half)
        self.short_conv = ConvBNAct(in_channels, half)
        self.blocks = blocks
        self.attention = nn.Identity() if attention is None else attention
        self.final_conv = ConvBNAct(2 * half, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.blocks(self.main_conv(x)), self.short_conv(x)], dim=1)
        return self.final_conv(self.attention(x))


class PAFPN(nn.Module):
    """The pyramid, built from the layers that the caller's functions make.

    Args:
        in_channels: channels of the features at strides 8, 16 and 32.
        csp: makes the layer after a concatenation, given its input and output channels.
        downsample: makes a convolution of stride 2 that keeps the channels, given their number.
        out_conv: makes the last convolution of a level, given its channels; None leaves the levels
            as they are.
    """

    def __init__(
        self,
        in_channels: tuple[int, int, int],
        *,
        csp: Callable[[int, int], nn.Module],
        downsample: Callable[[int], nn.Module],
        out_conv: Callable[[int], nn.Module] | None,
    ) -> None:
        super().__init__()
        c3, c4, c5 = in_channels
        # Coarse to fine, then fine to coarse.
        self.reduce_layers = nn.ModuleList([ConvBNAct(c5, c4), ConvBNAct(c4, c3)])
        self.top_down_blocks = nn.ModuleList([csp(2 * c4, c4), csp(2 * c3, c3)])
        self.downsamples = nn.ModuleList([downsample(c3), downsample(c4)])
        self.bottom_up_blocks = nn.ModuleList([csp(2 * c3, c4), csp(2 * c4, c5)])
        self.out_convs = nn.ModuleList(map(out_conv, in_channels) if out_conv else [])

    def forward(self, features: Levels) -> Levels:
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
