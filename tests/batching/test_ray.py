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
from posekit.batching.options import RunOptions
from posekit.batching.runners import ray as runner
from posekit.errors import InputError, PosekitError
from tests.batching.clips import TYPED, batch, tables, write_clip
from tests.batching.test_ray_process import job_of, outcome, tasks_of

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
    for process in actors()[:1]:
        os.kill(process, signal.SIGKILL)


def actors() -> list[int]:
    """Those that compute."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if words.startswith(b"ray::") and b"Map" in words and os.getuid() == path.stat().st_uid:
                found.append(int(path.parent.name))
    return found


def test_a_pool_grows_while_all_are_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "in" / "clip.mp4", frames=150)
    for number in range(15):
        shutil.copy(clip, tmp_path / "in" / f"{number:02}.mp4")
    append, seen = Manifest.append, []

    def append_and_look(self: Manifest, entry: Any) -> None:
        append(self, entry)
        seen.append(len(actors()))

    monkeypatch.setattr(Manifest, "append", append_and_look)
    result = batch(tmp_path / "in", tmp_path / "out", runner="ray", workers=1, max_workers=2)
    assert result.ok and len(result.entries) == 16
    assert max(seen) == 2


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
def joined(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is connected to a cluster of its own."""
    import ray

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_what_was_never_begun_is_not_counted(joined: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that cannot be reached loses what it is given, until Ray gives it up."""
    import ray

    begun = iter((["a"], ["a"], [], ["b"]))

    def lose(_: Any, job: Any, tasks: Any, options: Any, ledger: Any) -> Iterator[Any]:
        keys = {Path(task.source.path).name: task.key for task in tasks}
        for name in (names := next(begun)):
            ray.get(ledger.begin.remote(keys[name]))
        if names == ["b"]:
            yield outcome("b")

    monkeypatch.setattr(runner, "_pass", lose)
    found = list(runner._outcomes(job_of(), tasks_of("a", "b"), RunOptions(runner="ray")))
    assert [one.entry.name for one in found] == ["a", "b"]
    assert [one.entry.error for one in found] == [
        "worker died: its actor was killed twice",
        None,
    ]


def test_a_worker_that_cannot_start_says_where_and_why(
    joined: None, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "__version__", "0.0.9")
    said = r"^Ray: a worker cannot start on [\d.]+: posekit \S+ is installed there, 0\.0\.9 where"
    with pytest.raises(PosekitError, match=said + r" the command runs: install [^\n]+$"):
        batch(clips, tmp_path, runner="ray", workers=1)


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


def test_a_machine_that_is_lost_costs_its_clip_another_attempt(
    head: tuple[str, Path], tmp_path: Path
) -> None:
    address, folder = head
    before = raylets(folder)
    more = ["-m", "ray.scripts.scripts", "start", "--num-cpus", "1", "--address", address]
    ports = ["--min-worker-port", "0", "--max-worker-port", "0"]
    subprocess.run([sys.executable, *more, *ports], env=ENVIRONMENT, check=True)
    (lost,) = raylets(folder) - before
    clip, out = write_clip(tmp_path / "in" / "clip.mp4", frames=60), tmp_path / "out"
    for number in range(30):
        shutil.copy(clip, tmp_path / "in" / f"{number:02}.mp4")
    command = [sys.executable, "-m", "posekit", "batch", "model=demo", f"inputs={tmp_path / 'in'}",
               f"out_dir={out}", "runner=ray", "workers=2", f"address={address}"]  # fmt: skip
    process = subprocess.Popen(
        [*command, *TYPED], env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    while process.poll() is None and len(actors()) < 2:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    os.kill(lost, signal.SIGKILL)
    shown, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "Traceback" not in said and "raylet" not in said + shown
    entries = latest_entries(out)
    assert {entry.status for entry in entries.values()} == {"done"} and len(entries) == 31
    assert len(set(tables(out).values())) == 31 and not list(out.rglob("*.part"))


def raylets(folder: Path) -> set[int]:
    """The processes of a cluster's machines."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if words[0].endswith(b"/raylet") and os.fsencode(folder) in b" ".join(words):
                found.add(int(path.parent.name))
    return found
