"""In which frames the detector runs: a function of the frames alone, never of time.

With a number, in every n-th frame. With "auto", where there is reason to doubt that the boxes
carried along still show everybody: doubts of successive frames add up, and the detector runs when
they reach 1. In both cases it runs in the very frame in which the scene changes.

    turns = DetectorTurns("auto")
    if turns.due(image, number, expected):
        turns.detected(ids, boxes, keypoint_scores)
    else:
        turns.followed(ids, expected, boxes, keypoint_scores)
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from posekit.stages.similarity import Floats, box_iou_rowwise, mean_scores, shares_inside

__all__ = ["LONGEST_REST", "DetectorTurns"]

# Frames without detection in a row, at most.
LONGEST_REST = 9
# Frames are compared in grey at this width; contrasts below the least one are noise.
SMALL_WIDTH = 64
LEAST_CONTRAST = 4.0
# A scene has changed where a frame differs from the one before, or from that of the last detection,
# by this share of their contrast. Photographs of different places differ by 1 and more.
CUT, DRIFT = 0.5, 0.8
# A small pixel has changed by this many grey levels; so much of the frame, away from the people who
# are known, may be somebody new, and so may this share of it that a moving camera brings into view.
CHANGED = 12.0
NEWCOMER_SHARE, REVEALED_SHARE = 0.001, 0.03
# Of a camera since the last detection: small pixels, and a share of the width or the height.
LEAST_SHIFT, LARGEST_SHIFT = 0.2, 0.25
KNOWN_MARGIN = 0.1  # round the box of somebody known, in its sides
# What a frame adds to the doubts: somebody new may be there (the second number once the detector
# looked for them in vain so often, as where trees move); somebody who was out of sight may be back;
# two people cover each other; somebody stands at the border.
NEWCOMER_DOUBTS, PATIENCE = (1.0, 0.5), 8
MISSING_DOUBT, OVERLAP_DOUBT, BORDER_DOUBT = 0.5, 0.34, 0.1
OVERLAP = 0.3  # of a box that lies in another
# Doubts of 1, and in proportion to their square: mean scores fall by this share of their own level
# so far, or the IoU of a box with where it was expected is so far below 1.
SCORE_FALL, BOX_MISS = 0.25, 0.5
LEVEL_GAIN = 0.3  # of a new score in the running level


class DetectorTurns:
    """Decides whether the detector runs in the next frame of a clip; use a new one per clip.

    Args:
        interval: every n-th frame, or "auto".

    Attributes:
        scene_age: frames since the last cut.
    """

    def __init__(self, interval: int | Literal["auto"]) -> None:
        self.interval = interval
        self.scene_age = 0
        self._rested = 0
        self._doubts = 0.0
        self._vain = 0
        self._levels: dict[int, float] = {}  # of mean scores, by track
        self._before: Floats | None = None  # the frame before, small
        self._anchor: Floats | None = None  # that of the last detection
        self._boxes: Floats = np.zeros((0, 4))  # of the last detection
        self._size = (1, 1)  # (w, h) of the frame, in pixels

    def due(
        self, image: np.ndarray, number: int, expected: Floats, *, missing: bool = False
    ) -> bool:
        """Takes the next frame and returns whether the detector runs in it.

        Args:
            image: (H, W, 3), BGR, uint8.
            number: number of the frame; the detector runs in every n-th.
            expected: (m, 4), xyxy in pixels, where known people are expected.
            missing: whether somebody else was seen lately and should still be in the image.
        """
        small = _small(image)
        before, self._before = self._before, small
        self._size = image.shape[1], image.shape[0]
        self._rested += 1
        if before is None or self._anchor is None or before.shape != small.shape:
            return True
        self.scene_age += 1
        if _difference(before, small) > CUT:
            self.scene_age = 0
            return True
        if self.interval != "auto":
            return number % self.interval == 0
        if self._rested > LONGEST_REST or _difference(self._anchor, small) > DRIFT:
            return True
        if self._somebody_new(self._anchor, small, expected):
            self._vain += 1  # until somebody is found
            self._doubts += NEWCOMER_DOUBTS[self._vain > PATIENCE]
        if missing:
            self._doubts += MISSING_DOUBT
        return self._doubts >= 1

    def detected(self, ids: npt.ArrayLike, boxes: Floats, keypoint_scores: Floats) -> None:
        """Takes the people found in a frame with detection.

        Args:
            ids: (n,), their track ids.
            boxes: (n, 4), xyxy in pixels.
            keypoint_scores: (n, K).
        """
        self._rested, self._doubts = 0, 0.0
        self._anchor, self._boxes = self._before, boxes
        levels = dict(zip(_list(ids), mean_scores(keypoint_scores).tolist(), strict=True))
        if levels.keys() - self._levels.keys():
            self._vain = 0
        self._levels = levels

    def followed(
        self, ids: npt.ArrayLike, expected: Floats, boxes: Floats, keypoint_scores: Floats
    ) -> None:
        """Takes the people found in a frame without detection.

        Args:
            ids: (m,), their track ids.
            expected: (m, 4), xyxy in pixels, where each was looked for.
            boxes: (m, 4), where each is.
            keypoint_scores: (m, K).
        """
        misses = 1 - box_iou_rowwise(expected, boxes)
        doubts = (misses / BOX_MISS) ** 2
        for row, (track, score) in enumerate(
            zip(_list(ids), mean_scores(keypoint_scores).tolist(), strict=True)
        ):
            level = self._levels.get(track, score)
            fall = max(level - score, 0.0) / max(level, 1e-9)
            doubts[row] = max(doubts[row], (fall / SCORE_FALL) ** 2)
            self._levels[track] = level + LEVEL_GAIN * (score - level)
        self._doubts += float(doubts.max(initial=0.0))
        if (shares_inside(boxes, boxes) > OVERLAP).sum() > len(boxes):  # each lies in itself
            self._doubts += OVERLAP_DOUBT
        if ((boxes[:, :2] < 0) | (boxes[:, 2:] > self._size)).any():
            self._doubts += BORDER_DOUBT

    def _somebody_new(self, anchor: Floats, small: Floats, expected: Floats) -> bool:
        """Whether enough has changed since the last detection where nobody is known to be."""
        moved, shift = _moved(anchor, small)
        seen = np.isfinite(moved)
        size = small.shape[::-1]
        if np.abs(shift / size).sum() > REVEALED_SHARE:
            return True
        scale = np.divide(size, self._size)
        for boxes, by in ((self._boxes, shift), (expected, np.zeros(2))):
            margin = KNOWN_MARGIN * (boxes[:, 2:] - boxes[:, :2])
            low = np.floor((boxes[:, :2] - margin) * scale + by).clip(0).astype(int)
            high = np.ceil((boxes[:, 2:] + margin) * scale + by).clip(0).astype(int)
            for (x1, y1), (x2, y2) in zip(low.tolist(), high.tolist(), strict=True):
                seen[y1:y2, x1:x2] = False
        return bool((np.abs(small - moved)[seen] > CHANGED).sum() > NEWCOMER_SHARE * seen.size)


def _moved(anchor: Floats, small: Floats) -> tuple[Floats, Floats]:
    """A frame as the camera of another would see it, and how far that has moved: (2,), x and y.

    NaN where the other sees beyond it.
    """
    height, width = small.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_64F)
    # Not as its own argument, with which OpenCV would change the frames.
    shift: Floats = np.array(cv2.phaseCorrelate(anchor * window, small * window)[0], np.float64)
    still = anchor, np.zeros(2)
    shares = np.abs(shift) / (width, height)
    if not LEAST_SHIFT / width < shares.max() < LARGEST_SHIFT:
        return still
    matrix = np.column_stack([np.eye(2), shift])
    warped = cv2.warpAffine(anchor, matrix, (width, height), borderValue=np.nan)
    moved = warped.astype(np.float64)
    known = np.isfinite(moved)
    # Where people are most of what moves, it is not the camera.
    better = np.median(np.abs(small - moved)[known]) < np.median(np.abs(small - anchor)[known])
    return (moved, shift) if better else still


def _small(image: np.ndarray) -> Floats:
    """(h, w), grey, around its mean."""
    height, width = image.shape[:2]
    size = (SMALL_WIDTH, max(1, round(SMALL_WIDTH * height / width)))
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    small: Floats = grey.astype(np.float64) - grey.mean()
    return small


def _difference(first: Floats, second: Floats) -> float:
    """Of two frames, as a share of their contrasts; light that changes everywhere is none."""
    contrast = float(np.abs(first).mean() + np.abs(second).mean()) / 2
    return float(np.abs(first - second).mean()) / max(contrast, LEAST_CONTRAST)


def _list(ids: npt.ArrayLike) -> list[int]:
    found: list[int] = np.asarray(ids).tolist()
    return found
