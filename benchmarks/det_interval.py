"""What it costs, and brings, to detect in some frames only: people, keypoints, frames per second.

    python -m benchmarks.det_interval [--seeds 3 4] [--rounds 3] [--timed 40] [--backend openvino]

The packaged models, which are really trained, find the people of drawn clips (`drawn_clip`), in
every frame and with each `det_interval`. A person of every-frame detection is kept where somebody
in the same frame has a box with an IoU of 0.5 at least; keypoints are compared between these, in
pixels and as object keypoint similarity.

Frames per second are those of the published pair, RTMDet-m and RTMPose-m: wherever the packaged
detector runs, RTMDet-m runs on the same frame beside it, and RTMPose-m beside the packaged pose
model on the same boxes. Their weights are random, which takes as long, and what they find is not
used. The intervals take turns in every round; ratios are of medians. Frames are in memory, so
reading and writing are in no figure.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment

import posekit
from benchmarks.common import MODEL, machine, write_random_weights
from benchmarks.drawn_clip import draw_clip
from posekit.stages.similarity import box_iou, pose_oks
from posekit.table import format_table

DETECTOR = "rtmdet-m_person-640"
INTERVALS: tuple[Any, ...] = (1, "auto", 5, 10)
TIMED: dict[str, dict[str, Any]] = {
    "speed=balanced": {"det_interval": 1, "flip_test": False},
    "speed=accurate": {"det_interval": 1, "flip_test": True},
    "speed=fast": {"det_interval": "auto", "flip_test": False},
    "det_interval=5": {"det_interval": 5, "flip_test": False},
}
SAME_IOU = 0.5
SURE = 0.3  # keypoints of a lower score are not compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4])
    parser.add_argument("--shots", type=int, default=4, help="of each clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timed", type=int, default=40, help="frames of a round, round a cut")
    parser.add_argument("--backend", default="openvino")
    arguments = parser.parse_args()
    print(machine())
    demo = posekit.load("demo", device="cpu")
    clips = [list(draw_clip(seed, arguments.shots)) for seed in arguments.seeds]
    compare_people(demo, clips, arguments.seeds)
    start = len(clips[0]) // arguments.shots - arguments.timed // 2
    measure_speed(demo, clips[0][start : start + arguments.timed], arguments)


def compare_people(
    demo: posekit.Predictor, clips: Sequence[list[np.ndarray]], seeds: Sequence[int]
) -> None:
    """Who is found, and where their keypoints are."""
    detections = Counted(demo, "_detect")
    found: dict[Any, list[list[posekit.PoseResult]]] = {}
    rows = []
    for interval in INTERVALS:
        detections.calls = 0
        found[interval] = [list(demo.stream(clip, det_interval=interval)) for clip in clips]
        frames = sum(map(len, clips))
        same = [compare(*pair) for pair in zip(found[1], found[interval], strict=True)]
        people = sum(len(result) for results in found[1] for result in results)
        others = sum(len(result) for results in found[interval] for result in results)
        pixels = np.concatenate([pixels for one in same for pixels in one[0]])
        oks = np.concatenate([values for one in same for values in one[1]])
        rows.append(
            (
                str(interval),
                f"{detections.calls / frames:.2f}",
                f"{100 * len(oks) / people:.1f}",
                f"{100 * (others - len(oks)) / people:.1f}",
                f"{np.median(pixels):.2f}",
                f"{np.percentile(pixels, 90):.2f}",
                f"{np.percentile(pixels, 99):.2f}",
                f"{oks.mean():.3f}",
            )
        )
    print(
        f"\nDrawn clips of seeds {list(seeds)}, {frames} frames, {people / frames:.1f} people each"
    )
    header = (
        *("det_interval", "detections a frame", "people kept, %", "others, %"),
        *("median px", "90 % px", "99 % px", "OKS"),
    )
    print(format_table(header, rows), flush=True)


def compare(
    every: Sequence[posekit.PoseResult], some: Sequence[posekit.PoseResult]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Of each frame, how far the keypoints of the people in both are apart, and their OKS."""
    pixels, oks = [], []
    for one, other in zip(every, some, strict=True):
        overlaps = box_iou(one.boxes_xyxy.astype(float), other.boxes_xyxy.astype(float))
        rows, columns = linear_sum_assignment(overlaps, maximize=True)
        same = overlaps[rows, columns] >= SAME_IOU
        one, other = one[rows[same]], other[columns[same]]
        apart = np.linalg.norm(one.keypoints - other.keypoints, axis=-1)
        pixels.append(apart[(one.keypoint_scores > SURE) & (other.keypoint_scores > SURE)])
        people = [
            (p.boxes_xyxy.astype(float), p.keypoints.astype(float), p.keypoint_scores.astype(float))
            for p in (one, other)
        ]
        oks.append(pose_oks(people[0], people[1], np.array(one.skeleton.sigmas)).diagonal())
    return pixels, oks


def measure_speed(
    demo: posekit.Predictor, clip: list[np.ndarray], arguments: argparse.Namespace
) -> None:
    """Frames per second with the published pair beside the packaged one."""
    with tempfile.TemporaryDirectory() as folder:
        pose, detector = Path(folder, "pose.safetensors"), Path(folder, "detector.safetensors")
        write_random_weights(pose)
        state = posekit.create_model(DETECTOR).state_dict()
        save_file(state, detector, metadata={"model": DETECTOR})
        pair = posekit.load(
            MODEL,
            weights=pose,
            detector=DETECTOR,
            detector_weights=detector,
            device="cpu",
            backend=arguments.backend,
        )
        Counted(demo, "_poses", beside=pair._poses)
        detections = Counted(demo, "_detect", beside=pair._detect)
        times: dict[str, list[float]] = {name: [] for name in TIMED}
        calls = {}
        for number in range(arguments.rounds + 1):
            for name, options in TIMED.items():
                frames = clip if number else clip[:3]  # for warming up
                detections.calls = 0
                start = time.perf_counter()
                for _ in demo.stream(frames, **options):
                    pass
                if number:
                    times[name].append((time.perf_counter() - start) / len(frames))
                    calls[name] = detections.calls / len(frames)
    base = times["speed=balanced"]
    rows = [
        (
            name,
            f"{calls[name]:.2f}",
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


class Counted:
    """Counts the calls of a predictor's step, and has another's run beside it.

    Args:
        owner: the predictor.
        name: of its method.
        beside: what is called first, with the same arguments; its result is not used.
    """

    def __init__(
        self, owner: posekit.Predictor, name: str, beside: Callable[..., object] | None = None
    ) -> None:
        self.calls = 0
        self._function = getattr(owner, name)
        self._beside = beside
        setattr(owner, name, self)

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        if self._beside is not None:
            self._beside(*arguments)
        return self._function(*arguments)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
