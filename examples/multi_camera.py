"""Finds people in the videos of cameras that filmed together: `multi_camera.py FOLDER`.

It takes the first one's frames, and of the others the latest that are not later, until one ends:
in_step/people.csv has a row per camera, time and person, in_step/cameras.mp4 all pictures.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import posekit
from posekit.commands.reporting import report_errors
from posekit.errors import InputError
from posekit.files import PACKAGED
from posekit.io import VideoWriter
from posekit.packages import need


def in_step(first: Iterator, *others: Iterator) -> Iterator[tuple[float, list[posekit.PoseResult]]]:
    """The times of the first camera, and all cameras' results then."""
    known = [[next(one), next(one, None)] for one in others]  # the latest, and the one behind it
    for result in first:
        for one, pair in zip(others, known, strict=True):
            while pair[1] is not None and pair[1].time <= result.time + 1e-6:
                pair[:] = pair[1], next(one, None)
        yield result.time, [result, *(latest for latest, _ in known)]
        if any(behind is None for _, behind in known):
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=PACKAGED, help="of the videos")
    parser.add_argument("--model", default="demo", help="human for films of people")
    args = parser.parse_args()
    if not (clips := sorted(args.folder.glob("*.[mM][pPoO][4vV]"))):
        raise InputError(f"expected a folder of videos (.mp4, .mov), found none in {args.folder}")
    (out := Path("in_step")).mkdir(exist_ok=True)
    predictor, tables = posekit.load(args.model), []
    streams = [predictor.stream(clip, track="iou", return_vis=True) for clip in clips]
    with VideoWriter(out / "cameras.mp4") as video:
        for time, results in in_step(*streams):
            tables += [r.to_dataframe().assign(time=time, camera=n) for n, r in enumerate(results)]
            pictures = [cv2.resize(r.visualization, results[0].image_size) for r in results]
            pictures += [np.zeros_like(pictures[0])] * (len(clips) > 1 and len(clips) % 2)
            rows = [np.hstack(pictures[i : i + 2]) for i in range(0, len(pictures), 2)]
            video.write(np.vstack(rows), time)
    if (table := need("pandas", "posekit[pandas]").concat(tables)).empty:
        raise InputError(f"nobody was found in {args.folder}")
    table.to_csv(out / "people.csv", index=False)
    print(f"{len(table)} rows of {len(clips)} cameras are in {out}")


if __name__ == "__main__":
    sys.exit(report_errors(main))
