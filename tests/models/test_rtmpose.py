"""RTMPose and RTMW against the reference numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from posekit.build import build_network
from posekit.models.rtmpose import GatedAttentionUnit, RTMPose, ScaleNorm
from posekit.spec import load_spec
from tests.networks import assert_matches, assert_matches_in_float32

SMALLEST = Path(__file__).parent.parent / "data" / "pose2d" / "rtmpose-t_8xb256-420e_body8-256x192"
FOLDERS = (
    "rtmpose-m_8xb256-120e_face6-256x256",
    "rtmpose-m_8xb256-210e_hand5-256x256",
    "rtmpose-m_8xb256-420e_body8-256x192",
    "rtmpose-m_8xb256-420e_coco-256x192",
    "rtmpose-m_8xb512-700e_body8-halpe26-256x192",
    "rtmpose-m_8xb64-210e_ap10k-256x256",
    "rtmpose-m_8xb64-270e_coco-wholebody-256x192",
    "rtmw-l_8xb1024-270e_cocktail14-256x192",
    "rtmw-m_8xb1024-270e_cocktail14-256x192",
)


def test_smallest_one_matches_without_the_shared_folder() -> None:
    assert_matches(SMALLEST, build_network(load_spec(SMALLEST.name).net))


def test_smallest_one_matches_in_float32() -> None:
    assert_matches_in_float32(SMALLEST, build_network(load_spec(SMALLEST.name).net))


# The same networks as of body8, of hand5 and, in another width, RTMW-m, but for the keypoints.
SLOW = (
    "rtmpose-m_8xb256-420e_coco-256x192",
    "rtmpose-m_8xb512-700e_body8-halpe26-256x192",
    "rtmpose-m_8xb64-210e_ap10k-256x256",
    "rtmpose-m_8xb256-120e_face6-256x256",
    "rtmw-l_8xb1024-270e_cocktail14-256x192",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in FOLDERS]
)
def test_raw_outputs_match(shared: Path, name: str) -> None:
    folder = shared / "reference" / "pose2d" / name
    assert_matches(folder, build_network(load_spec(name).net))


def test_whole_body_one_matches_in_float32(shared: Path) -> None:
    folder = shared / "reference" / "pose2d" / "rtmw-m_8xb1024-270e_cocktail14-256x192"
    assert_matches_in_float32(folder, build_network(load_spec(folder.name).net))


def test_outputs_have_a_bin_row_per_keypoint() -> None:
    net = RTMPose(
        deepen_factor=0.167,
        widen_factor=0.125,
        num_keypoints=5,
        input_size=(64, 96),
        split_ratio=3.0,
    )
    x, y = net.eval()(torch.zeros(2, 3, 96, 64))
    assert x.shape == (2, 5, 192)
    assert y.shape == (2, 5, 288)


def test_scale_norm_of_zeros_is_finite() -> None:
    assert torch.isfinite(ScaleNorm()(torch.zeros(1, 4))).all()


def test_gated_attention_mixes_keypoints() -> None:
    torch.manual_seed(0)
    unit = GatedAttentionUnit(16, key_channels=8)
    tokens = torch.randn(1, 3, 16)
    moved = tokens.clone()
    moved[:, 2] += 1
    assert not torch.allclose(unit(tokens)[:, 0], unit(moved)[:, 0])
