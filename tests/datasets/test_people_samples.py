"""Whole images with their people, as a one-stage network is trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posekit.datasets.batches import collate
from posekit.datasets.people_augment import PeopleAugment
from posekit.datasets.people_samples import PeopleDataset
from posekit.datasets.sources import parse_sources
from posekit.errors import InputError
from tests.datasets import sets
from tests.datasets.pose_sets import skeleton_of

STILL: dict[str, Any] = {
    **{"mosaic": False, "mixup": 0, "resize": (1, 1), "rotation": 0, "shear": 0, "shift": 0},
    **{"flip": 0, "hsv": (0, 0, 0)},
}


def people_set(path: str, **options: Any) -> PeopleDataset:
    options = {"input_size": (192, 192), **options}
    return PeopleDataset(parse_sources(path), skeleton_of(path), **options)


MIRRORED = [sets.COLORS[i] for i in (0, 2, 1, 4, 3)]  # the left disc is that of the right
DISCS = (sets.COLORS, MIRRORED)


def assert_on_discs(sample: dict[str, Any], colors: list[Any] = sets.COLORS) -> int:
    """Each visible keypoint lies on the disc of its colour; how many did."""
    image = sample["image"]
    seen = 0
    for person in sample["people"]:
        for (x, y, visible), color in zip(person, colors, strict=True):
            if visible:
                row, column = min(round(float(y)), 191), min(round(float(x)), 191)
                pixel = image[row, column].astype(int)
                assert np.abs(pixel - color).max() < 90, (x, y, pixel, color)
                seen += 1
    return seen


def test_without_augmentation_an_image_lies_as_in_prediction(tmp_path: Path) -> None:
    path = sets.save(tmp_path, sets.coco(2, size_wh=(400, 200)), radius=12)
    sample = people_set(path)[0, 1]
    assert sample["image"].shape == (192, 192, 3)
    assert (sample["image"][:46] == 114).all() and (sample["image"][-46:] == 114).all()
    assert assert_on_discs(sample) == 5
    x, y, w, h = sets.coco(2, size_wh=(400, 200))["annotations"][1]["bbox"]
    scale = 192 / 400
    expected = np.array([x, y, x + w, y + h]) * scale + np.array([0, 48, 0, 48])
    np.testing.assert_allclose(sample["boxes"][0], expected, atol=1e-3)
    assert sample["areas"][0] == pytest.approx(w * h / 2 * scale**2)


@pytest.mark.parametrize(
    "augment",
    [
        PeopleAugment(**{**STILL, "flip": 1}),
        PeopleAugment(**{**STILL, "rotation": 40, "shear": 10, "shift": 0.1, "resize": (0.6, 1.2)}),
        PeopleAugment(mixup=0, flip=0, hsv=(0, 0, 0)),
        PeopleAugment(**{**STILL, "mosaic": True, "flip": 1}),
    ],
    ids=["mirrored", "turned", "mosaic", "mosaic mirrored"],
)
def test_keypoints_move_with_the_pixels(tmp_path: Path, augment: PeopleAugment) -> None:
    path = sets.save(tmp_path, sets.coco(4), radius=14)
    data = people_set(path, augment=augment)
    samples = [data[epoch, index] for epoch in range(3) for index in range(4)]
    colors = MIRRORED if augment.flip else sets.COLORS
    assert sum(assert_on_discs(sample, colors) for sample in samples) > 25
    for sample in samples:
        boxes = sample["boxes"]
        assert len(boxes) == len(sample["people"]) == len(sample["areas"])
        assert (boxes >= 0).all() and (boxes <= 192).all()
        assert (boxes[:, 2:] - boxes[:, :2] > 1).all()
        assert sample["people"][..., 2].any(axis=1).all()


def test_a_blended_image_brings_its_people(tmp_path: Path) -> None:
    path = sets.save(tmp_path, sets.coco(4), radius=14)
    both = people_set(path, augment=PeopleAugment(**{**STILL, "mixup": 1}))
    hits = []
    for index in range(4):
        sample = both[0, index]
        assert len(sample["people"]) == 2
        for person in sample["people"]:
            for k, (x, y, visible) in enumerate(person):
                if visible:
                    pixel = sample["image"][round(float(y)), round(float(x))].astype(float)
                    # Half of the disc, and half of what is grey in the other picture.
                    away = [np.abs(pixel - (np.array(c[k]) + 100) / 2).max() for c in DISCS]
                    hits.append(min(away) < 20)
    assert np.mean(hits) > 0.8  # some discs lie on those of the other


def test_mirroring_swaps_left_and_right(tmp_path: Path) -> None:
    path = sets.save(tmp_path, sets.coco(1))
    plain = people_set(path)[0, 0]["people"][0]
    other = people_set(path, augment=PeopleAugment(**{**STILL, "flip": 1}))[0, 0]["people"][0]
    np.testing.assert_allclose(other[1, :2], [191 - plain[2, 0], plain[2, 1]], atol=1e-3)


def test_crowds_and_people_without_keypoints_are_there_as_boxes_alone(tmp_path: Path) -> None:
    content = sets.coco(2, per_image=3)
    crowd, bare = content["annotations"][1:3]
    crowd["iscrowd"] = 1
    bare |= {"keypoints": [0.0] * 15, "num_keypoints": 0}
    content["images"].append({**content["images"][0], "id": 99})  # nobody
    data = people_set(sets.save(tmp_path, content))
    assert len(data) == 2
    assert [len(data[0, i]["people"]) for i in range(2)] == [1, 3]
    assert [len(data[0, i]["ignored"]) for i in range(2)] == [2, 0]
    x, y, w, h = crowd["bbox"]
    scale = 192 / 320
    np.testing.assert_allclose(
        data[0, 0]["ignored"][0], np.array([x, y + 40, x + w, y + h + 40]) * scale, atol=0.05
    )
    batch = collate([data[0, 0], data[0, 1]])
    assert [len(people) for people in batch["people"]] == [1, 3]


def test_who_has_left_the_picture_is_no_longer_looked_for(tmp_path: Path) -> None:
    path = sets.save(tmp_path, sets.coco(2))
    far = PeopleAugment(**{**STILL, "shift": 1.0})
    data = people_set(path, augment=far)
    counts = {len(data[epoch, index]["people"]) for epoch in range(8) for index in range(2)}
    assert counts == {0, 1}


def test_the_second_stage_has_its_own_augmentation(tmp_path: Path) -> None:
    path = sets.save(tmp_path, sets.coco(2))
    data = people_set(
        path, augment=PeopleAugment(), final_augment=PeopleAugment(**STILL), final_epoch=2
    )
    assert not data.is_final(1) and data.is_final(2)
    assert data.stage(1) is data.augment and data.stage(2) is data.final_augment
    plain = people_set(path)[0, 0]
    assert np.abs(data[2, 0]["image"].astype(int) - plain["image"]).max() <= 1
    assert data[2, 0]["epoch"] == 2


def test_a_sample_is_a_function_of_its_key(tmp_path: Path) -> None:
    path = sets.save(tmp_path, sets.coco(3))
    one, other = (people_set(path, augment=PeopleAugment(), seed=5) for _ in range(2))
    other[1, 2]
    for key, value in one[0, 1].items():
        assert np.array_equal(value, other[0, 1][key])
    assert not np.array_equal(one[0, 1]["image"], one[1, 1]["image"])


@pytest.mark.parametrize(
    ("option", "value"),
    [("mixup", 2), ("resize", [2, 1]), ("rotation", -1), ("shift", 2), ("pool", 0)],
)
def test_values_out_of_range_are_named(option: str, value: object) -> None:
    with pytest.raises(InputError, match=f"augment.{option}"):
        PeopleAugment(**{option: value})  # type: ignore[arg-type]


def test_detected_boxes_are_refused(tmp_path: Path) -> None:
    path = sets.save(tmp_path, sets.coco(1))
    with pytest.raises(InputError, match="leave 'boxes' out"):
        PeopleDataset(
            parse_sources({"annotations": path, "boxes": path}),
            skeleton_of(path),
            input_size=(64, 64),
        )
