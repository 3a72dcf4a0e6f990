"""An image's drawing, in the format that its file name says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from posekit.errors import OutputError
from posekit.files import write_whole
from posekit.io.sinks import Run, Sink
from posekit.stages.packet import Clip, Packet

__all__ = ["SUFFIXES", "file_name", "open_sink"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def file_name(name: str, clip: Clip | None) -> str:
    """The image's own name; ending in `.png` if OpenCV cannot write its format."""
    path = Path(name)
    return path.name if path.suffix.lower() in SUFFIXES else path.with_suffix(".png").name


def open_sink(path: Path, clip: Clip | None, run: Run) -> _Picture:
    """A file that is written whole or not at all."""
    return _Picture(path)


class _Picture(Sink):
    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        if drawing is None:
            return
        suffix = self._path.suffix.lower()
        done, data = cv2.imencode(suffix, drawing)
        if not done:
            raise OutputError(f"cannot encode the drawing of {self._path.name} as {suffix}")
        write_whole(self._path, data.tobytes())

    def close(self, complete: bool) -> None:
        pass
