"""Batches of any size through graphs that take a few sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["CPU_SIZES", "GPU_COMPILED_SIZES", "GPU_SIZES", "run_in_batches"]

# On a CPU eight images take eight times as long as one, to within a few percent: more sizes, or
# filling a batch up with empty images, would cost more than they save.
CPU_SIZES = (8, 1)
# On a GPU a few images take about as long as one.
GPU_SIZES = (64, 32, 16, 8, 4, 2, 1)
GPU_COMPILED_SIZES = (64, 8, 1)  # each takes a minute to compile


def run_in_batches(
    run: Callable[[Tensor], Sequence[Tensor]],
    images: Tensor,
    sizes: Sequence[int] = CPU_SIZES,
    *,
    fill: bool = False,
) -> list[Tensor]:
    """The outputs for a batch, which is run in pieces of the sizes that a graph takes.

    Args:
        run: images of one of the sizes -> outputs.
        images: (n, 3, h, w), n >= 1.
        sizes: in falling order, ending in 1.
        fill: fill up to the next size with copies of the last image, if that adds at most a quarter
            of that size.
    """
    parts = []
    while count := len(images):
        size = max(size for size in sizes if size <= count)
        above = min((size for size in sizes if size >= count), default=size)
        if fill and size < above and above - count <= above // 4:
            size = above
            images = torch.cat([images, images[-1:].expand(size - count, -1, -1, -1)])
        parts.append([output[:count] for output in run(images[:size])])
        images = images[size:]
    if len(parts) == 1:
        return parts[0]
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
