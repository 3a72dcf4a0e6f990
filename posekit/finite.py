"""Checks for numbers that are not finite: in loaded weights, and in a network's outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from posekit.errors import WeightsError

__all__ = ["check_finite", "check_finite_weights"]


def check_finite_weights(name: str, state: Mapping[str, Tensor]) -> None:
    """Checks that weights are finite, in a single pass that copies nothing.

    Args:
        name: name of the file, for the message.
        state: entries of any types, on one device.

    Raises:
        WeightsError: some are NaN or infinite; names the entries.
    """
    floating = {key: value for key, value in state.items() if value.is_floating_point()}
    if not floating:
        return
    # NaN and infinity stay in a sum. A sum may overflow by itself: only then each number is seen.
    sums = torch.stack([value.sum(dtype=torch.float32) for value in floating.values()])
    if torch.isfinite(sums).all():
        return
    bad = [key for key, value in floating.items() if not torch.isfinite(value).all()]
    if not bad:
        return
    kinds = {floating[key].dtype for key in bad}
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    raise WeightsError(
        f"{name} has numbers that are NaN or infinite{_in_half(kinds)}, in {bad[0]}{more}: "
        f"expected finite ones; {_REMEDY}"
    )


def check_finite(what: str, dtype: torch.dtype, *results: np.ndarray) -> None:
    """Checks that a network's outputs are finite; costs nothing on the few numbers of a result.

    Args:
        what: the network, for the message.
        dtype: what it computes in.
        results: arrays of any shapes.

    Raises:
        WeightsError: some are NaN or infinite.
    """
    if not all(np.isfinite(result).all() for result in results):
        raise WeightsError(
            f"{what} gave numbers that are NaN or infinite{_in_half({dtype})}: expected finite "
            f"ones; {_REMEDY}"
        )


_REMEDY = "take other weights, or dtype=float32 where a smaller type overflows"


def _in_half(kinds: set[torch.dtype]) -> str:
    small = sorted(str(kind).removeprefix("torch.") for kind in kinds if kind.itemsize == 2)
    return f" in {' and '.join(small)}" if small else ""
