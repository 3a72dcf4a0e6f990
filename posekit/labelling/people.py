"""Loose points and boxes, as general labelling tools have them -> people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from posekit.datasets.problems import Findings
from posekit.labelling.label_set import ABSENT, Category, Image, LabelSet, Person

__all__ = ["Box", "Loose", "Point", "add_people", "is_hidden", "names_in_order"]

DEFAULT_CATEGORY = "person"
_SEEN = {"2", "visible", "seen", "yes", "true"}
_HIDDEN = {"1", "occluded", "hidden", "invisible", "not visible", "not_visible", "covered"}
_ABSENT = {"0", "outside", "absent", "missing", "not in image", "unlabeled", "unlabelled"}


@dataclass(frozen=True)
class Point:
    """A labelled point.

    Attributes:
        name: of the keypoint.
        x, y: in pixels, or fractions of the image's size.
        v: COCO's visibility.
        group: the id of its person; None if the tool has none.
    """

    name: str
    x: float
    y: float
    v: int = 2
    group: object = None


@dataclass(frozen=True)
class Box:
    """A labelled box: x, y, width, height; `group` as that of `Point`."""

    name: str
    xywh: tuple[float, float, float, float]
    group: object = None

    def holds(self, point: Point) -> bool:
        """Whether a point lies in it, up to rounding."""
        x, y, width, height = self.xywh
        slack = 1e-6 * max(1.0, width, height)
        return -slack <= point.x - x <= width + slack and -slack <= point.y - y <= height + slack


@dataclass
class Loose:
    """The loose points and boxes of an image."""

    image: Image
    place: str
    points: list[Point] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)


def is_hidden(word: object) -> int | None:
    """The COCO visibility that a user's word stands for; None if it does not tell."""
    text = str(word).strip().lower()
    for v, words in ((2, _SEEN), (1, _HIDDEN), (0, _ABSENT)):
        if text in words:
            return v
    return None


def names_in_order(images: Iterable[Loose], declared: Iterable[str]) -> tuple[str, ...]:
    """Names of the points, in the order in which the tool declares them.

    Args:
        images: what is on each.
        declared: all names, also of other things.

    Returns:
        The names of points in their order, empty if some are not declared.
    """
    images = list(images)
    used = {point.name for one in images for point in one.points}
    order = tuple(dict.fromkeys(declared))
    return tuple(name for name in order if name in used) if used <= set(order) else ()


def add_people(
    labels: LabelSet, images: Iterable[Loose], found: Findings, keypoints: Sequence[str]
) -> None:
    """Makes people from loose points and boxes, and adds the images to the set.

    Points and boxes of one group are one person. A point without a group belongs to the only box
    that it lies in; on an image without boxes all such points are one person.

    Args:
        labels: gets images and categories.
        images: what is on each.
        found: takes what is left out, and what is unclear.
        keypoints: names in order; empty for all, in the order in which they turn up.
    """
    images = list(images)
    names = tuple(keypoints) or tuple(dict.fromkeys(p.name for one in images for p in one.points))
    if names and not keypoints:
        what = "its keypoints are in order of appearance; keypoints=[...] sets another order"
        found.whole(what, False)
    for one in images:
        for person in _people_of(one, names, found):
            known = labels.categories.setdefault(person.category, Category(person.category, names))
            if known.keypoints != names:  # those of skeletons, beside which these are
                points = dict(zip(names, person.points, strict=True))
                for name in points.keys() - set(known.keypoints):
                    what = f"points that are none of the category's, left out: '{name}'"
                    found.add(what, person.place, False)
                person.points = [points.get(name, ABSENT) for name in known.keypoints]
            one.image.people.append(person)
        labels.images.append(one.image)


def _people_of(one: Loose, names: Sequence[str], found: Findings) -> list[Person]:
    groups: dict[object, tuple[list[Point], list[Box]]] = {}
    alone: list[tuple[list[Point], list[Box]]] = []
    for box in one.boxes:
        if box.group is None:
            alone.append(([], [box]))
        else:
            groups.setdefault(box.group, ([], []))[1].append(box)
    rest: list[Point] = []
    for point in one.points:
        if point.name not in names:
            found.add(f"points of other names than keypoints={list(names)}", one.place, False)
        elif point.group is not None:
            groups.setdefault(point.group, ([], []))[0].append(point)
        else:
            rest.append(point)
    people = [*groups.values(), *alone]
    _assign(one, rest, people, found)
    made = []
    for points, boxes in people:
        person = _person(one, points, boxes, names, found)
        if person is not None:
            made.append(person)
    return made


def _assign(
    one: Loose,
    rest: list[Point],
    people: list[tuple[list[Point], list[Box]]],
    found: Findings,
) -> None:
    """Points without a group go to the only box around them."""
    if not rest:
        return
    if not any(boxes for _, boxes in people):
        people.append((rest, []))
        return
    if len(people) == 1:
        people[0][0].extend(rest)
        return
    for point in rest:
        around = [points for points, boxes in people if any(box.holds(point) for box in boxes)]
        if len(around) == 1:
            around[0].append(point)
        else:
            where = "no box" if not around else f"{len(around)} boxes"
            what = "points that belong to nobody: without a group, and not in exactly one box"
            found.add(what, f"{one.place}, '{point.name}' in {where}")


def _person(
    one: Loose, points: list[Point], boxes: list[Box], names: Sequence[str], found: Findings
) -> Person | None:
    if len(boxes) > 1:
        found.add("people with several boxes: give each person a group of its own", one.place)
        return None
    repeated = sorted({p.name for p in points if [q.name for q in points].count(p.name) > 1})
    if repeated:
        what = "people with a duplicate keypoint: give each person a group of its own"
        found.add(what, f"{one.place}, '{repeated[0]}'")
        return None
    known = {point.name: (point.x, point.y, point.v) for point in points}
    groups = [*(point.group for point in points), *(box.group for box in boxes)]
    group = next((one for one in groups if one is not None), None)
    return Person(
        category=boxes[0].name if boxes else DEFAULT_CATEGORY,
        points=[known.get(name, ABSENT) for name in names],
        box=boxes[0].xywh if boxes else None,
        place=one.place if group is None else f"{one.place}, group {group}",
    )
