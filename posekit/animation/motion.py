"""A person's track -> an animation: a skeleton, its rotations, and a root whose feet stand."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from posekit.animation.feet import calmed, find_contacts, level, reach, targets
from posekit.animation.pose import (
    Figure,
    bend_legs,
    flatten_feet,
    kinematics,
    measure,
    pose_of,
    unflipped,
    unstretched,
)
from posekit.animation.root import Sighting, solve_root
from posekit.animation.rotations import same_sign
from posekit.animation.skeleton import (
    ANKLE_HEIGHT,
    ENDS,
    IMAGE_POINTS,
    LEGS,
    NAMES,
    SIDES,
    Source,
)

__all__ = ["Motion", "Track", "animate"]

ANKLES = [leg[2] for leg in LEGS]
IN_IMAGE = [NAMES.index(name) for name in IMAGE_POINTS]
FLATTENS = 0.06  # seconds in which a foot comes to lie flat
LEAST_SCORE = 0.05  # a keypoint that is less sure counts so much


@dataclass(frozen=True, eq=False)
class Track:
    """A person over F evenly spaced frames.

    Attributes:
        points: (F, P, 3), points of a `Source`: x right, y up, z towards the camera, with any
            origin and unit; NaN where the person is not seen.
        keypoints: (F, 12, 2), those of `IMAGE_POINTS`, in pixels; NaN where there are none.
        scores: (F, 12).
        image_sizes: (F, 2), (w, h) in pixels; NaN where the person is not seen.
        fps: frames per second.
    """

    points: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    image_sizes: np.ndarray
    fps: float


@dataclass(frozen=True, eq=False)
class Motion:
    """An animation of F frames, in metres.

    Attributes:
        offsets: (J, 3), of joints from their parents, in T-pose.
        ends: (E, 3), of the ends of chains from their joints.
        rotations: (F, J, 4), of joints relative to their parents; x, y, z, w.
        root: (F, 3), positions of the hips.
        positions: (F, J, 3), of the joints.
        contacts: (F, 2), bool, whether the left and the right foot stand.
        seen: (F,), bool, whether the person was seen; other frames are interpolated.
        exchanged: (F,), bool, where left and right were swapped and have been swapped back.
        guessed: joints whose bones have an average person's length.
        fps: frames per second.
        focal: focal length of the camera, in pixels; NaN if the root does not move.
    """

    offsets: np.ndarray
    ends: np.ndarray
    rotations: np.ndarray
    root: np.ndarray
    positions: np.ndarray
    contacts: np.ndarray
    seen: np.ndarray
    exchanged: np.ndarray
    guessed: tuple[str, ...]
    fps: float
    focal: float


def animate(
    track: Track, source: Source, *, stature: float, focal: float | None, moving: bool = True
) -> Motion | None:
    """The animation of a track; None where the person is seen in no frame.

    Args:
        track: the person.
        source: what its points are.
        stature: height of the person, in metres.
        focal: focal length of the camera, in pixels; None takes the image's larger side.
        moving: whether the person moves through space; otherwise the root stays, and the lowest
            joint of each frame is on the ground.
    """
    points, keypoints, scores = track.points, track.keypoints, track.scores
    seen = np.isfinite(points).all(axis=(1, 2)) & (np.ptp(points, axis=1).max(axis=-1) > 0)
    if not seen.any():
        return None
    exchanged = unflipped(points[:, : len(NAMES)] - points[:, :1], track.fps)
    if exchanged.any():
        points, keypoints, scores = _exchanged(track, exchanged, source)
    if source.in_depth:
        points = unstretched(points - points[:, :1], stature, track.fps)
    figure = measure(points[seen], source, stature)
    local = pose_of(points, seen, source, figure)
    contacts = np.zeros((len(points), 2), np.bool_)
    if moving:
        focal = float(np.nanmax(track.image_sizes)) if focal is None else focal
        found = dataclasses.replace(track, keypoints=keypoints, scores=scores)
        root, contacts = _walk(found, local, figure, seen, stature=stature, focal=focal)
        if not source.ends:
            _lay_feet(local, figure, root, contacts, track.fps)
    else:
        focal, root = float("nan"), _grounded(local, figure)
    return Motion(
        offsets=figure.offsets,
        ends=figure.ends,
        rotations=same_sign(local),
        root=root,
        positions=root[:, None] + kinematics(local, figure)[0],
        contacts=contacts,
        seen=seen,
        exchanged=exchanged,
        guessed=figure.guessed,
        fps=track.fps,
        focal=focal,
    )


def _walk(
    track: Track,
    local: np.ndarray,
    figure: Figure,
    seen: np.ndarray,
    *,
    stature: float,
    focal: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The root (F, 3) and when feet stand (F, 2); legs, in `local`, bend to where these stand."""
    places = kinematics(local, figure)[0]
    ankles, fps, height = places[:, ANKLES], track.fps, ANKLE_HEIGHT * stature
    sighting = _sighting(places, track, seen, focal)
    first = solve_root(sighting)
    contacts = find_contacts(first[:, None] + ankles, fps, stature) & seen[:, None]
    root = solve_root(sighting, calmed(ankles, contacts, fps), contacts)
    root[:, 1] += level(root[:, None] + ankles, contacts, fps, height)
    wanted = targets(root[:, None] + ankles, contacts, fps, height)
    hips = root[:, None] + places[:, [leg[0] for leg in LEGS]]
    legs = np.array([figure.lengths[list(leg[1:])].sum() for leg in LEGS])
    root[:, 1] -= reach(hips, wanted, legs, fps)
    turned = kinematics(local, figure)[1]  # again: too large to be kept until here
    bend_legs(local, figure, places, turned, wanted - root[:, None])
    return root, contacts


