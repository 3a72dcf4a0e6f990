"""Samples for training and evaluation, the same for any number of workers and ranks.

A sample is a function of (seed, epoch, index): datasets keep no random state, and the epoch comes
with the index from `ResumableSampler`. So a run that resumes sees what it would have seen.

    dataset = PoseDataset(sources, skeleton, input_size=(192, 256), augment=PoseAugment())
    sampler = ResumableSampler(len(dataset), seed=0)
    loader = DataLoader(dataset, 64, sampler=sampler, collate_fn=collate,
                        worker_init_fn=init_worker, num_workers=2)
    for batch in loader:
        ...
        sampler.advance(64)
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from posekit.datasets.annotations import (
    DetectionLabels,
    PoseLabels,
    Problem,
    Source,
    read_detection_labels,
    read_pose_labels,
)
from posekit.datasets.augment import (
    DetectionAugment,
    PoseAugment,
    View,
    place,
    shift_hsv,
    view_matrix,
)
from posekit.errors import InputError, PosekitError
from posekit.io import decode_image
from posekit.skeleton import Skeleton
from posekit.transforms.affine import MAX_WARP_SIDE, crop
from posekit.transforms.image import letterbox

__all__ = [
    "DetectionDataset",
    "LiftingDataset",
    "PoseDataset",
    "ResumableSampler",
    "batches",
    "collate",
    "epoch_order",
    "init_worker",
    "raise_errors",
    "read_factors",
]

log = logging.getLogger(__name__)

# From the root to a joint, in halves of the image's width: no pose is larger by far.
LARGEST_POSE = 30.0

# What a sampler gives: the epoch and the index in it; an index alone means epoch 0.
Key = int | tuple[int, int]


class PoseDataset(Dataset[dict[str, Any]]):
    """Crops of labelled instances of one or several sources.

    Args:
        sources: annotation files; see `Source` for mapping and mixing.
        skeleton: what is trained; keypoints that a source lacks are not visible.
        input_size: (w, h) of a crop.
        padding: enlarges the boxes.
        udp: align crops as UDP does; as the model's `preprocess.udp`.
        augment: random views; None gives evaluation samples, cropped as predictions are.
        final_augment: replaces `augment` from epoch `final_epoch` on.
        final_epoch: start of the second stage; None for none.
        seed: of every random draw.
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
            raise InputError("detected boxes have no keypoints to learn: use them to evaluate only")
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
        self._mix = _Mix([len(labels) for labels in self.labels], sources, seed)
        self._images = _ImageCache(cache_mb)

    def __len__(self) -> int:
        return len(self._mix)

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
            InputError: the image cannot be read; names it.
        """
        epoch, index = _epoch_and_index(key, len(self))
        part, row = self._mix.row(epoch, index)
        labels = self.labels[part]
        keypoints, visible = labels.keypoints[row], labels.visible[row]
        view = View(labels.boxes_xyxy[row])
        rng = np.random.default_rng((self.seed, epoch, index))
        augment = self._stage(epoch)
        if augment is not None:
            view = augment.view(
                rng, view.box, keypoints, visible, skeleton=self.skeleton, padding=self.padding
            )
        matrix, center, scale = view_matrix(
            view, input_size=self.input_size, padding=self.padding, udp=self.udp
        )
        image_row = labels.image_rows[row]
        # A crop much smaller than its part of the image needs no full decoding; evaluation must
        # see what prediction sees.
        shrink = 1 if augment is None else _shrink(float(scale[0]) / self.input_size[0])
        image, factor = self._images.get(
            labels.image_paths[image_row], int(labels.image_ids[image_row]), shrink
        )
        if view.rotation and max(image.shape[:2]) > MAX_WARP_SIDE:  # OpenCV's limit
            view = View(view.box, 0.0, view.flip)
            matrix, center, scale = view_matrix(
                view, input_size=self.input_size, padding=self.padding, udp=self.udp
            )
        out = np.empty((self.input_size[1], self.input_size[0], 3), np.uint8)
        crop(image, _shrunk(matrix, factor), out)
        if augment is not None:
            out = augment.paint(rng, out)

        points = (keypoints @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        shown = visible * ((points >= 0) & (points < self.input_size)).all(axis=1)
        if view.flip:
            flip = list(self.skeleton.flip_indices)
            points, shown = points[flip], shown[flip]
        return {
            "crop": out,
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
            "image_id": labels.image_ids[image_row],
            "annotation_id": labels.annotation_ids[row],
            "category_id": labels.category_ids[row],
            "source": np.int64(part),
        }

    def _stage(self, epoch: int) -> PoseAugment | None:
        second = self.final_epoch is not None and epoch >= self.final_epoch
        return self.final_augment if second else self.augment


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
        seed: of every random draw; give the sampler the same, or mosaics miss the cache.
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
        self._mix = _Mix([len(labels) for labels in self.labels], sources, seed)
        self._images = _ImageCache(cache_mb)

    def __len__(self) -> int:
        return len(self._mix)

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
            InputError: an image cannot be read; names it.
        """
        epoch, index = _epoch_and_index(key, len(self))
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
        part, row = self._mix.row(epoch, index)
        return {
            "image": image,
            "boxes": boxes,
            "labels": labels,
            "factor": np.ones(2, np.float32),
            "original_size": np.array(self.input_size, np.int64),
            "image_id": self.labels[part].image_ids[row],
        }

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
        part, row = self._mix.row(epoch, index)
        labels = self.labels[part]
        if shrink is None:  # not below the input's size
            width, height = labels.image_sizes[row]
            shrink = _shrink(min(width / self.input_size[0], height / self.input_size[1]))
        number = labels.image_ids[row]
        image, factor = self._images.get(labels.image_paths[row], int(number), shrink)
        boxes = slice(labels.starts[row], labels.starts[row + 1])
        return image, factor, labels.boxes_xyxy[boxes], labels.labels[boxes], number


