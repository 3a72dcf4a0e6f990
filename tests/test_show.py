"""Windows: without a display there is an error at once."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from posekit.errors import InputError
from posekit.show import Window, check_display, show_image

PICTURE = np.zeros((4, 6, 3), np.uint8)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about X11 and Wayland")


@pytest.fixture
def server() -> Iterator[int]:
    """The number of a display where something listens, as an X server does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1] - 6000


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
    assert time.monotonic() - start < 3


@linux
@pytest.mark.parametrize("display", ["nonsense", ":", ":x", ":99999999999"])
def test_a_display_that_is_none(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(InputError, match="DISPLAY"):
        check_display()


@linux
def test_a_forwarded_display_that_answers_is_taken(
    server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", f"127.0.0.1:{server}.0")
    check_display()


@linux
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
