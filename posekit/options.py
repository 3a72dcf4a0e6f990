"""What a call of the predictor can be told, checked in one place. Light: no torch."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from posekit.config import nearest
from posekit.errors import InputError

__all__ = ["PredictOptions", "SkipHandler", "class_numbers"]

# Called with the name of an input that could not be used, and why.
SkipHandler = Callable[[str, InputError], None]

CHOICES: dict[str, tuple[Any, ...]] = {
    "empty": ("none", "whole_image"),
    "order": (None, "name", "natural"),
    "pred_format": ("json", "jsonl"),
    "skeleton_style": ("mmpose", "openpose"),
    "smooth": (None, "one-euro", "savgol"),
    "track": (None, "none", "iou", "oks"),
}
# The least that these may be; all are whole numbers.
LEAST = {
    "batch_size": 1,
    "pose_batch_size": 1,
    "radius": 1,
    "thickness": 1,
    "max_age": 0,
    "det_interval": 1,
}
# The most.
MOST = {"radius": 1000, "thickness": 1000, "num_instances": 100}
FRACTIONS = ("bbox_thr", "nms_thr", "tracking_thr")
DETECTED = {"bbox_thr": 0.3, "nms_thr": 0.3}  # of detectors, where nothing is said
FLAGS = (
    "black_background",
    "disable_norm_pose_2d",
    "disable_rebase_keypoint",
    "draw_bbox",
    "draw_heatmap",
    "pose_based_nms",
    "recursive",
    "return_vis",
    "show_progress",
    "use_oks_tracking",
)
# None leaves the choice to the model or to the input.
OPTIONAL_FLAGS = ("flip_test", "show")
# Options that only mean something for some predictors.
PATHS = ("out_dir", "vis_out_dir", "pred_out_dir")
ONLY_2D = ("black_background", "draw_heatmap", "skeleton_style")
ONLY_3D = ("disable_rebase_keypoint", "num_instances", "use_oks_tracking")
ONLY_BOXES = ("bboxes", "det_cat_ids", "empty", "det_interval", "pose_batch_size")
ONLY_LIFTED = ("disable_norm_pose_2d", "lift_window")


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The options of `Predictor.__call__` and `Predictor.stream`.

    Attributes:
        recursive: of a folder, take its subfolders and its videos too.
        include: of a folder, take the files that fit a pattern, such as "*.mp4".
        order: of the files of a folder or a pattern: by "name", character by character, or
            "natural", with digits as numbers (frame2 before frame10). None is natural where one
            image after the other is taken for a sequence (`track`, `det_interval`, `smooth`, a
            lifter's window), but by name with `bboxes`, which are given in that order.
        bboxes: boxes that replace the detector's: per image or frame (n, 4) or (n, 5), xyxy in
            pixels with an optional score; for one image (n, 4) or (n, 5) itself.
        bbox_thr: detections of a lower score are left out; None is 0.3, or the model's own
            threshold where it finds people itself.
        nms_thr: of two detections with a larger IoU the worse is left out; None is 0.3, or the
            model's own threshold where it finds people itself.
        det_cat_ids: the numbers of the detector's classes to take; None for the model's own.
        empty: what to do where nobody is found: "none" gives no instance, "whole_image" takes
            the whole image as a box of score 1, as MMPose does.
        flip_test: average with the mirrored crop; None does as the model's configuration says.
        pose_based_nms: of instances whose keypoints lie on each other keep the best.
        batch_size: frames detected at once; a camera or a stream takes one at a time, and so does
            `det_interval` above 1.
        pose_batch_size: most crops that go through the pose network at once.
        track: who is who over the frames, by the overlap of boxes ("iou") or of poses ("oks");
            "none" for no; None tracks where a lifter needs it, and keeps the ids to itself.
        use_oks_tracking: MMPose's name for track="oks" that keeps the ids to itself.
        tracking_thr: the least similarity of a person to a track.
        max_age: frames that a track survives without being seen.
        det_interval: detect in every n-th frame of a video, or of successive images; tracks carry
            the boxes between. The detector also runs where the size changes or everybody was lost.
        smooth: of tracked keypoints over time: "one-euro" (no delay) or "savgol" (a few frames).
        lift_window: frames of a video that are lifted to 3D together; None for as many as the
            lifter takes (243), or 9 of the past for a camera; 1 lifts each frame by itself, as
            MMPose does.
        disable_norm_pose_2d: do not move people to the middle of the lifter's training data.
        disable_rebase_keypoint: do not put the lowest 3D keypoint at height 0.
        out_dir: sets `vis_out_dir` to its `visualization/` and `pred_out_dir` to its
            `predictions/` where they are not given.
        vis_out_dir: folder of the drawings; or a picture's or a video's name, such as
            `out/drawing.jpg`, for the drawing itself. Where there are more of them, the further
            ones get names of their own beside it.
        pred_out_dir: folder of the predictions, as JSON.
        pred_format: a video's predictions as one "json" list, or "jsonl", a line per frame.
        return_vis: put the drawing into the result.
        show: open a window with the drawings; None does for a camera only.
        wait_time: seconds that an image is shown; 0 waits for a key. A video's frames do not wait.
        show_progress: a bar on the terminal.
        radius: of a keypoint's dot, in pixels.
        thickness: of a link's line, in pixels.
        kpt_thr: keypoints of a lower score are not drawn.
        draw_bbox: draw the boxes.
        draw_heatmap: the heat maps below the drawing, for models that have them.
        black_background: draw on black.
        skeleton_style: "mmpose" or "openpose".
        num_instances: 3D plots beside the picture; a negative number draws everybody.
        on_error: "raise", "skip" (a warning is logged), or a function that is called with the
            input's name and the error; the other inputs are done in both of these.
    """

    recursive: bool = False
    include: str | None = None
    order: Literal["name", "natural"] | None = None
    bboxes: Any = None
    bbox_thr: float | None = None
    nms_thr: float | None = None
    det_cat_ids: Collection[int] | int | None = None
    empty: Literal["none", "whole_image"] = "none"
    flip_test: bool | None = None
    pose_based_nms: bool = False
    batch_size: int = 1
    pose_batch_size: int = 64
    track: Literal["none", "iou", "oks"] | None = None
    use_oks_tracking: bool = False
    tracking_thr: float = 0.3
    max_age: int = 30
    det_interval: int = 1
    smooth: Literal["one-euro", "savgol"] | None = None
    lift_window: int | None = None
    disable_norm_pose_2d: bool = False
    disable_rebase_keypoint: bool = False
    out_dir: str | os.PathLike[str] | None = None
    vis_out_dir: str | os.PathLike[str] | None = None
    pred_out_dir: str | os.PathLike[str] | None = None
    pred_format: Literal["json", "jsonl"] = "json"
    return_vis: bool = False
    show: bool | None = None
    wait_time: float = 0
    show_progress: bool = False
    radius: int = 3
    thickness: int = 1
    kpt_thr: float = 0.3
    draw_bbox: bool = False
    draw_heatmap: bool = False
    black_background: bool = False
    skeleton_style: Literal["mmpose", "openpose"] = "mmpose"
    num_instances: int = 1
    on_error: Literal["raise", "skip"] | SkipHandler = "raise"

    def __post_init__(self) -> None:
        for field, choices in CHOICES.items():
            self._check_choice(field, choices)
        if not callable(self.on_error):
            self._check_choice("on_error", ("raise", "skip"))
        for field, least in LEAST.items():
            self._check_whole(field, least)
        if self.lift_window is not None:
            self._check_whole("lift_window", 1)
        count = self.num_instances
        if isinstance(count, bool) or not isinstance(count, numbers.Integral) or not count:
            raise InputError(
                f"num_instances must be at least 1, or negative for everybody, found {count!r}"
            )
        for field in FRACTIONS:
            value = getattr(self, field)
            if value is None and field in DETECTED:
                continue
            if not _is_number(value) or not 0 <= value <= 1:
                raise InputError(f"{field} must be between 0 and 1, found {value!r}")
        for field, most in MOST.items():
            if getattr(self, field) > most:
                raise InputError(f"{field} must be at most {most}, found {getattr(self, field)}")
        for field in FLAGS:
            if not isinstance(getattr(self, field), bool):
                raise InputError(f"{field} must be true or false, found {getattr(self, field)!r}")
        for field in OPTIONAL_FLAGS:
            value = getattr(self, field)
            if value is not None and not isinstance(value, bool):
                raise InputError(f"{field} must be true, false or left out, found {value!r}")
        if self.det_cat_ids is not None:
            class_numbers(self.det_cat_ids)
        if not _is_number(self.kpt_thr):
            raise InputError(f"kpt_thr must be a number, found {self.kpt_thr!r}")
        if not _is_number(self.wait_time) or self.wait_time < 0:
            raise InputError(f"wait_time must be seconds, 0 or more, found {self.wait_time!r}")
        for field in PATHS:
            value = getattr(self, field)
            if value is not None and not isinstance(value, str | os.PathLike):
                raise InputError(f"{field} must be a path, found {value!r}")
        self._check_tracking()

    def _check_tracking(self) -> None:
        if self.use_oks_tracking and self.track not in (None, "oks"):
            raise InputError(f"use_oks_tracking contradicts track='{self.track}'")
        if self.track == "none":
            for field, off in (("det_interval", 1), ("smooth", None)):
                if getattr(self, field) != off:
                    raise InputError(f"{field} needs tracks, but track is 'none'")
        if self.det_interval > 1 and self.bboxes is not None:
            raise InputError("det_interval does not apply where bboxes are given")

    def _check_choice(self, field: str, choices: Sequence[Any]) -> None:
        value = getattr(self, field)
        if value not in choices:
            names = ", ".join(choice for choice in choices if choice is not None)
            raise InputError(f"{field} must be one of {names}, found {value!r}")

    def _check_whole(self, field: str, least: int) -> None:
        value = getattr(self, field)
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            raise InputError(f"{field} must be a whole number of at least {least}, found {value!r}")

    @classmethod
    def from_keywords(cls, keywords: dict[str, Any]) -> PredictOptions:
        """The options that a caller named.

        Raises:
            InputError: an option that does not exist, with the nearest ones, or a wrong value.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in keywords:
            if name not in known:
                close = nearest(name, known)
                hint = f"did you mean {' or '.join(close)}?" if close else f"known: {known}"
                raise InputError(f"unknown option '{name}'; {hint}")
        return cls(**keywords)

    def check_applies(self, *, pose3d: bool, lifted: bool) -> None:
        """Refuses what would have no effect.

        Args:
            pose3d: the predictor gives 3D keypoints.
            lifted: it lifts them from 2D ones.

        Raises:
            InputError: names the option.
        """
        if pose3d:
            self._refuse(ONLY_2D, "applies to 2D models only")
        else:
            self._refuse(ONLY_3D, "applies to 3D models only")
        if not lifted:
            self._refuse(ONLY_LIFTED, "applies to models that lift 2D poses only")

    def check_one_stage(self, name: str) -> None:
        """Refuses what would have no effect with a model that finds people itself.

        Args:
            name: the model's.

        Raises:
            InputError: names the option.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ONLY_BOXES and value is not None and value is not field.default:
                if isinstance(value, int | str) and value == field.default:
                    continue
                raise InputError(
                    f"{field.name} does not apply: {name} finds people and keypoints at once, "
                    "without boxes from elsewhere; leave it out"
                )
        if self.flip_test:
            raise InputError(f"flip_test=True does not apply to {name}; leave it out")

    @property
    def detection_thresholds(self) -> tuple[float, float]:
        """The least score of a detector's boxes, and the largest IoU of two."""
        given = (self.bbox_thr, self.nms_thr)
        score, iou = (
            usual if value is None else value
            for value, usual in zip(given, DETECTED.values(), strict=True)
        )
        return score, iou

    def _refuse(self, names: Sequence[str], why: str) -> None:
        for field in dataclasses.fields(self):
            if field.name in names and getattr(self, field.name) != field.default:
                raise InputError(f"{field.name}={getattr(self, field.name)!r} {why}; leave it out")

    @property
    def similarity(self) -> Literal["iou", "oks"] | None:
        """How people are tracked where ids are asked for or needed; None for not."""
        if self.use_oks_tracking or self.track == "oks":
            return "oks"
        if self.track == "iou":
            return "iou"
        return "iou" if self.det_interval > 1 or self.smooth is not None else None

    @property
    def det_categories(self) -> tuple[int, ...] | None:
        """The numbers of the detector's classes to take, None for the model's own."""
        return None if self.det_cat_ids is None else class_numbers(self.det_cat_ids)

    @property
    def predictions_dir(self) -> Path | None:
        """Where predictions are written, None for nowhere."""
        return self._folder(self.pred_out_dir, "predictions")

    @property
    def visualization_dir(self) -> Path | None:
        """Where drawings are written, None for nowhere."""
        folder = self._folder(self.vis_out_dir, "visualization")
        return folder if folder is None or self.drawing_name is None else folder.parent

    @property
    def drawing_name(self) -> str | None:
        """The file's name where `vis_out_dir` is one, None where it is a folder."""
        from posekit.io.listing import IMAGE_SUFFIXES, VIDEO_SUFFIXES  # which load OpenCV

        if self.vis_out_dir is None:
            return None
        path, text = Path(self.vis_out_dir), os.fspath(self.vis_out_dir)
        if path.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
            return None
        return None if text.endswith(("/", os.sep)) or path.is_dir() else path.name

    def _folder(self, own: str | os.PathLike[str] | None, name: str) -> Path | None:
        if own is not None:
            return Path(own)
        return None if self.out_dir is None else Path(self.out_dir) / name


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


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool | np.bool_)
        and math.isfinite(value)
    )
