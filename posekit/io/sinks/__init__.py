"""Output formats of results: one module per format, found by its name.

Each module has the interface of `Format`. `pictures`, `video` and `crops` write pixels; any other
module is a value of the options `formats` and `pred_format`, by being here.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np

from posekit.errors import InputError
from posekit.files import prediction_formats
from posekit.io.motion_options import MotionOptions
from posekit.skeleton import Skeleton
from posekit.stages.packet import Clip, Packet

__all__ = [
    "DrawingFormat",
    "Format",
    "Run",
    "Sink",
    "Together",
    "check_count",
    "check_formats",
    "format_name",
    "load_drawing",
    "load_format",
    "needs",
    "together",
]

log = logging.getLogger(__name__)

# Whose results have a file in common: nobody's, those of a run's single images, all of a run.
Together = Literal["", "images", "all"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What all results of a run have in common, for formats that store it.

    Attributes:
        skeleton: skeleton of the 2D keypoints.
        skeleton_3d: skeleton of the 3D keypoints; None without them.
        models: names of the models used, such as `{"model": "rtmpose-m_...", "detector": ...}`.
        weights: weights file of each of these, or "published".
        weights_sha256: SHA-256 of these files, in hexadecimal digits; computed when asked for.
        licenses: licences of the published weights, by model name.
        options: the options that were set.
        kpt_thr: keypoints below this score count as not seen.
        root: folder that paths of images are relative to; None for none.
        settings: options of the formats in which people move.
    """

    skeleton: Skeleton
    skeleton_3d: Skeleton | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    licenses: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    kpt_thr: float = 0.3
    root: Path | None = None
    settings: MotionOptions = field(default_factory=MotionOptions)

    def relative(self, source: str | None) -> str | None:
        """An image's path relative to the root, with slashes; None if it is not below it."""
        if source is None or self.root is None:
            return None
        path = Path(source).absolute()
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else None


class Sink:
    """The file of one image or clip, or of several, open for their packets.

    Attributes:
        guard: refuses a path that is an input; a sink that makes further files calls it with each.
    """

    guard: Callable[[Path], None] = staticmethod(lambda path: None)

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        """Takes the image's packet, or a clip's next one.

        Args:
            packet: the result.
            drawing: (H, W, 3), BGR, uint8, where results are drawn.

        Raises:
            OutputError: it cannot be written; what is there is whole.
        """
        raise NotImplementedError

    def skip(self, source: str, error: str) -> None:
        """Notes that an input, or the rest of a clip, could not be read.

        Args:
            source: path or URL.
            error: why.
        """

    def close(self, complete: bool) -> None:
        """Finishes the file. Without this call, what is there is valid, or has another name.

        Args:
            complete: whether all results have come.
        """


class Format(Protocol):
    """The interface of a module in this folder.

    A module may also have `TOGETHER` (see `Together`), `NEEDS` (see `needs`), `check(run)`, which
    raises an InputError if the format cannot hold the results of such a run, and `assumes(run)`,
    which returns what the format takes for granted, in words for a warning, or None.
    """

    def file_name(self, name: str, clip: Clip | None) -> str:
        """The name of the file, or folder, for an image or a clip of this (unique) name."""

    def open_sink(self, path: Path, clip: Clip | None, run: Run) -> Sink:
        """Opens a file for an image or several, where `clip` is None, or for a clip.

        Raises:
            OutputError: it cannot be made.
        """


class DrawingFormat(Format, Protocol):
    """A format of drawings.

    Attributes:
        SUFFIXES: suffixes of its files.
    """

    SUFFIXES: tuple[str, ...]


def load_format(name: str) -> Format:
    """The format of predictions of that name.

    Raises:
        InputError: there is none.
    """
    if name not in (known := prediction_formats()):
        raise InputError(f"a format must be one of {', '.join(known)}, found {name!r}")
    return cast(Format, importlib.import_module(f"{__name__}.{name}"))


def load_drawing(name: Literal["pictures", "video"]) -> DrawingFormat:
    """The format of an image's or a clip's drawing; imports OpenCV and PyAV."""
    return cast(DrawingFormat, importlib.import_module(f"{__name__}.{name}"))


def together(wanted: Format) -> Together:
    """Which results the format puts into one file."""
    return getattr(wanted, "TOGETHER", "")


def needs(formats: Iterable[Format], what: Literal["time", "tracks"]) -> list[str]:
    """Names of the formats that need videos ("time"), or people with ids ("tracks")."""
    return [format_name(one) for one in formats if what in getattr(one, "NEEDS", ())]


def format_name(wanted: Format) -> str:
    """What a format is called in messages."""
    name: str = getattr(wanted, "__name__", type(wanted).__name__)
    return name.rpartition(".")[2]


def check_formats(formats: Iterable[Format], run: Run) -> None:
    """Refuses what a format cannot hold, and warns once of what formats take for granted.

    Raises:
        InputError: names the format, and what it expects.
    """
    said: dict[str, list[str]] = {}
    for wanted in formats:
        if check := getattr(wanted, "check", None):
            check(run)
        if (assumes := getattr(wanted, "assumes", None)) and (text := assumes(run)):
            said.setdefault(text, []).append(format_name(wanted))
    for text, names in said.items():
        log.warning("assumed for %s: %s", ", ".join(names), text)


def check_count(settings: MotionOptions, formats: Sequence[Format]) -> None:
    """Refuses to count where the counts would not be written.

    Raises:
        InputError: the format `angles` is not among those.
    """
    if settings.count is not None and load_format("angles") not in formats:
        raise InputError("count is a column of the format angles; add formats=[angles]")
