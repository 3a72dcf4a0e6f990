"""Resident memory over a long video, in 2D and in 3D, with predictions and drawings written.

    python -m benchmarks.memory [2D 3D] [--frames 10000] [--size 640x360] [--people 1]

The video is made first: noise, for only sizes matter, and boxes are given for the same reason.
Weights are random. Memory is read as the frames come; what follows the warm-up (the first tenth)
should stay within 50 MB.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import posekit
from posekit.build import build_network
from posekit.io.video import VideoWriter
from posekit.spec import load_spec
from posekit.table import format_table

MODEL, LIFTER = "rtmpose-t_body8-256x192", "motionbert-ft_h36m"
LIMIT = 50.0  # MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=("2D", "3D"), help="both, if left out")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--people", type=int, default=1)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    torch.manual_seed(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        video = make_video(root / "long.mp4", arguments.frames, (width, height))
        weights = {name: random_weights(name, root) for name in (MODEL, LIFTER)}
        boxes = people(arguments.people, width, height)
        for what in arguments.what or ("2D", "3D"):
            predictor = load(what, weights)
            start = time.perf_counter()
            found = memory_of(predictor, video, [boxes] * arguments.frames, root / what)
            taken = time.perf_counter() - start
            warm = found[len(found) // 10 :]
            rows.append(
                (
                    what,
                    str(arguments.frames),
                    f"{found[0]:.0f}",
                    *(f"{warm[i * (len(warm) - 1) // 4]:.0f}" for i in range(5)),
                    f"{max(warm) - min(warm):.0f}",
                    f"{1e3 * taken / arguments.frames:.1f}",
                )
            )
    header = (
        "",
        "frames",
        "first MB",
        "10 %",
        "33 %",
        "55 %",
        "78 %",
        "100 %",
        "range",
        "ms/frame",
    )
    print(format_table(header, rows))
    flat = all(float(row[-2]) <= LIMIT for row in rows)
    print(f"within {LIMIT:.0f} MB after the warm-up: {'yes' if flat else 'NO'}")


def load(what: str, weights: dict[str, Path]) -> posekit.Predictor:
    if what == "2D":
        return posekit.load(MODEL, weights=weights[MODEL], device="cpu")
    return posekit.load(
        LIFTER,
        weights=weights[LIFTER],
        pose2d=MODEL,
        pose2d_weights=weights[MODEL],
        device="cpu",
    )


def make_video(path: Path, frames: int, size: tuple[int, int]) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (16, size[1] // 8, size[0] // 8, 3), np.uint8)
    pictures = noise.repeat(8, axis=1).repeat(8, axis=2)
    with VideoWriter(path, fps=Fraction(30), size=(pictures.shape[2], pictures.shape[1])) as video:
        for number in range(frames):
            video.write(pictures[number % len(pictures)])
    return path


def random_weights(name: str, folder: Path) -> Path:
    net = build_network(load_spec(name).net, device="cpu")
    path = folder / f"{name}.safetensors"
    save_file(dict(net.state_dict()), path, metadata={"model": name})
    return path


def people(count: int, width: int, height: int) -> np.ndarray:
    left = np.arange(count) * width / count
    return np.stack(
        [left, np.full(count, height * 0.1), left + width / count, np.full(count, height * 0.9)],
        axis=1,
    )


def memory_of(
    predictor: posekit.Predictor, video: Path, boxes: list[np.ndarray], out: Path
) -> list[float]:
    """Resident memory in MB, at every hundredth frame."""
    found = []
    for number, _ in enumerate(predictor.stream(video, bboxes=boxes, out_dir=out, flip_test=False)):
        if number % 100 == 0:
            found.append(resident())
    return found


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()
