"""Long clips in pieces: the same files as of a whole clip, and what a kill costs."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from posekit.batching import pieces, splitting, tasks, work
from posekit.batching.manifest import latest_entries
from posekit.batching.sources import Source
from posekit.io import cutting
from tests.batching.clips import TYPED, batch, tables, write_clip
from tests.batching.test_local import kill_a_worker

SPLIT = 0.6  # seconds: of sixteen frames, which is a batch of the networks


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty frames, of which three pieces are made."""
    return write_clip(tmp_path_factory.mktemp("long") / "a.mp4", frames=50)


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its results, of a run that split nothing, in several formats."""
    out = tmp_path_factory.mktemp("whole")
    assert batch(clip, out, formats=FORMATS, split="none").ok
    return out


FORMATS = ["parquet", "posekit", "coco", "csv", "coco_results"]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is computed: the frames of pieces, None for whole clips."""
    found: list[Any] = []
    original = work.ClipWorker.__call__

    def note(self: Any, task: tasks.Task, *rest: Any) -> Any:
        found.append(task.frames)
        return original(self, task, *rest)

    monkeypatch.setattr(work.ClipWorker, "__call__", note)
    monkeypatch.setattr(cutting, "LEADING", 4)  # so that pieces seek in so short a clip
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name.startswith("a.mp4")}


THREE = [(0, 16), (16, 32), (32, None)]


def test_pieces_give_the_files_of_the_whole(
    clip: Path, whole: Path, tmp_path: Path, computed: list[Any]
) -> None:
    result = batch(clip, tmp_path, formats=FORMATS, split=SPLIT)
    assert computed == THREE and result.ok and result.now == 1
    assert files(tmp_path) == files(whole) and len(files(whole)) == 6
    (entry,) = result.entries
    assert (entry.frames, entry.attempt, entry.device) == (50, 1, "cpu")
    assert not list(tmp_path.rglob("*.part"))
    for split in (SPLIT, "auto", "none", 0.2):  # settings are the same
        assert batch(clip, tmp_path, formats=FORMATS, split=split).now == 0


@pytest.mark.parametrize("stride", [1, 3])
def test_every_frame_is_there_once(
    clip: Path, tmp_path: Path, computed: list[Any], stride: int
) -> None:
    alike = {"stride": stride, "batch_size": 2}
    assert batch(clip, tmp_path / "a", split="none", **alike).ok
    assert batch(clip, tmp_path / "b", split=0.3, **alike).ok
    assert tables(tmp_path / "a") == tables(tmp_path / "b") and len(computed) > 5


