"""A network that is measured, and the images that it sees."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
from torch import nn

from posekit.datasets.read_ahead import readers_ahead
from posekit.errors import InputError
from posekit.io import decode_image

__all__ = ["in_eval_mode", "read_images"]


@contextlib.contextmanager
def in_eval_mode(net: nn.Module) -> Iterator[None]:
    """In eval mode, batch norms neither learn from the data set nor depend on the batch."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)


def read_images(paths: Sequence[str], numbers: Sequence[int]) -> Iterator[np.ndarray]:
    """Images of a data set, each (H, W, 3), BGR, uint8; remote ones are requested ahead.

    Args:
        paths: their paths.
        numbers: their ids.

    Raises:
        InputError: one cannot be read; the message names path and id.
    """
    for path, number, read in zip(paths, numbers, readers_ahead(paths), strict=True):
        name = f"image {path} (id {number})"
        try:
            image = decode_image(read(), name)
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror or error}") from None
        yield image
