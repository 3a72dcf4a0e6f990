"""TRC, MOT and tables of angles: files of people over time, read back by other programs."""

from __future__ import annotations

import csv
import logging
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

import posekit
from posekit.biomechanics import MARKERS, markers_of
from posekit.cli import main
from posekit.errors import InputError, OutputError
from posekit.io.motion_options import MotionOptions
from posekit.io.sinks import Run, load_format
from posekit.io.write import ResultWriter
from posekit.options import PredictOptions
from posekit.skeleton import Skeleton, load_skeleton
from posekit.stages.packet import Packet
from tests.conftest import ROOT
from tests.io.test_write import small_disk  # noqa: F401
from tests.people import CLIP, HALPE, LIMB, figure, packet
from tests.test_stream import make_video

COCO, H36M = load_skeleton("coco"), load_skeleton("h36m")
ALL = ("trc", "mot", "angles")
ALL_FORMATS = (*ALL, "coco", "csv", "jsonl", "parquet", "posekit")
# Of the made-up person, of the parts that tell it: the heel is at the ankle.
HEIGHT = 4 * LIMB / (0.039 + 0.246 + 0.245 + 0.288)


def walking(number: int) -> np.ndarray:
    swing = 30 * np.sin(2 * np.pi * number / 30)
    return figure(thigh=-90 + swing, shank=-90 + swing - 20) + [2.0 * number, 0]


def write(
    folder: Path,
    packets: Iterable[Packet],
    formats: Iterable[str] = ALL,
    *,
    skeleton: Skeleton = HALPE,
    skeleton_3d: Skeleton | None = None,
    **body: object,
) -> None:
    run = Run(skeleton=skeleton, skeleton_3d=skeleton_3d, settings=MotionOptions(**body))  # type: ignore[arg-type]
    wanted = [load_format(name) for name in formats]
    with ResultWriter(folder, None, formats=wanted, run=run) as writer:
        for one in packets:
            writer.write(one)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_trc(path: Path) -> tuple[list[list[str]], list[str], np.ndarray, np.ndarray]:
    """The header's rows, the markers, times (T,) and positions (T, M, 3)."""
    lines = path.read_text().split("\n")
    assert lines[5] == "" and lines[-1] == ""
    header = [line.split("\t") for line in lines[:5]]
    cells = [line.split("\t") for line in lines[6:-1]]
    numbers = np.array([[float(cell or "nan") for cell in row] for row in cells])
    markers = [name for name in header[3][2:] if name]
    return header, markers, numbers[:, 1], numbers[:, 2:].reshape(len(cells), -1, 3)


def read_mot(path: Path) -> tuple[dict[str, str], np.ndarray]:
    """The header, and a record array of the rows."""
    head, _, body = path.read_text().partition("endheader\n")
    first, *pairs = head.split("\n")
    header = {"": first, **dict(pair.split("=") for pair in pairs if pair)}
    labels, *rows = [line.split("\t") for line in body.splitlines()]
    kinds = [(label, float) for label in labels]
    return header, np.array([tuple(map(float, row)) for row in rows], kinds)


def read_angles(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_trc_has_what_opensim_expects(tmp_path: Path) -> None:
    write(tmp_path, [packet(number, {2: walking(number)}) for number in range(40)], ["trc"],
          pixels_per_metre=100)  # fmt: skip
    assert names_in(tmp_path) == ["walk_person02.trc"]
    header, markers, times, found = read_trc(tmp_path / "walk_person02.trc")
    assert header[0] == ["PathFileType", "4", "(X/Y/Z)", "walk_person02.trc"]
    assert header[1] == [
        "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate",
        "OrigDataStartFrame", "OrigNumFrames",
    ]  # fmt: skip
    assert header[2] == ["30", "30", "40", "22", "m", "30", "0", "40"]
    assert header[3][:6] == ["Frame#", "Time", "Hip", "", "", "RHip"]
    assert header[4][:6] == ["", "", "X1", "Y1", "Z1", "X2"] and header[4][-1] == "Z22"
    assert markers == list(MARKERS)
    np.testing.assert_allclose(times, np.arange(40) / 30, rtol=1e-8)
    for marker, name in (("RBigToe", "right_big_toe"), ("Neck", "neck"), ("LWrist", "left_wrist")):
        points = np.stack([walking(number)[HALPE.names.index(name)] for number in range(40)])
        expected = np.column_stack([points[:, 0], 480 - points[:, 1], np.zeros(40)]) / 100
        np.testing.assert_allclose(found[:, markers.index(marker)], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "rate"), [([0, 4, 5, 6], "30"), ([0, 3, 6, 9], "10"), ([7], "30")]
)
def test_the_rate_is_of_the_frames_that_are_there(
    numbers: list[int], rate: str, tmp_path: Path
) -> None:
    write(tmp_path, [packet(number, {0: walking(number)}) for number in numbers], ["trc"])
    header, _, times, _ = read_trc(tmp_path / "walk_person00.trc")
    assert (header[2][0], header[2][1]) == (rate, "30")
    np.testing.assert_allclose(times, np.array(numbers) / 30, rtol=1e-8)


