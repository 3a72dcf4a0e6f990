"""Losses of pose estimators, of the detector RTMDet and of lifters.

Source: SimCC's KL divergence as in RTMPose (arXiv 2303.07399); mean squared error of heat maps as
in Simple Baselines (arXiv 1804.06208); adaptive wing loss (arXiv 1904.07399); quality focal loss
(arXiv 2006.04388) and generalized IoU (arXiv 1902.09630) as in RTMDet (arXiv 2212.07784); the
losses of MotionBERT (arXiv 2210.06551).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from posekit.codecs.boxes import DistanceBoxes
from posekit.codecs.simcc import SimCC
from posekit.errors import InputError
from posekit.spec import PoseSpec
from posekit.training.assign import assign_cells

__all__ = [
    "AdaptiveWingLoss",
    "DetectorLosses",
    "HeatmapLoss",
    "MotionLoss",
    "RTMDetLoss",
    "SimCCLoss",
    "generalized_iou",
    "keypoint_weights",
    "limb_length_error",
    "limb_length_variation",
    "mean_over_processes",
    "mpjpe",
    "n_mpjpe",
    "pose_loss",
    "quality_focal_loss",
    "velocity_error",
]


def pose_loss(spec: PoseSpec, codec: object) -> nn.Module:
    """The loss that a model's YAML names under `loss`, or else the usual loss of its codec."""
    if spec.loss is not None:
        named: nn.Module = spec.loss.make()
        return named
    return SimCCLoss() if isinstance(codec, SimCC) else HeatmapLoss()


def keypoint_weights(patterns: Mapping[str, float], names: Sequence[str]) -> Tensor:
    """The weight of each keypoint in the loss, (K,): 1, or as a model's YAML says.

    Patterns match names, such as `face-*`; the last one that matches counts.

    Raises:
        InputError: a pattern that matches no name.
    """
    weights = dict.fromkeys(names, 1.0)
    for pattern, weight in patterns.items():
        if not (fitting := [name for name in names if fnmatchcase(name, pattern)]):
            raise InputError(f"keypoint_weights: no keypoint is named like '{pattern}'")
        weights |= dict.fromkeys(fitting, float(weight))
    return torch.tensor(list(weights.values()))


class SimCCLoss(nn.Module):
    """KL divergence between the softmaxes of logits and targets, along x and along y.

    The defaults are RTMPose's; RTMW's `beta` is 1.

    Args:
        beta: multiplies logits before the softmax.
        label_beta: multiplies targets before theirs.
    """

    def __init__(self, *, beta: float = 10.0, label_beta: float = 10.0) -> None:
        super().__init__()
        self.beta = beta
        self.label_beta = label_beta

    def forward(
        self, outputs: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor], weights: Tensor
    ) -> Tensor:
        """The sum over the batch of the mean over keypoints and bins, as published.

        Args:
            outputs: x logits (N, K, X) and y logits (N, K, Y).
            targets: likewise, as `SimCC.encode` makes them.
            weights: (N, K).
        """
        total = outputs[0].new_zeros((), dtype=torch.float32)
        for logits, target in zip(outputs, targets, strict=True):
            _check_like("logits", logits, target.shape)
            _check_like("weights", weights, target.shape[:-1])
            predicted = (logits.float() * self.beta).log_softmax(dim=-1)
            expected = (target.float() * self.label_beta).log_softmax(dim=-1)
            divergence = functional.kl_div(
                predicted, expected, reduction="none", log_target=True
            ).mean(dim=-1)  # (N, K)
            total = total + (divergence * weights).sum() / weights.shape[1]
        return total


