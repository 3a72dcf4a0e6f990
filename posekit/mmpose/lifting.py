"""MMPose's interface to models that lift 2D poses to 3D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posekit.errors import InputError
from posekit.metainfo import dataset_meta
from posekit.mmpose.instances import InstanceData
from posekit.mmpose.network import NetworkModel
from posekit.mmpose.sequences import collate_pose_sequence
from posekit.mmpose.structures import PoseDataSample
from posekit.skeleton import load_skeleton

if TYPE_CHECKING:
    import torch
    from torch import nn

    from posekit.locate import Located
    from posekit.spec import LifterSpec
    from posekit.stages.lift import Lifter

__all__ = ["LifterModel", "inference_pose_lifter_model", "load_lifter"]


class LifterModel(NetworkModel):
    """A model for `inference_pose_lifter_model`; `init_model` makes one.

    Args:
        cfg: its configuration, with attribute access; `cfg.model.test_cfg.flip_test` is read when
            it is used. `cfg.test_dataloader.dataset` has the reference's `causal`, `seq_len` and
            `seq_step`, which lift each frame alone.
        dataset_meta: what its keypoints are, as MMPose names it.
        lifter: 2D joints -> 3D joints.
    """

    def __init__(self, cfg: Any, dataset_meta: dict[str, Any], lifter: Lifter) -> None:
        self.cfg = cfg
        self.dataset_meta = dataset_meta
        self.lifter = lifter

    @property
    def net(self) -> nn.Module:
        """The bare network."""
        return self.lifter.net

    def _moved(self) -> None:
        from posekit.stages.lift import Lifter

        self.lifter = Lifter(self.net, self.lifter.spec, self.lifter.skeleton)


def load_lifter(
    spec: LifterSpec,
    found: Located,
    checkpoint: str | Path | None,
    device: str | torch.device | None,
    cfg: Mapping[str, Any],
) -> LifterModel:
    """The model of a description; see `init_model`."""
    from omegaconf import OmegaConf

    from posekit.build import select_device
    from posekit.stages.lift import Lifter
    from posekit.weights.load import load_network

    weights = checkpoint or found.weights
    place = select_device(device)
    net = load_network(spec, weights, search=found.search, key="checkpoint=", device=place)
    skeleton = load_skeleton(spec.keypoints, search=found.search)
    frames = {"dataset": {"causal": False, "seq_len": 1, "seq_step": 1}}
    return LifterModel(
        cfg=OmegaConf.create({**cfg, "test_dataloader": frames}, flags={"allow_objects": True}),
        dataset_meta=dataset_meta(skeleton),
        lifter=Lifter(net, spec, skeleton),
    )


def inference_pose_lifter_model(
    model: LifterModel,
    pose_results_2d: Sequence[Sequence[PoseDataSample]],
    with_track_id: bool = True,
    image_size: Sequence[float] | None = None,
    norm_pose_2d: bool = False,
) -> list[PoseDataSample]:
    """Lifts the 2D poses of the people in the middle frame to 3D.

    Args:
        model: from `init_model`.
        pose_results_2d: for each of T frames a sample per person; `pred_instances` has `keypoints`
            (1, 17, 2 or more), Human3.6M's (`convert_keypoint_definition` makes them), in pixels,
            and `bboxes` (1, 4).
        with_track_id: samples have a `track_id`; otherwise all frames have the same people in
            order.
        image_size: (w, h), in pixels.
        norm_pose_2d: move and scale each person to where the training data had people.

    Returns:
        A sample per person: `pred_instances.keypoints` (1, T, 17, 3), in metres, relative to the
        root joint, x to the right, y down, z away from the camera; `keypoint_scores` (1, T, 17),
        all 1.

    Raises:
        InputError: no image_size, other keypoints, a model that does not lift, or more frames
            than it takes.
    """
    if not isinstance(model, LifterModel):
        raise InputError(
            f"expected a model that lifts from init_model, found {type(model).__name__}"
        )
    if image_size is None:
        raise InputError("image_size=(w, h) is needed: lifting depends on where people are in it")
    lifter = model.lifter
    if len(pose_results_2d) > lifter.max_frames:
        raise InputError(
            f"expected at most {lifter.max_frames} frames, found {len(pose_results_2d)}"
        )
    prepared = [
        [_prepared(one, lifter, norm_pose_2d) for one in people] for people in pose_results_2d
    ]
    people = collate_pose_sequence(prepared, with_track_id, len(prepared) // 2)
    samples = []
    for person in people:
        joints = person.pred_instances.keypoints  # (1, T, 17, 2)
        lifted = lifter.lift_joints(joints, image_size, flip_test=bool(model.test_cfg.flip_test))
        found = InstanceData(
            keypoints=lifted, keypoint_scores=np.ones(lifted.shape[:-1], np.float32)
        )
        samples.append(
            PoseDataSample(
                pred_instances=found, gt_instances=InstanceData(), track_id=person.get("track_id")
            )
        )
    return samples


def _prepared(sample: PoseDataSample, lifter: Lifter, normalize: bool) -> PoseDataSample:
    """The person's joints alone, where and as large as the lifter wants them."""
    from posekit.codecs.lifting import center_in_frame

    joints = np.asarray(sample.pred_instances.keypoints, np.float32)[..., :2]
    if joints.shape != (1, 17, 2):
        raise InputError(
            f"expected keypoints (1, 17, 2 or more) of a person, found {joints.shape}; "
            "convert_keypoint_definition makes Human3.6M's of COCO's"
        )
    if normalize:
        boxes = np.asarray(sample.pred_instances.bboxes, np.float32)
        joints = center_in_frame(joints, boxes, center=lifter.center, scale=lifter.scale)
    return PoseDataSample(
        pred_instances=InstanceData(keypoints=joints),
        gt_instances=InstanceData(),
        track_id=sample.get("track_id"),
    )
