"""MotionBERT against the reference numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from posekit.build import build_network
from posekit.errors import InputError
from posekit.models.motionbert import MotionBERT
from posekit.spec import load_spec
from tests.networks import LAYOUTS, assert_matches, assert_matches_in_float32

NAME = "motionbert_dstformer-ft-243frm_8xb32-120e_h36m"


def empty() -> MotionBERT:
    with torch.device("meta"):
        return MotionBERT()


def small(*, adaptive_fusion: bool = True) -> MotionBERT:
    torch.manual_seed(0)
    return MotionBERT(
        channels=16,
        depth=2,
        num_heads=2,
        mlp_ratio=4,
        representation_channels=8,
        max_frames=9,
        adaptive_fusion=adaptive_fusion,
    ).eval()


@pytest.mark.slow  # tests/weights_convert/test_layouts.py compares 81 frames of the same network
def test_full_sequence_matches(shared: Path) -> None:
    net = empty()
    assert_matches(shared / "reference" / "pose3d" / NAME, net)
    assert not any(t.is_meta for t in [*net.parameters(), *net.buffers()])


def test_single_frame_matches(shared: Path) -> None:
    assert_matches(shared / "reference" / "pose3d" / f"{NAME}@1", empty())


@pytest.mark.slow  # as test_layouts.py does through a file; the lite one is compared in float32
@pytest.mark.parametrize("check", [assert_matches, assert_matches_in_float32])
def test_original_layout_matches(shared: Path, check: Callable[..., None]) -> None:
    folder = shared / "reference" / "layouts" / "motionbert" / "MB_ft_h36m"
    check(folder, empty(), layout="motionbert")


@pytest.mark.parametrize("check", [assert_matches, assert_matches_in_float32])
def test_lite_matches_its_authors_program(check: Callable[..., None]) -> None:
    net = build_network(load_spec("motionbert-lite").net)
    check(LAYOUTS / "motionbert" / "MB_ft_h36m_global_lite", net, layout="motionbert")


@pytest.mark.parametrize("adaptive_fusion", [True, False])
@pytest.mark.parametrize("frames", [1, 4, 9])
def test_any_number_of_frames(frames: int, adaptive_fusion: bool) -> None:
    net = small(adaptive_fusion=adaptive_fusion)
    assert net(torch.zeros(2, frames, 17, 3)).shape == (2, frames, 17, 3)


def test_too_many_frames_are_refused() -> None:
    with pytest.raises(InputError, match="at most 9 frames, found 10"):
        small()(torch.zeros(1, 10, 17, 3))


def test_sequences_of_a_batch_do_not_mix() -> None:
    net = small()
    inputs = torch.randn(3, 5, 17, 3)
    torch.testing.assert_close(net(inputs)[1:2], net(inputs[1:2]))


def test_frames_see_each_other() -> None:
    net = small()
    inputs = torch.randn(1, 5, 17, 3)
    moved = inputs.clone()
    moved[:, 4] += 1
    assert not torch.allclose(net(inputs)[:, 0], net(moved)[:, 0])
