"""Angles as a motion for OpenSim, a MOT file per person, in degrees.

Columns have the names in `posekit.angles`; angles that were never seen are left out. OpenSim's
reader loses its place at a missing number, so gaps are interpolated, with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from posekit.angle_tracks import TrackedAngles
from posekit.angles import choose_angles
from posekit.io.person_files import PersonFiles
from posekit.io.person_rows import Person, filled
from posekit.io.sinks import Run, Sink
from posekit.stages.packet import Clip, Packet

__all__ = ["NEEDS", "check", "file_name", "open_sink"]

NEEDS = frozenset({"time", "tracks"})

log = logging.getLogger(__name__)


def check(run: Run) -> None:
    """Checks that the model gives the angles.

    Raises:
        InputError: it does not.
    """
    choose_angles(run.settings.angles, run.skeleton_3d or run.skeleton)


def file_name(name: str, clip: Clip | None) -> str:
    """`a.mot` of `a.mp4`, beside which people's files are `a_person00.mot`."""
    return f"{Path(name).stem}.mot"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens the files of a clip's people."""
    return _Motion(path, clip, run)


class _Motion(PersonFiles):
    def __init__(self, path: Path, clip: Clip | None, run: Run) -> None:
        skeleton = run.skeleton_3d or run.skeleton
        self._angles = TrackedAngles(
            skeleton,
            choose_angles(run.settings.angles, skeleton),
            threshold=run.kpt_thr,
            facing=run.settings.facing,
        )
        self._missing = self._written = 0
        super().__init__(path, clip, len(self._angles.names))

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        self.add(packet, self._angles(packet.result))

    def close(self, complete: bool) -> None:
        super().close(complete)
        if self._missing:
            log.warning(
                "%s: %d of %d angles were not seen and are interpolated in the mot files; format "
                "angles leaves them empty",
                self._clip.name,
                self._missing,
                self._written,
            )

    def lines(self, person: Person, name: str) -> Iterator[str] | None:
        if not person.seen.any():
            log.warning("%s is not written: no angle of that person was seen", name)
            return None
        return self._lines(person, name)

    def _lines(self, person: Person, name: str) -> Iterator[str]:
        columns = np.flatnonzero(person.seen)
        self._written += person.frames * len(columns)
        self._missing += int((person.frames - person.seen[columns]).sum())
        labels = "\t".join(self._angles.names[column] for column in columns)
        yield (
            f"{Path(name).stem}\nversion=1\nnRows={person.frames}\nnColumns={len(columns) + 1}\n"
            f"inDegrees=yes\n\nendheader\ntime\t{labels}\n"
        )
        for _, times, values in filled(self.rows.blocks(person), person, longest=None):
            rows = np.column_stack([times, values[:, columns]]).tolist()
            yield "".join("\t".join(f"{n + 0.0:.9g}" for n in row) + "\n" for row in rows)
