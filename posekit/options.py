"""The options of a call of the predictor, in groups. Imports no torch.

A group is declared in the module that acts on it. Those whose module imports torch are declared
here, since importing it would delay `--help` and the refusal of wrong values.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from posekit.angles import angle_names
from posekit.declared import Options, option
from posekit.drawing.drawer import Look
from posekit.drawing.window import ShowOptions
from posekit.errors import InputError
from posekit.io.inputs import Inputs
from posekit.io.listing import ErrorOptions, InputOptions
from posekit.io.motion_options import MotionOptions
from posekit.io.sinks import Run, check_count, needs, together
from posekit.io.write import WriteOptions, common_folder
from posekit.loading import LoadOptions, Speed
from posekit.skeleton import Skeleton
from posekit.stages.choose import Select
from posekit.stages.smooth import SmoothOptions
from posekit.stages.track_options import TrackOptions

if TYPE_CHECKING:
    from posekit.parts import Parts

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
        "boxes to use instead of the detector's: per image or frame (n, 4) or, with scores, "
        "(n, 5), xyxy in pixels; for a single image just its array",
    )
    bbox_thr: float | None = option(
        None,
        f"detections below this score are dropped; by default {SCORE_THRESHOLD:g}, or the "
        "model's own threshold if it finds people itself",
        least=0,
        most=1,
    )
    nms_thr: float | None = option(
        None,
        "of two detections with an IoU above this, the one with the lower score is dropped; "
        f"by default {NMS_THRESHOLD:g}, or the model's own threshold if it finds people itself",
        least=0,
        most=1,
    )
    det_cat_ids: Collection[int] | int | None = option(
        None,
        "class number or numbers of the detector to use; one that it does not have is an "
        "error; if unset, the model's own",
    )
    empty: Literal["none", "whole_image"] = option(
        "none",
        "if nobody is found: `none` gives no instance, `whole_image` uses the image as one "
        "box of score 1, as MMPose does",
    )

    max_people: int | None = option(
        None,
        "the most people per image whose pose is estimated; if unset, all, or 1 with `select`",
        least=1,
    )
    select: Select | None = option(
        None,
        "which people to keep: those with the best `score`, the `largest`, or the most "
        "`central` ones; with tracking, a chosen person stays chosen until the track ends "
        "(`max_age`); if unset, `score`",
    )

    def check(self) -> None:
        if self.det_cat_ids is not None:
            class_numbers(self.det_cat_ids)

    @property
    def most_people(self) -> int | None:
        """The most people wanted per image; None for all."""
        return 1 if self.max_people is None and self.select is not None else self.max_people

    @property
    def detection_thresholds(self) -> tuple[float, float]:
        """The least score of a detector's boxes, and the largest IoU of two."""
        return (
            SCORE_THRESHOLD if self.bbox_thr is None else self.bbox_thr,
            NMS_THRESHOLD if self.nms_thr is None else self.nms_thr,
        )

    @property
    def det_categories(self) -> tuple[int, ...] | None:
        """The numbers of the detector's classes to use; None for the model's own."""
        return None if self.det_cat_ids is None else class_numbers(self.det_cat_ids)


@dataclass(frozen=True, kw_only=True)
class EstimateOptions(Options):
    """Estimation."""

    flip_test: bool | None = option(
        None,
        "average with the mirrored crop, and a lifter's input with the mirrored one; if "
        "unset, as `speed` says",
    )
    pose_based_nms: bool = option(
        False, "of instances whose keypoints nearly coincide, keep the best"
    )
    batch_size: int | Literal["auto"] = option(
        "auto",
        "frames or images per batch; results do not depend on it, but the first one comes "
        "once a batch is read: `auto` uses up to 8 for files (16 on a GPU), fewer for large "
        "ones, and 1 for an iterator or a window; a camera, a stream and `det_interval` of "
        "`auto` or above 1 always use 1",
        least=1,
    )
    pose_batch_size: int = option(64, "the most crops per batch of the pose network", least=1)


@dataclass(frozen=True, kw_only=True)
class LiftOptions(Options):
    """Lifting to 3D."""

    lift_window: int | None = option(
        None,
        "frames of a person that are lifted together; if unset, as many as the lifter takes "
        "(243), or 9 past frames for a camera; 1 lifts each frame by itself, as MMPose does",
        least=1,
        only="lifted",
    )
    disable_norm_pose_2d: bool = option(
        False, "do not move people to the centre of the lifter's training data", only="lifted"
    )
    disable_rebase_keypoint: bool = option(
        False, "do not put the lowest keypoint at height 0", only="3D"
    )


