"""Actors of Ray Data, on a cluster of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posekit.batching.manifest import Manifest, latest_entries
from posekit.errors import InputError
from tests.batching.clips import TYPED, batch, tables, write_clip

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


def test_a_long_clip_is_shared_by_actors(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=50)
    assert batch(clip, tmp_path / "one", split="none").ok
    result = batch(clip, tmp_path / "two", split=0.6, runner="ray", workers=2)
    assert result.ok and result.entries[0].frames == 50
    assert tables(tmp_path / "two") == tables(tmp_path / "one")
    assert not list((tmp_path / "two").rglob("*.part"))


def test_a_worker_for_which_there_is_no_machine_is_not_waited_for(
    clips: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no machine of the Ray cluster has 1 CPUs and 64 GPUs"):
        batch(clips, tmp_path, runner="ray", workers=1, num_cpus=1, num_gpus=64)


@pytest.fixture
def head() -> Iterator[tuple[str, Path]]:
    """A cluster of this machine as `ray start --head` makes it: its address, its folder."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie in it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["ray.scripts.scripts", "start", "--head", "--num-cpus", "1", "--port", str(port)]
    ports = ["--min-worker-port", "0", "--max-worker-port", "0"]  # any
    options = ["--include-dashboard", "false", "--disable-usage-stats", "--temp-dir", str(folder)]
    try:
        started = [sys.executable, "-m", *command, *ports, *options]
        subprocess.run(started, env=ENVIRONMENT, check=True)
        yield f"127.0.0.1:{port}", folder
    finally:
        kill_all(folder)
        shutil.rmtree(folder, ignore_errors=True)


# A cluster without secrets, and the seconds after which Ray gives a head up that is gone.
ENVIRONMENT = {
    **os.environ, "RAY_AUTH_MODE": "disabled", "RAY_gcs_rpc_server_reconnect_timeout_s": "4",
}  # fmt: skip


def kill_all(folder: Path) -> None:
    """kill -9, of the processes of a cluster."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)


def test_a_killed_head_ends_the_command_in_a_line_and_loses_nothing(
    head: tuple[str, Path], tmp_path: Path
) -> None:
    address, folder = head
    clip, out = write_clip(tmp_path / "in" / "clip.mp4", frames=20), tmp_path / "out"
    for number in range(30):
        shutil.copy(clip, tmp_path / "in" / f"{number:02}.mp4")
    command = [sys.executable, "-m", "posekit", "batch", "model=demo", f"inputs={tmp_path / 'in'}",
               f"out_dir={out}", "runner=ray", "workers=1"]  # fmt: skip
    process = subprocess.Popen(
        [*command, f"address={address}", *TYPED], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not latest_entries(out):
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    kill_all(folder)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("posekit: error: Ray: "), said
    assert said.splitlines()[-1].endswith("run the same command again to resume")
    assert "Traceback" not in said and "gcs" not in said
    before = latest_entries(out)
    assert 0 < len(before) < 31 and all(entry.status == "done" for entry in before.values())
    done = subprocess.run([*command, *TYPED], env=ENVIRONMENT, capture_output=True, timeout=600)
    assert done.returncode == 0
    after = latest_entries(out)
    assert before.items() <= after.items() and len(after) == len(tables(out)) == 31
    assert {entry.attempt for entry in after.values()} == {1}
    assert not list(out.rglob("*.part"))
