"""CSPNeXt for heat maps, against the official layout and the published sizes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from posekit.build import build_network
from posekit.models.cspnext_pose import CSPNeXtPose
from posekit.spec import load_spec
from weights_convert import convert_state_dict

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def official_shapes(shared: Path) -> dict[str, list[int]]:
    """A published checkpoint's: RTMPose-m has the same backbone, Simple Baselines the same head."""
    folder = shared / "reference" / "pose2d" / "rtmpose-m_8xb256-420e_coco-256x192"
    with gzip.open(folder / "keys.json.gz", "rt") as file:
        shapes = {name: shape for name, shape in json.load(file) if name.startswith("backbone.")}
    for index, channels in ((0, 768), (3, 256), (6, 256)):
        shapes[f"head.deconv_layers.{index}.weight"] = [channels, 256, 4, 4]
        shapes |= {f"head.deconv_layers.{index + 1}.{leaf}": [256] for leaf in NORM[:-1]}
        shapes[f"head.deconv_layers.{index + 1}.{NORM[-1]}"] = []
    return shapes | {"head.final_layer.weight": [17, 256, 1, 1], "head.final_layer.bias": [17]}


def test_an_official_checkpoint_converts(shared: Path) -> None:
    net = build_network(load_spec("cspnext-m-udp_coco-256x192").net)
    source = {
        name: torch.empty(shape, device="meta") for name, shape in official_shapes(shared).items()
    }
    converted = convert_state_dict(source, net=net)
    expected = {name: tensor.shape for name, tensor in net.state_dict().items()}
    assert {name: tensor.shape for name, tensor in converted.items()} == expected


@pytest.mark.parametrize(
    ("size", "parameters"), [("t", 6.03), ("s", 8.58), ("m", 17.53), ("l", 32.44)]
)
def test_it_has_the_published_number_of_parameters(size: str, parameters: float) -> None:
    net = build_network(load_spec(f"cspnext-{size}-udp_aic-coco-256x192").net)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(parameters, abs=0.006)


def test_maps_have_a_quarter_of_the_inputs_size() -> None:
    net = CSPNeXtPose(deepen_factor=0.167, widen_factor=0.375, num_keypoints=5).eval()
    with torch.inference_mode():
        assert net(torch.zeros(2, 3, 96, 64)).shape == (2, 5, 24, 16)
