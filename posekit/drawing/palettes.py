"""Colours of people and of their left and right.

`colorblind` is the palette of Okabe and Ito, "Color Universal Design" (2008), with white in place
of black; people have other colours than the sides of the body. All are at least 16 apart (CIE 1976,
in CIELAB), for normal vision and for protanopia, deuteranopia and tritanopia as simulated by
Machado, Oliveira and Fernandes (2009); `tests/drawing/test_palettes.py` measures it.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from dataclasses import dataclass
from typing import Literal

from posekit.skeleton import Color, Skeleton

__all__ = ["PALETTES", "Palette", "PaletteName", "ink_on"]

PaletteName = Literal["mmpose", "colorblind"]

_LEFT = re.compile(r"left|Left|^[Ll][_ ]|[a-z]L\d*$")
_RIGHT = re.compile(r"right|Right|^[Rr][_ ]|[a-z]R\d*$")


@dataclass(frozen=True)
class Palette:
    """Colours, RGB.

    Attributes:
        people: colours of boxes, labels and trails, one per person in turn.
        sides: colours for the left, the right and the middle of a person; None if skeletons keep
            their own colours.
    """

    people: tuple[Color, ...]
    sides: tuple[Color, Color, Color] | None = None

    def person(self, number: int) -> Color:
        """The colour of a track id, always the same; after the last colour it starts again."""
        return self.people[number % len(self.people)]

    def recoloured(self, skeleton: Skeleton) -> Skeleton:
        """The skeleton in these colours.

        If its keypoints have no sides, as in a hand, its own colours are replaced one by one.
        """
        return skeleton if self.sides is None else _recoloured(self, skeleton)


PALETTES: dict[PaletteName, Palette] = {
    "mmpose": Palette(
        (
            (230, 25, 75),
            (60, 180, 75),
            (0, 130, 200),
            (255, 225, 25),
            (245, 130, 48),
            (145, 30, 180),
            (70, 240, 240),
            (240, 50, 230),
            (188, 246, 12),
            (0, 128, 128),
            (170, 110, 40),
            (250, 190, 212),
        )
    ),
    "colorblind": Palette(
        people=((0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)),
        sides=((86, 180, 233), (230, 159, 0), (255, 255, 255)),
    ),
}


def ink_on(color: Color) -> Color:
    """Black or white, whichever is read better on a colour; the contrast is at least 4.5 to 1.

    Relative luminance as in WCAG 2.2.
    """
    shares = [value / 255 for value in color]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    on_white, on_black = 1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05
    return (0, 0, 0) if on_black >= on_white else (255, 255, 255)


@functools.lru_cache(maxsize=16)
def _recoloured(palette: Palette, skeleton: Skeleton) -> Skeleton:
    assert palette.sides is not None
    left, right, middle = palette.sides
    sides = [_side(name) for name in skeleton.names]
    if not any(sides):
        own = dict.fromkeys((*skeleton.link_colors, *skeleton.keypoint_colors))
        every = (*palette.sides, *palette.people)
        new = {color: every[place % len(every)] for place, color in enumerate(own)}
        return dataclasses.replace(
            skeleton,
            link_colors=tuple(new[color] for color in skeleton.link_colors),
            keypoint_colors=tuple(new[color] for color in skeleton.keypoint_colors),
        )
    of_side = {-1: left, 0: middle, 1: right}
    # A link from side to side is in the middle, one from the middle belongs to its other end.
    of_links = [sides[start] + sides[end] for start, end in skeleton.links]
    return dataclasses.replace(
        skeleton,
        link_colors=tuple(of_side[(total > 0) - (total < 0)] for total in of_links),
        keypoint_colors=tuple(of_side[side] for side in sides),
    )


def _side(name: str) -> int:
    """-1 for left, 1 for right, 0 for neither."""
    return bool(_RIGHT.search(name)) - bool(_LEFT.search(name))
