"""Every engine gives the network's own outputs, for batches of any size."""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posekit.backends import KINDS, kinds, make_backend, why_unavailable
from posekit.backends.engine import Target
from posekit.backends.engines import tensorrt
from posekit.backends.outputs import flatten
from posekit.errors import InputError
from posekit.predictor import load
from posekit.skeleton import load_skeleton
from posekit.spec import PoseSpec, load_spec
from posekit.stages.detect import Detector
from posekit.stages.estimate import PoseEstimator
from posekit.weights.load import create_model
from tests.networks import save_seeded_weights
from tests.processes import run_python

CPU = torch.device("cpu")
# Compiling takes from ten seconds to a minute for every size of batch.
SLOW_COMPILE = pytest.param("compile", marks=pytest.mark.slow)
MODEL = "rtmpose-t_body8-256x192"
DETECTOR = "rtmdet-nano_person-320"
HEATMAP_MODEL = "vitpose-s-simple_coco-256x192"
SMALLEST_MODEL = "rtmpose-n_drawn-192x128"  # its trained weights are packaged
FAST_ENGINES = [kind for kind in kinds.ENGINES if kind != "compile"]
ENGINES = [*FAST_ENGINES, SLOW_COMPILE]


class Tiny(nn.Module):
    """Outputs nested as a detector's are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.cls, self.reg = nn.Conv2d(4, 1, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        x = nn.functional.silu(self.norm(self.conv(x)))
        half = nn.functional.avg_pool2d(x, 2)
        return (self.cls(x), self.cls(half)), (self.reg(x), self.reg(half))


@pytest.fixture
def tiny() -> nn.Module:
    torch.manual_seed(0)
    net = Tiny().eval().requires_grad_(False)
    net.norm.running_mean.uniform_(-0.5, 0.5)
    return net


def skip_unavailable(kind: str) -> None:
    if reason := why_unavailable(kind, CPU):
        pytest.skip(f"{kind}: {reason}")


def images_of(number: int, size: int = 16) -> Tensor:
    return torch.randn(number, 3, size, size, generator=torch.Generator().manual_seed(number))


@pytest.mark.parametrize("kind", [*ENGINES, "auto"])
def test_outputs_equal_the_networks_for_any_batch(
    kind: str, tiny: nn.Module, tmp_path: Path
) -> None:
    skip_unavailable(kind)
    backend = make_backend(tiny, kind, input_size=(16, 16), cache_dir=tmp_path)
    for number in (0, 1, 3, 9):
        with torch.inference_mode():
            expected = tiny(images_of(number))
        found = backend(images_of(number))
        assert [len(part) for part in found] == [2, 2]
        for a, b in zip(flatten(expected), flatten(found), strict=True):
            assert b.dtype == torch.float32
            torch.testing.assert_close(b, a, atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["torch", SLOW_COMPILE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_gpu_gives_the_networks_outputs(
    kind: str,
    dtype: torch.dtype,
    tiny: nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    device = torch.device("cuda")
    if reason := why_unavailable(kind, device):
        pytest.skip(f"{kind}: {reason}")
    backend = make_backend(
        tiny, kind, input_size=(16, 16), device=device, dtype=dtype, cache_dir=tmp_path
    )
    tolerance = 1e-4 if dtype == torch.float32 else 3e-2
    kept = []
    for number in (0, 1, 3, 9, 70, 3):
        with torch.inference_mode():
            expected = tiny(images_of(number))
        found = backend(images_of(number).to(device))
        kept.append((flatten(expected), flatten(found)))
    # Only now: a batch must not overwrite the outputs of one before.
    for expected, found in kept:
        for a, b in zip(expected, found, strict=True):
            assert b.device.type == "cuda"
            torch.testing.assert_close(b.float().cpu(), a, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("kind", FAST_ENGINES)
def test_the_first_outputs_outlive_a_second_call(
    kind: str, tiny: nn.Module, tmp_path: Path
) -> None:
    # A flip test holds both.
    skip_unavailable(kind)
    backend = make_backend(tiny, kind, input_size=(16, 16), cache_dir=tmp_path)
    first = flatten(backend(images_of(1)))
    before = [tensor.clone() for tensor in first]
    backend(images_of(1) + 1)
    assert all(a.equal(b) for a, b in zip(first, before, strict=True))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        *((model, kind) for model in (MODEL, HEATMAP_MODEL) for kind in FAST_ENGINES),
        (SMALLEST_MODEL, "auto"),
        pytest.param(SMALLEST_MODEL, "compile", marks=pytest.mark.slow),
        pytest.param(MODEL, "compile", marks=pytest.mark.slow),
        pytest.param(HEATMAP_MODEL, "compile", marks=pytest.mark.slow),
    ],
)
def test_keypoints_stay_on_photographs(
    model: str,
    kind: str,
    photographed: Callable[[str], tuple[PoseEstimator, Tensor, np.ndarray]],
    tmp_path: Path,
) -> None:
    skip_unavailable(kind)
    estimator, batch, expected = photographed(model)
    size = estimator.input_size
    backend = make_backend(estimator.net, kind, input_size=size, cache_dir=tmp_path)
    found = estimator.codec.decode(backend(batch))[0]
    away = np.linalg.norm(found - expected, axis=-1)
    assert away.shape == (4, 17)
    assert np.percentile(away, 99) <= 0.1


@pytest.fixture(scope="module")
def photographed(
    shared: Path, rtmpose_t: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[PoseEstimator, Tensor, np.ndarray]]:
    """One of the pose models here, inputs of it, and the keypoints that it finds in them itself."""

    @functools.cache
    def of(model: str) -> tuple[PoseEstimator, Tensor, np.ndarray]:
        spec = load_spec(model)
        assert isinstance(spec, PoseSpec)
        net = create_model(model, weights=weights(model))
        estimator = PoseEstimator(net, spec, load_skeleton(spec.keypoints))
        labels = json.loads((shared / "annotations" / "test_coco.json").read_text())
        # Four people, in one batch, so that one size is compiled.
        people = labels["annotations"][:4]
        names = {image["id"]: image["file_name"] for image in labels["images"]}
        images = [cv2.imread(str(shared / "images" / names[one["image_id"]])) for one in people]
        boxes = np.array([person["bbox"] for person in people], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        (crops,) = estimator.crop_batches(images, list(boxes[:, None]), batch_size=8)
        batch = estimator.normalize(crops.pixels)
        with torch.inference_mode():
            return estimator, batch, estimator.codec.decode(net(batch))[0]

    def weights(model: str) -> str | Path:
        if model == MODEL:
            return rtmpose_t
        if model == SMALLEST_MODEL:
            return "published"
        folder = "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192"
        path = tmp_path_factory.mktemp("weights") / "vitpose-s.safetensors"
        return save_seeded_weights(shared / "reference" / "pose2d" / folder, model, path)

    return of


@pytest.mark.parametrize("kind", ENGINES)
def test_detections_stay_on_photographs(
    kind: str, shared: Path, person_detector: Path, tmp_path: Path
) -> None:
    skip_unavailable(kind)
    net = create_model(DETECTOR, weights=person_detector)
    detector = Detector(net, load_spec(DETECTOR))
    image = cv2.imread(str(shared / "images" / "000000000785.jpg"))
    (expected,) = detector([image], score_threshold=0.3)
    backend = make_backend(net, kind, input_size=detector.input_size, cache_dir=tmp_path)
    with_engine = Detector(net, load_spec(DETECTOR), backend=backend)
    (found,) = with_engine([image], score_threshold=0.3)
    assert len(expected) > 0
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=0.1)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


@pytest.mark.parametrize("kind", ENGINES)
def test_engines_are_made_in_threads_while_others_compute(kind: str, tmp_path: Path) -> None:
    skip_unavailable(kind)
    computing, done = threading.Event(), threading.Event()

    def net_of(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 4, 1)
        return nn.Sequential(*layers).eval().requires_grad_(False)

    def difference(net: nn.Module) -> float:
        backend = make_backend(net, kind, input_size=(16, 16), cache_dir=tmp_path)
        return float((backend(images_of(1)) - net(images_of(1))).abs().max())

    def compute(net: nn.Module) -> int:
        expected = net(images_of(1))
        count = 0
        while not done.is_set():
            torch.testing.assert_close(net(images_of(1)), expected, atol=1e-5, rtol=0)
            count += 1
            computing.set()
        return count

    nets = [net_of(seed) for seed in range(4)]
    with ThreadPoolExecutor() as pool:
        count = pool.submit(compute, nets[3])
        try:
            assert computing.wait(300)
            assert max(pool.map(difference, nets[:3])) < 1e-5
        finally:
            done.set()
        assert count.result() > 0


@pytest.mark.parametrize(("threads", "callers"), [(1, 2), (2, 1)])
def test_openvino_leaves_no_core_to_other_callers_idle(
    tiny: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, callers: int
) -> None:
    skip_unavailable("openvino")
    monkeypatch.setattr("posekit.backends.engines.openvino.usable_cores", lambda: [0, 1])
    torch.set_num_threads(threads)
    backend: Any = make_backend(tiny, "openvino", input_size=(16, 16), cache_dir=tmp_path)
    images = images_of(3)
    expected = flatten(backend(images))[0]
    lanes = [backend._lanes.get()]  # another thread is at it
    assert backend._lanes.qsize() == callers - 1
    if callers > 1:
        torch.testing.assert_close(flatten(backend(images))[0], expected)
        lanes.append(backend._lanes.get())
    for lane in lanes:
        compiled = lane._queue[0].get_compiled_model()
        assert compiled.get_property("ENABLE_CPU_PINNING") == (threads == 2)


TWO_ENGINES_AND_CTRL_C = """
import pathlib, signal, sys, torch
from posekit.backends import make_backend

