"""Colours as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from posekit.drawing.colors import is_rgb, parse_color
from posekit.errors import InputError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("green", (0, 255, 0)),  # MMCV's, not CSS's
        ("g", (0, 255, 0)),
        ("Red", (255, 0, 0)),
        ("k", (0, 0, 0)),
        ("#3399ff", (51, 153, 255)),
        ("#39F", (51, 153, 255)),
        ((51, 153, 255), (51, 153, 255)),
        ([51.0, 153.9, 255], (51, 153, 255)),
        (np.array([51, 153, 255], np.uint8), (51, 153, 255)),
        (None, None),
    ],
)
def test_colours(value: Any, expected: tuple[int, int, int] | None) -> None:
    assert parse_color("bbox_color", value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("greeen", "unknown colour 'greeen'; known are #rrggbb"),
        ("#12345", "unknown colour"),
        ("#12345g", "unknown colour"),
        ("", "unknown colour ''"),
        ((0, 0), "three numbers"),
        (5, "three numbers"),
        (("a", "b", "c"), "three numbers"),
        ((0, 0, 256), "0 to 255"),
        ((-1, 0, 0), "0 to 255"),
    ],
)
def test_what_is_no_colour(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^bbox_color: .*{message}"):
        parse_color("bbox_color", value)


def test_one_colour_and_three() -> None:
    assert is_rgb((1, 2, 3)) and is_rgb(np.array([1, 2, 3]))
    for several in (
        ((1, 2, 3),) * 3,
        ["red", "green", "blue"],
        [None, None, None],
        np.eye(3),
        "red",
    ):
        assert not is_rgb(several)
