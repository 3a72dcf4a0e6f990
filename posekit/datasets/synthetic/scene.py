"""A picture of a few people with exact keypoints; a function of its seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from posekit.datasets.synthetic.backdrop import (
    BACKGROUNDS,
    add_artefacts,
    draw_clutter,
    draw_ground,
    draw_occluder,
    outdoors,
)
from posekit.datasets.synthetic.canvas import (
    CHEST,
    HEAD,
    LEFT_ARM,
    LEFT_EAR,
    LEFT_LEG,
    PARTS,
    PELVIS,
    RIGHT_ARM,
    RIGHT_EAR,
    RIGHT_LEG,
    SKIRT,
    Canvas,
)
from posekit.datasets.synthetic.drawing import draw_figure
from posekit.datasets.synthetic.figure import (
    Figure,
    figure_bounds,
    make_figure,
    make_outfit,
    turn_x,
    turn_z,
)
from posekit.datasets.synthetic.head import EYE_SEEN
from posekit.datasets.synthetic.palette import Array, Rng, pick
from posekit.datasets.synthetic.poses import ACTIONS, Pose, cheer, dance, run, wave
from posekit.errors import InputError

__all__ = ["COCO_KEYPOINTS", "Scene", "check_whole", "demo_scene", "generate_scene", "scene_seed"]

MIN_SIDE = 64
MAX_SIDE = 8192
MAX_PEOPLE = 50
DEMO_SEED = 42
COCO_KEYPOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture of n people.

    Attributes:
        image: (H, W, 3), BGR, uint8.
        keypoints: (n, 17, 3), float32, COCO's order: x, y in pixels and v, which is 2 where the
            joint is seen, 1 where its own body, another person or an object hides it, 0 (with x
            and y 0) where it lies outside the image.
        boxes_xyxy: (n, 4), float32, tight around the whole body, hidden parts too, clipped to
            the image.
        areas: (n,), float32, pixels of the body within the image, hidden ones too.
        owners: (H, W), uint8, who is visible in each pixel: 0 nobody, i + 1 person i.
    """

    image: Array
    keypoints: Array
    boxes_xyxy: Array
    areas: Array
    owners: Array

    def __len__(self) -> int:
        return len(self.keypoints)


def generate_scene(
    seed: int,
    *,
    size_wh: tuple[int, int] = (640, 480),
    people: tuple[int, int] = (1, 6),
    degrade: bool = True,
) -> Scene:
    """The scene of a seed: the same arguments give the same scene.

    People are 80 to 400 pixels tall in an image that is 480 high, and in proportion in others.

    Args:
        seed: at least 0.
        size_wh: (w, h) of the image in pixels, each side 64 to 8192.
        people: the fewest and the most people, 50 at most; fewer are drawn if there is no room.
        degrade: whether to add uneven light, blur, noise and JPEG artefacts.

    Raises:
        InputError: an argument out of its range.
    """
    check_whole("seed", seed, 0)
    width, height = check_pair("size_wh", size_wh)
    for side in (width, height):
        check_whole("size_wh", side, MIN_SIDE, MAX_SIDE)
    fewest, most = check_pair("people", people)
    check_whole("people", fewest, 1, MAX_PEOPLE)
    check_whole("people", most, fewest, MAX_PEOPLE)
    rng = np.random.default_rng(seed)
    look = _Look(
        background=pick(rng, BACKGROUNDS),
        heights=(95, 400),
        clutter=int(rng.integers(0, 8)),
        occluders=int(rng.integers(0, 3)),
        frontal=0.4,
        yaw_limit=180,
        cut=0.12,
    )
    count = int(rng.integers(fewest, most + 1))
    actions = [pick(rng, ACTIONS) for _ in range(count)]
    return _render(rng, (width, height), actions, look, degrade)


def demo_scene(size_wh: tuple[int, int] = (960, 640)) -> Scene:
    """A bright picture of a few people, for the documentation."""
    rng = np.random.default_rng(DEMO_SEED)
    look = _Look(outdoors, (230, 300), clutter=0, occluders=0, frontal=1.0, yaw_limit=60, cut=0)
    return _render(rng, size_wh, [wave, run, cheer, dance], look, False)


