"""What goes through the stages: frames, and what was found in them."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from posekit.errors import InputError
from posekit.result import PoseResult

__all__ = [
    "WHOLE",
    "Clip",
    "Cut",
    "Download",
    "Frame",
    "Packet",
    "Stretch",
    "chunk_size",
    "continues",
    "in_chunks",
    "track_ids_of",
    "until_error",
]


class Download:
    """The file that a video from a URL is downloaded to; deleted when nobody holds this any more.

    Args:
        suffix: of the file's name.
    """

    def __init__(self, suffix: str = "") -> None:
        handle, path = tempfile.mkstemp(prefix="posekit-", suffix=suffix)
        os.close(handle)
        self.path = Path(path)
        weakref.finalize(self, self.path.unlink, missing_ok=True)


# Seconds by which a time that was typed may differ from a frame's.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Cut:
    """Which frames of a clip are taken: every n-th of those with `start` <= time < `end`.

    Attributes:
        start: seconds since the clip began.
        end: likewise; None for its end.
        stride: n.
    """

    start: float = 0.0
    end: float | None = None
    stride: int = 1

    def is_before(self, time: float) -> bool:
        """Whether a frame of that time comes before the first one that is taken."""
        return time < self.start - TOLERANCE

    def is_behind(self, time: float) -> bool:
        """Whether a frame of that time comes after the last one that is taken."""
        return self.end is not None and time >= self.end - TOLERANCE


WHOLE = Cut()


@dataclass(eq=False)
class Stretch:
    """A range of a clip's frames by number, for workers that share a clip.

    Attributes:
        first: number of the first one.
        last: number of the one after the last; None for the clip's end.
        following: seconds of the frame after the last, once known; None if there is none.
    """

    first: int
    last: int | None = None
    following: float | None = None

    def is_behind(self, number: int) -> bool:
        """Whether a frame comes after the last one that is taken."""
        return self.last is not None and number >= self.last


@dataclass(frozen=True, eq=False)
class Clip:
    """A video, a stream or a camera that frames come from.

    Attributes:
        name: file name for what is written about it, such as `demo.mp4`.
        source: path or URL, or `webcam:0`.
        size: (w, h) of its frames as they are shown, in pixels.
        fps: frames per second, on average, of those that are taken.
        num_frames: how many frames it says are taken; None if unknown, as for a camera.
        live: frames come as time passes; those that nobody takes in time are lost.
        download: its file, if it was fetched from a URL as a whole.
        cut: which of its frames are taken.
    """

    name: str
    source: str
    size: tuple[int, int]
    fps: Fraction
    num_frames: int | None = None
    live: bool = False
    download: Download | None = None
    cut: Cut = WHOLE


@dataclass(frozen=True, eq=False)
class Frame:
    """An image that was read.

    Attributes:
        image: (H, W, 3), BGR, uint8, upright.
        index: its position in the inputs, from 0; every frame of a video counts.
        name: file name for what is written about it; a clip's name for its frames.
        source: path or URL; None for an array.
        clip: what it is a frame of; None for an image.
        frame_id: its number in its clip, from 0; None for an image.
        time: seconds since the clip began; None for an image.
    """

    image: np.ndarray
    index: int
    name: str
    source: str | None = None
    clip: Clip | None = None
    frame_id: int | None = None
    time: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(w, h) of the image in pixels."""
        return self.image.shape[1], self.image.shape[0]

    @property
    def live(self) -> bool:
        """Whether it came from a camera or a stream: then nothing may wait for the next one."""
        return self.clip is not None and self.clip.live


@dataclass(frozen=True, eq=False)
class Packet:
    """A result with what tracking, smoothing, lifting, drawing and writing need of its frame.

    A stage that holds results back, or changes them, passes on the packets that it was given, each
    with its own result in it.

    Attributes:
        result: what was found so far.
        clip: what it is a frame of; None for an image.
        time: seconds since the clip began; None for an image.
        image: (H, W, 3), BGR, uint8; None if it would stay in memory for long: whoever draws on it
            reads it again.
        heatmap: (H, W), float32, where heat maps are drawn.
    """

    result: PoseResult
    clip: Clip | None = None
    time: float | None = None
    image: np.ndarray | None = None
    heatmap: np.ndarray | None = None

    @property
    def live(self) -> bool:
        """Whether it came from a camera or a stream: then nothing may wait for the next one."""
        return self.clip is not None and self.clip.live

    def having(self, **changes: Any) -> Packet:
        """The packet with some fields of its result changed."""
        return dataclasses.replace(self, result=dataclasses.replace(self.result, **changes))


# Frames that are taken together where nobody says how many: an engine's larger batches are full
# then, or its threads have an image each. More would only take memory.
AUTO_SIZE, AUTO_SIZE_GPU = 8, 16
AUTO_BYTES = 64 << 20  # of their images, on a GPU twice as many


def chunk_size(nbytes: int, size: int | Literal["auto"], *, gpu: bool = False) -> int:
    """How many images of `nbytes` bytes each `in_chunks` takes together."""
    if size != "auto":
        return size
    most, room = (AUTO_SIZE_GPU, 2 * AUTO_BYTES) if gpu else (AUTO_SIZE, AUTO_BYTES)
    return max(1, min(most, room // nbytes))


def in_chunks(
    frames: Iterable[Frame], size: int | Literal["auto"], *, gpu: bool = False
) -> Iterator[list[Frame]]:
    """Lists of frames; those of a camera one by one, since nothing may wait there.

    Args:
        frames: in order.
        size: the most per list; "auto" fills an engine's batch within a limit of memory.
        gpu: whether the networks run on one.
    """
    most, room = (AUTO_SIZE_GPU, 2 * AUTO_BYTES) if gpu else (AUTO_SIZE, AUTO_BYTES)
    if size != "auto":
        most, room = size, sys.maxsize
    chunk: list[Frame] = []
    for frame in frames:
        chunk.append(frame)
        another = (len(chunk) + 1) * frame.image.nbytes <= room
        if len(chunk) == most or not another or frame.live:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def until_error(frames: Iterable[Frame], failure: list[InputError]) -> Iterator[Frame]:
    """The frames up to an `InputError`, which is appended to `failure`."""
    try:
        yield from frames
    except InputError as error:
        failure.append(error)


def continues(before: PoseResult | None, result: PoseResult) -> bool:
    """Whether a result is of a later frame of the same clip, with the same kind of keypoints."""
    return (
        before is not None
        and before.frame_id is not None
        and result.frame_id is not None
        and result.frame_id > before.frame_id
        and (result.name, result.source) == (before.name, before.source)
        and result.image_size == before.image_size
        and result.skeleton.num_keypoints == before.skeleton.num_keypoints
    )


def track_ids_of(result: PoseResult) -> list[int]:
    """The track ids of a result's people.

    Raises:
        InputError: nobody tracked them, or a track is there twice.
    """
    if result.track_ids is None:
        if len(result):
            raise InputError(
                f"expected results with track_ids, found none for {result.name}, frame "
                f"{result.frame_id}: turn tracking on, such as by track='iou'"
            )
        return []
    ids: list[int] = result.track_ids.tolist()
    if len(set(ids)) < len(ids):
        raise InputError(
            f"expected each track once in a result, found track_ids {ids} for {result.name}, "
            f"frame {result.frame_id}"
        )
    return ids
