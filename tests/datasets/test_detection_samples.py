"""Images with boxes: letterboxed as prediction does, boxes stay on their objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posekit.datasets.augment import DetectionAugment
from posekit.datasets.batches import collate
from posekit.datasets.detection_samples import DetectionDataset
from posekit.datasets.sources import parse_sources
from posekit.errors import InputError
from posekit.transforms.image import letterbox
from tests.datasets.sets import coco, save


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def detection_set(folder: Path, **options: Any) -> DetectionDataset:
    """Each image is grey with one bright box."""
    folder.mkdir(exist_ok=True)
    data = coco(8, per_image=1)
    for i, annotation in enumerate(data["annotations"]):
        annotation["bbox"] = [60 + 4 * i, 50, 120, 90]
        pixels = np.full((240, 320, 3), 60, np.uint8)
        pixels[50:140, 60 + 4 * i : 180 + 4 * i] = 250
        cv2.imwrite(str(folder / f"{i}.png"), pixels)
    return DetectionDataset(
        parse_sources(save(folder, data)), ["person"], input_size=(160, 160), **options
    )


def test_evaluation_images_are_letterboxed_as_the_detector_does(tmp_path: Path) -> None:
    sample = detection_set(tmp_path)[3]
    expected = np.empty((160, 160, 3), np.uint8)
    factors = letterbox(cv2.imread(str(tmp_path / "3.png")), expected, 114)
    assert np.array_equal(sample["image"], expected)
    assert tuple(sample["factor"]) == factors
    assert sample["boxes"].tolist() == [[36, 25, 96, 70]]
    assert sample["original_size"].tolist() == [320, 240]


@pytest.mark.parametrize("mosaic", [True, False])
def test_augmented_boxes_stay_on_their_objects(tmp_path: Path, mosaic: bool) -> None:
    augment = DetectionAugment(mosaic=mosaic, mixup=0, hsv=(0, 0, 0))
    dataset = detection_set(tmp_path, augment=augment)
    boxes = 0
    for epoch in range(12):
        sample = dataset[epoch, epoch % 8]
        covered = np.zeros((160, 160), bool)
        for x1, y1, x2, y2 in sample["boxes"]:
            covered[round(y1) : round(y2), round(x1) : round(x2)] = True
        bright = sample["image"][..., 0] > 155
        # Borders blur over a pixel; slivers under a pixel have no box.
        assert (bright ^ covered).sum() <= 4 * 2 * 160 * 0.25
        boxes += len(sample["boxes"])
    assert boxes >= (20 if mosaic else 10)


def test_mixup_joins_the_boxes_of_two_samples(tmp_path: Path) -> None:
    single = detection_set(tmp_path, augment=DetectionAugment(mixup=0, flip=0))
    mixed = detection_set(tmp_path, augment=DetectionAugment(mixup=1, flip=0))
    for index in range(8):
        one, both = single[0, index]["boxes"], mixed[0, index]["boxes"]
        assert np.array_equal(both[: len(one)], one)
    assert sum(len(mixed[0, i]["boxes"]) > len(single[0, i]["boxes"]) for i in range(8)) > 3


def test_mosaics_are_the_same_in_any_order_and_from_an_empty_cache(tmp_path: Path) -> None:
    first = detection_set(tmp_path, augment=DetectionAugment())
    second = detection_set(tmp_path, augment=DetectionAugment(), cache_mb=0)
    expected = [first[2, i] for i in range(8)]
    assert all(same(second[2, i], expected[i]) for i in reversed(range(8)))


def test_boxes_of_a_batch_stay_a_list(tmp_path: Path) -> None:
    dataset = detection_set(tmp_path, augment=DetectionAugment())
    batch = collate([dataset[0, i] for i in range(3)])
    assert batch["image"].shape == (3, 160, 160, 3)
    assert [len(boxes) for boxes in batch["boxes"]] == [len(labels) for labels in batch["labels"]]


def test_a_detector_needs_one_of_its_classes(tmp_path: Path) -> None:
    path = save(tmp_path, coco())
    with pytest.raises(InputError, match="has the categories person; expected cat, dog"):
        DetectionDataset(parse_sources(path), ["cat", "dog"], input_size=(160, 160))
