"""SLURM itself, for tests: a controller and two nodes, which are processes of this machine."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

__all__ = ["asked", "slurm_cluster", "until"]

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
KillWait=5
ReturnToService=2
MpiDefault=none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=test Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""
PATIENCE = 60.0


@contextlib.contextmanager
def slurm_cluster(folder: Path) -> Iterator[None]:
    """A cluster that `sbatch` and its like find by `SLURM_CONF`; skips where SLURM is missing."""
    programs = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
                for name in ("slurmctld", "slurmd", "sbatch")}  # fmt: skip
    if missing := [name for name, path in programs.items() if path is None]:
        pytest.skip(f"SLURM is not installed: no {missing[0]}")
    (folder / "state").mkdir(parents=True)
    path = folder / "slurm.conf"
    path.write_text(
        CONFIGURATION.format(
            host=socket.gethostname(), user=getpass.getuser(), folder=folder, ports=_free_ports(3)
        )
    )
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SLURM_CONF", str(path))
        for command in (["slurmctld"], ["slurmd", "-N", "n1"], ["slurmd", "-N", "n2"]):
            program = programs[command[0]]
            assert program is not None
            daemon = subprocess.Popen(
                [program, "-D", *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(_end, daemon)
        until(lambda: asked("sinfo", "--noheader", "--format=%T %D") == "idle 2")
        stack.callback(_empty)
        yield


def until(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    """Waits until something holds; a test fails that waits longer than `patience` seconds."""
    waiting = threading.Event()
    for _ in range(int(patience / 0.1)):
        if holds():
            return
        waiting.wait(0.1)
    raise AssertionError(f"not within {patience:.0f} seconds")


def asked(*command: str) -> str:
    """What one of SLURM's commands prints."""
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout.strip()


def _empty() -> None:
    """Ends all jobs; else what looks after them would outlive the nodes."""
    asked("scancel", f"--user={getpass.getuser()}")
    until(lambda: not asked("squeue", "--noheader"))


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