def scene_seed(seed: int, index: int) -> int:
    """The seed of scene `index` of data set `seed`: data sets of different seeds share none."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0]) >> 1


def check_pair(name: str, values: object) -> tuple[Any, Any]:
    """Two values, or an InputError."""
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 2:
        raise InputError(f"{name} must be two whole numbers, found {values!r}")
    return values[0], values[1]


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """An InputError unless a whole number lies within its range."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, found {value!r}")
    if most is not None and value > most:
        raise InputError(f"{name} must be {most} at most, found {value!r}")


@dataclass
class _Look:
    background: Callable[[Array, Rng], int]
    heights: tuple[float, float]
    clutter: int
    occluders: int
    frontal: float  # how often people turn to the camera
    yaw_limit: float
    cut: float  # how often people stand across the image's border


def _render(
    rng: Rng,
    size_wh: tuple[int, int],
    actions: Sequence[Callable[[Rng], Pose]],
    look: _Look,
    degrade: bool,
) -> Scene:
    width, height = size_wh
    image = np.empty((height, width, 3), np.uint8)
    horizon = look.background(image, rng)
    for _ in range(look.clutter):
        draw_clutter(image, rng, horizon)
    figures = _cast(rng, size_wh, actions, look, horizon)
    # Which person and part each pixel shows; an object in front shows none.
    owners = np.zeros((height, width), np.uint16)
    silhouettes = []
    for number, figure in enumerate(figures):
        draw_ground(image, figure, rng)
        canvas = Canvas(image)
        draw_figure(canvas, figure)
        box = _extent(canvas.labels)
        silhouettes.append((box, int(np.count_nonzero(canvas.labels))))
        if box is not None:
            x1, y1, x2, y2 = box
            piece = canvas.labels[y1:y2, x1:x2]
            own = piece.astype(np.uint16) + number * PARTS
            cv2.copyTo(own, (piece > 0).astype(np.uint8), owners[y1:y2, x1:x2])
    boxes = [box for box, _ in silhouettes]
    for _ in range(look.occluders):
        draw_occluder(image, owners, rng, boxes)
    if degrade:
        image = add_artefacts(image, rng)
    keep = [i for i, (box, area) in enumerate(silhouettes) if box is not None and area]
    keypoints = [_keypoints(figures[i], owners, i) for i in keep]
    persons = np.zeros(max(1, len(figures)) * PARTS, np.uint8)
    for person, i in enumerate(keep):
        persons[i * PARTS + 1 : (i + 1) * PARTS] = person + 1
    return Scene(
        image=image,
        keypoints=np.array(keypoints, np.float32).reshape(-1, 17, 3),
        boxes_xyxy=np.array([silhouettes[i][0] for i in keep], np.float32).reshape(-1, 4),
        areas=np.array([silhouettes[i][1] for i in keep], np.float32),
        owners=persons[owners],
    )


def _cast(
    rng: Rng,
    size_wh: tuple[int, int],
    actions: Sequence[Callable[[Rng], Pose]],
    look: _Look,
    horizon: int,
) -> list[Figure]:
    """Poses people and places them on the ground, none hidden for the most part; far ones first."""
    width, height = size_wh
    camera = turn_z(float(rng.normal(0, 2.5))) @ turn_x(float(rng.uniform(0, 16)))
    distance = float(rng.uniform(3.5, 7))
    low, high = (value * height / 480 for value in look.heights)
    if len(actions) > 3:
        high = low + (high - low) * 0.75
    placed: list[tuple[Array, Figure]] = []
    for action in actions:
        outfit, pose = make_outfit(rng), action(rng)
        pose.turn += float(rng.uniform(-35, 35))
        pose.nod += float(rng.uniform(-12, 14))
        yaw = float(rng.uniform(-look.yaw_limit, look.yaw_limit))
        if rng.random() < look.frontal:
            yaw = float(rng.normal(0, 25))
        figure = make_figure(outfit, pose, yaw, camera)
        figure.distance = distance
        size = float(math.exp(rng.uniform(math.log(low), math.log(high))))
        figure.scale = size / (1.0 + 0.04 * outfit.head)
        extent = figure_bounds(figure)
        cut = rng.random() < look.cut
        crowd = 0.5 if rng.random() < 0.3 else 0.12
        for _ in range(10):
            share = (size - low) / max(high - low, 1.0)
            ground = horizon + (height - horizon) * (0.12 + 0.8 * share + rng.uniform(-0.1, 0.1))
            x = float(rng.uniform(0, 1)) * width
            if cut and rng.random() < 0.7:
                x = float(rng.choice([0, width]) + rng.uniform(-0.15, 0.15) * size)
            elif cut:
                ground = height + rng.uniform(0.1, 0.35) * size
            place = _place(figure, extent, x, ground, size_wh, cut)
            if place is not None and _fits(extent + np.tile(place, 2), placed, crowd):
                figure.origin = place
                placed.append((extent + np.tile(place, 2), figure))
                break
    placed.sort(key=lambda entry: entry[0][3])
    return [figure for _, figure in placed]


