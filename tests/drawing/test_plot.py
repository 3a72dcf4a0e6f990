"""`PoseResult.plot`: a result on its image, wherever that is."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from posekit.drawing.overlay import draw_pose
from posekit.errors import InputError
from posekit.io.video import VideoReader, VideoWriter
from posekit.result import PoseResult
from tests.io.test_formats import frame, image

GREY = np.full((480, 640, 3), 100, np.uint8)


def drawn(result: PoseResult, picture: np.ndarray, **options: float) -> np.ndarray:
    points, scores = result.keypoints, result.keypoint_scores
    return draw_pose(picture, points, scores, result.skeleton, **options)  # type: ignore[arg-type]


def test_a_result_is_drawn_on_an_image_that_is_given(tmp_path: Path) -> None:
    result = frame(0)
    found = result.plot(GREY, radius=5, kpt_thr=0.5, draw=[])
    np.testing.assert_array_equal(found, drawn(result, GREY, radius=5, kpt_thr=0.5))
    assert (GREY == 100).all()
    cv2.imwrite(str(tmp_path / "a.png"), GREY)
    np.testing.assert_array_equal(result.plot(tmp_path / "a.png", draw=[]), drawn(result, GREY))
    assert (result.plot(GREY) != drawn(result, GREY)).any()  # the ids of tracks are on it
    assert result.plot(black_background=True).shape == GREY.shape  # needs none


def test_the_file_of_an_image_is_read_again(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), GREY)
    result = dataclasses.replace(image("a.png"), source=str(tmp_path / "a.png"))
    np.testing.assert_array_equal(result.plot(), drawn(result, GREY))


def test_a_clip_is_read_up_to_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "walk.mp4"
    with VideoWriter(path, fps=Fraction(10), size=(640, 480)) as video:
        for number in range(3):
            video.write(np.full_like(GREY, 60 * number), number / 10)
    with VideoReader(path) as reader:
        frames = [picture for picture, _ in reader]
    result = dataclasses.replace(frame(2, 0), source=str(path))
    np.testing.assert_array_equal(result.plot(), frames[2])
    with pytest.raises(InputError, match=r"walk\.mp4 has no frame 7"):
        dataclasses.replace(result, frame_id=7).plot()


def test_3d_stands_beside_the_image() -> None:
    found = frame(0, lifted=True).plot(GREY, num_instances=2)
    assert found.shape == (480, 640 + 2 * 480, 3)


def test_what_cannot_be_drawn() -> None:
    result = frame(0)
    for picture, options, message in (
        (None, {}, r"walk\.mp4 is not in a file that still exists \(videos/walk\.mp4\): pass"),
        (GREY[:100], {}, r"with \(w, h\) = \(640, 480\), found \(100, 640, 3\)"),
        (7, {}, "expected the image of walk.mp4, .* found int"),
        ("none.png", {}, "no such file: none.png"),
        (GREY, {"colour": "red"}, "unknown option 'colour'"),
        (GREY, {"radius": 0}, "radius must be a whole number from 1"),
    ):
        with pytest.raises(InputError, match=message):
            result.plot(picture, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="it came as an array"):
        dataclasses.replace(result, source=None).plot()
