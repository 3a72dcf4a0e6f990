"""Images and boxes -> keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from posekit.skeleton import Skeleton
from posekit.transforms.affine import boxes_to_cs, crop, crop_matrices, to_image
from posekit.transforms.image import Normalize

__all__ = ["PoseEstimator"]


class PoseEstimator:
    """A top-down pose network with its pre- and post-processing.

    Args:
        net: the network, on its device.
        config: its YAML: `preprocess`, `codec`, `flip_test`.
        skeleton: the keypoints that the network finds.
    """

    def __init__(self, net: nn.Module, config: Mapping[str, Any], skeleton: Skeleton) -> None:
        parameter = next(net.parameters())
        preprocess = config["preprocess"]
        self.net = net
        self.skeleton = skeleton
        self.codec = instantiate(config["codec"], _convert_="all")
        self.flip_test: bool = config["flip_test"]
        self.input_size: tuple[int, int] = tuple(preprocess["input_size"])
        self.padding: float = preprocess["padding"]
        self.udp: bool = preprocess["udp"]
        self.normalize = Normalize(
            mean=preprocess["mean"],
            std=preprocess["std"],
            color=preprocess["color"],
            device=parameter.device,
            dtype=parameter.dtype,
        )

    def __call__(
        self,
        images: Sequence[np.ndarray],
        boxes_xyxy: Sequence[np.ndarray],
        *,
        flip_test: bool | None = None,
        batch_size: int = 64,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Keypoints of every box of every image, through the network in common batches.

        Args:
            images: BGR, uint8, (H, W, 3) each, of any sizes.
            boxes_xyxy: per image (n, 4), in its pixels.
            flip_test: average with the mirrored crop; None does as the configuration says.
            batch_size: most crops that go through the network at once.

        Returns:
            Per image keypoints (n, K, 2) in its pixels and scores (n, K), float32.
        """
        counts = [len(boxes) for boxes in boxes_xyxy]
        owners = np.repeat(np.arange(len(images)), counts)
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *boxes_xyxy])
        centers, scales = boxes_to_cs(boxes, input_size=self.input_size, padding=self.padding)
        matrices = crop_matrices(centers, scales, input_size=self.input_size, udp=self.udp)
        keypoints = np.empty((len(boxes), self.skeleton.num_keypoints, 2), np.float32)
        scores = np.empty(keypoints.shape[:2], np.float32)
        for start in range(0, len(boxes), batch_size):
            part = slice(start, start + batch_size)
            crops = self.crop(images, owners[part], matrices[part])
            in_crop, scores[part] = self.estimate_crops(
                crops, flip_test=self.flip_test if flip_test is None else flip_test
            )
            keypoints[part] = to_image(
                in_crop, centers[part], scales[part], input_size=self.input_size
            )
        ends = np.cumsum(counts)[:-1]
        return list(zip(np.split(keypoints, ends), np.split(scores, ends), strict=True))

    def crop(
        self, images: Sequence[np.ndarray], owners: np.ndarray, matrices: np.ndarray
    ) -> np.ndarray:
        """Crops (n, h, w, 3), BGR, uint8, given the image and the affine map (2, 3) of each."""
        width, height = self.input_size
        crops = np.empty((len(owners), height, width, 3), np.uint8)
        for owner, matrix, out in zip(owners, matrices, crops, strict=True):
            crop(images[owner], matrix, out)
        return crops

    @torch.inference_mode()
    def estimate_crops(
        self, crops: np.ndarray, *, flip_test: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (n, K, 2) in pixels of the crops (n, h, w, 3), and scores (n, K)."""
        batch = self.normalize(crops)
        outputs = self.net(batch)
        if flip_test:
            mirrored = self.codec.flip(self.net(batch.flip(-1)), self.skeleton.flip_indices)
            outputs = _mean(outputs, mirrored)
        keypoints, scores = self.codec.decode(outputs)
        return keypoints, scores


def _mean(first: Any, second: Any) -> Any:
    """The average of two raw outputs, tensors or tuples of tensors."""
    if isinstance(first, Tensor):
        return (first + second) * 0.5
    return tuple(_mean(a, b) for a, b in zip(first, second, strict=True))
