"""Lifters on labelled sequences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posekit.errors import InputError
from posekit.evaluation.lifters import evaluate_lifter
from posekit.skeleton import load_skeleton
from posekit.spec import LifterSpec, load_spec
from posekit.stages.lift import Lifter


class Flat(nn.Module):
    """Lifts everything onto the image's plane."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs[..., :2], torch.zeros_like(inputs[..., :1])], dim=-1)


def flat_lifter(frames: int = 4) -> Lifter:
    spec = load_spec("motionbert_h36m")
    assert isinstance(spec, LifterSpec)
    spec = replace(
        spec,
        net=spec.net.having(max_frames=frames),
        codec=spec.codec.having(root_relative=False),
    )
    return Lifter(Flat(), spec, load_skeleton("h36m"))


def sequences(path: Path, *, scale: float = 1.0, **more: Any) -> str:
    """Two sequences of six frames, of which the second uses five, flat in the image's plane."""
    rng = np.random.default_rng(0)
    points = rng.uniform(100, 900, (2, 6, 17, 2)).astype(np.float32)
    poses = np.concatenate([points * 3 * scale, np.full((2, 6, 17, 1), 70.0)], axis=-1)
    arrays = {
        "keypoints_2d": points,
        "keypoints_3d": poses.astype(np.float32),
        "image_size": np.array([1000, 1002]),
        "lengths": np.array([6, 5]),
        **more,
    }
    np.savez(path, **arrays)
    return str(path)


def test_a_lifter_that_is_right_has_no_error(tmp_path: Path) -> None:
    path = sequences(tmp_path / "a.npz", factor=np.full((2, 6), 3.0))
    found = evaluate_lifter(flat_lifter(), [path])
    assert found.keys() == {"MPJPE", "N-MPJPE", "P-MPJPE"}
    assert max(found.values()) < 0.01


def test_a_lifter_of_another_scale_is_wrong_by_it_alone(tmp_path: Path) -> None:
    path = sequences(tmp_path / "a.npz", factor=np.array([3.0, 3.0]), scale=1.1)
    found = evaluate_lifter(flat_lifter(), [path], flip_test=False)
    assert found["MPJPE"] > 50
    assert found["N-MPJPE"] < 0.01


def test_without_a_factor_there_is_no_mpjpe(tmp_path: Path) -> None:
    found = evaluate_lifter(flat_lifter(), [sequences(tmp_path / "a.npz")])
    assert found.keys() == {"N-MPJPE", "P-MPJPE"}


def test_wrong_factors_are_errors(tmp_path: Path) -> None:
    good = sequences(tmp_path / "good.npz")
    for factor, message in (
        (np.ones(3), r"expected numbers of shape \(2,\) or \(2, 6\), found float64 \(3,\)"),
        (np.zeros(2), "expected positive numbers"),
        (np.ones(2), "in some of the files, but not in .*good.npz"),
    ):
        path = sequences(tmp_path / "a.npz", factor=factor)
        with pytest.raises(InputError, match=message):
            evaluate_lifter(flat_lifter(), [path, good])
