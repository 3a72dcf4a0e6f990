"""Keypoints in OpenPose's order: BODY_25 or COCO-18, the face's 70, 21 of each hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from posekit.errors import InputError
from posekit.result import PoseResult
from posekit.skeleton import Skeleton

__all__ = ["BODY_18", "BODY_25", "FACE", "HANDS", "check_body", "triples"]

_LIMBS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist",
)  # fmt: skip
_LEGS = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")
_HEAD = ("right_eye", "left_eye", "right_ear", "left_ear")
BODY_18 = (*_LIMBS, *_LEGS, *_HEAD)
BODY_25 = (
    *_LIMBS, "hip", *_LEGS, *_HEAD, "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)  # fmt: skip
# The last two are the pupils, which no data set here has.
FACE = (*(f"face-{number}" for number in range(68)), "right_pupil", "left_pupil")
HANDS = {
    side: (
        f"{side}_hand_root",
        *(
            f"{side}_{finger}{joint}"
            for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
            for joint in range(1, 5)
        ),
    )
    for side in ("left", "right")
}
# What stands between two keypoints, where a skeleton does not have it itself.
MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "hip": ("left_hip", "right_hip")}


def check_body(skeleton: Skeleton, what: str) -> None:
    """Checks that a skeleton is a body's.

    Args:
        skeleton: skeleton of the 2D keypoints.
        what: what is to be written, for the message.

    Raises:
        InputError: names what is missing.
    """
    missing = [name for name in ("nose", *_LIMBS[2:], *_LEGS) if name not in skeleton.names]
    if missing:
        raise InputError(
            f"{what} is for bodies: skeleton '{skeleton.name}' has no {missing[0]}; use "
            "another model or another format"
        )


def triples(result: PoseResult, names: Sequence[str]) -> np.ndarray:
    """x, y and score of keypoints by name, (n, len(names), 3), float32.

    Scores are clipped to 0..1. A keypoint that the skeleton lacks is 0, 0, 0, as is one of score 0.
    """
    skeleton = result.skeleton
    found = np.zeros((len(result), len(names), 3), np.float32)
    for place, ends in enumerate(_places(skeleton.names, tuple(names))):
        if ends:
            found[:, place, :2] = result.keypoints[:, ends].mean(axis=1)
            found[:, place, 2] = result.keypoint_scores[:, ends].min(axis=1)
    found[..., 2] = found[..., 2].clip(0, 1)
    found[found[..., 2] == 0] = 0
    return found


@lru_cache
def _places(known: tuple[str, ...], names: tuple[str, ...]) -> tuple[list[int], ...]:
    """Of each name the keypoints whose mean it is, none where there are none."""
    index: Callable[[str], int] = known.index
    return tuple(
        [index(end) for end in ends] if all(end in known for end in ends) else []
        for ends in ((name,) if name in known else MIDDLES.get(name, (name,)) for name in names)
    )
