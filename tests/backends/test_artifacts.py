"""What engines leave in the cache is used again, and made anew where it is damaged."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from posekit.backends import make_backend, why_unavailable
from posekit.backends.artifacts import fingerprint, load_artifact
from posekit.errors import InputError

CPU = torch.device("cpu")
# Starting the compiler takes ten seconds, for the smallest network too.
SLOW_COMPILE = pytest.param("compile", marks=pytest.mark.slow)

RUN = """
import sys
from pathlib import Path
import torch
from torch import nn
from posekit.backends import make_backend

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 2, 1)).eval()
images = torch.ones(1, 3, 8, 8)
outputs = make_backend(net, sys.argv[1], input_size=(8, 8), cache_dir=Path(sys.argv[2]))(images)
print(float((outputs - net(images)).abs().max()) < 1e-5)
"""


@pytest.mark.parametrize("kind", [SLOW_COMPILE, "onnxruntime", "openvino"])
def test_a_second_process_uses_what_the_first_made(kind: str, tmp_path: Path) -> None:
    if reason := why_unavailable(kind, CPU):
        pytest.skip(f"{kind}: {reason}")

    def run() -> dict[Path, int]:
        command = [sys.executable, "-c", RUN, kind, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "True"
        files = [f for f in (tmp_path / "backends").rglob("model.*") if f.is_file()]
        return {file: file.stat().st_mtime_ns for file in files}

    first = run()
    assert first
    assert run() == first


def test_a_damaged_artifact_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def make(folder: Path) -> None:
        (folder / "number").write_text("7")

    def load(folder: Path) -> int:
        return int((folder / "number").read_text())

    assert load_artifact(tmp_path, "a", make=make, load=load) == 7
    (tmp_path / "a" / "number").write_text("seven")
    with caplog.at_level(logging.WARNING):
        assert load_artifact(tmp_path, "a", make=make, load=load) == 7
    assert "is damaged and is made anew" in caplog.text


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        load_artifact(tmp_path, "a", make=make, load=lambda folder: 0)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="POSEKIT_CACHE"):
        load_artifact(tmp_path / "file", "a", make=lambda folder: None, load=lambda folder: 0)


def test_weights_and_details_change_the_fingerprint() -> None:
    net = nn.Linear(2, 2)
    first = fingerprint(net, "a")
    assert fingerprint(net, "a") == first
    assert fingerprint(net, "b") != first
    with torch.no_grad():
        net.weight[0, 0] += 1
    assert fingerprint(net, "a") != first


def test_a_network_in_training_is_no_surprise_to_the_cache(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="eval"):
        make_backend(net, "torch", input_size=(8, 8), cache_dir=tmp_path)
