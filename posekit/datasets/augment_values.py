"""Checks of the values that augmentations are given."""

from __future__ import annotations

import math
from collections.abc import Sequence

from posekit.errors import InputError

__all__ = ["expect", "expect_hsv", "expect_probability", "expect_range"]


def expect(condition: bool, name: str, expected: str, found: object) -> None:
    """Refuses what does not meet a condition.

    Raises:
        InputError: otherwise; the message names the value, and what was expected and found.
    """
    if not condition:
        raise InputError(f"{name}: expected {expected}, found {found}")


def expect_probability(name: str, value: float) -> None:
    """Refuses what is not from 0 to 1."""
    expect(0 <= value <= 1, name, "a probability 0..1", value)


def expect_range(name: str, values: Sequence[float], most: float = math.inf) -> None:
    """Refuses what is not a smallest and a largest positive number."""
    good = len(values) == 2 and 0 < values[0] <= values[1] <= most and math.isfinite(values[1])
    limit = f", at most {most}" if math.isfinite(most) else ""
    expect(good, name, f"[smallest, largest], positive{limit}", list(values))


def expect_hsv(name: str, values: Sequence[float]) -> None:
    """Refuses what is not a change of hue, saturation and value."""
    expect(
        len(values) == 3 and all(0 <= value <= 255 for value in values),
        name,
        "three numbers 0..255: hue, saturation, value",
        list(values),
    )
