"""Tracking: the instances of each frame of a video -> stable ids.

Two steps, on arrays. Each track is carried to the next frame (`motion`, `swing`). Then all tracks
are assigned to all instances at once, optimally (`association`): IoU of the boxes or OKS of the
poses say who it may be, the likelihood of position, size and pose who it is.

    tracker = Tracker()
    ids = tracker.update(boxes, box_scores, keypoints, keypoint_scores)  # a frame with detection

    boxes, box_scores, ids = tracker.carry(image_size)  # a frame without: crop from these boxes
    kept = tracker.follow(ids, keypoints, keypoint_scores)  # and say what was found in them
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from posekit.errors import InputError
from posekit.stages import motion, swing
from posekit.stages.association import People, PoseNoise, compare_boxes, compare_poses, log_sizes
from posekit.stages.similarity import (
    Bools,
    Floats,
    box_areas,
    box_centers,
    box_iou_rowwise,
    mean_scores,
    pose_oks,
    reliable,
)

__all__ = ["Similarity", "Tracker"]

Ints = npt.NDArray[np.int64]
Similarity = Literal["iou", "oks"]

# A carried person is lost where the mean score falls below this share of that at the last
# detection, where less than this share of the box lies in the image, or where the pose is another
# person's to this OKS.
LOST_SCORE_SHARE = 0.5
LOST_INSIDE_SHARE = 0.25
SAME_POSE_OKS = 0.9
# A carried box's sides change by at most this factor per frame, so that a keypoint that jumps to
# a neighbour does not take the box along.
SIDE_CHANGE = 1.25
# Of a new sighting in how much a track was seen to jitter; before anything was seen of that, each
# side of a box jitters by this share of the height, and so the centre and the sizes.
NOISE_GAIN, FIRST_NOISE = 0.05, 0.03
TIE = 1e-9  # of a gain, for each place in the order
LITTLE = 1e-3  # what an allowed pair is worth that is less likely than somebody new


class Tracker:
    """Gives the instances of one video ids, frame by frame; use a new tracker for each video.

    Ids count up from 0 in the order in which people appear and are never reused.

    Args:
        similarity: "iou" of boxes, or "oks", COCO's object keypoint similarity: the mean of
            exp(-d^2 / (2 (2 sigma)^2 area)) over the keypoints, with the track's box as area. Only
            keypoints whose score is at least half their person's mean in both count.
        threshold: 0 to 1; an instance less similar than this to a track is never matched to it;
            similarity allows for jitter and for time unseen.
        max_age: frames that a track may be unseen and still keep its id.
        sigmas: (K,), the skeleton's, for "oks"; None or none at all takes 0.06 for each.

    Raises:
        InputError: an argument of the wrong type or range.
    """

    def __init__(
        self,
        *,
        similarity: Similarity = "iou",
        threshold: float = 0.3,
        max_age: int = 30,
        sigmas: npt.ArrayLike | None = None,
    ) -> None:
        if similarity not in get_args(Similarity):
            raise InputError(f"expected similarity 'iou' or 'oks', found {similarity!r}")
        if isinstance(threshold, bool) or not isinstance(threshold, int | float):
            raise InputError(f"expected threshold as a number, found {threshold!r}")
        if not 0 <= threshold <= 1:
            raise InputError(f"expected threshold between 0 and 1, found {threshold}")
        if isinstance(max_age, bool) or not isinstance(max_age, int) or max_age < 0:
            raise InputError(f"expected max_age as a number of frames from 0, found {max_age!r}")
        self.similarity = similarity
        self.threshold = threshold
        self.max_age = max_age
        self._sigmas = _check_sigmas(sigmas)
        self._tracks = _no_tracks(0)
        self._next_id = 0
        self._jitter = PoseNoise()

    def update(
        self,
        boxes_xyxy: npt.ArrayLike,
        box_scores: npt.ArrayLike,
        keypoints: npt.ArrayLike,
        keypoint_scores: npt.ArrayLike,
    ) -> Ints:
        """Takes the instances that were detected in the next frame.

        Args:
            boxes_xyxy: (n, 4), in pixels.
            box_scores: (n,).
            keypoints: (n, K, 2), in pixels.
            keypoint_scores: (n, K), of any scale.

        Returns:
            (n,), int64, the id of each instance.

        Raises:
            InputError: wrong shapes, or boxes that are not finite.
        """
        boxes, scores = _check_boxes(boxes_xyxy, box_scores)
        points, confidences = self._check_keypoints(keypoints, keypoint_scores, len(boxes))
        if not len(self._tracks):
            self._tracks = _no_tracks(points.shape[1])
        self._tracks.advance()
        rows, columns = self._assign((boxes, points, confidences))
        self._tracks.missed += 1
        self._see(rows, boxes[columns], points[columns], confidences[columns])
        self._anchor(rows, scores[columns])

        ids = np.full(len(boxes), -1, np.int64)
        ids[columns] = self._tracks.ids[rows]
        new = np.flatnonzero(ids < 0)
        ids[new] = self._next_id + np.arange(len(new))
        self._next_id += len(new)
        if len(new):
            born = _new_tracks(ids[new], boxes[new], scores[new], points[new], confidences[new])
            self._tracks = self._tracks.joined(born)
        self._forget()
        return ids

    def predicted_boxes(self) -> tuple[Floats, Ints]:
        """Where all live tracks are expected in the next frame: boxes (m, 4) and ids (m,).

        Those that were missed lately are among them.
        """
        return self._tracks.predicted_boxes(), self._tracks.ids.copy()

    def carry(self, image_size: tuple[int, int] | None = None) -> tuple[Floats, Floats, Ints]:
        """The people to look for in the next frame where no detector runs.

        They are those seen in the last frame, except where less than a quarter of the box lies in
        the image. Changes nothing; tell `follow` what was found.

        Args:
            image_size: (w, h), in pixels; None keeps people who have left the image.

        Returns:
            Boxes (m, 4) to crop from, their scores (m,) at the last detection, and ids (m,).
        """
        boxes = self._tracks.predicted_boxes()
        carried = self._tracks.missed == 0
        if image_size is not None:
            carried &= _share_inside(boxes, image_size) >= LOST_INSIDE_SHARE
        return boxes[carried], self._tracks.box_scores[carried], self._tracks.ids[carried]

    def follow(
        self, ids: npt.ArrayLike, keypoints: npt.ArrayLike, keypoint_scores: npt.ArrayLike
    ) -> Bools:
        """Takes the poses that were found in carried boxes as the next frame.

        Each box becomes the one around the keypoints, with its margins at the last detection,
        scaled by how much the person has grown. A person is lost if their mean score falls below
        half of that at the last detection, or if their pose is that of another carried person (the
        one that had to jump is dropped). Lost people, and those not in `ids`, count as missed.

        Args:
            ids: (m,), as `carry` gave them, or some of them.
            keypoints: (m, K, 2), in pixels.
            keypoint_scores: (m, K).

        Returns:
            (m,), bool, who is still there; the others are not to be reported.

        Raises:
            InputError: wrong shapes, or an id that is not a live track's.
        """
        rows = self._rows(ids)
        points, confidences = self._check_keypoints(keypoints, keypoint_scores, len(rows))
        boxes, kept = self._still_there(rows, points, confidences)
        self._tracks.advance()
        self._tracks.missed += 1
        if len(rows):
            self._see(rows[kept], boxes[kept], points[kept], confidences[kept])
        self._forget()
        return kept

    def still_there(
        self, ids: npt.ArrayLike, keypoints: npt.ArrayLike, keypoint_scores: npt.ArrayLike
    ) -> Bools:
        """What `follow` would return, without changing the tracks."""
        rows = self._rows(ids)
        points, confidences = self._check_keypoints(keypoints, keypoint_scores, len(rows))
        return self._still_there(rows, points, confidences)[1]

    def boxes_of(self, ids: npt.ArrayLike) -> Floats:
        """(m, 4), xyxy in pixels, of live tracks as they were last seen."""
        return self._tracks.boxes[self._rows(ids)]

    def is_missing(self, image_size: tuple[int, int], within: int) -> bool:
        """Whether somebody who was last seen 1 to `within` frames ago should be in the image."""
        boxes, missed = self._tracks.predicted_boxes(), self._tracks.missed
        away = (missed > 0) & (missed <= within)
        return bool((_share_inside(boxes[away], image_size) >= LOST_INSIDE_SHARE).any())

    def _still_there(self, rows: Ints, points: Floats, scores: Floats) -> tuple[Floats, Bools]:
        """Boxes (m, 4) round the keypoints, and whose they are."""
        if not len(rows):
            return np.zeros((0, 4)), np.zeros(0, bool)
        tracks = self._tracks[rows]
        boxes, found = _move_boxes(tracks, points, scores)
        needed = LOST_SCORE_SHARE * mean_scores(tracks.anchor_scores)
        kept = found & (mean_scores(scores) >= needed)
        kept[kept] = ~self._duplicates(tracks[kept], boxes[kept], points[kept], scores[kept])
        return boxes, kept

    def _assign(self, people: People) -> tuple[Ints, Ints]:
        """Rows of tracks and of instances that belong together."""
        from scipy.optimize import linear_sum_assignment  # takes half a second to import

        if not len(self._tracks) or not len(people[0]):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if self.similarity == "iou":
            similar, likely = compare_boxes(self._tracks, people[0])
        else:
            self._jitter.measure(self._tracks, people)
            jitter = self._jitter.variance
            similar, likely = compare_poses(self._tracks, people, self._sigmas, jitter)
        allowed = (similar >= self.threshold) & (similar > 0)
        # Who was away may be anywhere, and does not come back as what is more likely somebody new.
        allowed &= (likely > 0) | (self._tracks.missed == 0)[:, None]
        # Worth nothing, a forbidden pair is as good as none. An allowed one that is less likely
        # than somebody new is worth little: it takes nothing from the others.
        gain = np.where(allowed, np.where(likely > 0, likely, 0) + LITTLE * similar, 0)
        # Who cannot be told apart keeps to the order in which detectors report them.
        order = np.subtract.outer(np.arange(gain.shape[0]), np.arange(gain.shape[1]))
        gain *= 1 - TIE * np.abs(order)
        rows, columns = linear_sum_assignment(gain, maximize=True)
        chosen = allowed[rows, columns]
        return rows[chosen].astype(np.int64), columns[chosen].astype(np.int64)

    def _see(self, rows: Ints, boxes: Floats, points: Floats, scores: Floats) -> None:
        """Corrects tracks by where they were seen, `missed` frames after the last time."""
        tracks = self._tracks
        frames = tracks.missed[rows, None].astype(np.float64)
        seen, sizes, heights = box_centers(boxes), log_sizes(boxes), np.exp(tracks.sizes[rows, 1:])
        self._measure_noise(rows, seen, sizes)
        grown = motion.predicted(tracks.covariance[rows], heights, frames)
        expected = tracks.centers[rows] + tracks.velocities[rows] * frames
        errors = seen - expected
        left, alpha, beta = motion.corrected(grown, tracks.noise[rows, :2], errors)
        tracks.centers[rows] = expected + alpha * errors
        tracks.velocities[rows] += beta * errors
        tracks.covariance[rows] = left
        swung = tracks.swings[rows], tracks.swing_covariance[rows], tracks.swing_weights[rows]
        swung = swing.corrected(*swung, sizes, tracks.noise[rows, 2:])
        tracks.swings[rows], tracks.swing_covariance[rows], tracks.swing_weights[rows] = swung
        tracks.sightings[rows] += 1
        tracks.missed[rows] = 0
        tracks.boxes[rows] = boxes
        tracks.keypoints[rows] = points
        tracks.keypoint_scores[rows] = scores

    def _measure_noise(self, rows: Ints, seen: Floats, sizes: Floats) -> None:
        """Measures the jitter of centres (m, 2), in pixels, and log sizes (m, 2) as now seen."""
        tracks = self._tracks
        before = tracks.boxes[rows]
        steps = np.concatenate([seen - box_centers(before), sizes - log_sizes(before)], axis=1)
        # A second difference of noise has six times its variance.
        squares = (steps - tracks.steps[rows]) ** 2 / 6
        steps[tracks.missed[rows] > 1] = np.nan
        tracks.steps[rows] = steps
        told = np.isfinite(squares) & (tracks.missed[rows, None] == 1)
        gain = np.maximum(1 / tracks.sightings[rows], NOISE_GAIN)[:, None]
        tracks.noise[rows] += np.where(told, gain * (squares - tracks.noise[rows]), 0)

    def _anchor(self, rows: Ints, box_scores: Floats) -> None:
        """What carried boxes are measured by: box and pose as a detection gave them."""
        tracks = self._tracks
        tracks.box_scores[rows] = box_scores
        tracks.anchor_boxes[rows] = tracks.boxes[rows]
        tracks.anchor_keypoints[rows] = tracks.keypoints[rows]
        tracks.anchor_scores[rows] = tracks.keypoint_scores[rows]

    def _duplicates(self, tracks: _Tracks, boxes: Floats, points: Floats, scores: Floats) -> Bools:
        """Which of these people have somebody else's pose, found by jumping away from their own."""
        doubled = np.zeros(len(boxes), np.bool_)
        if len(boxes) > 1:
            people = (boxes, points, scores)
            same = np.triu(pose_oks(people, people, self._sigmas) >= SAME_POSE_OKS, 1)
            loyalty = box_iou_rowwise(tracks.predicted_boxes(), boxes)
            for one, other in np.argwhere(same).tolist():
                doubled[other if loyalty[one] >= loyalty[other] else one] = True
        return doubled

    def _forget(self) -> None:
        kept = self._tracks.missed <= self.max_age
        if not kept.all():
            self._tracks = self._tracks[kept]

    def _rows(self, ids: npt.ArrayLike) -> Ints:
        wanted = np.asarray(ids)
        if not wanted.size:
            return np.zeros(0, np.int64)
        if wanted.ndim != 1 or not np.issubdtype(wanted.dtype, np.integer):
            raise InputError(
                f"expected ids (m,) of integers, found {wanted.shape} of {wanted.dtype}"
            )
        row_of = {track: row for row, track in enumerate(self._tracks.ids.tolist())}
        rows = [row_of.get(track, -1) for track in wanted.tolist()]
        if -1 in rows or len(set(rows)) < len(rows):
            raise InputError(
                f"expected each id once, of the live tracks {sorted(row_of)}, "
                f"found {wanted.tolist()}; give those that carry() gave"
            )
        return np.array(rows, np.int64)

    def _check_keypoints(
        self, keypoints: npt.ArrayLike, scores: npt.ArrayLike, people: int
    ) -> tuple[Floats, Floats]:
        """Keypoints (n, K, 2) and scores (n, K); what is not finite gets score 0."""
        points = np.asarray(keypoints, dtype=np.float64)
        confidences = np.asarray(scores, dtype=np.float64)
        known = self._tracks.keypoints.shape[1] if len(self._tracks) else len(self._sigmas)
        if not people and not points.size:
            count = known or (points.shape[1] if points.ndim == 3 else 0)
            return np.zeros((0, count, 2)), np.zeros((0, count))
        if points.ndim != 3 or len(points) != people or points.shape[2] != 2:
            raise InputError(
                f"expected keypoints ({people}, K, 2) for {people} boxes or ids, "
                f"found {points.shape}"
            )
        if known and points.shape[1] != known:
            raise InputError(
                f"expected {known} keypoints, as many as sigmas and as in earlier frames, "
                f"found {points.shape[1]}; use another tracker for another skeleton"
            )
        if confidences.shape != points.shape[:2]:
            raise InputError(
                f"expected keypoint_scores {points.shape[:2]}, found {confidences.shape}"
            )
        good = np.isfinite(points).all(axis=-1) & np.isfinite(confidences)
        return np.where(good[..., None], points, 0), np.where(good, confidences, 0)


