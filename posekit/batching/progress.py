"""What a run says while it goes on, and how it is asked to stop."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from tqdm import tqdm

__all__ = ["Progress", "Stop", "stopping_on_ctrl_c"]


class Stop:
    """A request to a run to begin nothing more.

    Attributes:
        requested: whether it was made.
    """

    def __init__(self) -> None:
        self.requested = False


@contextlib.contextmanager
def stopping_on_ctrl_c(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C lets the current clips finish, the second one stops at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        text = "posekit: finishing the current clips; Ctrl-C again stops at once"
        print(f"\n{text}", file=sys.stderr, flush=True)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Progress:
    """A bar with clips, frames, frames per second and the time left; nothing without a terminal.

    Args:
        total: clips to do.
        show: show the bar if there is a terminal.
    """

    def __init__(self, total: int, *, show: bool) -> None:
        self._start = time.monotonic()
        self._frames = 0
        disable: Any = None if show else True
        self._bar = tqdm(total=total, unit="clip", file=sys.stderr, disable=disable)

    def frames(self, count: int) -> None:
        """Notes that `count` more frames are done."""
        self._frames += count
        rate = self._frames / max(time.monotonic() - self._start, 1e-3)
        self._bar.set_postfix_str(f"{self._frames} frames, {rate:.1f} frames/s")

    def clip(self) -> None:
        """Notes that a clip has ended, done or not."""
        self._bar.update()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
