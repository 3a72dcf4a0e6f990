"""Which instances may be which tracks, and how likely each is.

Each pair has two numbers. The *similarity*, IoU or OKS, says whether the pair is allowed. Before it
is computed, the track is moved towards the instance, as far as its usual jitter and the time out of
sight permit, so that noise and gaps rule nothing out. The *likelihood* chooses between allowed
pairs: how well position, size and pose fit, each relative to its usual error, as a Kalman filter
weighs its innovations (Bar-Shalom and Fortmann, "Tracking and Data Association", 1988). Sizes
swing with every step (`swing`), and tell people apart whom one box covers.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from posekit.stages import motion, swing
from posekit.stages.similarity import (
    DEFAULT_SIGMA,
    Bools,
    Floats,
    box_centers,
    box_iou,
    reliable,
)

if TYPE_CHECKING:
    from posekit.stages.track import _Tracks

__all__ = ["People", "PoseNoise", "compare_boxes", "compare_poses", "log_sizes"]

People = tuple[Floats, Floats, Floats]  # boxes (n, 4), keypoints (n, K, 2), scores (n, K)

# A centre bobs by this share of the height, even where no jitter was measured; a size by its.
BOB, RESIZE = 0.005, 0.01
# Somebody new walks at most so fast, in heights per frame (1.2 a second).
FASTEST = 0.04
# So many standard deviations from there, it is as unlikely as farther away: people do leap.
FAR = 5.0
# A track may be so many standard deviations from where it is expected, and so many heights at most.
REACH, FARTHEST = 2.0, 1.0
# The speed of a track is known from so many sightings on.
KNOWN = 3
# Logarithms of odds: that somebody who was just seen is seen again, and somebody who was away; that
# a track of few sightings was nobody; that the way on was to stand still; and that an instance is
# somebody new, on a square of one height.
SEEN, BACK, NOBODY, AT_REST, NEW = 3.0, -1.0, -2.0, -6.0, -10.0
# The OKS allows this much more per frame out of sight.
STALE = 0.1
# A pose says as much as this many keypoints, since they do not err one by one, and only so much
# against a pair: networks swap left and right.
POSE_KEYPOINTS, UNLIKE = 2.0, 8.0
# Variances of keypoints about their person's middle, in shares of what the OKS allows: what is
# added even to who stands still, and at most to who was away; and that between any two people.
STILL, MOVED, ANYBODY = 0.01, 0.8, 1.0
# So much of its unrest a frame out of sight adds to a track.
AWAY = 0.5
# Poses are alike only of whom no more than so many sides of the box are apart.
LARGEST_SPAN = 1.5
# Of a new measurement of how much keypoints jitter, of all people and of one.
NOISE_GAIN, UNREST_GAIN = 0.2, 0.1
SAME_IOU = 0.3  # of boxes that are taken for one person's, to measure it


def log_sizes(boxes: Floats) -> Floats:
    """(n, 2), logarithms of width and height."""
    return np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3))


class _Expected:
    """Where m tracks are expected, and with which variances."""

    def __init__(self, tracks: _Tracks) -> None:
        self.sizes = tracks.sizes
        self.sides = np.exp(self.sizes)
        self.height = height = self.sides[:, 1:]
        self.missed = missed = tracks.missed[:, None].astype(np.float64)
        n = tracks.sightings[:, None]
        covariance = tracks.covariance.copy()
        np.minimum(covariance[..., 2], (FASTEST * height) ** 2, out=covariance[..., 2])
        jitter = motion.place_variance(covariance, height, missed + 1) + tracks.noise[:, :2]
        self.center_variance = jitter + (BOB * height) ** 2
        self.swung, variance = swing.predicted(tracks.swings, tracks.swing_covariance)
        self.size_variance = variance + tracks.noise[:, None, 2:] + RESIZE**2
        self.swing_weights = tracks.swing_weights
        reach = np.where(n >= KNOWN, REACH * np.sqrt(jitter), 0)
        self.reach = np.minimum(reach, FARTHEST * height)[:, None]
        self.stretch = REACH * np.sqrt(tracks.noise[:, None, 2:])
        odds = np.where(missed == 0, SEEN, BACK) + np.where(n < KNOWN, NOBODY, 0)
        self.odds = odds - NEW + 2 * np.log(height)
        # Who was away goes on where they were heading, or stayed where they were.
        self.places = [tracks.centers + tracks.velocities * (missed + 1)]
        if missed.any():
            self.places.append(tracks.centers)


def compare_boxes(tracks: _Tracks, boxes: Floats) -> tuple[Floats, Floats]:
    """IoU (m, n) of tracks and instances, and log likelihoods (m, n) that they are the same.

    A log likelihood above 0 means that the same person is more likely than somebody new.
    """
    expected = _Expected(tracks)
    grown = log_sizes(boxes)[None] - expected.sizes[:, None]
    sides = expected.sides[:, None] * np.exp(_beyond(grown, expected.stretch))
    found = []
    for offset, likely in _by_place(expected, boxes):
        found.append((_iou_apart(_beyond(offset, expected.reach), expected.sides, sides), likely))
    return _best(expected, found)


def compare_poses(
    tracks: _Tracks, people: People, sigmas: Floats, jitter: float
) -> tuple[Floats, Floats]:
    """OKS (m, n) instead of IoU, and likelihoods to which the poses contribute as well.

    Args:
        tracks: m of them.
        people: n instances.
        sigmas: (K,), or empty.
        jitter: variance of the keypoints' jitter in pixels^2, which the OKS allows beside its own.
    """
    boxes, points, scores = people
    expected = _Expected(tracks)
    placed = _by_place(expected, boxes)
    # Most pairs are too far apart for any likeness, and are not looked at.
    span = (LARGEST_SPAN * expected.sides)[:, None] + expected.reach
    near = np.zeros((len(tracks), len(boxes)), np.bool_)
    for offset, _ in placed:
        within = np.abs(offset) < span
        near |= within[..., 0] & within[..., 1]
    rows, columns = np.nonzero(near)
    counted = reliable(tracks.keypoint_scores)[rows] & reliable(scores)[columns]
    weights = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)  # (pairs, K)
    area = expected.sides.prod(axis=-1)[:, None]
    allowance = (2 * (sigmas if len(sigmas) else DEFAULT_SIGMA)) ** 2 * area
    spread = ((allowance + jitter) * (1 + STALE * expected.missed))[rows]
    apart = points[columns] - tracks.keypoints[rows]  # (pairs, K, 2)
    mean = np.einsum("pkd,pk->pd", apart, weights)
    centred = apart - mean[:, None]
    alone = np.einsum("pkd,pkd->pk", centred, centred)
    unrest = tracks.unrest[:, None]
    away = np.minimum(AWAY * unrest * expected.missed, MOVED * allowance)
    own, anybody = unrest + away + STILL * allowance, unrest + ANYBODY * allowance
    # One keypoint is its own middle, and says nothing.
    unlike = alone * (0.5 / own)[rows] + (1 - weights) * np.log(own / anybody)[rows]
    unlike = np.minimum(POSE_KEYPOINTS * np.einsum("pk,pk->p", unlike, weights), UNLIKE)
    found = []
    for place, (_, likely) in zip(expected.places, placed, strict=True):
        # As one, the pose is allowed to be off as far as the box.
        moved = (place - box_centers(tracks.boxes))[rows]
        left = _beyond(mean - moved, expected.reach[rows, 0])
        squared = alone + 2 * np.einsum("pkd,pd->pk", centred, left)
        squared += (left**2).sum(axis=1, keepdims=True)
        oks = np.zeros(near.shape)
        oks[rows, columns] = (np.exp(-squared / (2 * spread)) * weights).sum(axis=1)
        likely[rows, columns] -= unlike
        found.append((oks, likely))
    return _best(expected, found)


class PoseNoise:
    """How much keypoints jitter by themselves, measured on people who are easily told apart."""

    def __init__(self) -> None:
        self.variance = 0.0  # pixels^2 per coordinate, between two frames
        self._measured = False

    def measure(self, tracks: _Tracks, people: People) -> None:
        """Measures the poses of the next frame against those of the tracks, and their unrest."""
        boxes, points, scores = people
        overlaps = box_iou(tracks.predicted_boxes(), boxes)
        overlaps[tracks.missed > 0] = 0
        rows = np.flatnonzero(overlaps.max(axis=1) > SAME_IOU)
        columns = overlaps[rows].argmax(axis=1)
        mutual = overlaps[:, columns].argmax(axis=0) == rows
        rows, columns = rows[mutual], columns[mutual]
        counted = reliable(tracks.keypoint_scores[rows]) & reliable(scores[columns])
        told = counted.any(axis=1)
        rows, columns, counted = rows[told], columns[told], counted[told]
        if not len(rows):
            return
        weights = counted / counted.sum(axis=1, keepdims=True)
        apart = points[columns] - tracks.keypoints[rows]
        # Where all go the same way, the person has moved.
        apart = apart - (apart * weights[..., None]).sum(axis=1, keepdims=True)
        found = (_sum_of_two(apart**2) * weights).sum(axis=1) / 2
        gain = np.maximum(1 / tracks.sightings[rows], UNREST_GAIN)
        tracks.unrest[rows] += gain * (found - tracks.unrest[rows])
        usual = median(found.tolist())
        self.variance += (NOISE_GAIN if self._measured else 1.0) * (usual - self.variance)
        self._measured = True


def _by_place(expected: _Expected, boxes: Floats) -> list[tuple[Floats, Floats]]:
    """For each place where tracks may be, offsets (m, n, 2) from it and log likelihoods (m, n)."""
    variance = expected.center_variance[:, None]
    scale = np.log(variance[..., 0] * variance[..., 1])
    off = log_sizes(boxes)[None, :, None] - expected.swung[:, None]  # (m, n, P, 2)
    sized = swing.log_densities(off, expected.size_variance[:, None])
    likely = np.logaddexp.reduce(sized + expected.swing_weights[:, None], axis=-1) - 0.5 * scale
    found = []
    for place in expected.places:
        offset = box_centers(boxes)[None] - place[:, None]
        far = np.minimum(_sum_of_two(offset**2 / variance), FAR**2)
        found.append((offset, likely - 0.5 * far))
    return found


def _best(expected: _Expected, found: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Of the places where tracks may be, what fits best."""
    similar, likely = found[0]
    if len(found) > 1:
        away: Bools = expected.missed > 0
        similar = np.where(away, np.maximum(similar, found[1][0]), similar)
        likely = np.where(away, np.maximum(likely, found[1][1] + AT_REST), likely)
    return similar, likely + expected.odds


def _sum_of_two(values: Floats) -> Floats:
    """(...) of (..., 2), faster than numpy's sum along so short an axis."""
    total: Floats = values[..., 0] + values[..., 1]
    return total


def _beyond(values: Floats, reach: Floats) -> Floats:
    """What is left of values, either way, when they are brought as near to 0 as the reach lets."""
    return values - np.minimum(np.maximum(values, -reach), reach)


def _iou_apart(offset: Floats, sides: Floats, others: Floats) -> Floats:
    """(m, n) of boxes with sides (m, 2) and (m, n, 2), whose centres are (m, n, 2) apart."""
    half = sides[:, None] / 2
    low = np.maximum(-half, offset - others / 2)
    high = np.minimum(half, offset + others / 2)
    inside = np.maximum(high - low, 0)
    overlap = inside[..., 0] * inside[..., 1]
    union = (sides[:, 0] * sides[:, 1])[:, None] + others[..., 0] * others[..., 1] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
