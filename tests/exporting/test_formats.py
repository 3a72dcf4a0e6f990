"""Each format's file agrees with the network, says what it is and is whole or not there."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import posekit
from posekit.backends.graphs import to_onnx
from posekit.config import PACKAGED
from posekit.exporting.formats import FORMATS, load_format
from posekit.exporting.formats.onnx import gather_weights
from posekit.exporting.result import ExportResult
from posekit.weights.load import create_model
from tests.exporting.conftest import DRAWN, DRAWN_DETECTOR, report_of
from tests.processes import run_python

IMAGE = str(PACKAGED / "demo.jpg")


def need(form: str) -> None:
    for package in load_format(form).packages:
        pytest.importorskip(package)


def test_formats_are_found_in_their_folder() -> None:
    assert FORMATS == ("onnx", "openvino", "safetensors", "torch_export", "torchscript")
    assert load_format("torch_export").suffix == ".pt2"


def test_an_onnx_file_takes_any_batch_and_loads_back(
    pose_onnx: ExportResult, onnx_runtime: Any
) -> None:
    assert pose_onnx.difference.maximum_px <= 0.1
    session = onnx_runtime.InferenceSession(str(pose_onnx.path), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["input"]
    assert [o.name for o in session.get_outputs()] == ["simcc_x", "simcc_y"]
    for number in (1, 5):
        x, y = session.run(None, {"input": np.zeros((number, 3, 192, 128), np.float32)})
        assert (x.shape, y.shape) == ((number, 17, 256), (number, 17, 384))
    # It loads back as the weights.
    images = torch.randn(2, 3, 192, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = create_model(DRAWN, weights="published")(images)
        found = create_model(DRAWN, weights=pose_onnx.path)(images)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, atol=1e-3 * float(a.std()), rtol=0)


def test_a_detectors_raw_export_loads_back(
    onnx_runtime: Any, exported: Callable[..., ExportResult]
) -> None:
    output = exported(DRAWN_DETECTOR, "person.onnx").path
    images = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = create_model(DRAWN_DETECTOR, weights="published")(images)
        found = create_model(DRAWN_DETECTOR, weights=output)(images)
    for a, b in zip(expected[1], found[1], strict=True):
        torch.testing.assert_close(b, a, atol=1e-3 * float(a.std()), rtol=0)


@pytest.mark.parametrize(
    "form", ["openvino", "torchscript", pytest.param("torch_export", marks=pytest.mark.slow)]
)
def test_other_formats_agree_too(form: str, exported: Callable[..., ExportResult]) -> None:
    need(form)
    result = exported(DRAWN, f"pose{load_format(form).suffix}", format=form)
    assert result.path.stat().st_size > 0
    assert result.difference.maximum_px <= 0.1


def test_the_file_says_what_it_takes_and_gives(pose_onnx: ExportResult, onnx_runtime: Any) -> None:
    session = onnx_runtime.InferenceSession(str(pose_onnx.path), providers=["CPUExecutionProvider"])
    inside = json.loads(session.get_modelmeta().custom_metadata_map["posekit"])
    report = report_of(pose_onnx)
    assert inside == {key: report[key] for key in inside} == pose_onnx.description
    assert inside["network"] == DRAWN
    assert inside["input_size"] == [128, 192]
    assert inside["input"]["layout"] == "n, 3, h, w"
    assert inside["outputs"] == ["simcc_x", "simcc_y"]
    assert inside["keypoints"][:2] == ["nose", "left_eye"]


def test_weights_alone_in_half_the_space(tmp_path: Path) -> None:
    output = tmp_path / "half.safetensors"
    result = posekit.export(DRAWN, output, format="safetensors", dtype="float16")
    net = create_model(DRAWN, weights="published")
    values = sum(value.numel() for value in net.state_dict().values())
    assert output.stat().st_size < 2.2 * values
    assert [path.stat().st_mode for path in result.paths] == [output.stat().st_mode] * 2
    loaded = create_model(DRAWN, weights=output)
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, net.state_dict()[key], atol=1e-3, rtol=1e-3)


def test_an_openvino_file_in_half_precision_loads_back(
    exported: Callable[..., ExportResult],
) -> None:
    need("openvino")
    result = exported(DRAWN, "pose.xml", format="openvino", dtype="float16")
    assert [path.suffix for path in result.paths] == [".bin", ".xml", ".json"]
    whole = next(posekit.load(DRAWN, device="cpu").stream(IMAGE))
    loaded = posekit.load(DRAWN, weights=result.path, device="cpu")
    found = next(loaded.stream(IMAGE, bboxes=whole.boxes_xyxy))
    off = np.linalg.norm(found.keypoints - whole.keypoints, axis=-1)
    assert np.percentile(off, 99) <= 0.5


def test_int8_is_smaller_and_its_difference_reported(int8_onnx: ExportResult) -> None:
    import onnx

    whole = sum(p.numel() for p in create_model(DRAWN).parameters()) * 4
    assert int8_onnx.path.stat().st_size < 0.5 * whole
    report = report_of(int8_onnx)
    assert report["precision"] == "int8"
    assert report["tolerance_px"] is None is int8_onnx.tolerance_px
    graph = onnx.load(int8_onnx.path).graph
    # Of weights beyond 64, products with bytes overflow on processors without VNNI.
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
    eight_bits = [array for array in arrays if array.dtype == np.int8 and array.ndim > 1]
    assert len(eight_bits) > 10
    assert max(np.abs(array.astype(int)).max() for array in eight_bits) <= 64
    stored = {tensor.name for tensor in graph.initializer}
    convs = [node for node in graph.node if node.op_type == "Conv"]
    for node in convs:
        groups = next(a.i for a in node.attribute if a.name == "group")
        assert (node.input[1] in stored) == (groups > 1)
    in_float = [n for n in graph.node if n.op_type == "MatMul" and stored.intersection(n.input)]
    assert sorted(node.name.split("/")[-2] for node in in_float) == ["to_x", "to_y"]


def test_a_quantised_file_runs_in_place_of_the_network(int8_onnx: ExportResult) -> None:
    whole = next(posekit.load(DRAWN, device="cpu").stream(IMAGE))
    height = (whole.boxes_xyxy[:, 3] - whole.boxes_xyxy[:, 1]).mean()
    kinds = ("onnxruntime", "openvino", None)
    for kind in kinds if importlib.util.find_spec("openvino") else kinds[::2]:
        quantised = posekit.load(DRAWN, weights=int8_onnx.path, device="cpu", backend=kind)
        found = next(quantised.stream(IMAGE, bboxes=whole.boxes_xyxy))
        off = np.linalg.norm(found.keypoints - whole.keypoints, axis=-1)
        # It is another network, though nearly the same one.
        assert 0 < off.mean() < 0.01 * height


# All formats in one process, which imports PyTorch once.
ON_A_FULL_DISK = """
import contextlib, io, json, resource, sys
from posekit.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for form, output in json.loads(sys.argv[1]).items():
    words = [f"model={sys.argv[2]}", f"format={form}", f"output={output}", f"inputs={sys.argv[3]}"]
    with contextlib.redirect_stderr(io.StringIO()) as said:
        status = main(["export", *words, "detector=none"])
    print(json.dumps([form, status, said.getvalue().splitlines()[-1]]), flush=True)
