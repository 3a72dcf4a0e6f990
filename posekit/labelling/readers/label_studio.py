"""Label Studio's exports, JSON and JSON-MIN: boxes and points in per cent of the picture.

A point belongs to the box that is its parent (`parentID`), that a relation ties it to, or, in
JSON-MIN, which has neither, that it lies in. It is hidden where a choice or text of its region says
`occluded`, `hidden`, or COCO's 0, 1, 2. Of an interface with `Labels` beside `KeyPoint` and
`Rectangle`, whose results are one entry for the place and one for the label, both are joined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.datasets.label_files import read_json
from posekit.datasets.problems import Findings
from posekit.errors import InputError
from posekit.labelling.label_set import Image, LabelSet, parse_number
from posekit.labelling.people import Box, Loose, Point, add_people, is_hidden

__all__ = ["read"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
_BOXES, _POINTS = "rectanglelabels", "keypointlabels"
# What a region's place is called where its label is an entry of its own.
_BARE = {"rectangle": _BOXES, "keypoint": _POINTS}


def read(path: Path, keypoints: Sequence[str], found: Findings) -> LabelSet:
    """See `posekit.labelling.readers`."""
    data = read_json(str(path))
    tasks = data if isinstance(data, list) else [data]
    labels = LabelSet("Label Studio")
    predictions = not any(_annotations(task) for task in tasks if isinstance(task, Mapping))
    predictions &= any(isinstance(t, Mapping) and t.get("predictions") for t in tasks)
    if predictions:
        found.whole("no task has annotations: using predictions, which nobody has corrected", False)
    images = []
    for number, task in enumerate(tasks):
        place = f"{path}, tasks[{number}]"
        if not isinstance(task, Mapping):
            found.add("tasks that are not objects", place)
            continue
        try:
            one = _loose(task, place, predictions, found)
        except InputError as error:
            found.add("tasks that cannot be read", str(error))
            continue
        if one is not None:
            images.append(one)
    add_people(labels, images, found, keypoints or _names_of(tasks))
    return labels


def _names_of(tasks: Sequence[Any]) -> tuple[str, ...]:
    """The order of keypoints that posekit's own tasks carry."""
    first = tasks[0] if tasks and isinstance(tasks[0], Mapping) else {}
    data = first["data"] if isinstance(first.get("data"), Mapping) else first
    names = data.get("keypoint_names")
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(dict.fromkeys(names)) if good and names else ()


def _annotations(task: Mapping[str, Any]) -> list[Any]:
    """The annotations of a task; a task of JSON-MIN is one itself."""
    if isinstance(task.get("data"), Mapping):
        rows = task.get("annotations", task.get("completions"))
        return [one for one in rows if isinstance(one, Mapping)] if isinstance(rows, list) else []
    return [task]


def _loose(task: Mapping[str, Any], place: str, predictions: bool, found: Findings) -> Loose | None:
    if not isinstance(task.get("data"), Mapping):
        name = _image_name(task, place)
        if _says_hidden(task):
            what = "tasks of JSON-MIN, which does not say what a choice is of: export as JSON"
            found.add(what, place, False)
        return _with_results(name, place, list(_results_of_min(task)), found)
    name = _image_name(task["data"], place)
    rows = task.get("predictions") or [] if predictions else _annotations(task)
    if not isinstance(rows, list):
        raise InputError(f"{place}: expected a list of predictions, found {rows!r:.40}")
    done = [row for row in rows if isinstance(row, Mapping) and not row.get("was_cancelled")]
    if not done:
        found.add("tasks that nobody has labelled, or that were skipped, left out", place, False)
        return None
    chosen = next((row for row in done if row.get("ground_truth")), None)
    if chosen is None:
        chosen = max(
            done, key=lambda row: str(row.get("updated_at") or row.get("created_at") or "")
        )
    if len(done) > 1:
        found.add(
            "tasks with several annotations: using the ground truth or else the newest",
            place,
            False,
        )
    results = chosen.get("result")
    if not isinstance(results, list):
        raise InputError(f"{place}: expected a list as 'result', found {results!r:.40}")
    return _with_results(name, place, results, found)


def _image_name(data: Mapping[str, Any], place: str) -> str:
    texts = [v for v in data.values() if isinstance(v, str)]
    named = [v for v in texts if v.lower().split("?d=")[-1].split("?")[0].endswith(_SUFFIXES)]
    keyed = [data[k] for k in ("image", "img", "photo", "url") if isinstance(data.get(k), str)]
    found = [*named, *keyed]
    if not found:
        raise InputError(f"{place}: expected the path of an image in its data, found none")
    return found[0]


def _says_hidden(task: Mapping[str, Any]) -> bool:
    """Whether a task of JSON-MIN has a choice such as `occluded`."""
    words = [v for v in task.values() if isinstance(v, str)]
    for value in task.values():
        words += [v for v in value if isinstance(v, str)] if isinstance(value, list) else []
    return any(is_hidden(word) == 1 for word in words if not word.isdigit())


def _results_of_min(task: Mapping[str, Any]) -> Iterator[Any]:
    """Regions of JSON-MIN, as those of JSON; what lists of a task are not regions."""
    for key, rows in task.items():
        for number, row in enumerate(rows if isinstance(rows, list) else ()):
            kind = (
                next((k for k in row if k.endswith("labels")), "") if isinstance(row, dict) else ""
            )
            if kind == "labels" and {"x", "y"} <= row.keys():
                kind = _BOXES if "height" in row else _POINTS
                row = {**row, kind: row["labels"]}
            if kind:
                yield {
                    "id": f"{key}[{number}]",
                    "type": kind,
                    "value": row,
                    "original_width": row.get("original_width"),
                    "original_height": row.get("original_height"),
                }


