"""The steps around the networks on tensors, against those with OpenCV and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posekit.datasets.synthetic import generate_scene
from posekit.transforms.affine import boxes_to_cs, crop, crop_matrices
from posekit.transforms.device import batched_nms, crop_batch, letterbox_batch, place_images
from posekit.transforms.image import Normalize, letterbox
from posekit.transforms.nms import nms

SIZE = (96, 128)
CUDA = pytest.param("cuda", marks=pytest.mark.gpu)
DEVICES = pytest.mark.parametrize("device", ["cpu", CUDA])


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """With light, blur and noise as photographs have, of sizes of their own."""
    sizes = [(640, 425), (500, 640), (333, 501)]
    return [generate_scene(seed, size_wh=size).image for seed, size in enumerate(sizes)]


@DEVICES
@pytest.mark.parametrize("udp", [False, True])
def test_crops_are_opencvs(pictures: list[np.ndarray], device: str, udp: bool) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(-100, 600, (30, 2))  # some lie outside of the image
    boxes = np.hstack([corners, corners + rng.uniform(5, 500, (30, 2))])
    owners = np.repeat([0, 2], 15)
    centers, scales = boxes_to_cs(boxes, input_size=SIZE)
    matrices = crop_matrices(centers, scales, input_size=SIZE, udp=udp)
    expected = np.empty((30, SIZE[1], SIZE[0], 3), np.uint8)
    for owner, matrix, out in zip(owners, matrices, expected, strict=True):
        crop(pictures[owner], matrix, out)
    tensors = [torch.from_numpy(image).to(device) for image in pictures]
    found = crop_batch(tensors, owners, matrices, SIZE)
    assert found.dtype == torch.uint8
    difference = np.abs(found.cpu().numpy().astype(int) - expected)
    # Older versions of OpenCV round places to a 32nd of a pixel.
    assert np.quantile(difference, 0.99) <= 1
    assert difference.mean() < 0.1


@DEVICES
def test_no_crops(pictures: list[np.ndarray], device: str) -> None:
    tensors = [torch.from_numpy(pictures[0]).to(device)]
    found = crop_batch(tensors, np.zeros(0, int), np.zeros((0, 2, 3)), SIZE)
    assert found.shape == (0, 128, 96, 3)


@DEVICES
@pytest.mark.parametrize("keep_ratio", [True, False])
def test_letterboxed_images_are_opencvs(
    pictures: list[np.ndarray], device: str, keep_ratio: bool
) -> None:
    images = [*pictures, np.full((1, 1, 3), 9, np.uint8), np.full((3, 900, 3), 9, np.uint8)]
    tensors = [torch.from_numpy(image).to(device) for image in images]
    batch, factors = letterbox_batch(tensors, (160, 128), 114, keep_ratio=keep_ratio)
    for image, found, factor in zip(images, batch.cpu().numpy(), factors, strict=True):
        expected = np.empty((128, 160, 3), np.uint8)
        assert letterbox(image, expected, 114, keep_ratio=keep_ratio) == factor
        difference = np.abs(found.astype(int) - expected)
        # OpenCV's own rounding differs in what is left over of a row after its vectors.
        assert difference.max() <= 1
        assert difference.mean() < 5e-3


@DEVICES
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_tensors_are_normalised_as_arrays_are(
    pictures: list[np.ndarray], device: str, color: str
) -> None:
    normalize = Normalize(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        color=color,
        device=torch.device(device),
        dtype=torch.float32,
    )
    image = pictures[0][None]
    found = normalize(torch.from_numpy(image).to(device))
    torch.testing.assert_close(found, normalize(image), atol=1e-5, rtol=0)


def clusters(seed: int, count: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes in groups that overlap, best first, with scores and labels."""
    rng = np.random.default_rng(seed)
    around = rng.uniform(0, 300, (8, 2))[rng.integers(0, 8, count)]
    corners = around + rng.normal(0, 12, (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(30, 60, (count, 2))]).astype(np.float32)
    return boxes, np.sort(rng.uniform(0, 1, count))[::-1], rng.integers(0, 2, count)


@DEVICES
@pytest.mark.parametrize("threshold", [0.3, 0.6])
def test_suppression_is_greedy(device: str, threshold: float) -> None:
    cases = [clusters(seed) for seed in range(6)]
    boxes, scores, labels = (np.stack(values) for values in zip(*cases, strict=True))
    valid = scores > 0.2
    kept, final = batched_nms(
        *(torch.from_numpy(values).to(device) for values in (boxes, valid, labels)), threshold
    )
    assert final.all()
    for index, (box, score, label) in enumerate(cases):
        expected = np.zeros(len(score), bool)
        for chosen in (0, 1):
            rows = np.flatnonzero((label == chosen) & valid[index])
            expected[rows[nms(box[rows], score[rows], threshold)]] = True
        assert kept[index].tolist() == expected.tolist()


def test_a_chain_that_is_too_long_is_not_final() -> None:
    # Each box overlaps the next one, so that every other one stays.
    steps = torch.arange(60.0)[:, None] * 4
    chain = torch.cat([steps, torch.zeros_like(steps), steps + 10, steps + 10 - steps], dim=1)
    alone = torch.zeros_like(chain)
    alone[0, 2:] = 1
    valid = torch.ones(2, 60, dtype=torch.bool)
    valid[1, 1:] = False
    labels = torch.zeros(2, 60, dtype=torch.int64)
    kept, final = batched_nms(torch.stack([chain, alone]), valid, labels, 0.3)
    assert final.tolist() == [False, True]
    assert kept[1].sum() == 1


def test_images_for_a_processor_stay_what_they_are() -> None:
    array, tensor = np.zeros((4, 4, 3), np.uint8), torch.zeros(4, 4, 3, dtype=torch.uint8)
    cpu = torch.device("cpu")
    assert place_images([array], cpu)[0] is array
    assert place_images([tensor], cpu)[0] is tensor
    assert all(isinstance(image, torch.Tensor) for image in place_images([array, tensor], cpu))


@pytest.mark.gpu
def test_images_for_a_gpu_go_there() -> None:
    array = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    (placed,) = place_images([array[::-1]], torch.device("cuda"))
    assert isinstance(placed, torch.Tensor)
    assert placed.is_cuda
    np.testing.assert_array_equal(placed.cpu().numpy(), array[::-1])