@dataclass
class _Tracks:
    """m tracks, the oldest first. Centres and velocities are the filter's."""

    ids: Ints  # (m,)
    boxes: Floats  # (m, 4), as last seen
    box_scores: Floats  # (m,), as last detected
    keypoints: Floats  # (m, K, 2), as last seen
    keypoint_scores: Floats  # (m, K)
    anchor_boxes: Floats  # (m, 4), as last detected
    anchor_keypoints: Floats  # (m, K, 2)
    anchor_scores: Floats  # (m, K)
    centers: Floats  # (m, 2), pixels
    velocities: Floats  # (m, 2), pixels per frame
    covariance: Floats  # (m, 2, 3), of these two, see `motion`
    steps: Floats  # (m, 4), of centre and log sizes in the last frame; NaN if not seen in both
    swings: Floats  # (m, P, 2, 3), states of log sizes in this frame, see `swing`
    swing_covariance: Floats  # (m, P, 2, 3, 3)
    swing_weights: Floats  # (m, P), log weights of the periods of steps
    noise: Floats  # (m, 4), variances of centre (pixels^2) and of log size, as measured
    unrest: Floats  # (m,), variance of keypoints about their person's middle, pixels^2 per frame
    sightings: Ints  # (m,)
    missed: Ints  # (m,), frames since it was last seen

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> _Tracks:
        return _Tracks(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    def joined(self, others: _Tracks) -> _Tracks:
        names = [field.name for field in dataclasses.fields(self)]
        return _Tracks(*(np.concatenate([getattr(self, x), getattr(others, x)]) for x in names))

    @property
    def sizes(self) -> Floats:
        """(m, 2), logarithms of width and height, as expected in this frame."""
        return swing.expected_sizes(self.swings, self.swing_weights)

    def advance(self) -> None:
        """Carries the sizes to the next frame."""
        self.swings, self.swing_covariance = swing.advanced(self.swings, self.swing_covariance)

    def predicted_boxes(self) -> Floats:
        """(m, 4), one frame on: the centre moves, the size stays."""
        centers = self.centers + self.velocities * (self.missed[:, None] + 1)
        half = (self.boxes[:, 2:] - self.boxes[:, :2]) / 2
        return np.concatenate([centers - half, centers + half], axis=1)


def _no_tracks(num_keypoints: int) -> _Tracks:
    points = np.zeros((0, num_keypoints, 2))
    return _new_tracks(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0), points, points[..., 0])


