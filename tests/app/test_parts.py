"""Names, sources, settings, figures: what needs neither a server nor a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("pyarrow")

from posekit.app import parts
from posekit.app.catalog import Catalog, Need, needed
from posekit.app.controls import NAMES, control, settings_of
from posekit.app.figures import figures, to_json
from posekit.app.findings import find
from posekit.app.media import read_source, shown, stored_name
from posekit.app.options import AppOptions
from posekit.checkpoints import CHECKPOINTS
from posekit.errors import InputError, UnknownModelError
from posekit.io.read_table import ResultTable, read_table
from posekit.io.sinks import Run, load_format
from posekit.io.video_writer import VideoWriter
from posekit.io.write import ResultWriter
from posekit.options import PredictOptions
from tests.animation.walker import Walk


def test_options_have_limits_and_stay_on_this_machine() -> None:
    options = AppOptions()
    assert (options.host, options.share, options.most_bytes) == ("127.0.0.1", False, 200_000_000)
    for wrong in ({"port": 0}, {"max_upload_mb": 0}, {"jobs": 0}, {"models": []}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            AppOptions.from_keywords(wrong)
    with pytest.raises(UnknownModelError, match="nobody"):
        AppOptions(models=["nobody"])


def test_all_models_with_poses_are_listed_by_task() -> None:
    catalog = Catalog()
    names = {catalog.row(name).name for of_task in catalog.tasks.values() for name in of_task}
    assert names == {row.name for row in CHECKPOINTS if row.task != "detection"}
    assert catalog.shown("rtmpose-m_body8-256x192") == "human"
    for foreign in ("/etc/passwd", "hf://a/b", "../model", "rtmdet-m_person-640", ""):
        with pytest.raises(UnknownModelError):
            catalog.row(foreign)


def test_what_has_to_be_downloaded_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSEKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert needed("rtmpose-n_drawn-192x128") == Need()
    need = needed("rtmpose-m_body8-256x192")
    assert need.size is not None and 100e6 < need.size < 200e6
    assert "about 153 MB: rtmpose-m_body8-256x192, rtmdet-m_person-640" in parts.what_is_needed(
        need
    )


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\me\\My clip (1).MP4", "My_clip_1.mp4"),
        (".htaccess", "htaccess"),
        ("поза.jpg", "file.jpg"),
        ("", "file"),
        ("a" * 300 + ".png", "a" * 80 + ".png"),
        ("x.jpg.exe", "x.jpg.exe"),
    ],
)
def test_stored_names_are_plain(name: str, stored: str) -> None:
    assert stored_name(name) == stored


def test_a_clip_that_browsers_do_not_play_is_shown_as_one_that_they_do(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, fps=10, size=(64, 48)) as video:
        for number in range(3):
            video.write(np.full((48, 64, 3), 40 * number, np.uint8))
    other = tmp_path / "a.avi"
    import av

    with av.open(str(other), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(3):
            image = np.full((48, 64, 3), 40 * number, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    clip = read_source(path, "a.mp4", max_pixels=10**6)
    assert (clip.kind, clip.size, clip.frames) == ("clip", (64, 48), 3)
    assert shown(clip, tmp_path) == path
    made = shown(read_source(other, "a.avi", max_pixels=10**6), tmp_path)
    assert made == tmp_path / "source.mp4"
    assert read_source(made, "it", max_pixels=10**6).frames == 3


def test_controls_are_made_of_the_declarations() -> None:
    declared = PredictOptions.declared()
    controls = {name: control(name) for name in NAMES}
    assert [one for one, _ in controls["smooth"].choices][1:] == list(declared["smooth"].choices)
    assert [one for one, _ in controls["draw"].choices] == list(declared["draw"].choices)
    values = [one.value for one in controls.values()]
    assert settings_of(values, pose3d=False, clip=True) == {"track": "iou"}
    assert settings_of(values, pose3d=False, clip=False) == {}


def test_settings_that_do_not_apply_are_left_out() -> None:
    values = dict.fromkeys(NAMES)
    values |= {"draw": ["ids", "boxes"], "skeleton_style": "openpose", "stride": 2.0}
    said = settings_of(list(values.values()), pose3d=False, clip=True)
    assert said == {"draw": ["ids", "boxes"], "skeleton_style": "openpose", "stride": 2}
    said = settings_of(list(values.values()), pose3d=True, clip=False)
    assert said == {"draw": ["boxes"]}


def walk_table(folder: Path, frames: int = 30) -> ResultTable:
    """The results of somebody who walks, in 3D."""
    packets = Walk(frames=frames).packets()
    first = packets[0].result
    assert first.pose3d is not None
    run = Run(skeleton=first.skeleton, skeleton_3d=first.pose3d.skeleton)
    with ResultWriter(folder, None, formats=[load_format("parquet")], run=run) as writer:
        for packet in packets:
            writer.write(packet)
    (path,) = folder.glob("*.parquet")
    return read_table(path)


def test_3d_results_have_angles_heights_and_a_view(tmp_path: Path) -> None:
    found = find(walk_table(tmp_path), threshold=0.0)
    drawn = json.loads(to_json(figures(found)))
    (angles,), (heights,) = drawn["angles"], drawn["heights"]
    knee = next(line for line in angles["data"] if line["name"] == "right knee")
    assert len(knee["x"]) == 30 and max(knee["y"]) - min(knee["y"]) > 10
    head = next(line for line in heights["data"] if line["name"] == "head")
    foot = next(line for line in heights["data"] if line["name"] == "right foot")
    assert np.mean(head["y"]) > np.mean(foot["y"])
    space = drawn["space"]
    assert len(space["frames"]) == len(space["times"]) == 30
    z = space["frames"][0][0]["points"][2]
    assert space["sides"][2][0] <= min(z) and max(z) <= space["sides"][2][1]


def test_names_of_visitors_are_escaped(tmp_path: Path) -> None:
    assert "<script>" not in parts.failed("<script>alert(1)</script>")
    assert "<script>" not in parts.recipe("x", "inputs=<script>.jpg")
