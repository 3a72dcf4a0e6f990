"""RTMDet against the reference numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from posekit.build import build_network
from posekit.models.rtmdet import RTMDet
from posekit.spec import load_spec
from tests.networks import (
    assert_matches_in_float32,
    assert_small,
    load_case,
    reference_case,
    relative_errors,
)

HERE = Path(__file__).parent.parent / "data" / "detector"
NANO = HERE / "rtmdet_nano_320-8xb32_coco-person"


def check(folder: Path) -> None:
    case = reference_case(folder)
    net = build_network(load_spec(folder.name).net)
    load_case(case, net)
    assert_small(case, relative_errors(case, net), case.tolerance)
    # The reference counts a convolution that levels share once per level.
    shared = sum(p.numel() * 2 for key, p in net.named_parameters() if "_towers.convs." in key)
    assert sum(p.numel() for p in net.parameters()) + shared == case.golden["params"]


def test_nano_matches_without_the_shared_folder() -> None:
    check(NANO)


def test_nano_matches_in_float32() -> None:
    assert_matches_in_float32(NANO, build_network(load_spec(NANO.name).net))


@pytest.mark.parametrize(
    "name",
    [
        # Ten times as large, and with more classes.
        pytest.param("rtmdet_m_640-8xb32_coco-person", marks=pytest.mark.slow),
        pytest.param("rtmdet_m_8xb32-300e_coco", marks=pytest.mark.slow),
        "rtmdet_nano_320-8xb32_hand",
    ],
)
def test_raw_outputs_match(shared: Path, name: str) -> None:
    check(shared / "reference" / "detector" / name)


def test_any_number_of_classes() -> None:
    net = RTMDet(
        deepen_factor=0.167, widen_factor=0.125, neck_channels=16, neck_blocks=1, num_classes=3
    )
    logits, distances = net.eval()(torch.zeros(2, 3, 64, 96))
    assert [tuple(level.shape) for level in logits] == [
        (2, 3, 8, 12),
        (2, 3, 4, 6),
        (2, 3, 2, 3),
    ]
    assert all(level.shape[1] == 4 and (level > 0).all() for level in distances)
