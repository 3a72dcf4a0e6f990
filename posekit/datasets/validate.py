"""Checks of a data set before the first step: every problem at once, by file and id.

No image is decoded: files are looked up in threads, and the headers of a sample of them read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from posekit.datasets.archives import file_size, is_remote
from posekit.datasets.detection_labels import read_detection_labels
from posekit.datasets.image_paths import upright_size
from posekit.datasets.labels import DetectionLabels, PoseLabels
from posekit.datasets.pose_labels import read_pose_labels
from posekit.datasets.problems import Problem
from posekit.datasets.source_skeletons import dataset_skeleton
from posekit.datasets.sources import Dataset, Source, parse_dataset
from posekit.errors import InputError
from posekit.names import side_note
from posekit.skeleton import Skeleton

__all__ = ["Report", "check_in_boxes", "validate"]

# So many images have their header read, evenly spaced: all of a small set, a sample of a large one.
MOST_HEADERS = 2000
MOST_REMOTE = 100  # images of a server, which come whole
THREADS = 16
# Keypoints may lie outside of their box, by so much of its sides.
BOX_MARGIN = 0.5


@dataclass(frozen=True)
class Report:
    """The problems of a data set.

    Attributes:
        errors: problems that make training fail or learn nonsense, so that it must not start.
        warnings: what is left out, or looks odd.
        instances: labelled instances (or boxes) that can be used, of all sources.
        images: images in all sources.
    """

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    instances: int
    images: int

    def __str__(self) -> str:
        lines = [f"{self.instances} instances on {self.images} images"]
        lines += [f"error: {problem}" for problem in self.errors]
        lines += [f"warning: {problem}" for problem in self.warnings]
        return "\n".join(lines)

    def raise_errors(self) -> None:
        """Raises InputError with every error, one per line, if there is any."""
        if self.errors:
            listed = "\n".join(f"  {problem}" for problem in self.errors)
            kinds = "1 kind" if len(self.errors) == 1 else f"{len(self.errors)} kinds"
            hint = ""
            if any(problem.places for problem in self.errors):
                hint = "\nCorrect them, or leave the broken entries out with skip_bad: true"
            raise InputError(f"the data set cannot be used, {kinds} of problems:\n{listed}{hint}")


def validate(
    config: Any, *, skeleton: Skeleton | None = None, classes: Sequence[str] | None = None
) -> Report:
    """Checks every source of a data set.

    Args:
        config: what `posekit.datasets.sources.parse_dataset` takes, or its result.
        skeleton: the one to train; None takes the data set's.
        classes: a detector's classes; if given, boxes are checked instead of keypoints.

    Raises:
        InputError: the configuration itself is wrong. Problems of files are in the report.
    """
    dataset = config if isinstance(config, Dataset) else parse_dataset(config)
    problems: list[Problem] = []
    instances = images = 0
    if classes is None and skeleton is None:
        try:
            skeleton = dataset_skeleton(dataset)
        except InputError as error:
            return Report((_of_error(dataset.train[0], error),), (), 0, 0)
    if skeleton is not None and classes is None:
        problems += _check_sides(dataset, skeleton)
    for source in _distinct((*dataset.train, *dataset.val)):
        if source.boxes is not None and source in dataset.train:
            what = "detected boxes have no keypoints to learn: use 'boxes' under dataset.val only"
            problems.append(Problem(source.annotations, what))
            continue
        try:
            labels, found = _read(source, skeleton, classes)
        except InputError as error:
            problems.append(_of_error(source, error))
            continue
        problems += found
        problems += _check_files(source, labels)
        if isinstance(labels, PoseLabels) and source.boxes is None:
            problems += check_in_boxes(source, labels)
        instances += len(labels.boxes_xyxy)
        images += len(labels.image_ids)
    return Report(
        errors=tuple(problem for problem in problems if problem.fatal),
        warnings=tuple(problem for problem in problems if not problem.fatal),
        instances=instances,
        images=images,
    )


def _read(
    source: Source, skeleton: Skeleton | None, classes: Sequence[str] | None
) -> tuple[PoseLabels | DetectionLabels, list[Problem]]:
    if classes is not None:
        return read_detection_labels(source, classes, keep_empty=True)
    assert skeleton is not None
    return read_pose_labels(source, skeleton)


def _of_error(source: Source, error: InputError) -> Problem:
    """The problem of an error, whose message already begins with the file."""
    file, colon, what = str(error).partition(": ")
    return Problem(file, what) if colon else Problem(source.annotations, str(error))


def _distinct(sources: Iterable[Source]) -> list[Source]:
    distinct: list[Source] = []
    for source in sources:  # a mapping inside makes them unhashable
        if source not in distinct:
            distinct.append(source)
    return distinct


def _check_sides(dataset: Dataset, skeleton: Skeleton) -> list[Problem]:
    """Warns if the data set's own names have no left and right; a YAML may intend that."""
    source, same = dataset.train[0], tuple(range(skeleton.num_keypoints))
    own = dataset.skeleton is None and source.skeleton is None
    if not own or skeleton.num_keypoints < 2:
        return []
    what = side_note(skeleton.names)
    if what is None and skeleton.flip_indices == same:
        what = (
            f"the names of the keypoints ({', '.join(skeleton.names[:3])}, ...) have no left and "
            "right, so mirroring an image swaps none; that is right for a hand, otherwise write "
            "'flip_pairs' into a skeleton's YAML and name it with dataset.skeleton=FILE, or set "
            "augment.flip=0"
        )
    return [] if what is None else [Problem(source.annotations, what, fatal=False)]


