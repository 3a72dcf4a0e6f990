"""Errors that a user can do something about; the command line prints them as one line."""

from __future__ import annotations

__all__ = [
    "BusyError",
    "DownloadError",
    "InputError",
    "OutputError",
    "PosekitError",
    "UnknownModelError",
    "WeightsError",
    "first_line",
]


def first_line(error: BaseException) -> str:
    """The start of a message that another library wrote for its developers, or the error's name."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


class PosekitError(Exception):
    """The base of all: the message says what was expected, what was found and what to do."""


class UnknownModelError(PosekitError, KeyError):
    """No model has that name; the message has the nearest names."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0])


class InputError(PosekitError, ValueError):
    """An input, an option or a file that posekit cannot use."""


class WeightsError(PosekitError, ValueError):
    """Weights that do not fit the model, or a damaged file."""


class DownloadError(PosekitError, OSError):
    """No source gave the weights; the message lists each one tried and why it failed."""


class OutputError(PosekitError, OSError):
    """A result that cannot be written, as on a full disk; the message says what is there whole."""


class BusyError(PosekitError):
    """A service that cannot take one more request: its queue stays full, or it is closed."""
