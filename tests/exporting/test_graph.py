"""What is inside an exported graph besides the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from posekit.backends.engines.openvino import openvino_core
from posekit.datasets.synthetic import generate_scene
from posekit.errors import InputError
from posekit.exporting.graph import with_processing
from posekit.exporting.result import ExportResult
from posekit.spec import PoseSpec, load_spec
from posekit.stages.detect import Detector
from posekit.weights.load import create_model
from tests.exporting.conftest import DRAWN, DRAWN_DETECTOR


def test_processing_inside_the_graph_takes_bytes_and_gives_keypoints(
    whole_pose_onnx: ExportResult, onnx_runtime: Any
) -> None:
    session = onnx_runtime.InferenceSession(
        str(whole_pose_onnx.path), providers=["CPUExecutionProvider"]
    )
    images = np.random.default_rng(0).integers(0, 255, (3, 192, 128, 3), np.uint8)
    keypoints, scores = session.run(["keypoints", "scores"], {"input": images})
    assert (keypoints.shape, scores.shape) == ((3, 17, 2), (3, 17))
    assert keypoints.dtype == np.float32
    assert whole_pose_onnx.difference.maximum_px <= 0.1


@pytest.mark.parametrize("form", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_a_detectors_graph_gives_the_boxes_that_the_detector_gives(
    form: str, exported: Callable[..., ExportResult]
) -> None:
    engine = pytest.importorskip({"onnx": "onnxruntime"}.get(form, form))
    images = [generate_scene(seed, size_wh=(256, 256)).image for seed in (1, 2, 3)]
    if form == "onnx":
        path = exported(DRAWN_DETECTOR, "people.onnx", preprocess=True, decode=True).path
        session = engine.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        assert [o.name for o in session.get_outputs()] == ["boxes", "scores", "labels"]
        found = session.run(None, {"input": np.stack(images)})
    else:
        path = exported(
            DRAWN_DETECTOR, "people.xml", format=form, preprocess=True, decode=True
        ).path
        compiled = openvino_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = list(compiled([np.stack(images)]).values())
    net = create_model(DRAWN_DETECTOR, weights="published")
    detector = Detector(net, load_spec(DRAWN_DETECTOR))
    for expected, boxes, scores, labels in zip(detector(images), *found, strict=True):
        assert len(expected) > 1
        kept = scores > 0
        np.testing.assert_allclose(boxes[kept], expected.boxes_xyxy, atol=0.05)
        np.testing.assert_allclose(scores[kept], expected.scores, atol=1e-4)
        assert (labels[kept] == 0).all()


@pytest.mark.parametrize("model", [DRAWN, DRAWN_DETECTOR])
def test_processing_inside_the_graph_is_left_out_when_it_loads_back(
    model: str, whole_pose_onnx: ExportResult, whole_people_onnx: ExportResult
) -> None:
    output = (whole_pose_onnx if model == DRAWN else whole_people_onnx).path
    width, height = load_spec(model).input_size
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    expected = create_model(model, weights="published")(images)
    found = create_model(model, weights=output)(images)
    for a, b in zip(expected[1], found[1], strict=True):
        torch.testing.assert_close(b, a, atol=1e-3 * float(a.std()), rtol=0)


def test_processing_of_an_unknown_skeleton_is_refused() -> None:
    spec = load_spec(DRAWN)
    assert isinstance(spec, PoseSpec)
    with pytest.raises(InputError, match="nobodys"):
        with_processing(create_model(DRAWN), dataclasses.replace(spec, keypoints="nobodys"))
