"""Angles of joints and segments from keypoints, by the keypoints' names.

What each angle is follows Sports2D (its README, "Angle conventions"), with `_` where its names have
a space. In 2D an angle is seen from the side: the person faces right, x points right and y up; a
person who faces left is mirrored first, as in Sports2D, so that flexion has one sign. A segment's
angle is its direction, anticlockwise from the horizontal. In 3D a joint's angle is the one between
its segments, which has no side, and a segment's is its elevation above the horizontal plane.

Every angle is in degrees in (-180, 180]; `pelvis` and `shoulders`, whose ends are alike, are in
(-90, 90]; `unwrap_angles` makes those of a track continuous.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from posekit.config import nearest
from posekit.errors import InputError
from posekit.skeleton import Skeleton

__all__ = [
    "ANGLES",
    "Angle",
    "Facing",
    "angle_names",
    "choose_angles",
    "facing_strength",
    "measure_angles",
    "place_of",
    "unwrap_angles",
    "vertex_positions",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# The side of the picture that people look at.
Facing = Literal["auto", "right", "left"]


class Angle(NamedTuple):
    """An angle of the body.

    Attributes:
        name: such as `right_knee`.
        kind: "joint", between two segments, or "segment", against the horizontal.
        first: for a joint, the segment that the angle is measured from, as its two ends; for a
            segment, the segment itself.
        second: for a joint, the segment that the angle is measured to.
        sign: +1 where anticlockwise turning of a person who faces right counts as positive.
        offset: degrees that are added.
        vertex: the point that it is at.
        meaning: which zero it has and which way is positive, in words.
    """

    name: str
    kind: Literal["joint", "segment"]
    first: tuple[str, str]
    second: tuple[str, str] | None
    sign: int
    offset: float
    vertex: str
    meaning: str

    @property
    def period(self) -> float:
        """The degrees after which the angle is the same again."""
        return 180.0 if self.name in ("pelvis", "shoulders") else 360.0


# What a point is in one skeleton or another; the last is the mean of two, where there is no other.
_POINTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "hip": (("hip",), ("pelvis",), ("root",), ("left_hip", "right_hip")),
    "neck": (("neck",), ("thorax",), ("left_shoulder", "right_shoulder")),
    "head": (("head",), ("head_top",), ("top_head",)),
    # Human3.6M's feet are its ankles.
    "left_ankle": (("left_ankle",), ("left_foot",)),
    "right_ankle": (("right_ankle",), ("right_foot",)),
}
_TRUNK_DOWN = ("neck", "hip")


def _of_side(side: str) -> tuple[Angle, ...]:
    shoulder, elbow, wrist, hip, knee, ankle, heel, toe = (
        f"{side}_{part}"
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel", "big_toe")
    )
    foot, shank, thigh = (heel, toe), (knee, ankle), (hip, knee)
    arm, forearm = (shoulder, elbow), (elbow, wrist)

    def joint(
        part: str,
        first: tuple[str, str],
        second: tuple[str, str],
        meaning: str,
        sign: int = 1,
        offset: float = 0,
    ) -> Angle:
        name = f"{side}_{part}"
        return Angle(name, "joint", first, second, sign, offset, name, meaning)

    def segment(part: str, ends: tuple[str, str], meaning: str) -> Angle:
        return Angle(f"{side}_{part}", "segment", ends, None, 1, 0, ends[0], meaning)

    return (
        joint(
            "ankle", shank, foot, "dorsiflexion; 0: foot square to shank, -90: in line", offset=-90
        ),
        joint("knee", thigh, shank, "flexion; 0: shank in line with thigh", sign=-1),
        joint("hip", _TRUNK_DOWN, thigh, "flexion; 0: thigh in line with trunk"),
        joint("shoulder", _TRUNK_DOWN, arm, "flexion; 0: arm hangs along trunk, 180: overhead"),
        joint("elbow", arm, forearm, "flexion; 0: forearm in line with arm"),
        segment("foot", foot, "from heel to big toe; 0: flat"),
        segment("shank", shank, "from knee to ankle; -90: upright"),
        segment("thigh", thigh, "from hip to knee; -90: upright, 0: seated"),
        segment("arm", arm, "from shoulder to elbow; -90: hangs"),
        segment("forearm", forearm, "from elbow to wrist; -90: hangs"),
    )


def _all_angles() -> tuple[Angle, ...]:
    sides = zip(_of_side("right"), _of_side("left"), strict=True)
    middle = (
        ("pelvis", ("right_hip", "left_hip"), "hip", "from right to left hip; 0: level"),
        ("trunk", ("hip", "neck"), "hip", "from hips to neck; 90: upright"),
        ("shoulders", ("right_shoulder", "left_shoulder"), "neck", "from right to left; 0: level"),
        ("head", ("neck", "head"), "neck", "from neck to top of head; 90: upright"),
    )
    return (
        *(angle for pair in sides for angle in pair),
        *(
            Angle(name, "segment", ends, None, 1, 0, vertex, meaning)
            for name, ends, vertex, meaning in middle
        ),
    )


# Names -> what they are, joints before segments.
ANGLES: dict[str, Angle] = {angle.name: angle for angle in _all_angles()}


def angle_names(skeleton: Skeleton) -> tuple[str, ...]:
    """The angles that a skeleton's keypoints give; none of faces, hands and most animals."""
    return _names_of(skeleton.names)


