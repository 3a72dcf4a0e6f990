"""Cells and anchors -> boxes."""

from __future__ import annotations

import math

import pytest
import torch

from posekit.codecs.anchors import SSDBoxes, YOLOXBoxes

ONE_HAND = SSDBoxes(
    strides=(16, 32, 64, 107, 160, 320),
    min_sizes=(48, 100, 150, 202, 253, 304),
    max_sizes=(100, 150, 202, 253, 304, 320),
)


def one_cell_of(row: int, column: int, values: list[float]) -> torch.Tensor:
    """A level of 2 x 3 cells (1, C, 2, 3) that is zero elsewhere."""
    level = torch.zeros(1, len(values), 2, 3)
    level[0, :, row, column] = torch.tensor(values)
    return level


def test_yolox_boxes_are_centres_and_logarithms_in_strides() -> None:
    offsets = one_cell_of(1, 2, [0.5, 0.25, math.log(2), math.log(4)])
    boxes, _ = YOLOXBoxes(strides=(8,)).decode(
        ((torch.zeros(1, 1, 2, 3),), (offsets,), (torch.zeros(1, 1, 2, 3),))
    )
    # Cell 5: corner (16, 8), centre (20, 10), size (16, 32).
    assert boxes.shape == (1, 6, 4)
    assert boxes[0, 5].tolist() == pytest.approx([12, -6, 28, 26])


def test_yolox_levels_follow_each_other() -> None:
    sides, strides = (4, 2, 1), (8, 16, 32)
    levels = [tuple(torch.zeros(2, c, side, side) for side in sides) for c in (80, 4, 1)]
    boxes, scores = YOLOXBoxes(strides=strides).decode((levels[0], levels[1], levels[2]))
    assert boxes.shape == (2, 21, 4)
    assert scores.shape == (2, 21, 80)
    assert boxes[0, -1].tolist() == [-16, -16, 16, 16]


def test_yolox_scores_are_class_times_objectness_of_the_best_class() -> None:
    logits = one_cell_of(0, 1, [1.0, 2.0, -1.0])
    objectness = one_cell_of(0, 1, [0.5])
    _, scores = YOLOXBoxes(strides=(8,)).decode(
        ((logits,), (torch.zeros(1, 4, 2, 3),), (objectness,))
    )
    expected = 1 / (1 + math.exp(-2)) / (1 + math.exp(-0.5))
    assert scores[0, 1].tolist() == pytest.approx([0, expected, 0])


def test_ssd_anchors_lie_around_cell_centres() -> None:
    sides = (20, 10, 5, 3, 2, 1)
    logits = tuple(torch.zeros(1, 12, side, side) for side in sides)
    deltas = tuple(torch.zeros(1, 24, side, side) for side in sides)
    boxes, scores = ONE_HAND.decode((logits, deltas))
    assert boxes.shape == (1, 6 * sum(side**2 for side in sides), 4)
    assert torch.allclose(scores, torch.tensor(0.5))
    center = (boxes[0, :, :2] + boxes[0, :, 2:]) / 2
    size = boxes[0, :, 2:] - boxes[0, :, :2]
    torch.testing.assert_close(center[:6], torch.full((6, 2), 8.0))
    torch.testing.assert_close(center[6], torch.tensor([24.0, 8.0]))
    torch.testing.assert_close(center[20 * 6], torch.tensor([8.0, 24.0]))
    torch.testing.assert_close(center[-1], torch.full((2,), 160.0))
    middle, r2, r3 = math.sqrt(48 * 100), math.sqrt(2), math.sqrt(3)
    expected = [
        [48, 48],
        [middle, middle],
        [48 * r2, 48 / r2],  # lying, then standing
        [48 / r2, 48 * r2],
        [48 * r3, 48 / r3],
        [48 / r3, 48 * r3],
    ]
    torch.testing.assert_close(size[:6], torch.tensor(expected))
    # The level of three cells a side: a stride of 107 pixels.
    start = 6 * (20**2 + 10**2 + 5**2)
    torch.testing.assert_close(center[start], torch.full((2,), 53.5))
    torch.testing.assert_close(size[start], torch.full((2,), 202.0))


def test_ssd_deltas_move_and_scale_an_anchor() -> None:
    codec = SSDBoxes(strides=(16,), min_sizes=(40,), max_sizes=(90,), ratios=(2,))
    deltas = torch.zeros(1, 16, 1, 1)
    deltas[0, 4:8, 0, 0] = torch.tensor([1.0, -2.0, math.log(2) / 0.2, 1000.0])
    boxes, _ = codec.decode(((torch.zeros(1, 8, 1, 1),), (deltas,)))
    # The second anchor: centre (8, 8), side 60; a side grows to 62.5 times at most.
    width, height = 120, 60 * 1000 / 16
    center = (8 + 0.1 * 60, 8 - 0.2 * 60)
    expected = [
        center[0] - width / 2,
        center[1] - height / 2,
        center[0] + width / 2,
        center[1] + height / 2,
    ]
    assert boxes[0, 1].tolist() == pytest.approx(expected, rel=1e-5)
    assert boxes[0, 0].tolist() == pytest.approx([-12, -12, 28, 28])


def test_ssd_background_is_the_last_class_of_each_anchor() -> None:
    codec = SSDBoxes(strides=(16,), min_sizes=(40,), max_sizes=(90,), ratios=(2,))
    logits = torch.zeros(1, 4 * 3, 1, 1)
    logits[0, 3:6, 0, 0] = torch.tensor([1.0, 2.0, 3.0])  # the second anchor
    _, scores = codec.decode(((logits,), (torch.zeros(1, 16, 1, 1),)))
    total = sum(math.exp(value) for value in (1, 2, 3))
    assert scores.shape == (1, 4, 2)
    assert scores[0, 1].tolist() == pytest.approx([math.exp(1) / total, math.exp(2) / total])
