"""Images -> people with their keypoints, in one pass of one network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from posekit.backends import Backend, choose_backend
from posekit.backends.files import GraphFile
from posekit.codecs.one_stage import Cells
from posekit.errors import InputError
from posekit.finite import check_finite
from posekit.models.rtmo import BOX_PADDING
from posekit.skeleton import Skeleton
from posekit.spec import OneStageSpec
from posekit.stages.detect import MAX_TOGETHER, check_levels
from posekit.stages.estimate import Poses
from posekit.timeline import span
from posekit.transforms.affine import crop_all, crop_matrices, to_image
from posekit.transforms.device import crop_batch, place_images
from posekit.transforms.image import Normalize
from posekit.transforms.nms import nms

__all__ = ["Choose", "OneStageEstimator", "People", "letterbox_cs"]

# The place of an image in a list, boxes (n, 4) in its pixels and scores (n,) -> rows that are kept.
Choose = Callable[[int, np.ndarray, np.ndarray], np.ndarray]

# People whose keypoints are computed at once: each takes (192 + 256) codes of 128 numbers.
MAX_CLASSIFIED = 128


class People(NamedTuple):
    """The n people of one image, best first.

    Attributes:
        boxes_xyxy: (n, 4), float32, in pixels of the image; they end at the border of the input.
        scores: (n,), float32, 0 to 1.
        poses: their keypoints.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    poses: Poses


