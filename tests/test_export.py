"""`posekit export`: the files agree with the network, and those that would not are not written."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from posekit.build import create_model
from posekit.commands.export import export
from posekit.errors import InputError
from posekit.transforms import affine

MODEL = "rtmpose-t_body8-256x192"
DETECTOR = "rtmdet-nano_person-320"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def onnx_runtime() -> object:
    pytest.importorskip("onnx")
    return pytest.importorskip("onnxruntime")


def report_of(path: Path) -> dict:
    return json.loads(path.with_name(f"{path.name}.json").read_text())


def test_an_onnx_file_gives_the_same_keypoints_and_loads_back(
    shared: Path, rtmpose_t: Path, tmp_path: Path, onnx_runtime
) -> None:
    output = tmp_path / "pose.onnx"
    photo = shared / "images" / "000000000785.jpg"
    assert (
        export([f"model={MODEL}", f"weights={rtmpose_t}", f"output={output}", f"inputs={photo}"])
        == 0
    )
    report = report_of(output)
    assert report["maximum_px"] <= 0.1
    assert (report["crops"], report["inputs"]) == (4, "1 images")
    session = onnx_runtime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["input"]
    assert [o.name for o in session.get_outputs()] == ["simcc_x", "simcc_y"]
    for number in (1, 5):
        x, y = session.run(None, {"input": np.zeros((number, 3, 256, 192), np.float32)})
        assert (x.shape, y.shape) == ((number, 17, 384), (number, 17, 512))
    # It loads back as the weights.
    images = torch.randn(2, 3, 256, 192, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = create_model(MODEL, weights=rtmpose_t)(images)
        found = create_model(MODEL, weights=output)(images)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, atol=1e-3 * float(a.std()), rtol=0)


def test_processing_inside_the_graph_takes_bytes_and_gives_keypoints(
    rtmpose_t: Path, tmp_path: Path, onnx_runtime
) -> None:
    output = tmp_path / "pose.onnx"
    export(
        [f"model={MODEL}", f"weights={rtmpose_t}", f"output={output}", "preprocess=true"]
        + ["decode=true"]
    )
    session = onnx_runtime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).integers(0, 255, (3, 256, 192, 3), np.uint8)
    keypoints, scores = session.run(["keypoints", "scores"], {"input": images})
    assert (keypoints.shape, scores.shape) == ((3, 17, 2), (3, 17))
    assert keypoints.dtype == np.float32
    assert report_of(output)["maximum_px"] <= 0.1


def test_a_detector_exports_with_its_boxes(
    person_detector: Path, shared: Path, tmp_path: Path, onnx_runtime
) -> None:
    output = tmp_path / "person.onnx"
    export(
        [f"model={DETECTOR}", f"weights={person_detector}", f"output={output}", "decode=true"]
        + [f"inputs={shared / 'images' / '000000000785.jpg'}"]
    )
    session = onnx_runtime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == ["boxes", "scores"]
    assert report_of(output)["maximum_px"] <= 0.1


def test_a_detectors_raw_export_loads_back(
    person_detector: Path, tmp_path: Path, onnx_runtime
) -> None:
    output = tmp_path / "person.onnx"
    export([f"detector={DETECTOR}", f"weights={person_detector}", f"output={output}"])
    images = torch.randn(1, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = create_model(DETECTOR, weights=person_detector)(images)
        found = create_model(DETECTOR, weights=output)(images)
    for a, b in zip(expected[1], found[1], strict=True):
        torch.testing.assert_close(b, a, atol=1e-3 * float(a.std()), rtol=0)


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")  # torchscript
@pytest.mark.parametrize(
    "form", ["openvino", "torchscript", pytest.param("torch_export", marks=pytest.mark.slow)]
)
def test_other_formats_agree_too(form: str, rtmpose_t: Path, tmp_path: Path) -> None:
    if form == "openvino":
        pytest.importorskip("openvino")
    suffix = {"openvino": ".xml", "torchscript": ".torchscript", "torch_export": ".pt2"}[form]
    output = tmp_path / f"pose{suffix}"
    export([f"model={MODEL}", f"weights={rtmpose_t}", f"format={form}", f"output={output}"])
    assert output.stat().st_size > 0
    assert report_of(output)["maximum_px"] <= 0.1


def test_weights_alone_in_half_the_space(
    person_detector: Path, shared: Path, tmp_path: Path
) -> None:
    output = tmp_path / "half.safetensors"
    options = [f"weights={person_detector}", "format=safetensors", f"output={output}"]
    photo = shared / "images" / "000000000785.jpg"
    export([f"model={DETECTOR}", *options, "dtype=float16", f"inputs={photo}"])
    net = create_model(DETECTOR, weights=person_detector)
    values = sum(value.numel() for value in net.state_dict().values())
    assert output.stat().st_size < 2.2 * values
    beside = output.with_name(f"{output.name}.json")
    assert output.stat().st_mode == beside.stat().st_mode
    loaded = create_model(DETECTOR, weights=output)
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, net.state_dict()[key], atol=1e-3, rtol=1e-3)


def test_half_precision_that_moves_keypoints_is_not_written(
    rtmpose_t: Path, tmp_path: Path, onnx_runtime
) -> None:
    # The maxima of a network that was never trained are nearly ties, which half precision flips.
    output = tmp_path / "out" / "pose.onnx"
    with pytest.raises(InputError, match=r"not written: .* differ by [\d.]+ px .* at most 0.5 px"):
        export([f"model={MODEL}", f"weights={rtmpose_t}", f"output={output}", "dtype=float16"])
    assert list(output.parent.iterdir()) == []


def test_int8_is_smaller_and_its_difference_reported(
    rtmpose_t: Path, tmp_path: Path, onnx_runtime, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "pose.onnx"
    export([f"model={MODEL}", f"weights={rtmpose_t}", f"output={output}", "quantize=int8"])
    whole = sum(p.numel() for p in create_model(MODEL).parameters()) * 4
    assert output.stat().st_size < 0.5 * whole
    assert "int8's ranges are measured on drawn shapes" in caplog.text
    report = report_of(output)
    assert report["precision"] == "int8"
    assert report["tolerance_px"] is None


def test_every_image_gives_a_crop_before_any_gives_a_second(
    rtmpose_t: Path, tmp_path: Path, onnx_runtime
) -> None:
    for grey in range(10, 250, 12):
        image = np.full((64, 64, 3), grey, np.uint8)
        cv2.imwrite(str(tmp_path / f"{grey:03}.png"), image)
    output = tmp_path / "pose.onnx"
    seen: list[np.ndarray] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(affine, "crop", lambda image, matrix, out: seen.append(image))
        export([f"model={MODEL}", f"weights={rtmpose_t}", f"output={output}", f"inputs={tmp_path}"])
    assert len({int(image[0, 0, 0]) for image in seen}) == len(seen) == 16


def test_a_place_that_cannot_be_written_is_named_before_weights_are_fetched(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to .*file"):
        export([f"model={MODEL}", f"output={tmp_path / 'file' / 'pose.onnx'}"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["format=onx"], "format must be .*did you mean onnx"),
        (["output=pose.txt"], "must end in .onnx"),
        (["dtype=float8"], "dtype must be float32 or float16"),
        (["quantize=int4"], "quantize must be int8"),
        (["quantize=int8", "format=torchscript"], "for format=onnx"),
        (["model=vitpose-s", "decode=true"], "decode=true is for SimCC"),
        (["opset=9"], "opset must be 13 to 20"),
        (["preprocess=maybe"], "preprocess must be true or false"),
        (["model=motionbert_h36m"], "2D models and detectors"),
        (["inputs=missing.jpg"], "missing.jpg"),
        (["format=safetensors", "decode=true"], "decode=true is for graphs"),
        (["formt=onnx"], "did you mean format"),
        (["detector=none"], "nothing to export"),
    ],
)
def test_mistakes_are_named_before_weights_are_fetched(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        export(overrides)
