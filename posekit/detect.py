"""Images -> boxes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from torch import nn

from posekit.backends import Backend
from posekit.transforms.image import Normalize, letterbox
from posekit.transforms.nms import nms

__all__ = ["Detections", "Detector"]


@dataclass(frozen=True)
class Detections:
    """What a detector found in one image, best first.

    Attributes:
        boxes_xyxy: (n, 4), float32, in pixels of the image.
        scores: (n,), float32, 0 to 1.
        labels: (n,), indices of the detector's classes.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: np.ndarray) -> Detections:
        return Detections(self.boxes_xyxy[chosen], self.scores[chosen], self.labels[chosen])

    def select(
        self, categories: Collection[int], *, score_threshold: float, nms_threshold: float
    ) -> Detections:
        """Those of some classes and above a score, without the ones that overlap a better one."""
        wanted = np.isin(self.labels, list(categories)) & (self.scores > score_threshold)
        subset = self[wanted]
        return subset[nms(subset.boxes_xyxy, subset.scores, nms_threshold, pixel_offset=1.0)]


class Detector:
    """A detection network with its pre- and post-processing.

    Args:
        net: the network, on its device.
        config: its YAML: `preprocess`, `codec`, `nms_threshold`, `max_detections`, `classes`.
        backend: what runs the network; None for PyTorch as it is.
    """

    def __init__(
        self, net: nn.Module, config: Mapping[str, Any], *, backend: Backend | None = None
    ) -> None:
        parameter = next(net.parameters())
        preprocess = config["preprocess"]
        self.net = net
        self.run: Backend = backend or net
        self.codec = instantiate(config["codec"], _convert_="all")
        self.classes: tuple[str, ...] = tuple(config["classes"])
        self.input_size: tuple[int, int] = tuple(preprocess["input_size"])
        self.pad_value: int = preprocess["pad_value"]
        self.keep_ratio: bool = preprocess.get("keep_ratio", True)
        self.clip_boxes: bool = config.get("clip_boxes", True)
        self.nms_threshold: float = config["nms_threshold"]
        self.max_detections: int = config["max_detections"]
        self.normalize = Normalize(
            mean=preprocess["mean"],
            std=preprocess["std"],
            color=preprocess["color"],
            device=parameter.device,
            dtype=parameter.dtype,
        )

    @torch.inference_mode()
    def __call__(
        self, images: Sequence[np.ndarray], *, score_threshold: float = 0.05
    ) -> list[Detections]:
        """Boxes of each image.

        Args:
            images: BGR, uint8, (H, W, 3) each, of any sizes.
            score_threshold: lower ones are left out before suppression.
        """
        if self.normalize.device.type == "cpu":
            # One by one costs nothing here, and the same boxes come out whatever the chunk.
            return [self._detect([image], score_threshold)[0] for image in images]
        return self._detect(images, score_threshold)

    def _detect(self, images: Sequence[np.ndarray], score_threshold: float) -> list[Detections]:
        width, height = self.input_size
        batch = np.empty((len(images), height, width, 3), np.uint8)
        factors = [
            letterbox(image, out, self.pad_value, keep_ratio=self.keep_ratio)
            for image, out in zip(images, batch, strict=True)
        ]
        boxes, scores = self.codec.decode(self.run(self.normalize(batch)))
        if self.clip_boxes:
            boxes = torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height] * 2))
        has_area = (boxes[..., 2:] > boxes[..., :2]).all(dim=-1, keepdim=True)
        scores = scores.where(has_area, 0)
        found = []
        for image_boxes, image_scores, (x, y) in zip(boxes, scores, factors, strict=True):
            inverse = [1 / x, 1 / y, 1 / x, 1 / y]
            # Few cells pass: only those leave the device.
            cells, labels = (image_scores > score_threshold).nonzero(as_tuple=True)
            detections = Detections(
                (image_boxes[cells] * image_boxes.new_tensor(inverse)).cpu().numpy(),
                image_scores[cells, labels].cpu().numpy(),
                labels.cpu().numpy(),
            )
            found.append(self._suppress(detections))
        return found

    def _suppress(self, detections: Detections) -> Detections:
        """Per class: boxes of different classes are moved apart, so that they never overlap."""
        boxes = detections.boxes_xyxy
        extent = boxes.max(initial=0.0) + 1
        moved = boxes + (detections.labels * extent).astype(np.float32)[:, None]
        return detections[
            nms(moved, detections.scores, self.nms_threshold, max_kept=self.max_detections)
        ]
