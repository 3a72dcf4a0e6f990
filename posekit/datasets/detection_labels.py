"""COCO-style JSON -> images with their boxes, with every problem named by file and id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posekit.datasets.labels import DetectionLabels
from posekit.datasets.plain_coco import plain_coco
from posekit.datasets.problems import Findings, Problem
from posekit.datasets.sources import Source
from posekit.datasets.usable_entries import UsableImages, clipped_box, usable_annotations
from posekit.errors import InputError

__all__ = ["read_detection_labels"]


def read_detection_labels(
    source: Source, classes: Sequence[str], *, keep_empty: bool = False
) -> tuple[DetectionLabels, list[Problem]]:
    """The boxes of a source, without crowds and boxes of less than a pixel.

    Args:
        source: the file.
        classes: category names; a box's label is the index of its category's name. Where the file
            has one category and there is one class, the names may differ.
        keep_empty: keep images without boxes, as evaluation needs them.

    Raises:
        InputError: the file cannot be read, or has none of the classes.
    """
    found = Findings(source)
    coco = plain_coco(source, found)
    images = UsableImages(source, coco, found)
    names = {category["id"]: category.get("name") for category in coco.categories}
    if len(names) == len(classes) == 1:
        names = dict.fromkeys(names, classes[0])
    if not set(names.values()) & set(classes):
        raise InputError(
            f"{source.annotations}: has the categories {', '.join(map(str, names.values()))}; "
            f"expected {', '.join(classes)}"
        )
    index = {name: i for i, name in enumerate(classes)}
    boxes, labels, rows = [], [], []
    for annotation, place in usable_annotations(source, coco, images):
        name = names[annotation["category_id"]]
        if annotation["iscrowd"] or name not in index:
            found.leave_out("crowds" if annotation["iscrowd"] else "of other classes")
            continue
        row = images.rows[annotation["image_id"]]
        # Published sets have a few boxes without area: a warning, unlike for keypoints.
        box = clipped_box(annotation, images.stated_sizes[row], place, found, fatal=False)
        if box is None:
            continue
        boxes.append(box)
        labels.append(index[name])
        rows.append(row)
    order = np.argsort(np.array(rows, np.int64), kind="stable")
    counts = np.bincount(np.array(rows, np.int64), minlength=len(images.ids))
    if not boxes:
        found.whole(f"no box to train on: {found.reasons(len(coco.annotations))}")
    images.report_unused(np.array(rows, np.int64), found)
    present = np.isin(np.arange(len(counts)), list(images.rows.values()))
    kept = present if keep_empty else counts > 0
    starts = np.concatenate([[0], np.cumsum(counts[kept])])
    return (
        DetectionLabels(
            image_paths=images.paths[kept],
            image_ids=images.ids[kept],
            image_sizes=images.sizes[kept],
            boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4)[order],
            labels=np.array(labels, np.int64)[order],
            starts=starts.astype(np.int64),
        ),
        found.problems(),
    )
