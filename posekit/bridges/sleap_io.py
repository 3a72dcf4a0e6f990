"""Results as `Labels` of `sleap-io`, which writes SLP, analysis H5 and more."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posekit.bridges.results import Results, read_results
from posekit.packages import need
from posekit.result import PoseResult
from posekit.stages.packet import track_ids_of
from posekit.version import __version__

if TYPE_CHECKING:
    from sleap_io import Labels

__all__ = ["to_labels", "write_slp"]

PACKAGE = "sleap-io>=0.9"

BLOCK = 256  # frames of which there are objects at once
# The tables of SLP, and of which of them the numbers of a column count rows.
TABLES: dict[str, dict[str, str]] = {
    "frames": {
        "frame_id": "frames",
        "instance_id_start": "instances",
        "instance_id_end": "instances",
    },
    "instances": {
        "instance_id": "instances",
        "frame_id": "frames",
        "point_id_start": "pred_points",
        "point_id_end": "pred_points",
    },
    "pred_points": {},
}
# What else they have; other columns could count as well.
OTHERS = {
    "frames": {"video", "frame_idx"},
    "instances": {
        "instance_type",
        "skeleton",
        "track",
        "from_predicted",
        "score",
        "tracking_score",
    },
    "pred_points": {"x", "y", "visible", "complete", "score"},
}


def to_labels(results: Results) -> Labels:
    """Makes `Labels` of videos and images: predicted instances, with tracks if people are tracked.

    Images become the frames of one video of images. Frames with nobody are kept without instances.
    Numbers are float64 with the same values; scores are the model's and may exceed 1.

    Args:
        results: see `posekit.bridges`.

    Raises:
        InputError: no results, a track twice in one, or sleap-io is not installed.
    """
    return _Maker().labels(list(read_results(results)))


def write_slp(results: Results, path: str | os.PathLike[str]) -> None:
    """Writes the results of `to_labels` as SLP, one block of frames after the other.

    sleap-io writes each block and the tables are joined, since its objects take 10 KB per person
    and frame. Images are one block.

    Args:
        results: those of a video, or of images; see `posekit.bridges`.
        path: the file to write; an existing one is overwritten. Temporary files beside it begin
            with its name.

    Raises:
        InputError: as `to_labels`.
    """
    library = need("sleap_io", PACKAGE)
    path, maker, found = Path(path), _Maker(), read_results(results)
    part = path.with_name(f"{path.stem}.block{path.suffix}")
    tables = {name: path.with_name(f"{path.name}.{name}") for name in TABLES}
    counts, kinds = dict.fromkeys(TABLES, 0), {}
    for block in _blocks(found):
        library.save_slp(maker.labels(block), str(part), verbose=False)
        rows = _rows(part)
        if rows is None:  # another sleap-io
            whole = _Maker().labels([*block, *found])
            library.save_slp(whole, str(path), verbose=False)
            break
        for name, more in rows.items():
            kinds[name] = more.dtype
            for column, of in TABLES[name].items():
                more[column] += np.asarray(counts[of]).astype(more.dtype[column])
        for name, more in rows.items():
            counts[name] += len(more)
            with tables[name].open("ab") as file:
                file.write(more.tobytes())
    else:
        _put(part, tables, kinds)
        part.replace(path)
    for other in (part, *tables.values()):
        other.unlink(missing_ok=True)


def _blocks(results: Iterator[PoseResult]) -> Iterator[list[PoseResult]]:
    """Frames of clips, some at a time, and all images."""
    for first in results:
        size = None if first.frame_id is None else BLOCK - 1
        yield [first, *itertools.islice(results, size)]


def _rows(path: Path) -> dict[str, np.ndarray] | None:
    """The tables of a file; None where they have not the columns that are known."""
    import h5py

    with h5py.File(path, "r") as file:
        rows = {name: file[name][:] for name in TABLES}
    known = all(set(rows[name].dtype.names) == {*TABLES[name], *OTHERS[name]} for name in TABLES)
    return rows if known else None


def _put(path: Path, tables: dict[str, Path], kinds: dict[str, Any]) -> None:
    """Replaces the tables of a file."""
    import h5py

    with h5py.File(path, "r+") as file:
        for name, kept in tables.items():
            kind = kinds[name]
            del file[name]
            table = file.create_dataset(name, (kept.stat().st_size // kind.itemsize,), kind)
            with kept.open("rb") as rows:
                for start in itertools.count(0, 1 << 14):
                    block = np.frombuffer(rows.read(kind.itemsize << 14), kind)
                    if not len(block):
                        break
                    table[start : start + len(block)] = block


class _Maker:
    """Makes `Labels` of one result after another, whose videos and tracks stay in their places."""

    def __init__(self) -> None:
        self._library = need("sleap_io", PACKAGE)
        self._skeleton: Any = None
        self._videos: dict[str | None, Any] = {}
        self._tracks: dict[tuple[str | None, int], Any] = {}
        self._pictures = 0

    def labels(self, results: list[PoseResult]) -> Labels:
        """Those of some results, with all videos and tracks so far."""
        library, of = self._library, results[0].skeleton
        if self._skeleton is None:
            self._skeleton = library.Skeleton(list(of.names), edges=list(of.links), name=of.name)
        frames = [library.LabeledFrame(*self._frame(result, results)) for result in results]
        return library.Labels(
            frames,
            list(self._videos.values()),
            [self._skeleton],
            list(self._tracks.values()),
            provenance={"source_software": f"posekit {__version__}"},
        )

    def _frame(self, result: PoseResult, results: Iterable[PoseResult]) -> tuple[Any, int, Any]:
        """Video, number and instances."""
        library = self._library
        # Pixels may not be there any more, and are not needed.
        clip = None if result.frame_id is None else result.source or result.name
        if clip not in self._videos:
            images = [one.source or one.name for one in results if one.frame_id is None]
            video = library.Video(images if clip is None else clip, open_backend=False)
            self._videos[clip] = video
        number = self._pictures if result.frame_id is None else result.frame_id
        self._pictures += result.frame_id is None
        instances = [
            library.PredictedInstance.from_numpy(
                result.keypoints[person],
                self._skeleton,
                point_scores=result.keypoint_scores[person],
                score=float(result.box_scores[person]),
                track=self._track(result, person, clip),
            )
            for person in range(len(result))
        ]
        return self._videos[clip], number, instances

    def _track(self, result: PoseResult, person: int, clip: str | None) -> Any:
        if result.track_ids is None:
            return None
        key = (clip, track_ids_of(result)[person])
        if key not in self._tracks:
            self._tracks[key] = self._library.Track(f"track_{key[1]}")
        return self._tracks[key]
