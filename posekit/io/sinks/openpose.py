"""OpenPose's JSON 1.3: a folder per clip, a file per frame, BODY_25 with face and hands.

Halpe-26 has all of BODY_25. Neck and middle of the hips are means where the skeleton lacks them,
other missing keypoints, such as the feet of COCO's 17, are 0, 0, 0. Scores are clipped to 0..1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from posekit.files import make_folder, write_whole
from posekit.io.sinks import Run, Sink
from posekit.openpose_form import BODY_25, FACE, HANDS, check_body, triples
from posekit.result import PoseResult
from posekit.stages.packet import Clip, Packet

__all__ = ["check", "file_name", "open_sink", "people"]


def check(run: Run) -> None:
    """Checks that the model is for bodies.

    Raises:
        InputError: it is not.
    """
    check_body(run.skeleton, "format openpose")


def file_name(name: str, clip: Clip | None) -> str:
    """`a_keypoints.json` of `a.jpg`; the folder `a_openpose` of `a.mp4`."""
    return f"{Path(name).stem}_keypoints.json" if clip is None else f"{Path(name).stem}_openpose"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file for an image, or a folder for a clip; each file is complete or absent."""
    return _Files(path, clip)


class _Files(Sink):
    def __init__(self, path: Path, clip: Clip | None) -> None:
        self._path, self._clip = path, clip
        if clip is not None:
            make_folder(path)

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        path = self._path
        if self._clip is not None:
            stem = Path(self._clip.name).stem
            path = path / f"{stem}_{packet.result.frame_id:012d}_keypoints.json"
            self.guard(path)
        value = {"version": 1.3, "people": people(packet.result)}
        write_whole(path, json.dumps(value).encode())

    def close(self, complete: bool) -> None:
        pass


def people(result: PoseResult) -> list[dict[str, Any]]:
    """OpenPose's object of each instance."""
    found = triples(result, (*BODY_25, *FACE, *HANDS["left"], *HANDS["right"]))
    body, face, left, right = np.split(found, np.cumsum([25, 70, 21]), axis=1)
    ids = [-1] * len(result) if result.track_ids is None else result.track_ids.tolist()
    return [
        {
            "person_id": [ids[number]],
            "pose_keypoints_2d": _flat(body[number]),
            "face_keypoints_2d": _flat(face[number]),
            "hand_left_keypoints_2d": _flat(left[number]),
            "hand_right_keypoints_2d": _flat(right[number]),
            "pose_keypoints_3d": [],
            "face_keypoints_3d": [],
            "hand_left_keypoints_3d": [],
            "hand_right_keypoints_3d": [],
        }
        for number in range(len(result))
    ]


def _flat(values: np.ndarray) -> list[float]:
    return [round(value, 4) for value in values.ravel().tolist()]
