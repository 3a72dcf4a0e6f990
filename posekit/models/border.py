"""A network on an input without its border, which computes as if the border were there.

Convolutions look at what is near, and hardly miss a border. A channel attention takes the mean of
a whole map: without the border it would be another one, and scores of boxes would change by 5 %.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn

from posekit.models.layers import ChannelAttention

__all__ = ["BorderedAttention", "without_border"]


class BorderedAttention(nn.Module):
    """Channel attention on a part of a map, the rest of which is border.

    Args:
        attention: that of the whole map.
        mean: (1, C, 1, 1), of a map that is nothing but border.
        share: of the whole map that is left, 0 to 1.
    """

    border_part: Tensor

    def __init__(self, attention: ChannelAttention, mean: Tensor, share: float) -> None:
        super().__init__()
        self.fc = attention.fc
        self.share = share
        self.register_buffer("border_part", (1 - share) * mean)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same, each channel scaled."""
        mean = self.share * x.mean((2, 3), keepdim=True) + self.border_part
        return x * nn.functional.hardsigmoid(self.fc(mean))


def without_border(net: nn.Module, border: Tensor, share: float) -> nn.Module:
    """The network for inputs without most of their border; it shares all parameters.

    Args:
        net: in eval mode; it is left as it is.
        border: (1, 3, h, w), a whole normalised input that is nothing but border.
        share: of the whole input that is left, 0 to 1.

    Returns:
        A network of the same class; the given one if it has no channel attention.
    """
    means: dict[str, Tensor] = {}

    def note(name: str, inputs: tuple[Tensor]) -> None:
        means[name] = inputs[0].mean((2, 3), keepdim=True)

    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs))
        for name, module in net.named_modules()
        if isinstance(module, ChannelAttention)
    ]
    if not hooks:
        return net
    # What is made in inference mode cannot be traced, as some engines do.
    with torch.inference_mode(False), torch.no_grad():
        try:
            net(border)
        finally:
            for hook in hooks:
                hook.remove()
        shared = itertools.chain(net.parameters(), net.buffers())
        copied = copy.deepcopy(net, {id(tensor): tensor for tensor in shared})
        for name, mean in means.items():
            parent, _, key = name.rpartition(".")
            attention = copied.get_submodule(name)
            assert isinstance(attention, ChannelAttention)
            setattr(
                copied.get_submodule(parent), key, BorderedAttention(attention, mean, share).eval()
            )
    return copied
