"""Milliseconds of each stage of one frame, beside what the machine could do at best.

    python -m benchmarks.stages [--people 6] [--rounds 15]

Weights are random: only shapes matter for time. The floor of a network is its multiply-adds over
this machine's measured rate of a large float32 matrix product.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from posekit.build import create_model
from posekit.commands.table import format_table
from posekit.config import read_config
from posekit.detect import Detector
from posekit.draw import draw_pose
from posekit.estimate import PoseEstimator
from posekit.skeleton import load_skeleton
from posekit.transforms.affine import boxes_to_cs, crop_matrices

DETECTOR = "rtmdet-nano_person-320"
MODEL = "rtmpose-m_body8-256x192"


def milliseconds(function: Callable[[], object], rounds: int) -> float:
    """Median of `rounds` calls after two for warming up."""
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def matmul_rate(rounds: int) -> float:
    """Floating-point operations per millisecond of a large product."""
    size = 1536
    a, b = torch.rand(size, size), torch.rand(size, size)
    return 2 * size**3 / milliseconds(lambda: a @ b, rounds)


def operations(net: torch.nn.Module, batch: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        net(batch)
    return counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    rounds = arguments.rounds
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (540, 960, 3), np.uint8)
    corners = generator.uniform(0, 300, (arguments.people, 2))
    boxes = np.hstack([corners, corners + [120, 220]]).astype(np.float32)

    detector = Detector(create_model(DETECTOR), read_config(DETECTOR))
    config = read_config(MODEL)
    estimator = PoseEstimator(create_model(MODEL), config, load_skeleton(config["keypoints"]))
    centers, scales = boxes_to_cs(boxes, input_size=estimator.input_size)
    matrices = crop_matrices(centers, scales, input_size=estimator.input_size)
    owners = np.zeros(len(boxes), int)
    rate = matmul_rate(rounds)

    with torch.inference_mode():
        small = np.zeros((1, 320, 320, 3), np.uint8)
        seen = detector.normalize(small)
        dense = detector.net(seen)
        crops = estimator.crop([image], owners, matrices)
        batch = estimator.normalize(crops)
        outputs = estimator.net(batch)
        keypoints, scores = estimator.codec.decode(outputs)
        stages: list[tuple[str, Callable[[], object], int]] = [
            ("detect: network", lambda: detector.net(seen), operations(detector.net, seen)),
            ("detect: decode boxes", lambda: detector.codec.decode(dense), 0),
            ("detect: whole", lambda: detector([image]), 0),
            ("pose: crops", lambda: estimator.crop([image], owners, matrices), 0),
            ("pose: normalise", lambda: estimator.normalize(crops), 0),
            ("pose: network", lambda: estimator.net(batch), operations(estimator.net, batch)),
            ("pose: decode", lambda: estimator.codec.decode(outputs), 0),
            ("pose: whole, no flip test", lambda: estimator([image], [boxes], flip_test=False), 0),
            ("draw", lambda: draw_pose(image, keypoints, scores, estimator.skeleton), 0),
        ]
        rows = []
        for name, function, work in stages:
            taken = milliseconds(function, rounds)
            floor = f"{work / rate:.1f}" if work else ""
            rows.append((name, f"{taken:.1f}", floor))
    print(f"{arguments.people} people, 960x540, {torch.get_num_threads()} threads, ", end="")
    print(f"torch {torch.__version__}, matmul {rate / 1e6:.0f} GFLOP/s")
    print(format_table(("stage", "ms", "floor ms"), rows))


if __name__ == "__main__":
    main()
