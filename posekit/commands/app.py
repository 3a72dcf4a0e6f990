"""`posekit app`: a page in the browser."""

from __future__ import annotations

from collections.abc import Sequence

from posekit.app.options import AppOptions
from posekit.app.run import serve
from posekit.commands.settings import read_settings

__all__ = ["app"]


def app(words: Sequence[str]) -> int:
    """Shows the page until it is interrupted.

    Args:
        words: `key=value` each of `AppOptions`.

    Returns:
        The exit status, 0.

    Raises:
        InputError: a wrong option, a port that is taken, or gradio is not installed.
    """
    serve(**read_settings(words, AppOptions).named)
    return 0
