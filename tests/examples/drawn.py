"""Clips of drawn people who do what is known, whom the packaged model finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from posekit.datasets.synthetic.backdrop import outdoors
from posekit.datasets.synthetic.canvas import Canvas
from posekit.datasets.synthetic.clip import Actor
from posekit.datasets.synthetic.drawing import draw_figure
from posekit.datasets.synthetic.figure import Figure, figure_bounds, make_outfit, turn_x
from posekit.datasets.synthetic.poses import Pose
from posekit.io import VideoWriter

__all__ = ["SIZE", "Move", "bows", "draw", "falls", "squats", "stands", "walks", "write_clip"]

SIZE = (320, 240)
# Of a time in seconds: the pose, and where the pelvis is, x in pixels.
Move = Callable[[float], tuple[Pose, float]]


def stands(x: float = 160) -> Move:
    """At one place."""
    return lambda time: (Pose(arm_spread=[20.0, 20.0]), x)


def walks(start: float, speed: float) -> Move:
    """Along the picture, at pixels per second."""

    def move(time: float) -> tuple[Pose, float]:
        swing = 25 * float(np.sin(2 * np.pi * time))
        knees = [8 + max(0.0, -swing), 8 + max(0.0, swing)]
        pose = Pose(flex=[swing, -swing], knee=knees, arm_flex=[-swing, swing])
        return pose, start + speed * time

    return move


def squats(count: int, period: float = 1.0, *, depth: float = 1.0, first: float = 0.3) -> Move:
    """So often, from a time on, and stands before and after."""

    def move(time: float) -> tuple[Pose, float]:
        phase = np.clip((time - first) / period, 0, count)
        share = depth * float(np.sin(np.pi * phase)) ** 2
        knee, hip = 10 + 105 * share, 5 + 85 * share
        arms = [20 + 60 * share] * 2
        return Pose(knee=[knee] * 2, flex=[hip] * 2, body=(30 * share, 0.0), arm_flex=arms), 160

    return move


def falls(at: float, lasts: float = 0.5) -> Move:
    """To the side, from a time on; it is seen from the front."""

    def move(time: float) -> tuple[Pose, float]:
        share = float(np.clip((time - at) / lasts, 0, 1)) ** 1.5
        return Pose(body=(0.0, -85 * share), arm_spread=[30.0, 30.0]), 140

    return move


def bows(at: float, lasts: float = 0.5) -> Move:
    """With straight legs, from a time on."""

    def move(time: float) -> tuple[Pose, float]:
        share = float(np.clip((time - at) / lasts, 0, 1))
        return Pose(body=(70 * share, 0.0), flex=[80 * share] * 2), 160

    return move


def draw(
    moves: Sequence[Move], time: float, *, yaw: float, height: float
) -> tuple[np.ndarray, list[Figure]]:
    """A picture of people at a time, and where they are."""
    width, rows = SIZE
    image = np.empty((rows, width, 3), np.uint8)
    outdoors(image, np.random.default_rng(1))
    figures = []
    for number, move in enumerate(moves):
        pose, x = move(time)
        outfit = make_outfit(np.random.default_rng(3 + number))
        actor = Actor(
            replace(outfit, skirt=False, bag=False, leg=2.0),
            height=height * rows,
            ground=0.92 * rows,
            place=lambda _, x=x: x,  # type: ignore[misc]
            pose=lambda _, pose=pose: pose,  # type: ignore[misc]
            yaw=yaw,
        )
        figures.append(actor.figure(0, turn_x(4)))
        draw_figure(Canvas(image), figures[-1])
    return image, figures


def write_clip(
    path: Path,
    moves: Sequence[Move],
    seconds: float,
    *,
    fps: float = 10,
    yaw: float = 90,
    height: float = 0.6,
) -> np.ndarray:
    """Writes a video of 320x240.

    Args:
        path: of it.
        moves: of everybody in it; nobody is in an empty landscape.
        seconds: that it lasts.
        yaw: 90 for people who look to the right, 0 to the camera.
        height: of people, as a share of the picture's.

    Returns:
        The boxes xyxy (T, n, 4) of the people.
    """
    boxes = []
    with VideoWriter(path, fps=fps) as video:
        for number in range(round(seconds * fps)):
            image, figures = draw(moves, number / fps, yaw=yaw, height=height)
            video.write(image)
            boxes.append([figure_bounds(figure) for figure in figures])
    return np.array(boxes)
