"""The project and the CSV of VIA 3, as regions of VIA 2."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from posekit.datasets.problems import Findings
from posekit.errors import InputError

__all__ = [
    "Region",
    "cell_of",
    "is_via3_csv",
    "is_via3_project",
    "regions_of_csv",
    "regions_of_project",
]

# Its place for messages, its picture's name, and the region; None for a picture without any.
Region = tuple[str, str, Mapping[str, Any] | None]
_FIRST_LINE = "# Exported using VGG Image Annotator"
_FIELDS = 6  # metadata_id, file_list, flags, temporal_coordinates, spatial_coordinates, metadata
# VIA's numbers of shapes, and what follows them.
_SHAPES = {1: ("point", ("cx", "cy")), 2: ("rect", ("x", "y", "width", "height"))}
_IMAGE = 2  # VIA's number of a file's type


def is_via3_project(data: Mapping[str, Any]) -> bool:
    """Whether a JSON is a project of VIA 3."""
    return {"project", "attribute", "file", "metadata", "view"} <= data.keys()


def is_via3_csv(path: Path) -> bool:
    """Whether a CSV begins like one of VIA 3."""
    with path.open("rb") as file:
        return (
            file.read(len(_FIRST_LINE) + 3).lstrip(b"\xef\xbb\xbf").startswith(_FIRST_LINE.encode())
        )


def regions_of_project(
    path: Path, data: Mapping[str, Any], found: Findings, declared: list[str]
) -> Iterator[Region]:
    """The regions of a project's pictures; the texts of options are added to `declared`.

    Raises:
        InputError: files, views or metadata are not VIA's.
    """
    attributes = _attributes(data.get("attribute"), str(path))
    declared += _texts(attributes)
    try:
        names = {}
        for view, about in data["view"].items():
            files = [data["file"][str(one)] for one in about["fid_list"]]
            if len(files) == 1 and files[0].get("type", _IMAGE) == _IMAGE:
                names[view] = str(files[0].get("fname") or files[0]["src"])
                yield f"view {view}", names[view], None
            else:
                what = "views of several files, or of sound or video, left out: expected images"
                found.add(what, f"{path}, view {view}", False)
        for key, entry in data["metadata"].items():
            name = names.get(str(entry["vid"]))
            region = _region(entry["xy"], entry["av"], attributes)
            if region is not None and (name is None or entry["z"]):
                found.add("regions of a time, or of no image, left out", f"{path}, {key}", False)
            elif region is not None and name is not None:
                yield f"{name}, metadata {key}", name, region
    except (AttributeError, LookupError, TypeError) as error:
        raise InputError(f"{path}: its files or metadata are not VIA's: {error!r}") from None


def regions_of_csv(path: Path, found: Findings, declared: list[str]) -> Iterator[Region]:
    """The regions of an export; the texts of options are added to `declared`.

    Raises:
        InputError: a line is not as VIA writes it.
    """
    attributes: dict[str, tuple[str, Mapping[str, Any]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(file, 1):
                place = f"line {number}"
                if line.startswith("# ATTRIBUTE = "):
                    value = cell_of(path, place, line.partition(" = ")[2])
                    attributes = _attributes(value, f"{path}, {place}")
                    declared += _texts(attributes)
                if line.startswith("#") or not line.strip():
                    continue
                cells = next(csv.reader([line]))
                if len(cells) != _FIELDS:
                    raise InputError(f"{path}, {place}: expected {_FIELDS} cells: {line[:60]!r}")
                files, z, xy = (_list(path, place, cells[at]) for at in (1, 3, 4))
                if len(files) != 1 or z:
                    what = "regions of several files, or of sound or video, left out"
                    found.add(what, f"{path}, {place}", False)
                    continue
                yield place, str(files[0]), None
                region = _region(xy, cell_of(path, place, cells[5]), attributes)
                if region is not None:
                    yield place, str(files[0]), region
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def cell_of(path: Path, place: str, text: str | None) -> dict[str, Any]:
    """A cell that is an object as JSON; empty for none.

    Raises:
        InputError: it is something else.
    """
    value = _parsed(text or "{}")
    if not isinstance(value, dict):
        raise InputError(f"{path}, {place}: expected an object as JSON, found {text!r:.40}")
    return value


def _list(path: Path, place: str, text: str) -> list[Any]:
    value = _parsed(text)
    if not isinstance(value, list):
        raise InputError(f"{path}, {place}: expected a list as JSON, found {text!r:.40}")
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _attributes(value: Any, place: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """The name of each attribute, and the texts of its options."""
    try:
        return {
            str(key): (str(one["aname"]), dict(one.get("options") or {}))
            for key, one in value.items()
        }
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{place}: its attributes are not VIA's: {error!r}") from None


def _texts(attributes: Mapping[str, tuple[str, Mapping[str, Any]]]) -> list[str]:
    return [str(text) for _, options in attributes.values() for text in options.values()]


def _region(
    xy: Sequence[Any],
    values: Mapping[str, Any],
    attributes: Mapping[str, tuple[str, Mapping[str, Any]]],
) -> dict[str, Any] | None:
    """As VIA 2 has it; None for what is about the whole picture."""
    if not xy:
        return None
    kind, sides = _SHAPES.get(xy[0], (f"{xy[0]} of VIA 3", ()))
    about = {}
    for key, value in values.items():
        name, options = attributes.get(str(key), (str(key), {}))
        chosen = str(value).split(",") if options else [str(value)]
        about[name] = ",".join(str(options.get(one, one)) for one in chosen)
    # Not strict: shapes that are not read have numbers and no names of sides here, and one that
    # lacks a side is told, with its place, where VIA 2's regions are read.
    return {
        "shape_attributes": {"name": kind, **dict(zip(sides, xy[1:], strict=False))},
        "region_attributes": about,
    }
