"""What an evaluation can be told. Imports no torch."""

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
    """What is measured on."""

    dataset: str | os.PathLike[str] | dict[str, Any] | None = option(
        None,
        "one of `conf/dataset/` by its name, a YAML file like those, or what such a file says; "
        "left out, `coco`, or `coco_boxes` for a detector, or with `val` just that",
        python=True,
    )
    root: str | os.PathLike[str] | None = option(
        None, "the folder where the data set was unpacked", python=True
    )
    val: Any = option(
        None,
        "labels instead of the data set's: a file, a mapping of the fields of "
        "`posekit.datasets.sources.Source`, or a list of these, which are measured together",
        python=True,
    )
    config_dir: str | os.PathLike[str] | None = option(
        None,
        "a folder with configurations of your own, looked into before the packaged ones",
        python=True,
    )
    sequences: str | os.PathLike[str] | list[str] | None = option(
        None, "of a lifter: its NPZ files, or one of them"
    )


@dataclass(frozen=True, kw_only=True)
class BoxOptions(Options):
    """The boxes of a pose model, instead of the labelled ones, or those it finds."""

    detections: str | os.PathLike[str] | None = option(
        None, "those of a COCO result file of a detector"
    )
    detector: str | None = option(
        None, "those of a detector of posekit, which runs first", python=True
    )
    detector_weights: str | os.PathLike[str] | None = option(
        None, "of the detector whose boxes are taken, as `weights`"
    )
    bbox_thr: float | None = option(
        None,
        "detections of a lower score are left out; by default 0 for a file, 0.05 for a detector, "
        "and for people of a one-stage model its own",
        least=0,
        most=1,
    )
    nms_thr: float | None = option(
        None,
        "of two boxes of the detector with an IoU above this, the one with the lower score is left "
        "out; by default there is only the detector's own suppression; the same for people of a "
        "one-stage model",
        least=0,
        most=1,
    )


@dataclass(frozen=True, kw_only=True)
class MetricOptions(Options):
    """How the model is measured."""

    metrics: str | list[str] | None = option(
        None,
        "of a pose model: `ap`, `pck`, `pckh`, `auc`, `epe`, `nme`, one or a list; left out, what "
        "is published for the data set",
    )
    flip_test: bool | None = option(
        None, "average with the mirrored input; left out, as the model's configuration says"
    )
    oks_nms: float | Literal["auto"] | None = option(
        "auto",
        "for `ap`: of two people of an image with an OKS above this, the one with the lower score "
        "is left out; none keeps all; `auto` is as published: 0.9, for one-stage models none",
        least=0,
        most=1,
    )
    rescore: float | Literal["auto"] | None = option(
        "auto",
        "for `ap`: a person's score is the box's times the mean of the keypoints' scores above it; "
        "none takes the box's; `auto` is as published: 0.2, for one-stage models none",
        least=0,
        most=1,
    )

    def check(self) -> None:
        """Refuses thresholds that are none."""
        for key in ("oks_nms", "rescore"):
            value = getattr(self, key)
            if value not in ("auto", None) and not (is_number(value) and 0 <= value <= 1):
                raise InputError(
                    f"{key} must be a number from 0 to 1, auto, or left out, found {value!r}"
                )

    def suppression(self, *, one_stage: bool = False) -> float | None:
        """`oks_nms` of a kind of model."""
        published = None if one_stage else 0.9
        return published if self.oks_nms == "auto" else self.oks_nms

    def rescoring(self, *, one_stage: bool = False) -> float | None:
        """`rescore` of a kind of model."""
        published = None if one_stage else 0.2
        return published if self.rescore == "auto" else self.rescore


@dataclass(frozen=True, kw_only=True)
class ResultOptions(Options):
    """What is written."""

    out: str | os.PathLike[str] | None = option(
        None, "a JSON file: metrics, published figures and settings"
    )
    out_predictions: str | os.PathLike[str] | None = option(
        None, "a JSON file: COCO results, as they were counted"
    )
    with_predictions: bool = option(False, "the result has `predictions` too", python=True)
    show_progress: bool = option(False, "a bar on the terminal", python=True)


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Options):
    """The engine."""

    backend: str | None = option(
        None,
        "what runs the networks: `eager`, `torch`, `compile`, `onnxruntime`, `openvino`, "
        "`tensorrt`, or `auto` for the fastest on this machine; left out, `eager`, so that figures "
        "depend on the model alone, or for a graph what `auto` would take",
    )
    batch_size: int = option(
        64, "the most that go through the network at once", unit="crops", least=1
    )
    workers: int | None = option(
        None,
        "processes that read images; left out, 2 where there are 500 people or more, else none",
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
    """The keys of `posekit evaluate`, and what takes the place of its groups in Python."""

    def check(self) -> None:
        """Refuses a type that networks do not have, and files that cannot be written."""
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
        """Refuses what has no effect on what is evaluated.

        Args:
            kind: of the network.
            name: its name.
            has_detector: another network gives it boxes.

        Raises:
            InputError: names the option.
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
            raise InputError("sequences: applies to lifters alone, sequences=FILE")
        if kind == "lifter":
            if not self.sequence_files:
                raise InputError("sequences: name the NPZ files of a lifter, sequences=FILE")
            self._refuse(("dataset", "root", "val"), f"is of images; {name} is a lifter")
            if self.backend is not None:
                raise InputError("backend: lifters run in PyTorch; leave it out")
            for key in ("out_predictions", "with_predictions"):
                if getattr(self, key):
                    raise InputError(f"{key}: lifters have no COCO results; leave it out")

    def check_one_stage(self, name: str) -> None:
        """Refuses what has no effect on a model that finds people itself.

        Raises:
            InputError: names the option.
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
        """Of the detector whose boxes are taken; None for none."""
        return None if self.detector in NO_DETECTOR else self.detector

    @property
    def dtype_name(self) -> str:
        """The networks' type, as text."""
        return "float32" if self.dtype is None else str(self.dtype).removeprefix("torch.")

    @property
    def sequence_files(self) -> list[str]:
        """Those of a lifter, as texts."""
        files = self.sequences if isinstance(self.sequences, list | tuple) else [self.sequences]
        return [os.fspath(file) for file in files if file is not None]

    @property
    def wants_predictions(self) -> bool:
        """Whether COCO results are asked for."""
        return self.with_predictions or self.out_predictions is not None
