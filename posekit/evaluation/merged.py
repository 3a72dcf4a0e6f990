"""Several annotation files as one, which is what COCO's evaluation takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from posekit.datasets.detection_samples import DetectionDataset
from posekit.datasets.plain_coco import Coco, plain_coco
from posekit.datasets.sources import Source, is_used

__all__ = ["Merged", "merged_boxes"]

# Of an annotation; keypoints are written by who has read them.
KEPT = ("bbox", "area", "iscrowd", "num_keypoints")


class Merged:
    """Contents of several files as one: ids are shifted apart, those of a single file stay.

    Categories of the same name become one. Annotations of unused categories are left out, and so
    are those whose box is not four numbers.

    Args:
        contents: the content of each file.
        sources: the files.

    Attributes:
        content: COCO's images, annotations and categories.
        annotations: for each file, its annotations by their ids in the file; changes to these are
            changes to `content` too.
    """

    def __init__(self, contents: Sequence[Coco], sources: Sequence[Source]) -> None:
        self.content: dict[str, list[dict[str, Any]]] = {
            "images": [],
            "annotations": [],
            "categories": [],
        }
        self.annotations: list[dict[int, dict[str, Any]]] = []
        self._categories: dict[tuple[int, int], int] = {}
        rows = (rows for coco in contents for rows in coco.content().values())
        ids = [0, *(entry["id"] for entries in rows for entry in entries)]
        self._step = 1 + max(ids) - min(ids)
        by_name: dict[str, int] = {}
        for part, (coco, source) in enumerate(zip(contents, sources, strict=True)):
            move = part * self._step
            for category in coco.categories:
                if is_used(source, category):
                    name = category.get("name", str(category["id"]))
                    number = by_name.setdefault(name, move + category["id"])
                    self._categories[part, category["id"]] = number
                    if number == move + category["id"]:
                        self.content["categories"].append({"id": number, "name": name})
            self.content["images"] += [{**i, "id": move + i["id"]} for i in coco.images]
            self.annotations.append(
                {
                    annotation["id"]: self._renumber(annotation, part)
                    for annotation in coco.annotations
                    if (part, annotation["category_id"]) in self._categories
                    and _is_box(annotation.get("bbox"))
                }
            )
            self.content["annotations"] += self.annotations[-1].values()

    def _renumber(self, annotation: dict[str, Any], part: int) -> dict[str, Any]:
        move = part * self._step
        return {
            **{key: annotation[key] for key in KEPT if annotation.get(key) is not None},
            "id": move + annotation["id"],
            "image_id": move + annotation["image_id"],
            "category_id": self._categories[part, annotation["category_id"]],
        }

    def image_ids(self, parts: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Merged ids (n,), given the numbers of the files (n,) and the ids in them (n,)."""
        return parts.astype(np.int64) * self._step + ids

    def category_ids(self, parts: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Merged ids (n,), given the numbers of the files (n,) and the ids in them (n,)."""
        pairs = zip(parts.tolist(), ids.tolist(), strict=True)
        return np.array([self._categories[pair] for pair in pairs], np.int64)


def merged_boxes(dataset: DetectionDataset) -> tuple[Merged, np.ndarray]:
    """The files of a detector's data set, and the category id of each class (C,), -1 for none."""
    contents = []
    for source, labels in zip(dataset.sources, dataset.labels, strict=True):
        coco = plain_coco(source)
        used = set(labels.image_ids.tolist())  # images that are left out do not count as missed
        categories = coco.categories
        if len(dataset.classes) == len(categories) == 1:
            # A single class may have another name in the file.
            categories = [{**categories[0], "name": dataset.classes[0]}]
        contents.append(
            dataclasses.replace(
                coco,
                images=[row for row in coco.images if row["id"] in used],
                annotations=[row for row in coco.annotations if row["image_id"] in used],
                categories=categories,
            )
        )
    merged = Merged(contents, dataset.sources)
    numbers = {category["name"]: category["id"] for category in merged.content["categories"]}
    return merged, np.array([numbers.get(name, -1) for name in dataset.classes], np.int64)


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4
