"""Batches of any size through graphs that take a few sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["FIXED_SIZES", "run_in_batches"]

# On a CPU eight images take eight times as long as one, to within a few percent: more sizes, or
# filling a batch up with empty images, would cost more than they save.
FIXED_SIZES = (8, 1)


def run_in_batches(
    run: Callable[[Tensor], Sequence[Tensor]], images: Tensor, sizes: Sequence[int] = FIXED_SIZES
) -> list[Tensor]:
    """The outputs of a batch that is cut into batches of the sizes that a graph takes.

    Args:
        run: images of one of the sizes -> outputs.
        images: (n, 3, h, w), n >= 1.
        sizes: in falling order, ending in 1.
    """
    parts = [run(part) for part in _cut(images, sizes)]
    if len(parts) == 1:
        return list(parts[0])
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]


def _cut(images: Tensor, sizes: Sequence[int]) -> Iterator[Tensor]:
    start = 0
    for size in sizes:
        while start + size <= len(images):
            yield images[start : start + size]
            start += size
