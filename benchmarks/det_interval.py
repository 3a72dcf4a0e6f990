"""What it costs, and brings, to detect in some frames only: people, keypoints, frames per second.

    python -m benchmarks.det_interval [--seeds 3 4] [--rounds 3] [--timed 40] [--backend openvino]

The packaged models, which are really trained, find the people of drawn clips (`drawn_clip`), in
every frame and with each `det_interval`. A drawn person, most of whose keypoints are in the frame,
is found where a pose has an OKS of 0.5 to the drawn one. The row "other noise" is every frame of
the same clips with other noise of the sensor: so much changes without any reason. Keypoints are
also compared with those of every frame, in pixels.

Frames per second are those of the published pair, RTMDet-m and RTMPose-m: wherever the packaged
detector runs, RTMDet-m runs on the same frame beside it, and RTMPose-m beside the packaged pose
model on the same boxes. Their weights are random, which takes as long, and what they find is not
used. The ways take turns in every round; ratios are of medians. Frames are in memory, so reading
and writing are in no figure.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

import posekit
from benchmarks.common import MODEL, machine, write_random_weights
from benchmarks.drawn_clip import draw_clip
from posekit.finding import PoseFinder
from posekit.stages.similarity import Floats, pose_oks
from posekit.table import format_table

DETECTOR = "rtmdet-m_person-640"
INTERVALS: tuple[Any, ...] = (1, "auto", 5, 10)
# Arguments of posekit.load and of the call.
TIMED: dict[str, tuple[posekit.loading.Speed, dict[str, Any]]] = {
    "speed=balanced": ("balanced", {}),
    "speed=accurate": ("accurate", {"flip_test": True}),
    "speed=balanced det_interval=auto": ("balanced", {"det_interval": "auto"}),
    "speed=fast det_interval=1": ("fast", {"det_interval": 1}),
    "speed=fast": ("fast", {"det_interval": "auto"}),
    "speed=balanced det_interval=5": ("balanced", {"det_interval": 5}),
}
FOUND = 0.5  # OKS
SURE = 0.3  # keypoints of a lower score are not compared

# A clip's frames, and the keypoints (n, 17, 2) and boxes (n, 4) of each.
Clip = tuple[list[np.ndarray], list[Floats], list[Floats]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4])
    parser.add_argument("--shots", type=int, default=4, help="of each clip")
    parser.add_argument("--rounds", type=int, default=3, help="0 leaves out the times")
    parser.add_argument("--timed", type=int, default=40, help="frames of a round, round a cut")
    parser.add_argument("--backend", default="openvino")
    arguments = parser.parse_args()
    print(machine())
    demo = posekit.load("demo", device="cpu")
    clips = [drawn(seed, arguments.shots) for seed in arguments.seeds]
    others = [drawn(seed, arguments.shots, sensor=1) for seed in arguments.seeds]
    compare_people(demo, clips, others, arguments.seeds)
    if arguments.rounds:
        frames = clips[0][0]
        start = len(frames) // arguments.shots - arguments.timed // 2
        measure_speed(demo, frames[start : start + arguments.timed], arguments)


def drawn(seed: int, shots: int, sensor: int = 0) -> Clip:
    frames, keypoints, boxes = zip(*draw_clip(seed, shots, sensor), strict=True)
    return list(frames), list(keypoints), list(boxes)


def compare_people(
    demo: posekit.Predictor, clips: Sequence[Clip], others: Sequence[Clip], seeds: Sequence[int]
) -> None:
    """Who is found, and where their keypoints are."""
    rows = []
    every: list[posekit.PoseResult] = []
    people_every: list[np.ndarray] = []
    ways = [(str(interval), interval, clips) for interval in INTERVALS]
    ways.insert(1, ("1, other noise", 1, others))
    truth = [pair for _, *parts in clips for pair in zip(*parts, strict=True)]
    with watched() as calls:
        for name, interval, seen in ways:
            calls.clear()
            results = [
                result
                for frames, _, _ in seen
                for result in demo.stream(frames, det_interval=interval)
            ]
            people = [found(*pair) for pair in zip(results, truth, strict=True)]
            every, people_every = every or results, people_every or people
            before = np.concatenate([partners >= 0 for partners in people_every])
            now = np.concatenate([partners >= 0 for partners in people])
            pixels = np.concatenate(
                [apart(*frame) for frame in zip(every, people_every, results, people, strict=True)]
            )
            rows.append(
                (
                    name,
                    f"{calls['_detect'] / len(results):.2f}",
                    f"{100 * now.mean():.1f}",
                    f"{100 * now.sum() / before.sum():.1f}",
                    f"{100 * (now & before).sum() / before.sum():.1f}",
                    *(f"{np.percentile(pixels, share):.2f}" for share in (50, 90, 99)),
                )
            )
    shown = len(before) / len(every)
    print(f"\nDrawn clips of seeds {list(seeds)}, {len(every)} frames, {shown:.1f} people each")
    header = (
        *("det_interval", "detections a frame", "people found, %", "to every frame, %"),
        *("the same people, %", "median px", "90 % px", "99 % px"),
    )
    print(format_table(header, rows), flush=True)


def found(result: posekit.PoseResult, truth: tuple[Floats, Floats]) -> np.ndarray:
    """Of each drawn person in the frame the number of the pose that is theirs; -1 for none."""
    keypoints, boxes = truth
    size = result.image_size
    inside = ((keypoints >= 0) & (keypoints < size)).all(axis=-1).mean(axis=1) > 0.5
    keypoints, boxes = keypoints[inside], boxes[inside]
    drawn_people = (boxes, keypoints, np.ones(keypoints.shape[:2]))
    poses = (
        result.boxes_xyxy.astype(float),
        result.keypoints.astype(float),
        result.keypoint_scores.astype(float),
    )
    oks = pose_oks(drawn_people, poses, np.array(result.skeleton.sigmas))
    rows, columns = linear_sum_assignment(oks, maximize=True)
    partners = np.full(len(keypoints), -1)
    partners[rows] = np.where(oks[rows, columns] >= FOUND, columns, -1)
    return partners


def apart(
    one: posekit.PoseResult, of_one: np.ndarray, other: posekit.PoseResult, of_other: np.ndarray
) -> np.ndarray:
    """How far the sure keypoints of drawn people found in both are apart, in pixels."""
    both = (of_one >= 0) & (of_other >= 0)
    one, other = one[of_one[both]], other[of_other[both]]
    sure = (one.keypoint_scores > SURE) & (other.keypoint_scores > SURE)
    distances: np.ndarray = np.linalg.norm(one.keypoints - other.keypoints, axis=-1)[sure]
    return distances


@contextlib.contextmanager
def watched(beside: Callable[[], posekit.Predictor] | None = None) -> Iterator[Counter[str]]:
    """Counts the images that each step gets; another predictor does the same steps before."""
    counts: Counter[str] = Counter()
    kept = {name: getattr(PoseFinder, name) for name in ("_detect", "_poses")}

    def step(name: str) -> Callable[..., Any]:
        def run(self: PoseFinder, images: Sequence[Any], *boxes: Any) -> Any:
            counts[name] += len(images)
            if beside is not None:
                other = beside()
                finder = dataclasses.replace(
                    self, estimator=other.estimator, detector=lambda: other.detector
                )
                kept[name](finder, images, *boxes)
            return kept[name](self, images, *boxes)

        return run

    try:
        for name in kept:
            setattr(PoseFinder, name, step(name))
        yield counts
    finally:
        for name, function in kept.items():
            setattr(PoseFinder, name, function)


def measure_speed(
    demo: posekit.Predictor, clip: list[np.ndarray], arguments: argparse.Namespace
) -> None:
    """Frames per second with the published pair beside the packaged one."""
    with tempfile.TemporaryDirectory() as folder:
        weights = {
            "weights": write_random_weights(Path(folder, "pose.safetensors")),
            "detector_weights": write_random_weights(Path(folder, "det.safetensors"), DETECTOR),
        }
        pairs = {
            speed: posekit.load(
                MODEL,
                detector=DETECTOR,
                device="cpu",
                backend=arguments.backend,
                speed=speed,
                **weights,
            )
            for speed in ("balanced", "fast")
        }
        pairs["accurate"] = pairs["balanced"]  # the call asks for the flip test
        pair = pairs["balanced"]
        times: dict[str, list[float]] = {name: [] for name in TIMED}
        detections = {}
        with watched(lambda: pair) as counts:
            for number in range(arguments.rounds + 1):
                for name, (speed, options) in TIMED.items():
                    pair = pairs[speed]
                    frames = clip if number else clip[:3]  # for warming up
                    counts.clear()
                    start = time.perf_counter()
                    for _ in demo.stream(frames, **options):
                        pass
                    if number:
                        times[name].append((time.perf_counter() - start) / len(frames))
                        detections[name] = counts["_detect"] / len(frames)
    base = times["speed=balanced"]
    rows = [
        (
            name,
            f"{detections[name]:.2f}",
            f"{1e3 * statistics.median(taken):.0f}",
            f"{statistics.median(base) / statistics.median(taken):.2f}",
            f"{min(base) / min(taken):.2f}",
        )
        for name, taken in times.items()
    ]
    print(
        f"\n{DETECTOR} and {MODEL} with backend={arguments.backend}, {len(clip)} frames round a "
        f"cut, {arguments.rounds} rounds by turns"
    )
    header = (
        *("", "detections a frame", "median ms a frame"),
        *("frames/s to balanced", "of the fastest rounds"),
    )
    print(format_table(header, rows), flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
