"""A table with a row per person and frame, without loss; the images of a run share one.

The columns are those of `posekit.records`, as lists of fixed size, filled with NaN in rows without
a person. The key `posekit` of the file's metadata is JSON that says what the columns mean and
whether the clip is complete. The file is called `a.parquet.part` until it is finished.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posekit.errors import OutputError
from posekit.files import replacing
from posekit.io.about import describe_finished
from posekit.io.growing import part_path
from posekit.io.sinks import Run, Sink, Together
from posekit.packages import need
from posekit.records import error_record, records
from posekit.result import Pose3D
from posekit.skeleton import Skeleton
from posekit.stages.packet import Clip, Packet

__all__ = ["TOGETHER", "check", "file_name", "open_sink", "schema"]

TOGETHER: Together = "images"

# Rows that wait in memory to be written together.
GROUP = 256
COMPRESSION = "zstd"


def check(run: Run | None = None) -> None:
    """Checks that pyarrow is installed.

    Raises:
        InputError: it is not.
    """
    need("pyarrow.parquet", "posekit[parquet]", "parquet")


def file_name(name: str, clip: Clip | None) -> str:
    """`a.parquet` of `a.mp4`."""
    return f"{Path(name).stem}.parquet"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file for the frames of a clip, or for images."""
    check(run)
    return _Table(path, clip, run)


def schema(skeleton: Skeleton, skeleton_3d: Skeleton | None = None) -> Any:
    """The Arrow schema of results with these keypoints."""
    import pyarrow as pa

    def numbers(count: int) -> Any:
        return pa.list_(pa.float32(), count)

    k = skeleton.num_keypoints
    columns = {
        "source": pa.string(),
        "name": pa.string(),
        "index": pa.int64(),
        "frame_id": pa.int64(),
        "time": pa.float64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "instance": pa.int32(),
        "track_id": pa.int64(),
        "box_xyxy": numbers(4),
        "box_score": pa.float32(),
        "keypoints": numbers(2 * k),
        "keypoint_scores": numbers(k),
    }
    if skeleton_3d is not None:
        columns["keypoints_3d"] = numbers(3 * skeleton_3d.num_keypoints)
        columns["keypoint_scores_3d"] = numbers(skeleton_3d.num_keypoints)
    return pa.schema({**columns, "interpolated": pa.bool_(), "error": pa.string()})


class _Table(Sink):
    def __init__(self, path: Path, clip: Clip | None, run: Run) -> None:
        import pyarrow.parquet

        self._path, self._clip, self._run = path, clip, run
        self._schema = schema(run.skeleton, run.skeleton_3d)
        self._rows: list[dict[str, Any]] = []
        self._frames = 0
        self._failed = False
        self._pose3d: Pose3D | None = None
        with self._disk_errors():
            # Python's own, which is closed whatever Arrow says of a full disk.
            self._handle = part_path(path).open("wb")
            self._file = pyarrow.parquet.ParquetWriter(
                self._handle, self._schema, compression=COMPRESSION
            )

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        for row in records(packet.result):
            lists = {key: value.ravel() for key, value in row.items() if _is_array(value)}
            self._rows.append({**row, **lists})
        self._frames += 1
        self._pose3d = packet.result.pose3d
        if len(self._rows) >= GROUP:
            self._flush()

    def skip(self, source: str, error: str) -> None:
        self._rows.append(error_record(source, error))

    def close(self, complete: bool) -> None:
        about = describe_finished(
            self._run, self._clip, pose3d=self._pose3d, frames=self._frames, complete=complete
        )
        part = part_path(self._path)
        # On a full disk a buffer that cannot be emptied keeps its file open.
        with self._disk_errors(), contextlib.closing(self._handle.raw):
            if self._failed:
                return
            self._flush()
            self._file.close()
            self._handle.close()
            # A schema's metadata stand in a file from its beginning, and are known at its end.
            text = json.dumps(about, default=str)
            _copy(part, self._path, self._schema.with_metadata({"posekit": text}))
            part.unlink()

    def _flush(self) -> None:
        import pyarrow as pa

        rows, self._rows = self._rows, []
        if not rows:
            return
        arrays = [
            pa.array(_column(rows, name, kind), type=kind)
            for name, kind in zip(self._schema.names, self._schema.types, strict=True)
        ]
        with self._disk_errors():
            self._file.write_batch(pa.record_batch(arrays, schema=self._schema))
        pa.default_memory_pool().release_unused()  # it would keep what many batches took

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException) as error:
            self._failed = True
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise OutputError(f"cannot write {self._path}: {reason}") from None


def _copy(source: Path, path: Path, described: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Files of Python's own: Arrow opens no names that are not UTF-8.
    with (
        source.open("rb") as read,
        pq.ParquetFile(read) as file,
        replacing(path) as temporary,
        temporary.open("wb") as written,
        pq.ParquetWriter(written, described, compression=COMPRESSION) as copy,
    ):
        for batch in file.iter_batches(GROUP):
            copy.write_batch(batch.replace_schema_metadata(described.metadata))
            pa.default_memory_pool().release_unused()


def _column(rows: list[dict[str, Any]], name: str, kind: Any) -> list[Any]:
    import pyarrow as pa

    values = [row.get(name) for row in rows]
    if not pa.types.is_fixed_size_list(kind):
        return values
    # Up to Arrow 25 a list of fixed size that is null is written, but cannot be read.
    nothing = np.full(kind.list_size, np.nan, np.float32)
    return [nothing if value is None else value for value in values]


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)