def _new_tracks(
    ids: Ints, boxes: Floats, box_scores: Floats, points: Floats, scores: Floats
) -> _Tracks:
    centers, heights = box_centers(boxes), boxes[:, 3:] - boxes[:, 1:2]
    sizes = log_sizes(boxes)
    # Of two sides the mean has half the variance of one, the difference twice that.
    sides = (FIRST_NOISE * heights) ** 2
    noise = np.concatenate([sides / 2, sides / 2, 2 * sides * np.exp(-2 * sizes)], axis=1)
    swings, swing_covariance, swing_weights = swing.new_swings(sizes, noise[:, 2:])
    return _Tracks(
        ids=ids.copy(),
        boxes=boxes,
        box_scores=box_scores,
        keypoints=points,
        keypoint_scores=scores,
        anchor_boxes=boxes.copy(),
        anchor_keypoints=points.copy(),
        anchor_scores=scores.copy(),
        centers=centers,
        velocities=np.zeros_like(centers),
        covariance=motion.new_covariance(noise[:, :2], heights),
        steps=np.full_like(noise, np.nan),
        swings=swings,
        swing_covariance=swing_covariance,
        swing_weights=swing_weights,
        noise=noise,
        unrest=sides[:, 0],
        sightings=np.ones(len(ids), np.int64),
        missed=np.zeros(len(ids), np.int64),
    )


