"""Some frames of a clip as labels and pictures, chosen by its results."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from posekit.converting import convert
from posekit.errors import InputError
from posekit.io import Clip
from posekit.io.picked_frames import certainty
from posekit.io.sinks import load_format
from posekit.io.video import VideoWriter
from posekit.io.write import ResultWriter
from posekit.stages.packet import Packet
from tests.io.test_formats import frame, image, run_of

pytest.importorskip("pyarrow")
SIZE = (64, 48)
SCORES = (0.9, 0.2, 0.8, 0.5, 0.95, 0.6)  # of all keypoints of each frame


def table(folder: Path, *, size: tuple[int, int] = SIZE, frames: int = 6) -> Path:
    """The results of a clip whose grey level tells which frame it is."""
    with VideoWriter(folder / "walk.mp4", fps=Fraction(10), size=size) as video:
        for number in range(frames):
            video.write(np.full((size[1], size[0], 3), 40 * number, np.uint8), number / 10)
    clip = Clip("walk.mp4", str(folder / "walk.mp4"), SIZE, Fraction(10), 6)
    first = frame(0)
    with ResultWriter(folder, None, formats=[load_format("parquet")], run=run_of(first)) as writer:
        for number, score in enumerate(SCORES):
            one = frame(number)
            scores = np.full_like(one.keypoint_scores, score)
            scores[1] = 1.2  # the surest person does not hide the other
            one = dataclasses.replace(
                one, keypoint_scores=scores, image_size=SIZE, source=clip.source
            )
            writer.write(Packet(one, clip, number / 10))
    return folder / "walk.parquet"


def greys(folder: Path) -> dict[str, int]:
    return {
        path.name: round(int(cv2.imread(str(path))[20, 20, 0]) / 40)
        for path in sorted((folder / "walk").iterdir())
    }


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({"frames": 2}, [0, 2, 4]),
        ({"least_certain": 2}, [1, 3]),
        ({"frames": 2, "least_certain": 1}, [2]),
        ({"frames": 100}, [0]),
        ({"least_certain": 100}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_frames_and_their_pictures(tmp_path: Path, how: dict[str, int], wanted: list[int]) -> None:
    path = table(tmp_path)
    convert(path, formats=["coco", "label_studio"], out_dir=tmp_path / "out", **how)
    content = json.loads((tmp_path / "out" / "predictions.coco.json").read_text())
    assert [entry["frame_id"] for entry in content["images"]] == wanted
    names = [entry["file_name"] for entry in content["images"]]
    assert names == [f"walk/{number:06d}.jpg" for number in wanted]
    assert {entry["image_id"] for entry in content["annotations"]} == set(range(1, len(wanted) + 1))
    assert greys(tmp_path / "out") == {f"{number:06d}.jpg": number for number in wanted}
    tasks = json.loads((tmp_path / "out" / "predictions.label_studio.json").read_text())
    assert [task["data"]["image"].partition("?d=")[2] for task in tasks] == names


def test_the_least_certain_person_counts() -> None:
    one = frame(0)
    scores = np.stack([np.full(17, 1.3), np.linspace(0, 0.8, 17)]).astype(np.float32)
    assert certainty(dataclasses.replace(one, keypoint_scores=scores)) == pytest.approx(0.4)
    assert certainty(frame(0, 0)) == 1


def test_what_cannot_be_is_said_in_a_line(tmp_path: Path) -> None:
    path = table(tmp_path)
    (tmp_path / "walk.mp4").rename(tmp_path / "away.mp4")
    with pytest.raises(InputError, match=r"walk.mp4, which is missing, so its images cannot"):
        convert(path, formats="coco", frames=2, out_dir=tmp_path / "out")
    with pytest.raises(InputError, match="frames must be a whole number of at least 1"):
        convert(path, formats="coco", frames=0, out_dir=tmp_path / "out")
    still = image("a.jpg")
    images = tmp_path / "images"
    with ResultWriter(images, None, formats=[load_format("parquet")], run=run_of(still)) as writer:
        writer.write(Packet(still))
    with pytest.raises(InputError, match="is of images: frames and least_certain choose among"):
        convert(images / "images.parquet", formats="coco", frames=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"frames": 3}, "has 3 frames, and its results are of frame 4"),
        ({"size": (32, 24)}, r"is of \(32, 24\) pixels, its results of \(64, 48\)"),
    ],
)
def test_another_clip_of_that_name_is_found_out(
    tmp_path: Path, changes: dict[str, object], what: str
) -> None:
    path = table(tmp_path, **changes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=what):
        convert(path, formats="coco", frames=4, out_dir=tmp_path / "out")
    content = (
        json.loads((tmp_path / "out" / "predictions.coco.json").read_text())
        if (tmp_path / "out" / "predictions.coco.json").exists()
        else {"complete": False}
    )
    assert content["complete"] is False
