"""A network, with the part of its processing that the exported graph includes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from posekit.backends.graphs import BATCH, FreeAxis
from posekit.backends.outputs import describe_outputs, flatten, output_names
from posekit.codecs.simcc import SimCC
from posekit.exporting.people import suppressed_people
from posekit.skeleton import load_skeleton
from posekit.spec import DetectorSpec, LifterSpec, OneStageSpec, Spec
from posekit.stages.detect import MAX_CANDIDATES, Detector
from posekit.stages.estimate import PoseEstimator
from posekit.stages.lift import Lifter
from posekit.stages.one_stage import OneStageEstimator
from posekit.transforms.device import batched_nms

__all__ = ["SCORE_THRESHOLD", "ExportGraph", "Processed", "with_processing"]

Processed = PoseEstimator | OneStageEstimator | Detector | Lifter

SCORE_THRESHOLD = 0.05  # boxes below it are no candidates


def with_processing(net: nn.Module, spec: Spec, search: Sequence[Path] = ()) -> Processed:
    """A network with its pre- and post-processing.

    Args:
        net: the network, on its device.
        spec: its description.
        search: folders with skeletons, searched before the packaged ones.

    Raises:
        InputError: a skeleton that is not there.
    """
    if isinstance(spec, DetectorSpec):
        return Detector(net, spec)
    skeleton = load_skeleton(spec.keypoints, search=search)
    if isinstance(spec, OneStageSpec):
        return OneStageEstimator(net, spec, skeleton)
    if isinstance(spec, LifterSpec):
        return Lifter(net, spec, skeleton)
    return PoseEstimator(net, spec, skeleton)


class ExportGraph(nn.Module):
    """One tensor in, a flat tuple of tensors out, float32 except for a detector's labels.

    Args:
        network: the network and its processing. A lifter's graph takes and gives what its codec
            encodes and decodes, sequences (n, T, K, D).
        preprocess: take images (n, h, w, 3), BGR, uint8, instead of normalised ones.
        decode: give keypoints (n, K, 2), in pixels of the input, and scores (n, K); for a detector
            boxes (n, m, 4), scores (n, m), best first, 0 where there are fewer, and labels (n, m),
            after suppression; for a one-stage model boxes (n, m, 4), scores (n, m), keypoints
            (n, m, K, 2) and their scores (n, m, K), after suppression.
        dtype: type of the network's arithmetic.
    """

    def __init__(
        self,
        network: Processed,
        *,
        preprocess: bool,
        decode: bool,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        net = network.net
        self.net = net if dtype == torch.float32 else copy.deepcopy(net).to(dtype)
        self.network, self.preprocess, self.decode = network, preprocess, decode
        self.dtype = dtype
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if self.preprocess:
            assert not isinstance(self.network, Lifter)
            images = images.permute(0, 3, 1, 2)
            normalize = self.network.normalize
            if normalize.reverse:
                images = images[:, [2, 1, 0]]
            images = (images.float() - normalize.mean) / normalize.std
        outputs = self.net(images.to(self.dtype))
        if self.decode:
            if isinstance(self.network, Detector):
                return _suppressed(self.network, outputs)
            if isinstance(self.network, OneStageEstimator):
                return suppressed_people(self.network, outputs)
            outputs = _keypoints(self.network.codec, outputs)
        return tuple(tensor.float() for tensor in flatten(outputs))

    @property
    def free_axes(self) -> dict[int, FreeAxis]:
        """By number; the same of the input and of each output."""
        if isinstance(self.network, Lifter):
            return {**BATCH, 1: FreeAxis("frames", self.network.max_frames)}
        return BATCH

    def output_names(self) -> list[str]:
        """A name for each tensor that `forward` gives, in order."""
        if isinstance(self.network, Lifter):
            return ["keypoints_3d"]
        if not self.decode:
            template = describe_outputs(self.network.net, self.network.input_size)
            return output_names(template)
        if isinstance(self.network, OneStageEstimator):
            return ["boxes", "scores", "keypoints", "keypoint_scores"]
        is_detector = isinstance(self.network, Detector)
        return ["boxes", "scores", "labels"] if is_detector else ["keypoints", "scores"]


def _keypoints(codec: SimCC, outputs: Any) -> tuple[Tensor, Tensor]:
    """As `SimCC.decode`, in operations of a graph."""
    x_scores, x_bins = outputs[0].max(dim=-1)
    y_scores, y_bins = outputs[1].max(dim=-1)
    scores = torch.minimum(x_scores, y_scores).float()
    bins = torch.stack([x_bins, y_bins], dim=-1).float()
    bins = torch.where(scores[..., None] > 0, bins, torch.full_like(bins, -1.0))
    return bins / codec.split_ratio, scores


def _suppressed(detector: Detector, outputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """As `Detector` does, in operations of a graph."""
    boxes, scores = detector.boxes_in_input(outputs)
    num_classes = scores.shape[2]
    flat = scores.flatten(1)  # (n, A * C)
    best, places = flat.topk(min(MAX_CANDIDATES, flat.shape[1]))  # (n, k) each
    labels = places % num_classes
    cells = (places // num_classes)[..., None].expand(-1, -1, 4)
    candidates = boxes.gather(1, cells)  # (n, k, 4)
    kept, _ = batched_nms(candidates, best > SCORE_THRESHOLD, labels, detector.nms_threshold)
    final, order = (best * kept).topk(min(detector.max_detections, best.shape[1]))
    chosen = candidates.gather(1, order[..., None].expand(-1, -1, 4))
    return chosen.float(), final.float(), labels.gather(1, order)
