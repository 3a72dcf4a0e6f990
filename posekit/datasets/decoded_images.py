"""Images of samples, decoded once and no larger than needed."""

from __future__ import annotations

import contextlib
import functools
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from posekit.datasets.archives import is_remote, read_file
from posekit.datasets.read_ahead import Reader, readers_ahead
from posekit.datasets.sampler import Key
from posekit.errors import InputError
from posekit.io.images import check_whole, decode, decode_image

__all__ = ["ImageCache", "from_reduced", "reduction"]

_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class ImageCache:
    """The most recently used decoded images, up to a number of bytes."""

    def __init__(self, megabytes: float) -> None:
        self.budget = int(megabytes * 2**20)
        self.used = 0
        self.images: OrderedDict[tuple[str, int], tuple[np.ndarray, float]] = OrderedDict()
        self.coming: dict[str, Reader] = {}

    def samples(
        self,
        make: Callable[[Key], dict[str, Any]],
        keys: Sequence[Key],
        path_of: Callable[[Key], str],
    ) -> list[dict[str, Any]]:
        """The samples of a batch; remote images are requested while those before are made.

        Args:
            make: gives the sample of a key.
            keys: the keys of the batch.
            path_of: the path of a sample's own image.
        """
        paths = [path_of(key) for key in keys]
        held = {path for path, _ in self.images}
        wanted = deque(
            path for path in dict.fromkeys(paths) if is_remote(path) and path not in held
        )
        readers = readers_ahead(list(wanted))
        made = []
        for key, path in zip(keys, paths, strict=True):
            if wanted and path == wanted[0]:
                self.coming = {wanted.popleft(): next(readers)}
            made.append(make(key))
        self.coming = {}
        return made

    def get(self, path: str, number: int, shrink: int) -> tuple[np.ndarray, float]:
        """The image (h, w, 3), BGR, uint8, read-only, and the factor from the original to it."""
        key = (str(path), shrink)
        found = self.images.get(key)
        if found is not None:
            self.images.move_to_end(key)
            return found
        read = self.coming.get(str(path)) or functools.partial(read_file, path)
        found = _read(str(path), number, shrink, read)
        size = found[0].nbytes
        if size <= self.budget:
            self.images[key] = found
            self.used += size
            while self.used > self.budget:
                _, (oldest, _) = self.images.popitem(last=False)
                self.used -= oldest.nbytes
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Nothing decoded goes to another process."""
        return {"budget": self.budget, "used": 0, "images": OrderedDict(), "coming": {}}


def reduction(factor: float) -> int:
    """The reduction in decoding that leaves at least one pixel of the image per pixel needed."""
    return next((step for step in (8, 4, 2) if factor >= step), 1)


def from_reduced(matrix: np.ndarray, factor: float) -> np.ndarray:
    """The map from a reduced image: its pixel i covers the original's pixels i / factor and on."""
    if factor == 1:
        return matrix
    moved = matrix.copy()
    moved[:, :2] /= factor
    moved[:, 2] += matrix[:, :2] @ np.full(2, 0.5 / factor - 0.5)
    return moved


def _read(path: str, number: int, shrink: int, read: Reader) -> tuple[np.ndarray, float]:
    name = f"image {path} (id {number})"
    try:
        data = read()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from None
    try:
        if shrink > 1 and data[4:8].tobytes() != b"ftyp":  # OpenCV does not turn an AVIF
            check_whole(data.tobytes(), name)  # OpenCV before 4.12 takes what there is of a JPEG
            with contextlib.suppress(InputError):
                return decode(data.tobytes(), name, _REDUCED[shrink]), 1 / shrink
        return decode_image(data, name), 1.0
    except InputError as error:
        raise InputError(f"{name} cannot be decoded: {error}") from None
