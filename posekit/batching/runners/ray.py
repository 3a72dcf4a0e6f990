"""Actors of Ray Data: a pool on a running cluster, or on one of this machine for this run.

Clips are rows of a data set, each a block of its own; an actor that dies costs its clip one more
attempt. Clips that Ray gives to an actor that cannot be reached any more are lost too, but were
never begun: what each actor begins is kept by an actor beside the caller. The folder of the results
must be one that all machines of the cluster share.

Ray ends any process that is connected to a cluster whose head is gone. So a separate process
connects, and this one says what happened; only if the caller is connected already, its own process
is used.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import re
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from posekit.batching.options import RunOptions
from posekit.batching.progress import Stop
from posekit.batching.runners.local import end_with_parent, inheriting_no_ctrl_c
from posekit.batching.tasks import Job, Outcome, Task
from posekit.batching.work import ClipWorker, died
from posekit.cores import usable_cores
from posekit.errors import InputError, PosekitError, first_line
from posekit.io.listing import reason_of
from posekit.packages import need
from posekit.version import __version__

__all__ = ["run"]

log = logging.getLogger(__name__)

ATTEMPTS = 2  # at a clip whose actor dies
PATIENCE = 30.0  # seconds for a cluster to begin, and for one of this machine to end in
ANSWER = 10.0  # seconds for a cluster's address to answer in
GONE = (
    "Ray: the cluster is gone: its head was killed or cannot be reached; run the same "
    "command again to resume"
)
NOT_BEGUN = (
    "the process that talks to Ray ended at once; in a script, call posekit.batch below "
    "`if __name__ == '__main__':`"
)
BEGUN, JOINED = "begun", "joined"
WAITING = (
    "Ray: the cluster (address=%s) does not answer yet; if its head is gone, stop this command "
    "and start the cluster again"
)


def run(
    job: Job,
    tasks: Sequence[Task],
    options: RunOptions,
    stop: Stop,
    on_frames: Callable[[int], None],
) -> Iterator[Outcome]:
    """As `posekit.batching.runners.local.run`; frames are counted when their clip has ended.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
        PosekitError: the networks cannot be loaded, or the cluster is gone.
    """
    ray = need("ray", "posekit[ray]", "runner=ray")
    for part in ("ray.data", "ray.exceptions"):
        need(part, "posekit[ray]", "runner=ray")
    if ray.is_initialized():
        _check_room(ray, job, options, grows=True)
        found = _outcomes(job, tasks, options)
    else:
        found = _from_process(job, tasks, options)
    with contextlib.closing(found):
        for outcome in found:
            on_frames(outcome.entry.frames)
            yield outcome
            if stop.requested:
                return


def _from_process(
    job: Job, tasks: Sequence[Task], options: RunOptions
) -> Generator[Outcome, None, None]:
    """The outcomes, by a process that Ray may end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_drive, args=(job, tasks, options, theirs), name="posekit-ray", daemon=False
    )
    with inheriting_no_ctrl_c():
        process.start()
    theirs.close()
    reason = NOT_BEGUN
    try:
        while (said := ours.recv()) is not None:
            if isinstance(said, Exception):
                raise said
            if said == BEGUN:
                reason = GONE
                if not ours.poll(PATIENCE):  # Ray asks for minutes without a word
                    log.warning(WAITING, options.address)
            elif said != JOINED:
                yield said
    except (EOFError, ConnectionError):
        raise PosekitError(reason) from None
    finally:
        ours.close()  # which it takes for the end
        process.join(PATIENCE)
        process.kill()
        process.join()


def _drive(job: Job, tasks: Sequence[Task], options: RunOptions, connection: Connection) -> None:
    """The process that connects to a cluster."""
    end_with_parent()
    connection.send(BEGUN)
    # What Ray's core says of its end, and what Ray prints of a machine's, is no line of ours;
    # Python's own words go where they did.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - as long as this process
    os.dup2(sys.stdout.fileno(), 2)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    import ray

    with contextlib.suppress(BrokenPipeError):  # nobody wants more
        try:
            _connect(ray, job, options)
            connection.send(JOINED)
            _check_room(ray, job, options, grows=options.address is not None)
            with contextlib.closing(_outcomes(job, tasks, options)) as found:
                for outcome in found:
                    connection.send(outcome)
            connection.send(None)
        except PosekitError as error:
            connection.send(error)
        except Exception as error:  # which else only this process would tell of
            log.debug("Ray", exc_info=error)
            connection.send(PosekitError(f"Ray: {type(error).__name__}: {first_line(error)}"))
        finally:
            ray.shutdown()


def _outcomes(
    job: Job, tasks: Sequence[Task], options: RunOptions
) -> Generator[Outcome, None, None]:
    """As `run`, of a cluster that this process is connected to."""
    import ray

    waiting = {task.key: task for task in tasks}
    lost: Counter[object] = Counter()
    try:
        ledger = _start_ledger(ray)
        while waiting:
            before = len(waiting)
            for outcome in _pass(ray, job, list(waiting.values()), options, ledger):
                del waiting[outcome.key]
                yield outcome
            begun = ray.get(ledger.begun.remote())
            # A pass in which nothing happened counts for all, or there might be no end.
            idle = len(waiting) == before and not begun
            lost.update(key for key in waiting if key in begun or idle)
            for key in [key for key in waiting if lost[key] == ATTEMPTS]:
                yield died(waiting.pop(key), job, "its actor was killed twice")
            if waiting:
                log.warning("actors died or could not be reached: trying %d clips again",
                            len(waiting))  # fmt: skip
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise PosekitError(_in_words(error)) from error


