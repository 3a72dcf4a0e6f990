"""Single values of labels as tools write them -> numbers as COCO has them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = [
    "Ids",
    "box_around",
    "box_values",
    "flag",
    "flat_keypoints",
    "has_odd_visibility",
    "is_area",
    "number",
    "usable_links",
    "whole_number",
]

# Of the longer side of the keypoints' extent, on each side of it: they lie inside of a body.
BOX_MARGIN = 0.1
# Coordinates beyond are no pixels; float32 holds all others.
LARGEST = 1e9


def number(value: Any) -> float:
    """A number, also as text or a truth value; NaN for null and an empty text.

    Raises:
        ValueError: it is not a number.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, str):
        word = value.strip().lower()
        words = {"": math.nan, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "null": math.nan}
        return words[word] if word in words else float(word.replace("_", " "))
    raise ValueError(f"not a number: {value!r}")


def whole_number(value: Any) -> int | None:
    """5 for 5, 5.0, "5", " 5" and "5.0"; None for what is no whole number of 64 bits."""
    if type(value) is int:  # nearly all
        return value if -(2**63) < value < 2**63 else None
    if isinstance(value, str):
        if not re.fullmatch(r"\s*[+-]?[0-9]{1,20}(\.0*)?\s*", value):
            return None
        value = int(value.partition(".")[0])
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) and value == int(value) else None
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
        return None
    return value


def flag(value: Any) -> bool | None:
    """The truth value of 0, 1, true, "0", "false" or null; None for what means neither."""
    try:
        found = number(value)
    except ValueError:
        return None
    return False if math.isnan(found) else found != 0


