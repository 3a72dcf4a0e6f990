"""RTMO's losses, against what follows by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from posekit.errors import InputError
from posekit.models.rtmo import RTMO
from posekit.training.one_stage_loss import (
    LabelledPeople,
    OneStageLosses,
    RTMOLoss,
    varifocal_loss,
)

SIGMAS = (0.05, 0.1)
POINTS = ((20.0, 24.0), (36.0, 50.0))
BOX = (
    8.0,
    8.0,
    56.0,
    56.0,
)  # its middle is near that of the cell (1, 1) of stride 16, (23.5, 23.5)
AREA = 1000.0
SURE = 12.0


class Pointer:
    """Stands for the classifier: two bins along x and two along y, the keypoints between them."""

    def __init__(self, points: Tensor, spread: float, sigma: float) -> None:
        self.points, self.spread, self.sigma = points, spread, sigma

    def sigmas(self, vectors: Tensor) -> Tensor:
        return torch.full((len(vectors), 2), self.sigma)

    def places(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.points.mean(dim=0)
        ends = torch.tensor([-self.spread, self.spread])
        return (middle[0] + ends).expand(len(boxes), 2), (middle[1] + ends).expand(len(boxes), 2)

    def weights(self, vectors: Tensor, boxes: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
        parts = (self.points - self.points.mean(dim=0)) / (2 * self.spread) + 0.5  # (K, 2)
        rows = [torch.stack([1 - part, part], dim=-1) for part in parts.T]
        x, y = (row.expand(len(vectors), 2, 2) for row in rows)
        return x, y


def people(count: int = 1, visible: tuple[float, float] = (1, 1)) -> LabelledPeople:
    return LabelledPeople(
        torch.tensor([BOX]).repeat(count, 1),
        torch.tensor([POINTS]).repeat(count, 1, 1),
        torch.tensor([visible], dtype=torch.float32).repeat(count, 1),
        torch.full((count,), AREA),
        torch.zeros(0, 4),
    )


def perfect(logit: float = SURE) -> list[list[Tensor]]:
    """What a network gives of an image of 64 pixels: every cell sees the person as it is."""
    outputs: list[list[Tensor]] = [[], [], [], [], []]
    for stride in (16, 32):
        side = 64 // stride
        steps = torch.arange(side) * float(stride) + (stride - 1) / 2
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        middles = torch.stack([x, y])[None]  # (1, 2, h, w)
        low, high = torch.tensor(BOX).view(2, 2)
        middle = ((low + high) / 2).view(1, 2, 1, 1)
        size = ((high - low) / stride).log().view(1, 2, 1, 1).expand(1, 2, side, side)
        points = torch.tensor(POINTS).view(1, 4, 1, 1)
        outputs[0].append(torch.full((1, 1, side, side), -SURE))
        outputs[1].append(torch.cat([(middle - middles) / stride, size], dim=1))
        outputs[2].append(torch.full((1, 2, side, side), logit))
        outputs[3].append(torch.zeros(1, 8, side, side))
        outputs[4].append((points - middles.repeat(1, 2, 1, 1)) / stride)
    return outputs


def losses(
    outputs: list[list[Tensor]], labels: LabelledPeople, pointer: Any = None, **stage: bool
) -> OneStageLosses:
    pointer = pointer or Pointer(torch.tensor(POINTS), 20.0, 0.05)
    return RTMOLoss(SIGMAS)(outputs, pointer, [labels], **stage)


def test_a_perfect_output_costs_nothing_but_its_likelihood_and_score() -> None:
    found = losses(perfect(), people(), last=True)
    for part in (found.boxes, found.offsets, found.visibility, found.regression):
        assert part.item() == pytest.approx(0, abs=1e-4)
    # All cells that answer for the person were sure of the contrary; as sure as counts.
    assert found.scores.item() == pytest.approx(10, abs=1e-3)


def test_scores_learn_the_root_of_oks() -> None:
    outputs = perfect()
    outputs[4] = [level + 0.25 for level in outputs[4]]  # 4 and 8 pixels along x and y
    outputs[0] = [torch.zeros_like(level) for level in outputs[0]]
    found = losses(outputs, people())
    oks = sum(math.exp(-2 * 4**2 / (8 * sigma**2 * AREA)) for sigma in SIGMAS) / 2
    count = int(10 * oks)  # of the finer level's cells; the other level's are farther off
    positive = count * math.sqrt(oks) * math.log(2)  # a target is its weight too
    background = (20 - count) * 0.75 * 0.25 * math.log(2)
    assert found.scores.item() == pytest.approx((positive + background) / count, rel=1e-4)


def test_boxes_learn_the_square_of_iou() -> None:
    outputs = perfect()
    for offsets in outputs[1]:
        offsets[:, 2] += math.log(0.5)  # half as wide
    found = losses(outputs, people())
    assert found.boxes.item() == pytest.approx(5 * (1 - 0.5**2), abs=1e-4)
    aside = losses(outputs, people(), last=True).offsets.item()
    assert aside == pytest.approx(math.log(2), abs=1e-4)


def test_visibility_is_learnt_of_all_keypoints() -> None:
    found = losses(perfect(logit=2.0), people(visible=(1, 0)))
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2))) / 2
    assert found.visibility.item() == pytest.approx(expected, rel=1e-5)


def test_regression_is_by_oks_and_of_visible_keypoints() -> None:
    outputs = perfect()
    for level, stride in zip(outputs[4], (16, 32), strict=True):
        level[:, 2] += 6 / stride  # the second keypoint, 6 pixels along x
    off = math.exp(-36 / (8 * SIGMAS[1] ** 2 * AREA))
    assert losses(outputs, people()).regression.item() == pytest.approx(
        30 * (1 - off) / 2, rel=1e-4
    )
    hidden = losses(outputs, people(visible=(1, 0)))
    assert hidden.regression.item() == pytest.approx(0, abs=1e-4)


def test_likelihood_is_that_of_laplace_around_each_bin() -> None:
    sigma, spread = 0.04, 20.0
    pointer = Pointer(torch.tensor(POINTS), spread, sigma)
    found = losses(perfect(), people(visible=(1, 0)), pointer).classification.item()
    likelihood = 1.0
    for axis in range(2):
        middle = (POINTS[0][axis] + POINTS[1][axis]) / 2
        part = (POINTS[0][axis] - middle) / (2 * spread) + 0.5
        likelihood *= sum(
            weight * math.exp(-abs(POINTS[0][axis] - place) / (2 * sigma * math.sqrt(AREA))) / sigma
            for weight, place in ((1 - part, middle - spread), (part, middle + spread))
        )
    assert found == pytest.approx(-math.log(likelihood + 1e-4) / 2, rel=1e-4)
    later = losses(perfect(), people(visible=(1, 0)), pointer, later=True)
    assert later.classification.item() == pytest.approx(5 * found, rel=1e-5)


def test_later_the_classified_keypoints_teach_those_that_are_worse() -> None:
    outputs = perfect()
    for level, stride in zip(outputs[4], (16, 32), strict=True):
        level[:, 2] += 6 / stride
    near = Pointer(torch.tensor(POINTS) + torch.tensor([[0.0, 0], [2, 0]]), 20.0, 0.05)
    found = losses(outputs, people(), near, later=True)
    off = math.exp(-16 / (8 * SIGMAS[1] ** 2 * AREA))  # 4 pixels from the classified one
    assert found.regression.item() == pytest.approx(10 * (1 - off) / 2, rel=1e-3)
    far = Pointer(torch.tensor(POINTS) + torch.tensor([[0.0, 0], [9, 0]]), 20.0, 0.05)
    assert losses(outputs, people(), far, later=True).regression.item() == pytest.approx(
        0, abs=1e-4
    )


def test_who_is_found_among_people_without_labels_does_not_count() -> None:
    outputs = perfect()
    outputs[0] = [torch.zeros_like(level) for level in outputs[0]]
    nobody = people(0)
    everywhere = nobody._replace(ignored_xyxy=torch.tensor([[0.0, 0, 64, 64]]))
    elsewhere = nobody._replace(ignored_xyxy=torch.tensor([[0.0, 40, 20, 64]]))
    background = 20 * 0.75 * 0.25 * math.log(2)
    assert losses(outputs, nobody).scores.item() == pytest.approx(background, rel=1e-5)
    assert losses(outputs, elsewhere).scores.item() == pytest.approx(background, rel=1e-5)
    assert losses(outputs, everywhere).scores.item() == 0
    labelled = people()._replace(ignored_xyxy=torch.tensor([[0.0, 0, 64, 64]]))
    assert losses(outputs, labelled).scores.item() == pytest.approx(math.log(2), rel=1e-4)


@pytest.mark.parametrize(
    "labels",
    [
        people(0),
        people(visible=(0, 0)),
        people()._replace(areas=torch.zeros(1)),
        people()._replace(boxes_xyxy=torch.tensor([[20.0, 20, 20, 20]])),
        people()._replace(boxes_xyxy=torch.tensor([[900.0, 900, 990, 990]])),
        people(40),
    ],
    ids=["nobody", "nothing visible", "no area", "no box", "far outside", "a crowd"],
)
def test_whatever_is_labelled_the_gradient_is_finite(labels: LabelledPeople) -> None:
    torch.manual_seed(0)
    net = RTMO(deepen_factor=0.33, widen_factor=0.125, num_keypoints=2).train()
    outputs = net(torch.rand(1, 3, 64, 64) * 255)
    for later in (False, True):
        net.zero_grad()
        total = RTMOLoss(SIGMAS)(outputs, net.classifier, [labels], later=later, last=True).total
        total.backward(retain_graph=True)
        # None lacks one, or other processes would wait for it.
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_one_person_alone_does_not_teach_a_variance() -> None:
    torch.manual_seed(0)
    classifier = RTMO(deepen_factor=0.33, widen_factor=0.125, num_keypoints=2).classifier.train()
    norm = classifier.to_tokens[1]
    classifier.to_tokens(torch.rand(1, 64))
    assert int(norm.num_batches_tracked) == 0 and norm.running_var.eq(1).all()
    classifier.to_tokens(torch.rand(2, 64))
    assert int(norm.num_batches_tracked) == 1 and not norm.running_var.eq(1).all()


def test_varifocal_loss_of_a_background_falls_with_the_score() -> None:
    logits = torch.tensor([0.0, -2.0])
    p = torch.sigmoid(logits)
    expected = -0.75 * p**2 * (1 - p).log()
    torch.testing.assert_close(varifocal_loss(logits, torch.zeros(2)), expected)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="five outputs of training, found 4"):
        losses(perfect()[:4], people())
    with pytest.raises(InputError, match="people for each of 1 images, found 2"):
        RTMOLoss(SIGMAS)(perfect(), None, [people(), people()])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected 1 people of 3 keypoints"):
        RTMOLoss((*SIGMAS, 0.1))(perfect(), None, [people()])  # type: ignore[arg-type]
