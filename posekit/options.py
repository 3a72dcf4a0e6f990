"""What a call of the predictor can be told: the groups of options of all that it does. No torch.

A group stands in the module that acts on it. Those whose module imports torch, which takes longer
than a command needs to answer `--help` or to refuse a wrong value, stand here.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from posekit.biomechanics import BodyOptions
from posekit.declared import Options, option
from posekit.drawing.drawer import Look
from posekit.drawing.window import ShowOptions
from posekit.errors import InputError
from posekit.io.inputs import Inputs
from posekit.io.listing import ErrorOptions, InputOptions
from posekit.io.sinks import check_count, of_clips, of_people
from posekit.io.write import WriteOptions
from posekit.loading import LoadOptions, Speed
from posekit.stages.smooth import SmoothOptions
from posekit.stages.track import TrackOptions

__all__ = [
    "PREDICT_KEYS",
    "DetectOptions",
    "EstimateOptions",
    "LiftOptions",
    "PredictOptions",
    "SkipHandler",
    "class_numbers",
]

# Called with the name of an input that could not be used, and why.
SkipHandler = Callable[[str, InputError], None]

# Of a detector, where nothing is said.
SCORE_THRESHOLD = 0.3
NMS_THRESHOLD = 0.3
# What has no effect with a model that finds people itself.
NEED_BOXES = ("bboxes", "det_cat_ids", "empty", "det_interval", "pose_batch_size", "flip_test")


@dataclass(frozen=True, kw_only=True)
class DetectOptions(Options):
    """Detection."""

    bboxes: Any = option(
        None,
        "boxes instead of the detector's: per image or frame (n, 4) or, with scores, (n, 5), xyxy "
        "in pixels; for one image (n, 4) or (n, 5) itself",
    )
    bbox_thr: float | None = option(
        None,
        f"detections of a lower score are left out; by default {SCORE_THRESHOLD:g}, or "
        "the own threshold of a model that finds people itself",
        least=0,
        most=1,
    )
    nms_thr: float | None = option(
        None,
        "of two detections with an IoU above this, the one with the lower score is left out; by "
        f"default {NMS_THRESHOLD:g}, or the own threshold of a model that finds people itself",
        least=0,
        most=1,
    )
    det_cat_ids: Collection[int] | int | None = option(
        None,
        "number or numbers of the detector's classes to take; one that it does not have is an "
        "error; left out, the model's own",
    )
    empty: Literal["none", "whole_image"] = option(
        "none",
        "where nobody is found: `none` gives no instance, `whole_image` takes the image as one box "
        "of score 1, as MMPose does",
    )

    def check(self) -> None:
        if self.det_cat_ids is not None:
            class_numbers(self.det_cat_ids)

    @property
    def detection_thresholds(self) -> tuple[float, float]:
        """The least score of a detector's boxes, and the largest IoU of two."""
        return (
            SCORE_THRESHOLD if self.bbox_thr is None else self.bbox_thr,
            NMS_THRESHOLD if self.nms_thr is None else self.nms_thr,
        )

    @property
    def det_categories(self) -> tuple[int, ...] | None:
        """The numbers of the detector's classes to take, None for the model's own."""
        return None if self.det_cat_ids is None else class_numbers(self.det_cat_ids)


@dataclass(frozen=True, kw_only=True)
class EstimateOptions(Options):
    """Estimation."""

    flip_test: bool | None = option(
        None,
        "average with the mirrored crop, and a lifter's input with the mirrored one; left out, as "
        "`speed` says",
    )
    pose_based_nms: bool = option(
        False, "of instances whose keypoints nearly coincide, keep the best"
    )
    batch_size: int | Literal["auto"] = option(
        "auto",
        "frames or images that go through the networks at once; results do not depend on it, but "
        "the first comes when so many were read: `auto` takes up to 8 of files (16 on a GPU), "
        "fewer of large ones, and 1 of an iterator or for a window; a camera or a stream takes 1 "
        "in any case, and so do `det_interval` above 1 and `auto`",
        least=1,
    )
    pose_batch_size: int = option(
        64, "the most crops that go through the pose network at once", least=1
    )


@dataclass(frozen=True, kw_only=True)
class LiftOptions(Options):
    """Lifting to 3D."""

    lift_window: int | None = option(
        None,
        "frames of a person that are lifted together; left out, as many as the lifter takes (243), "
        "or 9 of the past for a camera; 1 lifts each by itself, as MMPose does",
        least=1,
        only="lifted",
    )
    disable_norm_pose_2d: bool = option(
        False, "do not move people to the middle of the lifter's training data", only="lifted"
    )
    disable_rebase_keypoint: bool = option(
        False, "do not put the lowest keypoint at height 0", only="3D"
    )