class LiftingDataset(Dataset[dict[str, Any]]):
    """Windows of 2D sequences with their 3D poses.

    An NPZ holds `keypoints_2d` (N, T, K, 2 or 3: x, y, score) in pixels and `keypoints_3d`
    (N, T, K, 3); `image_size` (w, h), or (N, 2); and optionally `lengths` (N,), the frames in use,
    and `factor` (N,) or (N, T): units of `keypoints_3d` per pixel.

    Args:
        paths: NPZ files.
        skeleton: K and what mirrors what.
        window: frames per sample; shorter sequences repeat their last frame.
        stride: frames between the starts of two windows.
        flip: probability of mirroring.
        seed: of every random draw.
        scaled: bring 3D keypoints of files with a `factor` to halves of the image's width, the
            units that the network learns; others are taken to be in them. False leaves all.

    Raises:
        InputError: a file that is not as described; names it and what it has.
    """

    def __init__(
        self,
        paths: Sequence[str],
        skeleton: Skeleton,
        *,
        window: int = 243,
        stride: int = 81,
        flip: float = 0.0,
        seed: int = 0,
        scaled: bool = True,
    ) -> None:
        if window < 1 or stride < 1:
            raise InputError(f"window and stride must be at least 1, found {window} and {stride}")
        self.skeleton = skeleton
        self.window = window
        self.flip = flip
        self.seed = seed
        self.sequences = []
        for path in paths:
            points, targets, sizes, lengths = _read_sequences(path, skeleton)
            if scaled:
                targets = _in_half_widths(path, targets, sizes, lengths)
            self.sequences.append((points, targets, sizes, lengths))
        windows = [
            (part, n, start)
            for part, (points, _, _, lengths) in enumerate(self.sequences)
            for n in range(len(points))
            for start in range(0, max(int(lengths[n]) - window, 0) + stride, stride)
            if start < lengths[n]
        ]
        self.windows = np.array(windows, np.int64).reshape(-1, 3)
        if not windows:
            raise InputError(f"no sequence in {', '.join(map(str, paths)) or 'no file at all'}")

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """The sample of (epoch, index).

        Returns:
            keypoints_2d: (T, K, 2), float32, in pixels; scores: (T, K), float32.
            keypoints_3d: (T, K, 3), float32, in the file's units or as `scaled` says.
            valid: (T,), float32: 0 for repeated frames.
            image_size: (2,), float32, (w, h).
            sequence, start: int64.
        """
        epoch, index = _epoch_and_index(key, len(self))
        part, n, start = self.windows[index]
        points, targets, sizes, lengths = self.sequences[part]
        frames = np.minimum(np.arange(start, start + self.window), lengths[n] - 1)
        inputs, outputs = points[n, frames], targets[n, frames]  # copies
        width = sizes[n, 0]
        rng = np.random.default_rng((self.seed, epoch, index))
        if rng.random() < self.flip:
            flip = list(self.skeleton.flip_indices)
            inputs, outputs = inputs[:, flip], outputs[:, flip]
            # The middle of the image stays: the codec centres there.
            inputs[..., 0] = width - inputs[..., 0]
            outputs[..., 0] *= -1
        return {
            "keypoints_2d": inputs[..., :2],
            "scores": inputs[..., 2],
            "keypoints_3d": outputs,
            "valid": (np.arange(start, start + self.window) < lengths[n]).astype(np.float32),
            "image_size": sizes[n],
            "sequence": np.int64(n),
            "start": np.int64(start),
        }


