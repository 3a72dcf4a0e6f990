"""Files that a library writes at once: results wait in memory until they are all there."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from posekit.errors import InputError, OutputError, PosekitError, first_line
from posekit.io.growing import part_path
from posekit.io.sinks import Sink
from posekit.result import PoseResult
from posekit.stages.packet import Packet, track_ids_of

__all__ = ["HeldFile", "check_clip"]


class HeldFile(Sink):
    """The file of a clip, or of images: made at its end, whole, in a folder beside it.

    One that is not complete is `a.nwb.part`: whole as well, of the results that there were.

    Args:
        path: of the file, which is overwritten.
        save: writes results to a path.
        tracked: refuse several people of whom nobody knows who is who, at once.
    """

    def __init__(
        self, path: Path, save: Callable[[list[PoseResult], Path], object], *, tracked: bool
    ) -> None:
        self._path, self._save, self._tracked = path, save, tracked
        self._results: list[PoseResult] = []

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        if self._tracked and len(packet.result) > 1:
            track_ids_of(packet.result)
        self._results.append(dataclasses.replace(packet.result, visualization=None))

    def close(self, complete: bool) -> None:
        results, self._results = self._results, []
        if not results:
            return
        target = self._path if complete else part_path(self._path)
        try:
            # In a folder of its own it has the name that libraries expect.
            with tempfile.TemporaryDirectory(
                dir=self._path.parent, prefix=f".{self._path.name}."
            ) as folder:
                made = Path(folder) / self._path.name
                self._save(results, made)
                made.replace(target)
        except PosekitError:
            raise
        except Exception as error:  # whatever the library makes of a full disk
            reason = getattr(error, "strerror", None) or first_line(error)
            raise OutputError(f"cannot write {self._path}: {reason}") from error


def check_clip(clip: object | None, name: str) -> None:
    """Sees that results are of a clip.

    Raises:
        InputError: they are of images.
    """
    if clip is None:
        raise InputError(f"format {name} is of clips: images have no time; take another format")
