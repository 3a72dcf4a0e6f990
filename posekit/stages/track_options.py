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
        "track people over the frames and give every instance a `track_id`, by the overlap of "
        "boxes (`iou`) or of poses (`oks`); `none` for no tracking; in Python also a function "
        "that makes a tracker of your own for each video; if unset, people are tracked "
        "without ids where a lifter, `smooth` or `det_interval` needs it, and with ids where "
        "a format such as `trc` needs them",
        choices=("none", "iou", "oks"),
    )
    use_oks_tracking: bool = option(
        False, "MMPose's name for tracking by `oks` without ids", only="3D"
    )
    tracking_thr: float = option(
        0.3, "the least similarity between a person and a track", least=0, most=1
    )
    max_age: int = option(
        30,
        "frames that a track survives without being seen; ids are never reused",
        least=0,
    )
    det_interval: int | Literal["auto"] | None = option(
        None,
        "run the detector on every n-th frame of a video, or of successive images; tracks "
        "carry the boxes in between; it also runs where the size or the scene changes or "
        "everybody was lost; `auto` runs it where a track is in doubt, at the latest every "
        f"{LONGEST_REST + 1} frames; if unset, as `speed` says",
        least=1,
    )

    def check(self) -> None:
        if self.has_own_tracker:
            check_own_tracker(self.track)
            for name in ("tracking_thr", "max_age"):
                if getattr(self, name) != self.declared()[name].default:
                    raise InputError(f"{name} applies to posekit's own tracker only; leave it out")
        if self.use_oks_tracking and self.track not in (None, "oks"):
            raise InputError(f"use_oks_tracking contradicts track='{self.track}'")
        if self.track == "none" and self.det_interval not in (None, 1):
            raise InputError("det_interval needs tracks, but track is 'none'")

    @property
    def has_own_tracker(self) -> bool:
        """Whether the caller brings trackers."""
        return self.track is not None and self.track not in ("none", "iou", "oks")