class Ids:
    """Whole numbers for ids: 5, "5" and 5.0 are one; other texts are numbered in their order.

    Args:
        values: every id of its kind, in the file's order.

    Attributes:
        texts: each text that is no whole number -> the number that stands for it.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        values = list(values)
        known = [found for value in values if (found := whole_number(value)) is not None]
        self.texts: dict[str, int] = {}
        self._next = max(known, default=0) + 1
        if self._next >= 2**63 - len(values) - 1:
            self._next = min(known) - len(values) - 1
        for value in values:
            text = _text_id(value)
            if text is not None and text not in self.texts:
                self.texts[text] = self.new()

    def get(self, value: Any) -> int | None:
        """The number of an id; None for what is no id, or an unknown text."""
        found = whole_number(value)
        if found is not None:
            return found
        text = _text_id(value)
        return None if text is None else self.texts.get(text)

    def new(self) -> int:
        """A number that no id has."""
        self._next += 1
        return self._next - 1


def _text_id(value: Any) -> str | None:
    if whole_number(value) is not None:
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # beyond 64 bits
    return None


def flat_keypoints(part: Any, count: int | None) -> tuple[list[float], bool]:
    """Keypoints as x, y, v, ... from lists, lists of lists, or text.

    Coordinates that are null or NaN are 0 where v is 0. Without visibility, all but those at 0, 0
    and null are labelled.

    Args:
        part: the annotation's value.
        count: number of keypoints; None if it is not known.

    Returns:
        The numbers; coordinates that are no usable numbers, of keypoints that v says are labelled,
        are NaN. And whether v was absent.

    Raises:
        ValueError: it holds something else than numbers.
    """
    if isinstance(part, str):
        part = [word for word in re.split(r"[\s,;\[\]()]+", part) if word]
    while len(part) == 1 and isinstance(part[0], list) and _is_nested(part[0]):
        part = part[0]
    if _is_nested(part):
        rows = [row if row else [None, None, 0] for row in part]
        if any(not isinstance(row, list) or len(row) not in (2, 3) for row in rows):
            raise ValueError("keypoints of other lengths than 2 and 3")
        width = max(map(len, rows)) if any(part) else 3
        if any(row and len(row) != width for row in part):
            raise ValueError("keypoints of different lengths")
    else:
        width = 3
        pairs = len(part) == 2 * count if count else len(part) % 3 and not len(part) % 2
        # x, y, v of too few keypoints may be as long as x, y of all.
        triples = not len(part) % 3 and all(number(value) in (0, 1, 2) for value in part[2::3])
        if pairs and len(part) and not (triples and any(map(number, part[2::3]))):
            width = 2
        if len(part) % width:
            return [number(value) for value in part], False  # the count will be wrong
        rows = [part[i : i + width] for i in range(0, len(part), width)]
    values: list[float] = []
    for row in rows:
        values += _keypoint([number(value) for value in row])
    return values, width == 2


def _is_nested(part: Any) -> bool:
    return isinstance(part, list) and any(isinstance(row, list) for row in part)


def _keypoint(row: Sequence[float]) -> tuple[float, float, float]:
    x, y = row[:2]
    known = abs(x) < LARGEST and abs(y) < LARGEST  # False of NaN
    if len(row) == 2:
        v = 2.0 if not (math.isnan(x) or math.isnan(y)) and (x, y) != (0, 0) else 0.0
    else:
        v = row[2]
        if math.isnan(v) and not known:
            v = 0.0
    if v <= 0 and not known:
        x = y = 0.0
    elif not known:
        x = y = math.nan
    return x, y, v


def has_odd_visibility(values: Sequence[float]) -> bool:
    """Whether a visibility of x, y, v, ... is none of 0, 1 and 2."""
    return not set(values[2::3]) <= {0, 1, 2}


def box_values(value: Any) -> list[float] | None:
    """x, y, width, height from a list, a text or an object; None if there is no box.

    Raises:
        ValueError: it is anything else.
    """
    if isinstance(value, str):
        value = [word for word in re.split(r"[\s,;\[\]()]+", value) if word]
    if isinstance(value, Mapping):
        short = {"width": "w", "height": "h"}
        value = [value.get(key, value.get(short.get(key, key))) for key in _BOX_KEYS]
    if value is None or (isinstance(value, list) and not value):
        return None
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError("not four numbers")
    box = [number(side) for side in value]
    if all(map(math.isnan, box)) or not any(box):
        return None
    if not all(abs(side) < LARGEST for side in box):
        raise ValueError("not finite")
    return box


_BOX_KEYS = ("x", "y", "width", "height")


def box_around(values: Sequence[float], size_wh: tuple[float, float]) -> list[float] | None:
    """x, y, width, height around the labelled keypoints of x, y, v, ..., with a margin.

    A single point has no extent: its box is the whole image. None if there is no labelled keypoint,
    or the size is not known.
    """
    points = np.array(values, np.float64).reshape(-1, 3)
    points = points[points[:, 2] > 0, :2]
    if not len(points):
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    margin = BOX_MARGIN * float((high - low).max())
    if margin == 0:
        return [0.0, 0.0, *size_wh] if size_wh[0] else None
    return [*(low - margin).tolist(), *(high - low + 2 * margin).tolist()]


def is_area(value: Any, box: Sequence[float] | None, size_wh: tuple[float, float]) -> bool:
    """Whether an instance may have this area: tools write 0 or 1 if they know none."""
    try:
        area = number(value)
    except ValueError:
        return False
    if not 0 < area < LARGEST**2:
        return False
    if area <= 1 and box is not None and box[2] * box[3] > 10:
        return False
    return not size_wh[0] or area <= 1.01 * size_wh[0] * size_wh[1]


def usable_links(
    pairs: Any, names: Sequence[str]
) -> tuple[tuple[tuple[int, int], ...], str | None]:
    """Links of a category's `skeleton`, which only serves drawing, as indices from 0.

    Numbers count from 1; where a 0 is among them and none is too large, from 0. Names will do.
    Links of a keypoint to itself, repeated links and links to nothing are left out.

    Returns:
        The links; and what was changed, None for nothing.
    """
    if pairs is None:
        return (), None
    if not isinstance(pairs, list):
        return (), f"'skeleton' is not a list of pairs, so no link is drawn: {str(pairs)[:60]}"
    if pairs and len(pairs) % 2 == 0 and not any(isinstance(pair, list) for pair in pairs):
        pairs = [pairs[i : i + 2] for i in range(0, len(pairs), 2)]
    index = {name: i for i, name in enumerate(names)}
    rows = [pair for pair in pairs if _is_pair(pair)]
    counted = [whole_number(end) for row in rows for end in row if end not in index]
    numbers = [end for end in counted if end is not None]
    from_zero = 0 in numbers and all(0 <= end < len(names) for end in numbers)
    links: dict[frozenset[int], tuple[int, int]] = {}
    for row in rows:
        start, end = (_link_end(end, index, 0 if from_zero else 1) for end in row)
        if 0 <= start < len(names) and 0 <= end < len(names) and start != end:
            links.setdefault(frozenset((start, end)), (start, end))
    notes = []
    if from_zero:
        notes.append("counts keypoints from 0 instead of 1, and is taken so")
    if any(end in index for row in rows for end in row):
        notes.append("names keypoints instead of counting them, and is taken so")
    if len(links) < len(pairs):
        notes.append(
            f"has {len(pairs) - len(links)} links that are left out of drawings: expected pairs "
            f"of 1..{len(names)}, each once"
        )
    return tuple(links.values()), f"'skeleton' {'; it '.join(notes)}" if notes else None


def _link_end(end: str | int | float, index: Mapping[str, int], first: int) -> int:
    if isinstance(end, str) and end in index:
        return index[end]
    found = whole_number(end)
    return -1 if found is None else found - first


def _is_pair(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    return all(isinstance(v, str | int | float) and not isinstance(v, bool) for v in value)
