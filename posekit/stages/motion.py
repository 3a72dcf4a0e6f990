"""Where tracks go: centres at nearly constant velocity, by a Kalman filter.

x and y are filtered alike and apart. A covariance is (..., 3): the variance of the position, the
covariance of position and velocity, the variance of the velocity. It grows while a track is out of
sight, so that the first sighting after a gap says more about the new velocity than all before the
gap; for a new track the filter is the line fitted to all sightings (Bar-Shalom, Li and Kirubarajan,
"Estimation with Applications to Tracking and Navigation", 2001). How much the sightings jitter is
measured from their second differences, which do not depend on the velocity.
"""

from __future__ import annotations

import numpy as np

from posekit.stages.similarity import Floats

__all__ = ["corrected", "new_covariance", "place_variance", "predicted"]

# Of the velocity, per frame, in heights: how people speed up and turn.
ACCELERATION = 0.002
# Standard deviation of the velocity of somebody new, in heights per frame: it may be any.
ANY_SPEED = 1.0
# Who is so many standard deviations off moves otherwise than before, and the past counts for less.
SURPRISE = 3.0


def new_covariance(noise: Floats, heights: Floats) -> Floats:
    """The covariance (m, 2, 3) after the first sighting, whose noise has variances (m, 2)."""
    speed = np.broadcast_to((ANY_SPEED * heights) ** 2, noise.shape)
    return np.stack([noise, np.zeros_like(noise), speed], axis=-1)


def predicted(covariance: Floats, heights: Floats, frames: Floats) -> Floats:
    """The covariance (m, 2, 3) after so many frames (m, 1) out of sight; heights are (m, 1)."""
    both, speed = covariance[..., 1], covariance[..., 2]
    turn = (ACCELERATION * heights) ** 2
    grown = np.empty_like(covariance)
    grown[..., 0] = place_variance(covariance, heights, frames)
    grown[..., 1] = both + frames * (speed + turn * frames / 2)
    grown[..., 2] = speed + turn * frames
    return grown


def place_variance(covariance: Floats, heights: Floats, frames: Floats) -> Floats:
    """The variance of the position (m, 2), in the covariance that `predicted` gives."""
    place, both, speed = covariance[..., 0], covariance[..., 1], covariance[..., 2]
    turn = (ACCELERATION * heights) ** 2
    variance: Floats = place + frames * (2 * both + frames * (speed + turn * frames / 3))
    return variance


def corrected(covariance: Floats, noise: Floats, errors: Floats) -> tuple[Floats, Floats, Floats]:
    """Updates for a sighting `errors` (m, 2) off the expected place; noise has variances (m, 2).

    Returns:
        The covariance (m, 2, 3), and the gains (m, 2) by which position and velocity follow the
        error.
    """
    surprise = np.maximum(errors**2 / (SURPRISE**2 * (covariance[..., 0] + noise)), 1)
    covariance = covariance * surprise[..., None]
    place, both, speed = covariance[..., 0], covariance[..., 1], covariance[..., 2]
    alpha, beta = place / (place + noise), both / (place + noise)
    left = np.empty_like(covariance)
    left[..., 0], left[..., 1] = place * (1 - alpha), both * (1 - alpha)
    left[..., 2] = speed - beta * both
    return left, alpha, beta
