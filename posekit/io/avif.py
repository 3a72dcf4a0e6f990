"""How an AVIF is turned: its boxes `irot` and `imir`, which OpenCV does not read.

Where they are, they count instead of the EXIF tag (MIAF, ISO/IEC 23000-22, 7.3.6.7).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

__all__ = ["Turn", "stored_turn"]

BRANDS = (b"avif", b"avis", b"mif1", b"msf1", b"miaf")


class Turn(NamedTuple):
    """What a reader does with the decoded picture, in this order.

    Attributes:
        quarters: turns by 90 degrees, anticlockwise.
        mirror: the axis of the array that is reversed then, 0 for top and bottom; None for none.
    """

    quarters: int
    mirror: int | None

    def upright(self, image: np.ndarray) -> np.ndarray:
        """A picture (H, W, ...) as it is to be seen."""
        turned = np.rot90(image, self.quarters)
        if self.mirror is not None:
            turned = np.flip(turned, self.mirror)
        return np.ascontiguousarray(turned)


def stored_turn(data: bytes) -> Turn | None:
    """How the bytes of an AVIF say that it is turned; None where they do not, or of other files."""
    if data[4:8] != b"ftyp" or data[8:12] not in BRANDS:
        return None
    meta = _inside(data, "meta", 4)
    properties = _inside(meta, "iprp")
    chosen = _properties_of(_inside(properties, "ipma"), _primary(meta))
    kept = [
        box
        for number, box in enumerate(_boxes(_inside(properties, "ipco")), 1)
        if number in chosen and box[0] in (b"irot", b"imir") and box[1]
    ]
    values = {kind: content[0] for kind, content in kept}
    if not values:
        return None
    mirror = values.get(b"imir")
    return Turn(values.get(b"irot", 0) & 3, None if mirror is None else mirror & 1)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box, as far as they are whole."""
    position = 0
    while position + 8 <= len(data):
        size, begin = int.from_bytes(data[position : position + 4], "big"), position + 8
        if size == 1:
            size, begin = int.from_bytes(data[begin : begin + 8], "big"), begin + 8
        end = len(data) if size == 0 else position + size
        if end < begin or end > len(data):
            return
        yield data[position + 4 : position + 8], data[begin:end]
        position = end


def _inside(data: bytes, kind: str, skip: int = 0) -> bytes:
    """The content of the first box of a type, without its version and flags; empty if none."""
    found = (content for name, content in _boxes(data) if name == kind.encode())
    return next(found, b"")[skip:]


def _primary(meta: bytes) -> int:
    """The number of the item that is the picture."""
    content = _inside(meta, "pitm")
    return int.from_bytes(content[4 : 6 if content[:1] == b"\0" else 8], "big")


def _properties_of(content: bytes, item: int) -> set[int]:
    """The properties that belong to an item, counted from 1."""
    if len(content) < 8:
        return set()
    of_item, of_number = (4 if content[0] else 2), (2 if content[3] & 1 else 1)
    position = 8
    for _ in range(int.from_bytes(content[4:8], "big")):
        if position + of_item >= len(content):
            break
        number = int.from_bytes(content[position : position + of_item], "big")
        begin = position + of_item + 1
        position = begin + content[begin - 1] * of_number
        if number == item:
            listed = content[begin:position]
            # The first bit says whether a reader must know the property.
            most = (1 << (8 * of_number - 1)) - 1
            return {
                int.from_bytes(listed[n : n + of_number], "big") & most
                for n in range(0, len(listed), of_number)
            }
    return set()
