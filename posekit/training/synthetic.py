"""Drawn people with exact COCO keypoints: scenes to train on, to test with and to show.

Every figure is a 3D skeleton with joint angles within human limits, seen by the scene's camera and
drawn in flat colours: a face, hair, clothes, shoes. Faces, prints, buttons and feet tell front from
back, and with that left from right. A scene is a function of its seed:

    python -m posekit.training.synthetic OUT --scenes 2000 --seed 0
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from posekit.errors import InputError
from posekit.skeleton import load_skeleton
from posekit.write import write_atomically

__all__ = ["Scene", "demo_scene", "generate_scene", "scene_seed", "write_dataset"]

Array = np.ndarray[Any, np.dtype[Any]]
Color = tuple[float, float, float]
Rng = np.random.Generator

ANNOTATIONS = "annotations.json"
IMAGES = "images"
JPEG_QUALITY = 92
MIN_SIDE = 64
MAX_SIDE = 8192
MAX_PEOPLE = 50
# How far an eye is turned to the viewer, in radii of the head, where it is drawn.
EYE_SEEN = 0.06
TILE = 512
DEMO_SEED = 28
# Polygons are given to OpenCV in 1/16 of a pixel.
SHIFT = 4
TURN = np.linspace(0, 2 * np.pi, 30, endpoint=False)
DISC = np.stack([np.cos(TURN), np.sin(TURN)], axis=1)
# The rounding of limbs: fewer corners, because there are many of them.
ROUND = DISC[::2]

SKIN = (
    (224, 190, 168),
    (199, 150, 118),
    (158, 107, 76),
    (110, 72, 50),
    (240, 208, 186),
    (80, 54, 40),
)
HAIR = ((40, 28, 22), (92, 58, 32), (166, 116, 60), (222, 188, 120), (150, 66, 36), (170, 170, 172))

# What a drawn pixel belongs to.
PELVIS, CHEST, NECK, HEAD, LEFT_EAR, RIGHT_EAR, HAIR_BACK, BAG, SKIRT = range(1, 10)
LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG = 10, 13, 16, 19  # each: upper, lower, end
PARTS = 32


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
        owners: (H, W), uint8, whom each pixel shows: 0 nobody, i + 1 person i.
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
        size_wh: of the image in pixels, each side 64 to 8192.
        people: the fewest and the most of them, 50 at most; fewer are drawn where there is no room.
        degrade: whether to add uneven light, blur, noise and JPEG artefacts.

    Raises:
        InputError: an argument out of its range.
    """
    _check_whole("seed", seed, 0)
    width, height = _check_pair("size_wh", size_wh)
    for side in (width, height):
        _check_whole("size_wh", side, MIN_SIDE, MAX_SIDE)
    fewest, most = _check_pair("people", people)
    _check_whole("people", fewest, 1, MAX_PEOPLE)
    _check_whole("people", most, fewest, MAX_PEOPLE)
    rng = np.random.default_rng(seed)
    look = _Look(
        background=_pick(rng, _BACKGROUNDS),
        heights=(95, 400),
        clutter=int(rng.integers(0, 8)),
        occluders=int(rng.integers(0, 3)),
        frontal=0.4,
        yaw_limit=180,
        cut=0.12,
    )
    count = int(rng.integers(fewest, most + 1))
    actions = [_pick(rng, _ACTIONS) for _ in range(count)]
    return _render(rng, (width, height), actions, look, degrade)


def demo_scene(size_wh: tuple[int, int] = (960, 640)) -> Scene:
    """A bright picture of a few people, for the documentation."""
    rng = np.random.default_rng(DEMO_SEED)
    look = _Look(_outdoors, (230, 300), clutter=0, occluders=0, frontal=1.0, yaw_limit=60, cut=0)
    return _render(rng, size_wh, [_wave, _run, _cheer, _dance], look, False)


def scene_seed(seed: int, index: int) -> int:
    """The seed of scene `index` of data set `seed`: data sets of different seeds share none."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0] >> 1)


def write_dataset(
    folder: str | Path,
    count: int,
    seed: int,
    *,
    size_wh: tuple[int, int] = (640, 480),
    people: tuple[int, int] = (1, 6),
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Writes `images/*.jpg` and `annotations.json` in COCO's layout; all of it or nothing.

    Args:
        folder: is made; must be missing or empty, or hold an earlier data set with `overwrite`.
        count: of scenes.
        seed: of the data set.
        size_wh: of the images in pixels.
        people: the fewest and the most in an image.
        overwrite: whether to replace an earlier data set.
        progress: whether to show a progress bar on a terminal.

    Returns:
        The path of the annotations.

    Raises:
        InputError: the folder holds something, or an argument is out of its range.
    """
    annotations = Path(folder) / ANNOTATIONS
    target = Path(folder).resolve()
    _check_whole("count", count, 1)
    _check_whole("seed", seed, 0)
    _check_free(target, overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that the finished folder is moved there in one step.
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}."))
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None
    try:
        (staging / "new").mkdir()
        _write_scenes(staging / "new", count, seed, size_wh, people, progress)
        if target.exists():
            target.rename(staging / "old")
        (staging / "new").rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return annotations


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m posekit.training.synthetic",
        description="Write a data set of drawn people with COCO keypoints.",
    )
    parser.add_argument("folder", help="where to write images/ and annotations.json")
    parser.add_argument("--scenes", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the data set (default 0)")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier data set")
    options = parser.parse_args(arguments)
    try:
        path = write_dataset(
            options.folder,
            options.scenes,
            options.seed,
            size_wh=(options.width, options.height),
            overwrite=options.overwrite,
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(path)
    return 0


# ---------------------------------------------------------------- the data set


def _write_scenes(
    folder: Path,
    count: int,
    seed: int,
    size_wh: tuple[int, int],
    people: tuple[int, int],
    progress: bool,
) -> None:
    (folder / IMAGES).mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in tqdm(range(count), unit="scene", disable=None if progress else True):
        scene_number = scene_seed(seed, index)
        scene = generate_scene(scene_number, size_wh=size_wh, people=people)
        name = f"{index + 1:06d}.jpg"
        done, data = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise InputError(f"cannot encode an image of {size_wh} as JPEG; use a smaller size")
        (folder / IMAGES / name).write_bytes(data.tobytes())
        images.append(
            {
                "id": index + 1,
                "file_name": name,
                "width": size_wh[0],
                "height": size_wh[1],
                "seed": scene_number,
            }
        )
        for person in range(len(scene)):
            annotations.append(_annotation(scene, person, len(annotations) + 1, index + 1))
    skeleton = load_skeleton("coco")
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.names),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.links],
    }
    content = {
        "info": {"description": f"posekit synthetic people, seed {seed}"},
        "images": images,
        "annotations": annotations,
        "categories": [category],
    }
    write_atomically(folder / ANNOTATIONS, json.dumps(content, allow_nan=False).encode())


def _annotation(scene: Scene, person: int, number: int, image: int) -> dict[str, Any]:
    keypoints = [
        value
        for x, y, v in scene.keypoints[person].tolist()
        for value in (round(x, 2), round(y, 2), int(v))
    ]
    x1, y1, x2, y2 = (round(value, 2) for value in scene.boxes_xyxy[person].tolist())
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
        "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
        "area": float(scene.areas[person]),
    }


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder that is missing or empty")
    found = sorted(path.name for path in folder.iterdir())
    if not found:
        return
    foreign = [name for name in found if name not in (ANNOTATIONS, IMAGES)]
    if foreign:
        raise InputError(
            f"{folder} holds '{foreign[0]}', which no data set of drawn people has; "
            "name a folder that is missing or empty"
        )
    if not overwrite:
        raise InputError(f"{folder} already holds a data set; pass overwrite to replace it")


def _check_pair(name: str, values: object) -> tuple[Any, Any]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 2:
        raise InputError(f"{name} must be two whole numbers, found {values!r}")
    return values[0], values[1]


def _check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, found {value!r}")
    if most is not None and value > most:
        raise InputError(f"{name} must be {most} at most, found {value!r}")


# ---------------------------------------------------------------- poses


@dataclass
class _Pose:
    """Joint angles in degrees; pairs are (left, right). All 0: upright, arms hanging."""

    flex: list[float] = field(default_factory=lambda: [0.0, 0.0])  # hips, forward
    spread: list[float] = field(default_factory=lambda: [4.0, 4.0])  # hips, outward
    knee: list[float] = field(default_factory=lambda: [4.0, 4.0])
    foot: list[float] = field(default_factory=lambda: [0.0, 0.0])  # toes downward
    toe_out: list[float] = field(default_factory=lambda: [10.0, 10.0])
    arm_flex: list[float] = field(default_factory=lambda: [0.0, 0.0])  # shoulders, forward
    arm_spread: list[float] = field(default_factory=lambda: [10.0, 10.0])  # shoulders, outward
    arm_twist: list[float] = field(default_factory=lambda: [0.0, 0.0])  # elbow's plane, inward
    elbow: list[float] = field(default_factory=lambda: [10.0, 10.0])
    bend: float = 0.0  # spine, forward
    lean: float = 0.0  # spine, sideways
    twist: float = 0.0  # shoulders against hips
    nod: float = 0.0
    turn: float = 0.0  # head, to the left
    body: tuple[float, float] = (0.0, 0.0)  # the whole body: forward, sideways
    lift: float = 0.0  # height of a jump, in statures
    seat: bool = False


