"""Processor time of prediction without its networks, per frame of a clip.

    python -m benchmarks.around CLIP.mp4 --detector rtmdet_nano.pth [--frames 100] [--rounds 5]

Frames go through `predictor.stream`. What the networks give is computed once, of an image of the
clip, and given for every other one at once: all that is left is counted, of all threads.

- Frames in memory: letterbox, boxes and their suppression, crops, normalisation, decoding of
  keypoints, results.
- A film, `--frames` long: each image of the clip for a second, under a moving camera, with noise:
  reading, decoding and conversion to BGR come in addition; then also JSON; then also drawings and
  H.264.
- The clip itself, repeated: successive frames of it may have nothing in common, which is the
  hardest for FFmpeg.

Beside these stands what FFmpeg takes alone, to decode and to encode the same frames.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from torch import Tensor

import posekit
from benchmarks.common import DETECTOR, MODEL, machine, write_random_weights
from posekit.io.video import VideoReader, VideoWriter
from posekit.stages.packet import AUTO_SIZE
from posekit.table import format_table

SHOT = 25  # frames of the film that come from one image
GRAIN = 2.0  # standard deviation of its noise, in grey levels


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
        detector.run_in = functools.cache(lambda size: Known(type(detector).run_in(detector, size)))
        estimator.run = Known(estimator.run)
        film = panned(clip, arguments.frames, folder / "film.mp4")
        with VideoReader(film) as reader:
            frames = [image for image, _ in reader]
        cases: dict[str, Callable[[], int]] = {
            "frames in memory": lambda: found(predictor, frames, batch_size=AUTO_SIZE),
            "film: decoding by FFmpeg alone": lambda: decode(film),
            "film": lambda: found(predictor, film),
            "film, predictions": lambda: found(predictor, film, pred_out_dir=folder / "json"),
            "film, predictions, drawings": lambda: found(predictor, film, out_dir=folder / "both"),
            "film: encoding by FFmpeg alone": lambda: encode(frames, folder / "again.mp4"),
            "clip: decoding by FFmpeg alone": lambda: decode(clip),
            "clip": lambda: found(predictor, clip),
        }
        taken: dict[str, list[float]] = {case: [] for case in cases}
        people = 0
        for _ in range(arguments.rounds + 1):
            for case, run in cases.items():
                start = time.process_time()
                people = run()
                taken[case].append(1e3 * (time.process_time() - start) / arguments.frames)
        sizes = [8e-3 * path.stat().st_size / arguments.frames for path in (film, clip)]
    print(
        f"{people / arguments.frames:.1f} people a frame; the film has {sizes[0]:.0f} kbit a "
        f"frame, the clip {sizes[1]:.0f}; milliseconds of the processor a frame"
    )
    rows = [
        (case, f"{statistics.median(found[1:]):.1f}", f"{min(found[1:]):.1f}")
        for case, found in taken.items()
    ]
    print(format_table(("", "median", "least"), rows))


def found(predictor: posekit.Predictor, inputs: Any, **options: Any) -> int:
    """How many people are found."""
    return sum(map(len, predictor.stream(inputs, flip_test=False, **options)))


def decode(path: Path) -> int:
    """Decodes a clip, and leaves the frames as the decoder gives them."""
    with av.open(path) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def encode(images: Sequence[np.ndarray], path: Path) -> int:
    """Writes images as a clip."""
    with VideoWriter(path) as writer:
        for image in images:
            writer.write(image)
    return len(images)


def repeated(source: str, frames: int, path: Path) -> Path:
    """The first frames of a clip again and again."""
    with VideoReader(source) as reader:
        images = [image for image, _ in itertools.islice(reader, frames)]
        with VideoWriter(path, fps=reader.fps, size=reader.size) as writer:
            for image in itertools.islice(itertools.cycle(images), frames):
                writer.write(image)
    return path


def panned(source: Path, frames: int, path: Path) -> Path:
    """A film: each frame of a clip for a second, under a camera that moves a pixel a frame."""
    noise = np.random.default_rng(0)
    with VideoReader(source) as reader:
        images = [image for image, _ in itertools.islice(reader, -(-frames // SHOT))]
        (width, height), margin = reader.size, SHOT
    with VideoWriter(path, fps=SHOT, size=(width, height)) as writer:
        for number in range(frames):
            shot, step = divmod(number, SHOT)
            wide = cv2.resize(images[shot], (width + margin, height + margin))
            view = wide[step : step + height, step : step + width]
            grain = noise.normal(0, GRAIN, view.shape)
            writer.write((view + grain).round().clip(0, 255).astype(np.uint8))
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