def check_in_boxes(source: Source, labels: PoseLabels) -> list[Problem]:
    """Instances whose crops show none of their labelled keypoints."""
    first, last = labels.boxes_xyxy[:, None, :2], labels.boxes_xyxy[:, None, 2:]
    margin = BOX_MARGIN * (last - first)
    near = (labels.keypoints >= first - margin) & (labels.keypoints <= last + margin)
    # Boxes at the image's corner are near everything that was normalised to 0..1.
    near &= labels.keypoints.max(axis=-1, keepdims=True) > 1
    away = np.flatnonzero(~(near.all(axis=-1) & (labels.visible > 0)).any(axis=1))
    if not len(away):
        return []
    fatal = len(away) > len(labels) / 2
    what = "instances none of whose labelled keypoints is near their box"
    if fatal:
        what += " (are 'keypoints' in pixels of the image, as 'bbox' is?)"
    places = tuple(f"annotation {labels.annotation_ids[row]}" for row in away)
    return [Problem(source.annotations, what, places, fatal)]


def _check_files(source: Source, labels: PoseLabels | DetectionLabels) -> list[Problem]:
    """Missing, empty and unreadable images; sizes other than the JSON's."""
    count = len(labels.image_ids)
    with ThreadPoolExecutor(THREADS) as pool:
        chunks = np.array_split(labels.image_paths, max(count // 500, 1))  # a task per file is slow
        lengths = [length for part in pool.map(_lengths, chunks) for length in part]
        present = np.flatnonzero(np.array(lengths, np.int64) > 0)
        most = MOST_REMOTE if count and is_remote(labels.image_paths[0]) else MOST_HEADERS
        sample = present[:: max(-(-len(present) // most), 1)]
        sizes = list(pool.map(upright_size, labels.image_paths[sample]))

    def name(row: int) -> str:
        return f"{labels.image_paths[row]} (image {labels.image_ids[row]})"

    missing = [name(row) for row in range(count) if lengths[row] < 0]
    empty = [name(row) for row in range(count) if lengths[row] == 0]
    unreadable, differing = [], []
    for row, size in zip(sample, sizes, strict=True):
        stated = tuple(int(side) for side in labels.image_sizes[row])
        if size is None:
            unreadable.append(name(row))
        elif any(stated) and stated != size:
            differing.append(
                f"{name(row)} is {size[0]}x{size[1]}, the JSON says {stated[0]}x{stated[1]}"
            )
    found = [
        # With skip_bad the reader left these two out and said so.
        ("missing image files", [] if source.skip_bad else missing, True),
        ("empty image files", [] if source.skip_bad else empty, True),
        ("image files that are not readable images", unreadable, True),
        ("images of another size than stated", differing, False),
    ]
    return [
        Problem(source.annotations, what, tuple(places), fatal)
        for what, places, fatal in found
        if places
    ]


def _lengths(paths: Iterable[str]) -> list[int]:
    """Bytes of each file; -1 where there is none."""
    return [file_size(path) for path in paths]
