"""Boxes that a detector found, which replace the labelled ones."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from posekit.datasets.label_files import read_json
from posekit.datasets.label_values import box_values, number
from posekit.datasets.labels import PoseLabels
from posekit.datasets.plain_coco import Coco
from posekit.datasets.sources import Source, is_used
from posekit.datasets.usable_entries import UsableImages
from posekit.errors import InputError
from posekit.skeleton import Skeleton

__all__ = ["read_detected_boxes"]


def read_detected_boxes(
    source: Source, coco: Coco, images: UsableImages, target: Skeleton
) -> PoseLabels:
    """A detector's boxes as instances without keypoints, whatever is labelled.

    Raises:
        InputError: the file cannot be read, an entry lacks a key of a COCO result or is for another
            image, or no box is left.
    """
    assert source.boxes is not None
    detections = read_json(source.boxes)
    if not isinstance(detections, list):
        raise InputError(f"{source.boxes}: expected a list of COCO results, found another JSON")
    used = {category["id"] for category in coco.categories if is_used(source, category)}
    default_category = min(used, default=1)
    found = []
    for row, entry in enumerate(detections):
        detection = _read(entry, row, source, coco, default_category)
        if detection.image not in images.rows:
            raise InputError(
                f"{source.boxes}, entry {row}: image {detection.image} is not in "
                f"{source.annotations}"
            )
        _, _, width, height = detection.box
        if (
            detection.category in used
            and detection.score >= source.box_threshold
            and images.rows[detection.image] >= 0
            and width > 0
            and height > 0
        ):
            found.append(detection)
    if not found:
        raise InputError(f"{source.boxes}: no detection of score {source.box_threshold} or more")
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in (d.box for d in found)], np.float32)
    count = len(found)
    return PoseLabels(
        image_paths=images.paths,
        image_ids=images.ids,
        image_sizes=images.sizes,
        image_rows=np.array([images.rows[d.image] for d in found], np.int64),
        keypoints=np.zeros((count, target.num_keypoints, 2), np.float32),
        visible=np.zeros((count, target.num_keypoints), np.float32),
        boxes_xyxy=corners,
        areas=np.prod(corners[:, 2:] - corners[:, :2], axis=1),
        scores=np.array([d.score for d in found], np.float32),
        annotation_ids=np.array([d.row for d in found], np.int64),
        category_ids=np.array([d.category for d in found], np.int64),
    )


class _Detection(NamedTuple):
    """A row of the file; the box is (x, y, w, h)."""

    row: int
    image: int
    category: int
    score: float
    box: list[float]


def _read(entry: Any, row: int, source: Source, coco: Coco, default_category: int) -> _Detection:
    try:
        box = box_values(entry["bbox"]) or [0.0, 0.0, 0.0, 0.0]
        image, score = coco.image_ids.get(entry["image_id"]), number(entry["score"])
        category = default_category
        if "category_id" in entry:
            category = coco.category_ids.get(entry["category_id"]) or 0
        if image is None or math.isnan(score):
            raise ValueError("not found")
    except (TypeError, KeyError, ValueError, AttributeError):
        raise InputError(
            f"{source.boxes}, entry {row}: expected image_id, bbox [x, y, width, height] and "
            f"score, found {str(entry)[:120]}"
        ) from None
    return _Detection(row, image, category, score, box)
