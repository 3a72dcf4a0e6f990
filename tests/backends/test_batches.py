"""Batches of any size, through graphs of a few sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from posekit.backends.batches import CPU_SIZES, GPU_SIZES, run_in_batches


@pytest.mark.parametrize(
    ("sizes", "fill", "count", "expected"),
    [
        (CPU_SIZES, False, 1, [1]),
        (CPU_SIZES, False, 19, [8, 8, 1, 1, 1]),
        (GPU_SIZES, True, 1, [1]),
        (GPU_SIZES, True, 5, [4, 1]),
        (GPU_SIZES, True, 6, [8]),
        (GPU_SIZES, True, 33, [32, 1]),
        (GPU_SIZES, True, 50, [64]),
        (GPU_SIZES, True, 64, [64]),
        (GPU_SIZES, True, 131, [64, 64, 4]),
    ],
)
def test_each_image_has_its_own_output(
    sizes: tuple[int, ...], fill: bool, count: int, expected: list[int]
) -> None:
    ran = []

    def run(images: Tensor) -> list[Tensor]:
        ran.append(len(images))
        return [images.sum(dim=(1, 2, 3)), -images]

    images = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 2, 2)
    sums, negative = run_in_batches(run, images, sizes, fill=fill)
    assert ran == expected
    torch.testing.assert_close(sums, 12 * torch.arange(count, dtype=torch.float32))
    torch.testing.assert_close(negative, -images)
