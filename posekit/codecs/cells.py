"""Maps of predictions per cell, level by level, as lists of cells: all of them, or a few."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

__all__ = ["Chosen", "cell_corners", "cells_above", "flat_cells"]

# Some cells of a level: for each the number of its image, its row and its column, (m,) each.
Chosen: TypeAlias = tuple[Tensor, Tensor, Tensor]

ROUNDING = 1e-6  # by which a probability in float32 may be off


def cell_corners(level: Tensor, stride: int, chosen: Chosen | None = None) -> Tensor:
    """Top left corners (h * w, 2) of a level's cells, row by row, in pixels; or those (m, 2) of
    chosen ones.
    """
    if chosen is not None:
        return torch.stack([chosen[2], chosen[1]], dim=-1).float() * stride
    height, width = level.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=level.device, dtype=torch.float32) * stride,
        torch.arange(width, device=level.device, dtype=torch.float32) * stride,
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def flat_cells(level: Tensor, chosen: Chosen | None = None) -> Tensor:
    """(N, C, h, w) -> (N, h * w, C), float32; or (m, C) of chosen cells."""
    if chosen is not None:
        image, row, column = chosen
        return level[image, :, row, column].float()
    return level.float().flatten(2).transpose(1, 2)


def cells_above(levels: Iterable[tuple[Tensor, ...]], probability: float) -> list[Chosen]:
    """Per level the cells, in order, whose logits may mean more than a probability, or are NaN.

    Args:
        levels: maps of logits (N, C, h, w) on the CPU; of each map one has to be so large.
        probability: 0 to 1.
    """
    least = min(max(probability - ROUNDING, 0.0), 1 - ROUNDING)
    bound = math.log(least / (1 - least)) if least > 0 else -math.inf
    # NumPy computes in this thread alone. PyTorch's threads, which would share the work, go on
    # waiting busily for more of it, for longer than it takes.
    found = []
    for maps in levels:
        highest = [logits.float().numpy().max(axis=1) for logits in maps]
        cells = np.nonzero(~(functools.reduce(np.minimum, highest) <= bound))
        image, row, column = map(torch.from_numpy, cells)
        found.append((image, row, column))
    return found