def _place(
    figure: Figure, extent: Array, x: float, ground: float, size_wh: tuple[int, int], cut: bool
) -> Array | None:
    """The figure's place in the image; None where too much of it would lie outside."""
    width, height = size_wh
    low, high = extent[:2], extent[2:]
    left = x - (low[0] + high[0]) / 2
    top = ground - figure.pose.lift * figure.scale - high[1]
    if not cut:  # moved inside, if it is small enough
        margin = 3.0
        left = max(min(left, width - margin - high[0]), margin - low[0])
        top = max(min(top, height - margin - high[1]), margin - low[1])
    place = np.array([left, top])
    box = extent + np.tile(place, 2)
    inside = np.clip(box, 0, [width, height, width, height])
    return place if _area(inside) >= (0.65 if cut else 0.97) * _area(box) else None


def _fits(box: Array, placed: list[tuple[Array, Figure]], limit: float) -> bool:
    """Whether a box shares little with those of the people who are there already."""
    for other, _ in placed:
        shared = np.concatenate([np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])])
        if _area(shared) > limit * min(_area(box), _area(other)):
            return False
    return True


def _keypoints(figure: Figure, owners: Array, number: int) -> list[list[float]]:
    """[x, y, v] of COCO's keypoints."""
    height, width = owners.shape
    result = []
    for name in COCO_KEYPOINTS:
        point = figure.joints[name]
        x, y = (float(value) for value in figure.project(point))
        # A pixel reaches half of its size around its centre, as OpenCV draws.
        column, row = math.floor(x + 0.5), math.floor(y + 0.5)
        if not (0 <= column < width and 0 <= row < height):
            result.append([0.0, 0.0, 0.0])
            continue
        owner, part = divmod(int(owners[row, column]), PARTS)
        seen = part > 0 and owner == number and part in _seen_as(figure, name)
        result.append([x, y, 2.0 if seen else 1.0])
    return result


def _seen_as(figure: Figure, name: str) -> tuple[int, ...]:
    """The parts that show a keypoint, where it is turned to the viewer."""
    side, _, joint = name.partition("_")
    arm, leg = (LEFT_ARM, LEFT_LEG) if side == "left" else (RIGHT_ARM, RIGHT_LEG)
    point = figure.joints[name]
    if joint == "ear":
        part = LEFT_EAR if side == "left" else RIGHT_EAR
        return (part,)
    if name == "nose" or joint == "eye":
        depth = float((point - figure.joints["head"])[2]) / (0.082 * figure.outfit.head)
        return (HEAD,) if depth > (EYE_SEEN if joint else 0) else ()
    if joint == "shoulder":
        middle = (figure.joints["left_shoulder"] + figure.joints["right_shoulder"]) / 2
        return (arm, CHEST) if float((point - middle)[2]) > -0.06 else (arm,)
    if joint == "hip":
        cloth = (leg, PELVIS, SKIRT, CHEST)
        return cloth if float((point - figure.joints["pelvis"])[2]) > -0.035 else (leg,)
    start = arm if joint in ("elbow", "wrist") else leg
    return (start, start + 1) if joint in ("elbow", "knee") else (start + 1, start + 2)


def _extent(labels: Array) -> tuple[int, int, int, int] | None:
    """x1, y1, x2, y2 of what is drawn."""
    x, y, width, height = cv2.boundingRect(labels)
    return (x, y, x + width, y + height) if width and height else None


def _area(box: Array) -> float:
    return float(max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0))
