"""A network on another device, of another type or in another layout; the original stays."""

from __future__ import annotations

import copy

import torch
from torch import nn

__all__ = ["moved", "with_channels_last"]


def moved(net: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network on a device, of a type: `net` itself if it is that already, else a copy."""
    parameter = next(net.parameters())
    if parameter.device == device and parameter.dtype == dtype:
        return net
    return copy.deepcopy(net).to(device, dtype)


def with_channels_last(net: nn.Module) -> nn.Module:
    """A copy with convolution weights in channels-last order; it shares all other parameters."""
    tensors = [*net.parameters(), *net.buffers()]
    shared = {id(tensor): tensor for tensor in tensors if tensor.ndim != 4}
    return copy.deepcopy(net, shared).to(memory_format=torch.channels_last)
