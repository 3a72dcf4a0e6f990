"""The order of an epoch, for any number of processes and from any position on.

A sample is a function of (seed, epoch, index): data sets keep no random state, and the epoch comes
with the index from `ResumableSampler`. So a resumed run sees the same samples as an uninterrupted
one.

    dataset = PoseDataset(sources, skeleton, input_size=(192, 256), augment=PoseAugment())
    sampler = ResumableSampler(len(dataset), seed=0)
    loader = DataLoader(dataset, 64, sampler=sampler, collate_fn=collate,
                        worker_init_fn=init_worker, num_workers=2)
    for batch in batches(loader):
        ...
        sampler.advance(64)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from posekit.errors import InputError

__all__ = ["Key", "ResumableSampler", "epoch_and_index", "epoch_order"]

# What a sampler gives: the epoch and the index in it; an index alone means epoch 0.
Key = int | tuple[int, int]


class ResumableSampler:
    """The order of an epoch, divided among ranks, from any position on.

    It yields (epoch, index). Position counts the samples that all ranks together have taken, so a
    run may resume on another number of ranks. Since a loader reads ahead, the position moves only
    with `advance`, when a step is done.

    Args:
        length: samples per epoch.
        seed: seed of the order.
        shuffle: a new order per epoch; False keeps the data set's.
        rank: number of this process.
        ranks: number of processes.
        even: leave out the last samples so that all ranks have the same number; False leaves none
            out.
    """

    def __init__(
        self,
        length: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        ranks: int = 1,
        even: bool = True,
    ) -> None:
        if not 0 <= rank < ranks:
            raise InputError(f"rank: expected 0..{ranks - 1}, found {rank}")
        if length < 1 or (even and length < ranks):
            raise InputError(f"{length} samples are too few for {ranks} processes")
        self.length = length
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.ranks = ranks
        self.even = even
        self.epoch = 0
        self.position = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        order = epoch_order(self.length, self.seed, epoch) if self.shuffle else None
        for place in range(self.position + self.rank, self._end(), self.ranks):
            yield epoch, place if order is None else int(order[place])

    def __len__(self) -> int:
        """The number of samples that this rank has left in the epoch."""
        return len(range(self.position + self.rank, self._end(), self.ranks))

    def _end(self) -> int:
        if not self.even:
            return self.length
        return self.length - (self.length - self.position) % self.ranks

    def advance(self, samples: int) -> None:
        """Counts samples, of all ranks together, as done."""
        self.position = min(self.position + samples, self.length)

    def start_epoch(self, epoch: int) -> None:
        """Goes to the start of an epoch."""
        self.epoch, self.position = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """What `load_state_dict` needs to continue from here."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "length": self.length,
        }

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continues where another sampler stopped.

        Raises:
            InputError: it had another seed or another number of samples.
        """
        for key in ("seed", "length"):
            if state[key] != getattr(self, key):
                raise InputError(
                    f"cannot resume: the run was started with {key} {state[key]}, "
                    f"now it is {getattr(self, key)}"
                )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])


def epoch_order(length: int, seed: int, epoch: int) -> np.ndarray:
    """The order (length,) of an epoch's samples, the same on every machine."""
    return np.random.default_rng((seed, epoch)).permutation(length)


def epoch_and_index(key: Key, length: int) -> tuple[int, int]:
    """The epoch (0 if `key` is only an index) and the index of a sample.

    Raises:
        IndexError: the index is below 0, or not below `length`.
    """
    epoch, index = key if isinstance(key, tuple) else (0, key)
    epoch, index = int(epoch), int(index)
    if not 0 <= index < length:
        raise IndexError(f"expected an index from 0 to {length - 1}, found {index}")
    return epoch, index
