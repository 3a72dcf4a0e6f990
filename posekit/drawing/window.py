"""Windows with pictures. If none can be opened, that is an error at once, never a hang."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.opencv import cure_for_windows, gui

__all__ = ["ShowOptions", "Window", "check_display", "show_image"]

CONNECT_TIMEOUT = 1.0  # seconds
POLL = 20  # milliseconds between looks at the keyboard and at whether the window is still there
QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27 is Escape
LARGEST = (1600, 900)  # (w, h) that a new window has at most


@dataclass(frozen=True, kw_only=True)
class ShowOptions(Options):
    """Display."""

    return_vis: bool = option(False, "add the drawing to the result", python=True)
    return_image: bool = option(
        False, "add a copy of the image to the `PoseResult` of `stream`", python=True
    )
    show: bool | None = option(None, "show the drawings in a window; if unset, only for a camera")
    wait_time: float = option(
        0,
        "how long each image is shown; 0 waits for a key; video frames do not wait",
        unit="seconds",
        least=0,
    )
    show_progress: bool = option(
        False, "show a progress bar on the terminal; the command always does", python=True
    )


def check_display() -> None:
    """Raises if no window can be opened.

    Without a display, OpenCV itself would abort the process.

    Raises:
        InputError: OpenCV without windows, no display, or an X server that does not answer.
    """
    display = _display_problem() if sys.platform.startswith("linux") else None
    windows = None if gui() else f"this OpenCV cannot open windows, run {cure_for_windows()}"
    if problems := " and ".join(filter(None, (display, windows))):
        raise InputError(
            f"cannot open a window: {problems}; set show=false, and write the drawings with "
            "out_dir or vis_out_dir instead"
        )


class Window:
    """A window that shows images, one after the other.

    Args:
        title: text of its title bar.

    Raises:
        InputError: no window can be opened here.
    """

    def __init__(self, title: str) -> None:
        check_display()
        self.title = title
        self._open = False

    def show(self, image: np.ndarray, wait_time: float | None = None) -> bool:
        """Shows a picture.

        Args:
            image: (H, W, 3), BGR, uint8.
            wait_time: seconds to wait for a key; 0 waits for as long as it takes, None (for the
                frames of a video) not at all.

        Returns:
            False when the user closed the window or pressed q or Escape.
        """
        if not self._open:
            cv2.namedWindow(self.title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            height, width = image.shape[:2]
            factor = min(1.0, LARGEST[0] / width, LARGEST[1] / height)
            cv2.resizeWindow(
                self.title, max(1, round(width * factor)), max(1, round(height * factor))
            )
            self._open = True
        elif self._closed_by_user():
            return False
        cv2.imshow(self.title, image)
        if wait_time is None:
            return cv2.waitKey(1) & 0xFF not in QUIT_KEYS
        end = time.monotonic() + wait_time if wait_time > 0 else None
        while end is None or time.monotonic() < end:
            key = cv2.waitKey(POLL)
            if key != -1:
                return key & 0xFF not in QUIT_KEYS
            if self._closed_by_user():
                return False
        return True

    def close(self) -> None:
        """Closes the window; more calls do nothing."""
        if self._open and not self._closed_by_user():
            cv2.destroyWindow(self.title)
            cv2.waitKey(1)  # lets it go
        self._open = False

    def _closed_by_user(self) -> bool:
        try:
            return bool(cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1)
        except cv2.error:
            return True


def show_image(image: np.ndarray, title: str, wait_time: float = 0) -> bool:
    """Shows one image (H, W, 3), BGR, for `wait_time` seconds; 0 waits for a key.

    Returns:
        False when the user closed the window or pressed q or Escape.

    Raises:
        InputError: no window can be opened here.
    """
    window = Window(title)
    try:
        return window.show(image, wait_time)
    finally:
        window.close()


def _display_problem() -> str | None:
    """Why Linux has no display for us; None where it has."""
    display = os.environ.get("DISPLAY")
    if display:
        return _x_server_problem(display)
    if not os.environ.get("WAYLAND_DISPLAY"):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    plugins = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    if plugins.is_dir() and not list(plugins.glob("*wayland*")):
        return "this OpenCV cannot use Wayland by itself: start Xwayland and set DISPLAY"
    return None


def _x_server_problem(display: str) -> str | None:
    """Tries to connect to where DISPLAY (`:0`, `unix:0`, `host:10.0`) says an X server is."""
    found = re.fullmatch(r"(?P<host>.*):(?P<number>\d+)(\.\d+)?", display)
    if found is None:
        return f"DISPLAY is '{display}', expected a value such as ':0'"
    host, number = found["host"], int(found["number"])
    if host in ("", "unix"):
        path = f"/tmp/.X11-unix/X{number}"
        # The socket in the file system, then Linux's one without a file.
        places = [(socket.AF_UNIX, path), (socket.AF_UNIX, "\0" + path)]
        if any(_answers(family, place) for family, place in places):
            return None
    elif number <= 59535 and _answers_tcp(host.strip("[]"), 6000 + number):
        return None
    return f"no X server answers at DISPLAY '{display}'"


def _answers(family: int, place: str) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(CONNECT_TIMEOUT)
        return client.connect_ex(place) == 0


def _answers_tcp(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT).close()
    except (OSError, UnicodeError):
        return False
    return True
