"""A visitor's job from the file to the downloads, and the lines that do the same elsewhere."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("pyarrow")

from posekit.app.downloads import made, offers
from posekit.app.files import receive
from posekit.app.findings import find, rows_of
from posekit.app.jobs import Job, without_paths
from posekit.app.networks import Networks
from posekit.app.options import AppOptions
from posekit.app.recipes import command, python
from posekit.app.visits import Visit, Visits
from posekit.cli import main
from posekit.errors import InputError
from posekit.files import PACKAGED
from posekit.io.read_table import read_table

SAID = {"track": "iou", "draw": ["ids", "boxes"], "kpt_thr": 0.4}


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    found = Networks(AppOptions(model="demo"))
    yield found
    found.close()


@pytest.fixture
def visits() -> Iterator[Visits]:
    found = Visits(60)
    yield found
    found.close()


def sent(visits: Visits, path: Path) -> Visit:
    visit = visits.open(path.name, "somebody")
    own = visit.new_folder("source") / f"sent{path.suffix}"
    shutil.copyfile(path, own)
    receive(visit, own, path.name, 10**7)
    return visit


def done(visit: Visit, networks: Networks, said: dict[str, Any], seconds: float = 300) -> Job:
    job = visit.job = Job(visit, networks, "demo", said, seconds)
    job.start()
    job.join(300)
    assert not job.is_alive()
    return job


def test_a_clip_becomes_a_drawing_and_a_table_without_paths(
    visits: Visits, networks: Networks, clip: Path
) -> None:
    visit = sent(visits, clip)
    job = done(visit, networks, SAID)
    assert job.error == "" and job.outcome is not None and job.frames == job.total == 4
    outcome = job.outcome
    assert outcome.note == "" and outcome.drawing is not None and outcome.drawing.suffix == ".mp4"
    table = read_table(outcome.table)
    assert table.complete and table.frames == 4
    found = find(table, threshold=0.4)
    assert found.timed and rows_of(found)[0]["frames"] == 4
    fits = [offer.name for offer in offers(outcome) if not offer.refusal]
    assert {"csv", "json", "parquet", "coco", "openpose", "angles"} <= set(fits)
    assert "bvh" not in fits
    for name in ("csv", "jsonl", "coco", "parquet", "angles"):
        assert str(visits.root).encode() not in made(outcome, name).read_bytes()


def test_formats_that_do_not_fit_say_why(visits: Visits, networks: Networks) -> None:
    job = done(sent(visits, PACKAGED / "demo.jpg"), networks, {})
    assert job.outcome is not None
    refusals = {offer.name: offer.refusal for offer in offers(job.outcome)}
    assert "videos" in refusals["trc"] and refusals["csv"] == ""
    for name in ("../../secret", "trc"):
        with pytest.raises(InputError):
            made(job.outcome, name)


def test_the_time_limit_ends_a_clip_and_says_what_is_done(
    visits: Visits, networks: Networks, clip: Path
) -> None:
    job = done(sent(visits, clip), networks, {"track": "iou"}, seconds=1e-6)
    assert job.outcome is not None and 1 <= job.outcome.frames < 4
    assert job.outcome.note.startswith("Ended after 1e-06 seconds, the limit here: 1 frame")
    assert not read_table(job.outcome.table).complete


def test_who_leaves_stops_the_work_and_takes_the_files_along(
    visits: Visits, networks: Networks, clip: Path
) -> None:
    visit = sent(visits, clip)
    job = visit.job = Job(visit, networks, "demo", {}, 60)
    job.start()
    while not job.frames and job.is_alive():
        job.changed.wait(0.1)
        job.changed.clear()
    visits.leave(clip.name, "another")
    assert not visit.closed
    visits.leave(clip.name, "somebody")
    job.join(300)
    assert not job.is_alive() and not visit.folder.exists()
    assert visits.find(visit.number, "somebody") is None


def test_idle_visitors_are_forgotten() -> None:
    visits = Visits(3600)
    visit = visits.open("one", "somebody")
    visits.drop_idle()
    assert not visit.closed
    visit.used -= 3601
    visits.drop_idle()
    assert visit.closed and not visit.folder.exists()
    root = visits.root
    visits.close()
    assert not root.exists()


@pytest.mark.parametrize("how", ["shell", "python"])
def test_the_command_and_the_program_do_the_same(
    visits: Visits,
    networks: Networks,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    visit = sent(visits, clip)
    job = done(visit, networks, SAID)
    assert job.outcome is not None
    expected = [p.result for p in read_table(job.outcome.table).packets()]  # type: ignore[union-attr]
    shutil.copyfile(clip, tmp_path / clip.name)
    monkeypatch.chdir(tmp_path)
    if how == "shell":
        program, *words = shlex.split(command("demo", clip.name, SAID))
        assert program == "posekit" and main(words) == 0
    else:
        exec(python("demo", clip.name, SAID), {})
    assert (tmp_path / "out" / "visualization" / clip.name).stat().st_size > 0
    written = tmp_path / "out" / "predictions" / "a clip (1).json"
    frames = json.loads(written.read_text())
    assert len(frames) == len(expected)
    for frame, result in zip(frames, expected, strict=True):
        keypoints = [one["keypoints"] for one in frame["instances"]]
        np.testing.assert_allclose(keypoints, result.keypoints, atol=0.5)
        assert [one["track_id"] for one in frame["instances"]] == result.track_ids.tolist()


def test_messages_lose_paths_and_keep_addresses() -> None:
    said = "cannot read /of/visitor/12/clip.mp4: see https://a.example/b/c.html, D:\\clips\\a.txt"
    kept = "cannot read clip.mp4: see https://a.example/b/c.html, a.txt"
    assert without_paths(said) == kept
