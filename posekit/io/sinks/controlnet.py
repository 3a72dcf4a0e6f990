"""What ControlNet's editors of poses read: OpenPose's 18 keypoints with face and hands, 0 to 1.

An image's file is a list with one object, a clip's a list with one per frame. x and y are fractions
of `canvas_width` and `canvas_height`.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from posekit.io.growing import PartFile
from posekit.io.sinks import Run, Sink
from posekit.openpose_form import BODY_18, FACE, HANDS, check_body, triples
from posekit.result import PoseResult
from posekit.stages.packet import Clip, Packet

__all__ = ["check", "file_name", "open_sink"]


def check(run: Run) -> None:
    """Checks that the model is for bodies.

    Raises:
        InputError: it is not.
    """
    check_body(run.skeleton, "format controlnet")


def file_name(name: str, clip: Clip | None) -> str:
    """`a.controlnet.json` of `a.jpg`."""
    return f"{Path(name).stem}.controlnet.json"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file, which gets its name when it is finished."""
    return _Frames(path)


class _Frames(Sink):
    def __init__(self, path: Path) -> None:
        self._file = PartFile(path)
        self._file.append(b"[")
        self._frames = 0

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        separator = b",\n" if self._frames else b"\n"
        self._file.append(separator + json.dumps(_canvas(packet.result)).encode())
        self._frames += 1

    def close(self, complete: bool) -> None:
        with contextlib.closing(self._file):
            self._file.append(b"\n]\n")
            self._file.finish()


def _canvas(result: PoseResult) -> dict[str, Any]:
    width, height = result.image_size
    found = triples(result, (*BODY_18, *FACE, *HANDS["left"], *HANDS["right"]))
    found[..., :2] /= (width, height)
    body, face, left, right = np.split(found, np.cumsum([18, 70, 21]), axis=1)
    return {
        "people": [
            {
                "pose_keypoints_2d": body[number].ravel().tolist(),
                "face_keypoints_2d": face[number].ravel().tolist(),
                "hand_left_keypoints_2d": left[number].ravel().tolist(),
                "hand_right_keypoints_2d": right[number].ravel().tolist(),
            }
            for number in range(len(result))
        ],
        "canvas_width": width,
        "canvas_height": height,
    }