class HeatmapLoss(nn.Module):
    """Weighted mean squared error of heat maps; half of it for UDP's three maps per keypoint.

    Offsets count only inside the disc of their keypoint (UDP, arXiv 1911.07524).
    """

    def forward(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The mean over all cells; of three maps per keypoint, half the sum of their means.

        Args:
            outputs: (N, K, h, w).
            targets: likewise, as `MSRAHeatmap.encode` and `UDPHeatmap.encode` make them; those of
                three maps per keypoint are (N, 3 * K, h, w).
            weights: (N, K).
        """
        _check_like("maps", outputs, targets.shape)
        maps_each = max(targets.shape[1] // max(weights.shape[1], 1), 1)
        _check_like("weights", weights, (len(targets), targets.shape[1] // maps_each))
        squares = (outputs.float() - targets.float()) ** 2
        if maps_each == 1:
            return (squares * weights[..., None, None]).mean()
        disc, *offsets = squares.unflatten(1, (-1, maps_each)).unbind(dim=2)  # (N, K, h, w) each
        inside = targets.float()[:, ::maps_each] ** 2
        total = torch.stack([disc, *(offset * inside for offset in offsets)]).sum(dim=0)
        return 0.5 * (total * weights[..., None, None]).mean()


class AdaptiveWingLoss(nn.Module):
    """Heat map loss, logarithmic for small errors, linear for large (arXiv 1904.07399, eq. 3).

    Errors near a keypoint, where the target is high, count more. As in the published configuration,
    the paper's map of weights is not used.

    Args:
        alpha: exponent of small errors, from which the target is subtracted; above 2.
        omega: factor of the loss.
        epsilon: error at which the logarithm bends.
        theta: error from which the loss is linear.
    """

    def __init__(
        self, *, alpha: float = 2.1, omega: float = 14.0, epsilon: float = 1.0, theta: float = 0.5
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.omega = omega
        self.epsilon = epsilon
        self.theta = theta

    def forward(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The mean over all cells.

        Args:
            outputs: (N, K, h, w).
            targets: likewise, as `MSRAHeatmap.encode` makes them.
            weights: (N, K); they multiply both maps.
        """
        _check_like("maps", outputs, targets.shape)
        _check_like("weights", weights, targets.shape[:2])
        scale = weights[..., None, None]
        outputs, targets = outputs.float() * scale, targets.float() * scale
        error = (targets - outputs).abs()
        power = self.alpha - targets
        ratio = self.theta / self.epsilon
        # The line continues the curve, with its slope.
        slope = self.omega / (1 + ratio**power) * power * ratio ** (power - 1) / self.epsilon
        offset = self.theta * slope - self.omega * (1 + ratio**power).log()
        curve = self.omega * (1 + (error / self.epsilon) ** power).log()
        return curve.where(error < self.theta, slope * error - offset).mean()


class DetectorLosses(NamedTuple):
    """Losses per level, (L,) each; their sum is what to minimise.

    Attributes:
        classes: quality focal loss.
        boxes: 1 - GIoU, weighted.
    """

    classes: Tensor
    boxes: Tensor

    @property
    def total(self) -> Tensor:
        """The sum over levels and parts, a scalar."""
        return self.classes.sum() + self.boxes.sum()


class RTMDetLoss(nn.Module):
    """RTMDet's loss: soft class targets from the boxes' IoU, and GIoU of the assigned cells.

    Args:
        strides: pixels per cell, level by level.
        top_cells: as in `assign_cells`.
        beta: exponent of the quality focal loss.
        box_weight: weight of the boxes' loss.
    """

    def __init__(
        self,
        *,
        strides: Sequence[int] = (8, 16, 32),
        top_cells: int = 13,
        beta: float = 2.0,
        box_weight: float = 2.0,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.top_cells = top_cells
        self.beta = beta
        self.box_weight = box_weight

    def forward(
        self,
        outputs: tuple[tuple[Tensor, ...], tuple[Tensor, ...]],
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
    ) -> DetectorLosses:
        """The sums over cells, divided by the sum of the assigned cells' IoU (at least 1).

        With several processes that divisor is the processes' mean.

        Args:
            outputs: class logits per level (N, C, h, w), distances per level (N, 4, h, w), as
                `DistanceBoxes.decode` takes them.
            boxes: per image (G, 4), xyxy in pixels of the input; G may be 0.
            labels: per image (G,), classes from 0.

        Raises:
            InputError: boxes or labels that do not fit the batch.
        """
        logits = torch.cat([_cells(level) for level in outputs[0]], dim=1)  # (N, A, C)
        predicted, _ = DistanceBoxes(strides=self.strides).decode(outputs)  # (N, A, 4)
        points, strides = _points(outputs[0], self.strides)  # (A, 2), (A,)
        if not len(logits) == len(boxes) == len(labels):
            raise InputError(
                f"expected boxes and labels for each of {len(logits)} images, found "
                f"{len(boxes)} and {len(labels)}"
            )
        class_losses, box_losses = [], []
        divisor = logits.new_zeros(())
        for image_logits, image_boxes, truth, classes in zip(
            logits, predicted, boxes, labels, strict=True
        ):
            truth = truth.to(image_boxes)
            classes = classes.to(image_boxes.device)
            assigned = assign_cells(
                image_logits.detach(),
                image_boxes.detach(),
                points,
                strides,
                truth,
                classes,
                top_cells=self.top_cells,
            )
            found = assigned.indices >= 0
            of_cell = assigned.indices[found]
            cell_labels = torch.full_like(assigned.indices, -1)
            cell_labels[found] = classes.long()[of_cell]
            class_losses.append(
                quality_focal_loss(image_logits, cell_labels, assigned.overlaps, beta=self.beta)
            )
            box_loss = torch.zeros_like(assigned.overlaps)
            overlap = generalized_iou(image_boxes[found], truth[of_cell])
            box_losses.append(
                box_loss.index_put((found,), (1 - overlap) * assigned.overlaps[found])
            )
            divisor = divisor + assigned.overlaps.sum()
        divisor = mean_over_processes(divisor).clamp(min=1)
        sizes = [level.shape[2] * level.shape[3] for level in outputs[0]]
        return DetectorLosses(
            _per_level(class_losses, sizes) / divisor,
            _per_level(box_losses, sizes) * (self.box_weight / divisor),
        )


class MotionLoss(nn.Module):
    """MotionBERT's loss for 3D poses: position, position up to scale, velocity, and limbs.

    The published fine-tuning has the default weights.

    Args:
        scale_weight: weight of `n_mpjpe`.
        velocity_weight: weight of `velocity_error`.
        limb_variation_weight: weight of `limb_length_variation`.
        limb_length_weight: weight of `limb_length_error`.
        limbs: (joint, joint) pairs; needed only by the two losses of limbs.

    Raises:
        InputError: a weight for limbs without limbs.
    """

    def __init__(
        self,
        *,
        scale_weight: float = 0.5,
        velocity_weight: float = 20.0,
        limb_variation_weight: float = 0.0,
        limb_length_weight: float = 0.0,
        limbs: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__()
        if (limb_variation_weight or limb_length_weight) and not limbs:
            raise InputError(
                "limbs: expected (joint, joint) pairs for the losses of limbs, found none"
            )
        self.scale_weight = scale_weight
        self.velocity_weight = velocity_weight
        self.limb_variation_weight = limb_variation_weight
        self.limb_length_weight = limb_length_weight
        self.limbs = tuple(limbs)

    def forward(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """The weighted sum.

        Args:
            outputs: (N, T, K, 3).
            targets: likewise.
            weights: (N, T, K), factors of each joint's errors; None counts all.
        """
        loss = (
            mpjpe(outputs, targets, weights)
            + self.scale_weight * n_mpjpe(outputs, targets, weights)
            + self.velocity_weight * velocity_error(outputs, targets, weights)
        )
        if self.limb_variation_weight:
            variation = limb_length_variation(outputs, self.limbs)
            loss = loss + self.limb_variation_weight * variation
        if self.limb_length_weight:
            error = limb_length_error(outputs, targets, self.limbs)
            loss = loss + self.limb_length_weight * error
        return loss


def mpjpe(outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean distance of joints (..., K, 3); `weights` (..., K) multiply the distances."""
    _check_like("poses", outputs, targets.shape)
    distances = (outputs - targets).norm(dim=-1)
    if weights is not None:
        _check_like("weights", weights, distances.shape)
        distances = distances * weights
    # No joints at all have no error, rather than an undefined one.
    return distances.mean() if distances.numel() else distances.sum()


def n_mpjpe(outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """As `mpjpe`, after scaling each pose so that it is closest to the target."""
    _check_like("poses", outputs, targets.shape)
    power = outputs.square().sum(dim=(-2, -1), keepdim=True)
    scale = (outputs * targets).sum(dim=(-2, -1), keepdim=True) / power.clamp(min=1e-12)
    return mpjpe(scale * outputs, targets, weights)


def velocity_error(outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """As `mpjpe`, for the steps from frame to frame of (N, T, K, 3); 0 where T is 1.

    A step has the smaller weight of its two frames.
    """
    if weights is not None:
        weights = torch.minimum(weights[..., 1:, :], weights[..., :-1, :])
    return mpjpe(outputs.diff(dim=-3), targets.diff(dim=-3), weights)


def limb_length_variation(outputs: Tensor, limbs: Sequence[tuple[int, int]]) -> Tensor:
    """Mean variance over time of the limbs' lengths in (N, T, K, 3); 0 where T is 1."""
    lengths = _limb_lengths(outputs, limbs)  # (N, T, L)
    if lengths.shape[-2] < 2:
        return lengths.sum() * 0
    return lengths.var(dim=-2).mean()


def limb_length_error(outputs: Tensor, targets: Tensor, limbs: Sequence[tuple[int, int]]) -> Tensor:
    """Mean difference of the limbs' lengths, (..., K, 3)."""
    return (_limb_lengths(outputs, limbs) - _limb_lengths(targets, limbs)).abs().mean()


def quality_focal_loss(
    logits: Tensor, labels: Tensor, qualities: Tensor, *, beta: float = 2.0
) -> Tensor:
    """Cross entropy with a soft target, times the prediction's error to the power `beta`.

    Args:
        logits: (A, C).
        labels: (A,), the class whose target is the quality; -1 has none.
        qualities: (A,), 0 to 1.

    Returns:
        (A,), the sums over classes.
    """
    targets = torch.zeros_like(logits)
    positive = (labels >= 0).nonzero()[:, 0]
    targets[positive, labels[positive]] = qualities[positive].to(targets)
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (entropy * (targets - logits.sigmoid()).abs() ** beta).sum(dim=-1)


def generalized_iou(boxes_xyxy: Tensor, others_xyxy: Tensor) -> Tensor:
    """GIoU of pairs of boxes, (M, 4) each -> (M,), from -1 to 1."""
    tiny = 1e-6
    low = torch.maximum(boxes_xyxy[:, :2], others_xyxy[:, :2])
    high = torch.minimum(boxes_xyxy[:, 2:], others_xyxy[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(dim=-1) for b in (boxes_xyxy, others_xyxy)]
    union = (areas[0] + areas[1] - overlap).clamp(min=tiny)
    outer_low = torch.minimum(boxes_xyxy[:, :2], others_xyxy[:, :2])
    outer_high = torch.maximum(boxes_xyxy[:, 2:], others_xyxy[:, 2:])
    hull = (outer_high - outer_low).clamp(min=0).prod(dim=-1).clamp(min=tiny)
    return overlap / union - (hull - union) / hull


def _limb_lengths(poses: Tensor, limbs: Sequence[tuple[int, int]]) -> Tensor:
    """(..., K, 3) -> (..., L)."""
    ends = torch.as_tensor(limbs, device=poses.device)  # (L, 2)
    return (poses[..., ends[:, 0], :] - poses[..., ends[:, 1], :]).norm(dim=-1)


def _cells(level: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h * w, C), float32."""
    return level.float().flatten(2).transpose(1, 2)


def _points(levels: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Top left corners (A, 2) of all levels' cells in pixels, and their strides (A,)."""
    points, steps = [], []
    for level, stride in zip(levels, strides, strict=True):
        height, width = level.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(height, device=level.device, dtype=torch.float32) * stride,
            torch.arange(width, device=level.device, dtype=torch.float32) * stride,
            indexing="ij",
        )
        points.append(torch.stack([x, y], dim=-1).flatten(0, 1))
        steps.append(torch.full_like(points[-1][:, 0], stride))
    return torch.cat(points), torch.cat(steps)


def _per_level(losses: list[Tensor], sizes: list[int]) -> Tensor:
    """Losses (A,) per image -> sums (L,) over images and each level's cells."""
    cells = torch.stack(losses).sum(dim=0)
    return torch.stack([part.sum() for part in cells.split(sizes)])


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean over all processes that train; without others the value itself."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    value = value / torch.distributed.get_world_size()
    torch.distributed.all_reduce(value)
    return value


def _check_like(what: str, found: Tensor, expected: Sequence[int]) -> None:
    if tuple(found.shape) != tuple(expected):
        raise InputError(
            f"expected {what} {tuple(expected)} as the targets have it, found {tuple(found.shape)}"
        )
