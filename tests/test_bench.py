"""posekit bench: the figures are there and fit each other; how large they are is not tested."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import posekit
from posekit.benchmarking.results import NetworkTimes
from posekit.benchmarking.stages import make_up_people
from posekit.build import build_network
from posekit.cli import main
from posekit.config import read_config
from posekit.errors import PosekitError
from posekit.io.video import VideoReader, VideoWriter
from posekit.models.rtmpose import RTMPose
from posekit.skeleton import load_skeleton
from posekit.spec import OneStageSpec, load_spec
from posekit.stages.one_stage import OneStageEstimator

SMALL = ["model=rtmpose-n_drawn-192x128", "rounds=2"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine can do at best takes a while to measure well."""
    monkeypatch.setattr("posekit.benchmarking.machine.MATRIX_SIZE", 256)
    monkeypatch.setattr("posekit.benchmarking.machine.COPIED", 1 << 22)


def test_engines_and_stages_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "bench.json"
    options = ["batch_sizes=[3]", "backends=[torch,onnxruntime]", "people=2", f"out={out}"]
    assert main(["bench", *SMALL, "device=cpu", *options]) == 0
    content = json.loads(out.read_text())
    assert content["machine"]["device"]
    tables = content["networks"]
    assert [(table["model"], table["batch"]) for table in tables] == [
        ("rtmdet-nano_drawn-256", 1),
        ("rtmpose-n_drawn-192x128", 3),
    ]
    for table in tables:
        assert list(table["milliseconds"]) == [
            "plain PyTorch", "backend=torch", "backend=onnxruntime", "ONNX Runtime alone",
            "OpenVINO alone",
        ]  # fmt: skip
        assert all(len(taken) == 2 for taken in table["milliseconds"].values())
        assert table["floor ms"] > 0
        assert table["quartiles to best"].keys() == table["milliseconds"].keys()
    assert [table["backend"] for table in content["stages"]] == ["torch", "onnxruntime"]
    for table in content["stages"]:
        stages = table["milliseconds"]
        assert stages["pose: network"] < stages["pose: all of it"] < stages["whole frame"]
        assert {"detect: network", "crop", "draw", "encode"} < set(stages)
        assert set(table["cpu milliseconds"]) == set(stages)
        assert "decode" not in stages  # of noise there is nothing to decode
    assert content["frame"] == {
        "dtype": "float32", "inputs": None, "people": 2, "flip_test": False, "rounds": 2,
    }  # fmt: skip
    assert {"onnxruntime", "openvino"} < set(content["machine"])
    printed = capsys.readouterr().out
    assert "quartiles" in printed and "to floor" in printed and "around the networks" in printed
    for kind in ("torch", "onnxruntime"):
        assert f"A frame with 2 people, backend={kind}, no flip test\nstage " in printed


def test_noise_is_of_the_ratios_of_rounds() -> None:
    # A slow round slows both, and is no noise of their ratio.
    times = {"a": [10.0, 40.0, 10.0, 10.0, 10.0], "b": [11.0, 44.0, 12.0, 9.0, 13.0]}
    table = NetworkTimes("net", 1, 1.0, 1.0, 1.0, 1.0, times, {})
    assert table.noise == {"a": (1.0, 1.0), "b": pytest.approx((1.1, 1.2))}
    once = NetworkTimes("net", 1, 1.0, 1.0, 1.0, 1.0, {"a": [10.0], "b": [12.0]}, {})
    assert once.noise == {"a": (1.0, 1.0), "b": (1.2, 1.2)}
    assert NetworkTimes("net", 1, 1.0, 1.0, 1.0, 1.0, {}, {"a": "broken"}).noise == {}


def test_decoding_takes_as_long_as_reading_the_frames_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    with VideoWriter(tmp_path / "clip.mp4", fps=25.0, size=(640, 480)) as writer:
        for number in range(12):
            writer.write(np.roll(noise, 7 * number, axis=1))
    frames_of = VideoReader.__iter__

    def slow(video: VideoReader) -> Iterator[tuple[np.ndarray, float]]:
        for frame in frames_of(video):
            until = time.perf_counter() + 5e-3
            while time.perf_counter() < until:
                pass
            yield frame

    monkeypatch.setattr(VideoReader, "__iter__", slow)
    stages = measured_stages(tmp_path, f"inputs={tmp_path / 'clip.mp4'}")
    # Waiting for frames that were read ahead would take no time at all.
    assert stages["decode"] > 4.9
    assert stages["whole frame"] > stages["decode"] + stages["pose: all of it"]


