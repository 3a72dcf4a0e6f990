"""Drawn scenes are a function of their seed, and their labels say what the picture shows."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posekit.datasets.synthetic import Scene, demo_scene, generate_scene, scene_seed, write_dataset
from posekit.datasets.synthetic.canvas import Canvas
from posekit.datasets.synthetic.drawing import draw_figure
from posekit.datasets.synthetic.figure import make_figure, make_outfit
from posekit.datasets.synthetic.poses import ACTIONS, Pose
from posekit.datasets.synthetic.scene import COCO_KEYPOINTS
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from tests.processes import run_python

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(40)

DIGEST = """
import hashlib
from posekit.datasets.synthetic import generate_scene
scene = generate_scene(11)
parts = (scene.image, scene.keypoints, scene.boxes_xyxy, scene.areas, scene.owners)
print(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
"""


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [generate_scene(seed) for seed in SEEDS]


def test_a_scene_is_the_same_in_every_process(scenes: list[Scene]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    printed = subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
    ).stdout
    scene = scenes[11]
    parts = (scene.image, scene.keypoints, scene.boxes_xyxy, scene.areas, scene.owners)
    assert hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest() == printed.strip()


def test_seeds_give_different_scenes(scenes: list[Scene]) -> None:
    assert len({scene.image.tobytes() for scene in scenes}) == len(scenes)


def test_data_sets_of_different_seeds_share_no_scene() -> None:
    seeds = [scene_seed(seed, index) for seed in range(20) for index in range(50)]
    assert len(set(seeds)) == len(seeds)


def test_shapes_and_types(scenes: list[Scene]) -> None:
    for scene in scenes:
        n = len(scene)
        assert 1 <= n <= 6
        assert (scene.image.shape, scene.image.dtype) == ((480, 640, 3), np.uint8)
        assert (scene.keypoints.shape, scene.keypoints.dtype) == ((n, 17, 3), np.float32)
        assert (scene.boxes_xyxy.shape, scene.boxes_xyxy.dtype) == ((n, 4), np.float32)
        assert (scene.areas.shape, scene.areas.dtype) == ((n,), np.float32)
        assert (scene.owners.shape, scene.owners.dtype) == ((480, 640), np.uint8)
        assert scene.owners.max() <= n


def test_every_number_of_people_occurs(scenes: list[Scene]) -> None:
    assert {len(scene) for scene in scenes} == {1, 2, 3, 4, 5, 6}


def test_a_visible_keypoint_lies_on_a_pixel_of_its_person(scenes: list[Scene]) -> None:
    for scene in scenes:
        for person, points in enumerate(scene.keypoints):
            for x, y, _ in points[points[:, 2] == 2]:
                assert scene.owners[int(y + 0.5), int(x + 0.5)] == person + 1


def test_a_keypoint_that_something_else_covers_is_not_visible(scenes: list[Scene]) -> None:
    covered = 0
    for scene in scenes:
        for person, points in enumerate(scene.keypoints):
            for x, y, v in points[points[:, 2] > 0]:
                if scene.owners[int(y + 0.5), int(x + 0.5)] != person + 1:
                    assert v == 1
                    covered += 1
    assert covered > 10


def test_keypoints_outside_the_image_are_zero_and_the_others_inside(scenes: list[Scene]) -> None:
    points = np.concatenate([scene.keypoints for scene in scenes]).reshape(-1, 3)
    outside = points[points[:, 2] == 0]
    assert len(outside) > 0
    assert not outside.any()
    inside = points[points[:, 2] > 0]
    assert (inside[:, :2] >= -0.5).all()
    assert (inside[:, :2] < (639.5, 479.5)).all()


def test_most_keypoints_are_visible_and_each_kind_is_both(scenes: list[Scene]) -> None:
    flags = np.concatenate([scene.keypoints[:, :, 2] for scene in scenes])
    assert (flags == 2).mean() > 0.6
    assert ((flags == 2).any(axis=0) & (flags == 1).any(axis=0)).all()


def test_boxes_hold_the_keypoints_and_are_tight_around_the_pixels(scenes: list[Scene]) -> None:
    for scene in scenes:
        for person, (x1, y1, x2, y2) in enumerate(scene.boxes_xyxy):
            assert 0 <= x1 < x2 <= 640
            assert 0 <= y1 < y2 <= 480
            points = scene.keypoints[person]
            points = points[points[:, 2] > 0, :2]
            assert (points >= (x1 - 0.5, y1 - 0.5)).all()
            assert (points <= (x2 - 0.5, y2 - 0.5)).all()
            rows, columns = np.nonzero(scene.owners == person + 1)
            assert rows.min() >= y1
            assert rows.max() < y2
            assert columns.min() >= x1
            assert columns.max() < x2
            shown = len(rows)
            assert shown <= scene.areas[person] <= (x2 - x1) * (y2 - y1)
            # Of a person whom nothing covers the box is as tight as it can be.
            if shown == scene.areas[person]:
                drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                assert drawn == (x1, y1, x2, y2)


def test_much_of_everybody_is_seen(scenes: list[Scene]) -> None:
    for scene in scenes:
        for person, area in enumerate(scene.areas):
            assert np.count_nonzero(scene.owners == person + 1) > 0.35 * area


def draw_on(value: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture, the map of parts and the joints of one figure on a plain canvas."""
    rng = np.random.default_rng(seed)
    outfit = make_outfit(rng)
    pose = ACTIONS[seed % len(ACTIONS)](rng)
    camera = np.eye(3)
    figure = make_figure(outfit, pose, float(rng.uniform(-180, 180)), camera)
    figure.scale, figure.origin = 260.0, np.array([250.0, 250.0])
    canvas = Canvas(np.full((500, 500, 3), value, np.uint8))
    draw_figure(canvas, figure)
    joints = figure.project(np.stack([figure.joints[name] for name in COCO_KEYPOINTS]))
    return canvas.image, canvas.labels, joints


@pytest.mark.parametrize("seed", range(30))
def test_keypoints_lie_where_the_figure_covers_what_is_behind_it(seed: int) -> None:
    on_black, labels, joints = draw_on(0, seed)
    on_white, _, _ = draw_on(255, seed)
    # What is much the same on black and on white is the figure's own colour; where smoothed
    # edges meet, a little of the canvas shines through.
    opaque = cv2.absdiff(on_black, on_white).max(axis=2) < 100
    for x, y in joints:
        assert opaque[int(y + 0.5), int(x + 0.5)]
    square = np.ones((5, 5), np.uint8)
    drawn = (labels > 0).astype(np.uint8)
    assert opaque[cv2.erode(drawn, square) > 0].all()
    assert (cv2.dilate(drawn, square) > 0)[opaque].all()


def test_left_is_on_the_right_of_somebody_who_faces_the_viewer() -> None:
    outfit = make_outfit(np.random.default_rng(0))
    front = make_figure(outfit, Pose(), 0.0, np.eye(3))
    back = make_figure(outfit, Pose(), 180.0, np.eye(3))
    for joint in ("ear", "shoulder", "wrist", "hip", "ankle"):
        for figure, sign in ((front, 1), (back, -1)):
            left, right = figure.joints[f"left_{joint}"], figure.joints[f"right_{joint}"]
            assert sign * (left[0] - right[0]) > 0
    assert front.joints["nose"][2] > front.joints["head"][2]
    assert back.joints["nose"][2] < back.joints["head"][2]


@pytest.mark.parametrize("size_wh", [(64, 64), (200, 90), (96, 300), (1300, 700)])
def test_any_size(size_wh: tuple[int, int]) -> None:
    for seed in range(3):
        scene = generate_scene(seed, size_wh=size_wh)
        assert scene.image.shape == (size_wh[1], size_wh[0], 3)
        assert scene.keypoints.shape == (len(scene), 17, 3)


def test_people_and_degrade_are_obeyed() -> None:
    assert len(generate_scene(3, people=(1, 1))) == 1
    clean = generate_scene(1, degrade=False)
    assert (clean.image != generate_scene(1).image).any()
    assert (clean.keypoints == generate_scene(1).keypoints).all()


def test_the_demo_shows_a_few_people_from_the_front() -> None:
    scene = demo_scene()
    assert scene.image.shape == (640, 960, 3)
    assert 3 <= len(scene) <= 4
    assert (scene.keypoints[:, 0, 2] == 2).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0, found -1"),
        ({"seed": 1.5}, "found 1.5"),
        ({"seed": True}, "found True"),
        ({"seed": 0, "size_wh": (63, 480)}, "size_wh must be a whole number of at least 64"),
        ({"seed": 0, "people": (0, 2)}, "people must be a whole number of at least 1"),
        ({"seed": 0, "people": (3, 2)}, "people must be a whole number of at least 3"),
        ({"seed": 0, "people": (1, 99)}, "people must be 50 at most, found 99"),
        ({"seed": 0, "people": 3}, "people must be two whole numbers, found 3"),
        ({"seed": 0, "size_wh": (640, 480, 3)}, "size_wh must be two whole numbers"),
        ({"seed": 0, "size_wh": (100000, 480)}, "size_wh must be 8192 at most"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        generate_scene(**arguments)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "people"
    return write_dataset(folder, 6, 3, size_wh=(320, 240), progress=False)


def test_the_annotations_are_plain_coco(dataset: Path) -> None:
    content = json.loads(dataset.read_text())
    [category] = content["categories"]
    assert category["keypoints"] == list(load_skeleton("coco").names)
    assert len(category["skeleton"]) == 19
    assert {end for link in category["skeleton"] for end in link} == set(range(1, 18))
    for rows in (content["images"], content["annotations"]):
        assert len({row["id"] for row in rows}) == len(rows) > 0
    images = {row["id"] for row in content["images"]}
    assert {row["image_id"] for row in content["annotations"]} == images


def test_annotations_and_images_belong_to_the_scenes(dataset: Path) -> None:
    content = json.loads(dataset.read_text())
    for index, row in enumerate(content["images"]):
        image = cv2.imread(str(dataset.parent / "images" / row["file_name"]))
        assert image is not None
        assert image.shape == (row["height"], row["width"], 3)
        scene = generate_scene(scene_seed(3, index), size_wh=(320, 240))
        assert np.abs(image.astype(int) - scene.image).mean() < 12
        mine = [a for a in content["annotations"] if a["image_id"] == row["id"]]
        assert len(mine) == len(scene)
        for person, annotation in enumerate(mine):
            points = np.reshape(annotation["keypoints"], (17, 3))
            assert np.abs(points - scene.keypoints[person]).max() < 0.01
            assert annotation["num_keypoints"] == np.count_nonzero(points[:, 2])
            x, y, width, height = annotation["bbox"]
            assert [x, y, x + width, y + height] == scene.boxes_xyxy[person].tolist()
            assert annotation["area"] == scene.areas[person]


def test_the_command_line_writes_a_data_set(tmp_path: Path) -> None:
    command = ["-m", "posekit.datasets.synthetic", tmp_path / "out"]
    command += ["--scenes", "2", "--width", "160", "--height", "120"]
    done = run_python(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "out" / "annotations.json")
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2
    again = run_python(*command, cwd=tmp_path)
    assert again.returncode == 2
    assert "already holds a data set; pass overwrite" in again.stderr


def test_overwrite_replaces_a_data_set_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_dataset(folder, 3, 0, size_wh=(96, 96), progress=False)
    write_dataset(folder, 1, 1, size_wh=(96, 96), overwrite=True, progress=False)
    assert [path.name for path in (folder / "images").iterdir()] == ["000001.jpg"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_other_files_is_refused_with_overwrite_too(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(InputError, match=r"holds 'thesis\.tex'"):
        write_dataset(tmp_path, 1, 0, overwrite=True, progress=False)
    assert (tmp_path / "thesis.tex").read_text() == "ten years of work"


def test_a_failure_leaves_nothing_and_keeps_the_earlier_data_set(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    before = write_dataset(folder, 1, 0, size_wh=(96, 96), progress=False).read_bytes()
    with pytest.raises(InputError, match="size_wh"):
        write_dataset(folder, 1, 0, size_wh=(10, 10), overwrite=True, progress=False)
    with pytest.raises(InputError, match="is a file"):
        write_dataset(folder / "annotations.json", 1, 0, progress=False)
    assert (folder / "annotations.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
