"""Jobs of SLURM, through submitit: an array of shards, each of which is a batch of its own.

A job that is preempted or runs out of time is queued again by SLURM and goes on where it was: its
shard's manifest says what is done. submitit's "local" and "debug" executors run the same jobs as
processes of this machine, or in this one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.batching.manifest import latest_entries, manifest_path
from posekit.batching.options import BatchOptions, Shard
from posekit.batching.progress import Progress, Stop, stopping_on_ctrl_c
from posekit.batching.result import BatchResult
from posekit.batching.slurm_queue import JobState, JobWatch, note_jobs, queued_jobs
from posekit.batching.sources import Source, in_shard
from posekit.errors import InputError, PosekitError, first_line
from posekit.packages import need

__all__ = ["ShardJob", "run_jobs"]

log = logging.getLogger(__name__)

Batch = Callable[[Mapping[str, Any]], BatchResult]

# What `slurm.` sets here; all else is submitit's, or SLURM's own.
OWN = ("jobs", "cluster", "folder", "wait")
# submitit's names, which go to every kind of executor; others are `sbatch`'s, with `slurm_` before.
SHARED = (
    "cpus_per_task", "gpus_per_node", "mem_gb", "name", "stderr_to_stdout", "timeout_min",
)  # fmt: skip
ONE = ("nodes", "tasks_per_node")  # a shard is one task on one machine
JOBS = 8  # where nobody says
TIMEOUT_MIN = 60  # where nobody says: a job goes on after it, so that a short one waits less
IDLE = 3  # times in a row that a job may be stopped before it has finished anything
UNBOUNDED = 1_000_000  # time-outs of a job that gets something done each time
INTERVAL = 2.0  # seconds between two looks at the manifests


class ShardJob:
    """A shard as a job; submitit queues it again if it is preempted or its time is up.

    Args:
        batch: runs a batch for a configuration.
        idle: times in a row that it was stopped before it had finished a clip or a piece of one.
    """

    def __init__(self, batch: Batch, idle: int = 0) -> None:
        self.batch, self.idle = batch, idle
        self._before: object = None

    def __call__(self, config: dict[str, Any], shard: str) -> tuple[int, int]:
        """Does the shard with the workers of this machine.

        Returns:
            How many of its clips are not done, and how many nobody tried.
        """
        self._before = _progress(config, shard)
        result = self.batch({**config, "runner": "local", "slurm": {}, "shard": shard})
        print(result)
        return len(result.failed), result.left

    def checkpoint(self, config: dict[str, Any], shard: str) -> Any:
        """What submitit queues in place of a job that was interrupted: the same again.

        Raises:
            PosekitError: it would not get further than before.
        """
        import submitit

        idle = self.idle + 1 if _progress(config, shard) == self._before else 0
        if idle == IDLE:
            raise PosekitError(
                f"stopped {IDLE} times before a clip was finished: give it more time with "
                "slurm.timeout_min, or shorter pieces with split"
            )
        return submitit.helpers.DelayedSubmission(ShardJob(self.batch, idle), config, shard)


def _progress(config: Mapping[str, Any], shard: str) -> tuple[int, int]:
    """The lines of a shard's manifest, and the number of finished pieces of clips."""
    folder = Path(config["out_dir"]).expanduser()
    manifest = manifest_path(folder, Shard(*map(int, shard.split("/"))))
    lines = manifest.read_bytes().count(b"\n") if manifest.exists() else 0
    return lines, sum(1 for _ in folder.rglob("*.part/*.npz"))


def run_jobs(
    config: Mapping[str, Any],
    options: BatchOptions,
    sources: Sequence[Source],
    todo: Sequence[Source],
    batch: Batch,
) -> BatchResult:
    """Submits the jobs and waits for them; if this process ends before them, they go on.

    Args:
        config: of the batch.
        options: read from it.
        sources: all clips.
        todo: those that are not done; shards without any get no job.
        batch: runs a batch for a configuration.

    Raises:
        InputError: submitit or SLURM is missing, a setting that they do not know, or `shard`.
        PosekitError: no job could do anything.
    """
    if options.part is not None:
        raise InputError("shard does not apply to runner=slurm, which makes shards: leave it out")
    start, folder = time.monotonic(), options.folder
    settings = dict(options.slurm)
    own = {name: settings.pop(name) for name in OWN if name in settings}
    count, wait = _count(own.get("jobs", min(JOBS, len(sources)))), own.get("wait", True)
    if not isinstance(wait, bool):
        raise InputError(f"slurm.wait must be true or false, found {wait!r}")
    submitit = need("submitit", "posekit[slurm]", "runner=slurm")
    executor = _executor(submitit, own, settings, folder, count)
    before = {path: one.attempt for path, one in latest_entries(folder, say=False).items()}
    queued = queued_jobs(submitit, folder, count) if own.get("cluster", "slurm") == "slurm" else {}
    jobs: dict[Shard, Any] = {}
    new = []
    for shard in (Shard(number + 1, count) for number in range(count)):
        if shard in queued:
            jobs[shard] = queued[shard]
        elif in_shard(todo, shard):
            new.append(shard)
    if jobs:
        log.warning("waiting for %s of an earlier call", _named(jobs.values()))
    if new:
        made = _submitted(executor, [(ShardJob(batch), dict(config), str(one)) for one in new])
        jobs.update(zip(new, made, strict=True))
        note_jobs(folder, jobs)
        log.warning("submitted %s; logs are in %s", _named(made), executor.folder)
    if not jobs or not wait:
        return _collected(sources, folder, before, start, interrupted=bool(jobs))
    first = next(iter(jobs.values()))
    watch = JobWatch(list(jobs.values())) if isinstance(first, submitit.SlurmJob) else None
    interrupted = _wait(list(jobs.values()), watch, len(todo), folder, before)
    faults = [] if interrupted else _faults(jobs, {} if watch is None else watch.lost)
    found = _collected(sources, folder, before, start, interrupted=interrupted)
    for fault in faults:
        log.warning("%s", fault)
    if faults and not found.entries:
        raise PosekitError(f"no job did anything: {faults[0]}")
    return found


