"""`runner=slurm` on SLURM itself: its real programs, where they are installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from posekit.batching import slurm_queue
from posekit.batching.holding import holding
from posekit.batching.manifest import manifest_path
from posekit.batching.options import Shard
from posekit.batching.runners import slurm
from posekit.batching.slurm_queue import job_states
from posekit.errors import InputError
from tests.batching.clips import batch, tables, write_clip
from tests.batching.slurm_cluster import asked, slurm_cluster, until

pytest.importorskip("submitit")
pytestmark = pytest.mark.slow

SETTINGS = {"jobs": 2, "cpus_per_task": 1}


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture(autouse=True)
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "INTERVAL", 0.2)
    monkeypatch.setattr(slurm_queue, "INTERVAL", 1.0)


@pytest.fixture(scope="module")
def long_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips that take a second each."""
    folder = tmp_path_factory.mktemp("long")
    first = write_clip(folder / "clip00.mp4", frames=150)
    for number in range(1, 12):
        shutil.copy(first, folder / f"clip{number:02}.mp4")
    return folder


def test_jobs_give_the_same_bytes(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    result = batch(clips, tmp_path, runner="slurm", slurm=SETTINGS)
    assert [entry.name for entry in result.failed] == ["cam1/clip03.mp4"] and not result.left
    assert tables(tmp_path) == tables(undisturbed)
    before = asked("squeue", "--noheader", "--states=all", "--format=%A")
    assert batch(clips, tmp_path, runner="slurm", slurm=SETTINGS).now == 0
    assert asked("squeue", "--noheader", "--states=all", "--format=%A") == before


def test_what_slurm_refuses_is_said_in_a_line(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"did not take the jobs: .*partition specified: moon"):
        batch(clips, tmp_path, runner="slurm", slurm={**SETTINGS, "partition": "moon"})


def test_jobs_out_of_time_go_on_and_lost_ones_are_named(
    long_clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    batch(long_clips, tmp_path / "undisturbed")
    folder = tmp_path / "out"

    def disturb() -> None:
        """The first shard's time is up, as SLURM says it; of the second the process is killed."""
        until(lambda: all(manifest_path(folder, Shard(n, 2)).exists() for n in (1, 2)))
        array = asked("squeue", "--noheader", "--format=%F").split()[0]
        asked("scancel", "--signal=USR2", f"{array}_0")
        for pid in processes_of(f"{array}_1"):
            os.kill(pid, signal.SIGKILL)
        # SLURM lets a job that is queued again wait for two minutes.
        until(lambda: "1 of 2 jobs wait in SLURM's queue (BeginTime)" in caplog.text)
        asked("scontrol", "update", "job", f"{array}_0", "StartTime=now")

    disturbing = threading.Thread(target=disturb, daemon=True)
    disturbing.start()
    result = batch(long_clips, folder, runner="slurm", slurm=SETTINGS)
    disturbing.join(1)
    assert "shard 2/2, job" in caplog.text and "FAILED without a result" in caplog.text
    assert "shard 1/2" not in caplog.text and result.left and not result.ok
    caplog.clear()
    again = batch(long_clips, folder, runner="slurm", slurm=SETTINGS)
    assert "submitted 1 job (" in caplog.text and again.ok and not again.left
    assert tables(folder) == tables(tmp_path / "undisturbed")
    lines = b"".join(path.read_bytes() for path in folder.glob("_manifest-*")).splitlines()
    assert len(lines) == 12 and {json.loads(line)["status"] for line in lines} == {"done"}


def processes_of(job: str) -> list[int]:
    """The job's processes that run Python."""
    array, _, task = job.partition("_")
    marks = [f"SLURM_ARRAY_JOB_ID={array}", f"SLURM_ARRAY_TASK_ID={task}", "SLURM_PROCID=0"]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            set_there = (process / "environ").read_text(errors="replace").split("\0")
        except OSError:
            continue
        if all(mark in set_there for mark in marks):
            found.append(int(process.name))
    return found


def test_the_same_call_waits_for_jobs_that_go_on(
    clips: Path, undisturbed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked("scontrol", "update", "partition=test", "state=down")
    waiting = batch(clips, tmp_path, runner="slurm", slurm={**SETTINGS, "wait": False})
    assert waiting.interrupted and waiting.left == 5 and "submitted 2 jobs (" in caplog.text
    with pytest.raises(InputError, match=r"of an earlier call with slurm.jobs=2 has not ended"):
        batch(clips, tmp_path, runner="slurm", slurm={**SETTINGS, "jobs": 3})
    with pytest.raises(InputError, match="of an earlier call with other settings has not ended"):
        batch(clips, tmp_path, runner="slurm", slurm=SETTINGS, stride=2)
    asked("scontrol", "update", "partition=test", "state=up")
    caplog.clear()
    result = batch(clips, tmp_path, runner="slurm", slurm=SETTINGS)
    assert "waiting for 2 jobs (" in caplog.text and "submitted" not in caplog.text
    assert not result.left and tables(tmp_path) == tables(undisturbed)


def test_what_a_lost_machine_held_is_taken_over_once_its_job_has_ended(tmp_path: Path) -> None:
    job = asked("sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 600")
    held = {"host": "another-machine", "pid": 7, "since": "", "shard": None, "job": job}
    (tmp_path / "_running-all.json").write_text(json.dumps(held))
    with pytest.raises(InputError, match="another-machine, process 7"), holding(tmp_path, None):
        pass
    asked("scancel", job)
    until(lambda: (job_states(job) or {})[job].ended)
    with holding(tmp_path, None):
        pass


def test_slurm_does_not_know_a_job_or_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert job_states("999999") == {}
    monkeypatch.setenv("SLURM_CONF", "/nowhere")
    assert job_states("999999") is None
