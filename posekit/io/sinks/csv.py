"""A table with a row per person and frame; the images of a run share one.

`a.meta.json` beside `a.csv` says what the columns mean and whether the clip is complete. Both get
their names when they are finished; a killed run leaves `a.csv.part`.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from posekit.files import write_whole
from posekit.io.about import describe_finished
from posekit.io.growing import PartFile
from posekit.io.sinks import Run, Sink, Together
from posekit.records import error_record, flat_columns, flat_row, records
from posekit.result import Pose3D
from posekit.stages.packet import Clip, Packet

__all__ = ["TOGETHER", "file_name", "open_sink"]

TOGETHER: Together = "images"


def file_name(name: str, clip: Clip | None) -> str:
    """`a.csv` of `a.mp4`."""
    return f"{Path(name).stem}.csv"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file for the frames of a clip, or for images."""
    return _Table(path, clip, run)


class _Table(Sink):
    def __init__(self, path: Path, clip: Clip | None, run: Run) -> None:
        self._path, self._clip, self._run = path, clip, run
        self._file = PartFile(path)
        self._frames = 0
        self._pose3d: Pose3D | None = None
        self._append([flat_columns(run.skeleton, run.skeleton_3d)])

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        self._append_records(records(packet.result))
        self._frames += 1
        self._pose3d = packet.result.pose3d

    def skip(self, source: str, error: str) -> None:
        self._append_records([error_record(source, error)])

    def close(self, complete: bool) -> None:
        about = describe_finished(
            self._run, self._clip, pose3d=self._pose3d, frames=self._frames, complete=complete
        )
        text = json.dumps(about, indent=1, default=str) + "\n"
        with contextlib.closing(self._file):
            beside = self._path.with_suffix(".meta.json")
            self.guard(beside)
            write_whole(beside, text.encode())
            self._file.finish()

    def _append_records(self, found: Iterable[dict[str, Any]]) -> None:
        self._append(flat_row(one, self._run.skeleton, self._run.skeleton_3d) for one in found)

    def _append(self, rows: Iterable[list[Any]]) -> None:
        lines = io.StringIO(newline="")
        csv.writer(lines, lineterminator="\n").writerows(rows)
        self._file.append(lines.getvalue().encode())
