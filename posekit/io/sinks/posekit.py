"""JSON with skeleton, times and models: MMPose's `meta_info` and `instance_info`, and more.

    {"meta_info": {"keypoint_id2name": {...}, "skeleton_links": [...], ...},
     "about": {"models": {...}, "source": "clip.mp4", "fps": 25.0, ...},
     "instance_info": [{"frame_id": 0, "time": 0.0, "instances": [...]}, ...],
     "complete": true}

For an image, `instance_info` has its instances. `complete` is false until the clip is finished, so
a killed run can be told from a finished one.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from posekit.files import write_whole
from posekit.io.about import describe
from posekit.io.growing import GrowingFile
from posekit.io.sinks import Run, Sink
from posekit.io.sinks.json import encode
from posekit.metainfo import dataset_meta
from posekit.stages.packet import Clip, Packet

__all__ = ["file_name", "open_sink"]


def file_name(name: str, clip: Clip | None) -> str:
    """`a.json` of `a.jpg`."""
    return f"{Path(name).stem}.json"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file; that of a clip is JSON after every frame."""
    return _Image(path, run) if clip is None else _Frames(path, clip, run)


class _Image(Sink):
    def __init__(self, path: Path, run: Run) -> None:
        self._path, self._run = path, run

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        result = packet.result
        size = {"name": result.name, "source": result.source, "size": list(result.image_size)}
        instances = encode(result.instances(), result.name)
        write_whole(self._path, _head(None, self._run, size) + instances + _tail(True))

    def close(self, complete: bool) -> None:
        pass


class _Frames(Sink):
    def __init__(self, path: Path, clip: Clip, run: Run) -> None:
        self._file = GrowingFile(
            path, head=_head(clip, run, {}) + b"[", closing=b"\n]" + _tail(False)
        )

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        result = packet.result
        record = {
            "frame_id": result.frame_id,
            "time": result.time,
            "instances": result.instances(),
        }
        separator = b",\n" if self._file.records_written else b"\n"
        self._file.append(separator + encode(record, result.name))

    def close(self, complete: bool) -> None:
        with contextlib.closing(self._file):
            if complete:
                self._file.end(b"\n]" + _tail(True))


def _head(clip: Clip | None, run: Run, more: dict[str, Any]) -> bytes:
    about = describe(run, clip)
    skeleton = run.skeleton if run.skeleton_3d is None else run.skeleton_3d
    meta = json.dumps(dataset_meta(skeleton), default=np.ndarray.tolist)
    text = json.dumps({**about, **more}, default=str)
    return f'{{"meta_info": {meta},\n"about": {text},\n"instance_info": '.encode()


def _tail(complete: bool) -> bytes:
    # Of one length, so that one can be written over the other.
    return b',\n"complete": true }\n' if complete else b',\n"complete": false}\n'
