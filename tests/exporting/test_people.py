"""One-stage models as graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import posekit
from posekit.exporting import samples
from tests.stages.test_one_stage import make


@pytest.mark.parametrize("decode", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_one_stage_model_gives_its_people_in_a_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decode: bool
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(samples, "MAX_COMPARED", 4)  # images, each of which takes a while
    net = make().net
    with torch.no_grad():
        for head in net.heads:  # boxes of similar sizes, so that rounding hardly moves them
            head.box_pred.weight *= 0.1
    weights, output = tmp_path / "rtmo.safetensors", tmp_path / "rtmo.onnx"
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(state, weights, metadata={"model": "rtmo-t_body7-416x416"})
    posekit.export("rtmo-t", output, weights=weights, decode=decode, preprocess=decode)
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    names = [found.name for found in session.get_outputs()]
    if not decode:
        assert names == [f"{kind}_{i}" for kind in ("cls", "reg", "vis", "pose") for i in (0, 1)]
        return
    assert names == ["boxes", "scores", "keypoints", "keypoint_scores"]
    boxes, scores, keypoints, visibility = session.run(
        None, {"input": np.full((2, 416, 416, 3), 90, np.uint8)}
    )
    assert keypoints.shape == (2, 100, 17, 2) and visibility.shape == (2, 100, 17)
    assert boxes.min() >= 0 and boxes.max() <= 416 and (np.diff(scores, axis=1) <= 0).all()
