"""The interfaces of `mmpose.apis` on posekit: change the import, keep the program.

    from posekit.apis import MMPoseInferencer, inference_topdown, init_model, visualize

What differs on purpose is listed in docs/migrating.md. torch is imported when a model is made.
"""

from __future__ import annotations

from posekit.metainfo import dataset_meta, parse_pose_metainfo
from posekit.mmpose.inferencer import (
    MMPoseInferencer,
    Pose2DInferencer,
    check_applies,
    check_dimension,
    detector_categories,
    get_model_aliases,
    without_defaults,
)
from posekit.mmpose.instances import InstanceData
from posekit.mmpose.lifting import LifterModel, inference_pose_lifter_model
from posekit.mmpose.sequences import (
    _compute_iou,
    _track_by_iou,
    _track_by_oks,
    collate_pose_sequence,
    collect_multi_frames,
    convert_keypoint_definition,
    extract_pose_sequence,
)
from posekit.mmpose.structures import PixelData, PoseDataSample, merge_data_samples, split_instances
from posekit.mmpose.topdown import TopdownModel, inference_bottomup, inference_topdown, init_model
from posekit.mmpose.visualizer import VISUALIZERS, PoseLocalVisualizer, imread, visualize

__all__ = [
    "VISUALIZERS",
    "InstanceData",
    "LifterModel",
    "MMPoseInferencer",
    "PixelData",
    "Pose2DInferencer",
    "PoseDataSample",
    "PoseLocalVisualizer",
    "TopdownModel",
    "_compute_iou",
    "_track_by_iou",
    "_track_by_oks",
    "check_applies",
    "check_dimension",
    "collate_pose_sequence",
    "collect_multi_frames",
    "convert_keypoint_definition",
    "dataset_meta",
    "detector_categories",
    "extract_pose_sequence",
    "get_model_aliases",
    "imread",
    "inference_bottomup",
    "inference_pose_lifter_model",
    "inference_topdown",
    "init_model",
    "merge_data_samples",
    "parse_pose_metainfo",
    "split_instances",
    "visualize",
    "without_defaults",
]