def test_gaps_are_empty_or_interpolated_up_to_a_length(tmp_path: Path) -> None:
    away = {*range(10, 13), *range(20, 28)}
    packets = [
        packet(
            number,
            {} if number in away else {0: walking(number)},
            unseen={0: ("left_wrist",) if number == 5 else ()},
        )
        for number in range(40)
    ]
    write(tmp_path / "empty", packets, ["trc"])
    write(tmp_path / "filled", packets, ["trc"], max_gap=3)
    _, markers, times, empty = read_trc(tmp_path / "empty" / "walk_person00.trc")
    assert len(times) == 40
    wrist, hip = markers.index("LWrist"), markers.index("Hip")
    assert wrist == 21  # the last one, where a row would be too short
    assert np.isnan(empty[5, wrist]).all() and not np.isnan(empty[5, hip]).any()
    assert sorted(np.flatnonzero(np.isnan(empty[:, hip, 0]))) == sorted(away)
    _, _, _, found = read_trc(tmp_path / "filled" / "walk_person00.trc")
    assert sorted(np.flatnonzero(np.isnan(found[:, hip, 0]))) == list(range(20, 28))
    np.testing.assert_allclose(found[5, wrist], (empty[4, wrist] + empty[6, wrist]) / 2, atol=1e-6)
    expected = empty[9, hip] + (empty[13, hip] - empty[9, hip]) * np.arange(1, 4)[:, None] / 4
    np.testing.assert_allclose(found[10:13, hip], expected, atol=1e-6)
    text = (tmp_path / "empty" / "walk_person00.trc").read_text().split("\n")[6 + 10]
    assert text == "10\t0.333333333" + "\t" * 66 + "nan"


