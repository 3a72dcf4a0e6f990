"""Labels as arrays, so that worker processes share their memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["DetectionLabels", "PoseLabels"]


@dataclass(frozen=True, kw_only=True)
class PoseLabels:
    """n instances on m images; arrays, so that worker processes share the memory.

    Attributes:
        image_paths: (m,), strings.
        image_ids: (m,), int64.
        image_sizes: (m, 2), (w, h) as the JSON has them, 0 where it does not say.
        image_rows: (n,), the row of the instance's image.
        keypoints: (n, K, 2), float32, in pixels of the image.
        visible: (n, K), float32: 1 for labelled keypoints.
        boxes_xyxy: (n, 4), float32, clipped to the image as MMPose does.
        areas: (n,), float32, of the segment or else of the box.
        scores: (n,), float32: the detector's; 1 for labelled boxes.
        annotation_ids: (n,), int64; for detections the row in their file.
        category_ids: (n,), int64.
    """

    image_paths: np.ndarray
    image_ids: np.ndarray
    image_sizes: np.ndarray
    image_rows: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    boxes_xyxy: np.ndarray
    areas: np.ndarray
    scores: np.ndarray
    annotation_ids: np.ndarray
    category_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.image_rows)


@dataclass(frozen=True, kw_only=True)
class DetectionLabels:
    """m images with their boxes.

    Attributes:
        image_paths: (m,), strings.
        image_ids: (m,), int64.
        image_sizes: (m, 2), (w, h) as the JSON has them, 0 where it does not say.
        boxes_xyxy: (n, 4), float32, sorted by image.
        labels: (n,), int64: index into the classes.
        starts: (m + 1,): boxes of image i are `starts[i]:starts[i + 1]`.
    """

    image_paths: np.ndarray
    image_ids: np.ndarray
    image_sizes: np.ndarray
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.image_ids)
