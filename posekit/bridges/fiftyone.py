"""Results as samples of FiftyOne, with a field of `Keypoints`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posekit.bridges.results import Results, read_results
from posekit.packages import need
from posekit.result import PoseResult
from posekit.skeleton import Skeleton

if TYPE_CHECKING:
    from fiftyone import KeypointSkeleton, Sample

__all__ = ["to_samples", "to_skeleton"]

PACKAGE = "fiftyone>=1.22"


def to_samples(results: Results, *, field: str = "poses") -> list[Sample]:
    """Makes one sample per image, and one per video with its frames.

    Points are relative to width and height, as in FiftyOne. `confidence` has the model's scores,
    which may exceed 1; `index` is the track id.

    Args:
        results: see `posekit.bridges`; each needs a `source`, since a sample is a file.
        field: name of the field for the `Keypoints`.

    Raises:
        InputError: no results, or FiftyOne is not installed.
    """
    library = need("fiftyone", PACKAGE)
    samples: list[Sample] = []
    clips: dict[str, Sample] = {}
    for result in read_results(results):
        path = result.source or result.name
        people = library.Keypoints(
            keypoints=[_person(library, result, i) for i in range(len(result))]
        )
        if result.frame_id is None:
            samples.append(library.Sample(filepath=path, **{field: people}))
            continue
        if path not in clips:
            clips[path] = library.Sample(filepath=path, media_type="video")
            samples.append(clips[path])
        # Its frames count from 1.
        clips[path].frames[result.frame_id + 1] = library.Frame(**{field: people})
    return samples


def to_skeleton(skeleton: Skeleton) -> KeypointSkeleton:
    """A skeleton for `dataset.default_skeleton`, so that the App draws links."""
    library = need("fiftyone", PACKAGE)
    edges = [list(link) for link in skeleton.links]
    return library.KeypointSkeleton(labels=list(skeleton.names), edges=edges)


def _person(library: Any, result: PoseResult, number: int) -> Any:
    points = result.keypoints[number].astype(float) / result.image_size
    return library.Keypoint(
        label=result.skeleton.name,
        points=points.tolist(),
        confidence=result.keypoint_scores[number].tolist(),
        index=None if result.track_ids is None else int(result.track_ids[number]),
    )
