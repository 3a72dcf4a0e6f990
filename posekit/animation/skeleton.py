"""The skeleton of animations, with Mixamo's names of joints, and which keypoints its joints are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from posekit.errors import InputError
from posekit.skeleton import Skeleton

__all__ = [
    "ANKLE_HEIGHT",
    "ENDS",
    "IMAGE_POINTS",
    "JOINTS",
    "LEGS",
    "NAMES",
    "PARENTS",
    "SIDES",
    "Joint",
    "Source",
    "children",
    "depth_of",
    "source_of",
]


@dataclass(frozen=True)
class Joint:
    """A joint of the skeleton in its T-pose, which looks along z with its left side along x.

    Attributes:
        name: Mixamo's.
        parent: the joint that it hangs on; empty for the root.
        direction: from its parent.
        share: its distance from its parent in statures, for bones of which nothing is known.
            Source: R. Drillis and R. Contini, "Body Segment Parameters", 1966; hips and shoulders
            are those of joints, not of the outline.
    """

    name: str
    parent: str
    direction: tuple[float, float, float]
    share: float


UP, DOWN, LEFT, RIGHT = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)
# Each behind its parent, depth first, as BVH lists them.
JOINTS = (
    Joint("Hips", "", UP, 0.0),
    Joint("Spine", "Hips", UP, 0.144),
    Joint("Chest", "Spine", UP, 0.144),
    Joint("Neck", "Chest", UP, 0.07),
    Joint("Head", "Neck", UP, 0.112),
    Joint("LeftArm", "Chest", LEFT, 0.1),
    Joint("LeftForeArm", "LeftArm", LEFT, 0.186),
    Joint("LeftHand", "LeftForeArm", LEFT, 0.146),
    Joint("RightArm", "Chest", RIGHT, 0.1),
    Joint("RightForeArm", "RightArm", RIGHT, 0.186),
    Joint("RightHand", "RightForeArm", RIGHT, 0.146),
    Joint("LeftUpLeg", "Hips", LEFT, 0.07),
    Joint("LeftLeg", "LeftUpLeg", DOWN, 0.245),
    Joint("LeftFoot", "LeftLeg", DOWN, 0.246),
    Joint("RightUpLeg", "Hips", RIGHT, 0.07),
    Joint("RightLeg", "RightUpLeg", DOWN, 0.245),
    Joint("RightFoot", "RightLeg", DOWN, 0.246),
)
NAMES = tuple(joint.name for joint in JOINTS)
PARENTS = tuple(NAMES.index(joint.parent) if joint.parent else -1 for joint in JOINTS)
ANKLE_HEIGHT = 0.039  # of a foot that stands, in statures; from the same source
# What a chain ends with, from its last joint, in statures.
ENDS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "Head": (0.0, 0.05, 0.0),
        "LeftHand": (0.1, 0.0, 0.0),
        "RightHand": (-0.1, 0.0, 0.0),
        "LeftFoot": (0.0, -ANKLE_HEIGHT, 0.11),
        "RightFoot": (0.0, -ANKLE_HEIGHT, 0.11),
    }
)
# Hip, knee and ankle of each side.
LEGS = tuple(
    tuple(NAMES.index(f"{side}{part}") for part in ("UpLeg", "Leg", "Foot"))
    for side in ("Left", "Right")
)
# The joint of the other side, or itself.
SIDES = tuple(
    NAMES.index(
        name.replace("Left", "Right") if name.startswith("Left") else name.replace("Right", "Left")
    )
    for name in NAMES
)
# Joints that are keypoints of the image too, in COCO's names; a person's place is found by them.
IMAGE_POINTS: Mapping[str, str] = MappingProxyType(
    {
        f"{side}{joint}": f"{side.lower()}_{point}"
        for side in ("Left", "Right")
        for joint, point in (
            ("Arm", "shoulder"),
            ("ForeArm", "elbow"),
            ("Hand", "wrist"),
            ("UpLeg", "hip"),
            ("Leg", "knee"),
            ("Foot", "ankle"),
        )
    }
)


@dataclass(frozen=True)
class Source:
    """A kind of 3D keypoints that the skeleton can be made of.

    Attributes:
        joints: for each joint the keypoints whose mean it is.
        ends: likewise what hands and feet point at, where there are such keypoints.
        top: the height of `Head` when standing, in statures.
        in_depth: whether sizes across the image depend on the unknown distance from the camera, so
            that only depths are true to size.
    """

    joints: Mapping[str, tuple[str, ...]]
    ends: Mapping[str, tuple[str, ...]]
    top: float
    in_depth: bool = False

    @property
    def points(self) -> tuple[tuple[str, ...], ...]:
        """All of them in order: those of the joints, then those of the ends."""
        return (*(self.joints[name] for name in NAMES), *self.ends.values())

    def taker(self, skeleton: Skeleton) -> Callable[[np.ndarray], np.ndarray]:
        """A function that makes points (n, P, 3) from a model's 3D keypoints (n, K, 3)."""
        columns = [[skeleton.names.index(name) for name in names] for names in self.points]
        # Each as often as the longest, of which the others' lengths are parts.
        most = max(map(len, columns))
        rows = np.array([column * (most // len(column)) for column in columns])
        return lambda keypoints: keypoints[:, rows].mean(axis=2)


_H36M = Source(
    joints={
        "Hips": ("root",),
        "Spine": ("spine",),
        "Chest": ("thorax",),
        "Neck": ("neck_base",),
        "Head": ("head",),
        **{
            f"{side}{joint}": (f"{side.lower()}_{point}",)
            for side in ("Left", "Right")
            for joint, point in (
                ("Arm", "shoulder"),
                ("ForeArm", "elbow"),
                ("Hand", "wrist"),
                ("UpLeg", "hip"),
                ("Leg", "knee"),
                ("Foot", "foot"),
            )
        },
    },
    ends={},
    top=1.0,
)
_HIPS, _SHOULDERS = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")
_EARS = ("left_ear", "right_ear")
_WHOLE_BODY = Source(
    joints={
        "Hips": _HIPS,
        "Spine": (*_HIPS, *_SHOULDERS),
        "Chest": _SHOULDERS,
        "Neck": (*_SHOULDERS, *_EARS),
        "Head": _EARS,
        **{name: (point,) for name, point in IMAGE_POINTS.items()},
    },
    ends={
        "LeftHand": ("left_middle_finger1",),
        "RightHand": ("right_middle_finger1",),
        "LeftFoot": ("left_big_toe", "left_small_toe"),
        "RightFoot": ("right_big_toe", "right_small_toe"),
    },
    top=0.936,
    in_depth=True,
)


def source_of(skeleton: Skeleton, skeleton_3d: Skeleton | None, what: str) -> Source:
    """How the skeleton is made from a model's keypoints.

    Args:
        skeleton: of the 2D keypoints.
        skeleton_3d: of the 3D keypoints; None where there are none.
        what: what needs this, for the message.

    Raises:
        InputError: the model does not give 3D poses of whole bodies.
    """
    wanted = "expected a model that gives 3D poses of bodies, such as human3d"
    if skeleton_3d is None:
        raise InputError(f"{what}: {wanted}; found 2D keypoints of '{skeleton.name}' only")
    for source in (_H36M, _WHOLE_BODY):
        needed = {name for names in source.points for name in names}
        if needed <= set(skeleton_3d.names) and set(IMAGE_POINTS.values()) <= set(skeleton.names):
            return source
    raise InputError(f"{what}: {wanted}; found keypoints of '{skeleton_3d.name}'")


def children(joint: int) -> list[int]:
    """The joints that hang on one."""
    return [child for child, parent in enumerate(PARENTS) if parent == joint]


def depth_of(joint: int) -> int:
    """How many joints are above one; the joints are listed depth first."""
    return 0 if PARENTS[joint] < 0 else 1 + depth_of(PARENTS[joint])