def _move_boxes(tracks: _Tracks, points: Floats, scores: Floats) -> tuple[Floats, Bools]:
    """Boxes (m, 4) round the keypoints, margins as at the last detection, and which there are."""
    common: Bools = np.logical_and(reliable(tracks.anchor_scores), reliable(scores))  # (m, K)
    found: Bools = np.logical_or.reduce(common, axis=1)
    low_then, high_then = _extent(tracks.anchor_keypoints, common)
    low_now, high_now = _extent(points, common)
    size_then = np.linalg.norm(high_then - low_then, axis=1, keepdims=True)
    size_now = np.linalg.norm(high_now - low_now, axis=1, keepdims=True)
    growth = np.where(size_then > 0, size_now / np.maximum(size_then, 1e-9), 1).clip(0.5, 2)
    low = low_now - growth * (low_then - tracks.anchor_boxes[:, :2])
    high = high_now + growth * (tracks.anchor_boxes[:, 2:] - high_then)
    sides = tracks.boxes[:, 2:] - tracks.boxes[:, :2]
    half = np.clip(high - low, sides / SIDE_CHANGE, sides * SIDE_CHANGE) / 2
    center = (low + high) / 2
    return np.concatenate([center - half, center + half], axis=1), found


def _extent(points: Floats, chosen: Bools) -> tuple[Floats, Floats]:
    """Lowest and highest coordinates (m, 2) of the chosen keypoints; 0 where there are none."""
    some = chosen.any(axis=1, keepdims=True)
    low = np.where(chosen[..., None], points, np.inf).min(axis=1, initial=np.inf)
    high = np.where(chosen[..., None], points, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(some, low, 0), np.where(some, high, 0)


def _share_inside(boxes: Floats, image_size: tuple[int, int]) -> Floats:
    size = np.array(image_size, np.float64)
    if size.shape != (2,) or not (size > 0).all():
        raise InputError(f"expected image_size as (w, h) in pixels, found {image_size!r}")
    inside = np.maximum(np.minimum(boxes[:, 2:], size) - np.maximum(boxes[:, :2], 0), 0)
    return inside.prod(axis=1) / np.maximum(box_areas(boxes), 1e-9)


def _check_boxes(boxes_xyxy: npt.ArrayLike, box_scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    scores = np.asarray(box_scores, dtype=np.float64)
    boxes = boxes.reshape(0, 4) if not boxes.size else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"expected boxes_xyxy (n, 4), found {boxes.shape}")
    if scores.shape != (len(boxes),):
        raise InputError(f"expected box_scores ({len(boxes)},), found {scores.shape}")
    if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
        raise InputError(
            "expected boxes_xyxy as finite x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, "
            f"found {boxes.tolist()}"
        )
    return boxes, scores


def _check_sigmas(sigmas: npt.ArrayLike | None) -> Floats:
    spreads = np.asarray(() if sigmas is None else sigmas, dtype=np.float64)
    if spreads.ndim != 1 or not np.isfinite(spreads).all() or not (spreads > 0).all():
        raise InputError(f"expected sigmas (K,), positive and finite, found {sigmas!r}")
    return spreads
