"""VGG Image Annotator: the project of VIA 2 or 3, or its annotations as JSON or CSV.

Users choose the attributes of a region. One called `keypoint`, `name`, `label` or the like is the
keypoint's name; `person`, `group`, `id` or the like says whose it is, and `visibility` or
`occluded` whether it is seen. If none is called so, the only other attribute is the name. Regions
have the number of an option that was chosen from a list; its text is in VIA 2's project and in all
files of VIA 3.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.datasets.label_files import read_json
from posekit.datasets.problems import Findings
from posekit.errors import InputError
from posekit.labelling.label_set import Image, LabelSet, parse_number
from posekit.labelling.people import (
    Box,
    Loose,
    Point,
    add_people,
    is_hidden,
    names_in_order,
)
from posekit.labelling.readers.via3 import (
    Region,
    cell_of,
    is_via3_csv,
    is_via3_project,
    regions_of_csv,
    regions_of_project,
)

__all__ = ["read"]

_NAMES = (
    *("keypoint", "keypoints", "name", "label", "landmark", "joint", "part", "point", "bodypart"),
    *("type", "class", "category", "kind"),
)
_GROUPS = (
    *("person", "person_id", "group", "group_id", "instance", "instance_id", "animal"),
    *("individual", "object", "object_id", "id", "track", "track_id"),
)
_VISIBILITIES = ("visibility", "visible", "occluded", "occlusion", "hidden", "v")


def read(path: Path, keypoints: Sequence[str], found: Findings) -> LabelSet:
    """See `posekit.labelling.readers`."""
    labels = LabelSet("VGG Image Annotator")
    images: dict[str, Loose] = {}
    declared: list[str] = []
    for place, name, region in _regions(path, found, declared):
        one = images.setdefault(name, Loose(Image(name), f"{path}, {name}"))
        if region is None:
            continue
        try:
            _add_region(one, region, f"{path}, {place}", found)
        except InputError as error:
            found.add("regions that cannot be read", str(error))
    if not keypoints and any(p.name.isdigit() for one in images.values() for p in one.points):
        what = (
            "keypoints are called by numbers: they may be those of a list's options, whose names "
            "are in VIA's project (Project, Save)"
        )
        found.whole(what, False)
    order = keypoints or names_in_order(images.values(), declared)
    add_people(labels, images.values(), found, order)
    return labels


def _regions(path: Path, found: Findings, declared: list[str]) -> Iterator[Region]:
    """Each region with its place and its picture's name; None for a picture without any.

    The texts of lists' options are added to `declared`, in order.
    """
    if path.suffix.lower() == ".csv":
        yield from regions_of_csv(path, found, declared) if is_via3_csv(path) else _of_csv(path)
        return
    data = read_json(str(path))
    if isinstance(data, Mapping) and is_via3_project(data):
        yield from regions_of_project(path, data, found, declared)
        return
    options = _options(data)
    declared += [str(text or key) for one in options.values() for key, text in one.items()]
    data = data.get("_via_img_metadata", data)
    if not isinstance(data, Mapping) or not all(isinstance(v, Mapping) for v in data.values()):
        raise InputError(f"{path}: expected the annotations of VIA, found another JSON")
    for key, entry in data.items():
        name, regions = entry.get("filename"), entry.get("regions", [])
        if not isinstance(name, str) or not isinstance(regions, list | Mapping):
            raise InputError(f"{path}, '{key}': expected filename and regions")
        listed = list(regions.values()) if isinstance(regions, Mapping) else regions
        yield key, name, None
        for number, region in enumerate(listed):
            if not isinstance(region, Mapping):
                raise InputError(f"{path}, {name}, regions[{number}]: expected an object")
            yield f"{name}, regions[{number}]", name, _with_texts(region, options)


def _options(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Texts of the numbered options of each attribute, which a project of VIA 2 has."""
    attributes = data.get("_via_attributes")
    region = attributes.get("region") if isinstance(attributes, Mapping) else None
    found = {}
    for name, attribute in region.items() if isinstance(region, Mapping) else ():
        options = attribute.get("options") if isinstance(attribute, Mapping) else None
        if isinstance(options, Mapping) and all(str(key).isdigit() for key in options):
            found[str(name)] = options
    return found


