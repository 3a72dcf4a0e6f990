"""Datumaro's JSON: `skeleton` and `points` annotations, with boxes of the same group.

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
        _File(file, data, keypoints, labels, found).read(path.is_dir())
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

    def read(self, split: bool) -> None:
        """Adds its items."""
        for number, item in enumerate(self.data["items"]):
            place = f"{self.path}, items[{number}]"
            try:
                image = self._image(item, place)
                image.split = self.path.stem if split and self.path.stem != "default" else ""
                image.people = self._people(item.get("annotations") or [], place)
            except InputError as error:
                self.found.add("items that cannot be read", str(error))
                continue
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                self.found.add("items that cannot be read", f"{place}: {error!r}")
                continue
            self.labels.images.append(image)

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

    def _people(self, annotations: Sequence[Mapping[str, Any]], place: str) -> list[Person]:
        boxes = {
            a["group"]: a["bbox"] for a in annotations if a.get("type") == "bbox" and a.get("group")
        }
        people = []
        for number, one in enumerate(annotations):
            at = f"{place}, annotations[{number}]"
            kind = one.get("type")
            if kind not in ("points", "skeleton"):
                if kind != "bbox" or not one.get("group"):
                    what = f"annotations of the type '{kind}', left out: keypoints are points"
                    self.found.add(what, at, False)
                continue
            category = self.categories.get(one.get("label_id"))
            if category is None:
                raise InputError(f"{at}: its label has no keypoints in 'categories'")
            points = self._points(one, category, at)
            box = boxes.get(one.get("group"))
            sides = None if box is None else tuple(parse_number(v, at, "bbox") for v in box)
            if sides is not None and len(sides) != 4:
                raise InputError(
                    f"{at}: expected four numbers as the bbox of its group, found {box}"
                )
            track = (one.get("attributes") or {}).get("track_id")
            people.append(
                Person(category.name, points, sides, at, track if type(track) is int else None)
            )
        return people

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
