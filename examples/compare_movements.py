"""Compares how a person moves in two videos, joint by joint, whoever of them is faster.

`python examples/compare_movements.py mine.mp4 coach.mp4 --model human` aligns the joints' angles by
dynamic time warping. Of each joint it prints how alike its movements are (their correlation), how
far apart the angles are, and when they differ most. Film both from the same side.
"""

import argparse
import sys

import numpy as np

import posekit
from posekit.angles import choose_angles
from posekit.commands.reporting import report_errors
from posekit.errors import InputError


def movement(predictor: posekit.Predictor, clip: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Times (T,), and by its name each joint's angle (T,) in degrees, of the largest person."""
    options = {"track": "iou", "select": "largest", "smooth": "savgol"}
    results = [result for result in predictor.stream(clip, **options) if len(result)]
    if not results or results[0].time is None:
        raise InputError(f"expected a video with a person in it, found none in {clip}")
    times = np.array([result.time for result in results])
    names = choose_angles(["knee", "hip", "shoulder", "elbow"], results[0].skeleton)
    angles = np.abs([result.angles(names)[0] for result in results]).T
    found = {}
    for name, row in zip(names, angles, strict=True):
        if (seen := np.isfinite(row)).any():
            found[name] = np.interp(times, times[seen], row[seen])
    return times, found


def align(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which columns of (A, T) and (A, S) belong together, (2, P), by dynamic time warping."""
    total = np.full((first.shape[1] + 1, second.shape[1] + 1), np.inf)
    total[0, 0] = 0
    for i, column in enumerate(first.T, 1):
        cost = np.abs(second - column[:, None]).sum(axis=0)
        whole, best = np.cumsum(cost), np.minimum(total[i - 1, :-1], total[i - 1, 1:])
        total[i, 1:] = whole + np.minimum.accumulate(best - whole + cost)
    path = [(first.shape[1], second.shape[1])]
    while path[-1] != (1, 1):
        i, j = path[-1]
        path.append(min((i - 1, j - 1), (i - 1, j), (i, j - 1), key=lambda at: total[at]))
    return np.array(path[::-1]).T - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", nargs="?", default="posekit:demo.mp4", help="a video")
    parser.add_argument("second", nargs="?", default="posekit:demo.mp4", help="another one")
    parser.add_argument("--model", default="demo", help="human for films of people")
    args = parser.parse_args()
    predictor = posekit.load(args.model)
    (times, mine), (others, theirs) = (movement(predictor, c) for c in (args.first, args.second))
    names = [name for name in mine if name in theirs]
    here, there = align(*(np.array([angles[name] for name in names]) for angles in (mine, theirs)))
    print("joint            alike  apart  most apart")
    for name in names:
        a, b = mine[name][here], theirs[name][there]
        apart, moves = np.abs(a - b), min(np.ptp(a), np.ptp(b)) > 10
        alike = f"{np.corrcoef(a, b)[0, 1]:.2f}" if moves else "rests"
        most = apart.argmax()
        when = f"{times[here[most]]:.1f} s and {others[there[most]]:.1f} s"
        print(f"{name:15} {alike:>6} {apart.mean():5.0f}°  {apart[most]:.0f}° at {when}")


if __name__ == "__main__":
    sys.exit(report_errors(main))
