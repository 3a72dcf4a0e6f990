"""Results that wait on the disk until all are there, for formats that need them together."""

from __future__ import annotations

import contextlib
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posekit.errors import OutputError
from posekit.io.sinks import Run
from posekit.result import Pose3D, PoseResult
from posekit.stages.packet import track_ids_of

__all__ = ["Spool"]

BLOCK = 256  # frames that are read together
NONE = -1  # of a `frame_id` that is None, and the track of who has none
FRAME = np.dtype(
    [
        ("index", "<i8"),
        ("frame", "<i8"),
        ("time", "<f8"),
        ("size", "<i4", (2,)),
        ("people", "<i4"),
        ("tracked", "?"),
        ("filled", "?"),
        ("solid", "?"),
    ]
)


class Spool:
    """The results of a clip, or of images, in two unnamed files that are removed with this object.

    Only 8 bytes per person and frame, and the names of images, stay in memory.

    Args:
        path: the finished file; the spool is on the same disk.
        run: the run, whose keypoints all results have.

    Attributes:
        failed: whether a result could not be kept.

    Raises:
        OutputError: the files cannot be made.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self._path, self._run = path, run
        self.failed = False
        self._row = _row_type(run)
        self._pose3d: Pose3D | None = None  # one of them, for what they have in common
        self._last: PoseResult | None = None
        self._names: list[tuple[int, str, str | None]] = []  # from which result on
        self._tracks = array("q")  # of every row
        self._count = 0
        self._users = 1
        try:
            self._frames = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
            self._people = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        except OSError as error:
            raise self._failure(error) from None

    def __len__(self) -> int:
        return self._count

    def shared(self) -> Spool:
        """This spool for one more user, who must close it too."""
        self._users += 1
        return self

    def close(self) -> None:
        """Removes the files once all users have closed the spool."""
        self._users -= 1
        if not self._users:
            for file in (self._frames, self._people):
                with contextlib.suppress(OSError):  # of what a full disk does not take
                    file.close()

    def add(self, result: PoseResult) -> None:
        """Keeps a result, without its drawing; the same one twice in a row is kept once.

        Raises:
            OutputError: the disk is full.
        """
        if result is self._last or self.failed:
            return
        if not self._names or self._names[-1][1:] != (result.name, result.source):
            self._names.append((self._count, result.name, result.source))
        head, rows = np.zeros(1, FRAME), self._rows_of(result)
        head["index"], head["size"], head["people"] = result.index, result.image_size, len(result)
        head["frame"] = NONE if result.frame_id is None else result.frame_id
        head["time"] = np.nan if result.time is None else result.time
        head["tracked"] = result.track_ids is not None
        head["filled"] = result.interpolated is not None
        head["solid"] = result.pose3d is not None
        try:
            self._people.write(rows.tobytes())
            self._frames.write(head.tobytes())
        except OSError as error:
            self.failed = True
            raise self._failure(error) from None
        self._pose3d = self._pose3d or result.pose3d
        self._tracks.extend(rows["track"].tolist())
        self._count, self._last = self._count + 1, result

    def _rows_of(self, result: PoseResult) -> np.ndarray:
        rows = np.zeros(len(result), self._row)
        rows["place"] = self._count
        rows["track"] = NONE if result.track_ids is None else track_ids_of(result)
        rows["interpolated"] = False if result.interpolated is None else result.interpolated
        rows["keypoints"], rows["scores"] = result.keypoints, result.keypoint_scores
        rows["box"], rows["box_score"] = result.boxes_xyxy, result.box_scores
        if result.pose3d is not None and self._run.skeleton_3d is not None:
            rows["keypoints_3d"] = result.pose3d.keypoints
            rows["scores_3d"] = result.pose3d.keypoint_scores
        return rows

    def results(self) -> Iterator[PoseResult]:
        """All results in order, in arrays of their own.

        Raises:
            OutputError: the files cannot be read.
        """
        names, person, until = iter([*self._names, (self._count, "", None)]), 0, 0
        following: list[Any] = list(next(names)[1:])
        name, source = "", None
        for start in range(0, self._count, BLOCK):
            heads = self._read(self._frames, FRAME, start, min(BLOCK, self._count - start))
            rows = self._read(self._people, self._row, person, int(heads["people"].sum()))
            person += len(rows)
            ends = np.cumsum(heads["people"])
            for number, (head, end) in enumerate(zip(heads, ends.tolist(), strict=True), start):
                if number == until:
                    name, source = following
                    until, *following = next(names)
                yield self._result(head, rows[end - head["people"] : end], name, source)

    def _result(self, head: Any, rows: np.ndarray, name: str, source: str | None) -> PoseResult:
        solid = None
        if head["solid"] and self._pose3d is not None and self._run.skeleton_3d is not None:
            solid = Pose3D(
                keypoints=rows["keypoints_3d"].copy(),
                keypoint_scores=rows["scores_3d"].copy(),
                skeleton=self._run.skeleton_3d,
                unit=self._pose3d.unit,
                axes=self._pose3d.axes,
                up=self._pose3d.up,
            )
        return PoseResult(
            # Copies: views would keep all that is read together.
            keypoints=rows["keypoints"].copy(),
            keypoint_scores=rows["scores"].copy(),
            boxes_xyxy=rows["box"].copy(),
            box_scores=rows["box_score"].copy(),
            skeleton=self._run.skeleton,
            image_size=(int(head["size"][0]), int(head["size"][1])),
            name=name,
            index=int(head["index"]),
            source=source,
            frame_id=None if head["frame"] == NONE else int(head["frame"]),
            time=None if np.isnan(head["time"]) else float(head["time"]),
            track_ids=rows["track"].copy() if head["tracked"] else None,
            interpolated=rows["interpolated"].copy() if head["filled"] else None,
            pose3d=solid,
        )

    def tracks(self) -> list[int]:
        """The track ids of all people, in rising order."""
        found: list[int] = np.unique(np.array(self._tracks)).tolist()
        return [one for one in found if one != NONE]

    def count_of(self, track: int) -> int:
        """How many results a person is in."""
        return self._tracks.count(track)

    def of_track(self, track: int) -> Iterator[PoseResult]:
        """The results that a person is in, in order, with that person alone.

        Raises:
            OutputError: the files cannot be read.
        """
        source = self._names[0] if self._names else (0, "", None)
        for place in np.flatnonzero(np.array(self._tracks) == track).tolist():
            row = self._read(self._people, self._row, place, 1)
            head = self._read(self._frames, FRAME, int(row["place"][0]), 1)
            yield self._result(head[0], row, *source[1:])

    def _read(self, file: Any, kind: np.dtype[Any], start: int, count: int) -> np.ndarray:
        try:
            file.seek(start * kind.itemsize)
            return np.frombuffer(file.read(count * kind.itemsize), kind)
        except OSError as error:  # of what was not written yet, as well
            self.failed = True
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._path}: {error.strerror or error}")


def _row_type(run: Run) -> np.dtype[Any]:
    k = run.skeleton.num_keypoints
    columns: list[Any] = [
        ("place", "<i8"),
        ("track", "<i8"),
        ("interpolated", "?"),
        ("keypoints", "<f4", (k, 2)),
        ("scores", "<f4", (k,)),
        ("box", "<f4", (4,)),
        ("box_score", "<f4"),
    ]
    if run.skeleton_3d is not None:
        joints = run.skeleton_3d.num_keypoints
        columns += [("keypoints_3d", "<f4", (joints, 3)), ("scores_3d", "<f4", (joints,))]
    return np.dtype(columns)
