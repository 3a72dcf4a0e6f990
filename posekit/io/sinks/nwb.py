"""A clip as Neurodata Without Borders, with poses as `ndx-pose` has them.

See `posekit.bridges.nwb`. People need `track_ids`, unless there is never more than one. Results
wait on the disk until the clip ends.
"""

from __future__ import annotations

import functools
from pathlib import Path

from posekit.bridges import nwb
from posekit.io.held import HeldFile, check_clip
from posekit.io.sinks import Run, Sink
from posekit.packages import need
from posekit.stages.packet import Clip

__all__ = ["NEEDS", "check", "file_name", "open_sink"]

NEEDS = frozenset({"time", "tracks"})


def check(run: Run) -> None:
    """Checks that ndx-pose is installed.

    Raises:
        InputError: it is not.
    """
    need("ndx_pose", nwb.PACKAGE)


def file_name(name: str, clip: Clip | None) -> str:
    """`a.nwb` of `a.mp4`."""
    return f"{Path(name).stem}.nwb"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """A file of the frames of a clip."""
    check_clip(clip, "nwb")
    assert clip is not None
    save = functools.partial(nwb.to_nwb, fps=float(clip.fps))
    return HeldFile(path, save, run, tracked=True)
