"""Results as `sleap-io` has them: `Labels`, which it writes as SLP, analysis H5 and more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posekit.bridges.results import Results, read_results
from posekit.packages import need
from posekit.result import PoseResult
from posekit.stages.packet import track_ids_of
from posekit.version import __version__

if TYPE_CHECKING:
    from sleap_io import Labels

__all__ = ["to_labels"]

PACKAGE = "sleap-io>=0.9"


def to_labels(results: Results) -> Labels:
    """The `Labels` of clips and images: predicted instances, on tracks where people are tracked.

    Images are the frames of one video of pictures. Frames with nobody are there without instances.
    Numbers are float64, of the same values; scores are the model's and may exceed 1.

    Args:
        results: see `posekit.bridges`.

    Raises:
        InputError: no results, a track twice in one, or sleap-io is not installed.
    """
    library = need("sleap_io", PACKAGE)
    found = list(read_results(results))
    of = found[0].skeleton
    skeleton = library.Skeleton(list(of.names), edges=list(of.links), name=of.name)
    images = [result.source or result.name for result in found if result.frame_id is None]
    videos: dict[str | None, Any] = {}
    tracks: dict[tuple[str | None, int], Any] = {}
    frames, pictures = [], 0
    for result in found:
        # Pixels may not be there any more, and are not needed.
        clip = None if result.frame_id is None else result.source or result.name
        if clip not in videos:
            videos[clip] = library.Video(images if clip is None else clip, open_backend=False)
        number = pictures if result.frame_id is None else result.frame_id
        pictures += result.frame_id is None
        instances = [
            library.PredictedInstance.from_numpy(
                result.keypoints[person],
                skeleton,
                point_scores=result.keypoint_scores[person],
                score=float(result.box_scores[person]),
                track=_track(library, result, person, clip, tracks),
            )
            for person in range(len(result))
        ]
        frames.append(library.LabeledFrame(videos[clip], number, instances))
    return library.Labels(
        frames,
        list(videos.values()),
        [skeleton],
        list(tracks.values()),
        provenance={"source_software": f"posekit {__version__}"},
    )


def _track(
    library: Any, result: PoseResult, person: int, clip: str | None, tracks: dict[Any, Any]
) -> Any:
    if result.track_ids is None:
        return None
    key = (clip, track_ids_of(result)[person])
    return tracks.setdefault(key, library.Track(f"track_{key[1]}"))