def _in_words(error: BaseException) -> str:
    """An error of Ray; of an actor that cannot start, where and why."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    if "creation task" not in text:
        return f"Ray: {first_line(error)}; run the same command again to resume"
    machine = re.search(r"\bip=([^,)\s]+)", text)
    # The errors that led to it, the first one last.
    named = re.findall(r"^\s*(?:[\w.]+\.)?\w*(?:Error|Exception): (.+)$", text, re.MULTILINE)
    return (
        f"Ray: a worker cannot start on {machine[1] if machine else 'a machine of the cluster'}: "
        f"{named[-1].strip() if named else first_line(error)}"
    )


class _Ledger:
    """Which tasks were begun since it was last asked."""

    def __init__(self) -> None:
        self._begun: set[object] = set()

    def begin(self, key: object) -> None:
        self._begun.add(key)

    def begun(self) -> set[object]:
        found, self._begun = self._begun, set()
        return found


def _start_ledger(ray: Any) -> Any:
    """One that lives as long as this machine does."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    return ray.remote(**options, scheduling_strategy=here)(_Ledger).remote()


class _Actor:
    """A worker of the pool: rows of a task each -> rows of an outcome each."""

    def __init__(self, version: str, job: bytes, ledger: Any) -> None:
        if version != __version__:
            raise PosekitError(
                f"posekit {__version__} is installed there, {version} where the command runs: "
                "install the same version on all machines"
            )
        self._worker = ClipWorker(pickle.loads(job))
        self._ledger = ledger

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        import numpy as np
        import ray

        ended = []
        for task in map(pickle.loads, rows["task"]):
            ray.get(self._ledger.begin.remote(task.key))
            ended.append(pickle.dumps(self._worker(task)))
        return {"outcome": np.array(ended, dtype=object)}


def _connect(ray: Any, job: Job, options: RunOptions) -> None:
    given: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if options.address is None:
        workers = options.workers if options.workers != "auto" else 0
        most = max(workers, options.max_workers or 0)
        given |= {"num_cpus": max(len(usable_cores()), most * _cpus(job, options)),
                  "include_dashboard": False}  # fmt: skip
    else:
        _check_address(options.address)
    try:
        # `local`: not the one that `ray start` made here, which has CPUs of its own.
        ray.init(address=options.address or "local", **given)
    except Exception as error:  # some are of no other class
        if options.address is None:
            raise PosekitError(f"Ray cannot start here: {first_line(error)}") from None
        raise InputError(f"address={options.address}: {first_line(error)}") from None


def _check_address(address: str) -> None:
    """Refuses an address at which nothing is, which Ray would ask for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return  # `auto`, and what else Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"address={address} does not answer: {reason_of(error)}; expected the address that "
            "`ray start --head` printed"
        ) from None


def _check_room(ray: Any, job: Job, options: RunOptions, *, grows: bool) -> None:
    """Ray itself waits without a word for a machine on which an actor could run.

    Args:
        grows: whether the cluster may get such a machine later.

    Raises:
        InputError: it has none, and gets none.
    """
    needs = {"CPU": _cpus(job, options), "GPU": _gpus(job, options)}
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(one.get(kind, 0) >= count for kind, count in needs.items()) for one in machines):
        return
    text = f"no machine of the Ray cluster has {needs['CPU']:g} CPUs and {needs['GPU']:g} GPUs"
    if not grows:
        raise InputError(f"{text}, as a worker needs: set num_cpus, num_gpus or device")
    log.warning("%s, as a worker needs (num_cpus, num_gpus): waiting for one", text)


def _cpus(job: Job, options: RunOptions) -> float:
    return job.threads if options.num_cpus is None else options.num_cpus


def _pass(
    ray: Any, job: Job, tasks: Sequence[Task], options: RunOptions, ledger: Any
) -> Iterator[Outcome]:
    """The outcomes of those tasks whose actor lives."""
    context = ray.data.DataContext.get_current()
    # A block whose actor died is left out; which one, its missing outcome says.
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    # The pool grows when all its actors are busy: with none waiting, a clip each is all there is.
    context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # a traceback for each such block
    rows = [{"task": pickle.dumps(task)} for task in tasks]
    items = ray.data.from_items(rows, override_num_blocks=len(rows))
    with warnings.catch_warnings():
        # Of how often an actor is tried again, which can be said in no other way.
        warnings.simplefilter("ignore")
        data = items.map_batches(
            _Actor,
            fn_constructor_args=(__version__, pickle.dumps(job), ledger),
            batch_size=1,
            compute=_pool(ray, job, options, len(tasks)),
            num_gpus=_gpus(job, options),
            num_cpus=_cpus(job, options),
            max_restarts=-1,
            max_task_retries=0,
        )
    for row in data.iter_rows():
        yield pickle.loads(row["outcome"])


def _pool(ray: Any, job: Job, options: RunOptions, tasks: int) -> Any:
    """The actors. None has a clip waiting, which would die with it."""
    least = options.workers
    if least == "auto":
        there = ray.cluster_resources()
        gpus, cpus = _gpus(job, options), _cpus(job, options)
        by_gpu = there.get("GPU", 0) // gpus if gpus else tasks
        least = int(max(1, min(by_gpu, there.get("CPU", 1) // cpus if cpus else tasks)))
    least = min(least, tasks)
    most = max(least, min(options.max_workers or least, tasks))
    return ray.data.ActorPoolStrategy(
        min_size=least, max_size=most, max_tasks_in_flight_per_actor=1
    )


def _gpus(job: Job, options: RunOptions) -> float:
    if options.num_gpus is not None:
        return options.num_gpus
    device = job.loading.get("device")
    if device is not None:
        return 1.0 if str(device).startswith("cuda") else 0.0
    import ray

    return 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
