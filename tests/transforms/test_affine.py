"""Crops of boxes and the way back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from posekit.transforms.affine import (
    boxes_to_cs,
    crop,
    crop_all,
    crop_matrices,
    to_image,
)


@pytest.mark.usefixtures("same_crops")
@pytest.mark.parametrize("kind", ["plain", "udp", "square", "outside"])
def test_crops_match_the_reference(shared: Path, kind: str) -> None:
    image = cv2.imread(str(shared / "images" / "000000000785.jpg"))
    with np.load(shared / "reference" / "preprocess" / "crops_000000000785.npz") as reference:
        expected, box = reference[f"{kind}/crop"], reference[f"{kind}/box"]
        center, scale = reference[f"{kind}/center"], reference[f"{kind}/scale"]
    size = expected.shape[1::-1]
    centers, scales = boxes_to_cs(box[None], input_size=size)
    np.testing.assert_allclose(centers, center, atol=1e-3)
    np.testing.assert_allclose(scales, scale, rtol=1e-6)
    out = np.empty_like(expected)
    crop(image, crop_matrices(centers, scales, input_size=size, udp=kind == "udp")[0], out)
    close = np.abs(out.astype(int) - expected) <= 1
    assert close.all(axis=2).mean() >= 0.999


def test_a_wide_box_keeps_its_width_and_a_tall_one_its_height() -> None:
    boxes = np.array([[0, 0, 100, 10], [0, 0, 10, 100]], np.float32)
    _, scales = boxes_to_cs(boxes, input_size=(192, 256), padding=1.0)
    np.testing.assert_allclose(scales, [[100, 100 * 256 / 192], [75, 100]], rtol=1e-6)


@pytest.mark.parametrize("udp", [False, True])
def test_matrices_map_the_box_to_the_whole_crop(udp: bool) -> None:
    boxes = np.array([[10, 20, 106, 148]], np.float32)
    centers, scales = boxes_to_cs(boxes, input_size=(192, 256), padding=1.0)
    matrix = crop_matrices(centers, scales, input_size=(192, 256), udp=udp)[0]
    corners = np.array([[10, 20, 1], [106, 148, 1]]) @ matrix.T
    end = [191, 255] if udp else [192, 256]
    np.testing.assert_allclose(corners, [[0, 0], end], atol=1e-4)


def test_keypoints_of_a_crop_go_back_to_the_image() -> None:
    centers, scales = np.array([[50, 60]], np.float32), np.array([[96, 128]], np.float32)
    keypoints = np.array([[[0, 0], [192, 256]]], np.float32)
    moved = to_image(keypoints, centers, scales, input_size=(192, 256))
    np.testing.assert_allclose(moved, [[[2, -4], [98, 124]]])


def test_an_image_wider_than_opencv_can_warp_is_cropped() -> None:
    image = np.zeros((8, 40_000, 3), np.uint8)
    image[:, 35_000:35_010] = 255
    centers, scales = boxes_to_cs(
        np.array([[34_990, 0, 35_020, 8]], np.float32), input_size=(192, 256), padding=1.0
    )
    out = np.empty((256, 192, 3), np.uint8)
    crop(image, crop_matrices(centers, scales, input_size=(192, 256))[0], out)
    bright = np.flatnonzero(out[128, :, 0] > 127)
    np.testing.assert_allclose([bright[0], bright[-1]], [64, 128], atol=4)


def test_a_box_without_area_has_a_finite_crop() -> None:
    centers, scales = boxes_to_cs(np.array([[5, 5, 5, 5]], np.float32), input_size=(192, 256))
    assert np.isfinite(crop_matrices(centers, scales, input_size=(192, 256))).all()


@pytest.mark.parametrize("size", [(300, 200), (3000, 2000)])  # with a fourth channel, and without
def test_crops_of_an_image_are_those_of_one_after_the_other(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    boxes = np.array([[-20, 10, 90, 150], [50.3, 20.7, 130.2, 180.1]], np.float32)
    centers, scales = boxes_to_cs(boxes, input_size=(48, 64))
    matrices = crop_matrices(centers, scales, input_size=(48, 64))
    together, alone = np.empty((2, 64, 48, 4), np.uint8), np.empty((2, 64, 48, 3), np.uint8)
    crop_all(image, matrices, together, pad_value=9)
    for matrix, out in zip(matrices, alone, strict=True):
        crop(image, matrix, out, pad_value=9)
    np.testing.assert_array_equal(together[..., :3], alone)
