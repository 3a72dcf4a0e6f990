"""A batch in this process: what is done, what is done again, and what is said."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import posekit
from posekit.batching import outputs, work
from posekit.batching.holding import holding
from posekit.batching.manifest import latest_entries
from posekit.batching.settings import stored_settings
from posekit.batching.sources import Source
from posekit.errors import InputError
from tests.batching.clips import ALIKE, batch, tables, write_clip
from tests.training.runs import one_thread


@pytest.fixture
def two(clips: Path, tmp_path: Path) -> Path:
    """A folder of two clips."""
    folder = tmp_path / "two"
    folder.mkdir()
    for number in (0, 1):
        shutil.copy(clips / f"cam{number}" / f"clip{number:02}.mp4", folder / f"{number}.mp4")
    return folder


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the clips that are computed."""
    names: list[str] = []
    original = work.ClipWorker._results

    def note(self: Any, source: Any, *rest: Any) -> Any:
        names.append(source.name)
        return original(self, source, *rest)

    monkeypatch.setattr(work.ClipWorker, "_results", note)
    return names


def test_the_callers_process_keeps_its_threads(two: Path, tmp_path: Path) -> None:
    import torch

    before = torch.get_num_threads()
    assert batch(two, tmp_path / "out", threads=before + 1).now == 2
    assert torch.get_num_threads() == before


def test_each_clip_has_a_file_and_a_line(clips: Path, undisturbed: Path) -> None:
    names = [f"cam{number % 2}/clip{number:02}.mp4.parquet" for number in (0, 2, 4, 1)]
    assert list(tables(undisturbed)) == names
    table = pq.read_table(undisturbed / "cam0" / "clip00.mp4.parquet")
    about = json.loads(table.schema.metadata[b"posekit"])
    assert (about["frames"], about["complete"]) == (4, True)
    assert set(table["source"].to_pylist()) == {str(clips / "cam0" / "clip00.mp4")}
    entries = latest_entries(undisturbed)
    done = {e.name: e.frames for e in entries.values() if e.status == "done"}
    assert sorted(done.values()) == [4, 5, 5, 6]
    broken = entries[str(clips / "cam1" / "clip03.mp4")]
    assert broken.status == "failed" and "neither an image nor a video" in (broken.error or "")
    left = {path.name for path in undisturbed.iterdir() if not path.name.startswith(".lock")}
    assert left == {"_batch.json", "_manifest.jsonl", "cam0", "cam1"}


