"""SSDLite against the reference numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from posekit.build import build_network
from posekit.models.ssdlite import SSDLite
from posekit.spec import load_spec
from tests.networks import assert_matches, assert_matches_in_float32

NAME = "ssdlite_mobilenetv2_scratch_600e_onehand"


@pytest.mark.parametrize("check", [assert_matches, assert_matches_in_float32])
def test_raw_outputs_match(shared: Path, check: Callable[..., None]) -> None:
    check(shared / "reference" / "detector" / NAME, build_network(load_spec(NAME).net))


def test_six_levels_of_any_number_of_classes() -> None:
    net = SSDLite(num_classes=3).eval()
    with torch.inference_mode():
        logits, deltas = net(torch.zeros(1, 3, 320, 320))
    sides = [20, 10, 5, 3, 2, 1]
    assert [tuple(level.shape) for level in logits] == [(1, 24, side, side) for side in sides]
    assert [tuple(level.shape) for level in deltas] == [(1, 24, side, side) for side in sides]


def test_loads_without_leaving_anything_on_meta() -> None:
    with torch.device("meta"):
        net = SSDLite(num_classes=1)
    net.load_state_dict(SSDLite(num_classes=1).state_dict(), assign=True)
    assert not any(t.is_meta for t in [*net.parameters(), *net.buffers()])
