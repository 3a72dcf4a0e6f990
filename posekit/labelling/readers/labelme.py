"""labelme (and X-AnyLabeling): a JSON per picture, with named points, boxes and `group_id`.

A point is hidden where its shape is `difficult`, or one of its flags or its description says so:
`occluded`, `hidden`, or COCO's 0, 1, 2. Of a turned box the upright one around it is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.datasets.image_paths import is_file
from posekit.datasets.label_files import read_json
from posekit.datasets.problems import Findings
from posekit.errors import InputError
from posekit.labelling.label_set import Image, LabelSet, parse_number
from posekit.labelling.people import Box, Loose, Point, add_people, is_hidden

__all__ = ["read"]


# labelme's and X-AnyLabeling's; the last two are turned.
_BOXES = ("rectangle", "oriented_rectangle", "rotation")


def read(path: Path, keypoints: Sequence[str], found: Findings) -> LabelSet:
    """See `posekit.labelling.readers`; of a folder all files in it and in folders within."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    labels = LabelSet("labelme", files=frozenset(file.resolve() for file in files))
    images = []
    for file in files:
        try:
            data = read_json(str(file))
            if not isinstance(data, Mapping) or not isinstance(data.get("shapes"), list):
                if path.is_dir():
                    found.add("files that are not labelme's, left out", str(file), False)
                    continue
                raise InputError(f"{file}: expected labelme's list 'shapes'")
            images.append(_image(file, data, found))
        except InputError as error:
            if not path.is_dir():
                raise
            found.add("files that cannot be read", str(error))
    add_people(labels, images, found, keypoints)
    return labels


def _image(file: Path, data: Mapping[str, Any], found: Findings) -> Loose:
    name = data.get("imagePath")
    if not isinstance(name, str) or not name:
        found.add(
            "files without imagePath, taken for the picture of their own name", str(file), False
        )
        name = f"{file.stem}.jpg"
    size = (data.get("imageWidth"), data.get("imageHeight"))
    stated = all(type(side) is int and side > 0 for side in size)
    image = Image(name, size if stated else None)  # type: ignore[arg-type]
    beside = file.parent / name.replace("\\", "/")
    image.path = beside if is_file(beside) else _same_stem(file)
    one = Loose(image, str(file))
    for number, shape in enumerate(data["shapes"]):
        try:
            _add_shape(one, shape, f"{file}, shapes[{number}]", found)
        except InputError as error:
            found.add("shapes that cannot be read", str(error))
    return one


def _same_stem(file: Path) -> Path | None:
    suffixes = (".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".PNG", ".JPEG")
    return next((p for s in suffixes if (p := file.with_suffix(s)).is_file()), None)


def _add_shape(one: Loose, shape: Any, place: str, found: Findings) -> None:
    if not isinstance(shape, Mapping):
        raise InputError(f"{place}: expected an object, found {shape!r:.40}")
    kind, label = shape.get("shape_type", "polygon"), shape.get("label")
    rows = shape.get("points")
    if kind not in ("point", *_BOXES):
        found.add(f"shapes of the kind '{kind}', left out: keypoints are points", place, False)
        return
    if not isinstance(label, str) or not label.strip():
        raise InputError(f"{place}: expected a label, found {label!r}")
    if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) == 2 for r in rows):
        raise InputError(f"{place}: expected points of x, y, found {rows!r:.60}")
    points = [(parse_number(x, place, "x"), parse_number(y, place, "y")) for x, y in rows]
    group = shape.get("group_id")
    if group is not None and not isinstance(group, int | str):
        raise InputError(f"{place}: expected a number as group_id, found {group!r:.40}")
    if kind == "point":
        if len(points) != 1:
            raise InputError(f"{place}: expected one point, found {len(points)}")
        one.points.append(Point(label.strip(), *points[0], _visibility(shape), group))
        return
    if len(points) not in (2, 4):
        raise InputError(f"{place}: expected two or four corners, found {len(points)}")
    xs, ys = zip(*points, strict=True)
    box = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    one.boxes.append(Box(label.strip(), box, group))


def _visibility(shape: Mapping[str, Any]) -> int:
    if shape.get("difficult") is True:
        return 1
    flags = shape.get("flags")
    for name, on in flags.items() if isinstance(flags, Mapping) else ():
        v = is_hidden(name)
        if on is True and v is not None:
            return v
    v = is_hidden(shape.get("description"))
    return 2 if v is None else v
