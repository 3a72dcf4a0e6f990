"""Resizing and normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posekit.transforms.image import Normalize, letterbox


@pytest.mark.parametrize(
    ("size", "inner"), [((480, 640), (240, 320)), ((1, 1), (320, 320)), ((4000, 1), (320, 1))]
)
def test_the_image_fills_the_longer_side(size: tuple[int, int], inner: tuple[int, int]) -> None:
    out = np.empty((320, 320, 3), np.uint8)
    factors = letterbox(np.full((*size, 3), 7, np.uint8), out, 114)
    assert (out[: inner[0], : inner[1]] == 7).all()
    assert (out == 114).sum() == out.size - 3 * inner[0] * inner[1]
    assert factors == (inner[1] / size[1], inner[0] / size[0])


def test_rgb_networks_get_their_channels_reversed() -> None:
    normalize = Normalize(
        mean=[1, 2, 3],
        std=[1, 1, 2],
        color="rgb",
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    blue = np.zeros((1, 1, 1, 3), np.uint8)
    blue[..., 0] = 9
    assert normalize(blue).flatten().tolist() == [-1, -2, 3]
