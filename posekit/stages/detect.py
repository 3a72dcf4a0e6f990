"""Images -> boxes."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from posekit.backends import Backend, choose_backend
from posekit.backends.files import GraphFile
from posekit.errors import InputError
from posekit.finite import check_finite
from posekit.models.border import without_border
from posekit.spec import DetectorSpec
from posekit.stages.boxes import Boxes, whole_image
from posekit.timeline import span
from posekit.transforms.device import batched_nms, letterbox_batch, place_images, to_device
from posekit.transforms.image import Normalize, trimmed_size
from posekit.transforms.nms import nms

__all__ = ["MAX_TOGETHER", "Detections", "Detector", "check_levels"]

Size: TypeAlias = "tuple[int, int]"  # (w, h), in pixels

# Images that go through the network at once on a CPU, where they may: more would only take memory.
MAX_TOGETHER = 16
# Boxes of an image that a GPU looks at; where more pass the score threshold, the processor does.
MAX_CANDIDATES = 512


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
        """The detections of some classes above a score, without those that overlap a better one."""
        wanted = np.isin(self.labels, list(categories)) & (self.scores > score_threshold)
        subset = self[wanted]
        return subset[nms(subset.boxes_xyxy, subset.scores, nms_threshold, pixel_offset=1.0)]


class Detector:
    """A detection network with its pre- and post-processing.

    Args:
        net: the network, on its device.
        spec: its description.
        backend: what runs the network, or its name, as `make_backend` takes it; None for plain
            PyTorch, or for a graph the fastest engine.
        trimmed: leave out most of the border that pads an image to the network's input, on a CPU:
            40 % of the work for a frame of 16:9. Boxes and scores change a little, see
            `without_border`. A graph, and a detector that stretches images, know no other input.
    """

    def __init__(
        self,
        net: nn.Module,
        spec: DetectorSpec,
        *,
        backend: Backend | str | None = None,
        trimmed: bool = False,
    ) -> None:
        parameter = next(net.parameters())
        self.net = net
        self.spec = spec
        self.codec = spec.codec.make()
        self.classes: tuple[str, ...] = spec.classes
        self.input_size: tuple[int, int] = spec.input_size
        self.pad_value: int = spec.pad_value
        self.keep_ratio: bool = spec.keep_ratio
        self.clip_boxes: bool = spec.clip_boxes
        self.nms_threshold: float = spec.nms_threshold
        self.max_detections: int = spec.max_detections
        self.normalize = Normalize(
            **spec.normalization, device=parameter.device, dtype=parameter.dtype
        )
        self._backend = backend
        self._trims = trimmed and self.keep_ratio and not isinstance(net, GraphFile)
        self._making = threading.Lock()  # one thread makes the network ready
        self._runs: dict[Size, Backend] = {}  # what runs it, by the size of its input
        self._settled = False
        if not self._trims:
            self.run_in(self.input_size)

    def settle(self) -> None:
        """Prepares the engines now, and those of trimmed inputs with their first image."""
        with self._making:
            self._settled = True
            for run in self._runs.values():
                _settle(run)

    @torch.inference_mode()
    def __call__(
        self, images: Sequence[np.ndarray | Tensor], *, score_threshold: float = 0.05
    ) -> list[Detections]:
        """Boxes of each image.

        Args:
            images: BGR, uint8, (H, W, 3) each, of any sizes; arrays or tensors.
            score_threshold: lower ones are left out before suppression.

        Raises:
            WeightsError: the network gives NaN.
        """
        placed = place_images(images, self.normalize.device)
        tensors = [image for image in placed if isinstance(image, Tensor)]
        if tensors:
            return self._detect_on_device(tensors, score_threshold)
        arrays = [image for image in placed if isinstance(image, np.ndarray)]
        return [
            detections
            for size, same in itertools.groupby(arrays, self.input_size_for)
            for detections in self._detect_all(list(same), size, score_threshold)
        ]

    def find_boxes(
        self,
        images: Sequence[np.ndarray | Tensor],
        categories: Collection[int],
        *,
        score_threshold: float,
        nms_threshold: float,
        whole_if_none: bool = False,
    ) -> list[Boxes]:
        """The boxes of some classes in each image; see `Detections.select`.

        Args:
            images: as in a call.
            categories: numbers of the classes.
            score_threshold: lower ones are left out.
            nms_threshold: of two with a larger IoU the one with the lower score is left out.
            whole_if_none: if there is none, the whole image is a box of score 1.

        Raises:
            InputError: the detector has no such class.
            WeightsError: the network gives NaN.
        """
        last = len(self.classes) - 1
        if unknown := [number for number in categories if number > last]:
            raise InputError(
                f"det_cat_ids must be from 0 to {last}, as the detector's classes are, found "
                f"{unknown}; give other numbers, or choose another detector"
            )
        boxes = []
        for image, found in zip(images, self(images, score_threshold=score_threshold), strict=True):
            chosen = found.select(
                categories, score_threshold=score_threshold, nms_threshold=nms_threshold
            )
            whole = whole_if_none and not len(chosen)
            boxes.append(whole_image(image) if whole else Boxes(chosen.boxes_xyxy, chosen.scores))
        return boxes

    def input_size_for(self, image: np.ndarray) -> Size:
        """The size (w, h) of the input, in pixels, that an image (H, W, 3) is computed in."""
        if not self._trims:
            return self.input_size
        height, width = image.shape[:2]
        return trimmed_size((width, height), self.input_size, max((32, *self.codec.strides)))

    def run_in(self, size: Size) -> Backend:
        """What runs the network on inputs of a size (w, h)."""
        with self._making:
            if size not in self._runs:
                self._runs[size] = choose_backend(self._net_for(size), size, self._backend)
                if self._settled:
                    _settle(self._runs[size])
            return self._runs[size]

    def _net_for(self, size: Size) -> nn.Module:
        if size == self.input_size:
            return self.net
        width, height = self.input_size
        border = np.full((1, height, width, 3), self.pad_value, np.uint8)
        share = math.prod(size) / (width * height)
        return without_border(self.net, self.normalize(border), share)

    def _detect_all(
        self, images: Sequence[np.ndarray], size: Size, score_threshold: float
    ) -> Iterator[Detections]:
        run = self.run_in(size)
        # The same boxes come out whatever the chunk; most engines gain nothing by a batch either.
        count = MAX_TOGETHER if getattr(run, "computes_images_apart", False) else 1
        for start in range(0, len(images), count):
            yield from self._detect(run, images[start : start + count], size, score_threshold)

    def _detect(
        self, run: Backend, images: Sequence[np.ndarray], size: Size, score_threshold: float
    ) -> list[Detections]:
        with span("detect: letterbox"):
            batch, factors = self.normalize.letterboxed(
                images, size, self.pad_value, keep_ratio=self.keep_ratio
            )
        with span("detect: network"):
            outputs = run(batch)
        with span("detect: decode boxes"):
            found = self._likely_boxes(outputs, size, factors, score_threshold)
        with span("detect: suppress"):
            return [self._suppress(boxes, scores, score_threshold) for boxes, scores in found]

    def _likely_boxes(
        self,
        outputs: Any,
        size: Size,
        factors: Sequence[tuple[float, float]],
        score_threshold: float,
    ) -> list[tuple[Tensor, Tensor]]:
        """Boxes (a, 4), in pixels of each image, and scores (a, C), at least where above one."""
        find = getattr(self.codec, "cells_above", None)
        device = outputs[0][0].device
        inverses = to_device(_inverses(factors), device)
        if find is None or device.type != "cpu":
            boxes, scores = self.boxes_in_input(outputs, size)
            return list(zip(boxes * inverses[:, None], scores, strict=True))
        check_levels(outputs[0], self.codec.strides, size)
        cells = find(outputs, score_threshold)
        images = torch.cat([image for image, _, _ in cells])
        boxes, scores = self._valid(size, *self.codec.decode(outputs, cells))
        boxes *= inverses[images]
        return [
            (boxes[own], scores[own]) for own in (images == index for index in range(len(factors)))
        ]

    def _detect_on_device(
        self, images: Sequence[Tensor], score_threshold: float
    ) -> list[Detections]:
        """All steps on the device, and one transfer from it."""
        with span("detect: letterbox"):
            pixels, factors = letterbox_batch(
                images, self.input_size, self.pad_value, keep_ratio=self.keep_ratio
            )
            batch = self.normalize(pixels)
        with span("detect: network"):
            outputs = self.run_in(self.input_size)(batch)
        with span("detect: decode boxes"):
            boxes, scores = self.boxes_in_input(outputs)
            boxes *= to_device(_inverses(factors)[:, None], boxes.device)  # by (N, 1, 4)
        num_classes = scores.shape[2]
        flat = scores.flatten(1)  # (N, A * C)
        best, places = _largest(flat, min(MAX_CANDIDATES, flat.shape[1]))  # (N, k) each
        labels = places % num_classes
        cells = (places // num_classes)[..., None].expand(-1, -1, 4)
        candidates = boxes.gather(1, cells)  # (N, k, 4)
        valid = best > score_threshold
        # A few images at a time: it takes (k, k) numbers of each.
        parts = [
            batched_nms(*part, self.nms_threshold)
            for part in zip(candidates.split(8), valid.split(8), labels.split(8), strict=True)
        ]
        kept, final = (torch.cat(found) for found in zip(*parts, strict=True))
        final = final & ((flat > score_threshold).sum(dim=1) == valid.sum(dim=1))
        columns = [best, labels, kept, final[:, None].expand_as(kept)]
        packed = torch.cat([candidates, torch.stack(columns, dim=-1)], dim=-1).cpu().numpy()
        # NaN counts as the largest there is in `topk`, and passes a threshold that is asked for so.
        self._check(packed[~(packed[..., 4] <= score_threshold), :5])
        return [
            _unpack(rows, self.max_detections)
            if rows[0, 7]
            else self._suppress(boxes[index], scores[index], score_threshold)
            for index, rows in enumerate(packed)
        ]

    def boxes_in_input(self, outputs: Any, size: Size | None = None) -> tuple[Tensor, Tensor]:
        """Raw outputs as boxes (N, A, 4), in pixels of the input, and scores (N, A, C).

        Args:
            outputs: of the network.
            size: (w, h) of the input; None for `input_size`.
        """
        size = size or self.input_size
        check_levels(outputs[0], self.codec.strides, size)
        return self._valid(size, *self.codec.decode(outputs))

    def _valid(self, size: Size, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (..., 4) within the input, where they have to be; score 0 without an area."""
        width, height = size
        if self.clip_boxes:
            x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
            boxes = torch.stack([x, y], dim=-1).flatten(-2)
        # A box that is NaN keeps its score, and is noticed later.
        no_area = (boxes[..., 2:] <= boxes[..., :2]).any(dim=-1, keepdim=True)
        return boxes, scores.masked_fill(no_area, 0)

    def _suppress(self, boxes: Tensor, scores: Tensor, score_threshold: float) -> Detections:
        """Of boxes (A, 4) and scores (A, C), those that no better one of their class overlaps."""
        # NaN is not below any threshold.
        cells, labels = (~(scores <= score_threshold)).nonzero(as_tuple=True)
        # Few cells pass: only those leave the device.
        found = Detections(
            boxes[cells].cpu().numpy(), scores[cells, labels].cpu().numpy(), labels.cpu().numpy()
        )
        self._check(found.boxes_xyxy, found.scores)
        # Boxes of different classes are moved apart, so that they never overlap.
        extent = found.boxes_xyxy.max(initial=0.0) + 1
        moved = found.boxes_xyxy + (found.labels * extent).astype(np.float32)[:, None]
        return found[nms(moved, found.scores, self.nms_threshold, max_kept=self.max_detections)]

    def _check(self, *found: np.ndarray) -> None:
        check_finite("the detector", self.normalize.dtype, *found)


