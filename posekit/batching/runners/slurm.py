"""Jobs of SLURM, through submitit: an array of shards, each of which is a batch of its own.

A job that is preempted or runs out of time is queued again by SLURM and goes on where it was: its
shard's manifest says what is done. submitit's "local" and "debug" executors run the same jobs as
processes of this machine, or in this one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.batching.manifest import latest_entries
from posekit.batching.options import BatchOptions
from posekit.batching.progress import Progress, Stop, stopping_on_ctrl_c
from posekit.batching.result import BatchResult
from posekit.batching.sources import Source
from posekit.errors import InputError, PosekitError, first_line
from posekit.packages import need

__all__ = ["ShardJob", "run_jobs"]

log = logging.getLogger(__name__)

Batch = Callable[[Mapping[str, Any]], BatchResult]

# What `slurm.` sets here; all else is submitit's, or SLURM's own.
OWN = ("jobs", "cluster", "folder", "wait")
# submitit's names, which go to every kind of executor; others are `sbatch`'s, with `slurm_` before.
SHARED = (
    "cpus_per_task", "gpus_per_node", "mem_gb", "name", "nodes", "stderr_to_stdout",
    "tasks_per_node", "timeout_min",
)  # fmt: skip
JOBS = 8  # where nobody says
INTERVAL = 2.0  # seconds between two looks at the jobs and the manifests


class ShardJob:
    """A shard as a job; submitit queues it again if it is preempted or its time is up.

    Args:
        batch: runs a batch for a configuration.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __call__(self, config: dict[str, Any], shard: str) -> tuple[int, int]:
        """Does the shard with the workers of this machine.

        Returns:
            How many of its clips are not done, and how many nobody tried.
        """
        result = self.batch({**config, "runner": "local", "slurm": {}, "shard": shard})
        print(result)
        return len(result.failed), result.left

    def checkpoint(self, config: dict[str, Any], shard: str) -> Any:
        """What submitit queues in place of a job that was interrupted: the same again."""
        import submitit

        return submitit.helpers.DelayedSubmission(ShardJob(self.batch), config, shard)


def run_jobs(
    config: Mapping[str, Any], options: BatchOptions, sources: Sequence[Source], batch: Batch
) -> BatchResult:
    """Submits the jobs and waits for them; if this process ends before them, they go on.

    Raises:
        InputError: submitit or SLURM is missing, a setting that they do not know, or `shard`.
        PosekitError: no job could do anything.
    """
    if options.part is not None:
        raise InputError("shard does not apply to runner=slurm, which makes shards: leave it out")
    start, folder = time.monotonic(), options.folder
    settings = dict(options.slurm)
    own = {name: settings.pop(name) for name in OWN if name in settings}
    count = _count(own.get("jobs", min(JOBS, len(sources))))
    executor = _executor(own, settings, folder, count)
    before = {path: entry.attempt for path, entry in latest_entries(folder).items()}
    with executor.batch():
        jobs = [
            executor.submit(ShardJob(batch), dict(config), f"{number}/{count}")
            for number in range(1, count + 1)
        ]
    log.warning("submitted %d jobs, %s ...; their logs are in %s", count, jobs[0].job_id,
                executor.folder)  # fmt: skip
    if own.get("wait", True) is False:
        return _collected(sources, folder, before, start, interrupted=True)
    interrupted = _wait(jobs, sources, folder, before)
    faults = [] if interrupted else _faults(jobs)
    found = _collected(sources, folder, before, start, interrupted=interrupted)
    for fault in faults:
        log.warning("%s", fault)
    if faults and not found.entries:
        raise PosekitError(f"no job did anything: {faults[0]}")
    return found


def _count(jobs: Any) -> int:
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise InputError(f"slurm.jobs must be a whole number of at least 1, found {jobs!r}")
    return jobs


def _executor(own: dict[str, Any], settings: dict[str, Any], folder: Path, count: int) -> Any:
    submitit = need("submitit", "posekit[slurm]", "runner=slurm")
    cluster = own.get("cluster", "slurm")
    logs = Path(own.get("folder") or folder / "_jobs").expanduser().absolute()
    named = {name: settings.pop(name) for name in SHARED if name in settings}
    named.setdefault("name", "posekit-batch")
    if cluster == "slurm":
        named.setdefault("slurm_array_parallelism", count)
    try:
        executor = submitit.AutoExecutor(folder=logs, cluster=cluster)
        executor.update_parameters(
            **named, **{f"slurm_{name}": value for name, value in settings.items()}
        )
    except (RuntimeError, ValueError, NameError, TypeError, AssertionError) as error:
        raise InputError(f"runner=slurm: {first_line(error)}") from None
    return executor


def _wait(
    jobs: Sequence[Any], sources: Sequence[Source], folder: Path, before: Mapping[str, int]
) -> bool:
    """Until all jobs have ended; True where Ctrl-C came first, and the jobs go on."""
    stop, waiting, seen = Stop(), threading.Event(), 0
    with Progress(len(sources), show=True) as bar, stopping_on_ctrl_c(stop):
        while not stop.requested and not all(job.done() for job in jobs):
            waiting.wait(INTERVAL)
            ended = [
                entry
                for path, entry in latest_entries(folder).items()
                if entry.attempt > before.get(path, 0)
            ]
            for entry in ended[seen:]:
                bar.frames(entry.frames)
                bar.clip()
            seen = max(seen, len(ended))
    if stop.requested:
        log.warning(
            "the jobs keep running: scancel %s stops them", jobs[0].job_id.partition("_")[0]
        )
    return stop.requested


def _faults(jobs: Sequence[Any]) -> list[str]:
    """Why jobs ended before their shard's end."""
    found = []
    for number, job in enumerate(jobs, 1):
        error = job.exception()
        if error is not None:
            last = [line for line in str(error).splitlines() if line.strip()]
            reason = last[-1].strip() if last else type(error).__name__
            found.append(f"shard {number}/{len(jobs)}, job {job.job_id}: {reason}")
    return found


def _collected(
    sources: Sequence[Source],
    folder: Path,
    before: Mapping[str, int],
    start: float,
    *,
    interrupted: bool,
) -> BatchResult:
    known = latest_entries(folder)
    entries = tuple(known[one.path] for one in sources if one.path in known)
    return BatchResult(
        entries=entries,
        now=sum(entry.attempt > before.get(entry.path, 0) for entry in entries),
        left=len(sources) - len(entries),
        seconds=time.monotonic() - start,
        interrupted=interrupted,
        stopped=None,
        folder=str(folder),
    )
