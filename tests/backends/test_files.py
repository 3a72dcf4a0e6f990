"""Graphs in files: run by the engines that read them, and refused where they do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import posekit
from posekit.backends import make_backend, why_unavailable
from posekit.backends.files import GraphFile
from posekit.backends.graphs import to_onnx, to_openvino
from posekit.config import PACKAGED
from posekit.errors import InputError, WeightsError
from posekit.spec import load_spec
from posekit.weights.load import create_model, load_initial_weights

DRAWN = "rtmpose-n_drawn-192x128"  # packaged, with its weights
HEATMAPS = "vitpose-s-simple_coco-256x192"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packaged model in OpenVINO's format."""
    openvino = pytest.importorskip("openvino")
    model = to_openvino(
        create_model(DRAWN, weights="published"),
        torch.zeros(2, 3, 192, 128),
        names=["simcc_x", "simcc_y"],
    )
    folder = tmp_path_factory.mktemp("graphs")
    openvino.save_model(model, folder / "drawn.xml", compress_to_fp16=False)
    return folder


@pytest.fixture
def graph(converted: Path, tmp_path: Path) -> Path:
    """A copy of its own for each test."""
    shutil.copytree(converted, tmp_path, dirs_exist_ok=True)
    return tmp_path / "drawn.xml"


@pytest.fixture(scope="module")
def heatmaps(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path]:
    """A network of a family whose weights are not read from ONNX, and its file."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    net = create_model(HEATMAPS).requires_grad_(False)
    path = tmp_path_factory.mktemp("graphs") / "heatmaps.onnx"
    to_onnx(net, torch.zeros(2, 3, 256, 192), path, names=["heatmap"])
    return net, path


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_graph_gives_the_networks_outputs_for_any_batch(
    engine: str, heatmaps: tuple[torch.nn.Module, Path]
) -> None:
    net, path = heatmaps
    pytest.importorskip(engine)
    loaded = create_model(HEATMAPS, weights=path)
    assert isinstance(loaded, GraphFile)
    backend = make_backend(loaded, engine, input_size=(192, 256))
    for number in (0, 1, 3):
        images = torch.randn(number, 3, 256, 192, generator=torch.Generator().manual_seed(number))
        with torch.inference_mode():
            expected = net(images)
        torch.testing.assert_close(
            backend(images),
            expected,
            atol=1e-3 * float(net(torch.ones(1, 3, 256, 192)).std()),
            rtol=0,
        )


@pytest.mark.parametrize("kind", ["torch", "compile"])
def test_an_engine_that_cannot_read_it_is_an_error(kind: str, graph: Path) -> None:
    if reason := why_unavailable(kind, torch.device("cpu")):
        pytest.skip(reason)
    with pytest.raises(InputError, match=rf"backend={kind} cannot run .*: use openvino"):
        posekit.load(DRAWN, weights=graph, detector="whole_image", device="cpu", backend=kind)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_graph_of_a_fixed_batch(
    batch: int, heatmaps: tuple[torch.nn.Module, Path], tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    net, of_any_batch = heatmaps
    path = tmp_path / "fixed.onnx"
    model = onnx.load(of_any_batch)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save(model, path)
    loaded = create_model(HEATMAPS, weights=path)
    if batch == 2:
        with pytest.raises(WeightsError, match="takes 2 images at a time"):
            make_backend(loaded, "onnxruntime", input_size=(192, 256))
        return
    images = torch.randn(3, 3, 256, 192, generator=torch.Generator().manual_seed(0))
    found = make_backend(loaded, "onnxruntime", input_size=(192, 256))(images)
    torch.testing.assert_close(found, net(images), atol=1e-3 * float(found.std()), rtol=0)


def test_a_device_that_no_engine_has_is_told_with_what_to_do(graph: Path) -> None:
    loaded = GraphFile(graph, create_model(DRAWN))
    with pytest.raises(InputError, match=r"graph on meta; openvino: .*; use device=cpu"):
        make_backend(loaded, input_size=(128, 192), device=torch.device("meta"))


def test_pytorch_does_not_run_it(graph: Path) -> None:
    with pytest.raises(InputError, match="PyTorch cannot run"):
        create_model(DRAWN, weights=graph)(torch.zeros(1, 3, 192, 128))


def test_another_models_graph_is_refused(graph: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not fit .* expected inputs .*\(3, 256, 192\)"):
        predictor = posekit.load(
            "rtmpose-m_body8-256x192", weights=graph, detector="whole_image", device="cpu"
        )
        next(predictor.stream(str(PACKAGED / "demo.jpg")))


def test_another_precision_than_its_own_is_refused(graph: Path) -> None:
    with pytest.raises(InputError, match="computed as it was exported"):
        posekit.load(DRAWN, weights=graph, device="cpu", dtype="bfloat16")


def test_a_damaged_graph_is_an_error_of_one_line(graph: Path) -> None:
    graph.with_suffix(".bin").unlink()
    with pytest.raises(WeightsError, match=r"cannot read the graph .*drawn\.xml") as error:
        predictor = posekit.load(DRAWN, weights=graph, detector="whole_image", device="cpu")
        next(predictor.stream(np.zeros((64, 64, 3), np.uint8)))
    assert "\n" not in str(error.value)


def test_a_graph_is_nothing_to_train(graph: Path) -> None:
    with pytest.raises(WeightsError, match="expected weights to train"):
        load_initial_weights(create_model(DRAWN), load_spec(DRAWN).net, graph)
