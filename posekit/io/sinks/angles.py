"""Angles of joints and segments as a table, a row per person and frame, in degrees.

Columns have the names in `posekit.angles`. The images of a run share one file. In a clip, angles do
not jump by whole turns, see `TrackedAngles`. The file gets its name when it is finished;
`a.angles.partial.csv` is of a clip that was not read to its end.
"""

from __future__ import annotations

import contextlib
import csv
import io
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from posekit.angle_tracks import TrackedAngles
from posekit.angles import choose_angles
from posekit.counting import RepetitionCounter
from posekit.errors import InputError
from posekit.io.growing import PartFile
from posekit.io.sinks import Run, Sink, Together
from posekit.records import COLUMNS, NOBODY, error_record, records
from posekit.stages.packet import Clip, Packet

__all__ = ["NEEDS", "TOGETHER", "check", "file_name", "open_sink"]

log = logging.getLogger(__name__)

TOGETHER: Together = "images"
NEEDS = frozenset({"tracks"})
# An angle that nobody knows is empty; more digits than keypoints are good for.
DIGITS = 6


def check(run: Run) -> None:
    """Checks that the model gives the angles.

    Raises:
        InputError: it does not.
    """
    skeleton = run.skeleton_3d or run.skeleton
    choose_angles(run.settings.angles, skeleton)
    if run.settings.count is not None:
        RepetitionCounter(run.settings.count).check(skeleton)


def file_name(name: str, clip: Clip | None) -> str:
    """`a.angles.csv` of `a.mp4`."""
    return f"{Path(name).stem}.angles.csv"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file for the frames of a clip, or for images."""
    return _Table(path, clip, run)


class _Table(Sink):
    def __init__(self, path: Path, clip: Clip | None, run: Run) -> None:
        skeleton = run.skeleton_3d or run.skeleton
        self._clip = clip
        self._angles = TrackedAngles(
            skeleton,
            choose_angles(run.settings.angles, skeleton),
            threshold=run.kpt_thr,
            facing=run.settings.facing,
        )
        self._counter: RepetitionCounter | None = None
        if run.settings.count is not None:
            if clip is None:
                raise InputError("count is for videos, whose frames have times: an image has none")
            self._counter = RepetitionCounter(run.settings.count, threshold=run.kpt_thr)
        counted = [] if self._counter is None else [run.settings.count]
        self._columns = [*self._angles.names, *counted]
        self._file = PartFile(path)
        self._append([[*COLUMNS, *self._columns, "error"]])

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        found = self._angles(packet.result).round(DIGITS) + 0.0
        counts: dict[int, int] = {}
        if self._counter is not None:
            self._counter(packet.result)
            counts = self._counter.counts
        self._append(
            self._row(record, None if record["instance"] == NOBODY else found[number], counts)
            for number, record in enumerate(records(packet.result))
        )

    def skip(self, source: str, error: str) -> None:
        self._append([self._row(error_record(source, error), None, {})])

    def close(self, complete: bool) -> None:
        with contextlib.closing(self._file):
            self._file.finish(complete=complete)
        if self._counter is not None and self._clip is not None:
            counts = self._counter.counts.items()
            each = ", ".join(f"{count} of person {track}" for track, count in counts if count)
            log.warning("%s: %s: %s", self._clip.name, self._counter.exercise, each or "none")

    def _row(
        self, record: dict[str, Any], angles: np.ndarray | None, counts: dict[int, int]
    ) -> list[Any]:
        cells: list[float | None] = [None] * len(self._columns)
        if angles is not None:
            known = [None if np.isnan(angle) else angle for angle in angles.tolist()]
            cells = [*known, *cells[len(known) :]]
            if self._counter is not None:
                cells[-1] = counts[record["track_id"]]
        return [*(record[column] for column in COLUMNS), *cells, record["error"]]

    def _append(self, rows: Iterable[list[Any]]) -> None:
        lines = io.StringIO(newline="")
        csv.writer(lines, lineterminator="\n").writerows(rows)
        self._file.append(lines.getvalue().encode())
