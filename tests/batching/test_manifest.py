"""What is kept of attempts, and what of it counts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from posekit.batching.manifest import KINDS, Entry, Manifest, latest_entries, manifest_path
from posekit.batching.options import Shard
from posekit.errors import OutputError


def entry(name: str = "a.mp4", **known: object) -> Entry:
    return Entry(**{"path": f"/clips/{name}", "name": name, "status": "done", **known})  # type: ignore[arg-type]


def append(path: Path, *entries: Entry) -> None:
    with Manifest(path) as manifest:
        for one in entries:
            manifest.append(one)


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\n\xc3\xbc.mp4")  # no text of any encoding
    written = entry(odd, size=7, mtime=1.123456789012, frames=3, outputs=("a.parquet",), error="x")
    append(manifest_path(tmp_path, None), written)
    assert latest_entries(tmp_path) == {written.path: written}
    assert set(json.loads(written.to_line())) == set(KINDS)


def test_the_latest_attempt_counts_whatever_its_file_and_its_clock(tmp_path: Path) -> None:
    append(manifest_path(tmp_path, None), entry(attempt=2, status="failed", error="x"))
    append(manifest_path(tmp_path, Shard(1, 2)), entry(attempt=3))
    append(manifest_path(tmp_path, Shard(2, 2)), entry(attempt=1, status="failed"))
    assert latest_entries(tmp_path)["/clips/a.mp4"].attempt == 3


def test_what_is_done_is_not_lost_to_an_attempt_of_the_same_number(tmp_path: Path) -> None:
    append(manifest_path(tmp_path, Shard(1, 2)), entry())
    append(manifest_path(tmp_path, Shard(2, 2)), entry(status="failed"))
    assert latest_entries(tmp_path)["/clips/a.mp4"].status == "done"


@pytest.mark.parametrize("cut", [1, 2, 30, 100])
def test_a_cut_last_line_does_not_count_and_swallows_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    path = manifest_path(tmp_path, None)
    append(path, entry("a.mp4"), entry("b.mp4"))
    path.write_bytes(path.read_bytes()[:-cut])
    assert set(latest_entries(tmp_path)) >= {"/clips/a.mp4"}
    append(path, entry("c.mp4"))
    whole = {"/clips/a.mp4", "/clips/c.mp4"} | ({"/clips/b.mp4"} if cut == 1 else set())
    assert set(latest_entries(tmp_path)) == whole
    assert ("line 2 is cut" in caplog.text) == (cut > 1)


def test_lines_of_later_versions_are_read(tmp_path: Path) -> None:
    path = manifest_path(tmp_path, None)
    line = {"path": "/clips/a.mp4", "name": "a.mp4", "status": "done", "new": 1}
    path.write_text(json.dumps(line) + '\n[1]\n"x"\n{}\n')
    assert set(latest_entries(tmp_path)) == {"/clips/a.mp4"}


@pytest.mark.parametrize(
    "wrong",
    [
        # Results that a line names are removed, if its clip is done again.
        *({"outputs": [output]} for output in ("../a", "/a", "", ".", "a/../../b", 5, None)),
        *({"outputs": "abc"}, {"outputs": None}, {"status": "well"}, {"frames": "many"}),
        *({"attempt": "1"}, {"seconds": None}, {"error": [1]}, {"path": 5}, {"size": "1"}),
    ],
)
def test_a_line_with_a_wrong_value_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    line = {"path": "/clips/a.mp4", "name": "a.mp4", "status": "done", **wrong}
    manifest_path(tmp_path, None).write_text(json.dumps(line) + "\n")
    assert latest_entries(tmp_path, say=False) == {}
    assert not caplog.messages
    assert latest_entries(tmp_path) == {}
    assert "line 1 is cut off or damaged: that attempt is ignored" in caplog.text


def test_a_full_disk_leaves_whole_lines(small_disk: Path) -> None:
    path = manifest_path(small_disk, None)
    with pytest.raises(OutputError, match="No space left"), Manifest(path) as manifest:
        for number in range(10_000):
            manifest.append(entry(f"{number}.mp4"))
    lines = path.read_bytes().splitlines()
    assert len(lines) > 100 and len(latest_entries(small_disk)) == len(lines)
