"""Sequences of 2D keypoints -> 3D keypoints.

Source: MotionBERT (arXiv 2210.06551), which takes sequences of up to 243 frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from posekit.backends.files import GraphFile
from posekit.codecs.lifting import (
    METRES_PER_PIXEL,
    center_in_frame,
    coco_to_h36m,
    stand_up,
)
from posekit.errors import InputError
from posekit.finite import check_finite
from posekit.result import X_LEFT, Pose3D
from posekit.skeleton import Skeleton, load_skeleton
from posekit.spec import LifterSpec

__all__ = ["Lifter", "check_liftable"]


class Lifter:
    """A lifting network with its pre- and post-processing.

    Args:
        net: the network, on its device.
        spec: its description.
        skeleton: the keypoints that the network gives.

    Raises:
        InputError: the network is a graph in a file.
    """

    def __init__(self, net: nn.Module, spec: LifterSpec, skeleton: Skeleton) -> None:
        if isinstance(net, GraphFile):
            raise InputError(
                f"{net.path} is a graph for other programs: {spec.name} runs in PyTorch, from its "
                "weights"
            )
        parameter = next(net.parameters())
        self.net = net
        self.spec = spec
        self.skeleton = skeleton
        self.codec = spec.codec.make()
        self.flip_test: bool = spec.flip_test
        self.max_frames: int = spec.max_frames
        self.center: tuple[float, float] = spec.center
        self.scale: float = spec.scale
        self.device = parameter.device
        self.dtype = parameter.dtype

    def __call__(
        self,
        keypoints: np.ndarray,
        boxes_xyxy: np.ndarray,
        *,
        image_size: Sequence[float],
        flip_test: bool | None = None,
        normalize: bool = True,
        on_ground: bool = True,
        batch_size: int = 1024,
    ) -> np.ndarray:
        """3D keypoints of N sequences of T frames, each of one person.

        Args:
            keypoints: (N, T, 17, 2), COCO's, in pixels of the image.
            boxes_xyxy: (N, T, 4), in pixels of the image.
            image_size: (w, h) of the image, in pixels.
            flip_test: average with the mirrored sequence; None does as the configuration says.
            normalize: move and scale each sequence to where the training data had people, by the
                mean centre and the median size of its boxes; they are not used otherwise.
            on_ground: shift each frame so that the lowest keypoint has height 0.
            batch_size: most frames, of all sequences together, that go through the network at
                once; one sequence always does.

        Returns:
            (N, T, K, 3), float32, as `describe` says.

        Raises:
            InputError: more frames than the network takes.
            WeightsError: the network gives NaN for keypoints that are numbers.
        """
        if keypoints.shape[2:] != (17, 2) or boxes_xyxy.shape != (*keypoints.shape[:2], 4):
            raise ValueError(
                "expected keypoints (N, T, 17, 2) and boxes (N, T, 4), found "
                f"{keypoints.shape} and {boxes_xyxy.shape}"
            )
        count, frames = keypoints.shape[:2]
        if frames > self.max_frames:
            raise InputError(
                f"expected at most {self.max_frames} frames, found {frames}; "
                "lift longer sequences in windows"
            )
        joints = coco_to_h36m(keypoints.astype(np.float32, copy=False))
        if normalize:
            boxes = boxes_xyxy.astype(np.float32, copy=False)
            joints = center_in_frame(joints, boxes, center=self.center, scale=self.scale)
        flips = self.flip_test if flip_test is None else flip_test
        lifted = np.empty((count, frames, self.skeleton.num_keypoints, 3), np.float32)
        step = max(1, batch_size // max(1, frames * (1 + flips)))
        for start in range(0, count, step):
            part = slice(start, start + step)
            lifted[part] = self.lift_joints(joints[part], image_size, flip_test=flips)
        if np.isfinite(joints).all():
            check_finite("the lifter", self.dtype, lifted)
        return stand_up(lifted, on_ground=on_ground)

    def describe(
        self, keypoints: np.ndarray, *, normalize: bool = True, on_ground: bool = True
    ) -> Pose3D:
        """3D keypoints (n, K, 3) of one image with their scores, units and axes."""
        return Pose3D(
            keypoints=keypoints,
            keypoint_scores=np.ones(keypoints.shape[:2], np.float32),  # the network gives none
            skeleton=self.skeleton,
            unit=self._unit(normalize),
            axes=(
                f"{X_LEFT}, y away from the camera, z up; x and y from the person's root joint, "
                f"z from {'the lowest keypoint' if on_ground else 'the same joint'}, "
                "so that people's places in the scene are not known"
            ),
        )

    def _unit(self, normalize: bool) -> str:
        """What the keypoints are measured in."""
        unknown = "the person's true size and distance from the camera are not known"
        if getattr(self.codec, "metric", False):
            return f"metres, of people as large as those of the training data; {unknown}"
        if normalize:
            size = f"{self.scale * METRES_PER_PIXEL:.1f} m"
            return f"metres if the longer side of the person's box is {size} long; {unknown}"
        width = f"{METRES_PER_PIXEL * 1000:.0f} mm"
        return f"metres if a pixel of the image is {width} wide; the true scale is not known"

    @torch.inference_mode()
    def lift_joints(
        self, joints: np.ndarray, image_size: Sequence[float], *, flip_test: bool
    ) -> np.ndarray:
        """3D joints of sequences, in the camera's axes and relative to the root joint.

        Args:
            joints: (N, T, 17, 2), Human3.6M's, in pixels of the image.
            image_size: (w, h) of the image, in pixels.
            flip_test: average with the mirrored sequence.

        Returns:
            (N, T, K, 3), float32.
        """
        codec, order = self.codec, self.skeleton.flip_indices
        inputs = codec.encode(joints, image_size=image_size).to(self.device, self.dtype)
        if flip_test:
            # One pass for both: a single frame is bound by reading the weights.
            outputs, mirrored = self.net(torch.cat([inputs, codec.flip(inputs, order)])).chunk(2)
            outputs = (outputs + codec.flip(mirrored, order)) * 0.5
        else:
            outputs = self.net(inputs)
        keypoints, _ = codec.decode(outputs, image_size=image_size)
        return np.asarray(keypoints)


def check_liftable(skeleton: Skeleton) -> None:
    """Raises an `InputError` if 2D keypoints are not those that lifters take."""
    if skeleton.names != load_skeleton("coco").names:
        raise InputError(
            f"lifting takes COCO's 17 keypoints, found {skeleton.num_keypoints} of "
            f"'{skeleton.name}'; choose a 2D model that gives COCO's, such as 'human'"
        )
