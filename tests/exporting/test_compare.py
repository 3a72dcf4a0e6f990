"""A file that differs from its network is not written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import posekit
from posekit.codecs.simcc import SimCC
from posekit.errors import InputError
from posekit.weights.load import create_model
from tests.exporting.conftest import DRAWN, DRAWN_DETECTOR


def test_half_precision_that_moves_keypoints_is_not_written(
    tmp_path: Path, onnx_runtime: object
) -> None:
    # A layer's outputs go beyond the largest number of half precision, 65504.
    state = create_model(DRAWN, weights="published").state_dict()
    name = next(key for key, value in state.items() if value.ndim == 4)
    state[name] *= 1e6
    weights, output = tmp_path / "large.safetensors", tmp_path / "out" / "pose.onnx"
    save_file(state, weights, metadata={"model": DRAWN})
    with pytest.raises(InputError, match=r"not written: .* differ by [\d.]+ px .* at most 0.5 px"):
        posekit.export(DRAWN, output, weights=weights, dtype="float16")
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize(("share", "is_written"), [(0.005, True), (0.05, False)])
def test_one_near_tie_in_a_hundred_does_not_keep_a_file_from_being_written(
    share: float, is_written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keypoints_move(self: SimCC, outputs: Sequence[torch.Tensor]) -> tuple[np.ndarray, ...]:
        keypoints, scores = decode(self, outputs)
        if next(calls) % 2:  # the network's come first, the file's second
            keypoints[rng.random(scores.shape) < share] += 0.5
        return keypoints, scores

    rng, calls, decode = np.random.default_rng(0), itertools.count(), SimCC.decode
    monkeypatch.setattr(SimCC, "decode", keypoints_move)
    output = tmp_path / "pose.safetensors"
    if is_written:
        result = posekit.export(DRAWN, output, format="safetensors")
        assert result.difference.maximum_px > 0.1
    else:
        with pytest.raises(InputError, match=r"differ by .* at most 0\.1 px"):
            posekit.export(DRAWN, output, format="safetensors")
    assert output.exists() == is_written


def test_a_detector_that_finds_nothing_is_not_compared(tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((64, 64, 3), 114, np.uint8))
    with pytest.raises(InputError, match="finds nothing in the inputs"):
        posekit.export(
            DRAWN_DETECTOR,
            tmp_path / "boxes.torchscript",
            format="torchscript",
            preprocess=True,
            decode=True,
            inputs=str(blank),
        )
    assert list(tmp_path.iterdir()) == [blank]
