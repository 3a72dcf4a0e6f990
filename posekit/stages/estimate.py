"""Images and boxes -> keypoints."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from posekit.backends import Backend, choose_backend
from posekit.finite import check_finite
from posekit.result import Pose3D, PoseResult
from posekit.skeleton import Skeleton
from posekit.spec import PoseSpec
from posekit.timeline import span
from posekit.transforms.affine import boxes_to_cs, crop_all, crop_matrices, to_image
from posekit.transforms.device import crop_batch, place_images
from posekit.transforms.heatmaps import project_heatmaps
from posekit.transforms.image import Normalize
from posekit.transforms.nms import nearby_joints_nms

__all__ = ["Crops", "PoseEstimator", "Poses", "doubles_left_out"]


T = TypeVar("T")

# Batches of crops that a GPU is given before it is waited for: their outputs take its memory.
QUEUED = 4


@dataclass(frozen=True, eq=False)
class Crops:
    """n crops of images.

    Attributes:
        pixels: (n, h, w, 4), uint8, BGR and an unused byte; if the images are tensors, a tensor
            (n, h, w, 3).
        centers: (n, 2), of the crops, in pixels of their images.
        scales: (n, 2), the crops' sizes, in pixels of their images.
    """

    pixels: np.ndarray | Tensor
    centers: np.ndarray
    scales: np.ndarray

    def to_image(self, keypoints: np.ndarray) -> np.ndarray:
        """Keypoints (n, K, 2) in pixels of the crops -> in pixels of their images."""
        height, width = self.pixels.shape[1:3]
        return to_image(keypoints, self.centers, self.scales, input_size=(width, height))


class Poses(NamedTuple):
    """The n instances of one image.

    Attributes:
        keypoints: (n, K, 2), float32, in pixels of the image.
        scores: (n, K), float32.
        pose3d: the third dimension, of a model that gives it.
        heatmap: (H, W), float32, the highest value of all heat maps, where it was asked for.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    pose3d: Pose3D | None = None
    heatmap: np.ndarray | None = None


