"""MP4 out. Pixels are BGR, uint8."""

from __future__ import annotations

import contextlib
import math
import os
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from posekit.errors import InputError, OutputError
from posekit.io.places import identity

__all__ = ["MAX_FPS", "VideoWriter", "silence_ffmpeg"]

MAX_FPS = 1000
FRAGMENT = 0.5  # seconds of a video that a killed process may lose, besides what is being encoded
MAX_THREADS = 8  # frames that are encoded at a time, at most: each takes memory
TICKS = 90_000  # per second, at least: how finely an MP4 keeps times


class VideoWriter:
    """Writes an MP4 with H.264 that browsers play; one that is never finished plays too.

    The file is written in fragments of half a second, each complete: after a crash or on a full
    disk, what `frames_written` counts is there. `close` makes an ordinary MP4 of it. Colours are
    BT.709, limited range, and say so. H.264 in 4:2:0 needs even sizes: for an odd one the last
    column or row is repeated, since some players ignore a crop.

    Args:
        path: the file to write; an existing one is overwritten. It is MP4 whatever the suffix.
        size: (w, h) of the images in pixels; None uses the first one's, and keeps an existing file
            until that comes.
        fps: frames per second, for frames without a time.
        source: what the frames come from: if it is a file, it is not overwritten.

    Attributes:
        path: of the file.
        size: (w, h) of the images in pixels; None before it is known.
        frames_written: the number of frames that are certainly in the file.

    Raises:
        InputError: a rate or a size that no video has, or the path of the source.
        OutputError: the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        size: tuple[int, int] | None = None,
        fps: Fraction | float = 30,
        source: Any = None,
    ) -> None:
        self.path = Path(path)
        there = identity(self.path)
        if there and isinstance(source, str | os.PathLike) and identity(Path(source)) == there:
            raise InputError(f"{path} is the input video: name another file")
        self.size = size
        self.frames_written = 0
        if not math.isfinite(fps) or not 0 < fps <= MAX_FPS:
            raise InputError(f"fps must be above 0 and at most {MAX_FPS}, found {fps}")
        if size is not None and min(size) < 1:
            raise InputError(f"a video's size must be (w, h) in pixels, found {size}")
        rate = Fraction(fps).limit_denominator(1001)
        if not rate:
            raise InputError(f"fps must be at least 1/1001, found {fps}")
        # Whole ticks per frame: a constant rate is kept exactly.
        ticks = rate.numerator * math.ceil(TICKS / rate.numerator)
        self._step = ticks // rate.numerator * rate.denominator
        self._time_base = Fraction(1, ticks)
        self._last = -self._step
        self._begin = 0.0
        self._encoded = 0
        self._to_yuv = VideoReformatter()
        self._closed = False
        self._rate = rate
        self._file: _FragmentFile
        self._container: OutputContainer
        self._stream: VideoStream
        if size is not None:
            self._open(size)

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Appends a frame.

        Args:
            image: (H, W, 3), BGR, uint8, of the writer's size.
            time: seconds; the first frame's is where the video begins. One that is not after the
                last frame's is moved just after it. None is 1 / fps after the last frame.

        Raises:
            InputError: another size or type.
            OutputError: the file can no longer be written.
        """
        if self._closed:
            raise InputError(f"{self.path} is closed: no frame can be added")
        if self.size is None:
            if image.ndim != 3 or not image.size:
                raise InputError(f"a frame must be (H, W, 3), uint8, found {image.shape}")
            size = (image.shape[1], image.shape[0])
            self._open(size)
            self.size = size
        width, height = self.size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise InputError(
                f"a frame of {self.path} must be ({height}, {width}, 3), uint8, "
                f"found {image.shape}, {image.dtype}"
            )
        if width % 2 or height % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        # A frame that lies in the array's memory: the copy of one takes longer than its conversion.
        bgr = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="bgr24")
        frame = self._to_yuv.reformat(
            bgr,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts, frame.time_base = self._next_pts(time), self._time_base
        self._encode(frame)

    def close(self) -> None:
        """Finishes the file; more calls do nothing. A file without a frame is removed.

        Raises:
            OutputError: the file could not be finished; it has `frames_written` frames.
        """
        if self._closed:
            return
        if self.size is None:
            self._closed = True
            return
        if self._last >= 0:
            self._encode(None)
        self._closed = True
        self._container.close()
        if self._file.error is not None:
            self._fail(self._file.error)
        self._file.close()
        self.frames_written = self._encoded
        if not self._encoded:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self, size: tuple[int, int]) -> None:
        self._file = _FragmentFile(self.path)
        try:
            self._container, self._stream = _open_output(
                self._file, self._rate, self._time_base, size
            )
        except (av.FFmpegError, ValueError) as error:
            self._closed = True
            self._file.close()
            self.path.unlink(missing_ok=True)
            raise OutputError(f"cannot write {self.path}: {_reason(error)}") from None

    def _next_pts(self, time: float | None) -> int:
        if time is None:
            pts = self._last + self._step
        elif not math.isfinite(time):
            raise InputError(f"a frame's time must be a number of seconds, found {time}")
        else:
            if self._last < 0:
                self._begin = time
            pts = round((time - self._begin) / self._time_base)
        self._last = max(pts, self._last + 1, 0)
        return self._last

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                size = self._file.size
                self._container.mux(packet)
                if self._file.error is None and self._file.size > size:
                    # A packet that does not belong to a fragment any more has it written.
                    self._file.mark()
                    self.frames_written = self._encoded
                self._encoded += 1
        except (av.FFmpegError, ValueError) as error:
            self._fail(error)
        if self._file.error is not None:
            self._fail(self._file.error)

    def _fail(self, error: Exception) -> NoReturn:
        """Leaves the fragments that are complete, and says how many frames they have."""
        self._closed = True
        self._file.error = self._file.error or OSError("not finished")
        with contextlib.suppress(av.FFmpegError, ValueError):
            self._container.close()  # its writing is discarded
        self._file.close()
        kept = f"the first {self.frames_written} frames are in it and play"
        if not self.frames_written:
            self.path.unlink(missing_ok=True)
            kept = "no frame was written"
        raise OutputError(f"cannot write {self.path}: {_reason(error)}; {kept}")


