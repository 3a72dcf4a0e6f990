"""Resizing and normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posekit.transforms.image import Normalize, fitted_size, letterbox


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


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_tables_give_what_arithmetic_gives(color: str) -> None:
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 12, 3), np.uint8)
    normalize = Normalize(
        mean=mean, std=std, color=color, device=torch.device("cpu"), dtype=torch.float32
    )
    ordered = images[..., ::-1] if color == "rgb" else images
    pixels = torch.from_numpy(ordered.copy()).permute(0, 3, 1, 2).float()
    expected = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert torch.equal(normalize(images), expected)
    wide = np.concatenate([images, images[..., :1]], axis=-1)
    assert torch.equal(normalize(wide), expected)
    assert normalize(images[:0]).shape == (0, 3, 16, 12)


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 640), (360, 480)), ((640, 480), (640, 480)), ((10, 1), (640, 64))]
)
def test_the_ratio_stays_where_the_frame_is_not_square(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fitted_size(size, (640, 480)) == expected


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("keep_ratio", [True, False])
def test_letterbox_and_normalisation_at_once_are_one_after_the_other(
    color: str, keep_ratio: bool
) -> None:
    normalize = Normalize(
        mean=[1, 2, 3],
        std=[4, 5, 6],
        color=color,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    noise = np.random.default_rng(0)
    images = [noise.integers(0, 256, (*size, 3), np.uint8) for size in [(50, 30), (20, 70)]]
    batch, factors = normalize.letterboxed(images, (48, 32), 114, keep_ratio=keep_ratio)
    pixels = np.empty((2, 32, 48, 3), np.uint8)
    for image, out, factor in zip(images, pixels, factors, strict=True):
        assert letterbox(image, out, 114, keep_ratio=keep_ratio) == factor
    assert torch.equal(batch, normalize(pixels))
