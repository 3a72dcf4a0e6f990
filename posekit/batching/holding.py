"""One run at a time per folder and shard: who holds it, and whether that process is still there."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from posekit.batching.options import Shard
from posekit.batching.slurm_queue import job_states
from posekit.errors import InputError, OutputError
from posekit.files import write_atomically

__all__ = ["holding"]

log = logging.getLogger(__name__)

# Seconds to wait for another run that is just about to take its part of the folder.
PATIENCE = 60.0


@contextlib.contextmanager
def holding(folder: Path, shard: Shard | None) -> Iterator[None]:
    """Keeps other runs away from the same clips of a folder while the context lasts.

    Shards of the same count do not exclude each other; any other two runs would do the same clips.
    The lock is the operating system's and ends with its process, however that ends; the file beside
    it says whose it is. A process of another machine counts as running while its file exists,
    unless SLURM says that its job has ended, or it is an earlier start of this job.

    Raises:
        InputError: another run holds it; the message names machine, process and since when.
        OutputError: the folder cannot be written.
    """
    with contextlib.ExitStack() as held:
        try:
            _take(folder, shard, held)
        except Timeout:
            raise InputError(f"another run is just starting in {folder}: try again") from None
        except NotImplementedError:
            log.warning("%s: its file system has no locks: start one run at a time in it", folder)
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from None
        yield


def _take(folder: Path, shard: Shard | None, held: contextlib.ExitStack) -> None:
    part = "all" if shard is None else f"{shard.number}-of-{shard.count}"
    own = FileLock(folder / f".lock-{part}")
    about = folder / f"_running-{part}.json"
    with FileLock(folder / ".lock", timeout=PATIENCE):
        for other in sorted(folder.glob("_running-*.json")):
            _check(other, about, shard, folder)
        held.enter_context(_acquired(own, about))
        write_atomically(about, json.dumps(_this_run(shard), indent=1).encode())
        held.callback(_remove, about)


@contextlib.contextmanager
def _acquired(lock: FileLock, about: Path) -> Iterator[None]:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(_refusal(about.parent, _read(about))) from None
    try:
        yield
    finally:
        lock.release()


def _check(other: Path, own: Path, shard: Shard | None, folder: Path) -> None:
    """Refuses where another run does the same clips."""
    found = _read(other)
    if other != own and shard is not None and _count(found) == shard.count:
        return
    if not _runs(other, found):
        if other != own:
            _remove(other)
        return
    raise InputError(_refusal(folder, found))


def _runs(path: Path, found: dict[str, Any]) -> bool:
    """Whether the process that wrote a file is still there, as far as one can know."""
    here = _this_run(None)
    if found.get("host") == here["host"]:
        part = path.stem.removeprefix("_running-")
        lock = FileLock(path.with_name(f".lock-{part}"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False
    if (job := found.get("job")) is None:
        return True
    if job == here["job"]:
        return int(here["restart"]) <= int(found.get("restart", 0))
    states = job_states(job)
    return states is None or not all(state.ended for state in states.values())


def _refusal(folder: Path, found: dict[str, Any]) -> str:
    where = f"{found.get('host', 'an unknown machine')}, process {found.get('pid', 'unknown')}"
    part = "" if found.get("shard") is None else f" (shard {found['shard']})"
    here = found.get("host") == socket.gethostname()
    advice = (
        "wait for it"
        if here
        else f"wait for it, or if it is gone, remove {folder / '_running-*.json'}"
    )
    return (
        f"another run is using {folder}{part}: {where}, since {found.get('since', 'unknown')}; "
        f"{advice}, or use another folder"
    )


def _count(found: dict[str, Any]) -> int | None:
    shard = found.get("shard")
    return None if shard is None else int(str(shard).partition("/")[2])


def _this_run(shard: Shard | None) -> dict[str, Any]:
    job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID")
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),  # for people only
        "shard": None if shard is None else str(shard),
        "job": f"{job}_{task}" if job and task else job,
        "restart": int(os.environ.get("SLURM_RESTART_COUNT", "0")),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
