"""Files of a store, each requested while what came before is used."""

from __future__ import annotations

import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from posekit.datasets.archives import is_remote, read_file

__all__ = ["AHEAD", "Reader", "readers_ahead"]

AHEAD = 8  # files that are requested at once, and wait in memory, in each process

# Gives the bytes of a file, (n,) uint8, or raises what `read_file` does.
Reader = Callable[[], np.ndarray]


def readers_ahead(paths: Iterable[str]) -> Iterator[Reader]:
    """A reader for each path, in order; remote files are on their way up to `AHEAD` before."""
    waiting: deque[Reader] = deque()
    rest = iter(paths)
    while True:
        for path in itertools.islice(rest, AHEAD - len(waiting)):
            if is_remote(path):
                waiting.append(_pool(os.getpid()).submit(read_file, path).result)
            else:
                waiting.append(functools.partial(read_file, path))
        if not waiting:
            return
        yield waiting.popleft()


@functools.lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of a process, which a forked one has to have of its own."""
    return ThreadPoolExecutor(AHEAD)
