"""MMPose's JSON: an image's instances, or a list with an entry for each frame of a clip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from posekit.errors import OutputError
from posekit.files import write_whole
from posekit.io.growing import GrowingFile
from posekit.io.sinks import Run, Sink
from posekit.stages.packet import Clip, Packet

__all__ = ["JsonSink", "encode", "file_name", "frame_record", "open_sink"]


def file_name(name: str, clip: Clip | None) -> str:
    """`a.json` of `a.jpg`."""
    return f"{Path(name).stem}.json"


def open_sink(path: Path, clip: Clip | None, run: Run) -> JsonSink:
    """Opens a file; that of a clip is complete JSON after every frame."""
    return JsonSink(path, clip)


class JsonSink(Sink):
    """One JSON file.

    Args:
        path: of the file.
        clip: what the frames are of; None for a single image, which is written whole or not at all.
        before: text before the value, and
        after: text after it, for programs that want the value inside something else.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(
        self, path: Path, clip: Clip | None, *, before: bytes = b"", after: bytes = b""
    ) -> None:
        self.path = path
        self._before, self._after = before, after
        self._frames: GrowingFile | None = None
        if clip is not None:
            self._frames = GrowingFile(path, head=before + b"[", closing=b"\n]\n" + after)

    def write(self, packet: Packet, drawing: np.ndarray | None) -> None:
        """Writes the instances; see `Sink`."""
        result = packet.result
        if self._frames is None:
            value = encode(result.instances(), result.name)
            write_whole(self.path, self._before + value + self._after)
            return
        separator = b",\n" if self._frames.records_written else b"\n"
        self._frames.append(separator + frame_record(packet))

    def close(self, complete: bool) -> None:
        """Closes the file."""
        if self._frames is not None:
            self._frames.close()


def frame_record(packet: Packet) -> bytes:
    """A frame of a clip, as MMPose has it."""
    result = packet.result
    return encode({"frame_id": result.frame_id, "instances": result.instances()}, result.name)


def encode(record: object, name: str) -> bytes:
    """A value as one line of JSON, for the file `name`.

    Raises:
        OutputError: it has numbers that are not finite.
    """
    try:
        return json.dumps(record, allow_nan=False).encode()
    except ValueError:
        raise OutputError(
            f"the pose in {name} has numbers that are not finite, which JSON cannot hold: use "
            "dtype=float32, or check the weights"
        ) from None
