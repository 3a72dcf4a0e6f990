"""The drawings of a clip, as an MP4 with its frames' times."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from posekit.io.sinks import Run, Sink
from posekit.io.video_writer import VideoWriter
from posekit.stages.packet import Clip, Packet

__all__ = ["SUFFIXES", "file_name", "open_sink"]

SUFFIXES = (".mp4",)


def file_name(name: str, clip: Clip | None) -> str:
    """`a.mp4` of `a.mov`."""
    return f"{Path(name).stem}.mp4"


def open_sink(path: Path, clip: Clip | None, run: Run) -> _Video:
    """A file that plays as far as it goes; there is none before the first drawing."""
    assert clip is not None
    return _Video(path, clip)


class _Video(Sink):
    def __init__(self, path: Path, clip: Clip) -> None:
        self._path = path
        self._clip = clip
        self._video: VideoWriter | None = None

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        if drawing is None:
            return
        if self._video is None:
            # Its size is the first drawing's: 3D plots and heat maps widen the picture.
            self._video = VideoWriter(self._path, fps=self._clip.fps)
        if self._video.size is not None:
            # Streams and recordings may change their size as they go.
            drawing = _pad_to(drawing, self._video.size)
        self._video.write(drawing, packet.time)

    def close(self, complete: bool) -> None:
        if self._video is not None:
            self._video.close()


def _pad_to(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image as large as it goes into (w, h), in the middle, black around it."""
    (width, height), (h, w) = size, image.shape[:2]
    if (w, h) == size:
        return image
    scale = min(width / w, height / h)
    w, h = max(1, round(w * scale)), max(1, round(h * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    canvas[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=method)
    return canvas