"""


SLOW_FORMAT = "torch_export"
FAST_FORMATS = tuple(form for form in FORMATS if form != SLOW_FORMAT)


def export_to_a_full_disk(folder: Path, *forms: str) -> dict[str, tuple[Path, int, str]]:
    """By format: the file that was to be written, the exit status, the last line of errors."""
    pytest.importorskip("resource")
    outputs = {}
    for form in forms:
        if all(map(importlib.util.find_spec, load_format(form).packages)):
            outputs[form] = folder / form / f"pose{load_format(form).suffix}"
            outputs[form].parent.mkdir()
            outputs[form].write_text("before")
    paths = json.dumps({form: str(output) for form, output in outputs.items()})
    done = run_python("-c", ON_A_FULL_DISK, paths, DRAWN, IMAGE)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return {form: (outputs[form], status, said) for form, status, said in found}


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, int, str]]:
    return export_to_a_full_disk(tmp_path_factory.mktemp("full"), *FAST_FORMATS)


@pytest.mark.parametrize("form", FAST_FORMATS)
def test_a_full_disk_is_one_line_and_leaves_the_file_before(
    form: str, full_disk: dict[str, tuple[Path, int, str]]
) -> None:
    need(form)
    assert_one_line_and_the_file_before(*full_disk[form])


@pytest.mark.slow
def test_a_full_disk_for_the_slow_format(tmp_path: Path) -> None:
    found = export_to_a_full_disk(tmp_path, SLOW_FORMAT)
    assert_one_line_and_the_file_before(*found[SLOW_FORMAT])


def assert_one_line_and_the_file_before(output: Path, status: int, said: str) -> None:
    assert status == 1
    assert said.startswith(f"posekit: error: cannot write {output}: ")
    assert output.read_text() == "before"
    assert list(output.parent.iterdir()) == [output]


def test_weights_in_many_files_come_into_one(tmp_path: Path, onnx_runtime: Any) -> None:
    import onnx

    path = tmp_path / "net.onnx"
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.ReLU(), torch.nn.Conv2d(64, 2, 1))
    to_onnx(net.eval(), torch.zeros(2, 3, 8, 8), path, names=["heatmap"])
    images = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)

    def run() -> np.ndarray:
        session = onnx_runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (output,) = session.run(None, {"input": images})
        return np.asarray(output)

    before = run()
    graph = onnx.load(path)  # as torch leaves one of more than 2 GB
    onnx.save(
        *(graph, path),
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
    )
    assert len(list(tmp_path.iterdir())) == 5
    gather_weights(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    np.testing.assert_array_equal(run(), before)
