"""Memory while the results of a long clip are written, in all formats that they can fill at once.

    python -m benchmarks.memory_formats [--frames 10000] [--people 2] [--formats csv slp]

Results are synthetic: people of Halpe-26's keypoints in 2D, of COCO's with Human3.6M's in 3D. A
short clip comes first, so that libraries are imported and have what they keep; what the long one
takes beyond that, at its highest, should be within 50 MB. Formats whose libraries are missing are
left out, and said.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from posekit.errors import InputError
from posekit.files import prediction_formats
from posekit.io.sinks import Format, Run, load_format
from posekit.io.write import ResultWriter
from posekit.result import Pose3D, PoseResult
from posekit.skeleton import load_skeleton
from posekit.stages.packet import Clip, Packet

LIMIT = 50.0  # MB
FPS = 30
SIZE = (1280, 720)
SKELETONS = {"2D": ("halpe26", None), "3D": ("coco", "h36m")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=tuple(SKELETONS))
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--formats", nargs="*", default=list(prediction_formats()))
    parser.add_argument("--each", action="store_true", help="each format alone, too")
    arguments = parser.parse_args()
    found: list[float] = []
    for what in [arguments.only] if arguments.only else SKELETONS:
        run = run_of(*SKELETONS[what])
        formats = fillable(arguments.formats, run)
        groups = [*([name] for name in formats if arguments.each), formats]
        for names in groups:
            taken, seconds = growth(names, run, arguments.frames, arguments.people)
            print(f"{what}: {taken:.0f} MB, {seconds:.0f} s: {' '.join(names)}", flush=True)
            found.append(taken)
    within = max(found) <= LIMIT
    print(f"within {LIMIT:.0f} MB: {'yes' if within else 'NO'}")


def run_of(flat: str, solid: str | None) -> Run:
    return Run(
        skeleton=load_skeleton(flat),
        skeleton_3d=None if solid is None else load_skeleton(solid),
        models={"model": "synthetic"},
    )


def fillable(names: Sequence[str], run: Run) -> list[str]:
    """Those of the formats that such a model can fill, and whose libraries are installed."""
    found = []
    for name in names:
        try:
            if check := getattr(load_format(name), "check", None):
                check(run)
        except InputError as error:
            print(f"left out: {name}: {error}")
        else:
            found.append(name)
    return found


def growth(names: Sequence[str], run: Run, frames: int, people: int) -> tuple[float, float]:
    """MB that writing takes at its highest, and seconds."""
    formats = [load_format(name) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "short"), formats, run, 50, people)
        Path("/proc/self/clear_refs").write_text("5")  # the highest begins anew
        before, start = status("VmRSS"), time.perf_counter()
        write(Path(folder, "long"), formats, run, frames, people)
        return status("VmHWM") - before, time.perf_counter() - start


def write(folder: Path, formats: Sequence[Format], run: Run, frames: int, people: int) -> None:
    with ResultWriter(folder, None, formats=formats, run=run) as writer:
        for packet in packets(run, frames, people):
            writer.write(packet)


def packets(run: Run, frames: int, people: int) -> Iterator[Packet]:
    """People who stand and sway, of the run's keypoints."""
    clip = Clip("walk.mp4", "walk.mp4", SIZE, Fraction(FPS), frames)
    rng = np.random.default_rng(0)
    k = run.skeleton.num_keypoints
    rest = rng.uniform(100, 600, (people, k, 2)).astype(np.float32)
    solid = run.skeleton_3d
    rest_3d = rng.normal(size=(people, 0 if solid is None else solid.num_keypoints, 3))
    for number in range(frames):
        sway = np.float32(20 * np.sin(number / 15))
        pose3d = None
        if solid is not None:
            pose3d = Pose3D(
                keypoints=(rest_3d + sway / 100).astype(np.float32),
                keypoint_scores=np.ones(rest_3d.shape[:2], np.float32),
                skeleton=solid,
                unit="m",
                axes="x to the left of the image, y away from the camera, z up",
            )
        result = PoseResult(
            keypoints=rest + sway + rng.normal(size=rest.shape).astype(np.float32),
            keypoint_scores=rng.uniform(0.4, 1, (people, k)).astype(np.float32),
            boxes_xyxy=np.tile(np.float32([90, 90, 620, 620]), (people, 1)),
            box_scores=np.full(people, 0.9, np.float32),
            skeleton=run.skeleton,
            image_size=SIZE,
            name=clip.name,
            index=number,
            source=clip.source,
            frame_id=number,
            time=number / FPS,
            track_ids=np.arange(people),
            pose3d=pose3d,
        )
        yield Packet(result, clip, result.time)


def status(key: str) -> float:
    """MB, of the process."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) / 1024


if __name__ == "__main__":
    main()
