"""InterNet against the reference numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from posekit.models.internet import InterNet
from tests.networks import assert_matches, assert_matches_in_float32


@pytest.mark.parametrize("check", [assert_matches, assert_matches_in_float32])
def test_raw_outputs_match(shared: Path, check: Callable[..., None]) -> None:
    folder = shared / "reference" / "pose3d" / "internet_res50_4xb16-20e_interhand3d-256x256"
    with torch.device("meta"):
        net = InterNet()
    check(folder, net)
    assert not any(t.is_meta for t in [*net.parameters(), *net.buffers()])


def test_outputs_of_both_hands() -> None:
    net = InterNet(num_keypoints=4, depth_size=8, root_cells=16).eval()
    with torch.inference_mode():
        heatmaps, root_depth, hand_type = net(torch.zeros(2, 3, 64, 64))
    assert heatmaps.shape == (2, 4, 8, 16, 16)
    assert root_depth.shape == (2, 1)
    assert ((root_depth >= 0) & (root_depth <= 15)).all()
    assert hand_type.shape == (2, 2)
