"""What a call of the predictor can be told, checked in one place. Light: no torch."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posekit.config import nearest
from posekit.errors import InputError

__all__ = ["PredictOptions", "SkipHandler"]

# Called with the name of an input that could not be used, and why.
SkipHandler = Callable[[str, InputError], None]


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The options of `Predictor.__call__` and `Predictor.stream`.

    Attributes:
        bboxes: boxes that replace the detector's: per image (n, 4) or (n, 5), xyxy in pixels
            with an optional score; for one image (n, 4) or (n, 5) itself.
        bbox_thr: detections of a lower score are left out.
        nms_thr: of two detections with a larger IoU the worse is left out.
        det_cat_ids: the detector's classes to take; None for the model's own.
        empty: what to do where nobody is found: "none" gives no instance, "whole_image" takes
            the whole image as a box of score 1, as MMPose does.
        flip_test: average with the mirrored crop; None does as the model's configuration says.
        batch_size: images read and detected at once.
        pose_batch_size: most crops that go through the pose network at once.
        out_dir: sets `vis_out_dir` to its `visualization/` and `pred_out_dir` to its
            `predictions/` where they are not given.
        vis_out_dir: folder of the drawings.
        pred_out_dir: folder of the predictions, as JSON.
        return_vis: put the drawing into the result.
        radius: of a keypoint's dot, in pixels.
        thickness: of a link's line, in pixels.
        kpt_thr: keypoints of a lower score are not drawn.
        draw_bbox: draw the boxes.
        black_background: draw on black.
        skeleton_style: "mmpose" or "openpose".
        on_error: "raise", "skip" (a warning is logged), or a function that is called with the
            input's name and the error; the other inputs are done in both of these.
    """

    bboxes: Any = None
    bbox_thr: float = 0.3
    nms_thr: float = 0.3
    det_cat_ids: Sequence[int] | None = None
    empty: Literal["none", "whole_image"] = "none"
    flip_test: bool | None = None
    batch_size: int = 1
    pose_batch_size: int = 64
    out_dir: str | os.PathLike[str] | None = None
    vis_out_dir: str | os.PathLike[str] | None = None
    pred_out_dir: str | os.PathLike[str] | None = None
    return_vis: bool = False
    radius: int = 3
    thickness: int = 1
    kpt_thr: float = 0.3
    draw_bbox: bool = False
    black_background: bool = False
    skeleton_style: Literal["mmpose", "openpose"] = "mmpose"
    on_error: Literal["raise", "skip"] | SkipHandler = "raise"

    def __post_init__(self) -> None:
        self._check_choice("empty", ("none", "whole_image"))
        self._check_choice("skeleton_style", ("mmpose", "openpose"))
        if not callable(self.on_error):
            self._check_choice("on_error", ("raise", "skip"))
        for field in ("batch_size", "pose_batch_size", "radius", "thickness"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{field} must be a whole number of at least 1, found {value!r}")
        for field in ("bbox_thr", "nms_thr"):
            value = getattr(self, field)
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise InputError(f"{field} must be between 0 and 1, found {value!r}")
        if isinstance(self.kpt_thr, bool) or not isinstance(self.kpt_thr, int | float):
            raise InputError(f"kpt_thr must be a number, found {self.kpt_thr!r}")

    def _check_choice(self, field: str, choices: Sequence[str]) -> None:
        value = getattr(self, field)
        if value not in choices:
            raise InputError(f"{field} must be one of {', '.join(choices)}, found {value!r}")

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

    @property
    def predictions_dir(self) -> Path | None:
        """Where predictions are written, None for nowhere."""
        return self._folder(self.pred_out_dir, "predictions")

    @property
    def visualization_dir(self) -> Path | None:
        """Where drawings are written, None for nowhere."""
        return self._folder(self.vis_out_dir, "visualization")

    def _folder(self, own: str | os.PathLike[str] | None, name: str) -> Path | None:
        if own is not None:
            return Path(own)
        return None if self.out_dir is None else Path(self.out_dir) / name

    @property
    def wants_drawing(self) -> bool:
        """True where something will be drawn."""
        return self.return_vis or self.visualization_dir is not None