def _with_results(name: str, place: str, results: list[Any], found: Findings) -> Loose:
    one = Loose(Image(name), place)
    regions = _joined([r for r in results if isinstance(r, Mapping)])
    if len(regions) < len(results):
        raise InputError(f"{place}: a result is not an object")
    pictures = {(r.get("to_name"), r.get("item_index")) for r in regions if _is_place(r)}
    if len(pictures) > 1:
        raise InputError(f"{place}: its regions are on several images, expected one in each task")
    parents = _parents(regions)
    words = _words(regions)
    sizes = set()
    for number, region in enumerate(regions):
        at = f"{place}, result[{number}]"
        kind, value = region.get("type"), region.get("value")
        if kind in ("relation", "choices", "textarea", "labels"):
            continue  # about regions; whose people and visibilities were taken from them
        if kind not in (_BOXES, _POINTS):
            what = f"regions of the type '{kind}', left out: keypoints are {_POINTS}"
            found.add(what, at, False)
            continue
        if not isinstance(value, Mapping):
            raise InputError(f"{at}: expected an object as 'value', found {value!r:.40}")
        size = _size(region, at)
        sizes.add(size)
        if region.get("image_rotation") not in (None, 0):
            what = f"its picture was turned by {region['image_rotation']} degrees, turn the file"
            raise InputError(f"{at}: {what}")
        name_of = _label(value, str(kind), at)
        identity = str(region.get("id"))
        if kind == _BOXES:
            one.boxes.append(Box(name_of, _box(value, size, at), identity))
            continue
        x, y = (parse_number(value.get(key), at, key) for key in "xy")
        v = words.get(identity, 2)
        group = parents.get(identity)
        one.points.append(Point(name_of, x / 100 * size[0], y / 100 * size[1], v, group))
    if len(sizes) > 1:
        raise InputError(f"{place}: its regions are of images of several sizes: {sorted(sizes)}")
    one.image.size = next(iter(sizes), None)
    return one


def _is_place(region: Mapping[str, Any]) -> bool:
    return region.get("type") in (_BOXES, _POINTS)


def _joined(regions: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Regions whose label is an entry of its own, with that label."""
    names = {
        str(region.get("id")): region["value"].get("labels")
        for region in regions
        if region.get("type") == "labels" and isinstance(region.get("value"), Mapping)
    }
    found: list[Mapping[str, Any]] = []
    for region in regions:
        kind, value = _BARE.get(str(region.get("type"))), region.get("value")
        if kind is not None and isinstance(value, Mapping) and str(region.get("id")) in names:
            value = {**value, kind: names[str(region.get("id"))]}
            region = {**region, "type": kind, "value": value}
        found.append(region)
    return found


def _parents(regions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Whose box a point belongs to, by ids."""
    boxes = {str(region.get("id")) for region in regions if region.get("type") == _BOXES}
    parents = {
        str(region.get("id")): str(region["parentID"])
        for region in regions
        if region.get("parentID") and str(region["parentID"]) in boxes
    }
    for region in regions:
        if region.get("type") == "relation":
            ends = [str(region.get(key)) for key in ("from_id", "to_id")]
            for end, other in (ends, ends[::-1]):
                if other in boxes and end not in boxes:
                    parents.setdefault(end, other)
    return parents


def _words(regions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Visibilities that choices and texts of regions say, by ids."""
    found = {}
    for region in regions:
        value = region.get("value") if isinstance(region.get("value"), Mapping) else {}
        meta = region.get("meta") if isinstance(region.get("meta"), Mapping) else {}
        listed = [value.get("choices"), value.get("text"), meta.get("text")]  # type: ignore[union-attr]
        for words in listed:
            for word in words if isinstance(words, list) else [words]:
                v = is_hidden(word)
                if v is not None:
                    found[str(region.get("id"))] = v
    return found


def _size(region: Mapping[str, Any], at: str) -> tuple[int, int]:
    sides = region.get("original_width"), region.get("original_height")
    if not all(type(side) is int and 0 < side < 1_000_000 for side in sides):
        raise InputError(
            f"{at}: expected original_width and original_height in pixels, found {sides}"
        )
    return sides  # type: ignore[return-value]


def _label(value: Mapping[str, Any], kind: str, at: str) -> str:
    names = value.get(kind)
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise InputError(f"{at}: expected one label in '{kind}', found {names!r}")
    return names[0].strip()


def _box(
    value: Mapping[str, Any], size: tuple[int, int], at: str
) -> tuple[float, float, float, float]:
    x, y, width, height = (
        parse_number(value.get(key), at, key) / 100 * side
        for key, side in zip(("x", "y", "width", "height"), (*size, *size), strict=True)
    )
    turned = parse_number(value.get("rotation") or 0, at, "rotation")
    if turned:  # around its top left corner; what is upright and holds it
        c, s = math.cos(math.radians(turned)), math.sin(math.radians(turned))
        corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
        xs, ys = zip(*((u * c - v * s, u * s + v * c) for u, v in corners), strict=True)
        return (x + min(xs), y + min(ys), max(xs) - min(xs), max(ys) - min(ys))
    return (x, y, width, height)