def _stand(rng: Rng) -> _Pose:
    pose = _Pose(flex=_two(rng, -6, 8), spread=_two(rng, 2, 12))
    for side in range(2):
        _rest_arm(rng, pose, side)
    return pose


def _rest_arm(rng: Rng, pose: _Pose, side: int) -> None:
    kind = rng.integers(5)
    if kind == 0:  # hand on the hip
        angles = (-15, 42, 60, 95)
    elif kind == 1:  # forearm forward
        angles = (15, 12, 10, 80)
    elif kind == 2:  # away from the body
        angles = (5, 40, 0, 15)
    else:
        angles = (0, 12, 10, 15)
    flex, spread, twist, elbow = (float(a + rng.uniform(-8, 8)) for a in angles)
    pose.arm_flex[side], pose.arm_spread[side] = flex, spread
    pose.arm_twist[side], pose.elbow[side] = twist, max(0.0, elbow)


def _walk(rng: Rng) -> _Pose:
    swing = float(rng.choice([-1, 1]) * rng.uniform(15, 32))
    pose = _Pose(flex=[swing, -swing * 0.8], bend=float(rng.uniform(0, 8)), twist=-swing * 0.3)
    pose.knee = [8.0 if swing > 0 else 38.0, 38.0 if swing > 0 else 8.0]
    pose.foot = [-5.0 if swing > 0 else 25.0, 25.0 if swing > 0 else -5.0]
    pose.arm_flex = [-swing, swing]
    pose.elbow = _two(rng, 10, 45)
    return pose


def _run(rng: Rng) -> _Pose:
    lead = int(rng.integers(2))
    stride = float(rng.uniform(45, 75))
    pose = _Pose(bend=float(rng.uniform(8, 22)), elbow=_two(rng, 70, 105))
    pose.flex[lead], pose.flex[1 - lead] = stride, -float(rng.uniform(10, 28))
    pose.knee[lead], pose.knee[1 - lead] = float(rng.uniform(45, 95)), float(rng.uniform(30, 95))
    pose.foot[1 - lead] = 30.0
    pose.arm_flex[lead], pose.arm_flex[1 - lead] = -45.0, 50.0
    pose.twist = 18.0 if lead == 1 else -18.0
    pose.lift = float(rng.uniform(0, 0.06))
    return pose


def _jump(rng: Rng) -> _Pose:
    pose = _Pose(lift=float(rng.uniform(0.06, 0.2)), foot=[35.0, 35.0])
    if rng.random() < 0.6:
        pose.spread = _two(rng, 18, 38)
        pose.arm_spread = _two(rng, 95, 160)
    else:
        pose.flex, pose.knee = _two(rng, 35, 80), _two(rng, 60, 110)
        pose.arm_spread = _two(rng, 40, 150)
    pose.elbow = _two(rng, 5, 40)
    return pose


def _cheer(rng: Rng) -> _Pose:
    pose = _stand(rng)
    pose.arm_spread, pose.arm_flex = _two(rng, 120, 165), _two(rng, -10, 25)
    pose.arm_twist, pose.elbow = [0.0, 0.0], _two(rng, 5, 60)
    return pose


def _wave(rng: Rng) -> _Pose:
    pose = _stand(rng)
    side = int(rng.integers(2))
    pose.arm_spread[side], pose.arm_flex[side] = float(rng.uniform(75, 110)), 0.0
    pose.arm_twist[side], pose.elbow[side] = -90.0, float(rng.uniform(40, 100))
    return pose


def _point(rng: Rng) -> _Pose:
    pose = _stand(rng)
    side = int(rng.integers(2))
    pose.arm_flex[side], pose.arm_spread[side] = float(rng.uniform(60, 110)), 10.0
    pose.elbow[side] = float(rng.uniform(0, 30))
    return pose


def _reach(rng: Rng) -> _Pose:
    pose = _stand(rng)
    pose.arm_spread, pose.elbow = _two(rng, 70, 100), _two(rng, 0, 25)
    pose.arm_flex, pose.arm_twist = [0.0, 0.0], [0.0, 0.0]
    return pose


def _sit(rng: Rng) -> _Pose:
    pose = _Pose(seat=True, flex=_two(rng, 78, 96), knee=_two(rng, 70, 100))
    pose.spread = _two(rng, 4, 18)
    pose.arm_flex, pose.elbow = _two(rng, 10, 45), _two(rng, 20, 80)
    pose.bend = float(rng.uniform(-5, 15))
    return pose


def _squat(rng: Rng) -> _Pose:
    deep = float(rng.uniform(45, 105))
    pose = _Pose(flex=[deep, deep], knee=[deep * 1.25, deep * 1.25], spread=_two(rng, 8, 25))
    pose.foot = [-deep * 0.25, -deep * 0.25]
    pose.body, pose.bend = (0.0, 0.0), float(rng.uniform(10, 30))
    pose.arm_flex, pose.elbow = _two(rng, 50, 100), _two(rng, 5, 50)
    return pose


def _bow(rng: Rng) -> _Pose:
    pose = _Pose(bend=float(rng.uniform(35, 75)), body=(float(rng.uniform(0, 15)), 0.0))
    pose.flex = [pose.body[0], pose.body[0]]
    pose.nod = -float(rng.uniform(10, 30))
    pose.arm_flex, pose.elbow = _two(rng, 30, 90), _two(rng, 0, 40)
    return pose


def _lunge(rng: Rng) -> _Pose:
    lead = int(rng.integers(2))
    pose = _Pose(arm_spread=_two(rng, 60, 100), elbow=_two(rng, 0, 30))
    pose.flex[lead], pose.knee[lead] = float(rng.uniform(50, 75)), float(rng.uniform(55, 80))
    pose.flex[1 - lead], pose.knee[1 - lead] = -float(rng.uniform(20, 35)), 10.0
    pose.foot[1 - lead] = -20.0
    return pose


def _kick(rng: Rng) -> _Pose:
    pose = _Pose(arm_spread=_two(rng, 25, 80), arm_flex=_two(rng, -20, 30), elbow=_two(rng, 10, 70))
    side = int(rng.integers(2))
    pose.flex[side], pose.knee[side] = float(rng.uniform(40, 85)), float(rng.uniform(0, 40))
    pose.bend = -5.0
    return pose


def _tree(rng: Rng) -> _Pose:
    pose = _Pose(arm_spread=_two(rng, 140, 165), elbow=_two(rng, 10, 35))
    side = int(rng.integers(2))
    pose.flex[side], pose.spread[side], pose.knee[side] = 40.0, 55.0, 115.0
    return pose


def _dance(rng: Rng) -> _Pose:
    pose = _Pose(flex=_two(rng, -15, 40), spread=_two(rng, 4, 28), knee=_two(rng, 5, 60))
    pose.arm_flex, pose.arm_spread = _two(rng, -25, 90), _two(rng, 15, 140)
    pose.arm_twist, pose.elbow = _two(rng, -50, 50), _two(rng, 5, 105)
    pose.bend, pose.lean = float(rng.uniform(-8, 12)), float(rng.uniform(-14, 14))
    pose.twist = float(rng.uniform(-20, 20))
    return pose


def _lie(rng: Rng) -> _Pose:
    pose = _dance(rng) if rng.random() < 0.5 else _stand(rng)
    pose.body = (float(rng.choice([-1, 1]) * rng.uniform(70, 95)), float(rng.uniform(-15, 15)))
    if rng.random() < 0.5:
        pose.body = (float(rng.uniform(-10, 10)), float(rng.choice([-1, 1]) * rng.uniform(70, 95)))
    return pose


_ACTIONS: tuple[Callable[[Rng], _Pose], ...] = (
    *(_stand, _walk, _run, _dance) * 3,
    *(_jump, _cheer, _wave, _sit, _lunge) * 2,
    *(_point, _reach, _squat, _bow, _kick, _tree, _lie),
)


def _two(rng: Rng, low: float, high: float) -> list[float]:
    return [float(value) for value in rng.uniform(low, high, 2)]


# ---------------------------------------------------------------- figures


