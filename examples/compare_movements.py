"""Compares how a person moves in two videos, joint by joint, whoever of them is faster.

`compare_movements.py mine.mp4 coach.mp4 --model human` aligns them by dynamic time warping: it says
how alike a joint's movements are (correlation; of rest it says nothing), and when they differ most.
"""

import argparse
import sys

import numpy as np

import posekit
from posekit.commands.reporting import report_errors
from posekit.errors import InputError


def movement(predictor: posekit.Predictor, clip: str) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) and angles (T, A) in degrees of the largest person, NaN where one is not seen."""
    results = [r for r in predictor.stream(clip, select="largest", smooth="savgol") if len(r)]
    if not results or results[0].time is None:
        raise InputError(f"expected a video with a person in it, found none in {clip}")
    angles = np.abs([result.angles(["knee", "hip", "elbow"])[0] for result in results])
    return np.array([result.time for result in results]), angles


def align(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which rows of (T, A) and (S, A) belong together, (2, P), by dynamic time warping."""
    total = np.pad(np.zeros((1, 1)), ((0, len(first)), (0, len(second))), constant_values=np.inf)
    for i, row in enumerate(first):
        cost = np.nan_to_num(np.abs(second - row)).sum(axis=1)
        whole, best = np.cumsum(cost), np.minimum(total[i, :-1], total[i, 1:])
        total[i + 1, 1:] = whole + np.minimum.accumulate(best - whole + cost)
    path, i, j = [], len(first), len(second)
    while i and j:
        path.append((i - 1, j - 1))
        i, j = min((i - 1, j - 1), (i - 1, j), (i, j - 1), key=lambda at: total[at])
    return np.array(path[::-1]).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", nargs="?", default="posekit:demo.mp4", help="a video")
    parser.add_argument("second", nargs="?", default="posekit:demo.mp4", help="another one")
    parser.add_argument("--model", default="demo", help="human for films of people")
    args = parser.parse_args()
    predictor = posekit.load(args.model)
    (times, first), (others, second) = (movement(predictor, c) for c in (args.first, args.second))
    here, there = align(first, second)
    names = [f"{side}_{part}" for part in ("knee", "hip", "elbow") for side in ("right", "left")]
    for name, a, b in zip(names, first[here].T, second[there].T, strict=True):
        seen, apart = np.isfinite(a - b), np.abs(a - b)
        if seen.sum() > 1:
            alike, most = np.corrcoef(a[seen], b[seen])[0, 1], np.nanargmax(apart)
            print(f"{name:12} alike {alike:5.2f}, {np.nanmean(apart):3.0f} degrees apart", end=", ")
            print(f"{apart[most]:.0f} at {times[here[most]]:.1f} s and {others[there[most]]:.1f} s")


if __name__ == "__main__":
    sys.exit(report_errors(main))
