"""CVAT's XML, "for images 1.1" and "for video 1.1": skeletons, or points and boxes.

`outside` means no label, `occluded` hidden. Every frame of a track that the file has is taken, up
to where the whole track is outside. Of a turned box the upright one around it is taken. A project's
file has the tracks of several videos, each a task.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from posekit.datasets.problems import Findings
from posekit.errors import InputError
from posekit.labelling.label_set import (
    ABSENT,
    Category,
    Image,
    LabelSet,
    Person,
    parse_index,
    parse_number,
)
from posekit.labelling.people import Box, Loose, Point, add_people, names_in_order
from posekit.labelling.plain_xml import Element, read_xml

__all__ = ["read"]


def read(path: Path, keypoints: Sequence[str], found: Findings) -> LabelSet:
    """See `posekit.labelling.readers`.

    Raises:
        InputError: not an XML file of CVAT's.
    """
    if path.is_dir():
        path = next(iter(sorted(path.rglob("annotations.xml"))), path / "annotations.xml")
    root = read_xml(path)
    if root.tag != "annotations":
        raise InputError(f"{path}: expected CVAT's <annotations>, found <{root.tag}>")
    labels = LabelSet("CVAT")
    reader = _Reader(path, root, keypoints, found)
    images = [reader.image(element) for element in root.iterfind("image")]
    images += reader.frames()
    labels.categories.update(reader.skeletons)
    # Points and boxes beside skeletons are people of their own.
    declared = [label.findtext("name") or "" for label in root.iterfind("meta//label")]
    add_people(labels, images, found, keypoints or names_in_order(images, declared))
    return labels


class _Reader:
    """One file."""

    def __init__(
        self, path: Path, root: Element, keypoints: Sequence[str], found: Findings
    ) -> None:
        self.path, self.root, self.found = path, root, found
        self.keypoints = tuple(keypoints)
        self.skeletons = self._declared()
        meta = root.find("meta")
        self.meta = root if meta is None else meta
        self.tasks = {task.findtext("id"): task for task in self.meta.iterfind(".//task")}

    def _declared(self) -> dict[str, Category]:
        """Skeletons that the file's head describes; others follow from what they consist of."""
        labels = list(self.root.iterfind("meta//label"))
        parts: dict[str, list[str]] = {}
        for label in labels:
            parent = label.findtext("parent")
            if parent:
                parts.setdefault(parent, []).append(label.findtext("name") or "")
        found = {}
        for label in labels:
            name = label.findtext("name") or ""
            if label.findtext("type") == "skeleton" and name in parts:
                names = self.keypoints or tuple(parts[name])
                found[name] = Category(name, names, _links(label.findtext("svg") or "", names))
        return found

    def _skeleton(self, label: str, parts: Sequence[str]) -> Category:
        if label not in self.skeletons:
            self.skeletons[label] = Category(label, self.keypoints or tuple(parts))
        return self.skeletons[label]

    def image(self, element: Element) -> Loose:
        """A picture, or a frame of a video that was labelled like pictures."""
        name = element.get("name") or ""
        place = f"{self.path}, image {name or element.get('id')}"
        size = _size(element.get("width"), element.get("height"))
        about = self.tasks.get(element.get("task_id"), self.meta)
        image = Image(name, size, split=_split(element.get("subset")))
        frame = re.fullmatch(r"frame_(\d{6,9})", name)
        if frame and (source := about.findtext(".//source")):
            image.video, image.frame = Path(source), int(frame.group(1))
        one = Loose(image, place)
        for child in element:
            self._add(one, child, child.get("label") or "", place)
        self._pair(one)
        return one

    def frames(self) -> list[Loose]:
        """Frames of the tracks of videos."""
        frames: dict[tuple[str, int], Loose] = {}
        for number, track in enumerate(self.root.iterfind("track")):
            task = track.get("task_id") or ""
            for element in track:
                id_, at_ = track.get("id", number), element.get("frame")
                place = f"{self.path}, track {id_!s:.20}, frame {at_!s:.20}"
                if (at := parse_index(element.get("frame"))) is None:
                    self.found.add("shapes of a track without a frame", place)
                    continue
                if element.get("outside") == "1":
                    self.found.leave_out("frames in which a track is outside")
                    continue
                if (task, at) not in frames:
                    image = self._frame(task, at, _split(track.get("subset")))
                    frames[task, at] = Loose(image, f"{self.path}, frame {at}")
                track_id = parse_index(track.get("id"))
                track_id = number if track_id is None else track_id
                label = track.get("label") or element.get("label") or ""
                if _group(element) is None and (group := _group(track)) is not None:
                    element.set("group_id", group)  # CVAT writes it with the track
                self._add(frames[task, at], element, label, place, track_id)
        for one in frames.values():
            self._pair(one)
        return [frames[key] for key in sorted(frames)]

    def _frame(self, task: str, at: int, split: str) -> Image:
        about = self.tasks.get(task, self.meta)
        source = about.findtext(".//source") or about.findtext(".//name") or "video"
        size = _size(
            about.findtext(".//original_size/width"), about.findtext(".//original_size/height")
        )
        name = f"frame_{at:06d}.png"
        return Image(name, size, split=split, video=Path(source), frame=at)

    def _pair(self, one: Loose) -> None:
        """Boxes of a skeleton's group are the person's; others beside skeletons are left out."""
        groups = {person.group: person for person in one.image.people if person.group is not None}
        if not one.image.people:
            return
        for box in one.boxes:
            person = groups.get(str(box.group))
            if person is None:
                what = "boxes that are in no skeleton's group, left out"
                self.found.add(what, f"{one.place}, '{box.name}'", False)
            else:
                person.box = box.xywh
        one.boxes.clear()

    def _add(
        self, one: Loose, element: Element, label: str, place: str, track: int | None = None
    ) -> None:
        try:
            if element.tag == "skeleton":
                self._add_skeleton(one, element, label, place, track)
            elif element.tag == "points":
                self._add_points(one, element, label, place)
            elif element.tag == "box":
                x, y, x2, y2 = (
                    _number(element, key, place) for key in ("xtl", "ytl", "xbr", "ybr")
                )
                turned = parse_number(element.get("rotation") or 0, place, "rotation")
                one.boxes.append(Box(label, _upright((x, y, x2, y2), turned), _group(element)))
            elif element.tag not in ("tag", "attribute"):
                what = f"shapes of the kind '{element.tag}', left out: keypoints are points"
                self.found.add(what, place, False)
        except InputError as error:
            self.found.add("shapes that cannot be read", str(error))

    def _add_points(self, one: Loose, element: Element, label: str, place: str) -> None:
        points = list(_points(element, place))
        if len(points) != 1:
            what = "points of several places, left out: draw a skeleton, or a point per keypoint"
            self.found.add(what, f"{place}, '{label}'", False)
            return
        v = _visibility(element)
        if v:
            one.points.append(Point(label, *points[0], v, _group(element)))

    def _add_skeleton(
        self, one: Loose, element: Element, label: str, place: str, track: int | None
    ) -> None:
        parts = [part for part in element if part.tag == "points"]
        names = [part.get("label") or "" for part in parts]
        category = self._skeleton(label, names)
        known = {}
        for name, part in zip(names, parts, strict=True):
            if name not in category.keypoints:
                what = f"points that are not in the skeleton, left out: '{name}'"
                self.found.add(what, place, False)
            elif name in known:
                raise InputError(f"{place}: '{name}' is twice in a skeleton")
            else:
                v = _visibility(part)
                point = next(_points(part, place), None) if v else None
                known[name] = ABSENT if point is None else (*point, v)
        if not any(v for _, _, v in known.values()):
            self.found.leave_out("skeletons that are outside with all their points")
            return
        points = [known.get(name, ABSENT) for name in category.keypoints]
        group = _group(element)
        one.image.people.append(Person(label, points, None, place, track, group))


