"""Colours as people write them."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from posekit.errors import InputError
from posekit.skeleton import Color

__all__ = ["COLORS", "is_rgb", "parse_color"]

# RGB. The first eight are those that MMCV knows, and mean what they mean there.
COLORS: dict[str, Color] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "cyan": (0, 255, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "orange": (255, 165, 0),
    "purple": (128, 0, 128),
    "pink": (255, 192, 203),
    "brown": (165, 42, 42),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "lime": (0, 255, 0),
    "navy": (0, 0, 128),
    "teal": (0, 128, 128),
    "olive": (128, 128, 0),
    "maroon": (128, 0, 0),
    "gold": (255, 215, 0),
    "violet": (238, 130, 238),
}
LETTERS = {
    "r": "red",
    "g": "green",
    "b": "blue",
    "c": "cyan",
    "m": "magenta",
    "y": "yellow",
    "k": "black",
    "w": "white",
}


def is_rgb(value: Any) -> bool:
    """True for three numbers, as against three colours."""
    return (
        isinstance(value, Sequence | np.ndarray)
        and len(value) == 3
        and all(isinstance(one, numbers.Real) for one in value)
    )


def parse_color(name: str, value: Any) -> Color | None:
    """A colour as three numbers, RGB; None for nothing.

    Args:
        name: of the option, for the error.
        value: a name, one of matplotlib's letters, `#rgb` or `#rrggbb`, three numbers of 0 to 255,
            or None.

    Raises:
        InputError: none of these.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value.lower()
        text = LETTERS.get(text, text)
        if text in COLORS:
            return COLORS[text]
        digits = text[1:] if len(text) != 4 else "".join(2 * digit for digit in text[1:])
        try:
            if text.startswith("#") and len(digits) == 6:
                red, green, blue = bytes.fromhex(digits)
                return red, green, blue
        except ValueError:
            pass
        raise InputError(
            f"{name}: unknown colour '{value}'; known are #rrggbb, r, g, b and {', '.join(COLORS)}"
        )
    try:
        red, green, blue = (int(one) for one in value)
    except (TypeError, ValueError):
        raise InputError(
            f"{name}: expected a colour's name, three numbers (RGB), or None, found {value!r}"
        ) from None
    if not all(0 <= one <= 255 for one in (red, green, blue)):
        raise InputError(f"{name}: a colour's numbers must be 0 to 255, found {value!r}")
    return red, green, blue
