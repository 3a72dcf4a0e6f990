"""The options of an evaluation. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posekit.config import NO_DETECTOR
from posekit.declared import Options, is_number, option
from posekit.errors import InputError
from posekit.loading import DeviceOptions, ModelOptions

__all__ = ["EvaluateOptions", "Kind"]

# What is evaluated.
Kind = Literal["model", "detector", "lifter"]


@dataclass(frozen=True, kw_only=True)
class LabelOptions(Options):
    """Data."""

    dataset: str | os.PathLike[str] | dict[str, Any] | None = option(
        None,
        "a name from `conf/dataset/`, a YAML file like those, or its content; if unset, "
        "only `val`, or without that `coco` (for a detector `coco_boxes`)",
        python=True,
    )
    root: str | os.PathLike[str] | None = option(
        None, "the folder of the unpacked data set", python=True
    )
    val: Any = option(
        None,
        "labels to use instead of the data set's: a file, a mapping with the fields of "
        "`posekit.datasets.sources.Source`, or a list of these, which are measured together",
        python=True,
    )
    config_dir: str | os.PathLike[str] | None = option(
        None,
        "a folder with your own configurations, searched before the packaged ones",
        python=True,
    )
    sequences: str | os.PathLike[str] | list[str] | None = option(
        None, "NPZ file or files, for a lifter"
    )


@dataclass(frozen=True, kw_only=True)
class BoxOptions(Options):
    """Boxes for a pose model, instead of the labelled ones."""

    detections: str | os.PathLike[str] | None = option(
        None, "use the boxes of this COCO result file of a detector"
    )
    detector: str | None = option(
        None, "use the boxes of this detector, which runs first", python=True
    )
    detector_weights: str | os.PathLike[str] | None = option(None, "as `weights`, for `detector`")
    bbox_thr: float | None = option(
        None,
        "detections below this score are dropped; by default 0 for a file, 0.05 for a "
        "detector, and the model's own threshold for a one-stage model",
        least=0,
        most=1,
    )
    nms_thr: float | None = option(
        None,
        "of two boxes with an IoU above this, the one with the lower score is dropped; by "
        "default only the detector's own suppression applies; likewise for the people of a "
        "one-stage model",
        least=0,
        most=1,
    )


@dataclass(frozen=True, kw_only=True)
class MetricOptions(Options):
    """Metrics."""

    metrics: str | list[str] | None = option(
        None,
        "metrics of a pose model: `ap`, `pck`, `pckh`, `auc`, `epe`, `nme`, one or a list; if "
        "unset, those published for the data set",
    )
    flip_test: bool | None = option(
        None, "average with the mirrored input; if unset, as the model's configuration says"
    )
    oks_nms: float | Literal["auto"] | None = option(
        "auto",
        "for `ap`: of two people in an image with an OKS above this, the one with the lower "
        "score is dropped; none keeps all; `auto` is as published: 0.9, for one-stage models "
        "none",
        least=0,
        most=1,
    )
    rescore: float | Literal["auto"] | None = option(
        "auto",
        "for `ap`: a person's score is the box score times the mean score of the keypoints "
        "above this; none uses the box score; `auto` is as published: 0.2, for one-stage "
        "models none",
        least=0,
        most=1,
    )

    def check(self) -> None:
        """Refuses thresholds that are not numbers from 0 to 1."""
        for key in ("oks_nms", "rescore"):
            value = getattr(self, key)
            if value not in ("auto", None) and not (is_number(value) and 0 <= value <= 1):
                raise InputError(
                    f"{key} must be a number from 0 to 1, auto, or left out, found {value!r}"
                )

    def suppression(self, *, one_stage: bool = False) -> float | None:
        """The value of `oks_nms` for a kind of model; None for no suppression."""
        published = None if one_stage else 0.9
        return published if self.oks_nms == "auto" else self.oks_nms

    def rescoring(self, *, one_stage: bool = False) -> float | None:
        """The value of `rescore` for a kind of model; None for no rescoring."""
        published = None if one_stage else 0.2
        return published if self.rescore == "auto" else self.rescore


@dataclass(frozen=True, kw_only=True)
class ResultOptions(Options):
    """Output files."""

    out: str | os.PathLike[str] | None = option(
        None, "write metrics, published figures and settings to this JSON file"
    )
    out_predictions: str | os.PathLike[str] | None = option(
        None, "write the predictions to this JSON file, as COCO results"
    )
    with_predictions: bool = option(False, "add `predictions` to the result", python=True)
    show_progress: bool = option(False, "show a progress bar on the terminal", python=True)


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Options):
    """The engine."""

    backend: str | None = option(
        None,
        "engine of the networks: `eager`, `torch`, `compile`, `onnxruntime`, `openvino`, "
        "`tensorrt`, or `auto` for the fastest on this machine; if unset, `eager`, so that "
        "figures depend on the model alone, and for a graph what `auto` would choose",
    )
    batch_size: int = option(64, "the largest batch of the network", unit="crops", least=1)
    workers: int | None = option(
        None,
        "processes that read images; if unset, 2 for 500 people or more, else none",
        least=0,
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(
    ModelOptions,
    LabelOptions,
    BoxOptions,
    MetricOptions,
    ResultOptions,
    DeviceOptions,
    EngineOptions,
):
    """The keys of `posekit evaluate`, and what Python has instead of its configuration groups."""

    def check(self) -> None:
        """Refuses an unsupported dtype, and files that cannot be written."""
        if self.dtype_name not in ("float32", "float16", "bfloat16"):
            raise InputError(f"dtype must be float32, float16 or bfloat16, found {self.dtype!r}")
        for key in ("out", "out_predictions"):
            path = getattr(self, key)
            if path is not None and Path(path).is_dir():
                raise InputError(
                    f"{key}: expected a file such as results.json, found a folder: {path}"
                )
            if path is not None and not os.access(Path(path).parent, os.W_OK):
                raise InputError(f"{key}: cannot write to the folder {Path(path).parent}")

    def check_applies(self, kind: Kind, name: str, *, has_detector: bool) -> None:
        """Refuses options that have no effect on the evaluated network.

        Args:
            kind: kind of the network.
            name: its name.
            has_detector: whether another network gives it boxes.

        Raises:
            InputError: there is such an option; the message names it.
        """
        if kind == "model":
            self._check_boxes(has_detector=has_detector)
        else:
            if has_detector:
                raise InputError(f"detector gives boxes to pose models; {name} is a {kind}")
            hints = {"detector_weights": "; use weights"}
            of_poses = ("detections", "detector_weights", "metrics")
            self._refuse(of_poses, f"applies to pose models; {name} is a {kind}", hints)
        if kind != "lifter" and self.sequences is not None:
            raise InputError("sequences applies to lifters only: leave it out")
        if kind == "lifter":
            if not self.sequence_files:
                raise InputError("sequences: name the NPZ files of a lifter, sequences=FILE")
            self._refuse(("dataset", "root", "val"), f"does not apply: {name} is a lifter")
            if self.backend is not None:
                raise InputError("backend: lifters run in PyTorch; leave it out")
            for key in ("out_predictions", "with_predictions"):
                if getattr(self, key):
                    raise InputError(f"{key}: lifters have no COCO results; leave it out")

    def check_one_stage(self, name: str) -> None:
        """Refuses options that have no effect on a model that finds people itself.

        Raises:
            InputError: there is such an option; the message names it.
        """
        why = f"does not apply: {name} finds the people itself"
        self._refuse(("detections", "detector_weights"), why)
        if self.flip_test:
            raise InputError(f"flip_test does not apply: {name} looks at whole images as they are")
        metrics = [self.metrics] if isinstance(self.metrics, str) else self.metrics
        if others := [metric for metric in metrics or () if metric != "ap"]:
            raise InputError(
                f"metrics: {', '.join(others)} measures people in labelled boxes, and {name} finds "
                "them itself: choose metrics=[ap]"
            )

    def _check_boxes(self, *, has_detector: bool) -> None:
        if self.detections is not None and has_detector:
            raise InputError("expected detections=FILE or detector=NAME, found both: leave one out")
        if self.detector_weights is not None and not has_detector:
            raise InputError("detector_weights are given, but no detector to load them into")

    def _refuse(
        self, keys: tuple[str, ...], why: str, hints: Mapping[str, str] | None = None
    ) -> None:
        for key in keys:
            if getattr(self, key) is not None:
                raise InputError(f"{key} {why}{(hints or {}).get(key, '')}")

    @property
    def detector_name(self) -> str | None:
        """The name of the detector whose boxes are used; None for none."""
        return None if self.detector in NO_DETECTOR else self.detector

    @property
    def dtype_name(self) -> str:
        """The networks' type, as text."""
        return "float32" if self.dtype is None else str(self.dtype).removeprefix("torch.")

    @property
    def sequence_files(self) -> list[str]:
        """The NPZ files of a lifter, as texts."""
        files = self.sequences if isinstance(self.sequences, list | tuple) else [self.sequences]
        return [os.fspath(file) for file in files if file is not None]

    @property
    def wants_predictions(self) -> bool:
        """Whether COCO results are asked for."""
        return self.with_predictions or self.out_predictions is not None
