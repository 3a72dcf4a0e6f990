"""Label Studio's tasks of all images and frames of a run, with what was found as predictions.

`predictions.label_studio.json` has them; `predictions.label_studio.xml` is the labelling interface
for their project. Pictures have the same names as in `coco`, under Label Studio's local files
(`/data/local-files/?d=...`). Keypoints below `kpt_thr` are left out.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from posekit.coco_form import category, rescored
from posekit.files import write_whole
from posekit.io.growing import PartFile
from posekit.io.sinks import Run, Sink, Together
from posekit.io.sinks.coco import image_of
from posekit.result import PoseResult
from posekit.skeleton import Skeleton
from posekit.stages.packet import Clip, Packet

__all__ = ["TOGETHER", "file_name", "interface", "open_sink"]

TOGETHER: Together = "all"
POINT_WIDTH = 0.5  # per cent of the picture, of a dot


def file_name(name: str, clip: Clip | None) -> str:
    """`a.label_studio.json` of `a.jpg`."""
    return f"{Path(name).stem}.label_studio.json"


def open_sink(path: Path, clip: Clip | None, run: Run) -> Sink:
    """Opens a file for all results of a run."""
    return _Tasks(path, run)


def interface(skeleton: Skeleton) -> str:
    """Label Studio's labelling interface for a skeleton: boxes, keypoints, and `occluded`.

    Its COCO export fails without `model_index`, a keypoint's place in the order.
    """
    name = quoteattr(str(category(skeleton)["name"]))
    labels = "".join(
        f'    <Label value={quoteattr(keypoint)} model_index="{i}" '
        f'background="#{r:02x}{g:02x}{b:02x}"/>\n'
        for i, (keypoint, (r, g, b)) in enumerate(
            zip(skeleton.names, skeleton.keypoint_colors, strict=True)
        )
    )
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <RectangleLabels name="box" toName="image">\n    <Label value={name}/>\n'
        '  </RectangleLabels>\n  <KeyPointLabels name="keypoint" toName="image">\n'
        f"{labels}  </KeyPointLabels>\n"
        '  <Choices name="visibility" toName="image" perRegion="true" whenTagName="keypoint">\n'
        '    <Choice value="occluded"/>\n  </Choices>\n</View>\n'
    )


class _Tasks(Sink):
    def __init__(self, path: Path, run: Run) -> None:
        self._path, self._run = path, run
        self._file = PartFile(path)
        self._file.append(b"[")
        self._count = 0

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        image = image_of(packet, self._count + 1, self._run)
        name = quote(image["file_name"], errors="surrogateescape")
        task = {
            "data": {
                "image": f"/data/local-files/?d={name}",
                # Exports keep these, but not the order of the interface.
                "keypoint_names": list(self._run.skeleton.names),
            },
            "predictions": [self._prediction(packet.result)],
        }
        separator = b",\n" if self._count else b"\n"
        self._file.append(separator + json.dumps(task, allow_nan=False).encode())
        self._count += 1

    def _prediction(self, result: PoseResult) -> dict[str, Any]:
        scores = rescored(result.box_scores, result.keypoint_scores)
        regions: list[dict[str, Any]] = []
        for number in range(len(result)):
            regions += _person(result, number, float(scores[number]), self._run.kpt_thr)
        mean = float(np.clip(scores, 0, 1).mean()) if len(scores) else 0.0
        model = " + ".join(self._run.models.values()) or "posekit"
        return {"model_version": model, "score": mean, "result": regions}

    def close(self, complete: bool) -> None:
        with contextlib.closing(self._file):
            beside = self._path.with_suffix(".xml")
            self.guard(beside)
            write_whole(beside, interface(self._run.skeleton).encode())
            self._file.append(b"\n]\n")
            self._file.finish()


def _person(
    result: PoseResult, number: int, score: float, threshold: float
) -> list[dict[str, Any]]:
    """The box and its keypoints, in per cent of the picture."""
    width, height = result.image_size
    share = np.array([100 / width, 100 / height])
    names, whole = result.skeleton.names, f"person{number}"

    def region(kind: str, name: str, tag: str, value: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": kind, "from_name": tag, "to_name": "image", "image_rotation": 0,
            "original_width": width, "original_height": height,
            "value": {"rotation": 0, **value, kind: [name]},
        }  # fmt: skip

    x1, y1, x2, y2 = (result.boxes_xyxy[number].astype(float) * np.tile(share, 2)).tolist()
    sides = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    of = str(category(result.skeleton)["name"])
    found = [region("rectanglelabels", of, "box", sides) | {"id": whole, "score": score}]
    places = result.keypoints[number].astype(float) * share
    for i, one in enumerate(result.keypoint_scores[number].tolist()):
        if one >= threshold:
            x, y = places[i].tolist()
            point = {"x": x, "y": y, "width": POINT_WIDTH}
            about = {"id": f"{whole}-{names[i]}", "parentID": whole, "score": one}
            found.append(region("keypointlabels", names[i], "keypoint", point) | about)
    return found
