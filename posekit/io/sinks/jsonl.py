"""JSON lines: a clip's frames, each in a line of its own. Images are written as by `json`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posekit.io.growing import GrowingFile
from posekit.io.sinks import Run, Sink, json
from posekit.stages.packet import Clip, Packet

__all__ = ["file_name", "open_sink"]


def file_name(name: str, clip: Clip | None) -> str:
    """`a.jsonl` of `a.mp4`, `a.json` of `a.jpg`."""
    return json.file_name(name, clip) if clip is None else f"{Path(name).stem}.jsonl"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file; a clip's has whole lines only, after every frame."""
    return json.open_sink(path, clip, run) if clip is None else _Lines(path)


class _Lines(Sink):
    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        self._file.append(json.frame_record(packet) + b"\n")

    def close(self, complete: bool) -> None:
        self._file.close()
