"""SLEAP's labels, as `sleap-io` writes them; the images of a run share one file.

Results wait on the disk until the end; see `posekit.bridges.sleap_io`.
"""

from __future__ import annotations

from pathlib import Path

from posekit.bridges.sleap_io import PACKAGE, write_slp
from posekit.io.held import HeldFile
from posekit.io.sinks import Run, Sink, Together
from posekit.packages import need
from posekit.stages.packet import Clip

__all__ = ["TOGETHER", "check", "file_name", "open_sink"]

TOGETHER: Together = "images"


def check(run: Run) -> None:
    """Checks that sleap-io is installed.

    Raises:
        InputError: it is not.
    """
    need("sleap_io", PACKAGE)


def file_name(name: str, clip: Clip | None) -> str:
    """`a.slp` of `a.mp4`."""
    return f"{Path(name).stem}.slp"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """A file of a clip's frames, or of images."""
    return HeldFile(path, write_slp, run, tracked=False)
