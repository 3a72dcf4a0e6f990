"""Processes of this machine, each with networks of its own: one per GPU or group of cores.

A worker that is killed costs its clip one more attempt; the others go on. Workers end when the
process that started them does, however that ends.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from posekit.batching.options import RunOptions
from posekit.batching.progress import Stop
from posekit.batching.tasks import Job, Outcome, Task
from posekit.batching.work import ClipWorker, died, threads_as_before
from posekit.cores import usable_cores
from posekit.errors import PosekitError

__all__ = ["default_threads", "end_with_parent", "inheriting_no_ctrl_c", "run"]

log = logging.getLogger(__name__)

THREADS = 4  # of a worker, where nobody says
ATTEMPTS = 2  # at a clip whose worker is killed
STARTS = 3  # workers in a row that may end before they are ready
REPORT = 0.25  # seconds between two reports of frames


def default_threads(options: RunOptions) -> int:
    """The number of threads per worker."""
    if options.threads is not None:
        return options.threads
    there = len(usable_cores())
    if isinstance(options.workers, int) and options.workers:
        return max(1, min(THREADS, there // options.workers))
    return min(THREADS, there)


def run(
    job: Job,
    tasks: Sequence[Task],
    options: RunOptions,
    stop: Stop,
    on_frames: Callable[[int], None],
) -> Iterator[Outcome]:
    """Yields the outcome of each task as it ends.

    Args:
        job: what all of them have in common.
        tasks: to do.
        options: how many workers.
        stop: once it is requested, no task is begun.
        on_frames: called with the number of further frames done.

    Raises:
        PosekitError: the networks cannot be loaded, or workers end before they can do anything.
    """
    if options.workers == 0:
        yield from _here(job, tasks, stop, on_frames)
        return
    places = _places(job, options)[: len(tasks)]
    with contextlib.closing(_Pool(job, tasks, places, stop, on_frames)) as pool:
        yield from pool.outcomes()


def _here(
    job: Job, tasks: Sequence[Task], stop: Stop, on_frames: Callable[[int], None]
) -> Iterator[Outcome]:
    with threads_as_before():
        worker = ClipWorker(job)
        for task in tasks:
            if stop.requested:
                return
            yield worker(task, lambda: on_frames(1))


@dataclass(frozen=True)
class _Place:
    """Where a worker computes: a device, and cores that it keeps to; None for any."""

    device: str | None
    cores: tuple[int, ...] | None = None


def _places(job: Job, options: RunOptions) -> list[_Place]:
    from posekit.build import select_device

    device = select_device(job.loading.get("device"))
    there = usable_cores()
    if (device.type == "cuda" and device.index is None) or job.loading.get("device") is None:
        import torch

        count = torch.cuda.device_count() if device.type == "cuda" else 0
        devices = [f"cuda:{number}" for number in range(count)] or [str(device)]
    else:
        devices = [str(device)]
    if options.workers != "auto":
        number = options.workers
    elif device.type == "cpu":
        number = max(1, len(there) // job.threads)
    else:
        number = len(devices)
    chosen = list(itertools.islice(itertools.cycle(devices), number))
    # Pinned only where all cores are given away, so that two batches do not meet on the same ones.
    if number * job.threads != len(there) or not hasattr(os, "sched_setaffinity"):
        return [_Place(one) for one in chosen]
    groups = [tuple(there[n * job.threads : (n + 1) * job.threads]) for n in range(number)]
    return [_Place(one, group) for one, group in zip(chosen, groups, strict=True)]


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    connection: Connection
    place: _Place
    task: Task | None = None
    ready: bool = False


class _Pool:
    """Workers, each with at most one task; what they say comes through a pipe each."""

    def __init__(
        self,
        job: Job,
        tasks: Sequence[Task],
        places: Sequence[_Place],
        stop: Stop,
        on_frames: Callable[[int], None],
    ) -> None:
        self._job, self._stop, self._on_frames = job, stop, on_frames
        self._waiting = deque(tasks)
        self._tries: dict[object, int] = {}
        self._failed_starts = 0
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        for place in places:
            self._start(place)

    def outcomes(self) -> Iterator[Outcome]:
        while self._workers:
            connections = {worker.connection: worker for worker in self._workers}
            for connection in wait(list(connections)):
                worker = connections[connection]  # type: ignore[index]
                try:
                    kind, content = worker.connection.recv()
                except (EOFError, OSError):
                    yield from self._bury(worker)
                    continue
                if kind == "frames":
                    self._on_frames(content)
                elif kind == "broken":
                    raise PosekitError(content)
                elif kind == "ready":
                    worker.ready, self._failed_starts = True, 0
                    self._give(worker)
                else:
                    worker.task = None
                    yield content
                    self._give(worker)

    def close(self) -> None:
        """Ends workers that are still there, whatever they do."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers = []

    def _start(self, place: _Place) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(self._job, place, theirs), name="posekit-batch", daemon=True
        )
        with inheriting_no_ctrl_c():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours, place))

    def _give(self, worker: _Worker) -> None:
        """The next task, or the end."""
        if self._waiting and not self._stop.requested:
            worker.task = self._waiting.popleft()
        with contextlib.suppress(OSError):  # it was killed: its end comes through the pipe
            worker.connection.send(worker.task)
        if worker.task is None:
            self._dismiss(worker)

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.join()
        worker.connection.close()

    def _bury(self, worker: _Worker) -> Iterator[Outcome]:
        """A worker is gone: its task is tried once more, by another one."""
        self._dismiss(worker)
        task, reason = worker.task, _reason(worker.process.exitcode)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise PosekitError(
                    f"workers stop before they are ready ({reason}); in a script, call "
                    "posekit.batch below `if __name__ == '__main__':`"
                )
        if task is not None:
            key = task.key
            self._tries[key] = self._tries.get(key, 0) + 1
            if self._tries[key] < ATTEMPTS:
                path = task.source.path
                log.warning("a worker died (%s) on %s; trying again", reason, path)
                self._waiting.appendleft(task)
            else:
                yield died(task, self._job, reason)
        if self._waiting and not self._stop.requested:
            self._start(worker.place)


