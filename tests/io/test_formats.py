"""Formats of predictions, read back by the programs that they are for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

import posekit
from posekit.cli import main
from posekit.converting import convert
from posekit.drawing.overlay import draw_pose
from posekit.errors import InputError, OutputError
from posekit.io import Clip
from posekit.io.read_table import read_table
from posekit.io.sinks import Run, Sink, load_format
from posekit.io.write import ResultWriter
from posekit.openpose_form import BODY_25
from posekit.result import Pose3D, PoseResult
from posekit.skeleton import load_skeleton
from posekit.stages.packet import Packet
from tests.io.test_write import small_disk  # noqa: F401

CLIP = Clip("walk.mp4", "videos/walk.mp4", (640, 480), Fraction(30000, 1001), 3)
TABLES = ("csv", "parquet")
EVERY = (
    *(*TABLES, "coco", "coco_results", "controlnet", "json", "jsonl", "label_studio", "openpose"),
    "posekit",
)


def frame(number: int, n: int = 2, *, skeleton: str = "coco", lifted: bool = False) -> PoseResult:
    rng = np.random.default_rng(number)
    known = load_skeleton(skeleton)
    k = known.num_keypoints
    pose3d = None
    if lifted:
        pose3d = Pose3D(
            keypoints=rng.normal(size=(n, 17, 3)).astype(np.float32),
            keypoint_scores=rng.random((n, 17), dtype=np.float32),
            skeleton=load_skeleton("h36m"),
            unit="m",
            axes="x, y, z",
        )
    return PoseResult(
        keypoints=(480 * rng.random((n, k, 2))).astype(np.float32),
        keypoint_scores=(1.2 * rng.random((n, k))).astype(np.float32),
        boxes_xyxy=np.sort((480 * rng.random((n, 2, 2))).astype(np.float32), axis=1).reshape(n, 4),
        box_scores=rng.random(n, dtype=np.float32),
        skeleton=known,
        image_size=CLIP.size,
        name=CLIP.name,
        index=number,
        source=CLIP.source,
        frame_id=number,
        time=number / 29.97,
        track_ids=np.arange(n) + 5,
        pose3d=pose3d,
    )


def image(name: str, index: int = 0, **changes: object) -> PoseResult:
    still = dataclasses.replace(frame(index), frame_id=None, time=None, track_ids=None)
    return dataclasses.replace(still, name=name, source=name, index=index, **changes)  # type: ignore[arg-type]


def run_of(first: PoseResult) -> Run:
    pose3d = first.pose3d
    return Run(
        skeleton=first.skeleton,
        skeleton_3d=None if pose3d is None else pose3d.skeleton,
        models={"model": "rtmpose-m", "detector": "rtmdet-nano"},
        options={"track": "iou"},
    )


def write(folder: Path, results: list[PoseResult], formats: tuple[str, ...]) -> None:
    wanted = [load_format(name) for name in formats]
    with ResultWriter(folder, None, formats=wanted, run=run_of(results[0])) as writer:
        for result in results:
            writer.write(Packet(result, None if result.frame_id is None else CLIP, result.time))


@pytest.mark.parametrize("lifted", [False, True])
def test_parquet_is_read_back_bit_for_bit(tmp_path: Path, lifted: bool) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    results = [frame(0, lifted=lifted), frame(1, 0, lifted=lifted), frame(2, 1, lifted=lifted)]
    write(tmp_path, results, ("parquet",))
    table = pq.read_table(tmp_path / "walk.parquet")
    about = json.loads(table.schema.metadata[b"posekit"])
    assert (about["frames"], about["complete"]) == (3, True)
    assert about["fps"] == pytest.approx(29.97, abs=1e-3)
    assert about["models"]["model"] == "rtmpose-m"
    assert about["skeleton"]["names"][0] == "nose"
    rows = table.to_pylist()
    assert [row["instance"] for row in rows] == [0, 1, -1, 0]
    assert [row["track_id"] for row in rows] == [5, 6, None, 5]
    assert [row["frame_id"] for row in rows] == [0, 0, 1, 2]
    assert rows[2]["box_score"] is None and np.isnan(rows[2]["keypoints"]).all()
    people = [(results[0], 0), (results[0], 1), (results[2], 0)]
    for row, (result, number) in zip(rows[:2] + rows[3:], people, strict=True):
        assert np.float32(row["keypoints"]).tobytes() == result.keypoints[number].tobytes()
        assert np.float32(row["box_xyxy"]).tobytes() == result.boxes_xyxy[number].tobytes()
        assert row["time"] == result.time
        if result.pose3d is not None:
            found = np.float32(row["keypoints_3d"])
            assert found.tobytes() == result.pose3d.keypoints[number].tobytes()


@pytest.mark.parametrize("lifted", [False, True])
def test_parquet_is_read_back_by_polars(tmp_path: Path, lifted: bool) -> None:
    pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    results = [frame(0, lifted=lifted), frame(1, 0, lifted=lifted), frame(2, 1, lifted=lifted)]
    write(tmp_path, results, ("parquet",))
    table = polars.read_parquet(tmp_path / "walk.parquet")
    assert table["instance"].to_list() == [0, 1, -1, 0]
    people = table.filter(polars.col("instance") >= 0)
    assert people["track_id"].to_list() == [5, 6, 5]
    assert people["time"].to_list() == [results[i].time for i in (0, 0, 2)]
    expected = np.concatenate([result.keypoints.reshape(-1, 34) for result in results])
    assert people["keypoints"].to_numpy().tobytes() == expected.tobytes()
    scores = np.concatenate([result.keypoint_scores for result in results])
    assert people["keypoint_scores"].to_numpy().tobytes() == scores.tobytes()
    if lifted:
        poses = [result.pose3d for result in results]
        solid = np.concatenate([one.keypoints.reshape(-1, 51) for one in poses if one is not None])
        assert people["keypoints_3d"].to_numpy().tobytes() == solid.tobytes()


def test_csv_is_read_back_by_polars(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    results = [frame(0), frame(1, 0), frame(2, 1)]
    write(tmp_path, results, ("csv",))
    types = {"nose_x": polars.Float32, "nose_score": polars.Float32}
    people = polars.read_csv(tmp_path / "walk.csv", schema_overrides=types).filter(
        polars.col("instance") >= 0
    )
    expected = np.concatenate([result.keypoints[:, 0, 0] for result in results])
    assert people["nose_x"].to_numpy().tobytes() == expected.tobytes()
    scores = np.concatenate([result.keypoint_scores[:, 0] for result in results])
    assert people["nose_score"].to_numpy().tobytes() == scores.tobytes()


def test_csv_is_read_back_by_pandas(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    results = [frame(0), frame(1, 0), frame(2, 1)]
    write(tmp_path, results, ("csv",))
    table = pandas.read_csv(tmp_path / "walk.csv", dtype={"nose_x": np.float32})
    assert table["instance"].tolist() == [0, 1, -1, 0]
    people = table[table["instance"] >= 0]
    expected = np.concatenate([result.keypoints[:, 0, 0] for result in results])
    np.testing.assert_array_equal(people["nose_x"].to_numpy(), expected)
    about = json.loads((tmp_path / "walk.meta.json").read_text())
    assert (about["frames"], about["complete"]) == (3, True)
    frames = [result.to_dataframe() for result in results]
    assert [len(one) for one in frames] == [2, 0, 1]
    joined = pandas.concat(frames)
    assert list(joined.columns) == list(table.columns)
    np.testing.assert_array_equal(joined["nose_x"].to_numpy(np.float32), expected)


def test_images_of_a_run_are_in_one_table(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    with ResultWriter(tmp_path, None, formats=[load_format("csv")], run=run_of(frame(0))) as writer:
        writer.write(Packet(image("a.jpg", 0)))
        writer.skip("broken.jpg", "it is empty")
        writer.write(Packet(image("b.jpg", 2)))
    table = pandas.read_csv(tmp_path / "images.csv")
    assert table["name"].tolist()[:4] == ["a.jpg", "a.jpg", "b.jpg", "b.jpg"]
    assert table["error"].tolist()[4:] == ["it is empty"]
    assert table["source"].tolist()[4:] == ["broken.jpg"]


@pytest.mark.parametrize("name", TABLES)
def test_a_clip_that_breaks_off_says_so(name: str, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    with ResultWriter(tmp_path, None, formats=[load_format(name)], run=run_of(frame(0))) as writer:
        writer.skip(CLIP.source, "the file ends too early")
        writer.write(Packet(frame(0), CLIP))
    if name == "csv":
        about = json.loads((tmp_path / "walk.meta.json").read_text())
        assert (tmp_path / "walk.csv").read_text().endswith(",the file ends too early\n")
    else:
        table = pq.read_table(tmp_path / "walk.parquet")
        about = json.loads(table.schema.metadata[b"posekit"])
        assert table["error"].to_pylist()[-1] == "the file ends too early"
    assert about["complete"] is False


@pytest.mark.parametrize("name", [*TABLES, "coco", "coco_results", "controlnet"])
def test_a_file_has_its_name_when_it_is_finished(name: str, tmp_path: Path) -> None:
    form = load_format(name)
    path = tmp_path / form.file_name("walk.mp4", CLIP)
    sink = form.open_sink(path, CLIP, run_of(frame(0)))
    sink.write(Packet(frame(0), CLIP), None)
    assert not path.exists()
    sink.close(True)
    assert path.exists()
    assert not list(tmp_path.glob("*.part"))


def test_posekits_json_says_whether_it_is_complete(tmp_path: Path) -> None:
    form = load_format("posekit")
    sink = form.open_sink(tmp_path / "walk.json", CLIP, run_of(frame(0)))
    for number in range(2):
        sink.write(Packet(frame(number), CLIP), None)
        found = json.loads((tmp_path / "walk.json").read_text())
        assert found["complete"] is False
        assert len(found["instance_info"]) == number + 1
    sink.close(True)
    found = json.loads((tmp_path / "walk.json").read_text())
    assert found["complete"] is True
    assert found["meta_info"]["keypoint_id2name"]["0"] == "nose"
    assert found["about"]["models"]["detector"] == "rtmdet-nano"
    assert found["instance_info"][1]["time"] == pytest.approx(1 / 29.97)
    assert found["instance_info"][1]["instances"][0]["track_id"] == 5


def test_coco_is_read_by_pycocotools(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    first = image("000000000139.jpg", 0)
    results = [first, image("000000000285.jpg", 1)]
    write(tmp_path, results, ("coco", "coco_results"))
    found = coco.COCO(str(tmp_path / "predictions.coco.json"))
    assert [found.imgs[i]["file_name"] for i in (1, 2)] == [result.name for result in results]
    assert found.cats[1]["keypoints"][0] == "nose"
    assert min(min(link) for link in found.cats[1]["skeleton"]) == 1
    labels = found.loadAnns(found.getAnnIds(imgIds=[1]))
    triples = np.array(labels[0]["keypoints"]).reshape(-1, 3)
    seen = first.keypoint_scores[0] >= 0.3
    np.testing.assert_array_equal(triples[:, 2], np.where(seen, 2, 0))
    np.testing.assert_allclose(triples[seen, :2], first.keypoints[0, seen], atol=5.1e-4)
    assert not triples[~seen].any()
    assert labels[0]["num_keypoints"] == seen.sum()
    assert first.to_coco(1)[0]["bbox"] == labels[0]["bbox"]
    listed = json.loads((tmp_path / "predictions.coco_results.json").read_text())
    assert {one["image_id"] for one in listed} == {139, 285}
    found.dataset["images"] = [{"id": 139}, {"id": 285}]
    found.createIndex()
    assert len(found.loadRes(str(tmp_path / "predictions.coco_results.json")).anns) == len(listed)


def test_coco_is_read_by_datumaro(tmp_path: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    results = [image("a.jpg", 0), image("b.jpg", 1)]
    write(tmp_path / "annotations", results, ("coco",))
    # Its folders and names; it finds what a file is by them.
    labels = tmp_path / "annotations" / "predictions.coco.json"
    labels.rename(labels.with_name("person_keypoints_train.json"))
    (tmp_path / "images" / "train").mkdir(parents=True)
    found = datumaro.Dataset.import_from(str(tmp_path), "coco_person_keypoints")
    assert sorted(item.id for item in found) == ["a", "b"]
    for item, result in zip(sorted(found, key=lambda item: item.id), results, strict=True):
        people = [one for one in item.annotations if one.type.name == "points"]
        points = sorted(people, key=lambda one: one.id)
        assert len(points) == len(result)
        for number, one in enumerate(points):
            seen = result.keypoint_scores[number] >= 0.3
            assert [mark.value for mark in one.visibility] == np.where(seen, 2, 0).tolist()
            places = np.array(one.points).reshape(-1, 2)[seen]
            np.testing.assert_allclose(places, result.keypoints[number, seen], atol=5.6e-3)
    names = found.categories()[datumaro.AnnotationType.points].items[0].labels
    assert list(names) == list(results[0].skeleton.names)


def test_coco_names_frames_after_their_clip(tmp_path: Path) -> None:
    write(tmp_path, [frame(0), frame(1)], ("coco",))
    found = json.loads((tmp_path / "predictions.coco.json").read_text())
    assert [entry["file_name"] for entry in found["images"]] == [
        "walk/000000.jpg",
        "walk/000001.jpg",
    ]
    assert found["images"][1]["frame_id"] == 1
    assert found["annotations"][0]["track_id"] == 5
    assert found["complete"] is True


def test_coco_results_do_not_mix_two_kinds_of_ids(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"expected a number as the name .* found b\.jpg"):
        write(tmp_path, [image("17.jpg"), image("b.jpg", 1)], ("coco_results",))


def test_openpose_has_body_25(tmp_path: Path) -> None:
    halpe = dataclasses.replace(frame(0, 1, skeleton="halpe26"))
    write(tmp_path, [halpe], ("openpose",))
    path = tmp_path / "walk_openpose" / "walk_000000000000_keypoints.json"
    (person,) = json.loads(path.read_text())["people"]
    body = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
    names = halpe.skeleton.names
    for place, name in (
        (0, "nose"),
        (1, "neck"),
        (8, "hip"),
        (11, "right_ankle"),
        (24, "right_heel"),
    ):
        expected = halpe.keypoints[0, names.index(name)]
        np.testing.assert_allclose(body[place, :2], expected, atol=1e-3)
    assert body[:, 2].max() <= 1
    assert person["person_id"] == [5]
    assert [len(person[key]) for key in ("face_keypoints_2d", "hand_left_keypoints_2d")] == [
        210,
        63,
    ]


def test_openpose_is_read_back_by_pose_format(tmp_path: Path) -> None:
    openpose = pytest.importorskip("pose_format.utils.openpose")
    results = [frame(number, 2, skeleton="coco_wholebody") for number in range(4)]
    write(tmp_path, results, ("openpose",))
    width, height = CLIP.size
    pose = openpose.load_openpose_directory(
        str(tmp_path / "walk_openpose"), fps=29.97, width=width, height=height
    )
    assert pose.body.data.shape == (4, 2, 137, 2) and pose.body.fps == 29.97
    names = [point for part in pose.header.components for point in part.points]
    assert [len(part.points) for part in pose.header.components] == [25, 70, 21, 21]
    ours = results[0].skeleton.names
    for theirs, name in (
        ("Nose", "nose"),
        ("RWrist", "right_wrist"),
        ("LBigToe", "left_big_toe"),
        ("RHeel", "right_heel"),
    ):
        at, column = names.index(theirs), ours.index(name)
        for number, result in enumerate(results):
            found = np.asarray(pose.body.data[number, :, at])
            np.testing.assert_allclose(found, result.keypoints[:, column], atol=5.1e-5)
            sure = np.clip(result.keypoint_scores[:, column], 0, 1)
            np.testing.assert_allclose(pose.body.confidence[number, :, at], sure, atol=5.1e-5)
    for start, first in ((25, "face-0"), (95, "left_hand_root"), (116, "right_hand_root")):
        found = np.asarray(pose.body.data[:, :, start])
        expected = np.stack([result.keypoints[:, ours.index(first)] for result in results])
        np.testing.assert_allclose(found, expected, atol=5.1e-5)


def test_a_drawing_of_openposes_numbers_is_ours(tmp_path: Path) -> None:
    halpe = frame(0, 2, skeleton="halpe26")
    names = halpe.skeleton.names
    halpe.keypoint_scores[:, names.index("head")] = 0  # which BODY_25 does not have
    write(tmp_path, [halpe], ("openpose",))
    path = tmp_path / "walk_openpose" / "walk_000000000000_keypoints.json"
    people = json.loads(path.read_text())["people"]
    points = np.zeros_like(halpe.keypoints)
    scores = np.zeros_like(halpe.keypoint_scores)
    for row, person in enumerate(people):
        body = np.array(person["pose_keypoints_2d"], np.float32).reshape(25, 3)
        columns = [names.index(name) for name in BODY_25]
        points[row, columns], scores[row, columns] = body[:, :2], body[:, 2]
    canvas = np.zeros((CLIP.size[1], CLIP.size[0], 3), np.uint8)
    ours = draw_pose(canvas.copy(), halpe.keypoints, halpe.keypoint_scores, halpe.skeleton)
    theirs = draw_pose(canvas.copy(), points, scores, halpe.skeleton)
    assert ours.any()
    np.testing.assert_array_equal(theirs, ours)


def test_openpose_of_coco_has_a_neck_in_the_middle(tmp_path: Path) -> None:
    still = image("a.jpg", keypoint_scores=np.full((2, 17), 0.9, np.float32))
    write(tmp_path, [still], ("openpose", "controlnet"))
    person = json.loads((tmp_path / "a_keypoints.json").read_text())["people"][0]
    body = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
    np.testing.assert_allclose(body[1, :2], still.keypoints[0, 5:7].mean(axis=0), atol=1e-3)
    assert not body[19:].any()  # feet
    assert person["person_id"] == [-1]
    (canvas,) = json.loads((tmp_path / "a.controlnet.json").read_text())
    shares = np.array(canvas["people"][0]["pose_keypoints_2d"]).reshape(18, 3)
    assert (canvas["canvas_width"], canvas["canvas_height"]) == CLIP.size
    np.testing.assert_allclose(shares[0, :2] * CLIP.size, still.keypoints[0, 0], rtol=1e-5)


@pytest.mark.parametrize("name", ["openpose", "controlnet"])
def test_a_face_is_no_body(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"format {name} is for bodies: .*'wflw' has no nose"):
        ResultWriter(
            tmp_path / "predictions",
            tmp_path / "visualization",
            formats=[load_format(name)],
            run=Run(skeleton=load_skeleton("wflw")),
            crops=tmp_path / "crops",
        )
    assert not list(tmp_path.iterdir())


def test_inputs_of_one_name_keep_their_folders(tmp_path: Path) -> None:
    paths = [tmp_path / "in" / name for name in ("a/clip.mp4", "b/clip.mp4", "c.mp4")]
    out = tmp_path / "out"
    with ResultWriter(out, None, inputs=lambda: paths) as writer:
        for path in paths:
            clip = dataclasses.replace(CLIP, name=path.name, source=str(path))
            writer.write(Packet(frame(0), clip))
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.json"))
    assert found == ["a/clip.json", "b/clip.json", "c.json"]


@pytest.mark.parametrize("lifted", [False, True])
def test_a_table_becomes_every_other_format(tmp_path: Path, lifted: bool) -> None:
    pytest.importorskip("pyarrow")
    # Frames 3 to 6 could not be decoded.
    numbers = [(0, 2), (1, 0), (2, 1), (7, 2)]
    results = [
        dataclasses.replace(frame(number, n, lifted=lifted), index=index)
        for index, (number, n) in enumerate(numbers)
    ]
    write(tmp_path / "at_once", results, EVERY[:-1])
    write(tmp_path / "at_once2", results, ("posekit",))
    table = tmp_path / "at_once" / "walk.parquet"
    assert convert(table, formats=EVERY[:-1], out_dir=tmp_path / "later") == []
    assert convert(table, formats="posekit", out_dir=tmp_path / "later2") == []
    for first, second in (("at_once", "later"), ("at_once2", "later2")):
        files = sorted(p.relative_to(tmp_path / first) for p in (tmp_path / first).rglob("*.*"))
        assert files
        for file in files:
            one, other = (tmp_path / first / file, tmp_path / second / file)
            if file.suffix != ".parquet":  # whose bytes are pyarrow's
                assert one.read_bytes() == other.read_bytes(), file


def test_a_partial_table_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with ResultWriter(
        tmp_path, None, formats=[load_format("parquet")], run=run_of(frame(0))
    ) as writer:
        writer.skip(CLIP.source, "the file ends too early")
        writer.write(Packet(frame(0), CLIP))
    assert convert(tmp_path / "walk.parquet", formats="posekit") == [tmp_path / "walk.parquet"]
    assert json.loads((tmp_path / "walk.json").read_text())["complete"] is False


def test_what_cannot_be_converted_is_said_in_a_line(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    write(tmp_path, [frame(0)], ("parquet",))
    for name, message in (
        ("none.parquet", "no such file"),
        ("text.parquet", "is not a Parquet file"),
        ("other.parquet", "has no results"),
        ("walk.parquet.part", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            convert(tmp_path / name, formats="csv")
    with pytest.raises(InputError, match="a format must be one of"):
        convert(tmp_path / "walk.parquet", formats="xml")
    with pytest.raises(OutputError, match="it is one of the inputs"):
        convert(tmp_path / "walk.parquet", formats="parquet")


@pytest.mark.parametrize("name", [*TABLES, "coco", "posekit", "openpose"])
def test_a_full_disk_leaves_no_half_file(small_disk: Path, name: str) -> None:  # noqa: F811
    results = [frame(number, 6) for number in range(400)]
    with pytest.raises(OutputError, match="No space left"):
        write(small_disk, results, (name,))
    for path in small_disk.rglob("*.json"):
        json.loads(path.read_text())


def test_a_format_that_fails_at_its_end_too_keeps_nobody_waiting(tmp_path: Path) -> None:
    class Broken:
        def file_name(self, name: str, clip: Clip | None) -> str:
            return "broken"

        def open_sink(self, path: Path, clip: Clip | None, run: Run) -> Sink:
            return Never()

    class Never(Sink):
        def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
            raise ValueError("at once")

        def close(self, complete: bool) -> None:
            raise ValueError("again")

    with (
        pytest.raises(OutputError, match="at once"),
        ResultWriter(tmp_path, None, formats=[Broken()]) as writer,
    ):
        for number in range(100):
            writer.write(Packet(frame(number), CLIP))


def test_a_predictor_writes_several_formats(small: posekit.Predictor, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    formats = ["json", "csv", "coco", "parquet"]
    for _ in small.stream(tmp_path / "in", out_dir=tmp_path, formats=formats, on_error="skip"):
        pass
    predictions = tmp_path / "predictions"
    names = ["a.json", "b.json", "images.csv", "images.meta.json", "images.parquet"]
    assert sorted(path.name for path in predictions.iterdir()) == [*names, "predictions.coco.json"]
    rows = (predictions / "images.csv").read_text().splitlines()
    assert len(rows) == 4
    assert "broken.png" in rows[-1]
    about = json.loads((predictions / "images.meta.json").read_text())
    assert about["options"]["on_error"] == "skip"
    weights = Path(small.weights["model"])
    assert about["weights_sha256"] == {"model": hashlib.sha256(weights.read_bytes()).hexdigest()}
    kept = read_table(predictions / "images.parquet").run
    assert kept.weights_sha256 == about["weights_sha256"]
    labels = json.loads((predictions / "predictions.coco.json").read_text())
    assert [one["file_name"] for one in labels["images"]] == ["a.png", "b.png"]


def test_formats_that_do_not_exist_or_contradict(small: posekit.Predictor, tmp_path: Path) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    for options, message in (
        ({"formats": "xml"}, "a format must be one of"),
        ({"formats": []}, "formats is empty"),
        ({"formats": ["csv"], "pred_format": "jsonl"}, "leave one out"),
    ):
        with pytest.raises(InputError, match=message):
            small.stream(image, out_dir=tmp_path, **options)


def test_the_command_converts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    write(tmp_path, [frame(0)], ("parquet",))
    table = str(tmp_path / "walk.parquet")
    assert main(["convert", table, "format=csv", f"out_dir={tmp_path / 'out'}"]) == 0
    assert (tmp_path / "out" / "walk.csv").read_text().count("\n") == 3
    assert main(["convert", table]) == 1
    assert "formats is missing" in capsys.readouterr().err
    assert main(["convert", table, "colour=red"]) == 1
    assert "unknown option 'colour'" in capsys.readouterr().err
