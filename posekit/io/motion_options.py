"""Options of the formats in which people move through space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from posekit.biomechanics import BodyOptions
from posekit.declared import option

__all__ = ["MotionOptions"]


@dataclass(frozen=True, kw_only=True)
class MotionOptions(BodyOptions):
    """Motion formats."""

    focal: float | None = option(
        None,
        "focal length of the camera, for formats in which people move through space; if "
        "unset, the longer side of the image",
        unit="pixels",
        above=0,
        only="3D",
    )
    root: Literal["moving", "fixed"] = option(
        "moving",
        "whether people of `bvh` and `npz` move through space with their feet on the ground, "
        "or stay with their hips in one place",
        only="3D",
    )
