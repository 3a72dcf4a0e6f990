"""A clip as `pose-format` writes it; see `posekit.bridges.pose_format`.

People need `track_ids`, unless there is never more than one. Results wait on the disk until the
clip ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from posekit.bridges.pose_format import PACKAGE, to_pose
from posekit.io.held import HeldFile, check_clip
from posekit.io.sinks import Run, Sink
from posekit.packages import need
from posekit.result import PoseResult
from posekit.stages.packet import Clip

__all__ = ["NEEDS", "check", "file_name", "open_sink"]

NEEDS = frozenset({"time", "tracks"})


def check(run: Run) -> None:
    """Checks that pose-format is installed.

    Raises:
        InputError: it is not.
    """
    need("pose_format", PACKAGE)


def file_name(name: str, clip: Clip | None) -> str:
    """`a.pose` of `a.mp4`."""
    return f"{Path(name).stem}.pose"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """A file of the frames of a clip."""
    check_clip(clip, "pose")
    assert clip is not None
    fps = float(clip.fps)

    def save(results: Iterator[PoseResult], path: Path) -> None:
        with path.open("wb") as file:
            to_pose(results, fps=fps).write(file)

    return HeldFile(path, save, run, tracked=True)