def test_images_are_decoded_and_the_stages_take_those_of_one_size(tmp_path: Path) -> None:
    for number, size in enumerate([(64, 48), (48, 64), (64, 48)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((*size[::-1], 3), np.uint8))
    stages = measured_stages(tmp_path, f"inputs={tmp_path}")
    assert 0 < stages["decode"] < stages["whole frame"]


def test_an_animation_is_decoded_as_prediction_does(tmp_path: Path) -> None:
    first, *others = (Image.new("RGB", (64, 48), (shade, 0, 0)) for shade in (0, 90, 180))
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, duration=50)
    assert measured_stages(tmp_path, f"inputs={tmp_path / 'a.webp'}")["decode"] > 0


def test_a_timeline_has_the_stages_of_each_thread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.json"
    options = ["batch_sizes=[1]", "backends=[torch]", "direct=false", "rounds=1", "people=2"]
    assert main(["bench", SMALL[0], *options, "device=cpu", f"trace={path}"]) == 0
    assert f"{path}: open it in" in capsys.readouterr().out
    events = json.loads(path.read_text())["traceEvents"]
    threads = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    spans: dict[str, list[dict[str, Any]]] = {name: [] for name in threads.values()}
    for event in events:
        if event["ph"] == "X":
            assert {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"} <= set(event)
            spans[threads[event["tid"]]].append(event)
    names = {thread: {event["name"] for event in of_one} for thread, of_one in spans.items()}
    assert names == {
        "posekit-reader": {"read"},
        "MainThread": {
            "detect", "detect: letterbox", "detect: network", "detect: decode boxes",
            "detect: suppress", "pose", "crop", "pose: normalise", "pose: network",
            "pose: decode keypoints", "track",
        },
        "posekit-write": {"draw", "write", "encode"},
    }  # fmt: skip
    for name in ("track", "draw", "write", "encode"):
        of_frames = [event for event in events if event["name"] == name]
        assert [event["args"]["frame"] for event in of_frames] == list(range(24))
    crops = [event for event in events if event["name"] == "crop"]
    assert [n for event in crops for n in event["args"]["frames"]] == list(range(24))
    ends = {
        thread: [(event["ts"], event["ts"] + event["dur"]) for event in of_one]
        for thread, of_one in spans.items()
    }
    for of_one in ends.values():  # one after the other, or one within the other
        for (a, b), (c, d) in itertools.combinations(of_one, 2):
            assert b <= c or (a <= c and d <= b)
    assert any(
        a < d and c < b
        for (a, b), (c, d) in itertools.product(
            ends["MainThread"], ends["posekit-write"] + ends["posekit-reader"]
        )
    )


def test_a_function_measures_and_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = posekit.bench(
        "rtmpose-n_drawn-192x128",
        detector="whole_image",
        batch_sizes=(1, 2),
        backends=["torch"],
        direct=False,
        rounds=2,
        people=np.int64(2),
        device=torch.device("cpu"),
        dtype=torch.float32,
        out=tmp_path / "bench.json",
    )
    assert capsys.readouterr() == ("", "")
    assert [(table.model, table.batch) for table in result.networks] == [
        ("rtmpose-n_drawn-192x128", 1),
        ("rtmpose-n_drawn-192x128", 2),
    ]
    assert result.networks[1].gflop == pytest.approx(2 * result.networks[0].gflop)
    assert list(result.networks[0].medians) == ["plain PyTorch", "backend=torch"]
    assert result.networks[0].floor_ms > 0
    assert not result.failed
    assert [table.backend for table in result.stages] == ["torch"]
    assert result.frame["people"] == 2
    assert json.loads((tmp_path / "bench.json").read_text()) == result.to_json()


def test_a_function_measures_a_detector_alone() -> None:
    result = posekit.bench(
        "rtmdet-nano_drawn-256",
        rounds=1,
        batch_sizes=[1, 2],
        backends=["torch"],
        direct=False,
        device="cpu",
    )
    assert [(table.model, table.batch) for table in result.networks] == [
        ("rtmdet-nano_drawn-256", 1),
        ("rtmdet-nano_drawn-256", 2),
    ]
    assert (result.stages, result.frame) == ((), {})


def test_a_one_stage_model_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    small = ["model=rtmo-t", "model.net.widen_factor=0.25", "model.input_size=[96,96]"]
    options = ["rounds=2", "batch_sizes=[2]", "backends=[torch]", "direct=false", "people=3"]
    assert main(["bench", *small, *options, "device=cpu", f"out={out}"]) == 0
    content = json.loads(out.read_text())
    (network,) = content["networks"]
    assert (network["model"], network["batch"]) == ("rtmo-t_body7-416x416", 2)
    (stages,) = content["stages"]
    assert {"pose: letterbox", "pose: network", "pose: decode keypoints"} < set(
        stages["milliseconds"]
    )
    assert "detect: network" not in stages["milliseconds"]
    assert stages["milliseconds"]["pose: network"] < stages["milliseconds"]["whole frame"]


def test_a_one_stage_model_has_as_many_people_as_are_asked_for() -> None:
    spec = load_spec("rtmo-t_body7-416x416")
    assert isinstance(spec, OneStageSpec)
    net = build_network(spec.net, device="cpu").eval()
    estimator = OneStageEstimator(net, spec, load_skeleton(spec.keypoints))
    make_up_people(estimator, 5)
    (people,) = estimator([np.zeros((60, 80, 3), np.uint8)])
    assert people.poses.keypoints.shape == (5, 17, 2)


def test_a_flip_test_does_not_apply_to_a_one_stage_model() -> None:
    with pytest.raises(PosekitError, match="flip_test does not apply: rtmo-t_body7-416x416"):
        posekit.bench("rtmo-t", flip_test=True)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"rounds": 0}, "rounds must be a whole number of at least 1, found 0"),
        ({"batch_size": 1}, "unknown option 'batch_size'; did you mean batch_sizes"),
        ({"batch_sizes": [True]}, r"batch_sizes must be a list such as \[1,8\], found \[True\]"),
        ({"dtype": torch.int8}, "dtype must be float32, float16 or bfloat16, found torch.int8"),
        ({"inputs": [np.zeros((4, 4, 3), np.uint8)]}, "inputs must be files, .* found ndarray"),
        ({"config_dir": "nowhere"}, "config_dir: no such folder: nowhere"),
        ({"detector": "rtmdet-nanu"}, "did you mean"),
        ({"trace": "nowhere/trace.json"}, "expected a file in a folder that can be written to"),
    ],
)
def test_a_wrong_keyword_is_one_line(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(PosekitError, match=message) as error:
        posekit.bench("rtmpose-n_drawn-192x128", **keywords)
    assert "\n" not in str(error.value)


class NoGraph(RTMPose):
    """With an operation that ONNX does not have."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(images + torch.special.bessel_j0(images))


def test_an_engine_that_fails_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = read_config("rtmpose-n_drawn-192x128", [])
    config["net"]["_target_"] = f"{__name__}.NoGraph"
    config["codec"] = {"_target_": "posekit.codecs.simcc.SimCC"}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(json.dumps(config))
    out = tmp_path / "bench.json"
    own = ["--config-dir", str(tmp_path), "model=mine", "detector=null", "device=cpu"]
    options = ["rounds=1", "batch_sizes=[1,2]", "backends=[onnxruntime,torch]", f"out={out}"]
    assert main(["bench", *own, *options]) == 1
    content = json.loads(out.read_text())
    for table in content["networks"]:
        assert list(table["milliseconds"]) == ["plain PyTorch", "backend=torch"]
        assert list(table["failed"]) == ["backend=onnxruntime", "engines alone"]
        assert "bessel_j0" in table["failed"]["backend=onnxruntime"]
    assert [table["backend"] for table in content["stages"]] == ["torch"]
    printed = capsys.readouterr().out
    assert "\nbackend=onnxruntime  failed\n" in printed
    assert printed.count("\nbackend=onnxruntime failed: ") == 2  # once for each batch size


def measured_stages(folder: Path, *options: str) -> dict[str, float]:
    out = folder / "bench.json"
    fast = ["detector=null", "batch_sizes=[1]", "backends=[torch]", "direct=false", "device=cpu"]
    assert main(["bench", *SMALL, *fast, f"out={out}", *options]) == 0
    return json.loads(out.read_text())["stages"][0]["milliseconds"]


@pytest.mark.parametrize("weights", [None, "published"])
def test_only_engines_of_weights_that_were_named_are_kept(
    weights: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("posekit.backends.auto.ROUNDS", 1)
    monkeypatch.setattr("posekit.backends.auto.auto_candidates", lambda: ("torch", "onnxruntime"))
    options = ["backends=[onnxruntime,auto]", f"weights={weights or 'null'}"]
    measured_stages(tmp_path, *options)
    kept = {path.name.partition("-")[0] for path in (tmp_path / "cache" / "backends").iterdir()}
    # What auto chose is worth keeping either way: it does not depend on the weights.
    assert kept >= {"auto.json"}
    assert ("onnx" in kept) == (weights is not None)


def test_engines_without_the_type_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    options = ["model=rtmdet-nano_drawn-256", "rounds=1", "device=cpu", "dtype=bfloat16"]
    options += ["batch_sizes=[1]", "direct=false"]
    assert main(["bench", *options]) == 0
    printed = capsys.readouterr().out
    assert "backend=torch" in printed
    assert "backend=onnxruntime" not in printed


def test_a_detector_is_measured_alone(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["model=rtmdet-nano_drawn-256", "rounds=1", "backends=[torch]", "direct=false"]
    assert main(["bench", *options, "batch_sizes=[1]"]) == 0
    printed = capsys.readouterr().out
    assert "rtmdet-nano_drawn-256, batch 1" in printed
    assert "pose" not in printed.replace("posekit", "")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=human3d"], "name the 2D model"),
        (["model=rtmdet-nano_drawn-256", "detector=human"], "is used alone"),
        (["rounds=0"], "rounds must be a whole number of at least 1, found 0"),
        (["batch_sizes=8"], "batch_sizes must be a list, found 8"),
        (["backends=[]"], "backends is empty: name engines, such as backends=[torch,openvino]"),
        (["inputs=webcam"], "inputs must be files, whose decoding can be measured, found a camera"),
        (["inputs=[http://host/a.jpg]"], "inputs must be files"),
        (["backends=[fast]"], "backends must be a list of auto, compile"),
        (["backends=[tensorrt]"], "backend=tensorrt cannot run on cpu here"),
        (["batch_sizes=[]"], "batch_sizes must be a list such as [1,8], found []"),
        (["batch_sizes=[1,0]"], "batch_sizes must be a list such as [1,8], found [1, 0]"),
        (["people=0"], "people must be a whole number of at least 1, found 0"),
        (["model=rtmdet-nano_drawn-256", "detector_weights=x.pth"], "use weights"),
        (["flip_test=maybe"], "flip_test must be true or false, found 'maybe'"),
        (["direct=no thanks"], "direct must be true or false"),
        (["out=[a.json]"], r"out: expected one file or folder, found a list: [a.json]"),
        (["dtype=int8"], "dtype must be float32"),
        (
            ["dtype=bfloat16", "backends=[onnxruntime]"],
            "it computes in float32, found torch.bfloat16",
        ),
        # Before anything is measured, which would find the weights missing.
        (["out=/nonexistent/x/b.json", "weights=missing.pth"], "out=/nonexistent/x/b.json: "),
        (["out=/", "weights=missing.pth"], "out=/: expected a file"),
        (["weights=missing.pth"], "no such file"),
        (["batch_sizes=[10000000000]", "backends=[torch]", "direct=false"], "not enough memory: "),
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
