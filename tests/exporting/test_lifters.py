"""Lifters as files for other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

import posekit
from posekit.build import build_network
from posekit.errors import InputError
from posekit.exporting.result import ExportResult
from posekit.skeleton import load_skeleton
from posekit.spec import LifterSpec, load_spec
from posekit.stages.lift import Lifter
from posekit.weights.load import load_network
from tests.exporting.conftest import report_of

# Of both networks, which see 9 and 81 frames at a time.
SMALL = {
    "motionbert_h36m": {"channels": 16, "depth": 1, "num_heads": 2, "max_frames": 9},
    "videopose3d-81frm_h36m": {"channels": 16},
}


@pytest.fixture(params=SMALL)
def small(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[LifterSpec, Path]:
    """The description and random weights of a narrow lifter, which `tmp_path` describes."""
    spec = load_spec(request.param)
    config: dict[str, Any] = spec.to_config()
    config["net"].update(SMALL[request.param])
    (tmp_path / "lifter").mkdir()
    (tmp_path / "lifter" / "small.yaml").write_text(yaml.safe_dump(config))
    torch.manual_seed(0)
    found = load_spec("small", [tmp_path])
    assert isinstance(found, LifterSpec)
    weights = tmp_path / "small.safetensors"
    save_file(build_network(found.net, device="cpu").state_dict(), weights)
    return found, weights


def exported(small: tuple[LifterSpec, Path], output: str, **options: Any) -> ExportResult:
    _, weights = small
    folder = weights.parent
    return posekit.export("small", folder / output, weights=weights, config_dir=folder, **options)


def test_a_graph_lifts_sequences_of_any_length(
    small: tuple[LifterSpec, Path], onnx_runtime: Any
) -> None:
    result = exported(small, "lift.onnx")
    assert "16 sequences of drawn people" in str(result)
    assert result.difference.maximum_px is not None and result.difference.maximum_px < 0.01
    spec, weights = small
    net = load_network(spec, weights)
    session = onnx_runtime.InferenceSession(str(result.path), providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    assert taken.shape[:2] == ["batch", "frames"]
    for count, frames in ((1, 1), (3, 7), (1, spec.max_frames)):
        inputs = torch.randn(count, frames, *taken.shape[2:])
        (lifted,) = session.run(["keypoints_3d"], {"input": inputs.numpy()})
        with torch.inference_mode():
            np.testing.assert_allclose(lifted, net(inputs).numpy(), atol=1e-4)


def test_the_report_says_how_to_use_it(small: tuple[LifterSpec, Path], onnx_runtime: Any) -> None:
    spec, _ = small
    report = report_of(exported(small, "lift.onnx"))
    assert report["input"]["max_frames"] == spec.max_frames
    assert report["codec"] == spec.codec.to_config()
    assert report["keypoints"] == list(load_skeleton("h36m").names)
    assert report["outputs"] == ["keypoints_3d"]


@pytest.mark.parametrize(
    ("form", "output", "package"),
    [
        ("openvino", "lift.xml", "openvino"),
        ("torchscript", "lift.torchscript", "torch"),
        ("torch_export", "lift.pt2", "torch"),
        ("safetensors", "half.safetensors", "torch"),
    ],
)
def test_every_format_agrees(
    small: tuple[LifterSpec, Path], form: str, output: str, package: str
) -> None:
    pytest.importorskip(package)
    result = exported(small, output, format=form)
    assert result.path.is_file() and result.difference.points > 1000
    assert result.difference.maximum_px is not None and result.difference.maximum_px < 0.01


def test_a_graph_is_not_lifted_with(small: tuple[LifterSpec, Path], onnx_runtime: Any) -> None:
    spec, _ = small
    graph = exported(small, "lift.onnx").path
    with pytest.raises(InputError, match=r"lift\.onnx is a graph for other programs"):
        Lifter(load_network(spec, graph), spec, load_skeleton(spec.keypoints))