@dataclass
class _Outfit:
    """What a person looks like; colours are BGR, lengths in statures."""

    skin: Color
    hair: Color
    shirt: Color
    accent: Color
    legs: Color
    shoes: Color
    pattern: str
    front: str
    sleeve: float  # 0 none .. 1 whole arm
    leg: float  # 0 none .. 1 whole leg
    skirt: bool
    hair_style: str
    bag: bool
    girth: float
    head: float
    shoulders: float
    arm: float
    thigh: float
    outline: float


@dataclass
class _Figure:
    """A posed person as the camera sees it: x to the right, y up, z to the viewer, in statures."""

    outfit: _Outfit
    pose: _Pose
    joints: dict[str, Array]
    pelvis: Array
    chest: Array
    head: Array
    scale: float = 100.0  # pixels per stature
    origin: Array = field(default_factory=lambda: np.zeros(2))
    distance: float = 5.0

    def project(self, points: Array) -> Array:
        """(..., 3) -> (..., 2) pixels."""
        if points.ndim == 1:  # by far the most calls: plain numbers are quicker
            x, y, z = points.tolist()
            unit = self.scale * self.distance / (self.distance - z)
            return np.array([float(self.origin[0]) + x * unit, float(self.origin[1]) - y * unit])
        near = self.distance / (self.distance - points[..., 2:])
        return self.origin + points[..., :2] * near * (self.scale, -self.scale)

    def size(self, point: Array, radius: float) -> float:
        """A radius at a point, in pixels."""
        return radius * self.scale * self.distance / (self.distance - float(point[2]))


def _outfit(rng: Rng) -> _Outfit:
    shirt, legs = _cloth(rng), _cloth(rng)
    while sum(abs(a - b) for a, b in zip(shirt, legs, strict=True)) < 90:
        legs = _cloth(rng)
    accent = _cloth(rng)
    while sum(abs(a - b) for a, b in zip(shirt, accent, strict=True)) < 150:
        accent = _cloth(rng)
    skirt = bool(rng.random() < 0.2)
    return _Outfit(
        skin=_vary(rng, SKIN),
        hair=_vary(rng, HAIR),
        shirt=shirt,
        accent=accent,
        legs=legs,
        shoes=_cloth(rng),
        pattern=_pick(
            rng, ("plain", "plain", "stripes", "bars", "checks", "gradient", "noise", "dots")
        ),
        front=_pick(rng, ("buttons", "zip", "disc", "star", "heart", "square")),
        sleeve=float(rng.choice([0.0, 0.5, 0.55, 1.5, 2.0, 2.0])),
        leg=float(rng.choice([0.6, 0.9, 2.0, 2.0, 2.0])),
        skirt=skirt,
        hair_style=_pick(rng, ("short", "short", "long", "bun", "tail", "cap", "bob")),
        bag=bool(rng.random() < 0.12),
        girth=float(rng.uniform(0.85, 1.25)),
        head=float(rng.uniform(1.05, 1.35)),
        shoulders=float(rng.uniform(0.9, 1.12)),
        arm=float(rng.uniform(0.92, 1.1)),
        thigh=float(rng.uniform(0.93, 1.08)),
        outline=float(rng.choice([0.0, 0.006, 0.008, 0.01])),
    )


