"""Each bridge's objects, read back by the library that they are for."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posekit.bridges import (
    fiftyone,
    movement,
    nwb,
    pose_format,
    rerun,
    sleap_io,
    supervision,
)
from posekit.errors import InputError
from posekit.openpose_form import BODY_25
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from tests.io.test_formats import frame, image

CLIP = [frame(0), frame(1, 0), frame(2, 1), frame(3)]
LIFTED = [frame(0, lifted=True), frame(1, 0, lifted=True), frame(2, 1, lifted=True)]


def test_key_points_of_supervision() -> None:
    sv = pytest.importorskip("supervision", minversion="0.29")
    found = list(supervision.to_keypoints(CLIP, kpt_thr=0.5))
    assert [len(one) for one in found] == [2, 0, 1, 2]
    first = found[0]
    assert first.xy.tobytes() == CLIP[0].keypoints.tobytes()
    assert first.keypoint_confidence.tobytes() == CLIP[0].keypoint_scores.tobytes()
    assert first.data["tracker_id"].tolist() == [5, 6]
    np.testing.assert_array_equal(first.visible, CLIP[0].keypoint_scores >= 0.5)
    picture = np.zeros((480, 640, 3), np.uint8)
    annotator = sv.EdgeAnnotator(edges=supervision.edges(CLIP[0].skeleton))
    assert annotator.annotate(picture.copy(), first).any()
    assert CLIP[0].to_supervision() == next(supervision.to_keypoints(CLIP[0]))


def test_detections_of_supervision_follow_tracks() -> None:
    sv = pytest.importorskip("supervision", minversion="0.29")
    found = list(supervision.to_detections(CLIP))
    assert [len(one) for one in found] == [2, 0, 1, 2]
    assert found[0].xyxy.tobytes() == CLIP[0].boxes_xyxy.tobytes()
    assert found[0].tracker_id.tolist() == [5, 6]
    picture = np.zeros((480, 640, 3), np.uint8)
    assert sv.TraceAnnotator().annotate(picture, found[0]) is not None
    assert next(supervision.to_detections(image("a.jpg"))).tracker_id is None


def test_a_dataset_of_xarray() -> None:
    pytest.importorskip("xarray")
    dataset = movement.to_dataset(CLIP)
    assert dataset.position.dims == ("time", "space", "keypoints", "individuals")
    nose = dataset.position.sel(keypoints="nose", individuals="track_6").values
    assert nose[3].tobytes() == CLIP[3].keypoints[1, 0].tobytes()
    assert np.isnan(nose[1:3]).all()
    np.testing.assert_array_equal(dataset.time.values, [result.time for result in CLIP])
    expected = {"source_software": "posekit", "ds_type": "poses", "time_unit": "seconds"}
    assert {key: dataset.attrs[key] for key in expected} == expected
    assert dataset.fps == pytest.approx(29.97)


@pytest.mark.slow  # its imports
def test_movement_takes_its_dataset(tmp_path: Path) -> None:
    pytest.importorskip("movement")
    from movement.filtering import filter_by_confidence
    from movement.io import load_poses, save_poses
    from movement.kinematics import compute_velocity
    from movement.validators.datasets import ValidPosesInputs

    dataset = movement.to_dataset(CLIP)
    ValidPosesInputs.validate(dataset)
    own = load_poses.from_numpy(
        dataset.position.values,
        dataset.confidence.values,
        individual_names=dataset.individuals.values.tolist(),
        keypoint_names=dataset.keypoints.values.tolist(),
        fps=dataset.fps,
        source_software="posekit",
    )
    assert (dataset.position.dims, dataset.attrs["ds_type"]) == (own.position.dims, "poses")
    np.testing.assert_allclose(dataset.time, own.time)
    assert dataset.drop_attrs().drop_vars("time").identical(own.drop_attrs().drop_vars("time"))
    nose = dataset.position.sel(keypoints="nose", individuals="track_6").values
    assert nose[3].astype(np.float32).tobytes() == CLIP[3].keypoints[1, 0].tobytes()
    assert np.isnan(nose[1:3]).all()
    assert compute_velocity(dataset.position).shape == dataset.position.shape
    filter_by_confidence(dataset.position, dataset.confidence, threshold=0.3)
    save_poses.to_dlc_file(dataset, tmp_path / "walk.h5", split_individuals=False)
    back = load_poses.from_dlc_file(tmp_path / "walk.h5", fps=dataset.fps)
    np.testing.assert_array_equal(back.position.values, dataset.position.values)
    space = movement.to_dataset(LIFTED, pose3d=True)
    ValidPosesInputs.validate(space)
    assert space.space.values.tolist() == ["x", "y", "z"]
    assert space.attrs["unit"] == "m"


@pytest.mark.slow
def test_sleap_io_reads_its_labels_back(tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    labels = sleap_io.to_labels(CLIP)
    sio.save_slp(labels, str(tmp_path / "walk.slp"), verbose=False)
    back = sio.load_slp(str(tmp_path / "walk.slp"))
    assert [track.name for track in back.tracks] == ["track_5", "track_6"]
    assert back.skeleton.node_names == list(CLIP[0].skeleton.names)
    assert back.skeleton.edge_inds == list(CLIP[0].skeleton.links)
    assert Path(back.video.filename).name == "walk.mp4"
    for result in CLIP:
        if len(result):
            found = back.find(back.video, result.frame_id)[0]
            for person, instance in enumerate(found.instances):
                points = instance.numpy(scores=True).astype(np.float32)
                assert points[:, :2].tobytes() == result.keypoints[person].tobytes()
                np.testing.assert_array_equal(points[:, 2], result.keypoint_scores[person])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["walk.analysis.h5", "walk.nwb"])
def test_sleap_io_writes_its_other_formats(name: str, tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    results = [frame(0), frame(1), frame(2)]  # its NWB has no frames without anybody
    labels = sleap_io.to_labels(results)
    save = sio.save_nwb if name.endswith(".nwb") else sio.save_analysis_h5
    save(labels, str(tmp_path / name))
    back = sio.load_file(str(tmp_path / name))
    assert len(back) == 3
    for result in results:
        points = np.stack([one.numpy() for one in back[result.frame_id].instances])
        np.testing.assert_array_equal(points.astype(np.float32), result.keypoints)


@pytest.mark.slow
def test_labels_of_images_and_of_clips() -> None:
    pytest.importorskip("sleap_io")
    labels = sleap_io.to_labels([image("a.jpg"), image("b.jpg", 1), *CLIP])
    assert [video.filename for video in labels.videos] == [["a.jpg", "b.jpg"], "videos/walk.mp4"]
    assert [one.frame_idx for one in labels.labeled_frames] == [0, 1, 0, 1, 2, 3]
    assert labels[0].instances[0].track is None


def test_nwb_is_read_by_pynwb(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    pytest.importorskip("ndx_pose")
    path = tmp_path / "walk.nwb"
    nwb.to_nwb(CLIP, path)
    with pynwb.NWBHDF5IO(path, "r") as io:
        file = io.read()
        poses = file.processing["behavior"]["track_6"]
        series = poses["right_knee"]
        place = CLIP[0].skeleton.names.index("right_knee")
        assert series.data[3].tobytes() == CLIP[3].keypoints[1, place].tobytes()
        assert series.confidence[3] == CLIP[3].keypoint_scores[1, place]
        assert np.isnan(series.data[1:3]).all()
        np.testing.assert_array_equal(series.timestamps[:], [one.time for one in CLIP])
        assert poses.skeleton.nodes[:].tolist() == list(CLIP[0].skeleton.names)
        assert poses.source_video.external_file[0] == "videos/walk.mp4"
        assert poses.source_software == "posekit"


@pytest.mark.slow
def test_nwb_is_read_by_movement(tmp_path: Path) -> None:
    load = pytest.importorskip("movement.io").load_poses
    nwb.to_nwb(CLIP, tmp_path / "walk.nwb")
    assert not pytest.importorskip("pynwb").validate(path=str(tmp_path / "walk.nwb"))
    read = load.from_nwb_file(tmp_path / "walk.nwb", pose_estimation_key="track_5")
    np.testing.assert_array_equal(
        read.position.sel(keypoints="nose").values[0, :, 0], nose(CLIP[0])
    )


def test_nwb_in_space_and_of_one_person(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    pytest.importorskip("ndx_pose")
    one = [result[:1] for result in LIFTED]
    nwb.to_nwb(one, tmp_path / "walk.nwb", pose3d=True)
    with pynwb.NWBHDF5IO(tmp_path / "walk.nwb", "r") as io:
        series = io.read().processing["behavior"]["PoseEstimation"]["root"]
        assert (series.data.shape, series.unit) == ((3, 3), "m")
    nwb.to_nwb([frame(0, 0)], tmp_path / "empty.nwb")
    with pynwb.NWBHDF5IO(tmp_path / "empty.nwb", "r") as io:
        assert list(io.read().processing["behavior"].data_interfaces) == ["Skeletons"]


def nose(result: PoseResult) -> np.ndarray:
    return result.keypoints[0, 0]


@pytest.mark.parametrize(
    ("skeleton", "components"),
    [
        ("coco", ["coco"]),
        ("halpe26", ["pose_keypoints_2d"]),
        ("coco_wholebody", ["BODY", "FACE", "LEFT_HAND", "RIGHT_HAND"]),
    ],
)
def test_pose_format_reads_its_file_back(
    skeleton: str, components: list[str], tmp_path: Path
) -> None:
    library = pytest.importorskip("pose_format")
    results = [frame(i, n, skeleton=skeleton) for i, n in enumerate((2, 0, 1))]
    with (tmp_path / "walk.pose").open("wb") as file:
        pose_format.to_pose(results).write(file)
    back = library.Pose.read((tmp_path / "walk.pose").read_bytes())
    assert [one.name for one in back.header.components] == components
    assert back.body.fps == pytest.approx(29.97)
    assert (back.header.dimensions.width, back.header.dimensions.height) == (640, 480)
    known = load_skeleton(skeleton)
    order = [known.names.index(one) for one in (BODY_25 if skeleton == "halpe26" else known.names)]
    assert back.body.data.shape == (3, 2, len(order), 2)
    assert back.body.data.data[0, 1].tobytes() == results[0].keypoints[1, order].tobytes()
    assert back.body.confidence[2, 0].tobytes() == results[2].keypoint_scores[0, order].tobytes()
    assert back.body.data.mask[1].all() and back.body.data.mask[2, 1].all()
    assert not back.body.data.mask[0].any()


def test_pose_formats_own_names_are_the_skeletons() -> None:
    pytest.importorskip("pose_format")
    known = load_skeleton("coco_wholebody")
    body, face, left, right = pose_format.to_pose(
        [frame(0, skeleton="coco_wholebody"), frame(1, skeleton="coco_wholebody")]
    ).header.components
    assert [*body.points, *face.points] == list(known.names[:91])
    # Its hands count joints as COCO-WholeBody does, from the root, four of each finger.
    assert len(left.points) == len(right.points) == 21
    assert known.names[91] == "left_hand_root" and known.names[112] == "right_hand_root"


def test_pose_format_says_what_it_cannot_keep(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("pose_format")
    late = dataclasses.replace(frame(2), time=3.0)
    pose_format.to_pose([frame(0), frame(1), late])
    assert "walk.mp4: frames are up to" in caplog.text
    with pytest.raises(InputError, match="expected several frames, found one: pass fps="):
        pose_format.to_pose(frame(0))
    assert pose_format.to_pose(frame(0), fps=25).body.fps == 25


def chunks(path: Path) -> dict[str, list[Any]]:
    """Rows of a recording, by the entity and what is logged."""
    reader = pytest.importorskip("rerun.chunk").RrdReader(str(path))
    rows: dict[str, list[Any]] = {}
    for chunk in reader.stream():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            rows.setdefault(f"{chunk.entity_path} {name}", []).extend(batch[name].to_pylist())
    return rows


@pytest.mark.slow
def test_rerun_reads_its_recording_back(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    rerun.to_rerun(LIFTED, tmp_path / "walk.rrd", kpt_thr=0)
    found = chunks(tmp_path / "walk.rrd")
    points = found["/image/5/keypoints Points2D:positions"]
    assert np.float32(points[0]).tobytes() == LIFTED[0].keypoints[0].tobytes()
    assert np.float32(points[1]).tobytes() == LIFTED[2].keypoints[0].tobytes()
    scores = found["/image/5/keypoints score"]
    assert np.float32(scores[0]).tobytes() == LIFTED[0].keypoint_scores[0].tobytes()
    solid = found["/space/6/keypoints Points3D:positions"]
    pose3d = LIFTED[0].pose3d
    assert pose3d is not None
    assert np.float32(solid[0]).tobytes() == pose3d.keypoints[1].tobytes()
    assert found["/image/6/box Clear:is_recursive"] == [[False]]  # who is gone disappears
    assert sorted(found["/image/5/keypoints frame"]) == [0, 1, 2]
    seconds = [one.total_seconds() for one in found["/image/5/keypoints time"]]
    assert max(seconds) == pytest.approx(2 / 29.97, abs=1e-6)
    assert found["/space ViewCoordinates:xyz"] == [[[3, 5, 1]]]  # right, forward, up
    (((first, second),),) = found["/ AnnotationContext:context"]
    assert second["class_description"]["info"]["label"] == "h36m"
    description = first["class_description"]
    names = [one["label"] for one in description["keypoint_annotations"]]
    assert names == list(LIFTED[0].skeleton.names)
    links = [tuple(one.values()) for one in description["keypoint_connections"]]
    assert links == list(LIFTED[0].skeleton.links)


@pytest.mark.slow
def test_rerun_leaves_out_what_is_not_seen(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    still = image("a.jpg", 3)
    rerun.to_rerun(still, tmp_path / "a.rrd", kpt_thr=0.5)
    found = chunks(tmp_path / "a.rrd")
    seen = still.keypoint_scores[0] >= 0.5
    np.testing.assert_array_equal(
        found["/image/0/keypoints Points2D:keypoint_ids"][0], np.flatnonzero(seen)
    )
    assert found["/image/0/keypoints frame"] == [3]
    assert "/image/0/keypoints time" not in found


@pytest.mark.slow
def test_samples_of_fiftyone() -> None:
    pytest.importorskip("fiftyone")
    (clip,) = fiftyone.to_samples(CLIP)
    assert clip.media_type == "video"
    found = clip.frames[1].poses.keypoints
    np.testing.assert_allclose(
        np.array(found[1].points) * (640, 480), CLIP[0].keypoints[1], rtol=1e-12
    )
    assert (found[1].index, found[1].confidence) == (6, CLIP[0].keypoint_scores[1].tolist())
    assert not clip.frames[2].poses.keypoints
    pictures = fiftyone.to_samples([image("a.jpg"), image("b.jpg", 1)], field="found")
    assert [Path(one.filepath).name for one in pictures] == ["a.jpg", "b.jpg"]
    assert pictures[0].found.keypoints[0].index is None
    assert fiftyone.to_skeleton(CLIP[0].skeleton).labels[0] == "nose"


@pytest.mark.parametrize(
    ("module", "make", "count"),
    [
        pytest.param(
            "sleap_io", sleap_io.to_labels, lambda found: len(found.tracks), marks=pytest.mark.slow
        ),
        ("pose_format", pose_format.to_pose, lambda pose: pose.body.data.shape[1]),
        ("xarray", movement.to_dataset, lambda dataset: dataset.sizes["individuals"]),
    ],
)
def test_nobody_in_any_frame(module: str, make: Any, count: Any) -> None:
    pytest.importorskip(module)
    assert count(make([frame(0, 0), frame(1, 0)])) == 0


@pytest.mark.parametrize(
    "make",
    [
        fiftyone.to_samples,
        movement.to_dataset,
        lambda results: nwb.to_nwb(results, "a.nwb"),
        pose_format.to_pose,
        rerun.to_rerun,
        sleap_io.to_labels,
        lambda results: next(supervision.to_keypoints(results)),
    ],
)
def test_a_missing_library_is_said_in_a_line(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fiftyone", "xarray", "ndx_pose", "pose_format", "rerun", "sleap_io"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match=r'import of .* halted.*; pip install "'):
        make(CLIP)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "make"), [("rerun", rerun.to_rerun), ("sleap_io", sleap_io.to_labels)]
)
def test_a_track_that_is_twice_in_a_frame(module: str, make: Any) -> None:
    pytest.importorskip(module)
    with pytest.raises(InputError, match=r"expected each track once .* found track_ids \[3, 3\]"):
        make(dataclasses.replace(CLIP[0], track_ids=np.array([3, 3])))
