"""`posekit doctor` says what is there, in real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from posekit.backends import make_backend
from posekit.backends.auto import read_choices, remembered_kind
from posekit.backends.engine import Target
from posekit.backends.kinds import auto_candidates
from posekit.cli import main
from posekit.commands.doctor import doctor
from posekit.errors import InputError
from posekit.version import __version__
from posekit.weights.load import create_model
from tests.processes import run_python


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the processor can do at best takes a while to measure well."""
    monkeypatch.setattr("posekit.commands.doctor.MATRIX_SIZE", 256)


def test_versions_device_engines_and_speed_are_printed(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(device="cpu") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"posekit {__version__}" in lines
    assert "used cpu" in lines
    assert "torch available" in lines
    assert any(line.startswith("tensorrt it is for NVIDIA GPUs") for line in lines)
    assert "nothing yet" in lines
    (rate,) = [line.split()[-2] for line in lines if line.endswith("GFLOP/s")]
    assert float(rate) > 0


def test_what_is_wrong_comes_last_and_decides_the_status(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "file").touch()
    monkeypatch.setenv("POSEKIT_CACHE", str(cache / "file"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert doctor(device="cpu") == 1
    _, _, wrong = capsys.readouterr().out.partition("what is wrong\n")
    lines = wrong.splitlines()
    assert lines[-2].startswith(f"  BROKEN  the cache {cache / 'file'} cannot be written")
    assert lines[-1].startswith("    mend  export POSEKIT_CACHE=FOLDER")
    assert all(line.startswith(("  note    ", "    mend  ")) for line in lines[:-2])


def test_a_device_that_is_not_there_is_an_error_after_what_is_wrong(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="device 'cuda:99' cannot be used here"):
        doctor(device="cuda:99")
    assert "what is wrong" in capsys.readouterr().out


def test_what_auto_chose_is_printed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choice = {"kind": "openvino", "network": "RTMPose", "batch": "one"}
    (cache / "backends").mkdir()
    (cache / "backends" / "auto.json").write_text(
        json.dumps({"key": {**choice, "milliseconds": {"torch": 50.0, "openvino": 22.5}}})
    )
    doctor(device="cpu")
    expected = r"RTMPose, batch of one openvino (torch 50.0 ms, openvino 22.5 ms)"
    assert expected in " ".join(capsys.readouterr().out.split())
    assert "openvino" in auto_candidates()


def test_choices_for_one_kind_of_network_can_be_told_apart(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = nn.Conv2d(3, 4000, 5).eval().requires_grad_(False)
    for width, dtype in ((8, torch.float32), (16, torch.float32), (16, torch.float64)):
        backend = make_backend(net, "auto", input_size=(width, 24), dtype=dtype)
        backend(torch.zeros(1, 3, 24, width, dtype=dtype))
    doctor(device="cpu")
    printed = " ".join(capsys.readouterr().out.split())
    for measured in ("24x8, batch of one, float32", "24x16, batch of one, float32",
                     "24x16, batch of one, float64"):  # fmt: skip
        threads = torch.get_num_threads()
        assert f"Conv2d of 0.3 M, {measured} on cpu, {threads} threads" in printed


def test_the_device_is_named_as_in_other_commands(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "device=cpu"]) == 0
    assert "used cpu" in " ".join(capsys.readouterr().out.split())
    assert main(["doctor", "device=cuda:99"]) == 1
    assert "device 'cuda:99' cannot be used here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word", ["cuda", "device", "device=", "dtype=float16", "measure", "measure=1"]
)
def test_anything_else_than_a_device_is_refused(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", word]) == 1
    assert (
        f"doctor takes device=NAME and measure=true only, found '{word}'" in capsys.readouterr().err
    )


def test_threads_and_missing_packages_are_those_of_the_process(cache: Path) -> None:
    program = (
        "import sys, torch; sys.modules['openvino'] = None; torch.set_num_threads(1)\n"
        "from posekit.commands import doctor\n"
        "doctor.MATRIX_SIZE = 256\n"
        "sys.exit(doctor.doctor(device='cpu'))"
    )
    done = run_python("-c", program)  # fails where OpenVINO is a dependency
    text = " ".join(done.stdout.split())
    assert "threads 1 of" in text
    assert 'pip install "posekit[openvino]"' in text


def test_the_default_is_said_with_its_reason(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor(device="cpu")
    printed = " ".join(capsys.readouterr().out.split())
    _, _, section = printed.partition("default on cpu, where no backend= is given ")
    assert section.startswith("type float32 at first the networks as they are")
    assert "measured networks the fastest engine, see below chosen by auto" in section
    assert "posekit doctor measure=true measures the engines" in section


def test_what_is_measured_is_remembered_and_followed(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posekit.commands.doctor.MEASURED", "demo")
    # One engine, which is quick to make; that it is the fastest of all is another test's.
    monkeypatch.setattr("posekit.backends.auto.auto_candidates", lambda: ("torch",))
    assert main(["doctor", "device=cpu", "measure=true"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    threads = torch.get_num_threads()
    assert printed.count("batch of one") == 2  # the detector and the pose network
    assert printed.count("batch of many") == 1
    choices = read_choices(cache / "backends" / "auto.json")
    assert sorted(choice["batch"] for choice in choices.values()) == ["many", "one", "one"]
    assert {choice["threads"] for choice in choices.values()} == {threads}
    net = create_model("rtmpose-n_drawn-192x128", weights="published")
    target = Target(
        input_size=(128, 192), device=torch.device("cpu"), dtype=torch.float32,
        folder=cache / "backends",
    )  # fmt: skip
    # Whatever the weights are.
    assert remembered_kind(net, "one", target) == "torch"
    assert remembered_kind(net, "many", target) == "torch"
    assert main(["doctor", "device=cpu", "measure=true"]) == 0
    assert read_choices(cache / "backends" / "auto.json") == choices
