"""Reads results from a Parquet file that `posekit.io.sinks.parquet` wrote."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from posekit.errors import InputError
from posekit.io.about import skeleton_of
from posekit.io.sinks import Run
from posekit.io.sinks.parquet import check, schema
from posekit.records import NOBODY
from posekit.result import Pose3D, PoseResult
from posekit.stages.packet import Clip, Packet

__all__ = ["ResultTable", "read_table"]

BATCH = 2048  # rows in memory at once


@dataclass(frozen=True, eq=False)
class ResultTable:
    """A Parquet file of results, opened for reading.

    Attributes:
        path: path of the file.
        run: the run that made it.
        clip: the video of the results; None for images.
        complete: whether the video was read to its end.
        frames: number of results.
        about: all metadata of the file.
    """

    path: Path
    run: Run
    clip: Clip | None
    complete: bool
    frames: int
    about: dict[str, Any]

    def packets(self) -> Iterator[Packet | tuple[str, str]]:
        """The results in order; a source and an error for what could not be read.

        Raises:
            InputError: the file is damaged.
        """
        for index, group in itertools.groupby(self._rows(), key=lambda row: row["index"]):
            rows = list(group)
            if index < 0:
                yield from ((row["source"], row["error"]) for row in rows)
            else:
                yield self._packet(rows)

    def _rows(self) -> Iterator[dict[str, Any]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(BATCH):
                    columns = {name: _values(batch.column(name)) for name in batch.schema.names}
                    for number in range(batch.num_rows):
                        yield {name: values[number] for name, values in columns.items()}
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{self.path} is damaged: {_first_line(error)}") from None

    def _packet(self, rows: list[dict[str, Any]]) -> Packet:
        first, run = rows[0], self.run
        people = [row for row in rows if row["instance"] != NOBODY]
        n, k = len(people), run.skeleton.num_keypoints

        def stacked(name: str, *shape: int) -> np.ndarray:
            values = [row[name] for row in people]
            return np.array(values, np.float32).reshape(n, *shape)

        def known(name: str, dtype: type) -> np.ndarray | None:
            values = [row[name] for row in people]
            return None if not values or None in values else np.array(values, dtype)

        pose3d = None
        if run.skeleton_3d is not None:
            joints = run.skeleton_3d.num_keypoints
            pose3d = Pose3D(
                keypoints=stacked("keypoints_3d", joints, 3),
                keypoint_scores=stacked("keypoint_scores_3d", joints),
                skeleton=run.skeleton_3d,
                unit=self.about.get("unit_3d", ""),
                axes=self.about.get("axes_3d", ""),
                up=self.about.get("up_3d", "z"),
            )
        result = PoseResult(
            keypoints=stacked("keypoints", k, 2),
            keypoint_scores=stacked("keypoint_scores", k),
            boxes_xyxy=stacked("box_xyxy", 4),
            box_scores=stacked("box_score"),
            skeleton=run.skeleton,
            image_size=(first["width"], first["height"]),
            name=first["name"],
            index=first["index"],
            source=first["source"],
            frame_id=first["frame_id"],
            time=first["time"],
            track_ids=known("track_id", np.int64),
            interpolated=known("interpolated", np.bool_),
            pose3d=pose3d,
        )
        return Packet(result, self.clip, first["time"])


def read_table(path: Path) -> ResultTable:
    """Opens a file of results.

    Raises:
        InputError: no such file, one that posekit did not write, or pyarrow is not installed.
    """
    check_path(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a Parquet file: {_first_line(error)}") from None
    try:
        about = json.loads((found.metadata or {})[b"posekit"])
        skeleton = skeleton_of(about["skeleton"])
        skeleton_3d = skeleton_of(about["skeleton_3d"]) if "skeleton_3d" in about else None
        run = Run(
            skeleton=skeleton,
            skeleton_3d=skeleton_3d,
            models=about["models"],
            weights=about["weights"],
            weights_sha256=about.get("weights_sha256", {}),
            licenses=about["licenses"],
            options=about["options"],
        )
        clip = _clip(about) if "fps" in about else None
        complete, frames = bool(about["complete"]), int(about["frames"])
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} has no results as pred_format=parquet writes them ({error!r})"
        ) from None
    if not found.equals(schema(skeleton, skeleton_3d)):
        raise InputError(f"{path} has other columns than pred_format=parquet writes")
    return ResultTable(path, run, clip, complete, frames, about)


def check_path(path: Path) -> None:
    """Checks that a file of results exists and can be read at all.

    Raises:
        InputError: it cannot.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    if path.suffix == ".part":
        raise InputError(f"{path} was left by a killed run: it cannot be read")
    check()


def _clip(about: dict[str, Any]) -> Clip:
    source = about["source"]
    name = about.get("name") or Path(source).name
    size = (int(about["size"][0]), int(about["size"][1]))
    return Clip(name, source, size, Fraction(about["fps"]).limit_denominator(100_000))


def _values(column: Any) -> list[Any]:
    """Values of a column; lists of numbers as arrays of float32, whose bits stay."""
    import pyarrow as pa

    if not pa.types.is_fixed_size_list(column.type):
        return column.to_pylist()
    return [None if value.values is None else value.values.to_numpy() for value in column]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
