"""Jobs of SLURM, with submitit's own twins of it: in this process, and as processes."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from posekit.batching import slurm_queue
from posekit.batching.manifest import manifest_path
from posekit.batching.options import Shard
from posekit.batching.run import batch_composed
from posekit.batching.runners import slurm
from posekit.errors import InputError, PosekitError
from tests.batching.clips import batch, tables

pytest.importorskip("submitit")


@pytest.mark.parametrize("jobs", [2, 3])
def test_jobs_give_the_same_bytes(
    clips: Path, undisturbed: Path, tmp_path: Path, jobs: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"cluster": "debug", "jobs": jobs, "timeout_min": 5, "partition": "gpu"}
    result = batch(clips, tmp_path, runner="slurm", slurm=settings)
    assert [entry.name for entry in result.failed] == ["cam1/clip03.mp4"] and not result.left
    assert tables(tmp_path) == tables(undisturbed)
    assert len(list(tmp_path.glob("_manifest-*-of-*.jsonl"))) == jobs
    with manifest_path(tmp_path, Shard(1, jobs)).open("ab") as file:
        file.write(b'{"path": "cut')
    assert batch(clips, tmp_path, runner="slurm", slurm=settings).now == 0
    assert caplog.text.count("is cut off or damaged") == 1


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


@pytest.mark.slow
def test_a_killed_job_is_told_of_and_the_same_call_does_the_rest(
    clips: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    settings = {"cluster": "local", "jobs": 2, "timeout_min": 5}
    monkeypatch.setattr(slurm, "INTERVAL", 0.1)
    wait = slurm._wait

    def kill_one(jobs: Any, *rest: Any) -> bool:
        waiting = threading.Event()
        while not manifest_path(tmp_path, Shard(1, 2)).exists():
            waiting.wait(0.05)
        for pid in reversed(family(jobs[0]._process.pid)):
            os.kill(pid, signal.SIGKILL)
        return wait(jobs, *rest)

    monkeypatch.setattr(slurm, "_wait", kill_one)
    result = batch(clips, tmp_path, runner="slurm", slurm=settings)
    assert result.left and not result.ok and "shard 1/2, job" in caplog.text
    monkeypatch.setattr(slurm, "_wait", wait)
    again = batch(clips, tmp_path, runner="slurm", slurm=settings)
    assert not again.left and tables(tmp_path) == tables(undisturbed)


def test_a_job_is_queued_again_as_long_as_it_gets_something_done(tmp_path: Path) -> None:
    job, config = slurm.ShardJob(batch_composed), {"inputs": "clips", "out_dir": tmp_path}
    job._before = (0, 0)
    for done in (False, False, True, False, False):
        if done:
            manifest_path(tmp_path, Shard(1, 2)).write_text("{}\n")
        again = job.checkpoint(config, "1/2")
        assert again.function.batch is batch_composed and again.args == (config, "1/2")
        job = again.function
        job._before = slurm._progress(config, "1/2")
    piece = tmp_path / "cam1" / ".0123.pieces.part" / "0-150.npz"
    piece.parent.mkdir(parents=True)
    piece.touch()
    assert job.checkpoint(config, "1/2").function.idle == 0
    job._before = slurm._progress(config, "1/2")
    with pytest.raises(PosekitError, match="stopped 3 times before a clip was finished"):
        job.checkpoint(config, "1/2")


def test_squeue_is_read_as_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SLURM 22.05 printed; `test_slurm_cluster.py` asks SLURM itself, where there is one."""
    squeue = tmp_path / "squeue"
    squeue.write_text(
        "#!/bin/sh\n"
        "[ $6 = 9 ] && { echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1; }\n"
        "echo '12_1|PENDING|launch failed requeued held'\n"
        "echo '12_0|CANCELLED|None'\n"
    )
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    states = slurm_queue.job_states("12")
    assert states is not None and states["12_0"].ended and not states["12_1"].ended
    assert states["12_1"].reason == "launch failed requeued held"
    assert slurm_queue.job_states("9") == {} and slurm_queue.job_states() == {}


@pytest.mark.parametrize("content", ["{", "[1]", '{"12_0": 3}', '{"12_0": ["a", 2, "", ""]}'])
def test_notes_of_jobs_that_are_damaged(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / slurm_queue.NOTED).write_text(content)
    assert slurm_queue.queued_jobs(None, tmp_path, 2) == {}
    assert "cannot be read: jobs of earlier calls are not known" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jobs": 0}, "slurm.jobs must be a whole number of at least 1"),
        ({"cluster": "moon"}, "runner=slurm: "),
        ({"cluster": "debug", "colour": "red"}, "Unknown argument 'colour'"),
        ({"cluster": "debug", "timeout_min": "long"}, "runner=slurm: "),
        ({"cluster": "debug", "wait": "maybe"}, "slurm.wait must be true or false, found 'maybe'"),
        ({"cluster": "debug", "tasks_per_node": 2}, "slurm.tasks_per_node must be 1"),
        ({"cluster": "debug", "time": "2:00:00"}, "slurm.time is a number of minutes"),
    ],
)
def test_what_is_refused(
    clips: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        batch(clips, tmp_path, runner="slurm", slurm=settings)


def test_jobs_make_the_shards(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shard does not apply to runner=slurm"):
        batch(clips, tmp_path, runner="slurm", shard="1/2")
