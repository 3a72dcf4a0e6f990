"""BVH and NPZ, read back by the programs that they are for."""

from __future__ import annotations

import dataclasses
import re
import signal
import textwrap
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import posekit
from posekit.animation.feet import spans
from posekit.cli import main
from posekit.converting import convert
from posekit.errors import InputError, OutputError
from posekit.io.motion_options import MotionOptions
from posekit.io.sinks import Run, load_format
from posekit.io.video_writer import VideoWriter
from posekit.io.write import ResultWriter
from posekit.result import PoseResult
from posekit.stages.packet import Packet
from tests.animation.walker import STATURE, Walk
from tests.conftest import ROOT
from tests.io.test_formats import frame
from tests.io.test_write import small_disk  # noqa: F401
from tests.processes import run_python
from tests.stages.test_lift import lifter_of, small_network

BOTH = ("bvh", "npz")
WALK = Walk()


def run_for(result: PoseResult, **settings: object) -> Run:
    pose3d = result.pose3d
    return Run(
        skeleton=result.skeleton,
        skeleton_3d=None if pose3d is None else pose3d.skeleton,
        settings=MotionOptions(**settings),  # type: ignore[arg-type]
    )


def write(
    folder: Path, packets: Iterable[Packet], formats: Iterable[str] = BOTH, **settings: object
) -> None:
    packets = list(packets)
    settings = {"person_height": STATURE, "focal": WALK.focal, **settings}
    with ResultWriter(
        folder,
        None,
        formats=[load_format(name) for name in formats],
        run=run_for(packets[0].result, **settings),
    ) as writer:
        for packet in packets:
            writer.write(packet)


def load(folder: Path, person: int = 3) -> dict[str, np.ndarray]:
    with np.load(folder / f"walk_person{person}.npz", allow_pickle=False) as file:
        return dict(file)


