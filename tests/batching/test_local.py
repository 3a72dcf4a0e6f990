"""Processes of this machine, and what happens when they are killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from posekit.batching.manifest import Manifest, latest_entries
from posekit.batching.options import RunOptions
from posekit.batching.progress import Progress
from posekit.batching.runners import local
from posekit.errors import PosekitError
from tests.batching.clips import TYPED, batch, tables, write_clip
from tests.conftest import ROOT


def kill_a_worker() -> None:
    """kill -9, of one that computes."""
    for child in multiprocessing.active_children()[:1]:
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()


def test_killed_workers_cost_nothing(
    clips: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, kills = Manifest.append, iter([kill_a_worker])  # a clip's second would be its last

    def append_and_kill(self: Manifest, entry: Any) -> None:
        append(self, entry)
        next(kills, lambda: None)()

    monkeypatch.setattr(Manifest, "append", append_and_kill)
    result = batch(clips, tmp_path, workers=1)
    assert [entry.name for entry in result.failed] == ["cam1/clip03.mp4"] and not result.left
    assert tables(tmp_path) == tables(undisturbed)
    assert not multiprocessing.active_children() and not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_a_clip_that_kills_its_worker_fails_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_clip(tmp_path / "in" / "a.mp4", frames=150)
    write_clip(tmp_path / "in" / "b.mp4", frames=2)
    out = tmp_path / "out"

    def kill(self: Progress, count: int) -> None:
        if not latest_entries(out):
            kill_a_worker()

    monkeypatch.setattr(Progress, "frames", kill)
    result = batch(tmp_path / "in", out, workers=1)
    (failed,) = result.failed
    assert failed.name == "a.mp4" and (failed.error or "").startswith("worker died: killed by SIGK")
    assert [entry.name for entry in result.done] == ["b.mp4"]
    assert "trying again" in caplog.text


@pytest.mark.slow
def test_a_disk_that_is_full_for_one_shard(
    clips: Path, undisturbed: Path, small_disk: Path
) -> None:
    def shard(number: int) -> Any:
        return batch(clips, small_disk, shard=f"{number}/2", workers=1)

    assert not shard(2).left
    filler = small_disk / "filler"
    filler.write_bytes(bytes(free_bytes(small_disk) - 12_288))
    full = shard(1)
    assert "No space left" in (full.stopped or "") and full.left and not full.ok
    filler.unlink()
    again = [shard(number) for number in (1, 2)]
    assert again[0].now == full.left and not again[0].left and again[1].now == 0
    assert tables(small_disk) == tables(undisturbed) and not list(small_disk.rglob("*.part"))
    lines = [
        json.loads(line)
        for path in small_disk.glob("_manifest*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    assert len(lines) == len({line["path"] for line in lines}) == 5


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@pytest.mark.slow
def test_a_clip_that_vanishes_during_the_run_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (write_clip(tmp_path / "in" / name, frames=3) for name in ("a.mp4", "b.mp4"))
    out, clip = tmp_path / "out", Progress.clip

    def vanish(self: Progress) -> None:
        clip(self)
        if second.exists():
            second.rename(tmp_path / "away")

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "clip", vanish)
        patch.setattr(Progress, "frames", lambda *_: None)
        result = batch([first, second], out, workers=1)
    assert [entry.name for entry in result.done] == ["a.mp4"]
    assert [entry.error for entry in result.failed] == [f"no such file: {second}"]
    (tmp_path / "away").rename(second)
    again = batch([first, second], out, workers=1, retry_failed=True)
    assert again.ok and again.now == 1 and len(tables(out)) == 2


def test_a_killed_driver_leaves_nothing_running_and_nothing_undone(tmp_path: Path) -> None:
    clip, out = write_clip(tmp_path / "clip.mp4", frames=12), tmp_path / "out"
    for number in range(12):
        shutil.copy(clip, tmp_path / f"{number:02}.mp4")
    command = [sys.executable, "-m", "posekit", "batch", "model=demo", f"inputs={tmp_path}"]
    process = subprocess.Popen([*command, f"out_dir={out}", "workers=1", *TYPED])
    while process.poll() is None and not latest_entries(out):
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
    workers = [os.pidfd_open(pid) for pid in _children(process.pid)]
    process.kill()
    process.wait()
    assert workers
    for worker in workers:
        ended, _, _ = select.select([worker], [], [], 60)
        os.close(worker)
        assert ended, "a worker outlived its driver"
    before = latest_entries(out)
    result = batch(tmp_path, out)
    assert 0 < len(before) < 13 and result.now == 13 - len(before) and result.ok
    assert before.items() <= latest_entries(out).items() and not list(out.rglob("*.part"))
    rows = [
        pq.read_table(path, columns=["frame_id", "keypoints"]) for path in out.glob("*.parquet")
    ]
    assert len(rows) == 13 and all(table.equals(rows[0]) for table in rows)


def test_ctrl_c_ends_what_is_under_way(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = Progress.frames
    monkeypatch.setattr(
        Progress, "frames", lambda *given: (frames(*given), os.kill(os.getpid(), signal.SIGINT))
    )
    one = clips / "cam0"
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):  # its second frame is the second Ctrl-C
        batch(one, tmp_path)
    assert not tables(tmp_path) and signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(Progress, "frames", frames)
    clip = Progress.clip
    monkeypatch.setattr(
        Progress, "clip", lambda self: (clip(self), os.kill(os.getpid(), signal.SIGINT))
    )
    assert not list(tmp_path.rglob("*.part"))
    result = batch(one, tmp_path)
    assert (result.now, result.left, result.interrupted) == (1, 2, True)
    assert "finishing the current clips; Ctrl-C again stops at once" in capsys.readouterr().err
    assert "run the same command again to resume" in str(result) and len(tables(tmp_path)) == 1


@pytest.mark.parametrize(
    ("cores", "workers", "threads", "expected"),
    [
        (8, "auto", None, [(0, 1, 2, 3), (4, 5, 6, 7)]),
        (2, "auto", None, [(0, 1)]),
        (2, 2, None, [(0,), (1,)]),
        (8, 2, 1, [None, None]),  # cores are left: who knows what else runs here
        (1, 2, None, [None, None]),
    ],
)
def test_cores_are_divided(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: Any, threads: Any, expected: Any
) -> None:
    monkeypatch.setattr(local, "usable_cores", lambda: list(range(cores)))
    options = RunOptions(workers=workers, threads=threads)

    class _Job:
        loading = {"device": "cpu"}  # noqa: RUF012
        threads = local.default_threads(options)

    assert [place.cores for place in local._places(_Job, options)] == expected  # type: ignore[arg-type]


@pytest.mark.slow
def test_workers_that_cannot_start_say_why(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(PosekitError, match="backend"):
        batch(clips, tmp_path, workers=1, backend="tensorrt")
    assert not tables(tmp_path) and not multiprocessing.active_children()


def _children(pid: int) -> list[int]:
    """Processes that a process started and that compute, not Python's own tracker of resources."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return [c for c in found if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


@pytest.mark.slow
def test_the_script_of_the_page_and_one_that_forgets_its_last_line_but_one(tmp_path: Path) -> None:
    write_clip(tmp_path / "videos" / "a.mp4", frames=3)
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    script = page.partition("```python\n")[2].partition("```")[0]
    assert "if __name__" in script
    for text in (script, script.replace('if __name__ == "__main__":', "if True:")):
        (tmp_path / "script.py").write_text(text)
        done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True,
                              text=True, timeout=300)  # fmt: skip
        if text is script:
            assert done.returncode == 0 and "1 tried in" in done.stdout
            (tmp_path / "tables" / "a.mp4.parquet").unlink()
        else:
            assert done.returncode == 1 and "in a script, call posekit.batch below" in done.stderr