@lru_cache(maxsize=256)
def _names_of(keypoints: tuple[str, ...]) -> tuple[str, ...]:
    # Other creatures have a neck and a head too.
    if not {"left_shoulder", "left_hip"} & set(keypoints):
        return ()
    return tuple(
        name
        for name, angle in ANGLES.items()
        if all(_place_of(keypoints, end) for end in (*angle.first, *(angle.second or ())))
    )


def choose_angles(wanted: Any, skeleton: Skeleton) -> tuple[str, ...]:
    """The names of the angles that a user asks for.

    Args:
        wanted: a name of an angle or of what both sides have (`knee`), several of these, or `all`;
            a space counts as `_`.
        skeleton: the skeleton that they are measured on.

    Returns:
        Names, each once, in the order of `ANGLES`.

    Raises:
        InputError: no such angle, or one that the skeleton has no keypoints for.
    """
    several = isinstance(wanted, Sequence) and not isinstance(wanted, str | bytes)
    known = angle_names(skeleton)
    found: set[str] = set()
    for word in wanted if several else (wanted,):
        name = str(word).strip().lower().replace(" ", "_")
        meant = (
            set(ANGLES) if name == "all" else {name, f"left_{name}", f"right_{name}"} & set(ANGLES)
        )
        if not meant:
            close = nearest(name, ["all", *ANGLES, *_parts()])
            hint = (
                f"did you mean {', '.join(close)}?" if close else f"known are {', '.join(_parts())}"
            )
            raise InputError(f"angles: no angle is called {word!r}; {hint}")
        given = meant & set(known)
        if not given:
            what = "any angle" if name == "all" else f"'{name}'"
            of_it = f"; it has {', '.join(known)}" if known else ""
            raise InputError(
                f"angles: skeleton '{skeleton.name}' lacks the keypoints of {what}{of_it}"
            )
        found |= given
    if not found:
        raise InputError("angles is empty: name one, such as knee, or all")
    return tuple(name for name in ANGLES if name in found)


def measure_angles(
    keypoints: npt.ArrayLike,
    skeleton: Skeleton,
    names: Sequence[str] | None = None,
    keypoint_scores: npt.ArrayLike | None = None,
    threshold: float | None = None,
    *,
    facing: Facing | npt.ArrayLike = "auto",
) -> Floats:
    """Angles of people in degrees, in (-180, 180].

    Args:
        keypoints: (..., K, 2) in pixels, y down, or (..., K, 3) with z up, see `Pose3D.upright`.
        skeleton: the skeleton of the K keypoints.
        names: names of A angles; None for all that the skeleton allows.
        keypoint_scores: (..., K); None if every keypoint with finite coordinates counts as seen.
        threshold: keypoints below this score count as not seen.
        facing: the side of the image that people face: "right", "left", "auto" to infer it for
            each person with `facing_strength` (right if it cannot tell); or an array (...),
            negative for left. No effect in 3D.

    Returns:
        (..., A), float64; NaN where a keypoint is not seen, or where a segment has no length.

    Raises:
        InputError: arrays of another shape, an angle that is unknown or not the skeleton's.
    """
    points, seen = _checked(keypoints, skeleton, keypoint_scores, threshold)
    chosen = angle_names(skeleton) if names is None else tuple(names)
    known = angle_names(skeleton)
    for name in chosen:
        if name not in known:
            choose_angles(name, skeleton)  # says what is wrong with it
            raise InputError(f"expected the name of one angle, such as right_knee, found {name!r}")
    points = np.where(seen[..., None], points, np.nan)
    if points.shape[-1] == 2:
        side = _sides(facing, points, skeleton)
        points = points * np.stack([side, -np.ones_like(side)], axis=-1)[..., None, :]
    return _measure(points, _plan(chosen, skeleton.names))


