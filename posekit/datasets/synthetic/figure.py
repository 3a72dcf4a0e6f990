"""A body of some build and clothes in a pose, as the scene's camera sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from posekit.datasets.synthetic.palette import Array, Color, Rng, cloth_color, pick, vary
from posekit.datasets.synthetic.poses import Pose

__all__ = [
    "DISC",
    "FACE",
    "ROUND",
    "TURN",
    "Figure",
    "circle",
    "figure_bounds",
    "make_figure",
    "make_outfit",
    "turn_x",
    "turn_z",
]

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


@dataclass
class Outfit:
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
class Figure:
    """A posed person as the camera sees it: x to the right, y up, z to the viewer, in statures."""

    outfit: Outfit
    pose: Pose
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


def make_outfit(rng: Rng) -> Outfit:
    """A build and clothes at random."""
    shirt, legs = cloth_color(rng), cloth_color(rng)
    while sum(abs(a - b) for a, b in zip(shirt, legs, strict=True)) < 90:
        legs = cloth_color(rng)
    accent = cloth_color(rng)
    while sum(abs(a - b) for a, b in zip(shirt, accent, strict=True)) < 150:
        accent = cloth_color(rng)
    skirt = bool(rng.random() < 0.2)
    return Outfit(
        skin=vary(rng, SKIN),
        hair=vary(rng, HAIR),
        shirt=shirt,
        accent=accent,
        legs=legs,
        shoes=cloth_color(rng),
        pattern=pick(
            rng, ("plain", "plain", "stripes", "bars", "checks", "gradient", "noise", "dots")
        ),
        front=pick(rng, ("buttons", "zip", "disc", "star", "heart", "square")),
        sleeve=float(rng.choice([0.0, 0.5, 0.55, 1.5, 2.0, 2.0])),
        leg=float(rng.choice([0.6, 0.9, 2.0, 2.0, 2.0])),
        skirt=skirt,
        hair_style=pick(rng, ("short", "short", "long", "bun", "tail", "cap", "bob")),
        bag=bool(rng.random() < 0.12),
        girth=float(rng.uniform(0.85, 1.25)),
        head=float(rng.uniform(1.05, 1.35)),
        shoulders=float(rng.uniform(0.9, 1.12)),
        arm=float(rng.uniform(0.92, 1.1)),
        thigh=float(rng.uniform(0.93, 1.08)),
        outline=float(rng.choice([0.0, 0.006, 0.008, 0.01])),
    )


def make_figure(outfit: Outfit, pose: Pose, yaw: float, camera: Array) -> Figure:
    """Forward kinematics. In the body's own axes x is its left, y up and z forward."""
    up = np.array([0.0, 1.0, 0.0])
    pelvis = camera @ _turn_y(yaw) @ turn_x(pose.body[0]) @ turn_z(pose.body[1])
    chest = pelvis @ _turn_y(pose.twist) @ turn_x(pose.bend) @ turn_z(pose.lean)
    head = chest @ _turn_y(pose.turn) @ turn_x(pose.nod)
    waist = pelvis @ (0.075 * up)
    neck = waist + chest @ (0.225 * up)
    joints = {"pelvis": np.zeros(3), "waist": waist, "neck": neck}
    joints["head"] = neck + chest @ (0.03 * up) + head @ np.array([0, 0.082 * outfit.head, 0.012])
    for side, sign in enumerate((1.0, -1.0)):
        name = ("left", "right")[side]
        thigh = (
            pelvis
            @ turn_z(sign * pose.spread[side])
            @ turn_x(-pose.flex[side])
            @ _turn_y(sign * pose.toe_out[side])
        )
        shin = thigh @ turn_x(pose.knee[side])
        foot = shin @ turn_x(pose.foot[side])
        hip = pelvis @ np.array([sign * 0.062 * outfit.girth, 0.0, 0.0])
        knee = hip - thigh @ (0.245 * outfit.thigh * up)
        ankle = knee - shin @ (0.235 * outfit.thigh * up)
        joints |= {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": ankle}
        joints[f"{name}_heel"] = ankle + foot @ np.array([0, -0.024, -0.022])
        joints[f"{name}_toe"] = ankle + foot @ np.array([0, -0.03, 0.1])
        upper = (
            chest
            @ turn_z(sign * pose.arm_spread[side])
            @ turn_x(-pose.arm_flex[side])
            @ _turn_y(-sign * pose.arm_twist[side])
        )
        lower = upper @ turn_x(-pose.elbow[side])
        reach = sign * 0.115 * outfit.shoulders * (0.6 + 0.4 * outfit.girth)
        shoulder = waist + chest @ np.array([reach, 0.19, 0.0])
        elbow = shoulder - upper @ (0.165 * outfit.arm * up)
        wrist = elbow - lower @ (0.15 * outfit.arm * up)
        joints |= {f"{name}_shoulder": shoulder, f"{name}_elbow": elbow, f"{name}_wrist": wrist}
        joints[f"{name}_hand"] = wrist - lower @ (0.048 * up)
    radius = 0.082 * outfit.head
    for name, place in FACE.items():
        joints[name] = joints["head"] + head @ (np.array(place) * radius)
    return Figure(outfit, pose, joints, pelvis, chest, head)


# On the head, in radii of it.
FACE = {
    "nose": (0.0, -0.12, 1.08),
    "left_eye": (0.36, 0.1, 0.9),
    "right_eye": (-0.36, 0.1, 0.9),
    "left_ear": (0.98, -0.02, -0.05),
    "right_ear": (-0.98, -0.02, -0.05),
}


def turn_x(degrees: float) -> Array:
    """A (3, 3) rotation about x."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _turn_y(degrees: float) -> Array:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def turn_z(degrees: float) -> Array:
    """A (3, 3) rotation about z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def figure_bounds(figure: Figure) -> Array:
    """The approximate box of a figure, not clipped."""
    points = figure.project(np.stack(list(figure.joints.values())))
    margin = 0.035 * figure.scale
    head = circle(figure, figure.joints["head"], 0.09 * figure.outfit.head)
    low = np.minimum(points.min(axis=0) - margin, head.min(axis=0))
    high = np.maximum(points.max(axis=0) + margin, head.max(axis=0))
    return np.concatenate([low, high])


def circle(figure: Figure, point: Array, radius: float) -> Array:
    """A polygon (n, 2), in pixels, around a point; the radius is in statures."""
    return figure.project(point) + ROUND * figure.size(point, radius)
