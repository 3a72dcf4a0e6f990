"""Images with boxes in the size of a detector's input, for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset

from posekit.datasets.augment import DetectionAugment, place, shift_hsv
from posekit.datasets.decoded_images import ImageCache, reduction
from posekit.datasets.detection_labels import read_detection_labels
from posekit.datasets.labels import DetectionLabels
from posekit.datasets.mixture import Mixture
from posekit.datasets.problems import raise_errors
from posekit.datasets.sampler import Key, epoch_and_index, epoch_order
from posekit.datasets.sources import Source
from posekit.transforms.image import letterbox

__all__ = ["DetectionDataset"]


class DetectionDataset(Dataset[dict[str, Any]]):
    """Images with boxes, brought to a detector's input.

    Args:
        sources: annotation files.
        classes: category names, in the order of the network's outputs.
        input_size: (w, h) of the network's input.
        pad_value: grey level of the border.
        augment: random views; None letterboxes each image as the detector does.
        final_augment: replaces `augment` from epoch `final_epoch` on.
        final_epoch: start of the second stage; None for none.
        seed: seed of every random draw; give the sampler the same, or mosaics miss the cache.
        cache_mb: decoded images that each process keeps, in MiB. Mosaics read several images per
            sample, from among the samples just before: they need it.

    Raises:
        InputError: a source has errors; see `posekit.datasets.validate`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        classes: Sequence[str],
        *,
        input_size: Sequence[int],
        pad_value: int = 114,
        augment: DetectionAugment | None = None,
        final_augment: DetectionAugment | None = None,
        final_epoch: int | None = None,
        seed: int = 0,
        cache_mb: float = 256,
    ) -> None:
        self.classes = tuple(classes)
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.pad_value = pad_value
        self.augment = augment
        self.final_augment = final_augment
        self.final_epoch = final_epoch
        self.seed = seed
        self.sources = tuple(sources)
        self.labels: list[DetectionLabels] = []
        for source in sources:
            labels, problems = read_detection_labels(source, classes, keep_empty=augment is None)
            raise_errors(problems)
            self.labels.append(labels)
        self._mixture = Mixture([len(labels) for labels in self.labels], sources, seed)
        self._images = ImageCache(cache_mb)

    def __len__(self) -> int:
        return len(self._mixture)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """The sample of (epoch, index).

        Returns:
            image: (h, w, 3), uint8, BGR.
            boxes: (n, 4), float32, xyxy in pixels of the input.
            labels: (n,), int64.
            factor: (2,), float32, from image to input coordinates; 1 for augmented samples.
            original_size: (2,), int64, (w, h) of the image.
            image_id: int64.

        Raises:
            InputError: an image cannot be read; the message names it.
        """
        epoch, index = epoch_and_index(key, len(self))
        second = self.final_epoch is not None and epoch >= self.final_epoch
        augment = self.final_augment if second else self.augment
        if augment is None:
            return self._plain(epoch, index)
        rng = np.random.default_rng((self.seed, epoch, index))
        image, boxes, labels = self._view(rng, augment, epoch, index)
        if rng.random() < augment.mixup:
            other = self._others(rng, augment, epoch, index, 1)[0]
            second_image, second_boxes, second_labels = self._view(rng, augment, epoch, other)
            image = np.asarray(cv2.addWeighted(image, 0.5, second_image, 0.5, 0.0), np.uint8)
            boxes = np.concatenate([boxes, second_boxes])
            labels = np.concatenate([labels, second_labels])
        part, row = self._mixture.row(epoch, index)
        return {
            "image": image,
            "boxes": boxes,
            "labels": labels,
            "factor": np.ones(2, np.float32),
            "original_size": np.array(self.input_size, np.int64),
            "image_id": self.labels[part].image_ids[row],
        }

    def __getitems__(self, keys: Sequence[Key]) -> list[dict[str, Any]]:
        """The samples of a batch, as `__getitem__` gives each."""
        return self._images.samples(self.__getitem__, keys, self._path)

    def _path(self, key: Key) -> str:
        part, row = self._mixture.row(*epoch_and_index(key, len(self)))
        return str(self.labels[part].image_paths[row])

    def _plain(self, epoch: int, index: int) -> dict[str, Any]:
        image, _, boxes, labels, image_id = self._read(epoch, index, 1)
        out = np.empty((self.input_size[1], self.input_size[0], 3), np.uint8)
        factor = np.array(letterbox(image, out, self.pad_value), np.float32)
        return {
            "image": out,
            "boxes": boxes * np.tile(factor, 2),
            "labels": labels,
            "factor": factor,
            "original_size": np.array(image.shape[1::-1], np.int64),
            "image_id": image_id,
        }

    def _view(
        self, rng: np.random.Generator, augment: DetectionAugment, epoch: int, index: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A mosaic or a single image, resized, cut, coloured and mirrored; its boxes and labels."""
        width, height = self.input_size
        chosen = [index]
        if augment.mosaic:
            chosen += self._others(rng, augment, epoch, index, 3)
        images, sizes, all_boxes, all_labels = [], [], [], []
        for one in chosen:
            image, factor, boxes, labels, _ = self._read(epoch, one, None)
            images.append(image)
            sizes.append((image.shape[1], image.shape[0]))
            all_boxes.append(boxes * np.float32(factor))
            all_labels.append(labels)
        out = np.full((height, width, 3), self.pad_value, np.uint8)
        placed = [
            place(image, tile, out, boxes)
            for image, tile, boxes in zip(
                images, augment.tiles(rng, sizes, self.input_size), all_boxes, strict=True
            )
        ]
        boxes, labels = np.concatenate(placed), np.concatenate(all_labels)
        out = shift_hsv(rng, out, augment.hsv)
        if rng.random() < augment.flip:
            out = np.ascontiguousarray(out[:, ::-1])
            boxes = np.float32(width) * np.array([1, 0, 1, 0], np.float32) - boxes[
                :, [2, 1, 0, 3]
            ] * np.array([1, -1, 1, -1], np.float32)
        visible = (boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1)
        return out, boxes[visible], labels[visible]

    def _others(
        self,
        rng: np.random.Generator,
        augment: DetectionAugment,
        epoch: int,
        index: int,
        count: int,
    ) -> list[int]:
        """Samples from just before this one in the epoch's order, which wraps around.

        MMDetection draws from a cache of what a worker read last; that depends on the workers.
        """
        order, places = _order_and_places(len(self), self.seed, epoch)
        back = rng.integers(1, min(augment.pool, max(len(self) - 1, 1)) + 1, count)
        return [int(order[(places[index] - step) % len(self)]) for step in back]

    def _read(
        self, epoch: int, index: int, shrink: int | None
    ) -> tuple[np.ndarray, float, np.ndarray, np.ndarray, np.int64]:
        """Image, its factor to the original, boxes of the original, labels, id."""
        part, row = self._mixture.row(epoch, index)
        labels = self.labels[part]
        if shrink is None:  # not below the input's size
            width, height = labels.image_sizes[row]
            shrink = reduction(min(width / self.input_size[0], height / self.input_size[1]))
        number = labels.image_ids[row]
        image, factor = self._images.get(labels.image_paths[row], int(number), shrink)
        boxes = slice(labels.starts[row], labels.starts[row + 1])
        return image, factor, labels.boxes_xyxy[boxes], labels.labels[boxes], number


@lru_cache(maxsize=2)
def _order_and_places(length: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    order = epoch_order(length, seed, epoch)
    places = np.empty_like(order)
    places[order] = np.arange(length)
    return order, places
