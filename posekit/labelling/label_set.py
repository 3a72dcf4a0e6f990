"""The labels that every reader returns, before images are looked up or files written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posekit.errors import InputError

__all__ = ["Category", "Image", "LabelSet", "Person", "Points", "parse_index", "parse_number"]

# Each keypoint's x and y in pixels and COCO's v: 0 for no label, 1 for hidden, 2 for seen.
Points = list[tuple[float, float, int]]
ABSENT = (0.0, 0.0, 0)


@dataclass
class Category:
    """A category of labelled instances.

    Attributes:
        name: such as "person".
        keypoints: keypoint names, in order.
        links: pairs of their indices.
        flip_indices: for each keypoint the index of its mirror image; None where the source does
            not say.
    """

    name: str
    keypoints: tuple[str, ...] = ()
    links: tuple[tuple[int, int], ...] = ()
    flip_indices: tuple[int, ...] | None = None


@dataclass
class Person:
    """One instance.

    Attributes:
        category: the category's name.
        points: one for each keypoint of the category, in order.
        box: x, y, width, height in pixels; None where the source has none.
        place: where it was read, for messages.
        track: the id of its track, if the source has one.
        group: the id that ties it to a box, if the source has one.
    """

    category: str
    points: Points
    box: tuple[float, float, float, float] | None
    place: str
    track: int | None = None
    group: str | None = None

    @property
    def labelled(self) -> int:
        """Keypoints that have a label."""
        return sum(v > 0 for _, _, v in self.points)


@dataclass
class Image:
    """An image, or a frame of a video.

    Attributes:
        name: as the source has it.
        size: (w, h) as the source has it; None where it does not say.
        path: the file, where the reader found it.
        split: such as "train"; empty where the source has none.
        video, frame: the clip that it is a frame of, and its number there, from 0.
        pixels: a function that returns the frame (H, W, 3), RGB or grey, if no file holds it.
        people: the people in it.
        shares: whether coordinates are fractions of the size, 0..1, instead of pixels.
    """

    name: str
    size: tuple[int, int] | None = None
    path: Path | None = None
    split: str = ""
    video: Path | None = None
    frame: int | None = None
    pixels: Any = None
    people: list[Person] = field(default_factory=list)
    shares: bool = False


@dataclass
class LabelSet:
    """All labels of a source.

    Attributes:
        tool: whose format it is, for messages.
        images: in the source's order.
        categories: by their names.
        files: for a folder, the resolved paths of the files that hold labels.
    """

    tool: str
    images: list[Image] = field(default_factory=list)
    categories: dict[str, Category] = field(default_factory=dict)
    files: frozenset[Path] = frozenset()


def parse_index(value: Any) -> int | None:
    """A text as a whole number from 0, of at most nine digits; None if it is not one."""
    text = str(value) if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def parse_number(value: Any, at: str, what: str) -> float:
    """A value or text of a file as a finite number.

    Raises:
        InputError: it is not one; the message begins with `at`.
    """
    try:
        found = float(value)
        if isinstance(value, bool) or not abs(found) < 1e9:
            raise ValueError
    except (OverflowError, TypeError, ValueError):
        raise InputError(f"{at}: expected a number as {what}, found {str(value)[:40]!r}") from None
    return found