@pytest.mark.parametrize(
    "options",
    [
        {"track": "iou"},
        {"smooth": "savgol"},
        {"det_interval": 2, "detector": "demo"},
        {"formats": ["mot"]},
        {"formats": ["angles"]},
        {"drawings": True},
        {"start": 0.2},
        {"end": 1.5},
        {"split": "none"},
        {"split": "auto"},  # it is too short
        {"split": 1.7},
    ],
)
def test_what_is_done_whole(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    seen: list[Any] = []

    def note(self: Any, task: tasks.Task, *_: Any) -> Any:
        seen.append(task.frames)
        return work.died(task, self.job, "nothing is computed here")

    monkeypatch.setattr(work.ClipWorker, "__init__", lambda self, job: setattr(self, "job", job))
    monkeypatch.setattr(work.ClipWorker, "__call__", note)
    batch(clip, tmp_path, **{"split": SPLIT, **options})
    assert seen == [None]


@pytest.mark.slow
def test_a_kill_loses_one_piece(
    clip: Path, whole: Path, tmp_path: Path, computed: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """kill -9 of the command, when a piece of two has been kept."""
    command = [sys.executable, "-m", "posekit", "batch", "model=demo", f"inputs={clip}"]
    process = subprocess.Popen(
        [*command, f"out_dir={tmp_path}", f"split={SPLIT}", "workers=1",
         f"formats=[{','.join(FORMATS)}]", *TYPED]
    )  # fmt: skip
    while process.poll() is None and not list(tmp_path.glob(".*.pieces.part/0-16.npz")):
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not latest_entries(tmp_path)
    assert batch(clip, tmp_path, formats=FORMATS, split=SPLIT).ok
    assert (0, 16) not in computed and "pieces are done" in caplog.text
    assert files(tmp_path) == files(whole)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(
    clip: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = itertools.chain([kill_a_worker], itertools.repeat(lambda: None))
    monkeypatch.setattr("posekit.batching.progress.Progress.frames", lambda *_: next(kills)())
    assert batch(clip, tmp_path, formats=FORMATS, split=SPLIT, workers=1).ok
    assert files(tmp_path) == files(whole)


def test_pieces_of_another_clip_or_of_other_settings_are_not_taken(
    clip: Path, tmp_path: Path, computed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copy(clip, tmp_path / "a.mp4")
    out = tmp_path / "out"
    with monkeypatch.context() as stopped:
        stopped.setattr(splitting, "_ended", lambda *_: iter(()))  # as if killed before
        assert batch(copy, out, split=SPLIT).left == 1
        assert batch(copy, out, split=SPLIT).left == 1
    assert computed == THREE  # the second run found them
    assert batch(copy, out, split=0.3, batch_size=4, overwrite=True).ok
    assert len(computed) == 9
    computed.clear()
    with monkeypatch.context() as stopped:
        stopped.setattr(splitting, "_ended", lambda *_: iter(()))
        batch(copy, out, split=SPLIT, overwrite=True)
    os.utime(copy, (1, 1))
    assert batch(copy, out, split=SPLIT, overwrite=True).ok and computed == 2 * THREE


def test_a_damaged_clip_is_done_whole(
    clip: Path, tmp_path: Path, computed: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    copy = Path(shutil.copy(clip, tmp_path / "a.mp4"))
    data = bytearray(copy.read_bytes())
    middle = data.index(b"mdat") + 4 + (len(data) - data.index(b"mdat")) * 3 // 5
    data[middle : middle + 2000] = bytes(2000)
    copy.write_bytes(bytes(data))
    one = batch(copy, tmp_path / "one", split="none").entries[0]
    computed.clear()
    two = batch(copy, tmp_path / "two", split=SPLIT).entries[0]
    assert None in computed and computed[0] == (0, 16)
    assert "is processed whole, not in pieces: " in caplog.text
    # Not the bytes: a damaged frame looks as the threads of its decoder take turns.
    assert (one.status, one.frames, one.error) == (two.status, two.frames, two.error)
    assert tables(tmp_path / "one").keys() == tables(tmp_path / "two").keys()


def test_a_clip_that_says_too_few_frames_or_too_many(
    clip: Path, tmp_path: Path, computed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, length in enumerate((70, 34)):
        with monkeypatch.context() as wrong:
            opened = splitting.open_clip

            def says(path: Path, opened: Any = opened, length: int = length) -> Any:
                video = opened(path)
                video.num_frames = length
                return video

            wrong.setattr(splitting, "open_clip", says)
            out = tmp_path / str(number)
            assert batch(clip, out, split=SPLIT).ok
        assert None not in computed
    assert tables(tmp_path / "0") == tables(tmp_path / "1")


def test_frames_that_are_counted_wrongly_are_found_out(
    clip: Path, tmp_path: Path, computed: list[Any], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    number = cutting.Seek.number
    monkeypatch.setattr(cutting.Seek, "number", lambda self, *given: number(self, *given) + 1)
    assert batch(clip, tmp_path / "a", split=SPLIT).ok
    assert "its frames cannot be located by number" in caplog.text and computed[-1] is None
    monkeypatch.undo()
    assert batch(clip, tmp_path / "b", split="none").ok
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


def test_a_full_disk_stops_the_run(clip: Path, small_disk: Path, computed: list[Any]) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 36_000))
    result = batch(clip, small_disk, split=SPLIT)
    assert "No space left" in (result.stopped or "") and result.left == 1
    filler.unlink()
    assert batch(clip, small_disk, split=SPLIT).ok


def test_a_piece_that_is_no_piece(tmp_path: Path, clip: Path, computed: list[Any]) -> None:
    assert batch(clip, tmp_path, split=SPLIT).ok
    (table,) = tables(tmp_path).values()
    (folder,) = {pieces.folder_of(tmp_path, task) for task in _tasks(clip)}
    folder.mkdir()
    (folder / "0-16.npz").write_bytes(b"PK\x03\x04 no archive")
    computed.clear()
    (tmp_path / "a.mp4.parquet").unlink()
    assert batch(clip, tmp_path, split=SPLIT).ok and computed == THREE
    assert tables(tmp_path)["a.mp4.parquet"] == table


def _tasks(clip: Path) -> list[tasks.Task]:
    return [tasks.Task(Source(str(clip), clip.name))]
