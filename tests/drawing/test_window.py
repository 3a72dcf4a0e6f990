"""Windows: without a display there is an error at once."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import posekit
from posekit.drawing.window import Window, check_display, show_image
from posekit.errors import InputError
from posekit.io import Clip, Frame
from posekit.io.video import VideoWriter

PICTURE = np.zeros((4, 6, 3), np.uint8)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about X11 and Wayland")


@pytest.fixture
def server() -> Iterator[int]:
    """The number of a display where something listens, as an X server does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1] - 6000


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV has windows, whichever of its packages is here."""
    monkeypatch.setattr("posekit.drawing.window.gui", lambda: "QT5")


@linux
def test_no_display_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match=r"no display .*vis_out_dir"):
        Window("posekit")
    with pytest.raises(InputError, match=r"no display .*vis_out_dir"):
        show_image(PICTURE, "posekit")


@linux
@pytest.mark.parametrize("display", [":9087", "unix:9087", "127.0.0.1:9087.0", "[::1]:9087"])
def test_a_display_that_does_not_answer_is_an_error_at_once(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    start = time.monotonic()
    with pytest.raises(InputError, match="no X server answers at DISPLAY"):
        check_display()
    assert time.monotonic() - start < 60


@linux
@pytest.mark.parametrize("display", ["nonsense", ":", ":x", ":99999999999"])
def test_a_display_that_is_none(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(InputError, match="DISPLAY"):
        check_display()


@linux
@pytest.mark.usefixtures("windows")
def test_a_forwarded_display_that_answers_is_taken(
    server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", f"127.0.0.1:{server}.0")
    check_display()


@linux
@pytest.mark.usefixtures("windows")
def test_a_local_display_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    number = 10_000 + os.getpid()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0/tmp/.X11-unix/X{number}")
        listening.listen()
        monkeypatch.setenv("DISPLAY", f":{number}")
        check_display()


def has_display() -> bool:
    try:
        check_display()
    except InputError:
        return False
    return True


@pytest.mark.skipif(not has_display(), reason="needs a display")
def test_a_window_shows_pictures_for_a_while() -> None:
    window = Window("posekit test")
    try:
        assert window.show(PICTURE)
        assert window.show(PICTURE, 0.1)
    finally:
        window.close()
        window.close()


class Screen:
    """Stands in for a window: notes what is shown, and for how long."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.shown: list[np.ndarray] = []
        self.waits: list[float | None] = []
        self.left_after = 1000  # pictures
        self.closed = 0

    def __call__(self, title: str) -> Screen:
        self.titles.append(title)
        return self

    def show(self, image: np.ndarray, wait_time: float | None = None) -> bool:
        self.shown.append(image)
        self.waits.append(wait_time)
        return len(self.shown) < self.left_after

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr("posekit.predictor.Window", screen)
    return screen


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "grey.mp4"
    with VideoWriter(path, fps=Fraction(25), size=(64, 48)) as writer:
        for level in (60, 120, 180):
            writer.write(np.full((48, 64, 3), level, np.uint8))
    return path


IMAGES = [np.full((48, 64, 3), level, np.uint8) for level in (50, 100, 150)]


@pytest.mark.parametrize("wait_time", [0, 0.5])
def test_each_image_is_shown_for_the_wait_time(
    small: posekit.Predictor, screen: Screen, wait_time: float
) -> None:
    results = list(small.stream(IMAGES, show=True, wait_time=wait_time, flip_test=False))
    assert (screen.waits, screen.titles, screen.closed) == ([wait_time] * 3, ["posekit"], 1)
    # The drawing: a keypoint's dot is small, the rest is the image.
    assert [int(np.median(image)) for image in screen.shown] == [50, 100, 150]
    assert all((image != image[0, 0]).any() for image in screen.shown)
    assert [result.visualization for result in results] == [None] * 3


def test_frames_of_a_video_do_not_wait(
    small: posekit.Predictor, screen: Screen, video: Path
) -> None:
    results = list(small.stream([video, IMAGES[0]], show=True, wait_time=2, flip_test=False))
    assert len(results) == 4
    assert screen.waits == [None, None, None, 2]


def test_a_drawing_that_is_shown_can_be_returned_too(
    small: posekit.Predictor, screen: Screen
) -> None:
    results = list(small.stream(IMAGES, show=True, return_vis=True, flip_test=False))
    assert all(result.visualization is not None for result in results)


@pytest.mark.parametrize("of_video", [False, True])
def test_closing_the_window_ends_the_stream(
    small: posekit.Predictor, screen: Screen, video: Path, tmp_path: Path, of_video: bool
) -> None:
    screen.left_after = 2
    inputs = video if of_video else IMAGES
    out = tmp_path / "out"
    results = list(small.stream(inputs, show=True, flip_test=False, pred_out_dir=out))
    assert (len(results), len(screen.shown), screen.closed) == (1, 2, 1)
    assert list(out.iterdir())  # what was shown is written


@pytest.mark.parametrize(
    ("inputs", "show", "opened"),
    [("webcam", None, 1), ("webcam:1", None, 1), ("webcam", False, 0), ("a.png", None, 0)],
)
def test_only_a_camera_has_a_window_by_itself(
    small: posekit.Predictor,
    screen: Screen,
    monkeypatch: pytest.MonkeyPatch,
    inputs: str,
    show: bool | None,
    opened: int,
) -> None:
    clip = Clip("webcam_0", "webcam:0", (64, 48), Fraction(25), live=True)
    frames = [Frame(IMAGES[0], 0, clip.name, clip.source, clip, 0, 0.0)]

    def read(*_: Any, **__: Any) -> nullcontext[Iterator[Frame]]:
        return nullcontext(iter(frames))

    monkeypatch.setattr("posekit.predictor.read_frames", read)
    (result,) = small.stream(inputs, show=show, flip_test=False)
    assert len(screen.titles) == opened and screen.waits == [None] * opened
    assert result.visualization is None