def facing_strength(
    keypoints: npt.ArrayLike,
    skeleton: Skeleton,
    keypoint_scores: npt.ArrayLike | None = None,
    threshold: float | None = None,
) -> Floats:
    """How clearly people look to the right of the picture (positive) or to the left (negative).

    This is how far to the right of the heels the big toes are, or without feet the nose to the
    right of the ears, as a fraction of the person's height.

    Args:
        keypoints, skeleton, keypoint_scores, threshold: as for `measure_angles`, in 2D.

    Returns:
        (...), float64; 0 if it cannot be told.
    """
    points, seen = _checked(keypoints, skeleton, keypoint_scores, threshold)
    return _facing(np.where(seen[..., None], points, np.nan), skeleton)


def vertex_positions(keypoints: npt.ArrayLike, skeleton: Skeleton, names: Sequence[str]) -> Floats:
    """The points that angles are at: the joint, or the beginning of the segment.

    Args:
        keypoints: (..., K, 2) or (..., K, 3).
        skeleton: skeleton of the K keypoints.
        names: A angles that the skeleton gives.

    Returns:
        (..., A, 2) or (..., A, 3), float64.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    return np.stack([_position(points, skeleton, ANGLES[name].vertex) for name in names], axis=-2)


def unwrap_angles(angles: npt.ArrayLike, names: Sequence[str]) -> Floats:
    """Angles of one person without jumps by whole turns; the first of each stays as it is.

    Args:
        angles: (T, A), degrees, in the order of time; NaN where there is none.
        names: of the A angles.

    Returns:
        (T, A), float64; each differs from the one before by half a turn at most, over gaps as well.
    """
    found = np.array(angles, dtype=np.float64)
    for column, name in enumerate(names):
        seen = np.isfinite(found[:, column])
        found[seen, column] = np.unwrap(found[seen, column], period=ANGLES[name].period)
    return found


def _parts() -> list[str]:
    """What both sides have, and what is in the middle."""
    return list(dict.fromkeys(name.split("_", 1)[-1] for name in ANGLES))


def _checked(
    keypoints: npt.ArrayLike,
    skeleton: Skeleton,
    scores: npt.ArrayLike | None,
    threshold: float | None,
) -> tuple[Floats, Bools]:
    """The points, and which of them are seen (..., K)."""
    points = np.asarray(keypoints, dtype=np.float64)
    k = skeleton.num_keypoints
    if points.ndim < 2 or points.shape[-2] != k or points.shape[-1] not in (2, 3):
        raise InputError(
            f"expected keypoints (..., {k}, 2) or (..., {k}, 3) of skeleton '{skeleton.name}', "
            f"found {points.shape}"
        )
    seen: Bools = np.logical_and.reduce(np.isfinite(points), axis=-1)
    if threshold is not None:
        if scores is None:
            raise InputError("a threshold needs keypoint_scores")
        given = np.asarray(scores, dtype=np.float64)
        if given.shape != seen.shape:
            raise InputError(f"expected keypoint_scores {seen.shape}, found {given.shape}")
        seen = seen & (given >= threshold)
    return points, seen


@lru_cache(maxsize=1024)
def _place_of(names: tuple[str, ...], point: str) -> tuple[int, ...]:
    for ends in _POINTS.get(point, ((point,),)):
        if all(end in names for end in ends):
            return tuple(names.index(end) for end in ends)
    return ()


def place_of(skeleton: Skeleton, point: str) -> tuple[int, ...]:
    """The keypoints whose mean the point is; none where the skeleton does not have it."""
    return _place_of(skeleton.names, point)


def _position(points: Floats, skeleton: Skeleton, point: str) -> Floats:
    position: Floats = points[..., place_of(skeleton, point), :].mean(axis=-2)
    return position


def _sides(facing: Any, points: Floats, skeleton: Skeleton) -> Floats:
    """(...): 1 for people who face right, -1 for left."""
    shape = points.shape[:-2]
    if isinstance(facing, str):
        if facing not in ("auto", "right", "left"):
            raise InputError(f"facing must be auto, right or left, found {facing!r}")
        if facing != "auto":
            return np.full(shape, 1.0 if facing == "right" else -1.0)
        given = _facing(points, skeleton)
    else:
        given = np.asarray(facing, dtype=np.float64)
        if given.shape != shape:
            raise InputError(f"expected facing as a word or {shape}, found {given.shape}")
    return np.where(given < 0, -1.0, 1.0)


def _facing(points: Floats, skeleton: Skeleton) -> Floats:
    def ahead(front: str, *behind: str) -> Floats:
        """How far a point is right of the mean of those seen of others; 0 where nobody knows."""
        if front not in skeleton.names or not all(one in skeleton.names for one in behind):
            return np.zeros(points.shape[:-2])
        others = np.stack([_position(points, skeleton, one)[..., 0] for one in behind])
        count = np.isfinite(others).sum(axis=0)
        mean = np.where(count > 0, np.nansum(others, axis=0) / np.maximum(count, 1), np.nan)
        distance: Floats = np.nan_to_num(_position(points, skeleton, front)[..., 0] - mean)
        return distance

    feet = ahead("right_big_toe", "right_heel") + ahead("left_big_toe", "left_heel")
    distance = np.where(feet == 0, ahead("nose", "left_ear", "right_ear"), feet)
    height = points[..., 1]
    low = np.where(np.isfinite(height), height, np.inf).min(axis=-1)
    high = np.where(np.isfinite(height), height, -np.inf).max(axis=-1)
    size = np.where(high > low, high - low, 1.0)
    strength: Floats = distance / size
    return strength


class _Plan(NamedTuple):
    """What some angles take of a skeleton, as indices.

    Attributes:
        ends: (P, 2), the two keypoints whose mean each point is; twice the same for one keypoint.
        first, second: (A, 2), the points that segments go from and to; a segment's own twice.
        joint: (A,), bool, of joints.
        sign, offset, period: (A,).
    """

    ends: npt.NDArray[np.intp]
    first: npt.NDArray[np.intp]
    second: npt.NDArray[np.intp]
    joint: Bools
    sign: Floats
    offset: Floats
    period: Floats


@lru_cache(maxsize=256)
def _plan(names: tuple[str, ...], keypoints: tuple[str, ...]) -> _Plan:
    angles = [ANGLES[name] for name in names]
    points = list(dict.fromkeys(p for one in angles for p in (*one.first, *(one.second or ()))))
    places = [_place_of(keypoints, point) for point in points]

    def pairs(segments: list[tuple[str, str]]) -> npt.NDArray[np.intp]:
        return np.array(
            [[points.index(end) for end in ends] for ends in segments], np.intp
        ).reshape(-1, 2)

    return _Plan(
        np.array([(place[0], place[-1]) for place in places], np.intp).reshape(-1, 2),
        pairs([one.first for one in angles]),
        pairs([one.second or one.first for one in angles]),
        np.array([one.second is not None for one in angles], np.bool_),
        np.array([one.sign for one in angles], np.float64),
        np.array([one.offset for one in angles], np.float64),
        np.array([one.period for one in angles], np.float64),
    )


def _measure(points: Floats, plan: _Plan) -> Floats:
    """(..., A), degrees: of points (..., K, 2), x ahead and y up, or (..., K, 3), z up."""
    where = (points[..., plan.ends[:, 0], :] + points[..., plan.ends[:, 1], :]) / 2

    def vectors(pairs: npt.NDArray[np.intp]) -> Floats:
        difference = where[..., pairs[:, 1], :] - where[..., pairs[:, 0], :]
        # One without length has no direction, for which NumPy would say 0.
        return np.where((difference == 0).all(axis=-1, keepdims=True), np.nan, difference)

    first, second = vectors(plan.first), vectors(plan.second)
    dot = (first * second).sum(axis=-1)
    if points.shape[-1] == 3:
        level = np.linalg.norm(first[..., :2], axis=-1)
        turn = np.arctan2(np.linalg.norm(np.cross(first, second), axis=-1), dot)
    else:
        level = first[..., 0]
        across = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
        turn = plan.sign * np.arctan2(across, dot)
    turn = np.where(plan.joint, turn, np.arctan2(first[..., -1], level))
    return _wrapped(np.degrees(turn) + plan.offset, plan.period)


def _wrapped(degrees: Floats, period: Floats) -> Floats:
    """In (-period / 2, period / 2]."""
    half = period / 2
    # Two steps: what rounds up to a whole period belongs to the other end.
    wrapped: Floats = half - np.mod(half - degrees, period)
    return np.where(wrapped <= -half, half, wrapped)
