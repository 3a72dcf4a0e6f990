"""What was found in one image, and the forms it is given in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from posekit.skeleton import Skeleton

__all__ = ["PoseResult"]


@dataclass(frozen=True, eq=False)
class PoseResult:
    """The people (animals, hands, faces) of one image.

    Attributes:
        keypoints: (n, K, 2), float32, x and y in pixels of the image.
        keypoint_scores: (n, K), float32; larger is surer. SimCC models give logits, which are
            not probabilities and may exceed 1.
        boxes_xyxy: (n, 4), float32, in pixels of the image.
        box_scores: (n,), float32, 0 to 1.
        skeleton: names and links of the K keypoints.
        image_size: (w, h) of the image in pixels.
        name: the image's file name, or its number where it has none.
        index: its position in the inputs, from 0.
        source: the path or URL it came from, None for an array.
        visualization: the drawing (H, W, 3), BGR, uint8, where one was asked for.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    boxes_xyxy: np.ndarray
    box_scores: np.ndarray
    skeleton: Skeleton
    image_size: tuple[int, int]
    name: str
    index: int
    source: str | None = None
    visualization: np.ndarray | None = None

    def __post_init__(self) -> None:
        n, k = len(self.keypoints), self.skeleton.num_keypoints
        for field, shape in (
            ("keypoints", (n, k, 2)),
            ("keypoint_scores", (n, k)),
            ("boxes_xyxy", (n, 4)),
            ("box_scores", (n,)),
        ):
            found = getattr(self, field).shape
            if found != shape:
                raise ValueError(f"{field} must be {shape} for {n} instances, found {found}")

    def __len__(self) -> int:
        return len(self.keypoints)

    def instances(self) -> list[dict[str, Any]]:
        """One documented dict of plain Python values per instance."""
        return [
            {
                "keypoints": keypoints,
                "keypoint_scores": scores,
                # The reference wraps the box in a tuple of one element.
                "bbox": (box,),
                "bbox_score": score,
            }
            for keypoints, scores, box, score in zip(
                self.keypoints.tolist(),
                self.keypoint_scores.tolist(),
                self.boxes_xyxy.tolist(),
                self.box_scores.tolist(),
                strict=True,
            )
        ]

    def to_mmpose(self) -> dict[str, list[Any]]:
        """MMPose's documented dict: `visualization` and `predictions`, one element each."""
        return {
            "visualization": [] if self.visualization is None else [self.visualization],
            "predictions": [self.instances()],
        }
