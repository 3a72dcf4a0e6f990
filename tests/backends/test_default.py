"""Without `backend=`: the network itself for a picture, an engine for many, and never an error."""

from __future__ import annotations

import logging
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

import posekit
from posekit.backends import KINDS, default, make_backend
from posekit.backends.auto import AutoBackend
from posekit.backends.choose import DEFAULT, choose_backend
from posekit.backends.default import (
    DefaultBackend,
    default_dtype,
    default_order,
    describe_default,
    network_dtype,
)
from posekit.backends.engine import Backend, Target
from posekit.backends.files import GraphFile
from posekit.backends.kinds import ENGINES
from posekit.backends.machine import processor_kind
from posekit.backends.priors import FLOOR, PRIORS, prior_order
from posekit.config import PACKAGED
from posekit.errors import InputError
from posekit.stages.estimate import PoseEstimator
from tests.processes import run_python

CPU = torch.device("cpu")
FIRST = 8  # images of 8x8 before an engine is made


@pytest.fixture(autouse=True)
def as_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Engines are made when they are by default; everywhere else in the tests they are not."""
    monkeypatch.setattr(default, "FIRST_PIXELS", FIRST * 8 * 8)
    monkeypatch.setattr(default, "processor_kind", lambda: "x86-64")
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path))
    default._tell_what_would_help.cache_clear()


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU()
    return nn.Sequential(*layers).eval().requires_grad_(False)


def images_of(count: int) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(count))


def backend_of(net: nn.Module) -> DefaultBackend:
    backend = choose_backend(net, (8, 8), DEFAULT)
    assert isinstance(backend, DefaultBackend)
    return backend


class Noted:
    """Makes engines as posekit does, but of any name, and notes which and what they computed."""

    def __init__(self, fails: Callable[[str], bool] = lambda kind: False) -> None:
        self.made: list[str] = []
        self.ran: list[str] = []
        self.fails = fails

    def __call__(self, net: nn.Module, kind: str, target: Target) -> Backend:
        self.made.append(kind)

        def run(images: Tensor) -> Any:
            if self.fails(kind):
                raise RuntimeError(f"{kind} is broken")
            self.ran.append(kind)
            return net(images)

        return run


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    maker = Noted()
    monkeypatch.setattr(default, "make_engine", maker)
    monkeypatch.setattr(default, "why_unavailable", lambda *arguments: None)
    return maker


def test_who_settles_has_the_engine_from_the_first_image_on(net: nn.Module, noted: Noted) -> None:
    backend = backend_of(net)
    backend.settle()
    assert noted.made == ["openvino"] and not noted.ran
    backend(images_of(1))
    backend(images_of(3))
    backend.settle()
    assert noted.made == ["openvino"] and noted.ran == ["openvino", "openvino"]


@pytest.mark.parametrize(
    ("device", "capability", "expected"),
    [
        ("cpu", None, torch.float32),
        ("mps", None, torch.float32),
        ("cuda", (6, 1), torch.float32),
        ("cuda", (7, 0), torch.float16),
        ("cuda", (8, 9), torch.float16),
        ("cuda", (12, 0), torch.float16),
    ],
)
def test_half_precision_is_for_cards_that_are_made_for_it(
    device: str, capability: tuple[int, int] | None, expected: torch.dtype
) -> None:
    assert default_dtype(device, capability) == expected


@pytest.mark.parametrize("backend", [None, "torch"])
def test_a_type_that_is_named_and_a_processor_keep_theirs(backend: str | None) -> None:
    assert network_dtype(None, CPU, backend) == torch.float32
    assert network_dtype("bfloat16", CPU, backend) == torch.bfloat16
    # Who names a backend on a GPU has float32; the card is not asked.
    assert network_dtype(None, torch.device("cuda"), "torch") == torch.float32
    assert network_dtype("float32", torch.device("cuda"), backend) == torch.float32


@pytest.mark.parametrize(
    ("device", "dtype", "processor", "network", "expected"),
    [
        ("cuda", torch.float16, "x86-64", "RTMPose", ("torch",)),
        ("mps", torch.float32, "arm64", "RTMPose", ()),
        ("cpu", torch.float32, "x86-64", "RTMDet", ("openvino", "onnxruntime", "torch")),
        ("cpu", torch.float32, "x86-64", "ViTPose", ("openvino", "torch")),
        ("cpu", torch.bfloat16, "x86-64", "RTMDet", ("torch",)),
        ("cpu", torch.float32, "arm64", "RTMDet", ("torch",)),
        ("cpu", torch.float32, "riscv64", "Mine", ("torch",)),
    ],
)
def test_the_order_follows_from_the_machine_and_the_network(
    device: str, dtype: torch.dtype, processor: str, network: str, expected: tuple[str, ...]
) -> None:
    assert default_order(device, dtype, processor=processor, network=network) == expected


def test_the_table_names_engines_and_networks() -> None:
    for processor, of_kind in PRIORS.items():
        assert "*" in of_kind
        for network in of_kind:
            order = prior_order(processor, network)
            assert set(order) <= set(ENGINES) and order[-1] == FLOOR
            name = network.lower()
            assert network == "*" or f"class {network}(" in (
                Path(posekit.__file__).parent / "models" / f"{name}.py"
            ).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("machine", "kind"),
    [("x86_64", "x86-64"), ("AMD64", "x86-64"), ("aarch64", "arm64"), ("arm64", "arm64")],
)
def test_processors_have_one_name_on_all_systems(
    machine: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert processor_kind() == kind


def test_the_first_frames_are_the_networks_own(net: nn.Module, noted: Noted) -> None:
    backend = backend_of(net)
    for _ in range(FIRST):
        assert backend(images_of(1)).equal(net(images_of(1)))
    assert noted.made == []
    for _ in range(2):
        backend(images_of(1))
    assert (noted.made, noted.ran) == (["openvino"], ["openvino", "openvino"])


@pytest.mark.parametrize(
    ("batches", "before"), [([1] * 9, 8), ([3] * 5, 3), ([8] * 2, 1), ([64, 1], 1), ([0] * 9, 9)]
)
def test_images_are_counted_and_not_batches(
    batches: list[int], before: int, net: nn.Module, noted: Noted
) -> None:
    backend = backend_of(net)
    for count in batches:
        assert backend(images_of(count)).equal(net(images_of(count)))
    assert len(noted.ran) == len(batches) - before


def test_an_engine_that_is_not_installed_is_left_out_and_named_once(
    net: nn.Module, noted: Noted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    missing = ("openvino", "onnxruntime")
    monkeypatch.setattr(
        default, "why_unavailable", lambda kind, *rest: "missing" if kind in missing else None
    )
    for _ in range(2):
        backend = backend_of(net)
        for count in range(FIRST):
            backend(images_of(1))
            assert "faster" not in caplog.text or _ or count == FIRST
        backend(images_of(1))
        backend(images_of(2))
    assert set(noted.ran) == {"torch"}
    assert caplog.text.count('faster with openvino here: pip install "posekit[openvino]"') == 1


@pytest.mark.parametrize("when", ["made", "run"])
def test_an_engine_that_fails_is_replaced_with_one_warning(
    when: str,
    net: nn.Module,
    noted: Noted,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if when == "run":
        noted.fails = lambda kind: kind == "openvino"
    else:
        make = noted.__call__

        def failing(net: nn.Module, kind: str, target: Target) -> Backend:
            if kind == "openvino":
                raise InputError("no room in the cache")
            return make(net, kind, target)

        monkeypatch.setattr(default, "make_engine", failing)
    backend = backend_of(net)
    for count in [1] * (FIRST + 3) + [2, 1, 2]:
        assert backend(images_of(count)).equal(net(images_of(count)))
    assert caplog.text.count("backend=openvino") == 1
    assert set(noted.ran) == {"onnxruntime"}


def test_an_engine_whose_libraries_do_not_load_is_no_error(
    net: nn.Module, noted: Noted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def why(kind: str, *rest: object) -> None:
        if kind == "openvino":
            raise OSError("libtbb.so.12: cannot open shared object file")

    monkeypatch.setattr(default, "why_unavailable", why)
    backend = backend_of(net)
    for count in [1] * (FIRST + 2) + [2]:
        assert backend(images_of(count)).equal(net(images_of(count)))
    assert caplog.text.count("backend=openvino cannot be imported for Sequential") == 1
    assert set(noted.ran) == {"onnxruntime"}


def test_where_every_engine_fails_the_network_goes_on(net: nn.Module, noted: Noted) -> None:
    noted.fails = lambda kind: True
    backend = backend_of(net)
    for _ in range(FIRST + 5):
        assert backend(images_of(1)).equal(net(images_of(1)))
    assert noted.made == ["openvino", "onnxruntime", "torch"]


def test_images_that_are_at_fault_are_no_fault_of_the_engine(
    net: nn.Module, noted: Noted, caplog: pytest.LogCaptureFixture
) -> None:
    backend = backend_of(net)
    for _ in range(FIRST + 1):
        backend(images_of(1))
    with pytest.raises(RuntimeError, match="channels"):
        backend(torch.zeros(1, 5, 8, 8))
    backend(images_of(1))
    assert set(noted.ran) == {"openvino"}
    assert not caplog.records


def test_memory_that_is_full_is_an_error(net: nn.Module, noted: Noted) -> None:
    def full(kind: str) -> bool:
        raise MemoryError

    noted.fails = full
    backend = backend_of(net)
    for _ in range(FIRST):
        backend(images_of(1))
    with pytest.raises(MemoryError):
        backend(images_of(1))


def test_what_was_measured_here_comes_first(
    net: nn.Module, noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posekit.backends.auto.auto_candidates", lambda: ("torch",))
    make_backend(net, "auto", input_size=(8, 8))(images_of(1))
    backend = backend_of(net)
    for count in [1] * (FIRST + 1) + [2]:
        backend(images_of(count))
    assert noted.ran == ["torch", "openvino"]  # of several images nothing was measured


def test_threads_make_one_engine(net: nn.Module, noted: Noted) -> None:
    backend = backend_of(net)
    for _ in range(FIRST):
        backend(images_of(1))
    together = threading.Barrier(4)

    def work(_: int) -> Tensor:
        together.wait()
        return backend(images_of(1))

    with ThreadPoolExecutor(4) as threads:
        assert all(out.equal(net(images_of(1))) for out in threads.map(work, range(4)))
    assert noted.made == ["openvino"]
    assert len(noted.ran) == 4


def test_a_real_engine_gives_the_networks_outputs(net: nn.Module, monkeypatch: Any) -> None:
    pytest.importorskip("openvino")
    backend = backend_of(net)
    assert not backend.computes_images_apart
    for count in [1] * FIRST + [1, 3, 0, 9]:
        torch.testing.assert_close(
            backend(images_of(count)), net(images_of(count)), atol=1e-5, rtol=0
        )
    assert backend.computes_images_apart


def test_a_graph_is_run_as_auto_does(net: nn.Module, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    graph = GraphFile(tmp_path / "a.onnx", net.to("meta"))
    assert isinstance(choose_backend(graph, (8, 8), DEFAULT), AutoBackend)


def test_a_loaded_predictor_has_it_and_eager_is_the_network() -> None:
    estimator = posekit.load("demo", detector="whole_image", device="cpu").estimator
    assert isinstance(estimator, PoseEstimator)
    assert isinstance(estimator.run, DefaultBackend)
    eager = posekit.load("demo", detector="whole_image", device="cpu", backend="eager").estimator
    assert isinstance(eager, PoseEstimator)
    images = torch.zeros(1, 3, *reversed(eager.input_size))
    with torch.inference_mode():
        expected = eager.net(images)
    assert all(a.equal(b) for a, b in zip(eager.run(images), expected, strict=True))
    assert DEFAULT not in KINDS
    with pytest.raises(InputError, match="backend must be one of auto, compile, eager"):
        posekit.load("demo", device="cpu", backend=DEFAULT)


def test_a_smaller_type_by_default_is_the_networks_and_not_a_graphs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, net: nn.Module
) -> None:
    # As on a GPU, whose type a processor has too.
    monkeypatch.setattr("posekit.predictor.network_dtype", lambda *arguments: torch.bfloat16)
    predictor = posekit.load("demo", detector="whole_image", device="cpu")
    assert next(predictor.estimator.net.parameters()).dtype == torch.bfloat16
    (result,) = predictor.stream(np.full((64, 48, 3), 128, np.uint8))
    assert np.isfinite(result.keypoints).all()
    graph = GraphFile(tmp_path / "a.onnx", net).to(torch.bfloat16)
    monkeypatch.setattr("posekit.predictor.load_network", lambda *rest, **options: graph)
    monkeypatch.setattr("posekit.predictor.make_estimator", lambda net, *rest: net)
    taken = posekit.load("demo", detector="whole_image", device="cpu").estimator
    assert next(taken.parameters()).dtype == torch.float32


def test_poses_after_the_first_frames_are_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(default, "FIRST_PIXELS", 1)
    image = cv2.imread(str(PACKAGED / "demo.jpg"))
    predictor = posekit.load("demo", device="cpu")
    before, after, again = predictor.stream([image] * 3, batch_size=1)
    assert isinstance(predictor.estimator, PoseEstimator)
    run = predictor.estimator.run
    assert isinstance(run, DefaultBackend) and list(run._made) == ["openvino"]
    assert len(before) > 1
    np.testing.assert_allclose(after.boxes_xyxy, before.boxes_xyxy, atol=0.1)
    away = np.linalg.norm(after.keypoints - before.keypoints, axis=-1)
    assert np.quantile(away, 0.99) <= 0.1
    np.testing.assert_array_equal(after.keypoints, again.keypoints)


ONE_PICTURE = """
import sys
from posekit.cli import main

