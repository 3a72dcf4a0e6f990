"""Crops: geometry as in prediction, the same for every number of workers, from any position."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from posekit.datasets.augment import PoseAugment
from posekit.datasets.batches import batches, collate, init_worker
from posekit.datasets.decoded_images import from_reduced
from posekit.datasets.pose_samples import PoseDataset
from posekit.datasets.sampler import ResumableSampler
from posekit.datasets.sources import parse_sources
from posekit.errors import InputError
from posekit.transforms.affine import boxes_to_cs, crop, crop_matrices, to_image
from tests.datasets.pose_sets import SIZE, pose_set, skeleton_of
from tests.datasets.sets import COLORS, coco, save

WILD = PoseAugment(hsv=(0, 0, 0), blur=0, median_blur=0, dropout=0, half_body=0, rotation_prob=1)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("udp", [False, True])
def test_evaluation_crops_are_those_of_prediction(tmp_path: Path, udp: bool) -> None:
    path = save(tmp_path, coco())
    sample = pose_set(path, udp=udp)[2]
    image = cv2.imread(str(tmp_path / "2.png"))
    centers, scales = boxes_to_cs(sample["bbox"][None], input_size=SIZE)
    expected = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    crop(image, crop_matrices(centers, scales, input_size=SIZE, udp=udp)[0], expected)
    assert np.array_equal(sample["crop"], expected)
    assert np.array_equal(sample["center"], centers[0])
    assert np.array_equal(sample["scale"], scales[0])


def test_keypoints_of_an_evaluation_crop_lead_back_to_the_image(tmp_path: Path) -> None:
    sample = pose_set(save(tmp_path, coco()))[1]
    back = to_image(
        sample["keypoints"][None], sample["center"][None], sample["scale"][None], input_size=SIZE
    )
    np.testing.assert_allclose(back[0], sample["image_keypoints"], atol=1e-3)
    assert (sample["image_id"], sample["annotation_id"]) == (11, 101)


@pytest.mark.parametrize("udp", [False, True])
def test_augmented_keypoints_stay_on_what_they_name(tmp_path: Path, udp: bool) -> None:
    path = save(tmp_path, coco(size_wh=(640, 480)), radius=12)
    dataset = pose_set(path, augment=WILD, udp=udp)
    flip_indices = dataset.skeleton.flip_indices
    flips = seen = 0
    for epoch in range(20):
        sample = dataset[epoch, epoch % 4]
        mirrored = np.linalg.det(sample["matrix"][:, :2]) < 0
        flips += mirrored
        for k in np.flatnonzero(sample["visible"]):
            # A mirrored person's left eye is where the right one was drawn.
            color = COLORS[flip_indices[k] if mirrored else k]
            x, y = np.minimum(
                np.rint(sample["keypoints"][k]).astype(int), (SIZE[0] - 1, SIZE[1] - 1)
            )
            assert np.abs(sample["crop"][y, x].astype(int) - color).max() < 110
            seen += 1
    assert 0 < flips < 20
    assert seen > 50


def test_keypoints_outside_of_the_crop_are_not_visible(tmp_path: Path) -> None:
    data = coco(1)
    data["annotations"][0]["keypoints"][:3] = [319, 239, 2]
    data["annotations"][0]["keypoints"][5] = 0
    sample = pose_set(save(tmp_path, data), padding=1.0)[0]
    assert sample["visible"].tolist() == [0, 0, 1, 1, 1]
    assert sample["image_visible"].tolist() == [1, 0, 1, 1, 1]


def test_huge_images_are_decoded_smaller_without_moving_keypoints(tmp_path: Path) -> None:
    data = coco(1, size_wh=(1600, 1200))
    for image in data["images"]:
        image["file_name"] = "0.jpg"
    dataset = pose_set(save(tmp_path, data, radius=40), augment=WILD)
    for epoch in range(6):
        sample = dataset[epoch, 0]
        for k in np.flatnonzero(sample["visible"]):
            x, y = sample["keypoints"][k]
            color = np.array(COLORS[k])
            if np.linalg.det(sample["matrix"][:, :2]) < 0:
                color = np.array(COLORS[dataset.skeleton.flip_indices[k]])
            near = (np.abs(sample["crop"].astype(int) - color).max(axis=-1) < 80).astype(np.uint8)
            _, _, _, centers = cv2.connectedComponentsWithStats(near)
            inside = 4 < x < SIZE[0] - 5 and 4 < y < SIZE[1] - 5
            if inside:
                assert np.abs(centers[1:] - (x, y)).max(axis=1).min() < 0.75
    assert {shrink for _, shrink in dataset._images.images} - {1}


@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_pixel_of_a_smaller_image_covers_those_it_was_made_of(shrink: int) -> None:
    matrix = np.array([[0.3, 0.1, 7.0], [-0.2, 0.4, 5.0]])
    smaller = from_reduced(matrix, 1 / shrink)
    for pixel in ([0, 0], [5, 9]):
        middle = np.array([*(shrink * np.array(pixel) + (shrink - 1) / 2), 1])
        np.testing.assert_allclose(smaller @ [*pixel, 1], matrix @ middle)


def test_a_sample_depends_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    path = save(tmp_path, coco())
    first, second = (pose_set(path, augment=PoseAugment(), seed=3) for _ in range(2))
    expected = [first[5, i] for i in range(4)]
    assert all(same(second[5, i], expected[i]) for i in reversed(range(4)))
    assert not same(second[6, 0], expected[0])
    assert not same(pose_set(path, augment=PoseAugment(), seed=4)[5, 0], expected[0])


def test_batches_are_the_same_with_and_without_workers(tmp_path: Path) -> None:
    dataset = pose_set(save(tmp_path, coco()), augment=PoseAugment())

    def batches(workers: int) -> list[dict[str, torch.Tensor]]:
        sampler = ResumableSampler(len(dataset), seed=1)
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=2,
            sampler=sampler,
            collate_fn=collate,
            num_workers=workers,
            worker_init_fn=init_worker,
        )
        return list(loader)

    alone, shared_out = batches(0), batches(2)
    assert len(alone) == 2
    assert alone[0]["crop"].dtype == torch.uint8
    for one, other in zip(alone, shared_out, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_second_stage_has_its_own_augmentation(tmp_path: Path) -> None:
    still = PoseAugment(
        flip=0, shift_prob=0, scale=(1, 1), rotation_prob=0, half_body=0, dropout=0,
        hsv=(0, 0, 0), blur=0, median_blur=0,
    )  # fmt: skip
    path = save(tmp_path, coco())
    dataset = pose_set(path, augment=WILD, final_augment=still, final_epoch=2)
    plain = pose_set(path)[0]["crop"]
    assert not np.array_equal(dataset[1, 0]["crop"], plain)
    assert np.array_equal(dataset[2, 0]["crop"], plain)


def test_decoded_images_stay_within_the_budget_and_out_of_pickles(tmp_path: Path) -> None:
    size = 320 * 240 * 3
    dataset = pose_set(save(tmp_path, coco()), cache_mb=2.5 * size / 2**20)
    fresh = len(pickle.dumps(dataset))
    for i in range(4):
        dataset[i]
    assert len(dataset._images.images) == 2
    assert len(pickle.dumps(dataset)) < fresh + size / 10


def test_a_broken_image_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = save(tmp_path, coco())
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:200])
    (tmp_path / "2.png").write_bytes(b"not an image")
    (tmp_path / "3.png").unlink()
    dataset = pose_set(path)
    for index, why in ((1, "cannot be decoded"), (2, "cannot be decoded"), (3, "cannot be read")):
        with pytest.raises(InputError, match=rf"{index}\.png \(id 1{index}\) {why}"):
            dataset[index]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_named_through_a_worker(tmp_path: Path, workers: int) -> None:
    path = save(tmp_path, coco(1))
    (tmp_path / "0.png").write_bytes(b"no image")
    dataset = PoseDataset(parse_sources(path), skeleton_of(path), input_size=SIZE)
    loader: DataLoader[dict[str, Any]] = DataLoader(
        dataset, collate_fn=collate, num_workers=workers
    )
    with pytest.raises(InputError, match=r"^a sample cannot be used: image .*0\.png") as found:
        list(batches(loader))
    assert "Traceback" not in str(found.value)