class ResumableSampler:
    """The order of an epoch, shared out to ranks, from any position on.

    It yields (epoch, index). Position counts the samples that all ranks together have taken, so a
    run may resume on another number of ranks. A loader reads ahead; so the position moves only
    with `advance`, when a step is done.

    Args:
        length: samples per epoch.
        seed: of the order.
        shuffle: a new order per epoch; False keeps the data set's.
        rank: of this process.
        ranks: number of processes.
        even: leave out the last samples so that each rank has as many; False leaves none out.
    """

    def __init__(
        self,
        length: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        ranks: int = 1,
        even: bool = True,
    ) -> None:
        if not 0 <= rank < ranks:
            raise InputError(f"rank: expected 0..{ranks - 1}, found {rank}")
        if length < 1 or (even and length < ranks):
            raise InputError(f"{length} samples are too few for {ranks} processes")
        self.length = length
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.ranks = ranks
        self.even = even
        self.epoch = 0
        self.position = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        order = epoch_order(self.length, self.seed, epoch) if self.shuffle else None
        for place_ in range(self.position + self.rank, self._end(), self.ranks):
            yield epoch, place_ if order is None else int(order[place_])

    def __len__(self) -> int:
        """What this rank has left of the epoch."""
        return len(range(self.position + self.rank, self._end(), self.ranks))

    def _end(self) -> int:
        if not self.even:
            return self.length
        return self.length - (self.length - self.position) % self.ranks

    def advance(self, samples: int) -> None:
        """Counts samples, of all ranks together, as done."""
        self.position = min(self.position + samples, self.length)

    def start_epoch(self, epoch: int) -> None:
        """Goes to the start of an epoch."""
        self.epoch, self.position = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """What `load_state_dict` needs to go on from here."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "length": self.length,
        }

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Goes on where another sampler stopped.

        Raises:
            InputError: it had another seed or another number of samples.
        """
        for key in ("seed", "length"):
            if state[key] != getattr(self, key):
                raise InputError(
                    f"cannot resume: the run was started with {key} {state[key]}, "
                    f"now it is {getattr(self, key)}"
                )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])


def epoch_order(length: int, seed: int, epoch: int) -> np.ndarray:
    """The order (length,) of an epoch's samples, the same on every machine."""
    return np.random.default_rng((seed, epoch)).permutation(length)


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Samples -> one tensor per key, (N, ...); a list of tensors where their shapes differ."""
    batch: dict[str, Any] = {}
    for key in samples[0]:
        values = [np.asarray(sample[key]) for sample in samples]
        if key in ("boxes", "labels"):  # of varying number, and so even where they agree by chance
            batch[key] = [torch.from_numpy(np.array(value)) for value in values]
        else:
            batch[key] = torch.from_numpy(np.stack(values))
    return batch


def init_worker(worker: int) -> None:
    """For a loader's `worker_init_fn`: as many threads as workers would be too many."""
    cv2.setNumThreads(0)


