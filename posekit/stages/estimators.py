"""The estimator for any kind of pose model."""

from __future__ import annotations

import torch

from posekit.skeleton import Skeleton
from posekit.spec import OneStageSpec, PoseSpec
from posekit.stages.camera3d import CameraEstimator
from posekit.stages.estimate import PoseEstimator
from posekit.stages.hand3d import HandEstimator
from posekit.stages.one_stage import OneStageEstimator

__all__ = ["Estimator", "make_estimator"]

Estimator = PoseEstimator | HandEstimator | CameraEstimator | OneStageEstimator


def make_estimator(
    net: torch.nn.Module, spec: PoseSpec | OneStageSpec, skeleton: Skeleton, backend: str | None
) -> Estimator:
    """The estimator that fits what the network gives."""
    if isinstance(spec, OneStageSpec):
        return OneStageEstimator(net, spec, skeleton, backend=backend)
    if not spec.keypoints_3d:
        return PoseEstimator(net, spec, skeleton, backend=backend)
    in_metres = "simcc_z" in spec.net.family.outputs
    kind = CameraEstimator if in_metres else HandEstimator
    return kind(net, spec, skeleton, backend=backend)
