"""Frames of a clip, chosen by their results and written as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posekit.errors import InputError
from posekit.files import make_folder, write_whole
from posekit.io.images import encode_jpeg
from posekit.io.read_table import ResultTable
from posekit.io.sequence import open_clip
from posekit.result import PoseResult
from posekit.stages.packet import Packet

__all__ = ["Pick", "certainty"]


@dataclass
class Pick:
    """The chosen frames of a clip, whose pictures are read from it in order.

    Args:
        source: the clip.
        frame_ids: numbers of the chosen frames.
    """

    source: Path
    frame_ids: frozenset[int]
    _images: Iterator[tuple[np.ndarray, float]] | None = None
    _next: int = 0

    @classmethod
    def of(cls, table: ResultTable, frames: int | None, least_certain: int | None) -> Pick | None:
        """The frames to take from a table; None for all of them, without pictures.

        Args:
            table: the results.
            frames: take every n-th frame; None for all.
            least_certain: of these take the n with the lowest `certainty`; None for all.

        Raises:
            InputError: the table is not of a clip, or the clip is not where it was.
        """
        if frames is None and least_certain is None:
            return None
        if table.clip is None:
            raise InputError(
                f"{table.path} is of images: frames and least_certain choose among those of a video"
            )
        source = Path(table.clip.source)
        if not source.is_file():
            raise InputError(
                f"{table.path} is of {table.clip.source}, which is missing, so its images "
                "cannot be written; put it back, or leave frames and least_certain out"
            )
        known = {
            packet.result.frame_id or 0: certainty(packet.result)
            for packet in table.packets()
            if isinstance(packet, Packet) and (packet.result.frame_id or 0) % (frames or 1) == 0
        }
        chosen = sorted(known, key=lambda frame_id: (known[frame_id], frame_id))
        return cls(source, frozenset(chosen[:least_certain]))

    def has(self, packet: Packet) -> bool:
        """Whether a frame is chosen."""
        return packet.result.frame_id in self.frame_ids

    def write_picture(self, packet: Packet, path: Path) -> None:
        """Writes the picture of a frame, a JPEG, whole or not at all.

        Raises:
            InputError: the clip has no such frame any more.
            OutputError: it cannot be written.
        """
        image = self._image(packet.result.frame_id or 0)
        size = (image.shape[1], image.shape[0])
        if size != packet.result.image_size:
            raise InputError(
                f"{self.source} is of {size} pixels, its results of "
                f"{packet.result.image_size}: it is not the video that they were made from"
            )
        make_folder(path.parent)
        write_whole(path, encode_jpeg(image))

    def _image(self, wanted: int) -> np.ndarray:
        """A frame; each later than the one before."""
        if self._images is None:
            self._images = iter(open_clip(self.source))
        for number, (image, _) in enumerate(self._images, self._next):
            self._next = number + 1
            if number == wanted:
                return image
        raise InputError(
            f"{self.source} has {self._next} frames, and its results are of frame {wanted}: it "
            "is not the video that they were made from"
        )


def certainty(result: PoseResult) -> float:
    """The lowest mean keypoint score of any person, with scores clipped to 0..1.

    A frame in which nobody was found has 1: if that is right, there is nothing to correct.
    """
    if not len(result):
        return 1.0
    return float(np.clip(result.keypoint_scores, 0, 1).mean(axis=1).min())
