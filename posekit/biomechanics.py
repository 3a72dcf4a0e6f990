"""What biomechanics files need beside keypoints: which angles, which markers, and a scale.

Markers have the names of Pose2Sim's HALPE_26, so that its marker augmentation and its scaling setup
for OpenSim know them. The size of a person is estimated from limbs, by their fractions of body
height (Winter, "Biomechanics and Motor Control of Human Movement", 4th ed. 2009, fig. 4.1).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from posekit.angles import Facing, place_of
from posekit.counting import EXERCISES
from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.skeleton import Skeleton

__all__ = [
    "ASSUMED_HEIGHT",
    "MARKERS",
    "BodyOptions",
    "Heights",
    "body_heights",
    "check_markers",
    "marker_positions",
    "markers_of",
]

Floats = npt.NDArray[np.float64]

# Of people of whom nobody says how tall they are, in metres.
ASSUMED_HEIGHT = 1.75


@dataclass(frozen=True, kw_only=True)
class BodyOptions(Options):
    """Biomechanics."""

    angles: Any = option(
        "all",
        "joint angles in the formats `angles` and `mot`, such as `[knee,hip]` (both sides) or "
        "`right_knee`; `all`: every angle that the model's keypoints allow",
    )
    facing: Facing = option(
        "auto",
        "the side of the image that people face, for the signs of 2D angles; `auto` infers it "
        "from the feet, or from nose and ears",
    )
    count: str | None = option(
        None,
        "for the format `angles`: add a column that counts how often each person has done "
        "this exercise",
        choices=tuple(EXERCISES),
    )
    person_height: float | None = option(
        None,
        "height of every person, which sets the scale of the formats `trc`, `bvh` and `npz`; "
        f"if unset, {ASSUMED_HEIGHT:g}, except that `trc` of 3D models keeps the model's own "
        "scale",
        unit="metres",
        above=0,
        most=3,
    )
    pixels_per_metre: float | None = option(
        None, "scale of the format `trc`, the same for all people", above=0, only="2D"
    )
    floor: float | None = option(
        None,
        "image row at height 0 in the format `trc`; if unset, the bottom edge",
        unit="pixels",
        only="2D",
    )
    max_gap: int = option(
        0,
        "for the format `trc`: interpolate gaps of up to this many frames linearly; longer "
        "gaps stay empty",
        least=0,
    )

    def check(self) -> None:
        if self.person_height is not None and self.pixels_per_metre is not None:
            raise InputError("person_height and pixels_per_metre are two scales; leave one out")


def _sided(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"R{''.join(map(str.title, name.split('_')))}", f"right_{name}") for name in names
    )


_LEG = ("hip", "knee", "ankle", "big_toe", "small_toe", "heel")
_ARM = ("shoulder", "elbow", "wrist")
_RIGHT = (_sided(*_LEG), _sided(*_ARM))


def _left(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((f"L{marker[1:]}", point.replace("right", "left", 1)) for marker, point in pairs)


# Pose2Sim's names and order -> points of `posekit.angles`.
MARKERS: dict[str, str] = dict(
    (
        ("Hip", "hip"),
        *_RIGHT[0],
        *_left(_RIGHT[0]),
        ("Neck", "neck"),
        ("Head", "head"),
        ("Nose", "nose"),
        *_RIGHT[1],
        *_left(_RIGHT[1]),
    )
)

# Parts of the body, their ends on one side or in the middle, and their shares of body height.
_PARTS: tuple[tuple[tuple[tuple[str, str], ...], float], ...] = (
    ((("right_heel", "right_ankle"), ("left_heel", "left_ankle")), 0.039),
    ((("right_ankle", "right_knee"), ("left_ankle", "left_knee")), 0.246),
    ((("right_knee", "right_hip"), ("left_knee", "left_hip")), 0.245),
    ((("right_hip", "right_shoulder"), ("left_hip", "left_shoulder")), 0.288),
)
# A frame that shows less than this share of a body tells its height only where no other does.
ENOUGH = 0.7


def markers_of(skeleton: Skeleton) -> tuple[str, ...]:
    """The markers that a skeleton's keypoints give, in Pose2Sim's order."""
    return tuple(name for name, point in MARKERS.items() if place_of(skeleton, point))


def check_markers(skeleton: Skeleton, what: str) -> None:
    """Checks that a skeleton is a person's, with trunk and legs.

    Raises:
        InputError: it is not; names what is missing.
    """
    given = markers_of(skeleton)
    for marker in ("RHip", "LHip", "RKnee", "LKnee", "RShoulder", "LShoulder"):
        if marker not in given:
            raise InputError(
                f"{what} is for people: skeleton '{skeleton.name}' has no {MARKERS[marker]}; "
                "use another model or another format"
            )


def marker_positions(keypoints: Floats, skeleton: Skeleton) -> Floats:
    """Positions (..., M, D) of the markers, from keypoints (..., K, D); NaN where unknown."""
    return np.stack(
        [
            keypoints[..., place_of(skeleton, MARKERS[name]), :].mean(axis=-2)
            for name in markers_of(skeleton)
        ],
        axis=-2,
    )


def body_heights(keypoints: Floats, skeleton: Skeleton) -> tuple[Floats, Floats]:
    """How tall people are when they stand upright, and what share of the body shows it.

    Args:
        keypoints: (n, K, D), in any unit; NaN where one is not seen.
        skeleton: skeleton of the K keypoints.

    Returns:
        heights (n,) in that unit, NaN where no part is seen, and shares (n,) of height that the
        parts seen add up to.
    """
    lengths, shares = np.zeros(len(keypoints)), np.zeros(len(keypoints))
    for sides, share in _PARTS:
        known = [ends for ends in sides if all(place_of(skeleton, end) for end in ends)]
        if not known:
            continue
        found = np.stack([_distance(keypoints, skeleton, ends) for ends in known])
        seen = np.isfinite(found)
        mean = np.where(seen, found, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        lengths += mean
        shares += np.where(seen.any(axis=0), share, 0)
    with np.errstate(invalid="ignore"):
        return np.where(shares > 0, lengths / shares, np.nan), shares


@dataclass
class Heights:
    """A person's height, estimated from several frames."""

    sure: array[float] = field(default_factory=lambda: array("d"))
    unsure: array[float] = field(default_factory=lambda: array("d"))

    def add(self, height: float, share: float) -> None:
        """Adds the estimate of one frame, see `body_heights`."""
        if share > 0:
            (self.sure if share >= ENOUGH else self.unsure).append(height)

    @property
    def median(self) -> float | None:
        """The median height; None without an estimate."""
        found = self.sure or self.unsure
        height = float(np.median(found)) if found else 0.0
        return height if height > 0 else None


def _distance(keypoints: Floats, skeleton: Skeleton, ends: tuple[str, str]) -> Floats:
    start, end = (keypoints[:, place_of(skeleton, point)].mean(axis=1) for point in ends)
    distance: Floats = np.linalg.norm(end - start, axis=-1)
    return distance