def engine():
    net = torch.nn.Conv2d(3, 4, 3).eval()
    folder = pathlib.Path(sys.argv[1])
    backend = make_backend(net, "openvino", input_size=(16, 16), cache_dir=folder)
    backend(torch.zeros(1, 3, 16, 16))
    return backend

first, second = engine(), engine()
del first
del second
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
print("reports its use:", sys.modules.get("openvino_telemetry") is not None)
"""


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_after_two_openvino_engines_is_no_crash_nor_report(tmp_path: Path) -> None:
    skip_unavailable("openvino")
    done = subprocess.run(
        [sys.executable, "-c", TWO_ENGINES_AND_CTRL_C, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    expected = "interrupted\nreports its use: False\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


def test_an_engine_leaves_the_network_as_it_was(tiny: nn.Module, tmp_path: Path) -> None:
    before = {key: value.clone() for key, value in tiny.state_dict().items()}
    backend = make_backend(tiny, "torch", input_size=(16, 16), dtype=torch.float64)
    assert flatten(backend(images_of(2)))[0].dtype == torch.float64
    after = tiny.state_dict()
    assert all(value.equal(after[key]) for key, value in before.items())


@pytest.mark.parametrize(("kind", "hint"), [("onnx", "onnxruntime"), ("opnvino", "openvino")])
def test_unknown_engines_are_named_with_the_nearest(kind: str, hint: str, tiny: nn.Module) -> None:
    with pytest.raises(InputError, match=f"backend must be one of .* found '{kind}'; .*{hint}"):
        make_backend(tiny, kind, input_size=(16, 16))


def test_tensorrt_is_refused_on_the_cpu(tiny: nn.Module) -> None:
    with pytest.raises(InputError, match=r"backend=tensorrt cannot run on cpu here: .*device=cuda"):
        make_backend(tiny, "tensorrt", input_size=(16, 16))


def test_types_that_onnx_runtime_has_not_are_refused(tiny: nn.Module, tmp_path: Path) -> None:
    skip_unavailable("onnxruntime")
    with pytest.raises(InputError, match=r"float32, found torch\.bfloat16"):
        make_backend(
            tiny,
            "onnxruntime",
            input_size=(16, 16),
            dtype=torch.bfloat16,
            cache_dir=tmp_path,
        )


@pytest.mark.parametrize(
    ("kind", "dtype", "known"),
    [
        ("onnxruntime", torch.float16, "float32"),
        ("openvino", torch.float64, "float32 or float16 or bfloat16"),
        ("tensorrt", torch.bfloat16, "float32 or float16"),
    ],
)
def test_a_type_that_an_engine_has_not_is_a_reason(
    kind: str, dtype: torch.dtype, known: str
) -> None:
    reason = why_unavailable(kind, CPU, dtype)
    assert reason == f"it computes in {known}, found {dtype}; use another backend"
    assert "found" not in (why_unavailable(kind, CPU, torch.float32) or "")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_lower_precision_on_a_cpu_is_near_float32(
    kind: str, dtype: torch.dtype, tiny: nn.Module, tmp_path: Path
) -> None:
    if reason := why_unavailable(kind, CPU, dtype):
        pytest.skip(f"{kind}: {reason}")
    backend = make_backend(tiny, kind, input_size=(16, 16), dtype=dtype, cache_dir=tmp_path)
    with torch.inference_mode():
        expected = flatten(tiny(images_of(3)))
    found = flatten(backend(images_of(3)))
    for a, b in zip(expected, found, strict=True):
        assert b.dtype == dtype
        # bfloat16 rounds each number by up to 2^-9 of it; three layers of sums follow each other.
        torch.testing.assert_close(b.float(), a, atol=3e-2, rtol=3e-2)
        # It is rounded: float32 does not come back under another name.
        assert not torch.equal(b, a.to(dtype))


WHY_NOT = """
import torch
from posekit.backends import why_unavailable
print(why_unavailable("openvino", torch.device("cpu"), torch.float16))
print(why_unavailable("openvino", torch.device("cpu"), torch.float32))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="for x86")
def test_openvino_refuses_a_type_that_the_processor_has_not() -> None:
    skip_unavailable("openvino")
    # It would take bfloat16 in place of float16 then, or float32, without a word.
    as_avx2 = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = run_python("-c", WHY_NOT, env=as_avx2, check=True)
    reason, none = done.stdout.splitlines()
    assert "as this processor has no float16; use dtype=float32" in reason
    assert none == "None"


