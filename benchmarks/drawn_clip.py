"""A clip of drawn people who stand, walk, run, cross, come in and leave, with cuts and a pan.

Drawn by what draws posekit's data sets, so that the packaged models, which are really trained, find
the people in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from posekit.datasets.synthetic.backdrop import BACKGROUNDS, draw_clutter
from posekit.datasets.synthetic.canvas import Canvas
from posekit.datasets.synthetic.clip import STRIDE, Actor, between, coco_keypoints, walking
from posekit.datasets.synthetic.drawing import draw_figure
from posekit.datasets.synthetic.figure import Figure, figure_bounds, make_outfit, turn_x
from posekit.datasets.synthetic.palette import Array, Rng, pick
from posekit.datasets.synthetic.poses import Pose, cheer, dance, wave

__all__ = ["draw_clip"]

SIZE = (960, 540)
SHOT = 60  # frames from cut to cut
GESTURE = 14  # frames from one pose of somebody who stands to the next


def draw_clip(seed: int, shots: int = 4, sensor: int = 0) -> Iterator[tuple[Array, Array, Array]]:
    """Frames (540, 960, 3), BGR, uint8: `SHOT` for each shot; a function of its arguments.

    With each come the keypoints (n, 17, 2) and the approximate boxes (n, 4) of all people, in
    pixels, also of those outside and behind others. Another `sensor` has other noise.

    In each shot two or three people stand and move their arms, one crosses behind or before them,
    one comes in and one leaves; somebody runs in every second shot, and the camera turns in every
    third.
    """
    for shot in range(shots):
        rng = np.random.default_rng([seed, shot])
        yield from _draw_shot(rng, sensor, runs=shot % 2 == 1, pans=shot % 3 == 2)


def _draw_shot(
    rng: Rng, sensor: int, *, runs: bool, pans: bool
) -> Iterator[tuple[Array, Array, Array]]:
    speed = float(rng.choice([-1, 1]) * rng.uniform(2, 4)) if pans else 0.0
    width = SIZE[0] + math.ceil(abs(speed) * SHOT)
    backdrop = np.empty((SIZE[1], width, 3), np.uint8)
    horizon = pick(rng, BACKGROUNDS)(backdrop, rng)
    for _ in range(int(rng.integers(0, 6))):
        draw_clutter(backdrop, rng, horizon)
    people = _cast(rng, width, runs=runs)
    camera = turn_x(float(rng.uniform(0, 10)))
    start = 0.0 if speed >= 0 else width - SIZE[0]
    noise = np.random.default_rng(int(rng.integers(1 << 31)) + sensor)
    for number in range(SHOT):
        image = backdrop.copy()
        figures = [_figure(person, number, camera) for person in people]
        for figure in figures:
            draw_figure(Canvas(image), figure)
        left = round(start + speed * number)
        seen = image[:, left : left + SIZE[0]].astype(np.int16)
        seen += np.rint(noise.normal(0, 3, seen.shape)).astype(np.int16)  # as a camera's sensor has
        keypoints = np.stack([coco_keypoints(figure) for figure in figures])
        boxes = np.stack([figure_bounds(figure) for figure in figures])
        yield (
            np.clip(seen, 0, 255).astype(np.uint8),
            keypoints - (left, 0),
            boxes - (left, 0, left, 0),
        )


def _cast(rng: Rng, width: int, *, runs: bool) -> list[Actor]:
    """Who is in a shot, the farthest first."""
    people = []
    standing = int(rng.integers(2, 4))
    for number in range(standing):
        x = width * (number + 0.5 + rng.uniform(-0.2, 0.2)) / standing
        people.append(_person(rng, lambda _, x=x: x, _gestures(rng), float(rng.normal(0, 20))))
    pace = (8, 13) if runs else (3, 5)
    for start in (-0.1, None, 0.3):  # comes in at once, comes in later, and leaves
        late = rng.integers(15, 35) if start is None else 0
        begin = -0.12 if start is None else start
        step = float(rng.uniform(*pace))
        if start == 0.3:
            begin, step = 0.25, -step
        if rng.random() < 0.5:  # the other way round
            begin, step = 1 - begin, -step

        def place(frame: int, begin=begin, late=late, step=step) -> float:  # type: ignore[no-untyped-def]
            return begin * width + step * max(frame - late, 0)

        yaw = 75.0 if step > 0 else -75.0
        people.append(_person(rng, place, None, yaw, step))
    return sorted(people, key=lambda person: person.ground)


def _person(
    rng: Rng,
    place: Callable[[int], float],
    pose: Callable[[int], Pose] | None,
    yaw: float,
    step: float = 0.0,
) -> Actor:
    share = float(rng.uniform(0, 1))
    height = 150 + 150 * share
    ground = SIZE[1] * (0.72 + 0.24 * share)
    pose = pose or walking(abs(step) / (STRIDE * height), float(rng.uniform(0, 6)), abs(step) > 6)
    return Actor(make_outfit(rng), height, ground, place, pose, yaw)


def _gestures(rng: Rng) -> Callable[[int], Pose]:
    """Arms that move from one pose to the next."""
    poses = [pick(rng, (wave, cheer, dance))(rng) for _ in range(SHOT // GESTURE + 2)]
    for pose in poses[1:]:  # the feet stay
        pose.flex, pose.knee, pose.spread = poses[0].flex, poses[0].knee, poses[0].spread

    def at(frame: int) -> Pose:
        number, share = divmod(frame / GESTURE, 1)
        return between(poses[int(number)], poses[int(number) + 1], share)

    return at


def _figure(person: Actor, frame: int, camera: Array) -> Figure:
    """With the pelvis at one height, so that who runs leaves the ground."""
    figure = person.figure(frame, camera)
    figure.origin[1] = person.ground - 0.53 * person.height
    return figure
