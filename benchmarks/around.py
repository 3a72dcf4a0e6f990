"""Processor time of prediction without its networks, per frame of a clip.

    python -m benchmarks.around CLIP.mp4 --detector rtmdet_nano.pth [--frames 100] [--rounds 5]

The clip is repeated to `--frames` frames and goes through `predictor.stream`. What the networks
give is computed once, of an image of the clip, and given for every other one at once: all that is
left is counted, of all threads: reading and decoding, letterbox, boxes and their suppression,
crops, normalisation, decoding of keypoints, results; then also JSON; then also drawings and H.264.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import posekit
from benchmarks.common import DETECTOR, MODEL, machine, write_random_weights
from posekit.io.video import VideoReader, VideoWriter
from posekit.table import format_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("--detector", required=True, help="trained weights of " + DETECTOR)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = repeated(arguments.clip, arguments.frames, folder / "clip.mp4")
        write_random_weights(folder / "pose.safetensors")
        predictor = posekit.load(
            MODEL,
            weights=folder / "pose.safetensors",
            detector=DETECTOR,
            detector_weights=arguments.detector,
            device="cpu",
        )
        detector: Any = predictor.detector
        estimator: Any = predictor.estimator
        detector.run, estimator.run = Known(detector.run), Known(estimator.run)
        cases: dict[str, dict[str, Any]] = {
            "results": {},
            "and predictions": {"pred_out_dir": folder / "json"},
            "and drawings": {"out_dir": folder / "both"},
        }
        taken: dict[str, list[float]] = {case: [] for case in cases}
        people = 0
        for _ in range(arguments.rounds + 1):
            for case, options in cases.items():
                start = time.process_time()
                people = sum(map(len, predictor.stream(clip, flip_test=False, **options)))
                taken[case].append(1e3 * (time.process_time() - start) / arguments.frames)
    print(f"{people / arguments.frames:.1f} people a frame; milliseconds of the processor a frame")
    rows = [
        (case, f"{statistics.median(found[1:]):.1f}", f"{min(found[1:]):.1f}")
        for case, found in taken.items()
    ]
    print(format_table(("", "median", "least"), rows))


def repeated(source: str, frames: int, path: Path) -> Path:
    """The first frames of a clip again and again."""
    with VideoReader(source) as reader:
        images = [image for image, _ in itertools.islice(reader, frames)]
        with VideoWriter(path, fps=reader.fps, size=reader.size) as writer:
            for image in itertools.islice(itertools.cycle(images), frames):
                writer.write(image)
    return path


class Known:
    """In place of a network: what it gave for the first image, for each image of any batch."""

    computes_images_apart = True

    def __init__(self, run: Any) -> None:
        self._run = run
        self._outputs: dict[int, Any] = {}

    def __call__(self, images: Tensor) -> Any:
        count = len(images)
        if 1 not in self._outputs:
            self._outputs[1] = self._run(images[:1])
        if count not in self._outputs:
            self._outputs[count] = repeat(self._outputs[1], count)
        return self._outputs[count]


def repeat(outputs: Any, count: int) -> Any:
    """Outputs of one image as those of several."""
    if isinstance(outputs, Tensor):
        return torch.cat([outputs] * count)
    return tuple(repeat(part, count) for part in outputs)


if __name__ == "__main__":
    main()
