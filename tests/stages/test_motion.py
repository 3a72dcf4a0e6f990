"""The filter of centres: of a new track a fitted line, and open to news after a gap."""

from __future__ import annotations

import numpy as np
import pytest

from posekit.stages import motion

HEIGHT = np.array([[200.0]])
NOISE = np.full((1, 2), 4.0)


def filtered(places: list[tuple[int, float]]) -> tuple[float, float]:
    """Place and velocity along x after sightings at (frame, x)."""
    covariance = motion.new_covariance(NOISE, HEIGHT)
    before, place = places[0]
    velocity = 0.0
    for frame, seen in places[1:]:
        away = np.array([[frame - before]])
        grown = motion.predicted(covariance, HEIGHT, away)
        place += velocity * float(away[0, 0])
        error = seen - place
        covariance, alpha, beta = motion.corrected(grown, NOISE, np.full((1, 2), error))
        place += float(alpha[0, 0]) * error
        velocity += float(beta[0, 0]) * error
        before = frame
    return place, velocity


def test_without_turns_it_is_the_line_through_all_sightings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(motion, "ACCELERATION", 0.0)
    frames, seen = np.arange(8), np.array([0, 5, 13, 15, 22, 23, 31, 36.0])
    slope, start = np.polyfit(frames, seen, 1)
    found = filtered(list(zip(frames.tolist(), seen.tolist(), strict=True)))
    np.testing.assert_allclose(found, (start + 7 * slope, slope), atol=0.01)


def test_after_a_gap_the_new_way_is_learnt_at_once() -> None:
    there = [(frame, 8.0 * frame) for frame in range(20)]
    # Out of sight for ten frames, back at the same place, on the way back.
    back = [(30 + frame, 152.0 - 8 * frame) for frame in range(3)]
    _, velocity = filtered(there + back)
    assert velocity < -4  # of the change from 8 to -8, three quarters within three sightings


def test_who_leaps_is_followed_sooner_than_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    still = [(frame, 0.0) for frame in range(20)]
    leap = [(20 + frame, 30.0 * frame) for frame in range(1, 4)]
    place, _ = filtered(still + leap)
    monkeypatch.setattr(motion, "SURPRISE", np.inf)
    slow, _ = filtered(still + leap)
    assert abs(place - 90) < 10 < abs(slow - 90)


def test_the_variance_of_the_place_is_that_of_the_whole_covariance() -> None:
    covariance = np.array([[[4.0, 1.0, 2.0], [9.0, 0.5, 1.0]]])
    frames = np.array([[5.0]])
    whole = motion.predicted(covariance, HEIGHT, frames)
    np.testing.assert_array_equal(whole[..., 0], motion.place_variance(covariance, HEIGHT, frames))
    # In one step or in two, but for what turns do within a step.
    twice = motion.predicted(motion.predicted(covariance, HEIGHT, frames - 2), HEIGHT, frames - 3)
    np.testing.assert_allclose(twice, whole, rtol=1e-12)