def _settle(run: Backend) -> None:
    if settle := getattr(run, "settle", None):
        settle()


def _inverses(factors: Sequence[tuple[float, float]]) -> np.ndarray:
    """(N, 4), by which boxes in the input become boxes in their images."""
    return np.array([[1 / x, 1 / y] * 2 for x, y in factors], np.float32)


def check_levels(
    levels: Sequence[Tensor], strides: Sequence[int], input_size: tuple[int, int]
) -> None:
    """Refuses strides other than the network's, which would silently misplace the boxes."""
    found = [tuple(level.shape[-2:]) for level in levels]
    width, height = input_size
    expected = [(math.ceil(height / s), math.ceil(width / s)) if s > 0 else () for s in strides]
    if found != expected:
        raise InputError(
            f"codec.strides are {list(strides)}, but the network gives maps of {found} cells "
            f"(height, width) for an input of {width}x{height}: set the strides that it has"
        )


def _largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """As `topk` of (N, A), but ties keep their order, as they do in `nms`."""
    best, places = scores.topk(count)
    places, order = places.sort(dim=1)
    best, order = best.gather(1, order).sort(dim=1, descending=True, stable=True)
    return best, places.gather(1, order)


def _unpack(rows: np.ndarray, max_detections: int) -> Detections:
    """Rows (k, 8), best first: box, score, label, whether it is kept."""
    rows = rows[rows[:, 6] > 0][:max_detections]
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))