def _links(svg: str, names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Lines between circles of a skeleton's drawing; circles are named, or count from 1."""
    named = {}
    for circle in re.findall(r"<circle\b[^>]*>", svg):
        node, label = (_attribute(circle, key) for key in ("data-node-id", "data-label-name"))
        if node and label in names:
            named[node] = names.index(label)
    links = []
    for line in re.findall(r"<line\b[^>]*>", svg):
        ends = [_attribute(line, key) for key in ("data-node-from", "data-node-to")]
        counted = [(parse_index(end) or 0) - 1 for end in ends]
        places = [
            named.get(end, -1 if named else count) for end, count in zip(ends, counted, strict=True)
        ]
        if all(0 <= place < len(names) for place in places) and places[0] != places[1]:
            links.append((places[0], places[1]))
    return tuple(links)


def _attribute(element: str, key: str) -> str:
    match = re.search(rf'{key}\s*=\s*["\']([^"\']*)', element)
    return match.group(1) if match else ""


def _size(width: str | None, height: str | None) -> tuple[int, int] | None:
    sides = [parse_index(side) or 0 for side in (width, height)]
    return (sides[0], sides[1]) if all(sides) else None


def _split(subset: str | None) -> str:
    name = (subset or "").lower()
    known = {
        "train": "train",
        "training": "train",
        "validation": "val",
        "val": "val",
        "test": "test",
    }
    return known.get(name, "" if name in ("", "default") else name)


def _group(element: Element) -> str | None:
    group = element.get("group_id")
    return None if group in (None, "", "0") else group


def _upright(
    corners: tuple[float, float, float, float], turned: float
) -> tuple[float, float, float, float]:
    """x, y, width, height of the upright box around one that is turned around its centre."""
    x, y, x2, y2 = corners
    w, h = x2 - x, y2 - y
    c, s = abs(math.cos(math.radians(turned))), abs(math.sin(math.radians(turned)))
    width, height = (w, h) if not turned else (w * c + h * s, w * s + h * c)
    return ((x + x2 - width) / 2, (y + y2 - height) / 2, width, height)


def _visibility(element: Element) -> int:
    if element.get("outside") == "1":
        return 0
    return 1 if element.get("occluded") == "1" else 2


def _number(element: Element, key: str, place: str) -> float:
    return parse_number(element.get(key), place, key)


def _points(element: Element, place: str) -> Iterator[tuple[float, float]]:
    for pair in (element.get("points") or "").split(";"):
        x, comma, y = pair.partition(",")
        if not comma:
            raise InputError(f"{place}: expected points as x,y, found {pair[:40]!r}")
        yield parse_number(x, place, "x"), parse_number(y, place, "y")
