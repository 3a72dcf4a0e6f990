"""Files out."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from posekit.errors import InputError
from posekit.result import PoseResult
from posekit.skeleton import load_skeleton
from posekit.write import ResultWriter, write_atomically


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
    ResultWriter(tmp_path, None).write(result("a.jpg"))
    (instance,) = json.loads((tmp_path / "a.json").read_text())
    assert set(instance) == {"keypoints", "keypoint_scores", "bbox", "bbox_score"}
    assert instance["bbox"] == [[0.0, 0.0, 0.0, 0.0]]


def test_images_of_one_stem_do_not_overwrite_each_other(tmp_path: Path) -> None:
    writer = ResultWriter(tmp_path, None)
    for name in ("a.jpg", "a.png", "a.jpg", "a.jpg"):
        writer.write(result(name))
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
    ResultWriter(None, tmp_path).write(result(name, image=np.zeros((8, 8, 3), np.uint8)))
    assert cv2.imread(str(tmp_path / expected)).shape == (8, 8, 3)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write to the folder"):
        ResultWriter(tmp_path / "file" / "out", None)