class _FragmentFile:
    """A file for FFmpeg that only grows, until it is closed.

    To finish, FFmpeg changes the beginning, in some versions before the new end is written, and
    even if that fails. So changes wait for `close`, and after an error nothing is written any more.
    """

    def __init__(self, path: Path) -> None:
        self.error: Exception | None = None
        self.size = 0
        self._position = 0
        self._good = 0
        self._changes: list[tuple[int, bytes]] = []
        try:
            self._raw = path.open("wb", buffering=0)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from None

    def write(self, data: bytes) -> int:
        if self._position < self.size:
            self._changes.append((self._position, bytes(data)))
        else:
            self._put(data)
        self._position += len(data)
        self.size = max(self.size, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = (0, self._position, self.size)[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def mark(self) -> None:
        """What is written so far is complete."""
        self._good = self.size

    def close(self) -> None:
        """Closes the file, cut back to what is complete where there was an error."""
        with self._raw:
            for position, data in self._changes if self.error is None else ():
                self._raw.seek(position)
                self._put(data)
            if self.error is not None:
                with contextlib.suppress(OSError):  # no file but a device
                    self._raw.truncate(self._good)

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest and self.error is None:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            self.error = error


def silence_ffmpeg() -> None:
    """Keeps FFmpeg's messages out of Python's log.

    Older versions of torchvision have PyAV log them, and then FFmpeg's threads and Python's may
    wait for each other for ever.
    """
    av.logging.set_level(None)


def _open_output(
    file: _FragmentFile, rate: Fraction, time_base: Fraction, size: tuple[int, int]
) -> tuple[OutputContainer, VideoStream]:
    silence_ffmpeg()
    options = {
        "movflags": "hybrid_fragmented",  # which becomes an ordinary MP4 when it is closed
        "frag_duration": str(round(FRAGMENT * 1e6)),
        "flush_packets": "1",
    }
    container = av.open(file, "w", format="mp4", options=options)
    stream = container.add_stream("libx264", rate=rate)
    stream.width, stream.height = size[0] + size[0] % 2, size[1] + size[1] % 2
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = time_base
    # Whole frames side by side: files are the same with any number of threads, and smaller than
    # those of slices. As many threads as x264 itself would take, which has no bound.
    stream.codec_context.thread_type = "FRAME"
    stream.codec_context.thread_count = min(MAX_THREADS, 3 * (os.cpu_count() or 1) // 2)
    stream.options = {
        "preset": "veryfast",
        "crf": "19",
        # Frames lie in the file in the order of time: what is cut off is the end.
        "bf": "0",
        "colorspace": "bt709",
        "color_primaries": "bt709",
        "color_trc": "bt709",
        "color_range": "tv",
    }
    return container, stream


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
