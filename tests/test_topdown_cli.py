"""`posekit-topdown`: the documented command lines, as a user has them."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from posekit.commands.topdown import main
from posekit.io.video import VideoWriter
from tests.hub_server import HubServer
from tests.io.test_write import small_disk  # noqa: F401
from tests.networks import reference_state

ROOT = Path(__file__).resolve().parent.parent
DETECTOR = "projects/rtmpose/rtmdet/person/rtmdet_nano_320-8xb32_coco-person.py"
POSE = "projects/rtmpose/rtmpose/body_2d_keypoint/rtmpose-t_8xb256-420e_body8-256x192.py"
SAVE = ["--input", "grey.png", "--output-root", "out", "--save-predictions"]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # the loopback is asked
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def checkpoint() -> bytes:
    """Seeded weights of the pose model, in OpenMMLab's own layout."""
    folder = ROOT / "tests" / "data" / "pose2d" / Path(POSE).stem
    file = io.BytesIO()
    torch.save({"state_dict": reference_state(folder)}, file)
    return file.getvalue()


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer().running() as server:
        yield server


@pytest.fixture
def command(server: HubServer, checkpoint: bytes, person_detector: Path) -> list[str]:
    """Both configurations as paths, both weights as URLs, as documented."""
    return [
        DETECTOR, server.add("/detector.pth", person_detector.read_bytes()),
        POSE, server.add("/pose.pth", checkpoint), "--device", "cpu",
    ]  # fmt: skip


def test_the_documented_image(command: list[str], shared: Path) -> None:
    shutil.copy(shared / "images" / "000000040083.jpg", "picture.jpg")
    more = shlex.split(
        "--input picture.jpg --draw-heatmap --output-root vis_results --save-predictions"
    )
    assert main([*command, *more]) == 0
    assert sorted(path.name for path in Path("vis_results").iterdir()) == [
        "picture.jpg",
        "results_picture.json",
    ]
    found = json.loads(Path("vis_results/results_picture.json").read_text())
    assert list(found) == ["meta_info", "instance_info"]
    assert found["meta_info"]["dataset_name"] == "coco"
    assert len(found["meta_info"]["keypoint_colors"]) == 17
    name = "rtmpose-m_8xb256-420e_body8-256x192__000000040083.json"
    recorded = json.loads((shared / "reference" / "inferencer" / name).read_text())
    (expected,) = recorded["result"]["predictions"]
    for one, other in zip(found["instance_info"], expected, strict=True):
        assert list(one) == list(other)
        assert one["bbox"][0] == pytest.approx(other["bbox"][0], abs=0.5)


def test_every_flag_is_taken(command: list[str]) -> None:
    cv2.imwrite("grey.png", np.full((60, 80, 3), 128, np.uint8))
    more = shlex.split(
        "--input grey.png --output-root out --draw-bbox --draw-heatmap False --radius 1 "
        "--thickness 2 --kpt-thr 0 --bbox-thr 0.9 --nms-thr 0.5 --det-cat-id 0 "
        "--skeleton-style openpose --show-interval 1 --save-predictions --show=false"
    )
    assert main([*command, *more]) == 0
    found = json.loads(Path("out/results_grey.json").read_text())
    # Nobody is there: the whole image is one instance, as with the reference.
    assert [one["bbox"] for one in found["instance_info"]] == [[[0, 0, 80, 60]]]
    assert Path("out/grey.png").is_file()


def test_the_report_names_the_folder_that_has_the_predictions(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite("grey.png", np.full((60, 80, 3), 128, np.uint8))
    assert main([*command, *SAVE]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["predictions in out", "drawings in out"]
    assert sorted(path.name for path in Path("out").iterdir()) == ["grey.png", "results_grey.json"]


def test_a_full_disk_keeps_the_frames_before(
    command: list[str],
    small_disk: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    with VideoWriter("long.mp4", fps=Fraction(25), size=(64, 48)) as video:
        for _ in range(120):
            video.write(black)
    (small_disk / "others").write_bytes(bytes(225_000))
    more = ["--input", "long.mp4", "--output-root", str(small_disk), "--save-predictions"]
    assert main([*command, *more]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    told = re.search(
        r"cannot write .*results_long\.json: No space .*; (\d+) frames are in it", error
    )
    assert told is not None
    found = json.loads((small_disk / "results_long.json").read_text())
    assert found["meta_info"]["dataset_name"] == "coco"
    assert len(found["instance_info"]) == int(told[1]) > 10


def test_a_video(command: list[str], shared: Path) -> None:
    shutil.copy(shared / "video" / "demo.mp4", "demo.mp4")
    more = shlex.split("--input demo.mp4 --output-root out --save-predictions --bbox-thr 0.6")
    assert main([*command, *more]) == 0
    found = json.loads(Path("out/results_demo.json").read_text())["instance_info"]
    assert [sorted(frame) for frame in found] == [["frame_id", "instances"]] * 5
    assert Path("out/demo.mp4").stat().st_size


def test_predictions_of_what_was_done_are_there_after_an_error(command: list[str]) -> None:
    folder = Path("images")
    folder.mkdir()
    cv2.imwrite("images/a.png", np.full((60, 80, 3), 128, np.uint8))
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert (
        main([*command, *shlex.split("--input images --output-root out --save-predictions")]) == 1
    )
    assert [path.name for path in sorted(Path("out").glob("*.json"))] == ["results_a.json"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--input webcam --show --output-root vis_results --radius 1", "no display"),
        ("--input webcam", "no display"),
        ("--input a.jpg --show --draw-heatmap", "no display"),
        ("--input a.jpg --save-predictions", "--save-predictions needs --output-root"),
        ("--input missing.jpg", "missing.jpg"),
    ],
)
def test_mistakes_have_one_line(
    more: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([DETECTOR, "det.pth", POSE, "pose.pth", *more.split()]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_3d_model_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([DETECTOR, "det.pth", "human3d", "pose.pth", "--input", "a.jpg"]) == 1
    assert "is a 3D model" in capsys.readouterr().err


def test_a_detector_and_a_pose_model_in_the_wrong_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([POSE, "pose.pth", DETECTOR, "det.pth", "--input", "a.jpg"]) == 1
    assert "is a detector" in capsys.readouterr().err


def test_the_face_models_of_the_documentation_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [
        "demo/mmdetection_cfg/yolox-s_8xb8-300e_coco-face.py", "yolox.pth",
        "configs/face_2d_keypoint/rtmpose/face6/rtmpose-m_8xb256-120e_face6-256x256.py", "face.pth",
        "--input", "tests/data/cofw/001766.jpg",
    ]  # fmt: skip
    assert main(arguments) == 1
    # The models are known: the image is what is missing.
    assert "001766.jpg" in capsys.readouterr().err
