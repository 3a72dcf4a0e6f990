"""Cells -> boxes."""

from __future__ import annotations

import torch

from posekit.codecs.boxes import DistanceBoxes


def test_distances_go_out_from_a_cells_corner() -> None:
    logits = torch.zeros(1, 2, 2, 3)
    distances = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1).expand(1, 4, 2, 3)
    boxes, scores = DistanceBoxes(strides=(8,)).decode(((logits,), (distances,)))
    assert boxes.shape == (1, 6, 4)
    assert boxes[0, 4].tolist() == [7.0, 6.0, 11.0, 12.0]  # row 1, column 1: corner (8, 8)
    assert scores.shape == (1, 6, 2)
    assert torch.allclose(scores, torch.tensor(0.5))