def _figure(outfit: _Outfit, pose: _Pose, yaw: float, camera: Array) -> _Figure:
    """Forward kinematics. In the body's own axes x is its left, y up and z forward."""
    up = np.array([0.0, 1.0, 0.0])
    pelvis = camera @ _turn_y(yaw) @ _turn_x(pose.body[0]) @ _turn_z(pose.body[1])
    chest = pelvis @ _turn_y(pose.twist) @ _turn_x(pose.bend) @ _turn_z(pose.lean)
    head = chest @ _turn_y(pose.turn) @ _turn_x(pose.nod)
    waist = pelvis @ (0.075 * up)
    neck = waist + chest @ (0.225 * up)
    joints = {"pelvis": np.zeros(3), "waist": waist, "neck": neck}
    joints["head"] = neck + chest @ (0.03 * up) + head @ np.array([0, 0.082 * outfit.head, 0.012])
    for side, sign in enumerate((1.0, -1.0)):
        name = ("left", "right")[side]
        thigh = (
            pelvis
            @ _turn_z(sign * pose.spread[side])
            @ _turn_x(-pose.flex[side])
            @ _turn_y(sign * pose.toe_out[side])
        )
        shin = thigh @ _turn_x(pose.knee[side])
        foot = shin @ _turn_x(pose.foot[side])
        hip = pelvis @ np.array([sign * 0.062 * outfit.girth, 0.0, 0.0])
        knee = hip - thigh @ (0.245 * outfit.thigh * up)
        ankle = knee - shin @ (0.235 * outfit.thigh * up)
        joints |= {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": ankle}
        joints[f"{name}_heel"] = ankle + foot @ np.array([0, -0.024, -0.022])
        joints[f"{name}_toe"] = ankle + foot @ np.array([0, -0.03, 0.1])
        upper = (
            chest
            @ _turn_z(sign * pose.arm_spread[side])
            @ _turn_x(-pose.arm_flex[side])
            @ _turn_y(-sign * pose.arm_twist[side])
        )
        lower = upper @ _turn_x(-pose.elbow[side])
        reach = sign * 0.115 * outfit.shoulders * (0.6 + 0.4 * outfit.girth)
        shoulder = waist + chest @ np.array([reach, 0.19, 0.0])
        elbow = shoulder - upper @ (0.165 * outfit.arm * up)
        wrist = elbow - lower @ (0.15 * outfit.arm * up)
        joints |= {f"{name}_shoulder": shoulder, f"{name}_elbow": elbow, f"{name}_wrist": wrist}
        joints[f"{name}_hand"] = wrist - lower @ (0.048 * up)
    radius = 0.082 * outfit.head
    for name, place in _FACE.items():
        joints[name] = joints["head"] + head @ (np.array(place) * radius)
    return _Figure(outfit, pose, joints, pelvis, chest, head)


# On the head, in radii of it.
_FACE = {
    "nose": (0.0, -0.12, 1.08),
    "left_eye": (0.36, 0.1, 0.9),
    "right_eye": (-0.36, 0.1, 0.9),
    "left_ear": (0.98, -0.02, -0.05),
    "right_ear": (-0.98, -0.02, -0.05),
}


def _turn_x(degrees: float) -> Array:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _turn_y(degrees: float) -> Array:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _turn_z(degrees: float) -> Array:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


# ---------------------------------------------------------------- drawing figures


class _Canvas:
    """Draws convex polygons into the image and, without smoothing, what they are into a map."""

    def __init__(self, image: Array) -> None:
        self.image = image
        self.labels = np.zeros(image.shape[:2], np.uint8)

    def fill(self, polygon: Array, color: Color, part: int = 0) -> None:
        points = np.rint(polygon * (1 << SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(self.image, points, color, cv2.LINE_AA, SHIFT)
        if part:
            cv2.fillConvexPoly(self.labels, points, part, cv2.LINE_8, SHIFT)

    def line(self, points: Array, color: Color, width: float) -> None:
        places = np.rint(points * (1 << SHIFT)).astype(np.int32)
        cv2.polylines(self.image, [places], False, color, max(1, round(width)), cv2.LINE_AA, SHIFT)


@dataclass
class _Shape:
    """A convex polygon of one part, with how it is coloured."""

    polygon: Array
    color: Color
    part: int
    pattern: str = "plain"
    axis: tuple[Array, Array] | None = None  # from, to in pixels: what stripes lie across


def _draw_figure(canvas: _Canvas, figure: _Figure) -> None:
    """Limbs, torso and head, from far to near."""
    joints = figure.joints
    groups: list[tuple[float, Callable[[], None]]] = []
    for base, name in ((LEFT_ARM, "left"), (RIGHT_ARM, "right")):
        ends = [joints[f"{name}_{joint}"] for joint in ("elbow", "wrist", "hand")]
        depth = float(np.mean([point[2] for point in ends])) + 0.025
        shapes = _arm(figure, name, base)
        groups.append((depth, partial(_draw_shapes, canvas, figure, shapes)))
    torso = _torso(figure)
    depth = float((joints["waist"] + joints["neck"])[2]) / 2
    groups.append((depth, partial(_draw_torso, canvas, figure, torso)))
    for base, name in ((LEFT_LEG, "left"), (RIGHT_LEG, "right")):
        ends = [joints[f"{name}_{joint}"] for joint in ("knee", "ankle")]
        leg_depth = float(np.mean([point[2] for point in ends]))
        # A leg starts beneath the shirt and the skirt, unless it comes towards the viewer.
        forward = leg_depth > depth + 0.12 and not figure.outfit.skirt
        shapes = _leg(figure, name, base)
        order = leg_depth if forward else depth - 0.001 + 0.001 * math.tanh(leg_depth - depth)
        groups.append((order, partial(_draw_shapes, canvas, figure, shapes)))
    head_depth = float(joints["head"][2]) + 0.02
    groups.append((max(head_depth, depth + 0.001), partial(_draw_head, canvas, figure)))
    for back_depth, shapes in _backs(figure):
        groups.append((back_depth, partial(_draw_shapes, canvas, figure, shapes)))
    for _, draw in sorted(groups, key=lambda group: group[0]):
        draw()


def _draw_shapes(canvas: _Canvas, figure: _Figure, shapes: Sequence[_Shape]) -> None:
    """Outlines first, so that none runs across the inside of a limb."""
    width = figure.outfit.outline * figure.scale
    if width:
        for shape in shapes:
            canvas.fill(_grow(shape.polygon, width), _shade(shape.color, 0.45), shape.part)
    for shape in shapes:
        canvas.fill(shape.polygon, shape.color, shape.part)
        _draw_pattern(canvas, figure, shape)


def _arm(figure: _Figure, name: str, base: int) -> list[_Shape]:
    outfit = figure.outfit
    shoulder, elbow, wrist, hand = (
        figure.joints[f"{name}_{joint}"] for joint in ("shoulder", "elbow", "wrist", "hand")
    )
    light = _light(figure, (shoulder + elbow + wrist) / 3)
    skin, shirt = _shade(outfit.skin, light), _shade(outfit.shirt, light)
    thick = 0.6 + 0.4 * outfit.girth
    radii = (0.04 * thick, 0.03 * thick, 0.022 * thick)
    upper = _limb(figure, shoulder, elbow, radii[0], radii[1], skin, base)
    lower = _limb(figure, elbow, wrist, radii[1], radii[2], _shade(skin, 0.97), base + 1)
    palm = _limb(figure, wrist, hand, 0.02, 0.024, _shade(skin, 1.03), base + 2)
    shapes = [upper, lower, palm]
    if outfit.sleeve:
        part = min(1.0, outfit.sleeve)
        end = shoulder + (elbow - shoulder) * part
        radius = radii[0] + (radii[1] - radii[0]) * part + 0.006
        sleeve = _limb(figure, shoulder, end, radii[0] + 0.005, radius, shirt, base)
        sleeve.pattern = outfit.pattern
        shapes = [upper, lower, palm, sleeve]
    if outfit.sleeve > 1:
        end = elbow + (wrist - elbow) * min(0.96, outfit.sleeve - 1)
        radius = radii[1] + (radii[2] - radii[1]) * (outfit.sleeve - 1) + 0.006
        cuff = _limb(figure, elbow, end, radii[1] + 0.006, radius, _shade(shirt, 0.97), base + 1)
        cuff.pattern = outfit.pattern
        shapes.append(cuff)
    return shapes if elbow[2] < wrist[2] else sorted(shapes, key=lambda shape: -shape.part)


def _leg(figure: _Figure, name: str, base: int) -> list[_Shape]:
    outfit = figure.outfit
    hip, knee, ankle, heel, toe = (
        figure.joints[f"{name}_{joint}"] for joint in ("hip", "knee", "ankle", "heel", "toe")
    )
    light = _light(figure, (knee + ankle) / 2)
    skin, cloth = _shade(outfit.skin, light), _shade(outfit.legs, light)
    thick = 0.5 + 0.5 * outfit.girth
    radii = (0.06 * thick, 0.042 * thick, 0.028 * thick)
    bare = outfit.skirt
    upper = _limb(figure, hip, knee, radii[0], radii[1], skin if bare else cloth, base)
    lower = _limb(figure, knee, ankle, radii[1], radii[2], skin, base + 1)
    shapes = [lower, upper]
    if not bare and outfit.leg < 1:
        upper.color = skin
        end = hip + (knee - hip) * outfit.leg
        shapes.append(_limb(figure, hip, end, radii[0], radii[1] * 1.2, cloth, base))
    elif not bare:
        end = knee + (ankle - knee) * 0.95
        lower.color = skin
        trouser = _limb(figure, knee, end, radii[1], radii[2] * 1.15, _shade(cloth, 0.96), base + 1)
        shapes = [lower, trouser, upper]
    circles = [_circle(figure, heel, 0.024), _circle(figure, toe, 0.02)]
    circles.append(_circle(figure, (ankle + heel) / 2, 0.026))
    shoe = _Shape(_hull(*circles), _shade(outfit.shoes, light), base + 2)
    if ankle[2] < knee[2] - 0.05:  # the shin points away: what is farther is drawn first
        return [shoe, *shapes]
    return [*shapes, shoe] if knee[2] <= ankle[2] + 0.05 else [shoe, *shapes]


def _limb(
    figure: _Figure, start: Array, end: Array, r0: float, r1: float, color: Color, part: int
) -> _Shape:
    """A tapered capsule."""
    polygon = _hull(_circle(figure, start, r0), _circle(figure, end, r1))
    return _Shape(polygon, color, part, axis=(figure.project(start), figure.project(end)))


def _torso(figure: _Figure) -> list[_Shape]:
    outfit, joints = figure.outfit, figure.joints
    girth, waist = outfit.girth, joints["waist"]
    axis = (figure.project(waist), figure.project(joints["neck"]))

    def around(
        frame: Array, origin: Array, places: Sequence[tuple[float, float, float, float]]
    ) -> Array:
        return _hull(
            *(
                _circle(figure, origin + frame @ np.array([sign * x, y, z]), r * girth)
                for x, y, z, r in places
                for sign in (1, -1)
            )
        )

    reach = 0.115 * outfit.shoulders * (0.6 + 0.4 * girth)
    pelvis = around(
        figure.pelvis,
        joints["pelvis"],
        [(0.06 * girth, 0.0, 0.0, 0.06), (0.055 * girth, 0.07, 0.0, 0.05)],
    )
    places = [(reach, 0.19, 0.0, 0.034 / girth + 0.006), (0.03, 0.215, 0.0, 0.03)]
    places += [(0.06 * girth, 0.13, z, 0.052) for z in (-0.02, 0.025)]
    places.append((0.05 * girth, -0.01, 0.0, 0.055))
    chest = around(figure.chest, waist, places)
    light = _light(figure, (waist + joints["neck"]) / 2)
    shapes = [
        _Shape(pelvis, _shade(outfit.legs, light), PELVIS),
        _Shape(chest, _shade(outfit.shirt, light), CHEST, outfit.pattern, axis),
    ]
    if outfit.skirt:
        hem = []
        for name in ("left", "right"):
            hip, knee = joints[f"{name}_hip"], joints[f"{name}_knee"]
            hem.append(_circle(figure, hip + (knee - hip) * 0.6, 0.075 * girth))
        skirt = _hull(pelvis, *hem)
        shapes.insert(1, _Shape(skirt, _shade(outfit.legs, light), SKIRT))
    return shapes


def _draw_torso(canvas: _Canvas, figure: _Figure, shapes: list[_Shape]) -> None:
    _draw_shapes(canvas, figure, shapes)
    outfit, joints = figure.outfit, figure.joints
    facing = float(figure.chest[2, 2])
    # The neck and its opening, deeper in front than behind.
    neck, head = joints["neck"], joints["head"]
    tone = _shade(outfit.skin, 0.86)
    canvas.fill(
        _hull(_circle(figure, neck, 0.034), _circle(figure, (neck + head) / 2, 0.034)), tone, NECK
    )

    def place(x: float, y: float, z: float = 0.062) -> Array:
        return figure.project(joints["waist"] + figure.chest @ np.array([x, y, z * outfit.girth]))

    if facing > 0.12:
        neckline = [place(-0.034, 0.222, 0.02), place(0.0, 0.18), place(0.034, 0.222, 0.02)]
        canvas.fill(np.stack(neckline), tone, NECK)
        _draw_front(canvas, figure, place)
    elif facing < -0.12:
        # A seam and a yoke: a back has no print.
        dark = _shade(outfit.shirt, 0.7)
        canvas.line(
            np.stack([place(x, 0.165, -0.05) for x in (-0.1, -0.05, 0, 0.05, 0.1)]),
            dark,
            0.006 * figure.scale,
        )


def _draw_front(canvas: _Canvas, figure: _Figure, place: Callable[..., Array]) -> None:
    outfit, scale = figure.outfit, figure.scale
    accent = outfit.accent
    if outfit.front in ("buttons", "zip"):
        heights = np.linspace(0.0, 0.17, 6)
        canvas.line(
            np.stack([place(0, y) for y in heights]), _shade(outfit.shirt, 0.6), 0.008 * scale
        )
        if outfit.front == "zip":
            canvas.line(np.stack([place(0.004, y) for y in heights]), accent, 0.008 * scale)
        else:
            for y in heights[:-1]:
                canvas.fill(place(0.0, y) + DISC * max(0.9, 0.009 * scale), accent)
        return
    if outfit.front == "disc":
        outline = DISC * 0.042
    elif outfit.front == "square":
        outline = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.036
    elif outfit.front == "heart":
        t = TURN
        x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t)
        outline = np.stack([x, y], axis=1) * 0.0026
    else:
        t = np.arange(10) * np.pi / 5 + np.pi / 2
        r = np.where(np.arange(10) % 2 == 0, 0.05, 0.022)
        outline = np.stack([r * np.cos(t), r * np.sin(t)], axis=1)
    places = np.stack([place(x, 0.105 + y) for x, y in outline])
    points = np.rint(places * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(canvas.image, [points], accent, cv2.LINE_AA, SHIFT)


def _backs(figure: _Figure) -> list[tuple[float, list[_Shape]]]:
    """Long hair and bags, which lie behind head and back."""
    outfit, joints = figure.outfit, figure.joints
    radius = 0.082 * outfit.head
    result = []

    def on_head(x: float, y: float, z: float) -> Array:
        return joints["head"] + figure.head @ (np.array([x, y, z]) * radius)

    spots: list[tuple[Array, float]] = []
    if outfit.hair_style == "long":
        spots = [
            (on_head(x, y, -0.35), r)
            for x, y, r in ((0, 0.1, 0.95), (0.4, -1.5, 0.55), (-0.4, -1.5, 0.55))
        ]
    elif outfit.hair_style == "bob":
        spots = [
            (on_head(x, y, -0.25), r)
            for x, y, r in ((0, 0.15, 0.97), (0.45, -0.7, 0.6), (-0.45, -0.7, 0.6))
        ]
    elif outfit.hair_style == "bun":
        spots = [(on_head(0, 0.75, -0.75), 0.45)]
    elif outfit.hair_style == "tail":
        spots = [(on_head(0, 0.35, -0.95), 0.3), (on_head(0, -1.2, -1.35), 0.18)]
    if spots:
        depth = float(np.mean([place[2] for place, _ in spots]))
        # Beside the neck it lies behind it in a front view and before it in a back view.
        facing = float(figure.head[2, 2])
        torso = float((joints["waist"] + joints["neck"])[2]) / 2
        depth = max(depth, torso) + 0.08 if facing < -0.1 else min(depth, torso) - 0.03
        hair = _hull(*(_circle(figure, place, r * radius) for place, r in spots))
        result.append((depth, [_Shape(hair, _shade(outfit.hair, 0.85), HAIR_BACK)]))
    if outfit.bag:
        middle = joints["waist"] + figure.chest @ np.array([0, 0.1, -0.09 * outfit.girth])
        corners = [
            middle + figure.chest @ np.array([x, y, 0])
            for x in (-0.05, 0.05)
            for y in (-0.07, 0.07)
        ]
        bag = _hull(*(_circle(figure, corner, 0.03) for corner in corners))
        facing = float(figure.chest[2, 2])
        depth = float(middle[2]) + (0.03 if facing < 0 else -0.05)
        result.append((depth, [_Shape(bag, outfit.accent, BAG)]))
    return result


def _draw_head(canvas: _Canvas, figure: _Figure) -> None:
    outfit, joints, head = figure.outfit, figure.joints, figure.head
    centre, radius = joints["head"], 0.082 * outfit.head
    skin, scale = outfit.skin, figure.size(centre, radius)
    width = outfit.outline * figure.scale
    middle = figure.project(centre)

    def ear(part: int) -> None:
        place = figure.project(joints["left_ear" if part == LEFT_EAR else "right_ear"])
        canvas.fill(place + DISC * (0.24 * scale), _shade(skin, 0.8), part)
        canvas.fill(place + DISC * (0.13 * scale), _shade(skin, 0.65))

    def spot(place: tuple[float, float, float]) -> tuple[Array, float]:
        direction = head @ np.array(place)
        return middle + direction[:2] * (scale, -scale), float(direction[2])

    near = LEFT_EAR if head[2, 0] > 0 else RIGHT_EAR
    ear(RIGHT_EAR if near == LEFT_EAR else LEFT_EAR)
    nose, nose_depth = spot(_FACE["nose"])
    bridge = spot((0.0, 0.14, 0.95))[0]
    nose_shape = _hull(nose + DISC * (0.15 * scale), bridge + DISC * (0.05 * scale))
    if width:
        canvas.fill(middle + DISC * (scale + width), _shade(outfit.hair, 0.45), HEAD)
    if -0.4 < nose_depth < 0.3:  # in profile it stands out
        canvas.fill(nose_shape, _shade(skin, 0.82), HEAD)
    canvas.fill(middle + DISC * scale, outfit.hair, HEAD)
    jaw = figure.project(centre + head @ np.array([0, -0.35, 0.22]) * 1.0 * radius)

    # The face is a cap of the sphere.
    face_axis = np.array([0.0, -0.55, 0.84])
    flat = _visible_cap(head, face_axis, 79.0)
    if len(flat) > 2:
        face = middle + flat * (scale, -scale)
        if figure.head[2, 2] > -0.2:
            chin = jaw + DISC * (0.72 * scale)
            canvas.fill(_hull(face, chin), skin, HEAD)
        else:
            canvas.fill(_hull(face), skin, HEAD)
    if outfit.hair_style == "cap":
        _draw_cap(canvas, figure, middle, scale)

    for sign in (1, -1):
        eye, depth = spot(_FACE["left_eye" if sign > 0 else "right_eye"])
        if depth > EYE_SEEN:
            squeeze = (max(0.5, min(1.0, depth * 1.1)), 1.0)
            canvas.fill(eye + DISC * squeeze * (0.2 * scale), (250, 250, 250))
            canvas.fill(eye + DISC * squeeze * (0.12 * scale), (40, 26, 20))
            brow = [
                spot((sign * x, y, 0.78))[0] for x, y in ((0.2, 0.4), (0.38, 0.44), (0.55, 0.36))
            ]
            canvas.line(np.stack(brow), _shade(outfit.hair, 0.7), 0.09 * scale)
    if nose_depth > 0.0:
        canvas.fill(nose_shape, _shade(skin, 0.8), HEAD)
    mouth = [
        spot((x, y, 0.86)) for x, y in ((-0.26, -0.5), (-0.12, -0.58), (0.12, -0.58), (0.26, -0.5))
    ]
    if min(depth for _, depth in mouth) > 0.05:
        canvas.line(np.stack([place for place, _ in mouth]), (70, 60, 170), 0.1 * scale)
    if abs(head[2, 0]) > 0.22:
        ear(near)


def _draw_cap(canvas: _Canvas, figure: _Figure, middle: Array, scale: float) -> None:
    """A cap's crown and, where it is turned to the viewer, its peak."""
    color = figure.outfit.accent
    crown = _visible_cap(figure.head, np.array([0.0, 0.95, 0.1]), 66.0)
    if len(crown) > 2:
        canvas.fill(_hull(middle + crown * (scale * 1.04, -scale * 1.04)), color, HEAD)
    peak = np.array(
        [[x, 0.48, z] for x, z in ((-0.62, 0.68), (-0.4, 1.3), (0.4, 1.3), (0.62, 0.68))]
    )
    peak = peak @ figure.head.T
    if figure.head[2, 2] > -0.25:
        canvas.fill(_hull(middle + peak[:, :2] * (scale, -scale)), _shade(color, 0.7), HEAD)


def _visible_cap(head: Array, axis: Array, degrees: float) -> Array:
    """(m, 2) what is seen of a cap of the unit sphere: its rim, and the horizon within it."""
    axis = axis / np.linalg.norm(axis)
    side = np.array([1.0, 0.0, 0.0])
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rim = c * axis + s * (DISC[:, :1] * side + DISC[:, 1:] * np.cross(axis, side))
    rim = rim @ head.T
    inside = DISC @ (head @ axis)[:2] > c
    return np.concatenate([rim[rim[:, 2] > 0, :2], DISC[inside]])


def _draw_pattern(canvas: _Canvas, figure: _Figure, shape: _Shape) -> None:
    if shape.pattern == "plain" or shape.axis is None:
        return
    outfit, unit = figure.outfit, figure.scale
    start, end = shape.axis
    along = end - start
    length = float(np.hypot(*along))
    along = along / length if length > 0.02 * unit else np.array([0.0, -1.0])
    across = np.array([-along[1], along[0]])
    accent = _mix(shape.color, outfit.accent, 0.75)
    if shape.pattern in ("stripes", "checks"):
        _draw_bands(canvas, shape.polygon, start, along, 0.05 * unit, 0.45, accent)
    if shape.pattern in ("bars", "checks"):
        color = accent if shape.pattern == "bars" else _mix(shape.color, outfit.accent, 0.4)
        _draw_bands(canvas, shape.polygon, start, across, 0.045 * unit, 0.4, color)
    if shape.pattern == "gradient":
        places = (shape.polygon - start) @ along
        low, high = float(places.min()), float(places.max())
        for step in range(1, 7):
            band = _between(shape.polygon, start, along, low + (high - low) * step / 7, high)
            if len(band) > 2:
                canvas.fill(band, _mix(shape.color, outfit.accent, step / 9))
    if shape.pattern == "dots":
        middle = shape.polygon.mean(axis=0)
        inner = (middle + (shape.polygon - middle) * 0.82).astype(np.float32)
        (left, top), (right, bottom) = inner.min(axis=0), inner.max(axis=0)
        spacing = max(4.0, 0.042 * unit)
        for row, y in enumerate(np.arange(top, bottom, spacing)):
            for x in np.arange(left + (row % 2) * spacing / 2, right, spacing):
                if cv2.pointPolygonTest(inner, (float(x), float(y)), False) > 0:
                    canvas.fill(np.array([x, y]) + ROUND * (0.011 * unit), accent)
    if shape.pattern == "noise":
        x, y, width, height = cv2.boundingRect(shape.polygon.astype(np.float32))
        rows, columns = canvas.labels.shape
        window = np.s_[max(0, y) : min(rows, y + height), max(0, x) : min(columns, x + width)]
        piece = canvas.image[window]
        if piece.size:
            noise = _noise(piece.shape[1], piece.shape[0], 0, 0)
            speckled = cv2.addWeighted(piece, 1.0, noise, 0.6, -0.6 * 128)
            mask = (canvas.labels[window] == shape.part).astype(np.uint8)
            cv2.copyTo(speckled, mask, piece)


def _draw_bands(
    canvas: _Canvas,
    polygon: Array,
    start: Array,
    along: Array,
    period: float,
    duty: float,
    color: Color,
) -> None:
    period = max(period, 5.0)
    places = (polygon - start) @ along
    low, high = float(places.min()), float(places.max())
    for at in np.arange(math.floor(low / period) * period, high, period):
        band = _between(polygon, start, along, float(at), float(at) + period * duty)
        if len(band) > 2:
            canvas.fill(band, color)


def _between(polygon: Array, start: Array, along: Array, low: float, high: float) -> Array:
    """The part of a convex polygon whose place along a direction is within two bounds."""
    places = ((polygon - start) @ along).tolist()
    corners = polygon.tolist()
    # Plain numbers: a polygon has some thirty corners, too few for arrays to pay.
    for sign, bound in ((1.0, low), (-1.0, -high)):
        kept, kept_places = [], []
        for i, (x, y) in enumerate(corners):
            here, before = sign * places[i] - bound, sign * places[i - 1] - bound
            if (here >= 0) != (before >= 0):
                part = here / (here - before)
                kept.append(
                    [x + (corners[i - 1][0] - x) * part, y + (corners[i - 1][1] - y) * part]
                )
                kept_places.append(sign * bound)
            if here >= 0:
                kept.append([x, y])
                kept_places.append(places[i])
        corners, places = kept, kept_places
    return np.array(corners).reshape(-1, 2)


def _circle(figure: _Figure, point: Array, radius: float) -> Array:
    return figure.project(point) + ROUND * figure.size(point, radius)


def _hull(*points: Array) -> Array:
    together = np.concatenate(points).astype(np.float32)
    return cv2.convexHull(together)[:, 0].astype(np.float64)


def _grow(polygon: Array, by: float) -> Array:
    """A convex polygon, as `_hull` gives them, with its corners moved outward by some pixels."""
    edges = np.empty_like(polygon)
    edges[1:-1] = polygon[2:] - polygon[:-2]
    edges[0], edges[-1] = polygon[1] - polygon[-1], polygon[0] - polygon[-2]
    edges *= by / np.maximum(np.hypot(edges[:, 0], edges[:, 1]), 1e-6)[:, None]
    return polygon + np.stack([edges[:, 1], -edges[:, 0]], axis=1)


def _light(figure: _Figure, point: Array) -> float:
    """Nearer is brighter, within a body."""
    return 1.0 + 0.9 * float(np.clip(point[2] - figure.joints["pelvis"][2], -0.2, 0.2))


# ---------------------------------------------------------------- scenes


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
    actions: Sequence[Callable[[Rng], _Pose]],
    look: _Look,
    degrade: bool,
) -> Scene:
    width, height = size_wh
    image = np.empty((height, width, 3), np.uint8)
    horizon = look.background(image, rng)
    for _ in range(look.clutter):
        _draw_clutter(image, rng, horizon)
    figures = _cast(rng, size_wh, actions, look, horizon)
    # Which person and part each pixel shows; an object in front shows none.
    owners = np.zeros((height, width), np.uint16)
    silhouettes = []
    for number, figure in enumerate(figures):
        _draw_ground(image, figure, rng)
        canvas = _Canvas(image)
        _draw_figure(canvas, figure)
        box = _extent(canvas.labels)
        silhouettes.append((box, int(np.count_nonzero(canvas.labels))))
        if box is not None:
            x1, y1, x2, y2 = box
            piece = canvas.labels[y1:y2, x1:x2]
            own = piece.astype(np.uint16) + number * PARTS
            cv2.copyTo(own, (piece > 0).astype(np.uint8), owners[y1:y2, x1:x2])
    boxes = [box for box, _ in silhouettes]
    for _ in range(look.occluders):
        _draw_occluder(image, owners, rng, boxes)
    if degrade:
        image = _degrade(image, rng)
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
    actions: Sequence[Callable[[Rng], _Pose]],
    look: _Look,
    horizon: int,
) -> list[_Figure]:
    """Poses people and places them on the ground, none hidden for the most part; far ones first."""
    width, height = size_wh
    camera = _turn_z(float(rng.normal(0, 2.5))) @ _turn_x(float(rng.uniform(0, 16)))
    distance = float(rng.uniform(3.5, 7))
    low, high = (value * height / 480 for value in look.heights)
    if len(actions) > 3:
        high = low + (high - low) * 0.75
    placed: list[tuple[Array, _Figure]] = []
    for action in actions:
        outfit, pose = _outfit(rng), action(rng)
        pose.turn += float(rng.uniform(-35, 35))
        pose.nod += float(rng.uniform(-12, 14))
        yaw = float(rng.uniform(-look.yaw_limit, look.yaw_limit))
        if rng.random() < look.frontal:
            yaw = float(rng.normal(0, 25))
        figure = _figure(outfit, pose, yaw, camera)
        figure.distance = distance
        size = float(math.exp(rng.uniform(math.log(low), math.log(high))))
        figure.scale = size / (1.0 + 0.04 * outfit.head)
        extent = _bounds(figure)
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
    figure: _Figure, extent: Array, x: float, ground: float, size_wh: tuple[int, int], cut: bool
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


def _bounds(figure: _Figure) -> Array:
    """About the box of a figure, not clipped."""
    points = figure.project(np.stack(list(figure.joints.values())))
    margin = 0.035 * figure.scale
    head = _circle(figure, figure.joints["head"], 0.09 * figure.outfit.head)
    low = np.minimum(points.min(axis=0) - margin, head.min(axis=0))
    high = np.maximum(points.max(axis=0) + margin, head.max(axis=0))
    return np.concatenate([low, high])


def _fits(box: Array, placed: list[tuple[Array, _Figure]], limit: float) -> bool:
    """Whether a box shares little with those of the people who are there already."""
    for other, _ in placed:
        shared = np.concatenate([np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])])
        if _area(shared) > limit * min(_area(box), _area(other)):
            return False
    return True


