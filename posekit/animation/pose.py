"""Points of a person over time -> bone lengths, joint rotations and back (forward kinematics)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from posekit.animation.feet import bend
from posekit.animation.rotations import best_fit, filled, swing
from posekit.animation.skeleton import (
    ENDS,
    JOINTS,
    LEGS,
    NAMES,
    PARENTS,
    SIDES,
    Source,
    children,
    depth_of,
)

__all__ = [
    "Figure",
    "bend_legs",
    "flatten_feet",
    "kinematics",
    "measure",
    "pose_of",
    "unflipped",
    "unstretched",
]

# Bones from which the stature is known: from the ankle to the head.
CHAIN = ("Spine", "Chest", "Neck", "Head", "LeftLeg", "LeftFoot")
SHORTEST = 1e-3  # of all bones of a frame together: a shorter bone has no direction
BRANCHES = ("Hips", "Chest")
# A pose is mirrored where left and right exchanged lie this much nearer to the frame before.
FLIPPED = 0.25
LONGEST_FLIP = 0.5  # seconds
SIZE_CHANGES = 0.25  # seconds
SHOULDERS = 0.818  # their height, in statures
TINY = 1e-12
STILL = (0.0, 0.0, 0.0, 1.0)
MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Figure:
    """A person's skeleton in T-pose, in metres.

    Attributes:
        offsets: (J, 3), of joints from their parents.
        ends: (E, 3), of `ENDS` from their joints.
        guessed: names of the joints whose bones have the length of an average person's.
    """

    offsets: np.ndarray
    ends: np.ndarray
    guessed: tuple[str, ...]

    @property
    def lengths(self) -> np.ndarray:
        """Lengths of the bones that lead to the joints, (J,), in metres."""
        found: np.ndarray = np.linalg.norm(self.offsets, axis=-1)
        return found


def unflipped(points: np.ndarray, fps: float) -> np.ndarray:
    """Whether left and right are swapped in each frame, (F,), bool; for moments only.

    Args:
        points: (F, J, 3), joints relative to the root, NaN where not seen.
        fps: frames per second.
    """
    flipped = np.zeros(len(points), np.bool_)
    frames = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))
    here, before = points[frames[1:]], points[frames[:-1]]
    kept = ((here - before) ** 2).sum(axis=(1, 2))
    swapped = ((here[:, list(SIDES)] - before) ** 2).sum(axis=(1, 2))
    changes = frames[1:][swapped < FLIPPED * kept]
    start = 0
    while start + 1 < len(changes):
        first, last = changes[start : start + 2]
        if last - first > LONGEST_FLIP * fps:
            start += 1
            continue
        flipped[first:last] = True
        start += 2
    return flipped


def unstretched(points: np.ndarray, stature: float, fps: float) -> np.ndarray:
    """Points whose width and height fit their depth and the stature.

    The bones of an average person show how much is missing across the image.

    Args:
        points: (F, P, 3), NaN where not seen.
        stature: height of the person, in metres.
        fps: frames per second.
    """
    bones = _bones(points)
    length = stature * np.sqrt(sum(joint.share**2 for joint in JOINTS))
    across = (bones[..., :2] ** 2).sum(axis=(1, 2))
    missing = length**2 - (bones[..., 2] ** 2).sum(axis=1)
    frames = np.flatnonzero((across > 0) & (missing > 0))  # NaN is neither
    if not len(frames):
        return points
    known = np.sqrt(missing[frames] / across[frames])
    factor = np.interp(np.arange(len(points)), frames, known)
    factor = gaussian_filter1d(factor, SIZE_CHANGES * fps, mode="nearest")
    scales = np.stack([factor, factor, np.ones_like(factor)], axis=-1)
    return points * scales[:, None]


def measure(points: np.ndarray, source: Source, stature: float) -> Figure:
    """A person's skeleton: median lengths, left and right alike, scaled to the stature.

    Args:
        points: (F, P, 3), of frames in which the person is seen.
        source: what they are.
        stature: height of the person, in metres.
    """
    shares = np.array([joint.share for joint in JOINTS])
    shares[[NAMES.index("Neck"), NAMES.index("Head")]] *= (source.top - SHOULDERS) / (1 - SHOULDERS)
    bones = _bones(points)
    lengths = np.linalg.norm(bones, axis=-1)
    sizes = np.maximum(lengths.sum(axis=1, keepdims=True), TINY)
    relative = np.median(lengths / sizes, axis=0)
    relative = (relative + relative[list(SIDES)]) / 2
    known = relative > SHORTEST
    chain = [joint for joint in map(NAMES.index, CHAIN) if known[joint]]
    scale = stature * shares[chain].sum() / relative[chain].sum() if chain else 1.0
    found = np.where(known, relative * scale, stature * shares)
    offsets = np.array([joint.direction for joint in JOINTS]) * found[:, None]
    for branch in BRANCHES:
        _set_directions(offsets, branch, _unit(bones))
    ends = {name: stature * np.array(end) for name, end in ENDS.items()}
    for name, end in _ends(points, source).items():
        length = np.median(np.linalg.norm(end, axis=-1) / sizes[:, 0]) * scale
        if length > SHORTEST * stature:
            ends[name] *= length / np.linalg.norm(ends[name])
    for left in ("LeftHand", "LeftFoot"):
        mirrored = ends[left.replace("Left", "Right")] * MIRROR
        ends[left] = (ends[left] + mirrored) / 2
        ends[left.replace("Left", "Right")] = ends[left] * MIRROR
    guessed = tuple(name for name, fine in zip(NAMES[1:], known[1:], strict=True) if not fine)
    return Figure(offsets, np.stack(list(ends.values())), guessed)


def _set_directions(offsets: np.ndarray, branch: str, directions: np.ndarray) -> None:
    """Where the bones of a joint with several point in its own axes, on average, left as right."""
    joints = children(NAMES.index(branch))
    rest = _unit(offsets[joints])
    there = directions[:, joints]
    own = best_fit(rest, there).inv()
    mean = np.stack([own.apply(there[:, number]).mean(axis=0) for number in range(len(joints))])
    other = mean[[joints.index(SIDES[joint]) for joint in joints]] * MIRROR
    mean = (mean + other) / 2
    length = np.linalg.norm(mean, axis=-1, keepdims=True)
    rest = np.where(length > 0.5, mean / np.maximum(length, TINY), rest)
    offsets[joints] = rest * np.linalg.norm(offsets[joints], axis=-1, keepdims=True)


def pose_of(points: np.ndarray, seen: np.ndarray, source: Source, figure: Figure) -> np.ndarray:
    """Rotations (F, J, 4) of joints relative to their parents; unseen frames are interpolated.

    At hips and chest, where several bones meet, they fit all of these; elsewhere they are the
    shortest that turn a bone from the T-pose to its direction.

    Args:
        points: (F, P, 3).
        seen: (F,), bool, frames that count.
        source: what the points are.
        figure: the person's skeleton.
    """
    bones = _bones(points[seen])
    known = np.linalg.norm(bones, axis=-1) > SHORTEST * np.linalg.norm(bones, axis=-1).sum(
        axis=1, keepdims=True
    )
    directions = _unit(bones) * known[..., None]
    ends = _ends(points[seen], source)
    local = np.zeros((len(points), len(NAMES), 4), np.float32)
    turned: dict[int, Rotation] = {}  # of a joint and of all above it, by depth: those to come
    for joint, name in enumerate(NAMES):
        depth = depth_of(joint)
        above = turned[depth - 1] if depth else Rotation.identity()
        below = children(joint)
        if name in BRANCHES:
            fit = above.inv() * best_fit(_unit(figure.offsets[below]), directions[:, below])
            own, fine = fit.as_quat(), known[:, below].sum(axis=1) > 1
        elif below or name in ends:
            bone = directions[:, below[0]] if below else _unit(ends[name])
            fine = np.linalg.norm(bone, axis=-1) > 0.5
            rest = figure.offsets[below[0]] if below else figure.ends[list(ENDS).index(name)]
            bone = np.where(fine[:, None], bone, _unit(rest))
            own = swing(_unit(rest), above.inv().apply(bone)).as_quat()
        else:
            own, fine = np.tile(STILL, (len(bones), 1)), np.ones(len(bones), np.bool_)
        own = filled(own, fine)
        turned[depth] = above * Rotation.from_quat(own)
        local[seen, joint] = own
        local[:, joint] = filled(local[:, joint], seen)
    return local


def kinematics(local: np.ndarray, figure: Figure) -> tuple[np.ndarray, list[Rotation]]:
    """Joints (F, J, 3) relative to the root, and their rotations in world axes."""
    turned: list[Rotation] = []
    places = np.zeros((*local.shape[:2], 3), np.float32)
    for joint, parent in enumerate(PARENTS):
        own = Rotation.from_quat(local[:, joint])
        if parent < 0:
            turned.append(own)
            continue
        turned.append(turned[parent] * own)
        places[:, joint] = places[:, parent] + turned[parent].apply(figure.offsets[joint])
    return places, turned


def bend_legs(
    local: np.ndarray,
    figure: Figure,
    places: np.ndarray,
    turned: list[Rotation],
    wanted: np.ndarray,
) -> None:
    """Turns hips and knees, in `local`, so that the ankles reach their targets.

    Feet keep their directions in space.

    Args:
        local: (F, J, 4), changed in place.
        figure: the person's skeleton.
        places, turned: what `kinematics` makes of these.
        wanted: (F, 2, 3), the ankles' targets, relative to the root.
    """
    forward = turned[0].apply([0.0, 0.0, 1.0])
    for side, (hip, knee, ankle) in enumerate(LEGS):
        bones = figure.lengths[[knee, ankle]]
        new = bend(places[:, hip], places[:, knee], wanted[:, side], forward, bones)
        above = turned[0]
        for number, (joint, below) in enumerate(((hip, knee), (knee, ankle))):
            own = swing(_unit(figure.offsets[below]), above.inv().apply(new[:, number]))
            local[:, joint] = own.as_quat()
            above = above * own
        local[:, ankle] = (above.inv() * turned[ankle]).as_quat()  # the foot stays as it was


def flatten_feet(
    local: np.ndarray,
    figure: Figure,
    turned: list[Rotation],
    heights: np.ndarray,
    share: np.ndarray,
) -> None:
    """Turns feet, in `local`, towards level by a share of the angle; toes stay above height 0.

    Args:
        local: (F, J, 4), changed in place.
        figure: the person's skeleton.
        turned: the rotations that `kinematics` makes of these.
        heights: (F, 2), of the ankles.
        share: (F, 2), 1 for a level foot, 0 for one that turns with its shank.
    """
    for side, (_, knee, ankle) in enumerate(LEGS):
        x, _, z = turned[knee].apply([0.0, 0.0, 1.0]).T
        flat = Rotation.from_euler("Y", np.arctan2(x, z)[:, None])
        toe = figure.ends[list(ENDS).index(NAMES[ankle])]
        high = heights[:, side] + flat.apply(toe)[:, 1]
        turn = (turned[knee].inv() * flat).as_rotvec()
        part = np.clip(share[:, side], 0, 1)
        for _ in range(3):  # each as if heights grew with the angle, from below
            own = Rotation.from_rotvec(part[:, None] * turn)
            low = heights[:, side] + (turned[knee] * own).apply(toe)[:, 1]
            needed = np.clip(-low / np.maximum(high - low, TINY), 0, 1)
            part += (1 - part) * needed
        local[:, ankle] = Rotation.from_rotvec(part[:, None] * turn).as_quat()


def _bones(points: np.ndarray) -> np.ndarray:
    """(F, J, 3), from each joint's parent to it; 0 for the root."""
    parents = [max(0, parent) for parent in PARENTS]
    found: np.ndarray = points[:, : len(NAMES)] - points[:, parents]
    return found


def _ends(points: np.ndarray, source: Source) -> dict[str, np.ndarray]:
    """What hands and feet point at, (F, 3) from the joint, where that is known."""
    first = len(NAMES)
    return {
        name: points[:, first + number] - points[:, NAMES.index(name)]
        for number, name in enumerate(source.ends)
    }


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Of length 1; those without length stay."""
    unit: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), TINY)
    return unit
