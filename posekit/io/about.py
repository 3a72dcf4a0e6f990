"""What a file of results says about itself: models, keypoints, and whether it is complete."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from posekit.skeleton import Skeleton
from posekit.version import __version__

if TYPE_CHECKING:
    from posekit.io.sinks import Run
    from posekit.result import Pose3D
    from posekit.stages.packet import Clip

__all__ = ["describe", "describe_finished", "skeleton_of"]


def describe(run: Run, clip: Clip | None) -> dict[str, Any]:
    """What is known before the first result, as plain values.

    Args:
        run: the run that makes the results.
        clip: the clip of the results; None for images.
    """
    about: dict[str, Any] = {
        "version": __version__,
        "models": dict(run.models),
        "weights": dict(run.weights),
        "weights_sha256": dict(run.weights_sha256),
        "licenses": dict(run.licenses),
        "options": dict(run.options),
        "skeleton": _skeleton(run.skeleton),
    }
    if run.skeleton_3d is not None:
        about["skeleton_3d"] = _skeleton(run.skeleton_3d)
    if clip is not None:
        about["name"], about["source"], about["fps"] = clip.name, clip.source, float(clip.fps)
        about["size"] = list(clip.size)
    return about


def describe_finished(
    run: Run, clip: Clip | None, *, pose3d: Pose3D | None, frames: int, complete: bool
) -> dict[str, Any]:
    """What is known at the end, as plain values.

    Args:
        run, clip: as for `describe`.
        pose3d: the 3D keypoints of any result, for their unit and axes.
        frames: number of results.
        complete: whether all results have come.
    """
    about = describe(run, clip)
    if pose3d is not None:
        about["unit_3d"], about["axes_3d"], about["up_3d"] = pose3d.unit, pose3d.axes, pose3d.up
    return {**about, "frames": frames, "complete": complete}


def _skeleton(skeleton: Skeleton) -> dict[str, Any]:
    """All of it but OpenPose's style."""
    fields = (field.name for field in dataclasses.fields(skeleton))
    return {name: getattr(skeleton, name) for name in fields if name != "openpose"}


def skeleton_of(about: dict[str, Any]) -> Skeleton:
    """A skeleton from its plain values, as read from JSON.

    Raises:
        InputError, TypeError: the values are not a skeleton.
    """
    return Skeleton(**{name: _tuples(value) for name, value in about.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