def test_metres_follow_from_a_person_s_height(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    near = [packet(number, {0: 2 * walking(number), 1: walking(number)}) for number in range(30)]
    write(tmp_path / "tall", near, ["trc"], person_height=1.8, floor=400)
    assert not caplog.records
    write(tmp_path / "guess", near, ["trc"])
    assert [record.getMessage() for record in caplog.records] == [
        "assumed for trc: that everybody is 1.75 m tall; set person_height= or pixels_per_metre="
    ]
    for folder, metres in (("tall", 1.8), ("guess", 1.75)):
        for track in (0, 1):  # one twice as large in the image
            _, markers, _, found = read_trc(tmp_path / folder / f"walk_person{track:02d}.trc")
            knee, ankle = (found[:, markers.index(name)] for name in ("RKnee", "RAnkle"))
            shank = np.linalg.norm(knee - ankle, axis=1)
            np.testing.assert_allclose(shank, LIMB * metres / HEIGHT, rtol=1e-5)
    _, markers, _, found = read_trc(tmp_path / "tall" / "walk_person01.trc")
    np.testing.assert_allclose(found[0, 0, 1], (400 - 300) * 1.8 / HEIGHT, rtol=1e-5)


def test_3d_keypoints_fill_z_with_a_right_hand(tmp_path: Path) -> None:
    solid = np.column_stack(
        [-figure(H36M)[:, 0] / 100, np.arange(17) / 100, -figure(H36M)[:, 1] / 100]
    )  # x to the left, y away, z up
    packets = [packet(n, {0: figure(COCO)}, skeleton=COCO, solid={0: solid}) for n in (0, 1, 3, 4)]
    packets.insert(2, packet(2, {}, skeleton=COCO))
    write(tmp_path, packets, ALL, skeleton=COCO, skeleton_3d=H36M)
    _, markers, _, found = read_trc(tmp_path / "walk_person00.trc")
    assert markers == list(markers_of(H36M)) and "RBigToe" not in markers
    for marker, name in (("Hip", "root"), ("RAnkle", "right_foot"), ("LWrist", "left_wrist")):
        x, y, z = solid[H36M.names.index(name)]
        np.testing.assert_allclose(found[0, markers.index(marker)], [-x, z, -y], atol=1e-6)
    write(tmp_path / "tall", packets, ["trc"], skeleton=COCO, skeleton_3d=H36M, person_height=1.8)
    _, _, _, scaled = read_trc(tmp_path / "tall" / "walk_person00.trc")
    np.testing.assert_allclose(scaled, found * (scaled[0, 0, 1] / found[0, 0, 1]), atol=1e-5)


def test_mot_has_angles_without_gaps_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packets = [
        packet(
            number,
            {} if number in (10, 11) else {0: figure(arm=-90 + 9 * number)},
            unseen={0: ("left_big_toe",)},
        )
        for number in range(60)
    ]
    write(tmp_path, packets, ["mot"], angles=["arm", "ankle"])
    header, rows = read_mot(tmp_path / "walk_person00.mot")
    assert header == {
        "": "walk_person00", "version": "1", "nRows": "60", "nColumns": "4", "inDegrees": "yes",
    }  # fmt: skip
    # The ankle of which no toe is ever seen is left out.
    assert rows.dtype.names == ("time", "right_ankle", "right_arm", "left_arm")
    np.testing.assert_allclose(rows["time"], np.arange(60) / 30, rtol=1e-8)
    np.testing.assert_allclose(rows["left_arm"], -90 + 9 * np.arange(60), atol=1e-3)
    assert [record.getMessage() for record in caplog.records] == [
        "walk.mp4: 6 of 180 angles were not seen and are interpolated in the mot files; format "
        "angles leaves them empty"
    ]


def test_angles_are_rows_of_people_and_frames(tmp_path: Path) -> None:
    packets = [
        packet(0, {0: figure(thigh=0, shank=-90), 4: figure()}),
        packet(1, {}),
        packet(2, {4: figure(shank=-150)}, unseen={4: ("right_knee",)}),
    ]
    write(tmp_path, packets, ["angles"], angles="knee")
    rows = read_angles(tmp_path / "walk.angles.csv")
    assert [row["track_id"] for row in rows] == ["0", "4", "", "4"]
    assert [row["instance"] for row in rows] == ["0", "1", "-1", "0"]
    assert [row["right_knee"] for row in rows] == ["90.0", "0.0", "", ""]
    assert float(rows[3]["left_knee"]) == pytest.approx(60, abs=1e-4)
    assert [float(row["time"]) for row in rows] == pytest.approx([0, 0, 1 / 30, 2 / 30])


def test_angles_of_images_are_in_one_file(tmp_path: Path) -> None:
    def image(name: str, index: int) -> Packet:
        found = packet(index, {0: figure(shank=-120)}, ids=False).result
        changes = {"frame_id": None, "time": None, "name": name}
        return Packet(found).having(**changes)

    write(tmp_path, [image("a.jpg", 0), image("b.jpg", 1)], ["angles"])
    rows = read_angles(tmp_path / "images.angles.csv")
    assert [row["name"] for row in rows] == ["a.jpg", "b.jpg"]
    assert float(rows[1]["left_knee"]) == pytest.approx(30, abs=1e-4)


def test_a_person_in_one_frame_and_a_clip_with_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    people: list[Mapping[int, np.ndarray]] = [
        {0: figure()},
        {0: figure(), 12: figure()},
        {0: figure()},
    ]
    write(tmp_path / "one", [packet(n, one) for n, one in enumerate(people)], person_height=1.7)
    header, _, times, _ = read_trc(tmp_path / "one" / "walk_person12.trc")
    assert header[2] == ["30", "30", "1", "22", "m", "30", "1", "1"]
    assert times.tolist() == pytest.approx([1 / 30])
    assert len(read_mot(tmp_path / "one" / "walk_person12.mot")[1]) == 1
    write(tmp_path / "none", [packet(number, {}) for number in range(3)], person_height=1.7)
    assert names_in(tmp_path / "none") == ["walk.angles.csv"]
    assert {record.getMessage() for record in caplog.records} == {
        "walk.mp4: nobody was found, so there is no trc file",
        "walk.mp4: nobody was found, so there is no mot file",
    }


def test_a_person_whose_limbs_are_not_seen_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unseen = {0: tuple(name for name in HALPE.names if name != "nose")}
    packets = [packet(number, {0: figure()}, unseen=unseen) for number in range(3)]
    write(tmp_path / "height", packets, ["trc", "mot"], person_height=1.7)
    assert names_in(tmp_path / "height") == []
    assert "walk_person00.trc is not written: no limb" in caplog.text
    assert "walk_person00.mot is not written: no angle" in caplog.text
    write(tmp_path / "scale", packets, ["trc"], pixels_per_metre=100)
    assert names_in(tmp_path / "scale") == ["walk_person00.trc"]


def test_files_of_an_earlier_run_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, [packet(0, {0: figure(), 1: figure()})], ["trc"], pixels_per_metre=100)
    write(tmp_path, [packet(0, {0: figure()})], ["trc"], pixels_per_metre=100)
    assert "left by an earlier run: walk_person01.trc" in caplog.text