def _keypoints(figure: _Figure, owners: Array, number: int) -> list[list[float]]:
    """[x, y, v] of COCO's keypoints."""
    height, width = owners.shape
    result = []
    for name in _COCO:
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


_COCO = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)


def _seen_as(figure: _Figure, name: str) -> tuple[int, ...]:
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


# ---------------------------------------------------------------- backgrounds


def _outdoors(image: Array, rng: Rng) -> int:
    height, width = image.shape[:2]
    horizon = int(height * rng.uniform(0.35, 0.55))
    sky = _color(rng, (95, 115), (60, 140), (210, 255))
    _gradient(image[:horizon], _shade(sky, 0.9), _mix(sky, (255, 255, 255), 0.65))
    if rng.random() < 0.5:
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0.05, 0.6) * horizon))
        cv2.circle(
            image, centre, int(rng.uniform(0.03, 0.07) * width), (170, 235, 255), -1, cv2.LINE_AA
        )
    for _ in range(int(rng.integers(0, 4))):
        _cloud(image, rng, horizon)
    for layer in range(int(rng.integers(1, 3))):
        hill = _color(rng, (35, 80), (40, 120), (110, 190))
        xs = np.linspace(0, width, 24)
        waves = np.sin(xs / width * rng.uniform(3, 9) + rng.uniform(0, 6))
        ys = horizon - (0.12 - 0.05 * layer) * height * (0.6 + 0.4 * waves)
        outline = np.concatenate([np.stack([xs, ys], 1), [[width, height], [0, height]]])
        cv2.fillPoly(image, [outline.astype(np.int32)], hill, cv2.LINE_AA)
    ground = _color(rng, (25, 60), (60, 150), (110, 190))
    _gradient(image[horizon:], _mix(ground, (255, 255, 255), 0.15), _shade(ground, 0.8))
    _speckle(image[horizon:], rng, float(rng.uniform(0.1, 0.5)))
    if rng.random() < 0.5:
        _grass(image, rng, horizon, ground)
    return horizon


