"""Bins <-> keypoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from posekit.codecs.simcc import SimCC
from posekit.errors import InputError
from tests.seeded import uniform


def one_hot_logits(x_bin: int, y_bin: int, x_value: float, y_value: float) -> tuple:
    x, y = torch.full((1, 1, 20), -1.0), torch.full((1, 1, 40), -1.0)
    x[0, 0, x_bin], y[0, 0, y_bin] = x_value, y_value
    return x, y


def test_the_largest_bin_wins_and_the_surer_axis_does_not_set_the_score() -> None:
    codec = SimCC(input_size=(10, 20))
    keypoints, scores = codec.decode(one_hot_logits(7, 30, 2.0, 0.5))
    np.testing.assert_allclose(keypoints, [[[3.5, 15.0]]])
    np.testing.assert_allclose(scores, [[0.5]])


def test_a_score_that_is_not_positive_puts_the_keypoint_outside() -> None:
    keypoints, scores = SimCC(input_size=(10, 20)).decode(one_hot_logits(7, 30, 2.0, -0.5))
    np.testing.assert_allclose(keypoints, [[[-0.5, -0.5]]])
    np.testing.assert_allclose(scores, [[-0.5]])


def test_flip_mirrors_x_and_swaps_left_and_right() -> None:
    codec = SimCC(input_size=(10, 20))
    x, y = torch.rand(2, 3, 20), torch.rand(2, 3, 40)
    flipped_x, flipped_y = codec.flip((x, y), [0, 2, 1])
    assert torch.equal(flipped_x[:, 1], x[:, 2].flip(-1))
    assert torch.equal(flipped_y[:, 2], y[:, 1])


def test_half_precision_gives_float32() -> None:
    x, y = torch.rand(1, 2, 20).half(), torch.rand(1, 2, 40).half()
    keypoints, scores = SimCC(input_size=(10, 20)).decode((x, y))
    assert keypoints.dtype == scores.dtype == np.float32


def test_targets_are_the_references(shared: Path) -> None:
    with np.load(shared / "reference" / "training" / "codecs.npz") as numbers:
        codec = SimCC(input_size=(192, 256))
        (x, y), weights = codec.encode(numbers["keypoints"], numbers["visible"])
        np.testing.assert_allclose(x, numbers["simcc/keypoint_x_labels"], rtol=1e-5, atol=1e-30)
        np.testing.assert_allclose(y, numbers["simcc/keypoint_y_labels"], rtol=1e-5, atol=1e-30)
        np.testing.assert_array_equal(weights, numbers["simcc/keypoint_weights"])


@pytest.mark.parametrize(
    ("size", "sigma"),
    [((192, 256), (4.9, 5.66)), ((256, 256), (5.66, 5.66)), ((288, 384), (6.0, 6.93))],
)
def test_sigma_follows_the_published_configurations(size: tuple, sigma: tuple) -> None:
    assert SimCC(input_size=size).sigma == sigma


def test_targets_decode_to_the_keypoints_nearest_bins() -> None:
    codec = SimCC(input_size=(48, 64))
    keypoints = (uniform("k", (3, 5, 2)) + 1) / 2 * [47, 63]
    targets, weights = codec.encode(keypoints, np.ones((3, 5)))
    found, scores = codec.decode(targets)
    np.testing.assert_allclose(found, np.round(keypoints * 2) / 2, atol=1e-6)
    assert (scores == 1).all()
    assert weights.shape == (3, 5)


def test_keypoints_far_outside_have_no_target_and_those_near_have() -> None:
    codec = SimCC(input_size=(48, 64), sigma=(2.0, 2.0))
    keypoints = torch.tensor([[[-3.0, 10.0], [-4.0, 10.0], [50.5, 10.0], [51.0, 10.0]]])
    (x, y), weights = codec.encode(keypoints, torch.ones(1, 4))
    # Three sigma are 6 bins, which are 3 pixels; the lower side has one bin more.
    assert weights.tolist() == [[1, 0, 1, 0]]
    assert (x[0, 1] == 0).all()
    assert (y[0, 1] == 0).all()
    assert (y[0, 0] > 0).any()


def test_invisible_keypoints_may_lie_at_nan() -> None:
    keypoints = torch.full((1, 2, 2), torch.nan)
    (x, y), weights = SimCC(input_size=(48, 64)).encode(keypoints, torch.zeros(1, 2))
    assert (x == 0).all()
    assert (y == 0).all()
    assert (weights == 0).all()


def test_nobody_has_no_targets() -> None:
    (x, y), weights = SimCC(input_size=(48, 64)).encode(np.zeros((0, 17, 2)), np.zeros((0, 17)))
    assert (x.shape, y.shape, weights.shape) == ((0, 17, 96), (0, 17, 128), (0, 17))


def test_keypoints_and_visibility_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"found \(1, 17, 3\) and \(1, 17\)"):
        SimCC(input_size=(48, 64)).encode(np.zeros((1, 17, 3)), np.zeros((1, 17)))
