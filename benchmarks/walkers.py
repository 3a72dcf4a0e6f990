"""People who walk about in front of a camera, as a detector and a pose network report them.

Nothing is drawn: a clip is boxes and the 17 keypoints of COCO over time, with who is who. People
walk on a floor seen in perspective, 120 to 320 pixels tall, at 0.5 to 1.2 of their heights per
second, turn as they please, and swing arms and legs; the figure is narrower from the side. They
turn round at the borders, or leave, and somebody else comes in. Who gets mostly behind somebody
else goes unreported for as long as in a gap, so that many crossings are gaps as well.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["FPS", "Seen", "Walk", "walk"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

FPS = 30
WIDTH, HEIGHT = 1280, 720
# Somebody is hidden of whose box a nearer person covers more than this.
HIDDEN = 0.6
MARGIN = np.array([0.09, 0.06])  # of a box round the keypoints, in heights
# Of COCO's keypoints from the middle of the ankles, in heights, seen from in front; y goes down.
FIGURE = np.array(
    [(0, -0.93), (0.02, -0.95), (-0.02, -0.95), (0.045, -0.94), (-0.045, -0.94)]
    + [(0.11, -0.82), (-0.11, -0.82), (0.15, -0.65), (-0.15, -0.65), (0.16, -0.5), (-0.16, -0.5)]
    + [(0.08, -0.52), (-0.08, -0.52), (0.08, -0.27), (-0.08, -0.27), (0.08, -0.04), (-0.08, -0.04)]
)
# How far each swings to and fro while walking, in heights; left and right take turns.
SWING = np.zeros(17)
SWING[[7, 8, 9, 10, 13, 14, 15, 16]] = (-0.04, 0.04, -0.11, 0.11, 0.07, -0.07, 0.16, -0.16)
# Standard deviations, in shares: of stature, and beside it of the lengths of legs, arms and head
# and the widths of shoulders and hips. Surveys have 0.04 for stature of either sex, 0.02 to 0.06
# for parts of it.
BUILD = np.array([0.04, 0.03, 0.03, 0.03, 0.05, 0.05])
TURN = 0.1  # radians per frame, of those who turn back
STRIDES = 0.9  # per second and pace


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What a clip is like.

    Attributes:
        people: in sight at once.
        noise: standard deviation of each coordinate of boxes and keypoints, in pixels.
        gap: for so many frames a person goes unreported now and then.
        between_gaps: frames from one to the next of a person, on average.
        missed: share of the other reports that are missing.
        false: boxes of nobody, per frame.
        leaving: people walk out, and others come in.
        alike: all have the same build, which no crowd has; otherwise builds differ as people's do.
        pan: the camera sways by so many pixels to each side, once in four seconds.
        frames: of the clip.
    """

    people: int = 6
    noise: float = 3.0
    gap: int = 10
    between_gaps: int = 100
    missed: float = 0.02
    false: float = 0.05
    leaving: bool = False
    alike: bool = True
    pan: float = 0.0
    frames: int = 300


@dataclass(frozen=True)
class Seen:
    """What is reported of a frame: n boxes with keypoints; `people` says whose, -1 for nobody's."""

    people: Ints  # (n,)
    boxes: Floats  # (n, 4), xyxy
    scores: Floats  # (n,)
    keypoints: Floats  # (n, 17, 2)
    keypoint_scores: Floats  # (n, 17)


class _Crowd:
    """Where everybody is on the floor."""

    def __init__(self, walk: Walk, seed: int, rng: np.random.Generator) -> None:
        self.walk, self.seed, self.rng = walk, seed, rng
        n = walk.people
        self.x = rng.uniform(0.1, 0.9, n) * WIDTH
        self.depth = rng.uniform(0, 1, n)  # 1 is nearest
        side = rng.integers(0, 2, n) * np.pi
        self.heading = side + rng.normal(0, 0.4, n)
        self.turning = np.zeros(n)
        self.pace = rng.uniform(0.5, 1.2, n)  # heights per second
        self.phase = rng.uniform(0, 2 * np.pi, n)
        self.ids = np.arange(n)
        self.next_id = n

    @property
    def height(self) -> Floats:
        found: Floats = 120 + 200 * self.depth
        return found

    def step(self) -> None:
        rng, n = self.rng, len(self.x)
        self.turning += -0.05 * self.turning + rng.normal(0, 0.008, n)
        self.heading += self.turning
        self.x += self.pace * self.height * np.cos(self.heading) / FPS
        self.depth += 0.25 * self.pace * np.sin(self.heading) / FPS
        self.phase += 2 * np.pi * STRIDES * self.pace / FPS
        # Near a border they turn towards the middle.
        near = np.stack([self.depth * 2 - 1, self.x * 2 / WIDTH - 1])
        outward = np.stack([np.sin(self.heading), np.cos(self.heading)])
        turns = (np.abs(near) > [[0.8], [0.75]]) & (near * outward > 0)
        turns[1] &= not self.walk.leaving
        towards = np.arctan2(-near[0], -near[1])
        angle = np.angle(np.exp(1j * (towards - self.heading)))
        self.heading += np.where(turns.any(axis=0), TURN * np.sign(angle), 0)
        for row in np.flatnonzero(np.abs(self.x - WIDTH / 2) > WIDTH / 2 + 0.15 * self.height):
            self._comes_in(int(row))

    def _comes_in(self, row: int) -> None:
        """Somebody else, from either side, where this one has left."""
        left = self.rng.random() < 0.5
        self.depth[row] = self.rng.uniform(0, 1)
        self.pace[row] = self.rng.uniform(0.5, 1.2)
        self.x[row] = -0.14 * self.height[row] if left else WIDTH + 0.14 * self.height[row]
        self.heading[row] = (0 if left else np.pi) + self.rng.normal(0, 0.4)
        self.turning[row] = 0
        self.ids[row] = self.next_id
        self.next_id += 1

    def figures(self, shift: float) -> Floats:
        """(n, 17, 2), pixels; the camera looks `shift` pixels to the side."""
        sideways = np.cos(self.heading)[:, None]
        facing = np.sin(self.heading)[:, None]
        swing = SWING * np.sin(self.phase)[:, None]
        body = np.stack([_body(self.walk, self.seed, person) for person in self.ids.tolist()])
        x = body[..., 0] * facing + swing * sideways
        y = body[..., 1] - 0.3 * np.abs(swing)
        floor = 300 + 380 * self.depth
        points = np.stack([x, y], axis=-1) * self.height[:, None, None]
        points += np.stack([self.x - shift, floor], axis=-1)[:, None]
        found: Floats = points
        return found


