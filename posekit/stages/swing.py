"""How boxes swing: Kalman filters of the logarithms of width and height.

A box grows and shrinks with every step of the person in it, sideways more than in height, also
while nobody sees it. Each size is a level that wanders plus a cycle whose amplitude and phase do
(Harvey, "Forecasting, Structural Time Series Models and the Kalman Filter", 1989). How long a step
takes is not known: a track has P filters, each for another period, and weighs them by how well they
foretold the sizes (Magill, "Optimal Adaptive Estimation of Sampled Stochastic Processes", 1965).
"""

from __future__ import annotations

import numpy as np

from posekit.stages.similarity import Floats

__all__ = [
    "advanced",
    "corrected",
    "expected_sizes",
    "log_densities",
    "new_swings",
    "predicted",
]

# Of the filters, in frames per step.
PERIODS = np.array([14.0, 18.0, 24.0, 35.0])
# Standard deviations of log width and height: of the cycle, and of the level from frame to frame.
SWING, DRIFT = np.array([0.2, 0.015]), np.array([0.03, 0.015])
# What a frame leaves of a cycle, and of what was known about the period.
DAMPING, MEMORY = 0.98, 0.98
# Log density of any sizes whatever: boxes of people who are cut off leap.
LEAP = -7.0

# Level and the two coordinates of a cycle, from frame to frame, and the variances that this adds.
_TURN = 2 * np.pi / PERIODS
_STEP = np.zeros((len(PERIODS), 1, 3, 3))
_STEP[..., 0, 0] = 1
_STEP[..., 1, 1] = _STEP[..., 2, 2] = DAMPING * np.cos(_TURN)[:, None]
_STEP[..., 1, 2] = DAMPING * np.sin(_TURN)[:, None]
_STEP[..., 2, 1] = -_STEP[..., 1, 2]
_ADDED = np.zeros((2, 3, 3))
_ADDED[:, 0, 0] = DRIFT**2
_ADDED[:, 1, 1] = _ADDED[:, 2, 2] = SWING**2 * (1 - DAMPING**2)


def new_swings(sizes: Floats, noise: Floats) -> tuple[Floats, Floats, Floats]:
    """The filters of tracks that were seen for the first time.

    Args:
        sizes: (m, 2), logarithms of width and height in pixels.
        noise: (m, 2), their variances.

    Returns:
        States (m, P, 2, 3), of width and height: level and the two coordinates of the cycle; their
        covariances (m, P, 2, 3, 3); and log weights of the periods (m, P).
    """
    m, periods = len(sizes), len(PERIODS)
    states = np.zeros((m, periods, 2, 3))
    states[..., 0] = sizes[:, None]
    covariance = np.zeros((m, periods, 2, 3, 3))
    covariance[..., 0, 0] = noise[:, None] + SWING**2
    covariance[..., 1, 1] = covariance[..., 2, 2] = SWING**2
    # Only the sum of level and cycle was seen.
    covariance[..., 0, 1] = covariance[..., 1, 0] = -(SWING**2)
    return states, covariance, np.full((m, periods), -np.log(periods))


def advanced(states: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """States (m, P, 2, 3) and covariances (m, P, 2, 3, 3), one frame on."""
    states = np.matmul(_STEP, states[..., None])[..., 0]
    return states, _STEP @ covariance @ np.swapaxes(_STEP, -1, -2) + _ADDED


def predicted(states: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Log sizes (m, P, 2) in the frame of these states, and their variances."""
    variance = covariance[..., 0, 0] + 2 * covariance[..., 0, 1] + covariance[..., 1, 1]
    return states[..., 0] + states[..., 1], variance


def expected_sizes(states: Floats, weights: Floats) -> Floats:
    """Log sizes (m, 2) in the frame of these states: the mean of the filters, by their weights."""
    found: Floats = np.einsum("mpc,mp->mc", states[..., 0] + states[..., 1], np.exp(weights))
    return found


def log_densities(errors: Floats, variance: Floats) -> Floats:
    """Log densities (...), at least `LEAP`, of errors (..., 2) with variances (..., 2)."""
    terms = errors**2 / variance + np.log(2 * np.pi * variance)
    found: Floats = np.maximum(-0.5 * (terms[..., 0] + terms[..., 1]), LEAP)
    return found


def corrected(
    states: Floats, covariance: Floats, weights: Floats, sizes: Floats, noise: Floats
) -> tuple[Floats, Floats, Floats]:
    """States, covariances and log weights once the sizes of this frame are seen.

    Args:
        states, covariance, weights: of this frame, shaped as `new_swings` returns them.
        sizes: (m, 2), logarithms of width and height in pixels.
        noise: (m, 2), their variances.
    """
    expected, variance = predicted(states, covariance)
    variance = variance + noise[:, None]
    errors = sizes[:, None] - expected
    weights = MEMORY * weights + log_densities(errors, variance)
    weights -= np.logaddexp.reduce(weights, axis=1, keepdims=True)
    common = covariance[..., 0] + covariance[..., 1]
    gain = common / variance[..., None]
    states = states + gain * errors[..., None]
    covariance = covariance - gain[..., :, None] * common[..., None, :]
    return states, covariance, weights
