"""Animations as Blender, Maya and MotionBuilder read them: Biovision's BVH, a file per person.

`a_person3.bvh` of person 3 of `a.mp4`: the skeleton in T-pose with Mixamo's names of joints, then a
line of numbers per frame. Centimetres and degrees, y up, right-handed. Each file gets its name when
it is finished; one of a clip that was not read to its end stays `a_person3.bvh.part`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from posekit.animation.motion import Motion
from posekit.animation.rotations import continuous_euler
from posekit.animation.skeleton import ENDS, NAMES, PARENTS, children
from posekit.io.growing import PartFile
from posekit.io.motion_files import NEEDS, Person, assumes, check_run, open_motion
from posekit.io.sinks import Run, Sink, Together
from posekit.stages.packet import Clip

__all__ = ["NEEDS", "TOGETHER", "assumes", "check", "file_name", "open_sink"]

TOGETHER: Together = "images"  # which have no file

CENTIMETRES = 100.0
LINES = 256  # that are made at once


def check(run: Run) -> None:
    """Checks that the model gives 3D poses of bodies.

    Raises:
        InputError: it does not.
    """
    check_run(run, "bvh")


def file_name(name: str, clip: Clip | None) -> str:
    """`a.bvh` of `a.mp4`; the number of a person is put into it."""
    return f"{Path(name).stem}.bvh"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens the files of a clip's people."""
    return open_motion(path, clip, run, "bvh", _write)


def _write(path: Path, person: Person) -> None:
    motion = person.motion
    file = PartFile(path)
    with contextlib.closing(file):
        head = [*_joint(motion, 0, 0), "MOTION", f"Frames: {len(motion.root)}"]
        head.append(f"Frame Time: {1 / motion.fps:.8f}")
        file.append(("HIERARCHY\n" + "\n".join(head) + "\n").encode())
        angles = continuous_euler(motion.rotations)
        for start in range(0, len(angles), LINES):
            part = slice(start, start + LINES)
            root = motion.root[part] * CENTIMETRES
            numbers = np.concatenate([root, angles[part].reshape(len(root), -1)], axis=1)
            lines = [" ".join(f"{number:.6f}" for number in line) for line in numbers.tolist()]
            file.append(("\n".join(lines) + "\n").encode())
        if person.complete:
            file.finish()


def _joint(motion: Motion, joint: int, depth: int) -> Iterator[str]:
    """The lines of a joint and all below it, depth first."""
    name, tab = NAMES[joint], "\t" * depth
    yield f"{tab}{'ROOT' if PARENTS[joint] < 0 else 'JOINT'} {name}"
    yield f"{tab}{{"
    yield f"{tab}\tOFFSET {_numbers(motion.offsets[joint])}"
    turns = "Zrotation Xrotation Yrotation"
    if PARENTS[joint] < 0:
        yield f"{tab}\tCHANNELS 6 Xposition Yposition Zposition {turns}"
    else:
        yield f"{tab}\tCHANNELS 3 {turns}"
    for child in children(joint):
        yield from _joint(motion, child, depth + 1)
    if name in ENDS:
        yield f"{tab}\tEnd Site"
        yield f"{tab}\t{{"
        yield f"{tab}\t\tOFFSET {_numbers(motion.ends[list(ENDS).index(name)])}"
        yield f"{tab}\t}}"
    yield f"{tab}}}"


def _numbers(offset: np.ndarray) -> str:
    return " ".join(f"{number:.6f}" for number in (offset * CENTIMETRES + 0.0).tolist())