def _lay_feet(
    local: np.ndarray, figure: Figure, root: np.ndarray, contacts: np.ndarray, fps: float
) -> None:
    """Lays feet, in `local`, flat on the ground while they stand."""
    places, turned = kinematics(local, figure)
    heights = root[:, None, 1] + places[:, ANKLES, 1]
    share = gaussian_filter1d(contacts.astype(float), FLATTENS * fps, axis=0)
    flatten_feet(local, figure, turned, heights, share)


def _grounded(local: np.ndarray, figure: Figure) -> np.ndarray:
    """The root (F, 3) that stays, over the lowest joint or toe of each frame."""
    places, turned = kinematics(local, figure)
    toes = [figure.ends[list(ENDS).index(NAMES[ankle])] for ankle in ANKLES]
    tips = [turned[ankle].apply(toe)[:, 1] for ankle, toe in zip(ANKLES, toes, strict=True)]
    root = np.zeros((len(local), 3))
    toe_heights = places[:, ANKLES, 1] + np.stack(tips, axis=1)
    root[:, 1] = -np.minimum(places[..., 1].min(axis=1), toe_heights.min(axis=1))
    return root


def _exchanged(
    track: Track, frames: np.ndarray, source: Source
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, keypoints and scores with left and right exchanged in some frames."""

    def other(names: list[str]) -> list[int]:
        swap = {name: NAMES[SIDES[NAMES.index(name)]] for name in names}
        return [names.index(swap[name]) for name in names]

    ends = [len(NAMES) + place for place in other(list(source.ends))]
    points, keypoints, scores = track.points.copy(), track.keypoints.copy(), track.scores.copy()
    points[frames] = points[frames][:, [*SIDES, *ends]]
    sides = other(list(IMAGE_POINTS))
    keypoints[frames] = keypoints[frames][:, sides]
    scores[frames] = scores[frames][:, sides]
    return points, keypoints, scores


def _sighting(places: np.ndarray, track: Track, seen: np.ndarray, focal: float) -> Sighting:
    """What the image says of joints."""
    rays = (track.keypoints - track.image_sizes[:, None] / 2) / focal
    rays[..., 1] *= -1
    there = np.isfinite(rays).all(axis=-1) & seen[:, None]
    sure = np.clip(np.nan_to_num(track.scores), LEAST_SCORE, 1)
    return Sighting(
        relative=places[:, IN_IMAGE],
        image=np.where(there[..., None], rays, 0).astype(np.float32),
        weights=np.where(there, sure, 0).astype(np.float32),
        fps=track.fps,
    )
