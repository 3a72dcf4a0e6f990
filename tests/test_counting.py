"""Repetitions, counted from angles with two thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from posekit.counting import EXERCISES, Exercise, RepetitionCounter
from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from tests.people import HALPE, figure, result


def knees(angles: np.ndarray, counter: RepetitionCounter, *, mirrored: bool = False) -> list[float]:
    """Times at which repetitions ended, of a person whose knees bend so."""
    ended = []
    for number, angle in enumerate(angles):
        points = figure(shank=-90 - angle) * ([-1, 1] if mirrored else [1, 1])
        ended += [one.end for one in counter(result(number, {7: points}))]
    return ended


def bends(count: int, depth: float = 110, frames: int = 60) -> np.ndarray:
    phase = np.arange(count * frames + 1) / frames
    return depth * (1 - np.cos(2 * np.pi * phase)) / 2


@pytest.mark.parametrize("mirrored", [False, True])
def test_squats_are_counted_when_they_end(mirrored: bool) -> None:
    counter = RepetitionCounter("squat")
    ended = knees(bends(4), counter, mirrored=mirrored)
    assert counter.counts == {7: 4}
    # At rest again below 40 degrees.
    phase = np.arccos(1 - 2 * 40 / 110) / (2 * np.pi)
    np.testing.assert_allclose(ended, np.arange(1, 5) * 2 - 2 * phase, atol=1 / 30)


def test_a_repetition_says_what_it_was() -> None:
    counter = RepetitionCounter("squat")
    found = [
        one
        for number, angle in enumerate(bends(1))
        for one in counter(result(number, {7: figure(shank=-90 - angle)}))
    ]
    assert [(one.track_id, one.number) for one in found] == [(7, 1)]
    assert found[0].peak == pytest.approx(110, abs=0.1)
    assert 0 < found[0].start < 1 < found[0].end < 2


def test_noise_between_the_thresholds_counts_nothing() -> None:
    noise = np.random.default_rng(0).normal(60, 8, 300).clip(42, 79)
    counter = RepetitionCounter("squat")
    knees(np.concatenate([[0], noise, [0]]), counter)
    assert counter.counts == {7: 0}
    # And noise on a movement does not count it twice.
    noisy = bends(5) + np.random.default_rng(0).normal(0, 6, 301)
    knees(noisy, counter)
    assert counter.counts == {7: 5}


def test_what_begins_bent_and_what_jumps_does_not_count() -> None:
    counter = RepetitionCounter("squat")
    knees(bends(2)[30:], counter)
    assert counter.counts == {7: 1}
    counter = RepetitionCounter("squat")
    knees(np.array([0.0] * 10 + [120, 120] + [0.0] * 10), counter)
    assert counter.counts == {7: 0}


def test_a_gap_and_other_people_change_nothing() -> None:
    counter = RepetitionCounter("squat")
    for number, angle in enumerate(bends(3)):
        people = {7: figure(shank=-90 - angle), 9: figure()}
        if 20 < number < 28:
            del people[7]
        legs = ("right_ankle", "left_ankle") if 40 < number < 44 else ()
        counter(result(number, people, unseen={7: legs}))
    assert counter.counts == {7: 3, 9: 0}


@pytest.mark.parametrize("name", EXERCISES)
def test_each_exercise_counts_its_joint(name: str) -> None:
    exercise = EXERCISES[name]
    limbs = {
        "knee": lambda angle: {"shank": -90 - angle},
        "elbow": lambda angle: {"forearm": -90 + angle},
        "hip": lambda angle: {"thigh": -90 + angle, "shank": -90 + angle},
        "shoulder": lambda angle: {"arm": -90 + angle, "forearm": -90 + angle},
    }
    counter = RepetitionCounter(name)
    for number, angle in enumerate(bends(3, exercise.bent + 15)):
        counter(result(number, {0: figure(**limbs[exercise.joint](angle))}))
    assert counter.counts == {0: 3}


def test_an_exercise_of_ones_own() -> None:
    counter = RepetitionCounter(Exercise("right_knee", 20, 115))
    knees(bends(3), counter)
    assert counter.counts == {7: 0}


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(InputError, match="found 'squats'"):
        RepetitionCounter("squats")
    for wrong in (Exercise("knee", 80, 40), Exercise("wing", 10, 20)):
        with pytest.raises(InputError, match="0 <= rest < bent"):
            RepetitionCounter(wrong)
    counter = RepetitionCounter("squat")
    with pytest.raises(InputError, match="needs track_ids, found none: turn tracking on"):
        counter(result(0, {0: figure()}, ids=False))
    face = load_skeleton("300w")
    with pytest.raises(InputError, match="counting needs the knee's angle, and skeleton '300w'"):
        counter(result(0, {}, skeleton=face))
    counter.check(HALPE)
