"""Fixtures that several tests share."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

import posekit

# No network: also where a test imports these before posekit does, which keeps them from reporting.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Tests, and what they start, find an empty home and no caches but the browsers.
HOME: str | None = None
if "PYTEST_XDIST_WORKER" not in os.environ:  # it has the home of the process that started it
    caches = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", str(caches / "ms-playwright"))
    for name in ("POSEKIT_CACHE", "HF_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        os.environ.pop(name, None)
    HOME = tempfile.mkdtemp(prefix="posekit-tests-home-")
    os.environ["HOME"] = os.environ["USERPROFILE"] = HOME

ROOT = Path(__file__).resolve().parent.parent


def pytest_unconfigure() -> None:
    if HOME is not None:
        shutil.rmtree(HOME, ignore_errors=True)


def pytest_collectstart() -> None:
    """Reading the tests makes millions of objects that stay, and hardly any garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Keeps thousands of tests out of each later collection of garbage: else 0.4 s."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Random numbers do not depend on earlier tests; `gpu` ones skip without a CUDA device."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("there is no CUDA device")
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that waits for ever, as for a process that hangs, fails, and shows where it waits."""
    if not hasattr(signal, "SIGALRM"):  # Windows
        return (yield)
    limit = 3600 if item.get_closest_marker("slow") else 600  # seconds, on a machine that is busy

    def fail(*_: object) -> None:
        pytest.fail(f"the test has not ended after {limit} s")

    signal.signal(signal.SIGALRM, fail)
    # Again every 10 s: leaving a `with` may wait for the same process.
    signal.setitimer(signal.ITIMER_REAL, limit, 10)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """No test leaves another level of logging, other threads or another type to the next one."""
    torch, root = sys.modules.get("torch"), logging.getLogger()
    level = root.level
    if torch is not None:
        threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
        grad = torch.is_grad_enabled()
    try:
        yield
    finally:
        root.setLevel(level)
        if torch is not None:
            torch.set_grad_enabled(grad)
            torch.set_default_dtype(dtype)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Children take SIGINT as in a terminal, though what a script runs with `&` ignores it."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def networks_as_they_are() -> Iterator[None]:
    """In this process nothing switches to an engine unasked.

    Many tests compare runs bit for bit, and which engines there are differs between machines.
    `tests/backends/test_default.py` is about the switch, and sets this back.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("posekit.backends.default.FIRST_PIXELS", sys.maxsize)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference numbers, photographs and weights; skips where it is missing."""
    folder = Path(os.environ.get("POSEKIT_SHARED", ROOT.parent / "shared"))
    if not (folder / "reference").is_dir():
        pytest.skip(f"no reference material at {folder}; set POSEKIT_SHARED to its folder")
    return folder


@pytest.fixture(scope="session")
def same_crops() -> None:
    """Skips where crops of photographs are not the reference's to the grey level.

    OpenCV before 5 rounds positions to 32nds of a pixel, which moves 7% of a crop by up to 3 grey
    levels, and with them the maxima of seeded networks, which are nearly ties.
    """
    if int(cv2.__version__.partition(".")[0]) < 5:
        pytest.skip("the reference numbers were measured with OpenCV 5")


@pytest.fixture(scope="session")
def rtmpose_m(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded weights of `human`: the ones that the reference's results were made with."""
    from tests.networks import save_seeded_weights

    folder = shared / "reference" / "pose2d" / "rtmpose-m_8xb256-420e_body8-256x192"
    path = tmp_path_factory.mktemp("weights") / "rtmpose-m.safetensors"
    return save_seeded_weights(folder, "rtmpose-m_body8-256x192", path)


@pytest.fixture(scope="session")
def rtmpose_t(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded weights of the smallest pose model, there without the shared folder too."""
    from tests.networks import save_seeded_weights

    folder = ROOT / "tests" / "data" / "pose2d" / "rtmpose-t_8xb256-420e_body8-256x192"
    path = tmp_path_factory.mktemp("weights") / "rtmpose-t.safetensors"
    return save_seeded_weights(folder, "rtmpose-t_body8-256x192", path)


@pytest.fixture(scope="session")
def person_detector(shared: Path) -> Path:
    """Real weights of the detector `rtmdet-nano_person-320`, in OpenMMLab's layout."""
    return shared / "weights" / "rtmdet_nano_person.pth"


@pytest.fixture(scope="session")
def small(rtmpose_t: Path) -> posekit.Predictor:
    """The smallest model, on whole images."""
    return posekit.load(
        "rtmpose-t_body8-256x192", weights=rtmpose_t, detector="whole_image", device="cpu"
    )


@pytest.fixture(scope="session")
def human(
    rtmpose_m: Path, person_detector: Path, tmp_path_factory: pytest.TempPathFactory
) -> posekit.Predictor:
    """`human` with the weights and the detector that the reference's results were made with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        return posekit.load(
            "human",
            weights=rtmpose_m,
            detector="rtmdet-nano_person-320",
            detector_weights=person_detector,
            device="cpu",
        )
