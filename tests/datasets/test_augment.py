"""Random views: within their limits, from the given generator alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from posekit.component import Component
from posekit.config import CONF_DIR
from posekit.datasets.augment import DetectionAugment, PoseAugment, View, place, view_matrix
from posekit.datasets.people_augment import PeopleAugment
from posekit.errors import InputError
from posekit.skeleton import load_skeleton

COCO = load_skeleton("coco")
BOX = np.array([100, 50, 180, 250], np.float32)
# Head at the top, feet at the bottom.
KEYPOINTS = np.stack(
    [np.linspace(110, 170, 17), np.linspace(60, 240, 17)], axis=1, dtype=np.float32
)
VISIBLE = np.ones(17, np.float32)
GEOMETRY_ONLY: dict[str, Any] = {"hsv": (0, 0, 0), "blur": 0, "median_blur": 0, "dropout": 0}


def view(augment: PoseAugment, seed: int, visible: np.ndarray = VISIBLE) -> View:
    rng = np.random.default_rng(seed)
    return augment.view(rng, BOX, KEYPOINTS, visible, skeleton=COCO)


def test_views_stay_within_the_limits() -> None:
    augment = PoseAugment(half_body=0, scale=(0.6, 1.4), rotation=80)
    views = [view(augment, seed) for seed in range(500)]
    sizes = np.array([v.box[2:] - v.box[:2] for v in views]) / (80, 200)
    centers = np.array([(v.box[2:] + v.box[:2]) / 2 for v in views])
    turns = np.array([v.rotation for v in views])
    np.testing.assert_allclose(sizes[:, 0], sizes[:, 1], rtol=1e-5)
    assert 0.6 <= sizes.min() < 0.7 and 1.3 < sizes.max() <= 1.4
    assert (np.abs(centers - (140, 150)) <= 0.16 * 1.25 * np.array([80, 200]) + 1e-3).all()
    assert (np.abs(turns) <= 80).all() and np.abs(turns).max() > 70
    assert 0.53 < (turns != 0).mean() < 0.67
    assert 0.43 < np.mean([v.flip for v in views]) < 0.57
    assert 0.23 < (centers != (140, 150)).any(axis=1).mean() < 0.37


def test_a_half_body_is_the_upper_or_the_lower_one() -> None:
    augment = PoseAugment(half_body=1, flip=0, shift_prob=0, scale=(1, 1), rotation_prob=0)
    centers = {float(v.box[[1, 3]].mean()) for v in (view(augment, seed) for seed in range(40))}
    upper = KEYPOINTS[list(COCO.upper_body_ids), 1].mean()
    lower = KEYPOINTS[list(COCO.lower_body_ids), 1].mean()
    assert sorted(centers) == pytest.approx([upper, lower])


def test_few_keypoints_have_no_half_body() -> None:
    augment = PoseAugment(half_body=1, flip=0, shift_prob=0, scale=(1, 1), rotation_prob=0)
    visible = VISIBLE.copy()
    visible[8:] = 0
    assert np.array_equal(view(augment, 0, visible).box, BOX)
    visible[8] = 1
    assert not np.array_equal(view(augment, 0, visible).box, BOX)


def test_skeletons_without_halves_are_left_whole() -> None:
    augment = PoseAugment(half_body=1, flip=0, shift_prob=0, scale=(1, 1), rotation_prob=0)
    hand = load_skeleton("onehand10k")
    keypoints = np.random.default_rng(0).uniform(60, 160, (21, 2)).astype(np.float32)
    made = augment.view(
        np.random.default_rng(0), BOX, keypoints, np.ones(21, np.float32), skeleton=hand
    )
    assert np.array_equal(made.box, BOX)


@pytest.mark.parametrize("udp", [False, True])
def test_a_mirrored_crop_is_the_crop_of_the_mirrored_image(udp: bool) -> None:
    width = 300
    plain, center, scale = view_matrix(View(BOX, 0, True), input_size=(96, 128), udp=udp)
    mirrored_box = np.array([width - 1 - BOX[2], BOX[1], width - 1 - BOX[0], BOX[3]], np.float32)
    other, _, _ = view_matrix(View(mirrored_box), input_size=(96, 128), udp=udp)
    mirrored_points = KEYPOINTS * (-1, 1) + (width - 1, 0)
    here = KEYPOINTS @ plain[:, :2].T + plain[:, 2]
    there = mirrored_points @ other[:, :2].T + other[:, 2]
    np.testing.assert_allclose(here, there, atol=1e-4)
    np.testing.assert_allclose(center, [140, 150])
    np.testing.assert_allclose(scale, [187.5, 250])


def test_a_rotation_turns_about_the_middle_of_the_crop() -> None:
    matrix, center, _ = view_matrix(View(BOX, 90), input_size=(96, 128))
    np.testing.assert_allclose(matrix[:, :2] @ center + matrix[:, 2], [48, 64], atol=1e-4)
    straight, _, _ = view_matrix(View(BOX), input_size=(96, 128))
    np.testing.assert_allclose(
        abs(np.linalg.det(matrix[:, :2])), abs(np.linalg.det(straight[:, :2])), rtol=1e-5
    )
    np.testing.assert_allclose(np.diag(matrix[:, :2]), 0, atol=1e-6)


def painted(augment: PoseAugment, seed: int) -> np.ndarray:
    crop = np.random.default_rng(0).integers(1, 255, (128, 96, 3)).astype(np.uint8)
    return augment.paint(np.random.default_rng(seed), crop)


def test_a_hole_has_a_size_within_the_limits() -> None:
    augment = PoseAugment(**(GEOMETRY_ONLY | {"dropout": 1.0}))
    for seed in range(50):
        rows, columns = np.nonzero((painted(augment, seed) == 0).all(axis=-1))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width
        assert 0.2 * 128 - 1 <= height <= 0.4 * 128 and 0.2 * 96 - 1 <= width <= 0.4 * 96


def test_colours_change_only_where_asked() -> None:
    untouched = painted(PoseAugment(**GEOMETRY_ONLY), 1)
    assert all(
        np.array_equal(painted(PoseAugment(**GEOMETRY_ONLY), seed), untouched) for seed in range(5)
    )
    for change in ({"hsv": (5, 30, 30)}, {"photometric": 0.5}, {"blur": 1.0}, {"median_blur": 1.0}):
        augment = PoseAugment(**(GEOMETRY_ONLY | change))
        results = [painted(augment, seed) for seed in range(5)]
        assert any(not np.array_equal(result, untouched) for result in results)
        assert all(r.shape == (128, 96, 3) and r.dtype == np.uint8 for r in results)
        assert np.array_equal(painted(augment, 3), results[3])


def test_a_value_shift_is_uniform_on_grey() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    augment = PoseAugment(**(GEOMETRY_ONLY | {"hsv": (0, 0, 30)}))
    levels = {int(augment.paint(np.random.default_rng(s), grey.copy())[0, 0, 0]) for s in range(60)}
    assert min(levels) >= 70 and max(levels) <= 130 and len(levels) > 10


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flip": 1.5}, "augment.flip: expected a probability"),
        ({"scale": (1.4, 0.6)}, "augment.scale"),
        ({"scale": (0.0, 1.0)}, "augment.scale"),
        ({"dropout_size": (0.2, 1.4)}, "augment.dropout_size"),
        ({"rotation": -5}, "augment.rotation"),
        ({"hsv": (1, 2)}, "augment.hsv: expected three numbers"),
        ({"half_body_padding": 0}, "augment.half_body_padding"),
    ],
)
def test_values_out_of_range_are_errors(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PoseAugment(**values)


def test_wrong_detection_values_are_errors() -> None:
    with pytest.raises(InputError, match="resize: expected"):
        DetectionAugment(resize=(2.0, 0.5))
    with pytest.raises(InputError, match="pool: expected"):
        DetectionAugment(pool=0)


def test_tiles_of_a_mosaic_meet_and_do_not_overlap() -> None:
    augment = DetectionAugment(resize=(0.5, 0.5))
    for seed in range(20):
        tiles = augment.tiles(np.random.default_rng(seed), [(100, 100)] * 4, (100, 100))
        covered = np.zeros((100, 100, 3), np.uint8)
        for i, tile in enumerate(tiles):
            layer = np.zeros_like(covered)
            image = np.full((100, 100, 3), i + 1, np.uint8)
            place(image, tile, layer, np.zeros((0, 4), np.float32))
            assert not (covered[layer > 0] > 0).any()
            covered += layer
        assert set(np.unique(covered)) - {0} == {1, 2, 3, 4}


def test_a_box_behind_its_window_has_no_area() -> None:
    tiles = DetectionAugment(mosaic=False, resize=(1, 1)).tiles(
        np.random.default_rng(0), [(100, 50)], (100, 100)
    )
    boxes = np.array([[10, 10, 20, 30], [10, 60, 20, 90]], np.float32)
    out = np.zeros((100, 100, 3), np.uint8)
    placed = place(np.full((50, 100, 3), 9, np.uint8), tiles[0], out, boxes)
    assert placed[0].tolist() == [10, 10, 20, 30]
    assert placed[1, 1] == placed[1, 3] == 50
    assert (out[:50] == 9).all() and (out[50:] == 0).all()


@pytest.mark.parametrize(
    "path", sorted((CONF_DIR / "augment").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_packaged_augmentation_is_made(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    if path.stem == "none":
        assert not config
        return
    made = Component(config.pop("_target_"), config).make()
    assert isinstance(made, PoseAugment | DetectionAugment | PeopleAugment)
    assert set(config) == set(type(made).__dataclass_fields__)  # nothing is hidden
