"""Cells that are chosen before they are decoded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from posekit.codecs.anchors import YOLOXBoxes
from posekit.codecs.boxes import DistanceBoxes
from posekit.codecs.cells import cells_above

SIDES, STRIDES = (4, 2), (8, 16)
GENERATOR = torch.Generator().manual_seed(0)


def maps(channels: int) -> tuple[torch.Tensor, ...]:
    """Levels (3, C, side, side) of random numbers."""
    return tuple(3 * torch.randn(3, channels, s, s, generator=GENERATOR) for s in SIDES)


@pytest.mark.parametrize(
    ("codec", "outputs"),
    [
        (DistanceBoxes(strides=STRIDES), (maps(2), maps(4))),
        (YOLOXBoxes(strides=STRIDES), (maps(2), maps(4), maps(1))),
    ],
)
def test_chosen_cells_are_those_that_pass_among_all(codec: Any, outputs: Any) -> None:
    boxes, scores = codec.decode(outputs)
    cells = codec.cells_above(outputs, 0.6)
    some_boxes, some_scores = codec.decode(outputs, cells)
    owners = torch.cat([image for image, _, _ in cells])
    assert 0 < len(owners) < scores.shape[0] * scores.shape[1]
    for image in range(3):
        passing = (scores[image] > 0.6).any(dim=-1)
        own = owners == image
        kept = (some_scores[own] > 0.6).any(dim=-1)
        torch.testing.assert_close(some_boxes[own][kept], boxes[image][passing])
        torch.testing.assert_close(some_scores[own][kept], scores[image][passing])


def test_a_cell_that_is_not_a_number_is_chosen() -> None:
    logits = torch.full((1, 2, 2, 2), -9.0)
    logits[0, 1, 1, 0] = torch.nan
    ((image, row, column),) = cells_above([(logits,)], 0.5)
    assert (image.tolist(), row.tolist(), column.tolist()) == ([0], [1], [0])


@pytest.mark.parametrize(("probability", "count"), [(0.0, 2), (1.0, 1)])
def test_the_ends_of_the_range(probability: float, count: int) -> None:
    logits = torch.tensor([-90.0, 90.0]).view(1, 1, 1, 2)
    ((image, _, _),) = cells_above([(logits,)], probability)
    assert len(image) == count
