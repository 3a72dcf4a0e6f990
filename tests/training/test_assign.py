"""Which cells answer for which box."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from posekit.errors import InputError
from posekit.training.assign import Assignment, assign_cells
from tests.seeded import uniform

CLASSES = 5


def grid(size: int = 8, stride: int = 8) -> tuple[Tensor, Tensor]:
    steps = torch.arange(size) * float(stride)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1), torch.full((size * size,), float(stride))


def assign(boxes: list[list[float]], labels: list[int], **options: float) -> Assignment:
    points, strides = grid()
    logits = torch.from_numpy(uniform("logits", (len(points), CLASSES)))
    reach = torch.from_numpy(uniform("reach", (len(points), 4))) * 10 + 12
    predicted = torch.cat([points - reach[:, :2], points + reach[:, 2:]], dim=1)
    return assign_cells(
        logits,
        predicted,
        points,
        strides,
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        **options,
    )


def test_cells_lie_inside_of_their_box() -> None:
    boxes = [[1.0, 1.0, 30.0, 30.0], [20.0, 20.0, 60.0, 50.0]]
    found = assign(boxes, [0, 1])
    points, _ = grid()
    for cell in (found.indices >= 0).nonzero()[:, 0].tolist():
        box = torch.tensor(boxes[int(found.indices[cell])])
        assert (points[cell] > box[:2]).all()
        assert (points[cell] < box[2:]).all()


def test_each_box_has_a_cell_even_if_it_is_predicted_badly() -> None:
    points, strides = grid()
    far = torch.tensor([1000.0, 1000, 1001, 1001]).expand(len(points), 4)
    box = torch.tensor([[1.0, 1.0, 30.0, 30.0]])
    found = assign_cells(
        torch.zeros(len(points), 1), far, points, strides, box, torch.zeros(1, dtype=torch.int64)
    )
    # With nothing to tell cells apart, the one next to the box's centre (15.5, 15.5).
    assert points[found.indices >= 0].tolist() == [[16, 16]]
    assert found.ious.tolist() == [0] * len(points)


def test_no_boxes_and_boxes_between_the_cells_are_background() -> None:
    for boxes, labels in (([], []), ([[1.0, 1.0, 5.0, 5.0]], [0])):
        found = assign(boxes, labels)
        assert (found.indices == -1).all()
        assert (found.ious == 0).all()


def test_the_order_of_boxes_does_not_matter() -> None:
    boxes = [[1.0, 1.0, 30.0, 30.0], [9.0, 9.0, 45.0, 50.0], [5.0, 20.0, 60.0, 60.0]]
    first = assign(boxes, [0, 1, 2])
    second = assign([boxes[2], boxes[0], boxes[1]], [2, 0, 1])
    of_second = torch.tensor([2, 0, 1, -1])[second.indices]  # -1 is the last: background
    assert torch.equal(first.indices, of_second)
    assert torch.equal(first.ious, second.ious)


def test_a_box_takes_as_many_cells_as_its_best_ious_sum_to() -> None:
    points, strides = grid()
    box = torch.tensor([[1.0, 1.0, 50.0, 50.0]])
    perfect = box.expand(len(points), 4)
    for top_cells in (3, 13):
        found = assign_cells(
            torch.zeros(len(points), 1),
            perfect,
            points,
            strides,
            box,
            torch.zeros(1, dtype=torch.int64),
            top_cells=top_cells,
        )
        assert int((found.indices == 0).sum()) == top_cells


def test_matches_the_papers_cost_written_out() -> None:
    """Against all pairs of cells, boxes and classes, one box after the other."""
    generator = torch.Generator().manual_seed(1)
    points, strides = grid()
    low = torch.rand(6, 2, generator=generator) * 35
    boxes = torch.cat([low, low + 10 + torch.rand(6, 2, generator=generator) * 20], dim=1)
    labels = torch.randint(CLASSES, (6,), generator=generator)
    logits = torch.randn(len(points), CLASSES, generator=generator)
    shift = torch.rand(len(points), 4, generator=generator) * 20
    predicted = torch.cat([points - shift[:, :2], points + shift[:, 2:]], dim=1)
    found = assign_cells(logits, predicted, points, strides, boxes, labels)

    cost = torch.full((len(points), 6), torch.inf)
    ious = torch.zeros(len(points), 6)
    inside = (points[:, None] > boxes[:, :2]) & (points[:, None] < boxes[:, 2:])
    candidate = inside.all(-1).any(-1)
    for cell in candidate.nonzero()[:, 0].tolist():
        for index, box in enumerate(boxes):
            sides = torch.minimum(predicted[cell, 2:], box[2:]) - torch.maximum(
                predicted[cell, :2], box[:2]
            )
            overlap = sides.clamp(min=0).prod()
            areas = [(b[2:] - b[:2]).prod() for b in (predicted[cell], box)]
            iou = overlap / (areas[0] + areas[1] - overlap)
            soft = torch.zeros(CLASSES)
            soft[labels[index]] = iou
            entropy = functional.binary_cross_entropy_with_logits(
                logits[cell], soft, reduction="none"
            )
            distance = (points[cell] - (box[:2] + box[2:]) / 2).norm() / strides[cell]
            ious[cell, index] = iou
            cost[cell, index] = (
                (entropy * (soft - logits[cell].sigmoid()) ** 2).sum()
                - 3 * torch.log(iou + 1e-7)
                + 10 ** (distance - 3)
            )
    taken: dict[int, list[int]] = {}
    for index in range(6):
        count = max(int(ious[:, index].sort(descending=True).values[:13].sum()), 1)
        for cell in cost[:, index].argsort()[:count].tolist():
            taken.setdefault(cell, []).append(index)
    expected = torch.full((len(points),), -1)
    for cell, claims in taken.items():
        # As published, a contested cell goes to the cheapest of all boxes, not only of claimants.
        expected[cell] = claims[0] if len(claims) == 1 else int(cost[cell].argmin())
    assert any(len(claims) > 1 for claims in taken.values())
    assert torch.equal(found.indices, expected)


def test_labels_that_are_category_ids_are_refused() -> None:
    with pytest.raises(InputError, match="labels from 0 to 4, found \\[90\\]"):
        assign([[1.0, 1.0, 30.0, 30.0]], [90])


def test_boxes_and_labels_have_the_same_number() -> None:
    with pytest.raises(InputError, match=r"\(1, 4\) and \(2,\)"):
        assign([[1.0, 1.0, 30.0, 30.0]], [0, 1])