class OneStageEstimator:
    """A one-stage pose network with its pre- and post-processing.

    Args:
        net: the network, on its device.
        spec: its description.
        skeleton: the keypoints that the network finds.
        backend: what runs the network, or its name, as `make_backend` takes it; None for plain
            PyTorch. Keypoints of the people found are computed by PyTorch in any case.

    Raises:
        InputError: `net` is a graph in a file, which has only the raw outputs.
    """

    def __init__(
        self,
        net: nn.Module,
        spec: OneStageSpec,
        skeleton: Skeleton,
        *,
        backend: Backend | str | None = None,
    ) -> None:
        if isinstance(net, GraphFile):
            raise InputError(
                f"{net.path} is a graph, which lacks the part that turns {spec.name}'s raw outputs "
                "into keypoints: give the checkpoint as weights (or leave weights out for the "
                "published ones), and the engine as backend"
            )
        parameter = next(net.parameters())
        self.net = net
        self.spec = spec
        self.skeleton = skeleton
        self.codec = spec.codec.make()
        self.input_size: tuple[int, int] = spec.input_size
        self.run: Backend = choose_backend(net, self.input_size, backend)
        in_half = parameter.dtype in (torch.float16, torch.bfloat16)
        classifier: Any = net.classifier
        self.classifier: Callable[..., Tensor] = classifier.in_float32() if in_half else classifier
        self.padding: float = BOX_PADDING
        self.pad_value: int = spec.pad_value
        self.score_threshold: float = spec.score_threshold
        self.nms_threshold: float = spec.nms_threshold
        self.normalize = Normalize(
            **spec.normalization, device=parameter.device, dtype=parameter.dtype
        )

    @property
    def device(self) -> torch.device:
        """The device on which images are prepared for the network."""
        return self.normalize.device

    @torch.inference_mode()
    def __call__(
        self,
        images: Sequence[np.ndarray | Tensor],
        *,
        score_threshold: float | None = None,
        nms_threshold: float | None = None,
        choose: Choose | None = None,
    ) -> list[People]:
        """The people of each image.

        Args:
            images: BGR, uint8, (H, W, 3) each, of any sizes; arrays or tensors.
            score_threshold: people of a lower score are left out; None for the model's own.
            nms_threshold: of two boxes with a larger IoU the worse is left out; likewise.
            choose: tells whose keypoints are found; None for everybody's.

        Raises:
            WeightsError: the network gives NaN.
        """
        thresholds = (
            self.score_threshold if score_threshold is None else score_threshold,
            self.nms_threshold if nms_threshold is None else nms_threshold,
        )
        placed = place_images(images, self.device)
        # The same people come out whatever the chunk; most engines gain nothing by a batch either.
        together = self.device.type == "cuda" or getattr(self.run, "computes_images_apart", False)
        size = MAX_TOGETHER if together else 1
        return [
            people
            for start in range(0, len(placed), size)
            for people in self._find(
                placed[start : start + size],
                *thresholds,
                None if choose is None else functools.partial(_shifted, choose, start),
            )
        ]

    def _find(
        self,
        images: Sequence[np.ndarray | Tensor],
        score_threshold: float,
        nms_threshold: float,
        choose: Choose | None,
    ) -> Iterator[People]:
        sizes = [(image.shape[1], image.shape[0]) for image in images]
        centers, scales = letterbox_cs(sizes, self.input_size)
        with span("pose: letterbox"):
            batch = self.normalize(self.letterbox(images, centers, scales))
        with span("pose: network"):
            outputs = self.run(batch)
        with span("pose: decode keypoints"):
            cells = self.cells(outputs)
            chosen = self._choose(cells, score_threshold, nms_threshold)
            if choose is not None:
                chosen = [
                    places[choose(image, *self._boxes(cells, image, places, center, scale))]
                    for image, (places, center, scale) in enumerate(
                        zip(chosen, centers, scales, strict=True)
                    )
                ]
            found = list(self._people(cells, chosen))
        for (boxes, scores, keypoints, keypoint_scores), center, scale in zip(
            found, centers, scales, strict=True
        ):
            of_image = {"centers": center[None], "scales": scale[None]}
            corners, keypoints = (
                to_image(points, **of_image, input_size=self.input_size)
                for points in (boxes.reshape(-1, 2, 2), keypoints)
            )
            yield People(corners.reshape(-1, 4), scores, Poses(keypoints, keypoint_scores))

    def letterbox(
        self, images: Sequence[np.ndarray | Tensor], centers: np.ndarray, scales: np.ndarray
    ) -> np.ndarray | Tensor:
        """Inputs (n, h, w, 3), BGR, uint8: each image in the middle, as large as fits."""
        width, height = self.input_size
        matrices = crop_matrices(centers, scales, input_size=self.input_size)
        tensors = [image for image in images if isinstance(image, Tensor)]
        if tensors:
            owners = np.arange(len(tensors))
            return crop_batch(tensors, owners, matrices, self.input_size, pad_value=self.pad_value)
        batch = np.empty((len(images), height, width, 3), np.uint8)
        wide = np.empty((1, height, width, 4), np.uint8)
        arrays = [image for image in images if isinstance(image, np.ndarray)]
        for image, matrix, out in zip(arrays, matrices, batch, strict=True):
            crop_all(image, matrix[None], wide, pad_value=self.pad_value)
            cv2.cvtColor(wide[0], cv2.COLOR_BGRA2BGR, dst=out)
        return batch

    def cells(self, outputs: Sequence[Sequence[Tensor]]) -> Cells:
        """Raw outputs as cells, which may hold people.

        Raises:
            InputError: the codec's strides are not the network's.
        """
        check_levels(outputs[0], self.codec.strides, self.input_size)
        cells: Cells = self.codec.decode(outputs)
        return cells

    def _choose(
        self, cells: Cells, score_threshold: float, nms_threshold: float
    ) -> list[np.ndarray]:
        """Which cells of each image hold a person, best first."""
        packed = torch.cat([cells.boxes_xyxy, cells.scores[..., None]], dim=-1).cpu().numpy()
        chosen = []
        for rows in packed:
            # NaN is not below any threshold.
            (places,) = np.nonzero(~(rows[:, 4] <= score_threshold))
            self._check(rows[places])
            kept = nms(rows[places, :4], rows[places, 4], nms_threshold)
            chosen.append(places[kept])
        return chosen

    def _boxes(
        self, cells: Cells, image: int, places: np.ndarray, center: np.ndarray, scale: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (n, 4) of some cells, in pixels of the image, and scores (n,)."""
        corners = cells.boxes_xyxy[image].cpu().numpy()[places].reshape(-1, 2, 2)
        of_image = {"centers": center[None], "scales": scale[None]}
        boxes = to_image(corners, **of_image, input_size=self.input_size).reshape(-1, 4)
        return boxes, cells.scores[image].cpu().numpy()[places]

    def _people(
        self, cells: Cells, chosen: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Boxes, scores, keypoints and their scores of each image, in pixels of the input."""
        owners = np.repeat(np.arange(len(chosen)), [len(places) for places in chosen])
        device = cells.scores.device
        image, cell = (
            torch.from_numpy(index).to(device) for index in (owners, np.concatenate(chosen))
        )
        boxes = cells.boxes_xyxy[image, cell]
        keypoints = self.classify(cells.vectors[image, cell], boxes, cells.centers[cell])
        width, height = self.input_size
        limits = boxes.new_tensor([width, height, width, height])
        columns = [boxes.clamp(min=0).minimum(limits), cells.scores[image, cell, None]]
        columns += [keypoints.flatten(1), cells.keypoint_scores[image, cell]]
        packed = torch.cat(columns, dim=1).cpu().numpy()  # one transfer
        self._check(packed)
        k = self.skeleton.num_keypoints
        for rows in np.split(packed, np.cumsum([len(places) for places in chosen])[:-1]):
            in_input = rows[:, 5 : 5 + 2 * k].reshape(-1, k, 2)
            yield rows[:, :4], rows[:, 4], in_input, rows[:, 5 + 2 * k :]

    def classify(self, vectors: Tensor, boxes_xyxy: Tensor, centers: Tensor) -> Tensor:
        """Keypoints (n, K, 2), in pixels of the input; see `CoordinateClassifier`."""
        parts = zip(
            *(values.split(MAX_CLASSIFIED) for values in (vectors, boxes_xyxy, centers)),
            strict=True,
        )
        return torch.cat([self.classifier(*part) for part in parts])

    def _check(self, *found: np.ndarray) -> None:
        check_finite("the pose network", self.normalize.dtype, *found)


def _shifted(
    choose: Choose, start: int, place: int, boxes: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    return choose(start + place, boxes, scores)


def letterbox_cs(
    sizes_wh: Sequence[tuple[int, int]], input_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and scales (n, 2), float32, of crops that just hold whole images.

    Args:
        sizes_wh: of the n images, in pixels.
        input_size: (w, h) of the crops; scales have its aspect ratio.
    """
    sizes = np.array(sizes_wh, np.float64).reshape(-1, 2)
    most = np.array(input_size, np.float64)
    ratios = sizes[:, :1] / sizes[:, 1:]
    fitted = np.minimum(most, most[::-1] * np.hstack([ratios, 1 / ratios]))
    return (sizes / 2).astype(np.float32), (sizes * most / fitted).astype(np.float32)
