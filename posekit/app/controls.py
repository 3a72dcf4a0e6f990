"""Controls of the page, each made of an option's own declaration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import gradio as gr

from posekit.declared import Declared
from posekit.options import PredictOptions

__all__ = ["GROUPS", "NAMES", "control", "settings_of"]

# What a visitor sets, by what it is about; all that is known of each is where it is declared.
GROUPS: dict[str, tuple[str, ...]] = {
    "Over time": ("track", "smooth", "cutoff"),
    "Who": ("bbox_thr", "max_people", "select"),
    "Drawing": (
        "kpt_thr", "draw", "palette", "radius", "thickness", "skeleton_style", "black_background",
    ),
    "Part of the video": ("start", "end", "stride"),
}  # fmt: skip
NAMES = tuple(name for names in GROUPS.values() for name in names)
# What the page begins with where that is not what is done when nothing is said: a table of people
# needs to know who is who.
FIRST: dict[str, Any] = {"track": "iou"}
# Of options that a list of names may be said for.
SEVERAL = ("draw",)
SLIDERS = ("kpt_thr", "bbox_thr")
WORDS = {
    "track": "Tracking",
    "smooth": "Smoothing",
    "cutoff": "Cutoff (Hz)",
    "bbox_thr": "Detection score",
    "kpt_thr": "Keypoint score",
    "max_people": "Most people",
    "select": "Which of them",
    "draw": "Drawn with the skeletons",
    "palette": "Colours",
    "radius": "Dots (pixels)",
    "thickness": "Lines (pixels)",
    "skeleton_style": "Style",
    "black_background": "On black",
    "start": "From (seconds)",
    "end": "To (seconds)",
    "stride": "Every n-th frame",
}
LEFT_OUT = "default"


def control(name: str) -> Any:
    """The control of an option of `PredictOptions`."""
    option = PredictOptions.declared()[name]
    about: dict[str, Any] = {"label": WORDS[name], "info": _info(option), "elem_id": f"pk-{name}"}
    first = FIRST.get(name, option.default)
    if name in SEVERAL:
        return gr.CheckboxGroup([str(one) for one in option.choices], value=[], **about)
    if option.choices:
        names = [str(one) for one in option.choices]
        if option.optional and "none" not in names:
            names.insert(0, LEFT_OUT)
        return gr.Dropdown(
            names, value=LEFT_OUT if first is None else first, filterable=False, **about
        )
    if bool in option.kinds:
        return gr.Checkbox(value=bool(first), **about)
    low, high = option.about.least, option.about.most
    if name in SLIDERS and first is not None:
        return gr.Slider(low or 0.0, high or 1.0, value=first, step=0.05, **about)
    whole = 0 if int in option.kinds and float not in option.kinds else None
    about["step"] = 0.05 if high == 1 else 1
    return gr.Number(
        value=first, minimum=low, maximum=high, precision=whole, placeholder=LEFT_OUT, **about
    )


def settings_of(values: Sequence[Any], *, pose3d: bool, clip: bool) -> dict[str, Any]:
    """The controls' values as options, without defaults and those that do not apply here.

    Args:
        values: of the controls, in the order of `NAMES`.
        pose3d: whether the model gives 3D poses; then those of 2D models are left out.
        clip: whether the source is a clip; if not, those for clips are left out.
    """
    declared = PredictOptions.declared()
    said: dict[str, Any] = {}
    for name, value in zip(NAMES, values, strict=True):
        option = declared[name]
        idle = option.about.only == "2D" and pose3d
        idle = idle or (not clip and name in (*GROUPS["Part of the video"], *GROUPS["Over time"]))
        if idle or value is None or value == LEFT_OUT or value == option.default:
            continue
        if name in SEVERAL and not value:
            continue
        whole = isinstance(value, float) and value.is_integer() and int in option.kinds
        said[name] = int(value) if whole else value
    if not clip and "draw" in said:
        said["draw"] = [mark for mark in said["draw"] if mark not in ("ids", "trail")]
        if not said["draw"]:
            del said["draw"]
    return said


def _info(option: Declared) -> str:
    """The first part of what it means."""
    if os.PathLike in option.kinds:
        raise ValueError(f"{option.name} is a path of this machine, which no visitor names")
    text = option.text(measure=False).partition(";")[0]
    return f"{text[:1].upper()}{text[1:]}."