def test_a_run_that_is_interrupted_leaves_partial_files(tmp_path: Path) -> None:
    wanted = [load_format(name) for name in ALL]
    run = Run(skeleton=HALPE, settings=MotionOptions(person_height=1.7))
    with (
        pytest.raises(KeyboardInterrupt),
        ResultWriter(tmp_path, None, formats=wanted, run=run) as writer,
    ):
        for number in range(4):
            writer.write(packet(number, {0: figure()}))
        raise KeyboardInterrupt
    assert names_in(tmp_path) == [
        "walk.angles.partial.csv", "walk_person00.partial.mot", "walk_person00.partial.trc",
    ]  # fmt: skip
    assert read_trc(tmp_path / "walk_person00.partial.trc")[3].shape == (4, 22, 3)


def test_a_clip_that_breaks_off_leaves_partial_files(tmp_path: Path) -> None:
    run = Run(skeleton=HALPE)
    wanted = [load_format(name) for name in ALL]
    with ResultWriter(tmp_path, None, formats=wanted, run=run) as writer:
        writer.skip(CLIP.source, "the file ends too early")
        writer.write(packet(0, {0: figure()}))
    assert "walk_person00.partial.trc" in names_in(tmp_path)
    rows = read_angles(tmp_path / "walk.angles.partial.csv")
    assert [row["error"] for row in rows] == ["", "the file ends too early"]


