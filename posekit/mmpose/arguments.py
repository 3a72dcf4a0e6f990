"""The arguments of an inferencer's call in MMPose's guide; the rest is in `PredictOptions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from posekit.errors import InputError
from posekit.options import PredictOptions

__all__ = ["ARGUMENTS", "Argument", "check_applies", "only_of", "without_defaults"]

OPTIONS = PredictOptions.declared()


@dataclass(frozen=True)
class Argument:
    """An argument that the guide documents.

    Attributes:
        note: what posekit does with it, in Markdown.
        only: the models that MMPose has it for; None for those that posekit's option is for.
        silence: the value that means "unset" in MMPose, if it is not the option's default.
        shown: its default in words, if the value does not say it.
        own: whether it is kept even if it has its default value.
    """

    note: str = "the same"
    only: Literal["", "2D", "3D"] | None = None
    silence: Any = None
    shown: str = ""
    own: bool = False


# In the order of the guide.
ARGUMENTS: dict[str, Argument] = {
    "show": Argument(
        "without a display an error at once, where MMPose may hang; q, Escape or closing the "
        "window ends the run",
        shown="`false`; true for a camera",
        own=True,
    ),
    "wait_time": Argument("seconds an image is shown; 0 waits for a key"),
    "radius": Argument(),
    "thickness": Argument(),
    "kpt_thr": Argument(),
    "draw_bbox": Argument(),
    "draw_heatmap": Argument(
        "below the drawing; models without heatmaps (RTMPose, RTMW) have none to draw"
    ),
    "black_background": Argument(),
    "skeleton_style": Argument("or `openpose`"),
    "use_oks_tracking": Argument(),
    "tracking_thr": Argument(only="3D"),
    "disable_norm_pose_2d": Argument("the same, for models that lift"),
    "disable_rebase_keypoint": Argument(),
    "num_instances": Argument("the same; negative draws everybody"),
    "return_vis": Argument("the drawings, RGB as MMPose's; else the list is empty"),
    "vis_out_dir": Argument(
        "a folder, or the drawing's file (`out/a.jpg`), as MMPose takes it; videos are H.264 in "
        "`.mp4`",
        silence="",
    ),
    "return_datasamples": Argument(
        "a `PoseDataSample` per image", only="", shown="`false`", own=True
    ),
    "pred_out_dir": Argument(
        "always a folder, as in MMPose; `<name>.json` in it; a video's has `frame_id` from 0 and "
        "`instances` per frame",
        silence="",
    ),
    "out_dir": Argument(
        "`visualization/` and `predictions/` in it. One sentence of MMPose's guide calls the "
        "second `forecasts/`; its table and its code do not",
        own=True,
    ),
    "bbox_thr": Argument(
        "the same; RTMO uses its own 0.1 if unset, as in MMPose",
        silence=0.3,
        shown="`0.3`",
    ),
    "nms_thr": Argument("the same; RTMO uses its own 0.65 if unset", silence=0.3, shown="`0.3`"),
    "bboxes": Argument("per image or frame (n, 4) or (n, 5), xyxy; replaces the detector"),
    "pose_based_nms": Argument(),
    "batch_size": Argument("results do not depend on it", own=True, shown="`1`"),
}


def without_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call that differ from the documented defaults."""
    return {name: value for name, value in options.items() if not _says_nothing(name, value)}


def _says_nothing(name: str, value: Any) -> bool:
    """Also MMPose's other ways to say nothing: None, and no boxes."""
    argument = ARGUMENTS.get(name)
    if argument is None or argument.own:
        return False
    if value is None:
        return True
    if name == "bboxes":
        return isinstance(value, Sequence | np.ndarray) and len(value) == 0
    default = OPTIONS[name].default if argument.silence is None else argument.silence
    return isinstance(value, str | int | float) and bool(value == default)


def check_applies(given: Mapping[str, Any], *, three_d: bool) -> None:
    """Refuses documented options that have no effect with a model.

    Raises:
        InputError: names the option.
    """
    kind = "2D" if three_d else "3D"
    for name in ARGUMENTS:
        if name in given and only_of(name) == kind:
            raise InputError(f"{name} applies to {kind} models only; leave it out")


def only_of(name: str) -> str:
    """The models that MMPose has an argument for: "2D", "3D", or "" for all."""
    only = ARGUMENTS[name].only
    if only is None:
        found = OPTIONS[name].about.only
        return "3D" if found == "lifted" else found
    return only
