"""Random views of whole training images with people: where images lie, and what is seen of them.

The recipe is RTMO's (arXiv 2312.07526), after YOLOX (arXiv 2107.08430). As in
`posekit.datasets.augment`, every draw comes from the generator that is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posekit.datasets.augment_values import expect, expect_hsv, expect_probability, expect_range

__all__ = ["PeopleAugment", "Placed", "mirrored", "moved"]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an image lies on a canvas.

    Attributes:
        matrix: (2, 3), from pixels of the image to the canvas.
        window: xyxy, whole pixels of the canvas; the image does not show outside of it.
    """

    matrix: np.ndarray
    window: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class PeopleAugment:
    """RTMO's augmentation; the defaults are its first stage.

    Attributes:
        mosaic: four images on a canvas of twice the input's size, of which the input shows a part.
        mixup: probability of blending in another image.
        mixup_resize: smallest and largest factor on that image.
        pool: mosaic and mixup take the other images from this many samples before this one in the
            epoch's order, which are still in the cache.
        resize: smallest and largest factor on what is seen.
        rotation: largest angle, in degrees.
        shear: largest shear along x and along y, in degrees.
        shift: largest shift, as a fraction of the input.
        flip: probability of mirroring.
        hsv: largest change of hue (0..180), saturation and value (0..255).
        input_resize: smallest and largest factor on the size of a batch's images.

    Raises:
        InputError: a value out of its range; the message names it.
    """

    mosaic: bool = True
    mixup: float = 1.0
    mixup_resize: Sequence[float] = (0.8, 1.6)
    pool: int = 40
    resize: Sequence[float] = (0.75, 1.0)
    rotation: float = 10.0
    shear: float = 2.0
    shift: float = 0.1
    flip: float = 0.5
    hsv: Sequence[float] = (5.0, 30.0, 30.0)
    input_resize: Sequence[float] = (0.75, 1.25)

    def __post_init__(self) -> None:
        expect_probability("augment.mixup", self.mixup)
        expect_probability("augment.flip", self.flip)
        for name in ("mixup_resize", "resize", "input_resize"):
            expect_range(f"augment.{name}", getattr(self, name))
        expect_hsv("augment.hsv", self.hsv)
        expect(self.pool >= 1, "augment.pool", "at least 1", self.pool)
        for name, most in (("rotation", 180), ("shear", 45), ("shift", 1)):
            value = getattr(self, name)
            expect(0 <= value <= most, f"augment.{name}", f"a number from 0 to {most}", value)

    def tiles(
        self,
        rng: np.random.Generator,
        sizes_wh: Sequence[tuple[int, int]],
        input_size: Sequence[int],
    ) -> list[Placed]:
        """Four images around a point near the middle of a canvas of twice the input's size.

        Args:
            rng: every draw comes from it.
            sizes_wh: (w, h) of the images: top left, top right, bottom left, bottom right.
            input_size: (w, h) of the network's input; each image is as large as just fits into it.
        """
        width, height = input_size
        x, y = (round(rng.uniform(0.5, 1.5) * side) for side in input_size)
        tiles = []
        for number, (w, h) in enumerate(sizes_wh):
            factor = min(width / w, height / h)
            right, bottom = number % 2 == 1, number >= 2
            left_end = x if right else max(x - round(w * factor), 0)
            top_end = y if bottom else max(y - round(h * factor), 0)
            window = (
                left_end,
                top_end,
                min(x + round(w * factor), 2 * width) if right else x,
                min(y + round(h * factor), 2 * height) if bottom else y,
            )
            corner = (x if right else x - w * factor, y if bottom else y - h * factor)
            tiles.append(Placed(_scaling(factor, corner), window))
        return tiles

    def view(self, rng: np.random.Generator, input_size: Sequence[int]) -> np.ndarray:
        """The map (2, 3) from a canvas to the input, which mostly shows the top left part."""
        middle = np.array(input_size) / 2
        offset = rng.uniform(-self.shift, self.shift, 2) * input_size
        factor = rng.uniform(self.resize[0], self.resize[1])
        angle = math.radians(rng.uniform(-self.rotation, self.rotation))
        shear = np.tan(np.radians(rng.uniform(-self.shear, self.shear, 2)))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        linear = factor * np.array([[1, shear[0]], [shear[1], 1]]) @ turn
        return np.column_stack([linear, middle + offset - linear @ middle])

    def blended(
        self, rng: np.random.Generator, size_wh: tuple[int, int], input_size: Sequence[int]
    ) -> Placed:
        """Where the blended-in image lies in the input."""
        factor = min(s / w for s, w in zip(input_size, size_wh, strict=True))
        change = float(rng.uniform(self.mixup_resize[0], self.mixup_resize[1]))
        sheet = [round(side * change) for side in input_size]
        mirror = rng.random() < 0.5
        cut = [
            int(rng.integers(0, max(s - i, 0) + 1)) for s, i in zip(sheet, input_size, strict=True)
        ]
        matrix = _scaling(factor * change, (0.0, 0.0))
        ends = [round(side * factor * change) for side in size_wh]
        left = 0
        if mirror:
            matrix = mirrored(matrix, sheet[0])
            left = sheet[0] - ends[0]
        matrix[:, 2] -= cut
        window = (
            max(left - cut[0], 0),
            max(-cut[1], 0),
            min(left + ends[0] - cut[0], input_size[0]),
            min(ends[1] - cut[1], input_size[1]),
        )
        return Placed(matrix, window)


def mirrored(matrix: np.ndarray, width: int) -> np.ndarray:
    """A map (2, 3) into a picture, followed by mirroring the picture."""
    out = matrix.copy()
    out[0] = -matrix[0]
    out[0, 2] += width - 1
    return out


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) through a map (2, 3), float32."""
    out: np.ndarray = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return out


def _scaling(factor: float, corner: Sequence[float]) -> np.ndarray:
    return np.array([[factor, 0, corner[0]], [0, factor, corner[1]]])
