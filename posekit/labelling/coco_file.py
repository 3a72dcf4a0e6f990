"""A set of labels -> COCO keypoints, as pycocotools, training and evaluation read them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posekit.datasets.label_values import box_around
from posekit.datasets.problems import Findings
from posekit.labelling.label_set import Category, Image, LabelSet, Person
from posekit.version import __version__

__all__ = ["coco_content"]

# Of a box's area what a person covers, as MMPose takes it where nothing is outlined.
AREA_OF_BOX = 0.53


def coco_content(
    labels: LabelSet, images: Sequence[Image], folder: Path, found: Findings
) -> dict[str, Any]:
    """The content of a COCO file.

    People without a box get one around their keypoints, with a tenth of the longer side as margin.
    Boxes are clipped to the picture. `area` is 0.53 of the box's.

    Args:
        labels: the labels, whose categories are taken.
        images: the images to write.
        folder: the file's folder, which image paths are relative to.
        found: takes what is left out or changed.
    """
    categories = list(labels.categories.values())
    ids = {category.name: number for number, category in enumerate(categories, 1)}
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        assert image.path is not None and image.size is not None
        entry: dict[str, Any] = {
            "id": number,
            "file_name": _relative(image.path, folder),
            "width": image.size[0],
            "height": image.size[1],
        }
        if image.frame is not None:
            entry.update(video=str(image.video), frame_id=image.frame)
        entries.append(entry)
        for person in image.people:
            box = _box(person, image.size, found)
            if box is not None:
                about = {"id": len(annotations) + 1, "image_id": number}
                annotations.append(about | _annotation(person, ids[person.category], box))
    return {
        "info": {"description": f"labels of {labels.tool}", "version": f"posekit {__version__}"},
        "licenses": [],
        "images": entries,
        "annotations": annotations,
        "categories": [_category(category, ids[category.name]) for category in categories],
    }


def _relative(path: Path, folder: Path) -> str:
    """From the file's folder, with slashes; the whole path on another drive."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def _category(category: Category, number: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": number,
        "name": category.name,
        "supercategory": "",
        "keypoints": list(category.keypoints),
        "skeleton": [[start + 1, end + 1] for start, end in category.links],
    }
    if category.flip_indices is not None:
        names, flips = category.keypoints, category.flip_indices
        entry["flip_pairs"] = [[names[i], names[j]] for i, j in enumerate(flips) if i < j]
    return entry


def _annotation(person: Person, category: int, box: list[float]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "category_id": category,
        "bbox": [round(side, 3) for side in box],
        "area": round(AREA_OF_BOX * box[2] * box[3], 3),
        "iscrowd": 0,
        "keypoints": [
            value
            for x, y, v in person.points
            for value in ((round(x, 3), round(y, 3), v) if v else (0, 0, 0))
        ],
        "num_keypoints": person.labelled,
    }
    if person.track is not None:
        entry["track_id"] = person.track
    return entry


def _box(person: Person, size: tuple[int, int], found: Findings) -> list[float] | None:
    """Within the picture; None for a person that is left out."""
    box: Sequence[float] | None = person.box
    if box is None:
        box = box_around([value for point in person.points for value in point], size)
        if box is None:
            found.add("people without a label, left out", person.place, False)
            return None
        found.leave_out("boxes made from keypoints, with a tenth of the longer side as margin")
    x, y, x2, y2 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    left, top = (min(max(side, 0.0), float(end)) for side, end in zip((x, y), size, strict=True))
    right, bottom = (min(max(s, 0.0), float(e)) for s, e in zip((x2, y2), size, strict=True))
    if not (right > left and bottom > top):
        found.add("boxes without area in the image", person.place)
        return None
    return [left, top, right - left, bottom - top]