def _submitted(executor: Any, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Jobs of one array, for calls as `executor.submit` takes them."""
    from submitit.core.utils import FailedJobError

    try:
        with executor.batch():
            return [executor.submit(*call) for call in calls]
    except FailedJobError as error:
        raise InputError(f"SLURM did not take the jobs: {first_line(error)}") from None


def _named(jobs: Iterable[Any]) -> str:
    """Such as "4 jobs (12)", with the arrays' ids."""
    ids = [job.job_id for job in jobs]
    arrays = dict.fromkeys(one.partition("_")[0] for one in ids)
    return f"{len(ids)} {'job' if len(ids) == 1 else 'jobs'} ({', '.join(arrays)})"


def _count(jobs: Any) -> int:
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise InputError(f"slurm.jobs must be a whole number of at least 1, found {jobs!r}")
    return jobs


def _executor(
    submitit: Any, own: dict[str, Any], settings: dict[str, Any], folder: Path, count: int
) -> Any:
    cluster = own.get("cluster", "slurm")
    logs = Path(own.get("folder") or folder / "_jobs").expanduser().absolute()
    if several := [name for name in ONE if settings.pop(name, 1) != 1]:
        raise InputError(
            f"slurm.{several[0]} must be 1, since a shard is one task: slurm.jobs sets how many "
            "run side by side"
        )
    if not isinstance(settings.get("time", 0), int):
        raise InputError(f"slurm.time is a number of minutes, found {settings['time']!r}")
    named = {name: settings.pop(name) for name in SHARED if name in settings}
    named = {"name": "posekit-batch", "timeout_min": TIMEOUT_MIN, **named}
    if cluster == "slurm":
        settings = {"array_parallelism": count, **settings}
    try:
        executor = submitit.AutoExecutor(
            folder=logs, cluster=cluster, slurm_max_num_timeout=UNBOUNDED
        )
        executor.update_parameters(
            **named, **{f"slurm_{name}": value for name, value in settings.items()}
        )
    except (RuntimeError, ValueError, NameError, TypeError, AssertionError) as error:
        raise InputError(f"runner=slurm: {first_line(error)}") from None
    return executor


def _wait(
    jobs: Sequence[Any],
    watch: JobWatch | None,
    clips: int,
    folder: Path,
    before: Mapping[str, int],
) -> bool:
    """Until all jobs have ended; True where Ctrl-C came first, and the jobs go on."""

    def all_ended() -> bool:
        return all(job.done() for job in jobs) if watch is None else watch.all_ended()

    stop, waiting, seen, is_over = Stop(), threading.Event(), set[str](), False
    with Progress(clips, show=True) as bar, stopping_on_ctrl_c(stop):
        while not stop.requested and not is_over:
            is_over = all_ended()
            # A job may be writing the last line of a manifest, which is no damage.
            for path, entry in latest_entries(folder, say=False).items():
                if path not in seen and entry.attempt > before.get(path, 0):
                    seen.add(path)
                    bar.frames(entry.frames)
                    bar.clip()
            if not is_over:
                waiting.wait(INTERVAL)
    if stop.requested:
        arrays = " ".join(dict.fromkeys(job.job_id.partition("_")[0] for job in jobs))
        log.warning("the jobs keep running: scancel %s stops them, and the same command waits for "
                    "them again", arrays)  # fmt: skip
    return stop.requested


def _faults(jobs: Mapping[Shard, Any], lost: Mapping[str, JobState | None]) -> list[str]:
    """Why jobs ended before their shard's end."""
    found = []
    for shard, job in jobs.items():
        where = f"shard {shard}, job {job.job_id}"
        if job.job_id in lost:
            state = lost[job.job_id]
            word = "ended" if state is None else state.state
            found.append(f"{where}: {word} without a result; its log is {job.paths.stderr}")
        elif (error := job.exception()) is not None:
            last = [line for line in str(error).splitlines() if line.strip()]
            reason = last[-1].strip() if last else type(error).__name__
            found.append(f"{where}: {reason}")
    return found


def _collected(
    sources: Sequence[Source],
    folder: Path,
    before: Mapping[str, int],
    start: float,
    *,
    interrupted: bool,
) -> BatchResult:
    known = latest_entries(folder, say=False)
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
