"""Annotations as pycocotools needs them: ids, boxes and areas that it does not misread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posekit.datasets.label_files import read_json
from posekit.datasets.label_values import box_values, flag, is_area, number, whole_number
from posekit.errors import InputError

__all__ = ["area_of", "box_of", "extent_of", "points_of", "read_truth", "whole_numbers"]

Row = Mapping[str, Any]


def read_truth(annotations: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """COCO's three lists; ids are unique whole numbers, and `iscrowd` is 0 or 1.

    Args:
        annotations: COCO-style, a file or its content, which stays as it is.

    Raises:
        InputError: anything else; the message names the file and the id.
    """
    where, content = "the annotations", annotations
    if isinstance(annotations, (str, Path)):
        where = str(annotations)
        try:
            content = read_json(where)
        except InputError as error:
            raise InputError(f"{where}: expected COCO-style annotations (JSON): {error}") from error
    dataset = dict(content) if isinstance(content, Mapping) else {}
    for key in ("images", "annotations", "categories"):
        rows = dataset.get(key)
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise InputError(
                f"{where}: expected COCO-style annotations with lists of images, annotations and "
                f"categories, found no '{key}'"
            )
        dataset[key] = _with_ids(rows, f"{where}, {key}")
    for row in dataset["annotations"]:
        at = f"{where}, annotation {row['id']}"
        for key in ("image_id", "category_id"):
            row[key] = _id(row, key, at)
        crowd = flag(row.get("iscrowd"))
        if crowd is None:
            raise InputError(f"{at}: expected 0 or 1 as 'iscrowd', found {row['iscrowd']!r}")
        row["iscrowd"] = int(crowd)
    return dataset


def points_of(annotation: Row, fields: Sequence[str], count: int) -> np.ndarray:
    """(count, 3): x, y and visibility of all fields together; zeros where nothing is labelled.

    Raises:
        InputError: another number of keypoints, or a labelled one without coordinates.
    """
    values: list[Any] = []
    for field in fields:
        part = annotation.get(field)
        for value in part if isinstance(part, Sequence) else ():
            values += value if isinstance(value, list | tuple) else [value]
    if len(values) != 3 * count:
        raise InputError(
            f"expected {count} keypoints (x, y, visibility) in {' + '.join(fields)} of annotation "
            f"{annotation['id']}, found {len(values) / 3:g}: do the sigmas belong to this data set?"
        )
    points = np.array([_number(value) for value in values]).reshape(count, 3)
    labelled = points[:, 2] > 0
    if not np.isfinite(points[labelled]).all():
        raise InputError(
            f"annotation {annotation['id']}: expected coordinates of each labelled keypoint, found "
            f"{points[labelled].tolist()}"
        )
    return np.where(labelled[:, None], points, 0.0)


def box_of(annotation: Row) -> list[float] | None:
    """x, y, width, height; None if these are not four numbers."""
    value = annotation.get("bbox")
    if isinstance(value, Sequence) and len(value) == 4:
        box = [_number(side) for side in value]
    else:
        try:
            box = box_values(value) or [math.nan]
        except ValueError:
            return None
    return box if all(map(math.isfinite, box)) else None


def extent_of(points: np.ndarray) -> list[float]:
    """x, y, width, height of the labelled keypoints (K, 3), without a margin; zeros for none."""
    labelled = points[points[:, 2] > 0, :2]
    if not len(labelled):
        return [0.0] * 4
    return [*labelled.min(axis=0).tolist(), *np.ptp(labelled, axis=0).tolist()]


def area_of(annotation: Row, box: Sequence[float], image: Row | None) -> float | None:
    """The area; None if there is none, or an instance with this box cannot have it."""
    area = annotation.get("area")
    sides = [_number((image or {}).get(side)) for side in ("width", "height")]
    size = (sides[0], sides[1]) if all(0 < side < math.inf for side in sides) else (0.0, 0.0)
    return number(area) if is_area(area, box, size) else None


def whole_numbers(values: Any, what: str) -> np.ndarray:
    """Ids as whole numbers (n,), int64.

    Raises:
        InputError: values that are not whole numbers.
    """
    found = np.asarray(values).reshape(-1)
    if found.dtype.kind == "i":
        return found.astype(np.int64)
    numbers = [whole_number(value) for value in found.tolist()]
    if None in numbers:
        raise InputError(f"expected whole numbers as {what}, found {found[:5].tolist()}")
    return np.array(numbers, np.int64)


def _with_ids(rows: Sequence[Row], where: str) -> list[dict[str, Any]]:
    numbered: dict[int, dict[str, Any]] = {}
    for row in rows:
        number = _id(row, "id", where)
        if number in numbered:
            raise InputError(f"{where}: expected each id once, found {number} again")
        numbered[number] = {**row, "id": number}
    return list(numbered.values())


def _id(row: Row, key: str, where: str) -> int:
    found = whole_number(row.get(key))
    if found is None:
        raise InputError(f"{where}: expected a whole number as '{key}', found {row.get(key)!r}")
    return found


def _number(value: Any) -> float:
    """NaN for what is no number."""
    try:
        return number(value)
    except ValueError:
        return math.nan