def _reason(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    memory = "; the machine may be short of memory" if -code == signal.SIGKILL else ""
    return f"killed by {name}{memory}"


@contextlib.contextmanager
def inheriting_no_ctrl_c() -> Iterator[None]:
    """Child processes started here ignore a terminal's Ctrl-C, which is for the driver."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(job: Job, place: _Place, connection: Connection) -> None:
    """A worker's process."""
    # What a terminal or SLURM sends to all processes is for the driver, with which this one ends.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    end_with_parent()
    if place.cores is not None:
        os.sched_setaffinity(0, place.cores)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        worker = ClipWorker(job, place.device)
    except (PosekitError, MemoryError, RuntimeError) as error:
        connection.send(("broken", str(error) or type(error).__name__))
        return
    connection.send(("ready", None))
    report = _Reporter(connection)
    with contextlib.suppress(EOFError, BrokenPipeError):  # nobody is left to be told
        while (task := connection.recv()) is not None:
            outcome = worker(task, report.frame)
            report.flush()
            connection.send(("outcome", outcome))


class _Reporter:
    """Tells of frames, now and then."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._count, self._last = connection, 0, time.monotonic()

    def frame(self) -> None:
        self._count += 1
        if time.monotonic() - self._last > REPORT:
            self.flush()

    def flush(self) -> None:
        if self._count:
            self._connection.send(("frames", self._count))
        self._count, self._last = 0, time.monotonic()


def end_with_parent() -> None:
    """Ends this process as soon as the one that started it is gone, whatever it is doing."""
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="posekit-parent", daemon=True).start()