class PoseEstimator:
    """A top-down pose network with its pre- and post-processing.

    Args:
        net: the network, on its device.
        spec: its description.
        skeleton: the keypoints that the network finds.
        backend: what runs the network, or its name, as `make_backend` takes it; None for plain
            PyTorch, or for a graph the fastest engine.
    """

    def __init__(
        self,
        net: nn.Module,
        spec: PoseSpec,
        skeleton: Skeleton,
        *,
        backend: Backend | str | None = None,
    ) -> None:
        parameter = next(net.parameters())
        self.net = net
        self.spec = spec
        self.skeleton = skeleton
        self.codec = spec.codec.make()
        self.flip_test: bool = spec.flip_test
        self.input_size: tuple[int, int] = spec.input_size
        self.run: Backend = choose_backend(net, self.input_size, backend)
        self.flip_indices = torch.tensor(skeleton.flip_indices, device=parameter.device)
        self.padding: float = spec.padding
        self.udp: bool = spec.udp
        self.normalize = Normalize(
            **spec.normalization, device=parameter.device, dtype=parameter.dtype
        )

    def __call__(
        self,
        images: Sequence[np.ndarray | Tensor],
        boxes_xyxy: Sequence[np.ndarray],
        *,
        flip_test: bool | None = None,
        batch_size: int = 64,
        with_heatmap: bool = False,
    ) -> list[Poses]:
        """Keypoints of every box of every image, through the network in common batches.

        Args:
            images: BGR, uint8, (H, W, 3) each, of any sizes; arrays or tensors.
            boxes_xyxy: per image (n, 4), in its pixels.
            flip_test: average with the mirrored crop; None does as the configuration says.
            batch_size: most crops that go through the network at once.
            with_heatmap: give the heat maps too, laid over the image; the model must have them.

        Returns:
            The poses of each image.

        Raises:
            WeightsError: the network gives NaN.
        """
        k = self.skeleton.num_keypoints
        keypoints, scores = [np.zeros((0, k, 2), np.float32)], [np.zeros((0, k), np.float32)]
        heatmaps = _Heatmaps(self.heatmap_size, self.udp) if with_heatmap else None
        batches = (
            (crops, self.forward(crops.pixels, flip_test=flip_test))
            for crops in self.crop_batches(images, boxes_xyxy, batch_size=batch_size)
        )
        # Decoding waits for a GPU: it has more to do by then.
        for crops, outputs in _ahead(batches, QUEUED if self.device.type == "cuda" else 1):
            with span("pose: decode keypoints"):
                in_crop, found = self.codec.decode(outputs)
            check_finite("the pose network", self.normalize.dtype, in_crop, found)
            keypoints.append(crops.to_image(in_crop))
            scores.append(found)
            if heatmaps is not None:
                heatmaps.add(crops, outputs[:, :: outputs.shape[1] // k])
        ends = np.cumsum([len(boxes) for boxes in boxes_xyxy])[:-1]
        poses = [
            Poses(*of_image)
            for of_image in zip(
                np.split(np.concatenate(keypoints), ends),
                np.split(np.concatenate(scores), ends),
                strict=True,
            )
        ]
        if heatmaps is None:
            return poses
        return [
            pose._replace(heatmap=heatmap)
            for pose, heatmap in zip(poses, heatmaps.of_images(images, ends), strict=True)
        ]

    @property
    def device(self) -> torch.device:
        """The device on which crops are prepared for the network."""
        return self.normalize.device

    @property
    def heatmap_size(self) -> tuple[int, int] | None:
        """(w, h) of the model's heat maps; None where it has none."""
        return getattr(self.codec, "heatmap_size", None)

    def crop_batches(
        self,
        images: Sequence[np.ndarray | Tensor],
        boxes_xyxy: Sequence[np.ndarray],
        *,
        batch_size: int,
    ) -> Iterator[Crops]:
        """The crops of every box of every image, in order, at most `batch_size` at once."""
        images = place_images(images, self.normalize.device)
        owners = np.repeat(np.arange(len(images)), [len(boxes) for boxes in boxes_xyxy])
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *boxes_xyxy])
        size = self.input_size
        centers, scales = boxes_to_cs(boxes, input_size=size, padding=self.padding)
        matrices = crop_matrices(centers, scales, input_size=size, udp=self.udp)
        for start in range(0, len(boxes), batch_size):
            part = slice(start, start + batch_size)
            with span("crop"):
                pixels = self.crop(images, owners[part], matrices[part])
            yield Crops(pixels, centers[part], scales[part])

    def crop(
        self, images: Sequence[np.ndarray | Tensor], owners: np.ndarray, matrices: np.ndarray
    ) -> np.ndarray | Tensor:
        """The pixels of `Crops`, given the affine map (2, 3) of each.

        `owners` are the numbers of their images, in rising order.
        """
        tensors = [image for image in images if isinstance(image, Tensor)]
        if tensors:
            return crop_batch(tensors, owners, matrices, self.input_size)
        width, height = self.input_size
        crops = np.empty((len(owners), height, width, 4), np.uint8)
        for owner in np.unique(owners):
            own = slice(*np.searchsorted(owners, [owner, owner + 1]))
            crop_all(images[owner], matrices[own], crops[own])
        return crops

    @torch.inference_mode()
    def forward(self, crops: np.ndarray | Tensor, *, flip_test: bool | None = None) -> Any:
        """The network's raw outputs for crops (n, h, w, 3 or 4), as `Normalize` takes them."""
        with span("pose: normalise"):
            batch = self.normalize(crops)
        with span("pose: network"):
            outputs = self.run(batch)
        if self.flip_test if flip_test is None else flip_test:
            with span("pose: network"):
                mirrored = self.run(batch.flip(-1))
            mirrored = self.codec.flip(mirrored, self.flip_indices)
            outputs = _mean(outputs, mirrored)
        return outputs


def doubles_left_out(result: PoseResult) -> np.ndarray:
    """Rows of a result, best first, without those whose keypoints lie on a better one's."""
    return nearby_joints_nms(
        result.keypoints, result.box_scores, num_nearby=result.keypoints.shape[1] // 3
    )


def _ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """The items, always `count` of them made before the first of these is given."""
    while made := collections.deque(itertools.islice(items, count)):
        while made:
            yield made.popleft()


class _Heatmaps:
    """The heat maps of all crops, to be laid over their images."""

    def __init__(self, size: tuple[int, int] | None, udp: bool) -> None:
        assert size is not None
        self.size = size
        self.udp = udp
        self.maps = [np.empty((0, 1, size[1], size[0]), np.float32)]
        self.warps = [np.empty((0, 2, 3))]

    def add(self, crops: Crops, maps: Tensor) -> None:
        """Takes maps (n, K, h, w)."""
        found = maps.float().cpu().numpy()
        self.maps = [*(part for part in self.maps if len(part)), found]
        from_image = crop_matrices(crops.centers, crops.scales, input_size=self.size, udp=self.udp)
        self.warps.extend(cv2.invertAffineTransform(matrix)[None] for matrix in from_image)

    def of_images(
        self, images: Sequence[np.ndarray | Tensor], ends: np.ndarray
    ) -> Iterator[np.ndarray]:
        """(H, W) of each image, whose crops end at `ends`."""
        parts = (np.split(np.concatenate(values), ends) for values in (self.maps, self.warps))
        for image, maps, warps in zip(images, *parts, strict=True):
            yield project_heatmaps(maps, warps, (image.shape[1], image.shape[0]))


def _mean(first: Any, second: Any) -> Any:
    """The average of two raw outputs, tensors or tuples of tensors."""
    if isinstance(first, Tensor):
        # In half precision many more neighbouring bins would tie.
        return (first.float() + second.float()) * 0.5
    return tuple(_mean(a, b) for a, b in zip(first, second, strict=True))
