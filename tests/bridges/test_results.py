"""What the bridges start from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from posekit.bridges.results import clip_arrays, read_results
from posekit.errors import InputError
from posekit.io.sinks import load_format
from posekit.io.write import ResultWriter
from posekit.packages import need
from posekit.stages.packet import Packet
from tests.io.test_formats import CLIP, frame, image, run_of, write


def test_a_table_gives_what_went_into_it(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    results = [frame(0), frame(1, 0), frame(2, 1)]
    write(tmp_path, results, ("parquet",))
    found = list(read_results(tmp_path / "walk.parquet"))
    assert [len(one) for one in found] == [2, 0, 1]
    assert found[0].keypoints.tobytes() == results[0].keypoints.tobytes()
    assert len(list(read_results(str(tmp_path / "walk.parquet")))) == 3


def test_a_table_that_is_not_complete_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("pyarrow")
    formats = [load_format("parquet")]
    with ResultWriter(tmp_path, None, formats=formats, run=run_of(frame(0))) as writer:
        writer.skip(CLIP.source, "the file ends too early")
        writer.write(Packet(frame(0), CLIP))
    assert len(list(read_results(tmp_path / "walk.parquet"))) == 1
    assert "walk.parquet is incomplete" in caplog.text
    assert "the file ends too early" in caplog.text


def test_one_result_is_enough() -> None:
    (found,) = read_results(frame(0))
    assert len(found) == 2


def test_people_are_where_they_were_seen() -> None:
    results = [frame(0), frame(1, 0), frame(2, 1)]
    clip = clip_arrays(iter(results))
    assert clip.people == ("track_5", "track_6")
    assert clip.fps == pytest.approx(29.97)
    np.testing.assert_array_equal(clip.times, [result.time for result in results])
    assert clip.keypoints[0, 1].tobytes() == results[0].keypoints[1].tobytes()
    assert clip.scores[2, 0].tobytes() == results[2].keypoint_scores[0].tobytes()
    assert np.isnan(clip.keypoints[1]).all() and np.isnan(clip.keypoints[2, 1]).all()
    assert clip.irregular_by < 1e-9


def test_frames_that_are_missing_have_nobody() -> None:
    clip = clip_arrays([frame(0), frame(2), frame(8)])
    np.testing.assert_allclose(clip.times, np.arange(5) * 2 / 29.97)
    assert clip.fps == pytest.approx(29.97 / 2)
    assert np.isfinite(clip.keypoints[:, 0, 0, 0]).tolist() == [True, True, False, False, True]


def test_3d_keypoints_have_their_own_skeleton() -> None:
    results = [frame(0, lifted=True), frame(1, lifted=True)]
    clip = clip_arrays(results, pose3d=True)
    assert clip.skeleton.name == "h36m"
    pose3d = results[1].pose3d
    assert pose3d is not None
    assert clip.keypoints[1, 0].tobytes() == pose3d.keypoints[0].tobytes()
    with pytest.raises(InputError, match="expected 3D keypoints, found none"):
        clip_arrays([frame(0)], pose3d=True)


def test_one_person_needs_no_tracking() -> None:
    alone = [dataclasses.replace(frame(i, 1), track_ids=None) for i in range(2)]
    assert clip_arrays(alone).people == ("individual_0",)
    two = dataclasses.replace(frame(2), track_ids=None)
    with pytest.raises(InputError, match="turn tracking on"):
        clip_arrays([*alone, two])
    with pytest.raises(InputError, match="track_ids in all results or in none"):
        clip_arrays([*alone, frame(2)])


def test_someone_is_twice_in_a_frame() -> None:
    twice = dataclasses.replace(frame(0), track_ids=np.array([3, 3]))
    with pytest.raises(InputError, match="expected each track once"):
        clip_arrays([twice])


def test_images_are_a_clip_where_that_is_said() -> None:
    pictures = [image(f"{number}.jpg", number)[:1] for number in range(3)]
    with pytest.raises(InputError, match=r"expected frames of a video, found 0\.jpg.*pass fps="):
        clip_arrays(pictures)
    clip = clip_arrays(pictures, fps=10)
    np.testing.assert_allclose(clip.times, [0, 0.1, 0.2])
    assert clip.fps == pytest.approx(10)
    with pytest.raises(InputError, match="expected images in order"):
        clip_arrays(pictures[::-1], fps=10)


def test_what_is_no_clip() -> None:
    other = dataclasses.replace(frame(1), name="run.mp4", source="videos/run.mp4")
    for results, message in (
        ([], "expected results, found none"),
        ([frame(0), frame(1, skeleton="halpe26")], "the same keypoints.* coco and halpe26"),
        ([frame(0), frame(1, lifted=True)], "the same keypoints"),
        (
            [frame(0), other],
            r"frames of one video in order, found walk\.mp4, frame 0, and then run",
        ),
        ([frame(1), frame(0)], "frame 1, and then walk.mp4, frame 0"),
        ([{"predictions": []}], "expected results as predictor.stream gives them, found dict"),
        ("missing.parquet", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            clip_arrays(results)  # type: ignore[arg-type]


def test_a_library_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match=r'No module named \'nothere\'; pip install "nothere>=1"'):
        need("nothere", "nothere>=1")
