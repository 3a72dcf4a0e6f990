"""Drawn people who move, and the clip of them that is in the package.

python -m posekit.datasets.synthetic.clip OUT.mp4
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posekit.datasets.synthetic.backdrop import outdoors
from posekit.datasets.synthetic.canvas import Canvas
from posekit.datasets.synthetic.drawing import draw_figure
from posekit.datasets.synthetic.figure import (
    Figure,
    Outfit,
    figure_bounds,
    make_figure,
    make_outfit,
    turn_x,
)
from posekit.datasets.synthetic.palette import Array
from posekit.datasets.synthetic.poses import Pose, wave
from posekit.datasets.synthetic.scene import COCO_KEYPOINTS

__all__ = [
    "FPS",
    "FRAMES",
    "SIZE",
    "SQUATS",
    "STRIDE",
    "Actor",
    "between",
    "coco_keypoints",
    "demo_clip",
    "walking",
]

SIZE = (640, 360)
FPS = 25.0
FRAMES = 150
SQUATS = 3
SEED = 4
STRIDE = 0.55  # of a step, in statures


@dataclass
class Actor:
    """Somebody in a clip.

    Attributes:
        height: body height, in pixels.
        place: from a frame's number to the pelvis's x, in pixels of the backdrop.
        ground: y of the lowest part of the body, in pixels.
        pose: from a frame's number to the pose.
        yaw: degrees; 0 looks at the camera, 90 to the right of the image.
    """

    outfit: Outfit
    height: float
    ground: float
    place: Callable[[int], float]
    pose: Callable[[int], Pose]
    yaw: float

    def figure(self, frame: int, camera: Array) -> Figure:
        """The actor as the camera (3, 3) sees them, standing on the ground."""
        figure = make_figure(self.outfit, self.pose(frame), self.yaw, camera)
        figure.scale = self.height
        lowest = figure_bounds(figure)[3]
        figure.origin = np.array([self.place(frame), self.ground - lowest])
        return figure


def demo_clip() -> Iterator[tuple[Array, Array]]:
    """The packaged clip's frames: one squats three times, one walks past behind, one waves.

    Yields:
        The image (360, 640, 3), BGR, uint8, and the keypoints (3, 17, 2) of the one who squats, who
        walks and who waves, in COCO's order, in pixels, hidden ones and ones outside too.
    """
    rng = np.random.default_rng(SEED)
    backdrop = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    outdoors(backdrop, rng)
    # Sharp grass would take most of the file's bytes.
    backdrop = np.asarray(cv2.GaussianBlur(backdrop, (7, 7), 0), np.uint8)
    camera = turn_x(6.0)
    step = (SIZE[0] + 160) / FRAMES
    walker = Actor(
        make_outfit(rng),
        *(125.0, 236.0),
        place=lambda frame: step * frame - 80,
        pose=walking(step / (STRIDE * 125)),
        yaw=70,
    )
    squatter = Actor(
        *(make_outfit(rng), 250.0, 335.0), place=lambda _: 215.0, pose=_squatting, yaw=55
    )
    first, second = wave(rng), wave(rng)
    second.flex, second.knee, second.spread = first.flex, first.knee, first.spread
    waver = Actor(
        *(make_outfit(rng), 225.0, 325.0),
        place=lambda _: 470.0,
        pose=lambda frame: between(first, second, (1 - math.cos(2 * math.pi * frame / 50)) / 2),
        yaw=-10,
    )
    for frame in range(FRAMES):
        image = backdrop.copy()
        figures = [actor.figure(frame, camera) for actor in (squatter, walker, waver)]
        for number in (1, 2, 0):  # the farthest first
            draw_figure(Canvas(image), figures[number])
        yield image, np.stack([coco_keypoints(figure) for figure in figures])


def walking(steps: float, phase: float = 0.0, runs: bool = False) -> Callable[[int], Pose]:
    """From a frame's number to the pose of somebody who makes `steps` steps per frame."""

    def at(frame: int) -> Pose:
        swing = (42 if runs else 26) * math.sin(math.pi * steps * frame + phase)
        lifted = 60 if runs else 34
        left, right = max(-swing, 0) / 40, max(swing, 0) / 40
        return Pose(
            flex=[swing, -0.8 * swing],
            knee=[8 + lifted * left, 8 + lifted * right],
            foot=[20 * left, 20 * right],
            arm_flex=[-swing, swing],
            elbow=[80.0, 80.0] if runs else [25.0, 25.0],
            bend=14.0 if runs else 4.0,
            twist=-0.3 * swing,
        )

    return at


def between(first: Pose, second: Pose, share: float) -> Pose:
    """A pose on the way from one (share 0) to another (share 1)."""
    values: dict[str, Any] = {}
    for field in fields(Pose):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if isinstance(a, bool):
            values[field.name] = a
        elif isinstance(a, list | tuple):
            values[field.name] = type(a)(
                (1 - share) * x + share * y for x, y in zip(a, b, strict=True)
            )
        else:
            values[field.name] = (1 - share) * a + share * b
    return Pose(**values)


def _squatting(frame: int) -> Pose:
    """Down and up again, at rest for a fifth of the time."""
    phase = (frame * SQUATS / FRAMES) % 1.0
    depth = (1 - math.cos(2 * math.pi * min(phase / 0.8, 1.0))) / 2
    stand = Pose(spread=[9.0, 9.0], arm_spread=[12.0, 12.0])
    down = Pose(
        flex=[88.0, 88.0],
        spread=[14.0, 14.0],
        knee=[112.0, 112.0],
        foot=[-24.0, -24.0],
        toe_out=[16.0, 16.0],
        arm_flex=[70.0, 70.0],
        arm_spread=[10.0, 10.0],
        elbow=[12.0, 12.0],
        bend=34.0,
    )
    return between(stand, down, depth)


def coco_keypoints(figure: Figure) -> Array:
    """(17, 2), in pixels, in COCO's order."""
    return np.stack([figure.project(figure.joints[name]) for name in COCO_KEYPOINTS])


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the packaged clip."""
    from posekit.io.video import VideoWriter

    (out,) = sys.argv[1:] if arguments is None else arguments
    with VideoWriter(Path(out), fps=FPS, size=SIZE) as writer:
        for number, (image, _) in enumerate(demo_clip()):
            writer.write(image, number / FPS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
