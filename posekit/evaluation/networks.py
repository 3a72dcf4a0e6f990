"""A network that is measured, and the images that it sees."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from torch import nn

from posekit.datasets.archives import read_file
from posekit.errors import InputError
from posekit.io import decode_image

__all__ = ["in_eval_mode", "read_image"]


@contextlib.contextmanager
def in_eval_mode(net: nn.Module) -> Iterator[None]:
    """In eval mode, batch norms neither learn from the data set nor depend on the batch."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)


def read_image(path: str, number: int) -> np.ndarray:
    """Reads an image of a data set: (H, W, 3), BGR, uint8.

    Raises:
        InputError: it cannot be read; the message names path and id.
    """
    name = f"image {path} (id {number})"
    try:
        return decode_image(read_file(path), name)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from None
