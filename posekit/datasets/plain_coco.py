"""Annotation files as tools write them -> COCO as it is specified, with notes on changes.

Training and evaluation both start from this, so that they read a file in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from posekit.datasets.label_files import foreign_json, read_json, refuse_foreign
from posekit.datasets.label_values import (
    LARGEST,
    Ids,
    box_around,
    box_values,
    flag,
    flat_keypoints,
    has_odd_visibility,
    is_area,
    number,
    whole_number,
)
from posekit.datasets.problems import Findings
from posekit.datasets.sources import Source, named_skeleton
from posekit.errors import InputError

__all__ = ["Coco", "named_content", "plain_coco"]

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Coco:
    """An annotation file's content, with whole numbers as ids.

    Attributes:
        images: `id` int, `width` and `height` where they are known; other keys as they were.
        annotations: `id`, `image_id` and `category_id` int, of existing images and categories;
            `iscrowd` 0 or 1; keypoints as x, y, v, ...; `bbox` four numbers where there are four,
            else absent or as it was; `area` only if it is plausible.
        categories: `id` int, `keypoints` a list of names where there are any.
        places: the name of each annotation in messages.
        image_ids, category_ids: map the file's ids to the numbers.
    """

    images: list[Row]
    annotations: list[Row]
    categories: list[Row]
    places: list[str]
    image_ids: Ids
    category_ids: Ids

    def content(self) -> dict[str, list[Row]]:
        """The three lists of COCO."""
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": self.categories,
        }


def plain_coco(source: Source, found: Findings | None = None) -> Coco:
    """Reads the annotation file of a source.

    Args:
        source: names the file, and in `fields` the keys that keypoints are read from.
        found: collects what is wrong with it, and what was changed.

    Raises:
        InputError: it cannot be read, is no COCO-style JSON, or its categories are wrong.
    """
    found = Findings(source) if found is None else found
    data = _lists(source)
    category_ids, categories = _categories(source, data, found)
    image_ids = Ids(_ids(data["images"]))
    _note_texts(image_ids, "images", found)
    images = _images(data["images"], image_ids, found)
    reader = _Annotations(source, images, image_ids, categories, category_ids, found)
    rows = list(reader.read(data["annotations"]))
    return Coco(
        images=images,
        annotations=[row for row, _ in rows],
        categories=categories,
        places=[place for _, place in rows],
        image_ids=image_ids,
        category_ids=reader.category_ids,
    )


def named_content(source: Source) -> dict[str, list[Any]]:
    """The three lists, of which only the categories are plain: enough for names, and fast.

    Raises:
        InputError: as `plain_coco`.
    """
    data = _lists(source)
    return {**data, "categories": _categories(source, data, Findings(source))[1]}


def _lists(source: Source) -> dict[str, list[Any]]:
    """COCO's three lists; categories may be missing."""
    path = source.annotations
    data = read_json(path)
    lists = {}
    for key in ("images", "annotations", "categories"):
        value = data.get(key) if isinstance(data, dict) else None
        entries = _entries(key, value)
        if entries is None and key == "categories" and value is None:
            entries = []
        if entries is None:
            foreign = foreign_json(data)
            if foreign is not None:
                refuse_foreign(path, foreign)
            state = "missing" if value is None else f"not a list but {str(value)[:40]!r}"
            raise InputError(
                f"{path}: expected COCO's lists 'images', 'annotations' and 'categories'; "
                f"'{key}' is {state}"
            )
        lists[key] = entries
    return lists


