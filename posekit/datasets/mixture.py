"""Several sources as one data set, each with its own number of repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posekit.datasets.sources import Source
from posekit.errors import InputError

__all__ = ["Mixture"]


class Mixture:
    """Which row of which source an index means, for fractions of a source too."""

    def __init__(self, counts: Sequence[int], sources: Sequence[Source], seed: int) -> None:
        if not counts:
            raise InputError(
                "no source to take samples from: expected at least one annotation file"
            )
        lengths = [
            max(round(count * source.repeat), 1)
            for count, source in zip(counts, sources, strict=True)
        ]
        self.counts = list(counts)
        self.lengths = lengths
        self.ends = np.cumsum(lengths)
        # Only a part of a source needs an order: each epoch goes on where the last one stopped.
        self.orders = [
            None if length % count == 0 else np.random.default_rng((seed, part)).permutation(count)
            for part, (count, length) in enumerate(zip(counts, lengths, strict=True))
        ]

    def __len__(self) -> int:
        return int(self.ends[-1])

    def row(self, epoch: int, index: int) -> tuple[int, int]:
        """The number of the source, and the row in it, of an epoch's sample."""
        part = int(np.searchsorted(self.ends, index, side="right"))
        place = index - int(self.ends[part]) + self.lengths[part]
        order = self.orders[part]
        if order is None:
            return part, place % self.counts[part]
        return part, int(order[(epoch * self.lengths[part] + place) % self.counts[part]])
