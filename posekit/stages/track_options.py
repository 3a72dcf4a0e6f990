"""The options of tracking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from posekit.declared import Options, option
from posekit.errors import InputError
from posekit.stages.own_tracker import check_own_tracker
from posekit.stages.turns import LONGEST_REST

__all__ = ["TrackOptions"]


@dataclass(frozen=True, kw_only=True)
class TrackOptions(Options):
    """Tracking."""

    track: Any = option(
        None,
        "who is who over the frames, as `track_id` of every instance, by the overlap of boxes "
        "(`iou`) or of poses (`oks`); `none` for no; in Python also a function that makes a "
        "tracker of your own for each clip; left out, people are tracked where a lifter, `smooth` "
        "or `det_interval` needs it, without giving the ids, and where a format such as `trc` is "
        "of people, with their ids",
        choices=("none", "iou", "oks"),
    )
    use_oks_tracking: bool = option(
        False, 'MMPose\'s name for `track="oks"` without giving the ids', only="3D"
    )
    tracking_thr: float = option(
        0.3, "the least similarity of a person to a track", least=0, most=1
    )
    max_age: int = option(
        30,
        "frames that a track survives without being seen; its id never goes to somebody else",
        least=0,
    )
    det_interval: int | Literal["auto"] | None = option(
        None,
        "detect in every n-th frame of a video, or of successive images; tracks carry the boxes "
        "between; the detector also runs where the size or the scene changes or everybody was "
        "lost; `auto` detects where a track is in doubt, at the latest every "
        f"{LONGEST_REST + 1} frames; left out, as `speed` says",
        least=1,
    )

    def check(self) -> None:
        if self.has_own_tracker:
            check_own_tracker(self.track)
            for name in ("tracking_thr", "max_age"):
                if getattr(self, name) != self.declared()[name].default:
                    raise InputError(f"{name} is of posekit's tracker: give it to your own instead")
        if self.use_oks_tracking and self.track not in (None, "oks"):
            raise InputError(f"use_oks_tracking contradicts track='{self.track}'")
        if self.track == "none" and self.det_interval not in (None, 1):
            raise InputError("det_interval needs tracks, but track is 'none'")

    @property
    def has_own_tracker(self) -> bool:
        """Whether the caller brings trackers."""
        return self.track is not None and self.track not in ("none", "iou", "oks")
