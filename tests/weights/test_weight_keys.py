"""Errors about weights name the key that the user of each interface has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from safetensors.torch import save_file

import posekit
from posekit.apis import MMPoseInferencer, init_model
from posekit.build import build_network
from posekit.cli import main
from posekit.commands import inferencer, topdown
from posekit.config import read_config
from posekit.errors import DownloadError
from posekit.spec import read_spec

POSE = "rtmpose-t_body8-256x192"
DETECTOR = "rtmdet-nano_person-320"
NOWHERE = "http://127.0.0.1:1/net.pth"


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be had."""
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("POSEKIT_HUB_NAMESPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("grey.png", np.full((64, 64, 3), 128, np.uint8))


@pytest.fixture
def lifter(tmp_path: Path) -> tuple[str, str]:
    """YAML and weights of a small lifter."""
    config = read_config("motionbert_h36m")
    config = {**config, "net": {**config["net"], "channels": 16, "depth": 1, "max_frames": 2}}
    (tmp_path / "lifter").mkdir()
    path = tmp_path / "lifter" / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    net = build_network(read_spec(config, "tiny").net, device="cpu")
    weights = tmp_path / "tiny.safetensors"
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    save_file(state, weights, metadata={"model": "tiny"})
    return str(path), str(weights)


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(DownloadError) as raised:
        call()
    return str(raised.value)


def test_of_load(lifter: tuple[str, str], rtmpose_t: Path) -> None:
    yaml_path, of_lifter = lifter
    assert reason(lambda: posekit.load(POSE)).endswith("pass it: weights=FILE")
    assert reason(lambda: posekit.load("human3d")).endswith("pass it: weights=FILE")
    error = reason(lambda: posekit.load(yaml_path, weights=of_lifter))
    assert error.endswith("pass it: pose2d_weights=FILE")
    error = reason(lambda: posekit.load("demo", detector=DETECTOR))
    assert error.endswith("pass it: detector_weights=FILE")
    lazy = posekit.load(POSE, weights=rtmpose_t, device="cpu")
    error = reason(lambda: list(lazy("grey.png")))
    assert error.endswith("pass it: detector_weights=FILE")


def test_of_the_drop_in(lifter: tuple[str, str], rtmpose_t: Path) -> None:
    yaml_path, of_lifter = lifter
    assert reason(lambda: MMPoseInferencer(POSE)).endswith("pass it: pose2d_weights=FILE")
    error = reason(lambda: MMPoseInferencer(pose3d="human3d"))
    assert error.endswith("pass it: pose3d_weights=FILE")
    error = reason(lambda: MMPoseInferencer(pose3d="hand3d", det_model="whole_image"))
    assert error.endswith("pass it: pose3d_weights=FILE")
    error = reason(lambda: MMPoseInferencer(pose3d=yaml_path, pose3d_weights=of_lifter))
    assert error.endswith("pass it: pose2d_weights=FILE")
    error = reason(lambda: MMPoseInferencer("demo", det_model=DETECTOR))
    assert error.endswith("pass it: det_weights=FILE")
    lazy = MMPoseInferencer(POSE, pose2d_weights=str(rtmpose_t), device="cpu")
    error = reason(lambda: list(lazy("grey.png")))
    assert error.endswith("pass it: det_weights=FILE")
    assert reason(lambda: init_model(POSE)).endswith("pass it: checkpoint=FILE")
    # What was named there is not named so here.
    assert reason(lambda: posekit.load(POSE)).endswith("pass it: weights=FILE")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("predict", f"model={POSE}", "inputs=grey.png"), "weights="),
        (("predict", "model=demo", f"detector={DETECTOR}", "inputs=grey.png"), "detector_weights="),
        (("bench", f"model={POSE}", "weights=published", "inputs=grey.png"), "weights="),
        (("export", f"model={POSE}", "output=x.onnx"), "weights="),
    ],
)
def test_of_the_command_line(
    words: tuple[str, ...], key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(words)) == 1
    assert capsys.readouterr().err.strip().endswith(f"pass it: {key}FILE")


def test_of_the_command_line_for_a_lifters_2d_model(
    lifter: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["model=tiny", f"weights={lifter[1]}", "inputs=grey.png", "device=cpu"]
    assert main(["predict", "--config-dir", str(tmp_path), *words]) == 1
    assert capsys.readouterr().err.strip().endswith("pass it: pose2d_weights=FILE")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (f"--pose2d {POSE}", "--pose2d-weights "),
        ("--pose3d human3d", "--pose3d-weights "),
        (f"--pose2d demo --det-model {DETECTOR}", "--det-weights "),
    ],
)
def test_of_the_flags(words: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert inferencer.main(["grey.png", *words.split()]) == 1
    assert capsys.readouterr().err.strip().endswith(f"pass it: {key}FILE")


def test_of_the_top_down_command(capsys: pytest.CaptureFixture[str], rtmpose_t: Path) -> None:
    input_ = ["--input", "grey.png"]
    assert topdown.main([DETECTOR, NOWHERE, POSE, str(rtmpose_t), *input_]) == 1
    assert capsys.readouterr().err.strip().endswith("pass it: det_weights FILE")
    assert topdown.main([DETECTOR, NOWHERE, POSE, NOWHERE, *input_]) == 1
    assert capsys.readouterr().err.strip().endswith("pass it: pose_weights FILE")
