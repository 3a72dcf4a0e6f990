"""Ultralytics' pose data sets: `data.yaml`, pictures, and a text file of labels for each.

A line is `class x y width height`, then x, y and, where `kpt_shape` says 3, the visibility of each
keypoint; x, y, width and height are fractions of the picture's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from posekit.datasets.image_paths import is_file
from posekit.datasets.problems import Findings
from posekit.errors import InputError
from posekit.labelling.label_set import (
    Category,
    Image,
    LabelSet,
    Person,
    Points,
    parse_index,
)
from posekit.plain_yaml import read_yaml
from posekit.skeleton import load_skeleton

__all__ = ["read"]

SPLITS = ("train", "val", "test")
# Ultralytics' own.
SUFFIXES = {".avif", ".bmp", ".dng", ".heic", ".heif", ".jp2", ".jpeg", ".jpg", ".mpo"}
SUFFIXES |= {".png", ".tif", ".tiff", ".webp"}
MOST = 10_000  # keypoints, and classes that are only counted
SLACK = 0.01  # of the picture, by which rounding may lead out of it


def read(path: Path, keypoints: Sequence[str], found: Findings) -> LabelSet:
    """See `posekit.labelling.readers`.

    Raises:
        InputError: no `kpt_shape`, no pictures, or a YAML that is not one.
    """
    if path.is_dir():
        path = _yaml_of(path)
    config = read_yaml(path)
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected keys such as kpt_shape and train, found {config!r:.40}")
    count, width = _shape(path, config)
    flips = _flips(path, config, count)
    names = _keypoint_names(path, config, keypoints, count, flips, found)
    classes = _classes(path, config)
    labels = LabelSet("a YOLO data set")
    for number, name in classes.items():
        own = names.get(number, names[-1])
        labels.categories[name] = Category(name, own, flip_indices=flips)
    rows = _Rows(path, classes, count, width, found)
    seen: set[Path] = set()
    for split in SPLITS:
        for image in _images(path, config, split):
            if image in seen:
                found.add(
                    "pictures that several splits or lists name, left out there", str(image), False
                )
                continue
            seen.add(image)
            entry = Image(str(image), path=image, split=split, shares=True)
            entry.people = rows.read(_label_path(image))
            labels.images.append(entry)
    if not labels.images:
        raise InputError(f"{path}: no image in {', '.join(SPLITS)}; is 'path' right?")
    return labels


def _yaml_of(folder: Path) -> Path:
    found = [p for suffix in ("yaml", "yml") for p in sorted(folder.glob(f"*.{suffix}"))]
    named = [p for p in found if p.stem == "data"]
    if len(named or found) != 1:
        listed = ", ".join(p.name for p in found) or "none"
        raise InputError(f"{folder}: expected one data.yaml, found {listed}; name the file")
    return (named or found)[0]


def _shape(path: Path, config: dict[str, Any]) -> tuple[int, int]:
    shape = config.get("kpt_shape")
    if shape is None:
        raise InputError(
            f"{path}: expected kpt_shape, such as [17, 3], found none: these are boxes or outlines "
            "without keypoints"
        )
    good = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int for n in shape)
    if not good or not 1 <= shape[0] <= MOST or shape[1] not in (2, 3):
        raise InputError(f"{path}: expected kpt_shape [1 to {MOST}, 2 or 3], found {_short(shape)}")
    return shape[0], shape[1]


def _short(value: Any) -> str:
    """The beginning of a value; Python does not write out very large numbers."""
    try:
        return str(value)[:60]
    except ValueError:
        return "a very large number"


def _flips(path: Path, config: dict[str, Any], count: int) -> tuple[int, ...] | None:
    flips = config.get("flip_idx")
    if flips is None or flips == []:
        return None
    if not isinstance(flips, list) or sorted(map(str, flips)) != sorted(map(str, range(count))):
        raise InputError(
            f"{path}: expected flip_idx to have 0..{count - 1} once each, found {_short(flips)}"
        )
    back = [i for i, other in enumerate(flips) if flips[other] != i]
    if back:
        i = back[0]
        raise InputError(
            f"{path}: flip_idx does not undo itself: {i} -> {flips[i]} -> {flips[flips[i]]}; "
            "mirroring twice must give the same keypoints"
        )
    return tuple(flips)


def _classes(path: Path, config: dict[str, Any]) -> dict[int, str]:
    names = config.get("names")
    if names is None and type(count := config.get("nc")) is int:
        if count > MOST:
            raise InputError(f"{path}: expected nc up to {MOST}, found {_short(count)}")
        names = [f"class{number}" for number in range(count)]
    if isinstance(names, list):
        names = dict(enumerate(names))
    keys = [parse_index(_short(key)) for key in names] if isinstance(names, dict) else []
    if not isinstance(names, dict) or not names or None in keys:
        raise InputError(f"{path}: expected names, such as {{0: person}}, found {_short(names)}")
    classes = {
        key: str(name) for key, name in zip(keys, names.values(), strict=True) if key is not None
    }
    if len(set(classes.values())) < len(classes):
        raise InputError(f"{path}: duplicate names: {list(classes.values())}")
    return classes


def _keypoint_names(
    path: Path,
    config: dict[str, Any],
    keypoints: Sequence[str],
    count: int,
    flips: tuple[int, ...] | None,
    found: Findings,
) -> dict[int, tuple[str, ...]]:
    """What keypoints are called, by class; of all others under -1."""
    stated = config.get("kpt_names", config.get("node_names"))  # Ultralytics, sleap-io
    named = {}
    if isinstance(stated, list):
        stated = {0: stated}
    for key, names in (stated or {}).items() if isinstance(stated, dict | None) else ():
        good = isinstance(names, list) and len({str(n) for n in names}) == len(names) == count
        number = parse_index(_short(key))
        if not good or number is None:
            raise InputError(
                f"{path}: expected {count} different names in kpt_names, found {_short(names)}"
            )
        named[number] = tuple(map(str, names))
    if keypoints:
        if len(keypoints) != count:
            raise InputError(
                f"{path}: kpt_shape says {count} keypoints, keypoints= has {len(keypoints)} names"
            )
        return {-1: tuple(keypoints)}
    if named:
        return {-1: next(iter(named.values())), **named}
    coco = load_skeleton("coco")
    if count == coco.num_keypoints and flips in (coco.flip_indices, None):
        found.whole("it names no keypoints: 17 are taken for COCO's", False)
        return {-1: coco.names}
    what = (
        "it does not name its keypoints, so they are numbered; name them with "
        "keypoints=[nose,...], in order"
    )
    found.whole(what, False)
    return {-1: tuple(f"keypoint_{number}" for number in range(count))}


def _images(path: Path, config: dict[str, Any], split: str) -> Iterator[Path]:
    """Pictures of a split, in order."""
    value = config.get(split)
    if split == "val" and value is None:
        value = config.get("valid")
    if not value:
        return
    for entry in value if isinstance(value, list) else [value]:
        place = _existing(path, config, split, str(entry))
        if place.is_dir():
            yield from sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            yield from _listed(place, split)


def _existing(path: Path, config: dict[str, Any], split: str, entry: str) -> Path:
    """A folder or list, from `path`, or, of a set that was moved, from where its YAML lies."""
    here = path.resolve().parent
    roots = [here / str(config["path"])] if config.get("path") else []
    entry = entry.replace("\\", "/")
    shorter = entry
    while shorter.startswith("../"):
        shorter = shorter[3:]  # Roboflow's lead out of the folder they are in
    tried = [root / name for name in (entry, shorter) for root in (*roots, here)]
    place = next((one for one in tried if _is_dir(one) or is_file(one)), None)
    if place is None:
        listed = " or ".join(dict.fromkeys(str(one) for one in tried))
        raise InputError(f"{path}: {split}: no such folder or list: {listed}")
    return place


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # no path at all
        return False


def _listed(place: Path, split: str) -> Iterator[Path]:
    if place.suffix.lower() in SUFFIXES:
        yield place
        return
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{place}: expected a list of images for {split}: {error}") from None
    for number, line in enumerate(lines, 1):
        name = line.strip().replace("\\", "/")
        if not name:
            continue
        image = next((p for p in (place.parent / name, Path(name)) if is_file(p)), None)
        if image is None:
            raise InputError(f"{place}, line {number}: no such image: {name}")
        yield image


def _label_path(image: Path) -> Path:
    """`labels/train/a.txt` of `images/train/a.jpg`; beside a picture that lies elsewhere."""
    parts = list(image.parts)
    for at in range(len(parts) - 2, -1, -1):
        if parts[at] == "images":
            return Path(*parts[:at], "labels", *parts[at + 1 :]).with_suffix(".txt")
    return image.with_suffix(".txt")


class _Rows:
    """Reads files of labels."""

    def __init__(
        self, yaml: Path, classes: dict[int, str], count: int, width: int, found: Findings
    ) -> None:
        self.yaml, self.classes = yaml, classes
        self.count, self.width = count, width
        self.found = found

    def read(self, path: Path) -> list[Person]:
        """The people of a picture; none where it has no file."""
        if not path.is_file():
            return []
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            self.found.add("label files that cannot be read", f"{path} ({error})")
            return []
        people: list[Person] = []
        seen: set[tuple[str, ...]] = set()
        for number, line in enumerate(lines, 1):
            place = f"{path}, line {number}"
            if not line.strip():
                continue
            if tuple(line.split()) in seen:
                self.found.add("duplicate lines, left out", place, False)
                continue
            seen.add(tuple(line.split()))
            person = self._person(line.split(), place)
            if person is not None:
                people.append(person)
        return people

    def _person(self, words: list[str], place: str) -> Person | None:
        expected = 5 + self.count * self.width
        if len(words) != expected:
            what = f"lines of another length than {expected}, for kpt_shape {self.shape}"
            self.found.add(what, f"{place} has {len(words)} numbers")
            return None
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            self.found.add("lines with something else than numbers", place)
            return None
        name = self.classes.get(int(numbers[0])) if numbers[0] == numbers[0] // 1 else None
        if name is None:
            self.found.add(f"classes that {self.yaml.name} does not name", f"{place}: {words[0]}")
            return None
        x, y, width, height = numbers[1:5]
        points = self._points(numbers[5:], place)
        values = [*numbers[1:5], *(side for x_, y_, v in points if v for side in (x_, y_))]
        if not all(-SLACK <= value <= 1 + SLACK for value in values):
            what = "lines with numbers beyond 0..1: expected fractions of the picture, not pixels"
            self.found.add(what, place)
            return None
        if not (width > 0 and height > 0):
            self.found.add("boxes without area", place)
            return None
        return Person(name, points, (x - width / 2, y - height / 2, width, height), place)

    @property
    def shape(self) -> list[int]:
        return [self.count, self.width]

    def _points(self, numbers: Sequence[float], place: str) -> Points:
        points: Points = []
        for at in range(0, len(numbers), self.width):
            x, y = numbers[at : at + 2]
            v = numbers[at + 2] if self.width == 3 else 2.0 * (x > 0 or y > 0) * (x >= 0 <= y)
            if v not in (0, 1, 2):
                what = "visibilities other than 0, 1 and 2: any above 0 is taken as seen"
                self.found.add(what, place, False)
                v = 2.0 if v > 0 else 0.0
            points.append((x, y, int(v)) if v else (0.0, 0.0, 0))
        return points
