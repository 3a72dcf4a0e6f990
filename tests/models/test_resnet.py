"""ResNet and Simple Baselines, against torchvision and the official layout."""

from __future__ import annotations

import pytest
import torch

from posekit.models.resnet import ResNet, ResNetPose
from weights_convert import convert_state_dict

STAGES = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def official_keys(depth: int, head: str) -> list[str]:
    """The keys of a published Simple Baseline checkpoint."""
    keys = ["backbone.conv1.weight", *(f"backbone.bn1.{leaf}" for leaf in NORM)]
    for stage, blocks in enumerate(STAGES[depth], 1):
        for block in range(blocks):
            prefix = f"backbone.layer{stage}.{block}"
            for index in (1, 2, 3):
                keys.append(f"{prefix}.conv{index}.weight")
                keys += [f"{prefix}.bn{index}.{leaf}" for leaf in NORM]
            if block == 0:
                keys.append(f"{prefix}.downsample.0.weight")
                keys += [f"{prefix}.downsample.1.{leaf}" for leaf in NORM]
    for index in (0, 3, 6):
        keys.append(f"{head}.deconv_layers.{index}.weight")
        keys += [f"{head}.deconv_layers.{index + 1}.{leaf}" for leaf in NORM]
    return [*keys, f"{head}.final_layer.weight", f"{head}.final_layer.bias"]


@pytest.mark.parametrize("depth", STAGES)
@pytest.mark.parametrize("head", ["head", "keypoint_head"], ids=["mmpose 1", "mmpose 0"])
def test_official_keys_convert(depth: int, head: str) -> None:
    with torch.device("meta"):
        net = ResNetPose(depth=depth, num_keypoints=17)
    targets = net.state_dict()
    names = official_keys(depth, head)
    assert len(names) == len(targets)
    source = {name: targets["head".join(name.split(head, 1))] for name in names}
    assert convert_state_dict(source, net=net).keys() == targets.keys()


@pytest.mark.parametrize(
    ("depth", "parameters"), [(50, 33_999_697), (101, 52_991_825), (152, 68_635_473)]
)
def test_parameters(depth: int, parameters: int) -> None:
    with torch.device("meta"):
        net = ResNetPose(depth=depth, num_keypoints=17)
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_features_are_those_of_torchvision() -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.resnet50(weights=None)
    theirs.fc = theirs.avgpool = torch.nn.Identity()
    ours = ResNet(depth=50).double()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.inference_mode():
        expected = theirs.double().eval()(images).view(1, 2048, 2, 3)
        torch.testing.assert_close(ours.eval()(images), expected)


def test_heatmaps_are_a_quarter_of_the_input() -> None:
    net = ResNetPose(depth=50, num_keypoints=3).eval()
    with torch.inference_mode():
        assert net(torch.zeros(2, 3, 64, 96)).shape == (2, 3, 16, 24)


def test_unknown_depth_is_named() -> None:
    with pytest.raises(ValueError, match="found 34"):
        ResNet(depth=34)
