"""Networks on inputs without their border."""

from __future__ import annotations

import torch
from torch import nn

from posekit.models.border import BorderedAttention, without_border
from posekit.models.layers import ChannelAttention


def make() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), ChannelAttention(4), nn.Conv2d(4, 2, 1))
    return net.double().eval()


def test_the_mean_is_that_of_the_whole_map() -> None:
    # With kernels of 1 nothing but the mean knows of the border: both are equal.
    net = make()
    border = torch.full((1, 3, 8, 8), 0.7, dtype=torch.float64)
    image = border.clone()
    image[:, :, :5] = torch.rand(3, 5, 8, dtype=torch.float64)
    part = without_border(net, border, 5 / 8)
    torch.testing.assert_close(part(image[:, :, :5]), net(image)[:, :, :5])
    assert not torch.allclose(net(image[:, :, :5]), net(image)[:, :, :5])


def test_parameters_are_shared_and_the_network_stays() -> None:
    net = make()
    border = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    with torch.inference_mode():
        part = without_border(net, border, 0.5)
    assert isinstance(part, nn.Sequential) and isinstance(part[1], BorderedAttention)
    assert isinstance(net[1], ChannelAttention) and not net[1]._forward_pre_hooks
    shared = {tensor.data_ptr() for tensor in net.parameters()}
    assert {tensor.data_ptr() for tensor in part.parameters()} == shared
    assert not part[1].border_part.is_inference() and not part.training


def test_a_network_without_attention_is_itself() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1))
    assert without_border(net, torch.zeros(1, 3, 8, 8), 0.5) is net
