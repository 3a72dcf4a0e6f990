"""Blocks that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = [
    "ChannelAttention",
    "ConvBNAct",
    "DepthwiseSeparableConv",
    "SpatialPyramidPooling",
    "conv_block",
]


class ConvBNAct(nn.Module):
    """Convolution without bias, batch norm, activation; "same" padding for odd kernels.

    (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: type[nn.Module] | None = nn.SiLU,
        bn_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=bn_eps)
        self.act = nn.Identity() if act is None else act()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class DepthwiseSeparableConv(nn.Module):
    """A convolution per channel, then a 1x1 convolution across channels, each normalised."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.depthwise_conv = ConvBNAct(
            in_channels, in_channels, kernel_size, stride, groups=in_channels
        )
        self.pointwise_conv = ConvBNAct(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


def conv_block(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, *, depthwise: bool
) -> nn.Module:
    """A dense or a depthwise-separable convolution of the same interface."""
    block = DepthwiseSeparableConv if depthwise else ConvBNAct
    return block(in_channels, out_channels, kernel_size, stride)


class ChannelAttention(nn.Module):
    """Scales each channel by a gate computed from its spatial mean (RTMDet, arXiv 2212.07784)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = nn.functional.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))  # (N, C, 1, 1)
        return x * gate


class SpatialPyramidPooling(nn.Module):
    """Max pooling at several sizes, concatenated with the input, between 1x1 convolutions."""

    def __init__(self, channels: int, kernel_sizes: tuple[int, ...] = (5, 9, 13)) -> None:
        super().__init__()
        self.conv1 = ConvBNAct(channels, channels // 2, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in kernel_sizes)
        self.conv2 = ConvBNAct(channels // 2 * (len(kernel_sizes) + 1), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(pool(x) for pool in self.pools)], dim=1))
