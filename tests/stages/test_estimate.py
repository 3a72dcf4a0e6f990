"""Keypoints of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import posekit
from posekit.datasets.synthetic import generate_scene
from posekit.result import PoseResult
from posekit.stages.estimate import Poses, _ahead


@pytest.fixture(scope="module")
def drawn() -> posekit.Predictor:
    """The packaged model, which has learnt what it is asked here."""
    return posekit.load("demo", device="cpu")


def distances(
    first: Sequence[Poses | PoseResult], second: Sequence[Poses | PoseResult]
) -> np.ndarray:
    """Of all keypoints of all images, in pixels."""
    pairs = zip(first, second, strict=True)
    found = [np.linalg.norm(a.keypoints - b.keypoints, axis=-1).ravel() for a, b in pairs]
    return np.concatenate(found)


def test_a_queue_is_made_ahead_and_in_order() -> None:
    made: list[int] = []
    given = _ahead((made.append(number) or number for number in range(5)), 2)
    seen = [(number, len(made)) for number in given]
    assert seen == [(0, 2), (1, 2), (2, 4), (3, 4), (4, 5)]


@pytest.mark.usefixtures("same_crops")
def test_tensors_give_the_same_keypoints(drawn: posekit.Predictor) -> None:
    scenes = [generate_scene(seed) for seed in range(8)]
    images, boxes = [s.image for s in scenes], [s.boxes_xyxy for s in scenes]
    expected = drawn.estimator(images, boxes, batch_size=5)
    found = drawn.estimator([torch.from_numpy(im) for im in images], boxes, batch_size=5)
    apart = distances(expected, found)
    assert len(apart) > 17 * 8
    assert np.quantile(apart, 0.99) < 0.1


@pytest.mark.gpu
@pytest.mark.parametrize("backend", [None, "torch"])
def test_a_gpu_finds_the_same_keypoints(
    drawn: posekit.Predictor, backend: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    images = [generate_scene(seed).image for seed in range(8)]
    on_gpu = posekit.load("demo", device="cuda", backend=backend)
    expected = list(drawn.stream(images, batch_size=3))
    # So few crops at a time that several batches are queued.
    found = list(on_gpu.stream(images, batch_size=3, pose_batch_size=1))
    assert [len(result) for result in found] == [len(result) for result in expected]
    assert np.quantile(distances(expected, found), 0.99) < 0.1


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_gpu_finds_them_in_half_precision(drawn: posekit.Predictor, dtype: str) -> None:
    images = [generate_scene(seed).image for seed in range(8)]
    on_gpu = posekit.load("demo", device="cuda", dtype=dtype, backend="torch")
    expected = list(drawn.stream(images))
    found = list(on_gpu.stream(images))
    people = sum(map(len, expected))
    assert abs(sum(map(len, found)) - people) <= 1  # one may be at the threshold
    same = [(a, b) for a, b in zip(expected, found, strict=True) if len(a) == len(b)]
    away = distances(*zip(*same, strict=True))
    assert np.quantile(away, 0.9) < (0.5 if dtype == "float16" else 2.0)
