"""A file for each person of a clip, written when the clip has ended."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable
from pathlib import Path

from posekit.errors import InputError
from posekit.io.growing import PartFile, partial_path
from posekit.io.person_rows import Floats, Person, PersonRows
from posekit.io.sinks import Sink
from posekit.stages.packet import Clip, Packet, track_ids_of

__all__ = ["PersonFiles"]

log = logging.getLogger(__name__)


class PersonFiles(Sink):
    """The base of formats with a file per person; each implements `lines`.

    Args:
        path: `a.trc`, beside which `a_person00.trc` is written; 00 is the track id.
        clip: the clip that the people are in.
        width: number of values per person and frame.

    Raises:
        InputError: there is no clip.
    """

    def __init__(self, path: Path, clip: Clip | None, width: int) -> None:
        self._format = path.suffix[1:]
        if clip is None:
            raise InputError(
                f"format {self._format} is for videos, whose frames have times: an image has none"
            )
        self._path, self._clip = path, clip
        self._failed = False
        self.rows = PersonRows(path, width)

    def add(self, packet: Packet, values: Floats) -> None:
        """Adds the values (n, width) of the people in the next frame.

        Raises:
            OutputError: the disk is full.
        """
        result = packet.result
        frame_id = result.index if result.frame_id is None else result.frame_id
        time = frame_id / float(self._clip.fps) if packet.time is None else packet.time
        self._failed = True
        self.rows.add(frame_id, time, track_ids_of(result), values)
        self._failed = False

    def lines(self, person: Person, name: str) -> Iterable[str] | None:
        """The text of a person's file, in parts; None if there is nothing to write.

        Args:
            person: the person.
            name: name of the file.
        """
        raise NotImplementedError

    def close(self, complete: bool) -> None:
        if self._failed:
            self.rows.close(keep=True)
            return
        with self.rows:
            self.rows.flush()
            written = {
                path.name
                for person in self.rows.people.values()
                if (path := self._write_person(person, complete)) is not None
            }
        self._tell(written)

    def _write_person(self, person: Person, complete: bool) -> Path | None:
        path = self._path.with_stem(f"{self._path.stem}_person{person.track:02d}")
        named = path if complete else partial_path(path)
        text = self.lines(person, named.name)
        if text is None:
            return None
        self.guard(named)
        with contextlib.closing(PartFile(path)) as file:
            for part in text:
                file.append(part.encode())
            file.finish(complete=complete)
        return named

    def _tell(self, written: set[str]) -> None:
        """Says what is not as one might think."""
        if not self.rows.people:
            log.warning(
                "%s: nobody was found, so there is no %s file", self._clip.name, self._format
            )
        own = re.compile(rf"{re.escape(self._path.stem)}_person\d+(\.partial)?\.{self._format}")
        there = {path.name for path in self._path.parent.iterdir() if own.fullmatch(path.name)}
        if others := sorted(there - written):
            log.warning("left by an earlier run: %s", ", ".join(others))