def _room(image: Array, rng: Rng) -> int:
    height, width = image.shape[:2]
    horizon = int(height * rng.uniform(0.4, 0.62))
    wall, floor = (
        _color(rng, (0, 179), (10, 90), (120, 240)),
        _color(rng, (5, 25), (40, 140), (90, 190)),
    )
    kind = rng.integers(4)
    _gradient(image[:horizon], wall, _shade(wall, 0.85))
    line = _shade(wall, float(rng.choice([0.8, 1.15])))
    if kind == 0:
        _bricks(image[:horizon], rng, line)
    elif kind == 1:
        step = int(rng.integers(14, 60))
        for x in range(int(rng.integers(step)), width, step):
            cv2.rectangle(image, (x, 0), (x + step // 3, horizon - 1), line, -1)
    elif kind == 2:
        x, y = int(rng.uniform(0, 0.7) * width), int(rng.uniform(0.02, 0.2) * height)
        end = (x + int(0.25 * width), y + int(0.25 * height))
        cv2.rectangle(
            image[:horizon], (x, y), end, _color(rng, (90, 125), (40, 120), (180, 250)), -1
        )
        cv2.rectangle(image[:horizon], (x, y), end, _shade(wall, 0.6), 5)
    _gradient(image[horizon:], _shade(floor, 1.1), _shade(floor, 0.8))
    if rng.random() < 0.5:
        middle = rng.uniform(0, width)
        for x in np.linspace(-1.5 * width, 2.5 * width, int(rng.integers(14, 30))):
            top = (int(middle + (x - middle) * 0.45), horizon)
            cv2.line(image, top, (int(x), height), _shade(floor, 0.7), 1, cv2.LINE_AA)
    cv2.rectangle(image, (0, horizon - 5), (width, horizon), _shade(wall, 0.7), -1)
    _speckle(image, rng, float(rng.uniform(0, 0.2)))
    return horizon


def _clouds(image: Array, rng: Rng) -> int:
    """Coloured noise of several scales."""
    height, width = image.shape[:2]
    base = _color(rng, (0, 179), (0, 140), (60, 220))
    image[:] = np.array(base, np.uint8)
    for cells, amount in ((4, 0.5), (12, 0.3), (50, 0.25)):
        shape = (max(2, cells * height // width), cells, 3)
        grid = rng.integers(0, 256, shape, dtype=np.uint8)
        noise = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
        amount *= float(rng.uniform(0, 1))
        cv2.addWeighted(image, 1, noise, amount, -128 * amount, dst=image)
    return int(0.35 * height)


def _shapes(image: Array, rng: Rng) -> int:
    """Overlapping rectangles, discs and triangles."""
    height, width = image.shape[:2]
    _gradient(image, _color(rng), _color(rng))
    for _ in range(int(rng.integers(5, 30))):
        centre = rng.uniform(0, 1, 2) * (width, height)
        size = rng.uniform(0.03, 0.2, 2) * width
        kind, color = rng.integers(3), _color(rng)
        if kind == 0:
            corners = cv2.boxPoints((tuple(centre), tuple(size), float(rng.uniform(0, 180))))
            cv2.fillConvexPoly(image, corners.astype(np.int32), color, cv2.LINE_AA)
        elif kind == 1:
            axes = (int(size[0] / 2), int(size[1] / 2))
            cv2.ellipse(image, centre.astype(int).tolist(), axes, 0, 0, 360, color, -1, cv2.LINE_AA)
        else:
            points = centre + rng.uniform(-1, 1, (3, 2)) * size
            cv2.fillConvexPoly(image, points.astype(np.int32), color, cv2.LINE_AA)
    _speckle(image, rng, float(rng.uniform(0, 0.3)))
    return int(0.35 * height)


def _weave(image: Array, rng: Rng) -> int:
    """Slanted stripes or checks."""
    height, width = image.shape[:2]
    first = _color(rng, (0, 179), (0, 140), (60, 240))
    second = _mix(first, _color(rng), float(rng.uniform(0.2, 0.8)))
    image[:] = np.array(first, np.uint8)
    step = float(rng.uniform(10, 70))
    slant = float(rng.uniform(-1, 1)) * height
    for x in np.arange(-height, width + height, step):
        corners = np.array(
            [[x, 0], [x + step / 2, 0], [x + step / 2 + slant, height], [x + slant, height]]
        )
        cv2.fillConvexPoly(image, corners.astype(np.int32), second, cv2.LINE_AA)
    if rng.random() < 0.4:
        for y in np.arange(0, height, step):
            strip = image[int(y) : int(y + step / 2)]
            strip[:] = (
                cv2.addWeighted(strip, 0.5, np.full_like(strip, 128), 0.5, 0) if strip.size else 0
            )
    return int(0.35 * height)


def _studio(image: Array, rng: Rng) -> int:
    """A gradient."""
    base = _color(rng, (0, 179), (0, 120), (90, 245))
    _gradient(image, base, _shade(base, float(rng.uniform(0.6, 1.2))))
    _speckle(image, rng, float(rng.uniform(0, 0.3)))
    return int(0.35 * image.shape[0])


_BACKGROUNDS: tuple[Callable[[Array, Rng], int], ...] = (
    *(_outdoors, _outdoors, _outdoors, _room, _room, _room),
    *(_clouds, _shapes, _weave, _studio),
)


def _gradient(image: Array, top: Color, bottom: Color) -> None:
    """Fills an image from its first row to its last."""
    if image.size:
        ends = np.array([top, bottom], np.float64)
        part = np.linspace(0, 1, len(image))[:, None]
        rows = np.clip(ends[0] * (1 - part) + ends[1] * part, 0, 255).astype(np.uint8)
        height, width = image.shape[:2]
        cv2.resize(rows[:, None], (width, height), dst=image, interpolation=cv2.INTER_NEAREST)


def _bricks(image: Array, rng: Rng, line: Color) -> None:
    height, width = image.shape[:2]
    rise = int(rng.integers(12, 28))
    for row, y in enumerate(range(0, height, rise)):
        cv2.line(image, (0, y), (width, y), line, 2)
        for x in range((row % 2) * rise, width, rise * 2):
            cv2.line(image, (x, y), (x, min(height, y + rise) - 1), line, 2)


def _grass(image: Array, rng: Rng, horizon: int, ground: Color) -> None:
    height, width = image.shape[:2]
    for x, y, bend in rng.uniform(0, 1, (90, 3)):
        size = 4 + 14 * y
        root = (int(x * width), int(horizon + y * (height - horizon)))
        tip = (int(root[0] + (bend - 0.5) * size), int(root[1] - size))
        cv2.line(image, root, tip, _shade(ground, 0.75 + 0.6 * bend), 1, cv2.LINE_AA)


def _cloud(image: Array, rng: Rng, horizon: int) -> None:
    width = image.shape[1]
    x, y = rng.uniform(0, width), rng.uniform(0.05, 0.6) * horizon
    size = rng.uniform(0.02, 0.045) * width
    for step in range(4):
        centre = (int(x + step * size), int(y + rng.uniform(-0.3, 0.3) * size))
        cv2.circle(
            image[:horizon],
            centre,
            int(size * rng.uniform(0.6, 1)),
            (250, 248, 246),
            -1,
            cv2.LINE_AA,
        )


def _draw_clutter(image: Array, rng: Rng, horizon: int) -> None:
    """Something that resembles limbs or heads and belongs to nobody."""
    height, width = image.shape[:2]
    x, y = float(rng.uniform(0, width)), float(rng.uniform(horizon * 0.8, height))
    size = float(rng.uniform(0.08, 0.35)) * height
    color, kind = _color(rng), rng.integers(6)
    thick = max(2, int(size * rng.uniform(0.06, 0.16)))
    if kind == 0:  # a tree
        cv2.line(
            image, (int(x), int(y)), (int(x), int(y - size)), (45, 70, 100), thick, cv2.LINE_AA
        )
        crown = _color(rng, (35, 80), (80, 160), (90, 180))
        cv2.circle(image, (int(x), int(y - size)), int(size * 0.35), crown, -1, cv2.LINE_AA)
    elif kind == 1:  # a bent branch
        points = np.cumsum(np.vstack([[x, y], rng.uniform(-0.5, 0.5, (3, 2)) * size]), axis=0)
        cv2.polylines(image, [points.astype(np.int32)], False, color, thick, cv2.LINE_AA)
    elif kind == 2:  # a ball
        radius = int(size * 0.2)
        cv2.circle(image, (int(x), int(y)), radius, color, -1, cv2.LINE_AA)
        cv2.circle(image, (int(x), int(y)), radius // 2, _shade(color, 1.3), 2, cv2.LINE_AA)
    elif kind == 3:  # a crate
        _crate(image, x, y, size * 0.5, color)
    elif kind == 4:  # a sign
        cv2.line(
            image, (int(x), int(y)), (int(x), int(y - size)), _shade(color, 0.5), thick, cv2.LINE_AA
        )
        corner = (int(x + size * 0.25), int(y - size * 0.7))
        cv2.rectangle(image, (int(x - size * 0.25), int(y - size)), corner, color, -1)
    else:  # a bush
        _bush(image, rng, x, y, size * 0.5)


def _crate(image: Array, x: float, y: float, size: float, color: Color) -> None:
    first, last = (int(x - size / 2), int(y - size)), (int(x + size / 2), int(y))
    cv2.rectangle(image, first, last, color, -1)
    cv2.rectangle(image, first, last, _shade(color, 0.6), max(1, int(size * 0.06)))
    cv2.line(image, first, last, _shade(color, 0.6), max(1, int(size * 0.06)), cv2.LINE_AA)


def _bush(image: Array, rng: Rng, x: float, y: float, size: float) -> None:
    color = _color(rng, (35, 80), (80, 180), (70, 170))
    for dx, dy, light in rng.uniform(-1, 1, (7, 3)):
        centre = (int(x + dx * size * 0.6), int(y - size * (0.45 + 0.3 * dy)))
        cv2.circle(
            image, centre, int(size * 0.38), _shade(color, 1 + 0.15 * light), -1, cv2.LINE_AA
        )


def _draw_occluder(
    image: Array, owners: Array, rng: Rng, boxes: Sequence[tuple[int, int, int, int] | None]
) -> None:
    """Something in front of one of the people, small enough to leave most of it visible."""
    present = [box for box in boxes if box is not None]
    if not present:
        return
    x1, y1, x2, y2 = present[int(rng.integers(len(present)))]
    size = float(rng.uniform(0.15, 0.28)) * min(max(x2 - x1, 1), y2 - y1) + 4
    x, y = float(rng.uniform(x1, x2)), float(rng.uniform(y1 + 0.4 * (y2 - y1), y2 + size * 0.4))
    before = image.copy()
    kind = rng.integers(3)
    if kind == 0:
        _crate(image, x, y, size, _color(rng))
    elif kind == 1:
        _bush(image, rng, x, y, size)
    else:
        color, bottom = _color(rng), min(image.shape[0] - 1, int(y2 + 3))
        cv2.line(
            image, (int(x), y1 - 10), (int(x), bottom), color, max(2, int(size * 0.2)), cv2.LINE_AA
        )
    low_x, high_x = max(0, int(x - 1.5 * size)), int(x + 1.5 * size) + 2
    changed = (image[:, low_x:high_x] != before[:, low_x:high_x]).any(axis=2)
    owners[:, low_x:high_x][changed] = 0


def _draw_ground(image: Array, figure: _Figure, rng: Rng) -> None:
    """A shadow, and a seat for those who sit."""
    box = _bounds(figure)
    bottom = box[3] + figure.pose.lift * figure.scale - 0.02 * figure.scale
    if figure.pose.seat:
        hips = figure.project(figure.joints["pelvis"])
        half = 0.13 * figure.scale
        top = hips[1] + 0.05 * figure.scale
        seat = np.array(
            [
                [hips[0] - half, top],
                [hips[0] + half, top],
                [hips[0] + half, bottom],
                [hips[0] - half, bottom],
            ]
        )
        color = _color(rng, (5, 25), (40, 160), (70, 200))
        cv2.fillConvexPoly(image, seat.astype(np.int32), color, cv2.LINE_AA)
        lid = np.array([[hips[0] - half, top], [hips[0] + half, top + 0.03 * figure.scale]])
        cv2.rectangle(
            image, lid[0].astype(int).tolist(), lid[1].astype(int).tolist(), _shade(color, 1.3), -1
        )
    if rng.random() < 0.8:
        centre = ((box[0] + box[2]) / 2, bottom)
        axes = ((box[2] - box[0]) * 0.45 + 2, 0.025 * figure.scale + 1)
        height, width = image.shape[:2]
        x1, x2 = (int(np.clip(centre[0] + s * axes[0] + s, 0, width)) for s in (-1, 1))
        y1, y2 = (int(np.clip(centre[1] + s * axes[1] + s, 0, height)) for s in (-1, 1))
        piece = image[y1:y2, x1:x2]
        if piece.size:
            dark = piece.copy()
            middle = (int(centre[0]) - x1, int(centre[1]) - y1)
            cv2.ellipse(
                dark, middle, (int(axes[0]), int(axes[1])), 0, 0, 360, (30, 30, 30), -1, cv2.LINE_AA
            )
            cv2.addWeighted(dark, 0.4, piece, 0.6, 0, dst=piece)


# ---------------------------------------------------------------- camera and colours


def _degrade(image: Array, rng: Rng) -> Array:
    height, width = image.shape[:2]
    if rng.random() < 0.6:  # uneven, coloured light
        corners = rng.uniform(0.75, 1.2, (2, 2, 1)) * rng.uniform(0.94, 1.06, (1, 1, 3)) * 170
        light = cv2.resize(np.clip(corners, 0, 255).astype(np.uint8), (width, height))
        image = cv2.multiply(image, light, scale=1 / 170)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3)))
    if rng.random() < 0.6:
        x, y = (int(value) for value in rng.integers(0, TILE, 2))
        strength = float(rng.uniform(0.03, 0.45))
        noise = _noise(width, height, x, y)
        image = cv2.addWeighted(image, 1.0, noise, strength, -128 * strength)
    if rng.random() < 0.5:
        quality = int(rng.integers(35, 92))
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded: Array | None = cv2.imdecode(data, cv2.IMREAD_COLOR)
        image = image if decoded is None else decoded
    return image


def _speckle(image: Array, rng: Rng, strength: float) -> None:
    if image.size and strength > 0.02:
        x, y = (int(value) for value in rng.integers(0, TILE, 2))
        noise = _noise(image.shape[1], image.shape[0], x, y)
        cv2.addWeighted(image, 1.0, noise, strength, -128 * strength, dst=image)


def _noise(width: int, height: int, x: int, y: int) -> Array:
    """(height, width, 3) uint8 around 128 with a deviation of 32, from a tile that repeats."""
    return _noise_tiles(-(-(x + width) // TILE), -(-(y + height) // TILE))[
        y : y + height, x : x + width
    ]


@lru_cache(maxsize=16)
def _noise_tiles(columns: int, rows: int) -> Array:
    values = np.random.default_rng(0).normal(128, 32, (TILE, TILE, 3))
    return np.tile(np.clip(values, 0, 255).astype(np.uint8), (rows, columns, 1))


def _color(
    rng: Rng,
    hue: tuple[int, int] = (0, 179),
    saturation: tuple[int, int] = (20, 230),
    value: tuple[int, int] = (50, 250),
) -> Color:
    """A BGR colour from ranges of OpenCV's HSV."""
    hsv = np.array([[[rng.integers(low, high + 1) for low, high in (hue, saturation, value)]]])
    blue, green, red = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return float(blue), float(green), float(red)


def _cloth(rng: Rng) -> Color:
    if rng.random() < 0.2:
        grey = float(rng.uniform(30, 245))
        return grey, grey, grey
    return _color(rng, saturation=(90, 220), value=(90, 245))


def _vary(rng: Rng, palette: Sequence[Color]) -> Color:
    """One of a palette of RGB colours, a little brighter or darker, in BGR."""
    red, green, blue = palette[int(rng.integers(len(palette)))]
    return _shade((blue, green, red), float(rng.uniform(0.9, 1.08)))


def _shade(color: Color, by: float) -> Color:
    blue, green, red = color
    return min(255.0, blue * by), min(255.0, green * by), min(255.0, red * by)


def _mix(one: Color, other: Color, part: float) -> Color:
    blue, green, red = (a + (b - a) * part for a, b in zip(one, other, strict=True))
    return blue, green, red


def _pick(rng: Rng, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


if __name__ == "__main__":
    sys.exit(main())
