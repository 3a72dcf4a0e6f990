"""The boxes of an image, and boxes given by the caller."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from posekit.errors import InputError
from posekit.stages.packet import Frame

__all__ = ["Boxes", "GivenBoxes", "parse_boxes", "whole_image"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Boxes:
    """Where to look for poses in one image.

    Attributes:
        xyxy: (n, 4), float32, in pixels of the image.
        scores: (n,), float32, 0 to 1.
    """

    xyxy: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: np.ndarray | list[int]) -> Boxes:
        return Boxes(self.xyxy[chosen], self.scores[chosen])


def whole_image(image: np.ndarray | Tensor) -> Boxes:
    """An image (H, W, 3) as one box of score 1."""
    height, width = image.shape[:2]
    return Boxes(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))


def parse_boxes(values: Any, name: str, *, xywh: bool = False, hint: str = "") -> Boxes:
    """Boxes as people give them, checked; those without a score get 1.

    Args:
        values: (n, 4) or (n, 5), the fifth a score; one box may be (4,) or (5,).
        name: what they are, for errors.
        xywh: whether they are left, top, width and height instead of corners.
        hint: appended to the error about corners.

    Raises:
        InputError: not numbers, another shape, or corners in the wrong order.
    """
    try:
        boxes = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{name} are not numbers (n, 4) or (n, 5)") from None
    if not boxes.size:
        return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    if boxes.ndim:
        boxes = boxes.reshape(-1, boxes.shape[-1])
    if boxes.ndim != 2 or boxes.shape[1] not in (4, 5):
        raise InputError(f"{name} must be (n, 4) or (n, 5), found {boxes.shape}")
    if xywh:
        boxes = boxes.copy()
        boxes[:, 2:4] += boxes[:, :2]
    if not np.isfinite(boxes).all() or (boxes[:, 2:4] < boxes[:, :2]).any():
        raise InputError(
            f"{name} must be finite x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, "
            f"found {boxes.tolist()}{hint}"
        )
    scores = boxes[:, 4] if boxes.shape[1] == 5 else np.ones(len(boxes), np.float32)
    return Boxes(boxes[:, :4], scores)


class GivenBoxes:
    """The option `bboxes`: those of each image, checked when its turn comes.

    Args:
        bboxes: for each image what `parse_boxes` takes; for a single image just that.
    """

    def __init__(self, bboxes: Any) -> None:
        self.per_image = [bboxes] if _depth(bboxes) <= 2 else bboxes

    def of(self, index: int) -> Boxes:
        """The boxes of an image.

        Args:
            index: its position in the inputs.

        Raises:
            InputError: there are none for it, or they are not boxes.
        """
        if index >= len(self.per_image):
            raise InputError(
                f"bboxes has boxes for {len(self.per_image)} images, but there is image number "
                f"{index + 1}; give one array (n, 4) per image"
            )
        return parse_boxes(self.per_image[index], f"bboxes of image {index}")

    def checked(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yields the frames; raises as `of` at the first one with wrong boxes."""
        count = 0
        for frame in frames:
            self.of(frame.index)
            count = frame.index + 1
            yield frame
            del frame
        if count < len(self.per_image):
            log.warning(
                "bboxes has boxes for %d images, but there are %d: the others are not used",
                len(self.per_image),
                count,
            )


def _depth(nested: Any) -> int:
    """How deep numbers lie: 2 for [[1, 2]], 3 for [[[1, 2]]]."""
    if isinstance(nested, np.ndarray | Tensor):
        # An object array holds one array per image.
        return nested.ndim if nested.dtype != object else 1 + max(map(_depth, nested), default=1)
    if isinstance(nested, Sequence) and not isinstance(nested, str):
        return 1 + max(map(_depth, nested), default=1)
    return 0
