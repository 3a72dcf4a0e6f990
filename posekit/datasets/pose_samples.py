"""Crops of labelled people, for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from posekit.datasets.augment import PoseAugment, View, view_matrix
from posekit.datasets.decoded_images import ImageCache, from_reduced, reduction
from posekit.datasets.labels import PoseLabels
from posekit.datasets.mixture import Mixture
from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.problems import raise_errors
from posekit.datasets.sampler import Key, epoch_and_index
from posekit.datasets.sources import Source
from posekit.errors import InputError
from posekit.skeleton import Skeleton
from posekit.transforms.affine import MAX_WARP_SIDE, crop

__all__ = ["PoseDataset"]


class PoseDataset(Dataset[dict[str, Any]]):
    """Crops of labelled instances of one or several sources.

    Args:
        sources: annotation files; see `Source` for mapping and mixing.
        skeleton: the trained skeleton; keypoints that a source lacks are not visible.
        input_size: (w, h) of a crop.
        padding: enlarges the boxes.
        udp: align crops as UDP does; as the model's `preprocess.udp`.
        augment: random views; None gives evaluation samples, cropped as predictions are.
        final_augment: replaces `augment` from epoch `final_epoch` on.
        final_epoch: start of the second stage; None for none.
        seed: seed of every random draw.
        cache_mb: decoded images that each process keeps, in MiB; 0 for none.

    Raises:
        InputError: a source has errors; see `posekit.datasets.validate`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        skeleton: Skeleton,
        *,
        input_size: Sequence[int],
        padding: float = 1.25,
        udp: bool = False,
        augment: PoseAugment | None = None,
        final_augment: PoseAugment | None = None,
        final_epoch: int | None = None,
        seed: int = 0,
        cache_mb: float = 256,
    ) -> None:
        if augment is not None and any(source.boxes is not None for source in sources):
            raise InputError(
                "detected boxes have no keypoints to train on: use them for evaluation only"
            )
        self.skeleton = skeleton
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.padding = padding
        self.udp = udp
        self.augment = augment
        self.final_augment = final_augment
        self.final_epoch = final_epoch
        self.seed = seed
        self.sources = tuple(sources)
        self.labels: list[PoseLabels] = []
        for source in sources:
            labels, problems = read_pose_labels(source, skeleton)
            raise_errors(problems)
            self.labels.append(labels)
        self._mixture = Mixture([len(labels) for labels in self.labels], sources, seed)
        self._images = ImageCache(cache_mb)

    def __len__(self) -> int:
        return len(self._mixture)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """The sample of (epoch, index).

        Returns:
            crop: (h, w, 3), uint8, BGR.
            keypoints: (K, 2), float32, in pixels of the crop.
            visible: (K,), float32: 1 where labelled and inside of the crop.
            matrix: (2, 3), float32, from image to crop coordinates.
            center, scale: (2,), float32, of the padded box, in pixels of the image.
            bbox: (4,), float32, xyxy as labelled or detected; bbox_score: float32.
            area: float32, in pixels of the image.
            image_keypoints, image_visible: (K, 2), (K,), float32, as labelled.
            image_id, annotation_id, category_id, source: int64.

        Raises:
            InputError: the image cannot be read; the message names it.
        """
        epoch, index = epoch_and_index(key, len(self))
        part, row = self._mixture.row(epoch, index)
        labels = self.labels[part]
        keypoints, visible = labels.keypoints[row], labels.visible[row]
        view = View(labels.boxes_xyxy[row])
        rng = np.random.default_rng((self.seed, epoch, index))
        augment = self._stage(epoch)
        if augment is not None:
            view = augment.view(
                rng, view.box, keypoints, visible, skeleton=self.skeleton, padding=self.padding
            )
        # Evaluation must see what prediction sees.
        pixels, matrix, center, scale = self._crop(part, row, view, whole=augment is None)
        if augment is not None:
            pixels = augment.paint(rng, pixels)
        points = (keypoints @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        shown = visible * ((points >= 0) & (points < self.input_size)).all(axis=1)
        if view.flip:
            flip = list(self.skeleton.flip_indices)
            points, shown = points[flip], shown[flip]
        return {
            "crop": pixels,
            "keypoints": points,
            "visible": shown.astype(np.float32),
            "matrix": matrix.astype(np.float32),
            "center": center,
            "scale": scale,
            "bbox": labels.boxes_xyxy[row],
            "bbox_score": labels.scores[row],
            "area": labels.areas[row],
            "image_keypoints": keypoints,
            "image_visible": visible,
            "image_id": labels.image_ids[labels.image_rows[row]],
            "annotation_id": labels.annotation_ids[row],
            "category_id": labels.category_ids[row],
            "source": np.int64(part),
        }

    def __getitems__(self, keys: Sequence[Key]) -> list[dict[str, Any]]:
        """The samples of a batch, as `__getitem__` gives each."""
        return self._images.samples(self.__getitem__, keys, self._path)

    def _path(self, key: Key) -> str:
        part, row = self._mixture.row(*epoch_and_index(key, len(self)))
        labels = self.labels[part]
        return str(labels.image_paths[labels.image_rows[row]])

    def _crop(
        self, part: int, row: int, view: View, *, whole: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The view's pixels (h, w, 3), its matrix (2, 3), center (2,) and scale (2,).

        A crop much smaller than its part of the image is made of a reduced one, unless `whole`.
        """
        matrix, center, scale = self._matrix(view)
        labels = self.labels[part]
        image_row = labels.image_rows[row]
        shrink = 1 if whole else reduction(float(scale[0]) / self.input_size[0])
        image, factor = self._images.get(
            labels.image_paths[image_row], int(labels.image_ids[image_row]), shrink
        )
        if view.rotation and max(image.shape[:2]) > MAX_WARP_SIDE:  # OpenCV's limit
            matrix, center, scale = self._matrix(View(view.box, 0.0, view.flip))
        pixels = np.empty((self.input_size[1], self.input_size[0], 3), np.uint8)
        crop(image, from_reduced(matrix, factor), pixels)
        return pixels, matrix, center, scale

    def _matrix(self, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return view_matrix(view, input_size=self.input_size, padding=self.padding, udp=self.udp)

    def _stage(self, epoch: int) -> PoseAugment | None:
        second = self.final_epoch is not None and epoch >= self.final_epoch
        return self.final_augment if second else self.augment