def _entries(key: str, value: Any) -> list[Any] | None:
    """A list, also of an object whose keys are the ids."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    if key == "categories" and isinstance(value.get("keypoints"), list):
        return [value]
    if key == "categories" and value and all(isinstance(name, str) for name in value.values()):
        return [{"id": number, "name": name} for number, name in value.items()]
    if not all(isinstance(entry, dict) for entry in value.values()):
        return None
    named = key == "categories"
    return [{"id": k, **({"name": k} if named else {}), **entry} for k, entry in value.items()]


def _ids(entries: list[Any]) -> Iterator[Any]:
    return (entry.get("id") for entry in entries if isinstance(entry, Mapping))


def _note_texts(ids: Ids, kind: str, found: Findings) -> None:
    if ids.texts:
        text, stands = next(iter(ids.texts.items()))
        what = f"ids of {kind} that are texts are numbered: '{text[:60]}' is {stands}"
        found.whole(what, False)


def _categories(
    source: Source, data: Mapping[str, list[Any]], found: Findings
) -> tuple[Ids, list[Row]]:
    at = source.annotations
    ids = Ids(_ids(data["categories"]))
    _note_texts(ids, "categories", found)
    categories: list[Row] = []
    for i, category in enumerate(data["categories"]):
        stands = ids.get(category.get("id")) if isinstance(category, Mapping) else None
        if stands is None:
            raise InputError(f"{at}: categories[{i}] has no 'id', a number or a text")
        name, names = category.get("name", ""), category.get("keypoints") or []
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str):
            raise InputError(f"{at}: categories[{i}], 'name' is not a text")
        if not isinstance(names, list):
            raise InputError(f"{at}: categories[{i}], 'keypoints' is not a list")
        if any(name is None or not str(name).strip() for name in names):
            raise InputError(f"{at}: categories[{i}], 'keypoints' has one without a name: {names}")
        if any(row["id"] == stands for row in categories):
            found.add("duplicate category ids", f"categories[{i}], {category.get('id')}")
            continue
        row = {**category, "id": stands, "keypoints": [_keypoint_name(name) for name in names]}
        if "name" in category:
            row["name"] = name
        categories.append(row)
    unknown = set(source.categories or ()) - {row.get("name") for row in categories}
    if unknown:
        raise InputError(f"{at}: no category is called '{unknown.pop()}'")
    return ids, categories


def _keypoint_name(name: Any) -> str:
    if isinstance(name, Mapping):
        name = name.get("name", name.get("label", name))
    return str(name)


def _images(entries: list[Any], ids: Ids, found: Findings) -> list[Row]:
    images: dict[int, Row] = {}
    for i, entry in enumerate(entries):
        stands = ids.get(entry.get("id")) if isinstance(entry, Mapping) else None
        if stands is None:
            found.add("images without an 'id', a number or a text", f"images[{i}]")
            continue
        row = {**entry, "id": stands}
        for key in ("width", "height"):
            side = _positive(row.pop(key, None))
            if side is not None:
                row[key] = side
        if stands in images:
            found.add("duplicate image ids", f"image {entry['id']}")
        images.setdefault(stands, row)
    return list(images.values())


def _positive(value: Any) -> int | float | None:
    try:
        found = number(value)
    except ValueError:
        return None
    if not 0 < found < LARGEST:
        return None
    return int(found) if found == int(found) else found


@dataclass
class _Annotations:
    """Reads one annotation after the other."""

    source: Source
    images: list[Row]
    image_ids: Ids
    categories: list[Row]
    category_ids: Ids
    found: Findings

    def __post_init__(self) -> None:
        self.sizes = {
            image["id"]: (image["width"], image["height"])
            if "width" in image and "height" in image
            else (0, 0)
            for image in self.images
        }
        self.implied = not self.categories
        self.by_id = {category["id"]: category for category in self.categories}
        names = [category.get("name") for category in self.categories]
        self.by_name = {
            name: category["id"]
            for name, category in zip(names, self.categories, strict=True)
            if name and names.count(name) == 1
        }
        # Keypoints per instance where the source says so itself.
        self.count: int | None = None
        if self.source.skeleton is not None:
            self.count = named_skeleton(self.source.skeleton).num_keypoints

    def read(self, entries: list[Any]) -> Iterator[tuple[Row, str]]:
        """The annotations whose id, image and category are right, each with its name."""
        ids = Ids(_ids(entries))
        _note_texts(ids, "annotations", self.found)
        if self.implied:
            self._imply_categories(entries)
        seen: set[int] = set()
        for i, entry in enumerate(entries):
            if not isinstance(entry, Mapping):
                self.found.add("annotations that are not objects", f"annotations[{i}]")
                continue
            raw = entry.get("id")
            place = f"annotation {raw} (image {entry.get('image_id')})"
            if raw is None:
                place = f"annotations[{i}] (image {entry.get('image_id')})"
                self.found.add("annotations without an 'id', numbered", place, False)
            stands = ids.new() if raw is None else ids.get(raw)
            if stands is None:
                what = "annotations whose 'id' is neither a number nor a text"
                self.found.add(what, f"annotations[{i}]")
            elif stands in seen:
                self.found.add("duplicate annotation ids", place)
            else:
                seen.add(stands)
                row = self._row(entry, stands, place)
                if row is not None:
                    yield row, place

    def _imply_categories(self, entries: list[Any]) -> None:
        """Adds a category for each id that annotations name, if the file lists none."""
        values = [e.get("category_id", 1) for e in entries if isinstance(e, Mapping)]
        self.category_ids = Ids(values)
        for value in values:
            stands = self.category_ids.get(value)
            if stands is not None and stands not in self.by_id:
                self.by_id[stands] = {"id": stands, "keypoints": []}
        self.categories += self.by_id.values()

    def _row(self, entry: Mapping[str, Any], stands: int, place: str) -> Row | None:
        image = self.image_ids.get(entry.get("image_id"))
        if image is None or image not in self.sizes:
            what = "annotations of an image that 'images' does not have"
            self.found.add(what, place)
            return None
        category = self._category(entry.get("category_id"), place)
        if category is None:
            what = "annotations of a category that 'categories' does not have"
            self.found.add(what, f"{place}, category {entry.get('category_id')}")
            return None
        crowd = flag(entry.get("iscrowd"))
        if crowd is None:
            self.found.add("annotations whose 'iscrowd' is neither 0 nor 1", place)
            return None
        row = {
            **entry,
            "id": stands,
            "image_id": image,
            "category_id": category,
            "iscrowd": int(crowd),
        }
        labelled = whole_number(row.pop("num_keypoints", None))
        if labelled is not None:
            row["num_keypoints"] = labelled
        for name in self.source.fields:
            self._read_keypoints(row, name, category, place)
        box = self._read_box(row, self.sizes[image], place)
        self._read_area(row, box, self.sizes[image], place)
        return row

    def _category(self, value: Any, place: str) -> int | None:
        if value is None and len(self.by_id) == 1:
            if not self.implied:
                what = "annotations without 'category_id', taken for the only category"
                self.found.add(what, place, False)
            return next(iter(self.by_id))
        stands = self.category_ids.get(value)
        if stands in self.by_id:
            return stands
        if isinstance(value, str) and value in self.by_name:
            what = "annotations whose 'category_id' is a category's name, taken for it"
            self.found.add(what, place, False)
            return int(self.by_name[value])
        return None

    def _read_keypoints(self, row: Row, name: str, category: int, place: str) -> None:
        part = row.get(name)
        if not isinstance(part, list | str):
            return
        count = None
        if len(self.source.fields) == 1:
            count = self.count or len(self.by_id[category]["keypoints"]) or None
        if isinstance(part, list) and count and len(part) == 3 * count and _are_plain(part):
            values = part
        else:
            try:
                values, no_visibility = flat_keypoints(part, count)
            except ValueError:
                return  # who needs keypoints refuses them
            if no_visibility:
                what = f"'{name}' without visibility, labelled but where they are 0, 0 or null"
                self.found.add(what, place, False)
        # Those of hands and faces are published with a detector's scores.
        if name == "keypoints" and has_odd_visibility(values):
            what = "visibilities other than 0, 1 and 2: above 0 is labelled"
            self.found.add(what, place, False)
        row[name] = values

    def _read_box(self, row: Row, size_wh: tuple[float, float], place: str) -> list[float] | None:
        box: list[float] | None = row.get("bbox")
        if isinstance(box, list) and len(box) == 4 and _are_plain(box) and any(box):
            return box
        try:
            box = box_values(box)
        except ValueError:
            return None
        if box is None:
            values = self._labelled(row)
            box = box_around(values, size_wh) if values is not None else None
            if box is None:
                return None
            self.found.add("instances without a box: taken from their keypoints", place, False)
        row["bbox"] = box
        return box

    def _labelled(self, row: Row) -> list[float] | None:
        """All keypoints; None where they are not x, y, v, ..."""
        values: list[float] = []
        for name in self.source.fields:
            part = row.get(name)
            if not isinstance(part, list) or len(part) % 3 or (part and not _are_plain(part)):
                return None
            values += part
        return values

    def _read_area(
        self, row: Row, box: list[float] | None, size_wh: tuple[float, float], place: str
    ) -> None:
        area = row.pop("area", None)
        if area is None or (isinstance(area, float) and math.isnan(area)):
            return
        if is_area(area, box, size_wh):
            row["area"] = number(area) if isinstance(area, str | bool) else area
            return
        if box is not None:
            what = (
                "areas that no instance here has (0, 1, or more than the image): that of the box "
                "counts, 0.53 of it in AP of keypoints"
            )
            self.found.add(what, f"{place} has {str(area)[:20]}", False)


def _are_plain(values: list[Any]) -> bool:
    """Finite numbers, which can be pixels."""
    try:
        return math.isfinite(sum(values)) and max(values) < LARGEST and min(values) > -LARGEST
    except (TypeError, OverflowError, ValueError):
        return False
