"""Clips of a drawn person, which the packaged model finds, and batches of them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import posekit
from posekit.batching.run import batch_composed
from posekit.calls import compose_call
from posekit.config import PACKAGED
from posekit.io.video import VideoWriter

# A thread and the network as it is: runs are compared bit for bit.
ALIKE: dict[str, Any] = {"backend": "eager", "device": "cpu", "threads": 1}
TYPED = ["detector=whole_image", *(f"{key}={value}" for key, value in ALIKE.items())]


def write_clip(path: Path, number: int = 0, frames: int = 5) -> Path:
    """A video of 160x120 in which the packaged picture moves."""
    image = cv2.imread(str(PACKAGED / "demo.jpg"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=Fraction(25), size=(160, 120)) as video:
        for frame in range(frames):
            moved = np.roll(image, 40 * number + 9 * frame, axis=1)
            video.write(cv2.resize(moved, (160, 120)), frame / 25)
    return path


def write_clips(folder: Path, count: int, *, broken: Sequence[int] = ()) -> Path:
    """Clips in two folders, some of which are none."""
    for number in range(count):
        path = folder / f"cam{number % 2}" / f"clip{number:02}.mp4"
        if number in broken:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no video at all" * 20)
        else:
            write_clip(path, number, frames=4 + number % 3)
    return folder


def batch(inputs: Any, out_dir: Path, **options: Any) -> posekit.BatchResult:
    """A batch of whole images in this process, unless it says `workers`."""
    config = copy.deepcopy(_config(options.pop("detector", "whole_image")))
    assert options.keys() <= config.keys()
    return batch_composed({**config, "inputs": inputs, "out_dir": out_dir, **options})


@functools.cache
def _config(detector: str) -> dict[str, Any]:
    """As `posekit.batch` composes it, which takes longer than a clip."""
    return compose_call("batch", "demo", {**ALIKE, "workers": 0, "detector": detector})


def tables(folder: Path) -> dict[str, bytes]:
    """All files of results, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.parquet"))
    }
