"""What all models of a network share: inputs, outputs, training, and names of weights."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Family", "Rule", "family_of"]

# A pattern that a whole key of a foreign checkpoint matches, and the posekit key (with `\1` for
# groups), or None for an entry that is known and not needed.
Rule = tuple[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Family:
    """The constant `FAMILY` of a network's module.

    A model's YAML may override some of these for that model: `codec`, `mean`, `std`, `color`,
    `pad_value`, `keep_ratio`, `clip_boxes`.

    Attributes:
        codec: the class that reads the network's outputs; None leaves it to the YAML.
        outputs: names of the network's outputs, in order, as in the codecs' `reads`; if empty, any
            codec is accepted.
        one_stage: whether it finds people and their keypoints at once, without a detector; it then
            has a `classifier` that turns pose vectors into keypoints.
        stride: the sides of an input must be multiples of it, in pixels.
        codec_defaults: the codec's arguments in published models.
        mean: number subtracted from each channel, 0 to 255, in the order of `color`.
        std: number that each channel is then divided by.
        color: the order of channels, "rgb" or "bgr".
        pad_value: what fills a detector's input around the image.
        keep_ratio: whether an image keeps its shape in a detector's input.
        clip_boxes: whether a detector's boxes end at the border of its input.
        recipe: stem of the YAML in conf/recipe/ that trains it; None takes the codec's.
        onnx: whether weights can be read from foreign ONNX exports of it.
        openmmlab_keys: how the keys of OpenMMLab's checkpoints (mmpose 0.x and 1.x, mmdet) map to
            the network's; the first rule that matches wins.
    """

    codec: str | None = None
    outputs: tuple[str, ...] = ()
    one_stage: bool = False
    stride: int = 1
    codec_defaults: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)  # of ImageNet
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    color: str = "rgb"
    pad_value: int = 114
    keep_ratio: bool = True
    clip_boxes: bool = True
    recipe: str | None = None
    onnx: bool = False
    openmmlab_keys: tuple[Rule, ...] = ()


def family_of(network: type[Any]) -> Family:
    """`FAMILY` of the module that defines a network's class; an empty one where it has none."""
    family = getattr(sys.modules[network.__module__], "FAMILY", None)
    return family if isinstance(family, Family) else Family()
