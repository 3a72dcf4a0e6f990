"""The model in the package: offline, on its own picture, and as good as its card says."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import posekit
from posekit.cli import main
from posekit.config import PACKAGED
from posekit.datasets.synthetic import clip, generate_scene, scene_seed
from posekit.datasets.synthetic.clip import FRAMES, demo_clip
from posekit.datasets.synthetic.drawing import draw_figure
from posekit.errors import InputError
from posekit.io.video import VideoReader


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is downloaded and nothing is in a cache."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_command_needs_no_input(
    offline: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert main(["predict", "model=demo", f"out_dir={offline / 'out'}"]) == 0
    assert "drawn people only; model=human is for photographs" in caplog.text
    assert "demo.jpg" in capsys.readouterr().out
    people = json.loads((offline / "out" / "predictions" / "demo.json").read_text())
    assert len(people) >= 3
    drawing = cv2.imread(str(offline / "out" / "visualization" / "demo.jpg"))
    plain = cv2.imread(str(PACKAGED / "demo.jpg"))
    assert drawing.shape == plain.shape
    assert np.abs(drawing.astype(int) - plain).mean() > 0.2
    assert not (offline / "cache").exists()


def test_people_are_found_where_they_were_drawn() -> None:
    predictor = posekit.load("demo", device="cpu")
    right, drawn = 0, 0
    for index in range(8):
        scene = generate_scene(scene_seed(11, index))
        (result,) = predictor.stream(scene.image)
        for keypoints, box in zip(scene.keypoints, scene.boxes_xyxy, strict=True):
            seen = keypoints[:, 2] == 2
            if seen.sum() < 12:
                continue
            drawn += 1
            if not len(result):
                continue
            away = np.linalg.norm(result.keypoints[:, seen] - keypoints[seen, :2], axis=-1)
            # The best of all that were found, in parts of the person's height.
            right += np.median(away, axis=1).min() < 0.05 * (box[3] - box[1])
    assert drawn > 10
    assert right >= 0.8 * drawn


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in PACKAGED.glob("*.safetensors")) < 8_000_000


def test_the_clip_is_what_draws_it_and_its_squats_are_counted(
    offline: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["predict", "model=demo", "inputs=posekit:demo.mp4", f"pred_out_dir={offline}"]
    assert main([*arguments, "stride=3", "track=iou", "count=squat", "formats=[angles]"]) == 0
    assert "squat: 3 of person" in caplog.text
    # Of the others, which take seconds, only the backdrop is drawn.
    compared, number = (0, FRAMES // 2, FRAMES - 1), iter(range(3 * FRAMES))

    def draw(*on: Any) -> None:
        if next(number) // 3 in compared:
            draw_figure(*on)

    monkeypatch.setattr(clip, "draw_figure", draw)
    truth = [image for image, _ in demo_clip()]
    with VideoReader(PACKAGED / "demo.mp4") as video:
        seen = [image for image, _ in video]
    assert len(seen) == len(truth) == FRAMES
    for frame in compared:
        assert np.abs(seen[frame].astype(int) - truth[frame]).mean() < 4
    assert next(number, None) is None  # three people in each


def test_another_name_in_the_package_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"posekit:demo\.avi is not .* posekit:demo\.mp4"):
        list(posekit.load("demo")("posekit:demo.avi"))
