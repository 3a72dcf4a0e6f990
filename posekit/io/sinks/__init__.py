"""What results are written as: a module per format, found by its name.

Each module has the two functions of `Format`. `pictures` and `video` are of drawings; any other is
a value of the option `pred_format`, by being here.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from posekit.errors import InputError
from posekit.files import prediction_formats
from posekit.stages.packet import Clip, Packet

__all__ = ["Format", "Sink", "load_format"]


class Sink(Protocol):
    """The file of one image or clip, open for its packets."""

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        """Takes the image's packet, or a clip's next one.

        Args:
            packet: the result.
            drawing: (H, W, 3), BGR, uint8, where results are drawn.

        Raises:
            OutputError: it cannot be written; what is there is whole.
        """

    def close(self) -> None:
        """Finishes the file. What was written is whole if this is never called."""


class Format(Protocol):
    """What a module in this folder has."""

    def file_name(self, name: str, clip: Clip | None) -> str:
        """The name of the file for an image or a clip of this (unique) name."""

    def open_sink(self, path: Path, clip: Clip | None) -> Sink:
        """Opens a file for an image, where `clip` is None, or for a clip.

        Raises:
            OutputError: it cannot be made.
        """


def load_format(name: str) -> Format:
    """The format of predictions of that name.

    Raises:
        InputError: there is none.
    """
    if name not in (known := prediction_formats()):
        raise InputError(f"pred_format must be one of {', '.join(known)}, found {name!r}")
    return cast(Format, importlib.import_module(f"{__name__}.{name}"))
