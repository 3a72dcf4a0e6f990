"""What an evaluation can be told. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posekit.config import NO_DETECTOR
from posekit.declared import Options, option
from posekit.errors import InputError

__all__ = ["EvaluateKeywords", "EvaluateOptions", "Kind"]

# What is evaluated.
Kind = Literal["model", "detector", "lifter"]

# Of pose models alone.
_OF_POSES = ("detections", "detector_weights", "metrics")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """The keys of `posekit evaluate`."""

    weights: str | os.PathLike[str] | None = option(
        None, "file or URL instead of the published ones"
    )
    trust: bool = option(
        False, "build classes that are not posekit's of a model's folder: they run code"
    )
    detections: str | os.PathLike[str] | None = option(
        None, "COCO result file of a detector: its boxes instead of the labelled ones"
    )
    detector_weights: str | os.PathLike[str] | None = option(
        None, "as `weights`, for the detector whose boxes are taken"
    )
    bbox_thr: float | None = option(
        None,
        "detections of a lower score are left out; left out, 0 for a file, 0.05 for a detector",
        least=0,
        most=1,
    )
    nms_thr: float | None = option(
        None,
        "of two boxes of the detector with a larger IoU the worse is left out; left out, none is",
        least=0,
        most=1,
    )
    sequences: str | os.PathLike[str] | list[str] | None = option(
        None, "NPZ files of a lifter, or one of them"
    )

    metrics: str | list[str] | None = option(
        None,
        "any of `ap`, `pck`, `pckh`, `auc`, `epe`, `nme`; left out, what is published for the data "
        "set",
    )
    flip_test: bool | None = option(
        None, "average with the mirrored crop; left out, as the model's configuration says"
    )
    oks_nms: float | None = option(
        0.9,
        "of `ap`: people of an image that resemble a better one by more go; null keeps all",
        least=0,
        most=1,
    )
    rescore: float | None = option(
        0.2,
        "of `ap`: a person's score is the box's times the mean of the keypoints' scores above it; "
        "null takes the box's",
        least=0,
        most=1,
    )

    out: str | os.PathLike[str] | None = option(
        None, "JSON file for the metrics, the published figures and the settings"
    )
    out_predictions: str | os.PathLike[str] | None = option(
        None, "JSON file for the predictions: COCO results, as they were counted"
    )
    with_predictions: bool = option(
        False, "give the predictions with the result, as COCO results", python=True
    )
    show_progress: bool = option(False, "a bar on the terminal", python=True)

    # Checked where they are used, as PyTorch's own objects may be given too.
    device: Any = option(None, "`cpu`, `cuda`, `cuda:1`, `mps`; left out, the best there is")
    dtype: Any = option(
        None, "of the networks: `float32`, `float16` or `bfloat16`; left out, `float32`"
    )
    backend: str | None = option(
        None,
        "what runs the networks: `torch`, `compile`, `onnxruntime`, `openvino`, `tensorrt`, or "
        "`auto` for the fastest; left out, PyTorch without changes",
    )
    batch_size: int = option(64, "most that go through the network at once", unit="crops", least=1)
    workers: int | None = option(
        None, "processes that read images; left out, 2 for 500 people or more, else none", least=0
    )

    def check(self) -> None:
        """Refuses what contradicts itself, and files that cannot be written."""
        if self.dtype_name not in ("float32", "float16", "bfloat16"):
            raise InputError(
                f"dtype must be float32, float16 or bfloat16, found {self.dtype_name!r}"
            )
        for key in ("out", "out_predictions"):
            path = getattr(self, key)
            if path is not None and Path(path).is_dir():
                raise InputError(
                    f"{key}: expected a file such as results.json, found a folder: {path}"
                )
            if path is not None and not os.access(Path(path).parent, os.W_OK):
                raise InputError(f"{key}: cannot write to the folder {Path(path).parent}")

    def check_applies(self, kind: Kind, name: str, *, detector: bool) -> None:
        """Refuses what has no effect on what is evaluated.

        Args:
            kind: of the network.
            name: its name.
            detector: another one gives it boxes.

        Raises:
            InputError: names the option.
        """
        if kind != "model":
            for key in _OF_POSES:
                if getattr(self, key) is not None:
                    hint = "; use weights" if key == "detector_weights" else ""
                    raise InputError(f"{key} applies to pose models; {name} is a {kind}{hint}")
        elif self.detections is not None and detector:
            raise InputError("expected detections=FILE or detector=NAME, found both: leave one out")
        elif self.detector_weights is not None and not detector:
            raise InputError("detector_weights are given, but no detector to load them into")
        if (self.sequences is None) == (kind == "lifter"):
            what = (
                "name the NPZ files of a lifter" if kind == "lifter" else "applies to lifters alone"
            )
            raise InputError(f"sequences: {what}, sequences=FILE")
        if kind == "lifter":
            self._check_lifter()

    def _check_lifter(self) -> None:
        if self.backend is not None:
            raise InputError("backend: lifters run in PyTorch; leave it out")
        for key in ("out_predictions", "with_predictions"):
            if getattr(self, key):
                raise InputError(f"{key}: lifters have no COCO results; leave it out")

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


@dataclass(frozen=True, kw_only=True)
class EvaluateKeywords(EvaluateOptions):
    """What `posekit.evaluate` takes: the same, and in place of the groups of the configuration:"""

    dataset: str | os.PathLike[str] | dict[str, Any] | None = option(
        None,
        "one of `conf/dataset/` by its name, a YAML file like those, or their content; left out, "
        "`custom` with `val`, else `coco`, or `coco_boxes` for a detector",
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
    detector: str | None = option(
        None,
        "whose boxes are taken instead of the labelled ones; `none` is the same as left out",
        python=True,
    )
    config_dir: str | os.PathLike[str] | None = option(
        None,
        "a folder with configurations of your own, looked into before the packaged ones",
        python=True,
    )

    @property
    def detector_name(self) -> str | None:
        """Of the detector whose boxes are taken; None for none."""
        return None if self.detector in NO_DETECTOR else self.detector

    def check_applies(self, kind: Kind, name: str, *, detector: bool) -> None:
        """As that of `EvaluateOptions`."""
        if kind == "lifter":
            for key in ("dataset", "root", "val"):
                if getattr(self, key) is not None:
                    raise InputError(f"{key} applies to labelled images; {name} is a lifter")
        if kind != "model" and detector:
            raise InputError(f"detector gives boxes to pose models; {name} is a {kind}")
        super().check_applies(kind, name, detector=detector)
