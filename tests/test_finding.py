"""How many people's keypoints are found, of whom, and what is kept of their pictures."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import posekit
from posekit.cli import main
from posekit.errors import InputError, OutputError
from posekit.files import PACKAGED
from posekit.io.video import VideoReader, VideoWriter
from posekit.predictor import Predictor
from posekit.stages.estimate import PoseEstimator

DEMO = PACKAGED / "demo.jpg"


@pytest.fixture(scope="module")
def demo() -> Predictor:
    logging.disable(logging.WARNING)
    try:
        return posekit.load("demo", device="cpu")
    finally:
        logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawing moves to the left, three pixels a frame, at 10 frames a second."""
    picture = cv2.resize(picture_of(DEMO), (480, 320))
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with VideoWriter(path, fps=10, size=(400, 320)) as writer:
        for number in range(12):
            writer.write(np.ascontiguousarray(picture[:, 3 * number : 400 + 3 * number]))
    return path


def picture_of(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


def area(boxes: np.ndarray) -> np.ndarray:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def test_only_those_who_are_wanted_are_estimated(
    demo: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (everybody,) = demo.stream(DEMO)
    assert len(everybody) == 4
    counts: list[int] = []
    estimate = PoseEstimator.__call__

    def counting(self: PoseEstimator, images: Any, boxes: Any, **options: Any) -> Any:
        counts.append(sum(map(len, boxes)))
        return estimate(self, images, boxes, **options)

    monkeypatch.setattr(PoseEstimator, "__call__", counting)
    (two,) = demo.stream(DEMO, max_people=2)
    (largest,) = demo.stream(DEMO, select="largest")
    (central,) = demo.stream(DEMO, select="central", max_people=1)
    (given,) = demo.stream(DEMO, bboxes=everybody.boxes_xyxy, select="largest")
    (many,) = demo.stream(DEMO, max_people=99)
    assert counts == [2, 1, 1, 1, 4]
    np.testing.assert_array_equal(two.boxes_xyxy, everybody.boxes_xyxy[:2])
    np.testing.assert_allclose(two.keypoints, everybody.keypoints[:2], atol=1e-2)
    biggest = everybody.boxes_xyxy[area(everybody.boxes_xyxy).argmax()]
    np.testing.assert_array_equal(largest.boxes_xyxy[0], biggest)
    np.testing.assert_array_equal(given.boxes_xyxy[0], biggest)
    middles = (everybody.boxes_xyxy[:, :2] + everybody.boxes_xyxy[:, 2:]) / 2
    away = np.hypot(*(middles - np.array(everybody.image_size) / 2).T)
    np.testing.assert_array_equal(central.boxes_xyxy[0], everybody.boxes_xyxy[away.argmin()])
    assert len(many) == 4


@pytest.mark.parametrize("det_interval", [1, 3])
def test_a_tracked_person_stays_chosen(demo: Predictor, walk: Path, det_interval: int) -> None:
    results = list(
        demo.stream(walk, select="central", track="iou", det_interval=det_interval, max_age=20)
    )
    assert [len(result) for result in results] == [1] * 12
    assert {int(result.track_ids[0]) for result in results if result.track_ids is not None} == {0}
    steps = np.diff([(result.boxes_xyxy[0, 0] + result.boxes_xyxy[0, 2]) / 2 for result in results])
    assert np.abs(steps).max() < 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_people": 0}, "max_people must be a whole number of at least 1"),
        ({"max_people": 1.5}, "max_people must be a whole number"),
        ({"select": "id"}, "select must be one of score, largest, central"),
        ({"start": 3, "end": 2}, "end=2 must be after start=3"),
        ({"start": -1}, "start must be"),
        ({"start": "1:99"}, "start must be seconds, such as 90, or 00:01:30"),
        ({"stride": 0}, "stride must be a whole number of at least 1"),
        ({"start": 1}, "start, end and stride apply to videos and streams: inputs has images only"),
        ({"stride": 2}, "start, end and stride apply to videos and streams"),
        ({"color": "hsv"}, "color must be one of bgr, rgb"),
        ({"draw": "trail"}, "draw=trail needs track ids"),
    ],
)
def test_wrong_options_are_refused_at_once(
    demo: Predictor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        demo.stream(DEMO, **options)


def test_a_part_of_a_clip_keeps_its_times(demo: Predictor, walk: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"start": 0.3, "end": "00:00:01", "stride": 3, "track": "iou"}
    results = list(demo.stream(walk, out_dir=tmp_path, smooth="one-euro", **options))
    assert [result.frame_id for result in results] == [3, 6, 9]
    assert [result.index for result in results] == [0, 1, 2]
    assert [result.time for result in results] == pytest.approx([0.3, 0.6, 0.9])
    written = json.loads((tmp_path / "predictions" / "walk.json").read_text())
    assert [frame["frame_id"] for frame in written] == [3, 6, 9]
    with VideoReader(tmp_path / "visualization" / "walk.mp4") as video:
        assert float(video.fps) == pytest.approx(10 / 3, rel=1e-3)
        assert [time for _, time in video] == pytest.approx([0, 0.3, 0.6], abs=1e-3)
    with pytest.raises(InputError, match="start=9 is past the end of"):
        list(demo.stream(walk, start=9))


def test_the_same_frames_are_drawn_that_are_read_once_more(walk: Path, tmp_path: Path) -> None:
    from posekit.drawing.drawer import Drawer, Look
    from posekit.io import read_frames
    from posekit.stages.packet import Cut, Packet
    from tests.io.test_formats import frame

    with read_frames(walk, cut=Cut(0.3, None, 4)) as frames, Drawer(Look(draw=[])) as drawer:
        for found in frames:
            result = frame(found.index, 0)
            packet = Packet(result, found.clip, found.time)
            np.testing.assert_array_equal(drawer.image_of(packet), found.image)
            np.testing.assert_array_equal(drawer.draw(packet), found.image)


def test_crops_are_the_boxes_of_people(demo: Predictor, tmp_path: Path) -> None:
    (result,) = demo.stream(DEMO, save_crops=tmp_path)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == [f"demo_000000_{row}.jpg" for row in range(4)]
    picture = picture_of(DEMO)
    for row, (x1, y1, x2, y2) in enumerate(result.boxes_xyxy):
        crop = picture_of(tmp_path / found[row])
        rows, columns = slice(int(y1), int(np.ceil(y2))), slice(int(x1), int(np.ceil(x2)))
        assert np.abs(crop.astype(int) - picture[rows, columns]).mean() < 4


def test_crops_of_boxes_at_the_edge(demo: Predictor, tmp_path: Path) -> None:
    boxes = [[-50, -20, 60, 90], [900, 600, 2000, 2000], [-90, -90, -10, -10], [5, 5, 5.2, 5.2]]
    list(demo.stream(DEMO, bboxes=boxes, save_crops=tmp_path))
    sizes = {path.name: picture_of(path).shape[:2] for path in tmp_path.iterdir()}
    assert sizes == {
        "demo_000000_0.jpg": (90, 60),
        "demo_000000_1.jpg": (40, 60),
        "demo_000000_3.jpg": (1, 1),
    }


def test_crops_of_a_clip_have_the_numbers_of_its_frames(
    demo: Predictor, walk: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"start": 0.5, "stride": 4, "select": "largest"}
    results = list(demo.stream(walk, save_crops=tmp_path / "crops", return_vis=True, **options))
    assert len(results) == 2
    names = sorted(path.name for path in (tmp_path / "crops").iterdir())
    assert names == ["walk_000005_0.jpg", "walk_000009_0.jpg"]
    # Two clips of one name do not overwrite each other's.
    list(demo.stream([walk, walk], save_crops=tmp_path / "twice", start=1, max_people=1))
    assert len(list((tmp_path / "twice").iterdir())) == 4


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"smooth": "butterworth", "cutoff": 2},
        {"start": 0.3, "stride": 2, "save_crops": "crops"},
    ],
    ids=["plain", "kept nowhere", "a part"],
)
def test_images_come_with_their_results(
    demo: Predictor,
    walk: Path,
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with VideoReader(walk) as video:
        images = [image for image, _ in video][3 if "start" in options else 0 :][
            :: options.get("stride", 1)
        ]
    # Who they are of matters little, so the detector rests.
    options = {"max_people": 1, "vis_out_dir": "drawn", "det_interval": 6, **options}
    seen = 0
    # Of two clips, since the writer draws the first while the second is read.
    for result in demo.stream([walk, walk], return_image=True, **options):
        assert result.image is not None
        np.testing.assert_array_equal(result.image, images[seen % len(images)])
        result.image[:] = 0  # what is drawn is another one
        seen += 1
    assert seen == 2 * len(images)
    for path in sorted((tmp_path / "drawn").iterdir()):
        with VideoReader(path) as video:
            drawn = [image for image, _ in video]
        assert len(drawn) == len(images) and min(image.mean() for image in drawn) > 50
    (plain,) = demo.stream(DEMO, max_people=1)
    assert plain.image is None
    (found,) = demo.stream(DEMO, max_people=1, return_image=True)
    assert found.image is not None and found[:0].image is found.image
    np.testing.assert_array_equal(found.image, picture_of(DEMO))
    arrays = [picture_of(DEMO)]
    (own,) = demo.stream(arrays, max_people=1, return_image=True)
    assert own.image is not None and not np.shares_memory(own.image, arrays[0])
    np.testing.assert_array_equal(own.plot(kpt_thr=99), arrays[0])  # on it, for it has no file


def test_crops_never_replace_an_input(demo: Predictor, tmp_path: Path) -> None:
    first = tmp_path / "a.jpg"
    first.write_bytes(DEMO.read_bytes())
    taken = tmp_path / "a_000000_0.jpg"
    taken.write_bytes(DEMO.read_bytes())
    with pytest.raises(OutputError, match="it is one of the inputs"):
        list(demo.stream([first, taken], save_crops=tmp_path))
    assert taken.read_bytes() == DEMO.read_bytes()
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(InputError, match="cannot write to the folder"):
        demo.stream(DEMO, save_crops=blocked)


def test_the_command_takes_parts_and_people(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["start=00:00:00.5", "stride=3", "max_people=2", "select=largest", "track=iou"]
    keys += ["draw=[ids,scores,trail]", "palette=colorblind", f"save_crops={tmp_path / 'crops'}"]
    code = main(["predict", "model=demo", f"inputs={walk}", f"out_dir={tmp_path}", *keys])
    out = capsys.readouterr().out
    assert code == 0
    assert "6 instances in 3 images" in out
    assert "crops in" in out
    assert len(list((tmp_path / "crops").iterdir())) == 6
    assert main(["predict", "model=demo", f"inputs={DEMO}", "stride=2"]) == 1
    assert "start, end and stride apply to videos" in capsys.readouterr().err