def test_a_killed_run_leaves_parts_only(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.people import HALPE, figure, packet\n"
        "from posekit.io.sinks import Run, load_format\n"
        "from posekit.io.write import ResultWriter\n"
        f"wanted = [load_format(name) for name in {ALL}]\n"
        "writer = ResultWriter(Path(sys.argv[1]), None, formats=wanted, run=Run(skeleton=HALPE))\n"
        "for number in range(10**9):\n"
        "    writer.write(packet(number, {0: figure()}))\n"
        "    if number == 50: print('there', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.kill()
    assert names_in(tmp_path) == ["walk.angles.csv.part", "walk.mot.part", "walk.trc.part"]


# As long as the clip goes on, and when its end is written.
@pytest.mark.parametrize(
    ("name", "frames"), [("trc", 400), ("mot", 400), ("mot", 150), ("angles", 400)]
)
def test_a_full_disk_leaves_nothing_half_under_a_finished_name(
    name: str,
    frames: int,
    small_disk: Path,  # noqa: F811
) -> None:
    people = {track: figure() for track in range(12)}
    with pytest.raises(OutputError, match="No space left on device"):
        write(small_disk, (packet(number, people) for number in range(frames)), [name],
              pixels_per_metre=100)  # fmt: skip
    assert any(path.endswith(".part") or ".partial." in path for path in names_in(small_disk))
    for path in small_disk.glob("*.mot"):
        header, rows = read_mot(path)
        assert len(rows) == int(header["nRows"]) == frames
    assert not list(small_disk.glob("*.trc")) and not (small_disk / "walk.angles.csv").exists()


@pytest.mark.slow
def test_ten_thousand_frames_in_all_formats_take_little_memory(tmp_path: Path) -> None:
    program = (
        "import sys; from tests.io.test_people_formats import *\n"
        "from posekit.files import prediction_formats\n"
        "def memory():\n"
        "    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 1e6\n"
        "people = [{t: walking(n + t) for t in range(3)} for n in range(30)]\n"
        "def frames(count):\n"
        "    yield from (packet(n, people[n % 30]) for n in range(count))\n"
        "write(Path(sys.argv[1]) / 'short', frames(2000), ALL_FORMATS, person_height=1.7)\n"
        "before, most = memory(), 0\n"
        "def watched():\n"
        "    global most\n"
        "    for n, one in enumerate(frames(10_000)):\n"
        "        if n % 100 == 0: most = max(most, memory())\n"
        "        yield one\n"
        "write(Path(sys.argv[1]) / 'long', watched(), ALL_FORMATS, person_height=1.7)\n"
        "print(max(most, memory()) - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 50
    assert len(read_trc(tmp_path / "long" / "walk_person02.trc")[2]) == 10_000


@pytest.mark.parametrize("name", ["trc", "mot", "angles"])
@pytest.mark.parametrize("skeleton", ["300w", "coco_wholebody_hand", "ap10k", "zebra"])
def test_what_is_not_a_person_is_refused(name: str, skeleton: str, tmp_path: Path) -> None:
    run = Run(skeleton=load_skeleton(skeleton))
    with pytest.raises(InputError, match=f"skeleton '{skeleton}'"):
        ResultWriter(tmp_path, None, formats=[load_format(name)], run=run)


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="person_height and pixels_per_metre are two scales"):
        PredictOptions(person_height=1.8, pixels_per_metre=100)
    with pytest.raises(InputError, match="count is a column of the format angles"):
        PredictOptions(count="squat", formats=["trc"])
    with pytest.raises(InputError, match="count must be one of squat"):
        PredictOptions(count="squats", formats=["angles"])
    with pytest.raises(InputError, match="format trc needs track ids, but track is 'none'"):
        PredictOptions(track="none", formats=["trc"])
    with pytest.raises(InputError, match="person_height must be a number above 0 and at most 3"):
        PredictOptions(person_height=175)


def test_unknown_angles_are_refused_before_anything_runs(
    small: posekit.Predictor, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="did you mean knee"):
        small.stream("nowhere.mp4", out_dir=tmp_path, formats=["angles"], angles="kneee")
    with pytest.raises(InputError, match="skeleton 'coco' lacks the keypoints of 'ankle'"):
        small.stream("nowhere.mp4", out_dir=tmp_path, formats=["mot"], angles="ankle")


def test_images_are_refused_by_name_before_anything_runs(
    small: posekit.Predictor, tmp_path: Path
) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(InputError, match="format trc is for videos, whose frames have times"):
        small.stream([picture], out_dir=tmp_path, formats=["json", "trc"])
    # An iterable tells only when it is read.
    with pytest.raises(InputError, match="format trc is for videos"):
        list(small.stream(iter([picture]), out_dir=tmp_path, formats=["trc"]))


def test_people_are_tracked_for_these_formats(
    small: posekit.Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video = make_video(tmp_path / "noise.mp4", 4)
    with caplog.at_level(logging.WARNING):
        found = list(
            small.stream(video, out_dir=tmp_path / "out", formats=["trc", "angles"], kpt_thr=0)
        )
    assert all(one.track_ids is not None for one in found)
    said = [record.getMessage() for record in caplog.records]
    assert [text for text in said if "track ids" in text] == [
        "format trc needs track ids: using track=iou"
    ]
    assert names_in(tmp_path / "out" / "predictions") == ["noise.angles.csv", "noise_person00.trc"]
    plain = list(small.stream(video, out_dir=tmp_path / "plain"))
    assert plain[0].track_ids is None


@pytest.mark.parametrize("ids", [True, False])
def test_convert_makes_the_same_files_later(
    ids: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("pyarrow")
    frames = [packet(number, {0: walking(number)}, ids=ids) for number in range(30)]
    write(tmp_path / "table", frames, ["parquet"])
    write(tmp_path / "direct", [packet(number, {0: walking(number)}) for number in range(30)],
          person_height=1.8)  # fmt: skip
    table = str(tmp_path / "table" / "walk.parquet")
    words = ["formats=[trc,mot,angles]", f"out_dir={tmp_path / 'later'}", "person_height=1.8"]
    assert main(["convert", table, *words]) == 0
    assert ("has no track ids: using track=iou" in caplog.text) is not ids
    for name in names_in(tmp_path / "direct"):
        assert (tmp_path / "later" / name).read_text() == (tmp_path / "direct" / name).read_text()


def test_convert_smooths_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frames = [packet(number, {0: walking(number)}) for number in range(30)]
    write(tmp_path, frames, ["parquet"])
    path = tmp_path / "walk.parquet"
    posekit.convert(path, formats="trc", smooth="butterworth", cutoff=2, pixels_per_metre=100)
    found = read_trc(tmp_path / "walk_person00.trc")[3]
    raw = np.stack([walking(number) for number in range(30)])
    assert np.abs(np.diff(found[:, 3, 0])).max() < np.abs(np.diff(raw[:, 16, 0])).max() / 100
    image = Packet(frames[0].result).having(frame_id=None, time=None, name="a.jpg")
    write(tmp_path, [image], ["parquet"])
    with pytest.raises(
        InputError,
        match=r"format trc is for videos, whose frames have times; .*images\.parquet is of images",
    ):
        posekit.convert(tmp_path / "images.parquet", formats=["trc"])
    with pytest.raises(InputError, match="count is a column of the format angles"):
        posekit.convert(path, formats="trc", count="squat")


def test_repetitions_are_a_column(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bend = 55 * (1 - np.cos(2 * np.pi * np.arange(181) / 60))
    packets = [packet(n, {3: figure(shank=-90 - one), 8: figure()}) for n, one in enumerate(bend)]
    write(tmp_path, packets, ["angles"], angles="knee", count="squat")
    rows = read_angles(tmp_path / "walk.angles.csv")
    counts = [int(row["squat"]) for row in rows if row["track_id"] == "3"]
    assert counts[0] == 0 and counts[-1] == 3 and counts == sorted(counts)
    assert {row["squat"] for row in rows if row["track_id"] == "8"} == {"0"}
    assert caplog.messages == ["walk.mp4: squat: 3 of person 3"]


def test_opensim_reads_the_numbers_that_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # it leaves a log where it is imported
    opensim = pytest.importorskip("opensim")
    away = {*range(10, 13)}
    packets = [
        packet(
            number,
            {}
            if number in away
            else {0: walking(number), **({1: figure()} if number == 4 else {})},
            unseen={0: ("left_wrist",) if number < 3 else ()},
        )
        for number in range(40)
    ]
    write(tmp_path, packets, ["trc", "mot"], pixels_per_metre=100)
    for track, frames in ((0, 40), (1, 1)):
        path = tmp_path / f"walk_person{track:02d}.trc"
        _, markers, times, expected = read_trc(path)
        table = opensim.TimeSeriesTableVec3(str(path))
        assert list(table.getColumnLabels()) == markers
        np.testing.assert_allclose(table.getIndependentColumn(), times)
        rows = [table.getRowAtIndex(number) for number in range(table.getNumRows())]
        found = np.array([[row[m].to_numpy() for m in range(len(markers))] for row in rows])
        np.testing.assert_array_equal(found, expected)
        data = opensim.MarkerData(str(path))
        assert (data.getNumFrames(), data.getNumMarkers()) == (frames, 22)
        assert data.getUnits().getLabel() == "meters"
        hips = [data.getFrame(number).getMarker(0) for number in range(frames)]
        np.testing.assert_array_equal([[hip[i] for i in range(3)] for hip in hips], expected[:, 0])

        path = path.with_suffix(".mot")
        header, motion = read_mot(path)
        columns = np.array([list(row) for row in motion])
        angles = opensim.TimeSeriesTable(str(path))
        assert angles.getTableMetaDataString("inDegrees") == header["inDegrees"] == "yes"
        np.testing.assert_allclose(angles.getMatrix().to_numpy(), columns[:, 1:])
        storage = opensim.Storage(str(path))
        labels = storage.getColumnLabels()
        assert [labels.get(i) for i in range(labels.getSize())] == list(motion.dtype.names or ())
        assert storage.getSize() == frames and storage.isInDegrees()
        for number in range(frames):
            state = storage.getStateVector(number)
            data_of = [state.getData().get(i) for i in range(state.getSize())]
            np.testing.assert_allclose([state.getTime(), *data_of], columns[number])


def test_pandas_reads_markers_as_pose2sim_does(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    packets = [
        packet(n, {0: walking(n)}, unseen={0: ("left_wrist",) if n == 2 else ()}) for n in range(9)
    ]
    write(tmp_path, packets, ["trc"])
    path = tmp_path / "walk_person00.trc"
    _, markers, times, expected = read_trc(path)
    table = pandas.read_csv(path, sep="\t", skiprows=4)
    assert len(table.columns) == 2 + 3 * len(markers)
    np.testing.assert_allclose(table.iloc[:, 1], times)
    np.testing.assert_allclose(table.iloc[:, 2:].to_numpy().reshape(expected.shape), expected)
