"""Files out."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from posekit.errors import InputError, OutputError
from posekit.io import Clip
from posekit.io.sinks import load_format
from posekit.io.write import ResultWriter
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.stages.packet import Packet


def result(name: str, n: int = 1, image: np.ndarray | None = None) -> PoseResult:
    return PoseResult(
        keypoints=np.zeros((n, 17, 2), np.float32),
        keypoint_scores=np.ones((n, 17), np.float32),
        boxes_xyxy=np.zeros((n, 4), np.float32),
        box_scores=np.ones(n, np.float32),
        skeleton=load_skeleton("coco"),
        image_size=(8, 8),
        name=name,
        index=0,
        visualization=image,
    )


def test_predictions_are_the_documented_instances(tmp_path: Path) -> None:
    with ResultWriter(tmp_path, None) as writer:
        writer.write(Packet(result("a.jpg")))
    (instance,) = json.loads((tmp_path / "a.json").read_text())
    assert set(instance) == {"keypoints", "keypoint_scores", "bbox", "bbox_score"}
    assert instance["bbox"] == [[0.0, 0.0, 0.0, 0.0]]


def test_images_of_one_stem_do_not_overwrite_each_other(tmp_path: Path) -> None:
    with ResultWriter(tmp_path, None) as writer:
        for name in ("a.jpg", "a.png", "a.jpg", "a.jpg"):
            writer.write(Packet(result(name)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.json",
        "a_2.json",
        "a_jpg.json",
        "a_png.json",
    ]


@pytest.mark.parametrize(
    "name, expected", [("a.jpg", "a.jpg"), ("a.avif", "a.png"), ("a", "a.png")]
)
def test_drawings_keep_a_format_that_can_be_written(
    tmp_path: Path, name: str, expected: str
) -> None:
    with ResultWriter(None, tmp_path) as writer:
        writer.write(Packet(result(name, image=np.zeros((8, 8, 3), np.uint8))))
    assert cv2.imread(str(tmp_path / expected)).shape == (8, 8, 3)


def test_drawings_of_a_given_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    with ResultWriter(tmp_path, tmp_path, drawing_name="drawing.jpg") as writer:
        writer.write(Packet(result("a.png", image=image)))
        writer.flush()
        assert not caplog.records
        for name in ("b.png", "c.png"):
            writer.write(Packet(result(name, image=image)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.json", "b.json", "c.json", "drawing.jpg", "drawing_2.jpg", "drawing_jpg.jpg",
    ]  # fmt: skip
    assert [record.message for record in caplog.records] == [
        "drawing.jpg is taken: using drawing_jpg.jpg, and similar names for further drawings"
    ]


@pytest.mark.parametrize(
    ("given", "picture", "video"),
    [("x.jpg", "x.jpg", "x.mp4"), ("x.MP4", "x.png", "x.MP4"), ("x.avi", "x.png", "x.mp4")],
)
def test_a_given_name_gets_the_suffix_of_what_is_written(
    tmp_path: Path, given: str, picture: str, video: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ResultWriter(None, tmp_path / "p", drawing_name=given) as writer:
        writer.write(Packet(result("a.bmp", image=np.zeros((8, 8, 3), np.uint8))))
    with ResultWriter(None, tmp_path / "v", drawing_name=given) as writer:
        for number in range(3):
            writer.write(Packet(frame(number), CLIP), lambda: grey(0))
    assert [record.message for record in caplog.records] == [
        f"{given} is not written as {Path(given).suffix}: using {name}, and similar "
        "names for further drawings"
        for name in (picture, video)
        if name != given
    ]
    assert [path.name for path in (tmp_path / "p").iterdir()] == [picture]
    assert [path.name for path in (tmp_path / "v").iterdir()] == [video]
    assert frames_of(tmp_path / "v" / video) == 3


def test_predictions_named_as_a_file_are_in_a_folder_of_that_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "all.jsonl"
    for _ in range(2):  # who has such a folder knows
        with ResultWriter(folder, None) as writer:
            writer.write(Packet(result("a.png")))
    assert (folder / "a.json").is_file()
    assert [record.message for record in caplog.records] == [
        f"pred_out_dir is a folder: predictions are in {folder}/"
    ]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write to the folder"):
        ResultWriter(tmp_path / "file" / "out", None)


def test_no_image_is_drawn_over(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    before = path.read_bytes()
    drawn = result("a.png", image=np.ones((8, 8, 3), np.uint8))
    writer = ResultWriter(None, tmp_path / "sub" / "..")
    writer.write(Packet(dataclasses.replace(drawn, source=str(path))))
    with pytest.raises(OutputError, match=r"a\.png: it is the input itself; name another folder"):
        writer.close()
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["walk.mp4", "walk.json"])  # what a file is, its content says
def test_no_video_is_written_over(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"a video that is being read")
    clip = dataclasses.replace(CLIP, name=name, source=str(path))
    writer = ResultWriter(tmp_path, tmp_path)
    writer.write(Packet(frame(0), clip), lambda: grey(0))
    with pytest.raises(OutputError, match="it is the input itself; name another folder"):
        writer.close()
    assert path.read_bytes() == b"a video that is being read"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("pred_format", "name"),
    [
        ("openpose", "walk_openpose/walk_000000000000_keypoints.json"),
        ("csv", "walk.meta.json"),
        ("label_studio", "predictions.label_studio.xml"),
        ("trc", "walk_person05.trc"),
    ],
)
def test_no_file_of_several_is_written_over(pred_format: str, name: str, tmp_path: Path) -> None:
    # What a file is, its content says: this one may well be a picture.
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"a picture that is going to be read")
    points = np.arange(34, dtype=np.float32).reshape(1, 17, 2)
    seen = dataclasses.replace(frame(0), keypoints=points, track_ids=np.array([5]), time=0.0)
    writer = ResultWriter(tmp_path, None, formats=[load_format(pred_format)], inputs=lambda: [path])
    writer.write(Packet(seen, CLIP, 0.0))
    with pytest.raises(OutputError, match="it is one of the inputs; name another folder"):
        writer.close()
    assert path.read_bytes() == b"a picture that is going to be read"


def test_an_input_that_is_no_file_is_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "walk.mp4").touch()
    clip = dataclasses.replace(CLIP, name="walk.mp4", source="http://host/walk.mp4")
    with ResultWriter(None, tmp_path) as writer:
        writer.write(Packet(frame(0), clip), lambda: grey(0))
    assert frames_of(tmp_path / "walk.mp4") == 1


CLIP = Clip(name="walk.mov", source="walk.mov", size=(64, 48), fps=Fraction(25))


def frame(number: int, n: int = 1) -> PoseResult:
    return dataclasses.replace(result("walk.mov", n), frame_id=number)


def grey(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


def frames_of(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def test_a_clip_has_one_list_of_frames_and_one_video(tmp_path: Path) -> None:
    with ResultWriter(tmp_path / "p", tmp_path / "v") as writer:
        for number in range(5):
            packet = Packet(frame(number, n=number), CLIP)
            writer.write(packet, lambda number=number: grey(40 * number))
    frames = json.loads((tmp_path / "p" / "walk.json").read_text())
    assert [entry["frame_id"] for entry in frames] == [0, 1, 2, 3, 4]
    assert [len(entry["instances"]) for entry in frames] == [0, 1, 2, 3, 4]
    assert set(frames[1]["instances"][0]) == {"keypoints", "keypoint_scores", "bbox", "bbox_score"}
    assert frames_of(tmp_path / "v" / "walk.mp4") == 5


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ((128, 48), (slice(12, 36), slice(0, 64))),  # (w, h): bars above and below
        ((16, 24), (slice(0, 48), slice(16, 48))),  # bars left and right
    ],
)
def test_drawings_of_another_size_are_fitted_into_the_video(
    tmp_path: Path, size: tuple[int, int], inside: tuple[slice, slice]
) -> None:
    later = np.full((size[1], size[0], 3), 200, np.uint8)
    with ResultWriter(None, tmp_path) as writer:
        for number, drawing in enumerate((grey(100), later, grey(100))):
            writer.write(Packet(frame(number), CLIP), lambda drawing=drawing: drawing)
    with av.open(str(tmp_path / "walk.mp4")) as video:
        images = [image.to_ndarray(format="bgr24") for image in video.decode(video=0)]
    assert [image.shape for image in images] == [(48, 64, 3)] * 3
    expected = np.zeros((48, 64, 3))
    expected[inside] = 200
    assert np.abs(images[1] - expected).mean() < 4
    assert np.abs(images[2] - 100.0).mean() < 4


def test_a_clip_as_lines(tmp_path: Path) -> None:
    with ResultWriter(tmp_path, None, formats=[load_format("jsonl")]) as writer:
        for number in range(3):
            writer.write(Packet(frame(number), CLIP))
    lines = (tmp_path / "walk.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame_id"] for line in lines] == [0, 1, 2]


def test_predictions_are_whole_after_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "walk.json"
    with ResultWriter(tmp_path, None) as writer:
        for number in range(3):
            writer.write(Packet(frame(number), CLIP))
            writer.flush()
            assert len(json.loads(path.read_text())) == number + 1


def test_images_and_clips_follow_each_other(tmp_path: Path) -> None:
    other = dataclasses.replace(CLIP)
    with ResultWriter(tmp_path, None) as writer:
        writer.write(Packet(frame(0), CLIP))
        writer.write(Packet(result("a.jpg")))
        writer.write(Packet(frame(0), other))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.json",
        "walk.json",
        "walk_mov.json",
    ]
    assert len(json.loads((tmp_path / "walk_mov.json").read_text())) == 1


def test_results_are_written_in_another_thread(tmp_path: Path) -> None:
    drawn_in = []

    def draw() -> np.ndarray:
        drawn_in.append(threading.current_thread())
        return grey(0)

    before = threading.active_count()
    with ResultWriter(None, tmp_path) as writer:
        writer.write(Packet(result("a.png")), draw)
        writer.flush()
    assert drawn_in[0] is not threading.main_thread()
    assert threading.active_count() == before


def test_nothing_is_drawn_where_nothing_is_asked_for(tmp_path: Path) -> None:
    with ResultWriter(tmp_path, None) as writer:
        writer.write(Packet(result("a.png")), lambda: pytest.fail("drawn"))


def test_an_error_of_the_thread_reaches_the_caller(tmp_path: Path) -> None:
    def draw() -> np.ndarray:
        raise ZeroDivisionError("in the drawing")

    with pytest.raises(OutputError, match="in the drawing"), ResultWriter(None, tmp_path) as writer:
        for _ in range(20):  # more than the queue holds: nobody may wait for ever
            writer.write(Packet(result("a.png")), draw)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount on this system")
    if done.returncode:
        pytest.skip(f"a small file system needs rights: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("pred_format", ["json", "jsonl"])
def test_a_full_disk_keeps_the_frames_before(small_disk: Path, pred_format: str) -> None:
    with (
        pytest.raises(
            OutputError, match=r"No space left on device; (\d+) frames are in it"
        ) as error,
        ResultWriter(small_disk, None, formats=[load_format(pred_format)]) as writer,
    ):
        for number in range(10_000):
            writer.write(Packet(frame(number, n=6), CLIP))
    text = (small_disk / f"walk.{pred_format}").read_text()
    kept = json.loads(text) if pred_format == "json" else list(map(json.loads, text.splitlines()))
    assert f"; {len(kept)} frames are in it" in str(error.value)
    assert 20 < len(kept) < 10_000
    assert [entry["frame_id"] for entry in kept] == list(range(len(kept)))


def test_a_full_disk_keeps_the_video_before(small_disk: Path) -> None:
    noise = np.random.default_rng(0)
    with (
        pytest.raises(OutputError, match="No space left"),
        ResultWriter(None, small_disk) as writer,
    ):
        for number in range(10_000):
            image = noise.integers(0, 255, (48, 64, 3), np.uint8)
            writer.write(Packet(frame(number), CLIP), lambda image=image: image)
    assert frames_of(small_disk / "walk.mp4") > 10


def test_a_full_disk_leaves_no_half_image(small_disk: Path) -> None:
    with (
        pytest.raises(OutputError, match="No space left"),
        ResultWriter(small_disk, None) as writer,
    ):
        for number in range(1000):
            writer.write(Packet(result(f"{number}.png", n=6)))
    files = list(small_disk.iterdir())
    assert all(len(json.loads(path.read_text())) == 6 for path in files)
    assert len(files) > 10
