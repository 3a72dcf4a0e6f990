"""The process that talks to a cluster, and what its end means; no Ray is needed for that."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from typing import Any

import pytest

from posekit.batching.manifest import Entry
from posekit.batching.options import RunOptions
from posekit.batching.runners import ray
from posekit.batching.tasks import Outcome
from posekit.errors import InputError, PosekitError


def outcome(name: str) -> Outcome:
    return Outcome(Entry(path=f"/clips/{name}", name=name, status="done"))


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
