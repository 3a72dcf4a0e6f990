"""Clips and a folder of pictures: a real clip again and again, or drawn scenes."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np

from posekit.datasets.synthetic import generate_scene
from posekit.io.video import VideoReader, VideoWriter

__all__ = ["clip_of", "folder_of", "frames_of"]

DRAWN = 6  # scenes, which come again and again


def frames_of(source: str | None, count: int, size_wh: tuple[int, int]) -> list[np.ndarray]:
    """Images (H, W, 3) of one size: of a clip, or drawn."""
    if source is None:
        drawn = [generate_scene(n, size_wh=size_wh).image for n in range(min(DRAWN, count))]
    else:
        with VideoReader(source) as reader:
            drawn = [cv2.resize(i, size_wh) for i, _ in itertools.islice(reader, count)]
    return list(itertools.islice(itertools.cycle(drawn), count))


def clip_of(source: str | None, count: int, path: Path, size_wh: tuple[int, int]) -> Path:
    """An MP4 of that many frames."""
    with VideoWriter(path, fps=25, size=size_wh) as writer:
        for image in frames_of(source, count, size_wh):
            writer.write(image)
    return path


def folder_of(source: str | None, count: int, folder: Path) -> Path:
    """JPEG files of several sizes."""
    folder.mkdir()
    sizes = [(640, 480), (960, 540), (480, 640), (1280, 720)]
    for number in range(count):
        size = sizes[number % len(sizes)]
        image = frames_of(source, number % DRAWN + 1, size)[-1]
        cv2.imwrite(str(folder / f"{number:03}.jpg"), image)
    return folder
