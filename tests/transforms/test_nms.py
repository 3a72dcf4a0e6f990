"""Suppression of overlapping boxes."""

from __future__ import annotations

import numpy as np

from posekit.transforms.nms import nms

BOXES = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]], np.float32)


def test_the_best_of_overlapping_boxes_stays() -> None:
    assert nms(BOXES, np.array([0.5, 0.9, 0.1]), 0.5).tolist() == [1, 2]


def test_a_high_threshold_keeps_all_in_order_of_score() -> None:
    assert nms(BOXES, np.array([0.5, 0.9, 0.1]), 0.95).tolist() == [1, 0, 2]


def test_no_boxes() -> None:
    assert nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_pixel_offset_counts_the_border() -> None:
    boxes = np.array([[0, 0, 1, 1], [1, 0, 2, 1]], np.float32)
    scores = np.array([2.0, 1.0])
    assert nms(boxes, scores, 0.3, pixel_offset=1).tolist() == [0]
    assert nms(boxes, scores, 0.3).tolist() == [0, 1]
