"""Losses of the one-stage pose network RTMO.

Source: RTMO (arXiv 2312.07526), section 3.3 and its published configurations: varifocal loss (arXiv
2008.13367) for scores, the squared IoU for boxes, the likelihood of a Laplace distribution for the
coordinate classifier, OKS for the keypoints used in the assignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from posekit.codecs.cells import flat_cells
from posekit.codecs.one_stage import Cells, PersonCells
from posekit.errors import InputError
from posekit.models.rtmo import CoordinateClassifier
from posekit.training.assign import Assignment, assign_people, keypoint_similarity
from posekit.training.losses import mean_over_processes

__all__ = ["LabelledPeople", "OneStageLosses", "RTMOLoss", "varifocal_loss"]

LEAST_SIGMA = 1e-3
SURE = 10.0  # no logit counts as surer
VISIBLE = 0.3  # keypoints of less probability do not tell where a prediction is


class LabelledPeople(NamedTuple):
    """The G people of an image, in pixels of the input.

    Attributes:
        boxes_xyxy: (G, 4).
        keypoints: (G, K, 2).
        visible: (G, K), 1 for keypoints that are labelled, else 0.
        areas: (G,), in pixels squared.
        ignored_xyxy: (I, 4), boxes of people without labels: cells that find them count neither
            way.
    """

    boxes_xyxy: Tensor
    keypoints: Tensor
    visible: Tensor
    areas: Tensor
    ignored_xyxy: Tensor


class OneStageLosses(NamedTuple):
    """Scalars, weighted; their sum is what to minimise.

    Attributes:
        scores: varifocal loss of all cells.
        boxes: 1 - IoU^2.
        offsets: absolute differences of the boxes' raw offsets; 0 except in the last stage.
        visibility: cross entropy.
        regression: 1 - OKS of the keypoints that the cells regress.
        classification: negative log likelihood of the classified keypoints; it may be below 0.
    """

    scores: Tensor
    boxes: Tensor
    offsets: Tensor
    visibility: Tensor
    regression: Tensor
    classification: Tensor

    @property
    def total(self) -> Tensor:
        """The sum, a scalar."""
        return torch.stack(list(self)).sum()


class _Positives(NamedTuple):
    """The P cells of a batch that are assigned to a person, and these people."""

    image: Tensor  # (P,)
    cell: Tensor  # (P,)
    similarities: Tensor  # (P,)
    people: LabelledPeople  # of P


class RTMOLoss(nn.Module):
    """RTMO's loss, with the published weights.

    The target score of a cell without a person is 0, of a person's cell the root of the OKS of its
    keypoints. At first that is the OKS of the regressed keypoints, and both the regressed and the
    classified ones learn from the labels. Later the classified ones are better: then their OKS is
    used, and regression learns from them where they are closer to the labels.

    Args:
        sigmas: (K,), the keypoints' sigmas as COCO defines them.
        strides: pixels per cell, level by level.
    """

    sigmas: Tensor

    def __init__(self, sigmas: Sequence[float], *, strides: Sequence[int] = (16, 32)) -> None:
        super().__init__()
        self.register_buffer("sigmas", torch.tensor(list(sigmas)))
        self.codec = PersonCells(strides=strides)

    def forward(
        self,
        outputs: Sequence[Sequence[Tensor]],
        classifier: CoordinateClassifier,
        people: Sequence[LabelledPeople],
        *,
        later: bool = False,
        last: bool = False,
    ) -> OneStageLosses:
        """The losses of a batch.

        Those of scores and boxes are sums over cells, divided by the number of cells assigned to a
        person (at least 1; with several processes the processes' mean); the others are means over
        these cells, and over their keypoints.

        Args:
            outputs: outputs of `RTMO` in training mode: per level class logits, box offsets, logits
                of the visibility, pose vectors and offsets of keypoints.
            classifier: the network's.
            people: the labelled people of each image.
            later: the classified keypoints determine the target scores, as in the second half of
                the published training.
            last: raw offsets of boxes count too, as in its last epochs.

        Raises:
            InputError: people that do not fit the batch or the network.
        """
        self._check(outputs, people)
        cells, logits, strides = self._cells(outputs)
        regressed = _joined(outputs[4]).unflatten(-1, (-1, 2)) * strides[:, None, None]
        regressed = regressed + cells.centers[:, None]  # (N, A, K, 2)
        found = self._positives(cells, logits, strides, regressed, people)
        at, labels = (found.image, found.cell), found.people
        boxes, centers = cells.boxes_xyxy[at], cells.centers[found.cell]
        count = max(len(found.cell), 1)
        divisor = mean_over_processes(logits.new_tensor(float(len(found.cell)))).clamp(min=1)

        likelihood, classified = self._classified(
            classifier, cells.vectors[at], boxes, centers, labels
        )
        kept, similarities, target = labels.visible, found.similarities, labels.keypoints
        if later:
            similarities = self._oks(classified.detach(), labels)
            target = classified.detach()
            own, theirs = ((k - labels.keypoints).norm(dim=-1) for k in (regressed[at], target))
            kept = kept * (own > theirs)
        similar = keypoint_similarity(regressed[at], target, labels.areas, self.sigmas)
        visibility = functional.binary_cross_entropy_with_logits(
            _joined(outputs[2])[at], labels.visible, reduction="none"
        )
        overlaps = _iou(boxes, labels.boxes_xyxy)
        offsets = logits.new_zeros(())
        if last:
            raw = _joined(outputs[1])[at]
            wanted = _as_offsets(labels.boxes_xyxy, centers, strides[found.cell])
            offsets = (raw - wanted).abs().sum() / divisor
        scores = self._scores(cells, logits, regressed, people, found, similarities)
        return OneStageLosses(
            scores=scores / divisor,
            boxes=5 * (1 - overlaps.square()).sum() / divisor,
            offsets=offsets,
            visibility=visibility.mean(dim=-1).sum() / count,
            regression=(10 if later else 30) * (kept * (1 - similar)).mean(dim=-1).sum() / count,
            classification=(5 if later else 1) * likelihood.mean(dim=-1).sum() / count,
        )

    def _cells(self, outputs: Sequence[Sequence[Tensor]]) -> tuple[Cells, Tensor, Tensor]:
        """All cells, logits of people (N, A), strides (A,)."""
        strides = [
            level.new_full((level.shape[2] * level.shape[3],), stride, dtype=torch.float32)
            for level, stride in zip(outputs[0], self.codec.strides, strict=True)
        ]
        return self.codec.decode(outputs[:4]), _joined(outputs[0])[..., 0], torch.cat(strides)

    def _positives(
        self,
        cells: Cells,
        logits: Tensor,
        strides: Tensor,
        regressed: Tensor,
        people: Sequence[LabelledPeople],
    ) -> _Positives:
        images, chosen, similarities = [], [], []
        parts: list[list[Tensor]] = [[], [], [], []]
        for image, labels in enumerate(people):
            assigned: Assignment = assign_people(
                logits[image],
                cells.boxes_xyxy[image],
                regressed[image],
                cells.centers,
                strides,
                *labels[:4],
                sigmas=self.sigmas,
            )
            cell = (assigned.indices >= 0).nonzero()[:, 0]
            images.append(torch.full_like(cell, image))
            chosen.append(cell)
            similarities.append(assigned.overlaps[cell])
            for part, values in zip(parts, labels[:4], strict=True):
                part.append(values[assigned.indices[cell]])
        boxes, keypoints, visible, areas = (torch.cat(part) for part in parts)
        return _Positives(
            torch.cat(images),
            torch.cat(chosen),
            torch.cat(similarities),
            LabelledPeople(boxes, keypoints, visible, areas, logits.new_zeros(0, 4)),
        )

    def _classified(
        self,
        classifier: CoordinateClassifier,
        vectors: Tensor,
        boxes: Tensor,
        centers: Tensor,
        labels: LabelledPeople,
    ) -> tuple[Tensor, Tensor]:
        """-log of the likelihood of visible keypoints (P, K), and the keypoints (P, K, 2)."""
        sigmas = classifier.sigmas(vectors).clamp(min=LEAST_SIGMA)[..., None]  # (P, K, 1)
        sizes = labels.areas.sqrt().clamp(min=1)[:, None, None]
        weights = classifier.weights(vectors, boxes, centers)
        likelihood, keypoints = torch.ones_like(labels.visible), []
        for axis, (weight, place) in enumerate(zip(weights, classifier.places(boxes), strict=True)):
            away = (labels.keypoints[..., axis, None] - place[:, None]).abs()  # (P, K, bins)
            density = (-away / (2 * sizes * sigmas)).exp() / sigmas
            likelihood = likelihood * (weight * density).sum(dim=-1)
            keypoints.append((weight * place[:, None]).sum(dim=-1))
        loss = -(likelihood + 1e-4).log() * labels.visible
        return loss, torch.stack(keypoints, dim=-1)

    def _oks(self, keypoints: Tensor, labels: LabelledPeople) -> Tensor:
        """OKS (P,) of the visible keypoints."""
        similar = keypoint_similarity(keypoints, labels.keypoints, labels.areas, self.sigmas)
        shown = labels.visible.sum(dim=-1).clamp(min=1)
        return (similar * labels.visible).sum(dim=-1) / shown

    def _scores(
        self,
        cells: Cells,
        logits: Tensor,
        regressed: Tensor,
        people: Sequence[LabelledPeople],
        found: _Positives,
        similarities: Tensor,
    ) -> Tensor:
        """The sum over all cells; of those that find somebody without labels, none."""
        at = (found.image, found.cell)
        targets = torch.zeros_like(logits).index_put(at, similarities.sqrt())
        weights = torch.ones_like(logits)
        for image, labels in enumerate(people):
            if len(labels.ignored_xyxy):
                sure = (cells.keypoint_scores[image] > VISIBLE).float()[..., None]  # (A, K, 1)
                shown = sure.sum(dim=1)  # (A, 1)
                middles = (regressed[image] * sure).sum(dim=1) / shown.clamp(min=1)
                middles = middles.where(shown > 0, cells.centers)[:, None]
                low, high = labels.ignored_xyxy.split(2, dim=-1)
                weights[image][((middles > low) & (middles < high)).all(-1).any(1)] = 0
        weights[at] = 1
        return (varifocal_loss(logits, targets) * weights).sum()

    def _check(self, outputs: Sequence[Sequence[Tensor]], people: Sequence[LabelledPeople]) -> None:
        if len(outputs) != 5:
            raise InputError(f"expected the five outputs of training, found {len(outputs)}")
        if len(people) != len(outputs[0][0]):
            raise InputError(
                f"expected people for each of {len(outputs[0][0])} images, found {len(people)}"
            )
        count = len(self.sigmas)
        for labels in people:
            shape = (len(labels.boxes_xyxy), count)
            if labels.visible.shape != shape or labels.keypoints.shape != (*shape, 2):
                raise InputError(
                    f"expected {shape[0]} people of {count} keypoints, found "
                    f"{tuple(labels.keypoints.shape)} and {tuple(labels.visible.shape)}"
                )


def varifocal_loss(
    logits: Tensor, targets: Tensor, *, alpha: float = 0.75, gamma: float = 2.0
) -> Tensor:
    """Cross entropy, weighted by the target, or for a target of 0 by the wrong confidence.

    Args:
        logits: any shape.
        targets: the same shape, 0 to 1.
        alpha, gamma: factor and exponent of that confidence.
    """
    background = (targets <= 1e-4).to(logits)
    weights = alpha * logits.sigmoid() ** gamma * background + targets
    entropy = functional.binary_cross_entropy_with_logits(
        logits.clamp(-SURE, SURE), targets, reduction="none"
    )
    return entropy * weights


def _joined(levels: Sequence[Tensor]) -> Tensor:
    """(N, C, h, w) of each level -> (N, A, C), float32."""
    return torch.cat([flat_cells(level) for level in levels], dim=1)


def _iou(boxes_xyxy: Tensor, others_xyxy: Tensor) -> Tensor:
    """IoU of pairs of boxes, (P, 4) each -> (P,)."""
    low = torch.maximum(boxes_xyxy[:, :2], others_xyxy[:, :2])
    high = torch.minimum(boxes_xyxy[:, 2:], others_xyxy[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(dim=-1) for b in (boxes_xyxy, others_xyxy)]
    return overlap / (areas[0] + areas[1] - overlap).clamp(min=1e-6)


def _as_offsets(boxes_xyxy: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """(P, 4), as the network gives boxes."""
    low, high = boxes_xyxy.split(2, dim=-1)
    strides = strides[:, None]
    middle = ((low + high) / 2 - centers) / strides
    return torch.cat([middle, ((high - low) / strides + 1e-8).log()], dim=-1)