@dataclass(frozen=True, kw_only=True)
class PredictOptions(
    InputOptions,
    WriteOptions,
    ShowOptions,
    DetectOptions,
    EstimateOptions,
    ErrorOptions,
    TrackOptions,
    SmoothOptions,
    LiftOptions,
    BodyOptions,
    Look,
):
    """The options of `Predictor.__call__` and `Predictor.stream`."""

    def check(self) -> None:
        if self.track == "none" and self.smooth is not None:
            raise InputError("smooth needs tracks, but track is 'none'")
        if self.det_interval not in (None, 1) and self.bboxes is not None:
            raise InputError("det_interval does not apply where bboxes are given")
        if self.track == "none" and any(map(of_clips, self.prediction_formats)):
            raise InputError(
                "files per person, such as of formats=trc, need tracks; leave track out"
            )

        check_count(self, self.prediction_formats)

    def check_applies(self, *, pose3d: bool, lifted: bool) -> None:
        """Refuses what would have no effect.

        Args:
            pose3d: the predictor gives 3D keypoints.
            lifted: it lifts them from 2D ones.

        Raises:
            InputError: names the option.
        """
        fits = {"": True, "2D": not pose3d, "3D": pose3d, "lifted": lifted}
        kinds = {"2D": "2D models", "3D": "3D models", "lifted": "models that lift 2D poses"}
        for name, declared in self.declared().items():
            only, value = declared.about.only, getattr(self, name)
            if not fits[only] and value != declared.default:
                raise InputError(f"{name}={value!r} applies to {kinds[only]} only; leave it out")

    def check_one_stage(self, name: str) -> None:
        """Refuses what would have no effect with a model that finds people itself.

        Args:
            name: the model's.

        Raises:
            InputError: names the option.
        """
        for key in NEED_BOXES:
            value, default = getattr(self, key), self.declared()[key].default
            said = value is not None if default is None else value != default
            idle = value is False or (key == "det_interval" and value == 1)
            if said and not idle:
                raise InputError(
                    f"{key} does not apply: {name} finds people and keypoints at once, without "
                    "boxes from elsewhere; leave it out"
                )

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuses images where a format is written that is of videos only.

        Raises:
            InputError: all inputs are images; names the format.
        """
        only = [one for one in self.prediction_formats if of_clips(one)]
        if only and self.predictions_dir is not None and inputs.count():
            name = str(getattr(only[0], "__name__", only[0])).rpartition(".")[2]
            raise InputError(
                f"format {name} is of videos, whose frames have times; all inputs are images: name "
                "a video, or another format"
            )

    @property
    def tracked_for_files(self) -> bool:
        """Nothing is said of `track`, and a format wants to know who is who."""
        writes = self.predictions_dir is not None
        return self.track is None and writes and any(map(of_people, self.prediction_formats))

    @property
    def similarity(self) -> Literal["iou", "oks"] | None:
        """How people are tracked where ids are asked for or needed; None for not."""
        if self.use_oks_tracking or self.track == "oks":
            return "oks"
        if self.track == "iou" or self.tracked_for_files:
            return "iou"
        return "iou" if self.det_interval not in (None, 1) or self.smooth is not None else None

    def det_interval_at(self, speed: Speed, *, detects: bool) -> int | Literal["auto"]:
        """`det_interval`, or what a speed takes where nothing is said.

        Args:
            speed: the predictor's.
            detects: it has a detector.
        """
        if self.det_interval is not None:
            return self.det_interval
        may_rest = detects and self.bboxes is None and self.track != "none"
        return "auto" if speed == "fast" and may_rest else 1


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """Inputs."""

    inputs: Any = option(
        None,
        "image, video, folder, glob, URL, `webcam`, `webcam:1`, or a list: `inputs=[a.jpg,b.mp4]`",
    )


# The keys of `posekit predict`, in the order of its configuration.
PREDICT_KEYS: tuple[type[Options], ...] = (
    SourceOptions,
    InputOptions,
    LoadOptions,
    PredictOptions,
)


def class_numbers(ids: Any) -> tuple[int, ...]:
    """Classes of a detector, given as a number or as several, NumPy's among them.

    Raises:
        InputError: something else.
    """
    try:
        # Text is a collection too: of letters, or of bytes.
        several = isinstance(ids, Collection) and not isinstance(ids, str | bytes)
        chosen = tuple(ids) if several else (ids,)
    except TypeError:  # NumPy's array of no dimension
        chosen = ()
    whole = all(isinstance(i, numbers.Integral) and not isinstance(i, bool) for i in chosen)
    if not chosen or not whole or min(chosen) < 0:
        raise InputError(f"det_cat_ids must be class numbers, such as [0], found {ids!r}")
    return tuple(map(int, chosen))
