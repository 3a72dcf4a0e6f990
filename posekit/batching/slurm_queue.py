"""What SLURM's queue says of jobs: `squeue` answers also without accounting (`sacct`)."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posekit.batching.options import Shard
from posekit.batching.settings import stored_settings
from posekit.errors import InputError
from posekit.files import write_whole

__all__ = ["JobState", "JobWatch", "job_states", "note_jobs", "queued_jobs"]

log = logging.getLogger(__name__)

NOTED = "_jobs.json"  # in the folder of results: jobs and their shards
# States of which a job does not come back; all others wait, run, or are queued again.
ENDED = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "REVOKED", "TIMEOUT",
})  # fmt: skip
PATIENCE = 60.0  # seconds for an answer
INTERVAL = 30.0  # seconds between two questions; all users share the queue


@dataclass(frozen=True)
class JobState:
    """A job, as `squeue` lists it.

    Attributes:
        state: in SLURM's words, such as "RUNNING" or "OUT_OF_MEMORY".
        reason: why it waits, or ended; "None" if there is none.
    """

    state: str
    reason: str

    @property
    def ended(self) -> bool:
        return self.state in ENDED


def job_states(*jobs: str) -> dict[str, JobState] | None:
    """Jobs, and tasks of arrays of jobs, by id (`12`, `12_0`).

    Args:
        jobs: ids of jobs, or of tasks.

    Returns:
        Those that SLURM knows, which forgets a job some minutes after its end; None if it does not
        answer.
    """
    if not jobs:
        return {}
    command = [
        "squeue",
        "--noheader",
        "--array",
        "--states=all",
        "--format=%i|%T|%r",
        "--jobs",
        ",".join(jobs),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return {} if "Invalid job id" in done.stderr else None
    lines = [line.split("|") for line in done.stdout.splitlines() if line.count("|") == 2]
    return {name.strip(): JobState(state, reason) for name, state, reason in lines}


class JobWatch:
    """Jobs in SLURM's queue: which have ended, also those that were killed and left no result.

    Args:
        jobs: by submitit.

    Attributes:
        lost: what SLURM knows of the latter, by id.
    """

    def __init__(self, jobs: Sequence[Any]) -> None:
        self._jobs = jobs
        self._next = 0.0
        self._ended: set[str] = set()
        self._said: set[str] = set()
        self.lost: dict[str, JobState | None] = {}

    def all_ended(self) -> bool:
        """Whether all have ended; asks SLURM now and then."""
        with contextlib.suppress(OSError):  # a network's file system then asks for what is new
            sum(1 for _ in self._jobs[0].paths.folder.iterdir())
        waiting = [job.job_id for job in self._jobs if not job.paths.result_pickle.exists()]
        if waiting and time.monotonic() >= self._next:
            self._look(waiting)
            self._next = time.monotonic() + INTERVAL
        return self.lost.keys() >= set(waiting)

    def _look(self, waiting: Sequence[str]) -> None:
        states = job_states(*waiting)
        if states is None:
            self._say("squeue does not answer; still waiting for the jobs")
            return
        for reason, count in self._reasons(states).items():
            self._say(f"{count} of {len(self._jobs)} jobs wait in SLURM's queue ({reason})", reason)
        for job in waiting:
            state = states.get(job)
            if state is not None and not state.ended:
                self._ended.discard(job)
            elif job in self._ended:  # for the second time: its result had time to appear
                self.lost[job] = state
            else:
                self._ended.add(job)

    @staticmethod
    def _reasons(states: Mapping[str, JobState]) -> Counter[str]:
        return Counter(
            one.reason for one in states.values() if one.state == "PENDING" and one.reason != "None"
        )

    def _say(self, text: str, key: str | None = None) -> None:
        if (key or text) not in self._said:
            self._said.add(key or text)
            log.warning("%s", text)


def queued_jobs(submitit: Any, folder: Path, count: int) -> dict[Shard, Any]:
    """Jobs of earlier calls that wait or run, by their shards.

    Args:
        submitit: the package.
        folder: of the results, with the settings of this call.
        count: number of shards.

    Raises:
        InputError: they have another number of shards, or other settings.
    """
    noted = _noted(folder)
    states = job_states(*noted) or {}
    found: dict[Shard, Any] = {}
    for job, (shard, logs, settings) in noted.items():
        if job not in states or states[job].ended:
            continue
        other = f"slurm.jobs={shard.count}" if shard.count != count else "other settings"
        if shard.count != count or settings != _fingerprint(folder):
            raise InputError(
                f"job {job} of an earlier call with {other} has not ended: wait for it, or stop it "
                f"with scancel {job.partition('_')[0]}"
            )
        found[shard] = submitit.SlurmJob(folder=logs, job_id=job, tasks=[0])
    return found


def note_jobs(folder: Path, jobs: Mapping[Shard, Any]) -> None:
    """Writes down which job does which shard, for later calls."""
    noted = {
        job.job_id: [shard.number, shard.count, str(job.paths.folder), _fingerprint(folder)]
        for shard, job in jobs.items()
    }
    write_whole(folder / NOTED, json.dumps(noted, indent=1).encode())


def _noted(folder: Path) -> dict[str, tuple[Shard, Path, str]]:
    """Shard, folder of logs and settings of the jobs that were written down, by id."""
    path = folder / NOTED
    try:
        return {
            str(job): (Shard(int(number), int(count)), Path(logs), str(settings))
            for job, (number, count, logs, settings) in json.loads(path.read_bytes()).items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        log.warning("%s cannot be read: jobs of earlier calls are not known", path)
        return {}


def _fingerprint(folder: Path) -> str:
    settings = stored_settings(folder)
    return "" if settings is None else settings.fingerprint
