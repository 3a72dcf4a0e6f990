"""A figure that walks, in closed form: its joints, its steps, what a level camera sees of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from posekit.animation.skeleton import ANKLE_HEIGHT, IMAGE_POINTS, JOINTS, NAMES
from posekit.result import Pose3D, PoseResult
from posekit.skeleton import load_skeleton
from posekit.stages.packet import Clip, Packet

STATURE = 1.75
SHARE = {joint.name: joint.share * STATURE for joint in JOINTS}
H36M = {
    "Hips": "root", "Spine": "spine", "Chest": "thorax", "Neck": "neck_base", "Head": "head",
    "LeftArm": "left_shoulder", "LeftForeArm": "left_elbow", "LeftHand": "left_wrist",
    "RightArm": "right_shoulder", "RightForeArm": "right_elbow", "RightHand": "right_wrist",
    "LeftUpLeg": "left_hip", "LeftLeg": "left_knee", "LeftFoot": "left_foot",
    "RightUpLeg": "right_hip", "RightLeg": "right_knee", "RightFoot": "right_foot",
}  # fmt: skip


@dataclass
class Walk:
    """A walk of F frames along a straight line, at a constant speed.

    World axes: x to the right of the image, y up from the ground, z towards the camera; metres.
    """

    frames: int = 100
    fps: float = 25.0
    start: tuple[float, float] = (-1.2, -6.0)  # x, z
    heading: float = 1.0  # radians from z (towards the camera) to x (to the right)
    speed: float = 1.0  # m/s
    cadence: float = 0.9  # strides (two steps) per second
    camera_height: float = 1.2
    focal: float = 1280.0
    size: tuple[int, int] = (1280, 720)
    joints: np.ndarray = field(init=False)  # (F, 17, 3)
    planted: np.ndarray = field(init=False)  # (F, 2), left and right

    def __post_init__(self) -> None:
        self.time = np.arange(self.frames) / self.fps
        sides = [self._leg(self.cadence * self.time + shift) for shift in (0.0, 0.5)]
        self.planted = np.stack([planted for _, planted in sides], axis=1)
        self.joints = np.zeros((self.frames, len(NAMES), 3))
        hips = self._world(0.0, self._hips_height(), self.speed * self.time)
        self._put("Hips", hips)
        for side, (foot, _) in zip(("Left", "Right"), sides, strict=True):
            self._put_leg(side, foot)
        up = np.array([0.0, 1.0, 0.0])
        for name, above in zip(("Spine", "Chest", "Neck", "Head"), NAMES[:4], strict=True):
            self._put(name, self.of(above) + SHARE[name] * up)
        for side, sign in (("Left", 1.0), ("Right", -1.0)):
            swing = sign * 0.5 * np.sin(2 * np.pi * self.cadence * self.time)
            self._put(f"{side}Arm", self.of("Chest") + sign * SHARE["LeftArm"] * self._left())
            upper = self._along(-swing)
            lower = self._along(-swing + 0.6)
            self._put(f"{side}ForeArm", self.of(f"{side}Arm") + SHARE["LeftForeArm"] * upper)
            self._put(f"{side}Hand", self.of(f"{side}ForeArm") + SHARE["LeftHand"] * lower)

    def of(self, name: str) -> np.ndarray:
        """A joint's places, (F, 3)."""
        return self.joints[:, NAMES.index(name)]

    def _put(self, name: str, places: np.ndarray) -> None:
        self.joints[:, NAMES.index(name)] = places

    def _forward(self) -> np.ndarray:
        return np.array([np.sin(self.heading), 0.0, np.cos(self.heading)])

    def _left(self) -> np.ndarray:
        return np.array([np.cos(self.heading), 0.0, -np.sin(self.heading)])

    def _world(self, left: float, height: np.ndarray, forward: np.ndarray) -> np.ndarray:
        start = np.array([self.start[0], 0.0, self.start[1]])
        up = np.array([0.0, 1.0, 0.0])
        return (
            start + left * self._left() + height[:, None] * up + forward[:, None] * self._forward()
        )

    def _along(self, angles: np.ndarray) -> np.ndarray:
        """Directions in the plane of walking, from straight down to forward."""
        down = np.array([0.0, -1.0, 0.0])
        return np.cos(angles)[:, None] * down + np.sin(angles)[:, None] * self._forward()

    def _hips_height(self) -> np.ndarray:
        leg = SHARE["LeftLeg"] + SHARE["LeftFoot"]
        bob = 0.01 * np.cos(4 * np.pi * self.cadence * self.time)
        return ANKLE_HEIGHT * STATURE + 0.9 * leg + bob

    def _leg(self, cycle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Forward and up (F, 2) of an ankle from where the walk began, and whether it stands."""
        stance = 0.6  # of a stride
        step = self.speed / self.cadence
        whole, phase = np.floor(cycle), cycle % 1.0
        swing = np.clip((phase - stance) / (1 - stance), 0, 1)
        moved = swing - np.sin(2 * np.pi * swing) / (2 * np.pi)
        # In the middle of its stance it is below the hips.
        middle = (whole + stance / 2 - (cycle[0] - self.cadence * self.time[0])) * step
        lift = 0.12 * np.sin(np.pi * swing) ** 2
        return np.stack([middle + moved * step, lift], axis=1), phase < stance

    def _put_leg(self, side: str, foot: np.ndarray) -> None:
        sign = 1.0 if side == "Left" else -1.0
        hip = self.of("Hips") + sign * SHARE["LeftUpLeg"] * self._left()
        ankle = self._world(
            sign * SHARE["LeftUpLeg"], ANKLE_HEIGHT * STATURE + foot[:, 1], foot[:, 0]
        )
        thigh, shank = SHARE["LeftLeg"], SHARE["LeftFoot"]
        line = ankle - hip
        distance = np.linalg.norm(line, axis=1)
        assert (distance < thigh + shank).all()
        lean = np.arctan2(line @ self._forward(), -line[:, 1])
        inner = np.arccos((thigh**2 + distance**2 - shank**2) / (2 * thigh * distance))
        self._put(f"{side}UpLeg", hip)
        self._put(f"{side}Leg", hip + thigh * self._along(lean + inner))
        self._put(f"{side}Foot", ankle)

    @property
    def clip(self) -> Clip:
        return Clip("walk.mp4", "walk.mp4", self.size, Fraction(self.fps).limit_denominator(1000))

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels of points (..., 3)."""
        x, y, z = np.moveaxis(points, -1, 0)
        middle = np.array(self.size) / 2
        seen = np.stack([x, self.camera_height - y], axis=-1) / -z[..., None]
        return self.focal * seen + middle

    def results(
        self, *, noise: float = 0.0, noise_3d: float = 0.0, size: float = 0.8, seed: int = 0
    ) -> list[PoseResult]:
        """What a lifter would find: COCO's keypoints, and a pose from its root, of another size.

        Args:
            noise: of keypoints, in pixels.
            noise_3d: of joints, in metres of the figure.
            size: of the lifted pose against the figure.
            seed: of the noise.
        """
        rng = np.random.default_rng(seed)
        coco, h36m = load_skeleton("coco"), load_skeleton("h36m")
        flat = np.repeat(self.project(self.of("Neck"))[:, None], 17, axis=1)
        for name, point in IMAGE_POINTS.items():
            flat[:, coco.names.index(point)] = self.project(self.of(name))
        flat += rng.normal(scale=noise, size=flat.shape)
        order = [NAMES.index({b: a for a, b in H36M.items()}[name]) for name in h36m.names]
        solid = self.joints[:, order] - self.joints[:, :1]
        solid = (solid + rng.normal(scale=noise_3d, size=solid.shape)) * size
        x, y, z = np.moveaxis(solid, -1, 0)
        lifted = np.stack([-x, -z, y - y.min(axis=1, keepdims=True)], axis=-1)
        return [
            PoseResult(
                keypoints=flat[number][None].astype(np.float32),
                keypoint_scores=np.ones((1, 17), np.float32),
                boxes_xyxy=np.array(
                    [[*flat[number].min(axis=0), *flat[number].max(axis=0)]], np.float32
                ),
                box_scores=np.ones(1, np.float32),
                skeleton=coco,
                image_size=self.size,
                name="walk.mp4",
                index=number,
                source="walk.mp4",
                frame_id=number,
                time=float(self.time[number]),
                track_ids=np.array([3]),
                pose3d=Pose3D(
                    keypoints=lifted[number][None].astype(np.float32),
                    keypoint_scores=np.ones((1, 17), np.float32),
                    skeleton=h36m,
                    unit="metres if ...",
                    axes="x to the left of the image, y away from the camera, z up",
                ),
            )
            for number in range(self.frames)
        ]

    def whole_body(self) -> list[PoseResult]:
        """What a model of whole bodies finds, which takes hips to be 5.14 m away."""
        from posekit.codecs.simcc3d import ROOT_DEPTH, to_camera  # which brings PyTorch

        skeleton = load_skeleton("coco_wholebody")
        places = np.repeat(self.of("Neck")[:, None], skeleton.num_keypoints, axis=1)

        def put(name: str, where: np.ndarray) -> None:
            places[:, skeleton.names.index(name)] = where

        for name, point in IMAGE_POINTS.items():
            put(point, self.of(name))
        up, ahead = np.array([0.0, STATURE, 0.0]), self._forward() * STATURE
        for side, sign in (("left", 1), ("right", -1)):
            put(f"{side}_ear", self.of("Chest") + 0.118 * up + 0.04 * sign * self._left())
            toes = self.of(f"{side.title()}Foot") - ANKLE_HEIGHT * up + 0.11 * ahead
            put(f"{side}_big_toe", toes - 0.03 * sign * self._left())
            put(f"{side}_small_toe", toes + 0.03 * sign * self._left())
            hand, elbow = self.of(f"{side.title()}Hand"), self.of(f"{side.title()}ForeArm")
            put(f"{side}_middle_finger1", hand + 0.3 * (hand - elbow))
        flat = self.project(places)
        hips = self.of("Hips")[:, None, 2]
        middle = np.array(self.size) / 2
        solid = to_camera(flat, ROOT_DEPTH + hips - places[..., 2], middle)
        found = []
        for number, result in enumerate(self.results()):
            pose3d = Pose3D(
                keypoints=solid[number][None],
                keypoint_scores=np.ones((1, 133), np.float32),
                skeleton=skeleton,
                unit="metres, where ...",
                axes="x to the right, y down, z away from the camera; the origin is the camera",
                up="-y",
            )
            changes = {
                "keypoints": flat[number][None].astype(np.float32),
                "keypoint_scores": np.ones((1, 133), np.float32),
                "skeleton": skeleton,
            }
            found.append(dataclasses.replace(result, pose3d=pose3d, **changes))  # type: ignore[arg-type]
        return found

    def packets(self, **noise: float) -> list[Packet]:
        """The results as frames of a clip."""
        clip = self.clip
        return [Packet(result, clip, result.time) for result in self.results(**noise)]  # type: ignore[arg-type]
