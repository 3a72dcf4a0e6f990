"""The detector has its turn where boxes that are carried along are in doubt."""

from __future__ import annotations

import functools
from typing import Any, Literal

import cv2
import numpy as np
import pytest

from posekit.stages.turns import LONGEST_REST, DetectorTurns

PEOPLE = np.array([[100.0, 100, 200, 400], [400, 100, 500, 400]])
SURE = np.full((2, 17), 0.8)


@functools.cache
def wide_scene(seed: int) -> np.ndarray:
    """(480, 960, 3), uint8, with large shapes."""
    small = np.random.default_rng(seed).integers(40, 200, (7, 12, 3), np.uint8)
    return cv2.resize(small, (960, 480), interpolation=cv2.INTER_CUBIC)


def scene(seed: int = 0, *, light: int = 0, shift: int = 0) -> np.ndarray:
    """(480, 640, 3), uint8, of which the left end is `shift` pixels from that of the scene."""
    seen = wide_scene(seed)[:, shift : shift + 640]
    return cv2.add(seen, (light, light, light, 0))


class Clip:
    """Plays a clip to a `DetectorTurns`; every frame is as the one before where nothing is said."""

    def __init__(self, interval: int | Literal["auto"] = "auto") -> None:
        self.turns = DetectorTurns(interval)
        self.number = 0

    def frame(
        self,
        image: np.ndarray | None = None,
        *,
        expected: np.ndarray = PEOPLE,
        boxes: np.ndarray | None = None,
        scores: np.ndarray = SURE,
        ids: Any = (0, 1),
        missing: bool = False,
    ) -> bool:
        """Whether the detector has its turn in it."""
        image = scene() if image is None else image
        due = self.turns.due(image, self.number, expected, missing=missing)
        boxes = expected if boxes is None else boxes
        if due:
            self.turns.detected(ids, boxes, scores)
        else:
            self.turns.followed(ids, expected, boxes, scores)
        self.number += 1
        return due

    def frames(self, count: int, **options: Any) -> list[int]:
        """The numbers of those in which it has."""
        first = self.number
        return [first + i for i in range(count) if self.frame(**options)]


def test_where_nothing_speaks_against_it_the_detector_rests_for_as_long_as_it_may() -> None:
    assert Clip().frames(25) == [0, LONGEST_REST + 1, 2 * (LONGEST_REST + 1)]


def test_with_a_number_it_has_every_nth_frame_whatever_happens() -> None:
    clip = Clip(4)
    assert clip.frames(9, scores=SURE / 10, missing=True, boxes=PEOPLE + 50) == [0, 4, 8]


@pytest.mark.parametrize("interval", [100, "auto"])
def test_it_runs_in_the_frame_of_a_cut(interval: Any) -> None:
    clip = Clip(interval)
    assert clip.frames(3) == [0]
    assert clip.frames(4, image=scene(1)) == [3]
    assert clip.frames(2, image=np.zeros((480, 640, 3), np.uint8)) == [7]
    assert clip.frames(2, image=scene(1)) == [9]


def test_neither_light_nor_noise_is_a_cut_or_somebody_new() -> None:
    clip = Clip()
    noise = np.random.default_rng(0)
    clip.frame()
    for light in (30, 0, -30, 0):
        grain = noise.integers(0, 9, (480, 640, 3), np.uint8)
        assert not clip.frame(cv2.add(scene(light=light), grain))


def test_a_dissolve_is_found_though_no_two_frames_differ_much() -> None:
    clip = Clip()
    steps = [cv2.addWeighted(scene(), 1 - i / 9, scene(1), i / 9, 0) for i in range(10)]
    turns = [clip.frame(image) for image in steps]
    assert turns[0] and any(turns[2:9])


