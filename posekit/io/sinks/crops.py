"""The people of an image or a clip, cut out of it: a JPEG of each box."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from posekit.errors import OutputError
from posekit.files import write_whole
from posekit.io.sinks import Sink
from posekit.stages.packet import Clip, Packet

__all__ = ["Crops", "file_name"]


def file_name(name: str, clip: Clip | None) -> str:
    """What the names of the crops begin with."""
    return Path(name).stem


class Crops(Sink):
    """Files `<path>_<number>_<instance>.jpg`, each complete or absent.

    Args:
        path: what their names begin with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        result, image = packet.result, packet.image
        assert image is not None
        number = result.index if result.frame_id is None else result.frame_id
        height, width = image.shape[:2]
        for row, box in enumerate(result.boxes_xyxy.astype(np.float64)):
            if not np.isfinite(box).all():
                continue
            x1, y1 = (max(0, int(side)) for side in np.floor(np.clip(box[:2], -1, 1e6)))
            x2, y2 = (int(side) for side in np.ceil(np.clip(box[2:], 0, [width, height])))
            if x1 >= x2 or y1 >= y2:
                continue  # it lies beside the image
            path = self._path.with_name(f"{self._path.name}_{number:06d}_{row}.jpg")
            self.guard(path)
            done, data = cv2.imencode(".jpg", image[y1:y2, x1:x2])
            if not done:
                raise OutputError(f"cannot encode {path.name}")
            write_whole(path, data.tobytes())

    def close(self, complete: bool) -> None:
        pass
