"""Samples -> batches, through a loader and its worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from posekit.errors import InputError, PosekitError

__all__ = ["batches", "collate", "init_worker"]

# Entries of as many rows as an image has boxes or people.
VARYING = ("boxes", "labels", "people", "areas", "ignored")


def batches(loader: DataLoader[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A loader's batches; an error in a worker process keeps its message.

    Raises:
        InputError: a sample cannot be read.
    """
    iterator = iter(loader)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except PosekitError as error:
            message = str(error).rstrip().rpartition("posekit.errors.InputError: ")[2]
            raise InputError(f"a sample cannot be used: {message}") from None
        yield batch


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Samples -> one tensor per key, (N, ...); a list of tensors where their shapes differ."""
    batch: dict[str, Any] = {}
    for key in samples[0]:
        values = [np.asarray(sample[key]) for sample in samples]
        if key in VARYING:  # of varying number, and so even where they agree by chance
            batch[key] = [torch.from_numpy(np.array(value)) for value in values]
        else:
            batch[key] = torch.from_numpy(np.stack(values))
    return batch


def init_worker(worker: int) -> None:
    """For a loader's `worker_init_fn`: OpenCV starts no threads beside the worker processes."""
    cv2.setNumThreads(0)
