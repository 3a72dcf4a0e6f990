"""`posekit export`: the same as the function, from `key=value`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posekit.cli import main
from posekit.commands.export import export
from posekit.errors import InputError, WeightsError

MODEL = "rtmpose-t_body8-256x192"
DETECTOR = "rtmdet-nano_person-320"


def test_the_command_writes_prints_and_succeeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "pose.safetensors"
    assert export(["model=demo", "format=safetensors", f"output={output}"]) == 0
    line = r"largest difference [\d.]+ px, mean [\d.]+ px, on 16 crops of drawn people, boxes of"
    assert re.fullmatch(f"{re.escape(str(output))}: {line} labels\n", capsys.readouterr().out)
    assert sorted(tmp_path.iterdir()) == [output, tmp_path / "pose.safetensors.json"]


def test_the_composed_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--cfg", "model=demo", "opset=16"]) == 0
    assert "\nopset: 16\n" in capsys.readouterr().out


def test_ranges_that_are_measured_on_drawn_people_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"missing\.pth"):
        export(["model=demo", "quantize=int8", "weights=missing.pth"])
    assert "int8 value ranges are measured on drawn people" in caplog.text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["format=onx"], "format must be .*did you mean onnx"),
        (["output=pose.txt"], "must end in .onnx"),
        (["dtype=float8"], "dtype must be one of float32, float16"),
        (["quantize=int4"], "quantize must be int8"),
        (["quantize=int8", "format=torchscript"], "for format=onnx"),
        (["quantize=int8", "dtype=float16"], "with dtype=float32"),
        (["model=vitpose-s", "decode=true"], "decode=true is for SimCC"),
        (["opset=9"], "opset must be a whole number from 14 to 20"),
        (["detector=rtmdet-m_person-640", f"model={DETECTOR}"], "is used alone"),
        ([f"model={DETECTOR}", "detector=rtmdet-m_person-640"], "is used alone"),
        (["preprocess=maybe"], "preprocess must be true or false"),
        (["model=motionbert_h36m", "inputs=a.jpg"], "inputs does not apply"),
        (["inputs=missing.jpg"], "missing.jpg"),
        (["format=safetensors", "decode=true"], "decode=true is for graphs"),
        (["formt=onnx"], "did you mean format"),
        (["format=[onnx,openvino]"], "format must be"),
        (["output=[a.onnx]"], "output: expected one file or folder, found a list"),
        (["detector=rtmdet-nano_person-320"], "nothing to export"),
        ([f"model={DETECTOR}", "detector_weights=a.pth"], "use weights"),
        (["detector=none"], "nothing to export"),
        ([f"model={MODEL}", "detector=none", "detector_weights=a.pth"], "no detector to load them"),
    ],
)
def test_mistakes_are_named_before_weights_are_fetched(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        export(overrides)
