"""A COCO data set of all images and frames of a run, to correct and to train on.

In `predictions.coco.json`, keypoints with a score of at least `kpt_thr` are visible (v = 2), others
are 0, 0, 0. Frames of a clip are images named `<clip>/<frame_id>.jpg`, which are not written. The
file gets its name when it is finished.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from posekit.coco_form import category, coco_annotations
from posekit.io.growing import PartFile
from posekit.io.sinks import Run, Sink, Together
from posekit.stages.packet import Clip, Packet
from posekit.version import __version__

__all__ = ["TOGETHER", "file_name", "image_of", "open_sink"]

TOGETHER: Together = "all"


def file_name(name: str, clip: Clip | None) -> str:
    """`a.coco.json` of `a.jpg`."""
    return f"{Path(name).stem}.coco.json"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file for all results of a run."""
    return _DataSet(path, run)


def image_of(packet: Packet, image_id: int, run: Run) -> dict[str, Any]:
    """COCO's entry of an image or a frame."""
    result, clip = packet.result, packet.clip
    width, height = result.image_size
    name = run.relative(result.source) or result.name
    entry: dict[str, Any] = {"id": image_id, "file_name": name, "width": width, "height": height}
    if clip is not None:
        folder = Path(name).with_suffix("")
        entry["file_name"] = (folder / f"{result.frame_id:06d}.jpg").as_posix()
        entry.update(video=clip.source, frame_id=result.frame_id, time=result.time)
    return entry


class _DataSet(Sink):
    def __init__(self, path: Path, run: Run) -> None:
        self._run = run
        self._images, self._annotations = 0, 0
        head = {
            "info": {
                "description": "poses found by posekit",
                "version": __version__,
                "models": dict(run.models),
            },
            "licenses": [],
            "categories": [category(run.skeleton)],
        }
        self._file = PartFile(path)
        # Images wait in a file of their own until the annotations are all there.
        self._others = PartFile(path.with_name(f"{path.name}.images"))
        self._file.append(json.dumps(head)[:-1].encode() + b',\n"annotations": [')

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        image = image_of(packet, self._images + 1, self._run)
        found = coco_annotations(
            packet.result,
            image["id"],
            first_id=self._annotations + 1,
            threshold=self._run.kpt_thr,
        )
        self._file.append(_entries(found, self._annotations))
        self._others.append(_entries([image], self._images))
        self._annotations += len(found)
        self._images += 1

    def close(self, complete: bool) -> None:
        with contextlib.closing(self._file), contextlib.closing(self._others):
            self._file.append(b'\n],\n"images": [')
            self._file.take(self._others)
            self._file.append(b'\n],\n"complete": %s}\n' % str(complete).lower().encode())
            self._file.finish()


def _entries(values: list[dict[str, Any]], before: int) -> bytes:
    """Members of a list, of which some are there."""
    texts = [json.dumps(value, allow_nan=False).encode() for value in values]
    return b"".join(
        (b",\n" if number + before else b"\n") + text for number, text in enumerate(texts)
    )
