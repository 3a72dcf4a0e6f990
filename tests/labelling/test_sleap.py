"""SLEAP's files, as sleap-io writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import posekit
from posekit.errors import InputError
from tests.labelling.test_cvat import write_clip
from tests.labelling.truth import NAMES, PEOPLE, check, draw, read

sio = pytest.importorskip("sleap_io")


def skeleton() -> Any:
    found = sio.Skeleton(
        list(NAMES), edges=[("nose", "left_hand"), ("nose", "right_hand")], name="p"
    )
    found.add_symmetry("left_hand", "right_hand")
    return found


def labels(video: Any, frames: dict[int, str], *, predicted: bool = False) -> Any:
    kind = skeleton()
    track = sio.Track("one")
    found = []
    for at, name in frames.items():
        people = []
        for person in (p for p in PEOPLE if p.image == name):
            points = np.array([(x, y) if v else (np.nan, np.nan) for x, y, v in person.points])
            of = sio.PredictedInstance if predicted else sio.Instance
            one = of.from_numpy(points, skeleton=kind, track=track if not people else None)
            for number, (_, _, v) in enumerate(person.points):
                one.points[number]["visible"] = v == 2
            people.append(one)
        found.append(sio.LabeledFrame(video=video, frame_idx=at, instances=people))
    return sio.Labels(found)


def test_pictures(tmp_path: Path) -> None:
    draw(tmp_path)
    video = sio.Video.from_filename([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    labels(video, {0: "a.png", 1: "b.png"}).save(str(tmp_path / "set.slp"))
    found = posekit.labels(tmp_path / "set.slp", out=tmp_path / "coco.json")
    content = check(tmp_path / "coco.json", boxes=False)
    assert content["categories"][0]["skeleton"] == [[1, 2], [1, 3]]
    assert content["categories"][0]["flip_pairs"] == [["left_hand", "right_hand"]]
    assert found.flip_pairs == {"p": [("left_hand", "right_hand")]}
    assert content["annotations"][0]["track_id"] == 0


def test_a_clip_gets_its_frames(tmp_path: Path) -> None:
    write_clip(tmp_path / "walk.mp4")
    video = sio.Video.from_filename(str(tmp_path / "walk.mp4"))
    labels(video, {0: "a.png", 3: "b.png"}).save(str(tmp_path / "set.slp"))
    posekit.labels(tmp_path / "set.slp", out=tmp_path / "coco.json")
    content = read(tmp_path / "coco.json")
    names = [image["file_name"] for image in content["images"]]
    assert names == ["coco_frames/walk/000000.jpg", "coco_frames/walk/000003.jpg"]
    assert [one["keypoints"][0] for one in content["annotations"]] == [50, 150, 100]


def test_embedded_frames(tmp_path: Path) -> None:
    write_clip(tmp_path / "walk.mp4")
    video = sio.Video.from_filename(str(tmp_path / "walk.mp4"))
    set_of_two = labels(video, {0: "a.png", 3: "b.png"})
    set_of_two.save(str(tmp_path / "set.pkg.slp"), embed=True)
    (tmp_path / "walk.mp4").unlink()
    posekit.labels(tmp_path / "set.pkg.slp", out=tmp_path / "coco.json")
    assert len(read(tmp_path / "coco.json")["annotations"]) == 3


def test_predictions_count_where_nobody_labelled(tmp_path: Path) -> None:
    draw(tmp_path)
    video = sio.Video.from_filename([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    labels(video, {0: "a.png", 1: "b.png"}, predicted=True).save(str(tmp_path / "set.slp"))
    found = posekit.labels(tmp_path / "set.slp", out=tmp_path / "coco.json")
    check(tmp_path / "coco.json", boxes=False)
    assert any("using predictions" in note for note in found.notes)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "set.slp"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match="cannot be read by sleap-io") as error:
        posekit.labels(path, out=tmp_path / "coco.json")
    assert "\n" not in str(error.value)


def test_sleap_ios_own_yolo_data_sets(tmp_path: Path) -> None:
    draw(tmp_path)
    video = sio.Video.from_filename([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    data = labels(video, {0: "a.png", 1: "b.png"})
    sio.save_ultralytics(data, str(tmp_path / "yolo"), split_ratios={"train": 1.0})
    found = posekit.labels(tmp_path / "yolo", out=tmp_path / "coco.json")
    assert list(found.categories.values()) == [NAMES]
    people = {
        tuple(one["keypoints"][:2]): one["keypoints"]
        for one in read(tmp_path / "coco.json")["annotations"]
    }
    for person in PEOPLE:  # pictures have other names there, and what is hidden is left out
        values = people[person.points[0][:2]]
        wanted = [
            value for x, y, v in person.points for value in ((x, y, 2) if v == 2 else (0,) * 3)
        ]
        np.testing.assert_allclose(values, wanted, atol=1e-3)
