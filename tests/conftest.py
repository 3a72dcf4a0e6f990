"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import posekit

ROOT = Path(__file__).resolve().parent.parent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` skip where PyTorch has no CUDA device."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference numbers, photographs and weights; skips where it is missing."""
    folder = Path(os.environ.get("POSEKIT_SHARED", ROOT.parent / "shared"))
    if not (folder / "reference").is_dir():
        pytest.skip(f"no reference material at {folder}; set POSEKIT_SHARED to its folder")
    return folder


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
