"""MobileNetV2 and Simple Baselines on it, against torchvision and the official layout."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from posekit.models.mobilenet import MobileNetV2, MobileNetV2Pose
from weights_convert import convert_state_dict

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
BLOCKS = (1, 2, 3, 4, 3, 3, 1)


def official_keys() -> list[str]:
    """The keys of a published checkpoint, in the order of the network."""
    convs = ["backbone.conv1"]
    for stage, blocks in enumerate(BLOCKS, 1):
        for block in range(blocks):
            parts = 2 if stage == 1 else 3
            convs += [f"backbone.layer{stage}.{block}.conv.{index}" for index in range(parts)]
    keys = []
    for conv in (*convs, "backbone.conv2"):
        keys += [f"{conv}.conv.weight", *(f"{conv}.bn.{leaf}" for leaf in NORM)]
    for index in (0, 3, 6):
        keys.append(f"head.deconv_layers.{index}.weight")
        keys += [f"head.deconv_layers.{index + 1}.{leaf}" for leaf in NORM]
    return [*keys, "head.final_layer.weight", "head.final_layer.bias"]


def test_official_keys_convert() -> None:
    with torch.device("meta"):
        net = MobileNetV2Pose(num_keypoints=17)
    assert sum(p.numel() for p in net.parameters()) == 9_569_809
    targets = net.state_dict()
    source = dict(zip(official_keys(), targets.values(), strict=True))
    converted = convert_state_dict(source, net=net)
    assert all(converted[key] is value for key, value in targets.items())


def test_features_are_those_of_torchvision() -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.mobilenet_v2(weights=None).features.double().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
    ours = MobileNetV2().double().eval()
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    images = torch.randn(1, 3, 64, 32, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images)[1], theirs(images))


def test_heatmaps_are_a_quarter_of_the_input() -> None:
    net = MobileNetV2Pose(num_keypoints=3).eval()
    with torch.inference_mode():
        assert net(torch.zeros(2, 3, 64, 96)).shape == (2, 3, 16, 24)
