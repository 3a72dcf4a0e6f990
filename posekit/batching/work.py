"""A clip -> its files of results: the same for all runners, whatever was computed before."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posekit.batching.manifest import Entry, Status
from posekit.batching.sources import Source
from posekit.errors import InputError, OutputError, PosekitError, first_line
from posekit.files import put_on_disk
from posekit.io.inputs import Files, Inputs
from posekit.io.listing import Listing

if TYPE_CHECKING:
    from posekit.parts import Parts
    from posekit.predictor import Predictor

__all__ = ["ClipWorker", "Job", "Outcome", "Task", "died", "set_threads", "threads_as_before"]

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
        formats: names of what is written.
        drawings: write drawings too.
        folder: of the results.
        threads: of PyTorch and of engines.
        fingerprint: of all that results depend on.
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
        stale: results of an earlier attempt, which go when this one has ended.
    """

    source: Source
    attempt: int = 1
    stale: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        entry: of the manifest.
        stop: why no other clip need be tried: the disk is full.
    """

    entry: Entry
    stop: str | None = None


def set_threads(threads: int) -> None:
    """So many for all that computes in this process: results of others differ by rounding."""
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


@contextlib.contextmanager
def threads_as_before() -> Iterator[None]:
    """What computes in a caller's own process leaves it the threads that it had."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


class ClipWorker:
    """Networks that are loaded once and do one clip after the other.

    Each clip is computed as if it were the first: the engines are made before it.

    Args:
        job: see there.
        device: in place of the job's.

    Raises:
        PosekitError: the networks cannot be loaded.
    """

    def __init__(self, job: Job, device: str | None = None) -> None:
        from posekit.predictor import Predictor

        self.job = job
        set_threads(job.threads)
        loading = dict(job.loading) if device is None else {**job.loading, "device": device}
        self.predictor: Predictor = Predictor.from_parts(job.parts, **loading)
        self.predictor.settle()
        self.device = str(self.predictor.estimator.device)

    def __call__(self, task: Task, on_frame: Callable[[], None] = lambda: None) -> Outcome:
        """Does a clip; whatever is wrong with it is in the outcome.

        Args:
            task: the attempt.
            on_frame: called after each frame.
        """
        start = time.perf_counter()
        entry = _entry(task, self.job, device=self.device)
        staging = _staging(self.job.folder, task.source)
        frames = 0
        status: Status = "failed"
        outputs: tuple[str, ...] = ()
        stop: str | None = None
        error: str | None = None
        try:
            _remove_rests(self.job.folder, task.source)
            failures: list[InputError] = []
            with contextlib.closing(self._results(task.source, staging, failures)) as results:
                for _ in results:
                    frames += 1
                    on_frame()
            error = str(failures[0]) if failures else None
            if frames:
                status = "partial" if failures else "done"
                outputs = _put_in_place(staging, self.job.folder, task.source)
            else:
                error = error or "it has no frames"
        except Exception as caught:  # one clip never stops the others
            status, outputs, stop = "failed", (), _full_disk(caught)
            error = str(caught) if isinstance(caught, PosekitError) else _describe(caught)
            if not isinstance(caught, PosekitError):
                log.debug("%s", task.source.path, exc_info=caught)
            error = error.replace(f"{staging}{os.sep}predictions", str(staging.parent))
            if "CUDA error" in error:  # after which the GPU does nothing more for this process
                os._exit(70)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        if stop is None:
            _remove(self.job.folder, set(task.stale) - set(outputs))
        return Outcome(
            replace(
                entry,
                status=status,
                frames=frames if outputs else 0,
                seconds=round(time.perf_counter() - start, 3),
                error=error,
                outputs=outputs,
            ),
            stop,
        )

    def _results(
        self, source: Source, staging: Path, failures: list[InputError]
    ) -> Generator[object, None, None]:
        staging.mkdir(parents=True)
        inputs: Any = source.path
        if not source.is_url:  # nothing of a name is a pattern or a camera
            inputs = Inputs([Files([Path(source.path)])], Listing())
        yield from self.predictor.stream(
            inputs,
            **self.job.options,
            formats=list(self.job.formats),
            pred_out_dir=staging / "predictions",
            vis_out_dir=staging / "drawings" if self.job.drawings else None,
            on_error=lambda _, error: failures.append(error),
        )


def died(task: Task, job: Job, reason: str) -> Outcome:
    """The outcome of a clip whose worker was lost."""
    _remove_rests(job.folder, task.source)
    _remove(job.folder, set(task.stale))
    return Outcome(replace(_entry(task, job), error=f"worker died: {reason}"))


def _entry(task: Task, job: Job, device: str = "") -> Entry:
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


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _full_disk(error: BaseException | None) -> str | None:
    """What an error says of the disk, where no other clip would be written either."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return os.strerror(error.errno)
        error = error.__cause__ or error.__context__
    return None


def _prefix(source: Source) -> str:
    """What the names of a clip's unfinished results begin with, whatever its length and letters."""
    name = source.name.encode("utf-8", "surrogateescape")
    return f".{hashlib.sha256(name).hexdigest()[:16]}."


def _staging(folder: Path, source: Source) -> Path:
    """A folder for unfinished results that no other attempt has."""
    parent = (folder / source.name).parent
    return parent / f"{_prefix(source)}{secrets.token_hex(4)}.part"


def _remove_rests(folder: Path, source: Source) -> None:
    """What killed attempts at a clip left."""
    for rest in (folder / source.name).parent.glob(f"{_prefix(source)}*.part"):
        shutil.rmtree(rest, ignore_errors=True)


def _put_in_place(staging: Path, folder: Path, source: Source) -> tuple[str, ...]:
    """Renames finished results to what they are called; whose name there is, is replaced."""
    moves = []
    for kind, mark in (("predictions", ""), ("drawings", ".drawn")):
        where = staging / kind
        for made in sorted(where.iterdir()) if where.is_dir() else ():
            ending = _ending(made.name, Path(source.path).stem)
            moves.append((made, f"{source.name}{mark}{ending}"))
    for made, _ in moves:
        for path in made.rglob("*") if made.is_dir() else (made,):
            put_on_disk(path)
    for made, name in moves:
        target = folder / name
        try:
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            made.replace(target)
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"cannot write {target}: {reason}") from error
    put_on_disk((folder / source.name).parent)
    return tuple(name for _, name in moves)


def _ending(made: str, stem: str) -> str:
    """`.parquet` of `a.parquet`, written of `a.mp4`, and of `images.parquet`, of `a.jpg`."""
    rest = made.removeprefix(stem)
    if rest != made and rest[:1] in ("", ".", "_"):
        return rest
    return f".{made.partition('.')[2]}"


def _remove(folder: Path, names: set[str]) -> None:
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
