"""Options of every command that loads a network, declared for all of them. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from posekit.declared import Options, option

__all__ = ["DeviceOptions", "LoadOptions", "ModelOptions", "PartOptions", "Speed", "SpeedOptions"]

Speed = Literal["accurate", "balanced", "fast"]


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """The model."""

    weights: str | os.PathLike[str] | None = option(
        None,
        "of the model that was named: a file in any layout that `weights_convert` reads, a folder "
        "that holds one, a graph that `posekit export` wrote, a URL, or `int8` for the 8-bit file "
        "that is published; left out, the published weights, from the local cache where they are "
        "there",
    )
    trust: bool = option(
        False,
        "let a model's folder name classes that are not posekit's, which run code; your own folder "
        "of configurations may do so anyway",
    )


@dataclass(frozen=True, kw_only=True)
class PartOptions(Options):
    """Models beside it."""

    pose2d_weights: str | os.PathLike[str] | None = option(
        None, "as `weights`, for the 2D model that a lifter builds on"
    )
    detector_weights: str | os.PathLike[str] | None = option(None, "as `weights`, for the detector")


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    """Where and how networks run."""

    # Checked where they are used, as PyTorch's own objects may be given too.
    device: Any = option(None, "`cpu`, `cuda`, `cuda:1`, `mps`; left out, the best there is")
    dtype: Any = option(
        None,
        "of the networks: `float32`, `float16` or `bfloat16`; left out, `float32`, but `float16` "
        "in prediction without `backend` on a GPU of compute capability 7.0 or more",
    )


@dataclass(frozen=True, kw_only=True)
class SpeedOptions(Options):
    """Speed or accuracy."""

    speed: Speed = option(
        "balanced",
        "what a call does where it does not say `flip_test` or `det_interval` itself: `accurate` "
        "does the flip test that the model's configuration has, as MMPose does; `balanced` does "
        "none; `fast` beside that detects in videos where a track is in doubt only, "
        "`det_interval=auto`",
    )


@dataclass(frozen=True, kw_only=True)
class LoadOptions(ModelOptions, PartOptions, SpeedOptions, DeviceOptions):
    """The engine."""

    backend: str | None = option(
        None,
        "what runs all networks but a lifter: `eager`, `torch`, `compile`, `onnxruntime`, "
        "`openvino`, `tensorrt`, or `auto` for the fastest on this machine, which is measured "
        "once; left out, `eager` for the first frames and then what is fastest as a rule, or for a "
        "graph what `auto` would take",
    )
