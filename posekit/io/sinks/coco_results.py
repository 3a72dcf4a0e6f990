"""Results as COCO's server takes them: `predictions.coco_results.json`, one list for a run.

`image_id` is the number in an image's name, as in `000000000139.jpg`; if the first name is not a
number, and for frames of clips, images are counted from 1, as in `coco`.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np

from posekit.coco_form import results
from posekit.errors import OutputError
from posekit.io.growing import PartFile
from posekit.io.sinks import Run, Sink, Together
from posekit.stages.packet import Clip, Packet

__all__ = ["TOGETHER", "file_name", "open_sink"]

TOGETHER: Together = "all"


def file_name(name: str, clip: Clip | None) -> str:
    """`a.coco_results.json` of `a.jpg`."""
    return f"{Path(name).stem}.coco_results.json"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file for all results of a run."""
    return _Results(path)


class _Results(Sink):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = PartFile(path)
        self._file.append(b"[")
        self._images, self._people = 0, 0
        self._by_name = False

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        for person in results(packet.result, self._image_id(packet)):
            separator = b",\n" if self._people else b"\n"
            self._file.append(separator + json.dumps(person, allow_nan=False).encode())
            self._people += 1

    def close(self, complete: bool) -> None:
        with contextlib.closing(self._file):
            self._file.append(b"\n]\n")
            self._file.finish()

    def _image_id(self, packet: Packet) -> int:
        stem = Path(packet.result.name).stem
        has_number = packet.clip is None and stem.isascii() and stem.isdigit()
        if not self._images:
            self._by_name = has_number
        self._images += 1
        if self._by_name and not has_number:
            raise OutputError(
                f"cannot write {self._path}: expected a number as the name of every image, as of "
                f"the first one, found {packet.result.name}"
            )
        return int(stem) if self._by_name else self._images
