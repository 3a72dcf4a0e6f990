"""Boxes of an image -> those of the few people that are wanted, before their poses are found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from posekit.errors import InputError
from posekit.stages.packet import Clip, Frame
from posekit.stages.similarity import Floats, box_areas, box_centers, box_iou

__all__ = ["Chooser", "Select"]

Select = Literal["score", "largest", "central"]

# Of a chosen person's speed, how much a new position counts.
NEW_SHARE = 0.5


@dataclass
class _Chosen:
    """Somebody who keeps the place."""

    box: Floats  # (4,), as last seen
    velocity: Floats  # (4,), pixels per frame
    missed: int = 0

    @property
    def expected(self) -> Floats:
        """The box, one frame on."""
        return np.asarray(self.box + self.velocity * (self.missed + 1))


class Chooser:
    """Chooses people, frame by frame.

    Args:
        most: the most people per image.
        by: which come first: those with the best score, the largest, or those nearest to the
            centre of the image.
        max_age: with tracking, a chosen person stays chosen, also unseen for up to this many
            frames, before somebody else gets the place; None chooses anew in each image.
        threshold: the least IoU between a chosen person's box and the next one.

    Raises:
        InputError: an argument that is not one of these.
    """

    def __init__(
        self,
        most: int,
        by: Select = "score",
        *,
        max_age: int | None = None,
        threshold: float = 0.3,
    ) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise InputError(f"expected at least 1 person to choose, found {most!r}")
        if by not in ("score", "largest", "central"):
            raise InputError(f"expected to choose by score, largest or central, found {by!r}")
        self.most = most
        self.by = by
        self.max_age = max_age
        self.threshold = threshold
        self._clip: Clip | None = None
        self._size = (0, 0)
        self._index = -1
        self._chosen: list[_Chosen] = []
        self._before: list[_Chosen] = []  # in the frame before

    def __call__(self, frame: Frame, boxes_xyxy: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Rows of the people who are chosen, in their order.

        Args:
            frame: the next one; once more the same for other boxes of it.
            boxes_xyxy: (n, 4), in pixels of the image.
            scores: (n,).
        """
        size = np.array([*frame.size, *frame.size], np.float64)
        boxes = np.clip(np.asarray(boxes_xyxy, np.float64).reshape(-1, 4), 0, size)
        ranked = self._ranked(boxes, np.asarray(scores), frame.size)
        if self.max_age is None:
            return np.sort(ranked[: self.most])
        if frame.clip is not self._clip or frame.size != self._size:
            self._chosen, self._clip, self._size = [], frame.clip, frame.size
            self._before = []
        elif frame.index == self._index:
            self._chosen = self._before
        self._index = frame.index
        self._before = [replace(one) for one in self._chosen]
        kept = self._follow(boxes)
        free = self.most - len(self._chosen)
        new = [row for row in ranked.tolist() if row not in kept][:free]
        self._chosen += [_Chosen(boxes[row], np.zeros(4)) for row in new]
        return np.sort(np.array([*kept, *new], np.int64))

    def _ranked(self, boxes: Floats, scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Rows, the best first."""
        if self.by == "score":
            worth = -scores
        elif self.by == "largest":
            worth = -box_areas(boxes)
        else:
            worth = np.hypot(*(box_centers(boxes) - np.array(size) / 2).T)
        return np.argsort(worth, kind="stable")

    def _follow(self, boxes: Floats) -> list[int]:
        """Rows of the people who were chosen before; who is away for too long is let go."""
        assert self.max_age is not None
        rows: list[int] = []
        unseen = list(range(len(self._chosen)))
        if unseen and len(boxes):
            similar = box_iou(np.stack([one.expected for one in self._chosen]), boxes)
            while unseen and similar.max() >= max(self.threshold, 1e-9):
                place, row = (int(i) for i in np.unravel_index(similar.argmax(), similar.shape))
                similar[place], similar[:, row] = -1, -1
                one = self._chosen[place]
                speed = (boxes[row] - one.box) / (one.missed + 1)
                one.velocity = one.velocity + NEW_SHARE * (speed - one.velocity)
                one.box, one.missed = boxes[row], 0
                rows.append(row)
                unseen.remove(place)
        for place in unseen:
            self._chosen[place].missed += 1
        self._chosen = [one for one in self._chosen if one.missed <= self.max_age]
        return rows
