"""One result drawn on its image, which is read again if it is no longer in memory."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np

from posekit.drawing.drawer import Drawer, Look
from posekit.errors import InputError
from posekit.io import open_clip, read_image
from posekit.result import PoseResult
from posekit.stages.packet import Packet

__all__ = ["plot"]


def plot(
    result: PoseResult, image: np.ndarray | str | os.PathLike[str] | None, options: dict[str, Any]
) -> np.ndarray:
    """See `PoseResult.plot`."""
    look = Look.from_keywords(options)
    pixels = _pixels(result, image, black=look.black_background)
    if not isinstance(pixels, np.ndarray) or pixels.shape[1::-1] != result.image_size:
        found = np.shape(pixels) or type(pixels).__name__
        raise InputError(
            f"expected the image of {result.name}, with (w, h) = {result.image_size}, found {found}"
        )
    with Drawer(look) as drawer:
        return drawer.draw(Packet(result, image=pixels))


def _pixels(result: PoseResult, image: Any, *, black: bool) -> Any:
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if image is None:
        image = result.image
    if image is not None:
        return image
    if black:
        width, height = result.image_size
        return np.zeros((height, width, 3), np.uint8)
    path = None if result.source is None else Path(result.source)
    if path is None or not path.exists():
        raise InputError(
            f"the image of {result.name} is not in a file that still exists "
            f"({result.source or 'it came as an array'}): pass image="
        )
    return read_image(path) if result.frame_id is None else _frame(path, result.frame_id)


def _frame(path: Path, number: int) -> np.ndarray:
    """A frame of a clip, which is read from its beginning up to there."""
    reader = open_clip(path)
    try:
        for image, _ in itertools.islice(reader, number, None):
            return image
    finally:
        reader.close()
    raise InputError(f"{path} has no frame {number}")
