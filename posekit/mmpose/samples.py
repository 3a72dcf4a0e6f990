"""Results as MMPose's data samples."""

from __future__ import annotations

import numpy as np

from posekit.mmpose.instances import InstanceData
from posekit.mmpose.structures import PoseDataSample
from posekit.skeleton import Skeleton
from posekit.stages.boxes import Boxes
from posekit.transforms.affine import boxes_to_cs

__all__ = ["data_sample"]


def data_sample(
    keypoints: np.ndarray,
    scores: np.ndarray,
    boxes: Boxes,
    *,
    image_shape: tuple[int, int],
    image_path: str | None,
    skeleton: Skeleton,
    input_size: tuple[int, int],
    padding: float,
) -> PoseDataSample:
    """A sample of n instances: keypoints (n, K, 2 or 3), scores (n, K)."""
    corners, box_scores = boxes.xyxy.copy(), boxes.scores.copy()
    centers, scales = boxes_to_cs(corners, input_size=input_size, padding=padding)
    return PoseDataSample(
        metainfo={
            "ori_shape": image_shape,
            "img_path": image_path,
            "input_size": input_size,
            "flip_indices": list(skeleton.flip_indices),
            "img_shape": image_shape,
        },
        gt_instances=InstanceData(
            bboxes=corners,
            bbox_centers=centers,
            bbox_scales=scales,
            bbox_scores=box_scores,
        ),
        gt_instance_labels=InstanceData(),
        pred_instances=InstanceData(
            keypoints=keypoints.astype(np.float64),
            bbox_scores=box_scores.copy(),
            bboxes=corners.copy(),
            keypoint_scores=scores,
            keypoints_visible=scores.copy(),
        ),
    )
