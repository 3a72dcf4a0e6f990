"""The filters of box sizes: they find the period of steps and foretell sizes through gaps."""

from __future__ import annotations

import numpy as np
import pytest

from posekit.stages import swing

NOISE = np.array([[0.02**2, 0.01**2]])
SWINGS = np.array([[0.25, 0.02]])


def walking(frame: int, period: float) -> np.ndarray:
    """(1, 2), log sizes."""
    return np.log([[60.0, 200.0]]) + np.cos(2 * np.pi * frame / period) * SWINGS


def followed(frames: int, period: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    state = swing.new_swings(walking(0, period), NOISE)
    for frame in range(1, frames):
        moved = swing.advanced(*state[:2])
        state = swing.corrected(*moved, state[2], walking(frame, period), NOISE)
    return state


@pytest.mark.parametrize("row", range(len(swing.PERIODS)))
def test_the_period_of_the_steps_is_found(row: int) -> None:
    _, _, weights = followed(120, float(swing.PERIODS[row]))
    assert weights[0].argmax() == row
    assert np.exp(weights).sum() == pytest.approx(1)


@pytest.mark.parametrize("period", [16.0, 20.0, 30.0])
def test_sizes_after_a_gap_are_foretold(period: float) -> None:
    errors, steps = [], []
    for start in range(120, 150, 3):
        states, covariance, weights = followed(start, period)
        for frame in range(start, start + 10):
            states, covariance = swing.advanced(states, covariance)
            errors.append(walking(frame, period) - swing.expected_sizes(states, weights))
            steps.append(walking(frame, period) - walking(start - 1, period))
    # Less than half as far off as sizes that stay as they were last seen.
    assert np.sqrt(np.mean(np.square(errors))) < np.sqrt(np.mean(np.square(steps))) / 2


def test_first_sizes_are_those_seen_as_surely_as_they_were() -> None:
    sizes = walking(3, 20)
    states, covariance, weights = swing.new_swings(sizes, NOISE)
    np.testing.assert_allclose(swing.expected_sizes(states, weights), sizes)
    expected, variance = swing.predicted(states, covariance)
    np.testing.assert_allclose(expected, np.broadcast_to(sizes, expected.shape))
    np.testing.assert_allclose(variance, np.broadcast_to(NOISE, variance.shape), atol=1e-12)


def test_uncertainty_grows_in_a_gap_but_not_beyond_the_swing() -> None:
    states, covariance, _ = followed(60, 20)
    found = []
    for _ in range(40):
        states, covariance = swing.advanced(states, covariance)
        found.append(swing.predicted(states, covariance)[1][0, :, 0].mean())
    assert found[0] < found[9] < found[39]
    assert found[39] < 2 * swing.SWING[0] ** 2 + 40 * swing.DRIFT[0] ** 2


def test_a_size_that_leaps_is_no_less_likely_than_any() -> None:
    near, far = swing.log_densities(np.array([[0.0, 0.0], [3.0, 3.0]]), NOISE)
    assert near == pytest.approx(-np.log(2 * np.pi * 0.02 * 0.01))
    assert far == swing.LEAP
