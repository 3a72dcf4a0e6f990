"""The result for one image, and its conversion to other forms."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from posekit.angles import choose_angles
from posekit.skeleton import Skeleton

if TYPE_CHECKING:
    import pandas
    import supervision

__all__ = ["X_LEFT", "Pose3D", "PoseResult"]

# How `Pose3D.axes` begins where the axes are a left hand's, as those of MMPose's lifters are.
X_LEFT = "x to the left of the image"


@dataclass(frozen=True, eq=False)
class Pose3D:
    """The third dimension of the n instances of an image.

    Attributes:
        keypoints: (n, K, 3), float32.
        keypoint_scores: (n, K), float32.
        skeleton: names and links of the K keypoints, which need not be those of the 2D ones.
        unit: the unit of the numbers in words, and which of them are not metric.
        axes: directions of the three axes and place of the origin, in words; those that begin
            with `X_LEFT` are left-handed.
        up: the axis that points up: "z", or "-y" for camera axes.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    skeleton: Skeleton
    unit: str
    axes: str
    up: Literal["z", "-y"] = "z"

    @property
    def upright(self) -> np.ndarray:
        """The keypoints with x to the right, y away from the camera and z up, (n, K, 3)."""
        x, y, z = np.moveaxis(self.keypoints, -1, 0)
        if self.axes.startswith(X_LEFT):
            x = -x  # numbers as they are would show people mirrored
        return np.stack([x, y, z] if self.up == "z" else [x, z, -y], axis=-1)

    def __post_init__(self) -> None:
        n, k = len(self.keypoints), self.skeleton.num_keypoints
        _expect_shape("keypoints", self.keypoints, (n, k, 3), n)
        _expect_shape("keypoint_scores", self.keypoint_scores, (n, k), n)


