"""A clip as `pose-format` has it: what sign language processing keeps in `.pose` files."""

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
    """A `Pose` of the 2D keypoints; who is not seen in a frame is masked, with confidence 0.

    Keypoints of whole-body models have pose-format's own components of COCO-WholeBody; of Halpe-26
    those of BODY_25 have OpenPose's, for it has all of them. Those of any other model are one
    component of the skeleton's name. Scores are the model's and may exceed 1.

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
        raise InputError("expected several frames, found one: name fps=")
    if clip.irregular_by > 0.5 / clip.fps:
        log.warning(
            "%s: frames are up to %.2f s away from %.3f per second, which is all that .pose keeps",
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