@dataclass(frozen=True, kw_only=True)
class PredictOptions(
    InputOptions,
    WriteOptions,
    MotionOptions,
    ShowOptions,
    DetectOptions,
    EstimateOptions,
    ErrorOptions,
    TrackOptions,
    SmoothOptions,
    LiftOptions,
    Look,
):
    """The options of `Predictor.__call__` and `Predictor.stream`."""

    def check(self) -> None:
        if self.track == "none" and self.smooth is not None:
            raise InputError("smooth needs tracks, but track is 'none'")
        marks = self.marks(tracked=False)
        if self.track in (None, "none") and (of_tracks := {"ids", "trail"} & set(marks)):
            raise InputError(
                f"draw={sorted(of_tracks)[0]} needs track ids: set track=iou, or leave it out"
            )
        if self.det_interval not in (None, 1) and self.bboxes is not None:
            raise InputError("det_interval does not apply where bboxes are given")
        if self.track == "none" and (timed := needs(self.prediction_formats, "time")):
            raise InputError(
                f"format {timed[0]} needs track ids, but track is 'none'; leave track out"
            )
        check_count(self, self.prediction_formats)

    def check_applies(self, *, pose3d: bool, lifted: bool) -> None:
        """Refuses what would have no effect.

        Args:
            pose3d: whether the predictor gives 3D keypoints.
            lifted: whether it lifts them from 2D ones.

        Raises:
            InputError: names the option.
        """
        fits = {"": True, "2D": not pose3d, "3D": pose3d, "lifted": lifted}
        kinds = {"2D": "2D models", "3D": "3D models", "lifted": "models that lift 2D poses"}
        for name, declared in self.declared().items():
            only, value = declared.about.only, getattr(self, name)
            if not fits[only] and value != declared.default:
                raise InputError(f"{name}={value!r} applies to {kinds[only]} only; leave it out")

    def check_drawn(self, skeleton: Skeleton) -> None:
        """Refuses what a skeleton does not have.

        Raises:
            InputError: names the option.
        """
        if "angles" in self.marks(tracked=False) and not angle_names(skeleton):
            raise InputError(
                f"draw=angles does not apply: skeleton '{skeleton.name}' lacks the keypoints of "
                "any angle; leave it out"
            )

    def check_one_stage(self, name: str) -> None:
        """Refuses what would have no effect with a model that finds people itself.

        Args:
            name: name of the model.

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

    def check_parts(self, parts: Parts) -> None:
        """Refuses what would have no effect with a model, before its weights are fetched.

        Raises:
            InputError: names the option.
        """
        from posekit.spec import OneStageSpec

        spec = None if parts.model is None else parts.model.spec
        lifted = parts.lifter is not None
        pose3d = lifted or getattr(spec, "keypoints_3d", False)
        self.check_applies(pose3d=pose3d, lifted=lifted)
        if isinstance(spec, OneStageSpec):
            self.check_one_stage(spec.name)

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuses images if a format is for videos only, or if a part of a video is asked for.

        Raises:
            InputError: names the format, or the option.
        """
        inputs.check_cut(self.cut)
        timed = needs(self.prediction_formats, "time")
        if timed and self.predictions_dir is not None and inputs.count() is not None:
            raise InputError(
                f"format {timed[0]} is for videos, whose frames have times; all inputs are "
                "images: name a video, or another format"
            )

    def run_of(self, inputs: Inputs, **known: Any) -> Run:
        """What all results of a call have in common, for the files that store it.

        Args:
            inputs: the inputs of the call.
            known: the fields of `Run` that no option gives.
        """
        declared = self.declared()
        in_one = any(together(one) == "all" for one in self.prediction_formats)
        return Run(
            **known,
            kpt_thr=self.kpt_thr,
            root=common_folder(inputs.files()) if in_one else None,
            settings=self,
            options={
                name: value
                for name, value in self.named.items()
                if isinstance(value, bool | int | float | str) and value != declared[name].default
            },
        )

    @property
    def tracked_for(self) -> str | None:
        """The format that needs tracks, if `track` is unset; None for none."""
        people = needs(self.prediction_formats, "tracks")
        wanted = self.track is None and self.predictions_dir is not None
        return people[0] if people and wanted else None

    @property
    def similarity(self) -> Any:
        """How people are tracked, if ids are asked for or needed; else None.

        It is "iou", "oks", or what the caller gave to make trackers.
        """
        if self.has_own_tracker:
            return self.track
        if self.use_oks_tracking or self.track == "oks":
            return "oks"
        if self.track == "iou" or self.tracked_for is not None:
            return "iou"
        return "iou" if self.det_interval not in (None, 1) or self.smooth is not None else None

    def det_interval_at(self, speed: Speed, *, detects: bool) -> int | Literal["auto"]:
        """`det_interval`, or that of a speed if it is unset.

        Args:
            speed: speed of the predictor.
            detects: whether it has a detector.
        """
        if self.det_interval is not None:
            return self.det_interval
        # What the caller's own trackers can do is not known before they are made.
        tracked = self.track != "none" and not self.has_own_tracker
        may_rest = detects and self.bboxes is None and tracked
        return "auto" if speed == "fast" and may_rest else 1


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """Inputs."""

    inputs: Any = option(
        None,
        "image, video, folder, glob pattern, URL, `webcam`, `webcam:1`, or a list: "
        "`inputs=[a.jpg,b.mp4]`; `posekit:demo.mp4` is a packaged video of drawn people, for "
        "`model=demo`",
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
