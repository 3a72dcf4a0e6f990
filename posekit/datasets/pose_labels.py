"""COCO-style JSON -> people with their keypoints, with every problem named by file and id.

Reading and validation are one pass, so that what is trained on is what was checked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from posekit.datasets.detected_boxes import read_detected_boxes
from posekit.datasets.keypoint_mapping import find_mapping, mapped
from posekit.datasets.label_values import flag
from posekit.datasets.labels import PoseLabels
from posekit.datasets.plain_coco import Coco, plain_coco
from posekit.datasets.problems import Findings, Problem
from posekit.datasets.source_skeletons import source_skeleton
from posekit.datasets.sources import Source
from posekit.datasets.usable_entries import UsableImages, clipped_box, usable_annotations
from posekit.skeleton import Skeleton

__all__ = ["read_pose_labels"]


def read_pose_labels(source: Source, target: Skeleton) -> tuple[PoseLabels, list[Problem]]:
    """The instances of a source that can be trained on, and what is wrong with the others.

    As in MMPose, crowds and instances without a labelled keypoint are left out. Images are not
    looked for here.

    Raises:
        InputError: the file cannot be read, or none of its keypoints is in `target`.
    """
    found = Findings(source)
    coco = plain_coco(source, found)
    skeleton = source_skeleton(source, coco.content(), target, found)
    mapping = find_mapping(source, skeleton, target)
    if source.skeleton is None and skeleton is target:
        found.whole(f"its categories name no keypoints: taken for those of '{target.name}'", False)
    images = UsableImages(source, coco, found)
    if source.boxes is not None:
        return read_detected_boxes(source, coco, images, target), found.problems()

    instances = _instances(source, coco, images, 3 * skeleton.num_keypoints, found)
    labels = _as_arrays(instances, skeleton.num_keypoints, images, mapping, found)
    _check_inside(labels, found)
    if len(labels) == 0:
        found.whole(f"no labelled instance to train on: {found.reasons(len(coco.annotations))}")
    images.report_unused(labels.image_rows, found)
    absent = [name for name, indices in zip(target.names, mapping, strict=True) if not indices]
    if absent:
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        found.whole(f"{len(absent)} keypoints of '{target.name}' have no label: {shown}", False)
    return labels, found.problems()


class _Instance(NamedTuple):
    """A usable annotation: x, y, visibility, ... of the source's keypoints, and its box."""

    values: list[float]
    box_xyxy: tuple[float, float, float, float]
    image_row: int
    annotation: Mapping[str, Any]


def _instances(
    source: Source, coco: Coco, images: UsableImages, count: int, found: Findings
) -> list[_Instance]:
    """Annotations with `count` numbers and a box, with at least one labelled keypoint."""
    instances = []
    for annotation, place in usable_annotations(source, coco, images):
        if annotation["iscrowd"]:
            found.leave_out("crowds")
            continue
        values = _joined(annotation, source.fields, count, place, found)
        if values is None:
            continue
        if max(values[2::3], default=0) <= 0:
            found.add("instances without a labelled keypoint, left out", place, fatal=False)
            continue
        row = images.rows[annotation["image_id"]]
        box = clipped_box(annotation, images.stated_sizes[row], place, found)
        if box is not None:
            instances.append(_Instance(values, box, row, annotation))
    return instances


def _as_arrays(
    instances: Sequence[_Instance],
    joints: int,
    images: UsableImages,
    mapping: Sequence[Sequence[int]],
    found: Findings,
) -> PoseLabels:
    """The instances, of `joints` keypoints each, with the keypoints that the mapping leads to."""
    points = np.array([instance.values for instance in instances], np.float32)
    points = points.reshape(len(instances), joints, 3)
    keypoints, visible = mapped(points[..., :2], points[..., 2] > 0, mapping)
    kept = visible.any(axis=1)
    for row in np.flatnonzero(~kept).tolist():
        place = f"annotation {instances[row].annotation['id']}"
        found.add("instances without a keypoint of the trained skeleton, left out", place, False)
    ids, categories = (
        np.array([instance.annotation[key] for instance in instances], np.int64)[kept]
        for key in ("id", "category_id")
    )
    return PoseLabels(
        image_paths=images.paths,
        image_ids=images.ids,
        image_sizes=images.sizes,
        image_rows=np.array([instance.image_row for instance in instances], np.int64)[kept],
        keypoints=keypoints[kept],
        visible=visible[kept],
        boxes_xyxy=np.array([i.box_xyxy for i in instances], np.float32).reshape(-1, 4)[kept],
        areas=np.array([_area(instance) for instance in instances], np.float32)[kept],
        scores=np.ones(int(kept.sum()), np.float32),
        annotation_ids=ids,
        category_ids=categories,
    )


def _area(instance: _Instance) -> Any:
    x1, y1, x2, y2 = instance.box_xyxy
    return instance.annotation.get("area", (x2 - x1) * (y2 - y1))


def _joined(
    annotation: Mapping[str, Any],
    fields: Sequence[str],
    count: int,
    place: str,
    found: Findings,
) -> list[float] | None:
    """The keypoints of all fields as one list x, y, v, ...; None where they are wrong."""
    values: list[float] = []
    for name in fields:
        part = annotation.get(name)
        if part is None or part == []:
            if name == "keypoints" and not flag(annotation.get("num_keypoints")):
                what = "instances without a labelled keypoint, left out"
                found.add(what, place, fatal=False)
            else:
                found.add(f"annotations without '{name}'", place)
            return None
        if not isinstance(part, list):
            found.add(f"annotations whose '{name}' is not a list", place)
            return None
        values += part
    if len(values) != count:
        what = f"wrong keypoint counts, expected {count // 3} x (x, y, visibility)"
        found.add(what, f"{place} has {len(values)} values")
        return None
    try:
        finite = math.isfinite(sum(values))  # NaN and infinity survive a sum
    except (TypeError, OverflowError):
        finite = False
    if not finite:
        found.add("keypoints that are not finite numbers", place)
        return None
    return values


def _check_inside(labels: PoseLabels, found: Findings) -> None:
    sizes = labels.image_sizes[labels.image_rows][:, None]  # (n, 1, 2)
    outside = ((labels.keypoints < -1) | (labels.keypoints > sizes + 1)).any(axis=-1)
    outside &= (labels.visible > 0) & (sizes[..., 0] > 0)
    for row in np.flatnonzero(outside.any(axis=1)):
        place = f"annotation {labels.annotation_ids[row]}"
        found.add("instances with labelled keypoints outside of the image", place, fatal=False)
