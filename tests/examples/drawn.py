"""Clips of drawn people who do what is known: they squat, fall, walk; the packaged model finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from posekit.datasets.synthetic.backdrop import outdoors
from posekit.datasets.synthetic.canvas import Canvas
from posekit.datasets.synthetic.drawing import draw_figure
from posekit.datasets.synthetic.figure import (
    Figure,
    figure_bounds,
    make_figure,
    make_outfit,
    turn_x,
)
from posekit.datasets.synthetic.poses import Pose
from posekit.io.video_writer import VideoWriter

__all__ = ["FPS", "SIZE", "Move", "draw", "fall", "bow", "squats", "stand", "walk", "write_clip"]

FPS = 10
SIZE = (320, 240)
# Of a time in seconds: the pose, and where the feet are, in pixels.
Move = Callable[[float], tuple[Pose, float]]


def stand(x: float = 160) -> Move:
    """Somebody who stands at one place."""
    return lambda time: (Pose(arm_spread=[20.0, 20.0]), x)


def walk(start: float, speed: float) -> Move:
    """Somebody who goes along, at pixels per second."""
    return lambda time: (_step(time), start + speed * time)


def squats(period: float = 1.0, *, depth: float = 1.0, first: float = 0.3, count: int = 4) -> Move:
    """Somebody who squats so often, and stands before and after."""

    def move(time: float) -> tuple[Pose, float]:
        share = 0.0
        if first <= time < first + period * count:
            share = depth * float(np.sin(np.pi * ((time - first) % period) / period)) ** 2
        knee, hip = 10 + 105 * share, 5 + 85 * share
        return (
            Pose(
                knee=[knee, knee],
                flex=[hip, hip],
                body=(30 * share, 0.0),
                foot=[0.0, 0.0],
                arm_flex=[20 + 60 * share] * 2,
            ),
            160,
        )

    return move


def fall(at: float, lasts: float = 0.5, x: float = 140) -> Move:
    """Somebody who stands, and from a time on falls to the side."""

    def move(time: float) -> tuple[Pose, float]:
        share = float(np.clip((time - at) / lasts, 0, 1)) ** 1.5
        return Pose(body=(0.0, -85 * share), arm_spread=[30.0, 30.0]), x

    return move


def bow(at: float, lasts: float = 0.5) -> Move:
    """Somebody who bends down with straight legs."""

    def move(time: float) -> tuple[Pose, float]:
        share = float(np.clip((time - at) / lasts, 0, 1))
        return Pose(body=(70 * share, 0.0), flex=[80 * share] * 2), 160

    return move


def person(seed: int = 3) -> np.random.Generator:
    """The random numbers of one person's clothes."""
    return np.random.default_rng(seed)


def draw(
    people: Mapping[int, tuple[Pose, float]],
    *,
    size: tuple[int, int] = SIZE,
    yaw: float = 90,
    height: float = 0.6,
    place: int = 1,
) -> tuple[np.ndarray, list[Figure]]:
    """A picture of people, by the seeds of their clothes, and who they are."""
    width, rows = size
    image = np.empty((rows, width, 3), np.uint8)
    outdoors(image, np.random.default_rng(place))
    figures = []
    for seed, (pose, x) in people.items():
        outfit = replace(make_outfit(person(seed)), skirt=False, bag=False, leg=2.0)
        figure = make_figure(outfit, pose, yaw, turn_x(4))
        figure.scale = height * rows
        bounds = figure_bounds(figure)
        figure.origin = np.array([x, 0.92 * rows - bounds[3]])
        draw_figure(Canvas(image), figure)
        figures.append(figure)
    return image, figures


def write_clip(
    path: Path,
    moves: Sequence[Move],
    seconds: float,
    *,
    fps: float = FPS,
    size: tuple[int, int] = SIZE,
    yaw: float = 90,
    height: float = 0.6,
    start: float = 0.0,
) -> list[list[Figure]]:
    """Writes a video, and says who is where in each of its frames."""
    found = []
    with VideoWriter(path, fps=fps, size=size) as video:
        for number in range(round(seconds * fps)):
            time = start + number / fps
            people = {3 + seed: move(time) for seed, move in enumerate(moves)}
            image, figures = draw(people, size=size, yaw=yaw, height=height)
            video.write(image)
            found.append(figures)
    return found


def _step(time: float) -> Pose:
    swing = 25 * float(np.sin(2 * np.pi * time))
    return Pose(
        flex=[swing, -swing],
        knee=[8 + max(0.0, -swing), 8 + max(0.0, swing)],
        arm_flex=[-swing, swing],
    )