@pytest.mark.parametrize(
    ("share", "turn"), [(0.95, LONGEST_REST + 1), (0.85, 3), (0.7, 2)], ids=str
)
def test_scores_that_fall_against_their_own_level(share: float, turn: int) -> None:
    clip = Clip()
    clip.frame()
    scores = SURE.copy()
    for number in range(1, turn):
        scores[1] = share**number * SURE[1] if share < 0.95 else share * SURE[1]
        assert not clip.frame(scores=scores)
    assert clip.frame(scores=scores)


def test_scores_of_any_scale_and_people_who_are_never_sure_are_no_doubt() -> None:
    clip = Clip()
    assert clip.frames(9, scores=np.stack([10 * SURE[0], SURE[1] / 10])) == [0]


@pytest.mark.parametrize(("shift", "turns"), [(3, [0]), (25, [0, 3, 6]), (60, [0, 2, 4, 6])])
def test_boxes_that_are_not_where_they_were_expected(shift: float, turns: list[int]) -> None:
    boxes = PEOPLE + [shift, 0, shift, 0]
    assert Clip().frames(8, boxes=boxes) == turns


def test_two_who_cover_each_other() -> None:
    together = np.array([[100.0, 100, 200, 400], [160, 100, 260, 400]])
    assert Clip().frames(8, expected=together) == [0, 4]
    apart = together + np.array([[0], [100]]) * [1, 0, 1, 0]
    assert Clip().frames(8, expected=apart) == [0]


def test_somebody_at_the_border() -> None:
    leaving = PEOPLE + np.array([[0], [160]]) * [1, 0, 1, 0]
    assert Clip().frames(22, expected=leaving) == [0, 10, 20]
    clip = Clip()
    clip.frame(expected=leaving)
    assert clip.turns._doubts == 0
    clip.frame(expected=leaving)
    assert clip.turns._doubts > 0


def with_somebody(x: int) -> np.ndarray:
    image = scene()
    image[150:260, max(x, 0) : x + 60] = 250
    return image


def test_something_that_moves_where_nobody_is_known() -> None:
    clip = Clip()
    clip.frames(3)
    assert [clip.frame(with_somebody(-50 + 8 * i)) for i in range(4)] == [True] * 4
    # Where somebody known is, it is they who move.
    clip = Clip()
    clip.frames(3)
    assert not any(clip.frame(with_somebody(120 + 4 * i)) for i in range(4))


def test_what_moves_and_is_nobody_is_looked_at_less_after_a_while() -> None:
    clip = Clip()
    tree = [with_somebody(280 + 10 * (i % 3)) for i in range(40)]
    turns = [clip.frame(image) for image in tree]
    assert all(turns[:9]) and 8 <= sum(turns[20:]) <= 12
    # Until somebody is found.
    assert clip.frame(
        scene(1), ids=(0, 1, 2), expected=PEOPLE[[0, 1, 1]] + 1, scores=SURE[[0, 1, 1]]
    )
    assert clip.turns._vain == 0


def test_somebody_who_should_be_there_still() -> None:
    assert Clip().frames(5, missing=True) == [0, 2, 4]


def test_a_camera_that_moves_is_no_cut_and_shows_nobody_new_by_itself() -> None:
    clip = Clip()
    turns = [clip.frame(scene(shift=4 * i)) for i in range(30)]
    assert turns[0] and sum(turns) < 20


def test_nobody_is_known() -> None:
    nobody = {"ids": (), "expected": np.zeros((0, 4)), "scores": np.zeros((0, 17))}
    assert Clip().frames(12, **nobody) == [0, 10]
    empty = {**nobody, "scores": np.zeros((0, 0))}
    assert Clip().frames(12, **empty) == [0, 10]


def test_the_same_frames_give_the_same_turns() -> None:
    def play() -> list[bool]:
        rng, clip = np.random.default_rng(3), Clip()
        return [
            clip.frame(
                scene(int(rng.random() < 0.1), shift=i),
                boxes=PEOPLE + rng.normal(0, 8, (2, 1)),
                scores=SURE * rng.uniform(0.7, 1, (2, 1)),
            )
            for i in range(40)
        ]

    assert play() == play()
