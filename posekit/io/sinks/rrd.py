"""A recording that Rerun's viewer plays, of a clip or of all images; see `posekit.bridges.rerun`.

It is called `a.rrd.part` until it is finished.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posekit.bridges.rerun import PACKAGE, Recorder
from posekit.errors import OutputError, first_line
from posekit.io.growing import part_path
from posekit.io.sinks import Run, Sink, Together
from posekit.packages import need
from posekit.stages.packet import Clip, Packet

__all__ = ["TOGETHER", "check", "file_name", "open_sink"]

TOGETHER: Together = "images"


def check(run: Run) -> None:
    """Checks that rerun-sdk is installed.

    Raises:
        InputError: it is not.
    """
    need("rerun", PACKAGE)


def file_name(name: str, clip: Clip | None) -> str:
    """`a.rrd` of `a.mp4`."""
    return f"{Path(name).stem}.rrd"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """A file of a clip's frames, or of images."""
    return _Recording(path, run.kpt_thr)


class _Recording(Sink):
    def __init__(self, path: Path, kpt_thr: float) -> None:
        self._path = path
        try:
            part_path(path).touch()  # Rerun would only log that it cannot
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
        self._recorder = Recorder(part_path(path), kpt_thr=kpt_thr)

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        self._recorder.log(packet.result)

    def close(self, complete: bool) -> None:
        try:
            self._recorder.close()
            if complete:
                part_path(self._path).replace(self._path)
        except (OSError, RuntimeError) as error:
            raise OutputError(f"cannot write {self._path}: {first_line(error)}") from None