def batches(loader: DataLoader[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A loader's batches; an error keeps its own words through a worker process.

    Raises:
        InputError: a sample cannot be read.
    """
    iterator = iter(loader)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except PosekitError as error:
            message = str(error).rstrip().rpartition("posekit.errors.InputError: ")[2]
            raise InputError(f"a sample cannot be used: {message}") from None
        yield batch


def raise_errors(problems: Sequence[Problem]) -> None:
    """Logs what was left out or changed, and raises InputError with every error."""
    for problem in problems:
        if not problem.fatal:
            log.info("%s", problem)  # `validate` warns
    errors = [problem for problem in problems if problem.fatal]
    if not errors:
        return
    entries = any(problem.places for problem in errors)
    hint = "; leave the broken entries out with skip_bad: true" if entries else ""
    raise InputError("; ".join(map(str, errors)) + hint)


def read_factors(path: str, lengths: np.ndarray, frames: int) -> np.ndarray | None:
    """Units of 3D per pixel (N, T), of a file that has been read as sequences before.

    Raises:
        InputError: `factor` has another shape, or is not positive in a frame that is used.
    """
    with np.load(path, allow_pickle=False) as file:
        if "factor" not in file.files:
            return None
        factor = np.asarray(file["factor"])
    count = len(lengths)
    if factor.shape == (count,):
        factor = np.repeat(factor[:, None], frames, axis=1)
    if factor.shape != (count, frames) or not np.issubdtype(factor.dtype, np.number):
        raise InputError(
            f"{path}: factor: expected numbers of shape ({count},) or ({count}, {frames}), found "
            f"{factor.dtype} {factor.shape}"
        )
    used = np.arange(frames) < lengths[:, None]
    if not (np.isfinite(factor[used]) & (factor[used] > 0)).all():
        raise InputError(f"{path}: factor: expected positive numbers, units of 3D per pixel")
    return np.where(used, factor, 1.0).astype(np.float64)


class _Mix:
    """Which row of which source an index means, for fractions of a source too."""

    def __init__(self, counts: Sequence[int], sources: Sequence[Source], seed: int) -> None:
        if not counts:
            raise InputError(
                "no source to take samples from: expected at least one annotation file"
            )
        lengths = [
            max(round(count * source.repeat), 1)
            for count, source in zip(counts, sources, strict=True)
        ]
        self.counts = list(counts)
        self.lengths = lengths
        self.ends = np.cumsum(lengths)
        # Only a part of a source needs an order: each epoch goes on where the last one stopped.
        self.orders = [
            None if length % count == 0 else np.random.default_rng((seed, part)).permutation(count)
            for part, (count, length) in enumerate(zip(counts, lengths, strict=True))
        ]

    def __len__(self) -> int:
        return int(self.ends[-1])

    def row(self, epoch: int, index: int) -> tuple[int, int]:
        part = int(np.searchsorted(self.ends, index, side="right"))
        place_ = index - int(self.ends[part]) + self.lengths[part]
        order = self.orders[part]
        if order is None:
            return part, place_ % self.counts[part]
        return part, int(order[(epoch * self.lengths[part] + place_) % self.counts[part]])


class _ImageCache:
    """Decoded images, the ones used last, up to a number of bytes."""

    def __init__(self, megabytes: float) -> None:
        self.budget = int(megabytes * 2**20)
        self.used = 0
        self.images: OrderedDict[tuple[str, int], tuple[np.ndarray, float]] = OrderedDict()

    def get(self, path: str, number: int, shrink: int) -> tuple[np.ndarray, float]:
        """The image, read-only, and the factor from the original to it."""
        key = (str(path), shrink)
        found = self.images.get(key)
        if found is not None:
            self.images.move_to_end(key)
            return found
        found = _read_image(str(path), number, shrink)
        size = found[0].nbytes
        if size <= self.budget:
            self.images[key] = found
            self.used += size
            while self.used > self.budget:
                _, (oldest, _) = self.images.popitem(last=False)
                self.used -= oldest.nbytes
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Nothing decoded goes to another process."""
        return {"budget": self.budget, "used": 0, "images": OrderedDict()}


_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def _read_image(path: str, number: int, shrink: int) -> tuple[np.ndarray, float]:
    name = f"image {path} (id {number})"
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from None
    if shrink > 1:
        try:
            image = cv2.imdecode(data, _REDUCED[shrink])
        except cv2.error:
            image = None
        if image is not None:
            return np.asarray(image), 1 / shrink
    try:
        return decode_image(data, name), 1.0
    except InputError as error:
        raise InputError(f"{name} cannot be decoded: {error}") from None


def _shrink(factor: float) -> int:
    """The reduction of decoding that leaves at least one pixel of the image per pixel needed."""
    return next((step for step in (8, 4, 2) if factor >= step), 1)


def _shrunk(matrix: np.ndarray, factor: float) -> np.ndarray:
    """The map from a reduced image: its pixel i covers the original's pixels i / factor and on."""
    if factor == 1:
        return matrix
    moved = matrix.copy()
    moved[:, :2] /= factor
    moved[:, 2] += matrix[:, :2] @ np.full(2, 0.5 / factor - 0.5)
    return moved


@lru_cache(maxsize=2)
def _order_and_places(length: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    order = epoch_order(length, seed, epoch)
    places = np.empty_like(order)
    places[order] = np.arange(length)
    return order, places


def _epoch_and_index(key: Key, length: int) -> tuple[int, int]:
    epoch, index = key if isinstance(key, tuple) else (0, key)
    epoch, index = int(epoch), int(index)
    if not 0 <= index < length:
        raise IndexError(f"sample {index} of {length}")
    return epoch, index


def _read_sequences(
    path: str, skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (N, T, K, 3), targets (N, T, K, 3), image sizes (N, 2), lengths (N,)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # zip, zlib and NumPy each have their own kinds
        raise InputError(f"{path} is not an NPZ file of plain arrays: {error}") from None
    for key in ("keypoints_2d", "keypoints_3d", "image_size"):
        if key not in arrays:
            raise InputError(f"{path}: has {', '.join(arrays)}; '{key}' is missing")
    points, targets = arrays["keypoints_2d"], arrays["keypoints_3d"]
    count = skeleton.num_keypoints
    _expect_shape(path, "keypoints_2d", points, lambda s: s[2] == count and s[3] in (2, 3), count)
    expected = (*points.shape[:3], 3)
    _expect_shape(path, "keypoints_3d", targets, lambda s: s == expected, count)
    if points.shape[-1] == 2:
        points = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
    for key, array in (("keypoints_2d", points), ("keypoints_3d", targets)):
        bad = np.flatnonzero(~np.isfinite(array).all(axis=(1, 2, 3)))
        if len(bad):
            shown = ", ".join(map(str, bad[:5]))
            raise InputError(f"{path}: {key} is not finite in {len(bad)} sequences: {shown}")
    lengths = np.asarray(arrays.get("lengths", np.full(len(points), points.shape[1])), np.int64)
    if lengths.shape != (len(points),) or not ((lengths > 0) & (lengths <= points.shape[1])).all():
        raise InputError(
            f"{path}: lengths: expected {len(points)} numbers 1..{points.shape[1]}, "
            f"found {lengths.tolist()[:5]}"
        )
    try:
        sizes = np.broadcast_to(np.asarray(arrays["image_size"], np.float32), (len(points), 2))
    except ValueError:
        raise InputError(
            f"{path}: image_size: expected (w, h) or {len(points)} of them, found the shape "
            f"{arrays['image_size'].shape}"
        ) from None
    bad = np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)).all(axis=1))
    if len(bad):
        raise InputError(
            f"{path}: image_size: expected (w, h) above 0, found {sizes[bad[0]].tolist()} for "
            f"sequence {bad[0]}"
        )
    return points.astype(np.float32), targets.astype(np.float32), sizes, lengths


def _in_half_widths(
    path: str, targets: np.ndarray, sizes: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """3D keypoints as the network gives them, where the file says how many units a pixel is."""
    factor = read_factors(path, lengths, targets.shape[1])
    if factor is not None:
        scale = factor * sizes[:, :1] / 2  # (N, T), units per half width
        targets = (targets / scale[..., None, None]).astype(np.float32)
    largest = float(np.abs(targets - targets[:, :, :1]).max(initial=0))
    if largest > LARGEST_POSE:
        log.warning(
            "warning: %s: 3D keypoints lie up to %.0f halves of the image's width from the root; "
            "are they in millimetres? Give 'factor', their units per pixel",
            path,
            largest,
        )
    return targets


def _expect_shape(
    path: str, key: str, array: np.ndarray, good: Callable[[tuple[int, ...]], bool], count: int
) -> None:
    if array.ndim != 4 or not np.issubdtype(array.dtype, np.number) or not good(array.shape):
        raise InputError(
            f"{path}: {key}: expected numbers of shape (N, T, {count}, "
            f"{'2 or 3' if key == 'keypoints_2d' else 3}), found {array.dtype} {array.shape}"
        )
