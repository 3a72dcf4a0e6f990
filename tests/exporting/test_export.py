"""`posekit.export`: what a caller gives, gets, and is told."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import posekit
from posekit.config import PACKAGED
from posekit.errors import InputError, PosekitError, UnknownModelError
from posekit.exporting.export import export
from posekit.exporting.result import ExportResult
from posekit.weights.hub import stand_in
from tests.conftest import ROOT
from tests.exporting.conftest import DRAWN, DRAWN_DETECTOR, report_of

LIFTER = "motionbert_h36m"


def test_the_function_is_there_before_and_after_its_room_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(vars(posekit), "export", raising=False)
    assert posekit.export is export
    importlib.import_module("posekit.exporting.formats.onnx")
    assert posekit.export is export
    # A module of that name would take its place as soon as it is imported.
    assert importlib.util.find_spec("posekit.export") is None


def test_the_result_is_what_the_report_says(pose_onnx: ExportResult) -> None:
    report = report_of(pose_onnx)
    assert report == pose_onnx.to_report()
    assert report["maximum_px"] == pose_onnx.difference.maximum_px
    assert next(iter(report)) == "file" and list(report)[-1] == "tolerance_px"
    assert [path.name for path in pose_onnx.paths] == ["pose.onnx", "pose.onnx.json"]
    assert all(path.is_file() for path in pose_onnx.paths)


def test_images_may_be_arrays(tmp_path: Path) -> None:
    image = np.full((64, 48, 3), 114, np.uint8)
    result = posekit.export(
        DRAWN,
        tmp_path / "pose.safetensors",
        format="safetensors",
        inputs=[image, image],
        detector="none",
    )
    assert (result.inputs, result.boxes) == ("2 images", "whole images")


def test_an_export_of_a_stand_in_says_so(
    rtmpose_t: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    name, other = "rtmpose-t_coco-256x192", "by its authors, from hf://a/b/c"
    cached = tmp_path / "cache" / "models" / f"{name}.safetensors"
    cached.parent.mkdir(parents=True)
    save_file(load_file(rtmpose_t), cached, metadata={"model": name, "stands_in": other})
    paths = [tmp_path / f"{letter}.safetensors" for letter in "abc"]
    sources = (None, paths[0], rtmpose_t)
    one = {"inputs": np.zeros((64, 48, 3), np.uint8), "detector": "none"}
    *others, own = [
        posekit.export(name, path, weights=weights, format="safetensors", **one)
        for path, weights in zip(paths, sources, strict=True)
    ]
    for result in others:
        assert stand_in(name, result.path) == report_of(result)["stands_in"] == other
    assert stand_in(name, own.path) is None
    assert "stands_in" not in report_of(own)


def test_the_documented_program_finds_what_posekit_finds(
    tmp_path: Path, whole_pose_onnx: ExportResult, whole_people_onnx: ExportResult
) -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (program,) = (program for program in programs if "import posekit" not in program)
    shutil.copy(whole_people_onnx.path, tmp_path / "people.onnx")
    shutil.copy(whole_pose_onnx.path, tmp_path / "pose.onnx")
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


def test_a_place_that_cannot_be_written_is_named_before_weights_are_fetched(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to .*file"):
        posekit.export("rtmpose-t_body8-256x192", tmp_path / "file" / "pose.onnx")


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (DRAWN, {"format": "onx"}, "format must be one of .*did you mean onnx"),
        (DRAWN, {"format": None}, "format must be one of"),
        (DRAWN, {"formt": "onnx"}, "unknown option 'formt'; did you mean format"),
        (DRAWN, {"opset": 21}, "opset must be a whole number from 14 to 20, found 21"),
        (DRAWN, {"output": "."}, "output of format=onnx must end in .onnx, found '.'"),
        (DRAWN, {"output": 3}, "output must be a text or a path, or left out, found 3"),
        (DRAWN, {"detector_weights": "a.pth", "detector": "none"}, "no detector to load them"),
        (DRAWN, {"inputs": []}, "inputs is empty"),
        (DRAWN, {"weights": "missing.pth"}, "missing.pth"),
        (DRAWN_DETECTOR, {"detector": "none"}, "is used alone"),
        (DRAWN_DETECTOR, {"detector_weights": "a.pth"}, "use weights"),
        (LIFTER, {"inputs": "a.jpg"}, "inputs does not apply: .* is a lifter"),
        (LIFTER, {"quantize": "int8"}, "quantize does not apply: .* is a lifter"),
        (LIFTER, {"decode": True}, "preprocess and decode are for networks that see images"),
        (LIFTER, {"detector": "none"}, "is a lifter: no detector finds its inputs"),
    ],
)
def test_mistakes_are_one_line(
    model: str,
    options: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PosekitError, match=message) as error:
        posekit.export(model, **options)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_files_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{DRAWN}.onnx").mkdir()
    with pytest.raises(InputError, match=r"output is a folder: .*\.onnx; name a file in it"):
        posekit.export(DRAWN)


def test_an_unknown_model_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match=f"did you mean .*{DRAWN}"):
        posekit.export(DRAWN.replace("drawn", "drwan"))