def test_tensorrt_engines_of_other_weights_are_elsewhere(
    tiny: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_unavailable("onnxruntime")
    folders = []
    target = Target(
        input_size=(16, 16),
        device=torch.device("cuda", 0),
        dtype=torch.float32,
        folder=tmp_path,
    )

    def keep(target: Target, folder: Path) -> dict:
        folders.append(folder)
        raise InputError("far enough")

    monkeypatch.setattr(tensorrt, "engine_options", keep)
    for _ in range(2):
        with pytest.raises(InputError, match="far enough"):
            tensorrt.TensorRtBackend(tiny, target)
        tiny.conv.weight.add_(1)
    assert folders[0] != folders[1]
    assert all(folder.parent == tmp_path for folder in folders)


@pytest.mark.parametrize("dtype", ["float64", "float8_e4m3fn", "int8", torch.float64, "float33"])
def test_a_predictor_has_three_types(dtype: str | torch.dtype) -> None:
    with pytest.raises(InputError, match="dtype must be float32, float16 or bfloat16"):
        load(MODEL, dtype=dtype)


def test_a_cache_that_cannot_be_written_is_named(tiny: nn.Module, tmp_path: Path) -> None:
    skip_unavailable("openvino")
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match=r"cannot write to the cache .*POSEKIT_CACHE"):
        make_backend(tiny, "openvino", input_size=(16, 16), cache_dir=blocked)


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

