"""A video as a `Pose` of `pose-format`, the `.pose` files of sign language processing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from posekit.bridges.results import ClipArrays, Results, clip_arrays
from posekit.errors import InputError
from posekit.openpose_form import BODY_25
from posekit.packages import need
from posekit.skeleton import Skeleton

if TYPE_CHECKING:
    from pose_format import Pose

__all__ = ["to_pose"]

log = logging.getLogger(__name__)

PACKAGE = "pose-format>=0.15"


def to_pose(results: Results, *, fps: float | None = None) -> Pose:
    """Makes a `Pose` of the 2D keypoints; people not seen in a frame are masked, confidence 0.

    Whole-body models use pose-format's components of COCO-WholeBody; Halpe-26, which has all
    keypoints of BODY_25, uses OpenPose's. Any other model gives one component with the skeleton's
    name. `confidence` has the model's scores, which may exceed 1.

    Args:
        results: of one clip; see `posekit.bridges`.
        fps: frames per second, where results have no time, or there is only one.

    Raises:
        InputError: see `posekit.bridges.results.clip_arrays`; one frame without `fps`, or
            pose-format is not installed.
    """
    need("pose_format", PACKAGE)
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

    clip = clip_arrays(results, fps=fps)
    if clip.fps is None:
        raise InputError("expected several frames, found one: pass fps=")
    if clip.irregular_by > 0.5 / clip.fps:
        log.warning(
            "%s: frames are up to %.2f s away from %.3f per second, the only timing that "
            ".pose stores",
            *(clip.first.name, clip.irregular_by, clip.fps),
        )
    components, order = _components(clip.skeleton)
    header = PoseHeader(0.2, PoseHeaderDimensions(*clip.first.image_size), components)
    data, confidence = _filled(clip, order)
    return Pose(header, NumPyPoseBody(clip.fps, data, confidence))


def _filled(clip: ClipArrays, order: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Points and scores; 0 where nobody is, which is masked."""
    return np.nan_to_num(clip.keypoints[:, :, order]), np.nan_to_num(clip.scores[:, :, order])


def _components(skeleton: Skeleton) -> tuple[list[Any], list[int]]:
    """The parts of a header, and which keypoints are theirs, in order."""
    from pose_format.pose_header import PoseHeaderComponent
    from pose_format.utils.cocowholebody133_header import cocowholebody_components
    from pose_format.utils.openpose import OpenPose_Components

    if skeleton.name == "coco_wholebody":
        return cocowholebody_components(), list(range(skeleton.num_keypoints))
    if skeleton.name == "halpe26":
        return OpenPose_Components[:1], [skeleton.names.index(name) for name in BODY_25]
    own = PoseHeaderComponent(
        skeleton.name,
        list(skeleton.names),
        list(skeleton.links),
        list(skeleton.keypoint_colors),
        "XYC",
    )
    return [own], list(range(skeleton.num_keypoints))
