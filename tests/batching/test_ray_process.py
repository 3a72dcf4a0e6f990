"""The process that talks to a cluster, and what its end means; no Ray is needed for that."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from posekit.batching.manifest import Entry
from posekit.batching.options import RunOptions
from posekit.batching.runners import ray
from posekit.batching.sources import Source
from posekit.batching.tasks import Job, Outcome, Task
from posekit.errors import InputError, PosekitError


def outcome(name: str) -> Outcome:
    return Outcome(Entry(path=f"/clips/{name}", name=name, status="done"))


def tasks_of(*names: str) -> list[Task]:
    return [Task(Source(f"/clips/{name}", name)) for name in names]


def job_of() -> Job:
    """A job without networks."""
    return Job(
        parts=None,  # type: ignore[arg-type]
        loading={}, options={}, formats=(), drawings=False, folder=Path("/nowhere"), threads=1,
        fingerprint="",
    )  # fmt: skip


def ends_at_once(job: Any, tasks: Any, options: Any, connection: Connection) -> None:
    os._exit(3)


def is_ended(job: Any, tasks: Any, options: Any, connection: Connection) -> None:
    """As Ray's core ends a process whose cluster is gone."""
    connection.send(ray.BEGUN)
    connection.send(outcome("a.mp4"))
    os._exit(1)


def is_refused(job: Any, tasks: Any, options: Any, connection: Connection) -> None:
    connection.send(ray.BEGUN)
    connection.send(InputError("address=nowhere: no cluster"))


def does_all(job: Any, tasks: Any, options: Any, connection: Connection) -> None:
    connection.send(ray.BEGUN)
    for name in ("a.mp4", "b.mp4"):
        connection.send(outcome(name))
    connection.send(None)


@pytest.mark.parametrize(
    ("target", "names", "error"),
    [
        (ends_at_once, [], (PosekitError, "call posekit.batch below")),
        (
            is_ended,
            ["a.mp4"],
            (PosekitError, "^Ray: the cluster is gone: .* run the same command again to resume$"),
        ),
        (is_refused, [], (InputError, "address=nowhere")),
        (does_all, ["a.mp4", "b.mp4"], None),
    ],
)
def test_what_came_is_kept_and_an_end_is_told(
    monkeypatch: pytest.MonkeyPatch, target: Any, names: list[str], error: Any
) -> None:
    monkeypatch.setattr(ray, "_drive", target)
    job: Any = None
    found: list[str] = []

    def take() -> None:
        for one in ray._from_process(job, [], RunOptions(runner="ray")):
            found.append(one.entry.name)

    if error is None:
        take()
    else:
        with pytest.raises(error[0], match=error[1]):
            take()
    assert found == names
    assert not multiprocessing.active_children()


def test_a_cluster_that_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: Any = tmp_path / "told"  # in place of a job, which this process has no use for
    monkeypatch.setattr(ray, "_drive", answers_when_told)
    monkeypatch.setattr(ray, "PATIENCE", 0.01)
    monkeypatch.setattr(ray.log, "warning", lambda text, *values: told.write_text(text % values))
    assert not list(ray._from_process(told, [], RunOptions(runner="ray", address="auto")))
    assert told.read_text().startswith("Ray: the cluster (address=auto) does not answer yet; ")


def answers_when_told(job: Any, tasks: Any, options: Any, connection: Connection) -> None:
    connection.send(ray.BEGUN)
    while not job.exists():
        time.sleep(0.01)
    connection.send(ray.JOINED)
    connection.send(None)


def test_an_address_at_which_nothing_is_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(InputError, match=f"^address=127.0.0.1:{port} does not answer: Connect"):
            ray._check_address(f"127.0.0.1:{port}")
        free.listen()
        ray._check_address(f"127.0.0.1:{port}")
    ray._check_address("auto")
