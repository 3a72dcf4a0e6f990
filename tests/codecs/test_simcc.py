"""Bins -> keypoints."""

from __future__ import annotations

import numpy as np
import torch

from posekit.codecs.simcc import SimCC


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