def changed(packet: Packet, **changes: object) -> Packet:
    return dataclasses.replace(packet, result=dataclasses.replace(packet.result, **changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walked")
    write(folder, WALK.packets())
    return folder


def test_bvhio_has_our_joints(walked: Path) -> None:
    bvhio = pytest.importorskip("bvhio")
    data = load(walked)
    path = str(walked / "walk_person3.bvh")
    file = bvhio.readAsBvh(path)
    assert file.FrameCount == WALK.frames
    assert file.FrameTime == pytest.approx(1 / WALK.fps, abs=1e-7)
    root = bvhio.readAsHierarchy(path)
    joints = [joint for joint, _, _ in root.layout()]
    assert [joint.Name for joint in joints] == data["names"].tolist()
    for joint, parent in zip(joints, data["parents"], strict=True):
        assert parent < 0 or joint.Parent is joints[parent]
    for number in range(0, WALK.frames, 11):
        root.loadPose(number)
        found = np.array([[*joint.PositionWorld] for joint in joints])
        np.testing.assert_allclose(found, data["positions"][number], atol=1e-3)
    root.loadRestPose()
    rest = np.array([[*joint.PositionWorld] for joint in joints])
    for joint, parent in enumerate(data["parents"]):
        above = rest[parent] if parent >= 0 else 0
        np.testing.assert_allclose(rest[joint] - above, data["offsets"][joint], atol=1e-3)


@pytest.mark.slow
def test_blender_has_our_joints(walked: Path) -> None:
    bpy = pytest.importorskip("bpy")
    data = load(walked)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_anim.bvh(
        filepath=str(walked / "walk_person3.bvh"), global_scale=0.01, update_scene_fps=True
    )
    (figure,) = (one for one in bpy.data.objects if one.type == "ARMATURE")
    names = data["names"].tolist()
    assert sorted(bone.name for bone in figure.data.bones) == sorted(names)
    scene = bpy.context.scene
    assert scene.render.fps / scene.render.fps_base == pytest.approx(WALK.fps)
    curves = figure.animation_data.action.frame_range
    assert curves[1] - curves[0] == WALK.frames - 1
    for number in (0, 37, 99):
        scene.frame_set(number + 1)
        for name in ("Hips", "LeftHand", "RightFoot", "Head"):
            found = figure.matrix_world @ figure.pose.bones[name].head
            x, y, z = data["positions"][number, names.index(name)] / 100
            np.testing.assert_allclose([*found], [x, -z, y], atol=1e-4)


def test_npz_says_what_was_walked(walked: Path) -> None:
    data = load(walked)
    np.testing.assert_allclose(data["root_positions"], 100 * WALK.of("Hips"), atol=1)
    np.testing.assert_allclose(data["times"], WALK.time, atol=1e-9)
    np.testing.assert_array_equal(data["frame_ids"], np.arange(WALK.frames))
    assert (data["unit"], data["quaternion_order"], data["fps"]) == ("cm", "xyzw", WALK.fps)
    assert data["seen"].all() and data["complete"]
    assert (data["track_id"], data["person_height"], data["focal"]) == (3, STATURE, WALK.focal)
    for side, name in enumerate(("LeftFoot", "RightFoot")):
        ankle = data["positions"][:, data["names"].tolist().index(name)]
        for first, last in spans(data["contacts"][:, side]):
            assert np.ptp(ankle[first : last + 1], axis=0).max() < 0.1


def test_the_page_lists_every_array(walked: Path) -> None:
    page = (ROOT / "docs" / "animation.md").read_text(encoding="utf-8")
    for name in load(walked):
        assert f"`{name}`" in page


def test_the_pages_example_makes_the_joints(walked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "animation.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(walked)
    found: dict[str, Any] = {}
    exec(code.replace("out/predictions", "."), found)
    places = np.stack([found["places"][joint] for joint in range(17)], axis=1)
    np.testing.assert_allclose(places, load(walked)["positions"], atol=1e-3)


def test_people_have_files_and_places_of_their_own(tmp_path: Path) -> None:
    other = Walk(start=(1.0, -5.0), heading=-1.0)
    packets = []
    for packet, second in zip(WALK.packets(), other.results(), strict=True):
        first = packet.result
        both = {
            name: np.concatenate([getattr(first, name), getattr(second, name)])
            for name in ("keypoints", "keypoint_scores", "boxes_xyxy", "box_scores")
        }
        assert first.pose3d is not None and second.pose3d is not None
        solid = dataclasses.replace(
            first.pose3d,
            keypoints=np.concatenate([first.pose3d.keypoints, second.pose3d.keypoints]),
            keypoint_scores=np.ones((2, 17), np.float32),
        )
        packets.append(changed(packet, **both, track_ids=np.array([3, 12]), pose3d=solid))
    write(tmp_path, packets)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"walk_person{n}.{suffix}" for n in (12, 3) for suffix in BOTH]
    for person, walk in ((3, WALK), (12, other)):
        root = load(tmp_path, person)["root_positions"]
        np.testing.assert_allclose(root, 100 * walk.of("Hips"), atol=2)


def test_whole_bodies_have_hands_and_feet_that_turn(tmp_path: Path) -> None:
    walk = Walk(start=(-1.0, -7.0))
    clip = walk.clip
    packets = [Packet(result, clip, result.time) for result in walk.whole_body()]
    write(tmp_path, packets)
    data = load(tmp_path)
    names = data["names"].tolist()
    np.testing.assert_allclose(data["root_positions"], 100 * walk.of("Hips"), atol=3)
    joints = data["positions"] - data["root_positions"][:, None]
    true = 100 * (walk.joints - walk.of("Hips")[:, None])
    # Neck and head are other points of the body than those of `human3d`.
    same = [number for number, name in enumerate(names) if name not in ("Neck", "Head")]
    np.testing.assert_allclose(joints[:, same], true[:, same], atol=3)
    turned = data["rotations"][:, [names.index("LeftFoot"), names.index("RightHand")]]
    assert np.ptp(turned, axis=0).max(axis=-1)[0] > 0.1  # feet are level, shanks are not
    for side, name in enumerate(("LeftFoot", "RightFoot")):
        ankle = data["positions"][:, names.index(name)]
        for first, last in spans(data["contacts"][:, side]):
            assert np.ptp(ankle[first : last + 1], axis=0).max() < 0.1


def test_a_gap_is_filled_and_told(tmp_path: Path) -> None:
    packets = WALK.packets()
    nobody = [dataclasses.replace(packet, result=packet.result[:0]) for packet in packets]
    write(tmp_path, [*packets[:30], *nobody[30:36], *packets[36:80], *nobody[80:]])
    data = load(tmp_path)
    assert len(data["positions"]) == 80
    assert np.flatnonzero(~data["seen"]).tolist() == list(range(30, 36))
    np.testing.assert_allclose(data["root_positions"], 100 * WALK.of("Hips")[:80], atol=5)


def test_who_was_not_seen_but_filled_in_is_not_seen(tmp_path: Path) -> None:
    packets = WALK.packets()
    filled = [changed(packet, interpolated=np.array([True])) for packet in packets[10:15]]
    write(tmp_path, [*packets[:10], *filled, *packets[15:]])
    assert np.flatnonzero(~load(tmp_path)["seen"]).tolist() == list(range(10, 15))


def test_a_clip_of_a_varying_rate_keeps_its_times(tmp_path: Path) -> None:
    packets = [packet for packet in WALK.packets() if packet.result.frame_id % 3]  # type: ignore[operator]
    numbered = [changed(packet, frame_id=number) for number, packet in enumerate(packets)]
    write(tmp_path, numbered)
    data = load(tmp_path)
    assert data["times"][[0, -1]].tolist() == [0.04, 3.92]
    assert data["frame_ids"][:4].tolist() == [0, 1, -1, 2]
    np.testing.assert_allclose(data["root_positions"], 100 * WALK.of("Hips")[1:-1], atol=2)


@pytest.mark.parametrize("times", [[None] * 9, [0.0, 1e12] + [0.0] * 7, [np.nan] * 9, [0.0] * 9])
def test_times_that_are_none(times: list[float | None], tmp_path: Path) -> None:
    packets = [
        changed(packet, time=time) for packet, time in zip(WALK.packets()[:9], times, strict=True)
    ]
    write(tmp_path, packets)
    data = load(tmp_path)
    np.testing.assert_array_equal(data["frame_ids"], np.arange(9))
    np.testing.assert_allclose(data["times"], np.arange(9) / WALK.fps)


@pytest.mark.parametrize("root", ["moving", "fixed"])
def test_somebody_who_is_seen_once(root: str, tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio")
    write(tmp_path, WALK.packets()[:1], root=root)
    assert load(tmp_path)["positions"].shape == (1, 17, 3)
    assert bvhio.readAsBvh(str(tmp_path / "walk_person3.bvh")).FrameCount == 1


def test_a_clip_with_nobody_has_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    packets = [dataclasses.replace(packet, result=packet.result[:0]) for packet in WALK.packets()]
    write(tmp_path, packets)
    assert not list(tmp_path.iterdir())
    assert "format bvh: nobody was found in walk.mp4, so there is no file" in caplog.text


def test_what_is_assumed_and_mended_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packets = WALK.packets()
    pose = packets[20].result.pose3d
    assert pose is not None
    mirrored = pose.keypoints[:, pose.skeleton.flip_indices]
    packets[20] = changed(packets[20], pose3d=dataclasses.replace(pose, keypoints=mirrored))
    write(tmp_path, packets, person_height=None, focal=None)
    assert [record.getMessage() for record in caplog.records] == [
        "assumed for bvh, npz: person_height=1.75 (metres) and a focal length of the image's "
        "larger side (focal=)",
        "format npz: person 3 of walk.mp4: left and right were swapped in 1 frames",
        "format bvh: person 3 of walk.mp4: left and right were swapped in 1 frames",
    ]
    assert load(tmp_path)["focal"] == 1280
    assert np.flatnonzero(load(tmp_path)["exchanged"]).tolist() == [20]


def test_a_clip_that_breaks_off_is_marked(tmp_path: Path) -> None:
    packets = WALK.packets()[:20]
    run = run_for(packets[0].result, person_height=STATURE)
    with ResultWriter(
        tmp_path, None, formats=[load_format(name) for name in BOTH], run=run
    ) as writer:
        writer.skip("walk.mp4", "the file ends too early")
        for packet in packets:
            writer.write(packet)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["walk_person3.bvh.part", "walk_person3.npz"]
    assert not load(tmp_path)["complete"]
    assert (tmp_path / names[0]).read_text().count("\n") > 20


@pytest.mark.parametrize("name", BOTH)
def test_a_full_disk_leaves_no_half_file(name: str, small_disk: Path) -> None:  # noqa: F811
    walk = Walk(frames=900)
    with pytest.raises(OutputError, match="No space left"):
        write(small_disk, walk.packets(), [name])
    assert not [path for path in small_disk.iterdir() if path.suffix != ".part"]


@pytest.mark.parametrize("name", BOTH)
def test_a_disk_that_is_full_at_the_end_leaves_no_half_file(
    name: str,
    small_disk: Path,  # noqa: F811
) -> None:
    walk = Walk(frames=350)  # whose rows have room, and the files do not
    with pytest.raises(OutputError, match="No space left"):
        write(small_disk, walk.packets(), [name])
    assert not [path for path in small_disk.iterdir() if path.suffix != ".part"]


def test_a_killed_run_leaves_nothing(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from posekit.io.sinks import Run, load_format
        from tests.animation.walker import Walk
        packets = Walk().packets()
        result = packets[0].result
        run = Run(skeleton=result.skeleton, skeleton_3d=result.pose3d.skeleton)
        for name in {BOTH}:
            form = load_format(name)
            path = Path({str(tmp_path)!r}) / form.file_name("walk.mp4", packets[0].clip)
            sink = form.open_sink(path, packets[0].clip, run)
            for packet in packets:
                sink.write(packet, None)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = run_python("-c", script, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", BOTH)
def test_models_that_cannot_fill_it_are_refused(name: str, tmp_path: Path) -> None:
    for result, message in (
        (frame(0), "found 2D keypoints of 'coco' only"),
        (frame(0, skeleton="wflw"), "found 2D keypoints of 'wflw' only"),
    ):
        with pytest.raises(InputError, match=f"format {name}: expected a model .* {message}"):
            ResultWriter(tmp_path, None, formats=[load_format(name)], run=run_for(result))


def test_images_have_no_movement(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    results = [dataclasses.replace(one, frame_id=None, time=None) for one in WALK.results()[:3]]
    write(tmp_path, [Packet(result) for result in results], ["bvh"])
    assert not list(tmp_path.iterdir())
    assert caplog.text.count("images get no file") == 1


class TestLater:
    def test_parquet_gives_the_same_animation(self, walked: Path, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        write(tmp_path, WALK.packets(), ["parquet"])
        table = str(tmp_path / "walk.parquet")
        settings = [f"person_height={STATURE}", f"focal={WALK.focal}"]
        assert main(["convert", table, "formats=[bvh,npz]", *settings]) == 0
        for suffix in BOTH:
            path = f"walk_person3.{suffix}"
            assert (tmp_path / path).read_bytes() == (walked / path).read_bytes()
        convert(table, formats="npz", out_dir=tmp_path / "small", person_height=STATURE / 2)
        assert np.ptp(load(tmp_path / "small")["positions"][0, :, 1]) < 0.55 * 100 * STATURE

    def test_people_without_ids_are_tracked(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        pytest.importorskip("pyarrow")
        unknown = [changed(packet, track_ids=None) for packet in WALK.packets()[:3]]
        write(tmp_path, unknown, ["parquet"])
        convert(tmp_path / "walk.parquet", formats="bvh")
        assert "using track=iou" in caplog.text
        assert (tmp_path / "walk_person0.bvh").is_file()

    def test_what_it_refuses(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        still = [
            Packet(dataclasses.replace(one.result, frame_id=None, track_ids=None))
            for one in WALK.packets()[:3]
        ]
        write(tmp_path / "b", still, ["parquet"])
        with pytest.raises(InputError, match=r"format npz is for videos, .* is of images"):
            convert(tmp_path / "b" / "images.parquet", formats=["csv", "npz"])
        with pytest.raises(InputError, match="person_height must be a number above 0"):
            convert(tmp_path / "b" / "images.parquet", formats="csv", person_height=-1)
        with pytest.raises(InputError, match="root must be one of moving, fixed"):
            convert(tmp_path / "b" / "images.parquet", formats="csv", root="flying")


class TestPredictor:
    @pytest.fixture
    def lifting(self, small: posekit.Predictor) -> posekit.Predictor:
        return posekit.Predictor(small.estimator, lifter=lifter_of(small_network()))

    @pytest.fixture
    def clip(self, tmp_path: Path) -> Path:
        noise = np.random.default_rng(0).integers(0, 255, (128, 160, 3), np.uint8)
        with VideoWriter(tmp_path / "in.mp4", fps=Fraction(25), size=(160, 128)) as video:
            for _ in range(4):
                video.write(noise)
        return tmp_path / "in.mp4"

    def test_people_are_tracked_unasked(
        self,
        lifting: posekit.Predictor,
        clip: Path,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        boxes = [[[10, 10, 70, 120], [90, 10, 150, 120]]] * 4
        found = list(
            lifting.stream(clip, bboxes=boxes, out_dir=tmp_path, formats=["bvh", "npz", "json"])
        )
        assert "format bvh needs track ids: using track=iou" in caplog.text
        ids = found[0].track_ids
        assert ids is not None
        names = {path.name for path in (tmp_path / "predictions").iterdir()}
        people = {f"in_person{i}.{suffix}" for i in ids.tolist() for suffix in BOTH}
        assert names == {"in.json", *people}
        assert len(people) == 4

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"track": "none"}, "format bvh needs track ids, but track is 'none'"),
            ({"formats": ["csv", "bvh"], "track": "none"}, "format bvh needs"),
            ({"person_height": 18}, "person_height must be a number above 0 and at most 3"),
            ({"focal": 0}, "focal must be a number above 0"),
        ],
    )
    def test_what_is_refused_before_anything_runs(
        self,
        lifting: posekit.Predictor,
        clip: Path,
        tmp_path: Path,
        options: dict[str, Any],
        message: str,
    ) -> None:
        with pytest.raises(InputError, match=message):
            lifting.stream(clip, out_dir=tmp_path / "out", **{"formats": "bvh", **options})
        assert not (tmp_path / "out").exists()

    def test_images_and_2d_models_are_refused_before_anything_runs(
        self, lifting: posekit.Predictor, small: posekit.Predictor, clip: Path, tmp_path: Path
    ) -> None:
        image = np.zeros((9, 9, 3), np.uint8)
        with pytest.raises(InputError, match="format npz is for videos, whose frames have times"):
            lifting.stream([image, image], out_dir=tmp_path, formats=["json", "npz"])
        with pytest.raises(InputError, match="format npz: expected a model that gives 3D"):
            small.stream(clip, out_dir=tmp_path, formats=["json", "npz"])
        with pytest.raises(InputError, match="root='fixed' applies to 3D models only"):
            small.stream(clip, out_dir=tmp_path, root="fixed")
