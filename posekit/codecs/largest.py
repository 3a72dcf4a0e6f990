"""The largest value along an axis, which decodes bins and heat maps."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["largest"]


def largest(values: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of each row (..., n), and its place (...); the first of equal ones, and NaN
    before all.
    """
    if values.device.type != "cpu":
        best, places = values.max(dim=-1)
        return best, places
    # As in `cells_above`: PyTorch's threads would wait busily after a moment's work.
    array = values.detach().float().numpy()
    found = torch.from_numpy(array.argmax(axis=-1))
    return values.gather(-1, found[..., None])[..., 0], found