status = main(["predict", "model=demo", "device=cpu", f"out_dir={sys.argv[1]}"])
print(status, [name for name in ("openvino", "onnxruntime", "onnx") if name in sys.modules])
"""


def test_a_single_picture_imports_no_engine(tmp_path: Path) -> None:
    if torch.__version__.startswith(("2.4.", "2.5.")):
        pytest.skip("timm imports ONNX with this PyTorch")
    done = run_python("-c", ONE_PICTURE, tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
    assert not (tmp_path / "backends").exists()
    assert "faster" not in done.stderr


def test_the_default_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        default, "why_unavailable", lambda kind, *rest: "no" if kind == "openvino" else None
    )
    rows = dict(describe_default(CPU))
    assert rows["type"] == "float32"
    assert rows["at first"].startswith("the networks as they are")
    assert rows["other networks"].startswith("onnxruntime, the first available of openvino, ")
    assert rows["ViTPose"].startswith("torch, the first available of openvino, torch on x86-64")


def test_nothing_is_logged_above_info_in_a_usual_run(
    net: nn.Module, noted: Noted, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        backend = backend_of(net)
        for _ in range(FIRST + 1):
            backend(images_of(1))
    assert [record.levelno for record in caplog.records] == [logging.INFO]
    assert "Sequential continues with backend=openvino" in caplog.text
