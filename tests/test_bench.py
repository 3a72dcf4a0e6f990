"""posekit bench: the figures are there and fit each other; how large they are is not tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posekit.cli import main

SMALL = ["model=rtmpose-n_drawn-192x128", "rounds=2"]


def test_engines_and_stages_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "bench.json"
    options = ["batch_sizes=[1,3]", "backends=[torch,onnxruntime]", "people=2", f"out={out}"]
    assert main(["bench", *SMALL, "device=cpu", *options]) == 0
    content = json.loads(out.read_text())
    assert content["machine"]["device"]
    tables = content["networks"]
    assert [(table["model"], table["batch"]) for table in tables] == [
        ("rtmdet-nano_drawn-256", 1),
        ("rtmpose-n_drawn-192x128", 1),
        ("rtmpose-n_drawn-192x128", 3),
    ]
    for table in tables:
        assert list(table["milliseconds"]) == [
            "plain PyTorch", "backend=torch", "backend=onnxruntime", "ONNX Runtime alone",
            "OpenVINO alone",
        ]  # fmt: skip
        assert all(len(taken) == 2 for taken in table["milliseconds"].values())
        assert table["floor ms"] > 0
    assert tables[2]["GFLOP"] == pytest.approx(3 * tables[1]["GFLOP"])
    stages = {row["stage"]: row["ms"] for row in content["stages"]}
    assert stages["pose: network"] < stages["pose: all of it"] < stages["whole frame"]
    assert content["frame"] == {
        "backend": "torch", "dtype": "float32", "inputs": None, "people": 2, "flip_test": False,
        "rounds": 2,
    }  # fmt: skip
    assert {"onnxruntime", "openvino"} < set(content["machine"])
    assert {"read", "detect: network", "crop", "draw", "write"} < set(stages)
    printed = capsys.readouterr().out
    assert "to floor" in printed and "around the networks" in printed


def test_engines_without_the_type_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    options = ["model=rtmdet-nano_drawn-256", "rounds=1", "device=cpu", "dtype=bfloat16"]
    assert main(["bench", *options]) == 0
    printed = capsys.readouterr().out
    assert "backend=torch" in printed
    assert "backend=onnxruntime" not in printed


def test_a_detector_is_measured_alone(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["model=rtmdet-nano_drawn-256", "rounds=1", "backends=[torch]", "direct=false"]
    assert main(["bench", *options]) == 0
    printed = capsys.readouterr().out
    assert "rtmdet-nano_drawn-256, batch 1" in printed
    assert "pose" not in printed.replace("posekit", "")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=human3d"], "name the 2D model below it"),
        (["model=rtmdet-nano_drawn-256", "detector=human"], "measured alone"),
        (["rounds=0"], "rounds must be a whole number of at least 1, found 0"),
        (["batch_sizes=8"], "batch_sizes: expected a list such as [1,8], found 8"),
        (["backends=[fast]"], "backends: expected a list of auto, torch"),
        (["backends=[tensorrt]"], "backend=tensorrt cannot run on cpu here"),
        (["dtype=int8"], "dtype must be float32"),
        (["dtype=bfloat16", "backends=[onnxruntime]"], "it runs in float32, found torch.bfloat16"),
        # Before anything is measured, which would find the weights missing.
        (["out=/nonexistent/x/b.json", "weights=missing.pth"], "out=/nonexistent/x/b.json: "),
        (["out=/", "weights=missing.pth"], "out=/: expected a file"),
        (["weights=missing.pth"], "no such file"),
        (["batch_sizes=[100000000]", "backends=[torch]", "direct=false"], "not enough memory: "),
        (["inputs=missing.mp4", "backends=[torch]", "direct=false", "batch_sizes=[1]"], "missing"),
    ],
)
def test_what_cannot_be_measured_is_explained(
    overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = [] if any(text.startswith("model=") for text in overrides) else SMALL[:1]
    rounds = [] if any(text.startswith("rounds=") for text in overrides) else SMALL[1:]
    assert main(["bench", *model, *rounds, "device=cpu", *overrides]) == 1
    assert message in capsys.readouterr().err
