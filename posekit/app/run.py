"""Starts the page's server and ends it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from posekit.app.options import AppOptions
from posekit.packages import need

__all__ = ["serve", "started"]


def serve(**options: Any) -> None:
    """Shows the page until the process is interrupted or ended.

    Args:
        options: those of `AppOptions`.

    Raises:
        InputError: a wrong option, a port that is taken, or gradio is not installed.
    """
    with started(AppOptions.from_keywords(options)) as url:
        print(f"posekit is at {url}  (Ctrl-C ends it)", flush=True)
        ended = threading.Event()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: ended.set())
        while not ended.wait(3600):
            pass


@contextmanager
def started(options: AppOptions) -> Iterator[str]:
    """A server that runs in threads of its own; leaving it ends them and removes all files.

    Yields:
        The address of the page.

    Raises:
        InputError: a port that is taken, or gradio is not installed.
    """
    _ask_nobody()
    need("plotly", "posekit[web]", "posekit app")
    need("gradio", "posekit[web]", "posekit app")
    need("pyarrow", "posekit[web]", "posekit app")
    from posekit.app.server import launched  # and with it gradio

    with launched(options) as url:
        yield url


def _ask_nobody() -> None:
    """No statistics are sent, by gradio and by the Hub's client; to be said before they come."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
