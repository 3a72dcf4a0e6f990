"""What a batch has to do, and how it ended: for all runners, and for any process."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posekit.batching.manifest import Entry
from posekit.batching.sources import Source
from posekit.errors import PosekitError, first_line

if TYPE_CHECKING:
    from posekit.parts import Parts

__all__ = ["Job", "Outcome", "Task", "entry_of", "full_disk", "in_words"]

log = logging.getLogger(__name__)

# What a disk says that takes no more of any clip.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all clips of a batch have in common; any process can be given it.

    Attributes:
        parts: the networks.
        loading: keywords of `Predictor.from_parts`.
        options: keywords of `Predictor.stream`.
        formats: names of the formats to write.
        drawings: write drawings too.
        folder: folder of the results.
        threads: number of threads of PyTorch and of engines.
        fingerprint: hash of all that results depend on.
    """

    parts: Parts
    loading: Mapping[str, Any]
    options: Mapping[str, Any]
    formats: tuple[str, ...]
    drawings: bool
    folder: Path
    threads: int
    fingerprint: str


@dataclass(frozen=True)
class Task:
    """An attempt at a clip.

    Attributes:
        source: the clip.
        attempt: its number, from 1.
        stale: results of an earlier attempt, removed when this one has ended.
        frames: for a piece of the clip, numbers of its first frame and of the one after its last;
            None for the clip's end.
    """

    source: Source
    attempt: int = 1
    stale: tuple[str, ...] = ()
    frames: tuple[int, int | None] | None = None

    @property
    def key(self) -> object:
        """Identifies the task within a run."""
        return self.source.path, self.frames


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        entry: the line for the manifest.
        stop: why no other clip need be tried: the disk is full.
        frames: as in the task.
        whole: why the clip must be done whole, if a piece of it cannot be done.
    """

    entry: Entry
    stop: str | None = None
    frames: tuple[int, int | None] | None = None
    whole: str | None = None

    @property
    def key(self) -> object:
        """The task's key."""
        return self.entry.path, self.frames


def entry_of(task: Task, job: Job, device: str = "") -> Entry:
    source = task.source
    return Entry(
        path=source.path,
        name=source.name,
        status="failed",
        size=source.size,
        mtime=source.changed,
        fingerprint=job.fingerprint,
        attempt=task.attempt,
        device=device,
        host=socket.gethostname(),
    )


def in_words(error: Exception, task: Task) -> str:
    """An error as words; one that leaves the GPU unusable ends this process."""
    if isinstance(error, PosekitError):
        text = str(error)
    else:
        log.debug("%s", task.source.path, exc_info=error)
        text = f"{type(error).__name__}: {first_line(error)}"
    if "CUDA error" in text:
        os._exit(70)
    return text


def full_disk(error: BaseException | None) -> str | None:
    """What an error says if the disk is full, so that no other clip can be written; else None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return os.strerror(error.errno)
        error = error.__cause__ or error.__context__
    return None
