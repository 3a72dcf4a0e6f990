"""Which cells answer for which box."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from posekit.errors import InputError
from posekit.training.assign import (
    Assignment,
    assign_cells,
    assign_people,
    keypoint_similarity,
)
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
    assert found.overlaps.tolist() == [0] * len(points)


def test_no_boxes_and_boxes_between_the_cells_are_background() -> None:
    for boxes, labels in (([], []), ([[1.0, 1.0, 5.0, 5.0]], [0])):
        found = assign(boxes, labels)
        assert (found.indices == -1).all()
        assert (found.overlaps == 0).all()


def test_the_order_of_boxes_does_not_matter() -> None:
    boxes = [[1.0, 1.0, 30.0, 30.0], [9.0, 9.0, 45.0, 50.0], [5.0, 20.0, 60.0, 60.0]]
    first = assign(boxes, [0, 1, 2])
    second = assign([boxes[2], boxes[0], boxes[1]], [2, 0, 1])
    of_second = torch.tensor([2, 0, 1, -1])[second.indices]  # -1 is the last: background
    assert torch.equal(first.indices, of_second)
    assert torch.equal(first.overlaps, second.overlaps)


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


def people_of(
    boxes: list[list[float]], keypoints: list[list[list[float]]], logits: Tensor | None = None
) -> Assignment:
    """Every cell predicts its own surroundings, and its middle as the one keypoint."""
    points, strides = grid()
    predicted = torch.cat([points - 8, points + 8], dim=1)
    return assign_people(
        torch.zeros(len(points)) if logits is None else logits,
        predicted,
        points[:, None],
        points,
        strides,
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(keypoints).reshape(-1, 1, 2),
        torch.ones(len(boxes), 1),
        torch.full((len(boxes),), 256.0),
        sigmas=torch.tensor([0.25]),
    )


def test_a_person_takes_as_many_cells_as_the_sum_of_oks() -> None:
    found = people_of([[8.0, 8, 40, 40]], [[[24.0, 24]]])
    points, _ = grid()
    # OKS: 1 at the keypoint, exp(-1/2) at the 4 cells beside it, exp(-1) and exp(-2) around.
    best = [1.0, *[0.6065] * 4, *[0.3679] * 4, 0.1353]
    assert int((found.indices == 0).sum()) == int(sum(best)) == 5
    near = (points - 24).abs().sum(dim=1) <= 8
    assert torch.equal(found.indices == 0, near)
    assert found.overlaps[near].tolist() == pytest.approx(
        [0.6065, 0.6065, 1, 0.6065, 0.6065], abs=1e-4
    )


def test_the_middle_of_a_person_is_that_of_the_keypoints() -> None:
    found = people_of([[0.0, 0, 64, 64]], [[[8.0, 8]]])
    points, _ = grid()
    chosen = points[found.indices == 0]
    assert ((chosen - 8).abs() < 20).all()


def test_a_surer_cell_is_cheaper() -> None:
    points, _ = grid()
    logits = torch.zeros(len(points))
    sure = int(((points == torch.tensor([16.0, 24])).all(dim=1)).nonzero())
    logits[sure] = -50.0
    found = people_of([[8.0, 8, 40, 40]], [[[24.0, 24]]], logits)
    assert found.indices[sure] == -1 and int((found.indices == 0).sum()) == 5


def test_a_person_smaller_than_a_cell_has_one_and_nobody_none() -> None:
    found = people_of([[29.0, 29, 31, 31]], [[[30.0, 30]]])
    assert int((found.indices == 0).sum()) >= 1
    assert people_of([], []).indices.eq(-1).all()
    # Nor is anybody near who is far outside.
    assert people_of([[900.0, 900, 990, 990]], [[[950.0, 950]]]).indices.eq(-1).all()


def test_similarity_is_cocos() -> None:
    keypoints = torch.tensor([[[3.0, 4], [0, 0]]])
    found = keypoint_similarity(
        keypoints, torch.zeros(1, 2, 2), torch.tensor([100.0]), torch.tensor([0.1, 0.1])
    )
    expected = math.exp(-25 / (2 * 100 * 0.2**2))
    assert found.tolist() == [pytest.approx([expected, 1.0])]
