"""Parts of clips: which frames are taken, and how the first is found without decoding all.

A key frame needs nothing before it, so decoding starts at the last key frame before the cut.
Earlier packets are only counted, since frames keep their numbers in the whole clip.
"""

from __future__ import annotations

import bisect
import copy
import logging
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from posekit.errors import InputError
from posekit.stages.packet import TOLERANCE, Cut

__all__ = ["Clock", "Seek", "check_end", "cut_out"]

log = logging.getLogger(__name__)

# A packet of these is a frame, and frames behind a key frame do not need those before it.
SEEKABLE = frozenset(
    ["av1", "dnxhd", "ffv1", "h264", "hevc", "huffyuv", "mjpeg", "mpeg1video", "mpeg2video"]
    + ["mpeg4", "prores", "rawvideo", "utvideo", "vp9", "vvc"]
)
MOST_HELD = 128 << 20  # bytes of packets that wait for a key frame, which may never come
# Frames that may follow a key frame and are shown before it, at most: so many more are decoded.
LEADING = 64


class Clock:
    """Time stamps in a stream's units -> seconds since its first frame, which never decrease.

    Args:
        start: the first frame's stamp; None where it has none.
        time_base: seconds per unit.
        fps: frames per second, for what has no stamps and for gaps.
    """

    def __init__(self, start: int | None, time_base: Fraction | None, fps: Fraction) -> None:
        self._start = start
        self._time_base = time_base
        self._fps = fps
        self._shift = self._last = Fraction(0)

    def at(self, pts: int) -> Fraction:
        """The seconds of a stamp."""
        assert self._start is not None
        assert self._time_base is not None
        return (pts - self._start) * self._time_base + self._shift

    def seconds(self, pts: int | None, number: int) -> Fraction:
        """The seconds of the next frame; if its stamp goes back, it follows the frame before."""
        seconds = number / self._fps
        if pts is not None and self._start is not None and self._time_base:
            seconds = self.at(pts)
        if seconds < self._last:
            self._shift += self._last + 1 / self._fps - seconds
            seconds = self._last + 1 / self._fps
        self._last = seconds
        return seconds

    def join(self, last: int, pts: int) -> None:
        """Notes that a file was joined from several: after the stamp `last` it goes on at `pts`."""
        self._shift += self.at(last) + 1 / self._fps - self.at(pts)

    def follow(self, other: Clock) -> None:
        """Continues where another clock of the same stream is."""
        self._shift = other._shift


class Seek:
    """Passes on only the packets that are needed from a given time on.

    Args:
        start: seconds of the first wanted frame, or
        first: its number.
        clock: the stream's clock.
        stamps: stamps of the packets that the decoder was given before.

    Attributes:
        flush: whether the decoder must be flushed before it gets more packets.
    """

    def __init__(
        self, clock: Clock, stamps: Sequence[int], *, start: float = 0.0, first: int = 0
    ) -> None:
        self.flush = False
        self._start, self._first = start, first
        self._clock = clock
        self._ahead = copy.copy(clock)  # of the packets that are read, not yet of the frames
        self._open = False
        self._over = False  # what comes now is of the next of joined files
        self._before = 0  # packets before the last key frame that may do
        self._stamps = sorted(stamps)  # since then
        self._held: list[Packet[Any]] = []
        self._size = 0

    @staticmethod
    def can(stream: VideoStream) -> bool:
        """Whether frames of a stream may be left out."""
        known = stream.codec_context.codec.canonical_name in SEEKABLE
        return known and stream.time_base is not None

    def take(self, packet: Packet[Any] | None) -> list[Packet[Any] | None]:
        """Takes the next packet (None at the end) and returns those to decode now."""
        if packet is None or packet.pts is None:
            self._open = True  # nothing is known of when it is
        elif not packet.is_discard:
            if packet.is_keyframe:
                self._key(packet.pts)
            if not self._over:
                bisect.insort(self._stamps, packet.pts)
            self._open |= self._is_reached(packet.pts)
        self._size += 0 if packet is None else packet.size
        if not self._open and packet is not None and self._size <= MOST_HELD:
            self._held.append(packet)
            return []
        ready, self._held, self._size = [*self._held, packet], [], 0
        return ready

    def _key(self, pts: int) -> None:
        joined = bool(self._stamps) and pts < self._stamps[-1]
        self._over |= self._open and joined
        if self._open:
            return
        if joined:
            self._ahead.join(self._stamps[-1], pts)
            self._count()
        if self._may_begin_at(pts):
            self._count()
            self._held, self._size = [], 0
            self.flush = True
            self._clock.follow(self._ahead)

    def _is_reached(self, pts: int) -> bool:
        """Whether no later key frame can do."""
        if self._first:
            return self._before + len(self._stamps) + LEADING > self._first
        return self._ahead.at(pts) >= self._start - TOLERANCE

    def _may_begin_at(self, pts: int) -> bool:
        """Whether a key frame that comes now is shown before what is wanted, or is that."""
        if self._first:
            return self._before + len(self._stamps) + LEADING <= self._first
        return self._ahead.at(pts) <= self._start + TOLERANCE

    def _count(self) -> None:
        """All packets so far come before what follows."""
        self._before += len(self._stamps)
        self._stamps = []

    def number(self, pts: int | None, before: int) -> int:
        """The number of a frame in its clip.

        Args:
            pts: its stamp.
            before: the stamp of the frame decoded before it.
        """
        if pts is None:
            return before + 1
        return self._before + bisect.bisect_left(self._stamps, pts)


def cut_out(
    frames: Iterable[tuple[np.ndarray, float]], cut: Cut, name: str, fps: Fraction
) -> Iterator[tuple[np.ndarray, float, int]]:
    """Yields the images that a cut takes, each with its seconds and its number.

    Raises:
        InputError: the cut begins after the last frame.
    """
    position, seconds = -1, 0.0
    for number, (image, time) in enumerate(frames):
        seconds = time
        if cut.is_behind(time):
            return
        if not cut.is_before(time):
            position += 1
            if position % cut.stride == 0:
                yield image, time, number
        del image
    check_end(cut, name, seconds + float(1 / fps), found=position >= 0)


def check_end(cut: Cut, name: str, last: float, *, found: bool) -> None:
    """Checks, at a clip's end, that it was as long as its cut.

    Args:
        cut: which frames were taken.
        name: the clip's name.
        last: time of its end, in seconds.
        found: whether the cut took any frame.

    Raises:
        InputError: it took none.
    """
    if not found:
        raise InputError(
            f"start={cut.start:g} is past the end of {name}, which lasts {last:.2f} seconds"
        )
    if cut.end is not None and not cut.is_behind(last):
        log.warning("%s ends at %.2f seconds, before end=%g", name, last, cut.end)
