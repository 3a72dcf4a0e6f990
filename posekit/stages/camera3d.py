"""Images and boxes -> keypoints in 2D, and in 3D in metres from the camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from posekit.codecs.simcc3d import to_camera
from posekit.finite import check_finite
from posekit.result import Pose3D
from posekit.stages.estimate import Poses
from posekit.stages.estimator_3d import Estimator3D

__all__ = ["CameraEstimator"]

UNIT = (
    "metres, where the camera is like those of the training data: a focal length of 1145 pixels, "
    "the hips 5.14 m away"
)
AXES = "x to the right, y down, z away from the camera; the origin is the camera"


class CameraEstimator(Estimator3D):
    """RTMW3D with its pre- and post-processing.

    Args:
        net: the network, on its device.
        spec: its description.
        skeleton: the keypoints.
        backend: what runs the network, as a `PoseEstimator`'s.
    """

    def __call__(
        self,
        images: Sequence[np.ndarray | Tensor],
        boxes_xyxy: Sequence[np.ndarray],
        *,
        flip_test: bool | None = None,
        batch_size: int = 64,
    ) -> list[Poses]:
        """Keypoints of whom each box of every image holds.

        Args:
            images: BGR, uint8, (H, W, 3) each, of any sizes; arrays or tensors.
            boxes_xyxy: per image (n, 4), in its pixels.
            flip_test: average with the mirrored crop; None does as the configuration says.
            batch_size: most crops that go through the network at once.

        Returns:
            Per image keypoints (n, K, 2) in its pixels, scores (n, K), both float32, and the 3D
            keypoints in metres; the camera's axis goes through the image's middle.
        """
        k = self.skeleton.num_keypoints
        keypoints, scores = [np.zeros((0, k, 3), np.float32)], [np.zeros((0, k), np.float32)]
        for crops in self.estimator.crop_batches(images, boxes_xyxy, batch_size=batch_size):
            outputs = self.estimator.forward(crops.pixels, flip_test=flip_test)
            found, sure = self.estimator.codec.decode(outputs)
            check_finite("the pose network", self.estimator.normalize.dtype, sure)
            found[..., :2] = crops.to_image(found[..., :2])
            keypoints.append(found)
            scores.append(sure)
        ends = np.cumsum([len(boxes) for boxes in boxes_xyxy])[:-1]
        return [
            Poses(found[..., :2].copy(), sure, self._before_camera(found, sure, image))
            for image, found, sure in zip(
                images,
                np.split(np.concatenate(keypoints), ends),
                np.split(np.concatenate(scores), ends),
                strict=True,
            )
        ]

    def _before_camera(
        self, keypoints: np.ndarray, scores: np.ndarray, image: np.ndarray | Tensor
    ) -> Pose3D:
        height, width = image.shape[:2]
        depths = keypoints[..., 2] + self.estimator.codec.root_depth
        return Pose3D(
            keypoints=to_camera(keypoints[..., :2], depths, (width / 2, height / 2)),
            keypoint_scores=scores,
            skeleton=self.skeleton,
            unit=UNIT,
            axes=AXES,
            up="-y",
        )