package = ""
sys.meta_path.insert(0, Blocked())
from pathlib import Path
from torch import nn
from posekit.backends import make_backend
from posekit.errors import InputError
net = nn.Conv2d(3, 4, 1).eval()
assert make_backend(net, "torch", input_size=(8, 8)) is not None
for case in sys.argv[2:]:
    package, kind = case.split(":")
    assert package not in sys.modules
    try:
        make_backend(net, kind, input_size=(8, 8), cache_dir=Path(sys.argv[1]))
    except InputError as error:
        print(error)
"""


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path) -> None:
    if torch.__version__.startswith(("2.4.", "2.5.")):
        pytest.skip("timm imports ONNX with this PyTorch")
    # The last one is asked for when the one before it has been imported.
    cases = ["openvino:openvino", "onnxruntime:onnxruntime", "onnx:onnxruntime"]
    for kind in ("openvino", "onnxruntime"):
        skip_unavailable(kind)
    done = run_python("-c", BLOCKED, tmp_path, *cases, check=True)
    lines = [line for line in done.stdout.splitlines() if "No module named" in line]
    for case, line in zip(cases, lines, strict=True):
        package, kind = case.split(":")
        assert f"No module named '{package}'" in line
        assert f'pip install "posekit[{kind}]"' in line


def test_every_kind_says_whether_it_can_run() -> None:
    reasons = {kind: why_unavailable(kind, CPU) for kind in KINDS}
    assert reasons["torch"] is None
    assert reasons["auto"] is None
    assert "NVIDIA" in (reasons["tensorrt"] or "")
