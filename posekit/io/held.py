"""Files that are written once all results of a clip, or of all images, are there."""

from __future__ import annotations

import contextlib
import gc
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from posekit.errors import InputError, OutputError, PosekitError, first_line
from posekit.io.growing import part_path
from posekit.io.sinks import Run, Sink
from posekit.io.spool import Spool
from posekit.result import PoseResult
from posekit.stages.packet import Packet, track_ids_of

__all__ = ["Held", "HeldFile", "check_clip", "share"]


class Held(Sink):
    """Keeps results in a spool until the end; makes no file if one could not be kept.

    Args:
        path: the file to write.
        run: the run that makes the results.
        tracked: refuse several people without track ids, as soon as they come.

    Attributes:
        spool: holds the results.
    """

    def __init__(self, path: Path, run: Run, *, tracked: bool) -> None:
        self._path, self._tracked = path, tracked
        self.spool = Spool(path, run)

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        if self._tracked and len(packet.result) > 1:
            track_ids_of(packet.result)
        self.spool.add(packet.result)

    def close(self, complete: bool) -> None:
        with contextlib.closing(self.spool):
            if not self.spool.failed and len(self.spool):
                self.finish(complete)

    def finish(self, complete: bool) -> None:
        """Makes the files.

        Args:
            complete: whether all results have come.

        Raises:
            OutputError: the disk is full.
        """
        raise NotImplementedError


def share(sinks: Iterable[Sink]) -> None:
    """Gives all `Held` sinks of the same results one spool, before the first result."""
    held = [sink for sink in sinks if isinstance(sink, Held)]
    for sink in held[1:]:
        sink.spool.close()
        sink.spool = held[0].spool.shared()


class HeldFile(Held):
    """A file that a library writes in one go, first into a folder beside it.

    If results are missing, it is called `a.nwb.part`: a valid file of the results that there are.

    Args:
        path: the file to write; an existing one is overwritten.
        save: writes results to a path.
        run, tracked: see `Held`.
    """

    def __init__(
        self,
        path: Path,
        save: Callable[[Iterator[PoseResult], Path], object],
        run: Run,
        *,
        tracked: bool,
    ) -> None:
        super().__init__(path, run, tracked=tracked)
        self._save = save

    def finish(self, complete: bool) -> None:
        target = self._path if complete else part_path(self._path)
        try:
            # In a folder of its own it has the name that libraries expect.
            with tempfile.TemporaryDirectory(
                dir=self._path.parent, prefix=f".{self._path.name}."
            ) as folder:
                made = Path(folder) / self._path.name
                self._save(self.spool.results(), made)
                made.replace(target)
            gc.collect()  # libraries' objects hold each other, and the numbers of the clip
        except PosekitError:
            raise
        except Exception as error:  # whatever the library makes of a full disk
            reason = getattr(error, "strerror", None) or first_line(error)
            raise OutputError(f"cannot write {self._path}: {reason}") from error


def check_clip(clip: object | None, name: str) -> None:
    """Checks that results are of a clip.

    Raises:
        InputError: they are of images.
    """
    if clip is None:
        raise InputError(f"format {name} is for videos: images have no time; use another format")
