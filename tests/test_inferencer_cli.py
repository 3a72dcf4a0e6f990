"""`posekit-inferencer`: the documented command lines, as a user has them."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from posekit.commands.inferencer import join_flags, main
from tests.networks import save_seeded_weights
from tests.processes import run_python

SMALL = "rtmpose-t_8xb256-420e_body8-256x192"
ALIASES = shlex.split(
    "human body26 face hand wholebody animal vitpose vitpose-s vitpose-b vitpose-l vitpose-h "
    "human3d hand3d"
)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small(rtmpose_t: Path) -> list[str]:
    """The smallest model, on whole images."""
    weights = ["--pose2d-weights", str(rtmpose_t)]
    return ["--pose2d", SMALL, *weights, "--det-model", "whole_image", "--device", "cpu"]


def test_the_documented_image(shared: Path, rtmpose_m: Path, person_detector: Path) -> None:
    image = Path("tests/data/coco/000000000785.jpg")
    image.parent.mkdir(parents=True)
    shutil.copy(shared / "images" / image.name, image)
    done = run_python(
        "-m", "posekit.commands.inferencer", image,
        "--pose2d", "human", "--pred-out-dir", "predictions",
        "--pose2d-weights", rtmpose_m,
        "--det-model", "rtmdet_nano_320-8xb32_coco-person",
        "--det-weights", person_detector, "--det-cat-ids", "0", "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(Path("predictions/000000000785.json").read_text())
    name = "rtmpose-m_8xb256-420e_body8-256x192__000000000785.json"
    recorded = json.loads((shared / "reference" / "inferencer" / name).read_text())
    (expected,) = recorded["result"]["predictions"]
    assert [list(one) for one in found] == [list(one) for one in expected]
    assert found[0]["bbox"][0] == pytest.approx(expected[0]["bbox"][0], abs=0.5)


def test_the_documented_folder(shared: Path, tmp_path: Path) -> None:
    """`tests/data/wflw --pose2d face --vis-out-dir vis_results/wflw --radius 1`."""
    name = "rtmpose-m_8xb256-120e_face6-256x256"
    weights = save_seeded_weights(
        shared / "reference" / "pose2d" / name, name, tmp_path / "face.safetensors"
    )
    folder = Path("tests/data/wflw")
    folder.mkdir(parents=True)
    shutil.copy(shared / "images" / "001766.jpg", folder)
    command = shlex.split("tests/data/wflw --pose2d face --vis-out-dir vis_results/wflw --radius 1")
    extra = ["--pose2d-weights", str(weights), "--det-model", "whole_image", "--device", "cpu"]
    assert main([*command, *extra]) == 0
    assert Path("vis_results/wflw/001766.jpg").is_file()


@pytest.mark.parametrize("alias", ALIASES[:-2])
def test_the_documented_cameras_need_a_display(
    alias: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["webcam", "--pose2d", alias]) == 1
    assert "no display" in capsys.readouterr().err


def test_a_camera_without_a_window_is_possible_by_saying_so(
    small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["webcam:97", "--show=false", *small]) == 1
    error = capsys.readouterr().err
    assert "display" not in error and "97" in error


def test_showing_without_a_display_fails_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    command = shlex.split("a.jpg --pose2d human --show --pred-out-dir predictions")
    assert main(command) == 1
    assert "no display" in capsys.readouterr().err


def test_aliases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--show-alias"]) == 0
    first = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert first >= set(ALIASES)


def test_every_flag_is_taken(small: list[str], shared: Path) -> None:
    image = shutil.copy(shared / "images" / "33.jpg", "33.jpg")
    flags = shlex.split(
        "--scope mmpose --show-progress --draw-bbox --bbox-thr 0 --nms-thr 0.5 --kpt-thr 0 "
        "--pose-based-nms t --radius 4 --thickness 2 --skeleton-style openpose "
        "--black-background --batch-size 2 --wait-time 0 --draw-heatmap false --vis-out-dir vis "
        "--pred-out-dir pred --tracking-thr 0.3 --use-oks-tracking False --num-instances 1"
    )
    assert main([*flags, str(image), *small]) == 0
    assert Path("vis/33.jpg").is_file() and Path("pred/33.json").is_file()
    assert main([str(image), *small, "--out-dir", "out"]) == 0
    assert Path("out/predictions/33.json").is_file()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("a.jpg", "name a model: --pose2d human or --pose3d human3d"),
        ("a.jpg --pose2d human3d", "pass it as pose3d"),
        ("a.jpg --pose3d human", "pass it as pose2d"),
        ("a.jpg --pose2d humann", "did you mean human"),
        ("a.jpg --pose2d human --use-oks-tracking", "use_oks_tracking applies to 3D models only"),
        ("a.jpg --pose3d human3d --draw-heatmap", "draw_heatmap applies to 2D models only"),
        ("a.jpg --pose2d human --pose3d-weights a.pth", "no --pose3d to load them into"),
        ("missing.jpg --pose2d human", "missing.jpg"),
    ],
)
def test_mistakes_have_one_line(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_an_input_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--pose2d", "human"])
    assert "name an input" in capsys.readouterr().err


def test_a_bare_flag_does_not_take_the_next_argument() -> None:
    flags = ["--show", "--draw-heatmap"]
    assert join_flags(shlex.split("--show a.jpg --draw-heatmap False x"), flags) == [
        "--show=true", "a.jpg", "--draw-heatmap=False", "x"
    ]  # fmt: skip
    assert join_flags(["--show=false", "--show"], flags) == ["--show=false", "--show=true"]