def test_a_clip_is_as_the_predictor_gives_it(
    clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    one = {key: value for key, value in ALIKE.items() if key != "threads"}
    clip = clips / "cam0" / "clip02.mp4"
    with one_thread():  # as the batch has: other numbers differ by rounding
        predictor = posekit.load("demo", detector="whole_image", **one)
        list(predictor.stream(clip, out_dir=tmp_path, pred_format="parquet"))
    alone = pq.read_table(tmp_path / "predictions" / "clip02.parquet")
    assert alone.equals(pq.read_table(undisturbed / "cam0" / "clip02.mp4.parquet"))


def test_the_same_call_again_does_what_is_missing(
    two: Path, tmp_path: Path, computed: list[str]
) -> None:
    out = tmp_path / "out"
    assert batch(two, out).ok and computed == ["0.mp4", "1.mp4"]
    again = batch(two, out)
    assert again.ok and again.now == 0 and len(computed) == 2
    shutil.copy(two / "0.mp4", two / "2.mp4")
    (out / "1.mp4.parquet").unlink()
    assert batch(two, out).now == 2 and computed[2:] == ["1.mp4", "2.mp4"]


def test_a_clip_that_has_changed_is_done_again(
    two: Path, tmp_path: Path, computed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    batch(two, out)
    shutil.copy(two / "1.mp4", two / "0.mp4")
    batch(two, out)
    assert computed == ["0.mp4", "1.mp4", "0.mp4"]
    assert "0.mp4: it has changed since, so it is processed again" in caplog.text
    assert latest_entries(out)[str(two / "0.mp4")].attempt == 2


def test_other_settings_are_refused_with_the_difference(
    two: Path, tmp_path: Path, computed: list[str]
) -> None:
    out = tmp_path / "out"
    batch(two, out)
    with pytest.raises(InputError, match=r"bbox_thr unset -> 0\.5; use another out_dir, or overw"):
        batch(two, out, bbox_thr=0.5)
    with pytest.raises(InputError, match=r"detector unset -> rtmdet-nano_drawn-256"):
        batch(two, out, detector="demo")
    assert batch(two, out, bbox_thr=0.5, overwrite=True).now == 2
    assert batch(two, out, bbox_thr=0.5, overwrite=True).now == 0  # done with these already
    with pytest.raises(InputError, match=r"formats \[\"parquet\"\] -> \[\"jsonl\", \"csv\"\]"):
        batch(two, out, bbox_thr=0.5, formats=["jsonl", "csv"])
    batch(two, out, formats=["jsonl", "csv"], overwrite=True)
    assert sorted(path.name for path in out.glob("0*")) == [
        "0.mp4.csv", "0.mp4.jsonl", "0.mp4.meta.json",
    ]  # fmt: skip


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"settings": 3, "root": "/"}', "\xff"])
def test_settings_that_are_damaged_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "_batch.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"_batch\.json is damaged, .*; use another out_dir$"):
        stored_settings(tmp_path)


def test_another_root_is_refused(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch(two, out)
    with pytest.raises(InputError, match=rf"relative to {two}, .* to {tmp_path}: set base={two}"):
        batch([two, write_clip(tmp_path / "more" / "a.mp4")], out)
    assert batch([two / "0.mp4"], out, base=two).now == 0


def test_what_failed_is_tried_again_when_asked_or_changed(
    two: Path, tmp_path: Path, computed: list[str]
) -> None:
    out, broken = tmp_path / "out", two / "1.mp4"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    assert [entry.name for entry in batch(two, out).failed] == ["1.mp4"]
    again = batch(two, out)
    assert not again.ok and again.now == 0 and "retry_failed=true" in str(again)
    assert batch(two, out, retry_failed=True).now == 1
    broken.write_bytes(whole)
    assert batch(two, out).ok
    assert computed == ["0.mp4", "1.mp4", "1.mp4", "1.mp4"]


def test_a_clip_that_breaks_off_is_partial(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=20)
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 4
    middle = start + (len(data) - start) // 2
    data[middle : middle + 4000] = os.urandom(4000)
    del data[middle + 4000 :]
    clip.write_bytes(bytes(data))
    result = batch(clip, tmp_path / "out")
    (entry,) = result.entries
    assert not result.ok
    if entry.status == "partial":
        assert entry.frames and (tmp_path / "out" / "clip.mp4.parquet").exists()
    else:
        assert entry.status == "failed" and not tables(tmp_path / "out")


def test_a_clip_that_vanishes_fails_alone_and_results_stay(
    two: Path, tmp_path: Path, computed: list[str]
) -> None:
    out, both = tmp_path / "out", [two / "0.mp4", two / "1.mp4"]
    (two / "1.mp4").rename(two / "away")
    first = batch(both, out)
    assert [e.error for e in first.failed] == [f"no such file: {two / '1.mp4'}"]
    (two / "away").rename(two / "1.mp4")
    (two / "0.mp4").unlink()
    second = batch(both, out)
    assert second.ok and len(tables(out)) == 2 and computed == ["0.mp4", "1.mp4", "1.mp4"]


def test_a_full_disk_stops_the_run_and_loses_nothing(
    clips: Path,
    small_disk: Path,
    tmp_path: Path,
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(250_000))
    result = batch(clips, small_disk)
    assert "No space left" in (result.stopped or "") and not result.ok and result.left
    assert "run the same command again to resume" in str(result)
    done = {entry.path for entry in result.done}
    filler.unlink()
    again = batch(clips, small_disk)
    assert again.stopped is None and again.left == 0 and len(again.done) == 4
    assert done <= {entry.path for entry in again.done} and again.now == 5 - len(result.entries)


def test_a_manifest_cut_in_its_last_line(two: Path, tmp_path: Path, computed: list[str]) -> None:
    out = tmp_path / "out"
    batch(two, out)
    path = out / "_manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    again = batch(two, out)
    assert again.ok and computed == ["0.mp4", "1.mp4", "1.mp4"]
    assert len(latest_entries(out)) == 2


def test_what_killed_attempts_left_goes(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (source,) = {"0.mp4"}
    rest = outputs.new_staging(out, Source(str(two / source), source))
    rest.mkdir(parents=True)
    (rest / "half").write_text("half")
    batch(two, out)
    assert not list(out.rglob("*.part"))


def test_shards_share_a_folder(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    parts = [batch(clips, tmp_path, shard=f"{number}/2") for number in (1, 2)]
    assert sum(len(part.entries) for part in parts) == 5
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == [
        "_manifest-1-of-2.jsonl", "_manifest-2-of-2.jsonl",
    ]  # fmt: skip
    assert tables(tmp_path) == tables(undisturbed)
    assert batch(clips, tmp_path).now == 0  # one shard counts for all


def test_two_runs_in_one_folder(two: Path, tmp_path: Path) -> None:
    with holding(tmp_path, None), pytest.raises(InputError, match=f"process {os.getpid()}"):
        batch(two, tmp_path)
    assert not tables(tmp_path)


def test_drawings_and_images(two: Path, tmp_path: Path) -> None:
    shutil.copy(posekit.config.PACKAGED / "demo.jpg", two / "images.jpg")
    result = batch(two, tmp_path, drawings=True, formats="openpose")
    assert result.ok
    assert batch(tmp_path, tmp_path, drawings=True, formats="openpose", base=two).now == 0
    assert {name for entry in result.entries for name in entry.outputs} == {
        "0.mp4_openpose", "0.mp4.drawn.mp4", "1.mp4_openpose", "1.mp4.drawn.mp4",
        "images.jpg_keypoints.json", "images.jpg.drawn.jpg",
    }  # fmt: skip
    assert all((tmp_path / name).exists() for entry in result.entries for name in entry.outputs)


def test_clips_of_a_store(two: Path, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/clips/a b.mp4", (two / "0.mp4").read_bytes())
    assert batch("memory://clips", tmp_path).ok
    table = pq.read_table(tmp_path / "a b.mp4.parquet")
    assert set(table["source"].to_pylist()) == {"memory:///clips/a b.mp4"}
    assert set(table["name"].to_pylist()) == {"a b.mp4"}
    assert batch("memory://clips", tmp_path).now == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": "4/3"}, "shard must be such as 3/16"),
        ({"shard": "x"}, "shard must be such as 3/16"),
        ({"workers": -1}, "workers must be"),
        ({"formats": ["parket"]}, "a format must be one of"),
        ({"bboxes": [[0, 0, 1, 1]]}, "bboxes does not apply to a batch"),
        ({"lift_window": 9}, "applies to models that lift 2D poses only"),
        ({"num_gpus": 1}, "num_gpus has no effect with runner=local"),
        ({"slurm": {"partition": "a"}}, "slurm has no effect with runner=local"),
        ({"runner": "ray", "workers": 0}, "workers must be at least 1"),
        ({"runner": "ray", "workers": 3, "max_workers": 2}, "max_workers=2 is below workers=3"),
        ({"smooth": "savgol", "track": "none"}, "smooth needs tracks"),
        ({"backend": "no"}, "backend"),
    ],
)
def test_what_is_refused(two: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        batch(two, tmp_path / "out", **options)


def test_names_that_are_no_text(clips: Path, tmp_path: Path) -> None:
    """Their bytes are written out where a format has text."""
    name = os.fsdecode(b"\xff\n\xe4.mp4")
    (tmp_path / "in").mkdir()
    shutil.copy(clips / "cam0" / "clip00.mp4", tmp_path / "in" / name)
    (tmp_path / "in" / f"x{name}").write_bytes(b"no clip")
    found = batch(tmp_path / "in", tmp_path / "out", formats=["csv", "parquet", "label_studio"])
    assert [one.status for one in found.entries] == ["failed", "done"]
    with (tmp_path / "out" / f"{name}.parquet").open("rb") as file:
        rows = pq.read_table(file).to_pylist()
    assert {row["name"] for row in rows} == {"\\udcff\n\\udce4.mp4"}
    (failed,) = [line for line in str(found).splitlines() if line.startswith("x")]
    assert "\\n" in failed
    tasks = json.loads((tmp_path / "out" / f"{name}.label_studio.json").read_text())
    assert all("%FF%0A%E4" in task["data"]["image"] for task in tasks)


def test_no_folder_and_no_clips(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown option 'show'"):
        posekit.batch("demo", inputs=tmp_path, show=True)
    with pytest.raises(InputError, match="out_dir is missing"):
        posekit.batch("demo", inputs=tmp_path)
    with pytest.raises(InputError, match="out_dir is missing"):  # of a variable that is not set
        posekit.batch("demo", inputs=tmp_path, out_dir="")
    with pytest.raises(InputError, match="inputs is empty"):
        posekit.batch("demo", out_dir=tmp_path)


def test_options_of_a_format_go_with_it(
    two: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError, match="count is a column of the format angles"):
        batch(two, tmp_path / "out", count="squat")
    with pytest.raises(InputError, match="format trc needs track ids"):
        batch(two, tmp_path / "out", formats=["trc"], track="none")
    assert batch(two, tmp_path / "out", formats=["angles"], count="squat").ok
    header = (tmp_path / "out" / "0.mp4.angles.csv").read_text().partition("\n")[0]
    assert "squat" in header.split(",")
    assert caplog.text.count("format angles needs track ids: using track=iou") == 1
