"""Made-up people who move, as results and packets of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from posekit.result import Pose3D, PoseResult
from posekit.skeleton import Skeleton, load_skeleton
from posekit.stages.packet import Clip, Packet

__all__ = ["CLIP", "HALPE", "figure", "packet", "result"]

HALPE = load_skeleton("halpe26")
CLIP = Clip("walk.mp4", "videos/walk.mp4", (640, 480), Fraction(30), 90)
# A person who looks right, by the directions of limbs in degrees, anticlockwise from the right.
STANDING = {
    "trunk": 90.0, "head": 90.0, "arm": -90.0, "forearm": -90.0, "thigh": -90.0, "shank": -90.0,
    "foot": 0.0,
}  # fmt: skip
LIMB = 40.0  # pixels; a trunk is twice as long


def figure(skeleton: Skeleton = HALPE, **turned: float) -> np.ndarray:
    """Keypoints (K, 2), y down, of a person whose limbs have these directions."""
    directions = {**STANDING, **turned}

    def step(limb: str, length: float = LIMB) -> np.ndarray:
        angle = np.radians(directions[limb])
        return length * np.array([np.cos(angle), -np.sin(angle)])

    hip = np.array([200.0, 300.0])
    neck = hip + step("trunk", 2 * LIMB)
    head = neck + step("head")
    points = {"hip": hip, "root": hip, "neck": neck, "thorax": neck, "head": head, "nose": head}
    for side in ("left", "right"):
        elbow = neck + step("arm")
        knee = hip + step("thigh")
        ankle = knee + step("shank")
        named = {
            "shoulder": neck, "elbow": elbow, "wrist": elbow + step("forearm"), "hip": hip,
            "knee": knee, "ankle": ankle, "heel": ankle, "big_toe": ankle + step("foot", LIMB / 2),
            "foot": ankle, "small_toe": ankle + step("foot", LIMB / 2), "eye": head,
            "ear": head - [8, 0],
        }  # fmt: skip
        points.update({f"{side}_{part}": point for part, point in named.items()})
    return np.array([points.get(name, hip) for name in skeleton.names])


def result(
    number: int,
    people: Mapping[int, np.ndarray],
    *,
    skeleton: Skeleton = HALPE,
    fps: float = 30.0,
    unseen: Mapping[int, tuple[str, ...]] | None = None,
    solid: Mapping[int, np.ndarray] | None = None,
    ids: bool = True,
) -> PoseResult:
    """What a frame gave.

    Args:
        number: of the frame.
        people: keypoints (K, 2) by track id.
        skeleton: of these.
        fps: frames per second.
        unseen: names of keypoints that have a score of 0, by track id.
        solid: Human3.6M's 3D keypoints (17, 3) by track id.
        ids: whether the tracks are known.
    """
    n = len(people)
    keypoints = np.zeros((n, skeleton.num_keypoints, 2), np.float32)
    scores = np.ones(keypoints.shape[:2], np.float32)
    for row, (track, points) in enumerate(people.items()):
        keypoints[row] = points
        for name in (unseen or {}).get(track, ()):
            scores[row, skeleton.names.index(name)] = 0
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    pose3d = None
    if solid is not None:
        pose3d = Pose3D(
            keypoints=np.array(list(solid.values()), np.float32).reshape(n, 17, 3),
            keypoint_scores=np.ones((n, 17), np.float32),
            skeleton=load_skeleton("h36m"),
            unit="metres",
            axes="x to the left of the image, y away from the camera, z up",
        )
    return PoseResult(
        keypoints=keypoints,
        keypoint_scores=scores,
        boxes_xyxy=boxes,
        box_scores=np.ones(n, np.float32),
        skeleton=skeleton,
        image_size=CLIP.size,
        name=CLIP.name,
        index=number,
        source=CLIP.source,
        frame_id=number,
        time=number / fps,
        track_ids=np.array(list(people), np.int64) if ids else None,
        pose3d=pose3d,
    )


def packet(number: int, people: Mapping[int, np.ndarray], **more: object) -> Packet:
    """A frame of `CLIP`; see `result`."""
    found = result(number, people, **more)  # type: ignore[arg-type]
    return Packet(found, CLIP, found.time)
