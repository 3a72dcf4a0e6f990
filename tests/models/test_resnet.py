"""ResNet, its variants and Simple Baselines, against torchvision, timm and the official layout."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

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


def official_variant_keys(kind: str) -> list[str]:
    """The keys of a published checkpoint of 50 layers, but for the stem of ResNetV1d."""
    keys = official_keys(50, "head")
    if kind == "seresnet":
        blocks = {key.rpartition(".conv3.")[0] for key in keys if ".conv3." in key}
        keys += [
            f"{block}.se_layer.conv{index}.conv.{leaf}"
            for block in blocks
            for index in (1, 2)
            for leaf in ("weight", "bias")
        ]
    if kind == "resnetv1d":
        keys = [key for key in keys if not re.match(r"backbone\.(conv1|bn1)\.", key)]
        for index in range(3):
            keys.append(f"backbone.stem.{index}.conv.weight")
            keys += [f"backbone.stem.{index}.bn.{leaf}" for leaf in NORM]
        # The mean comes first where a stage halves the size.
        pooled = re.compile(r"(backbone\.layer[234]\.0\.downsample)\.(\d)")
        keys = [pooled.sub(lambda m: f"{m[1]}.{int(m[2]) + 1}", key) for key in keys]
    return keys


# The backbones' numbers are timm's, the head's is that of the tests above.
@pytest.mark.parametrize(
    ("kind", "parameters"),
    [("resnext", 33_471_569), ("resnetv1d", 34_018_929), ("seresnet", 36_530_689)],
)
def test_official_keys_of_variants_convert(kind: str, parameters: int) -> None:
    with torch.device("meta"):
        net = ResNetPose(depth=50, num_keypoints=17, kind=kind)
    assert sum(p.numel() for p in net.parameters()) == parameters
    targets = net.state_dict()
    names = official_variant_keys(kind)
    ours = [re.sub(r"\.se_layer\.(conv\d)\.conv\.", r".se.\1.", name) for name in names]
    source = {name: targets[key] for name, key in zip(names, ours, strict=True)}
    assert convert_state_dict(source, net=net).keys() == targets.keys()


TIMM_NAMES = (
    (r"\.se\.fc", ".se.conv"),
    (r"^bn1\.", "stem.2.bn."),
    (r"^conv1\.0\.", "stem.0.conv."),
    (r"^conv1\.1\.", "stem.0.bn."),
    (r"^conv1\.3\.", "stem.1.conv."),
    (r"^conv1\.4\.", "stem.1.bn."),
    (r"^conv1\.6\.", "stem.2.conv."),
    (r"^(layer1\.0\.downsample)\.1\.", r"\1.0."),
    (r"^(layer1\.0\.downsample)\.2\.", r"\1.1."),
)


@pytest.mark.parametrize(
    ("kind", "name", "renamed"),
    [
        ("resnext", "resnext50_32x4d", ()),
        ("resnetv1d", "resnet50d", TIMM_NAMES[1:]),
        ("seresnet", "seresnet50", TIMM_NAMES[:1]),
    ],
)
def test_features_of_variants_are_those_of_timm(
    kind: str, name: str, renamed: tuple[tuple[str, str], ...]
) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False, num_classes=0, global_pool="").double()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # otherwise blocks add nothing
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    state = theirs.state_dict()
    for old, new in renamed:
        state = {re.sub(old, new, key): value for key, value in state.items()}
    with torch.device("meta"):
        ours = ResNet(depth=50, kind=kind)
    ours.load_state_dict(state, assign=True)
    images = torch.randn(1, 3, 64, 32, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_heatmaps_are_a_quarter_of_the_input() -> None:
    net = ResNetPose(depth=50, num_keypoints=3).eval()
    with torch.inference_mode():
        assert net(torch.zeros(2, 3, 64, 96)).shape == (2, 3, 16, 24)


def test_unknown_depth_is_named() -> None:
    with pytest.raises(ValueError, match="found 34"):
        ResNet(depth=34)
