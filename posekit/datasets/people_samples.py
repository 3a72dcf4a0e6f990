"""Whole images with all their people, for one-stage pose networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from torch.utils.data import Dataset

from posekit.datasets.augment import shift_hsv
from posekit.datasets.decoded_images import ImageCache, from_reduced, reduction
from posekit.datasets.labels import PoseLabels
from posekit.datasets.mixture import Mixture
from posekit.datasets.people_augment import PeopleAugment, mirrored, moved
from posekit.datasets.plain_coco import plain_coco
from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.problems import Findings, raise_errors
from posekit.datasets.sampler import Key, epoch_and_index, epoch_order
from posekit.datasets.sources import Source, is_used
from posekit.datasets.usable_entries import clipped_box
from posekit.errors import InputError
from posekit.skeleton import Skeleton
from posekit.stages.one_stage import letterbox_cs
from posekit.transforms.affine import crop, crop_matrices

__all__ = ["PeopleDataset"]


class _People(NamedTuple):
    """The people of one or several images: boxes (n, 4), x, y, visibility (n, K, 3), areas (n,);
    and boxes (m, 4) of others, who have no labels.
    """

    boxes: np.ndarray
    points: np.ndarray
    areas: np.ndarray
    ignored: np.ndarray


class PeopleDataset(Dataset[dict[str, Any]]):
    """Images with at least one labelled person, brought to a network's input.

    Args:
        sources: annotation files; see `Source` for mapping and mixing.
        skeleton: the trained skeleton; keypoints that a source lacks are not visible.
        input_size: (w, h) of the network's input.
        pad_value: grey level of the border.
        augment: random views; None letterboxes each image as prediction does.
        final_augment: replaces `augment` from epoch `final_epoch` on.
        final_epoch: start of the second stage; None for none.
        seed: seed of every random draw; give the sampler the same, or mosaics miss the cache.
        cache_mb: decoded images that each process keeps, in MiB.

    Attributes:
        labels: for each source, all its images, and the people whose keypoints are labelled.
        ignored: for each source and image, boxes (m, 4), xyxy in pixels, of crowds and of people
            without labels.

    Raises:
        InputError: a source has errors; see `posekit.datasets.validate`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        skeleton: Skeleton,
        *,
        input_size: Sequence[int],
        pad_value: int = 114,
        augment: PeopleAugment | None = None,
        final_augment: PeopleAugment | None = None,
        final_epoch: int | None = None,
        seed: int = 0,
        cache_mb: float = 256,
    ) -> None:
        self.skeleton = skeleton
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.pad_value = pad_value
        self.augment = augment
        self.final_augment = final_augment
        self.final_epoch = final_epoch
        self.seed = seed
        self.sources = tuple(sources)
        self.labels: list[PoseLabels] = []
        self.ignored: list[list[np.ndarray]] = []
        for source in sources:
            if source.boxes is not None:
                raise InputError(
                    f"{source.boxes}: the network finds the people itself: leave 'boxes' out"
                )
            labels, problems = read_pose_labels(source, skeleton)
            raise_errors(problems)
            self.labels.append(labels)
            self.ignored.append(_unlabelled(source, labels))
        # The people of each image, and the images that have some.
        self._people = [
            [np.flatnonzero(labels.image_rows == row) for row in range(len(labels.image_ids))]
            for labels in self.labels
        ]
        self._images = [np.unique(labels.image_rows) for labels in self.labels]
        self._mixture = Mixture([len(rows) for rows in self._images], sources, seed)
        self._cache = ImageCache(cache_mb)

    def __len__(self) -> int:
        return len(self._mixture)

    def stage(self, epoch: int) -> PeopleAugment | None:
        """The augmentation of an epoch."""
        return self.final_augment if self.is_final(epoch) else self.augment

    def is_final(self, epoch: int) -> bool:
        """Whether an epoch belongs to the second stage."""
        return self.final_epoch is not None and epoch >= self.final_epoch

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """The sample of (epoch, index).

        Returns:
            image: (h, w, 3), uint8, BGR.
            boxes: (n, 4), float32, xyxy in pixels of the input.
            people: (n, K, 3), float32: x, y in pixels of the input, and 1 where the keypoint is
                labelled and inside of the input.
            areas: (n,), float32, in pixels squared of the input.
            ignored: (m, 4), float32, xyxy in pixels of the input.
            image_id, epoch: int64.

        Raises:
            InputError: an image cannot be read; the message names it.
        """
        epoch, index = epoch_and_index(key, len(self))
        augment = self.stage(epoch)
        if augment is None:
            image, people = self._letterboxed(epoch, index)
        else:
            rng = np.random.default_rng((self.seed, epoch, index))
            image, people = self._view(rng, augment, epoch, index)
        part, row = self._row(epoch, index)
        boxes, points, areas, ignored = people
        return {
            "image": image,
            "boxes": boxes,
            "people": points,
            "areas": areas,
            "ignored": ignored,
            "image_id": self.labels[part].image_ids[row],
            "epoch": np.int64(epoch),
        }

    def __getitems__(self, keys: Sequence[Key]) -> list[dict[str, Any]]:
        """The samples of a batch, as `__getitem__` gives each."""
        return self._cache.samples(self.__getitem__, keys, self._path)

    def _path(self, key: Key) -> str:
        part, row = self._row(*epoch_and_index(key, len(self)))
        return str(self.labels[part].image_paths[row])

    def _row(self, epoch: int, index: int) -> tuple[int, int]:
        """The source of a sample, and the row of its image there."""
        part, place = self._mixture.row(epoch, index)
        return part, int(self._images[part][place])

    def _letterboxed(self, epoch: int, index: int) -> tuple[np.ndarray, _People]:
        image, _, people = self._read(epoch, index, whole=True)
        size = (image.shape[1], image.shape[0])
        matrix = crop_matrices(*letterbox_cs([size], self.input_size), input_size=self.input_size)[
            0
        ]
        out = np.empty((self.input_size[1], self.input_size[0], 3), np.uint8)
        crop(image, matrix, out, pad_value=self.pad_value)
        return out, self._seen(_moved(people, matrix, self._whole))

    @property
    def _whole(self) -> tuple[int, int, int, int]:
        return (0, 0, *self.input_size)

    def _view(
        self, rng: np.random.Generator, augment: PeopleAugment, epoch: int, index: int
    ) -> tuple[np.ndarray, _People]:
        """A mosaic or a single image, moved, blended with another, coloured and mirrored."""
        width, height = self.input_size
        view = augment.view(rng, self.input_size)
        if augment.mosaic:
            canvas, people = self._mosaic(rng, augment, epoch, index)
            image = np.empty((height, width, 3), np.uint8)
            crop(canvas, view, image, pad_value=self.pad_value)
            people = _moved(people, view, self._whole)
        else:
            image, people = self._single(view, epoch, index)
        if rng.random() < augment.mixup:
            image, people = self._blend(rng, augment, epoch, index, image, people)
        image = shift_hsv(rng, image, augment.hsv)
        if rng.random() < augment.flip:
            image = np.ascontiguousarray(image[:, ::-1])
            matrix = mirrored(np.eye(2, 3), width)
            people = self._flipped(_moved(people, matrix, self._whole))
        return image, self._seen(people)

    def _single(self, view: np.ndarray, epoch: int, index: int) -> tuple[np.ndarray, _People]:
        read, factor, people = self._read(epoch, index, whole=False)
        size = (round(read.shape[1] / factor), round(read.shape[0] / factor))
        matrix = crop_matrices(*letterbox_cs([size], self.input_size), input_size=self.input_size)[
            0
        ]
        linear = view[:, :2] @ matrix
        linear[:, 2] += view[:, 2]
        image = np.empty((self.input_size[1], self.input_size[0], 3), np.uint8)
        crop(read, from_reduced(linear, factor), image, pad_value=self.pad_value)
        return image, _moved(people, linear, self._whole)

    def _mosaic(
        self, rng: np.random.Generator, augment: PeopleAugment, epoch: int, index: int
    ) -> tuple[np.ndarray, _People]:
        chosen = [index, *self._others(rng, augment, epoch, index, 3)]
        read = [self._read(epoch, one, whole=False) for one in chosen]
        sizes = [(round(i.shape[1] / f), round(i.shape[0] / f)) for i, f, _ in read]
        width, height = self.input_size
        canvas = np.full((2 * height, 2 * width, 3), self.pad_value, np.uint8)
        found = []
        for (image, factor, people), tile in zip(
            read, augment.tiles(rng, sizes, self.input_size), strict=True
        ):
            _draw(image, from_reduced(tile.matrix, factor), tile.window, canvas)
            found.append(_moved(people, tile.matrix, tile.window))
        return canvas, _joined(found)

    def _blend(
        self,
        rng: np.random.Generator,
        augment: PeopleAugment,
        epoch: int,
        index: int,
        image: np.ndarray,
        people: _People,
    ) -> tuple[np.ndarray, _People]:
        (other,) = self._others(rng, augment, epoch, index, 1)
        read, factor, others = self._read(epoch, other, whole=False)
        size = (round(read.shape[1] / factor), round(read.shape[0] / factor))
        placed = augment.blended(rng, size, self.input_size)
        second = np.full_like(image, self.pad_value)
        _draw(read, from_reduced(placed.matrix, factor), placed.window, second)
        others = _moved(others, placed.matrix, placed.window)
        if placed.matrix[0, 0] < 0:
            others = self._flipped(others)
        mixed = cv2.addWeighted(image, 0.5, second, 0.5, 0.0)
        return np.asarray(mixed, np.uint8), _joined([people, others])

    def _flipped(self, people: _People) -> _People:
        """Left and right changed, after the picture was mirrored."""
        return people._replace(points=people.points[:, list(self.skeleton.flip_indices)])

    def _seen(self, people: _People) -> _People:
        """Leaves out unseen people; those without a visible keypoint keep only their box."""
        boxes = people.boxes
        there = (boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1)
        labelled = people.points[..., 2].any(axis=1)
        kept = there & labelled
        others = people.ignored[(people.ignored[:, 2:] > people.ignored[:, :2]).all(axis=1)]
        ignored = np.concatenate([others, boxes[there & ~labelled]])
        return _People(boxes[kept], people.points[kept], people.areas[kept], ignored)

    def _others(
        self,
        rng: np.random.Generator,
        augment: PeopleAugment,
        epoch: int,
        index: int,
        count: int,
    ) -> list[int]:
        """Samples from just before this one in the epoch's order, which wraps around."""
        order, places = _order_and_places(len(self), self.seed, epoch)
        back = rng.integers(1, min(augment.pool, max(len(self) - 1, 1)) + 1, count)
        return [int(order[(places[index] - step) % len(self)]) for step in back]

    def _read(self, epoch: int, index: int, *, whole: bool) -> tuple[np.ndarray, float, _People]:
        """Image, its factor to the original, and people in pixels of the original.

        An image much larger than the input is reduced while it is decoded, unless `whole`.
        """
        part, row = self._row(epoch, index)
        labels = self.labels[part]
        shrink = 1
        if not whole:
            width, height = labels.image_sizes[row]
            shrink = reduction(min(width / self.input_size[0], height / self.input_size[1]))
        image, factor = self._cache.get(labels.image_paths[row], int(labels.image_ids[row]), shrink)
        rows = self._people[part][row]
        points = np.concatenate([labels.keypoints[rows], labels.visible[rows, :, None]], axis=2)
        people = _People(
            labels.boxes_xyxy[rows], points, labels.areas[rows], self.ignored[part][row]
        )
        return image, factor, people


