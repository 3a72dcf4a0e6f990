"""Marker trajectories for OpenSim and Pose2Sim, a TRC file per person, in metres with Y up.

X points to the right of the image and Z towards the camera; for 2D models Z is 0. Markers have the
names of Pose2Sim's HALPE_26. A keypoint that is not seen has empty cells, or `nan` at the very end
of a line, since OpenSim counts the cells.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from posekit.biomechanics import (
    ASSUMED_HEIGHT,
    Heights,
    body_heights,
    check_markers,
    marker_positions,
    markers_of,
)
from posekit.io.person_files import PersonFiles
from posekit.io.person_rows import Floats, Person, filled
from posekit.io.sinks import Run, Sink
from posekit.result import PoseResult
from posekit.stages.packet import Clip, Packet, track_ids_of

__all__ = ["NEEDS", "assumes", "check", "file_name", "open_sink"]

NEEDS = frozenset({"time", "tracks"})

log = logging.getLogger(__name__)


def check(run: Run) -> None:
    """Checks that the model is for people.

    Raises:
        InputError: it is not for people.
    """
    check_markers(run.skeleton_3d or run.skeleton, "format trc")


def assumes(run: Run) -> str | None:
    """The assumed height of people if none is given, since markers are in metres."""
    body = run.settings
    if run.skeleton_3d is None and body.person_height is None and body.pixels_per_metre is None:
        return (
            f"that everybody is {ASSUMED_HEIGHT:g} m tall; set person_height= or pixels_per_metre="
        )
    return None


def file_name(name: str, clip: Clip | None) -> str:
    """`a.trc` of `a.mp4`, beside which people's files are `a_person00.trc`."""
    return f"{Path(name).stem}.trc"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens the files of a clip's people."""
    return _Markers(path, clip, run)


class _Markers(PersonFiles):
    def __init__(self, path: Path, clip: Clip | None, run: Run) -> None:
        self._run = run
        self._skeleton = run.skeleton_3d or run.skeleton
        self._markers = markers_of(self._skeleton)
        self._axes = 2 if run.skeleton_3d is None else 3
        self._heights: dict[int, Heights] = {}
        # The shortest time between two frames, for some may be left out, or could not be decoded.
        self._step, self._time = math.inf, math.nan
        self._width = len(self._markers) * self._axes
        super().__init__(path, clip, self._width)

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        result = packet.result
        if result.time is not None:
            if result.time > self._time:
                self._step = min(self._step, result.time - self._time)
            self._time = result.time
        if not len(result):  # of whom nobody knows whether they would be in 3D
            self.add(packet, np.zeros((0, self._width)))
            return
        points = self._points(result)
        heights = body_heights(points, self._skeleton)
        for track, height, share in zip(track_ids_of(result), *heights, strict=True):
            self._heights.setdefault(track, Heights()).add(height, share)
        self.add(packet, marker_positions(points, self._skeleton).reshape(len(result), self._width))

    def _points(self, result: PoseResult) -> Floats:
        """Keypoints with y up, (n, K, 2) in pixels or (n, K, 3) in metres; NaN where not seen."""
        if result.pose3d is None:
            floor = self._run.settings.floor
            points = result.keypoints * np.array([1.0, -1.0])
            points[..., 1] += result.image_size[1] if floor is None else floor
            scores = result.keypoint_scores
        else:
            points = result.pose3d.upright[..., [0, 2, 1]] * [1.0, 1.0, -1.0]
            scores = result.pose3d.keypoint_scores
        return np.where((scores >= self._run.kpt_thr)[..., None], points, np.nan)

    def _scale(self, person: Person) -> float | None:
        """Metres per unit of the rows; None where nobody can tell."""
        body = self._run.settings
        if body.pixels_per_metre is not None:
            return 1 / body.pixels_per_metre
        height = body.person_height
        if height is None:
            if self._axes == 3:
                return 1.0
            height = ASSUMED_HEIGHT
        found = self._heights[person.track].median
        return None if found is None else height / found

    def lines(self, person: Person, name: str) -> Iterator[str] | None:
        scale = self._scale(person)
        if scale is None:
            log.warning(
                "%s is not written: no limb of that person was seen, so their size is unknown", name
            )
            return None
        return self._lines(person, name, scale)

    def _lines(self, person: Person, name: str, scale: float) -> Iterator[str]:
        yield self._head(person, name)
        markers, axes = len(self._markers), self._axes
        blocks = filled(self.rows.blocks(person), person, longest=self._run.settings.max_gap)
        for frame_ids, times, values in blocks:
            points = values.reshape(-1, markers, axes) * scale
            if axes == 2:
                points = np.concatenate([points, 0 * points[..., :1]], axis=2)
            rows = zip(frame_ids, times, points.reshape(len(points), -1).tolist(), strict=True)
            yield "".join(
                f"{frame}\t{time:.9g}\t{_cells(numbers)}\n" for frame, time, numbers in rows
            )

    def _head(self, person: Person, name: str) -> str:
        first = next(self.rows.blocks(person)).frame_ids[0]
        rate = float(self._clip.fps)
        step = max(1, round(self._step * rate)) if math.isfinite(self._step) else 1
        count, markers = person.frames, len(self._markers)
        labels = "\t\t\t".join(self._markers)
        axes = "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, markers + 1))
        return (
            f"PathFileType\t4\t(X/Y/Z)\t{name}\n"
            "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\t"
            "OrigDataStartFrame\tOrigNumFrames\n"
            f"{rate / step:.9g}\t{rate:.9g}\t{count}\t{markers}\tm\t{rate / step:.9g}\t{first}\t"
            f"{count}\n"
            f"Frame#\tTime\t{labels}\t\t\t\n"
            f"\t\t{axes}\n\n"
        )


def _cells(numbers: list[float]) -> str:
    cells = ["" if number != number else f"{number + 0.0:.9g}" for number in numbers]
    return "\t".join([*cells[:-1], cells[-1] or "nan"])
