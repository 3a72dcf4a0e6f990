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
        "weights of the model: a file in any layout that `weights_convert` reads, a folder "
        "that contains one, a graph that `posekit export` wrote, a URL, or `int8` for the "
        "published 8-bit file; if unset, the published weights, downloaded once and cached",
    )
    trust: bool = option(
        False,
        "allow a model's folder to name classes from outside posekit, which run code; your "
        "own configuration folder may always do so",
    )


@dataclass(frozen=True, kw_only=True)
class PartOptions(Options):
    """Other models."""

    pose2d_weights: str | os.PathLike[str] | None = option(
        None, "as `weights`, for the 2D model that a lifter builds on"
    )
    detector_weights: str | os.PathLike[str] | None = option(None, "as `weights`, for the detector")


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    """Device and dtype."""

    # Checked where they are used, as PyTorch's own objects may be given too.
    device: Any = option(None, "`cpu`, `cuda`, `cuda:1`, `mps`; if unset, the best one available")
    dtype: Any = option(
        None,
        "dtype of the networks: `float32`, `float16` or `bfloat16`; if unset, `float32`, but "
        "`float16` in prediction without `backend` on a GPU of compute capability 7.0 or "
        "higher",
    )


@dataclass(frozen=True, kw_only=True)
class SpeedOptions(Options):
    """Speed and accuracy."""

    speed: Speed = option(
        "balanced",
        "default of `flip_test` and `det_interval` in each call: `accurate` does the flip "
        "test that the model's configuration has, as MMPose does; `balanced` does none; "
        "`fast` does none, runs the detector in videos only where a track is in doubt, "
        "`det_interval=auto`, and on a CPU leaves out most of the border of its input",
    )


@dataclass(frozen=True, kw_only=True)
class LoadOptions(ModelOptions, PartOptions, SpeedOptions, DeviceOptions):
    """The engine."""

    backend: str | None = option(
        None,
        "engine of all networks except a lifter: `eager`, `torch`, `compile`, `onnxruntime`, "
        "`openvino`, `tensorrt`, or `auto` for the fastest on this machine, which is measured "
        "once; if unset, `eager` for the first frames and then the usually fastest; for a "
        "graph, what `auto` would choose",
    )
