"""What a measurement depends on, in words, for the report."""

from __future__ import annotations

from typing import Any

from posekit.evaluation.labelled_set import LabelledSet
from posekit.evaluation.pose_metrics import PoseMetrics
from posekit.evaluation.run import weights_of
from posekit.parts import Part

__all__ = ["of_data", "of_poses", "of_protocol"]


def of_data(part: Part, data: LabelledSet) -> dict[str, Any]:
    """Model, weights and labels."""
    return {
        "model": part.spec.name,
        "weights": weights_of(part),
        "data set": data.name,
        "annotations": [source.annotations for source in data.sources],
    }


def of_poses(found: PoseMetrics, people: int) -> dict[str, Any]:
    """How many people, and which keypoints."""
    measured = f"{found.skeleton.num_keypoints} of {found.skeleton.name}"
    if found.labelled < found.skeleton.num_keypoints:
        measured += f", {found.labelled} of them labelled"
    return {"people": people, "keypoints": measured}


def of_protocol(found: PoseMetrics) -> dict[str, Any]:
    """How AP is measured; empty if it is not."""
    if found.protocol is None:
        return {}
    return {
        "protocol": found.protocol,
        "OKS-NMS": found.nms_threshold,
        "rescoring by keypoints above": found.keypoint_threshold,
    }