def _with_texts(
    region: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    about = region.get("region_attributes")
    if not options or not isinstance(about, Mapping):
        return region
    said = dict(about)
    for name, texts in options.items():
        value = said.get(name)
        if isinstance(value, Mapping):
            said[name] = {str(texts.get(key) or key): on for key, on in value.items()}
        elif isinstance(value, str) and value in texts:
            said[name] = texts[value] or value
    return {**region, "region_attributes": said}


def _of_csv(path: Path) -> Iterator[Region]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            head = [field.lstrip("#") for field in next(reader, [])]
            needed = ("region_shape_attributes", "region_attributes")
            if not {*needed, "filename"} <= set(head):
                raise InputError(f"{path}, line 1: expected filename, {' and '.join(needed)}")
            for cells in filter(None, reader):
                place = f"line {reader.line_num}"
                more = len(cells) - len(head)
                if more > 0 and head[0] == "filename":  # VIA does not quote a name's commas
                    cells[: more + 1] = [",".join(cells[: more + 1])]
                if len(cells) != len(head):
                    raise InputError(
                        f"{path}, {place}: expected {len(head)} cells, found {len(cells)}; is the "
                        "file cut off? Export it again"
                    )
                row = dict(zip(head, cells, strict=True))
                name = row["filename"]
                if not name:
                    raise InputError(f"{path}, {place}: expected a filename")
                yield place, name, None
                shape, about = (cell_of(path, place, row[key]) for key in needed)
                if shape:
                    yield place, name, {"shape_attributes": shape, "region_attributes": about}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _add_region(one: Loose, region: Mapping[str, Any], place: str, found: Findings) -> None:
    shape, about = region.get("shape_attributes"), region.get("region_attributes") or {}
    if not isinstance(shape, Mapping) or not isinstance(about, Mapping):
        raise InputError(f"{place}: expected shape_attributes and region_attributes")
    kind = shape.get("name")
    if kind not in ("point", "rect"):
        found.add(f"regions of the kind '{kind}', left out: keypoints are points", place, False)
        return
    known = {str(key).strip().lower(): _plain(value) for key, value in about.items()}
    group = next((known[key] for key in _GROUPS if known.get(key)), None)
    name = next((known[key] for key in _NAMES if known.get(key)), None)
    others = [v for k, v in known.items() if k not in (*_GROUPS, *_VISIBILITIES) and v]
    if name is None and len(others) == 1:
        name = others[0]

    def side(key: str) -> float:
        return parse_number(shape.get(key), place, key)

    if kind == "rect":
        box = (side("x"), side("y"), side("width"), side("height"))
        one.boxes.append(Box(name or "person", box, group))
        return
    if name is None:
        attributes = ", ".join(known) or "none"
        raise InputError(
            f"{place}: no attribute says what keypoint it is: expected one called keypoint or "
            f"name, found {attributes}"
        )
    one.points.append(Point(name, side("cx"), side("cy"), _visibility(known), group))


def _plain(value: Any) -> str:
    """A text, or what is ticked of a checkbox."""
    if isinstance(value, Mapping):
        return ",".join(str(key) for key, on in value.items() if on)
    return str(value).strip() if value is not None else ""


def _visibility(known: Mapping[str, str]) -> int:
    for key in _VISIBILITIES:
        word = known.get(key)
        if not word:
            continue
        if key in ("occluded", "occlusion", "hidden"):
            return 2 if word.lower() in ("0", "no", "false", "visible") else 1
        if key == "visible" and word.lower() in ("0", "no", "false"):
            return 1
        v = is_hidden(word)
        if v is not None:
            return v
    return 2
