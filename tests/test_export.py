"""`posekit export`: the files agree with the network, and those that would not are not written."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import posekit
from posekit.backends.engines import openvino_core
from posekit.codecs.simcc import SimCC
from posekit.commands.export import FORMATS, export
from posekit.config import PACKAGED
from posekit.datasets.synthetic import generate_scene
from posekit.errors import InputError
from posekit.spec import load_spec
from posekit.stages import estimate
from posekit.stages.detect import Detector
from posekit.weights.hub import stand_in
from posekit.weights.load import create_model

MODEL = "rtmpose-t_body8-256x192"
DETECTOR = "rtmdet-nano_person-320"
DRAWN = "rtmpose-n_drawn-192x128"  # packaged, with its weights
DRAWN_DETECTOR = "rtmdet-nano_drawn-256"


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
    shared: Path,
    rtmpose_t: Path,
    tmp_path: Path,
    onnx_runtime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    output = tmp_path / "pose.onnx"
    photo = shared / "images" / "000000000785.jpg"
    assert (
        export([f"model={MODEL}", f"weights={rtmpose_t}", f"output={output}", f"inputs={photo}"])
        == 0
    )
    report = report_of(output)
    assert report["maximum_px"] <= 0.1
    # Its detector's weights are not here.
    assert (report["crops"], report["inputs"], report["boxes"]) == (
        4,
        "1 images",
        "parts of images",
    )
    assert "the detector has no weights" in caplog.text
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


@pytest.mark.parametrize("form", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_a_detectors_graph_gives_the_boxes_that_the_detector_gives(
    form: str, tmp_path: Path
) -> None:
    engine = pytest.importorskip({"onnx": "onnxruntime"}.get(form, form))
    output = tmp_path / ("people.onnx" if form == "onnx" else "people.xml")
    export(
        [f"model={DRAWN_DETECTOR}", f"format={form}", f"output={output}"]
        + ["preprocess=true", "decode=true"]
    )
    images = [generate_scene(seed, size_wh=(256, 256)).image for seed in (1, 2, 3)]
    if form == "onnx":
        session = engine.InferenceSession(str(output), providers=["CPUExecutionProvider"])
        assert [o.name for o in session.get_outputs()] == ["boxes", "scores", "labels"]
        found = session.run(None, {"input": np.stack(images)})
    else:
        compiled = openvino_core().compile_model(output, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = list(compiled([np.stack(images)]).values())
    net = create_model(DRAWN_DETECTOR, weights="published")
    detector = Detector(net, load_spec(DRAWN_DETECTOR))
    for expected, boxes, scores, labels in zip(detector(images), *found, strict=True):
        assert len(expected) > 1
        kept = scores > 0
        np.testing.assert_allclose(boxes[kept], expected.boxes_xyxy, atol=0.05)
        np.testing.assert_allclose(scores[kept], expected.scores, atol=1e-4)
        assert (labels[kept] == 0).all()


def test_a_detectors_raw_export_loads_back(
    person_detector: Path, tmp_path: Path, onnx_runtime
) -> None:
    output = tmp_path / "person.onnx"
    export([f"model={DETECTOR}", f"weights={person_detector}", f"output={output}"])
    images = torch.randn(1, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = create_model(DETECTOR, weights=person_detector)(images)
        found = create_model(DETECTOR, weights=output)(images)
    for a, b in zip(expected[1], found[1], strict=True):
        torch.testing.assert_close(b, a, atol=1e-3 * float(a.std()), rtol=0)


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


def test_an_export_of_a_stand_in_says_so(
    rtmpose_t: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    name, other = "rtmpose-t_coco-256x192", "by its authors, from hf://a/b/c"
    cached = tmp_path / "cache" / "models" / f"{name}.safetensors"
    cached.parent.mkdir(parents=True)
    save_file(load_file(rtmpose_t), cached, metadata={"model": name, "stands_in": other})
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    export([f"model={name}", "format=safetensors", f"output={first}"])
    export([f"model={name}", f"weights={first}", "format=safetensors", f"output={second}"])
    for output in (first, second):
        assert stand_in(name, output) == report_of(output)["stands_in"] == other
    third = tmp_path / "c.safetensors"
    export([f"model={name}", f"weights={rtmpose_t}", "format=safetensors", f"output={third}"])
    assert stand_in(name, third) is None
    assert "stands_in" not in report_of(third)


def test_half_precision_that_moves_keypoints_is_not_written(
    rtmpose_t: Path, tmp_path: Path, onnx_runtime
) -> None:
    # A layer's outputs go beyond the largest number of half precision, 65504.
    state = load_file(rtmpose_t)
    name = next(key for key, value in state.items() if value.ndim == 4)
    state[name] *= 1e6
    weights, output = tmp_path / "large.safetensors", tmp_path / "out" / "pose.onnx"
    save_file(state, weights, metadata={"model": MODEL})
    with pytest.raises(InputError, match=r"not written: .* differ by [\d.]+ px .* at most 0.5 px"):
        export([f"model={MODEL}", f"weights={weights}", f"output={output}", "dtype=float16"])
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
    output = tmp_path / "pose.torchscript"
    options = [f"model={DRAWN}", "format=torchscript", f"output={output}"]
    if is_written:
        export(options)
        assert report_of(output)["maximum_px"] > 0.1
    else:
        with pytest.raises(InputError, match=r"differ by .* at most 0\.1 px"):
            export(options)
    assert output.exists() == is_written


def test_int8_is_smaller_and_its_difference_reported(
    rtmpose_t: Path, tmp_path: Path, onnx_runtime, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "pose.onnx"
    export([f"model={MODEL}", f"weights={rtmpose_t}", f"output={output}", "quantize=int8"])
    whole = sum(p.numel() for p in create_model(MODEL).parameters()) * 4
    assert output.stat().st_size < 0.5 * whole
    assert "int8's ranges are measured on drawn people" in caplog.text
    report = report_of(output)
    assert report["precision"] == "int8"
    assert report["tolerance_px"] is None
    import onnx

    graph = onnx.load(output).graph
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


def test_every_image_gives_a_crop_before_any_gives_a_second(
    rtmpose_t: Path, tmp_path: Path, onnx_runtime
) -> None:
    for grey in range(10, 250, 12):
        image = np.full((64, 64, 3), grey, np.uint8)
        cv2.imwrite(str(tmp_path / f"{grey:03}.png"), image)
    output = tmp_path / "pose.onnx"
    seen: list[np.ndarray] = []
    with pytest.MonkeyPatch.context() as patch:

        def see(image: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> None:
            seen.append(image)
            out[:] = image[0, 0]

        patch.setattr(estimate, "crop", see)
        export(
            [f"model={MODEL}", f"weights={rtmpose_t}", f"output={output}", f"inputs={tmp_path}"]
            + ["detector=whole_image"]
        )
    assert len({int(image[0, 0, 0]) for image in seen}) == len(seen) == 20
    report = report_of(output)
    assert (report["crops"], report["boxes"]) == (16, "whole images")


def test_crops_are_of_the_people_that_the_models_detector_finds(
    tmp_path: Path, onnx_runtime
) -> None:
    scenes = [generate_scene(seed) for seed in range(6)]
    for number, scene in enumerate(scenes):
        cv2.imwrite(str(tmp_path / f"{number}.png"), scene.image)
    output = tmp_path / "drawn.onnx"
    export([f"model={DRAWN}", f"output={output}", f"inputs={tmp_path}", "quantize=int8"])
    report = report_of(output)
    assert report["boxes"] == "the detector"
    # Half of them are kept for the ranges.
    people = sum(map(len, scenes))
    assert report["crops"] + report["calibrated_on"] == pytest.approx(people, abs=0.2 * people)
    assert abs(report["crops"] - report["calibrated_on"]) <= 1
    # On crops that are no people the same ranges move keypoints by several pixels.
    assert report["mean_px"] < 1


def test_the_file_says_what_it_takes_and_gives(tmp_path: Path, onnx_runtime) -> None:
    output = tmp_path / "drawn.onnx"
    export([f"model={DRAWN}", f"output={output}"])
    session = onnx_runtime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    inside = json.loads(session.get_modelmeta().custom_metadata_map["posekit"])
    report = report_of(output)
    assert inside == {key: report[key] for key in inside}
    assert inside["network"] == DRAWN
    assert inside["input_size"] == [128, 192]
    assert inside["input"]["layout"] == "n, 3, h, w"
    assert inside["outputs"] == ["simcc_x", "simcc_y"]
    assert inside["keypoints"][:2] == ["nose", "left_eye"]


def test_the_documented_program_finds_what_posekit_finds(tmp_path: Path, onnx_runtime) -> None:
    page = (Path(__file__).parent.parent / "docs" / "export.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for model, file in ((DRAWN_DETECTOR, "people.onnx"), (DRAWN, "pose.onnx")):
        export([f"model={model}", f"output={tmp_path / file}", "preprocess=true", "decode=true"])
    shutil.copy(PACKAGED / "demo.jpg", tmp_path / "photo.jpg")
    program += "import sys\nassert 'posekit' not in sys.modules\nnp.save('out.npy', keypoints)\n"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    found = np.load(tmp_path / "out.npy")
    expected = next(
        posekit.load(DRAWN, device="cpu").stream(str(PACKAGED / "demo.jpg"), flip_test=False)
    )
    assert found.shape == expected.keypoints.shape
    off = np.linalg.norm(found - expected.keypoints, axis=-1)
    # A box that differs in the last digit may turn a keypoint to the next half of a pixel.
    assert np.percentile(off, 90) < 0.1
    assert off.max() < 3


def test_a_quantised_file_runs_in_place_of_the_network(tmp_path: Path, onnx_runtime) -> None:
    output = tmp_path / "drawn.onnx"
    export([f"model={DRAWN}", f"output={output}", "quantize=int8"])
    image = str(PACKAGED / "demo.jpg")
    whole = next(posekit.load(DRAWN, device="cpu").stream(image))
    height = (whole.boxes_xyxy[:, 3] - whole.boxes_xyxy[:, 1]).mean()
    kinds = ("onnxruntime", "openvino", None)
    for kind in kinds if importlib.util.find_spec("openvino") else kinds[::2]:
        quantised = posekit.load(DRAWN, weights=output, device="cpu", backend=kind)
        found = next(quantised.stream(image, bboxes=whole.boxes_xyxy))
        off = np.linalg.norm(found.keypoints - whole.keypoints, axis=-1)
        # It is another network, though nearly the same one.
        assert 0 < off.mean() < 0.01 * height


@pytest.mark.parametrize("options", [["dtype=float16"]])
def test_an_openvino_file_loads_back(options: list[str], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    output = tmp_path / "drawn.xml"
    export([f"model={DRAWN}", "format=openvino", f"output={output}", *options])
    image = str(PACKAGED / "demo.jpg")
    whole = next(posekit.load(DRAWN, device="cpu").stream(image))
    loaded = posekit.load(DRAWN, weights=output, device="cpu")
    found = next(loaded.stream(image, bboxes=whole.boxes_xyxy))
    off = np.linalg.norm(found.keypoints - whole.keypoints, axis=-1)
    assert np.percentile(off, 99) <= (0.5 if options else 0.1)


@pytest.mark.parametrize("model", [DRAWN, DRAWN_DETECTOR])
def test_processing_inside_the_graph_is_left_out_when_it_loads_back(
    model: str, tmp_path: Path, onnx_runtime
) -> None:
    output = tmp_path / "whole.onnx"
    export([f"model={model}", f"output={output}", "preprocess=true", "decode=true"])
    width, height = load_spec(model).input_size
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    expected = create_model(model, weights="published")(images)
    found = create_model(model, weights=output)(images)
    for a, b in zip(expected[1], found[1], strict=True):
        torch.testing.assert_close(b, a, atol=1e-3 * float(a.std()), rtol=0)


def test_a_detector_that_finds_nothing_is_not_compared(tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((64, 64, 3), 114, np.uint8))
    output = tmp_path / "boxes.torchscript"
    options = [f"model={DRAWN_DETECTOR}", "format=torchscript", "preprocess=true", "decode=true"]
    with pytest.raises(InputError, match="finds nothing in the inputs"):
        export([*options, f"output={output}", f"inputs={blank}"])
    assert list(tmp_path.iterdir()) == [blank]


@pytest.mark.parametrize("form", ["onnx", "openvino", "torchscript", "torch_export", "safetensors"])
def test_a_full_disk_is_one_line_and_leaves_the_file_before(form: str, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    if form in ("onnx", "openvino"):
        pytest.importorskip({"onnx": "onnxruntime"}.get(form, form))
    output = tmp_path / f"pose{FORMATS[form]}"
    output.write_text("before")
    done = subprocess.run(
        [sys.executable, "-m", "posekit", "export", f"model={DRAWN}", f"format={form}"]
        + [f"output={output}"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"posekit: error: cannot write {output}: ")
    assert output.read_text() == "before"
    assert list(tmp_path.iterdir()) == [output]


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
        (["detector=rtmdet-m_person-640", f"model={DETECTOR}"], "goes alone"),
        ([f"model={DETECTOR}", "detector=rtmdet-m_person-640"], "goes alone"),
        (["preprocess=maybe"], "preprocess must be true or false"),
        (["model=motionbert_h36m"], "2D models and detectors"),
        (["inputs=missing.jpg"], "missing.jpg"),
        (["format=safetensors", "decode=true"], "decode=true is for graphs"),
        (["formt=onnx"], "did you mean format"),
        (["format=[onnx,openvino]"], "format must be"),
        (["output=[a.onnx]"], "output: expected one file or folder, found a list"),
        (["detector=rtmdet-nano_person-320"], "nothing to export"),
        ([f"model={DETECTOR}", "detector_weights=a.pth"], "use weights"),
        (["detector=none"], "nothing to export"),
    ],
)
def test_mistakes_are_named_before_weights_are_fetched(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        export(overrides)


@pytest.mark.parametrize("decode", [False, True])
def test_a_one_stage_model_gives_its_people_in_a_graph(tmp_path: Path, decode: bool) -> None:
    pytest.importorskip("onnxruntime")
    import onnxruntime

    from tests.stages.test_one_stage import make

    net = make().net
    with torch.no_grad():
        for head in net.heads:  # boxes of similar sizes, so that rounding hardly moves them
            head.box_pred.weight *= 0.1
    weights, output = tmp_path / "rtmo.safetensors", tmp_path / "rtmo.onnx"
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(state, weights, metadata={"model": "rtmo-t_body7-416x416"})
    arguments = [f"weights={weights}", f"output={output}", f"decode={str(decode).lower()}"]
    assert export(["model=rtmo-t", *arguments, f"preprocess={str(decode).lower()}"]) == 0
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
