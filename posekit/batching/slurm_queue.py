"""What SLURM's queue says of jobs; `squeue` answers also where there is no accounting (`sacct`)."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["JobState", "JobWatch", "job_states"]

log = logging.getLogger(__name__)

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


def job_states(job: str) -> dict[str, JobState] | None:
    """A job, or all tasks of an array of jobs, by id (`12`, `12_0`).

    Args:
        job: the id of a job, of an array or of a task of one.

    Returns:
        Those that SLURM knows, which forgets a job some minutes after its end; None if it does not
        answer.
    """
    command = [
        "squeue",
        "--noheader",
        "--array",
        "--states=all",
        "--format=%i|%T|%r",
        "--jobs",
        job,
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
        jobs: of one array, by submitit.

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
        states = job_states(waiting[0].partition("_")[0])
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