@functools.lru_cache(maxsize=1024)
def _body(walk: Walk, seed: int, person: int) -> Floats:
    """(17, 2), as `FIGURE`, of that person."""
    if walk.alike:
        return FIGURE
    rng = np.random.default_rng([seed, person])
    stature, legs, arms, head, shoulders, hips = rng.normal(1, BUILD)
    body = FIGURE.copy()
    crotch, neck = FIGURE[11, 1], FIGURE[5, 1]
    body[11:, 1] *= legs
    body[:11, 1] += crotch * (legs - 1)  # all else goes up with the hips
    top = body[5, 1]
    body[7:11, 1] = top + (FIGURE[7:11, 1] - neck) * arms
    body[:5, 1] = top + (FIGURE[:5, 1] - neck) * head
    body[5:11, 0] *= shoulders
    body[11:, 0] *= hips
    found: Floats = stature * body
    return found


class _Gaps:
    """Who goes unreported."""

    def __init__(self, walk: Walk, rng: np.random.Generator) -> None:
        self.walk, self.rng = walk, rng
        self.chosen: set[int] = set()  # by chance, and not behind anybody
        self.frames: dict[int, int] = {}  # of the absence so far

    def absent(self, ids: list[int], hidden: list[bool]) -> Bools:
        """(n,), in the next frame."""
        chances = self.rng.random(len(ids)) < 1 / self.walk.between_gaps
        found = np.zeros(len(ids), np.bool_)
        for row, person in enumerate(ids):
            if chances[row]:
                self.chosen.add(person)
            if not hidden[row] and person not in self.chosen:
                self.frames[person] = 0
            elif self.frames.get(person, 0) < self.walk.gap:
                self.frames[person] = self.frames.get(person, 0) + 1
                found[row] = True
            else:
                self.chosen.discard(person)
        return found


def walk(how: Walk, seed: int) -> Iterator[Seen]:
    """The frames of a clip."""
    rng = np.random.default_rng(seed)
    crowd = _Crowd(how, seed, rng)
    gaps = _Gaps(how, rng)
    for frame in range(how.frames):
        crowd.step()
        shift = how.pan * np.sin(2 * np.pi * frame / (4 * FPS))
        points = crowd.figures(shift)
        margin = MARGIN * crowd.height[:, None]
        boxes = np.concatenate([points.min(axis=1) - margin, points.max(axis=1) + margin], axis=1)
        hidden, inside = _hidden(boxes, crowd.depth)
        seen = inside & ~gaps.absent(crowd.ids.tolist(), hidden.tolist())
        seen &= rng.random(len(seen)) >= how.missed
        yield _reported(how, rng, crowd.ids[seen], boxes[seen], points[seen])


def _hidden(boxes: Floats, depth: Floats) -> tuple[Bools, Bools]:
    """Who is mostly behind one who is nearer, and who is in the picture."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    covered = np.maximum(high - low, 0).prod(axis=-1) / areas[:, None]
    covered[depth[:, None] >= depth[None, :]] = 0
    centers = boxes[:, [0, 2]].mean(axis=1)
    return covered.max(axis=1) > HIDDEN, (centers >= 0) & (centers <= WIDTH)


def _reported(
    how: Walk, rng: np.random.Generator, ids: Ints, boxes: Floats, points: Floats
) -> Seen:
    """With noise, with boxes of nobody, in an order of chance."""
    extra = int(rng.poisson(how.false))
    sides = rng.uniform(120, 320, extra)[:, None] * (0.35, 1)
    corners = rng.uniform(0, 1, (extra, 2)) * (WIDTH, HEIGHT) - sides / 2
    nobody = np.concatenate([corners, corners + sides], axis=1)
    poses = corners[:, None] + rng.uniform(0.05, 0.95, (extra, 17, 2)) * sides[:, None]
    n = len(ids) + extra
    order = rng.permutation(n)
    boxes = np.concatenate([boxes, nobody]) + rng.normal(0, how.noise, (n, 4))
    points = np.concatenate([points, poses]) + rng.normal(0, how.noise, (n, 17, 2))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    scores = np.concatenate([rng.uniform(0.7, 0.95, len(ids)), rng.uniform(0.3, 0.6, extra)])
    sure = np.concatenate([rng.uniform(0.6, 1, (len(ids), 17)), rng.uniform(0.2, 0.6, (extra, 17))])
    people = np.concatenate([ids, np.full(extra, -1)]).astype(np.int64)
    return Seen(people[order], boxes[order], scores[order], points[order], sure[order])
