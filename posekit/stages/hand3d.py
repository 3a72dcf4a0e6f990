"""Images and boxes -> 3D keypoints of both hands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from posekit.codecs.hand3d import join_hands, stand_hands_up
from posekit.finite import check_finite
from posekit.result import Pose3D
from posekit.stages.estimate import Poses
from posekit.stages.estimator_3d import Estimator3D

__all__ = ["HandEstimator"]

# Heat maps of one crop take 44 MB.
MAX_BATCH_SIZE = 8

UNIT = (
    "x and z in pixels of the image, y in mm, as the heat maps have them; the width of a pixel at "
    "the hands is not known"
)
AXES = (
    "x to the right of the image from its left edge, y away from the camera from the right wrist, "
    "z up from {ground}"
)


class HandEstimator(Estimator3D):
    """InterNet with its pre- and post-processing.

    Args:
        net: the network, on its device.
        spec: its description.
        skeleton: the keypoints of both hands.
        backend: what runs the network, as a `PoseEstimator`'s.
    """

    def __call__(
        self,
        images: Sequence[np.ndarray | Tensor],
        boxes_xyxy: Sequence[np.ndarray],
        *,
        flip_test: bool | None = None,
        batch_size: int = MAX_BATCH_SIZE,
        on_ground: bool = True,
    ) -> list[Poses]:
        """Keypoints of the hands in every box of every image.

        Args:
            images: BGR, uint8, (H, W, 3) each, of any sizes; arrays or tensors.
            boxes_xyxy: per image (n, 4), in its pixels.
            flip_test: average with the mirrored crop; None does as the configuration says.
            batch_size: most crops that go through the network at once; never more than eight do.
            on_ground: shift each pair of hands so that the lowest keypoint has height 0.

        Returns:
            Per image keypoints (n, 2K, 2) in its pixels, scores (n, 2K), 0 to 1 and 0 for a hand
            that is not there, both float32, and the third dimension.
        """
        k = self.skeleton.num_keypoints
        keypoints, scores = [np.zeros((0, k, 3), np.float32)], [np.zeros((0, k), np.float32)]
        for crops in self.estimator.crop_batches(
            images, boxes_xyxy, batch_size=min(batch_size, MAX_BATCH_SIZE)
        ):
            outputs = self.estimator.forward(crops.pixels, flip_test=flip_test)
            hands = self.estimator.codec.decode(outputs)
            dtype = self.estimator.normalize.dtype
            check_finite("the hand network", dtype, hands.scores, hands.root_depth)
            positions = hands.keypoints.copy()
            positions[..., :2] = crops.to_image(positions[..., :2])
            joined, certainties = join_hands(hands._replace(keypoints=positions))
            keypoints.append(joined)
            scores.append(certainties)
        ends = np.cumsum([len(boxes) for boxes in boxes_xyxy])[:-1]
        return [
            Poses(found[..., :2].copy(), sure, self._stand_up(found, sure, on_ground=on_ground))
            for found, sure in zip(
                np.split(np.concatenate(keypoints), ends),
                np.split(np.concatenate(scores), ends),
                strict=True,
            )
        ]

    def _stand_up(self, keypoints: np.ndarray, scores: np.ndarray, *, on_ground: bool) -> Pose3D:
        ground = "the lowest keypoint" if on_ground else "the upper edge of the image"
        return Pose3D(
            keypoints=stand_hands_up(keypoints, scores, on_ground=on_ground),
            keypoint_scores=scores,
            skeleton=self.skeleton,
            unit=UNIT,
            axes=AXES.format(ground=ground),
        )
