"""Datumaro's JSON: `skeleton` and `points` annotations, with boxes of the same group.

A point whose label has no keypoints is one itself: of the person that its group is.

Read without Datumaro, which brings more than it takes to read this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.datasets.image_paths import is_file
from posekit.datasets.label_files import read_json
from posekit.datasets.problems import Findings
from posekit.errors import InputError
from posekit.labelling.label_set import (
    ABSENT,
    Category,
    Image,
    LabelSet,
    Person,
    Points,
    parse_number,
)
from posekit.labelling.people import Box, Loose, Point, add_people, names_in_order

__all__ = ["read"]

# Datumaro's enumeration is COCO's: absent, hidden, visible.
_VISIBILITIES = (0, 1, 2)


def read(path: Path, keypoints: Sequence[str], found: Findings) -> LabelSet:
    """See `posekit.labelling.readers`; of a folder all JSONs of `annotations/`, each a split."""
    files = [path]
    if path.is_dir():
        folder = path / "annotations" if (path / "annotations").is_dir() else path
        files = sorted(folder.glob("*.json"))
    labels = LabelSet("Datumaro", files=frozenset(file.resolve() for file in files))
    for file in files:
        data = read_json(str(file))
        if not isinstance(data, Mapping) or not isinstance(data.get("items"), list):
            raise InputError(f"{file}: expected Datumaro's list 'items'")
        one = _File(file, data, keypoints, labels, found)
        images = one.read(path.is_dir())
        add_people(labels, images, found, keypoints or names_in_order(images, one.names))
    return labels


class _File:
    """One JSON."""

    def __init__(
        self,
        path: Path,
        data: Mapping[str, Any],
        keypoints: Sequence[str],
        labels: LabelSet,
        found: Findings,
    ) -> None:
        self.path, self.data, self.labels, self.found = path, data, labels, found
        try:
            known = data["categories"]
            self.names = [str(label["name"]) for label in known["label"]["labels"]]
            parts = [str(label.get("parent") or "") for label in known["label"]["labels"]]
            self.categories = {}
            for item in known.get("points", {}).get("items", []):
                name = self.names[item["label_id"]]
                own = tuple(keypoints) or tuple(map(str, item["labels"]))
                if not own:  # the labels whose parent it is
                    own = tuple(n for n, p in zip(self.names, parts, strict=True) if p == name)
                links = tuple((int(a) - 1, int(b) - 1) for a, b in item.get("joints", []))
                good = all(0 <= end < len(own) for link in links for end in link)
                self.categories[item["label_id"]] = Category(name, own, links if good else ())
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{path}: its 'categories' are not Datumaro's: {error!r}") from None
        labels.categories.update({c.name: c for c in self.categories.values()})

    def read(self, split: bool) -> list[Loose]:
        """Its images, with people, and with points and boxes that are none yet."""
        images = []
        for number, item in enumerate(self.data["items"]):
            place = f"{self.path}, items[{number}]"
            try:
                image = self._image(item, place)
                image.split = self.path.stem if split and self.path.stem != "default" else ""
                one = Loose(image, place)
                self._add(one, item.get("annotations") or [])
            except InputError as error:
                self.found.add("items that cannot be read", str(error))
                continue
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                self.found.add("items that cannot be read", f"{place}: {error!r}")
                continue
            images.append(one)
        return images

    def _image(self, item: Mapping[str, Any], place: str) -> Image:
        about = item.get("image") or {}
        name = about.get("path") or item.get("id")
        if not isinstance(name, str) or not name:
            raise InputError(f"{place}: expected image.path or id, found neither")
        size = about.get("size")  # (height, width)
        image = Image(name)
        if isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size):
            image.size = (size[1], size[0])
        folders = [self.path.parent.parent / "images", self.path.parent.parent]
        candidates = [f / self.path.stem / name for f in folders] + [f / name for f in folders]
        image.path = next((path for path in candidates if is_file(path)), None)
        return image

    def _add(self, one: Loose, annotations: Sequence[Mapping[str, Any]]) -> None:
        image = one.image
        drawn = [a for a in annotations if a.get("type") == "bbox"]
        boxes = {a["group"]: self._box(a, one.place) for a in drawn if a.get("group")}
        for number, about in enumerate(annotations):
            at = f"{one.place}, annotations[{number}]"
            kind, group = about.get("type"), about.get("group")
            if kind not in ("points", "skeleton"):
                if kind != "bbox":
                    what = f"annotations of the type '{kind}', left out: keypoints are points"
                    self.found.add(what, at, False)
                continue
            category = self.categories.get(about.get("label_id"))
            attributes = about.get("attributes") or {}
            if category is None:
                if kind != "points" or len(about.get("points") or []) != 2:
                    raise InputError(f"{at}: its label has no keypoints in 'categories'")
                ((x, y, v),) = _triples(about, 1, at)
                v = min(v, 1) if attributes.get("occluded") is True else v
                if v:
                    name = self.names[about["label_id"]]
                    one.points.append(Point(name, x, y, v, group or None))
                continue
            track = attributes.get("track_id")
            points = self._points(about, category, at)
            sides = boxes.get(group)
            track = track if type(track) is int else None
            image.people.append(Person(category.name, points, sides, at, track))
        for about in drawn:
            if one.points:
                name, sides = self.names[about["label_id"]], self._box(about, one.place)
                one.boxes.append(Box(name, sides, about.get("group") or None))
            elif not about.get("group"):
                self.found.add("boxes without a group, left out", one.place, False)

    def _box(self, about: Mapping[str, Any], at: str) -> tuple[float, float, float, float]:
        sides = [parse_number(value, at, "bbox") for value in about["bbox"]]
        if len(sides) != 4:
            raise InputError(f"{at}: expected four numbers as the bbox, found {about['bbox']}")
        return (sides[0], sides[1], sides[2], sides[3])

    def _points(self, one: Mapping[str, Any], category: Category, at: str) -> Points:
        if one["type"] == "points":
            return _triples(one, len(category.keypoints), at)
        known = {}
        for element in one.get("elements") or []:
            name = self.names[element["label_id"]]
            known[name.removeprefix(f"{category.name}.")] = _triples(element, 1, at)[0]
        for name in known.keys() - set(category.keypoints):
            self.found.add(f"points that are not in the skeleton, left out: '{name}'", at, False)
        return [known.get(name, ABSENT) for name in category.keypoints]


def _triples(one: Mapping[str, Any], count: int, at: str) -> Points:
    values, seen = one.get("points"), one.get("visibility", [2] * count)
    if not isinstance(values, list) or len(values) != 2 * count or len(seen) != count:
        found = len(values) if isinstance(values, list) else values
        raise InputError(f"{at}: expected {count} x (x, y) and as many visibilities, found {found}")
    points: Points = []
    for x, y, v in zip(values[::2], values[1::2], seen, strict=True):
        if v not in _VISIBILITIES:
            raise InputError(f"{at}: expected visibilities 0, 1 or 2, found {v!r}")
        known = (parse_number(x, at, "x"), parse_number(y, at, "y"), int(v))
        points.append(known if v else ABSENT)
    return points
