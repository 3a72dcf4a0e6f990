"""Animations as NumPy arrays, a file per person: those of `bvh`, with quaternions, and more.

`a_person3.npz` of person 3 of `a.mp4`; `numpy.load` reads it, without pickles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posekit.animation.skeleton import ENDS, NAMES, PARENTS
from posekit.errors import OutputError
from posekit.files import replacing
from posekit.io.motion_files import NEEDS, Person, assumes, check_run, open_motion
from posekit.io.sinks import Run, Sink, Together
from posekit.stages.packet import Clip
from posekit.version import __version__

__all__ = ["NEEDS", "TOGETHER", "assumes", "check", "file_name", "open_sink"]

TOGETHER: Together = "images"  # which have no file

CENTIMETRES = 100.0
AXES = "x to the right of the image, y up from the ground, z towards the camera, right-handed"


def check(run: Run) -> None:
    """Checks that the model gives 3D poses of bodies.

    Raises:
        InputError: it does not.
    """
    check_run(run, "npz")


def file_name(name: str, clip: Clip | None) -> str:
    """`a.npz` of `a.mp4`; the number of a person is put into it."""
    return f"{Path(name).stem}.npz"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens the files of a clip's people."""
    return open_motion(path, clip, run, "npz", _write)


def _write(path: Path, person: Person) -> None:
    try:
        with replacing(path) as temporary, temporary.open("xb") as file:
            np.savez(file, **_arrays(person))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None


def _arrays(person: Person) -> dict[str, Any]:
    """What docs/animation.md describes."""
    motion = person.motion

    def lengths(values: np.ndarray) -> np.ndarray:
        return (values * CENTIMETRES).astype(np.float32)

    return {
        "version": np.array(__version__),
        "names": np.array(NAMES),
        "parents": np.array(PARENTS, np.int64),
        "offsets": lengths(motion.offsets),
        "end_names": np.array(list(ENDS)),
        "end_offsets": lengths(motion.ends),
        "unit": np.array("cm"),
        "axes": np.array(AXES),
        "quaternion_order": np.array("xyzw"),
        "fps": np.array(motion.fps),
        "times": person.times,
        "frame_ids": person.frame_ids,
        "rotations": motion.rotations.astype(np.float32),
        "root_positions": lengths(motion.root),
        "positions": lengths(motion.positions),
        "contacts": motion.contacts,
        "seen": motion.seen,
        "exchanged": motion.exchanged,
        "guessed": np.array(motion.guessed, np.str_),
        "track_id": np.array(person.track_id, np.int64),
        "person_height": np.array(person.stature),
        "focal": np.array(motion.focal),
        "complete": np.array(person.complete),
    }
