"""People and sides are told apart, by those too who see fewer colours."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pytest

from posekit.drawing.palettes import PALETTES, ink_on
from posekit.skeleton import Color, load_skeleton, skeleton_names

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency" (2009), severity 1; of linear RGB.
VISION: dict[str, list[list[float]]] = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def seen(colors: Iterable[Color], vision: str) -> np.ndarray:
    """CIELAB of colours as they are seen."""
    rgb = np.array(list(colors)) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(VISION[vision]), 0, 1)
    xyz = linear @ np.transpose(TO_XYZ) / [0.9505, 1, 1.089]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def least_distance(colors: Iterable[Color], vision: str) -> float:
    return min(
        float(np.linalg.norm(one - other))
        for one, other in itertools.combinations(seen(colors, vision), 2)
    )


@pytest.mark.parametrize("vision", VISION)
def test_everybody_tells_the_colours_apart(vision: str) -> None:
    palette = PALETTES["colorblind"]
    assert palette.sides is not None
    assert least_distance((*palette.people, *palette.sides), vision) > 16
    left, right, _ = palette.sides
    assert least_distance((left, right), vision) > 50


def test_the_usual_colours_are_not_told_apart_by_everybody() -> None:
    coco = load_skeleton("coco")
    colors = set(coco.link_colors)
    assert least_distance(colors, "normal") > 50
    assert min(least_distance(colors, vision) for vision in VISION) < 30


@pytest.mark.parametrize("name", skeleton_names())
def test_left_is_not_the_colour_of_right(name: str) -> None:
    skeleton = load_skeleton(name)
    recoloured = PALETTES["colorblind"].recoloured(skeleton)
    assert PALETTES["mmpose"].recoloured(skeleton) is skeleton
    colors = recoloured.keypoint_colors
    for one, other in enumerate(skeleton.flip_indices):
        if one != other and "left" in skeleton.names[one].lower():
            assert colors[one] != colors[other], skeleton.names[one]
    assert len(set(colors)) >= min(2, len(set(skeleton.keypoint_colors)))


@pytest.mark.parametrize(
    ("skeleton", "left", "right"),
    [
        ("coco", "left_knee", "right_knee"),
        ("ap10k", "L_Eye", "R_Eye"),
        ("ak", "Eye_Left", "Eye_Right"),
        ("fly", "eyeL", "eyeR"),
        ("zebra", "forelegL1", "forelegR1"),
    ],
)
def test_sides_are_told_by_names(skeleton: str, left: str, right: str) -> None:
    palette = PALETTES["colorblind"]
    assert palette.sides is not None
    known = palette.recoloured(load_skeleton(skeleton))
    of = dict(zip(known.names, known.keypoint_colors, strict=True))
    assert (of[left], of[right]) == palette.sides[:2]


def test_fingers_keep_different_colours() -> None:
    hand = load_skeleton("coco_wholebody_hand")
    found = PALETTES["colorblind"].recoloured(hand).keypoint_colors
    assert len(set(found)) == len(set(hand.keypoint_colors))


@pytest.mark.parametrize("name", PALETTES)
def test_a_track_keeps_its_colour(name: str) -> None:
    palette = PALETTES[name]  # type: ignore[index]
    count = len(palette.people)
    assert len({palette.person(number) for number in range(count)}) == count
    assert palette.person(3) == palette.person(3 + count)


def test_ink_is_read_on_any_colour() -> None:
    def luminance(color: Color) -> float:
        rgb = np.array(color) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    levels = range(0, 256, 15)
    for color in itertools.product(levels, levels, levels):
        low, high = sorted((luminance(color), luminance(ink_on(color))))
        assert (high + 0.05) / (low + 0.05) >= 4.5