def _moved(people: _People, matrix: np.ndarray, window: tuple[int, int, int, int]) -> _People:
    """People moved by a map (2, 3), and cut at a window; keypoints outside are not visible."""
    points = people.points.copy()
    points[..., :2] = moved(matrix, points[..., :2])
    low, high = np.array(window, np.float32).reshape(2, 2)
    points[..., 2] *= ((points[..., :2] >= low) & (points[..., :2] < high)).all(axis=-1)
    areas = people.areas * np.float32(abs(np.linalg.det(matrix[:, :2])))
    boxes, ignored = (_moved_boxes(b, matrix, window) for b in (people.boxes, people.ignored))
    return _People(boxes, points, areas, ignored)


def _moved_boxes(
    boxes: np.ndarray, matrix: np.ndarray, window: tuple[int, int, int, int]
) -> np.ndarray:
    corners = moved(matrix, boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]])  # (n, 4, 2)
    extents = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    low, high = np.tile(np.array(window, np.float32).reshape(2, 2), 2)
    clipped: np.ndarray = np.clip(extents, low, high)
    return clipped


def _joined(several: Sequence[_People]) -> _People:
    return _People(*(np.concatenate(parts) for parts in zip(*several, strict=True)))


def _draw(
    image: np.ndarray, matrix: np.ndarray, window: tuple[int, int, int, int], out: np.ndarray
) -> None:
    """Draws an image through a map (2, 3) into the window (xyxy) of `out`."""
    left, top, right, bottom = window
    if left >= right or top >= bottom:
        return
    matrix = matrix.copy()
    matrix[:, 2] -= (left, top)
    out[top:bottom, left:right] = cv2.warpAffine(
        image,
        matrix,
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _unlabelled(source: Source, labels: PoseLabels) -> list[np.ndarray]:
    """Boxes (m, 4), xyxy, of the people on each image who have no keypoints to learn."""
    coco = plain_coco(source)
    used = {category["id"] for category in coco.categories if is_used(source, category)}
    known = set(labels.annotation_ids.tolist())
    rows = {number: row for row, number in enumerate(labels.image_ids.tolist())}
    found = Findings(source)  # what is wrong was said when the labels were read
    boxes: list[list[tuple[float, ...]]] = [[] for _ in rows]
    for annotation, place in zip(coco.annotations, coco.places, strict=True):
        row = rows.get(annotation["image_id"])
        if row is None or annotation["id"] in known or annotation["category_id"] not in used:
            continue
        box = clipped_box(annotation, labels.image_sizes[row].tolist(), place, found, fatal=False)
        if box is not None:
            boxes[row].append(box)
    return [np.array(of_image, np.float32).reshape(-1, 4) for of_image in boxes]


@lru_cache(maxsize=2)
def _order_and_places(length: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    order = epoch_order(length, seed, epoch)
    places = np.empty_like(order)
    places[order] = np.arange(length)
    return order, places
