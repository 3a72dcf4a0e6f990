"""HRNet and HRNetV2 against the reference numbers."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
import torch

from posekit.models.heatmap_head import HeatmapHead
from posekit.models.hrnet import HRNetPose
from tests.networks import assert_matches, assert_matches_in_float32
from weights_convert import convert_state_dict

FOLDERS = (
    "td-hm_hrnet-w32_8xb64-210e_coco-256x192",
    "td-hm_hrnetv2-w18_8xb64-60e_aflw-256x256",
)


def from_golden(folder: Path) -> HRNetPose:
    """The network that the folder's configuration describes, on `meta`."""
    golden = json.loads((folder / "golden.json").read_text())
    extra = golden["model"]["backbone"]["extra"]
    with torch.device("meta"):
        return HRNetPose(
            width=extra["stage2"]["num_channels"][0],
            num_keypoints=golden["num_keypoints"],
            concat_branches="neck" in golden["model"],
            upsample=extra.get("upsample", {"mode": "nearest"})["mode"],
        )


@pytest.mark.parametrize("name", FOLDERS)
def test_raw_outputs_match(shared: Path, name: str) -> None:
    folder = shared / "reference" / "pose2d" / name
    net = from_golden(folder)
    assert_matches(folder, net)
    assert not any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers()))


def test_raw_outputs_match_in_float32(shared: Path) -> None:
    folder = shared / "reference" / "pose2d" / FOLDERS[1]
    assert_matches_in_float32(folder, from_golden(folder))


@pytest.mark.parametrize("name", FOLDERS)
def test_names_of_mmpose_0_are_known(shared: Path, name: str) -> None:
    folder = shared / "reference" / "pose2d" / name
    net = from_golden(folder)
    with gzip.open(folder / "keys.json.gz", "rt") as file:
        shapes = json.load(file)
    # Each full of a number of its own.
    state = {
        key: torch.tensor(number, dtype=torch.int64 if "batches" in key else None).expand(shape)
        for number, (key, shape) in zip(itertools.count(0.5), shapes)
    }
    convolutions = sum(key.startswith("head.conv_layers") for key in state) > 0

    def old_name(key: str) -> str:
        if convolutions:
            # Its head was one sequence: convolution, norm, ReLU, last convolution.
            key = key.replace("head.final_layer", "head.final_layer.3")
            key = key.replace("head.conv_layers", "head.final_layer")
        return key.replace("head.", "keypoint_head.")

    old = {old_name(key): value for key, value in state.items()}
    converted, expected = convert_state_dict(old, net=net), convert_state_dict(state, net=net)
    assert all(torch.equal(converted[key], expected[key]) for key in expected)


def test_w48_has_its_published_size() -> None:
    with torch.device("meta"):
        net = HRNetPose(width=48, num_keypoints=17)
    millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    assert millions == pytest.approx(63.6, abs=0.05)


@pytest.mark.parametrize("concat_branches", [False, True])
def test_maps_have_a_quarter_of_the_inputs_size(concat_branches: bool) -> None:
    net = HRNetPose(
        width=4,
        num_keypoints=5,
        maps_per_keypoint=3,
        concat_branches=concat_branches,
        num_modules=(1, 1, 1),
        num_blocks=1,
    )
    assert net.eval()(torch.zeros(1, 3, 64, 96)).shape == (1, 15, 16, 24)


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_each_deconvolution_of_the_head_doubles_the_size(kernel: int) -> None:
    head = HeatmapHead(8, 5, deconv_channels=(6, 4), deconv_kernels=(kernel, kernel)).eval()
    assert head(torch.zeros(1, 8, 3, 4)).shape == (1, 5, 12, 16)


def test_a_deconvolution_that_cannot_double_the_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sizes among \[2, 3, 4\], found 5"):
        HeatmapHead(8, 5, deconv_channels=(6,), deconv_kernels=(5,))
