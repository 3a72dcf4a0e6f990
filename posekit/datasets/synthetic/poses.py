"""What people do: joint angles within human limits, at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from posekit.datasets.synthetic.palette import Rng

__all__ = ["ACTIONS", "Pose", "cheer", "dance", "run", "wave"]


@dataclass
class Pose:
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


def _stand(rng: Rng) -> Pose:
    pose = Pose(flex=_two(rng, -6, 8), spread=_two(rng, 2, 12))
    for side in range(2):
        _rest_arm(rng, pose, side)
    return pose


def _rest_arm(rng: Rng, pose: Pose, side: int) -> None:
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


def _walk(rng: Rng) -> Pose:
    swing = float(rng.choice([-1, 1]) * rng.uniform(15, 32))
    pose = Pose(flex=[swing, -swing * 0.8], bend=float(rng.uniform(0, 8)), twist=-swing * 0.3)
    pose.knee = [8.0 if swing > 0 else 38.0, 38.0 if swing > 0 else 8.0]
    pose.foot = [-5.0 if swing > 0 else 25.0, 25.0 if swing > 0 else -5.0]
    pose.arm_flex = [-swing, swing]
    pose.elbow = _two(rng, 10, 45)
    return pose


def run(rng: Rng) -> Pose:
    """Running."""
    lead = int(rng.integers(2))
    stride = float(rng.uniform(45, 75))
    pose = Pose(bend=float(rng.uniform(8, 22)), elbow=_two(rng, 70, 105))
    pose.flex[lead], pose.flex[1 - lead] = stride, -float(rng.uniform(10, 28))
    pose.knee[lead], pose.knee[1 - lead] = float(rng.uniform(45, 95)), float(rng.uniform(30, 95))
    pose.foot[1 - lead] = 30.0
    pose.arm_flex[lead], pose.arm_flex[1 - lead] = -45.0, 50.0
    pose.twist = 18.0 if lead == 1 else -18.0
    pose.lift = float(rng.uniform(0, 0.06))
    return pose


def _jump(rng: Rng) -> Pose:
    pose = Pose(lift=float(rng.uniform(0.06, 0.2)), foot=[35.0, 35.0])
    if rng.random() < 0.6:
        pose.spread = _two(rng, 18, 38)
        pose.arm_spread = _two(rng, 95, 160)
    else:
        pose.flex, pose.knee = _two(rng, 35, 80), _two(rng, 60, 110)
        pose.arm_spread = _two(rng, 40, 150)
    pose.elbow = _two(rng, 5, 40)
    return pose


def cheer(rng: Rng) -> Pose:
    """Both arms up."""
    pose = _stand(rng)
    pose.arm_spread, pose.arm_flex = _two(rng, 120, 165), _two(rng, -10, 25)
    pose.arm_twist, pose.elbow = [0.0, 0.0], _two(rng, 5, 60)
    return pose


def wave(rng: Rng) -> Pose:
    """One arm up."""
    pose = _stand(rng)
    side = int(rng.integers(2))
    pose.arm_spread[side], pose.arm_flex[side] = float(rng.uniform(75, 110)), 0.0
    pose.arm_twist[side], pose.elbow[side] = -90.0, float(rng.uniform(40, 100))
    return pose


def _point(rng: Rng) -> Pose:
    pose = _stand(rng)
    side = int(rng.integers(2))
    pose.arm_flex[side], pose.arm_spread[side] = float(rng.uniform(60, 110)), 10.0
    pose.elbow[side] = float(rng.uniform(0, 30))
    return pose


def _reach(rng: Rng) -> Pose:
    pose = _stand(rng)
    pose.arm_spread, pose.elbow = _two(rng, 70, 100), _two(rng, 0, 25)
    pose.arm_flex, pose.arm_twist = [0.0, 0.0], [0.0, 0.0]
    return pose


def _sit(rng: Rng) -> Pose:
    pose = Pose(seat=True, flex=_two(rng, 78, 96), knee=_two(rng, 70, 100))
    pose.spread = _two(rng, 4, 18)
    pose.arm_flex, pose.elbow = _two(rng, 10, 45), _two(rng, 20, 80)
    pose.bend = float(rng.uniform(-5, 15))
    return pose


def _squat(rng: Rng) -> Pose:
    deep = float(rng.uniform(45, 105))
    pose = Pose(flex=[deep, deep], knee=[deep * 1.25, deep * 1.25], spread=_two(rng, 8, 25))
    pose.foot = [-deep * 0.25, -deep * 0.25]
    pose.body, pose.bend = (0.0, 0.0), float(rng.uniform(10, 30))
    pose.arm_flex, pose.elbow = _two(rng, 50, 100), _two(rng, 5, 50)
    return pose


def _bow(rng: Rng) -> Pose:
    pose = Pose(bend=float(rng.uniform(35, 75)), body=(float(rng.uniform(0, 15)), 0.0))
    pose.flex = [pose.body[0], pose.body[0]]
    pose.nod = -float(rng.uniform(10, 30))
    pose.arm_flex, pose.elbow = _two(rng, 30, 90), _two(rng, 0, 40)
    return pose


def _lunge(rng: Rng) -> Pose:
    lead = int(rng.integers(2))
    pose = Pose(arm_spread=_two(rng, 60, 100), elbow=_two(rng, 0, 30))
    pose.flex[lead], pose.knee[lead] = float(rng.uniform(50, 75)), float(rng.uniform(55, 80))
    pose.flex[1 - lead], pose.knee[1 - lead] = -float(rng.uniform(20, 35)), 10.0
    pose.foot[1 - lead] = -20.0
    return pose


def _kick(rng: Rng) -> Pose:
    pose = Pose(arm_spread=_two(rng, 25, 80), arm_flex=_two(rng, -20, 30), elbow=_two(rng, 10, 70))
    side = int(rng.integers(2))
    pose.flex[side], pose.knee[side] = float(rng.uniform(40, 85)), float(rng.uniform(0, 40))
    pose.bend = -5.0
    return pose


def _tree(rng: Rng) -> Pose:
    pose = Pose(arm_spread=_two(rng, 140, 165), elbow=_two(rng, 10, 35))
    side = int(rng.integers(2))
    pose.flex[side], pose.spread[side], pose.knee[side] = 40.0, 55.0, 115.0
    return pose


def dance(rng: Rng) -> Pose:
    """Anything that joints allow."""
    pose = Pose(flex=_two(rng, -15, 40), spread=_two(rng, 4, 28), knee=_two(rng, 5, 60))
    pose.arm_flex, pose.arm_spread = _two(rng, -25, 90), _two(rng, 15, 140)
    pose.arm_twist, pose.elbow = _two(rng, -50, 50), _two(rng, 5, 105)
    pose.bend, pose.lean = float(rng.uniform(-8, 12)), float(rng.uniform(-14, 14))
    pose.twist = float(rng.uniform(-20, 20))
    return pose


def _lie(rng: Rng) -> Pose:
    pose = dance(rng) if rng.random() < 0.5 else _stand(rng)
    pose.body = (float(rng.choice([-1, 1]) * rng.uniform(70, 95)), float(rng.uniform(-15, 15)))
    if rng.random() < 0.5:
        pose.body = (float(rng.uniform(-10, 10)), float(rng.choice([-1, 1]) * rng.uniform(70, 95)))
    return pose


ACTIONS: tuple[Callable[[Rng], Pose], ...] = (
    *(_stand, _walk, run, dance) * 3,
    *(_jump, cheer, wave, _sit, _lunge) * 2,
    *(_point, _reach, _squat, _bow, _kick, _tree, _lie),
)


def _two(rng: Rng, low: float, high: float) -> list[float]:
    return [float(value) for value in rng.uniform(low, high, 2)]
