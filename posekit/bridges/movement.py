"""A video as an `xarray.Dataset` of poses over time, for `movement`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posekit.bridges.results import Results, clip_arrays
from posekit.packages import need

if TYPE_CHECKING:
    import xarray

__all__ = ["to_dataset"]

DIMENSIONS = ("time", "space", "keypoints", "individuals")


def to_dataset(
    results: Results, *, pose3d: bool = False, fps: float | None = None
) -> xarray.Dataset:
    """A dataset with `position` (time, space, keypoints, individuals) and `confidence`.

    Positions are in pixels, or with `pose3d` in the unit of the 3D model; NaN where a person is not
    seen. `time` is in seconds; `confidence` has the model's scores, which may exceed 1.

    Args:
        results: of one clip; see `posekit.bridges`.
        pose3d: take the 3D keypoints.
        fps: frames per second, where results have no time, or there is only one.

    Raises:
        InputError: see `posekit.bridges.results.clip_arrays`; xarray is not installed.
    """
    library = need("xarray", "movement")
    clip = clip_arrays(results, fps=fps, pose3d=pose3d)
    attributes: dict[str, str | float] = {
        "source_software": "posekit",
        "ds_type": "poses",
        "time_unit": "seconds",
        "source_file": clip.first.source or "",
    }
    if clip.fps is not None:
        attributes["fps"] = clip.fps
    if pose3d and clip.first.pose3d is not None:
        attributes.update(unit=clip.first.pose3d.unit, axes=clip.first.pose3d.axes)
    return library.Dataset(
        data_vars={
            "position": (DIMENSIONS, clip.keypoints.transpose(0, 3, 2, 1)),
            "confidence": (("time", "keypoints", "individuals"), clip.scores.transpose(0, 2, 1)),
        },
        coords={
            "time": clip.times,
            "space": ["x", "y", "z"][: clip.keypoints.shape[-1]],
            "keypoints": list(clip.skeleton.names),
            "individuals": list(clip.people),
        },
        attrs=attributes,
    )