@dataclass(frozen=True, eq=False)
class PoseResult:
    """The people (animals, hands, faces) of one image.

    Attributes:
        keypoints: (n, K, 2), float32, x and y in pixels of the image.
        keypoint_scores: (n, K), float32; higher is more certain. SimCC models give logits,
            which are not probabilities and may exceed 1.
        boxes_xyxy: (n, 4), float32, in pixels of the image.
        box_scores: (n,), float32, 0 to 1.
        skeleton: names and links of the K keypoints.
        image_size: (w, h) of the image in pixels.
        name: the image's file name, or its number where it has none.
        index: its position in the inputs, from 0; every frame of a video counts.
        source: the path or URL it came from, None for an array.
        frame_id: its number in its video, from 0; None for an image.
        time: seconds since its video began; None for an image.
        track_ids: (n,), int64, the same for a person in all frames; None without tracking.
        interpolated: (n,), bool, instances that were not seen here, but before and after; None if
            nothing was filled in.
        pose3d: the third dimension, for the models that give it.
        visualization: the drawing (H, W, 3), BGR, uint8, if one was asked for.
        image: the image (H, W, 3), BGR, uint8, upright, if it was asked for; a copy that may be
            changed.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    boxes_xyxy: np.ndarray
    box_scores: np.ndarray
    skeleton: Skeleton
    image_size: tuple[int, int]
    name: str
    index: int
    source: str | None = None
    frame_id: int | None = None
    time: float | None = None
    track_ids: np.ndarray | None = None
    interpolated: np.ndarray | None = None
    pose3d: Pose3D | None = None
    visualization: np.ndarray | None = None
    image: np.ndarray | None = None

    def __post_init__(self) -> None:
        n, k = len(self.keypoints), self.skeleton.num_keypoints
        _expect_shape("keypoints", self.keypoints, (n, k, 2), n)
        _expect_shape("keypoint_scores", self.keypoint_scores, (n, k), n)
        _expect_shape("boxes_xyxy", self.boxes_xyxy, (n, 4), n)
        _expect_shape("box_scores", self.box_scores, (n,), n)
        for field in ("track_ids", "interpolated"):
            if (values := getattr(self, field)) is not None:
                _expect_shape(field, values, (n,), n)
        if self.pose3d is not None and len(self.pose3d.keypoints) != n:
            raise ValueError(f"pose3d must be of {n} instances, found {len(self.pose3d.keypoints)}")

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, chosen: np.ndarray | slice) -> PoseResult:
        """Selects instances by a mask (n,), indices or a slice. The images stay as they are."""
        pose3d = self.pose3d
        if pose3d is not None:
            pose3d = dataclasses.replace(
                pose3d,
                keypoints=pose3d.keypoints[chosen],
                keypoint_scores=pose3d.keypoint_scores[chosen],
            )
        return dataclasses.replace(
            self,
            keypoints=self.keypoints[chosen],
            keypoint_scores=self.keypoint_scores[chosen],
            boxes_xyxy=self.boxes_xyxy[chosen],
            box_scores=self.box_scores[chosen],
            track_ids=None if self.track_ids is None else self.track_ids[chosen],
            interpolated=None if self.interpolated is None else self.interpolated[chosen],
            pose3d=pose3d,
        )

    def instances(self) -> list[dict[str, Any]]:
        """One documented dict of plain Python values per instance.

        With `pose3d`, `keypoints` are the 3D ones; those lifted from 2D come without a box, as
        MMPose's do. `track_id` and `interpolated` are there where they are known.
        """
        pose = self if self.pose3d is None else self.pose3d
        columns: dict[str, list[Any]] = {
            "keypoints": pose.keypoints.tolist(),
            "keypoint_scores": pose.keypoint_scores.tolist(),
        }
        if pose.skeleton is self.skeleton:
            # The reference wraps the box in a tuple of one element.
            columns["bbox"] = [(box,) for box in self.boxes_xyxy.tolist()]
            columns["bbox_score"] = self.box_scores.tolist()
        if self.track_ids is not None:
            columns["track_id"] = self.track_ids.tolist()
        if self.interpolated is not None:
            columns["interpolated"] = self.interpolated.tolist()
        return [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]

    def to_mmpose(self) -> dict[str, list[Any]]:
        """MMPose's documented dict: `visualization` and `predictions`, one element each."""
        return {
            "visualization": [] if self.visualization is None else [self.visualization],
            "predictions": [self.instances()],
        }

    def to_coco(self, image_id: int = 1, *, kpt_thr: float = 0.3) -> list[dict[str, Any]]:
        """COCO annotations, one per instance, as `pred_format=coco` writes them.

        Args:
            image_id: id of the image in the data set.
            kpt_thr: keypoints below this score are not visible and written as 0, 0, 0.
        """
        from posekit.coco_form import coco_annotations

        return coco_annotations(self, image_id, threshold=kpt_thr)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per instance: ids, time, box, `nose_x`, `nose_y`, `nose_score`, ...

        Columns are those of `pred_format=csv`; `pandas.concat` joins the frames of a video.

        Raises:
            ImportError: pandas is not installed.
        """
        from posekit.records import dataframe

        return dataframe(self)

    def to_supervision(self, *, kpt_thr: float = 0.3) -> supervision.KeyPoints:
        """`supervision.KeyPoints`; see `posekit.bridges.supervision`, which has detections too.

        Args:
            kpt_thr: keypoints below this score are not `visible`.

        Raises:
            InputError: supervision is not installed.
        """
        # By its name, as in `plot`: results stand below what is made of them.
        bridge = import_module("posekit.bridges.supervision")
        return next(bridge.to_keypoints(self, kpt_thr=kpt_thr))

    def angles(self, names: str | Sequence[str] = "all", *, kpt_thr: float = 0.3) -> np.ndarray:
        """Angles of joints and segments in degrees, from the 3D keypoints if there are any.

        Args:
            names: angles, as `posekit.angles.choose_angles` takes them: `trunk`, `knee` for both
                sides, `all`.
            kpt_thr: keypoints below this score count as not seen.

        Returns:
            (n, A), float64, in the order of `posekit.angles.ANGLES`; NaN where a keypoint is not
            seen.

        Raises:
            InputError: no such angle, or one that the skeleton has no keypoints for.
        """
        skeleton = self.skeleton if self.pose3d is None else self.pose3d.skeleton
        chosen = choose_angles(names, skeleton)
        return import_module("posekit.angle_tracks").measured(self, chosen, kpt_thr)

    def plot(
        self, image: np.ndarray | str | os.PathLike[str] | None = None, **options: Any
    ) -> np.ndarray:
        """Draws the poses on a copy of the image, and 3D poses beside it.

        Args:
            image: (H, W, 3), BGR, uint8, or its path; None uses the result's own, or reads the
                file that it came from, a video up to the frame; with `black_background`, it draws
                on black.
            options: drawing options, as `posekit predict` has them: `radius=`, `thickness=`,
                `kpt_thr=`, `draw_bbox=`, `skeleton_style=`, ...

        Returns:
            (H, W', 3), BGR, uint8, as wide as the image except for 3D.

        Raises:
            InputError: an unknown option, an image of another size, or none that can be read.
        """
        return import_module("posekit.drawing.plot").plot(self, image, options)


def _expect_shape(field: str, values: np.ndarray, shape: tuple[int, ...], n: int) -> None:
    if values.shape != shape:
        raise ValueError(f"{field} must be {shape} for {n} instances, found {values.shape}")
