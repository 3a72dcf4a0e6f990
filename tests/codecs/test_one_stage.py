"""Cells of one-stage networks."""

from __future__ import annotations

import math

import pytest
import torch

from posekit.codecs.one_stage import PersonCells


def levels(channels: int, fill: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((1, channels, 4, 6), fill), torch.full((1, channels, 2, 3), fill)


def test_points_are_the_middle_pixels_of_cells() -> None:
    cells = PersonCells().decode((levels(1), levels(4), levels(3), levels(8)))
    assert cells.centers[0].tolist() == [7.5, 7.5]
    assert cells.centers[1].tolist() == [23.5, 7.5]
    assert cells.centers[6].tolist() == [7.5, 23.5]
    assert cells.centers[24].tolist() == [15.5, 15.5]
    assert cells.centers[-1].tolist() == [79.5, 47.5]


def test_boxes_are_of_the_size_and_where_the_offsets_say() -> None:
    offsets = levels(4)
    offsets[0][0, :, 1, 2] = torch.tensor([0.5, -0.25, math.log(2), math.log(3)])
    offsets[1][0, :, 0, 1] = torch.tensor([0.0, 1.0, 0.0, math.log(0.5)])
    cells = PersonCells().decode((levels(1), offsets, levels(3), levels(8)))
    # The middle of cell (2, 1) is (39.5, 23.5).
    torch.testing.assert_close(cells.boxes_xyxy[0, 8], torch.tensor([31.5, -4.5, 63.5, 43.5]))
    # That of cell (1, 0) of stride 32 is (47.5, 15.5).
    torch.testing.assert_close(cells.boxes_xyxy[0, 25], torch.tensor([31.5, 39.5, 63.5, 55.5]))


def test_scores_are_probabilities_and_vectors_as_they_are() -> None:
    visibility = levels(3)
    visibility[1][0, 2] = math.log(3)
    cells = PersonCells().decode((levels(1, -math.log(4)), levels(4), visibility, levels(8, 2.5)))
    assert cells.scores.shape == (1, 30)
    torch.testing.assert_close(cells.scores, torch.full((1, 30), 0.2))
    torch.testing.assert_close(cells.keypoint_scores[0, 0], torch.full((3,), 0.5))
    torch.testing.assert_close(cells.keypoint_scores[0, 24:, 2], torch.full((6,), 0.75))
    assert (cells.vectors == 2.5).all() and cells.vectors.shape == (1, 30, 8)


def test_half_precision_is_decoded_in_float32() -> None:
    outputs = [tuple(level.half() for level in levels(count)) for count in (1, 4, 3, 8)]
    assert {values.dtype for values in PersonCells().decode(outputs)} == {torch.float32}


def test_levels_must_be_as_many_as_strides() -> None:
    with pytest.raises(ValueError, match="zip"):
        PersonCells(strides=(8, 16, 32)).decode((levels(1), levels(4), levels(3), levels(8)))
