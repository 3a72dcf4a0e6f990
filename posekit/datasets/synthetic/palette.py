"""Colours and noise, and the types that the drawing of people shares."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

__all__ = [
    "TILE",
    "Array",
    "Color",
    "Rng",
    "any_color",
    "cloth_color",
    "mix",
    "noise_field",
    "pick",
    "shade",
    "vary",
]

Array = np.ndarray[Any, np.dtype[Any]]
Color = tuple[float, float, float]
Rng = np.random.Generator
TILE = 512


def noise_field(width: int, height: int, x: int, y: int) -> Array:
    """(height, width, 3) uint8 around 128 with a deviation of 32, from a tile that repeats."""
    return _noise_tiles(-(-(x + width) // TILE), -(-(y + height) // TILE))[
        y : y + height, x : x + width
    ]


@lru_cache(maxsize=16)
def _noise_tiles(columns: int, rows: int) -> Array:
    values = np.random.default_rng(0).normal(128, 32, (TILE, TILE, 3))
    return np.tile(np.clip(values, 0, 255).astype(np.uint8), (rows, columns, 1))


def any_color(
    rng: Rng,
    hue: tuple[int, int] = (0, 179),
    saturation: tuple[int, int] = (20, 230),
    value: tuple[int, int] = (50, 250),
) -> Color:
    """A BGR colour from ranges of OpenCV's HSV."""
    hsv = np.array([[[rng.integers(low, high + 1) for low, high in (hue, saturation, value)]]])
    blue, green, red = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return float(blue), float(green), float(red)


def cloth_color(rng: Rng) -> Color:
    """A colour that clothes have."""
    if rng.random() < 0.2:
        grey = float(rng.uniform(30, 245))
        return grey, grey, grey
    return any_color(rng, saturation=(90, 220), value=(90, 245))


def vary(rng: Rng, palette: Sequence[Color]) -> Color:
    """One of a palette of RGB colours, a little brighter or darker, in BGR."""
    red, green, blue = palette[int(rng.integers(len(palette)))]
    return shade((blue, green, red), float(rng.uniform(0.9, 1.08)))


def shade(color: Color, by: float) -> Color:
    """Lighter where `by` is above 1, darker below."""
    blue, green, red = color
    return min(255.0, blue * by), min(255.0, green * by), min(255.0, red * by)


def mix(one: Color, other: Color, part: float) -> Color:
    """One colour with a part, 0 to 1, of another."""
    blue, green, red = (a + (b - a) * part for a, b in zip(one, other, strict=True))
    return blue, green, red


def pick(rng: Rng, choices: Sequence[Any]) -> Any:
    """One of the choices."""
    return choices[int(rng.integers(len(choices)))]
