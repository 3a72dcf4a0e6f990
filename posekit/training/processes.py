"""The processes of a run: joining them, and whether a launcher has restarted them."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs

from posekit.errors import InputError, PosekitError, first_line
from posekit.training.mirror import Mirror
from posekit.training.options import TrainOptions
from posekit.training.run_folder import RunFolder, is_same_run

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

__all__ = [
    "attempt_store",
    "check_folder",
    "is_restart",
    "launch_id",
    "loading_processes",
    "make_accelerator",
    "saying_who_is_lost",
]

MOST_WORKERS = 8
# Other processes wait for the first one's evaluation.
PATIENCE = timedelta(hours=4)
LOOK = 0.02  # seconds between looks for who else has come
# The place in Gloo's source that its errors, which have no class of their own, begin with.
GLOO = re.compile(r"\[\S*/gloo/\S*\]\s*")


@contextlib.contextmanager
def saying_who_is_lost() -> Iterator[None]:
    """One line where another process of the run is gone, which that one's own words explain.

    Raises:
        PosekitError: it is.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.distributed.DistError) and not GLOO.search(str(error)):
            raise
        reason = GLOO.sub("", first_line(error)).partition(". This is")[0]
        advice = (
            "it is restarted if torchrun has --max-restarts left, else run all again with "
            "resume=true"
        )
        if "remote=[127." in reason:  # what a machine's own name stands for
            advice = (
                "set GLOO_SOCKET_IFNAME to the network that leads to the other machines, such "
                "as eth0"
            )
        raise PosekitError(
            f"another process of this run has ended or cannot be reached: {reason}; {advice}"
        ) from error


def make_accelerator(options: TrainOptions) -> Accelerator:
    """Joins the processes of a run.

    Raises:
        InputError: there is no such device.
    """
    device = options.device
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device or "", True):
        raise InputError(f"device '{device}' is not available; leave it out to use the best one")
    # Processes on a machine without a GPU find each other only where the CPU is asked for.
    on_cpu = device == "cpu" or (device is None and not any(available.values()))
    # A process may train several times, each with settings of its own.
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(
        cpu=on_cpu,
        mixed_precision=options.precision,
        kwargs_handlers=[InitProcessGroupKwargs(init_method=_meeting(), timeout=PATIENCE)],
    )


def _meeting() -> str | None:
    """Where the processes of a run meet, as PyTorch has it; None for its own way."""
    # The store of an agent outlives the processes that it starts.
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return _own_meeting() if shared else None


@functools.cache  # a name is taken once
def _own_meeting() -> str:
    from torch.distributed.rendezvous import register_rendezvous_handler, rendezvous

    def meet(
        url: str, timeout: timedelta = PATIENCE, **more: Any
    ) -> Iterator[tuple[Store, int, int]]:
        store, rank, size = next(rendezvous("env://", timeout=timeout, **more))
        yield attempt_store(store, rank, size), rank, size

    register_rendezvous_handler("posekit", meet)
    return "posekit://"


def attempt_store(store: Store, rank: int, size: int) -> Store:
    """The part of a store that only the processes of this attempt use.

    When torchrun starts its processes again, their store still has the addresses of those before.
    Whoever reads one of these finds nobody there, or waits forever. Nothing that torchrun says is
    the same in all processes and differs between attempts, so the first process makes a name and
    gives it to each process that is here now, which shows by a name of its own that it is.

    Args:
        store: the store of all attempts.
        rank: number of this process.
        size: number of processes.
    """
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]

    own = uuid.uuid4().hex
    if rank > 0:
        store.set(f"posekit/came/{rank}", own)
        attempt = store.get(f"posekit/attempt/{own}").decode()
        store.set(f"posekit/met/{attempt}/{rank}", "")
        return PrefixStore(attempt, store)
    missing = set(range(1, size))
    while missing:
        for other in sorted(missing):
            name = store.get(f"posekit/came/{other}").decode()
            store.set(f"posekit/attempt/{name}", own)
            if store.check([f"posekit/met/{own}/{other}"]):
                missing.remove(other)
        time.sleep(LOOK)
    return PrefixStore(own, store)


def loading_processes(options: TrainOptions, accelerator: Accelerator) -> int:
    """How many processes read samples for each one that trains."""
    if options.num_workers is not None:
        return options.num_workers
    here = int(os.environ.get("LOCAL_WORLD_SIZE", accelerator.num_processes))
    return min((os.cpu_count() or 1) // here, MOST_WORKERS)


def launch_id() -> str | None:
    """An id that stays the same when torchrun restarts its processes; None without torchrun.

    It is the launch's name (`--rdzv-id`), or without one the process that starts the others.
    """
    named = os.environ.get("TORCHELASTIC_RUN_ID")
    if named != "none":  # torchrun's word for no name
        return named
    agent = psutil.Process(os.getppid())
    return f"{platform.node()}:{agent.pid}:{agent.create_time():.2f}"


def is_restart(
    path: Path, mirror: Mirror | None, config: Mapping[str, Any], accelerator: Accelerator
) -> bool:
    """Whether this same launch began the run in a folder: then it resumes without being asked.

    The first process decides for all, since after a failure not every machine counts a restart.

    Args:
        path: the folder.
        mirror: its copy, in the first process; None if there is none.
        config: what the run computes.
        accelerator: the accelerator of the run's processes.
    """
    launch = launch_id()
    if launch is None:
        return False
    is_same = False
    if accelerator.is_main_process:
        is_same = is_same_run(path, launch, config)
        if mirror is not None and not path.exists():  # on the disk of another machine
            is_same = mirror.is_same_run(launch, config)
    seen = torch.tensor(float(is_same), device=accelerator.device)
    return bool(accelerator.reduce(seen, reduction="sum"))


def check_folder(folder: RunFolder, accelerator: Accelerator) -> None:
    """Processes that start at different steps would wait for each other forever.

    Raises:
        InputError: not all of them see the same folder.
    """
    seen = torch.tensor(float(folder.resumes), device=accelerator.device)
    total = float(accelerator.reduce(seen, reduction="sum"))
    if 0 < total < accelerator.num_processes:
        raise InputError(f"{folder.path}: all machines must see the same folder to resume")
