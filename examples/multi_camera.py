"""Finds people in the videos of cameras that filmed together: `multi_camera.py FOLDER`.

It goes by the times of the first camera, and takes of each other one the latest frame that is not
later, until the shortest ends. in_step/people.csv has a row per camera, time and person, whose ids
are each camera's own; in_step/cameras.mp4 shows all cameras. It needs `posekit[pandas]`.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import posekit
from posekit.commands.reporting import report_errors
from posekit.errors import InputError
from posekit.io import VideoWriter
from posekit.packages import need

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm")


def in_step(first: Iterator, *others: Iterator) -> Iterator[list[posekit.PoseResult]]:
    """The results of all cameras at the times of the first."""
    known = [[next(one), next(one, None)] for one in others]  # the latest, and the one behind it
    for result in first:
        for one, pair in zip(others, known, strict=True):
            while pair[1] is not None and pair[1].time <= result.time + 1e-6:
                pair[:] = pair[1], next(one, None)
        yield [result, *(latest for latest, _ in known)]
        if any(behind is None for _, behind in known):
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", help="by default the packaged clip is both cameras")
    parser.add_argument("--model", default="demo", help="human for films of people")
    parser.add_argument("--out", type=Path, default="in_step", help="the folder that is written to")
    args = parser.parse_args()
    clips = 2 * ["posekit:demo.mp4"]
    if args.folder:
        clips = sorted(p for p in Path(args.folder).glob("*") if p.suffix.lower() in SUFFIXES)
    if not clips:
        raise InputError(f"expected a folder with videos, found none in {args.folder}")
    pandas = need("pandas", "posekit[pandas]", "a table")
    args.out.mkdir(parents=True, exist_ok=True)
    predictor, tables, columns = posekit.load(args.model), [], math.ceil(math.sqrt(len(clips)))
    streams = [predictor.stream(clip, track="iou", return_vis=True) for clip in clips]
    with VideoWriter(args.out / "cameras.mp4") as video:
        for results in in_step(*streams):
            time, size = results[0].time, results[0].image_size
            tables += [r.to_dataframe().assign(time=time, camera=n) for n, r in enumerate(results)]
            pictures = [cv2.resize(result.visualization, size) for result in results]
            pictures += [np.zeros_like(pictures[0])] * (-len(clips) % columns)
            rows = [np.hstack(pictures[i : i + columns]) for i in range(0, len(pictures), columns)]
            video.write(np.vstack(rows), time)
    if (table := pandas.concat(tables)).empty:
        raise InputError("nobody was found by any camera")
    table.to_csv(args.out / "people.csv", index=False)
    print(f"{len(table)} rows of {len(clips)} cameras are in {args.out}")


if __name__ == "__main__":
    sys.exit(report_errors(main))
