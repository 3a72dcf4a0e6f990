"""Actors of Ray Data, on a cluster of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from posekit.batching.manifest import Manifest
from tests.batching.clips import batch, tables

pytest.importorskip("ray")
pytestmark = pytest.mark.slow  # a cluster takes ten seconds


def test_actors_give_the_same_bytes(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    result = batch(clips, tmp_path, runner="ray", workers=2)
    assert [entry.name for entry in result.failed] == ["cam1/clip03.mp4"] and not result.left
    assert tables(tmp_path) == tables(undisturbed)
    assert batch(clips, tmp_path, runner="ray", workers=2).now == 0


def test_killed_actors_cost_nothing(
    clips: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, kills = Manifest.append, iter([kill_an_actor, kill_an_actor])

    def append_and_kill(self: Manifest, entry: Any) -> None:
        append(self, entry)
        next(kills, lambda: None)()

    monkeypatch.setattr(Manifest, "append", append_and_kill)
    result = batch(clips, tmp_path, runner="ray", workers=1)
    assert [entry.name for entry in result.failed] == ["cam1/clip03.mp4"] and not result.left
    assert tables(tmp_path) == tables(undisturbed)


def kill_an_actor() -> None:
    """kill -9, of one that computes."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if words.startswith(b"ray::") and b"Map" in words and os.getuid() == path.stat().st_uid:
                os.kill(int(path.parent.name), signal.SIGKILL)
                return
