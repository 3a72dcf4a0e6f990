"""Who is chosen of the people of an image, and that it stays the same one where that is asked."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from posekit.errors import InputError
from posekit.stages.choose import Chooser
from posekit.stages.packet import Clip, Frame

# Small and sure, large at the border, middling in the middle; of an image of 400 x 300.
BOXES = np.array([[10, 10, 40, 80], [200, 0, 420, 300], [180, 120, 230, 190]], np.float32)
SCORES = np.array([0.9, 0.8, 0.7], np.float32)
CLIP = Clip("a.mp4", "a.mp4", (400, 300), Fraction(25))
OTHER = Clip("b.mp4", "b.mp4", (400, 300), Fraction(25))


def frame(index: int = 0, clip: Clip | None = CLIP) -> Frame:
    return Frame(np.zeros((300, 400, 3), np.uint8), index, "a.mp4", clip=clip, frame_id=index)


def chosen(chooser: Chooser, index: int, *rows: int, clip: Clip | None = CLIP) -> list[int]:
    """Of the people of these rows, who is chosen."""
    found = chooser(frame(index, clip), BOXES[list(rows)], SCORES[list(rows)])
    return [rows[row] for row in found.tolist()]


@pytest.mark.parametrize(
    ("by", "first", "two"), [("score", 0, [0, 1]), ("largest", 1, [1, 2]), ("central", 2, [1, 2])]
)
def test_the_first_by_each_measure(by: Any, first: int, two: list[int]) -> None:
    assert chosen(Chooser(1, by), 0, 0, 1, 2) == [first]
    assert chosen(Chooser(2, by), 0, 0, 1, 2) == two
    assert chosen(Chooser(9, by), 0, 0, 1, 2) == [0, 1, 2]
    assert chosen(Chooser(1, by), 0) == []


def test_each_image_is_by_itself_where_nobody_is_tracked() -> None:
    chooser = Chooser(1, "largest")
    assert [chosen(chooser, 0, 0, 2), chosen(chooser, 1, 0, 1, 2)] == [[2], [1]]


def test_who_was_chosen_keeps_the_place() -> None:
    chooser = Chooser(1, "largest", max_age=3)
    assert chosen(chooser, 0, 0, 2) == [2]
    assert chosen(chooser, 1, 0, 1, 2) == [2]  # though somebody larger came
    assert [chosen(chooser, index, 0, 1) for index in (2, 3, 4)] == [[], [], []]
    assert chosen(chooser, 5, 0, 1, 2) == [2]  # back in time
    assert [chosen(chooser, index, 0, 1) for index in (6, 7, 8, 9)] == [[], [], [], [1]]
    assert chosen(chooser, 10, 0, 1, 2, clip=OTHER) == [1]
    chooser = Chooser(2, "score", max_age=3)
    assert chosen(chooser, 0, 1, 2) == [1, 2]
    assert chosen(chooser, 1, 0, 1) == [1]
    assert chosen(chooser, 2, 0, 1, 2) == [1, 2]


def test_somebody_who_walks_through_another_one_stays_chosen() -> None:
    chooser = Chooser(1, "score", max_age=10)
    for index in range(40):
        x = 10.0 + 8 * index
        boxes = np.array([[150, 20, 220, 250], [x, 60, x + 60, 280]])
        scores = np.array([0.5, 0.9] if index == 0 else [0.9, 0.5])
        assert chooser(frame(index), boxes, scores).tolist() == [1], index


def test_other_boxes_of_the_same_frame_change_nothing() -> None:
    chooser = Chooser(1, "largest", max_age=0)
    assert chosen(chooser, 0, 0, 2) == [2]
    assert chosen(chooser, 1, 0) == [0]  # whoever was chosen is away: a place is free
    assert chosen(chooser, 1, 0, 1, 2) == [2]


@pytest.mark.parametrize(("most", "by"), [(0, "score"), (-1, "score"), (True, "score"), (1, "id")])
def test_wrong_arguments_are_refused(most: Any, by: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        Chooser(most, by)
