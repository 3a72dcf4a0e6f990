"""The options of `posekit bench`. Light: no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.loading import DeviceOptions

__all__ = ["BENCH_KEYS", "BenchKeywords", "BenchOptions"]


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Options):
    """Networks to measure."""

    weights: str | os.PathLike[str] | None = option(
        None,
        "a file or URL; if unset, random weights, which take the same time; their engines are not "
        "cached",
    )
    trust: bool = option(
        False, "allow a model's folder to name classes from outside posekit, which run code"
    )
    detector_weights: str | os.PathLike[str] | None = option(
        None, "as `weights`, for the detector; the time of box suppression depends on them"
    )


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Options):
    """Engines to measure."""

    batch_sizes: list[int] = option(
        [1, 8], "crops or images per batch; a detector used with a pose model always gets one image"
    )
    backends: list[str] | None = option(
        None,
        "posekit's engines to measure, each alone and in the stages of a frame; if unset, all "
        "that run here without compiling, and `auto` for the stages",
    )
    direct: bool = option(
        True,
        "also measure ONNX Runtime and OpenVINO on the exported graph, without posekit",
    )
    rounds: int = option(
        9, "measurements per figure; in each round, all engines take turns", least=1
    )

    def check(self) -> None:
        from posekit.backends import KINDS

        if not self.batch_sizes or not all(type(n) is int and n > 0 for n in self.batch_sizes):
            raise InputError(
                f"batch_sizes must be a list such as [1,8], found {list(self.batch_sizes)}"
            )
        if self.backends is None:
            return
        if not self.backends:
            raise InputError(
                "backends is empty: name engines, such as backends=[torch,openvino], or leave it "
                "out for all that run here"
            )
        if not all(kind in KINDS for kind in self.backends):
            raise InputError(
                f"backends must be a list of {', '.join(KINDS)}, found {list(self.backends)}"
            )


@dataclass(frozen=True, kw_only=True)
class FrameOptions(Options):
    """Stages of a frame."""

    inputs: Any = option(
        None,
        "a video or images for the stages of a frame; if unset, noise of 960x540, which needs "
        "no decoding",
    )
    people: int = option(
        6, "simulated people per frame: boxes, or for a one-stage model its best cells", least=1
    )
    flip_test: bool = option(False, "average with the mirrored crop, in the stages")

    def check(self) -> None:
        if self.inputs is None:
            return
        from posekit.io import check_inputs, is_webcam  # which need what decodes videos

        items = self.inputs if isinstance(self.inputs, list | tuple) else [self.inputs]
        for item in items:
            if not isinstance(item, str | os.PathLike) or is_webcam(item) or "://" in str(item):
                kind = "a camera or a URL" if isinstance(item, str) else type(item).__name__
                raise InputError(
                    f"inputs must be files, whose decoding can be measured, found {kind}: save it "
                    "as a file first"
                )
        check_inputs(self.inputs)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """Output files."""

    out: str | os.PathLike[str] | None = option(
        None, "write the figures and the machine to this JSON file"
    )

    trace: str | os.PathLike[str] | None = option(
        None,
        "write to this JSON file what each thread does while `inputs` (up to 100 frames) go "
        "through prediction with tracking, drawings and predictions; open it in "
        "https://ui.perfetto.dev",
    )

    def check(self) -> None:
        for name, value in (("out", self.out), ("trace", self.trace)):
            if value is not None:
                path = Path(value)
                if path.is_dir() or not os.access(path.parent, os.W_OK):
                    raise InputError(
                        f"{name}={path}: expected a file in a folder that can be written to"
                    )


BENCH_KEYS = (NetworkOptions, EngineOptions, FrameOptions, DeviceOptions, ReportOptions)


@dataclass(frozen=True, kw_only=True)
class BenchOptions(NetworkOptions, EngineOptions, FrameOptions, DeviceOptions, ReportOptions):
    """The keys of `posekit bench`, without its configuration groups."""

    def check(self) -> None:
        if self.floating_type not in ("float32", "float16", "bfloat16"):
            raise InputError(f"dtype must be float32, float16 or bfloat16, found {self.dtype!r}")

    @property
    def floating_type(self) -> str:
        """The name of the networks' type."""
        return "float32" if self.dtype is None else str(self.dtype).removeprefix("torch.")


@dataclass(frozen=True, kw_only=True)
class BenchChoices(Options):
    """What Python has in place of the configuration groups."""

    detector: str | os.PathLike[str] | None = option(
        None, "as in `posekit.load`; if unset, the model's own", python=True
    )
    config_dir: str | os.PathLike[str] | None = option(
        None, "a folder with your own configurations", python=True
    )


@dataclass(frozen=True, kw_only=True)
class BenchKeywords(BenchChoices, BenchOptions):
    """What `posekit.bench` takes."""
