"""A video as a file of Neurodata Without Borders, with the extension `ndx-pose`."""

from __future__ import annotations

import datetime
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from posekit.bridges.results import ClipArrays, Results, clip_arrays
from posekit.files import write_whole
from posekit.packages import need
from posekit.version import __version__

__all__ = ["to_nwb"]

PACKAGE = "ndx-pose>=0.4"
PIXELS = "x to the right and y down, (0, 0) is the middle of the top left pixel"


def to_nwb(
    results: Results,
    path: str | os.PathLike[str],
    *,
    pose3d: bool = False,
    fps: float | None = None,
    start: datetime.datetime | None = None,
) -> None:
    """Writes one video; each person is a `PoseEstimation` in the processing module `behavior`.

    A single person is named `PoseEstimation`, tracked ones `track_5`. Each has the time of every
    frame; coordinates and `confidence` are NaN where the person is not seen.

    Args:
        results: of one clip; see `posekit.bridges`.
        path: the file to write; an existing one is overwritten.
        pose3d: take the 3D keypoints.
        fps: frames per second, where results have no time.
        start: when the video was recorded, with its time zone; default: now.

    Raises:
        InputError: see `posekit.bridges.results.clip_arrays`; ndx-pose is not installed.
        OutputError: the file cannot be written.
    """
    library, pynwb = need("ndx_pose", PACKAGE), need("pynwb", PACKAGE)
    clip = clip_arrays(results, fps=fps, pose3d=pose3d)
    file = pynwb.NWBFile(
        session_description=f"poses of {clip.first.name}, found by posekit",
        identifier=str(uuid.uuid4()),
        session_start_time=start or datetime.datetime.now(datetime.timezone.utc),
    )
    skeleton = library.Skeleton(
        name=clip.skeleton.name,
        nodes=list(clip.skeleton.names),
        edges=np.array(clip.skeleton.links, np.uint8).reshape(-1, 2),
    )
    behavior = file.create_processing_module("behavior", "poses")
    behavior.add(library.Skeletons(skeletons=[skeleton]))
    video = pynwb.image.ImageSeries(
        name="source_video",
        description="the clip that the poses were found in",
        unit="n.a.",
        external_file=[clip.first.source or clip.first.name],
        starting_frame=[0],
        format="external",
        dimension=list(clip.first.image_size),
        timestamps=clip.times,
    )
    file.add_acquisition(video)
    for person in range(len(clip.people)):
        # All have the times of the video, which are in the file once.
        behavior.add(_estimation(library, clip, person, skeleton, video))
    # In memory first: HDF5 takes the process with it where a disk gets full.
    memory = need("h5py", PACKAGE).File(path, "w", driver="core", backing_store=False)
    with memory, pynwb.NWBHDF5IO(file=memory, mode="w") as io:
        io.write(file)
        memory.flush()
        write_whole(Path(path), memory.id.get_file_image())


def _estimation(library: Any, clip: ClipArrays, person: int, skeleton: Any, video: Any) -> Any:
    pose3d = clip.first.pose3d if clip.keypoints.shape[-1] == 3 else None
    series = [
        library.PoseEstimationSeries(
            name=name,
            description=f"of {name}",
            data=clip.keypoints[:, person, number],
            unit="pixels" if pose3d is None else pose3d.unit,
            reference_frame=PIXELS if pose3d is None else pose3d.axes,
            timestamps=video,
            confidence=clip.scores[:, person, number],
            confidence_definition="the model's score; larger is surer, and it may exceed 1",
        )
        for number, name in enumerate(clip.skeleton.names)
    ]
    return library.PoseEstimation(
        name="PoseEstimation" if len(clip.people) == 1 else clip.people[person],
        pose_estimation_series=series,
        description=f"{clip.people[person]} in {clip.first.name}",
        source_video=video,
        source_software="posekit",
        source_software_version=__version__,
        skeleton=skeleton,
    )
